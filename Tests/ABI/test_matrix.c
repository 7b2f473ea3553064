// Matrices: products against sums in double, every wrong use with its status and text, files, threads, the floating-point
// environment.
#define _GNU_SOURCE
#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <unistd.h>
#include <xmmintrin.h>

#include "check.h"

enum { N = 37, K = 100, GROUPS = 2, ROWS = 5 };

static const adaptq_level all_levels[6] = {ADAPTQ_LEVEL_FP32, ADAPTQ_LEVEL_FP16, ADAPTQ_LEVEL_INT8,
                                           ADAPTQ_LEVEL_INT6, ADAPTQ_LEVEL_INT4, ADAPTQ_LEVEL_INT2};

static float weights[N * K], bias[N], x[ROWS * K], residual[ROWS * N], y[ROWS * N];
static int8_t codes[ROWS * K];
static float scales[ROWS * GROUPS];
static adaptq_runtime *runtime;

static void fill(float *values, size_t count, uint64_t seed) {
  for (size_t i = 0; i < count; i++) values[i] = (float)((double)(check_random(&seed) >> 40) / 8388608.0 - 1.0);
}

static adaptq_matrix_options usual(void) {
  adaptq_matrix_options o = {.struct_size = sizeof o, .name = "layer", .n = N, .k = K, .weights = weights, .bias = bias};
  o.keep = ADAPTQ_ALLOW_FP16 | ADAPTQ_ALLOW_FP32;
  return o;
}

static adaptq_multiply call_of(adaptq_level level, int64_t rows) {
  adaptq_multiply c = {.struct_size = sizeof c, .level = level, .rows = rows, .x = x, .y = y};
  return c;
}

static adaptq_matrix *make(void) {
  adaptq_matrix_options o = usual();
  adaptq_matrix *matrix = NULL;
  CHECK_STATUS(adaptq_matrix_create(runtime, &o, &matrix), ADAPTQ_OK);
  return matrix;
}

// ------------------------------------------------------------------------------------------------------------- products

static double activate(int32_t activation, double value) {
  if (activation == ADAPTQ_ACTIVATION_RELU) return value > 0 ? value : 0;
  if (activation == ADAPTQ_ACTIVATION_GELU) return 0.5 * value * (1 + erf(value / sqrt(2)));
  if (activation == ADAPTQ_ACTIVATION_SILU) return value / (1 + exp(-value));
  return value;
}

// FP32 and FP16 to rounding; the others against their own noise, which is what weights of so many bits leave. FP16 may multiply in
// bfloat16: a product is off by 2^-7 + 2^-16 of itself, and by 2^-11 for the weight as FP16; GELU and SiLU multiply that by 1.13
// at most.
static void products_are_right_at_every_level(void) {
  adaptq_matrix *matrix = make();
  static const double tolerance[6] = {1e-5, 1e-5, 0.15, 0.25, 1.0, 4.0};
  for (int l = 0; l < 6; l++) {
    for (int32_t activation = 0; activation <= ADAPTQ_ACTIVATION_SILU; activation++) {
      adaptq_multiply c = call_of(all_levels[l], ROWS);
      c.activation = activation;
      c.no_bias = activation == ADAPTQ_ACTIVATION_RELU;
      c.residual = activation == ADAPTQ_ACTIVATION_GELU ? residual : NULL;
      CHECK_STATUS(adaptq_matrix_multiply(matrix, &c), ADAPTQ_OK);
      for (int r = 0; r < ROWS; r++) {
        for (int i = 0; i < N; i++) {
          double sum = c.no_bias ? 0 : bias[i];
          double magnitude = 0;
          for (int j = 0; j < K; j++) {
            double product = (double)x[r * K + j] * weights[i * K + j];
            sum += product;
            magnitude += fabs(product);
          }
          double allowed = tolerance[l];
          if (all_levels[l] == ADAPTQ_LEVEL_FP16) allowed += magnitude * (0x1p-7 + 0x1p-11 + 0x1p-15) * 1.13;
          double expected = activate(activation, sum) + (c.residual ? residual[r * N + i] : 0);
          if (!(fabs(y[r * N + i] - expected) <= allowed))
            check_fail(__FILE__, __LINE__, "%s activation %d row %d output %d: %g, expected %g",
                       adaptq_level_name(all_levels[l]), activation, r, i, (double)y[r * N + i], expected);
        }
      }
    }
  }
  CHECK_STATUS(adaptq_matrix_destroy(matrix), ADAPTQ_OK);
}

