// The counters count: a program with known allocations and system calls between its marks, so that a zero elsewhere means
// something. Arguments: "quiet" makes none, "noisy" makes some.
#define _GNU_SOURCE
#include <unistd.h>

#include "check.h"

extern void adaptq_test_count_begin(void) __attribute__((weak));
extern long adaptq_test_count_end(void) __attribute__((weak));

static int noisy;

static void allocations(void) {
  if (!adaptq_test_count_begin) SKIP("count_malloc.so is not loaded");
  void *volatile block = NULL;
  adaptq_test_count_begin();
  if (noisy) {
    block = malloc(10);
    block = realloc(block, 100);
    free(block);
    block = calloc(3, 4);
    free(block);
    if (posix_memalign((void **)&block, 64, 640) == 0) free(block);
    block = aligned_alloc(64, 640);
    free(block);
  }
  CHECK_INT(adaptq_test_count_end(), noisy ? 9 : 0);
}

static void system_calls(void) {
  ssize_t ignored = write(-1, "adaptq-begin", 12);
  if (noisy) ignored += getppid();
  ignored += write(-1, "adaptq-end", 10);
  CHECK(ignored != 0);
}

int main(int argc, char **argv) {
  noisy = argc > 1 && strcmp(argv[1], "noisy") == 0;
  RUN(allocations);
  RUN(system_calls);
  return check_end();
}
