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
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "fixture.h"

#ifndef ADAPTQ_TESTS
#define ADAPTQ_TESTS "Tests"
#endif

enum { SLOTS = 6, MOST_THREADS = 16, GUARD = 64, BYTES = 1 << 16 };
enum kind { RUNTIME, MODEL, SESSION, TOKENIZER, MATRIX, FILES, KINDS };

static _Atomic uintptr_t pool[KINDS][SLOTS];
enum { MOST_LATE = 200000 };
static void *late[MOST_LATE];
static _Atomic long n_late;
static char small_path[512], *small_file, *audio_file;
static size_t small_size, audio_size;
static int small_fd;
static float weights[80 * 160];

typedef struct {
  uint64_t random;
  int number, depth, is_good;
  long calls, ok, failed;
  char path[600], error[400];
  // Where calls read and write; guard bytes around each.
  unsigned char out_guarded[GUARD + BYTES + GUARD], in[BYTES];
} worker;
static _Thread_local worker *me;

static uint64_t next(void) { return check_random(&me->random); }
static uint64_t below(uint64_t n) { return next() % n; }
static int rarely(int n) { return below((uint64_t)n) == 0; }
// Like rarely, for what makes a call wrong: never in the half of all calls that are meant to succeed.
static int wrongly(int n) { return !me->is_good && rarely(n); }
static void *output(void) { return me->out_guarded + GUARD; }
static void *odd_output(void) { return me->out_guarded + GUARD + (rarely(4) ? 1 : 0); }

/* ------------------------------------------------------------------------------------------------------ arguments */

static void *handle(enum kind kind) {
  switch (me->is_good ? 99 : below(24)) {
    case 0: return NULL;
    case 1: return (void *)(uintptr_t)next();
    case 2: return (void *)(uintptr_t)(UINT64_C(0xADA5) << 48 | (next() & UINT64_C(0xFFFFFFFFFFFF)));
    case 3: kind = (enum kind)below(KINDS); break;
    case 4: return (void *)(pool[kind][below(SLOTS)] ^ UINT64_C(1) << below(64));
    default: break;
  }
  for (int i = 0; i < 8; i++) {
    void *found = (void *)pool[kind][below(SLOTS)];
    if (found) return found;
  }
  return NULL;
}

// A new handle goes where there is room; else the one that was there is destroyed.
static adaptq_status destroy(enum kind kind, void *handle);
static void keep(enum kind kind, void *made) {
  if (!made) return;
  uintptr_t before = atomic_exchange(&pool[kind][below(SLOTS)], (uintptr_t)made);
  // Busy: in use at this moment by another thread, or by the call around this one. Destroyed at the end, so that what a
  // sanitizer then calls a leak is one.
  if (before && destroy(kind, (void *)before) == ADAPTQ_BUSY) {
    long place = atomic_fetch_add(&n_late, 1);
    if (place < MOST_LATE) late[place] = (void *)before;
  }
}

static size_t struct_size(size_t right) {
  static const size_t wrong[] = {0, 1, 7, 8, 16, 4096, SIZE_MAX, SIZE_MAX / 2 + 1};
  if (!wrongly(8)) return right;
  switch (below(4)) {
    case 0: return right - 8;
    case 1: return right + 8;
    case 2: return right - 1;
    default: return wrong[below(sizeof wrong / sizeof wrong[0])];
  }
}
static int32_t number32(int32_t limit) {
  static const int32_t odd[] = {-1, INT32_MIN, INT32_MAX, 64, 99, 256 + 8};
  return wrongly(8) ? odd[below(sizeof odd / sizeof odd[0])] : (int32_t)below((uint64_t)limit + 1);
}
static int64_t number64(int64_t limit) {
  static const int64_t odd[] = {-1, 0, INT64_MIN, INT64_MAX, INT64_C(1) << 62, INT64_C(1) << 45, INT64_MIN / 2};
  return wrongly(8) ? odd[below(sizeof odd / sizeof odd[0])] : (int64_t)below((uint64_t)limit + 1);
}
// Rows and strides up to `limit`, or what can only be refused: a size between would name memory that is not there.
static int64_t distance(int64_t limit) {
  static const int64_t odd[] = {-1, INT64_MIN, INT64_MAX, INT64_C(1) << 62, INT64_MIN / 2};
  return wrongly(8) ? odd[below(sizeof odd / sizeof odd[0])] : (int64_t)below((uint64_t)limit + 1);
}
static adaptq_level level(void) {
  static const adaptq_level good[] = {0, 2, 4, 6, 8, 16, 32};
  return wrongly(8) ? number32(40) : good[below(7)];
}
static size_t index_or_count(size_t limit) { return wrongly(6) ? (size_t)number64(1000) : below(limit + 1); }
static const char *text(void) {
  static const char *const texts[] = {"",     "a b c", "\xff\xfe", "smalls",       "/no/such/file", "/",
                                      "lean", "\xc3\xa4", "author", "a\xcc\x88 model", "open-fd",       "/dev/null"};
  return wrongly(12) ? NULL : texts[below(sizeof texts / sizeof texts[0])];
}
static const char *path(void) {
  if (wrongly(3)) return text();
  return rarely(2) ? small_path : rarely(2) || me->is_good ? ADAPTQ_TESTS "/ABI/audio.adaptq" : me->path;
}

