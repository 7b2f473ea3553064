// Groups of matrices: plans, frames, the same bits as single products, budgets, life times, threads, and a run path without
// allocations (counted when count_malloc.so is preloaded) and system calls (strace_between.sh).
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"

extern void adaptq_test_count_begin(void) __attribute__((weak));
extern long adaptq_test_count_end(void) __attribute__((weak));

enum { COUNT = 3, N = 96, K = 192, ROWS = 4, MAX_PLANS = 256 };

static float weights[COUNT][N * K], x[ROWS * K], y[ROWS * N], expected[ROWS * N];
static adaptq_runtime *runtime;
static adaptq_matrix *matrices[COUNT];

static void make_matrices(void) {
  uint64_t seed = 5;
  for (int i = 0; i < COUNT; i++)
    for (int k = 0; k < N * K; k++) weights[i][k] = (float)((double)(check_random(&seed) >> 40) / 8388608.0 - 1.0);
  for (int k = 0; k < ROWS * K; k++) x[k] = (float)((double)(check_random(&seed) >> 40) / 8388608.0 - 1.0);
  REQUIRE_OK(adaptq_runtime_create(NULL, &runtime));
  for (int i = 0; i < COUNT; i++) {
    adaptq_matrix_options o = {.struct_size = sizeof o, .n = N, .k = K, .weights = weights[i], .max_rows = ROWS};
    o.keep = ADAPTQ_ALLOW_FP16 | (i > 0 ? ADAPTQ_ALLOW_FP32 : 0);
    REQUIRE_OK(adaptq_matrix_create(runtime, &o, &matrices[i]));
  }
}

static adaptq_group *make_group(uint32_t allowed) {
  adaptq_group_options o = {.struct_size = sizeof o, .allowed_levels = allowed, .max_rows = ROWS};
  adaptq_group *group = NULL;
  CHECK_STATUS(adaptq_group_create(runtime, matrices, COUNT, &o, &group), ADAPTQ_OK);
  return group;
}

static adaptq_multiply product(void) {
  adaptq_multiply c = {.struct_size = sizeof c, .rows = ROWS, .x = x, .y = y};
  return c;
}

static void plans_are_a_ladder(void) {
  adaptq_group *group = make_group(0);
  adaptq_group_plan plans[MAX_PLANS] = {{.struct_size = sizeof plans[0]}};
  size_t count = 0;
  CHECK_STATUS(adaptq_group_plans(group, NULL, 0, &count), ADAPTQ_BUFFER_TOO_SMALL);
  size_t needed = count;
  CHECK_STATUS(adaptq_group_plans(group, plans, MAX_PLANS, &count), ADAPTQ_OK);
  CHECK(count == needed && count >= 1);
  adaptq_level levels[COUNT];
  for (size_t p = 0; p < count; p++) {
    CHECK_INT(plans[p].struct_size, sizeof plans[0]);
    CHECK(plans[p].cost_ns > 0 && plans[p].noise_db > 0);
    if (p > 0) CHECK(plans[p].cost_ns < plans[p - 1].cost_ns && plans[p].noise_db < plans[p - 1].noise_db);
    CHECK_STATUS(adaptq_group_plan_levels(group, p, levels, COUNT), ADAPTQ_OK);
    // FP32 is not held by the first matrix.
    for (int i = 0; i < COUNT; i++) CHECK(levels[i] == 2 || levels[i] == 4 || levels[i] == 6 || levels[i] == 8 || levels[i] == 16);
  }
  CHECK_STATUS(adaptq_group_plan_levels(group, 0, levels, COUNT), ADAPTQ_OK);
  for (int i = 0; i < COUNT; i++) CHECK_INT(levels[i], ADAPTQ_LEVEL_FP16);
  CHECK_STATUS(adaptq_group_destroy(group), ADAPTQ_OK);

  group = make_group(ADAPTQ_ALLOW_INT8);
  CHECK_STATUS(adaptq_group_plans(group, plans, MAX_PLANS, &count), ADAPTQ_OK);
  CHECK_INT(count, 1);
  CHECK_STATUS(adaptq_group_destroy(group), ADAPTQ_OK);
}

