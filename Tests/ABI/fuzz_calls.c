// Random calls, right and wrong ones mixed, from several threads at once, over every function of the header.
//
//   fuzz_calls [--calls N] [--threads N] [--seed N] [--functions]
//
// Arguments come from pools of good and bad handles, struct sizes, enum values, sizes and strides; never pointers that the
// contract excludes. Outputs lie between guard bytes. Found are: a crash, what a sanitizer reports, a status outside the
// header's list, ADAPTQ_INTERNAL_ERROR, a failure without a text, a byte written beside an output. The same seed makes the
// same calls in each thread; how the threads interleave is the system's choice.
//
// --functions lists the functions called, which run.sh compares with the header. ADAPTQ_TEST_SMALL_MODEL as for
// test_wrong_use.
#define _GNU_SOURCE
#include "fuzz/calls.h"

// One line per function: name without "adaptq_", how often relative to the others. `names` stands for all that cannot fail.
static struct {
  const char *name;
  adaptq_status (*call)(void);
  int weight;
  _Atomic long calls, ok;
} functions[] = {
#define F(name, weight) {#name, name, weight, 0, 0}
    F(names, 20), F(option_describe, 20), F(runtime_create, 4), F(runtime_threads, 20), F(runtime_machine, 2),
    F(runtime_thread_cpus, 2), F(runtime_level_kernels, 2), F(runtime_probe_json, 2), F(runtime_poll, 2), F(runtime_power, 10),
    F(runtime_telemetry_file, 4), F(runtime_destroy, 2), F(model_open, 2),
    F(model_open_memory, 4), F(model_open_fd, 2), F(model_open_callback, 2), F(model_destroy, 2),
    F(model_input_count, 20), F(model_output_count, 20), F(model_site_count, 20), F(model_levels, 20),
    F(model_input, 40), F(model_output, 40), F(model_site, 40), F(model_metadata_count, 20), F(model_metadata, 40),
    F(model_metadata_find, 40), F(model_memory, 40), F(session_create, 6), F(session_destroy, 3), F(session_prepare, 8),
    F(session_output_shape, 60), F(session_run, 120), F(session_cancel, 20), F(session_set_trace, 10),
    F(session_memory, 30), F(session_reset_state, 20), F(session_state_save, 30), F(session_state_restore, 30),
    F(session_set_level, 30), F(session_set_allowed_levels, 30), F(session_set_latency_budget, 30), F(session_costs, 30),
    F(session_prepare_info, 30), F(session_export_costs, 20), F(session_import_costs, 20),
    F(session_plans, 30), F(session_plan_sites, 30), F(session_set_quality_floor, 30),
    F(session_set_budget, 30), F(session_set_power_budget, 30), F(session_power_budget, 20), F(session_shadow, 30),
    F(session_report_quality, 30), F(session_drift, 20),
    F(session_telemetry, 30), F(session_telemetry_sites, 30), F(tokenizer_create, 4), F(tokenizer_destroy, 2),
    F(tokenizer_get_info, 40), F(tokenizer_encode, 60), F(matrix_create, 8), F(matrix_destroy, 4), F(matrix_get_info, 40),
    F(matrix_multiply, 120), F(matrix_workspace_size, 30), F(matrix_quantize, 60), F(matrix_save, 1),
    F(matrix_file_open, 2), F(matrix_file_open_memory, 2), F(matrix_file_destroy, 1), F(matrix_file_count, 20),
    F(matrix_file_name, 30), F(matrix_open, 4), F(group_create, 4), F(group_destroy, 2), F(group_set_latency_budget, 20),
    F(group_set_power_budget, 20), F(group_set_deadline, 20), F(group_set_level, 20), F(group_plans, 20), F(group_plan_levels, 20), F(group_begin, 60), F(group_multiply, 120),
    F(group_end, 60), F(group_abandon, 10),
#undef F
};
enum { N_FUNCTIONS = sizeof functions / sizeof functions[0] };
static int total_weight;

