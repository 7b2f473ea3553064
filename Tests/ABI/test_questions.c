// What a host may ask: features, options and their bounds, memory, metadata; and what the environment may do.
#define _GNU_SOURCE
#include <math.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

static void features(void) {
  const char *known[] = {"open-fd", "open-callback", "allocator", "ignore-environment", "strides", "tensor-types", "cancel",
                         "trace", "memory-report", "metadata", "options", "code-generation", "matrix", "states",
                         "telemetry-file", "amx", "session-power", "poll-thread", "shadow", "thread-choice"};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) CHECK_INT(adaptq_has_feature(known[i]), 1);
  const char *unknown[] = {"", "x", "Trace", "trace ", "open-f", "\xff\xfe", "a feature with a name that is much too long"};
  for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) CHECK_INT(adaptq_has_feature(unknown[i]), 0);
  CHECK_INT(adaptq_has_feature(NULL), 0);
}

// --------------------------------------------------------------------------------------------------------------- options

static adaptq_option_info option_at(size_t index) {
  adaptq_option_info info = {.struct_size = sizeof info};
  CHECK_STATUS(adaptq_option_describe(index, &info), ADAPTQ_OK);
  return info;
}

static size_t option_size(int32_t type) {
  return type == ADAPTQ_OPTION_INT32 || type == ADAPTQ_OPTION_UINT32 ? 4 : 8;
}

static void options_are_described(void) {
  size_t count = adaptq_option_count();
  CHECK(count > 10);
  static const struct { const char *name; size_t size; } structs[] = {
      {"adaptq_runtime_options", sizeof(adaptq_runtime_options)},
      {"adaptq_session_options", sizeof(adaptq_session_options)},
      {"adaptq_run_options", sizeof(adaptq_run_options)},
      {"adaptq_budget", sizeof(adaptq_budget)},
      {"adaptq_matrix_options", sizeof(adaptq_matrix_options)},
      {"adaptq_matrix_open_options", sizeof(adaptq_matrix_open_options)}};
  for (size_t s = 0; s < sizeof structs / sizeof structs[0]; s++) {
    // Every word of the struct belongs to a described option: none was forgotten.
    char covered[256] = {0};
    for (size_t i = 0; i < count; i++) {
      adaptq_option_info info = option_at(i);
      if (!info.is_field || strcmp(info.owner, structs[s].name) != 0) continue;
      REQUIRE(info.offset >= sizeof(size_t) && info.offset + option_size(info.type) <= structs[s].size);
      for (size_t k = 0; k < option_size(info.type); k++) {
        CHECK(!covered[info.offset + k]);
        covered[info.offset + k] = 1;
      }
    }
    for (size_t word = sizeof(size_t); word < structs[s].size; word += 8)
      if (!covered[word]) check_fail(__FILE__, __LINE__, "%s: nothing at offset %zu", structs[s].name, word);
  }
  for (size_t i = 0; i < count; i++) {
    adaptq_option_info info = option_at(i);
    CHECK(info.owner[0] && info.name[0] && info.description[0]);
    CHECK(info.type >= ADAPTQ_OPTION_INT32 && info.type <= ADAPTQ_OPTION_POINTER);
    CHECK(info.minimum <= info.maximum);
    CHECK(info.default_value == 0 || (info.default_value >= info.minimum && info.default_value <= info.maximum));
    for (size_t k = 0; k < i; k++) {
      adaptq_option_info other = option_at(k);
      CHECK(strcmp(info.owner, other.owner) != 0 || strcmp(info.name, other.name) != 0);
    }
  }
  adaptq_option_info info;
  canary_fill(&info, sizeof info);
  info.struct_size = sizeof info;
  CHECK_ERROR(adaptq_option_describe(count, &info), ADAPTQ_OUT_OF_RANGE, "index");
  CHECK_ERROR(adaptq_option_describe(SIZE_MAX, &info), ADAPTQ_OUT_OF_RANGE, "18446744073709551615");
  info.struct_size = 7;
  CHECK_ERROR(adaptq_option_describe(0, &info), ADAPTQ_INVALID_ARGUMENT, "struct_size is 7");
  CHECK(canary_intact(&info.owner, sizeof info - sizeof info.struct_size));
  CHECK_ERROR(adaptq_option_describe(0, NULL), ADAPTQ_INVALID_ARGUMENT, "info");
}