// `count` tensors for a model that has two inputs of int64 [batch, sequence], or what the audio model reads; data of right
// size or too small, never too large.
static void fill_tensors(adaptq_tensor *t, size_t count, unsigned char *data, int is_output, int for_prepare,
                         void *session) {
  // Largest sizes for prepare, so that most runs fit.
  int64_t batch = for_prepare ? 3 : 1 + (int64_t)below(3), length = for_prepare ? 16 : 1 + (int64_t)below(16);
  int audio = rarely(3);
  size_t saved = 0;
  // The model of a session: only the audio model has states, which need more than a header.
  if (me->is_good && adaptq_session_state_save(session, NULL, 0, &saved) == ADAPTQ_BUFFER_TOO_SMALL) audio = saved > 64;
  for (size_t i = 0; i < count; i++, t++, data += BYTES / 4) {
    memset(t, 0, sizeof *t);
    t->struct_size = struct_size(sizeof *t);
    t->type = is_output || (audio && i == 0) ? ADAPTQ_TYPE_FLOAT32 : audio ? ADAPTQ_TYPE_INT32 : ADAPTQ_TYPE_INT64;
    t->rank = is_output ? (audio && i == 0 ? 3 : 2) : audio ? (i == 0 ? 3 : 0) : 2;
    const int64_t sizes[2][2][3] = {{{batch, length, 0}, {2, 8 + 2 * length, 6}},
                                    {{batch, 32, 0}, {2, i == 0 ? 1 + length / 2 : 40, 10}}};
    memcpy(t->sizes, sizes[is_output][audio], sizeof sizes[0][0]);
    if (wrongly(12)) t->type = number32(8);
    if (wrongly(20)) t->rank = number32(9);
    if (wrongly(12)) t->sizes[below(8)] = for_prepare && rarely(2) ? INT64_C(1) << (40 + below(22)) : number64(40);
    // Sizes between these would only cost memory.
    for (int k = 0; for_prepare && k < 8; k++) if (t->sizes[k] > 64 && t->sizes[k] < INT64_C(1) << 40) t->sizes[k] = 64;
    if (wrongly(10)) for (int k = 0; k < 3; k++) t->strides[k] = number64(40);
    t->data = wrongly(30) ? NULL : data + (rarely(4) ? 1 : 0);
    t->data_size = wrongly(10) ? below(BYTES / 4) : BYTES / 4 - 1;
  }
}

/* ------------------------------------------------------------------------------------------------------ callbacks */

