// Everything that needs no model: version, names, error text, runtime, and every wrong use of a handle.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static adaptq_runtime *new_runtime(void) {
  adaptq_runtime *runtime = NULL;
  adaptq_status status = adaptq_runtime_create(NULL, &runtime);
  if (status != ADAPTQ_OK) check_fail(__FILE__, __LINE__, "no runtime: %s", adaptq_last_error());
  return runtime;
}

static void version(void) {
  CHECK_INT(adaptq_version_number(),
            ADAPTQ_VERSION_MAJOR * 1000000 + ADAPTQ_VERSION_MINOR * 1000 + ADAPTQ_VERSION_PATCH);
  CHECK(strcmp(adaptq_version_string(), ADAPTQ_VERSION_STRING) == 0);
  char text[64];
  snprintf(text, sizeof text, "%d.%d.%d", ADAPTQ_VERSION_MAJOR, ADAPTQ_VERSION_MINOR, ADAPTQ_VERSION_PATCH);
  CHECK(strcmp(text, ADAPTQ_VERSION_STRING) == 0);
  CHECK(adaptq_version_string() == adaptq_version_string());
}

static void status_names(void) {
#define NAME(status) CHECK(strcmp(adaptq_status_name(status), #status) == 0)
  NAME(ADAPTQ_OK);
  NAME(ADAPTQ_INVALID_ARGUMENT);
  NAME(ADAPTQ_INVALID_HANDLE);
  NAME(ADAPTQ_BUSY);
  NAME(ADAPTQ_OUT_OF_MEMORY);
  NAME(ADAPTQ_CANCELLED);
  NAME(ADAPTQ_NOT_FOUND);
  NAME(ADAPTQ_IO_ERROR);
  NAME(ADAPTQ_INVALID_FILE);
  NAME(ADAPTQ_UNSUPPORTED_VERSION);
  NAME(ADAPTQ_UNSUPPORTED);
  NAME(ADAPTQ_NOT_PREPARED);
  NAME(ADAPTQ_OUT_OF_RANGE);
  NAME(ADAPTQ_BUFFER_TOO_SMALL);
  NAME(ADAPTQ_INTERNAL_ERROR);
#undef NAME
  const adaptq_status known[] = {0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 20, 21, 22, 90};
  for (int value = -300; value < 300; value++) {
    int is_known = 0;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) is_known |= known[i] == value;
    if ((strcmp(adaptq_status_name(value), "ADAPTQ_UNKNOWN_STATUS") == 0) == is_known)
      check_fail(__FILE__, __LINE__, "status %d is called %s", value, adaptq_status_name(value));
  }
  CHECK(strcmp(adaptq_status_name(INT32_MIN), "ADAPTQ_UNKNOWN_STATUS") == 0);
  CHECK(strcmp(adaptq_status_name(INT32_MAX), "ADAPTQ_UNKNOWN_STATUS") == 0);
}

static void level_names(void) {
  CHECK(strcmp(adaptq_level_name(ADAPTQ_LEVEL_AUTO), "AUTO") == 0);
  CHECK(strcmp(adaptq_level_name(ADAPTQ_LEVEL_INT2), "INT2") == 0);
  CHECK(strcmp(adaptq_level_name(ADAPTQ_LEVEL_INT4), "INT4") == 0);
  CHECK(strcmp(adaptq_level_name(ADAPTQ_LEVEL_INT6), "INT6") == 0);
  CHECK(strcmp(adaptq_level_name(ADAPTQ_LEVEL_INT8), "INT8") == 0);
  CHECK(strcmp(adaptq_level_name(ADAPTQ_LEVEL_FP16), "FP16") == 0);
  CHECK(strcmp(adaptq_level_name(ADAPTQ_LEVEL_FP32), "FP32") == 0);
  const adaptq_level unknown[] = {1, 3, 5, 7, 9, 15, 17, 31, 33, 64, -2, INT32_MIN, INT32_MAX};
  for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
    CHECK(strcmp(adaptq_level_name(unknown[i]), "UNKNOWN") == 0);
}

static void runtime_defaults(void) {
  adaptq_runtime *runtime = NULL;
  CHECK_STATUS(adaptq_runtime_create(NULL, &runtime), ADAPTQ_OK);
  CHECK(runtime != NULL);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
  CHECK_STATUS(adaptq_runtime_destroy(NULL), ADAPTQ_OK);
}

static void runtime_every_option(void) {
  for (int32_t log = 0; log <= ADAPTQ_LOG_DEBUG; log++)
    for (int32_t code = 0; code <= ADAPTQ_CODE_GENERATION_OFF; code++)
      for (int32_t isa = 0; isa <= ADAPTQ_ISA_AMX; isa++) {
        adaptq_runtime_options options = {0};
        options.struct_size = sizeof options;
        options.log_level = log;
        options.code_generation = code;
        options.max_isa = isa;
        adaptq_runtime *runtime = NULL;
        CHECK_STATUS(adaptq_runtime_create(&options, &runtime), ADAPTQ_OK);
        CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
      }
}

