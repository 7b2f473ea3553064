// How a wrong use is written down: one line that is a test and a row of docs/wrong-use.md at once.
//
//   WRONG(adaptq_model_open, "path not UTF-8", ADAPTQ_INVALID_ARGUMENT, "path is not UTF-8", in.path = "\xff",
//         adaptq_model_open(w.runtime, in.path, &out.model));
//
// function, use, status, part of the message, one statement that makes a good call bad, the call. Before each line `in`
// holds what a good call is made of (see good_inputs) and `out` is a canary with struct_size where one is read. After it
// both must be what they were, except that a constructor's out pointer is NULL. With --table nothing is checked and the
// rows are printed.
#ifndef ADAPTQ_WRONG_USE_MACHINERY_H
#define ADAPTQ_WRONG_USE_MACHINERY_H

#include <math.h>
#include <pthread.h>
#include <sched.h>

#include "../fixture.h"

#ifndef ADAPTQ_TESTS
#define ADAPTQ_TESTS "Tests"
#endif

enum { WIDTH = 32, BATCH = 2, LENGTH = 8, N = 40, K = 100, GROUPS = 2, ROWS = 3 };

// Live handles, and dead ones of each kind.
static struct {
  adaptq_runtime *runtime, *dead_runtime;
  adaptq_model *model, *audio, *growing, *dead_model;
  adaptq_session *session, *fresh, *listening, *shadowing, *dead_session;
  adaptq_tokenizer *tokenizer, *dead_tokenizer;
  adaptq_matrix *matrix, *lean, *dead_matrix;
  adaptq_matrix_file *file, *dead_file;
  adaptq_group *group, *dead_group;
  char path[512];
} w;

static float weights[N * K], bias[N], rows_x[ROWS * K], residual[ROWS * N], scales[ROWS * GROUPS];
static int8_t codes[ROWS * K];
static int64_t ids[BATCH * LENGTH], mask[BATCH * LENGTH];
static char workspace[1 << 16] __attribute__((aligned(64)));
static unsigned char small_file[1 << 16];
static size_t small_size;

// What a good call is made of.
typedef struct {
  adaptq_runtime_options runtime;
  adaptq_telemetry_file_options telemetry_file;
  adaptq_session_options session;
  adaptq_run_options run;
  adaptq_shadow_options shadow;
  adaptq_tensor max_inputs[2], inputs[2], outputs[1];
  adaptq_matrix_options matrix;
  adaptq_matrix_open_options open;
  adaptq_multiply multiply;
  adaptq_group_options group;
  adaptq_power_budget power;
  adaptq_budget budget;
  adaptq_matrix *matrices[2];
  const char *path;
  int64_t ids[BATCH * LENGTH];
  void *handle;
} good_call;
static good_call in, in_before;

// Where functions write.
typedef struct {
  void *handle;
  size_t count;
  uint32_t levels;
  int32_t number;
  const char *text, *text2;
  adaptq_tensor_info tensor_info;
  adaptq_site_info site_info;
  adaptq_tensor shape;
  adaptq_run_report report;
  adaptq_level_cost costs[8];
  adaptq_plan_info plans[10];
  adaptq_limit_report limit;
  adaptq_power_budget power_budget;
  adaptq_prepare_info prepare;
  adaptq_telemetry telemetry[8];
  adaptq_shadow_report shadow;
  adaptq_site_drift drift[4];
  adaptq_level site_levels[8];
  adaptq_tokenizer_info tokenizer_info;
  adaptq_matrix_info matrix_info;
  adaptq_group_plan group_plans[64];
  adaptq_frame_report frame;
  adaptq_memory memory;
  adaptq_option_info option;
  adaptq_machine_info machine;
  adaptq_power_info power;
  adaptq_level_kernels kernels;
  int32_t cpus[8];
  char json[64];
  int64_t ids[16];
  float y[ROWS * N];
  int8_t codes[ROWS * K];
  float scales[ROWS * GROUPS];
  unsigned char state[4096];
} results;
static results out, out_before;

static void tensor(adaptq_tensor *t, adaptq_type type, int rank, int64_t a, int64_t b, void *data) {
  memset(t, 0, sizeof *t);
  t->struct_size = sizeof *t;
  t->type = type;
  t->rank = rank;
  t->sizes[0] = a;
  t->sizes[1] = b;
  t->data = data;
  t->data_size = (size_t)(a * b) * (type == ADAPTQ_TYPE_INT64 ? 8 : 4);
}

