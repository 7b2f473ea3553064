// Wrong uses of matrices.
#ifndef ADAPTQ_WRONG_USE_MATRIX_H
#define ADAPTQ_WRONG_USE_MATRIX_H

#include "machinery.h"
#include "matrix_helpers.h"
#include "model.h"

#define MATRIX_OUT ((adaptq_matrix **)&out.handle)
#define CREATE_WRONG(use, status, part, setup) \
  WRONG(adaptq_matrix_create, use, status, part, setup, adaptq_matrix_create(w.runtime, &in.matrix, MATRIX_OUT))

static float bad_weights[N * K];
static const float *weights_with(float value, int at) {
  memcpy(bad_weights, weights, sizeof weights);
  bad_weights[at] = value;
  return bad_weights;
}

static void matrix_create(void) {
  WRONG_HANDLES(adaptq_matrix_create, adaptq_runtime, w.dead_runtime,
                adaptq_matrix_create(in.handle, &in.matrix, MATRIX_OUT));
  WRONG(adaptq_matrix_create, "options NULL", ADAPTQ_INVALID_ARGUMENT, "options is NULL", (void)0,
        adaptq_matrix_create(w.runtime, NULL, MATRIX_OUT));
  WRONG(adaptq_matrix_create, "out NULL", ADAPTQ_INVALID_ARGUMENT, "out is NULL", (void)0,
        adaptq_matrix_create(w.runtime, &in.matrix, NULL));
  WRONG_STRUCT_SIZES(adaptq_matrix_create, adaptq_matrix_options, in.matrix.struct_size,
                     adaptq_matrix_create(w.runtime, &in.matrix, MATRIX_OUT));
  CREATE_WRONG("weights NULL", ADAPTQ_INVALID_ARGUMENT, "adaptq_matrix_options.weights is NULL", in.matrix.weights = NULL);
  CREATE_WRONG("n 0", ADAPTQ_OUT_OF_RANGE, "adaptq_matrix_options.n is 0; expected 1 to 2147483648", in.matrix.n = 0);
  CREATE_WRONG("n negative", ADAPTQ_OUT_OF_RANGE, "adaptq_matrix_options.n is -1", in.matrix.n = -1);
  CREATE_WRONG("n huge", ADAPTQ_OUT_OF_RANGE, "adaptq_matrix_options.n is 9223372036854775807", in.matrix.n = INT64_MAX);
  CREATE_WRONG("k 0", ADAPTQ_OUT_OF_RANGE, "adaptq_matrix_options.k is 0; expected 1 to 16777216", in.matrix.k = 0);
  CREATE_WRONG("k huge", ADAPTQ_OUT_OF_RANGE, "adaptq_matrix_options.k is 9223372036854775807", in.matrix.k = INT64_MAX);
  CREATE_WRONG("n and k that no memory holds", ADAPTQ_OUT_OF_MEMORY, "no memory for",
               in.matrix.n = (in.matrix.k = 1 << 24, INT64_C(1) << 31));
  CREATE_WRONG("row_stride negative", ADAPTQ_INVALID_ARGUMENT, "row_stride is -1", in.matrix.row_stride = -1);
  CREATE_WRONG("column_stride negative", ADAPTQ_INVALID_ARGUMENT, "column_stride is -1", in.matrix.column_stride = -1);
  CREATE_WRONG("row_stride whose product overflows", ADAPTQ_OUT_OF_RANGE, "row_stride", in.matrix.row_stride = INT64_MAX);
  CREATE_WRONG("column_stride whose product overflows", ADAPTQ_OUT_OF_RANGE, "column_stride",
               in.matrix.column_stride = INT64_MAX / 2);
  CREATE_WRONG("strides with which two weights share an element", ADAPTQ_INVALID_ARGUMENT, "would share",
               in.matrix.row_stride = 1);
  CREATE_WRONG("weight NaN", ADAPTQ_INVALID_ARGUMENT, "row 2", in.matrix.weights = weights_with(NAN, 2 * K + 5));
  CREATE_WRONG("weight infinite", ADAPTQ_INVALID_ARGUMENT, "row 39", in.matrix.weights = weights_with(INFINITY, N * K - 1));
  CREATE_WRONG("weight minus infinite", ADAPTQ_INVALID_ARGUMENT, "row 0", in.matrix.weights = weights_with(-INFINITY, 0));
  CREATE_WRONG("weight above FP16 with ADAPTQ_ALLOW_FP16 in keep", ADAPTQ_OUT_OF_RANGE, "row 0",
               in.matrix.weights = weights_with(1e6f, 3));
  CREATE_WRONG("bias NaN", ADAPTQ_INVALID_ARGUMENT, "bias: element 0 is nan", in.matrix.bias = weights_with(NAN, 0));
  CREATE_WRONG("bias infinite", ADAPTQ_INVALID_ARGUMENT, "bias: element 39 is inf",
               in.matrix.bias = weights_with(INFINITY, 39));
  CREATE_WRONG("weight_type unknown", ADAPTQ_INVALID_ARGUMENT, "adaptq_matrix_options.weight_type is 6; expected 0 to 5",
               in.matrix.weight_type = 6);
  CREATE_WRONG("codes without weight_scales", ADAPTQ_INVALID_ARGUMENT, "weight_scales is NULL",
               in.matrix.weight_type = ADAPTQ_WEIGHTS_UINT8);
  CREATE_WRONG("weight_scales with floats", ADAPTQ_INVALID_ARGUMENT, "are for weights that are codes",
               in.matrix.weight_scales = weights_with(1, 0));
  CREATE_WRONG("weight_scales negative", ADAPTQ_INVALID_ARGUMENT, "weight_scales: element",
               (in.matrix.weight_type = ADAPTQ_WEIGHTS_INT8, in.matrix.keep = 0,
                in.matrix.weight_scales = weights_with(-1, 3)));
  CREATE_WRONG("scale_kind unknown", ADAPTQ_INVALID_ARGUMENT, "adaptq_matrix_options.scale_kind is 3; expected 0 to 2",
               in.matrix.scale_kind = 3);
  CREATE_WRONG("scales per output in groups of 64", ADAPTQ_UNSUPPORTED, "group size: 64",
               (in.matrix.scale_kind = ADAPTQ_SCALES_OUTPUT, in.matrix.group_size = 64));
  CREATE_WRONG("activation_scales unknown", ADAPTQ_INVALID_ARGUMENT,
               "adaptq_matrix_options.activation_scales is -1; expected 0 to 1", in.matrix.activation_scales = -1);
  CREATE_WRONG("group_size negative", ADAPTQ_INVALID_ARGUMENT, "adaptq_matrix_options.group_size is -64",
               in.matrix.group_size = -64);
  CREATE_WRONG("group_size 32", ADAPTQ_UNSUPPORTED, "group", in.matrix.group_size = 32);
  CREATE_WRONG("keep with an integer level", ADAPTQ_INVALID_ARGUMENT, "adaptq_matrix_options.keep is 8",
               in.matrix.keep = ADAPTQ_ALLOW_INT8);
  CREATE_WRONG("expand unknown", ADAPTQ_INVALID_ARGUMENT, "adaptq_matrix_options.expand is 3; expected 0 to 2",
               in.matrix.expand = 3);
  CREATE_WRONG("max_rows negative", ADAPTQ_OUT_OF_RANGE, "adaptq_matrix_options.max_rows is -1", in.matrix.max_rows = -1);
  CREATE_WRONG("max_rows huge", ADAPTQ_OUT_OF_RANGE, "adaptq_matrix_options.max_rows is 9223372036854775807",
               in.matrix.max_rows = INT64_MAX);
  CREATE_WRONG("name not UTF-8", ADAPTQ_INVALID_ARGUMENT, "adaptq_matrix_options.name is not UTF-8", in.matrix.name = "\xff");
  HARMLESS(adaptq_matrix_create, "weights at an odd address", "read as at an even one", (void)0, create_odd());
}