// Without a budget a frame has the best plan; a fixed level is what it says; products have the bits of single ones.
static void products_are_those_of_the_level(void) {
  adaptq_group *group = make_group(0);
  static const adaptq_level wanted[] = {0, 16, 8, 6, 4, 2};
  uint64_t frames = 0;
  for (size_t l = 0; l < sizeof wanted / sizeof wanted[0]; l++) {
    CHECK_STATUS(adaptq_group_set_level(group, wanted[l]), ADAPTQ_OK);
    adaptq_level levels[COUNT];
    CHECK_STATUS(adaptq_group_begin(group, 0, levels, COUNT), ADAPTQ_OK);
    for (size_t i = 0; i < COUNT; i++) {
      CHECK_INT(levels[i], wanted[l] ? wanted[l] : ADAPTQ_LEVEL_FP16);
      adaptq_multiply c = product();
      c.activation = ADAPTQ_ACTIVATION_GELU;
      c.rows = 1 + (int64_t)i;
      memset(y, 0xA5, sizeof y);
      CHECK_STATUS(adaptq_group_multiply(group, i, &c), ADAPTQ_OK);
      memset(expected, 0xA5, sizeof expected);
      c.y = expected;
      c.level = levels[i];
      CHECK_STATUS(adaptq_matrix_multiply(matrices[i], &c), ADAPTQ_OK);
      CHECK(memcmp(y, expected, sizeof y) == 0);
    }
    adaptq_frame_report report = {.struct_size = sizeof report};
    CHECK_STATUS(adaptq_group_end(group, &report), ADAPTQ_OK);
    CHECK_INT(report.sequence, ++frames);
    CHECK_INT(report.reason, wanted[l] ? ADAPTQ_REASON_FIXED : ADAPTQ_REASON_NO_BUDGET);
    CHECK(report.latency_ns >= report.multiply_ns && report.multiply_ns > 0);
    CHECK(report.budget_ns == 0 && report.budget_missed == 0 && report.power_unreachable == 0 && report.energy_mj == 0);
    if (wanted[l] == 0) CHECK_INT(report.plan, 0);
  }
  CHECK_STATUS(adaptq_group_destroy(group), ADAPTQ_OK);
}

static void frames_open_and_close(void) {
  adaptq_group *group = make_group(0);
  adaptq_frame_report report = {.struct_size = sizeof report};
  adaptq_multiply c = product();
  CHECK_ERROR(adaptq_group_end(group, &report), ADAPTQ_INVALID_ARGUMENT, "no frame is open");
  CHECK_ERROR(adaptq_group_multiply(group, 0, &c), ADAPTQ_INVALID_ARGUMENT, "no frame is open");
  CHECK_STATUS(adaptq_group_abandon(group), ADAPTQ_OK);
  CHECK_STATUS(adaptq_group_begin(group, 1, NULL, 0), ADAPTQ_OK);
  CHECK_ERROR(adaptq_group_begin(group, 1, NULL, 0), ADAPTQ_BUSY, "a frame is open");
  CHECK_STATUS(adaptq_group_abandon(group), ADAPTQ_OK);
  CHECK_STATUS(adaptq_group_begin(group, 1, NULL, 0), ADAPTQ_OK);
  CHECK_STATUS(adaptq_group_end(group, NULL), ADAPTQ_OK);
  CHECK_STATUS(adaptq_group_begin(group, 1, NULL, 0), ADAPTQ_OK);
  CHECK_STATUS(adaptq_group_end(group, &report), ADAPTQ_OK);
  CHECK_INT(report.sequence, 2);  // the abandoned one does not count
  // With a frame open, and matrices that only the group still holds.
  adaptq_matrix *own = NULL;
  adaptq_matrix_options o = {.struct_size = sizeof o, .n = N, .k = K, .weights = weights[0]};
  CHECK_STATUS(adaptq_matrix_create(runtime, &o, &own), ADAPTQ_OK);
  adaptq_group *other = NULL;
  CHECK_STATUS(adaptq_group_create(runtime, &own, 1, NULL, &other), ADAPTQ_OK);
  CHECK_STATUS(adaptq_matrix_destroy(own), ADAPTQ_OK);
  CHECK_STATUS(adaptq_group_begin(other, 1, NULL, 0), ADAPTQ_OK);
  c.rows = 1;
  CHECK_STATUS(adaptq_group_multiply(other, 0, &c), ADAPTQ_OK);
  CHECK_STATUS(adaptq_group_destroy(other), ADAPTQ_OK);
  CHECK_STATUS(adaptq_group_destroy(group), ADAPTQ_OK);
}