static void runtime_refuses(void) {
  adaptq_runtime_options good = {0};
  good.struct_size = sizeof good;
  CHECK_ERROR(adaptq_runtime_create(NULL, NULL), ADAPTQ_INVALID_ARGUMENT, "out");
  CHECK_ERROR(adaptq_runtime_create(&good, NULL), ADAPTQ_INVALID_ARGUMENT, "out");

  const size_t sizes[] = {0, 1, 7, 8, sizeof good - 1, sizeof good + 1, sizeof good + 8, 4096, SIZE_MAX, SIZE_MAX / 2 + 1};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    adaptq_runtime_options options = good;
    options.struct_size = sizes[i];
    adaptq_runtime *runtime = (adaptq_runtime *)0x1000;
    char text[32];
    snprintf(text, sizeof text, "%zu", sizes[i]);
    CHECK_ERROR(adaptq_runtime_create(&options, &runtime), ADAPTQ_INVALID_ARGUMENT, "adaptq_runtime_options.struct_size");
    CHECK(strstr(adaptq_last_error(), text) != NULL);
    CHECK(runtime == NULL);
  }

  const int32_t wrong[] = {-1, 4, 99, INT32_MIN, INT32_MAX};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    adaptq_runtime_options options = good;
    adaptq_runtime *runtime = (adaptq_runtime *)0x1000;
    options.log_level = wrong[i];
    CHECK_ERROR(adaptq_runtime_create(&options, &runtime), ADAPTQ_INVALID_ARGUMENT, "log_level");
    CHECK(runtime == NULL);
    options = good;
    options.code_generation = wrong[i];
    CHECK_ERROR(adaptq_runtime_create(&options, &runtime), ADAPTQ_INVALID_ARGUMENT, "code_generation");
    options = good;
    options.max_isa = wrong[i] == 4 ? 9 : wrong[i];
    CHECK_ERROR(adaptq_runtime_create(&options, &runtime), ADAPTQ_INVALID_ARGUMENT, "max_isa");
    CHECK(runtime == NULL);
  }
}

static void options_at_any_alignment(void) {
  _Alignas(16) char memory[sizeof(adaptq_runtime_options) + 16];
  for (size_t offset = 0; offset < 16; offset++) {
    adaptq_runtime_options options = {0};
    options.struct_size = sizeof options;
    memcpy(memory + offset, &options, sizeof options);
    adaptq_runtime *runtime = NULL;
    // Through void: C itself forbids a misaligned pointer of the struct's type, a packed host struct makes one anyway.
    CHECK_STATUS(adaptq_runtime_create((const adaptq_runtime_options *)(const void *)(memory + offset), &runtime),
                 ADAPTQ_OK);
    CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
  }
}

static void use_after_destroy(void) {
  adaptq_runtime *runtime = new_runtime();
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
  CHECK_ERROR(adaptq_runtime_destroy(runtime), ADAPTQ_INVALID_HANDLE, "adaptq_runtime");
  // The next runtime may use the same slot; the old handle stays dead.
  for (int i = 0; i < 1000; i++) {
    adaptq_runtime *next = new_runtime();
    CHECK(next != runtime);
    CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_INVALID_HANDLE);
    CHECK_STATUS(adaptq_runtime_destroy(next), ADAPTQ_OK);
  }
}

static void any_bit_pattern_as_handle(void) {
  adaptq_runtime *live = new_runtime();
  uint64_t state = 20250101;
  for (int i = 0; i < 200000; i++) {
    uint64_t bits = check_random(&state);
    if (i % 4 == 1) bits &= 0xFFFFFFFFFFF;                                // an ordinary address
    if (i % 4 == 2) bits = (uint64_t)(uintptr_t)live ^ (bits & ~UINT64_C(0xFFFFFFFFF00000)); // near a live one
    if (i % 4 == 3) bits = (uint64_t)(uintptr_t)live ^ (UINT64_C(1) << (bits % 64));
    adaptq_runtime *wrong = (adaptq_runtime *)(uintptr_t)bits;
    if (wrong == live || wrong == NULL) continue;
    if (adaptq_runtime_destroy(wrong) != ADAPTQ_INVALID_HANDLE)
      check_fail(__FILE__, __LINE__, "case %d: 0x%" PRIx64 " was taken for a handle", i, bits);
  }
  int local = 0;
  CHECK_STATUS(adaptq_runtime_destroy((adaptq_runtime *)(void *)&local), ADAPTQ_INVALID_HANDLE);
  CHECK_STATUS(adaptq_runtime_destroy(live), ADAPTQ_OK);
}

static void many_handles(void) {
  enum { COUNT = 20000 };
  adaptq_runtime **all = (adaptq_runtime **)calloc(COUNT, sizeof *all);
  REQUIRE(all != NULL);
  for (int i = 0; i < COUNT; i++) all[i] = new_runtime();
  for (int i = 1; i < COUNT; i++) CHECK(all[i] != all[i - 1]);
  for (int i = 0; i < COUNT; i += 2) CHECK_STATUS(adaptq_runtime_destroy(all[i]), ADAPTQ_OK);
  for (int i = 0; i < COUNT; i++)
    CHECK_STATUS(adaptq_runtime_destroy(all[i]), i % 2 ? ADAPTQ_OK : ADAPTQ_INVALID_HANDLE);
  free(all);
}