// A second thread that multiplies without a workspace of its own, again and again.
static _Atomic int multiply_stop;
static void *multiply_forever(void *matrix) {
  static float x[16 * 1024], y[16 * 1024];
  adaptq_multiply call = {.struct_size = sizeof call, .level = ADAPTQ_LEVEL_INT8, .rows = 16, .x = x, .y = y};
  while (!multiply_stop) adaptq_matrix_multiply(matrix, &call);
  return NULL;
}
// What `call` answers while another thread multiplies: tried until it is ADAPTQ_BUSY. A matrix that was destroyed between two
// multiplications is made anew.
static adaptq_status while_multiplying(adaptq_status (*call)(adaptq_matrix *)) {
  static float big[1024 * 1024];
  adaptq_matrix_options options = {.struct_size = sizeof options, .n = 1024, .k = 1024, .weights = big, .max_rows = 16};
  adaptq_status status = ADAPTQ_OK;
  for (int attempt = 0; attempt < 50 && status != ADAPTQ_BUSY; attempt++) {
    adaptq_matrix *matrix = NULL;
    pthread_t thread;
    if (adaptq_matrix_create(w.runtime, &options, &matrix) != ADAPTQ_OK) return ADAPTQ_INTERNAL_ERROR;
    multiply_stop = 0;
    if (pthread_create(&thread, NULL, multiply_forever, matrix) != 0) return ADAPTQ_INTERNAL_ERROR;
    for (int i = 0; i < 100000 && status != ADAPTQ_BUSY && status != ADAPTQ_INVALID_HANDLE; i++) {
      // A call that fails in any case says whether a multiplication is in progress.
      adaptq_multiply probe = {.struct_size = sizeof probe};
      if (adaptq_matrix_multiply(matrix, &probe) == ADAPTQ_BUSY) status = call(matrix);
      else sched_yield();
    }
    multiply_stop = 1;
    char text[256];
    snprintf(text, sizeof text, "%s", adaptq_last_error());
    pthread_join(thread, NULL);
    adaptq_matrix_destroy(matrix);
  }
  return status;
}
static adaptq_status multiply_small(adaptq_matrix *matrix) {
  adaptq_multiply call = {.struct_size = sizeof call, .level = ADAPTQ_LEVEL_INT8, .rows = 1, .x = weights, .y = out.y};
  call.no_bias = 2;
  return adaptq_matrix_multiply(matrix, &call);
}
static adaptq_status destroy_it(adaptq_matrix *matrix) {
  adaptq_status status = adaptq_matrix_destroy(matrix);
  return status;
}