static void strides_and_alignments_change_nothing(void) {
  adaptq_matrix *matrix = make();
  static float transposed[K * N];
  for (int i = 0; i < N; i++) for (int j = 0; j < K; j++) transposed[j * N + i] = weights[i * K + j];
  adaptq_matrix_options o = usual();
  o.weights = transposed;
  o.column_stride = N;
  adaptq_matrix *other = NULL;
  CHECK_STATUS(adaptq_matrix_create(runtime, &o, &other), ADAPTQ_OK);
  enum { XS = K + 5, YS = N + 3 };
  static char xm[ROWS * XS * 4 + 8], ym[ROWS * YS * 4 + 8], rm[ROWS * N * 4 + 8];
  for (int l = 0; l < 6; l++) {
    for (int shift = 0; shift < 4; shift++) {
      adaptq_multiply c = call_of(all_levels[l], ROWS);
      c.residual = residual;
      c.activation = ADAPTQ_ACTIVATION_GELU;
      CHECK_STATUS(adaptq_matrix_multiply(matrix, &c), ADAPTQ_OK);
      canary_fill(ym, sizeof ym);
      for (int r = 0; r < ROWS; r++) memcpy(xm + shift + r * XS * 4, x + r * K, K * 4);
      memcpy(rm + shift, residual, sizeof residual);
      adaptq_multiply d = c;
      void *odd[3] = {xm + shift, ym + shift, rm + shift};
      memcpy(&d.x, &odd[0], sizeof d.x);
      memcpy(&d.y, &odd[1], sizeof d.y);
      memcpy(&d.residual, &odd[2], sizeof d.residual);
      d.x_stride = XS;
      d.y_stride = YS;
      CHECK_STATUS(adaptq_matrix_multiply(other, &d), ADAPTQ_OK);
      for (int r = 0; r < ROWS; r++) {
        CHECK(memcmp(ym + shift + r * YS * 4, y + r * N, N * 4) == 0);
        CHECK(canary_intact(ym + shift + (r * YS + N) * 4, 3 * 4));
      }
      CHECK(canary_intact(ym, (size_t)shift));
    }
  }
  CHECK_STATUS(adaptq_matrix_destroy(matrix), ADAPTQ_OK);
  CHECK_STATUS(adaptq_matrix_destroy(other), ADAPTQ_OK);
}

static void prepared_codes_give_the_same_bits(void) {
  adaptq_matrix *matrix = make();
  CHECK_STATUS(adaptq_matrix_quantize(matrix, ROWS, x, 0, codes, 0, scales, 0), ADAPTQ_OK);
  // The documented layout: code * scale is x to within half a step.
  for (int r = 0; r < ROWS; r++)
    for (int j = 0; j < K; j++) {
      double scale = scales[r * GROUPS + j / 64];
      CHECK(fabs(codes[r * K + j] * scale - x[r * K + j]) <= 0.5001 * scale);
    }
  float first[ROWS * N];
  for (int l = 0; l < 6; l++) {
    adaptq_multiply c = call_of(all_levels[l], ROWS);
    CHECK_STATUS(adaptq_matrix_multiply(matrix, &c), ADAPTQ_OK);
    memcpy(first, y, sizeof y);
    c.x = NULL;
    c.codes = codes;
    c.scales = scales;
    CHECK_STATUS(adaptq_matrix_multiply(matrix, &c), ADAPTQ_OK);
    if (l >= 2) CHECK(memcmp(first, y, sizeof y) == 0);
    else for (int i = 0; i < ROWS * N; i++) CHECK(fabs(first[i] - y[i]) < 0.2);
  }
  CHECK_STATUS(adaptq_matrix_destroy(matrix), ADAPTQ_OK);
}

static void poison_stays_in_its_row(void) {
  adaptq_matrix *matrix = make();
  const float poison[3] = {NAN, INFINITY, -INFINITY};
  float kept = x[2 * K + 70];
  for (int p = 0; p < 3; p++) {
    x[2 * K + 70] = poison[p];
    for (int l = 2; l < 6; l++) {
      adaptq_multiply c = call_of(all_levels[l], ROWS);
      CHECK_STATUS(adaptq_matrix_multiply(matrix, &c), ADAPTQ_OK);
      for (int i = 0; i < ROWS * N; i++) CHECK(isnan(y[i]) == (i / N == 2));
    }
  }
  x[2 * K + 70] = kept;
  CHECK_STATUS(adaptq_matrix_destroy(matrix), ADAPTQ_OK);
}

// Rounding mode and flush-to-zero of the host: same bits, and the host finds its state as it left it.
static void host_floating_point_state_does_not_matter(void) {
  adaptq_matrix *matrix = make();
  float first[ROWS * N];
  for (int l = 0; l < 6; l++) {
    adaptq_multiply c = call_of(all_levels[l], ROWS);
    c.activation = ADAPTQ_ACTIVATION_SILU;
    CHECK_STATUS(adaptq_matrix_multiply(matrix, &c), ADAPTQ_OK);
    memcpy(first, y, sizeof y);
    unsigned own = _mm_getcsr();
    const unsigned states[3] = {0x7F80 /* toward zero */, 0x1F80 | 0x8040 /* flush, denormals are zero */, 0x3F80 | 0x8040};
    for (int s = 0; s < 3; s++) {
      _mm_setcsr(states[s]);
      adaptq_status status = adaptq_matrix_multiply(matrix, &c);
      unsigned after = _mm_getcsr();
      _mm_setcsr(own);
      CHECK_INT(status, ADAPTQ_OK);
      CHECK_INT(after, states[s]);
      CHECK(memcmp(first, y, sizeof y) == 0);
    }
  }
  CHECK_STATUS(adaptq_matrix_destroy(matrix), ADAPTQ_OK);
}

