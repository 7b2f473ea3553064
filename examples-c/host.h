// What the longer examples share: ending with a message, memory, a clock, percentiles, one CPU. Define PROGRAM before.
#ifndef EXAMPLE_HOST_H
#define EXAMPLE_HOST_H

#include <adaptq.h>
#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline void fail(const char *what, const char *why) {
  fprintf(stderr, PROGRAM ": %s: %s\n", what, why);
  exit(1);  // load_stop() runs at exit
}

#define MUST(call) \
  do { \
    adaptq_status must_status = (call); \
    if (must_status != ADAPTQ_OK) { \
      fprintf(stderr, PROGRAM ": %s\n", adaptq_status_name(must_status)); \
      fail(#call, adaptq_last_error()); \
    } \
  } while (0)

static inline void *allocate(size_t count, size_t size) {
  void *memory = calloc(count ? count : 1, size);
  if (memory == NULL) fail("memory", "none left");
  return memory;
}

static inline int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static inline int compare_int64(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

// The smallest value that at least `percent` per cent of the values do not exceed. Sorts them.
static inline int64_t percentile(int64_t *values, int count, double percent) {
  qsort(values, (size_t)count, sizeof *values, compare_int64);
  int index = (int)ceil(percent / 100 * count) - 1;
  return values[index < 0 ? 0 : index >= count ? count - 1 : index];
}

// Pins this thread to the first CPU it may use, so that load and program share exactly that one. Fills *cpus with it.
static inline void pin(cpu_set_t *cpus) {
  if (sched_getaffinity(0, sizeof *cpus, cpus) != 0) fail("sched_getaffinity", strerror(errno));
  int first = 0;
  while (first < CPU_SETSIZE && !CPU_ISSET(first, cpus)) first++;
  CPU_ZERO(cpus);
  CPU_SET(first, cpus);
  if (sched_setaffinity(0, sizeof *cpus, cpus) != 0) fail("sched_setaffinity", strerror(errno));
  double load[1] = {0};
  getloadavg(load, 1);
  printf("\nthis program runs on CPU %d; load average before: %.2f%s\n", first, load[0],
         load[0] > 0.7 ? " (something else is running: \"calm\" is not calm)" : "");
}

#endif