static void matrix_destroy(void) {
  HARMLESS(adaptq_matrix_destroy, "NULL", "does nothing", (void)0, adaptq_matrix_destroy(NULL));
  WRONG(adaptq_matrix_destroy, "destroyed", ADAPTQ_INVALID_HANDLE, "is not a live handle", (void)0,
        adaptq_matrix_destroy(w.dead_matrix));
  WRONG(adaptq_matrix_destroy, "a handle of another kind", ADAPTQ_INVALID_HANDLE, "is not a live handle", (void)0,
        adaptq_matrix_destroy((void *)w.model));
  WRONG(adaptq_matrix_destroy, "during a multiplication without a workspace", ADAPTQ_BUSY, "", (void)0,
        while_multiplying(destroy_it));
}

static void matrix_get_info(void) {
  WRONG_HANDLES(adaptq_matrix_get_info, adaptq_matrix, w.dead_matrix, adaptq_matrix_get_info(in.handle, &out.matrix_info));
  WRONG(adaptq_matrix_get_info, "info NULL", ADAPTQ_INVALID_ARGUMENT, "info is NULL", (void)0,
        adaptq_matrix_get_info(w.matrix, NULL));
  WRONG_STRUCT_SIZES(adaptq_matrix_get_info, adaptq_matrix_info, out.matrix_info.struct_size,
                     adaptq_matrix_get_info(w.matrix, &out.matrix_info));
}

#define MULTIPLY_WRONG(use, status, part, setup) \
  WRONG(adaptq_matrix_multiply, use, status, part, setup, adaptq_matrix_multiply(w.matrix, &in.multiply))