static void info_says_what_is_there(void) {
  adaptq_matrix *matrix = make();
  adaptq_matrix_info info = {.struct_size = sizeof info};
  CHECK_STATUS(adaptq_matrix_get_info(matrix, &info), ADAPTQ_OK);
  CHECK(strcmp(info.name, "layer") == 0);
  CHECK_INT(info.n, N);
  CHECK_INT(info.k, K);
  CHECK_INT(info.max_rows, 16);
  CHECK_INT(info.levels, ADAPTQ_ALLOW_ALL);
  CHECK_INT(info.group_size, 64);
  CHECK_INT(info.has_bias, 1);
  CHECK(info.stored_bytes > N * K && info.workspace_bytes > 0);
  CHECK(info.is_expanded == 0 || info.is_expanded == 1);
  CHECK_ERROR(adaptq_matrix_get_info(matrix, NULL), ADAPTQ_INVALID_ARGUMENT, "info is NULL");
  CHECK_ERROR(adaptq_matrix_get_info(NULL, &info), ADAPTQ_INVALID_HANDLE, "NULL");
  info.struct_size = 3;
  CHECK_ERROR(adaptq_matrix_get_info(matrix, &info), ADAPTQ_INVALID_ARGUMENT, "struct_size is 3");
  CHECK_STATUS(adaptq_matrix_destroy(matrix), ADAPTQ_OK);
}

// ------------------------------------------------------------------------------------------------------ wrong creations

#define REFUSES(status, part, change) \
  do { \
    adaptq_matrix_options o = usual(); \
    change; \
    adaptq_matrix *made = (adaptq_matrix *)&o; \
    CHECK_ERROR(adaptq_matrix_create(runtime, &o, &made), status, part); \
    CHECK(made == NULL); \
  } while (0)

static void wrong_creations_are_refused(void) {
  adaptq_matrix_options good = usual();
  adaptq_matrix *none = NULL;
  CHECK_ERROR(adaptq_matrix_create(runtime, &good, NULL), ADAPTQ_INVALID_ARGUMENT, "out is NULL");
  CHECK_ERROR(adaptq_matrix_create(runtime, NULL, &none), ADAPTQ_INVALID_ARGUMENT, "options is NULL");
  CHECK_ERROR(adaptq_matrix_create(NULL, &good, &none), ADAPTQ_INVALID_HANDLE, "adaptq_runtime NULL");
  REFUSES(ADAPTQ_INVALID_ARGUMENT, "struct_size is 0", o.struct_size = 0);
  REFUSES(ADAPTQ_INVALID_ARGUMENT, "struct_size", o.struct_size = sizeof o + 8);
  REFUSES(ADAPTQ_INVALID_ARGUMENT, "name is not UTF-8", o.name = "\xff");
  REFUSES(ADAPTQ_INVALID_ARGUMENT, "weights is NULL", o.weights = NULL);
  REFUSES(ADAPTQ_OUT_OF_RANGE, "n is 0", o.n = 0);
  REFUSES(ADAPTQ_OUT_OF_RANGE, "n is -1", o.n = -1);
  REFUSES(ADAPTQ_OUT_OF_RANGE, "k is 0", o.k = 0);
  REFUSES(ADAPTQ_OUT_OF_RANGE, "k is 16777217", o.k = 16777217);
  REFUSES(ADAPTQ_OUT_OF_RANGE, "n is 9223372036854775807", o.n = INT64_MAX);
  REFUSES(ADAPTQ_OUT_OF_MEMORY, "2147483648 x 16777216", (o.n = INT64_C(1) << 31, o.k = 1 << 24));
  REFUSES(ADAPTQ_INVALID_ARGUMENT, "weight_type is 6", o.weight_type = 6);
  REFUSES(ADAPTQ_INVALID_ARGUMENT, "weight_type is -1", o.weight_type = -1);
  REFUSES(ADAPTQ_INVALID_ARGUMENT, "expand is 3", o.expand = 3);
  REFUSES(ADAPTQ_UNSUPPORTED, "group size: 32", o.group_size = 32);
  REFUSES(ADAPTQ_UNSUPPORTED, "group size: 96", o.group_size = 96);
  REFUSES(ADAPTQ_INVALID_ARGUMENT, "group_size is -64", o.group_size = -64);
  REFUSES(ADAPTQ_INVALID_ARGUMENT, "keep is 8", o.keep = ADAPTQ_ALLOW_INT8);
  REFUSES(ADAPTQ_OUT_OF_RANGE, "max_rows is -1", o.max_rows = -1);
  REFUSES(ADAPTQ_OUT_OF_RANGE, "max_rows", o.max_rows = INT64_MAX);
  REFUSES(ADAPTQ_INVALID_ARGUMENT, "row_stride is -100", o.row_stride = -100);
  REFUSES(ADAPTQ_INVALID_ARGUMENT, "column_stride is -1", (o.row_stride = 1, o.column_stride = -1));
  REFUSES(ADAPTQ_INVALID_ARGUMENT, "share elements", o.row_stride = K - 1);
  REFUSES(ADAPTQ_INVALID_ARGUMENT, "share elements", o.column_stride = N - 1);
  REFUSES(ADAPTQ_OUT_OF_RANGE, "row_stride", o.row_stride = INT64_MAX);
  REFUSES(ADAPTQ_OUT_OF_RANGE, "overflows", (o.row_stride = INT64_MAX / 64, o.n = 65));
  REFUSES(ADAPTQ_OUT_OF_RANGE, "bytes of the weights", (o.row_stride = INT64_MAX / 64));
  const float poison[3] = {NAN, INFINITY, -INFINITY};
  for (int p = 0; p < 3; p++) {
    float kept = weights[5 * K + 9];
    weights[5 * K + 9] = poison[p];
    REFUSES(ADAPTQ_INVALID_ARGUMENT, "row 5, column 9", (void)0);
    weights[5 * K + 9] = kept;
    kept = bias[3];
    bias[3] = poison[p];
    REFUSES(ADAPTQ_INVALID_ARGUMENT, "bias: element 3", (void)0);
    bias[3] = kept;
  }
  uint16_t halves[4] = {0x3C00, 0x3C00, 0x7C00, 0x3C00};
  REFUSES(ADAPTQ_INVALID_ARGUMENT, "row 1, column 0",
          (o.n = 2, o.k = 2, o.bias = NULL, o.weights = halves, o.weight_type = ADAPTQ_WEIGHTS_FLOAT16));
  halves[2] = 0x7FC0;
  REFUSES(ADAPTQ_INVALID_ARGUMENT, "row 1, column 0",
          (o.n = 2, o.k = 2, o.bias = NULL, o.weights = halves, o.weight_type = ADAPTQ_WEIGHTS_BFLOAT16));
  float kept = weights[7];
  weights[7] = 1e6f;
  REFUSES(ADAPTQ_OUT_OF_RANGE, "row 0, column 7", (void)0);
  weights[7] = kept;
}

