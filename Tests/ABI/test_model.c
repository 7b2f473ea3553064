// adaptq_model_*: opening, describing, and who keeps whom alive. What hostile files do is in test_hostile_file.c.
#define _GNU_SOURCE
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"

static void refuses_paths(void) {
  adaptq_runtime *runtime = NULL;
  REQUIRE_OK(adaptq_runtime_create(NULL, &runtime));
  adaptq_model *model;
#define REFUSED(path, status) \
  do { model = (adaptq_model *)0x1000; CHECK_STATUS(adaptq_model_open(runtime, path, &model), status); CHECK(!model); } while (0)
  REFUSED("/nonexistent/adaptq/model.adaptq", ADAPTQ_NOT_FOUND);
  CHECK(strstr(adaptq_last_error(), "/nonexistent/adaptq/model.adaptq") != NULL);
  REFUSED("", ADAPTQ_NOT_FOUND);
  REFUSED("/", ADAPTQ_IO_ERROR);
  REFUSED("/dev/null", ADAPTQ_IO_ERROR);
  REFUSED(NULL, ADAPTQ_INVALID_ARGUMENT);
  char path[] = "/tmp/adaptq-model-XXXXXX";
  int file = mkstemp(path);
  REQUIRE(file >= 0);
  REFUSED(path, ADAPTQ_INVALID_FILE);  // empty
  REQUIRE(write(file, "this is not a model, only a line of text\n", 41) == 41);
  REFUSED(path, ADAPTQ_INVALID_FILE);
  close(file);
  unlink(path);
  char long_path[9000];
  memset(long_path, 'x', sizeof long_path - 1);
  long_path[0] = '/';
  long_path[sizeof long_path - 1] = 0;
  REFUSED(long_path, ADAPTQ_IO_ERROR);
#undef REFUSED
  CHECK_ERROR(adaptq_model_open(runtime, "/", NULL), ADAPTQ_INVALID_ARGUMENT, "out");
  model = (adaptq_model *)0x1000;
  CHECK_STATUS(adaptq_model_open(NULL, "/", &model), ADAPTQ_INVALID_HANDLE);
  CHECK(model == NULL);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
  model = (adaptq_model *)0x1000;
  CHECK_STATUS(adaptq_model_open(runtime, "/", &model), ADAPTQ_INVALID_HANDLE);
  CHECK(model == NULL);
}

static void refuses_memory(void) {
  adaptq_runtime *runtime = NULL;
  REQUIRE_OK(adaptq_runtime_create(NULL, &runtime));
  adaptq_model *model = (adaptq_model *)0x1000;
  CHECK_ERROR(adaptq_model_open_memory(runtime, NULL, 10, &model), ADAPTQ_INVALID_ARGUMENT, "data");
  CHECK(model == NULL);
  model = (adaptq_model *)0x1000;
  CHECK_STATUS(adaptq_model_open_memory(runtime, "", 0, &model), ADAPTQ_INVALID_FILE);
  CHECK(model == NULL);
  CHECK_STATUS(adaptq_model_open_memory(runtime, "abc", 3, &model), ADAPTQ_INVALID_FILE);
  CHECK_ERROR(adaptq_model_open_memory(runtime, "abc", 3, NULL), ADAPTQ_INVALID_ARGUMENT, "out");
  CHECK_STATUS(adaptq_model_open_memory(NULL, "abc", 3, &model), ADAPTQ_INVALID_HANDLE);
  // A size that no memory has: refused before anything is read there.
  adaptq_status status = adaptq_model_open_memory(runtime, "abc", SIZE_MAX, &model);
  CHECK(status == ADAPTQ_INVALID_ARGUMENT || status == ADAPTQ_OUT_OF_RANGE || status == ADAPTQ_OUT_OF_MEMORY);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
}

