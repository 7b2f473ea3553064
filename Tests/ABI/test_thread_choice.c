// Budgets of power that choose how many threads a run has: one where that takes less energy, two where the latency asks for
// them. Outputs are the same bits, and runs allocate nothing and make no system call but futex.
#define _GNU_SOURCE
#include <sched.h>
#include <unistd.h>

#include "fixture.h"
#include "telemetry_reader.h"

extern void adaptq_test_count_begin(void) __attribute__((weak));
extern long adaptq_test_count_end(void) __attribute__((weak));

enum { BATCH = 2, LENGTH = 48 };

typedef struct {
  fixture f;
  adaptq_session *session;
  tensors t;
} world;

static int open_world(world *w, int32_t threads, int32_t choose, uint32_t levels, const char *telemetry) {
  adaptq_runtime_options options = {.struct_size = sizeof options, .threads = threads};
  memset(w, 0, sizeof *w);
  if (!fixture_open_with(&w->f, &options)) return 0;
  if (telemetry && adaptq_runtime_telemetry_file(w->f.runtime, telemetry, NULL) != ADAPTQ_OK) return 0;
  adaptq_session_options wanted = {.struct_size = sizeof wanted, .allowed_levels = levels, .choose_threads = choose};
  tensors_make(&w->f, &w->t, BATCH, LENGTH);
  if (adaptq_session_create(w->f.model, &wanted, &w->session) == ADAPTQ_OK &&
      adaptq_session_prepare(w->session, w->t.inputs, w->f.n_inputs) == ADAPTQ_OK &&
      tensors_outputs(&w->f, w->session, &w->t))
    return 1;
  check_fail(__FILE__, __LINE__, "no session: %s", adaptq_last_error());
  return 0;
}
#define OPEN_WORLD(w, threads, choose, levels, telemetry) \
  world w; NEEDS_MODEL(); if (!open_world(&w, threads, choose, levels, telemetry)) return

static void close_world(world *w) {
  CHECK_STATUS(adaptq_session_destroy(w->session), ADAPTQ_OK);
  tensors_free(&w->f, &w->t);
  fixture_close(&w->f);
}

// A run whose outputs must be those of the first one, if there was one.
static adaptq_run_report run(world *w, int32_t most, int64_t deadline, void **expected) {
  adaptq_run_options options = {.struct_size = sizeof options, .max_threads = most, .deadline_ns = deadline};
  adaptq_run_report report;
  CHECK_STATUS(fixture_run(&w->f, w->session, &w->t, &options, &report), ADAPTQ_OK);
  size_t size = w->t.outputs[0].data_size;
  if (*expected == NULL) {
    *expected = malloc(size);
    if (*expected) memcpy(*expected, w->t.outputs[0].data, size);
  }
  CHECK(*expected && memcmp(*expected, w->t.outputs[0].data, size) == 0);
  memset(w->t.outputs[0].data, 0x5A, size);
  return report;
}

static adaptq_status set(world *w, adaptq_power_budget budget, adaptq_limit_report *limit) {
  budget.struct_size = sizeof budget;
  return adaptq_session_set_power_budget(w->session, &budget, limit);
}

static int usable_cpus(void) {
  cpu_set_t cpus;
  return sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
}

// A watt for each thread and nothing else: one thread takes less, unless two were more than twice as fast.
static const adaptq_power_budget per_thread = {.energy_mj = 1e9, .thread_mw = 1000};

