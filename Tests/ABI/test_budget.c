// Precision, latency budgets, costs and telemetry of a session.
#define _GNU_SOURCE
#include <math.h>

#include "fixture.h"

enum { LENGTH = 8, KEPT = 256 };

static int bits_in(uint32_t set) {
  int count = 0;
  for (; set; set &= set - 1) count++;
  return count;
}

// ------------------------------------------------------------------------------------------------------------- precision

static void fixed_levels(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, 0, 1, LENGTH);
  REQUIRE(session != NULL);
  adaptq_run_report report;
  adaptq_run_options options = {.struct_size = sizeof options};
  for (int i = 0; i < FIXTURE_LEVELS; i++) {
    if (!(f.levels & fixture_allow[i])) {
      CHECK_STATUS(adaptq_session_set_level(session, fixture_level[i]), ADAPTQ_UNSUPPORTED);
      options.level = fixture_level[i];
      CHECK_STATUS(fixture_run(&f, session, &t, &options, &report), ADAPTQ_UNSUPPORTED);
      continue;
    }
    CHECK_STATUS(adaptq_session_set_level(session, fixture_level[i]), ADAPTQ_OK);
    CHECK_STATUS(fixture_run(&f, session, &t, NULL, &report), ADAPTQ_OK);
    CHECK_INT(report.level, fixture_level[i]);
    CHECK_INT(report.reason, ADAPTQ_REASON_FIXED);
    // One call at another level, then back.
    for (int k = 0; k < FIXTURE_LEVELS; k++) {
      if (!(f.levels & fixture_allow[k])) continue;
      options.level = fixture_level[k];
      CHECK_STATUS(fixture_run(&f, session, &t, &options, &report), ADAPTQ_OK);
      CHECK_INT(report.level, fixture_level[k]);
      CHECK_INT(report.reason, ADAPTQ_REASON_FIXED);
      options.level = ADAPTQ_LEVEL_AUTO;
      CHECK_STATUS(fixture_run(&f, session, &t, &options, &report), ADAPTQ_OK);
      CHECK_INT(report.level, fixture_level[i]);
    }
  }
  const adaptq_level unknown[] = {1, 3, -1, 33, INT32_MAX, INT32_MIN};
  for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
    CHECK_STATUS(adaptq_session_set_level(session, unknown[i]), ADAPTQ_INVALID_ARGUMENT);
  CHECK_STATUS(adaptq_session_set_level(session, ADAPTQ_LEVEL_AUTO), ADAPTQ_OK);
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, &report), ADAPTQ_OK);
  CHECK_INT(report.level, fixture_level[fixture_best_level(f.levels)]);
  CHECK_INT(report.reason, ADAPTQ_REASON_NO_BUDGET);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

// Lower precision is another result, and not nonsense: the order of the levels shows in the distance from the best.
static void levels_differ_and_agree(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, 0, 1, LENGTH);
  REQUIRE(session != NULL);
  size_t count = t.outputs[0].data_size / sizeof(float);
  float *reference = NULL;
  for (int i = 0; i < FIXTURE_LEVELS; i++) {
    if (!(f.levels & fixture_allow[i]) || t.outputs[0].type != ADAPTQ_TYPE_FLOAT32) continue;
    CHECK_STATUS(adaptq_session_set_level(session, fixture_level[i]), ADAPTQ_OK);
    CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
    const float *values = (const float *)t.outputs[0].data;
    if (reference == NULL) {
      reference = (float *)malloc(t.outputs[0].data_size);
      REQUIRE(reference != NULL);
      memcpy(reference, values, t.outputs[0].data_size);
      continue;
    }
    double dot = 0, aa = 0, bb = 0;
    for (size_t k = 0; k < count; k++) {
      dot += (double)values[k] * reference[k];
      aa += (double)values[k] * values[k];
      bb += (double)reference[k] * reference[k];
    }
    double cosine = dot / sqrt(aa * bb);
    CHECK(memcmp(values, reference, t.outputs[0].data_size) != 0);
    if (!isfinite(cosine) || (fixture_level[i] >= ADAPTQ_LEVEL_INT8 && cosine < 0.95))
      check_fail(__FILE__, __LINE__, "%s: cosine %g with the best level", adaptq_level_name(fixture_level[i]), cosine);
  }
  free(reference);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