static void some_call(int from_callback);
static void in_callback(void) {
  if (me == NULL || me->depth > 1 || !rarely(8)) return;
  me->depth++;
  some_call(1);
  me->depth--;
}
static void log_callback(void *context, int32_t level, const char *message) {
  (void)context, (void)level, (void)message;
  in_callback();
}
static void trace_callback(void *context, const adaptq_trace_event *event) {
  (void)context, (void)event;
  in_callback();
}
// The host's threads: a thread for each body but the last, or none.
typedef struct { void (*body)(void *, size_t); void *context; size_t index; } body_call;
static void *run_body(void *argument) {
  body_call *call = argument;
  call->body(call->context, call->index);
  return NULL;
}
static void parallel_for(void *context, size_t count, void (*body)(void *, size_t), void *body_context) {
  (void)context;
  pthread_t thread;
  body_call first = {body, body_context, 0};
  int started = count > 1 && rarely(4) && pthread_create(&thread, NULL, run_body, &first) == 0;
  for (size_t i = started ? 1 : 0; i < count; i++) body(body_context, i);
  if (started) pthread_join(thread, NULL);
  in_callback();
}
static void *allocate(void *context, size_t size, size_t alignment) {
  (void)context;
  if (size > (1 << 28) || (me && rarely(60))) return NULL;
  return aligned_alloc(alignment, size);
}
static void release(void *context, void *memory, size_t size) { (void)context, (void)size, free(memory); }
static int64_t read_callback(void *context, uint64_t offset, void *buffer, size_t size) {
  (void)context;
  if (rarely(40)) return number64(100) < 0 ? -5 : 0;
  size_t left = offset < small_size ? small_size - (size_t)offset : 0, count = left < size ? left : size;
  if (count > 5000) count = 5000;
  memcpy(buffer, small_file + offset, count);
  return (int64_t)count;
}

/* ---------------------------------------------------------------------------------------------------------- calls */

static void *OUT_OR_NULL(void *out) { return wrongly(12) ? NULL : out; }

static adaptq_status names(void) {
  size_t letters = strlen(adaptq_status_name(number32(100))) + strlen(adaptq_level_name(level())) +
                   strlen(adaptq_reason_name(number32(12))) + strlen(adaptq_last_error()) +
                   strlen(adaptq_version_string()) + adaptq_option_count();
  return letters + (size_t)adaptq_has_feature(text()) + (size_t)adaptq_version_number() > 3 ? 0 : -1;
}
static adaptq_status option_describe(void) {
  adaptq_option_info *info = output();
  info->struct_size = struct_size(sizeof *info);
  return adaptq_option_describe(index_or_count(20), OUT_OR_NULL(info));
}
static adaptq_status runtime_create(void) {
  adaptq_runtime_options options = {0};
  adaptq_runtime *made = NULL;
  options.struct_size = struct_size(sizeof options);
  options.log = rarely(2) ? log_callback : NULL;
  options.log_level = number32(3);
  options.code_generation = number32(2);
  options.max_isa = number32(2);
  options.allocate = rarely(2) ? allocate : NULL;
  options.release = options.allocate || rarely(20) ? release : NULL;
  options.ignore_environment = number32(1);
  int32_t cpus[3] = {number32(1), number32(1), number32(9000)};
  if (rarely(2)) {
    options.parallel_for = parallel_for;
    options.parallel_for_threads = number32(4);
    if (wrongly(4)) options.threads = 2;
  } else {
    options.threads = wrongly(8) ? (rarely(2) ? -1 : INT32_MAX) : rarely(2) ? 1 : (int32_t)below(4);
    if (wrongly(3)) {
      options.cpu_set = wrongly(6) ? NULL : cpus;
      options.n_cpus = wrongly(6) ? SIZE_MAX : below(4);
    }
  }
  adaptq_status status = adaptq_runtime_create(rarely(4) ? NULL : &options, OUT_OR_NULL(&made));
  keep(RUNTIME, made);
  return status;
}
static adaptq_status runtime_threads(void) { return adaptq_runtime_threads(handle(RUNTIME), OUT_OR_NULL(output())); }
static adaptq_status runtime_machine(void) {
  adaptq_machine_info *info = odd_output();
  size_t size = struct_size(sizeof *info);
  memcpy(info, &size, sizeof size);
  return adaptq_runtime_machine(handle(RUNTIME), OUT_OR_NULL(info));
}
static adaptq_status runtime_thread_cpus(void) {
  size_t count = 0;
  return adaptq_runtime_thread_cpus(handle(RUNTIME), OUT_OR_NULL(output()), !wrongly(3) ? 4000 : index_or_count(2),
                                    OUT_OR_NULL(&count));
}
static adaptq_status runtime_level_kernels(void) {
  adaptq_level_kernels *info = odd_output();
  size_t size = struct_size(sizeof *info);
  memcpy(info, &size, sizeof size);
  return adaptq_runtime_level_kernels(handle(RUNTIME), level(), OUT_OR_NULL(info));
}
static adaptq_status runtime_probe_json(void) {
  size_t length = 0;
  return adaptq_runtime_probe_json(handle(RUNTIME), OUT_OR_NULL(output()), !wrongly(3) ? BYTES : below(3000),
                                   OUT_OR_NULL(&length));
}
static adaptq_status destroy(enum kind kind, void *handle) {
  switch (kind) {
    case RUNTIME: return adaptq_runtime_destroy(handle);
    case MODEL: return adaptq_model_destroy(handle);
    case SESSION: return adaptq_session_destroy(handle);
    case TOKENIZER: return adaptq_tokenizer_destroy(handle);
    case MATRIX: return adaptq_matrix_destroy(handle);
    default: return adaptq_matrix_file_destroy(handle);
  }
}
// Mostly the pool forgets what is destroyed; what it does not forget is used after that.
static adaptq_status destroy_some(enum kind kind) {
  void *handle_to_destroy = handle(kind);
  adaptq_status status = destroy(kind, handle_to_destroy);
  if (status != ADAPTQ_BUSY && !rarely(4))
    for (int i = 0; i < SLOTS; i++) {
      uintptr_t expected = (uintptr_t)handle_to_destroy;
      atomic_compare_exchange_strong(&pool[kind][i], &expected, 0);
    }
  return status;
}
static adaptq_status runtime_destroy(void) { return destroy_some(RUNTIME); }
static adaptq_status model_destroy(void) { return destroy_some(MODEL); }
static adaptq_status session_destroy(void) { return destroy_some(SESSION); }
static adaptq_status tokenizer_destroy(void) { return destroy_some(TOKENIZER); }
static adaptq_status matrix_destroy(void) { return destroy_some(MATRIX); }
static adaptq_status matrix_file_destroy(void) { return destroy_some(FILES); }

