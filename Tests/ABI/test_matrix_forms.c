// Matrices whose scales, groups and activations differ from the usual: products, files, codes made elsewhere, wrong use.
#define _GNU_SOURCE
#include <math.h>
#include <stddef.h>
#include <unistd.h>

#include "check.h"

enum { N = 37, K = 200, GROUPS = 4, ROWS = 10 };

static float weights[N * K], x[ROWS * K], y[ROWS * N], again[ROWS * N];
static int8_t codes[ROWS * K];
static float scales[ROWS * GROUPS];
static adaptq_runtime *runtime;

typedef struct form {
  int32_t group_size, scale_kind, activation_scales;
} form;

static const form forms[] = {
    {64, ADAPTQ_SCALES_MINIMUM, ADAPTQ_ACTIVATION_SCALES_ROW},
    {128, ADAPTQ_SCALES_MINIMUM, ADAPTQ_ACTIVATION_SCALES_GROUP},
    {128, ADAPTQ_SCALES_MINIMUM, ADAPTQ_ACTIVATION_SCALES_ROW},
    {ADAPTQ_GROUP_ALL, ADAPTQ_SCALES_MINIMUM, ADAPTQ_ACTIVATION_SCALES_GROUP},
    {ADAPTQ_GROUP_ALL, ADAPTQ_SCALES_MINIMUM, ADAPTQ_ACTIVATION_SCALES_ROW},
    {64, ADAPTQ_SCALES_SYMMETRIC, ADAPTQ_ACTIVATION_SCALES_GROUP},
    {128, ADAPTQ_SCALES_SYMMETRIC, ADAPTQ_ACTIVATION_SCALES_ROW},
    {ADAPTQ_GROUP_ALL, ADAPTQ_SCALES_OUTPUT, ADAPTQ_ACTIVATION_SCALES_GROUP},
    {ADAPTQ_GROUP_ALL, ADAPTQ_SCALES_OUTPUT, ADAPTQ_ACTIVATION_SCALES_ROW},
};
enum { FORMS = sizeof forms / sizeof *forms };

static adaptq_matrix_options of_form(form f) {
  adaptq_matrix_options o = {.struct_size = sizeof o, .name = "layer", .n = N, .k = K, .weights = weights};
  o.group_size = f.group_size;
  o.scale_kind = f.scale_kind;
  o.activation_scales = f.activation_scales;
  return o;
}

static void multiply(adaptq_matrix *matrix, adaptq_level level, float *out) {
  adaptq_multiply c = {.struct_size = sizeof c, .level = level, .rows = ROWS, .x = x, .y = out};
  CHECK_STATUS(adaptq_matrix_multiply(matrix, &c), ADAPTQ_OK);
}

// INT8 is near the product of the floats; every level gives the same bits from codes made beforehand and from a file.
static void every_form_multiplies(void) {
  static const adaptq_level levels[4] = {ADAPTQ_LEVEL_INT8, ADAPTQ_LEVEL_INT6, ADAPTQ_LEVEL_INT4, ADAPTQ_LEVEL_INT2};
  for (int f = 0; f < FORMS; f++) {
    adaptq_matrix_options o = of_form(forms[f]);
    adaptq_matrix *matrix = NULL, *read = NULL;
    CHECK_STATUS(adaptq_matrix_create(runtime, &o, &matrix), ADAPTQ_OK);
    adaptq_matrix_info info = {.struct_size = sizeof info};
    CHECK_STATUS(adaptq_matrix_get_info(matrix, &info), ADAPTQ_OK);
    CHECK_INT(info.group_size, forms[f].group_size);
    CHECK_INT(info.scale_kind, forms[f].scale_kind);
    CHECK_INT(info.activation_scales, forms[f].activation_scales);
    multiply(matrix, ADAPTQ_LEVEL_INT8, y);
    for (int r = 0; r < ROWS; r++) {
      for (int i = 0; i < N; i++) {
        double sum = 0;
        for (int j = 0; j < K; j++) sum += (double)x[r * K + j] * weights[i * K + j];
        if (!(fabs(y[r * N + i] - sum) <= 0.2))
          check_fail(__FILE__, __LINE__, "form %d row %d output %d: %g, expected %g", f, r, i, (double)y[r * N + i], sum);
      }
    }
    char path[] = "/tmp/adaptq-forms-XXXXXX";
    int descriptor = mkstemp(path);
    CHECK(descriptor >= 0);
    close(descriptor);
    CHECK_STATUS(adaptq_matrix_save(&matrix, 1, path), ADAPTQ_OK);
    adaptq_matrix_file *file = NULL;
    CHECK_STATUS(adaptq_matrix_file_open(runtime, path, &file), ADAPTQ_OK);
    CHECK_STATUS(adaptq_matrix_open(file, "layer", NULL, &read), ADAPTQ_OK);
    CHECK_STATUS(adaptq_matrix_file_destroy(file), ADAPTQ_OK);
    unlink(path);
    CHECK_STATUS(adaptq_matrix_quantize(matrix, ROWS, x, 0, codes, 0, scales, 0), ADAPTQ_OK);
    for (int l = 0; l < 4; l++) {
      multiply(matrix, levels[l], y);
      multiply(read, levels[l], again);
      CHECK(memcmp(y, again, sizeof y) == 0);
      adaptq_multiply c = {.struct_size = sizeof c, .level = levels[l], .rows = ROWS, .codes = codes, .scales = scales};
      c.y = again;
      CHECK_STATUS(adaptq_matrix_multiply(matrix, &c), ADAPTQ_OK);
      CHECK(memcmp(y, again, sizeof y) == 0);
    }
    CHECK_STATUS(adaptq_matrix_destroy(matrix), ADAPTQ_OK);
    CHECK_STATUS(adaptq_matrix_destroy(read), ADAPTQ_OK);
  }
}