static void one_thread_takes_less(void) {
  char path[64];
  snprintf(path, sizeof path, "/tmp/adaptq-test-threads-%d", (int)getpid());
  OPEN_WORLD(w, 2, 1, ADAPTQ_ALLOW_INT8, path);
  adaptq_prepare_info info = {.struct_size = sizeof info};
  REQUIRE_OK(adaptq_session_prepare_info(w.session, &info));
  CHECK(info.threads == 2 && info.thread_counts == 2 && info.reserved == 0);
  void *expected = NULL;
  adaptq_run_report report = run(&w, 0, 0, &expected);
  CHECK(report.threads == 2 && report.energy_mj == 0 && report.reason != ADAPTQ_REASON_POWER);
  CHECK_STATUS(set(&w, per_thread, NULL), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_set_latency_budget(w.session, 60000000000, 95), ADAPTQ_OK);
  report = run(&w, 0, 0, &expected);
  CHECK(report.threads == 1 && report.plan == 0 && report.reason == ADAPTQ_REASON_POWER && report.energy_mj > 0);
  double one = report.energy_mj;
  // A deadline leaves all threads.
  report = run(&w, 0, 60000000000, &expected);
  CHECK(report.threads == 2 && report.energy_mj > one && report.reason != ADAPTQ_REASON_POWER);
  double two = report.energy_mj;
  printf("  %g ms with one thread, %g ms with two\n", one, two / 2);
  // An energy that only one thread holds.
  adaptq_power_budget between = per_thread;
  between.energy_mj = (one + two) / 2;
  CHECK_STATUS(set(&w, between, NULL), ADAPTQ_OK);
  report = run(&w, 0, 0, &expected);
  CHECK(report.threads == 1 && report.energy_mj == one && report.power_unreachable == 0);
  report = run(&w, 1, 0, &expected);
  CHECK(report.threads == 1 && report.energy_mj == one);
  report = run(&w, 0, 60000000000, &expected);
  CHECK(report.threads == 2 && report.power_unreachable == 1);
  adaptq_limit_report limit = {.struct_size = sizeof limit};
  between.energy_mj = one / 2;
  CHECK_STATUS(set(&w, between, &limit), ADAPTQ_UNSUPPORTED);
  CHECK(limit.limit == ADAPTQ_LIMIT_ENERGY && limit.nearest > one * 0.999 && limit.nearest < one * 1.001);
  // Where threads cost nothing, none is saved: the same energy of bytes with one and two.
  CHECK_STATUS(set(&w, (adaptq_power_budget){.energy_mj = 1e9, .pj_per_byte = 1}, NULL), ADAPTQ_OK);
  CHECK_INT(run(&w, 0, 0, &expected).threads, 2);
  CHECK_STATUS(adaptq_session_set_power_budget(w.session, NULL, NULL), ADAPTQ_OK);
  CHECK_INT(run(&w, 0, 0, &expected).threads, 2);
  CHECK_INT(run(&w, 1, 0, &expected).threads, 1);
  static const int32_t threads[] = {2, 1, 2, 1, 1, 2, 2, 2, 1};
  enum { KEPT = sizeof threads / sizeof threads[0] };
  adaptq_telemetry entries[KEPT] = {{.struct_size = sizeof entries[0]}};
  size_t count = 0;
  CHECK_STATUS(adaptq_session_telemetry(w.session, entries, KEPT, &count), ADAPTQ_OK);
  CHECK_INT(count, KEPT);
  telemetry_reader reader;
  CHECK(telemetry_open(&reader, path));
  for (int i = 0; i < KEPT; i++) {
    telemetry_record record;
    const unsigned char *levels;
    CHECK(entries[i].threads == threads[i] && entries[i].reserved == 0);
    CHECK(telemetry_get(&reader, 0, (uint64_t)i, &record, &levels) && record.threads == (uint32_t)threads[i]);
  }
  telemetry_close(&reader);
  free(expected);
  close_world(&w);
}

// A budget that one thread exceeds by as much as two threads stay below it.
static void latency_asks_for_two(void) {
  NEEDS_MODEL();
  if (usable_cpus() < 2) SKIP("one usable CPU");
  OPEN_WORLD(w, 2, 1, ADAPTQ_ALLOW_INT8, NULL);
  void *expected = NULL;
  CHECK_STATUS(set(&w, per_thread, NULL), ADAPTQ_OK);
  double one = 0, two = 0;
  // While others use the processors two threads may gain nothing.
  for (int i = 0; i < 10 && !(two < 0.8 * one); i++) {
    if (i > 0) REQUIRE_OK(adaptq_session_prepare(w.session, w.t.inputs, w.f.n_inputs));
    one = run(&w, 1, 0, &expected).energy_mj;
    two = run(&w, 0, 60000000000, &expected).energy_mj / 2;
  }
  if (!(two < 0.8 * one)) {
    free(expected);
    close_world(&w);
    SKIP("two threads are hardly faster here, or others use them");
  }
  // A watt makes a millijoule a millisecond.
  CHECK_STATUS(adaptq_session_set_latency_budget(w.session, (int64_t)((one + two) / 2 * 1e6), 95), ADAPTQ_OK);
  adaptq_run_report report = run(&w, 0, 0, &expected);
  CHECK(report.threads == 2 && report.reason != ADAPTQ_REASON_POWER);
  CHECK_STATUS(adaptq_session_set_latency_budget(w.session, 60000000000, 95), ADAPTQ_OK);
  report = run(&w, 0, 0, &expected);
  CHECK(report.threads == 1 && report.reason == ADAPTQ_REASON_POWER);
  free(expected);
  close_world(&w);
}