// A budget that no plan holds moves away from the best one; then one that everything holds.
static void the_budget_moves_plans(void) {
  adaptq_group *group = make_group(ADAPTQ_ALLOW_FP16 | ADAPTQ_ALLOW_INT4 | ADAPTQ_ALLOW_INT2);
  size_t count = 0;
  adaptq_group_plan plans[MAX_PLANS] = {{.struct_size = sizeof plans[0]}};
  CHECK_STATUS(adaptq_group_plans(group, plans, MAX_PLANS, &count), ADAPTQ_OK);
  CHECK_STATUS(adaptq_group_set_latency_budget(group, 1, 95), ADAPTQ_OK);
  adaptq_frame_report report = {.struct_size = sizeof report};
  adaptq_multiply c = product();
  for (int frame = 0; frame < 20; frame++) {
    CHECK_STATUS(adaptq_group_begin(group, 0, NULL, 0), ADAPTQ_OK);
    for (size_t i = 0; i < COUNT; i++) CHECK_STATUS(adaptq_group_multiply(group, i, &c), ADAPTQ_OK);
    CHECK_STATUS(adaptq_group_end(group, &report), ADAPTQ_OK);
    CHECK_INT(report.budget_ns, 1);
    CHECK(report.budget_missed);
    // By measured costs; later frames have taught other ones.
    if (frame == 0) CHECK(report.budget_unreachable);
    if (frame == 0 && plans[count - 1].cost_ns < plans[0].cost_ns * 9 / 10) CHECK(report.plan > 0);
  }
  CHECK_STATUS(adaptq_group_set_latency_budget(group, INT64_C(1) << 40, 95), ADAPTQ_OK);
  CHECK_STATUS(adaptq_group_begin(group, 0, NULL, 0), ADAPTQ_OK);
  CHECK_STATUS(adaptq_group_end(group, &report), ADAPTQ_OK);
  CHECK_INT(report.plan, 0);
  CHECK_INT(report.reason, ADAPTQ_REASON_BUDGET_CHANGED);
  CHECK(!report.budget_missed);
  CHECK_STATUS(adaptq_group_destroy(group), ADAPTQ_OK);
}

