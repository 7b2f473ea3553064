// The host's floating-point environment: it changes no result, and every call gives it back.
#define _GNU_SOURCE
#include <fenv.h>
#include <pthread.h>
#include <unistd.h>

#include "fixture.h"
#include "pool_host.h"

// What a thread has: MXCSR with its flags, the x87 control word, the x87 status word's flags.
typedef struct {
  uint32_t mxcsr;
  uint16_t control, status;
} state;

static inline state read_state(void) {
  state s;
  __asm__ volatile("stmxcsr %0" : "=m"(s.mxcsr));
  __asm__ volatile("fnstcw %0" : "=m"(s.control));
  __asm__ volatile("fnstsw %0" : "=m"(s.status));
  return s;
}

static const int roundings[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
enum { FLUSH = 0x8040, MODES = 4 * 2 * 3 };

// Mode `number`: rounding x flush-to-zero and denormals-are-zero x exceptions (masked, some, all).
static inline state set_mode(int number) {
  state s;
  fesetround(roundings[number % 4]);
  __asm__ volatile("stmxcsr %0" : "=m"(s.mxcsr));
  if (number / 4 % 2) s.mxcsr |= FLUSH;
  __asm__ volatile("ldmxcsr %0" : : "m"(s.mxcsr));
  if (number / 8 == 1) feenableexcept(FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW);
  if (number / 8 == 2) feenableexcept(FE_ALL_EXCEPT);
  return read_state();
}

// Before anything else of this thread computes.
static inline int unchanged(state before) {
  state now = read_state();
  int same = now.mxcsr == before.mxcsr && now.control == before.control && now.status == before.status;
  fesetenv(FE_DFL_ENV);
  return same;
}

// A call in every mode: status as expected, environment as it was.
#define IN_EVERY_MODE(call, wanted) \
  do { \
    for (int mode = 0; mode < MODES; mode++) { \
      state before = set_mode(mode); \
      adaptq_status got = (call); \
      int same = unchanged(before); \
      if (!same) check_fail(__FILE__, __LINE__, "%s changes the environment of mode %d", #call, mode); \
      if (got != (wanted)) \
        check_fail(__FILE__, __LINE__, "%s gives %s in mode %d (%s)", #call, adaptq_status_name(got), mode, \
                   adaptq_last_error()); \
    } \
  } while (0)

static void runs_give_the_same_bits(void) {
  for (int32_t threads = 1; threads <= 3; threads += 2) {
    OPEN_FIXTURE_THREADS(f, threads);
    tensors t;
    adaptq_session *session = fixture_session(&f, &t, 0, 3, 40);
    REQUIRE(session != NULL);
    void *expected = malloc(t.outputs[0].data_size);
    for (int i = 0; i < FIXTURE_LEVELS; i++) {
      if (!(f.levels & fixture_allow[i])) continue;
      adaptq_run_options options = {.struct_size = sizeof options, .level = fixture_level[i]};
      CHECK_STATUS(fixture_run(&f, session, &t, &options, NULL), ADAPTQ_OK);
      memcpy(expected, t.outputs[0].data, t.outputs[0].data_size);
      for (int mode = 0; mode < MODES; mode++) {
        canary_fill(t.outputs[0].data, t.outputs[0].data_size);
        state before = set_mode(mode);
        adaptq_status status = fixture_run(&f, session, &t, &options, NULL);
        int same = unchanged(before);
        CHECK_STATUS(status, ADAPTQ_OK);
        if (!same) check_fail(__FILE__, __LINE__, "mode %d: the environment is changed", mode);
        if (memcmp(expected, t.outputs[0].data, t.outputs[0].data_size) != 0)
          check_fail(__FILE__, __LINE__, "mode %d, %s, %d threads: other bits", mode, adaptq_level_name(options.level),
                     (int)threads);
      }
    }
    free(expected);
    CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
    tensors_free(&f, &t);
    fixture_close(&f);
  }
}

static void making_gives_the_same_bits(void) {
  OPEN_FIXTURE_THREADS(f, 2);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, 0, 1, 12);
  REQUIRE(session != NULL);
  adaptq_run_options options = {.struct_size = sizeof options, .level = fixture_level[fixture_best_level(f.levels)]};
  CHECK_STATUS(fixture_run(&f, session, &t, &options, NULL), ADAPTQ_OK);
  void *expected = malloc(t.outputs[0].data_size);
  memcpy(expected, t.outputs[0].data, t.outputs[0].data_size);
  // Runtime, model, code, plan and workers are all made in an odd mode, by a thread that has it.
  for (int mode = 0; mode < MODES; mode += 5) {
    adaptq_runtime *runtime = NULL;
    adaptq_model *model = NULL;
    adaptq_session *own = NULL;
    adaptq_runtime_options wanted = {.struct_size = sizeof wanted, .threads = 2};
    canary_fill(t.outputs[0].data, t.outputs[0].data_size);
    state before = set_mode(mode);
    adaptq_status s[6];
    s[0] = adaptq_runtime_create(&wanted, &runtime);
    s[1] = adaptq_model_open(runtime, fixture_path(), &model);
    s[2] = adaptq_session_create(model, NULL, &own);
    s[3] = adaptq_session_prepare(own, t.inputs, f.n_inputs);
    s[4] = adaptq_session_set_latency_budget(own, 1000000, 95.5);
    s[5] = adaptq_session_run(own, t.inputs, f.n_inputs, t.outputs, f.n_outputs, &options, NULL);
    int same = unchanged(before);
    CHECK(same);
    for (int i = 0; i < 6; i++) if (s[i] != ADAPTQ_OK) check_fail(__FILE__, __LINE__, "mode %d: call %d", mode, i);
    CHECK(memcmp(expected, t.outputs[0].data, t.outputs[0].data_size) == 0);
    IN_EVERY_MODE(adaptq_session_costs(own, NULL, 0, &(size_t){0}), ADAPTQ_BUFFER_TOO_SMALL);
    CHECK_STATUS(adaptq_session_destroy(own), ADAPTQ_OK);
    CHECK_STATUS(adaptq_model_destroy(model), ADAPTQ_OK);
    CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
  }
  free(expected);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

static void *keep_running(void *argument) {
  void **a = (void **)argument;
  while (!__atomic_load_n((int *)a[3], __ATOMIC_ACQUIRE))
    fixture_run((const fixture *)a[0], (adaptq_session *)a[1], (tensors *)a[2], NULL, NULL);
  return NULL;
}

static void errors_give_it_back(void) {
  OPEN_FIXTURE_THREADS(f, 2);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, 0, 4, 32);
  REQUIRE(session != NULL);
  IN_EVERY_MODE(adaptq_session_run(session, t.inputs, f.n_inputs + 1, t.outputs, f.n_outputs, NULL, NULL),
                ADAPTQ_INVALID_ARGUMENT);
  IN_EVERY_MODE(adaptq_session_run(NULL, t.inputs, f.n_inputs, t.outputs, f.n_outputs, NULL, NULL),
                ADAPTQ_INVALID_HANDLE);
  IN_EVERY_MODE(adaptq_session_prepare(session, NULL, f.n_inputs), ADAPTQ_INVALID_ARGUMENT);
  IN_EVERY_MODE(adaptq_session_set_latency_budget(session, -1, 95), ADAPTQ_OUT_OF_RANGE);
  IN_EVERY_MODE(adaptq_model_open(f.runtime, "/nonexistent", &(adaptq_model *){NULL}), ADAPTQ_NOT_FOUND);
  IN_EVERY_MODE(adaptq_model_open_memory(f.runtime, "junk", 4, &(adaptq_model *){NULL}), ADAPTQ_INVALID_FILE);
  // An index that no table has is found in the middle of a run, by whichever thread.
  for (size_t i = 0; i < f.n_inputs; i++)
    if (f.input[i].type == ADAPTQ_TYPE_INT64 && strstr(f.input[i].name, "ids")) {
      int64_t *ids = (int64_t *)t.inputs[i].data, kept = ids[60];
      ids[60] = INT64_MAX;
      canary_fill(t.outputs[0].data, t.outputs[0].data_size);
      IN_EVERY_MODE(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_INVALID_ARGUMENT);
      CHECK(canary_intact(t.outputs[0].data, t.outputs[0].data_size));
      ids[60] = kept;
      break;
    }
  // Busy: while another thread runs.
  int stop = 0, busy = 0;
  void *arguments[] = {&f, session, &t, &stop};
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, keep_running, arguments) == 0);
  for (int i = 0; i < 100000 && busy < MODES; i++) {
    if (i % 16 == 0) usleep(200);
    state before = set_mode(busy);
    adaptq_status status = adaptq_session_prepare(session, NULL, f.n_inputs);
    int same = unchanged(before);
    CHECK(same);
    CHECK(status == ADAPTQ_BUSY || status == ADAPTQ_INVALID_ARGUMENT);
    busy += status == ADAPTQ_BUSY;
  }
  CHECK_INT(busy, MODES);
  __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
  pthread_join(thread, NULL);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

