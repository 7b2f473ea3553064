// Wrong uses of sessions.
#ifndef ADAPTQ_WRONG_USE_SESSION_H
#define ADAPTQ_WRONG_USE_SESSION_H

#include "machinery.h"
#include "session_helpers.h"

#define SESSION_OUT ((adaptq_session **)&out.handle)
static void session_create(void) {
  WRONG_HANDLES(adaptq_session_create, adaptq_model, w.dead_model,
                adaptq_session_create(in.handle, &in.session, SESSION_OUT));
  WRONG(adaptq_session_create, "out NULL", ADAPTQ_INVALID_ARGUMENT, "out is NULL", (void)0,
        adaptq_session_create(w.model, &in.session, NULL));
  WRONG_STRUCT_SIZES(adaptq_session_create, adaptq_session_options, in.session.struct_size,
                     adaptq_session_create(w.model, &in.session, SESSION_OUT));
  WRONG(adaptq_session_create, "unknown bits in allowed_levels", ADAPTQ_INVALID_ARGUMENT,
        "adaptq_session_options.allowed_levels is 64", in.session.allowed_levels = 64,
        adaptq_session_create(w.model, &in.session, SESSION_OUT));
  WRONG(adaptq_session_create, "all bits in allowed_levels", ADAPTQ_INVALID_ARGUMENT,
        "adaptq_session_options.allowed_levels is 4294967295", in.session.allowed_levels = UINT32_MAX,
        adaptq_session_create(w.model, &in.session, SESSION_OUT));
  WRONG(adaptq_session_create, "shadow neither 0 nor 1", ADAPTQ_INVALID_ARGUMENT,
        "adaptq_session_options.shadow is 2; expected 0 to 1", in.session.shadow = 2,
        adaptq_session_create(w.model, &in.session, SESSION_OUT));
  WRONG(adaptq_session_create, "choose_threads neither 0 nor 1", ADAPTQ_INVALID_ARGUMENT,
        "adaptq_session_options.choose_threads is -1; expected 0 to 1", in.session.choose_threads = -1,
        adaptq_session_create(w.model, &in.session, SESSION_OUT));
}

static void busy_destroy(void) {
  WRONG(adaptq_session_destroy, when, ADAPTQ_BUSY, "a run or prepare is in progress", (void)0,
        adaptq_session_destroy(w.session));
}
static void session_destroy(void) {
  HARMLESS(adaptq_session_destroy, "NULL", "does nothing", (void)0, adaptq_session_destroy(NULL));
  WRONG(adaptq_session_destroy, "destroyed", ADAPTQ_INVALID_HANDLE, "is not a live handle", (void)0,
        adaptq_session_destroy(w.dead_session));
  WRONG(adaptq_session_destroy, "a handle of another kind", ADAPTQ_INVALID_HANDLE, "is not a live handle", (void)0,
        adaptq_session_destroy((void *)w.model));
  while_busy(busy_destroy);
}

// Inputs that are wrong in the same way for prepare, output_shape and run: `list` names them in the text.
#define WRONG_INPUTS(function, list, t, list_text, ...) \
  do { \
    WRONG(function, list_text " NULL", ADAPTQ_INVALID_ARGUMENT, list_text " is NULL", list = NULL, __VA_ARGS__); \
    WRONG(function, "n_inputs 0", ADAPTQ_INVALID_ARGUMENT, "n_inputs is 0; the model has 2", n_inputs = 0, __VA_ARGS__); \
    WRONG(function, "n_inputs 3", ADAPTQ_INVALID_ARGUMENT, "n_inputs is 3; the model has 2", n_inputs = 3, __VA_ARGS__); \
    WRONG(function, "n_inputs huge", ADAPTQ_INVALID_ARGUMENT, "n_inputs is 18446744073709551615; the model has 2", \
          n_inputs = SIZE_MAX, __VA_ARGS__); \
    WRONG_STRUCT_SIZES(function, adaptq_tensor, t[0].struct_size, __VA_ARGS__); \
    WRONG(function, "struct_size of the second tensor differs", ADAPTQ_INVALID_ARGUMENT, list_text "[1].struct_size is 0", \
          t[1].struct_size = 0, __VA_ARGS__); \
    WRONG(function, "type of another input", ADAPTQ_INVALID_ARGUMENT, list_text "[0].type is 1; \"input_ids\" is 2 (int64), allowed are", \
          t[0].type = ADAPTQ_TYPE_FLOAT32, __VA_ARGS__); \
    WRONG(function, "type unknown", ADAPTQ_INVALID_ARGUMENT, list_text "[1].type is 99", t[1].type = 99, __VA_ARGS__); \
    WRONG(function, "type negative", ADAPTQ_INVALID_ARGUMENT, list_text "[1].type is -2147483648", \
          t[1].type = INT32_MIN, __VA_ARGS__); \
    WRONG(function, "rank 0", ADAPTQ_INVALID_ARGUMENT, list_text "[0].rank is 0; \"input_ids\" has 2", t[0].rank = 0, \
          __VA_ARGS__); \
    WRONG(function, "rank above ADAPTQ_MAX_RANK", ADAPTQ_INVALID_ARGUMENT, list_text "[0].rank is 9", t[0].rank = 9, \
          __VA_ARGS__); \
    WRONG(function, "rank negative", ADAPTQ_INVALID_ARGUMENT, list_text "[0].rank is -1", t[0].rank = -1, __VA_ARGS__); \
    WRONG(function, "a size 0", ADAPTQ_INVALID_ARGUMENT, "sizes[1] is 0, below 1", t[0].sizes[1] = 0, __VA_ARGS__); \
    WRONG(function, "a size negative", ADAPTQ_INVALID_ARGUMENT, "sizes[0] is -9223372036854775808, below 1", \
          t[0].sizes[0] = INT64_MIN, __VA_ARGS__); \
    WRONG(function, "sizes of one name differ", ADAPTQ_INVALID_ARGUMENT, "sizes[1] is 3, but sequence is 8", \
          t[1].sizes[1] = 3, __VA_ARGS__); \
  } while (0)

static size_t n_inputs, n_outputs, output_index;
static const adaptq_tensor *list_in, *list_out;

static void counts_good(void) {
  n_inputs = 2;
  n_outputs = 1;
  output_index = 0;
  list_in = in.inputs;
  list_out = in.outputs;
}
// The arguments that `setup` changed hold for one call.
static adaptq_status prepare_call(adaptq_session *session) {
  adaptq_status status = adaptq_session_prepare(session, list_in == in.inputs ? in.max_inputs : list_in, n_inputs);
  counts_good();
  return status;
}
static adaptq_status shape_call(adaptq_session *session) {
  adaptq_status status = adaptq_session_output_shape(session, list_in, n_inputs, output_index, &out.shape);
  counts_good();
  return status;
}
static adaptq_status run_call(adaptq_session *session) {
  adaptq_status status = adaptq_session_run(session, list_in, n_inputs, list_out, n_outputs, &in.run, &out.report);
  counts_good();
  return status;
}

