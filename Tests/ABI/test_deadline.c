// Deadlines of single calls: where a call begins, what happens when its time runs out on the way, and what is reported.
#define _GNU_SOURCE
#include <math.h>

#include "clock.h"
#include "fixture.h"

enum { BATCH = 2, LENGTH = 32 };
static const int64_t LATE_NS = 1000000000;  // far longer than the model takes, also under a sanitizer

static int position(adaptq_level level) {
  for (int i = 0; i < FIXTURE_LEVELS; i++) if (fixture_level[i] == level) return i;
  return -1;
}

// What prepare measured; 0 for a level that the session does not have.
static int64_t cost_of(adaptq_session *session, adaptq_level level) {
  adaptq_level_cost costs[FIXTURE_LEVELS] = {{0}};
  size_t count = 0;
  for (int i = 0; i < FIXTURE_LEVELS; i++) costs[i].struct_size = sizeof costs[i];
  if (adaptq_session_costs(session, costs, FIXTURE_LEVELS, &count) != ADAPTQ_OK) return 0;
  for (size_t i = 0; i < count && i < FIXTURE_LEVELS; i++) if (costs[i].level == level) return costs[i].latency_ns;
  return 0;
}

// Looks at the levels of the sites as they run, and once takes the CPU for a while.
typedef struct {
  int64_t wait_until;
  uint64_t wait_after;  // the step; UINT64_MAX: never
  adaptq_level before, after;
  int mixed_before, went_up, sites_after, position_after;
} disturbance;

static void disturb(void *context, const adaptq_trace_event *event) {
  disturbance *d = (disturbance *)context;
  if (event->site_index >= 0 && strcmp(event->operation, "linear") == 0) {
    if (event->step <= d->wait_after) {
      d->mixed_before |= d->before != 0 && d->before != event->level;
      d->before = event->level;
    } else {
      d->went_up |= d->after != 0 && position(event->level) < d->position_after;
      d->position_after = position(event->level);
      if (d->after == 0) d->after = event->level;  // the first one; when time runs out, later ones may be lower still
      d->sites_after++;
    }
  }
  if (event->step == d->wait_after) while (now_ns() < d->wait_until) {}
}

static void enough_time(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, 0, BATCH, LENGTH);
  REQUIRE(session != NULL);
  adaptq_run_options options = {.struct_size = sizeof options, .deadline_ns = ((int64_t)1 << 50) - 1};
  adaptq_run_report report;
  for (int i = 0; i < 3; i++) {
    CHECK_STATUS(fixture_run(&f, session, &t, &options, &report), ADAPTQ_OK);
    CHECK_INT(report.level, fixture_level[fixture_best_level(f.levels)]);
    CHECK_INT(report.dropped_sites, 0);
    CHECK_INT(report.deadline_missed, 0);
    CHECK(report.reason != ADAPTQ_REASON_DEADLINE);
  }
  adaptq_run_report without;
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, &without), ADAPTQ_OK);
  CHECK(without.dropped_sites == 0 && without.deadline_missed == 0);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

// No level can make it: the fastest runs from the begin on, and the result is complete.
static void impossible_deadline(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, 0, BATCH, LENGTH);
  REQUIRE(session != NULL);
  adaptq_run_options options = {.struct_size = sizeof options, .deadline_ns = 1};
  adaptq_run_report report;
  CHECK_STATUS(fixture_run(&f, session, &t, &options, &report), ADAPTQ_OK);
  CHECK_INT(report.deadline_missed, 1);
  int64_t best = cost_of(session, fixture_level[fixture_best_level(f.levels)]), own = cost_of(session, report.level);
  CHECK(own > 0 && own <= best);
  for (int i = 0; i < FIXTURE_LEVELS; i++) {
    int64_t other = cost_of(session, fixture_level[i]);
    if (other) CHECK((double)own <= (double)other * 1.1);
  }
  if (report.level != fixture_level[fixture_best_level(f.levels)]) CHECK_INT(report.reason, ADAPTQ_REASON_DEADLINE);
  // The same level without a deadline gives the same bits.
  size_t size = t.outputs[0].data_size;
  void *copy = malloc(size);
  memcpy(copy, t.outputs[0].data, size);
  int dropped = report.dropped_sites;
  options.level = report.level;
  options.deadline_ns = 0;
  CHECK_STATUS(fixture_run(&f, session, &t, &options, &report), ADAPTQ_OK);
  // Levels that cost nearly the same may trade places on the way.
  if (dropped == 0) CHECK(memcmp(copy, t.outputs[0].data, size) == 0);
  free(copy);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