typedef struct { fixture *f; adaptq_session *session; tensors *t; adaptq_matrix_file *file; } world;
static const float sixteen[16] = {1};

static void one_after_another(void *context, size_t count, void (*body)(void *, size_t), void *body_context) {
  (void)context;
  for (size_t i = 0; i < count; i++) body(body_context, i);
}

// Uses a value for the option, everything else at its default.
static adaptq_status use_option(world *w, const adaptq_option_info *info, double value) {
  union {
    adaptq_runtime_options runtime;
    adaptq_session_options session;
    adaptq_run_options run;
    adaptq_matrix_options matrix;
    adaptq_matrix_open_options open;
    adaptq_group_options group;
    adaptq_budget budget;
    adaptq_telemetry_file_options file;
    adaptq_shadow_options shadow;
    char bytes[256];
  } o;
  memset(&o, 0, sizeof o);
  if (strcmp(info->owner, "adaptq_matrix_options") == 0) {
    o.matrix.n = 4;
    o.matrix.k = 4;
    o.matrix.weights = sixteen;
  }
  int32_t as_int32 = 0;
  uint32_t as_uint32 = 0;
  int64_t as_int64 = 0;
  char *at = o.bytes + info->offset;
  if (info->type == ADAPTQ_OPTION_INT32) as_int32 = (int32_t)value, memcpy(at, &as_int32, 4);
  if (info->type == ADAPTQ_OPTION_UINT32) as_uint32 = (uint32_t)value, memcpy(at, &as_uint32, 4);
  if (info->type == ADAPTQ_OPTION_INT64) as_int64 = (int64_t)value, memcpy(at, &as_int64, 8);
  if (info->type == ADAPTQ_OPTION_DOUBLE && info->is_field) memcpy(at, &value, 8);
  adaptq_status status = ADAPTQ_INTERNAL_ERROR;
  if (strcmp(info->owner, "adaptq_runtime_options") == 0) {
    o.runtime.struct_size = sizeof o.runtime;
    if (strcmp(info->name, "parallel_for_threads") == 0) o.runtime.parallel_for = one_after_another;
    adaptq_runtime *runtime = NULL;
    status = adaptq_runtime_create(&o.runtime, &runtime);
    CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
  } else if (strcmp(info->owner, "adaptq_telemetry_file_options") == 0) {
    o.file.struct_size = sizeof o.file;
    adaptq_runtime *runtime = NULL;
    char path[64];
    snprintf(path, sizeof path, "/tmp/adaptq-questions-%d.telemetry", (int)getpid());
    CHECK_STATUS(adaptq_runtime_create(NULL, &runtime), ADAPTQ_OK);
    status = adaptq_runtime_telemetry_file(runtime, path, &o.file);
    CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
    CHECK(access(path, F_OK) != 0);
  } else if (strcmp(info->owner, "adaptq_session_options") == 0) {
    o.session.struct_size = sizeof o.session;
    adaptq_session *session = NULL;
    status = adaptq_session_create(w->f->model, &o.session, &session);
    CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  } else if (strcmp(info->owner, "adaptq_run_options") == 0) {
    o.run.struct_size = sizeof o.run;
    status = fixture_run(w->f, w->session, w->t, &o.run, NULL);
  } else if (strcmp(info->owner, "adaptq_matrix_options") == 0) {
    o.matrix.struct_size = sizeof o.matrix;
    adaptq_matrix *matrix = NULL;
    status = adaptq_matrix_create(w->f->runtime, &o.matrix, &matrix);
    CHECK_STATUS(adaptq_matrix_destroy(matrix), ADAPTQ_OK);
  } else if (strcmp(info->owner, "adaptq_matrix_open_options") == 0) {
    o.open.struct_size = sizeof o.open;
    adaptq_matrix *matrix = NULL;
    status = adaptq_matrix_open(w->file, "", &o.open, &matrix);
    CHECK_STATUS(adaptq_matrix_destroy(matrix), ADAPTQ_OK);
  } else if (strcmp(info->owner, "adaptq_group_options") == 0) {
    o.group.struct_size = sizeof o.group;
    if (o.group.measure_ns == 0) o.group.measure_ns = 1;
    adaptq_matrix *matrix = NULL;
    adaptq_group *group = NULL;
    CHECK_STATUS(adaptq_matrix_open(w->file, "", NULL, &matrix), ADAPTQ_OK);
    status = adaptq_group_create(w->f->runtime, &matrix, 1, &o.group, &group);
    CHECK_STATUS(adaptq_group_destroy(group), ADAPTQ_OK);
    CHECK_STATUS(adaptq_matrix_destroy(matrix), ADAPTQ_OK);
  } else if (strcmp(info->owner, "adaptq_shadow_options") == 0) {
    o.shadow.struct_size = sizeof o.shadow;
    adaptq_session_options options = {.struct_size = sizeof options, .measure_ns = 1, .shadow = 1};
    adaptq_session *session = NULL;
    CHECK_STATUS(adaptq_session_create(w->f->model, &options, &session), ADAPTQ_OK);
    CHECK_STATUS(adaptq_session_prepare(session, w->t->inputs, w->f->n_inputs), ADAPTQ_OK);
    CHECK_STATUS(fixture_run(w->f, session, w->t, NULL, NULL), ADAPTQ_OK);
    status = adaptq_session_shadow(session, NULL, 0, &o.shadow, NULL);
    // A session with fewer plans than there may be refuses the largest.
    if (status == ADAPTQ_OUT_OF_RANGE && value == info->maximum) status = ADAPTQ_UNSUPPORTED;
    CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  } else if (strcmp(info->name, "score") == 0) {
    status = adaptq_session_report_quality(w->session, 0, value);
  } else if (strcmp(info->owner, "adaptq_group_set_deadline") == 0) {
    adaptq_group_options group_options = {.struct_size = sizeof group_options, .measure_ns = 1};
    adaptq_matrix *matrix = NULL;
    adaptq_group *group = NULL;
    CHECK_STATUS(adaptq_matrix_open(w->file, "", NULL, &matrix), ADAPTQ_OK);
    CHECK_STATUS(adaptq_group_create(w->f->runtime, &matrix, 1, &group_options, &group), ADAPTQ_OK);
    status = adaptq_group_set_deadline(group, (int64_t)value);
    CHECK_STATUS(adaptq_group_destroy(group), ADAPTQ_OK);
    CHECK_STATUS(adaptq_matrix_destroy(matrix), ADAPTQ_OK);
  } else if (strcmp(info->owner, "adaptq_budget") == 0) {
    o.budget.struct_size = sizeof o.budget;
    if (strcmp(info->name, "percentile") == 0) o.budget.latency_ns = 1000000000000;
    status = adaptq_session_set_budget(w->session, &o.budget, NULL);
  } else if (strcmp(info->owner, "adaptq_session_set_level") == 0) {
    status = adaptq_session_set_level(w->session, (adaptq_level)value);
  } else if (strcmp(info->owner, "adaptq_session_set_allowed_levels") == 0) {
    status = adaptq_session_set_allowed_levels(w->session, (uint32_t)value);
  } else if (strcmp(info->name, "latency_ns") == 0) {
    status = adaptq_session_set_latency_budget(w->session, (int64_t)value, 95);
  } else if (strcmp(info->name, "mean_cosine") == 0) {
    status = adaptq_session_set_quality_floor(w->session, value, 0, NULL);
  } else if (strcmp(info->name, "p5_cosine") == 0) {
    status = adaptq_session_set_quality_floor(w->session, 0, value, NULL);
  } else if (strcmp(info->name, "percentile") == 0) {
    status = adaptq_session_set_latency_budget(w->session, 1000000, value);
  }
  return status;
}