// Energy of a frame by bytes read: 1 mJ per byte, so that numbers are exact whatever the machine's speed.
static void energy_moves_plans(void) {
  adaptq_group *group = make_group(ADAPTQ_ALLOW_FP16 | ADAPTQ_ALLOW_INT8 | ADAPTQ_ALLOW_INT2);
  adaptq_power_budget budget = {.struct_size = sizeof budget, .energy_mj = 1e9, .pj_per_byte = 1e9};
  CHECK_STATUS(adaptq_group_set_power_budget(group, &budget), ADAPTQ_OK);
  adaptq_frame_report report = {.struct_size = sizeof report};
  CHECK_STATUS(adaptq_group_begin(group, 0, NULL, 0), ADAPTQ_OK);
  CHECK_STATUS(adaptq_group_end(group, &report), ADAPTQ_OK);
  CHECK(report.plan == 0 && fabs(report.energy_mj - 2.0 * COUNT * N * K) < 1e-3);
  // One byte less than the best plan reads.
  budget.energy_mj = report.energy_mj - 1;
  CHECK_STATUS(adaptq_group_set_power_budget(group, &budget), ADAPTQ_OK);
  CHECK_STATUS(adaptq_group_begin(group, 0, NULL, 0), ADAPTQ_OK);
  CHECK_STATUS(adaptq_group_end(group, &report), ADAPTQ_OK);
  size_t count = 0;
  adaptq_group_plans(group, NULL, 0, &count);
  if (count > 1) CHECK(report.plan > 0 && report.reason == ADAPTQ_REASON_POWER && report.energy_mj <= budget.energy_mj);
  budget.energy_mj = 1;
  CHECK_STATUS(adaptq_group_set_power_budget(group, &budget), ADAPTQ_OK);
  CHECK_STATUS(adaptq_group_begin(group, 0, NULL, 0), ADAPTQ_OK);
  CHECK_STATUS(adaptq_group_end(group, &report), ADAPTQ_OK);
  CHECK(report.power_unreachable == 1);
  // A cap that leaves nothing above the static power.
  budget = (adaptq_power_budget){.struct_size = sizeof budget, .power_mw = 1000, .static_mw = 999, .active_mw = 1e6};
  CHECK_STATUS(adaptq_group_set_power_budget(group, &budget), ADAPTQ_OK);
  for (int i = 0; i < 3; i++) {
    CHECK_STATUS(adaptq_group_begin(group, 0, NULL, 0), ADAPTQ_OK);
    CHECK_STATUS(adaptq_group_end(group, &report), ADAPTQ_OK);
  }
  CHECK(report.power_unreachable == 1 && report.recommended_interval_ns > 0);
  CHECK_STATUS(adaptq_group_set_power_budget(group, NULL), ADAPTQ_OK);
  CHECK_STATUS(adaptq_group_begin(group, 0, NULL, 0), ADAPTQ_OK);
  CHECK_STATUS(adaptq_group_end(group, &report), ADAPTQ_OK);
  CHECK(report.plan == 0 && report.power_unreachable == 0 && report.energy_mj == 0);
  CHECK_STATUS(adaptq_group_destroy(group), ADAPTQ_OK);
}

static void spin(int64_t ns) {
  int64_t until = now_ns() + ns;
  while (now_ns() < until) {}
}

// A frame of the products in `order`, held up before the second one.
static adaptq_frame_report frame_of(adaptq_group *group, const size_t *order, size_t products, int64_t wait_ns) {
  static float y[ROWS * N];
  adaptq_frame_report report = {.struct_size = sizeof report};
  CHECK_STATUS(adaptq_group_begin(group, 0, NULL, 0), ADAPTQ_OK);
  for (size_t i = 0; i < products; i++) {
    if (i == 1 && wait_ns > 0) spin(wait_ns);
    adaptq_multiply c = product();
    c.rows = ROWS;
    c.y = y;
    CHECK_STATUS(adaptq_group_multiply(group, order[i], &c), ADAPTQ_OK);
  }
  CHECK_STATUS(adaptq_group_end(group, &report), ADAPTQ_OK);
  return report;
}

static void deadlines_move_the_products_that_are_left(void) {
  static const size_t plain[COUNT] = {0, 1, 2}, other[] = {2, 2, 0, 1, 1, 1, 0};
  adaptq_group *group = make_group(0);
  size_t plans = 0;
  CHECK_STATUS(adaptq_group_plans(group, NULL, 0, &plans), ADAPTQ_BUFFER_TOO_SMALL);
  CHECK_STATUS(adaptq_group_set_deadline(group, 10000000000), ADAPTQ_OK);
  adaptq_frame_report report = frame_of(group, plain, COUNT, 0);
  CHECK(report.plan == 0 && report.deadline_ns == 10000000000 && !report.deadline_missed && report.dropped_products == 0);
  // Nothing holds 1 ns: the fastest plan from the begin on, and the report says so.
  CHECK_STATUS(adaptq_group_set_deadline(group, 1), ADAPTQ_OK);
  report = frame_of(group, plain, COUNT, 0);
  CHECK(report.plan > 0 || plans == 1);
  CHECK(report.deadline_missed == 1 && report.deadline_ns == 1 && (report.reason == ADAPTQ_REASON_DEADLINE || plans == 1));
  // Held up on the way: what is left goes down. Enough time at the begin.
  CHECK_STATUS(adaptq_group_set_deadline(group, 20000000), ADAPTQ_OK);
  for (int i = 0; i < 20; i++) (void)frame_of(group, plain, COUNT, 0);
  report = frame_of(group, plain, COUNT, 25000000);
  CHECK(report.deadline_missed == 1);
  CHECK(plans == 1 || report.plan != 0 || (report.dropped_products >= 1 && report.reason == ADAPTQ_REASON_DEADLINE));
  // Other products, in another order.
  for (int i = 0; i < 50; i++) {
    report = frame_of(group, i % 2 ? plain : other, i % 2 ? COUNT : 7, i % 5 == 0 ? 1000000 : 0);
    CHECK(report.plan >= 0 && report.plan < (int32_t)plans && report.dropped_products <= 7);
  }
  // A fixed level stays.
  CHECK_STATUS(adaptq_group_set_level(group, ADAPTQ_LEVEL_INT8), ADAPTQ_OK);
  CHECK_STATUS(adaptq_group_set_deadline(group, 1), ADAPTQ_OK);
  report = frame_of(group, plain, COUNT, 0);
  CHECK(report.reason == ADAPTQ_REASON_FIXED && report.deadline_missed == 1 && report.dropped_products == 0);
  CHECK_STATUS(adaptq_group_set_level(group, ADAPTQ_LEVEL_AUTO), ADAPTQ_OK);
  CHECK_STATUS(adaptq_group_set_deadline(group, 0), ADAPTQ_OK);
  report = frame_of(group, plain, COUNT, 0);
  CHECK(report.plan == 0 && report.deadline_ns == 0 && report.deadline_missed == 0);
  CHECK_STATUS(adaptq_group_destroy(group), ADAPTQ_OK);
}

