// Children of fork(), made while other threads are inside the library.   test_fork [one]: fewer rounds
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

enum { BATCH = 2, LENGTH = 24, THREADS = 3, OTHERS = 3 };

static int rounds = 25;

static int count_tasks(void) {
  int count = 0;
  DIR *directory = opendir("/proc/self/task");
  for (struct dirent *entry; directory && (entry = readdir(directory));) count += entry->d_name[0] != '.';
  if (directory) closedir(directory);
  return count;
}

// What a child answers with: the line that failed, or 0. It says nothing itself.
#define CHILD(condition) do { if (!(condition)) return __LINE__; } while (0)

typedef struct {
  const fixture *f;
  adaptq_session *session;  // nobody runs it at the fork
  adaptq_session *others[OTHERS];
  tensors *t;
  const void *expected;
  adaptq_level level;
} parent_state;

// A sanitizer has a thread of its own, which children may have or not.
#if defined(__SANITIZE_THREAD__)
#define COUNTS_THREADS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define COUNTS_THREADS 0
#endif
#endif
#ifndef COUNTS_THREADS
#define COUNTS_THREADS 1
#endif

static int same(const parent_state *p, tensors *t) {
  return memcmp(p->expected, t->outputs[0].data, t->outputs[0].data_size) == 0;
}

static int child(const parent_state *p) {
  adaptq_run_options options = {.struct_size = sizeof options, .level = p->level};
  // An existing session, existing code, workers of the child's own.
  if (COUNTS_THREADS) CHILD(count_tasks() == 1);
  canary_fill(p->t->outputs[0].data, p->t->outputs[0].data_size);
  CHILD(fixture_run(p->f, p->session, p->t, &options, NULL) == ADAPTQ_OK);
  CHILD(same(p, p->t));
  if (COUNTS_THREADS) CHILD(count_tasks() == THREADS);
  // Sessions that other threads used: free, or busy for good.
  for (int i = 0; i < OTHERS; i++) {
    adaptq_status status = adaptq_session_destroy(p->others[i]);
    CHILD(status == ADAPTQ_OK || status == ADAPTQ_BUSY);
  }
  // Another session of the existing model, which is prepared here.
  tensors t;
  adaptq_session *session = fixture_session(p->f, &t, fixture_allow[fixture_best_level(p->f->levels)], BATCH, LENGTH);
  CHILD(session != NULL);
  CHILD(fixture_run(p->f, session, &t, NULL, NULL) == ADAPTQ_OK && same(p, &t));
  CHILD(adaptq_session_destroy(session) == ADAPTQ_OK);
  tensors_free(p->f, &t);
  // All new, code as well.
  fixture own;
  adaptq_runtime_options wanted = {.struct_size = sizeof wanted, .threads = 2};
  CHILD(fixture_open_with(&own, &wanted));
  session = fixture_session(&own, &t, fixture_allow[fixture_best_level(own.levels)], BATCH, LENGTH);
  CHILD(session != NULL);
  CHILD(fixture_run(&own, session, &t, NULL, NULL) == ADAPTQ_OK && same(p, &t));
  CHILD(adaptq_session_destroy(session) == ADAPTQ_OK);
  tensors_free(&own, &t);
  CHILD(adaptq_model_destroy(own.model) == ADAPTQ_OK && adaptq_runtime_destroy(own.runtime) == ADAPTQ_OK);
  // The existing one can go.
  CHILD(adaptq_session_destroy(p->session) == ADAPTQ_OK);
  CHILD(adaptq_model_destroy(p->f->model) == ADAPTQ_OK && adaptq_runtime_destroy(p->f->runtime) == ADAPTQ_OK);
  return 0;
}

// A child whose own child works as well.
static int child_with_child(const parent_state *p) {
  adaptq_run_options options = {.struct_size = sizeof options, .level = p->level};
  CHILD(fixture_run(p->f, p->session, p->t, &options, NULL) == ADAPTQ_OK && same(p, p->t));
  pid_t pid = fork();
  if (pid == 0) {
    alarm(120);
    _exit(child(p) ? 1 : 0);
  }
  int status = 0;
  CHILD(pid > 0 && waitpid(pid, &status, 0) == pid);
  CHILD(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHILD(fixture_run(p->f, p->session, p->t, &options, NULL) == ADAPTQ_OK && same(p, p->t));
  return 0;
}

static void fork_and_wait(const parent_state *p, int (*what)(const parent_state *)) {
  int answers[2];
  REQUIRE(pipe(answers) == 0);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    // A child that hangs is ended by the signal, which the parent reports.
    alarm(240);
    int line = what(p);
    if (write(answers[1], &line, sizeof line) != sizeof line) _exit(2);
    _exit(line ? 1 : 0);
  }
  int status = 0, line = -1;
  REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid);
  close(answers[1]);
  if (read(answers[0], &line, sizeof line) != sizeof line) line = -1;
  close(answers[0]);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    check_fail(__FILE__, __LINE__, "child: line %d failed (status 0x%x)", line, (unsigned)status);
}

