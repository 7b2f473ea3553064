// Times adaptq_matrix_multiply() of the shipped library: calls.c N K ROWS LEVEL SAMPLES CALLS. Prints one line per sample:
// nanoseconds per call. One thread, everything warm.
#define _POSIX_C_SOURCE 199309L
#include <adaptq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static float random_float(unsigned long long *state) {
  *state = *state * 6364136223846793005ull + 1442695040888963407ull;
  return (float)(*state >> 40) / 8388608.0f - 1.0f;
}

int main(int argc, char **argv) {
  if (argc != 7) return 2;
  int64_t n = atoll(argv[1]), k = atoll(argv[2]), rows = atoll(argv[3]);
  int level = atoi(argv[4]), samples = atoi(argv[5]), calls = atoi(argv[6]);
  float *w = malloc((size_t)(n * k) * sizeof *w), *x = malloc((size_t)(rows * k) * sizeof *x);
  float *y = malloc((size_t)(rows * n) * sizeof *y);
  if (!w || !x || !y) return 1;
  unsigned long long state = 1;
  for (int64_t i = 0; i < n * k; i++) w[i] = random_float(&state);
  for (int64_t i = 0; i < rows * k; i++) x[i] = random_float(&state);
  adaptq_runtime *runtime;
  adaptq_matrix *matrix;
  if (adaptq_runtime_create(NULL, &runtime) != ADAPTQ_OK) return 1;
  adaptq_matrix_options options = {.struct_size = sizeof options, .n = n, .k = k, .weights = w, .max_rows = rows};
  options.keep = ADAPTQ_ALLOW_FP16 | ADAPTQ_ALLOW_FP32;
  adaptq_multiply call = {.struct_size = sizeof call, .level = level, .rows = rows, .x = x, .y = y};
  if (adaptq_matrix_create(runtime, &options, &matrix) != ADAPTQ_OK || adaptq_matrix_multiply(matrix, &call) != ADAPTQ_OK) {
    fprintf(stderr, "%s\n", adaptq_last_error());
    return 1;
  }
  for (int i = 0; i < calls; i++) adaptq_matrix_multiply(matrix, &call);
  for (int s = 0; s < samples; s++) {
    double start = now();
    for (int i = 0; i < calls; i++) adaptq_matrix_multiply(matrix, &call);
    printf("%.1f\n", (now() - start) / calls);
  }
  return 0;
}
