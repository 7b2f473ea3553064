// One random call of each function. Named like the function without "adaptq_"; the status is what it answered.
#ifndef ADAPTQ_FUZZ_CALLS_H
#define ADAPTQ_FUZZ_CALLS_H

#include "arguments.h"

static void *OUT_OR_NULL(void *out) { return wrongly(12) ? NULL : out; }

static adaptq_status names(void) {
  size_t letters = strlen(adaptq_status_name(number32(100))) + strlen(adaptq_level_name(level())) +
                   strlen(adaptq_reason_name(number32(12))) + strlen(adaptq_quality_source_name(number32(4))) + strlen(adaptq_last_error()) +
                   strlen(adaptq_version_string()) + adaptq_option_count();
  return letters + (size_t)adaptq_has_feature(text()) + (size_t)adaptq_version_number() > 3 ? 0 : -1;
}
static adaptq_status option_describe(void) {
  adaptq_option_info *info = output();
  info->struct_size = struct_size(sizeof *info);
  return adaptq_option_describe(index_or_count(20), OUT_OR_NULL(info));
}
static adaptq_status runtime_create(void) {
  adaptq_runtime_options options = {0};
  adaptq_runtime *made = NULL;
  options.struct_size = struct_size(sizeof options);
  options.log = rarely(2) ? log_callback : NULL;
  options.log_level = number32(3);
  options.code_generation = number32(2);
  options.max_isa = number32(2);
  options.allocate = rarely(2) ? allocate : NULL;
  options.release = options.allocate || rarely(20) ? release : NULL;
  options.ignore_environment = number32(1);
  int32_t cpus[3] = {number32(1), number32(1), number32(9000)};
  if (rarely(2)) {
    options.parallel_for = parallel_for;
    options.parallel_for_threads = number32(4);
    if (wrongly(4)) options.threads = 2;
  } else {
    options.threads = wrongly(8) ? (rarely(2) ? -1 : INT32_MAX) : rarely(2) ? 1 : (int32_t)below(4);
    if (wrongly(3)) {
      options.cpu_set = wrongly(6) ? NULL : cpus;
      options.n_cpus = wrongly(6) ? SIZE_MAX : below(4);
    }
  }
  adaptq_status status = adaptq_runtime_create(rarely(4) ? NULL : &options, OUT_OR_NULL(&made));
  keep(RUNTIME, made);
  return status;
}
static adaptq_status runtime_threads(void) { return adaptq_runtime_threads(handle(RUNTIME), OUT_OR_NULL(output())); }
static adaptq_status runtime_machine(void) {
  adaptq_machine_info *info = odd_output();
  size_t size = struct_size(sizeof *info);
  memcpy(info, &size, sizeof size);
  return adaptq_runtime_machine(handle(RUNTIME), OUT_OR_NULL(info));
}
static adaptq_status runtime_thread_cpus(void) {
  size_t count = 0;
  return adaptq_runtime_thread_cpus(handle(RUNTIME), OUT_OR_NULL(output()), !wrongly(3) ? 4000 : index_or_count(2),
                                    OUT_OR_NULL(&count));
}
static adaptq_status runtime_level_kernels(void) {
  adaptq_level_kernels *info = odd_output();
  size_t size = struct_size(sizeof *info);
  memcpy(info, &size, sizeof size);
  return adaptq_runtime_level_kernels(handle(RUNTIME), level(), OUT_OR_NULL(info));
}
static adaptq_status runtime_power(void) {
  adaptq_power_info *info = odd_output();
  size_t size = struct_size(sizeof *info);
  memcpy(info, &size, sizeof size);
  return adaptq_runtime_power(handle(RUNTIME), OUT_OR_NULL(info));
}
static adaptq_status runtime_poll(void) {
  adaptq_power_info *info = odd_output();
  size_t size = struct_size(sizeof *info);
  memcpy(info, &size, sizeof size);
  return adaptq_runtime_poll(handle(RUNTIME), rarely(4) ? NULL : (void *)info);
}
static adaptq_status runtime_probe_json(void) {
  size_t length = 0;
  return adaptq_runtime_probe_json(handle(RUNTIME), OUT_OR_NULL(output()), !wrongly(3) ? BYTES : below(3000),
                                   OUT_OR_NULL(&length));
}
static adaptq_status runtime_telemetry_file(void) {
  static const char *const paths[] = {"", "/", "/dev/null", "/nonexistent/telemetry", "/tmp/\xff"};
  char path[64];
  // A file of its own, which goes with the runtime.
  snprintf(path, sizeof path, "/tmp/adaptq-fuzz-%d-%d-%ld", (int)getpid(), me->number, me->calls);
  adaptq_telemetry_file_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = struct_size(sizeof options);
  options.max_sessions = number32(3);
  options.max_records = wrongly(6) ? number32(40) : 16;
  options.max_sites = number32(20);
  return adaptq_runtime_telemetry_file(handle(RUNTIME), wrongly(6) ? (rarely(2) ? NULL : paths[below(5)]) : path,
                                       rarely(8) ? NULL : &options);
}
static adaptq_status destroy(enum kind kind, void *handle) {
  switch (kind) {
    case RUNTIME: return adaptq_runtime_destroy(handle);
    case MODEL: return adaptq_model_destroy(handle);
    case SESSION: return adaptq_session_destroy(handle);
    case TOKENIZER: return adaptq_tokenizer_destroy(handle);
    case MATRIX: return adaptq_matrix_destroy(handle);
    case GROUP: return adaptq_group_destroy(handle);
    default: return adaptq_matrix_file_destroy(handle);
  }
}
// Mostly the pool forgets what is destroyed; what it does not forget is used after that.
static adaptq_status destroy_some(enum kind kind) {
  void *handle_to_destroy = handle(kind);
  adaptq_status status = destroy(kind, handle_to_destroy);
  if (status != ADAPTQ_BUSY && !rarely(4))
    for (int i = 0; i < SLOTS; i++) {
      uintptr_t expected = (uintptr_t)handle_to_destroy;
      atomic_compare_exchange_strong(&pool[kind][i], &expected, 0);
    }
  return status;
}
static adaptq_status runtime_destroy(void) { return destroy_some(RUNTIME); }
static adaptq_status model_destroy(void) { return destroy_some(MODEL); }
static adaptq_status session_destroy(void) { return destroy_some(SESSION); }
static adaptq_status tokenizer_destroy(void) { return destroy_some(TOKENIZER); }
static adaptq_status matrix_destroy(void) { return destroy_some(MATRIX); }
static adaptq_status matrix_file_destroy(void) { return destroy_some(FILES); }
static adaptq_status group_destroy(void) { return destroy_some(GROUP); }

