// What this machine gives adaptq, and which kernels serve it.   probe [--json]
#include <adaptq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define TRY(call) do { if ((call) != ADAPTQ_OK) { puts(adaptq_last_error()); exit(1); } } while (0)

static void print_json(adaptq_runtime *runtime) {
  size_t length = 0;
  char *text = NULL;
  // The size first, then the text; once more if it has grown in between.
  adaptq_status status = adaptq_runtime_probe_json(runtime, NULL, 0, &length);
  while (status == ADAPTQ_BUFFER_TOO_SMALL) {
    free(text);
    text = malloc(length + 1);
    if (!text) exit(1);
    status = adaptq_runtime_probe_json(runtime, text, length + 1, &length);
  }
  TRY(status);
  puts(text);
  free(text);
}

int main(int argc, char **argv) {
  adaptq_runtime *runtime;
  TRY(adaptq_runtime_create(NULL, &runtime));
  if (argc > 1 && strcmp(argv[1], "--json") == 0) {
    print_json(runtime);
    TRY(adaptq_runtime_destroy(runtime));
    return 0;
  }

  adaptq_machine_info machine = {.struct_size = sizeof machine};
  TRY(adaptq_runtime_machine(runtime, &machine));
  printf("%d cores (%d of the fastest kind), %d hardware threads, %d of them allowed, in %d package(s)\n", machine.cores,
         machine.performance_cores, machine.hardware_threads, machine.allowed_threads, machine.packages);
  printf("caches: %llu KiB, %llu KiB, %llu KiB\n", (unsigned long long)machine.l1d_size >> 10,
         (unsigned long long)machine.l2_size >> 10, (unsigned long long)machine.l3_size >> 10);
  if (machine.cpu_quota > 0) printf("CPU quota: %.2f CPUs\n", machine.cpu_quota);
  if (machine.memory_limit > 0) printf("memory limit: %llu MiB\n", (unsigned long long)machine.memory_limit >> 20);

  int32_t cpus[1024];
  size_t count;
  TRY(adaptq_runtime_thread_cpus(runtime, cpus, 1024, &count));
  printf("threads: %d, on CPU", machine.recommended_threads);
  for (size_t i = 0; i < count; i++) printf(" %d", cpus[i]);
  puts("");

  const adaptq_level levels[] = {ADAPTQ_LEVEL_FP32, ADAPTQ_LEVEL_FP16, ADAPTQ_LEVEL_INT8,
                                 ADAPTQ_LEVEL_INT6, ADAPTQ_LEVEL_INT4, ADAPTQ_LEVEL_INT2};
  const char *const sets[] = {"?", "portable", "AVX2", "AVX-VNNI", "AVX-512", "AVX-512 VNNI", "AVX-512 BF16"};
  for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
    adaptq_level_kernels kernels = {.struct_size = sizeof kernels};
    TRY(adaptq_runtime_level_kernels(runtime, levels[i], &kernels));
    printf("%s: %s, %d generated kernels\n", adaptq_level_name(levels[i]), sets[kernels.isa], kernels.generated_count);
  }
  TRY(adaptq_runtime_destroy(runtime));
}