static void allowed_levels(void) {
  OPEN_FIXTURE(f);
  if (bits_in(f.levels) < 2) {
    fixture_close(&f);
    SKIP("the model stores one level");
  }
  uint32_t first = fixture_allow[fixture_best_level(f.levels)];
  uint32_t second = fixture_allow[fixture_best_level(f.levels & ~first)];
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, first | second, 1, LENGTH);
  REQUIRE(session != NULL);
  adaptq_run_report report;
  CHECK_STATUS(adaptq_session_set_allowed_levels(session, second), ADAPTQ_OK);
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, &report), ADAPTQ_OK);
  CHECK_INT(report.level, fixture_level[fixture_best_level(second)]);
  CHECK_STATUS(adaptq_session_set_allowed_levels(session, 0), ADAPTQ_OK);
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, &report), ADAPTQ_OK);
  CHECK_INT(report.level, fixture_level[fixture_best_level(first)]);
  uint32_t other = (uint32_t)ADAPTQ_ALLOW_ALL & ~(first | second);
  CHECK_STATUS(adaptq_session_set_allowed_levels(session, other), ADAPTQ_UNSUPPORTED);
  CHECK_STATUS(adaptq_session_set_allowed_levels(session, first | other), ADAPTQ_UNSUPPORTED);
  CHECK_STATUS(adaptq_session_set_allowed_levels(session, first | 64), ADAPTQ_INVALID_ARGUMENT);
  CHECK_STATUS(adaptq_session_set_allowed_levels(session, 0x80000000u), ADAPTQ_INVALID_ARGUMENT);
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, &report), ADAPTQ_OK);
  CHECK_INT(report.level, fixture_level[fixture_best_level(first)]);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

// ---------------------------------------------------------------------------------------------------------------- budget

static void refuses_budgets(void) {
  OPEN_FIXTURE(f);
  adaptq_session *session = NULL;
  REQUIRE_OK(adaptq_session_create(f.model, NULL, &session));
#define REFUSED(latency, percentile) \
  do { \
    adaptq_status s = adaptq_session_set_latency_budget(session, latency, percentile); \
    if (s != ADAPTQ_INVALID_ARGUMENT && s != ADAPTQ_OUT_OF_RANGE) \
      check_fail(__FILE__, __LINE__, "budget %s at %s: %s", #latency, #percentile, adaptq_status_name(s)); \
  } while (0)
  REFUSED(-1, 95);
  REFUSED(INT64_MIN, 95);
  REFUSED(1000000, 49.9);
  REFUSED(1000000, 99.95);
  REFUSED(1000000, 100);
  REFUSED(1000000, 0);
  REFUSED(1000000, -95);
  REFUSED(1000000, (double)NAN);
  REFUSED(1000000, (double)INFINITY);
  REFUSED(1000000, (double)-INFINITY);
#undef REFUSED
  CHECK_STATUS(adaptq_session_set_latency_budget(session, 1, 50), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_set_latency_budget(session, INT64_C(86400) * 1000000000, 99.9), ADAPTQ_OK);
  adaptq_status most = adaptq_session_set_latency_budget(session, INT64_MAX, 95);
  CHECK(most == ADAPTQ_OK || most == ADAPTQ_OUT_OF_RANGE);
  CHECK_STATUS(adaptq_session_set_latency_budget(session, 0, (double)NAN), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  fixture_close(&f);
}

static void budget_nobody_can_hold(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, 0, 1, LENGTH);
  REQUIRE(session != NULL);
  adaptq_level_cost costs[FIXTURE_LEVELS];
  for (int i = 0; i < FIXTURE_LEVELS; i++) costs[i].struct_size = sizeof costs[i];
  size_t count = 0;
  REQUIRE_OK(adaptq_session_costs(session, costs, FIXTURE_LEVELS, &count));
  CHECK_STATUS(adaptq_session_set_latency_budget(session, 1, 95), ADAPTQ_OK);
  adaptq_run_report report;
  for (int i = 0; i < 50; i++) {
    CHECK_STATUS(fixture_run(&f, session, &t, NULL, &report), ADAPTQ_OK);
    CHECK(report.budget_ns == 1 && report.budget_missed == 1);
  }
  CHECK_INT(report.budget_unreachable, 1);
  // The cheapest, or one of those that cost nearly the same: they may trade places while costs are learned.
  int64_t own = 0, least = INT64_MAX;
  for (size_t i = 0; i < count; i++) {
    if (costs[i].level == report.level) own = costs[i].latency_ns;
    if (costs[i].latency_ns < least) least = costs[i].latency_ns;
  }
  CHECK(own > 0 && (double)own <= (double)least * 1.25);
  // Without budget: the best level at once.
  CHECK_STATUS(adaptq_session_set_latency_budget(session, 0, 0), ADAPTQ_OK);
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, &report), ADAPTQ_OK);
  CHECK_INT(report.level, fixture_level[fixture_best_level(f.levels)]);
  CHECK(report.budget_ns == 0 && report.budget_missed == 0 && report.reason == ADAPTQ_REASON_NO_BUDGET);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

