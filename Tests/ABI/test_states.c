// States between runs: the audio model (Tests/RuntimeTests/AudioTests.swift keeps audio.adaptq up to date) run chunk by
// chunk against PyTorch's outputs in Tests/Golden/audio.chunks, reset, save, restore, failing runs, wrong use; and states
// that grow (growing.adaptq, kept up to date by Tests/RuntimeTests/GrowingStateFixtureTests.swift).
//
// Bounds as in AudioTests: 1e-6 at FP32, 0.02 at INT8.
#define _GNU_SOURCE
#include <math.h>
#include <unistd.h>

#include "fixture.h"

#ifndef ADAPTQ_TESTS
#define ADAPTQ_TESTS "Tests"
#endif

extern void adaptq_test_count_begin(void) __attribute__((weak));
extern long adaptq_test_count_end(void) __attribute__((weak));

enum { BATCH = 2, CHANNELS = 6, CLASSES = 10, HIDDEN = 40, MOST_STEPS = 24, MOST_CHUNKS = 16 };

typedef struct {
  int32_t steps, flag, reset, output_steps;
  float x[BATCH * MOST_STEPS * CHANNELS], y[BATCH * MOST_STEPS * CLASSES], state[BATCH * HIDDEN];
} chunk;

static chunk chunks[MOST_CHUNKS];
static int n_chunks;

typedef struct {
  adaptq_runtime *runtime;
  adaptq_model *model;
} audio;

static int read_chunks(void) {
  if (n_chunks) return 1;
  size_t size = 0;
  char *bytes = read_whole_file(ADAPTQ_TESTS "/Golden/audio.chunks", &size), *at = bytes;
  if (!bytes || size < 12 || memcmp(bytes, "ADQCHUNK", 8)) return 0;
  memcpy(&n_chunks, bytes + 8, 4);
  at += 12;
  for (int i = 0; i < n_chunks; i++) {
    chunk *c = &chunks[i];
    memcpy(&c->steps, at, 16);
    at += 16;
    size_t x = sizeof(float) * BATCH * (size_t)c->steps * CHANNELS;
    size_t y = sizeof(float) * BATCH * (size_t)c->output_steps * CLASSES;
    memcpy(c->x, at, x);
    memcpy(c->y, at + x, y);
    memcpy(c->state, at + x + y, sizeof c->state);
    at += x + y + sizeof c->state;
  }
  int whole = at == bytes + size;
  free(bytes);
  return whole && n_chunks > 4;
}

// One thread: workers that are still beginning would make system calls of their own.
static int audio_open(audio *a) {
  adaptq_runtime_options options = {.struct_size = sizeof options, .threads = 1};
  memset(a, 0, sizeof *a);
  if (!read_chunks()) check_fail(__FILE__, __LINE__, "audio.chunks is broken");
  else if (adaptq_runtime_create(&options, &a->runtime) == ADAPTQ_OK &&
           adaptq_model_open(a->runtime, ADAPTQ_TESTS "/ABI/audio.adaptq", &a->model) == ADAPTQ_OK)
    return 1;
  check_fail(__FILE__, __LINE__, "no audio model: %s", adaptq_last_error());
  return 0;
}

static void audio_close(audio *a) {
  CHECK_STATUS(adaptq_model_destroy(a->model), ADAPTQ_OK);
  CHECK_STATUS(adaptq_runtime_destroy(a->runtime), ADAPTQ_OK);
}

static float result_y[BATCH * MOST_STEPS * CLASSES], result_state[BATCH * HIDDEN];

static void inputs_of(const chunk *c, adaptq_tensor in[2]) {
  tensor_shape(&in[0], ADAPTQ_TYPE_FLOAT32, 3, BATCH, c->steps, CHANNELS, c->x);
  tensor_shape(&in[1], ADAPTQ_TYPE_INT32, 0, 0, 0, 0, &c->flag);
}

static adaptq_status run_chunk(adaptq_session *session, const chunk *c) {
  adaptq_tensor in[2], out[2];
  inputs_of(c, in);
  tensor_shape(&out[0], ADAPTQ_TYPE_FLOAT32, 3, BATCH, c->output_steps, CLASSES, result_y);
  tensor_shape(&out[1], ADAPTQ_TYPE_FLOAT32, 2, BATCH, HIDDEN, 0, result_state);
  return adaptq_session_run(session, in, 2, out, 2, NULL, NULL);
}