static void busy_prepare(void) {
  WRONG(adaptq_session_prepare, when, ADAPTQ_BUSY, "a run or prepare is in progress", (void)0,
        adaptq_session_prepare(w.session, in.max_inputs, 2));
}
static adaptq_status run_after(adaptq_status before) {
  // What was prepared before a failed prepare still runs.
  adaptq_status status = adaptq_session_run(w.session, in.inputs, 2, in.outputs, 1, NULL, NULL);
  return before ? before : status;
}
static void session_prepare(void) {
  counts_good();
  WRONG_HANDLES(adaptq_session_prepare, adaptq_session, w.dead_session, adaptq_session_prepare(in.handle, in.max_inputs, 2));
  WRONG_INPUTS(adaptq_session_prepare, list_in, in.max_inputs, "max_inputs", prepare_call(w.session));
  WRONG(adaptq_session_prepare, "sizes whose product overflows", ADAPTQ_OUT_OF_RANGE, "",
        huge_sizes(in.max_inputs, INT64_MAX), adaptq_session_prepare(w.session, in.max_inputs, 2));
  WRONG(adaptq_session_prepare, "sizes that no memory holds", ADAPTQ_OUT_OF_MEMORY, "no memory for",
        huge_sizes(in.max_inputs, INT64_C(1) << 21), adaptq_session_prepare(w.session, in.max_inputs, 2));
  WRONG(adaptq_session_prepare, "one run would append more than a growing state holds", ADAPTQ_OUT_OF_RANGE,
        "maximum shapes: 9 rows for state \"keys\", which holds 8", (void)0, grow(9, 0));
  HARMLESS(adaptq_session_prepare, "again after a failure", "the former preparation has stayed", (void)0, run_after(0));
  while_busy(busy_prepare);
}

static void busy_shape(void) {
  WRONG(adaptq_session_output_shape, when, ADAPTQ_BUSY, "a run or prepare is in progress", (void)0,
        shape_call(w.session));
}
static void session_output_shape(void) {
  counts_good();
  WRONG_HANDLES(adaptq_session_output_shape, adaptq_session, w.dead_session,
                adaptq_session_output_shape(in.handle, in.inputs, 2, 0, &out.shape));
  WRONG(adaptq_session_output_shape, "not prepared", ADAPTQ_NOT_PREPARED, "the session is not prepared", (void)0,
        shape_call(w.fresh));
  WRONG_INPUTS(adaptq_session_output_shape, list_in, in.inputs, "inputs", shape_call(w.session));
  WRONG(adaptq_session_output_shape, "a size above what was prepared", ADAPTQ_OUT_OF_RANGE,
        "inputs[0].sizes[1] is 9, prepared for at most 8", in.inputs[0].sizes[1] = 9, shape_call(w.session));
  WRONG(adaptq_session_output_shape, "a size huge", ADAPTQ_OUT_OF_RANGE, "inputs[0].sizes[0] is 9223372036854775807",
        in.inputs[0].sizes[0] = INT64_MAX, shape_call(w.session));
  WRONG(adaptq_session_output_shape, "output NULL", ADAPTQ_INVALID_ARGUMENT, "output is NULL", (void)0,
        adaptq_session_output_shape(w.session, in.inputs, 2, 0, NULL));
  WRONG(adaptq_session_output_shape, "output->struct_size 0", ADAPTQ_INVALID_ARGUMENT, "adaptq_tensor.struct_size is 0",
        out.shape.struct_size = 0, shape_call(w.session));
  WRONG(adaptq_session_output_shape, "index behind the last one", ADAPTQ_OUT_OF_RANGE, "index 1: the model has 1",
        output_index = 1, shape_call(w.session));
  WRONG(adaptq_session_output_shape, "index huge", ADAPTQ_OUT_OF_RANGE, "index 18446744073709551615",
        output_index = SIZE_MAX, shape_call(w.session));
  HARMLESS(adaptq_session_output_shape, "output at an odd address", "filled as at an even one", (void)0,
           adaptq_session_output_shape(w.session, in.inputs, 2, 0, ODD(out.shape)));
  while_busy(busy_shape);
}

static adaptq_status cancel_idle(void) {
  adaptq_status status = adaptq_session_cancel(w.session);
  return status ? status : run_after(0);
}