static void budget_everybody_holds(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, 0, 1, LENGTH);
  REQUIRE(session != NULL);
  const int64_t budget = INT64_C(3600) * 1000000000;
  CHECK_STATUS(adaptq_session_set_latency_budget(session, budget, 95), ADAPTQ_OK);
  adaptq_run_report report;
  for (int i = 0; i < 200; i++) {
    CHECK_STATUS(fixture_run(&f, session, &t, NULL, &report), ADAPTQ_OK);
    CHECK(report.budget_ns == budget && report.budget_missed == 0);
  }
  CHECK_INT(report.level, fixture_level[fixture_best_level(f.levels)]);
  // After a fixed level AUTO returns to the budget.
  CHECK_STATUS(adaptq_session_set_level(session, report.level), ADAPTQ_OK);
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, &report), ADAPTQ_OK);
  CHECK_INT(report.reason, ADAPTQ_REASON_FIXED);
  CHECK_STATUS(adaptq_session_set_level(session, ADAPTQ_LEVEL_AUTO), ADAPTQ_OK);
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, &report), ADAPTQ_OK);
  CHECK(report.reason != ADAPTQ_REASON_FIXED && report.reason != ADAPTQ_REASON_NO_BUDGET);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

static void reason_names(void) {
  CHECK(strcmp(adaptq_reason_name(ADAPTQ_REASON_INITIAL), "initial") == 0);
  CHECK(strcmp(adaptq_reason_name(ADAPTQ_REASON_FIXED), "fixed") == 0);
  CHECK(strcmp(adaptq_reason_name(ADAPTQ_REASON_PREDICTED_MISS), "predicted miss") == 0);
  CHECK(strcmp(adaptq_reason_name(ADAPTQ_REASON_NO_BUDGET), "no budget") == 0);
  for (int32_t reason = ADAPTQ_REASON_INITIAL; reason <= ADAPTQ_REASON_POWER; reason++)
    CHECK(strcmp(adaptq_reason_name(reason), "unknown") != 0);
  const int32_t unknown[] = {0, -1, ADAPTQ_REASON_POWER + 1, INT32_MIN, INT32_MAX};
  for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
    CHECK(strcmp(adaptq_reason_name(unknown[i]), "unknown") == 0);
}

// ----------------------------------------------------------------------------------------------------------------- costs

