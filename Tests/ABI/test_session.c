// adaptq_session_*: every line of the contract of create, prepare, output_shape and run, and every wrong use. Precision,
// budget and telemetry are in test_budget.c, threads in test_threads.c.
#define _GNU_SOURCE
#include <math.h>

#include "fixture.h"

enum { BATCH = 2, LENGTH = 12 };

static uint32_t best(const fixture *f) { return fixture_allow[fixture_best_level(f->levels)]; }

static int outputs_intact(const fixture *f, const tensors *t) {
  for (size_t i = 0; i < f->n_outputs; i++)
    if (t->outputs[i].data && !canary_intact(t->outputs[i].data, t->outputs[i].data_size)) return 0;
  return 1;
}

static void refuses_to_create(void) {
  OPEN_FIXTURE(f);
  adaptq_session *session = (adaptq_session *)0x1000;
  CHECK_ERROR(adaptq_session_create(f.model, NULL, NULL), ADAPTQ_INVALID_ARGUMENT, "out");
  adaptq_session_options options = {.struct_size = sizeof options, .allowed_levels = 64};
  CHECK_ERROR(adaptq_session_create(f.model, &options, &session), ADAPTQ_INVALID_ARGUMENT, "allowed_levels");
  CHECK(session == NULL);
  options.allowed_levels = 0x80000000u | f.levels;
  session = (adaptq_session *)0x1000;
  CHECK_STATUS(adaptq_session_create(f.model, &options, &session), ADAPTQ_INVALID_ARGUMENT);
  CHECK(session == NULL);
  options.allowed_levels = 0;
  const size_t sizes[] = {0, 8, sizeof options - 1, sizeof options + 1, SIZE_MAX};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    options.struct_size = sizes[i];
    session = (adaptq_session *)0x1000;
    CHECK_ERROR(adaptq_session_create(f.model, &options, &session), ADAPTQ_INVALID_ARGUMENT,
                "adaptq_session_options.struct_size");
    CHECK(session == NULL);
  }
  uint32_t not_stored = (uint32_t)ADAPTQ_ALLOW_ALL & ~f.levels;
  if (not_stored) {
    options.struct_size = sizeof options;
    options.allowed_levels = not_stored;
    session = (adaptq_session *)0x1000;
    CHECK_STATUS(adaptq_session_create(f.model, &options, &session), ADAPTQ_UNSUPPORTED);
    CHECK(session == NULL);
  }
  CHECK_STATUS(adaptq_session_destroy(NULL), ADAPTQ_OK);
  fixture_close(&f);
}

