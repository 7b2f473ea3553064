// Calls with a deadline that something holds up on the way: how many of those that could still end in time do.
//   bench_deadline MODEL.adaptq [CALLS=400 [BATCH=8 [LENGTH=16 [FACTOR=1.3]]]]
// The deadline is FACTOR times the median of FP16 (of the best level where FP16 is not stored). Each call is held up once, at an
// operator in its middle, by up to 0.8 deadlines. It could still end in time if what was left then, at the fastest level, as
// measured just before, fits into the time left then. The same calls at the fixed high level beside it, taking turns.
#define _GNU_SOURCE

#include "clock.h"
#include "fixture.h"

enum { STEPS = 4096, ROUNDS = 21 };

static int compare(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

typedef struct {
  int64_t begin, wait_ns, waited_until, end[STEPS];
  uint64_t wait_after, count;
} watcher;

static void watch(void *context, const adaptq_trace_event *event) {
  watcher *w = (watcher *)context;
  w->count = event->step_count;
  if (event->step == w->wait_after) {
    int64_t until = now_ns() + w->wait_ns;
    while (now_ns() < until) {}
    w->waited_until = now_ns();
  }
  if (event->step < STEPS) w->end[event->step] = now_ns();
}

static int64_t median_run(fixture *f, adaptq_session *session, tensors *t, adaptq_level level) {
  adaptq_run_options options = {.struct_size = sizeof options, .level = level};
  adaptq_run_report report;
  int64_t times[ROUNDS] = {0};
  for (int i = 0; i < ROUNDS; i++) {
    CHECK_STATUS(fixture_run(f, session, t, &options, &report), ADAPTQ_OK);
    times[i] = report.latency_ns;
  }
  qsort(times, ROUNDS, sizeof times[0], compare);
  return times[ROUNDS / 2];
}

static int64_t rest[STEPS];  // behind each operator, at the fastest level

static void measure_rest(fixture *f, adaptq_session *session, tensors *t, adaptq_level level, watcher *w) {
  static int64_t samples[STEPS][ROUNDS];
  adaptq_run_options options = {.struct_size = sizeof options, .level = level};
  w->wait_after = UINT64_MAX;
  for (int i = 0; i < ROUNDS; i++) {
    CHECK_STATUS(fixture_run(f, session, t, &options, NULL), ADAPTQ_OK);
    for (uint64_t step = 0; step < w->count && step < STEPS; step++) samples[step][i] = w->end[w->count - 1] - w->end[step];
  }
  for (uint64_t step = 0; step < w->count && step < STEPS; step++) {
    qsort(samples[step], ROUNDS, sizeof samples[step][0], compare);
    rest[step] = samples[step][ROUNDS / 2];
  }
}

int main(int argc, char **argv) {
  if (argc < 2) return fprintf(stderr, "bench_deadline MODEL [CALLS [BATCH [LENGTH [FACTOR]]]]\n"), 2;
  setenv("ADAPTQ_TEST_MODEL", argv[1], 1);
  int calls = argc > 2 ? atoi(argv[2]) : 400, batch = argc > 3 ? atoi(argv[3]) : 8, length = argc > 4 ? atoi(argv[4]) : 16;
  double factor = argc > 5 ? atof(argv[5]) : 1.3;
  fixture f;
  adaptq_runtime_options runtime = {.struct_size = sizeof runtime, .threads = 1};
  if (!fixture_open_with(&f, &runtime)) return 1;
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, 0, batch, length);
  if (!session) return 1;
  adaptq_level high = f.levels & ADAPTQ_ALLOW_FP16 ? ADAPTQ_LEVEL_FP16 : fixture_level[fixture_best_level(f.levels)], fastest = high;
  int64_t median = median_run(&f, session, &t, high), least = median;
  for (int i = 0; i < FIXTURE_LEVELS; i++) {
    if (!(f.levels & fixture_allow[i]) || fixture_level[i] == high) continue;
    int64_t own = median_run(&f, session, &t, fixture_level[i]);
    if (own < least) least = own, fastest = fixture_level[i];
  }
  int64_t deadline = (int64_t)(factor * (double)median);
  printf("%d calls of %d x %d, deadline %.2f ms (%.2f x %s), fastest level %s, %.2f ms\n", calls, batch, length,
         (double)deadline / 1e6, factor, adaptq_level_name(high), adaptq_level_name(fastest), (double)least / 1e6);

  static watcher w;
  CHECK_STATUS(adaptq_session_set_trace(session, watch, &w), ADAPTQ_OK);
  uint64_t random = 1;
  int possible[2] = {0}, in_time[2] = {0}, missed_anyway[2] = {0};
  double dropped = 0;
  for (int call = 0; call < calls; call++) {
    // The machine's speed wanders.
    if (call % 50 == 0) measure_rest(&f, session, &t, fastest, &w);
    uint64_t step = w.count * 3 / 10 + check_random(&random) % (w.count * 4 / 10 + 1);
    int64_t wait = (int64_t)(check_random(&random) % (uint64_t)(deadline * 8 / 10));
    for (int fixed = 0; fixed < 2; fixed++) {
      w.wait_after = step, w.wait_ns = wait;
      adaptq_run_options options = {
          .struct_size = sizeof options, .level = fixed ? high : ADAPTQ_LEVEL_AUTO, .deadline_ns = deadline};
      adaptq_run_report report;
      w.begin = now_ns();
      CHECK_STATUS(fixture_run(&f, session, &t, &options, &report), ADAPTQ_OK);
      if (w.waited_until - w.begin + rest[step] > deadline) {
        missed_anyway[fixed]++;
        continue;
      }
      possible[fixed]++;
      in_time[fixed] += !report.deadline_missed;
      if (!fixed) dropped += report.dropped_sites;
    }
  }
  printf("with deadline_ns: %d of %d that could (%.1f %%), %.1f sites dropped on average; %d could not\n", in_time[0], possible[0],
         possible[0] ? 100.0 * in_time[0] / possible[0] : 0, possible[0] ? dropped / possible[0] : 0, missed_anyway[0]);
  printf("fixed %s: %d of %d that could (%.1f %%); %d could not\n", adaptq_level_name(high), in_time[1], possible[1],
         possible[1] ? 100.0 * in_time[1] / possible[1] : 0, missed_anyway[1]);
  return check_end();
}