// Errors belong to their thread.
static void *first_error_of_thread(void *ok) {
  int good = adaptq_last_error()[0] == 0;
  adaptq_runtime_create(NULL, NULL);
  good = good && strstr(adaptq_last_error(), "out") != NULL;
  *(int *)ok = good;
  return NULL;
}

static void error_text_per_thread(void) {
  CHECK_STATUS(adaptq_runtime_destroy((adaptq_runtime *)1), ADAPTQ_INVALID_HANDLE);
  char before[256];
  snprintf(before, sizeof before, "%s", adaptq_last_error());
  for (int i = 0; i < 50; i++) {
    int ok = 0;
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, first_error_of_thread, &ok) == 0);
    pthread_join(thread, NULL);
    CHECK(ok);
  }
  CHECK(strcmp(before, adaptq_last_error()) == 0);
  // A call that succeeds leaves the text alone.
  adaptq_runtime *runtime = new_runtime();
  CHECK(strcmp(before, adaptq_last_error()) == 0);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
  CHECK(strcmp(before, adaptq_last_error()) == 0);
}

// Many threads make, use and destroy handles; each handle is destroyed by exactly one of two threads that try.
enum { RACERS = 4, ROUNDS = 5000 };
static adaptq_runtime *volatile shared[RACERS];
static int destroyed[RACERS];

static void *race(void *argument) {
  int self = (int)(intptr_t)argument;
  for (int round = 0; round < ROUNDS; round++) {
    adaptq_runtime *mine = NULL;
    if (adaptq_runtime_create(NULL, &mine) != ADAPTQ_OK) return (void *)"create failed";
    adaptq_runtime *old = __atomic_exchange_n(&shared[self], mine, __ATOMIC_ACQ_REL);
    adaptq_runtime *other = __atomic_load_n(&shared[(self + 1) % RACERS], __ATOMIC_ACQUIRE);
    if (other && adaptq_runtime_destroy(other) == ADAPTQ_OK) __atomic_fetch_add(&destroyed[self], 1, __ATOMIC_RELAXED);
    if (old && adaptq_runtime_destroy(old) == ADAPTQ_OK) __atomic_fetch_add(&destroyed[self], 1, __ATOMIC_RELAXED);
  }
  return NULL;
}

static void racing_threads(void) {
  pthread_t threads[RACERS];
  for (int i = 0; i < RACERS; i++) REQUIRE(pthread_create(&threads[i], NULL, race, (void *)(intptr_t)i) == 0);
  for (int i = 0; i < RACERS; i++) {
    void *result = NULL;
    pthread_join(threads[i], &result);
    if (result) check_fail(__FILE__, __LINE__, "thread %d: %s", i, (const char *)result);
  }
  int total = 0;
  for (int i = 0; i < RACERS; i++) {
    total += destroyed[i];
    if (adaptq_runtime_destroy(shared[i]) == ADAPTQ_OK) total++;
  }
  CHECK_INT(total, RACERS * ROUNDS);
}

static void works_in_a_forked_child(void) {
  adaptq_runtime *runtime = new_runtime();
  fflush(stdout);
  pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    adaptq_runtime *own = NULL;
    int ok = adaptq_runtime_create(NULL, &own) == ADAPTQ_OK && adaptq_runtime_destroy(own) == ADAPTQ_OK &&
             adaptq_runtime_destroy(runtime) == ADAPTQ_OK;
    _exit(ok ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
}

// The library prints nothing, whatever goes wrong.
static void is_silent(void) {
  fflush(stdout);
  char path[] = "/tmp/adaptq-silent-XXXXXX";
  int file = mkstemp(path), out = dup(1), err = dup(2);
  REQUIRE(file >= 0 && out >= 0 && err >= 0);
  unlink(path);
  dup2(file, 1);
  dup2(file, 2);
  adaptq_runtime *runtime = NULL;
  adaptq_runtime_create(NULL, &runtime);
  adaptq_runtime_create(NULL, NULL);
  adaptq_runtime_destroy((adaptq_runtime *)1);
  adaptq_runtime_destroy(runtime);
  dup2(out, 1);
  dup2(err, 2);
  close(out);
  close(err);
  struct stat info;
  REQUIRE(fstat(file, &info) == 0);
  CHECK_INT(info.st_size, 0);
  close(file);
}

int main(void) {
  // First: no call of this thread has failed yet.
  const char *none = adaptq_last_error();
  if (none == NULL || none[0] != 0) {
    printf("FAIL test_shell.no_error_at_first\n");
    return 1;
  }
  RUN(version);
  RUN(status_names);
  RUN(level_names);
  RUN(runtime_defaults);
  RUN(runtime_every_option);
  RUN(runtime_refuses);
  RUN(options_at_any_alignment);
  RUN(use_after_destroy);
  RUN(any_bit_pattern_as_handle);
  RUN(many_handles);
  RUN(error_text_per_thread);
  RUN(racing_threads);
  RUN(works_in_a_forked_child);
  RUN(is_silent);
  return check_end();
}
