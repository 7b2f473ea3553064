// Calls of matrix.h that need more than one expression.
#ifndef ADAPTQ_WRONG_USE_MATRIX_HELPERS_H
#define ADAPTQ_WRONG_USE_MATRIX_HELPERS_H

#include "machinery.h"

static adaptq_status create_odd(void) {
  static char moved[sizeof weights + 1];
  adaptq_matrix *matrix = NULL;
  memcpy(moved + 1, weights, sizeof weights);
  in.matrix.weights = moved + 1;
  adaptq_status status = adaptq_matrix_create(w.runtime, &in.matrix, &matrix);
  return status ? status : adaptq_matrix_destroy(matrix);
}

static adaptq_multiply many_rows(void) {
  static float x[17 * K], y[17 * N];
  adaptq_multiply call = in.multiply;
  call.rows = 17;
  call.x = x;
  call.y = y;
  return call;
}
static adaptq_multiply coded(int64_t codes_stride, int64_t scales_stride) {
  adaptq_multiply call = in.multiply;
  call.x = NULL;
  call.codes = codes;
  call.scales = scales;
  call.codes_stride = codes_stride;
  call.scales_stride = scales_stride;
  return call;
}
// A workspace that is large enough and holds `inside`.
static void big_workspace(const void *inside) {
  in.multiply.workspace = (char *)(uintptr_t)inside - 64;
  in.multiply.workspace_size = 1 << 20;
}

static void x_in_workspace(void) {
  in.multiply.x = (const float *)(const void *)(workspace + 64);
  in.multiply.workspace = workspace;
  in.multiply.workspace_size = sizeof workspace;
}

static adaptq_status multiply_nan(void) {
  static float x[ROWS * K];
  memcpy(x, rows_x, sizeof x);
  x[K + 3] = NAN;
  in.multiply.x = x;
  adaptq_status status = adaptq_matrix_multiply(w.matrix, &in.multiply);
  for (int i = 0; i < N * ROWS; i++)
    if (isnan(out.y[i]) != (i / N == 1)) check_fail(__FILE__, __LINE__, "y[%d] is %g", i, (double)out.y[i]);
  return status;
}
static adaptq_status multiply_odd(void) {
  static char x[sizeof rows_x + 1], y[sizeof out.y + 1];
  float even[ROWS * N];
  memcpy(x + 1, rows_x, sizeof rows_x);
  adaptq_status status = adaptq_matrix_multiply(w.matrix, &in.multiply);
  memcpy(even, out.y, sizeof even);
  in.multiply.x = (void *)(x + 1);
  in.multiply.y = (void *)(y + 1);
  if (status == ADAPTQ_OK) status = adaptq_matrix_multiply(w.matrix, ODD(in.multiply));
  CHECK(memcmp(y + 1, even, sizeof even) == 0);
  return status;
}

static const char *saved_path(void) {
  static char path[600];
  snprintf(path, sizeof path, "%s.saved", w.path);
  return path;
}

#endif