static float difference(const float *a, const float *b, size_t count) {
  float worst = 0;
  for (size_t i = 0; i < count; i++) {
    float d = fabsf(a[i] - b[i]);
    if (!(d <= worst)) worst = d == d ? d : INFINITY;
  }
  return worst;
}

static float error_of(const chunk *c) {
  float y = difference(result_y, c->y, (size_t)(BATCH * c->output_steps * CLASSES));
  float state = difference(result_state, c->state, BATCH * HIDDEN);
  return y > state ? y : state;
}

static adaptq_session *prepared(const audio *a, uint32_t level) {
  adaptq_session_options options = {.struct_size = sizeof options, .allowed_levels = level};
  adaptq_session *session = NULL;
  adaptq_tensor in[2];
  chunk largest = {.steps = MOST_STEPS};
  inputs_of(&largest, in);
  if (adaptq_session_create(a->model, &options, &session) == ADAPTQ_OK &&
      adaptq_session_prepare(session, in, 2) == ADAPTQ_OK)
    return session;
  check_fail(__FILE__, __LINE__, "no session: %s", adaptq_last_error());
  return NULL;
}

#define OPEN_AUDIO(a) audio a; if (!audio_open(&a)) return

static void equals_pytorch(void) {
  OPEN_AUDIO(a);
  const struct { uint32_t level; float bound; } levels[] = {{ADAPTQ_ALLOW_FP32, 1e-6f}, {ADAPTQ_ALLOW_INT8, 0.02f}};
  for (int l = 0; l < 2; l++) {
    adaptq_session *session = prepared(&a, levels[l].level);
    REQUIRE(session != NULL);
    for (int i = 0; i < n_chunks; i++) {
      if (chunks[i].reset) CHECK_STATUS(adaptq_session_reset_state(session), ADAPTQ_OK);
      canary_fill(result_y, sizeof result_y);
      CHECK_STATUS(run_chunk(session, &chunks[i]), ADAPTQ_OK);
      float error = error_of(&chunks[i]);
      if (!(error <= levels[l].bound)) check_fail(__FILE__, __LINE__, "level %d, chunk %d: error %g", l, i, (double)error);
      size_t used = sizeof(float) * (size_t)(BATCH * chunks[i].output_steps * CLASSES);
      CHECK(canary_intact((char *)result_y + used, sizeof result_y - used));
    }
    CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  }
  audio_close(&a);
}

static void describes_itself(void) {
  OPEN_AUDIO(a);
  adaptq_tensor_info info = {.struct_size = sizeof info};
  REQUIRE_OK(adaptq_model_input(a.model, 0, &info));
  CHECK_INT(info.sizes[1], -1);
  CHECK(info.dim_names[1] && strcmp(info.dim_names[1], "steps") == 0);
  REQUIRE_OK(adaptq_model_input(a.model, 1, &info));
  CHECK_INT(info.rank, 0);
  // A size that follows from another one has no name, and the session tells it.
  REQUIRE_OK(adaptq_model_output(a.model, 0, &info));
  CHECK_INT(info.sizes[1], -1);
  CHECK(info.dim_names[1] == NULL);
  adaptq_session *session = prepared(&a, ADAPTQ_ALLOW_FP32);
  REQUIRE(session != NULL);
  for (int i = 0; i < n_chunks; i++) {
    adaptq_tensor in[2], out = {.struct_size = sizeof out};
    inputs_of(&chunks[i], in);
    REQUIRE_OK(adaptq_session_output_shape(session, in, 2, 0, &out));
    CHECK_INT(out.sizes[1], chunks[i].output_steps);
  }
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  audio_close(&a);
}