static void busy_run(void) {
  WRONG(adaptq_session_run, when, ADAPTQ_BUSY, "a run or prepare is in progress", (void)0,
        run_call(w.session));
}
static void session_run(void) {
  counts_good();
  WRONG_HANDLES(adaptq_session_run, adaptq_session, w.dead_session,
                adaptq_session_run(in.handle, in.inputs, 2, in.outputs, 1, &in.run, &out.report));
  WRONG(adaptq_session_run, "not prepared", ADAPTQ_NOT_PREPARED, "the session is not prepared", (void)0, run_call(w.fresh));
  WRONG_INPUTS(adaptq_session_run, list_in, in.inputs, "inputs", run_call(w.session));
  WRONG(adaptq_session_run, "a size above what was prepared", ADAPTQ_OUT_OF_RANGE,
        "inputs[0].sizes[1] is 9, prepared for at most 8", in.inputs[0].sizes[1] = 9, run_call(w.session));
  WRONG(adaptq_session_run, "a size huge", ADAPTQ_OUT_OF_RANGE, "inputs[0].sizes[0] is 9223372036854775807",
        in.inputs[0].sizes[0] = INT64_MAX, run_call(w.session));
  WRONG(adaptq_session_run, "input data NULL", ADAPTQ_INVALID_ARGUMENT, "inputs[0].data is NULL",
        in.inputs[0].data = NULL, run_call(w.session));
  WRONG(adaptq_session_run, "input data_size 0", ADAPTQ_BUFFER_TOO_SMALL, "inputs[1].data_size is 0, needs 128",
        in.inputs[1].data_size = 0, run_call(w.session));
  WRONG(adaptq_session_run, "input data_size one too small", ADAPTQ_BUFFER_TOO_SMALL,
        "inputs[0].data_size is 127, needs 128", in.inputs[0].data_size = 127, run_call(w.session));
  HARMLESS(adaptq_session_run, "input data_size huge", "only what is needed is read", in.inputs[0].data_size = SIZE_MAX,
           run_call(w.session));
  HARMLESS(adaptq_session_run, "input data at an odd address", "read as at an even one",
           in.inputs[0].data = ODD(in.ids), run_call(w.session));
  WRONG(adaptq_session_run, "an index behind the table", ADAPTQ_INVALID_ARGUMENT,
        "index 11 at position 3: \"words\" has 11 rows", in.ids[3] = 11, run_call(w.session));
  WRONG(adaptq_session_run, "an index negative", ADAPTQ_INVALID_ARGUMENT, "index -1 at position 15", in.ids[15] = -1,
        run_call(w.session));
  WRONG(adaptq_session_run, "an index huge", ADAPTQ_INVALID_ARGUMENT, "index 9223372036854775807 at position 0",
        in.ids[0] = INT64_MAX, run_call(w.session));
  WRONG(adaptq_session_run, "outputs NULL", ADAPTQ_INVALID_ARGUMENT, "outputs is NULL", list_out = NULL,
        run_call(w.session));
  WRONG(adaptq_session_run, "n_outputs 0", ADAPTQ_INVALID_ARGUMENT, "n_outputs is 0; the model has 1", n_outputs = 0,
        run_call(w.session));
  WRONG(adaptq_session_run, "n_outputs huge", ADAPTQ_INVALID_ARGUMENT,
        "n_outputs is 18446744073709551615; the model has 1", n_outputs = SIZE_MAX, run_call(w.session));
  WRONG(adaptq_session_run, "struct_size of an output 0", ADAPTQ_INVALID_ARGUMENT, "adaptq_tensor.struct_size is 0",
        in.outputs[0].struct_size = 0, run_call(w.session));
  WRONG(adaptq_session_run, "output type unknown", ADAPTQ_INVALID_ARGUMENT, "outputs[0].type is 99",
        in.outputs[0].type = 99, run_call(w.session));
  WRONG(adaptq_session_run, "output rank wrong", ADAPTQ_INVALID_ARGUMENT, "outputs[0].rank is 3; \"embedding\" has 2",
        in.outputs[0].rank = 3, run_call(w.session));
  WRONG(adaptq_session_run, "output size wrong", ADAPTQ_INVALID_ARGUMENT, "outputs[0].sizes[0] is 3, expected 2",
        in.outputs[0].sizes[0] = 3, run_call(w.session));
  WRONG(adaptq_session_run, "output data NULL", ADAPTQ_INVALID_ARGUMENT, "outputs[0].data is NULL",
        in.outputs[0].data = NULL, run_call(w.session));
  WRONG(adaptq_session_run, "a stride negative", ADAPTQ_INVALID_ARGUMENT, "inputs[0].strides[0] is -8",
        in.inputs[0].strides[0] = -8, run_call(w.session));
  WRONG(adaptq_session_run, "strides whose product overflows", ADAPTQ_OUT_OF_RANGE, "inputs[1]",
        in.inputs[1].strides[0] = INT64_MAX, run_call(w.session));
  WRONG(adaptq_session_run, "strides that need more than data_size", ADAPTQ_BUFFER_TOO_SMALL,
        "inputs[0].data_size is 128, needs 192", in.inputs[0].strides[0] = (in.inputs[0].strides[1] = 1, 16),
        run_call(w.session));
  WRONG(adaptq_session_run, "output strides with which elements share memory", ADAPTQ_INVALID_ARGUMENT, "outputs[0]",
        in.outputs[0].strides[0] = (in.outputs[0].strides[1] = 1, WIDTH - 1), run_call(w.session));
  WRONG(adaptq_session_run, "an output stride of 0 beside one that is not", ADAPTQ_INVALID_ARGUMENT, "outputs[0]",
        in.outputs[0].strides[0] = WIDTH, run_call(w.session));
  WRONG(adaptq_session_run, "output data_size one too small", ADAPTQ_BUFFER_TOO_SMALL,
        "outputs[0].data_size is 255, needs 256", in.outputs[0].data_size = 255, run_call(w.session));
  HARMLESS(adaptq_session_run, "output data at an odd address", "written as at an even one",
           in.outputs[0].data = odd_memory + 1, run_call(w.session));
  WRONG(adaptq_session_run, "output data goes around the address space", ADAPTQ_INVALID_ARGUMENT,
        "outputs[0].data wraps around the address space", in.outputs[0].data = (void *)(UINTPTR_MAX - 100),
        run_call(w.session));
  WRONG(adaptq_session_run, "output overlaps an input by a byte", ADAPTQ_INVALID_ARGUMENT,
        "outputs[0].data overlaps inputs[0]", in.outputs[0].data = (char *)in.ids + 127, run_call(w.session));
  WRONG_STRUCT_SIZES(adaptq_session_run, adaptq_run_options, in.run.struct_size, run_call(w.session));
  WRONG_STRUCT_SIZES(adaptq_session_run, adaptq_run_report, out.report.struct_size, run_call(w.session));
  WRONG(adaptq_session_run, "level unknown", ADAPTQ_INVALID_ARGUMENT,
        "adaptq_run_options.level is 5; expected 0, 2, 4, 6, 8, 16 or 32", in.run.level = 5, run_call(w.session));
  WRONG(adaptq_session_run, "level that equals one in its low byte", ADAPTQ_INVALID_ARGUMENT,
        "adaptq_run_options.level is 264", in.run.level = 264, run_call(w.session));
  WRONG(adaptq_session_run, "level that the session does not allow", ADAPTQ_UNSUPPORTED,
        "adaptq_run_options.level INT4 is not allowed in this session", in.run.level = ADAPTQ_LEVEL_INT4, run_restricted());
  WRONG(adaptq_session_run, "deadline_ns negative", ADAPTQ_OUT_OF_RANGE,
        "adaptq_run_options.deadline_ns is -1; expected 0 to 1125899906842623", in.run.deadline_ns = -1, run_call(w.session));
  WRONG(adaptq_session_run, "deadline_ns huge", ADAPTQ_OUT_OF_RANGE,
        "adaptq_run_options.deadline_ns is 9223372036854775807", in.run.deadline_ns = INT64_MAX, run_call(w.session));
  WRONG(adaptq_session_run, "max_threads negative", ADAPTQ_INVALID_ARGUMENT,
        "adaptq_run_options.max_threads is -1; expected 0 to 1024", in.run.max_threads = -1, run_call(w.session));
  WRONG(adaptq_session_run, "max_threads huge", ADAPTQ_INVALID_ARGUMENT, "adaptq_run_options.max_threads is 2147483647",
        in.run.max_threads = INT32_MAX, run_call(w.session));
  WRONG(adaptq_session_run, "a growing state without room", ADAPTQ_OUT_OF_RANGE,
        "state \"keys\" has no room for this run, it holds 8", (void)0, grow(5, 2));
  HARMLESS(adaptq_session_run, "options and report NULL", "defaults, no report", (void)0, run_after(0));
  while_busy(busy_run);
}

static void busy_states(void) {
  WRONG(adaptq_session_reset_state, when, ADAPTQ_BUSY, "a run or prepare is in progress", (void)0,
        adaptq_session_reset_state(w.session));
  WRONG(adaptq_session_state_save, when, ADAPTQ_BUSY, "a run or prepare is in progress", (void)0,
        adaptq_session_state_save(w.session, out.state, sizeof out.state, &out.count));
  WRONG(adaptq_session_state_restore, when, ADAPTQ_BUSY, "a run or prepare is in progress", (void)0,
        adaptq_session_state_restore(w.session, odd_memory, 32));
}
static void session_states(void) {
  static unsigned char saved[4096];
  size_t size = 0;
  if (!is_table) REQUIRE_OK(adaptq_session_state_save(w.listening, saved, sizeof saved, &size));
  WRONG_HANDLES(adaptq_session_reset_state, adaptq_session, w.dead_session, adaptq_session_reset_state(in.handle));
  WRONG_HANDLES(adaptq_session_state_save, adaptq_session, w.dead_session,
                adaptq_session_state_save(in.handle, out.state, sizeof out.state, &out.count));
  WRONG(adaptq_session_state_save, "size NULL", ADAPTQ_INVALID_ARGUMENT, "size is NULL", (void)0,
        adaptq_session_state_save(w.listening, out.state, sizeof out.state, NULL));
  WRONG(adaptq_session_state_save, "buffer NULL with enough capacity", ADAPTQ_INVALID_ARGUMENT, "buffer is NULL", (void)0,
        adaptq_session_state_save(w.listening, NULL, sizeof out.state, &out.count));
  WRONG(adaptq_session_state_save, "capacity 0", ADAPTQ_BUFFER_TOO_SMALL, "capacity is 0, needs ", (void)0,
        adaptq_session_state_save(w.listening, NULL, 0, &out.count));
  WRONG(adaptq_session_state_save, "capacity one too small", ADAPTQ_BUFFER_TOO_SMALL, "capacity is ", (void)0,
        adaptq_session_state_save(w.listening, out.state, size - 1, &out.count));
  HARMLESS(adaptq_session_state_save, "capacity huge", "only what is needed is written", (void)0,
           adaptq_session_state_save(w.listening, out.state, SIZE_MAX, &out.count));
  HARMLESS(adaptq_session_state_save, "buffer at an odd address", "written as at an even one", (void)0,
           adaptq_session_state_save(w.listening, out.state + 1, sizeof out.state - 1, &out.count));
  WRONG_HANDLES(adaptq_session_state_restore, adaptq_session, w.dead_session,
                adaptq_session_state_restore(in.handle, saved, size));
  WRONG(adaptq_session_state_restore, "data NULL", ADAPTQ_INVALID_ARGUMENT, "data is NULL", (void)0,
        adaptq_session_state_restore(w.listening, NULL, size));
  WRONG(adaptq_session_state_restore, "size 0", ADAPTQ_INVALID_ARGUMENT, "size is 0; states of this model are saved in",
        (void)0, adaptq_session_state_restore(w.listening, saved, 0));
  WRONG(adaptq_session_state_restore, "size huge", ADAPTQ_INVALID_ARGUMENT, "size is 18446744073709551615", (void)0,
        adaptq_session_state_restore(w.listening, saved, SIZE_MAX));
  WRONG(adaptq_session_state_restore, "not a saved state", ADAPTQ_INVALID_ARGUMENT, "data is not a saved state", (void)0,
        adaptq_session_state_restore(w.listening, weights, size));
  WRONG(adaptq_session_state_restore, "states of another model", ADAPTQ_INVALID_ARGUMENT,
        "states of this model are saved in", (void)0, adaptq_session_state_restore(w.session, saved, size));
  WRONG(adaptq_session_state_restore, "any bit flipped", ADAPTQ_INVALID_ARGUMENT, "data", (void)0,
        restore_flipped(saved, size));
  HARMLESS(adaptq_session_state_restore, "data at an odd address", "read as at an even one", (void)0,
           restore_odd(saved, size));
  while_busy(busy_states);
}

