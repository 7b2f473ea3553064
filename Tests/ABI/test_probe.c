// adaptq_runtime_machine, _thread_cpus, _level_kernels and _probe_json: plausible answers, and every wrong use.
#define _GNU_SOURCE
#include <sched.h>
#include <unistd.h>

#include "check.h"

static adaptq_runtime *make(adaptq_isa isa) {
  adaptq_runtime_options options = {.struct_size = sizeof options, .max_isa = isa};
  adaptq_runtime *runtime = NULL;
  CHECK_STATUS(adaptq_runtime_create(&options, &runtime), ADAPTQ_OK);
  return runtime;
}

static void machine_is_plausible(void) {
  adaptq_runtime *runtime = make(ADAPTQ_ISA_DEFAULT);
  adaptq_machine_info info = {.struct_size = sizeof info};
  REQUIRE_OK(adaptq_runtime_machine(runtime, &info));
  cpu_set_t allowed;
  REQUIRE(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
  CHECK_INT(info.struct_size, sizeof info);
  CHECK_INT(info.allowed_threads, CPU_COUNT(&allowed));
  CHECK_INT(info.hardware_threads, sysconf(_SC_NPROCESSORS_ONLN));
  CHECK(info.cores >= 1 && info.cores <= info.hardware_threads);
  CHECK(info.performance_cores >= 1 && info.performance_cores <= info.cores);
  CHECK(info.recommended_threads >= 1 && info.recommended_threads <= info.allowed_threads);
  CHECK(info.cpu_quota >= 0 && info.memory_size > 0);
  CHECK(info.isa_mask >> ADAPTQ_ISA_PORTABLE & 1);
  CHECK(info.isa_mask >> info.isa & 1);
  int32_t cpus[1024];
  size_t count = 0;
  REQUIRE_OK(adaptq_runtime_thread_cpus(runtime, cpus, 1024, &count));
  CHECK_INT(count, info.recommended_threads);
  for (size_t i = 0; i < count; i++) CHECK(CPU_ISSET(cpus[i], &allowed));
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
}

// A thread that may use one CPU gets one thread, there.
static void allowed_set_is_obeyed(void) {
  adaptq_runtime *runtime = make(ADAPTQ_ISA_DEFAULT);
  cpu_set_t before, one;
  REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
  int cpu = CPU_SETSIZE - 1;
  while (cpu > 0 && !CPU_ISSET(cpu, &before)) cpu--;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
  adaptq_machine_info info = {.struct_size = sizeof info};
  int32_t found = -1;
  size_t count = 0;
  CHECK_STATUS(adaptq_runtime_machine(runtime, &info), ADAPTQ_OK);
  CHECK_STATUS(adaptq_runtime_thread_cpus(runtime, &found, 1, &count), ADAPTQ_OK);
  sched_setaffinity(0, sizeof before, &before);
  CHECK_INT(info.allowed_threads, 1);
  CHECK_INT(info.recommended_threads, 1);
  CHECK_INT(count, 1);
  CHECK_INT(found, cpu);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
}

static void limit_of_the_host_holds(void) {
  adaptq_runtime *runtime = make(ADAPTQ_ISA_PORTABLE);
  adaptq_machine_info info = {.struct_size = sizeof info};
  CHECK_STATUS(adaptq_runtime_machine(runtime, &info), ADAPTQ_OK);
  CHECK_INT(info.isa, ADAPTQ_ISA_PORTABLE);
  CHECK_INT(info.isa_mask, 1u << ADAPTQ_ISA_PORTABLE);
  adaptq_level_kernels kernels = {.struct_size = sizeof kernels};
  CHECK_STATUS(adaptq_runtime_level_kernels(runtime, ADAPTQ_LEVEL_INT8, &kernels), ADAPTQ_OK);
  CHECK_INT(kernels.isa, ADAPTQ_ISA_PORTABLE);
  CHECK_INT(kernels.generated_count, 0);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
}

static int32_t warnings;

static void count_warnings(void *context, int32_t level, const char *message) {
  (void)context;
  if (level == ADAPTQ_LOG_WARNING && strstr(message, "AMX") != NULL) warnings++;
}

// AMX is there only for who asks, and asking harms nobody: without such a CPU the same kernels are made.
static void amx_is_opt_in(void) {
  adaptq_machine_info info = {.struct_size = sizeof info};
  adaptq_runtime *runtime = make(ADAPTQ_ISA_DEFAULT);
  REQUIRE_OK(adaptq_runtime_machine(runtime, &info));
  CHECK(info.isa < ADAPTQ_ISA_AMX && !(info.isa_mask >> ADAPTQ_ISA_AMX & 1));
  uint32_t without = info.isa_mask;
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);

  adaptq_runtime_options options = {.struct_size = sizeof options, .max_isa = ADAPTQ_ISA_AMX, .log = count_warnings};
  REQUIRE_OK(adaptq_runtime_create(&options, &runtime));
  REQUIRE_OK(adaptq_runtime_machine(runtime, &info));
  CHECK((info.isa_mask & ~(1u << ADAPTQ_ISA_AMX)) == without);
  CHECK((info.isa == ADAPTQ_ISA_AMX) == (info.isa_mask >> ADAPTQ_ISA_AMX & 1));
  adaptq_level_kernels kernels = {.struct_size = sizeof kernels};
  REQUIRE_OK(adaptq_runtime_level_kernels(runtime, ADAPTQ_LEVEL_INT8, &kernels));
  CHECK_INT(kernels.refused_count, 0);
  CHECK(info.isa_mask >> kernels.isa & 1);
  if (!__builtin_cpu_supports("amx-tile")) CHECK_INT(warnings, 0);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
}