static void save_and_restore(void) {
  OPEN_AUDIO(a);
  adaptq_session *session = prepared(&a, ADAPTQ_ALLOW_FP32), *other = prepared(&a, ADAPTQ_ALLOW_FP32);
  REQUIRE(session != NULL && other != NULL);
  size_t size = 0;
  CHECK_STATUS(adaptq_session_state_save(session, NULL, 0, &size), ADAPTQ_BUFFER_TOO_SMALL);
  CHECK_INT(size, 32 + sizeof(float) * BATCH * HIDDEN);
  unsigned char *memory = malloc(size + 2), *saved = memory + 1;
  canary_fill(memory, size + 2);
  CHECK_STATUS(adaptq_session_state_save(session, saved, size - 1, &size), ADAPTQ_BUFFER_TOO_SMALL);
  CHECK(canary_intact(memory, size + 2));
  for (int i = 0; i < 2; i++) CHECK_STATUS(run_chunk(session, &chunks[i]), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_state_save(session, saved, size, &size), ADAPTQ_OK);
  CHECK(canary_intact(memory, 1) && canary_intact(memory + size + 1, 1));
  CHECK(memcmp(saved + 32, result_state, sizeof result_state) == 0);
  // Twice in the session, once in another one, which sees its first run.
  adaptq_session *order[3] = {session, session, other};
  for (int i = 0; i < 3; i++) {
    CHECK_STATUS(adaptq_session_state_restore(order[i], saved, size), ADAPTQ_OK);
    CHECK_STATUS(run_chunk(order[i], &chunks[2]), ADAPTQ_OK);
    CHECK(error_of(&chunks[2]) <= 1e-6f);
  }
  // Every damaged byte is found, and leaves the state as it is.
  CHECK_STATUS(adaptq_session_state_restore(session, saved, size), ADAPTQ_OK);
  for (size_t i = 0; i < size; i++) {
    saved[i] ^= 1;
    CHECK_STATUS(adaptq_session_state_restore(session, saved, size), ADAPTQ_INVALID_ARGUMENT);
    saved[i] ^= 1;
  }
  CHECK_ERROR(adaptq_session_state_restore(session, saved, size - 1), ADAPTQ_INVALID_ARGUMENT, "size");
  CHECK_ERROR(adaptq_session_state_restore(session, saved, SIZE_MAX), ADAPTQ_INVALID_ARGUMENT, "size");
  CHECK_ERROR(adaptq_session_state_restore(session, NULL, size), ADAPTQ_INVALID_ARGUMENT, "data");
  CHECK_STATUS(run_chunk(session, &chunks[2]), ADAPTQ_OK);
  CHECK(error_of(&chunks[2]) <= 1e-6f);
  free(memory);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_destroy(other), ADAPTQ_OK);
  audio_close(&a);
}

static void wrong_use(void) {
  OPEN_AUDIO(a);
  adaptq_session *session = prepared(&a, ADAPTQ_ALLOW_FP32);
  REQUIRE(session != NULL);
  size_t size = 77;
  char byte = 5;
  CHECK_STATUS(adaptq_session_reset_state(NULL), ADAPTQ_INVALID_HANDLE);
  CHECK_STATUS(adaptq_session_state_save(NULL, &byte, 1, &size), ADAPTQ_INVALID_HANDLE);
  CHECK_STATUS(adaptq_session_state_restore(NULL, &byte, 1), ADAPTQ_INVALID_HANDLE);
  CHECK_STATUS(adaptq_session_reset_state((adaptq_session *)a.model), ADAPTQ_INVALID_HANDLE);
  CHECK_ERROR(adaptq_session_state_save(session, &byte, 1, NULL), ADAPTQ_INVALID_ARGUMENT, "size");
  CHECK_ERROR(adaptq_session_state_save(session, NULL, SIZE_MAX, &size), ADAPTQ_INVALID_ARGUMENT, "buffer");
  CHECK_INT(size, 77);
  CHECK_INT(byte, 5);
  // Runs that are refused leave the state alone.
  CHECK_STATUS(run_chunk(session, &chunks[0]), ADAPTQ_OK);
  chunk bad = chunks[1];
  bad.steps = MOST_STEPS + 1;
  CHECK_STATUS(run_chunk(session, &bad), ADAPTQ_OUT_OF_RANGE);
  bad.steps = 0;
  CHECK_STATUS(run_chunk(session, &bad), ADAPTQ_INVALID_ARGUMENT);
  CHECK_STATUS(run_chunk(session, &chunks[1]), ADAPTQ_OK);
  CHECK(error_of(&chunks[1]) <= 1e-6f);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_reset_state(session), ADAPTQ_INVALID_HANDLE);
  audio_close(&a);
}