static void session_set(void) {
  WRONG_HANDLES(adaptq_session_set_level, adaptq_session, w.dead_session,
                adaptq_session_set_level(in.handle, ADAPTQ_LEVEL_INT8));
  WRONG(adaptq_session_set_level, "level unknown", ADAPTQ_INVALID_ARGUMENT, "level is 3; expected 0, 2, 4, 6, 8, 16 or 32",
        (void)0, adaptq_session_set_level(w.session, 3));
  WRONG(adaptq_session_set_level, "level negative", ADAPTQ_INVALID_ARGUMENT, "level is -2147483648", (void)0,
        adaptq_session_set_level(w.session, INT32_MIN));
  WRONG(adaptq_session_set_level, "level that the session does not allow", ADAPTQ_UNSUPPORTED,
        "level INT4 is not allowed in this session", (void)0, set_restricted());
  WRONG_HANDLES(adaptq_session_set_allowed_levels, adaptq_session, w.dead_session,
                adaptq_session_set_allowed_levels(in.handle, ADAPTQ_ALLOW_ALL));
  WRONG(adaptq_session_set_allowed_levels, "unknown bits", ADAPTQ_INVALID_ARGUMENT, "allowed_levels is 64", (void)0,
        adaptq_session_set_allowed_levels(w.session, 64));
  WRONG(adaptq_session_set_allowed_levels, "a level that the session does not allow", ADAPTQ_UNSUPPORTED,
        "a level is not in this session", (void)0, allow_restricted());
  WRONG_HANDLES(adaptq_session_set_latency_budget, adaptq_session, w.dead_session,
                adaptq_session_set_latency_budget(in.handle, 1000, 90));
  WRONG(adaptq_session_set_latency_budget, "latency_ns negative", ADAPTQ_OUT_OF_RANGE, "latency_ns is -1; expected 0 to 1125899906842623", (void)0,
        adaptq_session_set_latency_budget(w.session, -1, 90));
  WRONG(adaptq_session_set_latency_budget, "latency_ns huge", ADAPTQ_OUT_OF_RANGE, "latency_ns is 9223372036854775807; expected 0 to",
        (void)0, adaptq_session_set_latency_budget(w.session, INT64_MAX, 90));
  WRONG(adaptq_session_set_latency_budget, "percentile 0", ADAPTQ_OUT_OF_RANGE, "percentile is 0.0; expected 50 to 99.9", (void)0,
        adaptq_session_set_latency_budget(w.session, 1000, 0));
  WRONG(adaptq_session_set_latency_budget, "percentile 100", ADAPTQ_OUT_OF_RANGE, "percentile is 100.0", (void)0,
        adaptq_session_set_latency_budget(w.session, 1000, 100));
  WRONG(adaptq_session_set_latency_budget, "percentile NaN", ADAPTQ_OUT_OF_RANGE, "percentile is nan", (void)0,
        adaptq_session_set_latency_budget(w.session, 1000, (double)NAN));
  WRONG(adaptq_session_set_latency_budget, "percentile infinite", ADAPTQ_OUT_OF_RANGE, "percentile is inf", (void)0,
        adaptq_session_set_latency_budget(w.session, 1000, (double)INFINITY));
  HARMLESS(adaptq_session_set_latency_budget, "latency_ns 0 with percentile NaN", "removes the budget", (void)0,
           adaptq_session_set_latency_budget(w.session, 0, (double)NAN));
  WRONG(adaptq_session_set_allowed_levels, "levels below the quality floor", ADAPTQ_UNSUPPORTED,
        "no plan of these levels holds the quality floor: mean_cosine cannot hold, the best allowed plan has 0.96", (void)0,
        allow_below_floor());
#define BUDGET_WRONG(use, status, part, setup) \
  WRONG(adaptq_session_set_budget, use, status, part, setup, adaptq_session_set_budget(w.session, &in.budget, &out.limit))
  WRONG_HANDLES(adaptq_session_set_budget, adaptq_session, w.dead_session,
                adaptq_session_set_budget(in.handle, &in.budget, &out.limit));
  WRONG_STRUCT_SIZES(adaptq_session_set_budget, adaptq_budget, in.budget.struct_size,
                     adaptq_session_set_budget(w.session, &in.budget, &out.limit));
  WRONG_STRUCT_SIZES(adaptq_session_set_budget, adaptq_limit_report, out.limit.struct_size,
                     adaptq_session_set_budget(w.session, &in.budget, &out.limit));
  BUDGET_WRONG("latency_ns negative", ADAPTQ_OUT_OF_RANGE, "adaptq_budget.latency_ns is -1", in.budget.latency_ns = -1);
  BUDGET_WRONG("percentile 49", ADAPTQ_OUT_OF_RANGE, "percentile: 49.0, allowed are 50 to 99.9", in.budget.percentile = 49);
  BUDGET_WRONG("percentile NaN", ADAPTQ_OUT_OF_RANGE, "adaptq_budget.percentile is nan", in.budget.percentile = NAN);
  BUDGET_WRONG("mean_cosine above 1", ADAPTQ_OUT_OF_RANGE, "adaptq_budget.mean_cosine is 1.5", in.budget.mean_cosine = 1.5);
  BUDGET_WRONG("p5_cosine negative", ADAPTQ_OUT_OF_RANGE, "adaptq_budget.p5_cosine is -0.5", in.budget.p5_cosine = -0.5);
  BUDGET_WRONG("allowed_levels with unknown bits", ADAPTQ_OUT_OF_RANGE, "adaptq_budget.allowed_levels is 64",
               in.budget.allowed_levels = 64);
  BUDGET_WRONG("reserved not 0", ADAPTQ_INVALID_ARGUMENT, "adaptq_budget.reserved is 1", in.budget.reserved = 1);
  WRONG(adaptq_session_set_budget, "a latency that no plan has", ADAPTQ_UNSUPPORTED, "latency_ns cannot hold",
        in.budget.latency_ns = 1, budget_refused(ADAPTQ_LIMIT_LATENCY));
  WRONG(adaptq_session_set_budget, "a floor that no plan of the allowed levels has", ADAPTQ_UNSUPPORTED,
        "mean_cosine cannot hold", (in.budget.mean_cosine = 0.99, in.budget.allowed_levels = ADAPTQ_ALLOW_INT2),
        budget_refused(ADAPTQ_LIMIT_MEAN_COSINE));
  HARMLESS(adaptq_session_set_budget, "budget and report NULL", "removes all limits", (void)0,
           adaptq_session_set_budget(w.session, NULL, NULL));
  WRONG_HANDLES(adaptq_session_set_quality_floor, adaptq_session, w.dead_session,
                adaptq_session_set_quality_floor(in.handle, 0.5, 0.5, &out.limit));
  WRONG(adaptq_session_set_quality_floor, "mean_cosine negative", ADAPTQ_OUT_OF_RANGE,
        "mean_cosine is -0.5; expected 0 to 1", (void)0, adaptq_session_set_quality_floor(w.session, -0.5, 0, &out.limit));
  WRONG(adaptq_session_set_quality_floor, "mean_cosine above 1", ADAPTQ_OUT_OF_RANGE, "mean_cosine is 1.5", (void)0,
        adaptq_session_set_quality_floor(w.session, 1.5, 0, &out.limit));
  WRONG(adaptq_session_set_quality_floor, "mean_cosine NaN", ADAPTQ_OUT_OF_RANGE, "mean_cosine is nan", (void)0,
        adaptq_session_set_quality_floor(w.session, (double)NAN, 0, &out.limit));
  WRONG(adaptq_session_set_quality_floor, "p5_cosine infinite", ADAPTQ_OUT_OF_RANGE, "p5_cosine is inf", (void)0,
        adaptq_session_set_quality_floor(w.session, 0, (double)INFINITY, &out.limit));
  WRONG(adaptq_session_set_quality_floor, "a model without plans", ADAPTQ_NOT_FOUND, "the file stores no plans", (void)0,
        adaptq_session_set_quality_floor(w.listening, 0.5, 0, &out.limit));
  WRONG(adaptq_session_set_quality_floor, "a mean that no allowed plan has", ADAPTQ_UNSUPPORTED,
        "mean_cosine cannot hold, the best allowed plan has 0.9995", (void)0,
        floor_restricted(0.9996, 0, ADAPTQ_LIMIT_MEAN_COSINE, 0.9995));
  WRONG(adaptq_session_set_quality_floor, "a 5th percentile that no allowed plan has", ADAPTQ_UNSUPPORTED,
        "p5_cosine cannot hold, of the allowed plans with this mean the best one has 0.9985", (void)0,
        floor_restricted(0.9, 0.9986, ADAPTQ_LIMIT_P5_COSINE, 0.9985));
  WRONG_STRUCT_SIZES(adaptq_session_set_quality_floor, adaptq_limit_report, out.limit.struct_size,
                     adaptq_session_set_quality_floor(w.session, 0, 0, &out.limit));
#define ENERGY_WRONG(use, status, part, setup) \
  WRONG(adaptq_session_set_power_budget, use, status, part, setup, \
        adaptq_session_set_power_budget(w.session, &in.power, &out.limit))
  WRONG_HANDLES(adaptq_session_set_power_budget, adaptq_session, w.dead_session,
                adaptq_session_set_power_budget(in.handle, &in.power, &out.limit));
  WRONG_STRUCT_SIZES(adaptq_session_set_power_budget, adaptq_power_budget, in.power.struct_size,
                     adaptq_session_set_power_budget(w.session, &in.power, NULL));
  WRONG_STRUCT_SIZES(adaptq_session_set_power_budget, adaptq_limit_report, out.limit.struct_size,
                     adaptq_session_set_power_budget(w.session, &in.power, &out.limit));
  ENERGY_WRONG("power_mw negative", ADAPTQ_OUT_OF_RANGE, "adaptq_power_budget.power_mw is -1.0", in.power.power_mw = -1);
  ENERGY_WRONG("energy_mj NaN", ADAPTQ_OUT_OF_RANGE, "adaptq_power_budget.energy_mj is nan", in.power.energy_mj = NAN);
  ENERGY_WRONG("pj_per_mac infinite", ADAPTQ_OUT_OF_RANGE, "adaptq_power_budget.pj_per_mac is inf", in.power.pj_per_mac = INFINITY);
  ENERGY_WRONG("thread_mw negative", ADAPTQ_OUT_OF_RANGE, "adaptq_power_budget.thread_mw is -1.0", in.power.thread_mw = -1);
  ENERGY_WRONG("thread_mw NaN", ADAPTQ_OUT_OF_RANGE, "adaptq_power_budget.thread_mw is nan", in.power.thread_mw = NAN);
  ENERGY_WRONG("window_ns negative", ADAPTQ_OUT_OF_RANGE, "adaptq_power_budget.window_ns is -1", in.power.window_ns = -1);
  ENERGY_WRONG("max_wait_ns negative", ADAPTQ_OUT_OF_RANGE, "adaptq_power_budget.max_wait_ns is -1", in.power.max_wait_ns = -1);
  ENERGY_WRONG("max_wait_ns huge", ADAPTQ_OUT_OF_RANGE, "adaptq_power_budget.max_wait_ns is 9223372036854775807",
               in.power.max_wait_ns = INT64_MAX);
  ENERGY_WRONG("mode unknown", ADAPTQ_INVALID_ARGUMENT, "adaptq_power_budget.mode is 2; expected 0 to 1", in.power.mode = 2);
  ENERGY_WRONG("mode negative", ADAPTQ_INVALID_ARGUMENT, "adaptq_power_budget.mode is -1", in.power.mode = -1);
  ENERGY_WRONG("attribution unknown", ADAPTQ_INVALID_ARGUMENT, "adaptq_power_budget.attribution is 3; expected 0 to 2",
               in.power.attribution = 3);
  ENERGY_WRONG("neither power nor energy", ADAPTQ_INVALID_ARGUMENT, "power_mw and energy_mj are 0", in.power.power_mw = 0);
  ENERGY_WRONG("no coefficient of energy", ADAPTQ_INVALID_ARGUMENT, "so nothing takes energy", in.power.active_mw = 0);
  WRONG(adaptq_session_set_power_budget, "energy_mj below the cheapest plan's", ADAPTQ_UNSUPPORTED,
        "energy_mj cannot hold, the cheapest plan that is left takes", in.power.energy_mj = 1e-12, power_refused(ADAPTQ_LIMIT_ENERGY));
  WRONG(adaptq_session_set_power_budget, "power_mw not above static_mw", ADAPTQ_UNSUPPORTED,
        "power_mw cannot hold, static_mw alone is 1000.0", in.power.static_mw = in.power.power_mw = 1000,
        power_refused(ADAPTQ_LIMIT_POWER));
  HARMLESS(adaptq_session_set_power_budget, "budget NULL", "removes the budget", (void)0,
           adaptq_session_set_power_budget(w.session, NULL, NULL));
  WRONG_HANDLES(adaptq_session_power_budget, adaptq_session, w.dead_session,
                adaptq_session_power_budget(in.handle, &out.power_budget));
  WRONG(adaptq_session_power_budget, "budget NULL", ADAPTQ_INVALID_ARGUMENT, "budget is NULL", (void)0,
        adaptq_session_power_budget(w.session, NULL));
  WRONG(adaptq_session_power_budget, "no budget set", ADAPTQ_NOT_FOUND, "no budget of power or energy", (void)0,
        adaptq_session_power_budget(w.session, &out.power_budget));
  WRONG_STRUCT_SIZES(adaptq_session_power_budget, adaptq_power_budget, out.power_budget.struct_size,
                     adaptq_session_power_budget(w.session, &out.power_budget));
  while_busy(set_while_running);
}