static void bounds_hold(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, f.levels, 1, 3);
  REQUIRE(session != NULL);
  // A file with one matrix, for the options of opening it.
  adaptq_matrix_options options = {.struct_size = sizeof options, .n = 4, .k = 4, .weights = sixteen};
  adaptq_matrix *matrix = NULL;
  world w = {&f, session, &t, NULL};
  char path[64];
  snprintf(path, sizeof path, "/tmp/adaptq-questions-%d.adaptq", (int)getpid());
  REQUIRE_OK(adaptq_matrix_create(f.runtime, &options, &matrix));
  REQUIRE_OK(adaptq_matrix_save(&matrix, 1, path));
  adaptq_status opened = adaptq_matrix_file_open(f.runtime, path, &w.file);
  unlink(path);
  REQUIRE_OK(opened);
  CHECK_STATUS(adaptq_matrix_destroy(matrix), ADAPTQ_OK);
  for (size_t i = 0; i < adaptq_option_count(); i++) {
    adaptq_option_info info = option_at(i);
    if (info.type == ADAPTQ_OPTION_POINTER) continue;
    double step = info.type == ADAPTQ_OPTION_DOUBLE ? 0.01 : 1;
    // Both bounds are accepted, or unsupported by this model or CPU.
    const double inside[] = {info.minimum, info.maximum};
    for (int k = 0; k < 2; k++) {
      // Strides have no bound of their own and n and k would read more weights than there are.
      if (info.maximum > 1e15 && k == 1) continue;
      if (strcmp(info.owner, "adaptq_matrix_options") == 0 && (info.name[1] == 0) && k == 1) continue;
      // No machine of ours has so many CPUs.
      if (strcmp(info.name, "n_cpus") == 0 && k == 1) continue;
      adaptq_status status = use_option(&w, &info, inside[k]);
      // The largest number of rows may need more memory than there is.
      if (status == ADAPTQ_OUT_OF_MEMORY && strcmp(info.name, "max_rows") == 0) continue;
      // Codes need scales, which no single option brings.
      if (status == ADAPTQ_INVALID_ARGUMENT && strcmp(info.name, "weight_type") == 0 && k == 1) continue;
      // A model without plans knows no quality.
      if (status == ADAPTQ_NOT_FOUND && strstr(info.name, "_cosine")) continue;
      if (status != ADAPTQ_OK && status != ADAPTQ_UNSUPPORTED)
        check_fail(__FILE__, __LINE__, "%s.%s = %g: %s", info.owner, info.name, inside[k], adaptq_last_error());
    }
    double lowest = info.type == ADAPTQ_OPTION_INT32 ? INT32_MIN : info.type == ADAPTQ_OPTION_UINT32 ? 0 :
                    info.type == ADAPTQ_OPTION_INT64 ? (double)INT64_MIN : -INFINITY;
    double highest = info.type == ADAPTQ_OPTION_INT32 ? INT32_MAX : info.type == ADAPTQ_OPTION_UINT32 ? UINT32_MAX :
                     info.type == ADAPTQ_OPTION_INT64 ? 9.2e18 : INFINITY;
    const double outside[] = {info.minimum - step, info.maximum + step, lowest, highest};
    for (int k = 0; k < 4; k++) {
      if (outside[k] >= info.minimum && outside[k] <= info.maximum) continue;
      if (outside[k] < lowest || outside[k] > highest) continue;
      adaptq_status status = use_option(&w, &info, outside[k]);
      if ((status != ADAPTQ_INVALID_ARGUMENT && status != ADAPTQ_OUT_OF_RANGE) || !strstr(adaptq_last_error(), info.name))
        check_fail(__FILE__, __LINE__, "%s.%s = %g: %s (%s)", info.owner, info.name, outside[k],
                   adaptq_status_name(status), adaptq_last_error());
    }
  }
  CHECK_STATUS(adaptq_matrix_file_destroy(w.file), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_set_latency_budget(session, 1000000, (double)NAN), ADAPTQ_OUT_OF_RANGE);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