static void costs(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, 0, 1, LENGTH);
  REQUIRE(session != NULL);
  adaptq_level_cost cost[FIXTURE_LEVELS + 1];
  size_t count = 0, needed = (size_t)bits_in(f.levels);
  CHECK_STATUS(adaptq_session_costs(session, NULL, 0, &count), ADAPTQ_BUFFER_TOO_SMALL);
  CHECK_INT(count, needed);
  canary_fill(cost, sizeof cost);
  for (int i = 0; i <= FIXTURE_LEVELS; i++) cost[i].struct_size = sizeof cost[i];
  count = 0;
  if (needed > 1) {
    CHECK_STATUS(adaptq_session_costs(session, cost, needed - 1, &count), ADAPTQ_BUFFER_TOO_SMALL);
    CHECK_INT(count, needed);
    CHECK(canary_intact(&cost[0].level, sizeof cost[0] - offsetof(adaptq_level_cost, level)));
  }
  CHECK_STATUS(adaptq_session_costs(session, cost, FIXTURE_LEVELS + 1, &count), ADAPTQ_OK);
  CHECK_INT(count, needed);
  CHECK(canary_intact(&cost[needed].level, sizeof cost[0] - offsetof(adaptq_level_cost, level)));
  int64_t fastest = INT64_MAX;
  for (size_t i = 0; i < count; i++) {
    CHECK_INT(cost[i].struct_size, sizeof cost[i]);
    CHECK(cost[i].latency_ns > 0);
    CHECK(cost[i].is_step == 0 || cost[i].is_step == 1);
    if (i > 0) CHECK(cost[i].level < cost[i - 1].level);
    // A step is faster than every better level; the best one always is.
    if (cost[i].is_step) CHECK(cost[i].latency_ns < fastest);
    if (cost[i].latency_ns < fastest) fastest = cost[i].latency_ns;
    uint32_t allow = 0;
    for (int k = 0; k < FIXTURE_LEVELS; k++) if (fixture_level[k] == cost[i].level) allow = fixture_allow[k];
    CHECK((f.levels & allow) != 0);
  }
  CHECK_INT(cost[0].is_step, 1);
  CHECK_STATUS(adaptq_session_costs(session, cost, FIXTURE_LEVELS, NULL), ADAPTQ_INVALID_ARGUMENT);
  count = 77;
  CHECK_STATUS(adaptq_session_costs(session, NULL, FIXTURE_LEVELS, &count), ADAPTQ_INVALID_ARGUMENT);
  cost[0].struct_size = 4;
  CHECK_ERROR(adaptq_session_costs(session, cost, FIXTURE_LEVELS, &count), ADAPTQ_INVALID_ARGUMENT, "adaptq_level_cost");
  CHECK_INT(count, 77);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

// ------------------------------------------------------------------------------------------------------------- telemetry

static void telemetry(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, 0, 1, LENGTH);
  REQUIRE(session != NULL);
  static adaptq_telemetry entry[KEPT + 10];
  size_t count = 77;
  for (size_t i = 0; i < KEPT + 10; i++) entry[i].struct_size = sizeof entry[i];
  CHECK_STATUS(adaptq_session_telemetry(session, entry, KEPT, &count), ADAPTQ_OK);
  CHECK_INT(count, 0);
  for (uint64_t done = 1; done <= KEPT + 40; done++) {
    adaptq_run_report report;
    adaptq_run_options options = {.struct_size = sizeof options};
    int level = (int)(done % FIXTURE_LEVELS);
    if (f.levels & fixture_allow[level]) options.level = fixture_level[level];
    tensors_shape(&f, &t, 1, (int64_t)(done % LENGTH) + 1, done);
    REQUIRE(tensors_outputs(&f, session, &t));
    CHECK_STATUS(fixture_run(&f, session, &t, &options, &report), ADAPTQ_OK);
    if (done > 3 && done < KEPT - 3) continue;
    size_t kept = done < KEPT ? done : KEPT;
    canary_fill(entry, sizeof entry);
    for (size_t i = 0; i < KEPT + 10; i++) entry[i].struct_size = sizeof entry[i];
    CHECK_STATUS(adaptq_session_telemetry(session, entry, KEPT + 10, &count), ADAPTQ_OK);
    CHECK_INT(count, kept);
    for (size_t i = 0; i < count; i++) {
      CHECK(entry[i].sequence == done - count + 1 + i);
      CHECK_INT(entry[i].struct_size, sizeof entry[i]);
      CHECK(entry[i].latency_ns > 0 && entry[i].budget_ns == 0 && entry[i].budget_missed == 0);
      CHECK_INT(entry[i].work, entry[i].sequence % LENGTH + 1);
    }
    CHECK(entry[count - 1].latency_ns == report.latency_ns && entry[count - 1].level == report.level &&
          entry[count - 1].reason == report.reason && entry[count - 1].sequence == report.sequence);
    CHECK(canary_intact(&entry[count].sequence, sizeof entry[0] - offsetof(adaptq_telemetry, sequence)));
    // A small capacity gets the newest ones.
    size_t few = 0;
    canary_fill(entry, sizeof entry);
    for (size_t i = 0; i < KEPT + 10; i++) entry[i].struct_size = sizeof entry[i];
    CHECK_STATUS(adaptq_session_telemetry(session, entry, 2, &few), ADAPTQ_OK);
    CHECK_INT(few, kept < 2 ? kept : 2);
    CHECK(entry[few - 1].sequence == done);
    CHECK(canary_intact(&entry[few].sequence, sizeof entry[0] - offsetof(adaptq_telemetry, sequence)));
  }
  CHECK_STATUS(adaptq_session_telemetry(session, NULL, 0, &count), ADAPTQ_OK);
  CHECK_INT(count, 0);
  CHECK_STATUS(adaptq_session_telemetry(session, entry, KEPT, NULL), ADAPTQ_INVALID_ARGUMENT);
  CHECK_STATUS(adaptq_session_telemetry(session, NULL, KEPT, &count), ADAPTQ_INVALID_ARGUMENT);
  entry[0].struct_size = 8;
  CHECK_ERROR(adaptq_session_telemetry(session, entry, KEPT, &count), ADAPTQ_INVALID_ARGUMENT, "adaptq_telemetry");
  tensors_shape(&f, &t, 1, LENGTH, 0);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