// A bound on measuring: every level is measured all the same, once, and the budget works.
static void short_measurement(void) {
  OPEN_FIXTURE(f);
  tensors t;
  tensors_make(&f, &t, 1, 8);
  adaptq_session *session = (adaptq_session *)0x1000;
  adaptq_session_options options = {.struct_size = sizeof options, .measure_ns = -1};
  CHECK_ERROR(adaptq_session_create(f.model, &options, &session), ADAPTQ_INVALID_ARGUMENT,
              "adaptq_session_options.measure_ns is -1");
  CHECK(session == NULL);
  options.measure_ns = INT64_MAX;
  CHECK_STATUS(adaptq_session_create(f.model, &options, &session), ADAPTQ_INVALID_ARGUMENT);
  options.measure_ns = 1;
  CHECK_STATUS(adaptq_session_create(f.model, &options, &session), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_prepare(session, t.inputs, f.n_inputs), ADAPTQ_OK);
  adaptq_level_cost costs[FIXTURE_LEVELS];
  memset(costs, 0, sizeof costs);
  costs[0].struct_size = sizeof costs[0];
  size_t count = 0;
  CHECK_STATUS(adaptq_session_costs(session, costs, FIXTURE_LEVELS, &count), ADAPTQ_OK);
  CHECK(count > 0);
  for (size_t i = 0; i < count; i++) CHECK(costs[i].latency_ns > 0);
  CHECK(tensors_outputs(&f, session, &t));
  CHECK_STATUS(adaptq_session_set_latency_budget(session, 1000000000, 95), ADAPTQ_OK);
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  // Programs that were compiled without the field.
  options.struct_size = offsetof(adaptq_session_options, measure_ns);
  options.measure_ns = -1;
  CHECK_STATUS(adaptq_session_create(f.model, &options, &session), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

// Every function that takes a session refuses what is not one and leaves its outputs alone.
static void refuses_handles(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *dead = fixture_session(&f, &t, best(&f), 1, 4);
  REQUIRE(dead != NULL);
  CHECK_STATUS(adaptq_session_destroy(dead), ADAPTQ_OK);
  adaptq_session *wrong[] = {NULL, dead, (adaptq_session *)f.model, (adaptq_session *)(void *)&f};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    adaptq_session *s = wrong[i];
    adaptq_run_report report;
    adaptq_tensor shape = t.outputs[0];
    size_t count = 77;
    adaptq_level level = 77;
    canary_fill(&report, sizeof report);
    report.struct_size = sizeof report;
    CHECK_STATUS(adaptq_session_prepare(s, t.inputs, f.n_inputs), ADAPTQ_INVALID_HANDLE);
    CHECK_STATUS(adaptq_session_output_shape(s, t.inputs, f.n_inputs, 0, &shape), ADAPTQ_INVALID_HANDLE);
    CHECK_STATUS(adaptq_session_run(s, t.inputs, f.n_inputs, t.outputs, f.n_outputs, NULL, &report),
                 ADAPTQ_INVALID_HANDLE);
    CHECK_STATUS(adaptq_session_set_level(s, ADAPTQ_LEVEL_AUTO), ADAPTQ_INVALID_HANDLE);
    CHECK_STATUS(adaptq_session_set_allowed_levels(s, 0), ADAPTQ_INVALID_HANDLE);
    CHECK_STATUS(adaptq_session_set_latency_budget(s, 1000000, 95), ADAPTQ_INVALID_HANDLE);
    CHECK_STATUS(adaptq_session_costs(s, NULL, 0, &count), ADAPTQ_INVALID_HANDLE);
    CHECK_STATUS(adaptq_session_plans(s, NULL, 0, &count), ADAPTQ_INVALID_HANDLE);
    CHECK_STATUS(adaptq_session_plan_sites(s, 0, &level, 1), ADAPTQ_INVALID_HANDLE);
    CHECK_STATUS(adaptq_session_set_quality_floor(s, 0, 0, NULL), ADAPTQ_INVALID_HANDLE);
    CHECK_STATUS(adaptq_session_set_power_budget(s, NULL, NULL), ADAPTQ_INVALID_HANDLE);
    CHECK_STATUS(adaptq_session_power_budget(s, NULL), ADAPTQ_INVALID_HANDLE);
    CHECK_STATUS(adaptq_session_telemetry(s, NULL, 0, &count), ADAPTQ_INVALID_HANDLE);
    CHECK_STATUS(adaptq_session_telemetry_sites(s, 1, &level, 1), ADAPTQ_INVALID_HANDLE);
    CHECK_STATUS(adaptq_session_destroy(s), s ? ADAPTQ_INVALID_HANDLE : ADAPTQ_OK);
    CHECK(canary_intact(&report.sequence, sizeof report - offsetof(adaptq_run_report, sequence)));
    CHECK(count == 77 && level == 77 && outputs_intact(&f, &t));
    CHECK(memcmp(&shape, &t.outputs[0], sizeof shape) == 0);
  }
  tensors_free(&f, &t);
  fixture_close(&f);
}

static void not_prepared(void) {
  OPEN_FIXTURE(f);
  adaptq_session *session = NULL;
  REQUIRE_OK(adaptq_session_create(f.model, NULL, &session));
  tensors t;
  tensors_make(&f, &t, 1, 4);
  float memory[64];
  canary_fill(memory, sizeof memory);
  for (size_t i = 0; i < f.n_outputs; i++)
    t.outputs[i] = (adaptq_tensor){.struct_size = sizeof(adaptq_tensor), .type = ADAPTQ_TYPE_FLOAT32, .rank = 2,
                                   .sizes = {1, 64}, .data = memory, .data_size = sizeof memory};
  adaptq_tensor shape = {.struct_size = sizeof shape};
  adaptq_level_cost costs[FIXTURE_LEVELS];
  size_t count = 77;
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_NOT_PREPARED);
  CHECK_STATUS(adaptq_session_output_shape(session, t.inputs, f.n_inputs, 0, &shape), ADAPTQ_NOT_PREPARED);
  for (int i = 0; i < FIXTURE_LEVELS; i++) costs[i].struct_size = sizeof costs[i];
  CHECK_STATUS(adaptq_session_costs(session, costs, FIXTURE_LEVELS, &count), ADAPTQ_NOT_PREPARED);
  CHECK(count == 77 && canary_intact(memory, sizeof memory));
  // Settings may come first.
  CHECK_STATUS(adaptq_session_set_level(session, fixture_level[fixture_best_level(f.levels)]), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_set_latency_budget(session, 1000000, 95), ADAPTQ_OK);
  for (size_t i = 0; i < f.n_outputs; i++) t.outputs[i].data = NULL;
  tensors_free(&f, &t);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  fixture_close(&f);
}