// With one input of 1 and the others 0 a product is 127 codes of 1 / 127: the weight itself.
static void foreign_codes_are_exact(void) {
  static uint8_t bytes[N * K];
  static float steps[N];
  static int32_t zeros[N];
  uint64_t seed = 5;
  for (int i = 0; i < N * K; i++) bytes[i] = (uint8_t)(check_random(&seed) >> 33);
  for (int is_signed = 0; is_signed < 2; is_signed++) {
    for (int i = 0; i < N; i++) {
      steps[i] = 0x1p-9f * (float)(1 + i % 5);
      zeros[i] = (int32_t)(check_random(&seed) >> 40) % 256 - (is_signed ? 128 : 0);
    }
    for (int32_t per_row = 0; per_row < 2; per_row++) {
      adaptq_matrix_options o = {.struct_size = sizeof o, .n = N, .k = K, .weights = bytes};
      o.weight_type = is_signed ? ADAPTQ_WEIGHTS_INT8 : ADAPTQ_WEIGHTS_UINT8;
      o.weight_scales = steps;
      o.zero_points = zeros;
      o.activation_scales = per_row;
      adaptq_matrix *matrix = NULL;
      CHECK_STATUS(adaptq_matrix_create(runtime, &o, &matrix), ADAPTQ_OK);
      for (int j = 0; j < K; j += 7) {
        float one[K] = {0}, out[N];
        one[j] = 1;
        adaptq_multiply c = {.struct_size = sizeof c, .level = ADAPTQ_LEVEL_INT8, .rows = 1, .x = one, .y = out};
        CHECK_STATUS(adaptq_matrix_multiply(matrix, &c), ADAPTQ_OK);
        for (int i = 0; i < N; i++) {
          int code = is_signed ? (int8_t)bytes[i * K + j] : bytes[i * K + j];
          double expected = (double)steps[i] * (code - zeros[i]);
          if (!(fabs(out[i] - expected) <= fabs(steps[i]) * 1e-4 * 256))
            check_fail(__FILE__, __LINE__, "input %d output %d: %g, expected %g", j, i, (double)out[i], expected);
        }
      }
      CHECK_STATUS(adaptq_matrix_destroy(matrix), ADAPTQ_OK);
    }
  }
}

#define REFUSES(status, part, change) \
  do { \
    adaptq_matrix_options o = of_form(forms[0]); \
    change; \
    adaptq_matrix *made = (adaptq_matrix *)&o; \
    CHECK_ERROR(adaptq_matrix_create(runtime, &o, &made), status, part); \
    CHECK(made == NULL); \
  } while (0)

