// Every allocation that the library makes through the host's allocator made to fail, one at a time, in sequences that use
// everything: each gives ADAPTQ_OUT_OF_MEMORY, leaks neither memory nor descriptors, and the next attempt works.
//
// test_allocator.c says what the allocator is called with. ADAPTQ_TEST_SMALL_MODEL as for test_wrong_use.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fixture.h"

#ifndef ADAPTQ_TESTS
#define ADAPTQ_TESTS "Tests"
#endif

static struct { long allocations, live, refuse; size_t live_bytes; } c;

static void *allocate(void *context, size_t size, size_t alignment) {
  (void)context;
  if (++c.allocations == c.refuse) return NULL;
  // Not malloc: its blocks are counted below.
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || (uintptr_t)memory % alignment != 0) return NULL;
  memset(memory, 0xA5, size);
  c.live++;
  c.live_bytes += size;
  return memory;
}
static void release(void *context, void *memory, size_t size) {
  (void)context;
  c.live--;
  c.live_bytes -= size;
  munmap(memory, size);
}

static const char *small_path(void) { return getenv("ADAPTQ_TEST_SMALL_MODEL"); }
static int descriptors(void) {
  int count = 0;
  DIR *folder = opendir("/proc/self/fd");
  while (folder && readdir(folder)) count++;
  if (folder) closedir(folder);
  return count;
}

// Ends a sequence at the first call that fails.
#define TRY(call) do { if (status == ADAPTQ_OK) status = (call); } while (0)

static char *small_file;
static size_t small_size;
static int64_t read_callback(void *context, uint64_t offset, void *buffer, size_t size) {
  (void)context;
  memcpy(buffer, small_file + offset, size);
  return (int64_t)size;
}

