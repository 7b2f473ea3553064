// The monotonic clock for tests that need one. Wants _GNU_SOURCE before the first header.
#ifndef ADAPTQ_CLOCK_H
#define ADAPTQ_CLOCK_H

#include <stdint.h>
#include <time.h>

static int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

#endif
