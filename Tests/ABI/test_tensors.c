// Tensors that are not as the model has them: strides, other element types, buffers that are too small.
#define _GNU_SOURCE
#include <math.h>

#include "fixture.h"

enum { BATCH = 2, LENGTH = 6 };

static uint32_t best(const fixture *f) { return fixture_allow[fixture_best_level(f->levels)]; }

// The model of these tests reads int64 matrices and writes float32.
#define OPEN_PLAIN(f, t, session) \
  OPEN_FIXTURE(f); \
  tensors t; \
  adaptq_session *session = fixture_session(&f, &t, best(&f), BATCH, LENGTH); \
  REQUIRE(session != NULL); \
  for (size_t plain = 0; plain < f.n_inputs; plain++) \
    REQUIRE(t.inputs[plain].type == ADAPTQ_TYPE_INT64 && t.inputs[plain].rank == 2); \
  REQUIRE(f.n_outputs == 1 && t.outputs[0].type == ADAPTQ_TYPE_FLOAT32 && t.outputs[0].rank == 2); \
  REQUIRE_OK(fixture_run(&f, session, &t, NULL, NULL)); \
  size_t size = t.outputs[0].data_size; \
  float *expected = (float *)malloc(size); \
  REQUIRE(expected != NULL); \
  memcpy(expected, t.outputs[0].data, size); \
  canary_fill(t.outputs[0].data, size)

#define CLOSE_PLAIN(f, t, session) \
  do { \
    free(expected); \
    CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK); \
    tensors_free(&f, &t); \
    fixture_close(&f); \
  } while (0)

static size_t element_size(adaptq_type type) {
  return type == ADAPTQ_TYPE_INT64 ? 8 : type == ADAPTQ_TYPE_INT32 || type == ADAPTQ_TYPE_FLOAT32 ? 4 :
         type == ADAPTQ_TYPE_FLOAT16 ? 2 : 1;
}

static void store_integer(char *at, adaptq_type type, int64_t value) {
  int32_t small = (int32_t)value;
  if (type == ADAPTQ_TYPE_INT64) memcpy(at, &value, 8);
  else if (type == ADAPTQ_TYPE_INT32) memcpy(at, &small, 4);
  else *at = (char)value;
}

// Input `from` again as `type`, element (i, j) at i * rows + j * columns, in memory of exactly that size.
static adaptq_tensor laid_out(const adaptq_tensor *from, adaptq_type type, int64_t rows, int64_t columns) {
  adaptq_tensor to = *from;
  size_t width = element_size(type);
  to.type = type;
  to.strides[0] = rows;
  to.strides[1] = columns;
  to.data_size = (size_t)((to.sizes[0] - 1) * rows + (to.sizes[1] - 1) * columns + 1) * width;
  to.data = malloc(to.data_size);
  canary_fill(to.data, to.data_size);
  for (int64_t i = 0; i < to.sizes[0]; i++)
    for (int64_t j = 0; j < to.sizes[1]; j++)
      store_integer((char *)to.data + (size_t)(i * rows + j * columns) * width, type,
                    ((const int64_t *)from->data)[i * to.sizes[1] + j]);
  return to;
}

static void inputs_of_other_types_and_strides(void) {
  OPEN_PLAIN(f, t, session);
  const adaptq_type types[] = {ADAPTQ_TYPE_INT64, ADAPTQ_TYPE_INT32, ADAPTQ_TYPE_INT8, ADAPTQ_TYPE_UINT8,
                               ADAPTQ_TYPE_BOOL};
  const int64_t strides[][2] = {{LENGTH, 1}, {LENGTH + 3, 1}, {2 * LENGTH, 2}, {1, BATCH}, {3, 3 * BATCH + 4}};
  for (size_t k = 0; k < sizeof types / sizeof types[0]; k++)
    for (size_t s = 0; s < sizeof strides / sizeof strides[0]; s++) {
      tensors other = t;
      for (size_t i = 0; i < f.n_inputs; i++) {
        // Token ids need more than a byte; masks and token types do not.
        int is_ids = strcmp(f.input[i].name, "input_ids") == 0;
        other.inputs[i] = laid_out(&t.inputs[i], is_ids && element_size(types[k]) < 4 ? ADAPTQ_TYPE_INT32 : types[k],
                                   strides[s][0], strides[s][1]);
      }
      CHECK_STATUS(fixture_run(&f, session, &other, NULL, NULL), ADAPTQ_OK);
      if (memcmp(t.outputs[0].data, expected, size) != 0)
        check_fail(__FILE__, __LINE__, "type %d, strides %d: another result", types[k], (int)s);
      canary_fill(t.outputs[0].data, size);
      for (size_t i = 0; i < f.n_inputs; i++) free(other.inputs[i].data);
    }
  // A dense tensor of another type, and a true that is not 1.
  tensors other = t;
  for (size_t i = 0; i < f.n_inputs; i++) {
    int is_mask = strstr(f.input[i].name, "mask") != NULL;
    other.inputs[i] = laid_out(&t.inputs[i], is_mask ? ADAPTQ_TYPE_BOOL : ADAPTQ_TYPE_INT32, LENGTH, 1);
    memset(other.inputs[i].strides, 0, sizeof other.inputs[i].strides);
    if (is_mask) memset(other.inputs[i].data, 0x80, other.inputs[i].data_size);
  }
  CHECK_STATUS(fixture_run(&f, session, &other, NULL, NULL), ADAPTQ_OK);
  CHECK(memcmp(t.outputs[0].data, expected, size) == 0);
  for (size_t i = 0; i < f.n_inputs; i++) free(other.inputs[i].data);
  // One mask row for the whole batch: a stride of 0.
  other = t;
  for (size_t i = 0; i < f.n_inputs; i++)
    if (strstr(f.input[i].name, "mask")) {
      other.inputs[i].strides[0] = 0;
      other.inputs[i].strides[1] = 1;
      other.inputs[i].data_size = LENGTH * 8;
    }
  canary_fill(t.outputs[0].data, size);
  CHECK_STATUS(fixture_run(&f, session, &other, NULL, NULL), ADAPTQ_OK);
  CHECK(memcmp(t.outputs[0].data, expected, size) == 0);
  CLOSE_PLAIN(f, t, session);
}