static int is_refusal(adaptq_status status) {
  return status == ADAPTQ_INVALID_ARGUMENT || status == ADAPTQ_OUT_OF_RANGE || status == ADAPTQ_OUT_OF_MEMORY;
}

static void refuses_to_prepare(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, best(&f), BATCH, LENGTH);
  REQUIRE(session != NULL);
  CHECK_STATUS(adaptq_session_prepare(session, NULL, f.n_inputs), ADAPTQ_INVALID_ARGUMENT);
  CHECK_STATUS(adaptq_session_prepare(session, t.inputs, f.n_inputs - 1), ADAPTQ_INVALID_ARGUMENT);
  CHECK_STATUS(adaptq_session_prepare(session, t.inputs, 0), ADAPTQ_INVALID_ARGUMENT);
  CHECK_STATUS(adaptq_session_prepare(session, t.inputs, SIZE_MAX), ADAPTQ_INVALID_ARGUMENT);
  for (size_t i = 0; i < f.n_inputs; i++) {
    const adaptq_tensor good = t.inputs[i];
    adaptq_tensor *in = &t.inputs[i];
#define REFUSED(change) \
  do { \
    change; \
    adaptq_status s = adaptq_session_prepare(session, t.inputs, f.n_inputs); \
    if (!is_refusal(s)) check_fail(__FILE__, __LINE__, "input %zu, %s: %s", i, #change, adaptq_status_name(s)); \
    *in = good; \
  } while (0)
    REFUSED(in->struct_size = 0);
    REFUSED(in->struct_size = sizeof *in - 1);
    REFUSED(in->struct_size = sizeof *in + 8);
    REFUSED(in->type = ADAPTQ_TYPE_FLOAT32 == good.type ? ADAPTQ_TYPE_INT64 : ADAPTQ_TYPE_FLOAT32);
    REFUSED(in->type = 0);
    REFUSED(in->type = 99);
    REFUSED(in->rank = 0);
    REFUSED(in->rank = good.rank + 1);
    REFUSED(in->rank = -1);
    REFUSED(in->rank = INT32_MAX);
    for (int k = 0; k < good.rank; k++) {
      REFUSED(in->sizes[k] = 0);
      REFUSED(in->sizes[k] = -1);
      REFUSED(in->sizes[k] = INT64_MIN);
      REFUSED(in->sizes[k] = INT64_MAX);
      REFUSED(in->sizes[k] = INT64_C(1) << 32);
      // Equal dim_names mean equal sizes: one input alone may not differ.
      if (f.n_inputs > 1) REFUSED(in->sizes[k] = good.sizes[k] + 1);
    }
#undef REFUSED
  }
  // The former preparation is still there.
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
  // All inputs huge together: refused before memory is asked for, or by the memory that is not there.
  tensors huge;
  memset(&huge, 0, sizeof huge);
  tensors_shape(&f, &huge, INT64_C(1) << 31, INT64_C(1) << 31, 0);
  CHECK(is_refusal(adaptq_session_prepare(session, huge.inputs, f.n_inputs)));
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

// prepare ignores data; it may be called again with other sizes.
static void prepares_again(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, best(&f), 1, 4);
  REQUIRE(session != NULL);
  tensors larger;
  memset(&larger, 0, sizeof larger);
  tensors_shape(&f, &larger, BATCH, LENGTH, 0);
  for (size_t i = 0; i < f.n_inputs; i++) larger.inputs[i].data_size = 0;
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_prepare(session, larger.inputs, f.n_inputs), ADAPTQ_OK);
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
  tensors_make(&f, &larger, BATCH, LENGTH);
  if (tensors_outputs(&f, session, &larger)) CHECK_STATUS(fixture_run(&f, session, &larger, NULL, NULL), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_prepare(session, t.inputs, f.n_inputs), ADAPTQ_OK);
  CHECK_STATUS(fixture_run(&f, session, &larger, NULL, NULL), ADAPTQ_OUT_OF_RANGE);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  tensors_free(&f, &larger);
  fixture_close(&f);
}