// Every function that takes a model refuses what is not one and leaves its outputs alone.
static void refuses_handles_in(adaptq_model *wrong) {
  size_t count;
  uint32_t levels;
  adaptq_tensor_info tensor;
  adaptq_site_info site;
  adaptq_session *session = (adaptq_session *)0x1000;
  adaptq_tokenizer *tokenizer = (adaptq_tokenizer *)0x1000;
  canary_fill(&count, sizeof count);
  canary_fill(&levels, sizeof levels);
  canary_fill(&tensor, sizeof tensor);
  canary_fill(&site, sizeof site);
  CHECK_STATUS(adaptq_model_input_count(wrong, &count), ADAPTQ_INVALID_HANDLE);
  CHECK_STATUS(adaptq_model_output_count(wrong, &count), ADAPTQ_INVALID_HANDLE);
  CHECK_STATUS(adaptq_model_site_count(wrong, &count), ADAPTQ_INVALID_HANDLE);
  CHECK_STATUS(adaptq_model_levels(wrong, &levels), ADAPTQ_INVALID_HANDLE);
  tensor.struct_size = sizeof tensor;
  site.struct_size = sizeof site;
  CHECK_STATUS(adaptq_model_input(wrong, 0, &tensor), ADAPTQ_INVALID_HANDLE);
  CHECK_STATUS(adaptq_model_output(wrong, 0, &tensor), ADAPTQ_INVALID_HANDLE);
  CHECK_STATUS(adaptq_model_site(wrong, 0, &site), ADAPTQ_INVALID_HANDLE);
  CHECK_STATUS(adaptq_session_create(wrong, NULL, &session), ADAPTQ_INVALID_HANDLE);
  CHECK_STATUS(adaptq_tokenizer_create(wrong, &tokenizer), ADAPTQ_INVALID_HANDLE);
  CHECK(session == NULL && tokenizer == NULL);
  CHECK(canary_intact(&count, sizeof count) && canary_intact(&levels, sizeof levels));
  CHECK(canary_intact(&tensor.name, sizeof tensor - offsetof(adaptq_tensor_info, name)));
  CHECK(canary_intact(&site.name, sizeof site - offsetof(adaptq_site_info, name)));
  CHECK_STATUS(adaptq_model_destroy(wrong), wrong ? ADAPTQ_INVALID_HANDLE : ADAPTQ_OK);
}

static void refuses_handles(void) {
  adaptq_runtime *runtime = NULL;
  REQUIRE_OK(adaptq_runtime_create(NULL, &runtime));
  refuses_handles_in(NULL);
  refuses_handles_in((adaptq_model *)runtime);
  refuses_handles_in((adaptq_model *)(uintptr_t)0xADA5000001200000);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
}

static void describes_tensors(void) {
  OPEN_FIXTURE(f);
  CHECK(f.n_inputs > 0 && f.n_outputs > 0);
  for (size_t i = 0; i < f.n_inputs + f.n_outputs; i++) {
    const adaptq_tensor_info *info = i < f.n_inputs ? &f.input[i] : &f.output[i - f.n_inputs];
    CHECK_INT(info->struct_size, sizeof *info);
    CHECK(info->name != NULL && info->name[0] != 0);
    CHECK(info->type >= ADAPTQ_TYPE_FLOAT32 && info->type <= ADAPTQ_TYPE_INT32);
    CHECK(info->rank >= 0 && info->rank <= ADAPTQ_MAX_RANK);
    for (int k = 0; k < info->rank; k++) {
      CHECK(info->sizes[k] == -1 || info->sizes[k] > 0);
      CHECK((info->sizes[k] == -1) == (info->dim_names[k] != NULL));
      if (info->dim_names[k]) CHECK(info->dim_names[k][0] != 0);
    }
  }
  fixture_close(&f);
}

static void describes_sites(void) {
  OPEN_FIXTURE(f);
  CHECK(f.levels != 0 && (f.levels & ~(uint32_t)ADAPTQ_ALLOW_ALL) == 0);
  CHECK(f.n_sites > 0);
  uint32_t common = ADAPTQ_ALLOW_ALL;
  for (size_t i = 0; i < f.n_sites; i++) {
    adaptq_site_info site = {.struct_size = sizeof site};
    CHECK_STATUS(adaptq_model_site(f.model, i, &site), ADAPTQ_OK);
    CHECK(site.name != NULL && site.name[0] != 0);
    CHECK(site.kind == ADAPTQ_SITE_LINEAR || site.kind == ADAPTQ_SITE_EMBEDDING);
    CHECK(site.levels != 0 && (site.levels & ~(uint32_t)ADAPTQ_ALLOW_ALL) == 0);
    CHECK(site.n > 0 && site.k > 0);
    // The coarsest form is 2 bits per weight.
    CHECK(site.stored_bytes >= site.n * site.k / 4);
    if (site.kind == ADAPTQ_SITE_LINEAR) common &= site.levels;
  }
  CHECK_INT(f.levels, common);
  fixture_close(&f);
}