// An importance that is overwhelming keeps its matrix at the best level until all others are at the lowest.
static void importance_orders_the_plans(void) {
  static const double importance[COUNT] = {1, 1e9, 1};
  adaptq_group_options o = {.struct_size = sizeof o, .max_rows = ROWS, .importance = importance};
  adaptq_group *group = NULL;
  CHECK_STATUS(adaptq_group_create(runtime, matrices, COUNT, &o, &group), ADAPTQ_OK);
  size_t count = 0;
  adaptq_group_plans(group, NULL, 0, &count);
  adaptq_level best[COUNT], last[COUNT], levels[COUNT];
  CHECK_STATUS(adaptq_group_plan_levels(group, 0, best, COUNT), ADAPTQ_OK);
  CHECK_STATUS(adaptq_group_plan_levels(group, count - 1, last, COUNT), ADAPTQ_OK);
  for (size_t p = 0; p < count; p++) {
    CHECK_STATUS(adaptq_group_plan_levels(group, p, levels, COUNT), ADAPTQ_OK);
    if (levels[1] != best[1]) CHECK(levels[0] == last[0] && levels[2] == last[2]);
  }
  CHECK_STATUS(adaptq_group_destroy(group), ADAPTQ_OK);
}

// Setters and questions from other threads, and frames that collide with others: only BUSY.
static adaptq_group *shared;
static _Atomic int stop;
static void *disturb(void *argument) {
  (void)argument;
  uint64_t seed = 9;
  adaptq_level levels[COUNT];
  size_t count = 0;
  while (!stop) {
    adaptq_power_budget power = {.struct_size = sizeof power, .energy_mj = 1, .active_mw = 1 + (double)(check_random(&seed) % 9)};
    switch (check_random(&seed) % 7) {
      case 6: CHECK_STATUS(adaptq_group_set_deadline(shared, (int64_t)(check_random(&seed) % 100000)), ADAPTQ_OK); break;
      case 4: CHECK_STATUS(adaptq_group_set_power_budget(shared, check_random(&seed) % 2 ? &power : NULL), ADAPTQ_OK); break;
      case 0: CHECK_STATUS(adaptq_group_set_latency_budget(shared, 1 + (int64_t)(check_random(&seed) % 100000), 90), ADAPTQ_OK); break;
      case 1: CHECK_STATUS(adaptq_group_set_level(shared, check_random(&seed) % 2 ? ADAPTQ_LEVEL_INT8 : 0), ADAPTQ_OK); break;
      case 2: CHECK_STATUS(adaptq_group_plan_levels(shared, 0, levels, COUNT), ADAPTQ_OK); break;
      case 3: CHECK_STATUS(adaptq_group_plans(shared, NULL, 0, &count), ADAPTQ_BUFFER_TOO_SMALL); break;
      default: {
        adaptq_status status = adaptq_group_begin(shared, 1, NULL, 0);
        CHECK(status == ADAPTQ_OK || status == ADAPTQ_BUSY);
        if (status == ADAPTQ_OK) while (adaptq_group_abandon(shared) == ADAPTQ_BUSY) {}
      }
    }
  }
  return NULL;
}

