// 1,000 warm runs with changing lengths, levels and budgets allocate nothing and make no system call but futex, which wakes
// workers and waits for them; with one thread not that either.   test_runs [THREADS]
//
// Allocations are counted when count_malloc.so is preloaded; system calls are counted from outside, between the two marks
// (strace_between.sh).
#define _GNU_SOURCE
#include <unistd.h>

#include "fixture.h"

extern void adaptq_test_count_begin(void) __attribute__((weak));
extern long adaptq_test_count_end(void) __attribute__((weak));

enum { RUNS = 1000, LENGTH = 24, BATCH = 2 };

static int32_t threads;  // 0: the default

static void warm_runs(int with_telemetry_file) {
  OPEN_FIXTURE_THREADS(f, threads);
  char path[64];
  snprintf(path, sizeof path, "/tmp/adaptq-test-runs-%d", (int)getpid());
  if (with_telemetry_file) REQUIRE_OK(adaptq_runtime_telemetry_file(f.runtime, path, NULL));
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, 0, BATCH, LENGTH);
  REQUIRE(session != NULL);
  // Every shape's inputs are made before; the outputs' memory is that of the largest.
  static tensors shapes[LENGTH];
  for (int64_t length = 1; length <= LENGTH; length++) {
    tensors *s = &shapes[length - 1];
    tensors_make(&f, s, length % BATCH + 1, length);
    for (size_t i = 0; i < f.n_outputs; i++) {
      s->outputs[i].struct_size = sizeof s->outputs[i];
      REQUIRE_OK(adaptq_session_output_shape(session, s->inputs, f.n_inputs, i, &s->outputs[i]));
      s->outputs[i].data = t.outputs[i].data;
    }
  }
  adaptq_level levels[FIXTURE_LEVELS];
  int n_levels = 0;
  for (int i = 0; i < FIXTURE_LEVELS; i++) if (f.levels & fixture_allow[i]) levels[n_levels++] = fixture_level[i];
  adaptq_level_cost costs[FIXTURE_LEVELS];
  for (int i = 0; i < FIXTURE_LEVELS; i++) costs[i].struct_size = sizeof costs[i];
  size_t n_costs = 0;
  REQUIRE_OK(adaptq_session_costs(session, costs, FIXTURE_LEVELS, &n_costs));
  for (int i = 0; i < n_levels; i++) {  // warm
    CHECK_STATUS(adaptq_session_set_level(session, levels[i]), ADAPTQ_OK);
    CHECK_STATUS(fixture_run(&f, session, &shapes[LENGTH - 1], NULL, NULL), ADAPTQ_OK);
  }

  int failed = 0, changes = 0;
  adaptq_level last = 0;
  adaptq_run_report report = {.struct_size = sizeof report};
  adaptq_run_options options = {.struct_size = sizeof options};
  ssize_t ignored = write(-1, "adaptq-begin", 12);
  if (adaptq_test_count_begin) adaptq_test_count_begin();
  for (int i = 0; i < RUNS; i++) {
    tensors *s = &shapes[(i * 7) % LENGTH];
    options.level = ADAPTQ_LEVEL_AUTO;
    if (i < RUNS / 2) {
      // Fixed levels, half of them for one call only.
      if (i % 2) options.level = levels[i % n_levels];
      else failed |= adaptq_session_set_level(session, levels[i / 2 % n_levels]);
    } else {
      // A budget that moves between unreachable and generous.
      if (i == RUNS / 2) failed |= adaptq_session_set_level(session, ADAPTQ_LEVEL_AUTO);
      if (i % 50 == 0)
        failed |= adaptq_session_set_latency_budget(session, 1 + costs[(size_t)i / 50 % n_costs].latency_ns, 95);
    }
    failed |= adaptq_session_run(session, s->inputs, f.n_inputs, s->outputs, f.n_outputs, &options, &report);
    changes += report.level != last;
    last = report.level;
  }
  long allocations = adaptq_test_count_end ? adaptq_test_count_end() : -1;
  ignored += write(-1, "adaptq-end", 10);

  CHECK_INT(failed, 0);
  CHECK(ignored != 0);
  if (with_telemetry_file) {
    // All of them are in it.
    FILE *file = fopen(path, "rb");
    uint64_t last = 0;
    CHECK(file && fseek(file, 4096 + 40, SEEK_SET) == 0 && fread(&last, sizeof last, 1, file) == 1);
    CHECK_INT(last, RUNS + n_levels);
    if (file) fclose(file);
  }
  CHECK(n_levels < 2 || changes > 100);
  if (allocations >= 0) CHECK_INT(allocations, 0);
  printf("  %d runs, %d changes of level, %ld calls of the allocator\n", RUNS, changes, allocations);
  for (int k = 0; k < LENGTH; k++) {
    for (size_t i = 0; i < f.n_outputs; i++) shapes[k].outputs[i].data = NULL;
    tensors_free(&f, &shapes[k]);
  }
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

static void warm_runs_allocate_nothing(void) { warm_runs(0); }
static void neither_with_a_telemetry_file(void) { warm_runs(1); }

int main(int argc, char **argv) {
  if (argc > 1) threads = atoi(argv[1]);
  RUN(warm_runs_allocate_nothing);
  RUN(neither_with_a_telemetry_file);
  return check_end();
}