static void refuses_questions(void) {
  OPEN_FIXTURE(f);
  CHECK_STATUS(adaptq_model_input_count(f.model, NULL), ADAPTQ_INVALID_ARGUMENT);
  CHECK_STATUS(adaptq_model_output_count(f.model, NULL), ADAPTQ_INVALID_ARGUMENT);
  CHECK_STATUS(adaptq_model_site_count(f.model, NULL), ADAPTQ_INVALID_ARGUMENT);
  CHECK_STATUS(adaptq_model_levels(f.model, NULL), ADAPTQ_INVALID_ARGUMENT);
  CHECK_STATUS(adaptq_model_input(f.model, 0, NULL), ADAPTQ_INVALID_ARGUMENT);
  CHECK_STATUS(adaptq_model_output(f.model, 0, NULL), ADAPTQ_INVALID_ARGUMENT);
  CHECK_STATUS(adaptq_model_site(f.model, 0, NULL), ADAPTQ_INVALID_ARGUMENT);

  adaptq_tensor_info tensor;
  adaptq_site_info site;
  canary_fill(&tensor, sizeof tensor);
  canary_fill(&site, sizeof site);
  const size_t sizes[] = {0, 8, sizeof tensor - 1, sizeof tensor + 1, SIZE_MAX};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    tensor.struct_size = sizes[i];
    site.struct_size = sizes[i];
    CHECK_ERROR(adaptq_model_input(f.model, 0, &tensor), ADAPTQ_INVALID_ARGUMENT, "adaptq_tensor_info.struct_size");
    CHECK_ERROR(adaptq_model_output(f.model, 0, &tensor), ADAPTQ_INVALID_ARGUMENT, "adaptq_tensor_info.struct_size");
    CHECK_ERROR(adaptq_model_site(f.model, 0, &site), ADAPTQ_INVALID_ARGUMENT, "adaptq_site_info.struct_size");
  }
  tensor.struct_size = sizeof tensor;
  site.struct_size = sizeof site;
  const size_t beyond[] = {0, 1, 1000, SIZE_MAX / 2, SIZE_MAX};
  for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
    size_t add = beyond[i];
    CHECK_STATUS(adaptq_model_input(f.model, add < 2000 ? f.n_inputs + add : add, &tensor), ADAPTQ_OUT_OF_RANGE);
    CHECK_STATUS(adaptq_model_output(f.model, add < 2000 ? f.n_outputs + add : add, &tensor), ADAPTQ_OUT_OF_RANGE);
    CHECK_STATUS(adaptq_model_site(f.model, add < 2000 ? f.n_sites + add : add, &site), ADAPTQ_OUT_OF_RANGE);
  }
  CHECK(canary_intact(&tensor.name, sizeof tensor - offsetof(adaptq_tensor_info, name)));
  CHECK(canary_intact(&site.name, sizeof site - offsetof(adaptq_site_info, name)));
  fixture_close(&f);
}

// Same answers from a file and from memory that is gone afterwards.
static void opens_from_memory(void) {
  OPEN_FIXTURE(f);
  size_t size = 0;
  char *bytes = read_whole_file(fixture_path(), &size);
  REQUIRE(bytes != NULL);
  adaptq_model *copy = NULL;
  CHECK_STATUS(adaptq_model_open_memory(f.runtime, bytes, size, &copy), ADAPTQ_OK);
  memset(bytes, 0xEE, size);
  free(bytes);
  fixture g = f;
  g.model = copy;
  tensors a, b;
  adaptq_session *from_file = fixture_session(&f, &a, fixture_allow[fixture_best_level(f.levels)], 1, 6);
  adaptq_session *from_memory = fixture_session(&g, &b, fixture_allow[fixture_best_level(f.levels)], 1, 6);
  if (from_file && from_memory) {
    CHECK_STATUS(fixture_run(&f, from_file, &a, NULL, NULL), ADAPTQ_OK);
    CHECK_STATUS(fixture_run(&g, from_memory, &b, NULL, NULL), ADAPTQ_OK);
    CHECK(memcmp(a.outputs[0].data, b.outputs[0].data, a.outputs[0].data_size) == 0);
  }
  CHECK_STATUS(adaptq_session_destroy(from_file), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_destroy(from_memory), ADAPTQ_OK);
  CHECK_STATUS(adaptq_model_destroy(copy), ADAPTQ_OK);
  tensors_free(&f, &a);
  tensors_free(&g, &b);
  fixture_close(&f);
}