static void levels_have_kernels(void) {
  adaptq_runtime *runtime = make(ADAPTQ_ISA_DEFAULT);
  adaptq_machine_info info = {.struct_size = sizeof info};
  REQUIRE_OK(adaptq_runtime_machine(runtime, &info));
  const adaptq_level levels[] = {2, 4, 6, 8, 16, 32};
  for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
    adaptq_level_kernels kernels = {.struct_size = sizeof kernels};
    REQUIRE_OK(adaptq_runtime_level_kernels(runtime, levels[i], &kernels));
    CHECK_INT(kernels.level, levels[i]);
    CHECK_INT(kernels.refused_count, 0);
    CHECK(info.isa_mask >> kernels.isa & 1);
    CHECK((kernels.isa == ADAPTQ_ISA_PORTABLE) == (kernels.generated_count == 0));
  }
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
}

static void json_and_its_size(void) {
  adaptq_runtime *runtime = make(ADAPTQ_ISA_DEFAULT);
  size_t length = 0;
  CHECK_ERROR(adaptq_runtime_probe_json(runtime, NULL, 0, &length), ADAPTQ_BUFFER_TOO_SMALL, "needs");
  REQUIRE(length > 100 && length < 1 << 20);
  char *text = malloc(length + 9);
  REQUIRE(text != NULL);
  canary_fill(text, length + 9);
  size_t again = 0;
  CHECK_STATUS(adaptq_runtime_probe_json(runtime, text, length, &again), ADAPTQ_BUFFER_TOO_SMALL);
  CHECK(again == length && canary_intact(text, length + 9));
  CHECK_STATUS(adaptq_runtime_probe_json(runtime, text, length + 1, &again), ADAPTQ_OK);
  CHECK(again == length && strlen(text) == length && canary_intact(text + length + 1, 8));
  CHECK(strncmp(text, "{\"schema\":1,", 12) == 0 && text[length - 1] == '}');
  const char *const fields[] = {"\"cpu\":", "\"instruction_sets\":", "\"topology\":", "\"limits\":", "\"threads\":",
                                "\"levels\":", "\"INT8\"", "\"not_used\":"};
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) CHECK(strstr(text, fields[i]) != NULL);
  free(text);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
}

