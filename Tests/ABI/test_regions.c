// Trace, cancel and element types on a model with a branch, states, float inputs and an int32 scalar (audio.adaptq).
#define _GNU_SOURCE
#include "fixture.h"

#ifndef ADAPTQ_TESTS
#define ADAPTQ_TESTS "Tests"
#endif

enum { BATCH = 2, STEPS = 12, CHANNELS = 6, WORDS = BATCH * STEPS * CHANNELS };

typedef struct {
  adaptq_runtime *runtime;
  adaptq_model *model;
  adaptq_session *session;
  adaptq_tensor in[2], out[2];
  float x[WORDS];
  int32_t flag;
  int events, cancel_at, wrong, branches;
} audio;

static int audio_open(audio *a) {
  memset(a, 0, sizeof *a);
  for (int i = 0; i < WORDS; i++) a->x[i] = (float)(i % 17 - 8) / 16;
  a->flag = 1;
  a->in[0] = (adaptq_tensor){.struct_size = sizeof(adaptq_tensor), .type = ADAPTQ_TYPE_FLOAT32, .rank = 3,
                             .sizes = {BATCH, STEPS, CHANNELS}, .data = a->x, .data_size = sizeof a->x};
  a->in[1] = (adaptq_tensor){.struct_size = sizeof(adaptq_tensor), .type = ADAPTQ_TYPE_INT32, .rank = 0, .data = &a->flag,
                             .data_size = 4};
  adaptq_session_options options = {.struct_size = sizeof options, .allowed_levels = ADAPTQ_ALLOW_FP32};
  int ok = adaptq_runtime_create(NULL, &a->runtime) == ADAPTQ_OK &&
           adaptq_model_open(a->runtime, ADAPTQ_TESTS "/ABI/audio.adaptq", &a->model) == ADAPTQ_OK &&
           adaptq_session_create(a->model, &options, &a->session) == ADAPTQ_OK &&
           adaptq_session_prepare(a->session, a->in, 2) == ADAPTQ_OK;
  for (size_t i = 0; ok && i < 2; i++) {
    a->out[i].struct_size = sizeof a->out[i];
    ok = adaptq_session_output_shape(a->session, a->in, 2, i, &a->out[i]) == ADAPTQ_OK;
    a->out[i].data = malloc(a->out[i].data_size);
  }
  if (!ok) check_fail(__FILE__, __LINE__, "no audio model: %s", adaptq_last_error());
  return ok;
}

static void audio_close(audio *a) {
  for (int i = 0; i < 2; i++) free(a->out[i].data);
  CHECK_STATUS(adaptq_session_destroy(a->session), ADAPTQ_OK);
  CHECK_STATUS(adaptq_model_destroy(a->model), ADAPTQ_OK);
  CHECK_STATUS(adaptq_runtime_destroy(a->runtime), ADAPTQ_OK);
}

static adaptq_status run(audio *a) { return adaptq_session_run(a->session, a->in, 2, a->out, 2, NULL, NULL); }

static void watch(void *context, const adaptq_trace_event *event) {
  audio *a = (audio *)context;
  a->events++;
  a->branches += strcmp(event->operation, "branch") == 0;
  a->wrong += event->step >= event->step_count || event->end_ns < event->begin_ns;
  int has_weights = strcmp(event->operation, "linear") == 0 || strcmp(event->operation, "convolution") == 0 ||
                    strcmp(event->operation, "gru") == 0 || strcmp(event->operation, "embedding") == 0;
  a->wrong += has_weights != (event->site_index >= 0) || has_weights != (event->site != NULL);
  if (has_weights) {
    adaptq_site_info info = {.struct_size = sizeof info};
    a->wrong += adaptq_model_site(a->model, (size_t)event->site_index, &info) != ADAPTQ_OK ||
                strcmp(info.name, event->site) != 0 || event->level != ADAPTQ_LEVEL_FP32;
  }
  if (a->events == a->cancel_at) a->wrong += adaptq_session_cancel(a->session) != ADAPTQ_OK;
}