// ---------------------------------------------------------------------------------------------------------------- memory

static void memory_adds_up(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *session = NULL;
  adaptq_memory memory = {.struct_size = sizeof memory};
  CHECK_STATUS(adaptq_model_memory(f.model, &memory), ADAPTQ_OK);
  size_t size = 0;
  free(read_whole_file(fixture_path(), &size));
  CHECK(memory.total_bytes >= size && memory.total_bytes < size + 65536);
  CHECK(memory.total_bytes == memory.nested_bytes + memory.fp16_bytes + memory.fp32_bytes + memory.table_bytes +
                                  memory.constant_bytes + memory.other_bytes);
  CHECK(memory.nested_bytes > 0 && memory.table_bytes > 0 && memory.constant_bytes > 0 && memory.other_bytes > 0);
  CHECK(memory.arena_bytes == 0 && memory.scratch_bytes == 0 && memory.state_bytes == 0 && memory.code_bytes == 0);
  CHECK((memory.fp32_bytes > 0) == ((f.levels & ADAPTQ_ALLOW_FP32) != 0));
  CHECK((memory.fp16_bytes > 0) == ((f.levels & ADAPTQ_ALLOW_FP16) != 0));
  uint64_t sites = 0;
  for (size_t i = 0; i < f.n_sites; i++) {
    adaptq_site_info info = {.struct_size = sizeof info};
    CHECK_STATUS(adaptq_model_site(f.model, i, &info), ADAPTQ_OK);
    sites += (uint64_t)info.stored_bytes;
  }
  CHECK(sites == memory.nested_bytes + memory.fp16_bytes + memory.fp32_bytes + memory.table_bytes);

  REQUIRE_OK(adaptq_session_create(f.model, NULL, &session));
  memory = (adaptq_memory){.struct_size = sizeof memory};
  CHECK_STATUS(adaptq_session_memory(session, &memory), ADAPTQ_OK);
  CHECK(memory.arena_bytes == 0 && memory.scratch_bytes == 0 && memory.state_bytes > 0);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  uint64_t last = 0;
  for (int64_t length = 4; length <= 16; length *= 2) {
    session = fixture_session(&f, &t, fixture_allow[fixture_best_level(f.levels)], 1, length);
    REQUIRE(session != NULL);
    CHECK_STATUS(adaptq_session_memory(session, &memory), ADAPTQ_OK);
    CHECK(memory.arena_bytes > last && memory.scratch_bytes > 0 && memory.nested_bytes == 0);
    CHECK(memory.total_bytes == memory.arena_bytes + memory.scratch_bytes + memory.state_bytes + memory.code_bytes);
    last = memory.arena_bytes;
    CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
    tensors_free(&f, &t);
  }
  adaptq_memory before;
  canary_fill(&memory, sizeof memory);
  memory.struct_size = sizeof memory - 4;
  before = memory;
  CHECK_ERROR(adaptq_model_memory(f.model, &memory), ADAPTQ_INVALID_ARGUMENT, "adaptq_memory.struct_size is 92");
  memory.struct_size = before.struct_size = sizeof memory;
  CHECK_STATUS(adaptq_model_memory(NULL, &memory), ADAPTQ_INVALID_HANDLE);
  CHECK_STATUS(adaptq_session_memory(session, &memory), ADAPTQ_INVALID_HANDLE);
  CHECK(memcmp(&memory, &before, sizeof memory) == 0);
  CHECK_ERROR(adaptq_model_memory(f.model, NULL), ADAPTQ_INVALID_ARGUMENT, "memory");
  fixture_close(&f);
}

