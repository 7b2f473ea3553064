// Where random calls take their arguments from, and the callbacks they hand over.
#ifndef ADAPTQ_FUZZ_ARGUMENTS_H
#define ADAPTQ_FUZZ_ARGUMENTS_H

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "../fixture.h"

#ifndef ADAPTQ_TESTS
#define ADAPTQ_TESTS "Tests"
#endif

enum { SLOTS = 6, MOST_THREADS = 16, GUARD = 64, BYTES = 1 << 16 };
enum kind { RUNTIME, MODEL, SESSION, TOKENIZER, MATRIX, FILES, GROUP, KINDS };

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

#endif
