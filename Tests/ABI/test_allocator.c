// The host's allocator: what goes through it, every n-th allocation refused, memory at a wrong address.
#define _GNU_SOURCE
#include <pthread.h>

#include "fixture.h"

extern void adaptq_test_count_begin(void) __attribute__((weak));
extern long adaptq_test_count_end(void) __attribute__((weak));
extern size_t adaptq_test_largest_block(void) __attribute__((weak));

// Counts; refuses allocation number `refuse` (from 1); gives a misaligned address for number `misalign`.
typedef struct {
  pthread_mutex_t lock;
  long allocations, live, refuse, misalign, wrong;
  size_t live_bytes, largest;
} counter;

enum { HEADER = 64 };

static void *allocate(void *context, size_t size, size_t alignment) {
  counter *c = (counter *)context;
  pthread_mutex_lock(&c->lock);
  long number = ++c->allocations;
  c->wrong += size == 0 || size % 4096 != 0 || alignment != 64;
  pthread_mutex_unlock(&c->lock);
  if (number == c->refuse) return NULL;
  size_t shift = number == c->misalign ? 8 : 0;
  char *memory = (char *)aligned_alloc(64, size + 2 * HEADER);
  if (!memory) return NULL;
  char *result = memory + HEADER + shift;
  memset(result, 0xA5, size);  // not zeroed
  memcpy(result - 32, &memory, sizeof memory);
  memcpy(result - 24, &size, sizeof size);
  pthread_mutex_lock(&c->lock);
  c->live++;
  c->live_bytes += size;
  if (size > c->largest) c->largest = size;
  pthread_mutex_unlock(&c->lock);
  return result;
}

static void release(void *context, void *memory, size_t size) {
  counter *c = (counter *)context;
  char *start;
  size_t given;
  memcpy(&start, (char *)memory - 32, sizeof start);
  memcpy(&given, (char *)memory - 24, sizeof given);
  pthread_mutex_lock(&c->lock);
  c->wrong += given != size;
  c->live--;
  c->live_bytes -= size;
  pthread_mutex_unlock(&c->lock);
  free(start);
}

static adaptq_runtime *counted_runtime(counter *c) {
  memset(c, 0, sizeof *c);
  pthread_mutex_init(&c->lock, NULL);
  adaptq_runtime_options options = {0};
  options.struct_size = sizeof options;
  options.allocate = allocate;
  options.release = release;
  options.allocator_context = c;
  adaptq_runtime *runtime = NULL;
  if (adaptq_runtime_create(&options, &runtime) != ADAPTQ_OK)
    check_fail(__FILE__, __LINE__, "no runtime: %s", adaptq_last_error());
  return runtime;
}

// Open, prepare, run, encode, destroy; the first status that is not OK.
static adaptq_status whole_life(const fixture *f, adaptq_runtime *runtime, tensors *t, void *result, size_t size) {
  adaptq_model *model = NULL;
  adaptq_session *session = NULL;
  adaptq_tokenizer *tokenizer = NULL;
  int64_t ids[64];
  size_t count = 0;
  adaptq_session_options options = {.struct_size = sizeof options};
  options.allowed_levels = fixture_allow[fixture_best_level(f->levels)];
  adaptq_status status = adaptq_model_open(runtime, fixture_path(), &model);
  if (status == ADAPTQ_OK) status = adaptq_session_create(model, &options, &session);
  if (status == ADAPTQ_OK) status = adaptq_session_prepare(session, t->inputs, f->n_inputs);
  if (status == ADAPTQ_OK) status = fixture_run(f, session, t, NULL, NULL);
  if (status == ADAPTQ_OK && t->outputs[0].data_size == size) memcpy(result, t->outputs[0].data, size);
  if (status == ADAPTQ_OK) status = adaptq_tokenizer_create(model, &tokenizer);
  if (status == ADAPTQ_NOT_FOUND) status = ADAPTQ_OK;  // a model without one
  if (status == ADAPTQ_OK && tokenizer)
    status = adaptq_tokenizer_encode(tokenizer, "a b", 3, 0, ids, 64, &count);
  CHECK_STATUS(adaptq_model_destroy(model), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  CHECK_STATUS(adaptq_tokenizer_destroy(tokenizer), ADAPTQ_OK);
  return status;
}

static void every_allocation(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, fixture_allow[fixture_best_level(f.levels)], 1, 4);
  REQUIRE(session != NULL);
  REQUIRE_OK(fixture_run(&f, session, &t, NULL, NULL));
  size_t size = t.outputs[0].data_size;
  char *expected = (char *)malloc(size), *result = (char *)malloc(size);
  REQUIRE(expected && result);
  memcpy(expected, t.outputs[0].data, size);

  counter c;
  adaptq_runtime *runtime = counted_runtime(&c);
  REQUIRE(whole_life(&f, runtime, &t, result, size) == ADAPTQ_OK);
  CHECK(memcmp(result, expected, size) == 0);  // memory that is not zeroed changes nothing
  long all = c.allocations;
  CHECK(all >= 4 && c.largest > 65536);
  CHECK(c.live == 0 && c.live_bytes == 0 && c.wrong == 0);
  printf("  %ld allocations, the largest of %zu bytes\n", all, c.largest);
  for (long n = 1; n <= all; n++) {
    c.allocations = 0;
    c.refuse = n;
    CHECK_STATUS(whole_life(&f, runtime, &t, result, size), ADAPTQ_OUT_OF_MEMORY);
    if (c.live != 0) check_fail(__FILE__, __LINE__, "allocation %ld of %ld refused: %ld buffers leak", n, all, c.live);
    c.allocations = 0;
    c.refuse = 0;
    c.misalign = n;
    CHECK_ERROR(whole_life(&f, runtime, &t, result, size), ADAPTQ_INVALID_ARGUMENT, "not a multiple of 64");
    if (c.live != 0) check_fail(__FILE__, __LINE__, "allocation %ld of %ld misaligned: %ld leak", n, all, c.live);
    c.misalign = 0;
  }
  // The next attempt works.
  CHECK_STATUS(whole_life(&f, runtime, &t, result, size), ADAPTQ_OK);
  CHECK(memcmp(result, expected, size) == 0);
  CHECK(c.live == 0 && c.wrong == 0);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  free(expected);
  free(result);
  fixture_close(&f);
}