static void threads(void) {
  shared = make_group(0);
  pthread_t other;
  REQUIRE(pthread_create(&other, NULL, disturb, NULL) == 0);
  static float own[ROWS * N];
  for (int frame = 0; frame < 2000; frame++) {
    adaptq_status begun = adaptq_group_begin(shared, 1, NULL, 0);
    CHECK(begun == ADAPTQ_OK || begun == ADAPTQ_BUSY);
    adaptq_multiply c = product();
    c.y = own;
    for (size_t i = 0; begun == ADAPTQ_OK && i < COUNT; i++) {
      adaptq_status status = adaptq_group_multiply(shared, i, &c);
      CHECK(status == ADAPTQ_OK || status == ADAPTQ_BUSY || status == ADAPTQ_INVALID_ARGUMENT);
    }
    if (begun == ADAPTQ_OK) adaptq_group_end(shared, NULL);
  }
  stop = 1;
  pthread_join(other, NULL);
  CHECK_STATUS(adaptq_group_destroy(shared), ADAPTQ_OK);
}

static void warm_frames_allocate_nothing(void) {
  adaptq_group *group = make_group(0);
  int failed = 0;
  ssize_t ignored = 0;
  long allocations = -1;
  for (int pass = 0; pass < 2; pass++) {  // the first one warms
    if (pass == 1) {
      ignored = write(-1, "adaptq-begin", 12);
      if (adaptq_test_count_begin) adaptq_test_count_begin();
    }
    for (int frame = 0; frame < 500; frame++) {
      adaptq_level levels[COUNT];
      adaptq_frame_report report = {.struct_size = sizeof report};
      adaptq_power_budget power = {.struct_size = sizeof power, .power_mw = 1000.0 + frame, .active_mw = 5000};
      failed |= adaptq_group_set_latency_budget(group, 1000 + frame * 1000 % 77777, 90);
      failed |= adaptq_group_set_power_budget(group, frame % 3 ? &power : NULL);
      failed |= adaptq_group_set_deadline(group, frame % 4 ? frame * 100 : 0);
      failed |= adaptq_group_set_level(group, frame % 7 == 3 ? ADAPTQ_LEVEL_INT6 : ADAPTQ_LEVEL_AUTO);
      failed |= adaptq_group_begin(group, 1 + frame % ROWS, levels, COUNT);
      for (size_t i = 0; i < COUNT; i++) {
        adaptq_multiply c = product();
        c.rows = 1 + frame % ROWS;
        failed |= adaptq_group_multiply(group, i, &c);
      }
      failed |= frame % 5 == 4 ? adaptq_group_abandon(group) : adaptq_group_end(group, &report);
    }
  }
  if (adaptq_test_count_end) allocations = adaptq_test_count_end();
  ignored += write(-1, "adaptq-end", 10);
  CHECK_INT(failed, 0);
  CHECK(ignored != 0);
  if (allocations >= 0) CHECK_INT(allocations, 0);
  CHECK_STATUS(adaptq_group_destroy(group), ADAPTQ_OK);
}

int main(void) {
  make_matrices();
  RUN(warm_frames_allocate_nothing);
  RUN(plans_are_a_ladder);
  RUN(products_are_those_of_the_level);
  RUN(frames_open_and_close);
  RUN(the_budget_moves_plans);
  RUN(energy_moves_plans);
  RUN(deadlines_move_the_products_that_are_left);
  RUN(importance_orders_the_plans);
  RUN(threads);
  for (int i = 0; i < COUNT; i++) CHECK_STATUS(adaptq_matrix_destroy(matrices[i]), ADAPTQ_OK);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
  return check_end();
}