// Preparing measures every level with made-up inputs; the state is that of the run before.
static void preparing_keeps_states(void) {
  OPEN_AUDIO(a);
  adaptq_session *session = prepared(&a, ADAPTQ_ALLOW_FP32);
  REQUIRE(session != NULL);
  CHECK_STATUS(run_chunk(session, &chunks[0]), ADAPTQ_OK);
  adaptq_tensor in[2];
  inputs_of(&chunks[1], in);
  CHECK_STATUS(adaptq_session_prepare(session, in, 2), ADAPTQ_OK);
  CHECK_STATUS(run_chunk(session, &chunks[1]), ADAPTQ_OK);
  CHECK(error_of(&chunks[1]) <= 1e-6f);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  audio_close(&a);
}

enum { GROWS_BATCH = 2, GROWS_WIDTH = 4, GROWS_MOST = 5, GROWS_ROOM = 8 };
static float grow_x[GROWS_BATCH * GROWS_MOST * GROWS_WIDTH], grow_y[GROWS_BATCH * GROWS_MOST * GROWS_WIDTH];
static float grow_keys[GROWS_BATCH * GROWS_ROOM * GROWS_WIDTH];
// All rows that runs have appended: what the model's second output is to be.
static float seen[GROWS_BATCH][GROWS_ROOM][GROWS_WIDTH];
static int64_t seen_length;

// Appends `steps` rows of positive numbers; `length` is that of the states afterwards.
static adaptq_status grow(adaptq_session *session, int64_t steps, int64_t length, float first) {
  adaptq_tensor in, out[2];
  for (int64_t i = 0; i < GROWS_BATCH * steps * GROWS_WIDTH; i++) grow_x[i] = first + (float)i / 64;
  tensor_shape(&in, ADAPTQ_TYPE_FLOAT32, 3, GROWS_BATCH, steps, GROWS_WIDTH, grow_x);
  tensor_shape(&out[0], ADAPTQ_TYPE_FLOAT32, 3, GROWS_BATCH, steps, GROWS_WIDTH, grow_y);
  tensor_shape(&out[1], ADAPTQ_TYPE_FLOAT32, 3, GROWS_BATCH, length, GROWS_WIDTH, grow_keys);
  adaptq_status status = adaptq_session_run(session, &in, 1, out, 2, NULL, NULL);
  if (status != ADAPTQ_OK) return status;
  for (int64_t b = 0; b < GROWS_BATCH; b++)
    for (int64_t row = 0; row < steps; row++)
      memcpy(seen[b][seen_length + row], &grow_x[(b * steps + row) * GROWS_WIDTH], sizeof seen[0][0]);
  seen_length += steps;
  return status;
}

static int keys_are_what_was_seen(void) {
  for (int64_t b = 0; b < GROWS_BATCH; b++)
    if (memcmp(&grow_keys[b * seen_length * GROWS_WIDTH], seen[b], (size_t)seen_length * sizeof seen[0][0])) return 0;
  return 1;
}