static void good_inputs(void) {
  memset(&in, 0, sizeof in);
  in.runtime.struct_size = sizeof in.runtime;
  in.telemetry_file.struct_size = sizeof in.telemetry_file;
  in.session.struct_size = sizeof in.session;
  in.run.struct_size = sizeof in.run;
  in.shadow.struct_size = sizeof in.shadow;
  memcpy(in.ids, ids, sizeof ids);
  tensor(&in.max_inputs[0], ADAPTQ_TYPE_INT64, 2, BATCH, LENGTH, NULL);
  tensor(&in.max_inputs[1], ADAPTQ_TYPE_INT64, 2, BATCH, LENGTH, NULL);
  tensor(&in.inputs[0], ADAPTQ_TYPE_INT64, 2, BATCH, LENGTH, in.ids);
  tensor(&in.inputs[1], ADAPTQ_TYPE_INT64, 2, BATCH, LENGTH, mask);
  tensor(&in.outputs[0], ADAPTQ_TYPE_FLOAT32, 2, BATCH, WIDTH, out.y);
  in.matrix.struct_size = sizeof in.matrix;
  in.matrix.n = N;
  in.matrix.k = K;
  in.matrix.weights = weights;
  in.matrix.bias = bias;
  in.matrix.keep = ADAPTQ_ALLOW_FP32 | ADAPTQ_ALLOW_FP16;
  in.open.struct_size = sizeof in.open;
  in.multiply.struct_size = sizeof in.multiply;
  in.multiply.level = ADAPTQ_LEVEL_INT8;
  in.multiply.rows = ROWS;
  in.multiply.x = rows_x;
  in.multiply.y = out.y;
  in.group.struct_size = sizeof in.group;
  in.group.max_rows = ROWS;
  in.power.struct_size = sizeof in.power;
  in.budget.struct_size = sizeof in.budget;
  in.budget.latency_ns = 1000000000;
  in.power.power_mw = 1000;
  in.power.active_mw = 500;
  in.matrices[0] = w.matrix;
  in.matrices[1] = w.lean;
  in.path = w.path;
}

static void clean_results(void) {
  canary_fill(&out, sizeof out);
  out.tensor_info.struct_size = sizeof out.tensor_info;
  out.site_info.struct_size = sizeof out.site_info;
  out.shape.struct_size = sizeof out.shape;
  out.report.struct_size = sizeof out.report;
  out.costs[0].struct_size = sizeof out.costs[0];
  out.plans[0].struct_size = sizeof out.plans[0];
  out.limit.struct_size = sizeof out.limit;
  out.power_budget.struct_size = sizeof out.power_budget;
  out.prepare.struct_size = sizeof out.prepare;
  out.telemetry[0].struct_size = sizeof out.telemetry[0];
  out.shadow.struct_size = sizeof out.shadow;
  out.drift[0].struct_size = sizeof out.drift[0];
  out.tokenizer_info.struct_size = sizeof out.tokenizer_info;
  out.matrix_info.struct_size = sizeof out.matrix_info;
  out.group_plans[0].struct_size = sizeof out.group_plans[0];
  out.frame.struct_size = sizeof out.frame;
  out.memory.struct_size = sizeof out.memory;
  out.option.struct_size = sizeof out.option;
  out.machine.struct_size = sizeof out.machine;
  out.power.struct_size = sizeof out.power;
  out.kernels.struct_size = sizeof out.kernels;
}

static int is_table;
static long wrong_uses;
static const char *wrong_test;
static int wrong_number;

static const char *case_function, *case_use, *case_part;

#define TICKED(text, is_code) (is_code) ? "`" : "", text, (is_code) ? "`" : ""
static int wrong_begin(const char *function, const char *use, const char *status, const char *part) {
  wrong_uses++;
  wrong_number++;
  case_function = function;
  case_use = use;
  case_part = part;
  if (is_table)
    printf("| `%s` | %s | %s%s%s | %s%s%s | `%s` %d |\n", function, use, TICKED(status, strstr(status, "ADAPTQ_")),
           TICKED(part, part[0] && strcmp(status, "ADAPTQ_OK") != 0), wrong_test, wrong_number);
  good_inputs();
  clean_results();
  return !is_table;
}

