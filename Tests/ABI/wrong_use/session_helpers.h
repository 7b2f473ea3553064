// Calls of session.h that need more than one expression.
#ifndef ADAPTQ_WRONG_USE_SESSION_HELPERS_H
#define ADAPTQ_WRONG_USE_SESSION_HELPERS_H

#include "machinery.h"

static void huge_sizes(adaptq_tensor *t, int64_t size) {
  for (int i = 0; i < 4; i++) t[i / 2].sizes[i % 2] = size;
}

// A session that allows INT8 only.
static adaptq_session *restricted_session(void) {
  adaptq_session *session = NULL;
  adaptq_session_options options = {.struct_size = sizeof options, .allowed_levels = ADAPTQ_ALLOW_INT8};
  if (adaptq_session_create(w.model, &options, &session) != ADAPTQ_OK) return NULL;
  if (adaptq_session_prepare(session, in.max_inputs, 2) != ADAPTQ_OK) return NULL;
  return session;
}
static adaptq_status run_restricted(void) {
  adaptq_session *session = restricted_session();
  adaptq_status status = adaptq_session_run(session, in.inputs, 2, in.outputs, 1, &in.run, &out.report);
  adaptq_session_destroy(session);
  return status;
}
static adaptq_status set_restricted(void) {
  adaptq_session *session = restricted_session();
  adaptq_status status = adaptq_session_set_level(session, ADAPTQ_LEVEL_INT4);
  adaptq_session_destroy(session);
  return status;
}
static adaptq_status allow_restricted(void) {
  adaptq_session *session = restricted_session();
  adaptq_status status = adaptq_session_set_allowed_levels(session, ADAPTQ_ALLOW_INT8 | ADAPTQ_ALLOW_INT4);
  adaptq_session_destroy(session);
  return status;
}

// Every single bit of a saved state flipped, one at a time: each is refused. The first other status, else the last.
static adaptq_status restore_flipped(const unsigned char *saved, size_t size) {
  static unsigned char copy[4096];
  adaptq_status status = ADAPTQ_OK;
  for (size_t bit = 0; bit < size * 8; bit++) {
    memcpy(copy, saved, size);
    copy[bit / 8] ^= (unsigned char)(1 << bit % 8);
    status = adaptq_session_state_restore(w.listening, copy, size);
    if (status != ADAPTQ_INVALID_ARGUMENT) return status;
  }
  return status;
}
static adaptq_status restore_odd(const unsigned char *saved, size_t size) {
  static unsigned char copy[4097];
  memcpy(copy + 1, saved, size);
  return adaptq_session_state_restore(w.listening, copy + 1, size);
}

// Exported costs with one bit of byte `at` flipped.
static adaptq_status import_flipped(unsigned char *costs, size_t size, size_t at) {
  costs[at] ^= 1;
  adaptq_status status = adaptq_session_import_costs(w.session, costs, size);
  costs[at] ^= 1;
  return status;
}
static adaptq_status import_odd(const unsigned char *costs, size_t size) {
  static unsigned char copy[(1 << 16) + 1];
  memcpy(copy + 1, costs, size);
  return adaptq_session_import_costs(w.session, copy + 1, size);
}