static void prepared_with_another_type(void) {
  OPEN_PLAIN(f, t, session);
  tensors other = t;
  for (size_t i = 0; i < f.n_inputs; i++) other.inputs[i].type = ADAPTQ_TYPE_INT32;
  CHECK_STATUS(adaptq_session_prepare(session, other.inputs, f.n_inputs), ADAPTQ_OK);
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
  CHECK(memcmp(t.outputs[0].data, expected, size) == 0);
  adaptq_tensor shape = {.struct_size = sizeof shape, .strides = {7, 7}};
  CHECK_STATUS(adaptq_session_output_shape(session, other.inputs, f.n_inputs, 0, &shape), ADAPTQ_OK);
  CHECK(shape.type == ADAPTQ_TYPE_FLOAT32 && shape.data_size == size && shape.strides[0] == 0 && shape.strides[1] == 0);
  CLOSE_PLAIN(f, t, session);
}

// binary16 from its definition: the nearest of all values, ties to the even one.
static double half_value(uint16_t bits) {
  int exponent = bits >> 10 & 31, fraction = bits & 1023;
  double magnitude = exponent == 31 ? (fraction ? NAN : INFINITY)
                     : exponent    ? ldexp(1024 + fraction, exponent - 25)
                                   : ldexp(fraction, -24);
  return bits >> 15 ? -magnitude : magnitude;
}

static uint16_t nearest_half(float value) {
  uint16_t best_bits = 0;
  double best_distance = INFINITY;
  for (unsigned bits = 0; bits < 0x7C00; bits++) {
    double distance = fabs(half_value((uint16_t)bits) - fabs((double)value));
    if (distance < best_distance || (distance == best_distance && bits % 2 == 0)) {
      best_distance = distance;
      best_bits = (uint16_t)bits;
    }
  }
  return (uint16_t)(best_bits | (signbit(value) ? 0x8000 : 0));
}

static void outputs_as_half_and_with_strides(void) {
  OPEN_PLAIN(f, t, session);
  int64_t rows = t.outputs[0].sizes[0], columns = t.outputs[0].sizes[1];
  const int64_t strides[][2] = {{0, 0}, {columns, 1}, {columns + 5, 1}, {2 * columns, 2}, {1, rows}, {1, rows + 1}};
  for (int half = 0; half < 2; half++)
    for (size_t s = 0; s < sizeof strides / sizeof strides[0]; s++) {
      int64_t r = s == 0 ? columns : strides[s][0], c = s == 0 ? 1 : strides[s][1];
      size_t width = half ? 2 : 4, elements = (size_t)((rows - 1) * r + (columns - 1) * c + 1);
      tensors other = t;
      adaptq_tensor *out = &other.outputs[0];
      out->type = half ? ADAPTQ_TYPE_FLOAT16 : ADAPTQ_TYPE_FLOAT32;
      out->strides[0] = strides[s][0];
      out->strides[1] = strides[s][1];
      out->data_size = elements * width;
      char *memory = (char *)malloc(out->data_size + 2), *touched = (char *)calloc(1, out->data_size);
      REQUIRE(memory && touched);
      out->data = memory + 1;  // any alignment
      canary_fill(memory, out->data_size + 2);
      CHECK_STATUS(fixture_run(&f, session, &other, NULL, NULL), ADAPTQ_OK);
      int wrong = 0;
      for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) {
          size_t at = (size_t)(i * r + j * c) * width;
          float want = expected[i * columns + j];
          memset(touched + at, 1, width);
          if (half) {
            uint16_t bits;
            memcpy(&bits, (char *)out->data + at, 2);
            // The whole definition for some, a bound for all.
            wrong += s == 0 && j < 8 ? bits != nearest_half(want)
                                     : fabs(half_value(bits) - (double)want) > fabs((double)want) / 2048 + 1e-7;
          } else {
            wrong += memcmp((char *)out->data + at, &want, 4) != 0;
          }
        }
      for (size_t k = 0; k < out->data_size; k++) wrong += !touched[k] && !canary_intact((char *)out->data + k, 1);
      wrong += !canary_intact(memory, 1) || !canary_intact(memory + 1 + out->data_size, 1);
      if (wrong) check_fail(__FILE__, __LINE__, "half %d, strides %d: %d wrong", half, (int)s, wrong);
      free(memory);
      free(touched);
    }
  CLOSE_PLAIN(f, t, session);
}