// Something holds the call up in the middle until the deadline is over: what ran before keeps its level, the rest is as fast
// as it can be.
static void time_runs_out_on_the_way(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, 0, BATCH, LENGTH);
  REQUIRE(session != NULL);
  adaptq_level best = fixture_level[fixture_best_level(f.levels)];
  disturbance d = {.wait_after = UINT64_MAX};
  adaptq_run_report report;
  CHECK_STATUS(adaptq_session_set_trace(session, disturb, &d), ADAPTQ_OK);
  adaptq_run_options options = {.struct_size = sizeof options, .deadline_ns = LATE_NS};
  CHECK_STATUS(fixture_run(&f, session, &t, &options, &report), ADAPTQ_OK);
  CHECK(d.before == best && !d.mixed_before && report.dropped_sites == 0);

  d = (disturbance){.wait_after = 20, .wait_until = now_ns() + LATE_NS + 1000000};
  CHECK_STATUS(fixture_run(&f, session, &t, &options, &report), ADAPTQ_OK);
  CHECK_INT(report.level, best);
  CHECK_INT(report.deadline_missed, 1);
  CHECK(d.before == best && !d.mixed_before && !d.went_up && d.sites_after > 0);
  // On any machine some level of this model takes less than nine tenths of the best one's time.
  int64_t fastest = cost_of(session, best);
  for (int i = 0; i < FIXTURE_LEVELS; i++) {
    int64_t cost = cost_of(session, fixture_level[i]);
    if (cost && cost < fastest) fastest = cost;
  }
  if ((double)fastest < 0.9 * (double)cost_of(session, best)) {
    CHECK(position(d.after) > position(best));
    CHECK_INT(report.dropped_sites, d.sites_after);
    CHECK_INT(report.reason, ADAPTQ_REASON_DEADLINE);
    // Telemetry tells the same, site by site.
    adaptq_level *levels = (adaptq_level *)calloc(f.n_sites, sizeof *levels);
    CHECK_STATUS(adaptq_session_telemetry_sites(session, report.sequence, levels, f.n_sites), ADAPTQ_OK);
    int lower = 0;
    for (size_t i = 0; i < f.n_sites; i++) {
      adaptq_site_info info = {.struct_size = sizeof info};
      CHECK_STATUS(adaptq_model_site(f.model, i, &info), ADAPTQ_OK);
      if (info.kind != ADAPTQ_SITE_EMBEDDING) lower += position(levels[i]) > position(best);
    }
    CHECK_INT(lower, d.sites_after);
    free(levels);
  }
  for (size_t i = 0; i < t.outputs[0].data_size / 4; i++) CHECK(isfinite(((float *)t.outputs[0].data)[i]));

  // A fixed level stays; only the report says that it was late.
  for (int how = 0; how < 2; how++) {
    d = (disturbance){.wait_after = 20, .wait_until = now_ns() + LATE_NS + 1000000};
    options.level = how == 0 ? best : ADAPTQ_LEVEL_AUTO;
    CHECK_STATUS(adaptq_session_set_level(session, how == 0 ? ADAPTQ_LEVEL_AUTO : best), ADAPTQ_OK);
    CHECK_STATUS(fixture_run(&f, session, &t, &options, &report), ADAPTQ_OK);
    CHECK(d.before == best && d.after == best && d.position_after == position(best));
    CHECK(report.deadline_missed == 1 && report.dropped_sites == 0 && report.reason == ADAPTQ_REASON_FIXED);
  }
  CHECK_STATUS(adaptq_session_set_level(session, ADAPTQ_LEVEL_AUTO), ADAPTQ_OK);

  // Levels that the host has excluded stay out.
  if ((f.levels & ADAPTQ_ALLOW_INT8) && best != ADAPTQ_LEVEL_INT8) {
    d = (disturbance){.wait_after = 20, .wait_until = now_ns() + LATE_NS + 1000000};
    CHECK_STATUS(
        adaptq_session_set_allowed_levels(session, fixture_allow[fixture_best_level(f.levels)] | ADAPTQ_ALLOW_INT8), ADAPTQ_OK);
    CHECK_STATUS(fixture_run(&f, session, &t, &options, &report), ADAPTQ_OK);
    CHECK(d.after == ADAPTQ_LEVEL_INT8 || d.after == best);
    CHECK(d.position_after <= position(ADAPTQ_LEVEL_INT8));
  }
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

static void refuses_bad_deadlines(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, 0, 1, 8);
  REQUIRE(session != NULL);
  const int64_t bad[] = {-1, INT64_MIN, (int64_t)1 << 50, INT64_MAX};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    adaptq_run_options options = {.struct_size = sizeof options, .deadline_ns = bad[i]};
    CHECK_ERROR(fixture_run(&f, session, &t, &options, NULL), ADAPTQ_OUT_OF_RANGE, "adaptq_run_options.deadline_ns is");
  }
  // Programs compiled against 0.1 know no more than the first fields of the report.
  struct { char bytes[offsetof(adaptq_run_report, deadline_missed)]; uint64_t behind; } old;
  memset(&old, 0, sizeof old);
  adaptq_run_report *report = (adaptq_run_report *)(void *)&old;
  report->struct_size = offsetof(adaptq_run_report, deadline_missed);
  canary_fill(&old.behind, sizeof old.behind);
  adaptq_run_options options = {.struct_size = sizeof options, .deadline_ns = 1};
  CHECK_STATUS(adaptq_session_run(session, t.inputs, f.n_inputs, t.outputs, f.n_outputs, &options, report), ADAPTQ_OK);
  CHECK(canary_intact(&old.behind, sizeof old.behind));
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

int main(void) {
  RUN(enough_time);
  RUN(impossible_deadline);
  RUN(time_runs_out_on_the_way);
  RUN(refuses_bad_deadlines);
  return check_end();
}