static adaptq_status model_open(void) {
  adaptq_model *made = NULL;
  adaptq_status status = adaptq_model_open(handle(RUNTIME), path(), OUT_OR_NULL(&made));
  keep(MODEL, made);
  return status;
}
static adaptq_status model_open_memory(void) {
  adaptq_model *made = NULL;
  int audio = rarely(2);
  size_t size = audio ? audio_size : small_size;
  char *copy = malloc(size);
  if (!copy) return 0;
  memcpy(copy, audio ? audio_file : small_file, size);
  size_t header = 8;
  memcpy(&header, copy, 8);
  if (wrongly(2)) copy[below(size)] ^= (char)(1 << below(8));
  else if (wrongly(2)) copy[8 + below(header)] = (char)next();
  adaptq_status status = adaptq_model_open_memory(handle(RUNTIME), wrongly(20) ? NULL : copy,
                                                  wrongly(8) ? below(size) : wrongly(20) ? SIZE_MAX : size, OUT_OR_NULL(&made));
  free(copy);
  keep(MODEL, made);
  return status;
}
static adaptq_status model_open_fd(void) {
  adaptq_model *made = NULL;
  int fd = wrongly(8) ? number32(2) + 1000 : small_fd;
  adaptq_status status = adaptq_model_open_fd(handle(RUNTIME), fd, wrongly(4) ? (uint64_t)number64(40000) : 0,
                                              wrongly(4) ? (uint64_t)number64(40000) : 0, OUT_OR_NULL(&made));
  keep(MODEL, made);
  return status;
}
static adaptq_status model_open_callback(void) {
  adaptq_model *made = NULL;
  adaptq_status status =
      adaptq_model_open_callback(handle(RUNTIME), wrongly(20) ? NULL : read_callback, NULL,
                                 wrongly(8) ? (uint64_t)number64(40000) : small_size, OUT_OR_NULL(&made));
  keep(MODEL, made);
  return status;
}
static adaptq_status model_input_count(void) { return adaptq_model_input_count(handle(MODEL), OUT_OR_NULL(output())); }
static adaptq_status model_output_count(void) { return adaptq_model_output_count(handle(MODEL), OUT_OR_NULL(output())); }
static adaptq_status model_site_count(void) { return adaptq_model_site_count(handle(MODEL), OUT_OR_NULL(output())); }
static adaptq_status model_levels(void) { return adaptq_model_levels(handle(MODEL), OUT_OR_NULL(output())); }
#define SIZED(type, name) \
  type *name = odd_output(); \
  size_t name##_size = struct_size(sizeof(type)); \
  memcpy(name, &name##_size, sizeof name##_size)
static adaptq_status model_input(void) {
  SIZED(adaptq_tensor_info, info);
  return adaptq_model_input(handle(MODEL), index_or_count(2), OUT_OR_NULL(info));
}
static adaptq_status model_output(void) {
  SIZED(adaptq_tensor_info, info);
  return adaptq_model_output(handle(MODEL), index_or_count(1), OUT_OR_NULL(info));
}
static adaptq_status model_site(void) {
  SIZED(adaptq_site_info, info);
  return adaptq_model_site(handle(MODEL), index_or_count(3), OUT_OR_NULL(info));
}
static adaptq_status model_metadata_count(void) {
  return adaptq_model_metadata_count(handle(MODEL), OUT_OR_NULL(output()));
}
static adaptq_status model_metadata(void) {
  const char **texts = output();
  return adaptq_model_metadata(handle(MODEL), index_or_count(3), OUT_OR_NULL(texts), OUT_OR_NULL(texts + 1));
}
static adaptq_status model_metadata_find(void) {
  return adaptq_model_metadata_find(handle(MODEL), me->is_good ? "author" : text(), OUT_OR_NULL(output()));
}
static adaptq_status model_memory(void) {
  SIZED(adaptq_memory, memory);
  return adaptq_model_memory(handle(MODEL), OUT_OR_NULL(memory));
}

static adaptq_status session_create(void) {
  adaptq_session_options options = {.struct_size = struct_size(sizeof options), .allowed_levels = (uint32_t)number32(63)};
  options.shadow = wrongly(20) ? number32(1) : rarely(2);
  options.choose_threads = wrongly(20) ? number32(1) : rarely(2);
  adaptq_session *made = NULL;
  adaptq_status status = adaptq_session_create(handle(MODEL), rarely(3) ? NULL : &options, OUT_OR_NULL(&made));
  if (made && rarely(2)) {
    adaptq_tensor tensors[2];
    fill_tensors(tensors, 2, me->in, 0, 1, made);
    (void)adaptq_session_prepare(made, tensors, 2);
  }
  keep(SESSION, made);
  return status;
}
static adaptq_status session_prepare(void) {
  adaptq_tensor tensors[3];
  void *session = handle(SESSION);
  fill_tensors(tensors, 3, me->in, 0, 1, session);
  return adaptq_session_prepare(session, OUT_OR_NULL(tensors), wrongly(10) ? index_or_count(3) : 2);
}
static adaptq_status session_output_shape(void) {
  adaptq_tensor tensors[3];
  SIZED(adaptq_tensor, shape);
  void *session = handle(SESSION);
  fill_tensors(tensors, 3, me->in, 0, 0, session);
  return adaptq_session_output_shape(session, OUT_OR_NULL(tensors), wrongly(10) ? index_or_count(3) : 2,
                                     wrongly(4) ? index_or_count(2) : 0, OUT_OR_NULL(shape));
}
static adaptq_status session_run(void) {
  adaptq_tensor inputs[3], outputs[3];
  adaptq_run_options options = {.struct_size = struct_size(sizeof options), .level = level()};
  adaptq_run_report report = {.struct_size = struct_size(sizeof report)};
  void *session = handle(SESSION);
  fill_tensors(inputs, 3, me->in, 0, 0, session);
  fill_tensors(outputs, 3, output(), 1, 0, session);
  size_t n_inputs = wrongly(10) ? index_or_count(3) : 2, n_outputs = outputs[0].rank == 3 ? 2 : 1;
  // Mostly the shapes that the session gives, so that many runs succeed.
  for (size_t i = 0; !wrongly(8) && i < n_outputs; i++) {
    adaptq_tensor shape = {.struct_size = sizeof shape};
    if (adaptq_session_output_shape(session, inputs, n_inputs, i, &shape) != ADAPTQ_OK) break;
    if (shape.data_size > BYTES / 4 - 1) break;
    shape.data = outputs[i].data;
    shape.data_size = outputs[i].data_size;
    outputs[i] = shape;
  }
  if (rarely(4)) options.deadline_ns = number64(1000000);
  if (wrongly(10)) options.deadline_ns = number64(1);
  if (rarely(3)) options.max_threads = number32(4);
  if (wrongly(20)) outputs[0].data = inputs[0].data;
  return adaptq_session_run(session, inputs, n_inputs, outputs, wrongly(20) ? index_or_count(3) : n_outputs,
                            rarely(2) ? NULL : &options, rarely(2) ? NULL : &report);
}
static adaptq_status session_cancel(void) { return adaptq_session_cancel(handle(SESSION)); }
static adaptq_status session_set_trace(void) {
  return adaptq_session_set_trace(handle(SESSION), rarely(2) ? trace_callback : NULL, NULL);
}
static adaptq_status session_memory(void) {
  SIZED(adaptq_memory, memory);
  return adaptq_session_memory(handle(SESSION), OUT_OR_NULL(memory));
}
static adaptq_status session_reset_state(void) { return adaptq_session_reset_state(handle(SESSION)); }
static adaptq_status session_state_save(void) {
  size_t size = 0;
  return adaptq_session_state_save(handle(SESSION), OUT_OR_NULL(odd_output()), rarely(3) ? below(BYTES - 1) : BYTES - 1,
                                   OUT_OR_NULL(&size));
}
static adaptq_status session_state_restore(void) {
  void *session = handle(SESSION);
  size_t size = 0;
  if (!rarely(4)) (void)adaptq_session_state_save(session, output(), BYTES, &size);
  if (rarely(4)) ((unsigned char *)output())[below(400)] ^= 1;
  if (rarely(8)) size = below(BYTES);
  return adaptq_session_state_restore(session, OUT_OR_NULL(output()), size);
}
static adaptq_status session_set_level(void) { return adaptq_session_set_level(handle(SESSION), level()); }
static adaptq_status session_set_allowed_levels(void) {
  return adaptq_session_set_allowed_levels(handle(SESSION), (uint32_t)number32(63));
}
static adaptq_status session_set_latency_budget(void) {
  static const double percentiles[] = {50, 90, 99.9, 0, 100, -1, 1e300, (double)__builtin_nanf(""), 1.0 / 3};
  return adaptq_session_set_latency_budget(handle(SESSION), number64(1000000), percentiles[below(me->is_good ? 3 : 9)]);
}
static adaptq_status session_costs(void) {
  size_t count = 0;
  SIZED(adaptq_level_cost, costs);
  return adaptq_session_costs(handle(SESSION), OUT_OR_NULL(costs), me->is_good ? 8 : index_or_count(8), OUT_OR_NULL(&count));
}
static adaptq_status session_prepare_info(void) {
  SIZED(adaptq_prepare_info, info);
  return adaptq_session_prepare_info(handle(SESSION), OUT_OR_NULL(info));
}
static adaptq_status session_export_costs(void) {
  size_t size = 0;
  return adaptq_session_export_costs(handle(SESSION), OUT_OR_NULL(odd_output()), rarely(3) ? below(BYTES - 1) : BYTES - 1,
                                     OUT_OR_NULL(&size));
}
static adaptq_status session_import_costs(void) {
  void *session = handle(SESSION);
  size_t size = 0;
  if (!rarely(4)) (void)adaptq_session_export_costs(session, output(), BYTES, &size);
  if (size > BYTES) size = 0;
  if (rarely(4)) ((unsigned char *)output())[below(400)] ^= 1;
  if (rarely(8)) size = below(BYTES);
  return adaptq_session_import_costs(session, OUT_OR_NULL(output()), size);
}
static adaptq_status session_plans(void) {
  size_t count = 0;
  SIZED(adaptq_plan_info, plans);
  return adaptq_session_plans(handle(SESSION), OUT_OR_NULL(plans), me->is_good ? 64 : index_or_count(64), OUT_OR_NULL(&count));
}
static adaptq_status session_plan_sites(void) {
  return adaptq_session_plan_sites(handle(SESSION), index_or_count(10), OUT_OR_NULL(output()),
                                   me->is_good ? 3 : index_or_count(20));
}
static adaptq_status session_set_quality_floor(void) {
  static const double floors[] = {0, 0.5, 0.999, 1, 0.96, -1, 1.5, 1e300, (double)__builtin_nanf("")};
  SIZED(adaptq_limit_report, report);
  return adaptq_session_set_quality_floor(handle(SESSION), floors[below(me->is_good ? 3 : 9)],
                                          floors[below(me->is_good ? 2 : 9)], OUT_OR_NULL(report));
}
static adaptq_status session_set_power_budget(void) {
  adaptq_power_budget budget = {.struct_size = struct_size(sizeof budget), .power_mw = (double)below(9), .active_mw = (double)below(99)};
  budget.window_ns = number64(1000000);
  budget.energy_mj = wrongly(8) ? __builtin_nan("") : (double)below(3);
  budget.static_mw = wrongly(8) ? -1 : (double)below(3);
  budget.mode = wrongly(8) ? number32(5) : (int32_t)below(2);
  budget.attribution = wrongly(8) ? number32(5) : (int32_t)below(3);
  budget.max_wait_ns = (int64_t)below(3) * 10000;
  budget.thread_mw = wrongly(8) ? -1 : (double)below(3);
  SIZED(adaptq_limit_report, report);
  return adaptq_session_set_power_budget(handle(SESSION), rarely(4) ? NULL : &budget, OUT_OR_NULL(report));
}
static adaptq_status session_power_budget(void) {
  SIZED(adaptq_power_budget, budget);
  return adaptq_session_power_budget(handle(SESSION), OUT_OR_NULL(budget));
}
static adaptq_status session_shadow(void) {
  adaptq_shadow_options options;
  adaptq_tensor inputs[3];
  SIZED(adaptq_shadow_report, report);
  memset(&options, 0, sizeof options);
  options.struct_size = wrongly(20) ? below(100) : sizeof options;
  options.plan = rarely(3) ? number32(10) : 0;
  options.max_threads = rarely(4) ? number32(4) : 0;
  options.forget = rarely(8) ? number32(1) : 0;
  void *session = handle(SESSION);
  fill_tensors(inputs, 3, me->in, 0, 0, session);
  int is_given = rarely(2);
  return adaptq_session_shadow(session, is_given ? inputs : NULL, is_given ? 2 : wrongly(20) ? index_or_count(3) : 0,
                               rarely(2) ? NULL : &options, OUT_OR_NULL(report));
}
static adaptq_status session_report_quality(void) {
  static const double scores[] = {0, 0.5, 1, 0.999, 1.0 / 3, -1, 1.5, (double)__builtin_nanf("")};
  return adaptq_session_report_quality(handle(SESSION), me->is_good ? 0 : number32(10), scores[below(me->is_good ? 5 : 8)]);
}
static adaptq_status session_drift(void) {
  size_t count = 0;
  SIZED(adaptq_site_drift, sites);
  return adaptq_session_drift(handle(SESSION), OUT_OR_NULL(sites), me->is_good ? 20 : index_or_count(20), OUT_OR_NULL(&count));
}
static adaptq_status session_set_budget(void) {
  static const double shares[] = {0, 0.5, 0.999, 1, 50, 99.9, -1, 1e300, (double)__builtin_nanf("")};
  SIZED(adaptq_limit_report, report);
  SIZED(adaptq_budget, budget);
  budget->latency_ns = number64(10000000);
  budget->percentile = me->is_good ? 90 : shares[below(9)];
  budget->mean_cosine = shares[below(me->is_good ? 3 : 9)];
  budget->p5_cosine = shares[below(me->is_good ? 2 : 9)];
  budget->allowed_levels = (uint32_t)number32(63);
  budget->reserved = wrongly(20);
  return adaptq_session_set_budget(handle(SESSION), rarely(4) ? NULL : budget, OUT_OR_NULL(report));
}
static adaptq_status session_telemetry(void) {
  size_t count = 0;
  SIZED(adaptq_telemetry, entries);
  return adaptq_session_telemetry(handle(SESSION), OUT_OR_NULL(entries), index_or_count(300), OUT_OR_NULL(&count));
}
static adaptq_status session_telemetry_sites(void) {
  return adaptq_session_telemetry_sites(handle(SESSION), (uint64_t)number64(20), OUT_OR_NULL(output()),
                                        me->is_good ? 3 : index_or_count(20));
}

static adaptq_status tokenizer_create(void) {
  adaptq_tokenizer *made = NULL;
  adaptq_status status = adaptq_tokenizer_create(handle(MODEL), OUT_OR_NULL(&made));
  keep(TOKENIZER, made);
  return status;
}
static adaptq_status tokenizer_get_info(void) {
  SIZED(adaptq_tokenizer_info, info);
  return adaptq_tokenizer_get_info(handle(TOKENIZER), OUT_OR_NULL(info));
}
static adaptq_status tokenizer_encode(void) {
  char letters[64];
  static const char alphabet[] = "abc smalls\xc3\xa4\xe4\xbd\xa0[CLS]#.\n\xff";
  size_t length = below(sizeof letters), count = 0;
  for (size_t i = 0; i < length; i++) letters[i] = alphabet[wrongly(8) ? below(sizeof alphabet - 1) : below(9)];
  return adaptq_tokenizer_encode(handle(TOKENIZER), OUT_OR_NULL(letters), wrongly(20) ? SIZE_MAX : length,
                                 wrongly(2) ? number64(20) : 0, OUT_OR_NULL(output()), !wrongly(2) ? 200 : index_or_count(8), OUT_OR_NULL(&count));
}

static adaptq_status matrix_create(void) {
  adaptq_matrix_options options = {.struct_size = struct_size(sizeof options)};
  adaptq_matrix *made = NULL;
  float bad[80 * 160];
  options.name = wrongly(2) ? text() : NULL;
  options.n = wrongly(12) ? distance(1) : 1 + (int64_t)below(80);
  options.k = wrongly(12) ? distance(1) : 1 + (int64_t)below(80);
  options.weights = weights;
  // Room for 80 x 80 weights two apart.
  if (rarely(8)) options.column_stride = rarely(2) ? 2 : 1;
  if (wrongly(8)) options.row_stride = rarely(2) ? 160 : options.k;
  if (wrongly(20)) options.row_stride = distance(0), options.column_stride = -1;
  if (wrongly(10)) {
    memcpy(bad, weights, sizeof bad);
    bad[below(6400)] = rarely(2) ? __builtin_nanf("") : 1e38f;
    options.weights = bad;
  }
  options.bias = rarely(2) ? weights : NULL;
  options.weight_type = me->is_good ? 0 : number32(3);
  options.group_size = wrongly(10) ? number32(64) : 0;
  options.keep = wrongly(20) ? (uint32_t)number32(63) : (uint32_t)below(4) * ADAPTQ_ALLOW_FP16;
  options.expand = number32(2);
  options.max_rows = rarely(2) ? number64(20) : 0;
  if (options.max_rows > (1 << 20) && options.max_rows <= INT64_C(1) << 45) options.max_rows = INT64_MAX;
  adaptq_status status = adaptq_matrix_create(handle(RUNTIME), OUT_OR_NULL(&options), OUT_OR_NULL(&made));
  keep(MATRIX, made);
  return status;
}
static adaptq_status matrix_get_info(void) {
  SIZED(adaptq_matrix_info, info);
  return adaptq_matrix_get_info(handle(MATRIX), OUT_OR_NULL(info));
}
// Rows of at most 100 elements, at most 20 of them: a quarter of the memory holds them.
static adaptq_multiply some_product(void) {
  adaptq_multiply call = {.struct_size = struct_size(sizeof call)};
  unsigned char *in = me->in, *out = output();
  call.level = wrongly(4) ? level() : ADAPTQ_LEVEL_INT2 * (1 + (int32_t)below(4));
  call.activation = number32(3);
  call.rows = wrongly(12) ? distance(1) : 1 + (int64_t)below(me->is_good ? 16 : 20);
  call.x = (void *)(in + (rarely(4) ? 1 : 0));
  if (rarely(3)) {
    call.codes = (int8_t *)in + BYTES / 4;
    call.scales = (void *)(in + BYTES / 2);
    call.x = wrongly(10) ? call.x : NULL;
  }
  call.y = (void *)(out + (rarely(4) ? 1 : 0));
  call.residual = rarely(3) ? (void *)(wrongly(10) ? out : in + BYTES / 4 * 3) : NULL;
  int64_t *strides[] = {&call.x_stride, &call.codes_stride, &call.scales_stride, &call.y_stride, &call.residual_stride};
  for (int i = 0; i < 5; i++) if (wrongly(4)) *strides[i] = distance(100);
  if (rarely(3)) {
    call.workspace = out + BYTES / 2 + below(64);
    call.workspace_size = wrongly(4) ? below(BYTES / 4) : BYTES / 4;
  }
  call.no_bias = number32(1);
  return call;
}
static adaptq_status matrix_multiply(void) {
  adaptq_multiply call = some_product();
  return adaptq_matrix_multiply(handle(MATRIX), OUT_OR_NULL(&call));
}
static adaptq_status matrix_workspace_size(void) {
  return adaptq_matrix_workspace_size(handle(MATRIX), number64(100), OUT_OR_NULL(output()));
}
static adaptq_status matrix_quantize(void) {
  unsigned char *out = output();
  return adaptq_matrix_quantize(handle(MATRIX), wrongly(12) ? distance(1) : 1 + (int64_t)below(20), OUT_OR_NULL(me->in),
                                !wrongly(2) ? 0 : distance(100), OUT_OR_NULL(out), !wrongly(2) ? 0 : distance(100),
                                OUT_OR_NULL(out + BYTES / 2), !wrongly(2) ? 0 : distance(5));
}
static adaptq_status matrix_save(void) {
  adaptq_matrix *matrices[3] = {handle(MATRIX), handle(MATRIX), handle(MATRIX)};
  return adaptq_matrix_save(OUT_OR_NULL(matrices), wrongly(10) ? number64(2) < 0 ? SIZE_MAX : 0 : 1 + (size_t)wrongly(2),
                            wrongly(4) ? "/no/such/folder/x" : me->path);
}
static adaptq_status matrix_file_open(void) {
  adaptq_matrix_file *made = NULL;
  adaptq_status status = adaptq_matrix_file_open(handle(RUNTIME), wrongly(8) ? path() : me->path, OUT_OR_NULL(&made));
  keep(FILES, made);
  return status;
}
static adaptq_status matrix_file_open_memory(void) {
  adaptq_matrix_file *made = NULL;
  FILE *file = fopen(me->path, "rb");
  size_t size = file ? fread(me->in, 1, BYTES, file) : 100;
  if (file) fclose(file);
  if (wrongly(2)) me->in[below(size ? size : 1)] ^= (unsigned char)(1 << below(8));
  adaptq_status status = adaptq_matrix_file_open_memory(handle(RUNTIME), OUT_OR_NULL(me->in),
                                                        wrongly(8) ? below(size + 1) : size, OUT_OR_NULL(&made));
  keep(FILES, made);
  return status;
}
static adaptq_status matrix_file_count(void) { return adaptq_matrix_file_count(handle(FILES), OUT_OR_NULL(output())); }
static adaptq_status matrix_file_name(void) {
  return adaptq_matrix_file_name(handle(FILES), index_or_count(1), OUT_OR_NULL(output()));
}
static adaptq_status matrix_open(void) {
  adaptq_matrix_open_options options = {.struct_size = struct_size(sizeof options), .max_rows = number64(20),
                                        .expand = number32(2)};
  adaptq_matrix *made = NULL;
  if (options.max_rows > 1000) options.max_rows = INT64_MAX;
  adaptq_status status =
      adaptq_matrix_open(handle(FILES), wrongly(3) ? text() : "", rarely(2) ? NULL : &options, OUT_OR_NULL(&made));
  keep(MATRIX, made);
  return status;
}

static adaptq_status group_create(void) {
  adaptq_group_options options = {.struct_size = struct_size(sizeof options), .allowed_levels = (uint32_t)number32(63)};
  adaptq_matrix *matrices[3] = {handle(MATRIX), handle(MATRIX), handle(MATRIX)};
  double importance[3] = {1 + (double)below(3), 1, wrongly(6) ? -1 : 2};
  adaptq_group *made = NULL;
  options.reserved = wrongly(20);
  options.max_rows = number64(20);
  if (options.max_rows > (1 << 20) && options.max_rows <= INT64_C(1) << 45) options.max_rows = INT64_MAX;
  options.measure_ns = 1 + number64(1000);
  options.importance = rarely(2) ? importance : NULL;
  adaptq_status status = adaptq_group_create(handle(RUNTIME), OUT_OR_NULL(matrices), wrongly(12) ? 0 : 1 + below(3),
                                             rarely(4) ? NULL : &options, OUT_OR_NULL(&made));
  keep(GROUP, made);
  return status;
}
static adaptq_status group_set_latency_budget(void) {
  return adaptq_group_set_latency_budget(handle(GROUP), number64(1000000), wrongly(8) ? (double)number32(200) : 50 + (double)below(49));
}
static adaptq_status group_set_deadline(void) { return adaptq_group_set_deadline(handle(GROUP), number64(1000000)); }
static adaptq_status group_set_power_budget(void) {
  adaptq_power_budget budget = {.struct_size = struct_size(sizeof budget), .power_mw = (double)below(9), .active_mw = (double)below(99)};
  budget.window_ns = number64(1000000);
  budget.energy_mj = wrongly(8) ? __builtin_nan("") : (double)below(3);
  budget.static_mw = wrongly(8) ? -1 : (double)below(3);
  return adaptq_group_set_power_budget(handle(GROUP), rarely(4) ? NULL : &budget);
}
static adaptq_status group_set_level(void) { return adaptq_group_set_level(handle(GROUP), level()); }
static adaptq_status group_plans(void) {
  adaptq_group_plan *plans = odd_output();
  size_t size = struct_size(sizeof *plans), count = 0;
  memcpy(plans, &size, sizeof size);
  return adaptq_group_plans(handle(GROUP), OUT_OR_NULL(plans), wrongly(3) ? below(3) : 256, OUT_OR_NULL(&count));
}
static adaptq_status group_plan_levels(void) {
  return adaptq_group_plan_levels(handle(GROUP), index_or_count(3), OUT_OR_NULL(output()), 1 + below(3));
}
static adaptq_status group_begin(void) {
  if (rarely(2)) return adaptq_group_begin(handle(GROUP), number64(2), NULL, 0);
  return adaptq_group_begin(handle(GROUP), number64(2), OUT_OR_NULL(output()), 1 + below(3));
}
static adaptq_status group_multiply(void) {
  adaptq_multiply call = some_product();
  if (!wrongly(4)) call.level = ADAPTQ_LEVEL_AUTO;
  if (!wrongly(4)) call.workspace = NULL, call.workspace_size = 0;
  return adaptq_group_multiply(handle(GROUP), index_or_count(2), OUT_OR_NULL(&call));
}
static adaptq_status group_end(void) {
  SIZED(adaptq_frame_report, report);
  return adaptq_group_end(handle(GROUP), OUT_OR_NULL(report));
}
static adaptq_status group_abandon(void) { return adaptq_group_abandon(handle(GROUP)); }

#endif
