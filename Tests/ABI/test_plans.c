// Plans that mix levels: what a session lists, which one ran, and the floor under their quality. The model is the one of
// make_small.py, whose plans and qualities are known.
#define _GNU_SOURCE
#include "small_session.h"

#ifndef ADAPTQ_TESTS
#define ADAPTQ_TESTS "Tests"
#endif


static const struct { int32_t up, down; double mean, p5; } stored[PLANS] = {
    {32, 32, 1, 1},          {16, 16, 0.999999, 0.999998}, {16, 8, 0.9998, 0.9995}, {8, 8, 0.9995, 0.9985},
    {8, 6, 0.999, 0.9986},   {6, 6, 0.998, 0.99},          {8, 2, 0.97, 0.9},       {4, 4, 0.96, 0.94},
    {2, 4, 0.75, 0.5},       {2, 2, 0.5, -0.25}};

static int open_world(world *w, uint32_t levels) {
  adaptq_session_options options = {.struct_size = sizeof options, .allowed_levels = levels};
  return open_small_session(w, NULL, &options);
}
#define OPEN_WORLD(w, levels) world w; if (!open_world(&w, levels)) return

static adaptq_run_report run(world *w, adaptq_level level, int64_t deadline) {
  adaptq_run_options options = {.struct_size = sizeof options, .level = level, .deadline_ns = deadline};
  adaptq_run_report report = {.struct_size = sizeof report};
  CHECK_STATUS(adaptq_session_run(w->session, w->inputs, 2, &w->output, 1, &options, &report), ADAPTQ_OK);
  return report;
}

static void lists_what_is_stored(void) {
  OPEN_WORLD(w, 0);
  adaptq_plan_info plans[PLANS + 1];
  adaptq_level_cost costs[FIXTURE_LEVELS];
  size_t count = 0, n_costs = 0;
  canary_fill(plans, sizeof plans);
  plans[0].struct_size = sizeof plans[0];
  costs[0].struct_size = sizeof costs[0];
  REQUIRE_OK(adaptq_session_costs(w.session, costs, FIXTURE_LEVELS, &n_costs));
  CHECK_STATUS(adaptq_session_plans(w.session, plans, PLANS - 1, &count), ADAPTQ_BUFFER_TOO_SMALL);
  CHECK_INT(count, PLANS);
  CHECK(canary_intact(&plans[0].mean_cosine, sizeof plans - sizeof(size_t)));
  REQUIRE_OK(adaptq_session_plans(w.session, plans, PLANS + 1, &count));
  CHECK_INT(count, PLANS);
  CHECK(canary_intact(&plans[PLANS], sizeof plans[0]));
  for (int i = 0; i < PLANS; i++) {
    const adaptq_plan_info *p = &plans[i];
    CHECK_INT(p->struct_size, sizeof *p);
    CHECK(p->mean_cosine == stored[i].mean && p->p5_cosine == stored[i].p5 && p->latency_ns > 0 && p->reserved == 0);
    CHECK_INT(p->is_mixed, stored[i].up != stored[i].down);
    // Both sites have as many weights: the better level counts.
    CHECK_INT(p->level, stored[i].up > stored[i].down ? stored[i].up : stored[i].down);
    const int64_t sites[] = {p->sites_int2, p->sites_int4, p->sites_int6, p->sites_int8, p->sites_fp16, p->sites_fp32};
    const int32_t bits[] = {2, 4, 6, 8, 16, 32};
    for (int k = 0; k < 6; k++) CHECK_INT(sites[k], (stored[i].up == bits[k]) + (stored[i].down == bits[k]));
    adaptq_level levels[SITES] = {0};
    CHECK_STATUS(adaptq_session_plan_sites(w.session, (size_t)i, levels, SITES), ADAPTQ_OK);
    CHECK(levels[0] == ADAPTQ_LEVEL_INT8 && levels[1] == stored[i].up && levels[2] == stored[i].down);
    // A plan of one level costs what that level was measured to cost.
    for (size_t k = 0; k < n_costs && !p->is_mixed; k++)
      if (costs[k].level == p->level) CHECK_INT(p->latency_ns, costs[k].latency_ns);
    int is_step = 1;
    for (int k = 0; k < i; k++) is_step &= !plans[k].is_step || (double)p->latency_ns < 0.97 * (double)plans[k].latency_ns + 2;
    CHECK_INT(p->is_step, is_step);
  }
  CHECK_INT(plans[0].is_step, 1);
  close_world(&w);
}