static void wrong_forms_are_refused(void) {
  static const float steps[N] = {1};
  static const int32_t zeros[N] = {0};
  static float bad[N];
  static int32_t far[N];
  REFUSES(ADAPTQ_INVALID_ARGUMENT, "scale_kind is 3", o.scale_kind = 3);
  REFUSES(ADAPTQ_INVALID_ARGUMENT, "scale_kind is -1", o.scale_kind = -1);
  REFUSES(ADAPTQ_INVALID_ARGUMENT, "activation_scales is 2", o.activation_scales = 2);
  REFUSES(ADAPTQ_UNSUPPORTED, "group size: 32", o.group_size = 32);
  REFUSES(ADAPTQ_UNSUPPORTED, "group size: 64, scales per output", o.scale_kind = ADAPTQ_SCALES_OUTPUT);
  REFUSES(ADAPTQ_INVALID_ARGUMENT, "weight_scales is NULL", (o.weight_type = ADAPTQ_WEIGHTS_INT8, o.group_size = 0));
  REFUSES(ADAPTQ_INVALID_ARGUMENT, "are for weights that are codes", (o.weight_scales = steps, o.group_size = 0));
  REFUSES(ADAPTQ_INVALID_ARGUMENT, "are for weights that are codes", o.zero_points = zeros);
  REFUSES(ADAPTQ_INVALID_ARGUMENT, "scale_kind is 1",
          (o.weight_type = ADAPTQ_WEIGHTS_UINT8, o.weight_scales = steps, o.scale_kind = ADAPTQ_SCALES_SYMMETRIC));
  REFUSES(ADAPTQ_INVALID_ARGUMENT, "keep is not 0",
          (o.weight_type = ADAPTQ_WEIGHTS_UINT8, o.weight_scales = steps, o.group_size = 0, o.keep = ADAPTQ_ALLOW_FP16));
  for (int i = 0; i < 4; i++) {
    static const float poison[4] = {NAN, INFINITY, -1, 1e-40f};
    bad[5] = poison[i];
    REFUSES(ADAPTQ_INVALID_ARGUMENT, "weight_scales: element 5",
            (o.weight_type = ADAPTQ_WEIGHTS_INT8, o.weight_scales = bad, o.group_size = 0));
  }
  far[7] = 128;
  REFUSES(ADAPTQ_INVALID_ARGUMENT, "zero_points: element 7 is 128",
          (o.weight_type = ADAPTQ_WEIGHTS_INT8, o.weight_scales = steps, o.zero_points = far, o.group_size = 0));
  // A caller that was compiled before these fields were there.
  adaptq_matrix_options old = {.struct_size = offsetof(adaptq_matrix_options, scale_kind), .n = N, .k = K};
  old.weights = weights;
  adaptq_matrix *matrix = NULL;
  CHECK_STATUS(adaptq_matrix_create(runtime, &old, &matrix), ADAPTQ_OK);
  adaptq_matrix_info info = {.struct_size = offsetof(adaptq_matrix_info, scale_kind), .scale_kind = 77};
  CHECK_STATUS(adaptq_matrix_get_info(matrix, &info), ADAPTQ_OK);
  CHECK_INT(info.scale_kind, 77);
  CHECK_STATUS(adaptq_matrix_destroy(matrix), ADAPTQ_OK);
}

// Kernels read one scale per row, so codes with others are refused, at levels that read codes.
static void rows_have_one_scale(void) {
  adaptq_matrix_options o = of_form(forms[2]);
  o.keep = ADAPTQ_ALLOW_FP32;
  adaptq_matrix *matrix = NULL;
  CHECK_STATUS(adaptq_matrix_create(runtime, &o, &matrix), ADAPTQ_OK);
  CHECK_STATUS(adaptq_matrix_quantize(matrix, ROWS, x, 0, codes, 0, scales, 0), ADAPTQ_OK);
  for (int r = 0; r < ROWS; r++) for (int g = 1; g < GROUPS; g++) CHECK(scales[r * GROUPS + g] == scales[r * GROUPS]);
  scales[3 * GROUPS + 2] *= 2;
  adaptq_multiply c = {.struct_size = sizeof c, .level = ADAPTQ_LEVEL_INT6, .rows = ROWS, .codes = codes, .scales = scales, .y = y};
  canary_fill(y, sizeof y);
  CHECK_ERROR(adaptq_matrix_multiply(matrix, &c), ADAPTQ_INVALID_ARGUMENT, "row 3 has another scale in group 2");
  CHECK(canary_intact(y, sizeof y));
  c.level = ADAPTQ_LEVEL_FP32;
  CHECK_STATUS(adaptq_matrix_multiply(matrix, &c), ADAPTQ_OK);
  CHECK_STATUS(adaptq_matrix_destroy(matrix), ADAPTQ_OK);
}

int main(void) {
  if (adaptq_runtime_create(NULL, &runtime) != ADAPTQ_OK) return 2;
  uint64_t seed = 1;
  for (int i = 0; i < N * K; i++) weights[i] = (float)((double)(check_random(&seed) >> 40) / 8388608.0 - 1.0);
  for (int i = 0; i < ROWS * K; i++) x[i] = (float)((double)(check_random(&seed) >> 40) / 8388608.0 - 1.0);
  RUN(every_form_multiplies);
  RUN(foreign_codes_are_exact);
  RUN(wrong_forms_are_refused);
  RUN(rows_have_one_scale);
  adaptq_runtime_destroy(runtime);
  return check_end();
}
