// ADAPTQ_PERF_MAP=1: the kernels' names for perf, in /tmp/perf-PID.map. Each case in a child that has made no runtime, because
// the variable is read once per process.
#define _GNU_SOURCE
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static char path[64];
static int warnings;

static void count_warnings(void *context, int32_t level, const char *message) {
  (void)context;
  if (level == ADAPTQ_LOG_WARNING && strstr(message, path)) warnings++;
}

// Makes a runtime and its kernels. Whether any are generated; -1 for a failure.
static int make_kernels(int32_t ignore, int32_t generation) {
  adaptq_runtime_options options = {.struct_size = sizeof options, .log = count_warnings, .code_generation = generation};
  options.ignore_environment = ignore;
  adaptq_runtime *runtime = NULL;
  if (adaptq_runtime_create(&options, &runtime) != ADAPTQ_OK) return -1;
  adaptq_level_kernels kernels = {.struct_size = sizeof kernels};
  adaptq_status status = adaptq_runtime_level_kernels(runtime, ADAPTQ_LEVEL_INT8, &kernels);
  adaptq_runtime_destroy(runtime);
  return status == ADAPTQ_OK ? kernels.generated_count > 0 : -1;
}

// How many well-formed lines the map has, -1 without a map, -2 for a malformed one.
static int map_lines(void) {
  FILE *file = fopen(path, "re");
  if (!file) return -1;
  char line[256], name[200];
  unsigned long address, size;
  int lines = 0, gemm = 0;
  while (fgets(line, sizeof line, file)) {
    if (sscanf(line, "%lx %lx %199s\n", &address, &size, name) != 3 || address % 64 != 0 || size == 0) lines = -1000;
    lines++;
    gemm += strncmp(name, "gemm_f32_", 9) == 0;
  }
  fclose(file);
  return lines > 0 && gemm > 0 ? lines : -2;
}

static int in_a_child(const char *value, int (*check)(void)) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    if (value) setenv("ADAPTQ_PERF_MAP", value, 1);
    else unsetenv("ADAPTQ_PERF_MAP");
    snprintf(path, sizeof path, "/tmp/perf-%ld.map", (long)getpid());
    unlink(path);
    int result = check();
    unlink(path);
    _exit(result);
  }
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// 0 passed; otherwise the line that says why not.
#define EXPECT(condition) do { if (!(condition)) { printf("  %s:%d: %s\n", __FILE__, __LINE__, #condition); fflush(stdout); \
  return 1; } } while (0)

static int is_written(void) {
  int generated = make_kernels(0, ADAPTQ_CODE_GENERATION_ON);
  EXPECT(generated >= 0);
  if (generated == 0) return map_lines() == -1 ? 77 : 1;
  int lines = map_lines();
  struct stat facts;
  EXPECT(lines > 5 && stat(path, &facts) == 0);
  EXPECT(S_ISREG(facts.st_mode) && (facts.st_mode & 07777) == 0600 && facts.st_uid == geteuid());
  // Every runtime has kernels of its own; its lines come behind the others.
  EXPECT(make_kernels(0, ADAPTQ_CODE_GENERATION_ON) == 1 && map_lines() == 2 * lines);
  // Switched off for one runtime; no code, no lines.
  EXPECT(make_kernels(1, ADAPTQ_CODE_GENERATION_ON) == 1 && make_kernels(0, ADAPTQ_CODE_GENERATION_OFF) == 0);
  EXPECT(map_lines() == 2 * lines && warnings == 0);
  // Read once.
  setenv("ADAPTQ_PERF_MAP", "0", 1);
  EXPECT(make_kernels(0, ADAPTQ_CODE_GENERATION_ON) == 1 && map_lines() == 3 * lines);
  return 0;
}

static int is_not_written(void) {
  EXPECT(make_kernels(0, ADAPTQ_CODE_GENERATION_ON) >= 0 && map_lines() == -1);
  setenv("ADAPTQ_PERF_MAP", "1", 1);
  EXPECT(make_kernels(0, ADAPTQ_CODE_GENERATION_ON) >= 0 && map_lines() == -1);
  return 0;
}

static int is_ignored(void) {
  EXPECT(make_kernels(1, ADAPTQ_CODE_GENERATION_ON) >= 0 && map_lines() == -1);
  return 0;
}

// What somebody else may have put there: refused with a warning, and the kernels work.
static int link_is_refused(void) {
  char target[] = "/tmp/adaptq-perf-target-XXXXXX";
  int file = mkstemp(target);
  EXPECT(file >= 0 && symlink(target, path) == 0);
  int generated = make_kernels(0, ADAPTQ_CODE_GENERATION_ON);
  struct stat facts;
  int untouched = fstat(file, &facts) == 0 && facts.st_size == 0;
  close(file);
  unlink(target);
  EXPECT(generated >= 0 && untouched && warnings == generated);
  return 0;
}

static int fifo_is_refused(void) {
  EXPECT(mkfifo(path, 0600) == 0);
  int generated = make_kernels(0, ADAPTQ_CODE_GENERATION_ON);
  EXPECT(generated >= 0 && warnings == generated);
  return 0;
}

static void written_when_asked_for(void) {
  int result = in_a_child("1", is_written);
  if (result == 77) SKIP("no code is generated here");
  CHECK_INT(result, 0);
}

static void not_written_otherwise(void) {
  static const char *const values[] = {NULL, "", "0", "yes", "11"};
  for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) CHECK_INT(in_a_child(values[i], is_not_written), 0);
  CHECK_INT(in_a_child("1", is_ignored), 0);
}

static void strange_files_are_refused(void) {
  CHECK_INT(in_a_child("1", link_is_refused), 0);
  CHECK_INT(in_a_child("1", fifo_is_refused), 0);
}

int main(void) {
  RUN(written_when_asked_for);
  RUN(not_written_otherwise);
  RUN(strange_files_are_refused);
  return check_end();
}