// A cancelled run leaves outputs and states as they were, wherever it was stopped.
static void states_survive_a_cancel(void) {
  static audio a;
  if (!audio_open(&a)) return;
  CHECK_STATUS(adaptq_session_set_trace(a.session, watch, &a), ADAPTQ_OK);
  for (a.flag = 0; a.flag < 2; a.flag++) {
    a.events = 0;
    REQUIRE_OK(run(&a));
    int all = a.events;
    size_t size = 0, after_size = 0;
    adaptq_session_state_save(a.session, NULL, 0, &size);
    char *before = (char *)malloc(size), *after = (char *)malloc(size);
    REQUIRE(before && after && size > 0);
    REQUIRE_OK(adaptq_session_state_save(a.session, before, size, &size));
    for (a.cancel_at = 1; a.cancel_at < all; a.cancel_at++) {
      a.events = 0;
      for (int i = 0; i < 2; i++) canary_fill(a.out[i].data, a.out[i].data_size);
      CHECK_STATUS(run(&a), ADAPTQ_CANCELLED);
      CHECK_INT(a.events, a.cancel_at);
      for (int i = 0; i < 2; i++) CHECK(canary_intact(a.out[i].data, a.out[i].data_size));
      CHECK_STATUS(adaptq_session_state_save(a.session, after, size, &after_size), ADAPTQ_OK);
      CHECK(after_size == size && memcmp(before, after, size) == 0);
    }
    a.cancel_at = 0;
    free(before);
    free(after);
  }
  CHECK(a.wrong == 0 && a.branches > 0);
  audio_close(&a);
}

static void floats_and_scalars_of_other_types(void) {
  static audio a;
  if (!audio_open(&a)) return;
  size_t size = a.out[0].data_size;
  char *expected = (char *)malloc(size);
  REQUIRE(expected != NULL);
  REQUIRE_OK(run(&a));
  memcpy(expected, a.out[0].data, size);
  // The same values as half: multiples of 1/16 up to 1/2 are exact.
  static uint16_t halves[WORDS];
  static int8_t bytes[WORDS];
  for (int i = 0; i < WORDS; i++) {
    uint32_t bits;
    memcpy(&bits, &a.x[i], 4);
    halves[i] = (uint16_t)(a.x[i] == 0 ? 0 : (bits >> 16 & 0x8000) | (((bits >> 23 & 255) - 112) << 10) | (bits >> 13 & 1023));
  }
  const adaptq_tensor x = a.in[0], flag = a.in[1];
  int64_t wide = 1;
  uint8_t narrow = 200;
  a.in[0].type = ADAPTQ_TYPE_FLOAT16;
  a.in[0].data = halves;
  a.in[0].data_size = sizeof halves;
  a.in[1].type = ADAPTQ_TYPE_INT64;
  a.in[1].data = &wide;
  a.in[1].data_size = 8;
  CHECK_STATUS(adaptq_session_reset_state(a.session), ADAPTQ_OK);
  CHECK_STATUS(run(&a), ADAPTQ_OK);
  CHECK(memcmp(a.out[0].data, expected, size) == 0);
  a.in[1].type = ADAPTQ_TYPE_BOOL;
  a.in[1].data = &narrow;
  a.in[1].data_size = 1;
  CHECK_STATUS(adaptq_session_reset_state(a.session), ADAPTQ_OK);
  CHECK_STATUS(run(&a), ADAPTQ_OK);
  CHECK(memcmp(a.out[0].data, expected, size) == 0);
  // Small integers as float, int8 against float32.
  for (int i = 0; i < WORDS; i++) {
    bytes[i] = (int8_t)(i % 7 - 3);
    a.x[i] = bytes[i];
  }
  a.in[0] = x;
  a.in[1] = flag;
  CHECK_STATUS(adaptq_session_reset_state(a.session), ADAPTQ_OK);
  CHECK_STATUS(run(&a), ADAPTQ_OK);
  memcpy(expected, a.out[0].data, size);
  a.in[0].type = ADAPTQ_TYPE_INT8;
  a.in[0].data = bytes;
  a.in[0].data_size = sizeof bytes;
  CHECK_STATUS(adaptq_session_reset_state(a.session), ADAPTQ_OK);
  CHECK_STATUS(run(&a), ADAPTQ_OK);
  CHECK(memcmp(a.out[0].data, expected, size) == 0);
  // What does not fit is named; nothing is written. Types that are not exact are refused.
  a.in[1].type = ADAPTQ_TYPE_INT64;
  a.in[1].data = &wide;
  a.in[1].data_size = 8;
  const int64_t misfits[] = {INT64_C(2147483648), INT64_C(-2147483649), INT64_MAX, INT64_MIN};
  for (int i = 0; i < 4; i++) {
    wide = misfits[i];
    canary_fill(a.out[0].data, size);
    char text[64];
    snprintf(text, sizeof text, "inputs[1]: value %" PRId64 " at position 0 does not fit int32", wide);
    CHECK_ERROR(run(&a), ADAPTQ_OUT_OF_RANGE, text);
    CHECK(canary_intact(a.out[0].data, size));
  }
  a.in[1] = flag;
  a.in[0].type = ADAPTQ_TYPE_INT32;
  CHECK_ERROR(run(&a), ADAPTQ_INVALID_ARGUMENT, "inputs[0].type is 3");
  free(expected);
  audio_close(&a);
}

int main(void) {
  RUN(states_survive_a_cancel);
  RUN(floats_and_scalars_of_other_types);
  return check_end();
}