static int ends_with(const char *text, const char *end) {
  size_t a = strlen(text), b = strlen(end);
  return a >= b && strcmp(text + a - b, end) == 0;
}

static int makes_handle(const char *function) {
  return ends_with(function, "_create") || strstr(function, "_open") != NULL;
}

static void wrong_check(const char *file, int line, adaptq_status status, adaptq_status wanted) {
  const char *text = adaptq_last_error();
  if (status != wanted) {
    check_fail(file, line, "%s, %s: gives %s, expected %s (\"%s\")", case_function, case_use,
               adaptq_status_name(status), adaptq_status_name(wanted), text);
    return;
  }
  if (status == ADAPTQ_OK) return;
  if (text[0] == 0 || !strstr(text, case_part))
    check_fail(file, line, "%s, %s: the text is \"%s\", expected \"%s\" in it", case_function, case_use, text,
               case_part);
  if (makes_handle(case_function)) {
    if (out.handle != NULL && out.handle != out_before.handle)
      check_fail(file, line, "%s, %s: *out is %p", case_function, case_use, out.handle);
    out.handle = out_before.handle;
  }
  if (status == ADAPTQ_BUFFER_TOO_SMALL) {
    out.count = out_before.count;
    out.report.needed_bytes = out_before.report.needed_bytes;
    out.report.needed_index = out_before.report.needed_index;
  }
  if (memcmp(&out, &out_before, sizeof out) != 0) {
    size_t at = 0;
    while (((unsigned char *)&out)[at] == ((unsigned char *)&out_before)[at]) at++;
    check_fail(file, line, "%s, %s: writes to an output (byte %zu of results)", case_function, case_use, at);
  }
  if (memcmp(&in, &in_before, sizeof in) != 0)
    check_fail(file, line, "%s, %s: writes to an input", case_function, case_use);
}