static void growing_states(void) {
  adaptq_runtime *runtime = NULL;
  adaptq_model *model = NULL;
  adaptq_session *session = NULL;
  adaptq_tensor in, shape = {.struct_size = sizeof shape};
  adaptq_tensor_info info = {.struct_size = sizeof info};
  REQUIRE_OK(adaptq_runtime_create(NULL, &runtime));
  REQUIRE_OK(adaptq_model_open(runtime, ADAPTQ_TESTS "/ABI/growing.adaptq", &model));
  REQUIRE_OK(adaptq_model_output(model, 1, &info));
  CHECK_INT(info.sizes[1], -1);
  CHECK(info.dim_names[1] == NULL);
  REQUIRE_OK(adaptq_session_create(model, NULL, &session));
  tensor_shape(&in, ADAPTQ_TYPE_FLOAT32, 3, GROWS_BATCH, GROWS_ROOM + 1, GROWS_WIDTH, NULL);
  CHECK_ERROR(adaptq_session_prepare(session, &in, 1), ADAPTQ_OUT_OF_RANGE, "which holds 8");
  in.sizes[1] = GROWS_MOST;
  REQUIRE_OK(adaptq_session_prepare(session, &in, 1));
  unsigned char saved[1024];
  size_t size = 0;
  const int64_t steps[] = {3, 1, 2, 2};
  for (int round = 0; round < 2; round++) {
    seen_length = 0;
    for (int i = 0; i < 4; i++) {
      in.sizes[1] = steps[i];
      REQUIRE_OK(adaptq_session_output_shape(session, &in, 1, 1, &shape));
      CHECK_INT(shape.sizes[1], seen_length + steps[i]);
      CHECK_STATUS(grow(session, steps[i], seen_length + steps[i], (float)(1 + i)), ADAPTQ_OK);
      CHECK(keys_are_what_was_seen());
      if (i == 1) CHECK_STATUS(adaptq_session_state_save(session, saved, sizeof saved, &size), ADAPTQ_OK);
    }
    // Full: refused, outputs untouched, nothing has changed.
    in.sizes[1] = 1;
    REQUIRE_OK(adaptq_session_output_shape(session, &in, 1, 1, &shape));
    CHECK_INT(shape.sizes[1], GROWS_ROOM);
    canary_fill(grow_y, sizeof grow_y);
    canary_fill(grow_keys, sizeof grow_keys);
    CHECK_ERROR(grow(session, 1, GROWS_ROOM, 9), ADAPTQ_OUT_OF_RANGE, "state \"keys\" has no room");
    CHECK(canary_intact(grow_y, sizeof grow_y) && canary_intact(grow_keys, sizeof grow_keys));
    // Back to what was saved: four rows, the next four fit.
    CHECK_STATUS(adaptq_session_state_restore(session, saved, size), ADAPTQ_OK);
    seen_length = 4;
    CHECK_STATUS(grow(session, 4, GROWS_ROOM, 11), ADAPTQ_OK);
    CHECK(keys_are_what_was_seen());
    CHECK_STATUS(adaptq_session_reset_state(session), ADAPTQ_OK);
  }
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  CHECK_STATUS(adaptq_model_destroy(model), ADAPTQ_OK);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
}

// With count_malloc.so preloaded; system calls between the marks are counted by strace_between.sh.
static void runs_allocate_nothing(void) {
  OPEN_AUDIO(a);
  adaptq_session *session = prepared(&a, ADAPTQ_ALLOW_ALL & ~ADAPTQ_ALLOW_FP16);
  REQUIRE(session != NULL);
  const adaptq_level levels[] = {ADAPTQ_LEVEL_FP32, ADAPTQ_LEVEL_INT8, ADAPTQ_LEVEL_INT4};
  unsigned char saved[4096];
  size_t size = 0;
  for (int l = 0; l < 3; l++) {  // warm
    CHECK_STATUS(adaptq_session_set_level(session, levels[l]), ADAPTQ_OK);
    for (int i = 0; i < n_chunks; i++) CHECK_STATUS(run_chunk(session, &chunks[i]), ADAPTQ_OK);
  }
  CHECK_STATUS(adaptq_session_state_save(session, saved, sizeof saved, &size), ADAPTQ_OK);
  int failed = 0;
  ssize_t ignored = write(-1, "adaptq-begin", 12);
  if (adaptq_test_count_begin) adaptq_test_count_begin();
  for (int round = 0; round < 60; round++) {
    failed |= adaptq_session_set_level(session, levels[round % 3]);
    for (int i = 0; i < n_chunks; i++) failed |= run_chunk(session, &chunks[i]);
    failed |= adaptq_session_reset_state(session);
    failed |= adaptq_session_state_save(session, saved, sizeof saved, &size);
  }
  long allocations = adaptq_test_count_end ? adaptq_test_count_end() : 0;
  ignored = write(-1, "adaptq-end", 10);
  (void)ignored;
  CHECK_INT(failed, 0);
  CHECK_INT(allocations, 0);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  audio_close(&a);
}

int main(void) {
  RUN(equals_pytorch);
  RUN(describes_itself);
  RUN(save_and_restore);
  RUN(wrong_use);
  RUN(preparing_keeps_states);
  RUN(growing_states);
  RUN(runs_allocate_nothing);
  return check_end();
}
