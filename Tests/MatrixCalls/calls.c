// Times adaptq_matrix_multiply() of the shipped library, one thread, everything warm: calls N K ROWS LEVEL. Prints
// "ready NAME ..." and then, for every line "SAMPLES CALLS" on standard input, one line per kind of call: NAME and SAMPLES
// times, nanoseconds per call. Ends with its input. compare.py runs it beside a peer.
#define _POSIX_C_SOURCE 199309L
#include <adaptq.h>
#include <stdio.h>
#include <stdlib.h>
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

static double sample(adaptq_matrix *matrix, const adaptq_multiply *call, int calls) {
  double start = now();
  for (int i = 0; i < calls; i++)
    if (adaptq_matrix_multiply(matrix, call) != ADAPTQ_OK) exit(1);
  return (now() - start) / calls;
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  int64_t n = atoll(argv[1]), k = atoll(argv[2]), rows = atoll(argv[3]), groups = (k + 63) / 64;
  float *w = malloc((size_t)(n * k) * sizeof *w), *x = malloc((size_t)(rows * k) * sizeof *x);
  float *y = malloc((size_t)(rows * n) * sizeof *y), *scales = malloc((size_t)(rows * groups) * sizeof *scales);
  int8_t *codes = malloc((size_t)(rows * k));
  if (!w || !x || !y || !codes || !scales) return 1;
  unsigned long long state = 1;
  for (int64_t i = 0; i < n * k; i++) w[i] = random_float(&state);
  for (int64_t i = 0; i < rows * k; i++) x[i] = random_float(&state);
  adaptq_runtime *runtime;
  adaptq_matrix *matrix;
  if (adaptq_runtime_create(NULL, &runtime) != ADAPTQ_OK) return 1;
  adaptq_matrix_options options = {.struct_size = sizeof options, .n = n, .k = k, .weights = w, .max_rows = rows};
  options.keep = ADAPTQ_ALLOW_FP16 | ADAPTQ_ALLOW_FP32;
  adaptq_multiply floats = {.struct_size = sizeof floats, .level = atoi(argv[4]), .rows = rows, .x = x, .y = y};
  adaptq_multiply quantized = floats;
  quantized.x = NULL;
  quantized.codes = codes;
  quantized.scales = scales;
  if (adaptq_matrix_create(runtime, &options, &matrix) != ADAPTQ_OK ||
      adaptq_matrix_quantize(matrix, rows, x, 0, codes, 0, scales, 0) != ADAPTQ_OK ||
      adaptq_matrix_multiply(matrix, &floats) != ADAPTQ_OK || adaptq_matrix_multiply(matrix, &quantized) != ADAPTQ_OK) {
    fprintf(stderr, "%s\n", adaptq_last_error());
    return 1;
  }
  printf("ready adaptq adaptq-codes\n");
  fflush(stdout);
  int samples, calls;
  while (scanf("%d %d", &samples, &calls) == 2) {
    const adaptq_multiply *kinds[2] = {&floats, &quantized};
    for (int kind = 0; kind < 2; kind++) {
      sample(matrix, kinds[kind], calls);
      printf("%s", kind == 0 ? "adaptq" : "adaptq-codes");
      for (int i = 0; i < samples; i++) printf(" %.1f", sample(matrix, kinds[kind], calls));
      printf("\n");
    }
    fflush(stdout);
  }
  return 0;
}