static void refuses_types_and_strides(void) {
  OPEN_PLAIN(f, t, session);
  const tensors good = t;
#define REFUSED(status, part, change) \
  do { \
    change; \
    CHECK_ERROR(fixture_run(&f, session, &t, NULL, NULL), status, part); \
    if (!canary_intact(good.outputs[0].data, size)) check_fail(__FILE__, __LINE__, "%s: written", #change); \
    t = good; \
  } while (0)
  adaptq_tensor *in = &t.inputs[0], *out = &t.outputs[0];
  REFUSED(ADAPTQ_INVALID_ARGUMENT, "inputs[0].type is 4", in->type = ADAPTQ_TYPE_FLOAT16);
  REFUSED(ADAPTQ_INVALID_ARGUMENT, "inputs[0].type is 1", in->type = ADAPTQ_TYPE_FLOAT32);
  REFUSED(ADAPTQ_INVALID_ARGUMENT, "inputs[0].type is 8", in->type = 8);
  REFUSED(ADAPTQ_INVALID_ARGUMENT, "inputs[0].type is 258", in->type = 256 + ADAPTQ_TYPE_INT64);
  REFUSED(ADAPTQ_INVALID_ARGUMENT, "outputs[0].type is 5", out->type = ADAPTQ_TYPE_INT8);
  REFUSED(ADAPTQ_INVALID_ARGUMENT, "outputs[0].type is 2", out->type = ADAPTQ_TYPE_INT64);
#define STRIDES(x, a, b) ((x)->strides[0] = (a), (x)->strides[1] = (b))
  REFUSED(ADAPTQ_INVALID_ARGUMENT, "inputs[0].strides[0] is -1, below 0", STRIDES(in, -1, 1));
  REFUSED(ADAPTQ_INVALID_ARGUMENT, "inputs[0].strides[1] is -9223372036854775808", STRIDES(in, 1, INT64_MIN));
  REFUSED(ADAPTQ_OUT_OF_RANGE, "inputs[0].strides span", STRIDES(in, INT64_MAX, INT64_MAX));
  REFUSED(ADAPTQ_OUT_OF_RANGE, "inputs[0].strides span", STRIDES(in, INT64_MAX / 2, 1));
  REFUSED(ADAPTQ_BUFFER_TOO_SMALL, "inputs[0].data_size", STRIDES(in, LENGTH + 1, 1));
  REFUSED(ADAPTQ_BUFFER_TOO_SMALL, "inputs[0].data_size", STRIDES(in, INT64_C(1) << 40, 1));
  int64_t columns = out->sizes[1];
  REFUSED(ADAPTQ_INVALID_ARGUMENT, "outputs[0].strides[1] is -1", STRIDES(out, columns, -1));
  REFUSED(ADAPTQ_INVALID_ARGUMENT, "outputs[0].strides let elements share memory", STRIDES(out, columns - 1, 1));
  REFUSED(ADAPTQ_INVALID_ARGUMENT, "share memory", STRIDES(out, columns, 0));
  REFUSED(ADAPTQ_INVALID_ARGUMENT, "share memory", STRIDES(out, 0, 1));
  REFUSED(ADAPTQ_INVALID_ARGUMENT, "share memory", STRIDES(out, 1, 1));
  REFUSED(ADAPTQ_INVALID_ARGUMENT, "share memory", STRIDES(out, 1, BATCH - 1));
  REFUSED(ADAPTQ_OUT_OF_RANGE, "outputs[0].strides span", STRIDES(out, INT64_MAX, 1));
  REFUSED(ADAPTQ_BUFFER_TOO_SMALL, "outputs[0].data_size", STRIDES(out, columns + 1, 1));
  // Overlap is judged from first to last element.
  char *memory = (char *)malloc(8 * size);
  REQUIRE(memory != NULL);
  REFUSED(ADAPTQ_INVALID_ARGUMENT, "outputs[0].data overlaps inputs[0]",
          (out->data = memory, out->data_size = 8 * size, STRIDES(out, 4 * columns, 1), in->data = memory + 8 * columns,
           memcpy(in->data, good.inputs[0].data, in->data_size)));
  free(memory);
#undef REFUSED
  // The size of an axis of 1 makes its stride irrelevant.
  tensors one;
  tensors_make(&f, &one, 1, LENGTH);
  for (size_t i = 0; i < f.n_inputs; i++) STRIDES(&one.inputs[i], INT64_MAX, 1);
  REQUIRE_OK(adaptq_session_prepare(session, one.inputs, f.n_inputs));
  REQUIRE(tensors_outputs(&f, session, &one));
  STRIDES(&one.outputs[0], INT64_MAX, 1);
  CHECK_STATUS(fixture_run(&f, session, &one, NULL, NULL), ADAPTQ_OK);
  tensors_free(&f, &one);
  CLOSE_PLAIN(f, t, session);
}

// How much a buffer that is too small needs.
static void needed_bytes(void) {
  OPEN_PLAIN(f, t, session);
  adaptq_run_report report;
#define NEEDS(bytes, tensor) \
  do { \
    canary_fill(&report, sizeof report); \
    report.struct_size = sizeof report; \
    CHECK_STATUS(adaptq_session_run(session, t.inputs, f.n_inputs, t.outputs, f.n_outputs, NULL, &report), \
                 ADAPTQ_BUFFER_TOO_SMALL); \
    CHECK_INT(report.needed_bytes, bytes); \
    CHECK_INT(report.needed_index, tensor); \
    CHECK(canary_intact(&report.sequence, offsetof(adaptq_run_report, needed_bytes) - sizeof(size_t))); \
    CHECK(canary_intact(t.outputs[0].data, size)); \
  } while (0)
  t.outputs[0].data_size = size - 1;
  NEEDS(size, f.n_inputs);
  t.outputs[0].data_size = 0;
  NEEDS(size, f.n_inputs);
  t.outputs[0].type = ADAPTQ_TYPE_FLOAT16;
  NEEDS(size / 2, f.n_inputs);
  t.outputs[0].strides[0] = 1000;
  t.outputs[0].strides[1] = 1;
  NEEDS((size_t)(1000 * (BATCH - 1) + t.outputs[0].sizes[1]) * 2, f.n_inputs);
  t.inputs[1].data_size = 7;
  NEEDS(BATCH * LENGTH * 8, 1);
  // A caller of the first version has no such fields.
  struct { char bytes[offsetof(adaptq_run_report, needed_bytes)]; uint64_t behind[2]; } old;
  canary_fill(&old, sizeof old);
  size_t first = sizeof old.bytes;
  memcpy(&old, &first, sizeof first);
  CHECK_STATUS(adaptq_session_run(session, t.inputs, f.n_inputs, t.outputs, f.n_outputs, NULL,
                                  (adaptq_run_report *)(void *)&old), ADAPTQ_BUFFER_TOO_SMALL);
  CHECK(canary_intact(old.bytes + 8, sizeof old - 8));
#undef NEEDS
  CLOSE_PLAIN(f, t, session);
}

// Structs of the first version, tensors without strides among them, still work.
static void first_version_structs(void) {
  OPEN_PLAIN(f, t, session);
  enum { OLD = offsetof(adaptq_tensor, strides) };
  char inputs[FIXTURE_TENSORS][OLD], outputs[1][OLD], report[offsetof(adaptq_run_report, needed_bytes)];
  size_t old = OLD, old_report = sizeof report;
  for (size_t i = 0; i < f.n_inputs; i++) {
    memcpy(inputs[i], &t.inputs[i], OLD);
    memcpy(inputs[i], &old, sizeof old);
  }
  memcpy(outputs[0], &t.outputs[0], OLD);
  memcpy(outputs[0], &old, sizeof old);
  memcpy(report, &old_report, sizeof old_report);
  CHECK_STATUS(adaptq_session_run(session, (adaptq_tensor *)(void *)inputs, f.n_inputs,
                                  (adaptq_tensor *)(void *)outputs, 1, NULL, (adaptq_run_report *)(void *)report),
               ADAPTQ_OK);
  CHECK(memcmp(t.outputs[0].data, expected, size) == 0);
  CLOSE_PLAIN(f, t, session);
}

int main(void) {
  RUN(inputs_of_other_types_and_strides);
  RUN(prepared_with_another_type);
  RUN(outputs_as_half_and_with_strides);
  RUN(refuses_types_and_strides);
  RUN(needed_bytes);
  RUN(first_version_structs);
  return check_end();
}