static void output_shapes(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, best(&f), BATCH, LENGTH);
  REQUIRE(session != NULL);
  for (int64_t batch = 1; batch <= BATCH; batch++)
    for (int64_t length = 1; length <= LENGTH; length += 5) {
      tensors_shape(&f, &t, batch, length, 3);
      for (size_t i = 0; i < f.n_outputs; i++) {
        int marker = 0;
        adaptq_tensor shape = {.struct_size = sizeof shape, .data = &marker};
        CHECK_STATUS(adaptq_session_output_shape(session, t.inputs, f.n_inputs, i, &shape), ADAPTQ_OK);
        CHECK_INT(shape.struct_size, sizeof shape);
        CHECK(shape.data == &marker);
        CHECK_INT(shape.type, f.output[i].type);
        CHECK_INT(shape.rank, f.output[i].rank);
        CHECK_INT(shape.data_size, tensor_bytes(&shape));
        for (int k = 0; k < shape.rank; k++) {
          CHECK(shape.sizes[k] > 0);
          if (f.output[i].sizes[k] >= 0) CHECK_INT(shape.sizes[k], f.output[i].sizes[k]);
        }
      }
    }
  tensors_shape(&f, &t, BATCH, LENGTH, 3);
  adaptq_tensor shape, before;
  canary_fill(&shape, sizeof shape);
  shape.struct_size = sizeof shape;
  before = shape;
#define REFUSED(session, inputs, n, index, status) \
  do { \
    CHECK_STATUS(adaptq_session_output_shape(session, inputs, n, index, &shape), status); \
    CHECK(memcmp(&shape, &before, sizeof shape) == 0); \
  } while (0)
  REFUSED(session, NULL, f.n_inputs, 0, ADAPTQ_INVALID_ARGUMENT);
  REFUSED(session, t.inputs, f.n_inputs + 1, 0, ADAPTQ_INVALID_ARGUMENT);
  REFUSED(session, t.inputs, f.n_inputs, f.n_outputs, ADAPTQ_OUT_OF_RANGE);
  REFUSED(session, t.inputs, f.n_inputs, SIZE_MAX, ADAPTQ_OUT_OF_RANGE);
  CHECK_STATUS(adaptq_session_output_shape(session, t.inputs, f.n_inputs, 0, NULL), ADAPTQ_INVALID_ARGUMENT);
  tensors larger;
  memset(&larger, 0, sizeof larger);
  tensors_shape(&f, &larger, BATCH, LENGTH + 1, 0);
  REFUSED(session, larger.inputs, f.n_inputs, 0, ADAPTQ_OUT_OF_RANGE);
#undef REFUSED
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

static void runs(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, best(&f), BATCH, LENGTH);
  REQUIRE(session != NULL);
  uint64_t sequence = 0;
  for (int64_t length = 1; length <= LENGTH; length++) {
    tensors_shape(&f, &t, length % BATCH + 1, length, (uint64_t)length);
    REQUIRE(tensors_outputs(&f, session, &t));
    adaptq_run_report report;
    CHECK_STATUS(fixture_run(&f, session, &t, NULL, &report), ADAPTQ_OK);
    CHECK_INT(report.struct_size, sizeof report);
    CHECK(report.sequence == ++sequence);
    CHECK(report.latency_ns > 0);
    CHECK(report.budget_ns == 0 && report.budget_missed == 0);
    CHECK_INT(report.level, fixture_level[fixture_best_level(f.levels)]);
    CHECK_INT(report.reason, ADAPTQ_REASON_FIXED);  // only one level is allowed
    for (size_t i = 0; i < f.n_outputs; i++) {
      if (t.outputs[i].type != ADAPTQ_TYPE_FLOAT32) continue;
      const float *values = (const float *)t.outputs[i].data;
      int finite = 1, other = 0;
      for (size_t k = 0; k < t.outputs[i].data_size / 4; k++) {
        finite &= isfinite(values[k]) != 0;
        other |= values[k] != values[0];
      }
      CHECK(finite && other);
    }
    // The same run again gives the same bits.
    void *first = malloc(t.outputs[0].data_size);
    REQUIRE(first != NULL);
    memcpy(first, t.outputs[0].data, t.outputs[0].data_size);
    canary_fill(t.outputs[0].data, t.outputs[0].data_size);
    CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
    sequence++;
    CHECK(memcmp(first, t.outputs[0].data, t.outputs[0].data_size) == 0);
    free(first);
  }
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