static void telemetry_of_sites(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, 0, 1, LENGTH);
  REQUIRE(session != NULL);
  adaptq_level *levels = (adaptq_level *)calloc(f.n_sites + 1, sizeof *levels);
  REQUIRE(levels != NULL);
  canary_fill(levels, (f.n_sites + 1) * sizeof *levels);
  CHECK_STATUS(adaptq_session_telemetry_sites(session, 1, levels, f.n_sites), ADAPTQ_NOT_FOUND);
  adaptq_run_report report;
  for (int i = 0; i < FIXTURE_LEVELS; i++) {
    if (!(f.levels & fixture_allow[i])) continue;
    adaptq_run_options options = {.struct_size = sizeof options, .level = fixture_level[i]};
    CHECK_STATUS(fixture_run(&f, session, &t, &options, &report), ADAPTQ_OK);
  }
  for (uint64_t sequence = 1; sequence <= report.sequence; sequence++) {
    canary_fill(levels, (f.n_sites + 1) * sizeof *levels);
    CHECK_STATUS(adaptq_session_telemetry_sites(session, sequence, levels, f.n_sites), ADAPTQ_OK);
    int linear = 0;
    for (size_t i = 0; i < f.n_sites; i++) {
      adaptq_site_info site = {.struct_size = sizeof site};
      CHECK_STATUS(adaptq_model_site(f.model, i, &site), ADAPTQ_OK);
      CHECK(strcmp(adaptq_level_name(levels[i]), "UNKNOWN") != 0 && levels[i] != ADAPTQ_LEVEL_AUTO);
      if (site.kind != ADAPTQ_SITE_LINEAR) continue;
      if (linear) CHECK_INT(levels[i], linear);
      linear = levels[i];
    }
    // This version has one level for all linear sites: that of the report.
    if (sequence == report.sequence) CHECK_INT(linear, report.level);
    CHECK(canary_intact(&levels[f.n_sites], sizeof *levels));
  }
  canary_fill(levels, (f.n_sites + 1) * sizeof *levels);
  CHECK_STATUS(adaptq_session_telemetry_sites(session, report.sequence + 1, levels, f.n_sites), ADAPTQ_NOT_FOUND);
  CHECK_STATUS(adaptq_session_telemetry_sites(session, 0, levels, f.n_sites), ADAPTQ_NOT_FOUND);
  CHECK_STATUS(adaptq_session_telemetry_sites(session, UINT64_MAX, levels, f.n_sites), ADAPTQ_NOT_FOUND);
  CHECK_STATUS(adaptq_session_telemetry_sites(session, 1, levels, f.n_sites - 1), ADAPTQ_INVALID_ARGUMENT);
  CHECK_STATUS(adaptq_session_telemetry_sites(session, 1, levels, f.n_sites + 1), ADAPTQ_INVALID_ARGUMENT);
  CHECK_STATUS(adaptq_session_telemetry_sites(session, 1, NULL, f.n_sites), ADAPTQ_INVALID_ARGUMENT);
  CHECK(canary_intact(levels, (f.n_sites + 1) * sizeof *levels));
  free(levels);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

int main(void) {
  RUN(fixed_levels);
  RUN(levels_differ_and_agree);
  RUN(allowed_levels);
  RUN(refuses_budgets);
  RUN(budget_nobody_can_hold);
  RUN(budget_everybody_holds);
  RUN(reason_names);
  RUN(costs);
  RUN(telemetry);
  RUN(telemetry_of_sites);
  return check_end();
}