// -------------------------------------------------------------------------------------------------------------- metadata

// The model with more texts in its header, padded so that the data stays aligned.
static char *with_metadata(const char *texts, size_t *size) {
  char *bytes = read_whole_file(fixture_path(), size);
  if (!bytes) return NULL;
  uint64_t header;
  memcpy(&header, bytes, 8);
  const char mark[] = "\"__metadata__\":{";
  char *at = (char *)memmem(bytes + 8, header, mark, sizeof mark - 1);
  size_t added = (strlen(texts) + 63) / 64 * 64;
  char *result = at ? (char *)malloc(*size + added) : NULL;
  if (result) {
    size_t before = (size_t)(at - bytes) + sizeof mark - 1;
    memcpy(result, bytes, before);
    memset(result + before, ' ', added);
    memcpy(result + before, texts, strlen(texts));
    memcpy(result + before + added, bytes + before, *size - before);
    header += added;
    memcpy(result, &header, 8);
    *size += added;
  }
  free(bytes);
  return result;
}

static void metadata(void) {
  OPEN_FIXTURE(f);
  size_t plain = 0, size = 0, count = 0;
  CHECK_STATUS(adaptq_model_metadata_count(f.model, &plain), ADAPTQ_OK);
  char *bytes = with_metadata("\"zz.licence\":\"Apache-2.0\",\"zz\":\"\\u00fcber\",\"zz.zero\":\"a\\u0000b\",\"\":\"\",", &size);
  REQUIRE(bytes != NULL);
  adaptq_model *model = NULL;
  REQUIRE_OK(adaptq_model_open_memory(f.runtime, bytes, size, &model));
  CHECK_STATUS(adaptq_model_metadata_count(model, &count), ADAPTQ_OK);
  CHECK_INT(count, plain + 4);
  const char *key = NULL, *value = NULL, *last = NULL;
  for (size_t i = 0; i < count; i++) {
    CHECK_STATUS(adaptq_model_metadata(model, i, &key, &value), ADAPTQ_OK);
    CHECK(strncmp(key, "adaptq.", 7) != 0);
    if (i > 0) CHECK(strcmp(last, key) < 0);  // in order
    const char *found = NULL;
    CHECK_STATUS(adaptq_model_metadata_find(model, key, &found), ADAPTQ_OK);
    CHECK(found == value);
    last = key;
  }
  CHECK_STATUS(adaptq_model_metadata_find(model, "zz.licence", &value), ADAPTQ_OK);
  CHECK(strcmp(value, "Apache-2.0") == 0);
  CHECK_STATUS(adaptq_model_metadata_find(model, "zz", &value), ADAPTQ_OK);
  CHECK(strcmp(value, "\xc3\xbc" "ber") == 0);
  CHECK_STATUS(adaptq_model_metadata_find(model, "zz.zero", &value), ADAPTQ_OK);
  CHECK(strcmp(value, "a?b") == 0);
  CHECK_STATUS(adaptq_model_metadata_find(model, "", &value), ADAPTQ_OK);
  CHECK(strcmp(value, "") == 0);
  // Wrong uses leave both texts alone.
  const char *const kept = "kept";
  key = value = kept;
  CHECK_ERROR(adaptq_model_metadata(model, count, &key, &value), ADAPTQ_OUT_OF_RANGE, "index");
  CHECK_ERROR(adaptq_model_metadata(model, SIZE_MAX, &key, &value), ADAPTQ_OUT_OF_RANGE, "index");
  CHECK_ERROR(adaptq_model_metadata(model, 0, NULL, &value), ADAPTQ_INVALID_ARGUMENT, "key");
  CHECK_ERROR(adaptq_model_metadata(model, 0, &key, NULL), ADAPTQ_INVALID_ARGUMENT, "value");
  CHECK_ERROR(adaptq_model_metadata_find(model, "adaptq.version", &value), ADAPTQ_NOT_FOUND, "adaptq.version");
  CHECK_ERROR(adaptq_model_metadata_find(model, "z", &value), ADAPTQ_NOT_FOUND, "\"z\"");
  CHECK_ERROR(adaptq_model_metadata_find(model, "\xff", &value), ADAPTQ_INVALID_ARGUMENT, "UTF-8");
  CHECK_ERROR(adaptq_model_metadata_find(model, NULL, &value), ADAPTQ_INVALID_ARGUMENT, "key");
  CHECK_ERROR(adaptq_model_metadata_find(model, "z", NULL), ADAPTQ_INVALID_ARGUMENT, "value");
  CHECK_STATUS(adaptq_model_metadata(NULL, 0, &key, &value), ADAPTQ_INVALID_HANDLE);
  CHECK_STATUS(adaptq_model_metadata_find(NULL, "z", &value), ADAPTQ_INVALID_HANDLE);
  CHECK_STATUS(adaptq_model_metadata_count(NULL, &count), ADAPTQ_INVALID_HANDLE);
  CHECK_ERROR(adaptq_model_metadata_count(model, NULL), ADAPTQ_INVALID_ARGUMENT, "out");
  CHECK(key == kept && value == kept);
  // Texts outlive their model while a tokenizer or session of it lives.
  adaptq_session *session = NULL;
  REQUIRE_OK(adaptq_session_create(model, NULL, &session));
  CHECK_STATUS(adaptq_model_metadata_find(model, "zz.licence", &value), ADAPTQ_OK);
  CHECK_STATUS(adaptq_model_destroy(model), ADAPTQ_OK);
  CHECK(strcmp(value, "Apache-2.0") == 0);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  free(bytes);
  fixture_close(&f);
}