static void busy_questions(void) {
  WRONG(adaptq_session_memory, when, ADAPTQ_BUSY, "a run or prepare is in progress", (void)0,
        adaptq_session_memory(w.session, &out.memory));
  WRONG(adaptq_session_set_trace, when, ADAPTQ_BUSY, "a run or prepare is in progress", (void)0,
        adaptq_session_set_trace(w.session, NULL, NULL));
  WRONG(adaptq_session_costs, when, ADAPTQ_BUSY, "a run or prepare is in progress", (void)0,
        adaptq_session_costs(w.session, out.costs, 8, &out.count));
  WRONG(adaptq_session_prepare_info, when, ADAPTQ_BUSY, "a run or prepare is in progress", (void)0,
        adaptq_session_prepare_info(w.session, &out.prepare));
  WRONG(adaptq_session_export_costs, when, ADAPTQ_BUSY, "a run or prepare is in progress", (void)0,
        adaptq_session_export_costs(w.session, NULL, 0, &out.count));
  WRONG(adaptq_session_import_costs, when, ADAPTQ_BUSY, "a run or prepare is in progress", (void)0,
        adaptq_session_import_costs(w.session, odd_memory, 32));
  WRONG(adaptq_session_plans, when, ADAPTQ_BUSY, "a run or prepare is in progress", (void)0,
        adaptq_session_plans(w.session, out.plans, 10, &out.count));
  WRONG(adaptq_session_plan_sites, when, ADAPTQ_BUSY, "a run or prepare is in progress", (void)0,
        adaptq_session_plan_sites(w.session, 0, out.site_levels, 3));
  WRONG(adaptq_session_telemetry, when, ADAPTQ_BUSY, "a run or prepare is in progress", (void)0,
        adaptq_session_telemetry(w.session, out.telemetry, 8, &out.count));
  WRONG(adaptq_session_telemetry_sites, when, ADAPTQ_BUSY, "a run or prepare is in progress",
        (void)0, adaptq_session_telemetry_sites(w.session, 1, out.site_levels, 3));
}
static void session_exported_costs(void) {
  static unsigned char costs[1 << 16];
  size_t size = 0;
  if (!is_table) REQUIRE_OK(adaptq_session_export_costs(w.session, costs, sizeof costs, &size));
  WRONG_HANDLES(adaptq_session_prepare_info, adaptq_session, w.dead_session,
                adaptq_session_prepare_info(in.handle, &out.prepare));
  WRONG(adaptq_session_prepare_info, "info NULL", ADAPTQ_INVALID_ARGUMENT, "info is NULL", (void)0,
        adaptq_session_prepare_info(w.session, NULL));
  WRONG(adaptq_session_prepare_info, "not prepared", ADAPTQ_NOT_PREPARED, "the session is not prepared", (void)0,
        adaptq_session_prepare_info(w.fresh, &out.prepare));
  WRONG_STRUCT_SIZES(adaptq_session_prepare_info, adaptq_prepare_info, out.prepare.struct_size,
                     adaptq_session_prepare_info(w.session, &out.prepare));
  WRONG_HANDLES(adaptq_session_export_costs, adaptq_session, w.dead_session,
                adaptq_session_export_costs(in.handle, out.state, sizeof out.state, &out.count));
  WRONG(adaptq_session_export_costs, "not prepared", ADAPTQ_NOT_PREPARED, "the session is not prepared", (void)0,
        adaptq_session_export_costs(w.fresh, out.state, sizeof out.state, &out.count));
  WRONG(adaptq_session_export_costs, "size NULL", ADAPTQ_INVALID_ARGUMENT, "size is NULL", (void)0,
        adaptq_session_export_costs(w.session, out.state, sizeof out.state, NULL));
  WRONG(adaptq_session_export_costs, "buffer NULL with enough capacity", ADAPTQ_INVALID_ARGUMENT, "buffer is NULL", (void)0,
        adaptq_session_export_costs(w.session, NULL, sizeof costs, &out.count));
  WRONG(adaptq_session_export_costs, "capacity 0", ADAPTQ_BUFFER_TOO_SMALL, "capacity is 0, needs ", (void)0,
        adaptq_session_export_costs(w.session, NULL, 0, &out.count));
  WRONG(adaptq_session_export_costs, "capacity too small", ADAPTQ_BUFFER_TOO_SMALL, "capacity is 100, needs ", (void)0,
        adaptq_session_export_costs(w.session, out.state, 100, &out.count));
  WRONG_HANDLES(adaptq_session_import_costs, adaptq_session, w.dead_session,
                adaptq_session_import_costs(in.handle, costs, size));
  WRONG(adaptq_session_import_costs, "data NULL", ADAPTQ_INVALID_ARGUMENT, "data is NULL", (void)0,
        adaptq_session_import_costs(w.session, NULL, size));
  WRONG(adaptq_session_import_costs, "size 0", ADAPTQ_INVALID_ARGUMENT, "costs: magic: needs 8 bytes", (void)0,
        adaptq_session_import_costs(w.session, costs, 0));
  WRONG(adaptq_session_import_costs, "size huge", ADAPTQ_INVALID_ARGUMENT, "size is 18446744073709551615", (void)0,
        adaptq_session_import_costs(w.session, costs, SIZE_MAX));
  WRONG(adaptq_session_import_costs, "cut off", ADAPTQ_INVALID_ARGUMENT, "costs: size is ", (void)0,
        adaptq_session_import_costs(w.session, costs, size - 8));
  WRONG(adaptq_session_import_costs, "no exported costs", ADAPTQ_INVALID_ARGUMENT, "data is no exported costs", (void)0,
        adaptq_session_import_costs(w.session, weights, 1000));
  WRONG(adaptq_session_import_costs, "damaged", ADAPTQ_INVALID_ARGUMENT, "the checksum does not fit", (void)0,
        import_flipped(costs, size, 100));
  WRONG(adaptq_session_import_costs, "another version", ADAPTQ_UNSUPPORTED_VERSION, "version is 0, this library reads 1",
        (void)0, import_flipped(costs, size, 8));
  WRONG(adaptq_session_import_costs, "costs of another model", ADAPTQ_UNSUPPORTED, "costs were measured elsewhere: model is",
        (void)0, adaptq_session_import_costs(w.listening, costs, size));
  HARMLESS(adaptq_session_import_costs, "data at an odd address", "read as at an even one", (void)0,
           import_odd(costs, size));
}
static void session_questions(void) {
  WRONG_HANDLES(adaptq_session_costs, adaptq_session, w.dead_session,
                adaptq_session_costs(in.handle, out.costs, 8, &out.count));
  WRONG(adaptq_session_costs, "not prepared", ADAPTQ_NOT_PREPARED, "the session is not prepared", (void)0,
        adaptq_session_costs(w.fresh, out.costs, 8, &out.count));
  WRONG(adaptq_session_costs, "count NULL", ADAPTQ_INVALID_ARGUMENT, "count is NULL", (void)0,
        adaptq_session_costs(w.session, out.costs, 8, NULL));
  WRONG(adaptq_session_costs, "costs NULL", ADAPTQ_INVALID_ARGUMENT, "costs is NULL", (void)0,
        adaptq_session_costs(w.session, NULL, 8, &out.count));
  WRONG(adaptq_session_costs, "capacity 0", ADAPTQ_BUFFER_TOO_SMALL, "capacity is 0, needs 6", (void)0,
        adaptq_session_costs(w.session, NULL, 0, &out.count));
  WRONG(adaptq_session_costs, "capacity one too small", ADAPTQ_BUFFER_TOO_SMALL, "capacity is 5, needs 6", (void)0,
        adaptq_session_costs(w.session, out.costs, 5, &out.count));
  WRONG_STRUCT_SIZES(adaptq_session_costs, adaptq_level_cost, out.costs[0].struct_size,
                     adaptq_session_costs(w.session, out.costs, 8, &out.count));
  WRONG_HANDLES(adaptq_session_plans, adaptq_session, w.dead_session,
                adaptq_session_plans(in.handle, out.plans, 10, &out.count));
  WRONG(adaptq_session_plans, "not prepared", ADAPTQ_NOT_PREPARED, "the session is not prepared", (void)0,
        adaptq_session_plans(w.fresh, out.plans, 10, &out.count));
  WRONG(adaptq_session_plans, "count NULL", ADAPTQ_INVALID_ARGUMENT, "count is NULL", (void)0,
        adaptq_session_plans(w.session, out.plans, 10, NULL));
  WRONG(adaptq_session_plans, "plans NULL", ADAPTQ_INVALID_ARGUMENT, "plans is NULL", (void)0,
        adaptq_session_plans(w.session, NULL, 10, &out.count));
  WRONG(adaptq_session_plans, "capacity one too small", ADAPTQ_BUFFER_TOO_SMALL, "capacity is 9, needs 10", (void)0,
        adaptq_session_plans(w.session, out.plans, 9, &out.count));
  WRONG_STRUCT_SIZES(adaptq_session_plans, adaptq_plan_info, out.plans[0].struct_size,
                     adaptq_session_plans(w.session, out.plans, 10, &out.count));
  WRONG_HANDLES(adaptq_session_plan_sites, adaptq_session, w.dead_session,
                adaptq_session_plan_sites(in.handle, 0, out.site_levels, 3));
  WRONG(adaptq_session_plan_sites, "levels NULL", ADAPTQ_INVALID_ARGUMENT, "levels is NULL", (void)0,
        adaptq_session_plan_sites(w.session, 0, NULL, 3));
  WRONG(adaptq_session_plan_sites, "count too small", ADAPTQ_INVALID_ARGUMENT, "count is 2; the model has 3 sites", (void)0,
        adaptq_session_plan_sites(w.session, 0, out.site_levels, 2));
  WRONG(adaptq_session_plan_sites, "index too large", ADAPTQ_OUT_OF_RANGE, "index 10: the session has 10 plans", (void)0,
        adaptq_session_plan_sites(w.session, 10, out.site_levels, 3));
  WRONG(adaptq_session_plan_sites, "index huge", ADAPTQ_OUT_OF_RANGE, "index 18446744073709551615: the session has 10 plans",
        (void)0, adaptq_session_plan_sites(w.session, SIZE_MAX, out.site_levels, 3));
  WRONG_HANDLES(adaptq_session_telemetry, adaptq_session, w.dead_session,
                adaptq_session_telemetry(in.handle, out.telemetry, 8, &out.count));
  WRONG(adaptq_session_telemetry, "count NULL", ADAPTQ_INVALID_ARGUMENT, "count is NULL", (void)0,
        adaptq_session_telemetry(w.session, out.telemetry, 8, NULL));
  WRONG(adaptq_session_telemetry, "entries NULL", ADAPTQ_INVALID_ARGUMENT, "entries is NULL", (void)0,
        adaptq_session_telemetry(w.session, NULL, 8, &out.count));
  HARMLESS(adaptq_session_telemetry, "entries NULL with capacity 0", "count is 0", (void)0,
           adaptq_session_telemetry(w.session, NULL, 0, &out.count));
  WRONG_STRUCT_SIZES(adaptq_session_telemetry, adaptq_telemetry, out.telemetry[0].struct_size,
                     adaptq_session_telemetry(w.session, out.telemetry, 8, &out.count));
  HARMLESS(adaptq_session_telemetry, "capacity huge", "at most 256 entries are written", (void)0, telemetry_huge());
  WRONG_HANDLES(adaptq_session_telemetry_sites, adaptq_session, w.dead_session,
                adaptq_session_telemetry_sites(in.handle, 1, out.site_levels, 3));
  WRONG(adaptq_session_telemetry_sites, "levels NULL", ADAPTQ_INVALID_ARGUMENT, "levels is NULL", (void)0,
        adaptq_session_telemetry_sites(w.session, 1, NULL, 3));
  WRONG(adaptq_session_telemetry_sites, "count of another model", ADAPTQ_INVALID_ARGUMENT,
        "count is 4; the model has 3 sites", (void)0, adaptq_session_telemetry_sites(w.session, 1, out.site_levels, 4));
  WRONG(adaptq_session_telemetry_sites, "count huge", ADAPTQ_INVALID_ARGUMENT, "count is 18446744073709551615", (void)0,
        adaptq_session_telemetry_sites(w.session, 1, out.site_levels, SIZE_MAX));
  WRONG(adaptq_session_telemetry_sites, "sequence 0", ADAPTQ_NOT_FOUND, "sequence 0: not among the last 256", (void)0,
        adaptq_session_telemetry_sites(w.session, 0, out.site_levels, 3));
  WRONG(adaptq_session_telemetry_sites, "sequence huge", ADAPTQ_NOT_FOUND, "sequence 18446744073709551615", (void)0,
        adaptq_session_telemetry_sites(w.session, UINT64_MAX, out.site_levels, 3));
  WRONG_HANDLES(adaptq_session_memory, adaptq_session, w.dead_session, adaptq_session_memory(in.handle, &out.memory));
  WRONG(adaptq_session_memory, "memory NULL", ADAPTQ_INVALID_ARGUMENT, "memory is NULL", (void)0,
        adaptq_session_memory(w.session, NULL));
  WRONG_STRUCT_SIZES(adaptq_session_memory, adaptq_memory, out.memory.struct_size,
                     adaptq_session_memory(w.session, &out.memory));
  WRONG_HANDLES(adaptq_session_cancel, adaptq_session, w.dead_session, adaptq_session_cancel(in.handle));
  HARMLESS(adaptq_session_cancel, "without a run in progress", "nothing happens, the next run is not affected", (void)0,
           cancel_idle());
  WRONG_HANDLES(adaptq_session_set_trace, adaptq_session, w.dead_session,
                adaptq_session_set_trace(in.handle, trace_callback, NULL));
  HARMLESS(adaptq_session_set_trace, "callback NULL", "no trace", (void)0, adaptq_session_set_trace(w.session, NULL, NULL));
  while_busy(busy_questions);
}