static void tokenizer_gives_it_back(void) {
  OPEN_FIXTURE(f);
  const char text[] = "Zwei Dinge sind unendlich: das Universum und 3.14159e-310 x 1e308.";
  adaptq_tokenizer *tokenizer = NULL;
  int64_t expected[64], ids[64];
  size_t count = 0, n = 0;
  if (adaptq_tokenizer_create(f.model, &tokenizer) != ADAPTQ_OK) SKIP("the model has no tokenizer");
  CHECK_STATUS(adaptq_tokenizer_encode(tokenizer, text, strlen(text), 0, expected, 64, &count), ADAPTQ_OK);
  for (int mode = 0; mode < MODES; mode++) {
    adaptq_tokenizer *own = NULL;
    state before = set_mode(mode);
    adaptq_status made = adaptq_tokenizer_create(f.model, &own);
    adaptq_status encoded = adaptq_tokenizer_encode(own, text, strlen(text), 0, ids, 64, &n);
    adaptq_status ended = adaptq_tokenizer_destroy(own);
    int same = unchanged(before);
    CHECK(same && made == ADAPTQ_OK && encoded == ADAPTQ_OK && ended == ADAPTQ_OK);
    CHECK(n == count && memcmp(ids, expected, n * sizeof ids[0]) == 0);
  }
  IN_EVERY_MODE(adaptq_tokenizer_encode(tokenizer, "\xff", 1, 0, ids, 64, &n), ADAPTQ_INVALID_ARGUMENT);
  CHECK_STATUS(adaptq_tokenizer_destroy(tokenizer), ADAPTQ_OK);
  fixture_close(&f);
}

