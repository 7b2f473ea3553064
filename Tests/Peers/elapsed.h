// How long something took, for one thread: the shorter of the time that passed and of the time that the process had a CPU.
// Where nothing else wants the CPU both are the same; where something does, waiting for it is not counted.
#ifndef ELAPSED_H
#define ELAPSED_H
#include <time.h>

typedef struct { double passed, used; } moment;

static double clock_ns(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static moment moment_now(void) {
  moment m = {.used = clock_ns(CLOCK_PROCESS_CPUTIME_ID)};
  m.passed = clock_ns(CLOCK_MONOTONIC);
  return m;
}

static double elapsed_ns(moment start) {
  double passed = clock_ns(CLOCK_MONOTONIC) - start.passed, used = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start.used;
  return used < passed ? used : passed;
}

#endif