// A refused prepare leaves the former preparation, and runs never allocate.
static void refused_while_prepared(void) {
  OPEN_FIXTURE(f);
  counter c;
  adaptq_runtime *runtime = counted_runtime(&c);
  adaptq_model *model = f.model;
  REQUIRE_OK(adaptq_model_open(runtime, fixture_path(), &f.model));
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, fixture_allow[fixture_best_level(f.levels)], 1, 4);
  REQUIRE(session != NULL);
  long before = c.allocations;
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
  CHECK_INT(c.allocations, before);
  for (int n = 1; n <= 2; n++) {
    c.refuse = c.allocations + n;
    CHECK_STATUS(adaptq_session_prepare(session, t.inputs, f.n_inputs), ADAPTQ_OUT_OF_MEMORY);
    CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
  }
  // The memory report and the allocator agree.
  c.refuse = 0;
  adaptq_memory of_model = {.struct_size = sizeof of_model}, of_session = {.struct_size = sizeof of_session};
  CHECK_STATUS(adaptq_model_memory(f.model, &of_model), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_memory(session, &of_session), ADAPTQ_OK);
  uint64_t reported = of_model.total_bytes + of_session.total_bytes - of_session.code_bytes;
  CHECK(reported <= c.live_bytes && c.live_bytes - reported < 4096 * (uint64_t)c.live);
  CHECK_STATUS(adaptq_model_destroy(f.model), ADAPTQ_OK);
  CHECK(c.live > 0);  // the session still needs its model
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  CHECK_INT(c.live, 0);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
  tensors_free(&f, &t);
  f.model = model;
  fixture_close(&f);
}

static void both_or_none(void) {
  adaptq_runtime_options options = {0};
  options.struct_size = sizeof options;
  adaptq_runtime *runtime = (adaptq_runtime *)0x1000;
  options.allocate = allocate;
  CHECK_ERROR(adaptq_runtime_create(&options, &runtime), ADAPTQ_INVALID_ARGUMENT, "release is NULL");
  CHECK(runtime == NULL);
  options.allocate = NULL;
  options.release = release;
  CHECK_ERROR(adaptq_runtime_create(&options, &runtime), ADAPTQ_INVALID_ARGUMENT, "allocate is NULL");
}

// What does not go through the allocator is small, but for the parsed header of the file.
static void small_objects_are_small(void) {
  NEEDS_MODEL();
  if (!adaptq_test_count_begin || !adaptq_test_largest_block) SKIP("count_malloc.so is not loaded");
  adaptq_runtime *runtime = NULL;
  adaptq_model *model = NULL;
  adaptq_session *session = NULL;
  adaptq_tokenizer *tokenizer = NULL;
  fixture f;
  tensors t;
  REQUIRE(fixture_open(&f));
  tensors_make(&f, &t, 1, 64);
  size_t size = 0;
  char *bytes = read_whole_file(fixture_path(), &size);
  REQUIRE(bytes != NULL);
  uint64_t header;
  memcpy(&header, bytes, 8);
  free(bytes);
  adaptq_test_count_begin();
  adaptq_status status = adaptq_runtime_create(NULL, &runtime);
  if (status == ADAPTQ_OK) status = adaptq_model_open(runtime, fixture_path(), &model);
  long opening = adaptq_test_count_end();
  size_t open_largest = adaptq_test_largest_block();
  adaptq_test_count_begin();
  if (status == ADAPTQ_OK) status = adaptq_session_create(model, NULL, &session);
  if (status == ADAPTQ_OK) status = adaptq_session_prepare(session, t.inputs, f.n_inputs);
  long preparing = adaptq_test_count_end();
  size_t prepare_largest = adaptq_test_largest_block();
  adaptq_test_count_begin();
  if (status == ADAPTQ_OK) status = adaptq_tokenizer_create(model, &tokenizer);
  adaptq_test_count_end();
  size_t tokenizer_largest = adaptq_test_largest_block();
  CHECK_STATUS(status, ADAPTQ_OK);
  printf("  largest malloc: open %zu (header of %" PRIu64 " bytes, %ld calls), prepare %zu (%ld calls), tokenizer %zu\n",
         open_largest, header, opening, prepare_largest, preparing, tokenizer_largest);
  CHECK(open_largest <= 16 * header + 65536);
  CHECK(prepare_largest <= 65536 && tokenizer_largest <= 65536);
  adaptq_session_destroy(session);
  adaptq_tokenizer_destroy(tokenizer);
  adaptq_model_destroy(model);
  adaptq_runtime_destroy(runtime);
  tensors_free(&f, &t);
  fixture_close(&f);
}

int main(void) {
  RUN(small_objects_are_small);
  RUN(both_or_none);
  RUN(every_allocation);
  RUN(refused_while_prepared);
  return check_end();
}
