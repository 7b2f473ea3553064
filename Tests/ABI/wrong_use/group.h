// Wrong uses of groups of matrices.
#ifndef ADAPTQ_WRONG_USE_GROUP_H
#define ADAPTQ_WRONG_USE_GROUP_H

#include "machinery.h"

#define GROUP_OUT ((adaptq_group **)&out.handle)
#define GROUP_WRONG(use, status, part, setup) \
  WRONG(adaptq_group_create, use, status, part, setup, \
        adaptq_group_create(w.runtime, in.matrices, 2, &in.group, GROUP_OUT))

static void group_create(void) {
  static const double below[2] = {1, 0}, negative[2] = {-1, 1}, nan[2] = {1, NAN}, infinite[2] = {INFINITY, 1};
  WRONG_HANDLES(adaptq_group_create, adaptq_runtime, w.dead_runtime,
                adaptq_group_create(in.handle, in.matrices, 2, &in.group, GROUP_OUT));
  WRONG(adaptq_group_create, "matrices NULL", ADAPTQ_INVALID_ARGUMENT, "matrices is NULL", (void)0,
        adaptq_group_create(w.runtime, NULL, 2, &in.group, GROUP_OUT));
  WRONG(adaptq_group_create, "out NULL", ADAPTQ_INVALID_ARGUMENT, "out is NULL", (void)0,
        adaptq_group_create(w.runtime, in.matrices, 2, &in.group, NULL));
  WRONG(adaptq_group_create, "count 0", ADAPTQ_INVALID_ARGUMENT, "count is 0", (void)0,
        adaptq_group_create(w.runtime, in.matrices, 0, &in.group, GROUP_OUT));
  WRONG(adaptq_group_create, "count huge", ADAPTQ_OUT_OF_RANGE, "count is 18446744073709551615; expected 1 to 65536",
        (void)0, adaptq_group_create(w.runtime, in.matrices, SIZE_MAX, &in.group, GROUP_OUT));
  GROUP_WRONG("a matrix NULL", ADAPTQ_INVALID_HANDLE, "adaptq_matrix NULL", in.matrices[1] = NULL);
  GROUP_WRONG("a matrix destroyed", ADAPTQ_INVALID_HANDLE, "is not a live handle", in.matrices[1] = w.dead_matrix);
  WRONG_STRUCT_SIZES(adaptq_group_create, adaptq_group_options, in.group.struct_size,
                     adaptq_group_create(w.runtime, in.matrices, 2, &in.group, GROUP_OUT));
  GROUP_WRONG("allowed_levels with an unknown bit", ADAPTQ_INVALID_ARGUMENT, "adaptq_group_options.allowed_levels is 64",
              in.group.allowed_levels = 64);
  GROUP_WRONG("only a level that one matrix does not hold", ADAPTQ_UNSUPPORTED, "allowed_levels: none of FP32",
              in.group.allowed_levels = ADAPTQ_ALLOW_FP32);
  GROUP_WRONG("reserved 1", ADAPTQ_INVALID_ARGUMENT, "adaptq_group_options.reserved is 1", in.group.reserved = 1);
  GROUP_WRONG("max_rows negative", ADAPTQ_OUT_OF_RANGE, "adaptq_group_options.max_rows is -1", in.group.max_rows = -1);
  GROUP_WRONG("max_rows that no memory holds", ADAPTQ_OUT_OF_MEMORY, "no memory for",
              in.group.max_rows = INT64_C(1) << 31);
  GROUP_WRONG("max_rows huge", ADAPTQ_OUT_OF_RANGE, "adaptq_group_options.max_rows is 9223372036854775807",
              in.group.max_rows = INT64_MAX);
  GROUP_WRONG("measure_ns negative", ADAPTQ_INVALID_ARGUMENT, "adaptq_group_options.measure_ns is -1",
              in.group.measure_ns = -1);
  GROUP_WRONG("importance 0", ADAPTQ_INVALID_ARGUMENT, "adaptq_group_options.importance[1] is 0.0",
              in.group.importance = below);
  GROUP_WRONG("importance negative", ADAPTQ_INVALID_ARGUMENT, "adaptq_group_options.importance[0] is -1.0",
              in.group.importance = negative);
  GROUP_WRONG("importance NaN", ADAPTQ_INVALID_ARGUMENT, "adaptq_group_options.importance[1] is nan",
              in.group.importance = nan);
  GROUP_WRONG("importance infinite", ADAPTQ_INVALID_ARGUMENT, "adaptq_group_options.importance[0] is inf",
              in.group.importance = infinite);
}