static adaptq_status model_open(void) {
  adaptq_model *made = NULL;
  adaptq_status status = adaptq_model_open(handle(RUNTIME), path(), OUT_OR_NULL(&made));
  keep(MODEL, made);
  return status;
}
static adaptq_status model_open_memory(void) {
  adaptq_model *made = NULL;
  int audio = rarely(2);
  size_t size = audio ? audio_size : small_size;
  char *copy = malloc(size);
  if (!copy) return 0;
  memcpy(copy, audio ? audio_file : small_file, size);
  size_t header = 8;
  memcpy(&header, copy, 8);
  if (wrongly(2)) copy[below(size)] ^= (char)(1 << below(8));
  else if (wrongly(2)) copy[8 + below(header)] = (char)next();
  adaptq_status status = adaptq_model_open_memory(handle(RUNTIME), wrongly(20) ? NULL : copy,
                                                  wrongly(8) ? below(size) : wrongly(20) ? SIZE_MAX : size, OUT_OR_NULL(&made));
  free(copy);
  keep(MODEL, made);
  return status;
}
static adaptq_status model_open_fd(void) {
  adaptq_model *made = NULL;
  int fd = wrongly(8) ? number32(2) + 1000 : small_fd;
  adaptq_status status = adaptq_model_open_fd(handle(RUNTIME), fd, wrongly(4) ? (uint64_t)number64(40000) : 0,
                                              wrongly(4) ? (uint64_t)number64(40000) : 0, OUT_OR_NULL(&made));
  keep(MODEL, made);
  return status;
}
static adaptq_status model_open_callback(void) {
  adaptq_model *made = NULL;
  adaptq_status status =
      adaptq_model_open_callback(handle(RUNTIME), wrongly(20) ? NULL : read_callback, NULL,
                                 wrongly(8) ? (uint64_t)number64(40000) : small_size, OUT_OR_NULL(&made));
  keep(MODEL, made);
  return status;
}
static adaptq_status model_input_count(void) { return adaptq_model_input_count(handle(MODEL), OUT_OR_NULL(output())); }
static adaptq_status model_output_count(void) { return adaptq_model_output_count(handle(MODEL), OUT_OR_NULL(output())); }
static adaptq_status model_site_count(void) { return adaptq_model_site_count(handle(MODEL), OUT_OR_NULL(output())); }
static adaptq_status model_levels(void) { return adaptq_model_levels(handle(MODEL), OUT_OR_NULL(output())); }
#define SIZED(type, name) \
  type *name = odd_output(); \
  size_t name##_size = struct_size(sizeof(type)); \
  memcpy(name, &name##_size, sizeof name##_size)
static adaptq_status model_input(void) {
  SIZED(adaptq_tensor_info, info);
  return adaptq_model_input(handle(MODEL), index_or_count(2), OUT_OR_NULL(info));
}
static adaptq_status model_output(void) {
  SIZED(adaptq_tensor_info, info);
  return adaptq_model_output(handle(MODEL), index_or_count(1), OUT_OR_NULL(info));
}
static adaptq_status model_site(void) {
  SIZED(adaptq_site_info, info);
  return adaptq_model_site(handle(MODEL), index_or_count(3), OUT_OR_NULL(info));
}
static adaptq_status model_metadata_count(void) {
  return adaptq_model_metadata_count(handle(MODEL), OUT_OR_NULL(output()));
}
static adaptq_status model_metadata(void) {
  const char **texts = output();
  return adaptq_model_metadata(handle(MODEL), index_or_count(3), OUT_OR_NULL(texts), OUT_OR_NULL(texts + 1));
}
static adaptq_status model_metadata_find(void) {
  return adaptq_model_metadata_find(handle(MODEL), me->is_good ? "author" : text(), OUT_OR_NULL(output()));
}
static adaptq_status model_memory(void) {
  SIZED(adaptq_memory, memory);
  return adaptq_model_memory(handle(MODEL), OUT_OR_NULL(memory));
}

static adaptq_status session_create(void) {
  adaptq_session_options options = {.struct_size = struct_size(sizeof options), .allowed_levels = (uint32_t)number32(63)};
  adaptq_session *made = NULL;
  adaptq_status status = adaptq_session_create(handle(MODEL), rarely(3) ? NULL : &options, OUT_OR_NULL(&made));
  if (made && rarely(2)) {
    adaptq_tensor tensors[2];
    fill_tensors(tensors, 2, me->in, 0, 1, made);
    (void)adaptq_session_prepare(made, tensors, 2);
  }
  keep(SESSION, made);
  return status;
}
static adaptq_status session_prepare(void) {
  adaptq_tensor tensors[3];
  void *session = handle(SESSION);
  fill_tensors(tensors, 3, me->in, 0, 1, session);
  return adaptq_session_prepare(session, OUT_OR_NULL(tensors), wrongly(10) ? index_or_count(3) : 2);
}
static adaptq_status session_output_shape(void) {
  adaptq_tensor tensors[3];
  SIZED(adaptq_tensor, shape);
  void *session = handle(SESSION);
  fill_tensors(tensors, 3, me->in, 0, 0, session);
  return adaptq_session_output_shape(session, OUT_OR_NULL(tensors), wrongly(10) ? index_or_count(3) : 2,
                                     wrongly(4) ? index_or_count(2) : 0, OUT_OR_NULL(shape));
}
static adaptq_status session_run(void) {
  adaptq_tensor inputs[3], outputs[3];
  adaptq_run_options options = {.struct_size = struct_size(sizeof options), .level = level()};
  adaptq_run_report report = {.struct_size = struct_size(sizeof report)};
  void *session = handle(SESSION);
  fill_tensors(inputs, 3, me->in, 0, 0, session);
  fill_tensors(outputs, 3, output(), 1, 0, session);
  size_t n_inputs = wrongly(10) ? index_or_count(3) : 2, n_outputs = outputs[0].rank == 3 ? 2 : 1;
  // Mostly the shapes that the session gives, so that many runs succeed.
  for (size_t i = 0; !wrongly(8) && i < n_outputs; i++) {
    adaptq_tensor shape = {.struct_size = sizeof shape};
    if (adaptq_session_output_shape(session, inputs, n_inputs, i, &shape) != ADAPTQ_OK) break;
    if (shape.data_size > BYTES / 4 - 1) break;
    shape.data = outputs[i].data;
    shape.data_size = outputs[i].data_size;
    outputs[i] = shape;
  }
  if (wrongly(10)) options.deadline_ns = number64(1);
  if (rarely(3)) options.max_threads = number32(4);
  if (wrongly(20)) outputs[0].data = inputs[0].data;
  return adaptq_session_run(session, inputs, n_inputs, outputs, wrongly(20) ? index_or_count(3) : n_outputs,
                            rarely(2) ? NULL : &options, rarely(2) ? NULL : &report);
}
static adaptq_status session_cancel(void) { return adaptq_session_cancel(handle(SESSION)); }
static adaptq_status session_set_trace(void) {
  return adaptq_session_set_trace(handle(SESSION), rarely(2) ? trace_callback : NULL, NULL);
}
static adaptq_status session_memory(void) {
  SIZED(adaptq_memory, memory);
  return adaptq_session_memory(handle(SESSION), OUT_OR_NULL(memory));
}
static adaptq_status session_reset_state(void) { return adaptq_session_reset_state(handle(SESSION)); }
static adaptq_status session_state_save(void) {
  size_t size = 0;
  return adaptq_session_state_save(handle(SESSION), OUT_OR_NULL(odd_output()), rarely(3) ? below(BYTES - 1) : BYTES - 1,
                                   OUT_OR_NULL(&size));
}
static adaptq_status session_state_restore(void) {
  void *session = handle(SESSION);
  size_t size = 0;
  if (!rarely(4)) (void)adaptq_session_state_save(session, output(), BYTES, &size);
  if (rarely(4)) ((unsigned char *)output())[below(400)] ^= 1;
  if (rarely(8)) size = below(BYTES);
  return adaptq_session_state_restore(session, OUT_OR_NULL(output()), size);
}
static adaptq_status session_set_level(void) { return adaptq_session_set_level(handle(SESSION), level()); }
static adaptq_status session_set_allowed_levels(void) {
  return adaptq_session_set_allowed_levels(handle(SESSION), (uint32_t)number32(63));
}
static adaptq_status session_set_latency_budget(void) {
  static const double percentiles[] = {50, 90, 99.9, 0, 100, -1, 1e300, (double)__builtin_nanf(""), 1.0 / 3};
  return adaptq_session_set_latency_budget(handle(SESSION), number64(1000000), percentiles[below(me->is_good ? 3 : 9)]);
}
static adaptq_status session_costs(void) {
  size_t count = 0;
  SIZED(adaptq_level_cost, costs);
  return adaptq_session_costs(handle(SESSION), OUT_OR_NULL(costs), me->is_good ? 8 : index_or_count(8), OUT_OR_NULL(&count));
}
static adaptq_status session_telemetry(void) {
  size_t count = 0;
  SIZED(adaptq_telemetry, entries);
  return adaptq_session_telemetry(handle(SESSION), OUT_OR_NULL(entries), index_or_count(300), OUT_OR_NULL(&count));
}
static adaptq_status session_telemetry_sites(void) {
  return adaptq_session_telemetry_sites(handle(SESSION), (uint64_t)number64(20), OUT_OR_NULL(output()),
                                        me->is_good ? 3 : index_or_count(20));
}

static adaptq_status tokenizer_create(void) {
  adaptq_tokenizer *made = NULL;
  adaptq_status status = adaptq_tokenizer_create(handle(MODEL), OUT_OR_NULL(&made));
  keep(TOKENIZER, made);
  return status;
}
static adaptq_status tokenizer_get_info(void) {
  SIZED(adaptq_tokenizer_info, info);
  return adaptq_tokenizer_get_info(handle(TOKENIZER), OUT_OR_NULL(info));
}
static adaptq_status tokenizer_encode(void) {
  char letters[64];
  static const char alphabet[] = "abc smalls\xc3\xa4\xe4\xbd\xa0[CLS]#.\n\xff";
  size_t length = below(sizeof letters), count = 0;
  for (size_t i = 0; i < length; i++) letters[i] = alphabet[wrongly(8) ? below(sizeof alphabet - 1) : below(9)];
  return adaptq_tokenizer_encode(handle(TOKENIZER), OUT_OR_NULL(letters), wrongly(20) ? SIZE_MAX : length, wrongly(2) ? number64(20) : 0,
                                 OUT_OR_NULL(output()), !wrongly(2) ? 200 : index_or_count(8), OUT_OR_NULL(&count));
}

static adaptq_status matrix_create(void) {
  adaptq_matrix_options options = {.struct_size = struct_size(sizeof options)};
  adaptq_matrix *made = NULL;
  float bad[80 * 160];
  options.name = wrongly(2) ? text() : NULL;
  options.n = wrongly(12) ? distance(1) : 1 + (int64_t)below(80);
  options.k = wrongly(12) ? distance(1) : 1 + (int64_t)below(80);
  options.weights = weights;
  // Room for 80 x 80 weights two apart.
  if (rarely(8)) options.column_stride = rarely(2) ? 2 : 1;
  if (wrongly(8)) options.row_stride = rarely(2) ? 160 : options.k;
  if (wrongly(20)) options.row_stride = distance(0), options.column_stride = -1;
  if (wrongly(10)) {
    memcpy(bad, weights, sizeof bad);
    bad[below(6400)] = rarely(2) ? __builtin_nanf("") : 1e38f;
    options.weights = bad;
  }
  options.bias = rarely(2) ? weights : NULL;
  options.weight_type = me->is_good ? 0 : number32(3);
  options.group_size = wrongly(10) ? number32(64) : 0;
  options.keep = wrongly(20) ? (uint32_t)number32(63) : (uint32_t)below(4) * ADAPTQ_ALLOW_FP16;
  options.expand = number32(2);
  options.max_rows = rarely(2) ? number64(20) : 0;
  if (options.max_rows > (1 << 20) && options.max_rows <= INT64_C(1) << 45) options.max_rows = INT64_MAX;
  adaptq_status status = adaptq_matrix_create(handle(RUNTIME), OUT_OR_NULL(&options), OUT_OR_NULL(&made));
  keep(MATRIX, made);
  return status;
}
static adaptq_status matrix_get_info(void) {
  SIZED(adaptq_matrix_info, info);
  return adaptq_matrix_get_info(handle(MATRIX), OUT_OR_NULL(info));
}
// Rows of at most 100 elements, at most 20 of them: a quarter of the memory holds them.
static adaptq_status matrix_multiply(void) {
  adaptq_multiply call = {.struct_size = struct_size(sizeof call)};
  unsigned char *in = me->in, *out = output();
  call.level = wrongly(4) ? level() : ADAPTQ_LEVEL_INT2 * (1 + (int32_t)below(4));
  call.activation = number32(3);
  call.rows = wrongly(12) ? distance(1) : 1 + (int64_t)below(me->is_good ? 16 : 20);
  call.x = (void *)(in + (rarely(4) ? 1 : 0));
  if (rarely(3)) {
    call.codes = (int8_t *)in + BYTES / 4;
    call.scales = (void *)(in + BYTES / 2);
    call.x = wrongly(10) ? call.x : NULL;
  }
  call.y = (void *)(out + (rarely(4) ? 1 : 0));
  call.residual = rarely(3) ? (void *)(wrongly(10) ? out : in + BYTES / 4 * 3) : NULL;
  int64_t *strides[] = {&call.x_stride, &call.codes_stride, &call.scales_stride, &call.y_stride, &call.residual_stride};
  for (int i = 0; i < 5; i++) if (wrongly(4)) *strides[i] = distance(100);
  if (rarely(3)) {
    call.workspace = out + BYTES / 2 + below(64);
    call.workspace_size = wrongly(4) ? below(BYTES / 4) : BYTES / 4;
  }
  call.no_bias = number32(1);
  return adaptq_matrix_multiply(handle(MATRIX), OUT_OR_NULL(&call));
}
static adaptq_status matrix_workspace_size(void) {
  return adaptq_matrix_workspace_size(handle(MATRIX), number64(100), OUT_OR_NULL(output()));
}
static adaptq_status matrix_quantize(void) {
  unsigned char *out = output();
  return adaptq_matrix_quantize(handle(MATRIX), wrongly(12) ? distance(1) : 1 + (int64_t)below(20), OUT_OR_NULL(me->in),
                                !wrongly(2) ? 0 : distance(100), OUT_OR_NULL(out), !wrongly(2) ? 0 : distance(100),
                                OUT_OR_NULL(out + BYTES / 2), !wrongly(2) ? 0 : distance(5));
}
static adaptq_status matrix_save(void) {
  adaptq_matrix *matrices[3] = {handle(MATRIX), handle(MATRIX), handle(MATRIX)};
  return adaptq_matrix_save(OUT_OR_NULL(matrices), wrongly(10) ? number64(2) < 0 ? SIZE_MAX : 0 : 1 + (size_t)wrongly(2),
                            wrongly(4) ? "/no/such/folder/x" : me->path);
}
static adaptq_status matrix_file_open(void) {
  adaptq_matrix_file *made = NULL;
  adaptq_status status = adaptq_matrix_file_open(handle(RUNTIME), wrongly(8) ? path() : me->path, OUT_OR_NULL(&made));
  keep(FILES, made);
  return status;
}
static adaptq_status matrix_file_open_memory(void) {
  adaptq_matrix_file *made = NULL;
  FILE *file = fopen(me->path, "rb");
  size_t size = file ? fread(me->in, 1, BYTES, file) : 100;
  if (file) fclose(file);
  if (wrongly(2)) me->in[below(size ? size : 1)] ^= (unsigned char)(1 << below(8));
  adaptq_status status = adaptq_matrix_file_open_memory(handle(RUNTIME), OUT_OR_NULL(me->in),
                                                        wrongly(8) ? below(size + 1) : size, OUT_OR_NULL(&made));
  keep(FILES, made);
  return status;
}
static adaptq_status matrix_file_count(void) { return adaptq_matrix_file_count(handle(FILES), OUT_OR_NULL(output())); }
static adaptq_status matrix_file_name(void) {
  return adaptq_matrix_file_name(handle(FILES), index_or_count(1), OUT_OR_NULL(output()));
}
static adaptq_status matrix_open(void) {
  adaptq_matrix_open_options options = {.struct_size = struct_size(sizeof options), .max_rows = number64(20),
                                        .expand = number32(2)};
  adaptq_matrix *made = NULL;
  if (options.max_rows > 1000) options.max_rows = INT64_MAX;
  adaptq_status status =
      adaptq_matrix_open(handle(FILES), wrongly(3) ? text() : "", rarely(2) ? NULL : &options, OUT_OR_NULL(&made));
  keep(MATRIX, made);
  return status;
}

/* ---------------------------------------------------------------------------------------------------------- table */

// One line per function: name without "adaptq_", how often relative to the others. `names` stands for all that cannot fail.
static struct {
  const char *name;
  adaptq_status (*call)(void);
  int weight;
  _Atomic long calls, ok;
} functions[] = {
#define F(name, weight) {#name, name, weight, 0, 0}
    F(names, 20), F(option_describe, 20), F(runtime_create, 4), F(runtime_threads, 20), F(runtime_machine, 2),
    F(runtime_thread_cpus, 2), F(runtime_level_kernels, 2), F(runtime_probe_json, 2), F(runtime_destroy, 2), F(model_open, 2),
    F(model_open_memory, 4), F(model_open_fd, 2), F(model_open_callback, 2), F(model_destroy, 2),
    F(model_input_count, 20), F(model_output_count, 20), F(model_site_count, 20), F(model_levels, 20),
    F(model_input, 40), F(model_output, 40), F(model_site, 40), F(model_metadata_count, 20), F(model_metadata, 40),
    F(model_metadata_find, 40), F(model_memory, 40), F(session_create, 6), F(session_destroy, 3), F(session_prepare, 8),
    F(session_output_shape, 60), F(session_run, 120), F(session_cancel, 20), F(session_set_trace, 10),
    F(session_memory, 30), F(session_reset_state, 20), F(session_state_save, 30), F(session_state_restore, 30),
    F(session_set_level, 30), F(session_set_allowed_levels, 30), F(session_set_latency_budget, 30), F(session_costs, 30),
    F(session_telemetry, 30), F(session_telemetry_sites, 30), F(tokenizer_create, 4), F(tokenizer_destroy, 2),
    F(tokenizer_get_info, 40), F(tokenizer_encode, 60), F(matrix_create, 8), F(matrix_destroy, 4), F(matrix_get_info, 40),
    F(matrix_multiply, 120), F(matrix_workspace_size, 30), F(matrix_quantize, 60), F(matrix_save, 1),
    F(matrix_file_open, 2), F(matrix_file_open_memory, 2), F(matrix_file_destroy, 1), F(matrix_file_count, 20),
    F(matrix_file_name, 30), F(matrix_open, 4),
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
      puts("adaptq_status_name\nadaptq_level_name\nadaptq_reason_name\nadaptq_last_error\nadaptq_version_string\n"
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