// -------------------------------------------------------------------------------------------------- wrong multiplications

static adaptq_matrix *subject;

static void refuse(adaptq_multiply c, adaptq_status status, const char *part, int line) {
  canary_fill(y, sizeof y);
  adaptq_status got = adaptq_matrix_multiply(subject, &c);
  if (got != status || !strstr(adaptq_last_error(), part))
    check_fail(__FILE__, line, "gives %s \"%s\", expected %s \"%s\"", adaptq_status_name(got), adaptq_last_error(),
               adaptq_status_name(status), part);
  if (!canary_intact(y, sizeof y)) check_fail(__FILE__, line, "y was written");
}

#define REFUSE(status, part, change) \
  do { \
    adaptq_multiply c = call_of(ADAPTQ_LEVEL_INT8, ROWS); \
    change; \
    refuse(c, status, part, __LINE__); \
  } while (0)

static void wrong_multiplications_are_refused(void) {
  subject = make();
  adaptq_multiply good = call_of(ADAPTQ_LEVEL_INT8, ROWS);
  CHECK_ERROR(adaptq_matrix_multiply(subject, NULL), ADAPTQ_INVALID_ARGUMENT, "multiply is NULL");
  CHECK_ERROR(adaptq_matrix_multiply(NULL, &good), ADAPTQ_INVALID_HANDLE, "adaptq_matrix NULL");
  CHECK_ERROR(adaptq_matrix_multiply((adaptq_matrix *)runtime, &good), ADAPTQ_INVALID_HANDLE, "not a live handle");
  CHECK_ERROR(adaptq_matrix_multiply((adaptq_matrix *)&good, &good), ADAPTQ_INVALID_HANDLE, "not a live handle");
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "struct_size is 8", c.struct_size = 8);
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "struct_size", c.struct_size = SIZE_MAX);
  REFUSE(ADAPTQ_UNSUPPORTED, "AUTO", c.level = ADAPTQ_LEVEL_AUTO);
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "level is 5", c.level = 5);
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "level is 264", c.level = 264);
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "level is -8", c.level = -8);
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "activation is 4", c.activation = 4);
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "activation is -1", c.activation = -1);
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "activation is 256", c.activation = 256);
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "no_bias is 2", c.no_bias = 2);
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "rows is 0", c.rows = 0);
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "rows is -1", c.rows = -1);
  REFUSE(ADAPTQ_OUT_OF_RANGE, "made for 16", (c.rows = 17, c.x_stride = K, c.y = malloc(1), c.y = (float *)0x10000));
  REFUSE(ADAPTQ_OUT_OF_RANGE, "address space", c.rows = INT64_MAX);
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "x and codes are NULL", c.x = NULL);
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "x and codes", c.codes = codes);
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "scales is NULL", (c.x = NULL, c.codes = codes));
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "y is NULL", c.y = NULL);
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "x_stride is 99", c.x_stride = K - 1);
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "x_stride is -1", c.x_stride = -1);
  REFUSE(ADAPTQ_OUT_OF_RANGE, "x_stride", c.x_stride = INT64_MAX);
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "y_stride is 36", c.y_stride = N - 1);
  REFUSE(ADAPTQ_OUT_OF_RANGE, "y_stride", c.y_stride = INT64_MAX / 8);
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "residual_stride is 1", (c.residual = residual, c.residual_stride = 1));
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "codes_stride is 1", (c.x = NULL, c.codes = codes, c.scales = scales, c.codes_stride = 1));
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "scales_stride is 1",
         (c.x = NULL, c.codes = codes, c.scales = scales, c.scales_stride = 1));
  REFUSE(ADAPTQ_OUT_OF_RANGE, "address space", c.x = (const float *)(UINTPTR_MAX - 64));
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "y overlaps x", c.x = y + 10);
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "y overlaps x", (c.x = y - 300, c.rows = 4));
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "y overlaps residual", c.residual = y);
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "y overlaps codes", (c.x = NULL, c.codes = (int8_t *)y, c.scales = scales));
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "y overlaps scales", (c.x = NULL, c.codes = codes, c.scales = y + 3));
  char small[64];
  REFUSE(ADAPTQ_BUFFER_TOO_SMALL, "workspace_size is 64", (c.workspace = small, c.workspace_size = 64));
  REFUSE(ADAPTQ_BUFFER_TOO_SMALL, "workspace_size is 0", c.workspace = small);
  REFUSE(ADAPTQ_BUFFER_TOO_SMALL, "workspace_size", (c.workspace = small, c.workspace_size = SIZE_MAX));
  size_t size = 0;
  CHECK_STATUS(adaptq_matrix_workspace_size(subject, ROWS, &size), ADAPTQ_OK);
  char *workspace = malloc(size + sizeof x);
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "workspace overlaps x",
         (c.workspace = workspace, c.workspace_size = size + sizeof x, c.x = (float *)(workspace + 64)));
  REFUSE(ADAPTQ_INVALID_ARGUMENT, "workspace overlaps y",
         (c.workspace = workspace, c.workspace_size = size + sizeof x, c.y = (float *)(workspace + 64)));
  free(workspace);
  CHECK_ERROR(adaptq_matrix_workspace_size(subject, 0, &size), ADAPTQ_INVALID_ARGUMENT, "rows is 0");
  CHECK_ERROR(adaptq_matrix_workspace_size(subject, INT64_MAX, &size), ADAPTQ_OUT_OF_RANGE, "overflows");
  CHECK_ERROR(adaptq_matrix_workspace_size(subject, 1, NULL), ADAPTQ_INVALID_ARGUMENT, "out is NULL");

  // Levels that a matrix does not hold.
  adaptq_matrix_options o = usual();
  o.keep = 0;
  adaptq_matrix *plain = NULL;
  CHECK_STATUS(adaptq_matrix_create(runtime, &o, &plain), ADAPTQ_OK);
  good.level = ADAPTQ_LEVEL_FP32;
  CHECK_ERROR(adaptq_matrix_multiply(plain, &good), ADAPTQ_UNSUPPORTED, "FP32");
  good.level = ADAPTQ_LEVEL_FP16;
  CHECK_ERROR(adaptq_matrix_multiply(plain, &good), ADAPTQ_UNSUPPORTED, "FP16");
  CHECK_STATUS(adaptq_matrix_destroy(plain), ADAPTQ_OK);
  CHECK_ERROR(adaptq_matrix_multiply(plain, &good), ADAPTQ_INVALID_HANDLE, "not a live handle");
  CHECK_ERROR(adaptq_matrix_destroy(plain), ADAPTQ_INVALID_HANDLE, "not a live handle");
  CHECK_STATUS(adaptq_matrix_destroy(NULL), ADAPTQ_OK);

  // Quantizing.
  CHECK_ERROR(adaptq_matrix_quantize(NULL, 1, x, 0, codes, 0, scales, 0), ADAPTQ_INVALID_HANDLE, "NULL");
  CHECK_ERROR(adaptq_matrix_quantize(subject, 1, NULL, 0, codes, 0, scales, 0), ADAPTQ_INVALID_ARGUMENT, "x is NULL");
  CHECK_ERROR(adaptq_matrix_quantize(subject, 1, x, 0, NULL, 0, scales, 0), ADAPTQ_INVALID_ARGUMENT, "codes is NULL");
  CHECK_ERROR(adaptq_matrix_quantize(subject, 1, x, 0, codes, 0, NULL, 0), ADAPTQ_INVALID_ARGUMENT, "scales is NULL");
  CHECK_ERROR(adaptq_matrix_quantize(subject, 0, x, 0, codes, 0, scales, 0), ADAPTQ_INVALID_ARGUMENT, "rows is 0");
  CHECK_ERROR(adaptq_matrix_quantize(subject, 1, x, 3, codes, 0, scales, 0), ADAPTQ_INVALID_ARGUMENT, "x_stride is 3");
  CHECK_ERROR(adaptq_matrix_quantize(subject, 1, x, 0, (int8_t *)x, 0, scales, 0), ADAPTQ_INVALID_ARGUMENT,
              "codes overlaps x");
  CHECK_ERROR(adaptq_matrix_quantize(subject, 1, x, 0, codes, 0, x, 0), ADAPTQ_INVALID_ARGUMENT, "scales overlaps x");
  CHECK_ERROR(adaptq_matrix_quantize(subject, 2, x, 0, codes, 0, (float *)codes, 0), ADAPTQ_INVALID_ARGUMENT,
              "scales overlaps codes");
  CHECK_STATUS(adaptq_matrix_destroy(subject), ADAPTQ_OK);
}