static void group_destroy(void) {
  HARMLESS(adaptq_group_destroy, "group NULL", "does nothing", (void)0, adaptq_group_destroy(NULL));
  WRONG(adaptq_group_destroy, "group destroyed", ADAPTQ_INVALID_HANDLE, "is not a live handle", (void)0,
        adaptq_group_destroy(w.dead_group));
  WRONG(adaptq_group_destroy, "a handle of another kind", ADAPTQ_INVALID_HANDLE, "is not a live handle", (void)0,
        adaptq_group_destroy((void *)w.matrix));
}

static void group_set(void) {
  WRONG_HANDLES(adaptq_group_set_latency_budget, adaptq_group, w.dead_group,
                adaptq_group_set_latency_budget(in.handle, 1000, 95));
  WRONG(adaptq_group_set_latency_budget, "latency_ns negative", ADAPTQ_OUT_OF_RANGE, "latency_ns is -1", (void)0,
        adaptq_group_set_latency_budget(w.group, -1, 95));
  WRONG(adaptq_group_set_latency_budget, "latency_ns huge", ADAPTQ_OUT_OF_RANGE, "latency_ns is 9223372036854775807",
        (void)0, adaptq_group_set_latency_budget(w.group, INT64_MAX, 95));
  WRONG(adaptq_group_set_latency_budget, "percentile 49", ADAPTQ_OUT_OF_RANGE, "percentile is 49.0", (void)0,
        adaptq_group_set_latency_budget(w.group, 1000, 49));
  WRONG(adaptq_group_set_latency_budget, "percentile NaN", ADAPTQ_OUT_OF_RANGE, "percentile is nan", (void)0,
        adaptq_group_set_latency_budget(w.group, 1000, NAN));
  HARMLESS(adaptq_group_set_latency_budget, "latency_ns 0, percentile NaN", "the percentile is ignored", (void)0,
           adaptq_group_set_latency_budget(w.group, 0, NAN));
#define POWER_WRONG(use, status, part, setup) \
  WRONG(adaptq_group_set_power_budget, use, status, part, setup, adaptq_group_set_power_budget(w.group, &in.power))
  WRONG_HANDLES(adaptq_group_set_deadline, adaptq_group, w.dead_group, adaptq_group_set_deadline(in.handle, 1000));
  WRONG(adaptq_group_set_deadline, "deadline_ns negative", ADAPTQ_OUT_OF_RANGE, "deadline_ns is -1; expected 0 to 1125899906842623",
        (void)0, adaptq_group_set_deadline(w.group, -1));
  WRONG(adaptq_group_set_deadline, "deadline_ns huge", ADAPTQ_OUT_OF_RANGE, "deadline_ns is 1125899906842624", (void)0,
        adaptq_group_set_deadline(w.group, INT64_C(1) << 50));
  WRONG_HANDLES(adaptq_group_set_power_budget, adaptq_group, w.dead_group,
                adaptq_group_set_power_budget(in.handle, &in.power));
  WRONG_STRUCT_SIZES(adaptq_group_set_power_budget, adaptq_power_budget, in.power.struct_size,
                     adaptq_group_set_power_budget(w.group, &in.power));
  POWER_WRONG("power_mw negative", ADAPTQ_OUT_OF_RANGE, "adaptq_power_budget.power_mw is -1.0", in.power.power_mw = -1);
  POWER_WRONG("power_mw NaN", ADAPTQ_OUT_OF_RANGE, "adaptq_power_budget.power_mw is nan", in.power.power_mw = NAN);
  POWER_WRONG("energy_mj infinite", ADAPTQ_OUT_OF_RANGE, "adaptq_power_budget.energy_mj is inf", in.power.energy_mj = INFINITY);
  POWER_WRONG("static_mw negative", ADAPTQ_OUT_OF_RANGE, "adaptq_power_budget.static_mw is -5.0", in.power.static_mw = -5);
  POWER_WRONG("pj_per_byte huge", ADAPTQ_OUT_OF_RANGE, "adaptq_power_budget.pj_per_byte is 10000000000000.0; expected 0 to 1e12", in.power.pj_per_byte = 1e13);
  POWER_WRONG("window_ns negative", ADAPTQ_OUT_OF_RANGE, "adaptq_power_budget.window_ns is -1", in.power.window_ns = -1);
  POWER_WRONG("neither power nor energy", ADAPTQ_INVALID_ARGUMENT, "power_mw and energy_mj are 0", in.power.power_mw = 0);
  POWER_WRONG("no coefficient of energy", ADAPTQ_INVALID_ARGUMENT, "so nothing takes energy", in.power.active_mw = 0);
  POWER_WRONG("mode for a session", ADAPTQ_INVALID_ARGUMENT, "adaptq_power_budget.mode is 1; expected 0 for a group",
              in.power.mode = 1);
  POWER_WRONG("attribution for a session", ADAPTQ_INVALID_ARGUMENT, "adaptq_power_budget.attribution is 2; expected 0 for a group",
              in.power.attribution = 2);
  POWER_WRONG("max_wait_ns for a session", ADAPTQ_INVALID_ARGUMENT, "adaptq_power_budget.max_wait_ns is 5; expected 0 for a group",
              in.power.max_wait_ns = 5);
  POWER_WRONG("thread_mw for a session", ADAPTQ_INVALID_ARGUMENT, "adaptq_power_budget.thread_mw is 5.0; expected 0 for a group",
              in.power.thread_mw = 5);
  HARMLESS(adaptq_group_set_power_budget, "budget NULL", "removes the budget", (void)0,
           adaptq_group_set_power_budget(w.group, NULL));
  WRONG_HANDLES(adaptq_group_set_level, adaptq_group, w.dead_group, adaptq_group_set_level(in.handle, 8));
  WRONG(adaptq_group_set_level, "level unknown", ADAPTQ_INVALID_ARGUMENT, "level is 5; expected", (void)0,
        adaptq_group_set_level(w.group, 5));
  WRONG(adaptq_group_set_level, "level that one matrix does not hold", ADAPTQ_UNSUPPORTED,
        "level FP32 is not allowed in this group", (void)0, adaptq_group_set_level(w.group, ADAPTQ_LEVEL_FP32));
}

