// A model for the tests: opened from ADAPTQ_TEST_MODEL, with inputs made for whatever it reads.
#ifndef ADAPTQ_FIXTURE_H
#define ADAPTQ_FIXTURE_H

#include "check.h"

enum { FIXTURE_TENSORS = 8, FIXTURE_LEVELS = 6 };

// Best first.
__attribute__((unused)) static const adaptq_level fixture_level[FIXTURE_LEVELS] = {
    ADAPTQ_LEVEL_FP32, ADAPTQ_LEVEL_FP16, ADAPTQ_LEVEL_INT8, ADAPTQ_LEVEL_INT6, ADAPTQ_LEVEL_INT4, ADAPTQ_LEVEL_INT2};
__attribute__((unused)) static const uint32_t fixture_allow[FIXTURE_LEVELS] = {
    ADAPTQ_ALLOW_FP32, ADAPTQ_ALLOW_FP16, ADAPTQ_ALLOW_INT8, ADAPTQ_ALLOW_INT6, ADAPTQ_ALLOW_INT4, ADAPTQ_ALLOW_INT2};

typedef struct {
  adaptq_runtime *runtime;
  adaptq_model *model;
  size_t n_inputs, n_outputs, n_sites;
  adaptq_tensor_info input[FIXTURE_TENSORS], output[FIXTURE_TENSORS];
  uint32_t levels;
} fixture;

// The sizes a test chooses: `batch` for the first open dimension of a tensor, `length` for the others.
typedef struct {
  adaptq_tensor inputs[FIXTURE_TENSORS], outputs[FIXTURE_TENSORS];
} tensors;

static const char *fixture_path(void) { return getenv("ADAPTQ_TEST_MODEL"); }
#define NEEDS_MODEL() do { if (!fixture_path()) SKIP("ADAPTQ_TEST_MODEL is not set"); } while (0)

__attribute__((unused)) static int fixture_open_with(fixture *f, const adaptq_runtime_options *options) {
  memset(f, 0, sizeof *f);
  int ok = adaptq_runtime_create(options, &f->runtime) == ADAPTQ_OK &&
           adaptq_model_open(f->runtime, fixture_path(), &f->model) == ADAPTQ_OK &&
           adaptq_model_input_count(f->model, &f->n_inputs) == ADAPTQ_OK &&
           adaptq_model_output_count(f->model, &f->n_outputs) == ADAPTQ_OK &&
           adaptq_model_site_count(f->model, &f->n_sites) == ADAPTQ_OK &&
           adaptq_model_levels(f->model, &f->levels) == ADAPTQ_OK && f->n_inputs <= FIXTURE_TENSORS &&
           f->n_outputs <= FIXTURE_TENSORS;
  for (size_t i = 0; ok && i < f->n_inputs; i++) {
    f->input[i].struct_size = sizeof f->input[i];
    ok = adaptq_model_input(f->model, i, &f->input[i]) == ADAPTQ_OK;
  }
  for (size_t i = 0; ok && i < f->n_outputs; i++) {
    f->output[i].struct_size = sizeof f->output[i];
    ok = adaptq_model_output(f->model, i, &f->output[i]) == ADAPTQ_OK;
  }
  if (!ok) check_fail(__FILE__, __LINE__, "cannot open %s: %s", fixture_path(), adaptq_last_error());
  return ok;
}

__attribute__((unused)) static int fixture_open(fixture *f) { return fixture_open_with(f, NULL); }

__attribute__((unused)) static void fixture_close(fixture *f) {
  CHECK_STATUS(adaptq_model_destroy(f->model), ADAPTQ_OK);
  CHECK_STATUS(adaptq_runtime_destroy(f->runtime), ADAPTQ_OK);
}

// A runtime with so many threads.
#define OPEN_FIXTURE_THREADS(f, n) \
  fixture f; NEEDS_MODEL(); \
  do { \
    adaptq_runtime_options fixture_options = {.struct_size = sizeof fixture_options, .threads = (n)}; \
    if (!fixture_open_with(&f, &fixture_options)) return; \
  } while (0)
#define OPEN_FIXTURE(f) fixture f; NEEDS_MODEL(); if (!fixture_open(&f)) return

static size_t fixture_type_size(adaptq_type type) { return type == ADAPTQ_TYPE_INT64 ? 8 : 4; }

// A dense tensor of up to three dimensions, of 8-byte or 4-byte elements.
__attribute__((unused)) static void tensor_shape(adaptq_tensor *t, adaptq_type type, int rank, int64_t a, int64_t b, int64_t c,
                                                  const void *data) {
  memset(t, 0, sizeof *t);
  t->struct_size = sizeof *t;
  t->type = type;
  t->rank = rank;
  t->sizes[0] = a;
  t->sizes[1] = b;
  t->sizes[2] = c;
  t->data = (void *)data;
  t->data_size = (size_t)(rank > 0 ? a : 1) * (size_t)(rank > 1 ? b : 1) * (size_t)(rank > 2 ? c : 1) *
                 (type == ADAPTQ_TYPE_INT64 ? 8 : 4);
}

__attribute__((unused)) static size_t tensor_bytes(const adaptq_tensor *t) {
  size_t bytes = fixture_type_size(t->type);
  for (int i = 0; i < t->rank; i++) bytes *= (size_t)t->sizes[i];
  return bytes;
}