// The small model with everything that can be asked of it. `how`: which way it is opened.
static adaptq_status encoder(adaptq_runtime *runtime, int how, float *y) {
  adaptq_model *model = NULL;
  adaptq_session *session = NULL;
  adaptq_tokenizer *tokenizer = NULL;
  adaptq_status status = ADAPTQ_OK;
  int64_t ids[16] = {2, 4, 5, 3}, mask[16] = {1, 1, 1, 1}, tokens[16];
  size_t count = 0;
  adaptq_tensor in[2], out;
  adaptq_level_cost costs[8] = {{.struct_size = sizeof costs[0]}};
  adaptq_telemetry telemetry[8] = {{.struct_size = sizeof telemetry[0]}};
  const char *text = NULL;
  tensor_shape(&in[0], ADAPTQ_TYPE_INT64, 2, 1, 4, 0, ids);
  tensor_shape(&in[1], ADAPTQ_TYPE_INT64, 2, 1, 4, 0, mask);
  tensor_shape(&out, ADAPTQ_TYPE_FLOAT32, 2, 1, 32, 0, y);
  if (how == 0) TRY(adaptq_model_open(runtime, small_path(), &model));
  if (how == 1) TRY(adaptq_model_open_memory(runtime, small_file, small_size, &model));
  if (how == 2) TRY(adaptq_model_open_callback(runtime, read_callback, NULL, small_size, &model));
  if (how == 3) {
    int fd = open(small_path(), O_RDONLY | O_CLOEXEC);
    TRY(adaptq_model_open_fd(runtime, fd, 0, 0, &model));
    close(fd);
  }
  TRY(adaptq_session_create(model, NULL, &session));
  TRY(adaptq_session_prepare(session, in, 2));
  TRY(adaptq_session_run(session, in, 2, &out, 1, NULL, NULL));
  in[0].sizes[1] = in[1].sizes[1] = 16;
  TRY(adaptq_session_prepare(session, in, 2));
  in[0].sizes[1] = in[1].sizes[1] = 4;
  // One level: the same numbers whatever the machine does meanwhile.
  TRY(adaptq_session_set_level(session, ADAPTQ_LEVEL_FP32));
  TRY(adaptq_session_run(session, in, 2, &out, 1, NULL, NULL));
  TRY(adaptq_session_costs(session, costs, 8, &count));
  TRY(adaptq_session_telemetry(session, telemetry, 8, &count));
  TRY(adaptq_tokenizer_create(model, &tokenizer));
  TRY(adaptq_tokenizer_encode(tokenizer, "a small model", 13, 0, tokens, 16, &count));
  TRY(adaptq_model_metadata_find(model, "author", &text));
  CHECK_STATUS(adaptq_model_destroy(model), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  CHECK_STATUS(adaptq_tokenizer_destroy(tokenizer), ADAPTQ_OK);
  return status;
}
static adaptq_status from_path(adaptq_runtime *runtime, float *y) { return encoder(runtime, 0, y); }
static adaptq_status from_memory(adaptq_runtime *runtime, float *y) { return encoder(runtime, 1, y); }
static adaptq_status from_callback(adaptq_runtime *runtime, float *y) { return encoder(runtime, 2, y); }
static adaptq_status from_descriptor(adaptq_runtime *runtime, float *y) { return encoder(runtime, 3, y); }

// A model with states: runs, shadow runs, saved and restored.
static adaptq_status audio(adaptq_runtime *runtime, float *y) {
  adaptq_model *model = NULL;
  adaptq_session *session = NULL;
  adaptq_status status = ADAPTQ_OK;
  static float x[2 * 24 * 6], wide[2 * 24 * 10], hidden[2 * 40];
  unsigned char saved[4096];
  static unsigned char costs[1 << 16];
  size_t size = 0;
  int32_t flag = 1;
  adaptq_tensor in[2], out[2];
  for (int i = 0; i < 2 * 24 * 6; i++) x[i] = (float)(i % 7) / 7;
  tensor_shape(&in[0], ADAPTQ_TYPE_FLOAT32, 3, 2, 24, 6, x);
  tensor_shape(&in[1], ADAPTQ_TYPE_INT32, 0, 0, 0, 0, &flag);
  const adaptq_session_options options = {.struct_size = sizeof options, .shadow = 1};
  TRY(adaptq_model_open(runtime, ADAPTQ_TESTS "/ABI/audio.adaptq", &model));
  TRY(adaptq_session_create(model, &options, &session));
  TRY(adaptq_session_prepare(session, in, 2));
  // Again with its own costs.
  TRY(adaptq_session_export_costs(session, costs, sizeof costs, &size));
  TRY(adaptq_session_import_costs(session, costs, size));
  TRY(adaptq_session_prepare(session, in, 2));
  TRY(adaptq_session_set_level(session, ADAPTQ_LEVEL_FP32));
  for (int i = 0; i < 3; i++) {
    for (size_t k = 0; k < 2; k++) {
      out[k].struct_size = sizeof out[k];
      TRY(adaptq_session_output_shape(session, in, 2, k, &out[k]));
      out[k].data = k == 0 ? wide : hidden;
    }
    TRY(adaptq_session_run(session, in, 2, out, 2, NULL, NULL));
    TRY(adaptq_session_shadow(session, NULL, 0, NULL, NULL));
    if (i == 0) TRY(adaptq_session_state_save(session, saved, sizeof saved, &size));
    if (i == 1) TRY(adaptq_session_state_restore(session, saved, size));
  }
  memcpy(y, hidden, 32 * sizeof *y);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  CHECK_STATUS(adaptq_model_destroy(model), ADAPTQ_OK);
  return status;
}

// Matrices: made from rows and from columns, multiplied, saved, opened again.
static adaptq_status matrices(adaptq_runtime *runtime, float *y) {
  adaptq_matrix *both[2] = {NULL, NULL}, *again = NULL;
  adaptq_matrix_file *file = NULL, *copy = NULL;
  adaptq_status status = ADAPTQ_OK;
  static float weights[32 * 64], x[64];
  static char path[600];
  for (int i = 0; i < 32 * 64; i++) weights[i] = (float)(i % 13) / 13 - 0.5f;
  for (int i = 0; i < 64; i++) x[i] = (float)(i % 5);
  snprintf(path, sizeof path, "%s.failing", small_path());
  adaptq_matrix_options options = {.struct_size = sizeof options, .n = 32, .k = 64, .weights = weights, .name = "rows"};
  options.keep = ADAPTQ_ALLOW_FP32 | ADAPTQ_ALLOW_FP16;
  options.expand = ADAPTQ_EXPAND_ON;
  TRY(adaptq_matrix_create(runtime, &options, &both[0]));
  options.name = "columns";
  options.column_stride = 32;
  TRY(adaptq_matrix_create(runtime, &options, &both[1]));
  TRY(adaptq_matrix_save(both, 2, path));
  TRY(adaptq_matrix_file_open(runtime, path, &file));
  size_t size = 0;
  char *bytes = status == ADAPTQ_OK ? read_whole_file(path, &size) : NULL;
  TRY(adaptq_matrix_file_open_memory(runtime, bytes, size, &copy));
  TRY(adaptq_matrix_open(copy, "columns", NULL, &again));
  adaptq_multiply call = {.struct_size = sizeof call, .level = ADAPTQ_LEVEL_FP32, .rows = 1, .x = x, .y = y};
  TRY(adaptq_matrix_multiply(again, &call));
  adaptq_group *group = NULL;
  TRY(adaptq_group_create(runtime, both, 2, NULL, &group));
  free(bytes);
  CHECK_STATUS(adaptq_group_destroy(group), ADAPTQ_OK);
  CHECK_STATUS(adaptq_matrix_destroy(both[0]), ADAPTQ_OK);
  CHECK_STATUS(adaptq_matrix_destroy(both[1]), ADAPTQ_OK);
  CHECK_STATUS(adaptq_matrix_file_destroy(file), ADAPTQ_OK);
  CHECK_STATUS(adaptq_matrix_file_destroy(copy), ADAPTQ_OK);
  CHECK_STATUS(adaptq_matrix_destroy(again), ADAPTQ_OK);
  remove(path);
  return status;
}

static void every_allocation_of(const char *name, adaptq_status (*sequence)(adaptq_runtime *, float *)) {
  if (!small_path()) SKIP("ADAPTQ_TEST_SMALL_MODEL is not set");
  adaptq_runtime_options options = {0};
  options.struct_size = sizeof options;
  options.allocate = allocate;
  options.release = release;
  adaptq_runtime *runtime = NULL;
  memset(&c, 0, sizeof c);
  REQUIRE_OK(adaptq_runtime_create(&options, &runtime));
  float expected[32] = {0}, y[32] = {0};
  if (sequence(runtime, expected) != ADAPTQ_OK) {
    check_fail(__FILE__, __LINE__, "%s: %s", name, adaptq_last_error());
    return;
  }
  long all = c.allocations;
  int open_before = descriptors();
  CHECK(all > 2 && c.live == 0);
  for (long n = 1; n <= all; n++) {
    c.allocations = 0;
    c.refuse = n;
    adaptq_status status = sequence(runtime, y);
    if (status != ADAPTQ_OUT_OF_MEMORY || !strstr(adaptq_last_error(), "no memory for"))
      check_fail(__FILE__, __LINE__, "%s, allocation %ld of %ld: %s (%s)", name, n, all, adaptq_status_name(status),
                 adaptq_last_error());
    if (c.live != 0 || c.live_bytes != 0)
      check_fail(__FILE__, __LINE__, "%s, allocation %ld of %ld: %ld buffers leak", name, n, all, c.live);
    if (descriptors() != open_before) check_fail(__FILE__, __LINE__, "%s, allocation %ld: a descriptor leaks", name, n);
    c.refuse = 0;
    memset(y, 0, sizeof y);
    status = sequence(runtime, y);
    if (status != ADAPTQ_OK || memcmp(y, expected, sizeof y) != 0 || c.live != 0)
      check_fail(__FILE__, __LINE__, "%s after allocation %ld: %s (%s)", name, n, adaptq_status_name(status),
                 adaptq_last_error());
  }
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
  printf("  %s: %ld allocations, each refused once\n", name, all);
}

#define SEQUENCE(name) static void every_allocation_##name(void) { every_allocation_of(#name, name); }
SEQUENCE(from_path)
SEQUENCE(from_memory)
SEQUENCE(from_callback)
SEQUENCE(from_descriptor)
SEQUENCE(audio)
SEQUENCE(matrices)

extern void adaptq_test_count_begin(void) __attribute__((weak));
extern long adaptq_test_count_end(void) __attribute__((weak));
extern size_t adaptq_test_largest_block(void) __attribute__((weak));

// Small objects come from malloc, and the process ends where it returns NULL: how large the largest one is. Whatever grows
// with the weights is not among them; what grows with the header of a file is (docs/c-api.md says how).
static void largest_block_of_malloc(void) {
  if (!adaptq_test_largest_block) SKIP("count_malloc.so is not loaded");
  const char *path = fixture_path() ? fixture_path() : small_path();
  if (!path) SKIP("no model");
  char *file = NULL;
  size_t size = 0;
  uint64_t header = 0;
  REQUIRE((file = read_whole_file(path, &size)) != NULL);
  memcpy(&header, file, 8);
  free(file);
  adaptq_runtime *runtime = NULL;
  adaptq_model *model = NULL;
  adaptq_session *session = NULL;
  adaptq_tokenizer *tokenizer = NULL;
  adaptq_status status = ADAPTQ_OK;
  adaptq_runtime_options options = {0};
  options.struct_size = sizeof options;
  options.allocate = allocate;
  options.release = release;
  int64_t ids[16] = {1}, mask[16] = {1};
  adaptq_tensor in[2];
  tensor_shape(&in[0], ADAPTQ_TYPE_INT64, 2, 1, 16, 0, ids);
  tensor_shape(&in[1], ADAPTQ_TYPE_INT64, 2, 1, 16, 0, mask);
  adaptq_test_count_begin();
  TRY(adaptq_runtime_create(&options, &runtime));
  TRY(adaptq_model_open(runtime, path, &model));
  size_t opening = adaptq_test_largest_block();
  adaptq_test_count_end();
  adaptq_test_count_begin();
  TRY(adaptq_session_create(model, NULL, &session));
  TRY(adaptq_session_prepare(session, in, 2));
  TRY(adaptq_tokenizer_create(model, &tokenizer));
  size_t later = adaptq_test_largest_block();
  adaptq_test_count_end();
  CHECK_INT(status, ADAPTQ_OK);
  CHECK_STATUS(adaptq_tokenizer_destroy(tokenizer), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  CHECK_STATUS(adaptq_model_destroy(model), ADAPTQ_OK);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
  printf("  a file of %zu bytes with a header of %" PRIu64 ": the largest block of malloc is %zu bytes while it is opened, %zu "
         "afterwards\n", size, header, opening, later);
  CHECK(opening <= 16 * header + 65536);
  CHECK(later <= 65536);
}

int main(void) {
  if (small_path()) small_file = read_whole_file(small_path(), &small_size);
  RUN(every_allocation_from_path);
  RUN(every_allocation_from_memory);
  RUN(every_allocation_from_callback);
  RUN(every_allocation_from_descriptor);
  RUN(every_allocation_audio);
  RUN(every_allocation_matrices);
  RUN(largest_block_of_malloc);
  free(small_file);
  return check_end();
}