static void complain(const char *name, const char *what, adaptq_status status) {
  if (me->error[0]) return;
  snprintf(me->error, sizeof me->error, "thread %d, call %ld, %s: %s (status %d, \"%.200s\")", me->number, me->calls, name,
           what, status, adaptq_last_error());
}

static int is_known(adaptq_status s) {
  return s != ADAPTQ_INTERNAL_ERROR && strcmp(adaptq_status_name(s), "ADAPTQ_UNKNOWN_STATUS") != 0;
}

static void some_call(int from_callback) {
  int at = (int)below((uint64_t)total_weight), f = 0;
  while (at >= functions[f].weight) at -= functions[f++].weight;
  // A callback stands in the middle of another call that uses this thread's memory: only calls that leave it alone.
  if (from_callback) {
    adaptq_status (*const calls[])(void) = {session_destroy, session_cancel, model_destroy, matrix_destroy, runtime_destroy,
                                            session_set_level, session_reset_state, session_create, tokenizer_create};
    adaptq_status status = calls[below(9)]();
    if (!is_known(status)) complain("a call in a callback", "unexpected status", status);
    return;
  }
  me->is_good = rarely(2);
  adaptq_status status = functions[f].call();
  atomic_fetch_add_explicit(&functions[f].calls, 1, memory_order_relaxed);
  if (status == ADAPTQ_OK) atomic_fetch_add_explicit(&functions[f].ok, 1, memory_order_relaxed);
  me->calls++;
  if (!is_known(status)) complain(functions[f].name, "unexpected status", status);
  if (status != ADAPTQ_OK && adaptq_last_error()[0] == 0) complain(functions[f].name, "no text", status);
  if (!canary_intact(me->out_guarded, GUARD) || !canary_intact(me->out_guarded + GUARD + BYTES, GUARD))
    complain(functions[f].name, "wrote beside an output", status);
}

static long calls_per_thread;
static void *work(void *argument) {
  me = argument;
  canary_fill(me->out_guarded, sizeof me->out_guarded);
  while (me->calls < calls_per_thread && !me->error[0]) {
    if (rarely(50)) for (int i = 0; i < BYTES; i += 8) memcpy(me->in + i, &(uint64_t){next() % 11}, 8);
    some_call(0);
  }
  return NULL;
}

static long wanted_calls = 20000, wanted_threads = 4;
static uint64_t seed = 1;

// Some handles of each kind to begin with.
static void fill_pool(void) {
  for (int i = 0; i < 2; i++) {
    adaptq_runtime *runtime = NULL;
    adaptq_model *model = NULL;
    adaptq_session *session = NULL;
    adaptq_tokenizer *tokenizer = NULL;
    adaptq_matrix *matrix = NULL;
    adaptq_tensor tensors[2];
    adaptq_matrix_options options = {.struct_size = sizeof options, .n = 40, .k = 80, .weights = weights};
    memset(tensors, 0, sizeof tensors);
    for (int k = 0; k < 2; k++) {
      tensors[k].struct_size = sizeof tensors[k];
      tensors[k].type = ADAPTQ_TYPE_INT64;
      tensors[k].rank = 2;
      tensors[k].sizes[0] = 3;
      tensors[k].sizes[1] = 16;
    }
    REQUIRE_OK(adaptq_runtime_create(NULL, &runtime));
    REQUIRE_OK(adaptq_model_open(runtime, i ? ADAPTQ_TESTS "/ABI/audio.adaptq" : small_path, &model));
    REQUIRE_OK(adaptq_session_create(model, NULL, &session));
    if (i == 0) {
      REQUIRE_OK(adaptq_session_prepare(session, tensors, 2));
      REQUIRE_OK(adaptq_tokenizer_create(model, &tokenizer));
    }
    REQUIRE_OK(adaptq_matrix_create(runtime, &options, &matrix));
    void *const made[] = {runtime, model, session, tokenizer, matrix};
    for (int kind = 0; kind < FILES; kind++) pool[kind][i] = (uintptr_t)made[kind];
  }
}