#define WRONG(function, use, status, part, setup, ...) \
  do { \
    if (wrong_begin(#function, use, #status, part)) { \
      setup; \
      out_before = out; \
      in_before = in; \
      wrong_check(__FILE__, __LINE__, (__VA_ARGS__), status); \
    } \
  } while (0)

// A use that looks wrong and is allowed: its status is ADAPTQ_OK, its text in the table says what happens.
#define HARMLESS(function, use, what, setup, ...) WRONG(function, use, ADAPTQ_OK, what, setup, __VA_ARGS__)

// A function without a status: the condition says what it answers.
#define ANSWERS(function, use, what, condition) \
  do { \
    if (wrong_begin(#function, use, "no status", what) && !(condition)) \
      check_fail(__FILE__, __LINE__, "%s, %s: expected %s", #function, use, #condition); \
  } while (0)

// Every wrong handle of a kind; the call uses in.handle.
#define WRONG_HANDLES(function, type, dead, ...) \
  do { \
    WRONG(function, #type " NULL", ADAPTQ_INVALID_HANDLE, #type " NULL is not a live handle", in.handle = NULL, __VA_ARGS__); \
    WRONG(function, #type " destroyed", ADAPTQ_INVALID_HANDLE, "is not a live handle", in.handle = dead, __VA_ARGS__); \
    WRONG(function, #type " is a handle of another kind", ADAPTQ_INVALID_HANDLE, "is not a live handle", \
          in.handle = (void *)dead == (void *)w.dead_tokenizer ? (void *)w.model : (void *)w.tokenizer, __VA_ARGS__); \
    WRONG(function, #type " is an address", ADAPTQ_INVALID_HANDLE, "is not a live handle", in.handle = &in, __VA_ARGS__); \
    WRONG(function, #type " with flipped bits", ADAPTQ_INVALID_HANDLE, "is not a live handle", \
          in.handle = (void *)((uintptr_t)w.runtime ^ UINT64_C(0x7000000)), __VA_ARGS__); \
  } while (0)

// Every wrong struct_size of a struct; `field` is its struct_size.
#define WRONG_STRUCT_SIZES(function, type, field, ...) \
  do { \
    WRONG(function, #type ".struct_size 0", ADAPTQ_INVALID_ARGUMENT, #type ".struct_size is 0", field = 0, __VA_ARGS__); \
    WRONG(function, #type ".struct_size 8", ADAPTQ_INVALID_ARGUMENT, #type ".struct_size is 8", field = 8, __VA_ARGS__); \
    WRONG(function, #type ".struct_size 8 above what is known", ADAPTQ_INVALID_ARGUMENT, #type ".struct_size is ", \
          field = sizeof(type) + 8, __VA_ARGS__); \
    WRONG(function, #type ".struct_size huge", ADAPTQ_INVALID_ARGUMENT, \
          #type ".struct_size is 18446744073709551615", field = SIZE_MAX, __VA_ARGS__); \
  } while (0)

// The struct moved to an odd address; for use in a call.
static unsigned char odd_memory[512];
static void *odd(const void *source, size_t size) {
  memcpy(odd_memory + 1, source, size);
  return odd_memory + 1;
}
#define ODD(object) odd(&(object), sizeof(object))

// Runs `body` while w.session is busy: inside a run, from its trace callback, and inside a prepare, from the log callback of its
// runtime. `when` says which.
static const char *when;
static void (*during)(void);
static int during_calls;
static void call_during(void) {
  void (*body)(void) = during;
  during = NULL;
  if (!body) return;
  during_calls++;
  body();
}
static void log_callback(void *context, int32_t level, const char *message) {
  (void)context, (void)level;
  if (strstr(message, "prepared")) call_during();
}
static void trace_callback(void *context, const adaptq_trace_event *event) {
  (void)context;
  if (event->step == 1) call_during();
}

static void while_busy(void (*body)(void)) {
  if (is_table) {
    when = "during a run";
    body();
    when = "during a prepare";
    body();
    return;
  }
  adaptq_tensor inputs[2], outputs[1];
  static float y[BATCH * WIDTH];
  tensor(&inputs[0], ADAPTQ_TYPE_INT64, 2, BATCH, LENGTH, ids);
  tensor(&inputs[1], ADAPTQ_TYPE_INT64, 2, BATCH, LENGTH, mask);
  tensor(&outputs[0], ADAPTQ_TYPE_FLOAT32, 2, BATCH, WIDTH, y);
  int before = during_calls;
  CHECK_STATUS(adaptq_session_set_trace(w.session, trace_callback, NULL), ADAPTQ_OK);
  when = "during a run";
  during = body;
  CHECK_STATUS(adaptq_session_run(w.session, inputs, 2, outputs, 1, NULL, NULL), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_set_trace(w.session, NULL, NULL), ADAPTQ_OK);
  when = "during a prepare";
  during = body;
  CHECK_STATUS(adaptq_session_prepare(w.session, inputs, 2), ADAPTQ_OK);
  CHECK_INT(during_calls, before + 2);
}

#define WRONG_RUN(test) \
  do { \
    wrong_test = #test; \
    wrong_number = 0; \
    if (is_table) test(); \
    else RUN(test); \
  } while (0)

static int open_world(void) {
  FILE *file = fopen(getenv("ADAPTQ_TEST_SMALL_MODEL") ? getenv("ADAPTQ_TEST_SMALL_MODEL") : "", "rb");
  if (!file) return 0;
  small_size = fread(small_file, 1, sizeof small_file, file);
  fclose(file);
  snprintf(w.path, sizeof w.path, "%s", getenv("ADAPTQ_TEST_SMALL_MODEL"));
  uint64_t state = 7;
  for (int i = 0; i < N * K; i++) weights[i] = (float)(check_random(&state) % 2001) / 1000.0f - 1;
  for (int i = 0; i < N; i++) bias[i] = (float)i / 10;
  for (int i = 0; i < ROWS * K; i++) rows_x[i] = (float)(check_random(&state) % 2001) / 1000.0f - 1;
  for (int i = 0; i < ROWS * N; i++) residual[i] = 1;
  for (int i = 0; i < ROWS * GROUPS; i++) scales[i] = 0.01f;
  for (int i = 0; i < ROWS * K; i++) codes[i] = (int8_t)(check_random(&state) % 255);
  for (int i = 0; i < BATCH * LENGTH; i++) ids[i] = (int64_t)(check_random(&state) % 11), mask[i] = 1;

  good_inputs();
  clean_results();
  adaptq_runtime_options options = in.runtime;
  options.log = log_callback;
  options.log_level = ADAPTQ_LOG_INFO;
  adaptq_matrix_options lean = in.matrix;
  lean.keep = 0;
  lean.name = "lean";
  const adaptq_session_options shadowing = {.struct_size = sizeof shadowing, .shadow = 1};
  int ok = adaptq_runtime_create(&options, &w.runtime) == ADAPTQ_OK &&
           adaptq_runtime_create(NULL, &w.dead_runtime) == ADAPTQ_OK &&
           adaptq_model_open(w.runtime, w.path, &w.model) == ADAPTQ_OK &&
           adaptq_model_open(w.runtime, w.path, &w.dead_model) == ADAPTQ_OK &&
           adaptq_model_open(w.runtime, ADAPTQ_TESTS "/ABI/audio.adaptq", &w.audio) == ADAPTQ_OK &&
           adaptq_model_open(w.runtime, ADAPTQ_TESTS "/ABI/growing.adaptq", &w.growing) == ADAPTQ_OK &&
           adaptq_session_create(w.model, NULL, &w.session) == ADAPTQ_OK &&
           adaptq_session_create(w.model, NULL, &w.fresh) == ADAPTQ_OK &&
           adaptq_session_create(w.audio, NULL, &w.listening) == ADAPTQ_OK &&
           adaptq_session_create(w.model, &shadowing, &w.shadowing) == ADAPTQ_OK &&
           adaptq_session_prepare(w.shadowing, in.max_inputs, 2) == ADAPTQ_OK &&
           adaptq_session_create(w.model, NULL, &w.dead_session) == ADAPTQ_OK &&
           adaptq_session_prepare(w.session, in.max_inputs, 2) == ADAPTQ_OK &&
           adaptq_tokenizer_create(w.model, &w.tokenizer) == ADAPTQ_OK &&
           adaptq_tokenizer_create(w.model, &w.dead_tokenizer) == ADAPTQ_OK &&
           adaptq_matrix_create(w.runtime, &in.matrix, &w.matrix) == ADAPTQ_OK &&
           adaptq_matrix_create(w.runtime, &in.matrix, &w.dead_matrix) == ADAPTQ_OK &&
           adaptq_matrix_create(w.runtime, &lean, &w.lean) == ADAPTQ_OK;
  char saved[600];
  snprintf(saved, sizeof saved, "%s.matrices", w.path);
  adaptq_matrix *const both[] = {w.matrix, w.lean};
  ok = ok && adaptq_matrix_save(both, 2, saved) == ADAPTQ_OK &&
       adaptq_matrix_file_open(w.runtime, saved, &w.file) == ADAPTQ_OK &&
       adaptq_matrix_file_open(w.runtime, saved, &w.dead_file) == ADAPTQ_OK &&
       adaptq_group_create(w.runtime, both, 2, &in.group, &w.group) == ADAPTQ_OK &&
       adaptq_group_create(w.runtime, both, 2, &in.group, &w.dead_group) == ADAPTQ_OK &&
       adaptq_group_destroy(w.dead_group) == ADAPTQ_OK &&
       adaptq_runtime_destroy(w.dead_runtime) == ADAPTQ_OK && adaptq_model_destroy(w.dead_model) == ADAPTQ_OK &&
       adaptq_session_destroy(w.dead_session) == ADAPTQ_OK && adaptq_tokenizer_destroy(w.dead_tokenizer) == ADAPTQ_OK &&
       adaptq_matrix_destroy(w.dead_matrix) == ADAPTQ_OK && adaptq_matrix_file_destroy(w.dead_file) == ADAPTQ_OK;
  remove(saved);
  if (!ok) printf("no world: %s\n", adaptq_last_error());
  return ok;
}

static void close_world(void) {
  CHECK_STATUS(adaptq_runtime_destroy(w.runtime), ADAPTQ_OK);
  CHECK_STATUS(adaptq_model_destroy(w.model), ADAPTQ_OK);
  CHECK_STATUS(adaptq_model_destroy(w.audio), ADAPTQ_OK);
  CHECK_STATUS(adaptq_model_destroy(w.growing), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_destroy(w.session), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_destroy(w.fresh), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_destroy(w.listening), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_destroy(w.shadowing), ADAPTQ_OK);
  CHECK_STATUS(adaptq_tokenizer_destroy(w.tokenizer), ADAPTQ_OK);
  CHECK_STATUS(adaptq_matrix_destroy(w.matrix), ADAPTQ_OK);
  CHECK_STATUS(adaptq_matrix_destroy(w.lean), ADAPTQ_OK);
  CHECK_STATUS(adaptq_matrix_file_destroy(w.file), ADAPTQ_OK);
  CHECK_STATUS(adaptq_group_destroy(w.group), ADAPTQ_OK);
}

#endif