static void group_questions(void) {
  WRONG_HANDLES(adaptq_group_plans, adaptq_group, w.dead_group, adaptq_group_plans(in.handle, out.group_plans, 64, &out.count));
  WRONG(adaptq_group_plans, "count NULL", ADAPTQ_INVALID_ARGUMENT, "count is NULL", (void)0,
        adaptq_group_plans(w.group, out.group_plans, 64, NULL));
  WRONG(adaptq_group_plans, "plans NULL with a capacity", ADAPTQ_INVALID_ARGUMENT, "plans is NULL", (void)0,
        adaptq_group_plans(w.group, NULL, 64, &out.count));
  WRONG(adaptq_group_plans, "capacity 0", ADAPTQ_BUFFER_TOO_SMALL, "capacity is 0, needs", (void)0,
        adaptq_group_plans(w.group, NULL, 0, &out.count));
  WRONG_STRUCT_SIZES(adaptq_group_plans, adaptq_group_plan, out.group_plans[0].struct_size,
                     adaptq_group_plans(w.group, out.group_plans, 64, &out.count));
  WRONG_HANDLES(adaptq_group_plan_levels, adaptq_group, w.dead_group,
                adaptq_group_plan_levels(in.handle, 0, out.site_levels, 2));
  WRONG(adaptq_group_plan_levels, "levels NULL", ADAPTQ_INVALID_ARGUMENT, "levels is NULL", (void)0,
        adaptq_group_plan_levels(w.group, 0, NULL, 2));
  WRONG(adaptq_group_plan_levels, "plan that is none", ADAPTQ_OUT_OF_RANGE, "plan is 18446744073709551615; the group has",
        (void)0, adaptq_group_plan_levels(w.group, SIZE_MAX, out.site_levels, 2));
  WRONG(adaptq_group_plan_levels, "count that is not the number of matrices", ADAPTQ_INVALID_ARGUMENT,
        "count is 3; the group has 2 matrices", (void)0, adaptq_group_plan_levels(w.group, 0, out.site_levels, 3));
}

#define IN_FRAME(...) \
  (adaptq_group_begin(w.group, 0, NULL, 0) == ADAPTQ_OK ? in_frame(__VA_ARGS__) : ADAPTQ_INTERNAL_ERROR)
// Closes the frame and leaves the status and text of what happened in it.
static adaptq_status in_frame(adaptq_status status) {
  adaptq_group_abandon(w.group);
  return status;
}
#define PRODUCT_WRONG(use, status, part, setup) \
  WRONG(adaptq_group_multiply, use, status, part, setup, IN_FRAME(adaptq_group_multiply(w.group, 0, &in.multiply)))