static void matrix_multiply(void) {
  WRONG_HANDLES(adaptq_matrix_multiply, adaptq_matrix, w.dead_matrix, adaptq_matrix_multiply(in.handle, &in.multiply));
  WRONG(adaptq_matrix_multiply, "multiply NULL", ADAPTQ_INVALID_ARGUMENT, "multiply is NULL", (void)0,
        adaptq_matrix_multiply(w.matrix, NULL));
  WRONG_STRUCT_SIZES(adaptq_matrix_multiply, adaptq_multiply, in.multiply.struct_size,
                     adaptq_matrix_multiply(w.matrix, &in.multiply));
  MULTIPLY_WRONG("level 0 (AUTO)", ADAPTQ_UNSUPPORTED, "adaptq_multiply.level is AUTO; a matrix needs a level",
                 in.multiply.level = ADAPTQ_LEVEL_AUTO);
  MULTIPLY_WRONG("level unknown", ADAPTQ_INVALID_ARGUMENT, "adaptq_multiply.level is 5; expected", in.multiply.level = 5);
  MULTIPLY_WRONG("level that equals one in its low byte", ADAPTQ_INVALID_ARGUMENT, "adaptq_multiply.level is 264",
                 in.multiply.level = 264);
  WRONG(adaptq_matrix_multiply, "level that the matrix does not hold", ADAPTQ_UNSUPPORTED,
        "adaptq_multiply.level is FP32; the matrix does not hold it", in.multiply.level = ADAPTQ_LEVEL_FP32,
        adaptq_matrix_multiply(w.lean, &in.multiply));
  MULTIPLY_WRONG("activation unknown", ADAPTQ_INVALID_ARGUMENT, "adaptq_multiply.activation is 4; expected 0 to 3",
                 in.multiply.activation = 4);
  MULTIPLY_WRONG("activation negative", ADAPTQ_INVALID_ARGUMENT, "adaptq_multiply.activation is -1",
                 in.multiply.activation = -1);
  MULTIPLY_WRONG("no_bias 2", ADAPTQ_INVALID_ARGUMENT, "adaptq_multiply.no_bias is 2; expected 0 or 1",
                 in.multiply.no_bias = 2);
  MULTIPLY_WRONG("rows 0", ADAPTQ_INVALID_ARGUMENT, "adaptq_multiply.rows is 0, below 1", in.multiply.rows = 0);
  MULTIPLY_WRONG("rows negative", ADAPTQ_INVALID_ARGUMENT, "adaptq_multiply.rows is -9223372036854775808",
                 in.multiply.rows = INT64_MIN);
  MULTIPLY_WRONG("rows huge: products overflow", ADAPTQ_OUT_OF_RANGE, "span more than the address space",
                 in.multiply.rows = INT64_MAX);
  WRONG(adaptq_matrix_multiply, "rows above max_rows without a workspace", ADAPTQ_OUT_OF_RANGE,
        "adaptq_multiply.rows is 17; the matrix was made for 16", in.multiply = many_rows(),
        adaptq_matrix_multiply(w.matrix, &in.multiply));
  MULTIPLY_WRONG("y NULL", ADAPTQ_INVALID_ARGUMENT, "adaptq_multiply.y is NULL", in.multiply.y = NULL);
  MULTIPLY_WRONG("x and codes NULL", ADAPTQ_INVALID_ARGUMENT, "adaptq_multiply.x and codes are NULL", in.multiply.x = NULL);
  MULTIPLY_WRONG("x and codes both given", ADAPTQ_INVALID_ARGUMENT, "adaptq_multiply has x and codes; expected one",
                 in.multiply.codes = codes);
  MULTIPLY_WRONG("codes without scales", ADAPTQ_INVALID_ARGUMENT, "adaptq_multiply.scales is NULL",
                 in.multiply.codes = (in.multiply.x = NULL, codes));
  MULTIPLY_WRONG("x_stride below k", ADAPTQ_INVALID_ARGUMENT, "adaptq_multiply.x_stride is 99, below the 100",
                 in.multiply.x_stride = K - 1);
  MULTIPLY_WRONG("x_stride negative", ADAPTQ_INVALID_ARGUMENT, "adaptq_multiply.x_stride is -100",
                 in.multiply.x_stride = -K);
  MULTIPLY_WRONG("x_stride huge: products overflow", ADAPTQ_OUT_OF_RANGE, "adaptq_multiply.x_stride is 9223372036854775807",
                 in.multiply.x_stride = INT64_MAX);
  MULTIPLY_WRONG("y_stride below n", ADAPTQ_INVALID_ARGUMENT, "adaptq_multiply.y_stride is 39, below the 40",
                 in.multiply.y_stride = N - 1);
  MULTIPLY_WRONG("y_stride huge: products overflow", ADAPTQ_OUT_OF_RANGE, "adaptq_multiply.y_stride is 4611686018427387904",
                 in.multiply.y_stride = INT64_C(1) << 62);
  MULTIPLY_WRONG("residual_stride below n", ADAPTQ_INVALID_ARGUMENT, "adaptq_multiply.residual_stride is 1, below the 40",
                 in.multiply.residual = (in.multiply.residual_stride = 1, residual));
  WRONG(adaptq_matrix_multiply, "codes_stride below k", ADAPTQ_INVALID_ARGUMENT,
        "adaptq_multiply.codes_stride is 1, below the 100", in.multiply = coded(1, 0),
        adaptq_matrix_multiply(w.matrix, &in.multiply));
  WRONG(adaptq_matrix_multiply, "scales_stride below the groups", ADAPTQ_INVALID_ARGUMENT,
        "adaptq_multiply.scales_stride is 1, below the 2", in.multiply = coded(0, 1),
        adaptq_matrix_multiply(w.matrix, &in.multiply));
  MULTIPLY_WRONG("y overlaps x", ADAPTQ_INVALID_ARGUMENT, "y overlaps x", in.multiply.x = out.y + N * ROWS - 1);
  MULTIPLY_WRONG("y overlaps the residual", ADAPTQ_INVALID_ARGUMENT, "y overlaps residual", in.multiply.residual = out.y);
  MULTIPLY_WRONG("the workspace overlaps y", ADAPTQ_INVALID_ARGUMENT, "workspace overlaps y", big_workspace(out.y));
  MULTIPLY_WRONG("the workspace overlaps x", ADAPTQ_INVALID_ARGUMENT, "workspace overlaps x", x_in_workspace());
  MULTIPLY_WRONG("workspace_size 0", ADAPTQ_BUFFER_TOO_SMALL, "adaptq_multiply.workspace_size is 0, needs ",
                 in.multiply.workspace = workspace);
  MULTIPLY_WRONG("workspace_size above half the address space", ADAPTQ_BUFFER_TOO_SMALL,
                 "adaptq_multiply.workspace_size is 18446744073709551615",
                 in.multiply.workspace = (in.multiply.workspace_size = SIZE_MAX, workspace));
  WRONG(adaptq_matrix_multiply, "during another one without a workspace", ADAPTQ_BUSY, "", (void)0,
        while_multiplying(multiply_small));
  HARMLESS(adaptq_matrix_multiply, "x with a NaN at an integer level", "that row of y is NaN, the others are not",
           (void)0, multiply_nan());
  HARMLESS(adaptq_matrix_multiply, "x, y and multiply at odd addresses", "as at even ones", (void)0, multiply_odd());
}