// Threads of the host that have modes of their own.
static long disturbed;
static _Thread_local state host_before;
static void host_mode(int inside) {
  static int next;
  if (!inside) host_before = set_mode(__atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) % MODES);
  else if (!unchanged(host_before)) __atomic_fetch_add(&disturbed, 1, __ATOMIC_RELAXED);
}

static void threads_of_the_host(void) {
  NEEDS_MODEL();
  host_pool pool = {0, 0, host_mode};
  adaptq_runtime_options options = {.struct_size = sizeof options,
                                    .parallel_for = host_parallel_for,
                                    .parallel_for_context = &pool,
                                    .parallel_for_threads = 3};
  fixture f;
  tensors t;
  if (!fixture_open_with(&f, &options)) return;
  adaptq_session *session = fixture_session(&f, &t, 0, 2, 30);
  REQUIRE(session != NULL);
  void *expected = malloc(t.outputs[0].data_size);
  adaptq_run_options run = {.struct_size = sizeof run, .level = fixture_level[fixture_best_level(f.levels)], .max_threads = 1};
  CHECK_STATUS(fixture_run(&f, session, &t, &run, NULL), ADAPTQ_OK);
  memcpy(expected, t.outputs[0].data, t.outputs[0].data_size);
  run.max_threads = 0;
  long calls = pool.calls;
  for (int i = 0; i < 5; i++) {
    CHECK_STATUS(fixture_run(&f, session, &t, &run, NULL), ADAPTQ_OK);
    CHECK(memcmp(expected, t.outputs[0].data, t.outputs[0].data_size) == 0);
  }
  CHECK(pool.calls > calls);
  CHECK_INT(disturbed, 0);
  free(expected);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

int main(void) {
  RUN(runs_give_the_same_bits);
  RUN(making_gives_the_same_bits);
  RUN(errors_give_it_back);
  RUN(tokenizer_gives_it_back);
  RUN(threads_of_the_host);
  return check_end();
}