// ---------------------------------------------------------------------------------------------------- other threads

typedef struct {
  const fixture *f;
  adaptq_session *session;
  tensors t;
  int stop;
  long runs, wrong;
} runner;

static void *keep_running(void *argument) {
  runner *r = (runner *)argument;
  while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
    if (fixture_run(r->f, r->session, &r->t, NULL, NULL) != ADAPTQ_OK) r->wrong++;
    r->runs++;
  }
  return NULL;
}

// Takes every lock of the library over and over: kernels and threads are made for each new runtime.
static void *keep_making(void *argument) {
  runner *r = (runner *)argument;
  while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
    fixture own;
    tensors t;
    adaptq_runtime_options wanted = {.struct_size = sizeof wanted, .threads = 2};
    memset(&own, 0, sizeof own);
    if (!fixture_open_with(&own, &wanted)) { r->wrong++; break; }
    adaptq_session *session = fixture_session(&own, &t, fixture_allow[fixture_best_level(own.levels)], 1, 4);
    if (session == NULL || adaptq_session_destroy(session) != ADAPTQ_OK) r->wrong++;
    tensors_free(&own, &t);
    if (adaptq_model_destroy(own.model) != ADAPTQ_OK || adaptq_runtime_destroy(own.runtime) != ADAPTQ_OK) r->wrong++;
    r->runs++;
  }
  return NULL;
}

static void children(int (*what)(const parent_state *), int with_others) {
  OPEN_FIXTURE_THREADS(f, THREADS);
  tensors t;
  uint32_t best = fixture_allow[fixture_best_level(f.levels)];
  parent_state p = {.f = &f, .t = &t, .level = fixture_level[fixture_best_level(f.levels)]};
  p.session = fixture_session(&f, &t, best, BATCH, LENGTH);
  REQUIRE(p.session != NULL);
  CHECK_STATUS(fixture_run(&f, p.session, &t, NULL, NULL), ADAPTQ_OK);
  void *expected = malloc(t.outputs[0].data_size);
  memcpy(expected, t.outputs[0].data, t.outputs[0].data_size);
  p.expected = expected;
  static runner r[OTHERS];
  pthread_t threads[OTHERS];
  memset(r, 0, sizeof r);
  for (int i = 0; i < OTHERS; i++) {
    r[i].f = &f;
    r[i].session = p.others[i] = fixture_session(&f, &r[i].t, best, 1 + i, LENGTH);
    REQUIRE(p.others[i] != NULL);
    if (with_others) REQUIRE(pthread_create(&threads[i], NULL, i == 2 ? keep_making : keep_running, &r[i]) == 0);
  }
  for (int i = 0; i < rounds; i++) {
    if (with_others) usleep(1000 + (unsigned)i * 700);
    fork_and_wait(&p, what);
    // The parent has lost nothing.
    canary_fill(t.outputs[0].data, t.outputs[0].data_size);
    CHECK_STATUS(fixture_run(&f, p.session, &t, NULL, NULL), ADAPTQ_OK);
    CHECK(same(&p, &t));
    if (check_failures > 3) break;
  }
  for (int i = 0; i < OTHERS; i++) {
    __atomic_store_n(&r[i].stop, 1, __ATOMIC_RELEASE);
    if (with_others) {
      pthread_join(threads[i], NULL);
      CHECK(r[i].runs > 0);
    }
    CHECK_INT(r[i].wrong, 0);
    CHECK_STATUS(adaptq_session_destroy(r[i].session), ADAPTQ_OK);
    tensors_free(&f, &r[i].t);
  }
  CHECK_STATUS(adaptq_session_destroy(p.session), ADAPTQ_OK);
  free(expected);
  tensors_free(&f, &t);
  fixture_close(&f);
}

static void child_works(void) { children(child, 0); }
static void child_of_child_works(void) { children(child_with_child, 0); }
static void child_works_while_others_run(void) { children(child, 1); }

int main(int argc, char **argv) {
  (void)argv;
  if (argc > 1) rounds = 1;
  int many = rounds;
  rounds = 1;
  RUN(child_works);
  RUN(child_of_child_works);
  rounds = many;
  RUN(child_works_while_others_run);
  return check_end();
}