// ----------------------------------------------------------------------------------------------------------- environment

// In a child each: the variable is read once per process.
static int in_a_child(int (*check)(void)) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) _exit(check());
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static adaptq_status create_with(int32_t ignore, adaptq_isa isa) {
  adaptq_runtime_options options = {.struct_size = sizeof options, .max_isa = isa};
  options.ignore_environment = ignore;
  adaptq_runtime *runtime = NULL;
  adaptq_status status = adaptq_runtime_create(&options, &runtime);
  adaptq_runtime_destroy(runtime);
  return status;
}

static int wrong_value_is_seen(void) {
  setenv("ADAPTQ_MAX_ISA", "nonsense", 1);
  int ok = create_with(1, 0) == ADAPTQ_OK && create_with(0, ADAPTQ_ISA_AVX2) == ADAPTQ_OK &&
           create_with(0, 0) == ADAPTQ_INVALID_ARGUMENT && strstr(adaptq_last_error(), "nonsense") != NULL;
  // Read already: changing it now changes nothing.
  setenv("ADAPTQ_MAX_ISA", "avx2", 1);
  return ok && create_with(0, 0) == ADAPTQ_INVALID_ARGUMENT && create_with(1, 0) == ADAPTQ_OK;
}

static int right_value_stays(void) {
  setenv("ADAPTQ_MAX_ISA", "portable", 1);
  int ok = create_with(0, 0) == ADAPTQ_OK;
  setenv("ADAPTQ_MAX_ISA", "nonsense", 1);
  return ok && create_with(0, 0) == ADAPTQ_OK;
}

static void environment_is_read_once(void) {
  CHECK_INT(in_a_child(wrong_value_is_seen), 1);
  CHECK_INT(in_a_child(right_value_stays), 1);
}

int main(int argc, char **argv) {
  // As a set-user-ID program (run.sh): the environment is not looked at.
  if (argc > 1 && strcmp(argv[1], "secure") == 0) {
    if (getauxval(AT_SECURE) == 0) return 77;
    adaptq_runtime *runtime = NULL;
    adaptq_level_kernels kernels = {.struct_size = sizeof kernels};
    if (adaptq_runtime_create(NULL, &runtime) != ADAPTQ_OK ||
        adaptq_runtime_level_kernels(runtime, ADAPTQ_LEVEL_INT8, &kernels) != ADAPTQ_OK) return 1;
    adaptq_runtime_destroy(runtime);
    char map[64];
    snprintf(map, sizeof map, "/tmp/perf-%ld.map", (long)getpid());
    return access(map, F_OK) == 0 ? 2 : 0;
  }
  RUN(environment_is_read_once);  // first: in children of a process that has made no runtime
  RUN(features);
  RUN(options_are_described);
  RUN(bounds_hold);
  RUN(memory_adds_up);
  RUN(metadata);
  return check_end();
}
