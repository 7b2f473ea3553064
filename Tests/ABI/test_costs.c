// Costs that one session exports and another imports: nothing is measured then.
#define _GNU_SOURCE
#include "fixture.h"

enum { LENGTH = 8, MOST = 1 << 22 };

static adaptq_session *created(fixture *f, uint32_t levels) {
  adaptq_session *session = NULL;
  adaptq_session_options options = {.struct_size = sizeof options, .allowed_levels = levels};
  CHECK_STATUS(adaptq_session_create(f->model, &options, &session), ADAPTQ_OK);
  return session;
}

static adaptq_prepare_info info_of(adaptq_session *session) {
  adaptq_prepare_info info = {.struct_size = sizeof info};
  CHECK_STATUS(adaptq_session_prepare_info(session, &info), ADAPTQ_OK);
  return info;
}

static unsigned char *exported(adaptq_session *session, size_t *size) {
  CHECK_STATUS(adaptq_session_export_costs(session, NULL, 0, size), ADAPTQ_BUFFER_TOO_SMALL);
  unsigned char *bytes = *size > 0 && *size < MOST ? (unsigned char *)malloc(*size) : NULL;
  CHECK(bytes != NULL);
  if (bytes) CHECK_STATUS(adaptq_session_export_costs(session, bytes, *size, size), ADAPTQ_OK);
  return bytes;
}

static void imported_costs_replace_measuring(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *first = fixture_session(&f, &t, 0, 1, LENGTH);
  REQUIRE(first != NULL);
  adaptq_prepare_info info = info_of(first);
  CHECK(info.measure_runs >= 1 && info.measure_ns > 0 && info.costs_imported == 0 && info.threads >= 1);
  for (int i = 0; i < 20; i++) CHECK_STATUS(fixture_run(&f, first, &t, NULL, NULL), ADAPTQ_OK);
  size_t size = 0;
  unsigned char *bytes = exported(first, &size);
  REQUIRE(bytes != NULL);

  adaptq_session *second = created(&f, 0);
  CHECK_STATUS(adaptq_session_import_costs(second, bytes, size), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_prepare(second, t.inputs, f.n_inputs), ADAPTQ_OK);
  info = info_of(second);
  CHECK_INT(info.measure_runs, 0);
  CHECK_INT(info.measure_ns, 0);
  CHECK_INT(info.costs_imported, 1);
  adaptq_level_cost costs[2][FIXTURE_LEVELS] = {{{.struct_size = sizeof costs[0][0]}}, {{.struct_size = sizeof costs[0][0]}}};
  size_t count[2] = {0};
  CHECK_STATUS(adaptq_session_costs(first, costs[0], FIXTURE_LEVELS, &count[0]), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_costs(second, costs[1], FIXTURE_LEVELS, &count[1]), ADAPTQ_OK);
  CHECK(count[0] == count[1] && memcmp(costs[0], costs[1], count[0] * sizeof costs[0][0]) == 0);
  // It runs, under a budget too, and says what it learns.
  CHECK_STATUS(adaptq_session_set_latency_budget(second, 1000000000, 95), ADAPTQ_OK);
  adaptq_run_report report;
  CHECK_STATUS(fixture_run(&f, second, &t, NULL, &report), ADAPTQ_OK);
  CHECK_INT(report.budget_unreachable, 0);
  size_t other = 0;
  unsigned char *again = exported(second, &other);
  CHECK_INT(other, size);
  free(again);

  // Other sizes are measured.
  adaptq_tensor smaller[FIXTURE_TENSORS];
  memcpy(smaller, t.inputs, sizeof smaller);
  for (size_t i = 0; i < f.n_inputs; i++) smaller[i].sizes[1] = LENGTH - 1;
  CHECK_STATUS(adaptq_session_prepare(second, smaller, f.n_inputs), ADAPTQ_OK);
  info = info_of(second);
  CHECK(info.measure_runs > 0 && info.costs_imported == 0);
  free(bytes);
  CHECK_STATUS(adaptq_session_destroy(second), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_destroy(first), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

static void costs_of_something_else_are_named(void) {
  OPEN_FIXTURE_THREADS(f, 1);
  tensors t;
  adaptq_session *first = fixture_session(&f, &t, 0, 1, LENGTH);
  REQUIRE(first != NULL);
  size_t size = 0;
  unsigned char *bytes = exported(first, &size);
  REQUIRE(bytes != NULL);
  // Other threads, other instructions.
  adaptq_runtime_options options[2] = {{.struct_size = sizeof options[0], .threads = 2},
                                       {.struct_size = sizeof options[0], .threads = 1, .max_isa = ADAPTQ_ISA_PORTABLE}};
  const char *parts[2] = {"threads is 1, here 2", "here portable"};
  for (int i = 0; i < 2; i++) {
    fixture other;
    REQUIRE(fixture_open_with(&other, &options[i]));
    adaptq_session *session = created(&other, 0);
    CHECK_ERROR(adaptq_session_import_costs(session, bytes, size), ADAPTQ_UNSUPPORTED, parts[i]);
    CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
    fixture_close(&other);
  }
  adaptq_session *fewer = created(&f, ADAPTQ_ALLOW_INT8);
  CHECK_ERROR(adaptq_session_import_costs(fewer, bytes, size), ADAPTQ_UNSUPPORTED, "levels is ");
  CHECK_STATUS(adaptq_session_destroy(fewer), ADAPTQ_OK);
  // Nothing has changed: the session measures.
  adaptq_session *damaged = created(&f, 0);
  for (size_t at = 0; at < size; at += size / 50 + 1) {
    bytes[at] ^= 0x10;
    adaptq_status status = adaptq_session_import_costs(damaged, bytes, size);
    CHECK(status == ADAPTQ_INVALID_ARGUMENT || status == ADAPTQ_UNSUPPORTED_VERSION);
    bytes[at] ^= 0x10;
    CHECK_STATUS(adaptq_session_import_costs(damaged, bytes, at), ADAPTQ_INVALID_ARGUMENT);
  }
  CHECK_STATUS(adaptq_session_prepare(damaged, t.inputs, f.n_inputs), ADAPTQ_OK);
  CHECK(info_of(damaged).measure_runs > 0);
  CHECK_STATUS(adaptq_session_destroy(damaged), ADAPTQ_OK);
  free(bytes);
  CHECK_STATUS(adaptq_session_destroy(first), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

int main(void) {
  RUN(imported_costs_replace_measuring);
  RUN(costs_of_something_else_are_named);
  CHECK_INT(adaptq_has_feature("costs"), 1);
  return check_end();
}