// Fills inputs for sizes up to those that `memory` was made for; the values depend on `seed` only.
__attribute__((unused)) static void tensors_shape(const fixture *f, tensors *t, int64_t batch, int64_t length,
                                                  uint64_t seed) {
  for (size_t i = 0; i < f->n_inputs; i++) {
    adaptq_tensor *in = &t->inputs[i];
    const adaptq_tensor_info *info = &f->input[i];
    in->struct_size = sizeof *in;
    in->type = info->type;
    in->rank = info->rank;
    int open = 0;
    for (int k = 0; k < info->rank; k++)
      in->sizes[k] = info->sizes[k] >= 0 ? info->sizes[k] : open++ == 0 ? batch : length;
    in->data_size = tensor_bytes(in);
    if (in->data == NULL) continue;
    int is_mask = strstr(info->name, "mask") != NULL, is_ids = strstr(info->name, "ids") && !strstr(info->name, "type");
    uint64_t state = seed;
    for (size_t k = 0; k < in->data_size / fixture_type_size(in->type); k++) {
      int64_t whole = is_mask ? 1 : is_ids ? 1000 + (int64_t)(check_random(&state) % 2000) : 0;
      float real = (float)(check_random(&state) % 2001) / 1000.0f - 1.0f;
      char *at = (char *)in->data + k * fixture_type_size(in->type);
      int32_t small = (int32_t)whole;
      if (in->type == ADAPTQ_TYPE_INT64) memcpy(at, &whole, 8);
      else if (in->type == ADAPTQ_TYPE_INT32) memcpy(at, &small, 4);
      else memcpy(at, &real, 4);
    }
  }
}

// Input memory for the largest sizes; outputs get theirs from tensors_outputs().
__attribute__((unused)) static void tensors_make(const fixture *f, tensors *t, int64_t batch, int64_t length) {
  memset(t, 0, sizeof *t);
  tensors_shape(f, t, batch, length, 0);
  for (size_t i = 0; i < f->n_inputs; i++) t->inputs[i].data = calloc(1, t->inputs[i].data_size);
  tensors_shape(f, t, batch, length, 1);
}

// Output shapes for the present inputs; memory that is exactly as big as needed, filled with the canary. To be called with
// a prepared session. Outputs that had memory get new one.
__attribute__((unused)) static int tensors_outputs(const fixture *f, adaptq_session *session, tensors *t) {
  for (size_t i = 0; i < f->n_outputs; i++) {
    t->outputs[i].struct_size = sizeof t->outputs[i];
    if (adaptq_session_output_shape(session, t->inputs, f->n_inputs, i, &t->outputs[i]) != ADAPTQ_OK) {
      check_fail(__FILE__, __LINE__, "no shape of output %zu: %s", i, adaptq_last_error());
      return 0;
    }
    free(t->outputs[i].data);
    t->outputs[i].data = malloc(t->outputs[i].data_size);
    canary_fill(t->outputs[i].data, t->outputs[i].data_size);
  }
  return 1;
}

__attribute__((unused)) static void tensors_free(const fixture *f, tensors *t) {
  for (size_t i = 0; i < f->n_inputs; i++) free(t->inputs[i].data);
  for (size_t i = 0; i < f->n_outputs; i++) free(t->outputs[i].data);
}

__attribute__((unused)) static adaptq_status fixture_run(const fixture *f, adaptq_session *session, tensors *t,
                                                         const adaptq_run_options *options, adaptq_run_report *report) {
  if (report) {
    memset(report, 0, sizeof *report);
    report->struct_size = sizeof *report;
  }
  return adaptq_session_run(session, t->inputs, f->n_inputs, t->outputs, f->n_outputs, options, report);
}

// A session prepared for batch x length with the given levels (0: all); NULL if that failed.
__attribute__((unused)) static adaptq_session *fixture_session(const fixture *f, tensors *t, uint32_t levels,
                                                               int64_t batch, int64_t length) {
  adaptq_session *session = NULL;
  adaptq_session_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.allowed_levels = levels;
  tensors_make(f, t, batch, length);
  if (adaptq_session_create(f->model, &options, &session) == ADAPTQ_OK &&
      adaptq_session_prepare(session, t->inputs, f->n_inputs) == ADAPTQ_OK && tensors_outputs(f, session, t))
    return session;
  check_fail(__FILE__, __LINE__, "no session: %s", adaptq_last_error());
  return NULL;
}

__attribute__((unused)) static int fixture_best_level(uint32_t levels) {
  for (int i = 0; i < FIXTURE_LEVELS; i++) if (levels & fixture_allow[i]) return i;
  return 0;
}

// A whole file in memory that the caller frees; NULL and a failure if it cannot be read.
__attribute__((unused)) static char *read_whole_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  char *bytes = NULL;
  if (file && fseek(file, 0, SEEK_END) == 0) {
    long end = ftell(file);
    rewind(file);
    bytes = (char *)malloc(end > 0 ? (size_t)end : 1);
    if (bytes && fread(bytes, 1, (size_t)end, file) != (size_t)end) {
      free(bytes);
      bytes = NULL;
    }
    *size = (size_t)end;
  }
  if (file) fclose(file);
  if (!bytes) check_fail(__FILE__, __LINE__, "cannot read %s", path);
  return bytes;
}

#endif