// Exactly the bytes of each tensor are read or written, at any alignment.
static void any_alignment_and_exact_bytes(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, best(&f), BATCH, 7);
  REQUIRE(session != NULL);
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
  for (size_t offset = 1; offset < 64; offset += 9) {
    tensors moved = t;
    char *memory[2 * FIXTURE_TENSORS] = {0};
    for (size_t i = 0; i < f.n_inputs; i++) {
      memory[i] = (char *)malloc(t.inputs[i].data_size + 128);
      canary_fill(memory[i], t.inputs[i].data_size + 128);
      moved.inputs[i].data = memory[i] + offset;
      memcpy(moved.inputs[i].data, t.inputs[i].data, t.inputs[i].data_size);
    }
    for (size_t i = 0; i < f.n_outputs; i++) {
      char *room = memory[FIXTURE_TENSORS + i] = (char *)malloc(t.outputs[i].data_size + 128);
      canary_fill(room, t.outputs[i].data_size + 128);
      moved.outputs[i].data = room + offset;
      // More room than needed is fine and stays untouched.
      moved.outputs[i].data_size = t.outputs[i].data_size + 60;
    }
    CHECK_STATUS(fixture_run(&f, session, &moved, NULL, NULL), ADAPTQ_OK);
    for (size_t i = 0; i < f.n_inputs; i++)
      CHECK(memcmp(moved.inputs[i].data, t.inputs[i].data, t.inputs[i].data_size) == 0);
    for (size_t i = 0; i < f.n_outputs; i++) {
      char *room = memory[FIXTURE_TENSORS + i];
      size_t size = t.outputs[i].data_size;
      CHECK(memcmp(room + offset, t.outputs[i].data, size) == 0);
      CHECK(canary_intact(room, offset) && canary_intact(room + offset + size, 128 - offset));
    }
    for (size_t i = 0; i < 2 * FIXTURE_TENSORS; i++) free(memory[i]);
  }
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

static void refuses_to_run(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, best(&f), BATCH, LENGTH);
  REQUIRE(session != NULL);
  adaptq_run_report report;
  canary_fill(&report, sizeof report);
  report.struct_size = sizeof report;
  const tensors good = t;
  // One changed thing each; outputs and report must stay as they were.