static void only_if_asked(void) {
  OPEN_WORLD(w, 2, 0, ADAPTQ_ALLOW_INT8, NULL);
  void *expected = NULL;
  adaptq_prepare_info info = {.struct_size = sizeof info};
  REQUIRE_OK(adaptq_session_prepare_info(w.session, &info));
  CHECK_INT(info.thread_counts, 1);
  // A caller of the struct's first version.
  info = (adaptq_prepare_info){.struct_size = 32, .thread_counts = 77};
  REQUIRE_OK(adaptq_session_prepare_info(w.session, &info));
  CHECK(info.threads == 2 && info.thread_counts == 77);
  CHECK_STATUS(set(&w, per_thread, NULL), ADAPTQ_OK);
  adaptq_run_report report = run(&w, 0, 0, &expected);
  CHECK(report.threads == 2 && report.energy_mj > 0 && report.reason != ADAPTQ_REASON_POWER);
  free(expected);
  close_world(&w);
  CHECK_INT(adaptq_has_feature("thread-choice"), 1);
}

// One thread is no choice, and neither are costs of another process.
static void nothing_to_choose(void) {
  OPEN_WORLD(w, 1, 1, ADAPTQ_ALLOW_INT8, NULL);
  void *expected = NULL;
  adaptq_prepare_info info = {.struct_size = sizeof info};
  REQUIRE_OK(adaptq_session_prepare_info(w.session, &info));
  CHECK(info.threads == 1 && info.thread_counts == 1);
  CHECK_STATUS(set(&w, per_thread, NULL), ADAPTQ_OK);
  CHECK_INT(run(&w, 0, 0, &expected).threads, 1);
  size_t size = 0;
  CHECK_STATUS(adaptq_session_export_costs(w.session, NULL, 0, &size), ADAPTQ_BUFFER_TOO_SMALL);
  unsigned char *bytes = malloc(size);
  REQUIRE(bytes != NULL);
  REQUIRE_OK(adaptq_session_export_costs(w.session, bytes, size, &size));
  REQUIRE_OK(adaptq_session_import_costs(w.session, bytes, size));
  REQUIRE_OK(adaptq_session_prepare(w.session, w.t.inputs, w.f.n_inputs));
  REQUIRE_OK(adaptq_session_prepare_info(w.session, &info));
  CHECK(info.costs_imported == 1 && info.thread_counts == 1);
  free(bytes);
  free(expected);
  close_world(&w);
}

// Budgets of latency and power that change all the time, and with them threads and plans.
static void allocates_nothing(void) {
  OPEN_WORLD(w, 2, 1, 0, NULL);
  static const int64_t latencies[] = {1000, 60000000000, 3000000, 12000000};
  adaptq_run_options options = {.struct_size = sizeof options};
  adaptq_run_report report;
  CHECK_STATUS(set(&w, per_thread, NULL), ADAPTQ_OK);
  for (int i = 0; i < 8; i++) CHECK_STATUS(fixture_run(&w.f, w.session, &w.t, &options, &report), ADAPTQ_OK);
  int failed = 0, alone = 0, both = 0;
  ssize_t ignored = write(-1, "adaptq-begin", 12);
  if (adaptq_test_count_begin) adaptq_test_count_begin();
  for (int i = 0; i < 120; i++) {
    if (i % 10 == 0) failed |= adaptq_session_set_latency_budget(w.session, latencies[i / 10 % 4], 95);
    if (i % 30 == 29) failed |= i % 60 == 59 ? set(&w, per_thread, NULL) : adaptq_session_set_power_budget(w.session, NULL, NULL);
    options.max_threads = i % 7 == 6;
    failed |= fixture_run(&w.f, w.session, &w.t, &options, &report);
    alone += report.threads == 1 && options.max_threads == 0;
    both += report.threads == 2;
  }
  long allocations = adaptq_test_count_end ? adaptq_test_count_end() : -1;
  ignored += write(-1, "adaptq-end", 10);
  CHECK_INT(failed, 0);
  CHECK(ignored != 0);
  CHECK(alone > 5 && both > 10);
  printf("  %d runs with one thread, %d with two, %ld calls of the allocator\n", alone, both, allocations);
  if (allocations >= 0) CHECK_INT(allocations, 0);
  close_world(&w);
}

int main(void) {
  RUN(one_thread_takes_less);
  RUN(latency_asks_for_two);
  RUN(only_if_asked);
  RUN(nothing_to_choose);
  RUN(allocates_nothing);
  return check_end();
}
