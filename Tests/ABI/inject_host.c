// What inject_syscalls.sh makes system calls fail in: open, prepare, run, save, destroy, between two marks; then the same again,
// which must work.
//
// Prints "first STATUS TEXT" if the first sequence fails, "descriptors N" if it leaks some and "broken ..." if a promise was
// broken; exits with 0 if none was, else 3. ADAPTQ_INJECT_THREADS: threads of the runtime, 0 for the default, else 1.
// ADAPTQ_TEST_SMALL_MODEL as for test_wrong_use.
#define _GNU_SOURCE
#include <dirent.h>
#include <math.h>
#include <unistd.h>

#include "fixture.h"

#define TRY(call) do { if (status == ADAPTQ_OK) status = (call); } while (0)

static int is_broken;
static void broken(const char *what) {
  is_broken = 1;
  printf("broken: %s\n", what);
}

static int descriptors(void) {
  int count = 0;
  DIR *folder = opendir("/proc/self/fd");
  while (folder && readdir(folder)) count++;
  if (folder) closedir(folder);
  return count;
}
static adaptq_tensor shape(adaptq_type type, int64_t a, int64_t b, void *data, size_t size) {
  adaptq_tensor t = {0};
  t.struct_size = sizeof t;
  t.type = type;
  t.rank = 2;
  t.sizes[0] = a;
  t.sizes[1] = b;
  t.data = data;
  t.data_size = size;
  return t;
}

static int32_t threads;

static void telemetry_path(char *text, size_t size, const char *path, int number) {
  snprintf(text, size, "%s.telemetry-%d", path, number);
}

static adaptq_status sequence(const char *path, int number, float *y) {
  adaptq_runtime *runtime = NULL;
  adaptq_model *model = NULL;
  adaptq_session *session = NULL;
  adaptq_tokenizer *tokenizer = NULL;
  adaptq_matrix *matrix = NULL, *opened = NULL;
  adaptq_matrix_file *file = NULL;
  adaptq_status status = ADAPTQ_OK;
  int64_t ids[8] = {2, 4, 5, 6, 7, 8, 9, 3}, mask[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  static float weights[64 * 64];
  for (int i = 0; i < 64 * 64; i++) weights[i] = (float)(i % 13) / 13 - 0.5f;
  adaptq_tensor in[2] = {shape(ADAPTQ_TYPE_INT64, 1, 8, ids, sizeof ids), shape(ADAPTQ_TYPE_INT64, 1, 8, mask, sizeof mask)};
  adaptq_tensor out = shape(ADAPTQ_TYPE_FLOAT32, 1, 32, y, 32 * sizeof *y);
  adaptq_runtime_options options = {0};
  options.struct_size = sizeof options;
  options.threads = threads;
  adaptq_matrix_options of_matrix = {.struct_size = sizeof of_matrix, .n = 64, .k = 64, .weights = weights};
  char saved[600];
  snprintf(saved, sizeof saved, "%s.inject", path);

  TRY(adaptq_runtime_create(&options, &runtime));
  // Another path each time: the one before stays if it cannot be removed.
  char telemetry[600];
  telemetry_path(telemetry, sizeof telemetry, path, number);
  adaptq_telemetry_file_options of_file = {.struct_size = sizeof of_file, .max_sessions = 1, .max_records = 16};
  TRY(adaptq_runtime_telemetry_file(runtime, telemetry, &of_file));
  TRY(adaptq_model_open(runtime, path, &model));
  TRY(adaptq_session_create(model, NULL, &session));
  TRY(adaptq_session_prepare(session, in, 2));
  TRY(adaptq_session_set_level(session, ADAPTQ_LEVEL_FP32));
  TRY(adaptq_session_run(session, in, 2, &out, 1, NULL, NULL));
  TRY(adaptq_tokenizer_create(model, &tokenizer));
  TRY(adaptq_matrix_create(runtime, &of_matrix, &matrix));
  TRY(adaptq_matrix_save(&matrix, 1, saved));
  TRY(adaptq_matrix_file_open(runtime, saved, &file));
  TRY(adaptq_matrix_open(file, "", NULL, &opened));
  char text[300];
  snprintf(text, sizeof text, "%s", status == ADAPTQ_OK ? "" : adaptq_last_error());
  if (adaptq_matrix_destroy(matrix) || adaptq_matrix_destroy(opened) || adaptq_matrix_file_destroy(file) ||
      adaptq_tokenizer_destroy(tokenizer) || adaptq_session_destroy(session) || adaptq_model_destroy(model) ||
      adaptq_runtime_destroy(runtime))
    broken("a destroy failed");
  if (status != ADAPTQ_OK && text[0] == 0) broken("a failure without a text");
  if (status == ADAPTQ_INTERNAL_ERROR || strcmp(adaptq_status_name(status), "ADAPTQ_UNKNOWN_STATUS") == 0)
    broken("a status that says nothing");
  if (status != ADAPTQ_OK) printf("first %s %s\n", adaptq_status_name(status), text);
  return status;
}

int main(void) {
  const char *path = getenv("ADAPTQ_TEST_SMALL_MODEL");
  if (!path) return 4;
  threads = atoi(getenv("ADAPTQ_INJECT_THREADS") ? getenv("ADAPTQ_INJECT_THREADS") : "1");
  float first[32] = {0}, second[32] = {0};
  int before = descriptors();
  ssize_t ignored = write(-1, "adaptq-begin", 12);
  adaptq_status status = sequence(path, 1, first);
  ignored += write(-1, "adaptq-end", 10);
  int after = descriptors();
  if (after != before) printf("descriptors %d\n", after - before);
  if (sequence(path, 2, second) != ADAPTQ_OK) broken("the next attempt fails");
  // Where no code could be generated the portable kernels round differently.
  for (int i = 0; status == ADAPTQ_OK && i < 32; i++)
    if (!(fabsf(first[i] - second[i]) < 1e-4f)) broken("other numbers");
  if (descriptors() != after) broken("the next attempt leaks a descriptor");
  char saved[600];
  snprintf(saved, sizeof saved, "%s.inject", path);
  remove(saved);
  telemetry_path(saved, sizeof saved, path, 2);
  if (remove(saved) == 0) broken("the next attempt leaves its telemetry file");
  telemetry_path(saved, sizeof saved, path, 1);
  remove(saved);
  return is_broken || ignored == 0 ? 3 : 0;
}