// Columns of one buffer, side by side, are no overlap.
static void interleaved_rows_are_allowed(void) {
  adaptq_matrix *matrix = make();
  enum { STRIDE = K + N + 3 };
  static float both[ROWS * STRIDE];
  for (int r = 0; r < ROWS; r++) memcpy(both + r * STRIDE, x + r * K, K * sizeof *x);
  adaptq_multiply c = call_of(ADAPTQ_LEVEL_INT4, ROWS);
  CHECK_STATUS(adaptq_matrix_multiply(matrix, &c), ADAPTQ_OK);
  adaptq_multiply d = c;
  d.x = both;
  d.y = both + K + 1;
  d.x_stride = d.y_stride = STRIDE;
  CHECK_STATUS(adaptq_matrix_multiply(matrix, &d), ADAPTQ_OK);
  for (int r = 0; r < ROWS; r++) CHECK(memcmp(both + r * STRIDE + K + 1, y + r * N, N * sizeof *y) == 0);
  d.y = both + K - 1;
  CHECK_ERROR(adaptq_matrix_multiply(matrix, &d), ADAPTQ_INVALID_ARGUMENT, "y overlaps x");
  d.y = both + K + 4;
  CHECK_ERROR(adaptq_matrix_multiply(matrix, &d), ADAPTQ_INVALID_ARGUMENT, "y overlaps x");
  CHECK_STATUS(adaptq_matrix_destroy(matrix), ADAPTQ_OK);
}