// Rows of a model whose states hold 8: prepared for `most` of them; one run appends 5, `runs` runs.
static adaptq_status grow(int64_t most, int runs) {
  static float x[2 * 5 * 4], y[2 * 5 * 4], keys[2 * 8 * 4];
  adaptq_tensor tensors[3];
  adaptq_session *session = NULL;
  memset(tensors, 0, sizeof tensors);
  for (int i = 0; i < 3; i++) {
    tensors[i].struct_size = sizeof tensors[i];
    tensors[i].type = ADAPTQ_TYPE_FLOAT32;
    tensors[i].rank = 3;
    tensors[i].sizes[0] = 2;
    tensors[i].sizes[1] = i == 0 ? most : 5;
    tensors[i].sizes[2] = 4;
    tensors[i].data = i == 0 ? x : i == 1 ? y : keys;
    tensors[i].data_size = i == 2 ? sizeof keys : sizeof x;
  }
  adaptq_status status = adaptq_session_create(w.growing, NULL, &session);
  if (status == ADAPTQ_OK) status = adaptq_session_prepare(session, tensors, 1);
  tensors[0].sizes[1] = 5;
  for (int i = 0; i < runs && status == ADAPTQ_OK; i++) {
    if (i > 0) tensors[2].sizes[1] = 8;
    status = adaptq_session_run(session, tensors, 1, tensors + 1, 2, &in.run, &out.report);
    if (i == 0) out.report = out_before.report;
  }
  adaptq_session_destroy(session);
  return status;
}

static adaptq_status telemetry_huge(void) {
  static adaptq_telemetry entries[256];
  entries[0].struct_size = sizeof entries[0];
  return adaptq_session_telemetry(w.session, entries, SIZE_MAX, &out.count);
}

// A floor that needs a better level than the session has; what the report says is checked and taken back.
static adaptq_status floor_restricted(double mean, double p5, int32_t limit, double nearest) {
  adaptq_session *session = restricted_session();
  adaptq_status status = adaptq_session_set_quality_floor(session, mean, p5, &out.limit);
  adaptq_session_destroy(session);
  if (out.limit.limit != limit || out.limit.nearest != nearest) return ADAPTQ_INTERNAL_ERROR;
  out.limit = out_before.limit;
  return status;
}
// A budget of power that cannot hold; what the report says is checked and taken back.
static adaptq_status power_refused(int32_t limit) {
  adaptq_status status = adaptq_session_set_power_budget(w.session, &in.power, &out.limit);
  if (out.limit.limit != limit || !(out.limit.nearest > 0)) return ADAPTQ_INTERNAL_ERROR;
  out.limit = out_before.limit;
  return status;
}
// Limits that cannot hold together; what the report says is checked and taken back.
static adaptq_status budget_refused(int32_t limit) {
  adaptq_status status = adaptq_session_set_budget(w.session, &in.budget, &out.limit);
  if (out.limit.limit != limit || !(out.limit.nearest > 0)) return ADAPTQ_INTERNAL_ERROR;
  out.limit = out_before.limit;
  return status;
}
static adaptq_status allow_below_floor(void) {
  adaptq_session *session = NULL;
  adaptq_status status = adaptq_session_create(w.model, NULL, &session);
  if (status == ADAPTQ_OK) status = adaptq_session_set_quality_floor(session, 0.99, 0.5, NULL);
  if (status == ADAPTQ_OK) status = adaptq_session_set_allowed_levels(session, ADAPTQ_ALLOW_INT4 | ADAPTQ_ALLOW_INT2);
  adaptq_session_destroy(session);
  return status;
}

static void set_while_running(void) {
  HARMLESS(adaptq_session_set_level, when, "holds from the next run on", (void)0,
           adaptq_session_set_level(w.session, ADAPTQ_LEVEL_AUTO));
  HARMLESS(adaptq_session_set_allowed_levels, when, "holds from the next run on", (void)0,
           adaptq_session_set_allowed_levels(w.session, 0));
  HARMLESS(adaptq_session_set_latency_budget, when, "holds from the next run on", (void)0,
           adaptq_session_set_latency_budget(w.session, 0, 0));
  HARMLESS(adaptq_session_set_quality_floor, when, "holds from the next run on", (void)0,
           adaptq_session_set_quality_floor(w.session, 0, 0, NULL));
  HARMLESS(adaptq_session_report_quality, when, "holds from the next run on", (void)0,
           adaptq_session_report_quality(w.session, 0, 1));
  HARMLESS(adaptq_session_set_budget, when, "holds from the next run on", (void)0,
           adaptq_session_set_budget(w.session, NULL, NULL));
}

#endif
