// 1,000 warm multiplications with changing levels, rows, inputs and epilogues allocate nothing and make no system call.
//
// Allocations are counted when count_malloc.so is preloaded; system calls are counted from outside, between the two marks
// (strace_between.sh).
#define _GNU_SOURCE
#include <unistd.h>

#include "check.h"

extern void adaptq_test_count_begin(void) __attribute__((weak));
extern long adaptq_test_count_end(void) __attribute__((weak));

enum { CALLS = 1000, N = 90, K = 200, GROUPS = 4, ROWS = 20 };

static void warm_calls_allocate_nothing(void) {
  static float weights[N * K], x[ROWS * K], y[ROWS * N], residual[ROWS * N], scales[ROWS * GROUPS];
  static int8_t codes[ROWS * K];
  uint64_t seed = 1;
  for (int i = 0; i < N * K; i++) weights[i] = (float)((double)(check_random(&seed) >> 40) / 8388608.0 - 1.0);
  for (int i = 0; i < ROWS * K; i++) x[i] = (float)((double)(check_random(&seed) >> 40) / 8388608.0 - 1.0);
  adaptq_runtime *runtime = NULL;
  REQUIRE_OK(adaptq_runtime_create(NULL, &runtime));
  adaptq_matrix_options o = {.struct_size = sizeof o, .n = N, .k = K, .weights = weights, .max_rows = ROWS};
  o.keep = ADAPTQ_ALLOW_FP16 | ADAPTQ_ALLOW_FP32;
  adaptq_matrix *matrix = NULL;
  REQUIRE_OK(adaptq_matrix_create(runtime, &o, &matrix));
  size_t size = 0;
  REQUIRE_OK(adaptq_matrix_workspace_size(matrix, ROWS, &size));
  char *workspace = malloc(size);
  static const adaptq_level levels[6] = {32, 16, 8, 6, 4, 2};

  int failed = 0;
  ssize_t ignored = 0;
  long allocations = -1;
  for (int pass = 0; pass < 2; pass++) {  // the first one warms
    if (pass == 1) {
      ignored = write(-1, "adaptq-begin", 12);
      if (adaptq_test_count_begin) adaptq_test_count_begin();
    }
    for (int i = 0; i < CALLS; i++) {
      adaptq_multiply c = {.struct_size = sizeof c, .level = levels[i % 6], .rows = i % ROWS + 1, .x = x, .y = y};
      c.activation = i / 6 % 4;
      if (i % 3 == 1) c.residual = residual;
      if (i % 4 == 2) {
        failed |= adaptq_matrix_quantize(matrix, c.rows, x, 0, codes, 0, scales, 0);
        c.x = NULL;
        c.codes = codes;
        c.scales = scales;
      }
      if (i % 5 == 3) {
        c.workspace = workspace;
        c.workspace_size = size;
      }
      failed |= adaptq_matrix_multiply(matrix, &c);
    }
  }
  if (adaptq_test_count_end) allocations = adaptq_test_count_end();
  ignored += write(-1, "adaptq-end", 10);
  CHECK_INT(failed, 0);
  CHECK(ignored != 0);
  if (allocations >= 0) CHECK_INT(allocations, 0);
  printf("  %d multiplications, %ld calls of the allocator\n", CALLS, allocations);
  free(workspace);
  CHECK_STATUS(adaptq_matrix_destroy(matrix), ADAPTQ_OK);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
}

int main(void) {
  RUN(warm_calls_allocate_nothing);
  return check_end();
}