#define REFUSED(status, change) \
  do { \
    size_t n_in = f.n_inputs, n_out = f.n_outputs; \
    const adaptq_tensor *in = t.inputs, *out = t.outputs; \
    adaptq_run_options options = {.struct_size = sizeof options}; \
    change; \
    (void)options; \
    adaptq_status s = adaptq_session_run(session, in, n_in, out, n_out, &options, &report); \
    if (s != (status)) \
      check_fail(__FILE__, __LINE__, "%s: %s, expected %s", #change, adaptq_status_name(s), adaptq_status_name(status)); \
    t = good; \
    if (!outputs_intact(&f, &t)) check_fail(__FILE__, __LINE__, "%s: an output was written", #change); \
    /* Only a buffer that is too small writes something: how much is needed. */ \
    if ((status) == ADAPTQ_BUFFER_TOO_SMALL) { \
      CHECK(report.needed_bytes > 0 && report.needed_index < f.n_inputs + f.n_outputs); \
      canary_fill(&report.needed_bytes, sizeof report - offsetof(adaptq_run_report, needed_bytes)); \
    } \
    if (!canary_intact(&report.sequence, sizeof report - offsetof(adaptq_run_report, sequence))) \
      check_fail(__FILE__, __LINE__, "%s: the report was written", #change); \
  } while (0)
  REFUSED(ADAPTQ_INVALID_ARGUMENT, in = NULL);
  REFUSED(ADAPTQ_INVALID_ARGUMENT, out = NULL);
  REFUSED(ADAPTQ_INVALID_ARGUMENT, n_in = 0);
  REFUSED(ADAPTQ_INVALID_ARGUMENT, n_in--);
  REFUSED(ADAPTQ_INVALID_ARGUMENT, n_in++);
  REFUSED(ADAPTQ_INVALID_ARGUMENT, n_in = SIZE_MAX);
  REFUSED(ADAPTQ_INVALID_ARGUMENT, n_out = 0);
  REFUSED(ADAPTQ_INVALID_ARGUMENT, n_out++);
  REFUSED(ADAPTQ_INVALID_ARGUMENT, n_out = SIZE_MAX);
  REFUSED(ADAPTQ_INVALID_ARGUMENT, options.struct_size = 0);
  REFUSED(ADAPTQ_INVALID_ARGUMENT, options.struct_size = sizeof options + 8);
  REFUSED(ADAPTQ_OUT_OF_RANGE, options.deadline_ns = (int64_t)1 << 50);
  REFUSED(ADAPTQ_OUT_OF_RANGE, options.deadline_ns = -1);
  REFUSED(ADAPTQ_INVALID_ARGUMENT, options.level = 3);
  REFUSED(ADAPTQ_INVALID_ARGUMENT, options.level = -1);
  for (int k = 0; k < FIXTURE_LEVELS; k++)  // the session was made with the best level only
    if (k != fixture_best_level(f.levels)) REFUSED(ADAPTQ_UNSUPPORTED, options.level = fixture_level[k]);

  for (size_t i = 0; i < f.n_inputs; i++) {
    adaptq_tensor *x = &t.inputs[i];
    REFUSED(ADAPTQ_INVALID_ARGUMENT, x->struct_size = 0);
    REFUSED(ADAPTQ_INVALID_ARGUMENT, x->struct_size = sizeof *x + 8);
    REFUSED(ADAPTQ_INVALID_ARGUMENT, x->type = 0);
    REFUSED(ADAPTQ_INVALID_ARGUMENT, x->type = x->type == ADAPTQ_TYPE_FLOAT32 ? ADAPTQ_TYPE_INT64 : ADAPTQ_TYPE_FLOAT32);
    REFUSED(ADAPTQ_INVALID_ARGUMENT, x->rank--);
    REFUSED(ADAPTQ_INVALID_ARGUMENT, x->rank = ADAPTQ_MAX_RANK + 1);
    REFUSED(ADAPTQ_INVALID_ARGUMENT, x->rank = INT32_MIN);
    REFUSED(ADAPTQ_INVALID_ARGUMENT, x->data = NULL);
    REFUSED(ADAPTQ_BUFFER_TOO_SMALL, x->data_size--);
    REFUSED(ADAPTQ_BUFFER_TOO_SMALL, x->data_size = 0);
    for (int k = 0; k < x->rank; k++) {
      REFUSED(ADAPTQ_INVALID_ARGUMENT, x->sizes[k] = 0);
      REFUSED(ADAPTQ_INVALID_ARGUMENT, x->sizes[k] = -1);
      REFUSED(ADAPTQ_INVALID_ARGUMENT, x->sizes[k] = INT64_MIN);
      // Within what was prepared, but not the size that the other inputs have.
      if (f.n_inputs > 1 && x->sizes[k] > 1) REFUSED(ADAPTQ_INVALID_ARGUMENT, x->sizes[k]--);
    }
  }
  for (size_t i = 0; i < f.n_outputs; i++) {
    adaptq_tensor *x = &t.outputs[i];
    REFUSED(ADAPTQ_INVALID_ARGUMENT, x->struct_size = 1);
    REFUSED(ADAPTQ_INVALID_ARGUMENT, x->type = x->type == ADAPTQ_TYPE_FLOAT32 ? ADAPTQ_TYPE_INT64 : ADAPTQ_TYPE_FLOAT32);
    REFUSED(ADAPTQ_INVALID_ARGUMENT, x->rank--);
    REFUSED(ADAPTQ_INVALID_ARGUMENT, x->data = NULL);
    REFUSED(ADAPTQ_BUFFER_TOO_SMALL, x->data_size--);
    REFUSED(ADAPTQ_INVALID_ARGUMENT, x->sizes[0]--);
    REFUSED(ADAPTQ_INVALID_ARGUMENT, x->sizes[x->rank - 1]++);
    REFUSED(ADAPTQ_INVALID_ARGUMENT, x->data = t.inputs[0].data);  // overlap
    REFUSED(ADAPTQ_INVALID_ARGUMENT, x->data = (char *)t.inputs[0].data + t.inputs[0].data_size - 1);
    if (i > 0) REFUSED(ADAPTQ_INVALID_ARGUMENT, x->data = t.outputs[0].data);
  }
  report.struct_size = sizeof report - 1;
  REFUSED(ADAPTQ_INVALID_ARGUMENT, (void)0);
  report.struct_size = sizeof report + 8;
  REFUSED(ADAPTQ_INVALID_ARGUMENT, (void)0);
  report.struct_size = sizeof report;

  // All inputs one larger than prepared.
  tensors larger;
  tensors_make(&f, &larger, BATCH, LENGTH + 1);
  REFUSED(ADAPTQ_OUT_OF_RANGE, in = larger.inputs);
  tensors_free(&f, &larger);
  tensors_make(&f, &larger, BATCH + 1, LENGTH);
  REFUSED(ADAPTQ_OUT_OF_RANGE, in = larger.inputs);
  tensors_free(&f, &larger);

  // Values outside the model's range: token ids that the table does not have.
  for (size_t i = 0; i < f.n_inputs; i++) {
    if (t.inputs[i].type != ADAPTQ_TYPE_INT64 || strcmp(f.input[i].name, "input_ids") != 0) continue;
    int64_t *ids = (int64_t *)t.inputs[i].data, last = (int64_t)(t.inputs[i].data_size / 8 - 1), kept = ids[last];
    const int64_t wrong[] = {-1, INT64_MIN, INT64_MAX, INT64_C(1) << 32, 100000000};
    for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; k++) {
      ids[last] = wrong[k];
      REFUSED(ADAPTQ_INVALID_ARGUMENT, (void)0);
      char text[32];
      snprintf(text, sizeof text, "%" PRId64, wrong[k]);
      if (!strstr(adaptq_last_error(), text))
        check_fail(__FILE__, __LINE__, "the error text \"%s\" does not name %s", adaptq_last_error(), text);
    }
    ids[last] = kept;
  }
#undef REFUSED
  CHECK_STATUS(adaptq_session_run(session, t.inputs, f.n_inputs, t.outputs, f.n_outputs, NULL, &report), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

// Padding must not change what the other rows say; a NaN anywhere would spread.
static void padding_does_not_matter(void) {
  OPEN_FIXTURE(f);
  int mask_input = -1;
  for (size_t i = 0; i < f.n_inputs; i++) if (strstr(f.input[i].name, "mask")) mask_input = (int)i;
  tensors one, two;
  adaptq_session *session = fixture_session(&f, &two, best(&f), 2, LENGTH);
  REQUIRE(session != NULL);
  if (mask_input < 0 || f.output[0].type != ADAPTQ_TYPE_FLOAT32 || f.output[0].rank != 2) {
    CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
    tensors_free(&f, &two);
    fixture_close(&f);
    SKIP("not a model with a mask and one vector per row");
  }
  enum { SHORT = 5 };
  tensors_make(&f, &one, 1, SHORT);
  tensors_shape(&f, &one, 1, SHORT, 11);
  // Row 0 of the batch: the same tokens, then padding. Row 1: something long.
  for (size_t i = 0; i < f.n_inputs; i++) {
    int64_t *wide = (int64_t *)two.inputs[i].data;
    const int64_t *narrow = (const int64_t *)one.inputs[i].data;
    for (int k = 0; k < LENGTH; k++) wide[k] = k < SHORT ? narrow[k] : 0;
  }
  REQUIRE(tensors_outputs(&f, session, &one) && tensors_outputs(&f, session, &two));
  CHECK_STATUS(fixture_run(&f, session, &one, NULL, NULL), ADAPTQ_OK);
  CHECK_STATUS(fixture_run(&f, session, &two, NULL, NULL), ADAPTQ_OK);
  const float *a = (const float *)one.outputs[0].data, *b = (const float *)two.outputs[0].data;
  double dot = 0, aa = 0, bb = 0;
  for (int64_t k = 0; k < one.outputs[0].sizes[1]; k++) {
    dot += (double)a[k] * b[k];
    aa += (double)a[k] * a[k];
    bb += (double)b[k] * b[k];
  }
  double cosine = dot / sqrt(aa * bb);
  if (!(cosine > 0.999)) check_fail(__FILE__, __LINE__, "cosine with and without padding: %g", cosine);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &one);
  tensors_free(&f, &two);
  fixture_close(&f);
}

int main(void) {
  RUN(refuses_to_create);
  RUN(short_measurement);
  RUN(refuses_handles);
  RUN(not_prepared);
  RUN(refuses_to_prepare);
  RUN(prepares_again);
  RUN(output_shapes);
  RUN(runs);
  RUN(any_alignment_and_exact_bytes);
  RUN(refuses_to_run);
  RUN(padding_does_not_matter);
  return check_end();
}
