/* One weight matrix, multiplied at every precision: for hosts that have their own graph.
 *
 *   matrix [OUTPUTS INPUTS ROWS]
 *
 * Makes random weights, encodes them once, and shows per level how far the product is from the exact one and how long a
 * call takes. Then three projections of one input share one quantization, and the matrix goes through a file.
 *
 *   cc $(pkg-config --cflags adaptq) matrix.c $(pkg-config --libs adaptq) -lm */
#define _POSIX_C_SOURCE 200809L
#include <adaptq.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void check(adaptq_status status, const char *what) {
  if (status == ADAPTQ_OK) return;
  fprintf(stderr, "%s: %s: %s\n", what, adaptq_status_name(status), adaptq_last_error());
  exit(1);
}

static void *allocate(size_t count, size_t size) {
  void *memory = calloc(count, size);
  if (memory == NULL) {
    fprintf(stderr, "no memory for %zu times %zu bytes\n", count, size);
    exit(1);
  }
  return memory;
}

/* Sum of twelve uniform numbers, minus six: close to a normal distribution, as trained weights are. */
static float normal(unsigned long long *state) {
  double sum = -6;
  for (int i = 0; i < 12; i++) {
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    sum += (double)(*state >> 11) / 9007199254740992.0;
  }
  return (float)sum;
}

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* The shortest of a few batches, per call. */
static double time_us(adaptq_matrix *matrix, const adaptq_multiply *call) {
  double best = 1e30;
  int calls = 1;
  for (int batch = 0; batch < 12; batch++) {
    double start = now_us();
    for (int i = 0; i < calls; i++) check(adaptq_matrix_multiply(matrix, call), "multiply");
    double each = (now_us() - start) / calls;
    if (batch > 1 && each < best) best = each;
    if (batch == 1) calls = each > 1000 ? 1 : (int)(1000 / (each + 0.01)) + 1;
  }
  return best;
}

int main(int argc, char **argv) {
  int64_t n = argc > 3 ? atoll(argv[1]) : 384, k = argc > 3 ? atoll(argv[2]) : 384;
  int64_t rows = argc > 3 ? atoll(argv[3]) : 1, groups = (k + 63) / 64;
  if (n < 1 || k < 1 || rows < 1 || n > 65536 || k > 65536 || rows > 4096) {
    fprintf(stderr, "usage: %s [OUTPUTS INPUTS ROWS]\n", argv[0]);
    return 2;
  }
  unsigned long long state = 1;
  float *weights = allocate((size_t)(n * k), sizeof *weights), *bias = allocate((size_t)n, sizeof *bias);
  float *x = allocate((size_t)(rows * k), sizeof *x), *y = allocate((size_t)(rows * n), sizeof *y);
  double *exact = allocate((size_t)(rows * n), sizeof *exact);
  for (int64_t i = 0; i < n * k; i++) weights[i] = normal(&state) / (float)sqrt((double)k);
  for (int64_t i = 0; i < n; i++) bias[i] = normal(&state);
  for (int64_t i = 0; i < rows * k; i++) x[i] = normal(&state);
  double size = 0;
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t i = 0; i < n; i++) {
      double sum = bias[i];
      for (int64_t j = 0; j < k; j++) sum += (double)x[r * k + j] * weights[i * k + j];
      exact[r * n + i] = sum;
      size += sum * sum;
    }
  }

  adaptq_runtime *runtime;
  adaptq_matrix *matrix;
  check(adaptq_runtime_create(NULL, &runtime), "runtime");
  adaptq_matrix_options options = {.struct_size = sizeof options, .name = "projection", .n = n, .k = k};
  options.weights = weights; /* read now and copied */
  options.bias = bias;
  options.keep = ADAPTQ_ALLOW_FP32 | ADAPTQ_ALLOW_FP16; /* the integer levels are always there */
  options.max_rows = rows;
  check(adaptq_matrix_create(runtime, &options, &matrix), "matrix");
  adaptq_matrix_info info = {.struct_size = sizeof info};
  check(adaptq_matrix_get_info(matrix, &info), "info");
  printf("%lld outputs, %lld inputs, %lld rows; %lld bytes hold every level\n", (long long)n, (long long)k,
         (long long)rows, (long long)info.stored_bytes);

  const adaptq_level levels[] = {ADAPTQ_LEVEL_FP32, ADAPTQ_LEVEL_FP16, ADAPTQ_LEVEL_INT8,
                                 ADAPTQ_LEVEL_INT6, ADAPTQ_LEVEL_INT4, ADAPTQ_LEVEL_INT2};
  printf("%-6s %14s %12s\n", "level", "error (rms)", "us per call");
  for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
    adaptq_multiply call = {.struct_size = sizeof call, .level = levels[l], .rows = rows, .x = x, .y = y};
    check(adaptq_matrix_multiply(matrix, &call), "multiply");
    double error = 0;
    for (int64_t i = 0; i < rows * n; i++) error += (y[i] - exact[i]) * (y[i] - exact[i]);
    printf("%-6s %13.5f%% %12.2f\n", adaptq_level_name(levels[l]), 100 * sqrt(error / size), time_us(matrix, &call));
  }

  /* Quantized once, the input serves every matrix that reads it; here three calls of one. */
  int8_t *codes = allocate((size_t)(rows * k), sizeof *codes);
  float *scales = allocate((size_t)(rows * groups), sizeof *scales), *again = allocate((size_t)(rows * n), sizeof *again);
  check(adaptq_matrix_quantize(matrix, rows, x, 0, codes, 0, scales, 0), "quantize");
  adaptq_multiply call = {.struct_size = sizeof call, .level = ADAPTQ_LEVEL_INT8, .rows = rows, .y = again};
  call.codes = codes;
  call.scales = scales;
  call.activation = ADAPTQ_ACTIVATION_GELU; /* after the bias; `residual` would be added last */
  for (int use = 0; use < 3; use++) check(adaptq_matrix_multiply(matrix, &call), "multiply");

  /* Through a file: what comes back gives the same bits. */
  char path[] = "/tmp/adaptq-matrix-XXXXXX";
  int descriptor = mkstemp(path);
  if (descriptor < 0) return 1;
  close(descriptor);
  adaptq_matrix_file *file;
  adaptq_matrix *loaded;
  check(adaptq_matrix_save(&matrix, 1, path), "save");
  check(adaptq_matrix_file_open(runtime, path, &file), "open");
  adaptq_matrix_open_options open_options = {.struct_size = sizeof open_options, .max_rows = rows};
  check(adaptq_matrix_open(file, "projection", &open_options, &loaded), "projection");
  adaptq_matrix_file_destroy(file);
  remove(path);
  call.y = y;
  check(adaptq_matrix_multiply(loaded, &call), "multiply");
  int same = memcmp(y, again, (size_t)(rows * n) * sizeof *y) == 0;
  printf("saved and loaded: %s\n", same ? "same bits" : "DIFFERENT");

  adaptq_matrix_destroy(loaded);
  adaptq_matrix_destroy(matrix);
  adaptq_runtime_destroy(runtime);
  free(weights), free(bias), free(x), free(y), free(exact), free(codes), free(scales), free(again);
  return same ? 0 : 1;
}