static void only_allowed_levels(void) {
  OPEN_WORLD(w, ADAPTQ_ALLOW_INT8 | ADAPTQ_ALLOW_INT6 | ADAPTQ_ALLOW_INT2);
  adaptq_plan_info plans[PLANS] = {{.struct_size = sizeof plans[0]}};
  size_t count = 0;
  REQUIRE_OK(adaptq_session_plans(w.session, plans, PLANS, &count));
  const int expected[] = {3, 4, 5, 6, 9};
  CHECK_INT(count, 5);
  for (size_t i = 0; i < count; i++) CHECK(plans[i].mean_cosine == stored[expected[i]].mean);
  // Fewer still, at run time: without a budget the best of what is left.
  CHECK_STATUS(adaptq_session_set_allowed_levels(w.session, ADAPTQ_ALLOW_INT6), ADAPTQ_OK);
  CHECK_INT(run(&w, 0, 0).plan, 2);
  CHECK_STATUS(adaptq_session_set_allowed_levels(w.session, ADAPTQ_ALLOW_INT8 | ADAPTQ_ALLOW_INT2), ADAPTQ_OK);
  CHECK_INT(run(&w, 0, 0).plan, 0);
  close_world(&w);
}

// Report and telemetry name the plan; the sites had its levels.
static void says_which_plan_ran(void) {
  OPEN_WORLD(w, 0);
  adaptq_plan_info plans[PLANS] = {{.struct_size = sizeof plans[0]}};
  size_t count = 0;
  REQUIRE_OK(adaptq_session_plans(w.session, plans, PLANS, &count));
  for (int i = 0; i < 300; i++) {
    // Budgets around what plans cost, so that many of them run, and deadlines that some calls miss.
    CHECK_STATUS(adaptq_session_set_latency_budget(w.session, plans[i % PLANS].latency_ns * (1 + i % 3), 50 + i % 50), ADAPTQ_OK);
    adaptq_level level = i % 11 == 0 ? fixture_level[i % FIXTURE_LEVELS] : ADAPTQ_LEVEL_AUTO;
    int64_t deadline = i % 4 == 0 ? 1 + plans[i % PLANS].latency_ns / 2 : 0;
    adaptq_run_report report = run(&w, level, deadline);
    REQUIRE(report.plan >= 0 && report.plan < PLANS);
    CHECK_INT(report.level, plans[report.plan].level);
    if (level != ADAPTQ_LEVEL_AUTO) CHECK(report.level == level && !plans[report.plan].is_mixed && report.dropped_sites == 0);
    adaptq_telemetry last = {.struct_size = sizeof last};
    adaptq_level had[SITES], wanted[SITES];
    CHECK_STATUS(adaptq_session_telemetry(w.session, &last, 1, &count), ADAPTQ_OK);
    CHECK(last.sequence == report.sequence && last.plan == report.plan && last.level == report.level);
    CHECK_STATUS(adaptq_session_telemetry_sites(w.session, report.sequence, had, SITES), ADAPTQ_OK);
    CHECK_STATUS(adaptq_session_plan_sites(w.session, (size_t)report.plan, wanted, SITES), ADAPTQ_OK);
    int lower = 0, other = 0;
    for (int k = 0; k < SITES; k++) {
      lower += had[k] < wanted[k];
      other += had[k] != wanted[k];
    }
    CHECK_INT(report.dropped_sites, lower);
    if (other) CHECK(deadline > 0 && level == ADAPTQ_LEVEL_AUTO && report.reason == ADAPTQ_REASON_DEADLINE);
  }
  close_world(&w);
}