// ---------------------------------------------------------------------------------------------------------------- files

static void files_keep_matrices(void) {
  char folder[] = "/tmp/adaptq-matrix-XXXXXX", path[64];
  REQUIRE(mkdtemp(folder) != NULL);
  snprintf(path, sizeof path, "%s/m.adaptq", folder);
  adaptq_matrix_options o = usual();
  adaptq_matrix *list[2] = {NULL, NULL}, *back[2] = {NULL, NULL}, *none = NULL;
  REQUIRE_OK(adaptq_matrix_create(runtime, &o, &list[0]));
  o.name = "other";
  o.bias = NULL;
  o.keep = 0;
  REQUIRE_OK(adaptq_matrix_create(runtime, &o, &list[1]));
  CHECK_STATUS(adaptq_matrix_save(list, 2, path), ADAPTQ_OK);
  CHECK_STATUS(adaptq_matrix_save(list, 2, path), ADAPTQ_OK);  // over itself

  adaptq_matrix_file *file = NULL;
  REQUIRE_OK(adaptq_matrix_file_open(runtime, path, &file));
  size_t count = 0;
  const char *name = NULL;
  CHECK_STATUS(adaptq_matrix_file_count(file, &count), ADAPTQ_OK);
  CHECK_INT(count, 2);
  CHECK_STATUS(adaptq_matrix_file_name(file, 1, &name), ADAPTQ_OK);
  CHECK(name && strcmp(name, "other") == 0);
  CHECK_ERROR(adaptq_matrix_file_name(file, 2, &name), ADAPTQ_OUT_OF_RANGE, "index 2");
  CHECK_ERROR(adaptq_matrix_open(file, "nobody", NULL, &none), ADAPTQ_NOT_FOUND, "nobody");
  CHECK_ERROR(adaptq_matrix_open(file, NULL, NULL, &none), ADAPTQ_INVALID_ARGUMENT, "name is NULL");
  adaptq_matrix_open_options wrong = {.struct_size = sizeof wrong, .max_rows = -2};
  CHECK_ERROR(adaptq_matrix_open(file, "other", &wrong, &none), ADAPTQ_OUT_OF_RANGE, "max_rows is -2");
  wrong = (adaptq_matrix_open_options){.struct_size = sizeof wrong, .expand = 9};
  CHECK_ERROR(adaptq_matrix_open(file, "other", &wrong, &none), ADAPTQ_INVALID_ARGUMENT, "expand is 9");
  CHECK_STATUS(adaptq_matrix_open(file, "layer", NULL, &back[0]), ADAPTQ_OK);
  CHECK_STATUS(adaptq_matrix_open(file, "other", NULL, &back[1]), ADAPTQ_OK);
  CHECK_STATUS(adaptq_matrix_file_destroy(file), ADAPTQ_OK);
  CHECK_ERROR(adaptq_matrix_file_count(file, &count), ADAPTQ_INVALID_HANDLE, "adaptq_matrix_file");
  for (int m = 0; m < 2; m++) {
    for (int l = m == 0 ? 0 : 2; l < 6; l++) {
      float first[ROWS * N];
      adaptq_multiply c = call_of(all_levels[l], ROWS);
      CHECK_STATUS(adaptq_matrix_multiply(list[m], &c), ADAPTQ_OK);
      memcpy(first, y, sizeof y);
      CHECK_STATUS(adaptq_matrix_multiply(back[m], &c), ADAPTQ_OK);
      CHECK(memcmp(first, y, sizeof y) == 0);
    }
  }
  adaptq_model *model = NULL;
  CHECK_ERROR(adaptq_model_open(runtime, path, &model), ADAPTQ_UNSUPPORTED, "holds matrices");
  CHECK_ERROR(adaptq_matrix_file_open(runtime, "/nonexistent/m", &file), ADAPTQ_NOT_FOUND, "/nonexistent/m");
  CHECK(file == NULL);
  CHECK_ERROR(adaptq_matrix_save(list, 2, "/nonexistent/m"), ADAPTQ_NOT_FOUND, "/nonexistent/m");
  CHECK_ERROR(adaptq_matrix_save(list, 0, path), ADAPTQ_INVALID_ARGUMENT, "count is 0");
  CHECK_ERROR(adaptq_matrix_save(NULL, 2, path), ADAPTQ_INVALID_ARGUMENT, "matrices is NULL");
  CHECK_ERROR(adaptq_matrix_save(list, 2, NULL), ADAPTQ_INVALID_ARGUMENT, "path is NULL");
  adaptq_matrix *twice[2] = {list[0], list[0]}, *dead[2] = {list[0], NULL};
  CHECK_ERROR(adaptq_matrix_save(twice, 2, path), ADAPTQ_INVALID_ARGUMENT, "appears twice");
  CHECK_ERROR(adaptq_matrix_save(dead, 2, path), ADAPTQ_INVALID_HANDLE, "NULL");

  // Random damage, out of memory: an error or matrices that work, never a crash.
  FILE *stream = fopen(path, "rb");
  REQUIRE(stream != NULL);
  static unsigned char bytes[1 << 16];
  size_t size = fread(bytes, 1, sizeof bytes, stream);
  fclose(stream);
  REQUIRE(size > 1000 && size < sizeof bytes);
  uint64_t seed = 5;
  int opened = 0;
  for (int i = 0; i < 2000; i++) {
    unsigned char *damaged = malloc(size);
    memcpy(damaged, bytes, size);
    size_t length = i % 3 == 0 ? check_random(&seed) % size : size;
    for (int k = 0; k < 1 + i % 3; k++)
      damaged[check_random(&seed) % (i % 2 ? size : 2000)] ^= (unsigned char)(1u << (check_random(&seed) % 8));
    if (adaptq_matrix_file_open_memory(runtime, damaged, length, &file) == ADAPTQ_OK) {
      opened++;
      for (size_t k = 0; adaptq_matrix_file_name(file, k, &name) == ADAPTQ_OK; k++) {
        if (adaptq_matrix_open(file, name, NULL, &none) != ADAPTQ_OK) continue;
        adaptq_matrix_info info = {.struct_size = sizeof info};
        CHECK_STATUS(adaptq_matrix_get_info(none, &info), ADAPTQ_OK);
        adaptq_multiply c = call_of(ADAPTQ_LEVEL_INT8, ROWS);
        // A damaged name can hide the nested weights and leave a sound matrix of the kept levels.
        if (info.n <= N && info.k <= K && info.levels & ADAPTQ_ALLOW_INT8) CHECK_STATUS(adaptq_matrix_multiply(none, &c), ADAPTQ_OK);
        CHECK_STATUS(adaptq_matrix_destroy(none), ADAPTQ_OK);
      }
      CHECK_STATUS(adaptq_matrix_file_destroy(file), ADAPTQ_OK);
    } else {
      CHECK(file == NULL);
    }
    free(damaged);
  }
  CHECK(opened > 0);
  CHECK_ERROR(adaptq_matrix_file_open_memory(runtime, NULL, 5, &file), ADAPTQ_INVALID_ARGUMENT, "data is NULL");
  CHECK_ERROR(adaptq_matrix_file_open_memory(runtime, bytes, SIZE_MAX, &file), ADAPTQ_OUT_OF_RANGE, "size");
  unlink(path);
  CHECK_INT(rmdir(folder), 0);  // nothing is left behind
  for (int m = 0; m < 2; m++) {
    CHECK_STATUS(adaptq_matrix_destroy(list[m]), ADAPTQ_OK);
    CHECK_STATUS(adaptq_matrix_destroy(back[m]), ADAPTQ_OK);
  }
}