static void matrix_workspace_size(void) {
  WRONG_HANDLES(adaptq_matrix_workspace_size, adaptq_matrix, w.dead_matrix,
                adaptq_matrix_workspace_size(in.handle, 1, &out.count));
  WRONG(adaptq_matrix_workspace_size, "out NULL", ADAPTQ_INVALID_ARGUMENT, "out is NULL", (void)0,
        adaptq_matrix_workspace_size(w.matrix, 1, NULL));
  WRONG(adaptq_matrix_workspace_size, "rows 0", ADAPTQ_INVALID_ARGUMENT, "rows is 0, below 1", (void)0,
        adaptq_matrix_workspace_size(w.matrix, 0, &out.count));
  WRONG(adaptq_matrix_workspace_size, "rows negative", ADAPTQ_INVALID_ARGUMENT, "rows is -1, below 1", (void)0,
        adaptq_matrix_workspace_size(w.matrix, -1, &out.count));
  WRONG(adaptq_matrix_workspace_size, "rows huge: the product overflows", ADAPTQ_OUT_OF_RANGE,
        "rows is 9223372036854775807: the workspace's size overflows", (void)0,
           adaptq_matrix_workspace_size(w.matrix, INT64_MAX, &out.count));
}

#define QUANTIZE(rows, x, xs, codes, cs, scales, ss) adaptq_matrix_quantize(w.matrix, rows, x, xs, codes, cs, scales, ss)
#define QUANTIZE_WRONG(use, status, part, ...) WRONG(adaptq_matrix_quantize, use, status, part, (void)0, QUANTIZE(__VA_ARGS__))
static void matrix_quantize(void) {
  WRONG_HANDLES(adaptq_matrix_quantize, adaptq_matrix, w.dead_matrix,
                adaptq_matrix_quantize(in.handle, ROWS, rows_x, 0, out.codes, 0, out.scales, 0));
  QUANTIZE_WRONG("x NULL", ADAPTQ_INVALID_ARGUMENT, "x is NULL", ROWS, NULL, 0, out.codes, 0, out.scales, 0);
  QUANTIZE_WRONG("codes NULL", ADAPTQ_INVALID_ARGUMENT, "codes is NULL", ROWS, rows_x, 0, NULL, 0, out.scales, 0);
  QUANTIZE_WRONG("scales NULL", ADAPTQ_INVALID_ARGUMENT, "scales is NULL", ROWS, rows_x, 0, out.codes, 0, NULL, 0);
  QUANTIZE_WRONG("rows 0", ADAPTQ_INVALID_ARGUMENT, "rows is 0, below 1", 0, rows_x, 0, out.codes, 0, out.scales, 0);
  QUANTIZE_WRONG("rows huge: products overflow", ADAPTQ_OUT_OF_RANGE, "x_stride is 100", INT64_MAX, rows_x, 0, out.codes, 0,
                 out.scales, 0);
  QUANTIZE_WRONG("x_stride below k", ADAPTQ_INVALID_ARGUMENT, "x_stride is 99, below the 100", ROWS, rows_x, K - 1,
                 out.codes, 0, out.scales, 0);
  QUANTIZE_WRONG("codes_stride negative", ADAPTQ_INVALID_ARGUMENT, "codes_stride is -1", ROWS, rows_x, 0, out.codes, -1,
                 out.scales, 0);
  QUANTIZE_WRONG("scales_stride huge: products overflow", ADAPTQ_OUT_OF_RANGE, "scales_stride is 9223372036854775807", ROWS,
                 rows_x, 0, out.codes, 0, out.scales, INT64_MAX);
  QUANTIZE_WRONG("codes_stride huge: more than any process has", ADAPTQ_OUT_OF_RANGE,
                 "codes_stride is 4611686018427387904: 2 rows span more than the address space", 2, rows_x, 0, out.codes,
                 INT64_C(1) << 62, out.scales, 0);
  QUANTIZE_WRONG("codes overlap x", ADAPTQ_INVALID_ARGUMENT, "codes overlaps x", ROWS, rows_x, 0, (int8_t *)rows_x + 7, 0,
                 out.scales, 0);
  QUANTIZE_WRONG("scales overlap x", ADAPTQ_INVALID_ARGUMENT, "scales overlaps x", ROWS, rows_x, 0, out.codes, 0, rows_x, 0);
  QUANTIZE_WRONG("scales overlap codes", ADAPTQ_INVALID_ARGUMENT, "scales overlaps codes", ROWS, rows_x, 0, out.codes, 0,
                 (float *)(void *)out.codes, 0);
}

