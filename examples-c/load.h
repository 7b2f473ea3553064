// Competing work: one busy process per CPU, for measuring what a budget is worth on a machine that others use too.
#ifndef EXAMPLE_LOAD_H
#define EXAMPLE_LOAD_H

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOAD_MAX = 256 };
static volatile pid_t load_pids[LOAD_MAX];
static volatile sig_atomic_t load_count;

// Kills and reaps what load_start() started. Also safe in a signal handler.
static void load_stop(void) {
  for (int i = 0; i < load_count; i++) kill(load_pids[i], SIGKILL);
  for (int i = 0; i < load_count; i++) while (waitpid(load_pids[i], NULL, 0) < 0 && errno == EINTR) {}
  load_count = 0;
}

static void load_on_signal(int number) {
  load_stop();
  signal(number, SIG_DFL);
  raise(number);
}

// Whatever ends this program ends its competitors: normal exit, a signal that can be caught, and (in load_start) the rest.
static void load_init(void) {
  atexit(load_stop);
  const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) signal(numbers[i], load_on_signal);
}

// Starts one busy process on each CPU of `cpus`, in this session (so that the kernel weighs it against this program and
// not against a whole group), with the given nice value. Returns how many run; below the number of CPUs if one failed.
static int load_start(const cpu_set_t *cpus, int nice_value) {
  pid_t parent = getpid();
  for (int cpu = 0; cpu < CPU_SETSIZE && load_count < LOAD_MAX; cpu++) {
    if (!CPU_ISSET(cpu, cpus)) continue;
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
      perror("fork");
      return load_count;
    }
    if (pid == 0) {
      // Dies with its parent, however that ends; the parent may already be gone.
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(1);
      const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
      for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) signal(numbers[i], SIG_DFL);
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      errno = 0;
      if (sched_setaffinity(0, sizeof one, &one) != 0 || (nice(nice_value) == -1 && errno != 0)) _exit(1);
      for (volatile unsigned long work = 0;; work++) {}
    }
    load_pids[load_count] = pid;
    load_count = load_count + 1;
  }
  return load_count;
}

// How many of the started processes are still running.
static int load_alive(void) {
  int alive = 0;
  for (int i = 0; i < load_count; i++) {
    siginfo_t info;
    info.si_pid = 0;
    if (waitid(P_PID, (id_t)load_pids[i], &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0) alive++;
  }
  return alive;
}

#endif