// -------------------------------------------------------------------------------------------------------------- threads

enum { BIG = 1024 };
typedef struct {
  adaptq_matrix *matrix;
  const float *input;
  int stop, inside;
} worker;

static void *keep_multiplying(void *argument) {
  worker *w = (worker *)argument;
  float *out = malloc(BIG * sizeof *out * 16);
  adaptq_multiply c = {.struct_size = sizeof c, .level = ADAPTQ_LEVEL_INT2, .rows = 16, .x = w->input, .y = out};
  while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
    __atomic_store_n(&w->inside, 1, __ATOMIC_RELEASE);
    adaptq_matrix_multiply(w->matrix, &c);
  }
  free(out);
  return NULL;
}

static void second_call_is_busy_unless_it_has_a_workspace(void) {
  float *w = malloc(BIG * BIG * sizeof *w), *in = malloc(16 * BIG * sizeof *in), *out = malloc(BIG * sizeof *out);
  float *first = malloc(BIG * sizeof *first);
  fill(w, BIG * BIG, 3);
  fill(in, 16 * BIG, 4);
  adaptq_matrix_options o = {.struct_size = sizeof o, .n = BIG, .k = BIG, .weights = w};
  adaptq_matrix *matrix = NULL;
  REQUIRE_OK(adaptq_matrix_create(runtime, &o, &matrix));
  size_t size = 0;
  CHECK_STATUS(adaptq_matrix_workspace_size(matrix, 1, &size), ADAPTQ_OK);
  char *workspace = malloc(size + 1);
  adaptq_multiply own = {.struct_size = sizeof own, .level = ADAPTQ_LEVEL_INT8, .rows = 1, .x = in, .y = out};
  CHECK_STATUS(adaptq_matrix_multiply(matrix, &own), ADAPTQ_OK);
  memcpy(first, out, BIG * sizeof *out);
  adaptq_multiply free_call = own;
  free_call.workspace = workspace + 1;
  free_call.workspace_size = size;
  worker state = {.matrix = matrix, .input = in};
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, keep_multiplying, &state) == 0);
  while (!__atomic_load_n(&state.inside, __ATOMIC_ACQUIRE)) {}
  int busy = 0, busy_destroy = 0;
  for (int i = 0; i < 20000 && !busy; i++) {
    canary_fill(out, BIG * sizeof *out);
    if (adaptq_matrix_multiply(matrix, &own) == ADAPTQ_BUSY) {
      busy = 1;
      CHECK(canary_intact(out, BIG * sizeof *out));
      CHECK(strstr(adaptq_last_error(), "adaptq_matrix") != NULL);
    }
  }
  for (int i = 0; i < 50; i++) {
    CHECK_STATUS(adaptq_matrix_multiply(matrix, &free_call), ADAPTQ_OK);
    CHECK(memcmp(first, out, BIG * sizeof *out) == 0);
    int8_t prepared[BIG];
    float steps[BIG / 64];
    CHECK_STATUS(adaptq_matrix_quantize(matrix, 1, in, 0, prepared, 0, steps, 0), ADAPTQ_OK);
  }
  adaptq_status destroyed = ADAPTQ_BUSY;
  for (int i = 0; i < 1000000 && destroyed == ADAPTQ_BUSY; i++) {
    destroyed = adaptq_matrix_destroy(matrix);
    busy_destroy += destroyed == ADAPTQ_BUSY;
  }
  __atomic_store_n(&state.stop, 1, __ATOMIC_RELEASE);
  pthread_join(thread, NULL);
  if (destroyed == ADAPTQ_BUSY) destroyed = adaptq_matrix_destroy(matrix);
  CHECK_INT(destroyed, ADAPTQ_OK);
  CHECK(busy);
  CHECK(busy_destroy > 0);
  CHECK_ERROR(adaptq_matrix_multiply(matrix, &free_call), ADAPTQ_INVALID_HANDLE, "not a live handle");
  free(w);
  free(in);
  free(out);
  free(first);
  free(workspace);
}