static void matrix_save(void) {
  WRONG(adaptq_matrix_save, "matrices NULL", ADAPTQ_INVALID_ARGUMENT, "matrices is NULL", (void)0,
        adaptq_matrix_save(NULL, 2, saved_path()));
  WRONG(adaptq_matrix_save, "path NULL", ADAPTQ_INVALID_ARGUMENT, "path is NULL", (void)0,
        adaptq_matrix_save(in.matrices, 2, NULL));
  WRONG(adaptq_matrix_save, "count 0", ADAPTQ_INVALID_ARGUMENT, "count is 0; expected 1 to 1048576", (void)0,
        adaptq_matrix_save(in.matrices, 0, saved_path()));
  WRONG(adaptq_matrix_save, "count huge", ADAPTQ_INVALID_ARGUMENT, "count is 18446744073709551615", (void)0,
        adaptq_matrix_save(in.matrices, SIZE_MAX, saved_path()));
  WRONG(adaptq_matrix_save, "a matrix NULL", ADAPTQ_INVALID_HANDLE, "adaptq_matrix NULL is not a live handle",
        in.matrices[1] = NULL, adaptq_matrix_save(in.matrices, 2, saved_path()));
  WRONG(adaptq_matrix_save, "a matrix destroyed", ADAPTQ_INVALID_HANDLE, "is not a live handle",
        in.matrices[1] = w.dead_matrix, adaptq_matrix_save(in.matrices, 2, saved_path()));
  WRONG(adaptq_matrix_save, "one matrix twice", ADAPTQ_INVALID_ARGUMENT, "appears twice", in.matrices[1] = w.matrix,
        adaptq_matrix_save(in.matrices, 2, saved_path()));
  WRONG(adaptq_matrix_save, "path not UTF-8", ADAPTQ_INVALID_ARGUMENT, "path is not UTF-8", (void)0,
        adaptq_matrix_save(in.matrices, 2, "\xff"));
  WRONG(adaptq_matrix_save, "no such folder", ADAPTQ_NOT_FOUND, "/no/such/folder", (void)0,
        adaptq_matrix_save(in.matrices, 2, "/no/such/folder/x"));
  WRONG(adaptq_matrix_save, "path empty", ADAPTQ_NOT_FOUND, "", (void)0, adaptq_matrix_save(in.matrices, 2, ""));
}