static void busy_shadow(void) {
  WRONG(adaptq_session_shadow, when, ADAPTQ_BUSY, "a run or prepare is in progress", (void)0,
        adaptq_session_shadow(w.session, NULL, 0, NULL, &out.shadow));
  WRONG(adaptq_session_drift, when, ADAPTQ_BUSY, "a run or prepare is in progress", (void)0,
        adaptq_session_drift(w.session, out.drift, 4, &out.count));
}
static adaptq_status shadow_call(adaptq_session *session) {
  adaptq_status status = adaptq_session_shadow(session, list_in, n_inputs, &in.shadow, &out.shadow);
  counts_good();
  return status;
}
static adaptq_status shadow_of_the_last(void) {
  return adaptq_session_shadow(w.shadowing, NULL, 0, &in.shadow, &out.shadow);
}
static void session_shadow(void) {
  counts_good();
  WRONG_HANDLES(adaptq_session_shadow, adaptq_session, w.dead_session, shadow_call(in.handle));
  WRONG(adaptq_session_shadow, "not prepared", ADAPTQ_NOT_PREPARED, "the session is not prepared", (void)0,
        shadow_call(w.fresh));
  WRONG(adaptq_session_shadow, "a session without adaptq_session_options.shadow", ADAPTQ_UNSUPPORTED,
        "the session was created without adaptq_session_options.shadow", (void)0, shadow_call(w.session));
  WRONG(adaptq_session_shadow, "no inputs, and none kept", ADAPTQ_NOT_FOUND, "inputs: none given, and none kept", (void)0,
        shadow_of_the_last());
  WRONG(adaptq_session_shadow, "inputs NULL with n_inputs 2", ADAPTQ_INVALID_ARGUMENT, "inputs is NULL", list_in = NULL,
        shadow_call(w.shadowing));
  WRONG(adaptq_session_shadow, "n_inputs 0 with inputs", ADAPTQ_INVALID_ARGUMENT, "n_inputs is 0; the model has 2",
        n_inputs = 0, shadow_call(w.shadowing));
  WRONG(adaptq_session_shadow, "a size above what was prepared", ADAPTQ_OUT_OF_RANGE,
        "inputs[0].sizes[1] is 9, prepared for at most 8", in.inputs[0].sizes[1] = 9, shadow_call(w.shadowing));
  WRONG(adaptq_session_shadow, "input data NULL", ADAPTQ_INVALID_ARGUMENT, "inputs[0].data is NULL",
        in.inputs[0].data = NULL, shadow_call(w.shadowing));
  WRONG(adaptq_session_shadow, "input data_size one too small", ADAPTQ_BUFFER_TOO_SMALL,
        "inputs[0].data_size is 127, needs 128", in.inputs[0].data_size = 127, shadow_call(w.shadowing));
  WRONG(adaptq_session_shadow, "an index behind the table", ADAPTQ_INVALID_ARGUMENT,
        "index 11 at position 3: \"words\" has 11 rows", in.ids[3] = 11, shadow_call(w.shadowing));
  WRONG(adaptq_session_shadow, "no inputs after some that could not be run", ADAPTQ_NOT_FOUND, "none kept", (void)0,
        shadow_of_the_last());
  WRONG_STRUCT_SIZES(adaptq_session_shadow, adaptq_shadow_options, in.shadow.struct_size, shadow_call(w.shadowing));
  WRONG_STRUCT_SIZES(adaptq_session_shadow, adaptq_shadow_report, out.shadow.struct_size, shadow_call(w.shadowing));
  WRONG(adaptq_session_shadow, "plan negative", ADAPTQ_OUT_OF_RANGE, "adaptq_shadow_options.plan is -1; expected 0 to 63",
        in.shadow.plan = -1, shadow_call(w.shadowing));
  WRONG(adaptq_session_shadow, "plan that is none", ADAPTQ_OUT_OF_RANGE,
        "adaptq_shadow_options.plan is 10: the session has 10 plans", in.shadow.plan = 10, shadow_call(w.shadowing));
  WRONG(adaptq_session_shadow, "max_threads negative", ADAPTQ_INVALID_ARGUMENT, "adaptq_shadow_options.max_threads is -1",
        in.shadow.max_threads = -1, shadow_call(w.shadowing));
  WRONG(adaptq_session_shadow, "forget neither 0 nor 1", ADAPTQ_INVALID_ARGUMENT, "adaptq_shadow_options.forget is 2",
        in.shadow.forget = 2, shadow_call(w.shadowing));
  HARMLESS(adaptq_session_shadow, "options and report NULL", "defaults, no report", (void)0,
           adaptq_session_shadow(w.shadowing, list_in, n_inputs, NULL, NULL));
  WRONG_HANDLES(adaptq_session_report_quality, adaptq_session, w.dead_session,
                adaptq_session_report_quality(in.handle, 0, 0.5));
  WRONG(adaptq_session_report_quality, "plan negative", ADAPTQ_OUT_OF_RANGE, "plan is -1: the session has 10 plans", (void)0,
        adaptq_session_report_quality(w.session, -1, 0.5));
  WRONG(adaptq_session_report_quality, "plan that is none", ADAPTQ_OUT_OF_RANGE, "plan is 10: the session has 10 plans", (void)0,
        adaptq_session_report_quality(w.session, 10, 0.5));
  WRONG(adaptq_session_report_quality, "score negative", ADAPTQ_OUT_OF_RANGE, "score is -0.5; expected 0 to 1", (void)0,
        adaptq_session_report_quality(w.session, 0, -0.5));
  WRONG(adaptq_session_report_quality, "score NaN", ADAPTQ_OUT_OF_RANGE, "score is nan", (void)0,
        adaptq_session_report_quality(w.session, 0, (double)NAN));
  WRONG(adaptq_session_report_quality, "score infinite", ADAPTQ_OUT_OF_RANGE, "score is inf", (void)0,
        adaptq_session_report_quality(w.session, 0, (double)INFINITY));
  WRONG_HANDLES(adaptq_session_drift, adaptq_session, w.dead_session,
                adaptq_session_drift(in.handle, out.drift, 4, &out.count));
  WRONG(adaptq_session_drift, "count NULL", ADAPTQ_INVALID_ARGUMENT, "count is NULL", (void)0,
        adaptq_session_drift(w.session, out.drift, 4, NULL));
  WRONG(adaptq_session_drift, "sites NULL", ADAPTQ_INVALID_ARGUMENT, "sites is NULL", (void)0,
        adaptq_session_drift(w.session, NULL, 4, &out.count));
  WRONG(adaptq_session_drift, "capacity one too small", ADAPTQ_BUFFER_TOO_SMALL, "capacity is 2, needs 3", (void)0,
        adaptq_session_drift(w.session, out.drift, 2, &out.count));
  WRONG_STRUCT_SIZES(adaptq_session_drift, adaptq_site_drift, out.drift[0].struct_size,
                     adaptq_session_drift(w.session, out.drift, 4, &out.count));
  HARMLESS(adaptq_session_drift, "a session without adaptq_session_options.shadow", "nothing is observed", (void)0,
           adaptq_session_drift(w.session, out.drift, 4, &out.count));
  ANSWERS(adaptq_quality_source_name, "a value that is none", "`unknown`",
          strcmp(adaptq_quality_source_name(4), "unknown") == 0 && strcmp(adaptq_quality_source_name(-1), "unknown") == 0);
  while_busy(busy_shadow);
}

#endif