static void floor_binds_what_the_budget_chooses(void) {
  OPEN_WORLD(w, 0);
  // Nothing is fast enough: the budget wants the fastest plan there is.
  CHECK_STATUS(adaptq_session_set_latency_budget(w.session, 1, 95), ADAPTQ_OK);
  adaptq_limit_report limit = {.struct_size = sizeof limit};
  for (int i = 0; i < PLANS; i++) {
    canary_fill((char *)&limit + sizeof(size_t), sizeof limit - sizeof(size_t));
    CHECK_STATUS(adaptq_session_set_quality_floor(w.session, stored[i].mean, 0, &limit), ADAPTQ_OK);
    CHECK(limit.limit == ADAPTQ_LIMIT_NONE && limit.reserved == 0 && limit.nearest == 0);
    for (int k = 0; k < 5; k++) CHECK(run(&w, 0, k == 4 ? 1 : 0).plan <= i);
    double p5 = stored[i].p5 > 0 ? stored[i].p5 : 0;
    CHECK_STATUS(adaptq_session_set_quality_floor(w.session, 0, p5, NULL), ADAPTQ_OK);
    int plan = run(&w, 0, 0).plan;
    REQUIRE(plan >= 0 && plan < PLANS);
    CHECK((stored[plan].p5 > 0 ? stored[plan].p5 : 0) >= p5);
  }
  // A fixed level is the host's own choice.
  CHECK_STATUS(adaptq_session_set_quality_floor(w.session, 1, 1, NULL), ADAPTQ_OK);
  CHECK_INT(run(&w, ADAPTQ_LEVEL_INT2, 0).plan, PLANS - 1);
  CHECK_INT(run(&w, 0, 0).plan, 0);
  // Out of reach without FP32: nothing changes, and the answer is a value that holds.
  CHECK_ERROR(adaptq_session_set_allowed_levels(w.session, ADAPTQ_ALLOW_FP16 | ADAPTQ_ALLOW_INT8), ADAPTQ_UNSUPPORTED, "0.999999");
  CHECK_INT(run(&w, 0, 0).plan, 0);
  CHECK_STATUS(adaptq_session_set_quality_floor(w.session, 0, 0, NULL), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_set_allowed_levels(w.session, ADAPTQ_ALLOW_FP16 | ADAPTQ_ALLOW_INT8), ADAPTQ_OK);
  CHECK_ERROR(adaptq_session_set_quality_floor(w.session, 1, 0, &limit), ADAPTQ_UNSUPPORTED, "mean_cosine cannot hold");
  CHECK(limit.limit == ADAPTQ_LIMIT_MEAN_COSINE && limit.nearest == 0.999999);
  CHECK_ERROR(adaptq_session_set_quality_floor(w.session, limit.nearest, 1, &limit), ADAPTQ_UNSUPPORTED, "p5_cosine cannot hold");
  CHECK(limit.limit == ADAPTQ_LIMIT_P5_COSINE && limit.nearest == 0.999998);
  CHECK_STATUS(adaptq_session_set_quality_floor(w.session, 0.999999, limit.nearest, &limit), ADAPTQ_OK);
  CHECK_INT(run(&w, 0, 0).plan, 1);
  close_world(&w);
}

// All limits at once: what cannot hold is named with the nearest value that can, and with that value the call succeeds.
static void limits_are_set_together(void) {
  OPEN_WORLD(w, 0);
  adaptq_plan_info plans[PLANS] = {{.struct_size = sizeof plans[0]}};
  size_t count = 0;
  REQUIRE_OK(adaptq_session_plans(w.session, plans, PLANS, &count));
  adaptq_limit_report limit = {.struct_size = sizeof limit};
  adaptq_budget budget = {.struct_size = sizeof budget, .latency_ns = 1000000000, .percentile = 90, .mean_cosine = stored[3].mean};
  CHECK_STATUS(adaptq_session_set_budget(w.session, &budget, &limit), ADAPTQ_OK);
  CHECK(limit.limit == ADAPTQ_LIMIT_NONE && limit.nearest == 0);
  CHECK_INT(run(&w, 0, 0).budget_ns, 1000000000);
  CHECK_INT(run(&w, 0, 0).plan, 0);
  // For every floor the fastest plan that is good enough says which latency can hold.
  for (int i = 0; i < PLANS; i++) {
    int64_t fastest = INT64_MAX;
    for (int k = 0; k < PLANS; k++)
      if (stored[k].mean >= stored[i].mean && plans[k].latency_ns < fastest) fastest = plans[k].latency_ns;
    budget = (adaptq_budget){.struct_size = sizeof budget, .latency_ns = 1, .mean_cosine = stored[i].mean};
    CHECK_ERROR(adaptq_session_set_budget(w.session, &budget, &limit), ADAPTQ_UNSUPPORTED, "latency_ns cannot hold");
    CHECK_INT(limit.limit, ADAPTQ_LIMIT_LATENCY);
    CHECK(limit.nearest >= (double)fastest - 1 && limit.nearest <= (double)fastest + 1);
    CHECK_INT(run(&w, 0, 0).budget_ns, 1000000000);
    budget.latency_ns = (int64_t)limit.nearest;
    CHECK_STATUS(adaptq_session_set_budget(w.session, &budget, NULL), ADAPTQ_OK);
    CHECK_INT(run(&w, 0, 0).budget_ns, (int64_t)limit.nearest);
    budget.latency_ns = 1000000000;
    CHECK_STATUS(adaptq_session_set_budget(w.session, &budget, NULL), ADAPTQ_OK);
  }
  // The floor comes before the latency, the levels before the floor.
  budget = (adaptq_budget){.struct_size = sizeof budget, .latency_ns = 1, .mean_cosine = 1,
                           .allowed_levels = ADAPTQ_ALLOW_FP16 | ADAPTQ_ALLOW_INT8};
  CHECK_ERROR(adaptq_session_set_budget(w.session, &budget, &limit), ADAPTQ_UNSUPPORTED, "mean_cosine cannot hold");
  CHECK(limit.limit == ADAPTQ_LIMIT_MEAN_COSINE && limit.nearest == 0.999999);
  budget.mean_cosine = limit.nearest;
  budget.p5_cosine = 1;
  CHECK_ERROR(adaptq_session_set_budget(w.session, &budget, &limit), ADAPTQ_UNSUPPORTED, "p5_cosine cannot hold");
  CHECK(limit.limit == ADAPTQ_LIMIT_P5_COSINE && limit.nearest == 0.999998);
  CHECK_STATUS(adaptq_session_set_budget(w.session, NULL, &limit), ADAPTQ_OK);
  CHECK(run(&w, 0, 0).budget_ns == 0 && run(&w, 0, 0).plan == 0);
  CHECK_STATUS(adaptq_session_destroy(w.session), ADAPTQ_OK);
  // Levels of which no stored plan is made, and such that the session does not have.
  adaptq_session_options options = {.struct_size = sizeof options,
                                    .allowed_levels = ADAPTQ_ALLOW_INT8 | ADAPTQ_ALLOW_INT6 | ADAPTQ_ALLOW_INT4};
  REQUIRE_OK(adaptq_session_create(w.model, &options, &w.session));
  budget = (adaptq_budget){.struct_size = sizeof budget, .latency_ns = 1, .allowed_levels = ADAPTQ_ALLOW_INT2 | ADAPTQ_ALLOW_INT8};
  CHECK_ERROR(adaptq_session_set_budget(w.session, &budget, &limit), ADAPTQ_UNSUPPORTED, "allowed_levels is 9");
  CHECK(limit.limit == ADAPTQ_LIMIT_LEVELS && limit.nearest == 14);
  // Not prepared: latency is not looked at.
  budget.allowed_levels = 0;
  CHECK_STATUS(adaptq_session_set_budget(w.session, &budget, &limit), ADAPTQ_OK);
  close_world(&w);
}