#define FILE_OUT ((adaptq_matrix_file **)&out.handle)
static void matrix_files(void) {
  WRONG_HANDLES(adaptq_matrix_file_open, adaptq_runtime, w.dead_runtime,
                adaptq_matrix_file_open(in.handle, in.path, FILE_OUT));
  WRONG(adaptq_matrix_file_open, "path NULL", ADAPTQ_INVALID_ARGUMENT, "path is NULL", (void)0,
        adaptq_matrix_file_open(w.runtime, NULL, FILE_OUT));
  WRONG(adaptq_matrix_file_open, "out NULL", ADAPTQ_INVALID_ARGUMENT, "out is NULL", (void)0,
        adaptq_matrix_file_open(w.runtime, in.path, NULL));
  WRONG(adaptq_matrix_file_open, "no such file", ADAPTQ_NOT_FOUND, "No such file or directory", (void)0,
        adaptq_matrix_file_open(w.runtime, "/no/such/file", FILE_OUT));
  WRONG(adaptq_matrix_file_open, "the file of a model", ADAPTQ_UNSUPPORTED, "holds a model, not matrices", (void)0,
        adaptq_matrix_file_open(w.runtime, in.path, FILE_OUT));
  WRONG_HANDLES(adaptq_matrix_file_open_memory, adaptq_runtime, w.dead_runtime,
                adaptq_matrix_file_open_memory(in.handle, small_file, small_size, FILE_OUT));
  WRONG(adaptq_matrix_file_open_memory, "data NULL", ADAPTQ_INVALID_ARGUMENT, "data is NULL", (void)0,
        adaptq_matrix_file_open_memory(w.runtime, NULL, 100, FILE_OUT));
  WRONG(adaptq_matrix_file_open_memory, "out NULL", ADAPTQ_INVALID_ARGUMENT, "out is NULL", (void)0,
        adaptq_matrix_file_open_memory(w.runtime, small_file, small_size, NULL));
  WRONG(adaptq_matrix_file_open_memory, "size 0", ADAPTQ_INVALID_FILE, "matrices in memory", (void)0,
        adaptq_matrix_file_open_memory(w.runtime, small_file, 0, FILE_OUT));
  WRONG(adaptq_matrix_file_open_memory, "size huge", ADAPTQ_OUT_OF_RANGE, "size: 18446744073709551615", (void)0,
        adaptq_matrix_file_open_memory(w.runtime, small_file, SIZE_MAX, FILE_OUT));
  WRONG(adaptq_matrix_file_open_memory, "the file of a model", ADAPTQ_UNSUPPORTED, "holds a model, not matrices", (void)0,
        adaptq_matrix_file_open_memory(w.runtime, small_file, small_size, FILE_OUT));
  HARMLESS(adaptq_matrix_file_destroy, "NULL", "does nothing", (void)0, adaptq_matrix_file_destroy(NULL));
  WRONG(adaptq_matrix_file_destroy, "destroyed", ADAPTQ_INVALID_HANDLE, "is not a live handle", (void)0,
        adaptq_matrix_file_destroy(w.dead_file));
  COUNT_USES(adaptq_matrix_file_count, adaptq_matrix_file, w.dead_file, w.file, out.count);
  WRONG_HANDLES(adaptq_matrix_file_name, adaptq_matrix_file, w.dead_file,
                adaptq_matrix_file_name(in.handle, 0, &out.text));
  WRONG(adaptq_matrix_file_name, "out NULL", ADAPTQ_INVALID_ARGUMENT, "out is NULL", (void)0,
        adaptq_matrix_file_name(w.file, 0, NULL));
  WRONG(adaptq_matrix_file_name, "index behind the last one", ADAPTQ_OUT_OF_RANGE, "index 2: the file has 2 matrices",
        (void)0, adaptq_matrix_file_name(w.file, 2, &out.text));
  WRONG(adaptq_matrix_file_name, "index huge", ADAPTQ_OUT_OF_RANGE, "index 18446744073709551615", (void)0,
        adaptq_matrix_file_name(w.file, SIZE_MAX, &out.text));
  WRONG_HANDLES(adaptq_matrix_open, adaptq_matrix_file, w.dead_file,
                adaptq_matrix_open(in.handle, "lean", &in.open, MATRIX_OUT));
  WRONG(adaptq_matrix_open, "name NULL", ADAPTQ_INVALID_ARGUMENT, "name is NULL", (void)0,
        adaptq_matrix_open(w.file, NULL, &in.open, MATRIX_OUT));
  WRONG(adaptq_matrix_open, "out NULL", ADAPTQ_INVALID_ARGUMENT, "out is NULL", (void)0,
        adaptq_matrix_open(w.file, "lean", &in.open, NULL));
  WRONG(adaptq_matrix_open, "name not UTF-8", ADAPTQ_INVALID_ARGUMENT, "name is not UTF-8", (void)0,
        adaptq_matrix_open(w.file, "\xff", &in.open, MATRIX_OUT));
  WRONG(adaptq_matrix_open, "no matrix of that name", ADAPTQ_NOT_FOUND, "name \"fat\": the file has no such matrix",
        (void)0, adaptq_matrix_open(w.file, "fat", &in.open, MATRIX_OUT));
  WRONG_STRUCT_SIZES(adaptq_matrix_open, adaptq_matrix_open_options, in.open.struct_size,
                     adaptq_matrix_open(w.file, "lean", &in.open, MATRIX_OUT));
  WRONG(adaptq_matrix_open, "expand unknown", ADAPTQ_INVALID_ARGUMENT, "adaptq_matrix_open_options.expand is -1",
        in.open.expand = -1, adaptq_matrix_open(w.file, "lean", &in.open, MATRIX_OUT));
  WRONG(adaptq_matrix_open, "max_rows huge", ADAPTQ_OUT_OF_RANGE, "adaptq_matrix_open_options.max_rows is",
        in.open.max_rows = INT64_MAX, adaptq_matrix_open(w.file, "lean", &in.open, MATRIX_OUT));
}

#endif