// The order of destruction is free.
static void matrices_outlive_the_runtime(void) {
  adaptq_runtime *mine = NULL;
  adaptq_matrix_options o = usual();
  adaptq_matrix *matrix = NULL;
  REQUIRE_OK(adaptq_runtime_create(NULL, &mine));
  REQUIRE_OK(adaptq_matrix_create(mine, &o, &matrix));
  CHECK_STATUS(adaptq_runtime_destroy(mine), ADAPTQ_OK);
  adaptq_multiply c = call_of(ADAPTQ_LEVEL_INT8, ROWS);
  CHECK_STATUS(adaptq_matrix_multiply(matrix, &c), ADAPTQ_OK);
  CHECK_STATUS(adaptq_matrix_destroy(matrix), ADAPTQ_OK);
}

int main(void) {
  if (adaptq_runtime_create(NULL, &runtime) != ADAPTQ_OK) return 2;
  fill(weights, N * K, 1);
  fill(bias, N, 2);
  fill(x, ROWS * K, 3);
  fill(residual, ROWS * N, 4);
  RUN(products_are_right_at_every_level);
  RUN(strides_and_alignments_change_nothing);
  RUN(prepared_codes_give_the_same_bits);
  RUN(poison_stays_in_its_row);
  RUN(host_floating_point_state_does_not_matter);
  RUN(info_says_what_is_there);
  RUN(wrong_creations_are_refused);
  RUN(wrong_multiplications_are_refused);
  RUN(interleaved_rows_are_allowed);
  RUN(files_keep_matrices);
  RUN(second_call_is_busy_unless_it_has_a_workspace);
  RUN(matrices_outlive_the_runtime);
  adaptq_runtime_destroy(runtime);
  return check_end();
}