static void group_frames(void) {
  WRONG_HANDLES(adaptq_group_begin, adaptq_group, w.dead_group, adaptq_group_begin(in.handle, 1, out.site_levels, 2));
  WRONG(adaptq_group_begin, "rows negative", ADAPTQ_OUT_OF_RANGE, "rows is -1; the group was made for up to 3", (void)0,
        adaptq_group_begin(w.group, -1, out.site_levels, 2));
  WRONG(adaptq_group_begin, "rows above max_rows", ADAPTQ_OUT_OF_RANGE, "rows is 4; the group was made for up to 3", (void)0,
        adaptq_group_begin(w.group, 4, out.site_levels, 2));
  WRONG(adaptq_group_begin, "count that is not the number of matrices", ADAPTQ_INVALID_ARGUMENT,
        "count is 1; the group has 2 matrices", (void)0, adaptq_group_begin(w.group, 1, out.site_levels, 1));
  WRONG(adaptq_group_begin, "levels NULL with a count", ADAPTQ_INVALID_ARGUMENT, "levels is NULL", (void)0,
        adaptq_group_begin(w.group, 1, NULL, 2));
  WRONG(adaptq_group_begin, "a frame is open", ADAPTQ_BUSY, "a frame is open", (void)0,
        IN_FRAME(adaptq_group_begin(w.group, 1, out.site_levels, 2)));

  WRONG_HANDLES(adaptq_group_multiply, adaptq_group, w.dead_group,
                adaptq_group_multiply(in.handle, 0, &in.multiply));
  WRONG(adaptq_group_multiply, "no frame is open", ADAPTQ_INVALID_ARGUMENT, "no frame is open", in.multiply.level = 0,
        adaptq_group_multiply(w.group, 0, &in.multiply));
  WRONG(adaptq_group_multiply, "multiply NULL", ADAPTQ_INVALID_ARGUMENT, "multiply is NULL", (void)0,
        IN_FRAME(adaptq_group_multiply(w.group, 0, NULL)));
  WRONG(adaptq_group_multiply, "index that no matrix has", ADAPTQ_OUT_OF_RANGE, "index is 2; the group has 2 matrices",
        in.multiply.level = 0, IN_FRAME(adaptq_group_multiply(w.group, 2, &in.multiply)));
  WRONG_STRUCT_SIZES(adaptq_group_multiply, adaptq_multiply, in.multiply.struct_size,
                     IN_FRAME(adaptq_group_multiply(w.group, 0, &in.multiply)));
  PRODUCT_WRONG("a level", ADAPTQ_INVALID_ARGUMENT, "adaptq_multiply.level is 8; the group chooses it", (void)0);
  PRODUCT_WRONG("a workspace", ADAPTQ_INVALID_ARGUMENT, "adaptq_multiply.workspace: a group has its own",
                in.multiply.workspace = (in.multiply.level = 0, workspace));
  PRODUCT_WRONG("rows above max_rows", ADAPTQ_OUT_OF_RANGE, "adaptq_multiply.rows is 17; the group was made for up to 3",
                in.multiply = (in.multiply = many_rows(), in.multiply.level = 0, in.multiply));
  PRODUCT_WRONG("y overlaps x", ADAPTQ_INVALID_ARGUMENT, "y overlaps x",
                in.multiply.x = (in.multiply.level = 0, out.y + N * ROWS - 1));
  PRODUCT_WRONG("x and codes NULL", ADAPTQ_INVALID_ARGUMENT, "adaptq_multiply.x and codes are NULL",
                in.multiply.x = (in.multiply.level = 0, NULL));

  WRONG_HANDLES(adaptq_group_end, adaptq_group, w.dead_group, adaptq_group_end(in.handle, &out.frame));
  WRONG(adaptq_group_end, "no frame is open", ADAPTQ_INVALID_ARGUMENT, "no frame is open", (void)0,
        adaptq_group_end(w.group, &out.frame));
  WRONG_STRUCT_SIZES(adaptq_group_end, adaptq_frame_report, out.frame.struct_size,
                     IN_FRAME(adaptq_group_end(w.group, &out.frame)));
  WRONG_HANDLES(adaptq_group_abandon, adaptq_group, w.dead_group, adaptq_group_abandon(in.handle));
  HARMLESS(adaptq_group_abandon, "no frame is open", "does nothing", (void)0, adaptq_group_abandon(w.group));
}

#endif
