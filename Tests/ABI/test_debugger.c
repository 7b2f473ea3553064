// ADAPTQ_GDB=1: gdb knows the names of generated code while it is there. This program runs gdb on itself.
#define _GNU_SOURCE
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

// What gdb stops at.
__attribute__((noinline)) void kernels_are_there(void) { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline)) void kernels_are_gone(void) { __asm__ volatile("" ::: "memory"); }

static int debuggee(void) {
  for (int i = 0; i < 2; i++) {
    adaptq_runtime *runtime = NULL;
    if (adaptq_runtime_create(NULL, &runtime) != ADAPTQ_OK) return 3;
    adaptq_level_kernels kernels = {.struct_size = sizeof kernels};
    if (adaptq_runtime_level_kernels(runtime, ADAPTQ_LEVEL_INT8, &kernels) != ADAPTQ_OK) return 4;
    if (kernels.generated_count == 0) puts("nothing is generated here");
    kernels_are_there();
    adaptq_runtime_destroy(runtime);
    kernels_are_gone();
  }
  return 0;
}

static char output[1 << 20];

// gdb's output; NULL if there is no gdb.
static const char *debugged(const char *variable) {
  int pipes[2];
  char self[4096];
  ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  if (length < 0 || pipe(pipes)) return NULL;
  self[length] = 0;
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    setenv("ADAPTQ_GDB", variable, 1);
    unsetenv("DEBUGINFOD_URLS");
    dup2(pipes[1], 1);
    dup2(pipes[1], 2);
    close(pipes[0]);
    execlp("gdb", "gdb", "-nx", "-batch", "-ex", "set pagination off", "-ex", "break kernels_are_there", "-ex",
           "break kernels_are_gone", "-ex", "run --debuggee", "-ex", "echo FIRST\\n", "-ex", "info functions gemm_f32_",
           "-ex", "continue", "-ex", "echo GONE\\n", "-ex", "info functions gemm_f32_", "-ex", "continue", "-ex",
           "echo AGAIN\\n", "-ex", "info functions gemm_f32_", "-ex", "continue", "-ex", "continue", self, (char *)NULL);
    _exit(127);
  }
  close(pipes[1]);
  size_t used = 0;
  ssize_t count;
  while (used < sizeof output - 1 && (count = read(pipes[0], output + used, sizeof output - 1 - used)) > 0)
    used += (size_t)count;
  output[used] = 0;
  close(pipes[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 127 ? NULL : output;
}

// Whether `name` stands between two marks of the output.
static int is_between(const char *begin, const char *end, const char *name) {
  const char *first = strstr(output, begin), *last = first ? strstr(first, end) : NULL;
  const char *place = first ? strstr(first, name) : NULL;
  if (!first || !last) check_fail(__FILE__, __LINE__, "no %s or %s in gdb's output: %s", begin, end, output);
  return place && last && place < last;
}

static void gdb_knows_names_while_code_is_there(void) {
  if (!debugged("1")) SKIP("gdb cannot be run");
  if (strstr(output, "nothing is generated here")) SKIP("nothing is generated here");
  if (strstr(output, "ptrace")) SKIP("this process may not be debugged");
  CHECK(is_between("FIRST", "GONE", "gemm_f32_f32_f32b16_"));
  CHECK(!is_between("GONE", "AGAIN", "gemm_f32_f32_f32b16_"));
  CHECK(is_between("AGAIN", "exited", "gemm_f32_f32_f32b16_"));
}

static void gdb_knows_nothing_unasked(void) {
  if (!debugged("0")) SKIP("gdb cannot be run");
  if (strstr(output, "ptrace")) SKIP("this process may not be debugged");
  CHECK(!is_between("FIRST", "exited", "gemm_f32_f32_f32b16_"));
}

int main(int count, char **arguments) {
  if (count > 1 && strcmp(arguments[1], "--debuggee") == 0) return debuggee();
  RUN(gdb_knows_names_while_code_is_there);
  RUN(gdb_knows_nothing_unasked);
  return check_end();
}