static void file_may_go_after_opening(void) {
  OPEN_FIXTURE(f);
  size_t size = 0;
  char *bytes = read_whole_file(fixture_path(), &size);
  REQUIRE(bytes != NULL);
  char path[] = "/tmp/adaptq-model-XXXXXX";
  int file = mkstemp(path);
  REQUIRE(file >= 0);
  for (size_t done = 0; done < size;) {
    ssize_t wrote = write(file, bytes + done, size - done);
    REQUIRE(wrote > 0);
    done += (size_t)wrote;
  }
  free(bytes);
  CHECK_STATUS(adaptq_model_destroy(f.model), ADAPTQ_OK);
  CHECK_STATUS(adaptq_model_open(f.runtime, path, &f.model), ADAPTQ_OK);
  CHECK(ftruncate(file, 0) == 0);
  close(file);
  unlink(path);
  for (size_t i = 0; i < f.n_inputs; i++) CHECK_STATUS(adaptq_model_input(f.model, i, &f.input[i]), ADAPTQ_OK);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, fixture_allow[fixture_best_level(f.levels)], 1, 5);
  if (session) CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

// Runtime and model handles may go first; texts live as long as a session or tokenizer of the model.
static void any_order_of_destruction(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, fixture_allow[fixture_best_level(f.levels)], 1, 4);
  REQUIRE(session != NULL);
  CHECK_STATUS(adaptq_runtime_destroy(f.runtime), ADAPTQ_OK);
  adaptq_session *later = NULL;
  CHECK_STATUS(adaptq_session_create(f.model, NULL, &later), ADAPTQ_OK);
  CHECK_STATUS(adaptq_model_destroy(f.model), ADAPTQ_OK);
  CHECK_STATUS(adaptq_model_destroy(f.model), ADAPTQ_INVALID_HANDLE);
  refuses_handles_in(f.model);
  size_t letters = 0;
  for (size_t i = 0; i < f.n_inputs; i++) {
    letters += strlen(f.input[i].name);
    for (int k = 0; k < f.input[i].rank; k++) if (f.input[i].dim_names[k]) letters += strlen(f.input[i].dim_names[k]);
  }
  CHECK(letters > 0);
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_destroy(later), ADAPTQ_OK);
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
}

// Log lines: at most the level asked for, one line each, on the calling thread only.
static int log_lines, log_wrong;
static void on_log(void *context, int32_t level, const char *message) {
  log_lines++;
  log_wrong |= context != &log_lines || level < ADAPTQ_LOG_WARNING || level > ADAPTQ_LOG_DEBUG || message == NULL ||
               message[0] == 0 || strchr(message, '\n') != NULL;
}

static void logs_to_the_callback(void) {
  NEEDS_MODEL();
  adaptq_runtime_options options = {.struct_size = sizeof options, .log = on_log, .log_context = &log_lines};
  options.log_level = ADAPTQ_LOG_DEBUG;
  adaptq_runtime *runtime = NULL;
  adaptq_model *model = NULL;
  REQUIRE_OK(adaptq_runtime_create(&options, &runtime));
  CHECK_STATUS(adaptq_model_open(runtime, fixture_path(), &model), ADAPTQ_OK);
  CHECK_STATUS(adaptq_model_destroy(model), ADAPTQ_OK);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
  CHECK_INT(log_wrong, 0);
}

int main(void) {
  RUN(refuses_paths);
  RUN(refuses_memory);
  RUN(refuses_handles);
  RUN(describes_tensors);
  RUN(describes_sites);
  RUN(refuses_questions);
  RUN(opens_from_memory);
  RUN(file_may_go_after_opening);
  RUN(any_order_of_destruction);
  RUN(logs_to_the_callback);
  return check_end();
}