static void wrong_uses(void) {
  adaptq_runtime *runtime = make(ADAPTQ_ISA_DEFAULT);
  adaptq_machine_info info;
  adaptq_level_kernels kernels;
  int32_t cpus[4];
  char text[16];
  size_t count = 77;
  canary_fill(cpus, sizeof cpus);
  canary_fill(text, sizeof text);
  CHECK_ERROR(adaptq_runtime_machine(runtime, NULL), ADAPTQ_INVALID_ARGUMENT, "info is NULL");
  CHECK_ERROR(adaptq_runtime_level_kernels(runtime, 8, NULL), ADAPTQ_INVALID_ARGUMENT, "info is NULL");
  const size_t sizes[] = {0, 8, sizeof info - 1, sizeof info + 8, SIZE_MAX};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    canary_fill(&info, sizeof info);
    info.struct_size = sizes[i];
    CHECK_ERROR(adaptq_runtime_machine(runtime, &info), ADAPTQ_INVALID_ARGUMENT, "adaptq_machine_info.struct_size");
    CHECK(canary_intact(&info.packages, sizeof info - offsetof(adaptq_machine_info, packages)));
    canary_fill(&kernels, sizeof kernels);
    kernels.struct_size = sizes[i];
    CHECK_ERROR(adaptq_runtime_level_kernels(runtime, 8, &kernels), ADAPTQ_INVALID_ARGUMENT,
                "adaptq_level_kernels.struct_size");
    CHECK(canary_intact(&kernels.level, sizeof kernels - offsetof(adaptq_level_kernels, level)));
  }
  const adaptq_level levels[] = {0, 1, 3, 7, 64, 256 + 8, -8, INT32_MIN, INT32_MAX};
  for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
    canary_fill(&kernels, sizeof kernels);
    kernels.struct_size = sizeof kernels;
    CHECK_ERROR(adaptq_runtime_level_kernels(runtime, levels[i], &kernels), ADAPTQ_INVALID_ARGUMENT, "level is");
    CHECK(canary_intact(&kernels.level, sizeof kernels - offsetof(adaptq_level_kernels, level)));
  }
  CHECK_ERROR(adaptq_runtime_thread_cpus(runtime, cpus, 4, NULL), ADAPTQ_INVALID_ARGUMENT, "count is NULL");
  CHECK_ERROR(adaptq_runtime_thread_cpus(runtime, NULL, 4, &count), ADAPTQ_INVALID_ARGUMENT, "cpus is NULL");
  CHECK(count == 77);
  CHECK_ERROR(adaptq_runtime_thread_cpus(runtime, NULL, 0, &count), ADAPTQ_BUFFER_TOO_SMALL, "capacity is 0");
  CHECK(count >= 1 && count != 77 && canary_intact(cpus, sizeof cpus));
  count = 77;
  CHECK_ERROR(adaptq_runtime_probe_json(runtime, text, 16, NULL), ADAPTQ_INVALID_ARGUMENT, "length is NULL");
  CHECK_ERROR(adaptq_runtime_probe_json(runtime, NULL, 16, &count), ADAPTQ_INVALID_ARGUMENT, "buffer is NULL");
  CHECK_ERROR(adaptq_runtime_probe_json(runtime, NULL, SIZE_MAX, &count), ADAPTQ_INVALID_ARGUMENT, "buffer is NULL");
  CHECK(count == 77);
  CHECK_ERROR(adaptq_runtime_probe_json(runtime, text, 16, &count), ADAPTQ_BUFFER_TOO_SMALL, "capacity is 16");
  CHECK(canary_intact(text, sizeof text));
  // At an odd address, as a packed struct of the host may have it.
  char odd[sizeof info + 1];
  size_t size = sizeof info;
  memcpy(odd + 1, &size, sizeof size);
  CHECK_STATUS(adaptq_runtime_machine(runtime, (adaptq_machine_info *)(void *)(odd + 1)), ADAPTQ_OK);

  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
  adaptq_runtime *const wrong[] = {NULL, runtime, (adaptq_runtime *)(void *)&info};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    canary_fill(&info, sizeof info);
    info.struct_size = sizeof info;
    canary_fill(&kernels, sizeof kernels);
    kernels.struct_size = sizeof kernels;
    count = 77;
    CHECK_STATUS(adaptq_runtime_machine(wrong[i], &info), ADAPTQ_INVALID_HANDLE);
    CHECK_STATUS(adaptq_runtime_level_kernels(wrong[i], 8, &kernels), ADAPTQ_INVALID_HANDLE);
    CHECK_STATUS(adaptq_runtime_thread_cpus(wrong[i], cpus, 4, &count), ADAPTQ_INVALID_HANDLE);
    CHECK_STATUS(adaptq_runtime_probe_json(wrong[i], text, 16, &count), ADAPTQ_INVALID_HANDLE);
    CHECK(count == 77 && canary_intact(cpus, sizeof cpus) && canary_intact(text, sizeof text));
    CHECK(canary_intact(&info.packages, sizeof info - offsetof(adaptq_machine_info, packages)));
    CHECK(canary_intact(&kernels.level, sizeof kernels - offsetof(adaptq_level_kernels, level)));
  }
}

int main(void) {
  RUN(machine_is_plausible);
  RUN(allowed_set_is_obeyed);
  RUN(limit_of_the_host_holds);
  RUN(amx_is_opt_in);
  RUN(levels_have_kernels);
  RUN(json_and_its_size);
  RUN(wrong_uses);
  return check_end();
}