// Without stored plans: one per level, of unknown quality.
static void without_plans(void) {
  adaptq_runtime *runtime = NULL;
  adaptq_model *model = NULL;
  adaptq_session *session = NULL;
  REQUIRE_OK(adaptq_runtime_create(NULL, &runtime));
  REQUIRE_OK(adaptq_model_open(runtime, ADAPTQ_TESTS "/ABI/growing.adaptq", &model));
  REQUIRE_OK(adaptq_session_create(model, NULL, &session));
  adaptq_tensor x;
  tensor_shape(&x, ADAPTQ_TYPE_FLOAT32, 3, 2, 5, 4, NULL);
  REQUIRE_OK(adaptq_session_prepare(session, &x, 1));
  adaptq_plan_info plans[FIXTURE_LEVELS] = {{.struct_size = sizeof plans[0]}};
  adaptq_level_cost costs[FIXTURE_LEVELS] = {{.struct_size = sizeof costs[0]}};
  size_t count = 0, n_costs = 0;
  REQUIRE_OK(adaptq_session_plans(session, plans, FIXTURE_LEVELS, &count));
  REQUIRE_OK(adaptq_session_costs(session, costs, FIXTURE_LEVELS, &n_costs));
  CHECK_INT(count, n_costs);
  for (size_t i = 0; i < count; i++) {
    CHECK(plans[i].level == costs[i].level && plans[i].latency_ns == costs[i].latency_ns && !plans[i].is_mixed);
    // Steps too, but where levels cost nearly the same: plans go by the last step, costs by every better level.
    CHECK(plans[i].mean_cosine == 0 && plans[i].p5_cosine == 0);
    if (costs[i].is_step) CHECK(plans[i].is_step);
  }
  CHECK_STATUS(adaptq_session_set_quality_floor(session, 0.1, 0, NULL), ADAPTQ_NOT_FOUND);
  CHECK_STATUS(adaptq_session_set_quality_floor(session, 0, 0, NULL), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  CHECK_STATUS(adaptq_model_destroy(model), ADAPTQ_OK);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
}

int main(void) {
  RUN(lists_what_is_stored);
  RUN(only_allowed_levels);
  RUN(says_which_plan_ran);
  RUN(floor_binds_what_the_budget_chooses);
  RUN(limits_are_set_together);
  RUN(without_plans);
  return check_end();
}