static void random_calls(void) {
  snprintf(small_path, sizeof small_path, "%s", getenv("ADAPTQ_TEST_SMALL_MODEL") ? getenv("ADAPTQ_TEST_SMALL_MODEL") : "");
  small_file = read_whole_file(small_path, &small_size);
  audio_file = read_whole_file(ADAPTQ_TESTS "/ABI/audio.adaptq", &audio_size);
  small_fd = open(small_path, O_RDONLY | O_CLOEXEC);
  REQUIRE(small_file && audio_file && small_fd >= 0);
  uint64_t state = seed;
  for (size_t i = 0; i < sizeof weights / sizeof weights[0]; i++)
    weights[i] = (float)(check_random(&state) % 2001) / 1000.0f - 1;
  for (int i = 0; i < N_FUNCTIONS; i++) total_weight += functions[i].weight;
  fill_pool();
  calls_per_thread = (wanted_calls + wanted_threads - 1) / wanted_threads;
  static worker workers[MOST_THREADS];
  pthread_t threads[MOST_THREADS];
  for (int i = 0; i < wanted_threads; i++) {
    workers[i].number = i;
    workers[i].random = seed * 1000 + (uint64_t)i;
    // In memory where possible: saving waits for the disk.
    const char *folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm/adaptq" : small_path;
    snprintf(workers[i].path, sizeof workers[i].path, "%s.fuzz%ld.%d", folder, (long)getpid(), i);
    REQUIRE(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
  }
  long calls = 0, ok = 0;
  for (int i = 0; i < wanted_threads; i++) {
    pthread_join(threads[i], NULL);
    remove(workers[i].path);
    if (workers[i].error[0]) check_fail(__FILE__, __LINE__, "seed %" PRIu64 ": %s", seed, workers[i].error);
  }
  for (int i = 0; i < N_FUNCTIONS; i++) {
    calls += functions[i].calls;
    ok += functions[i].ok;
    if (functions[i].ok == 0 && wanted_calls >= 100000)
      check_fail(__FILE__, __LINE__, "seed %" PRIu64 ": of %ld calls of %s none succeeded", seed, functions[i].calls,
                 functions[i].name);
  }
  me = &workers[0];
  for (int kind = KINDS - 1; kind >= 0; kind--)
    for (int i = 0; i < SLOTS; i++) destroy((enum kind)kind, (void *)pool[kind][i]);
  CHECK(n_late < MOST_LATE);
  // Only sessions and matrices are ever busy.
  for (long i = 0; i < n_late; i++)
    if (destroy(SESSION, late[i]) != ADAPTQ_OK) destroy(MATRIX, late[i]);
  close(small_fd);
  free(small_file);
  free(audio_file);
  printf("  seed %" PRIu64 ": %ld calls of %d functions from %ld threads, %ld succeeded\n", seed, calls, N_FUNCTIONS,
         wanted_threads, ok);
  if (getenv("ADAPTQ_FUZZ_VERBOSE"))
    for (int i = 0; i < N_FUNCTIONS; i++)
      printf("  %-28s %8ld calls %8ld ok\n", functions[i].name, functions[i].calls, functions[i].ok);
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--functions") == 0) {
      for (int f = 1; f < N_FUNCTIONS; f++) printf("adaptq_%s\n", functions[f].name);
      puts("adaptq_status_name\nadaptq_level_name\nadaptq_reason_name\nadaptq_quality_source_name\nadaptq_last_error\nadaptq_version_string\n"
           "adaptq_version_number\nadaptq_option_count\nadaptq_has_feature");
      return 0;
    }
    if (i + 1 == argc) continue;
    if (strcmp(argv[i], "--calls") == 0) wanted_calls = atol(argv[i + 1]);
    if (strcmp(argv[i], "--threads") == 0) wanted_threads = atol(argv[i + 1]);
    if (strcmp(argv[i], "--seed") == 0) seed = strtoull(argv[i + 1], NULL, 10);
  }
  if (wanted_threads < 1 || wanted_threads > MOST_THREADS) wanted_threads = 4;
  RUN(random_calls);
  return check_end();
}
