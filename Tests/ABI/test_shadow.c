// Quality while the host runs: shadow runs, the host's own scores, drift of the sites' inputs, and what floors make of them. The
// model is the one of make_small.py, whose stored qualities are made up: far below what its plans really are.
#define _GNU_SOURCE
#include <pthread.h>
#include <unistd.h>

#include "small_session.h"

extern void adaptq_test_count_begin(void) __attribute__((weak));
extern long adaptq_test_count_end(void) __attribute__((weak));

#ifndef ADAPTQ_TESTS
#define ADAPTQ_TESTS "Tests"
#endif

enum { ENOUGH = 16 };

static int open_world_threads(world *w, int32_t shadow, int32_t threads) {
  adaptq_session_options options = {.struct_size = sizeof options, .shadow = shadow};
  adaptq_runtime_options runtime = {.struct_size = sizeof runtime, .threads = threads};
  return open_small_session(w, &runtime, &options);
}
static int open_world(world *w, int32_t shadow) { return open_world_threads(w, shadow, 0); }
#define OPEN_WORLD(w, shadow) world w; if (!open_world(&w, shadow)) return

static adaptq_run_report run(world *w) {
  adaptq_run_report report = {.struct_size = sizeof report};
  CHECK_STATUS(adaptq_session_run(w->session, w->inputs, 2, &w->output, 1, NULL, &report), ADAPTQ_OK);
  return report;
}

static adaptq_shadow_report shadow(world *w, int32_t plan) {
  adaptq_shadow_options options = {.struct_size = sizeof options, .plan = plan};
  adaptq_shadow_report report = {.struct_size = sizeof report};
  CHECK_STATUS(adaptq_session_shadow(w->session, NULL, 0, &options, &report), ADAPTQ_OK);
  return report;
}

static adaptq_plan_info plan_info(world *w, int plan) {
  adaptq_plan_info plans[PLANS] = {{.struct_size = sizeof plans[0]}};
  size_t count = 0;
  CHECK_STATUS(adaptq_session_plans(w->session, plans, PLANS, &count), ADAPTQ_OK);
  return plans[plan];
}

static void compares_and_leaves_the_rest(void) {
  OPEN_WORLD(w, 1);
  CHECK_STATUS(adaptq_session_shadow(w.session, NULL, 0, NULL, NULL), ADAPTQ_NOT_FOUND);
  run(&w);
  float before[WIDTH];
  memcpy(before, w.y, sizeof before);
  adaptq_plan_info fresh = plan_info(&w, 7);
  CHECK(fresh.shadow_samples == 0 && fresh.shadow_rows == 0 && fresh.shadow_mean_cosine == 0 && fresh.reports == 0);
  CHECK(fresh.mean_source == ADAPTQ_QUALITY_CALIBRATED && fresh.floor_mean_cosine == fresh.mean_cosine);
  for (int i = 1; i <= 20; i++) {
    adaptq_shadow_report report = shadow(&w, 7);
    CHECK(report.plan == 7 && report.rows == 1 && report.samples == i && report.reserved == 0);
    CHECK(report.mean_cosine > 0.5 && report.mean_cosine < 0.99 && report.snr_db > 1 && report.snr_db < 30);
    CHECK(report.reference_ns > 0 && report.plan_ns > 0 && report.latency_ns >= report.reference_ns + report.plan_ns);
    adaptq_plan_info info = plan_info(&w, 7);
    CHECK(info.shadow_samples == i && info.shadow_rows == i && info.mean_cosine == fresh.mean_cosine);
    CHECK(info.shadow_mean_cosine > report.mean_cosine - 1e-6 && info.shadow_mean_cosine < report.mean_cosine + 1e-6);
    CHECK(info.shadow_snr_db > report.snr_db - 0.01 && info.shadow_snr_db < report.snr_db + 0.01);
    CHECK_INT(info.mean_source, i < ENOUGH ? ADAPTQ_QUALITY_CALIBRATED : ADAPTQ_QUALITY_SHADOWED);
    if (i >= ENOUGH) CHECK(info.floor_mean_cosine > info.shadow_mean_cosine - 1e-8);
  }
  CHECK(memcmp(before, w.y, sizeof before) == 0);
  // Telemetry and sequence know nothing of it.
  adaptq_telemetry entries[4] = {{.struct_size = sizeof entries[0]}};
  size_t count = 0;
  CHECK_STATUS(adaptq_session_telemetry(w.session, entries, 4, &count), ADAPTQ_OK);
  CHECK(count == 1 && run(&w).sequence == 2);
  // All get their turn; preparing again keeps what was found.
  for (int i = 0; i < 40; i++) shadow(&w, 0);
  CHECK_STATUS(adaptq_session_prepare(w.session, w.inputs, 2), ADAPTQ_OK);
  for (int i = 1; i < PLANS; i++) CHECK(plan_info(&w, i).shadow_samples > 0);
  CHECK_INT(plan_info(&w, 0).shadow_samples, 0);
  // Given inputs, then forgotten.
  adaptq_shadow_options options = {.struct_size = sizeof options, .plan = 3, .forget = 1};
  adaptq_shadow_report report = {.struct_size = sizeof report};
  CHECK_STATUS(adaptq_session_shadow(w.session, w.inputs, 2, &options, &report), ADAPTQ_OK);
  CHECK(report.plan == 3 && report.samples == 1 && plan_info(&w, 7).shadow_samples == 0);
  CHECK_INT(plan_info(&w, 7).mean_source, ADAPTQ_QUALITY_CALIBRATED);
  close_world(&w);
}

static void floors_and_scores(void) {
  OPEN_WORLD(w, 1);
  CHECK_STATUS(adaptq_session_set_quality_floor(w.session, 0.99, 0, NULL), ADAPTQ_OK);
  adaptq_run_report report = run(&w);
  CHECK(report.plan == 0 && report.quality_source == ADAPTQ_QUALITY_CALIBRATED && report.mean_cosine == 1);
  CHECK_INT(plan_info(&w, 9).is_below_floor, 1);
  for (int i = 0; i < ENOUGH; i++) CHECK_STATUS(adaptq_session_report_quality(w.session, 9, 0.995), ADAPTQ_OK);
  run(&w);
  adaptq_plan_info info = plan_info(&w, 9);
  CHECK(info.mean_source == ADAPTQ_QUALITY_REPORTED && info.p5_source == ADAPTQ_QUALITY_CALIBRATED);
  CHECK(info.reports == ENOUGH && info.reported_mean > 0.9949 && info.reported_mean < 0.9951);
  CHECK_INT(info.is_below_floor, 0);
  // Plan 0 is bad, says the host: the next good one runs, and says why it may.
  for (int i = 0; i < ENOUGH; i++) CHECK_STATUS(adaptq_session_report_quality(w.session, 0, 0.25), ADAPTQ_OK);
  report = run(&w);
  CHECK(report.plan > 0 && report.level_changed == 1 && report.mean_cosine >= 0.99);
  CHECK_INT(plan_info(&w, 0).is_below_floor, 1);
  CHECK(strcmp(adaptq_quality_source_name(info.mean_source), "host-reported") == 0);
  close_world(&w);
}

static void drift_is_observed(void) {
  OPEN_WORLD(w, 1);
  adaptq_site_drift sites[SITES] = {{.struct_size = sizeof sites[0]}};
  size_t count = 0;
  CHECK_STATUS(adaptq_session_drift(w.session, NULL, 0, &count), ADAPTQ_BUFFER_TOO_SMALL);
  CHECK_INT(count, SITES);
  CHECK_STATUS(adaptq_session_drift(w.session, sites, SITES, &count), ADAPTQ_OK);
  for (int i = 0; i < SITES; i++) CHECK(sites[i].struct_size == sizeof sites[i] && sites[i].observed_rows == 0);
  run(&w);
  shadow(&w, 0);
  shadow(&w, 0);
  CHECK_STATUS(adaptq_session_drift(w.session, sites, SITES, &count), ADAPTQ_OK);
  CHECK_INT(sites[0].observed_rows, 0);
  for (int i = 1; i < SITES; i++) {
    // The file was not tuned: nothing to compare with.
    CHECK(sites[i].observed_rows == 2 * LENGTH && sites[i].calibrated_rows == 0 && sites[i].ratio == 0);
    CHECK(sites[i].observed_least > 0 && sites[i].observed_least <= sites[i].observed_mean);
    CHECK(sites[i].observed_mean <= sites[i].observed_greatest && sites[i].observed_deviation >= 0 && sites[i].rows_outside == 0);
  }
  close_world(&w);
}

// An older host's structs: what it does not know is not written.
static void older_structs(void) {
  OPEN_WORLD(w, 1);
  adaptq_plan_info plans[PLANS] = {{.struct_size = 96}};
  size_t count = 0;
  char *bytes = (char *)plans;
  canary_fill(bytes + 8, sizeof plans - 8);
  CHECK_STATUS(adaptq_session_plans(w.session, plans, PLANS, &count), ADAPTQ_OK);
  CHECK(canary_intact(bytes + 96 * PLANS, sizeof plans - 96 * PLANS));
  size_t size = 0;
  memcpy(&size, bytes + 96 * 9, sizeof size);
  CHECK_INT(size, 96);
  close_world(&w);
}

// Scores from several threads while runs and shadow runs go on: none is lost.
typedef struct { adaptq_session *session; double score; int failed; } scorer;
enum { SCORES = 2000 };
static void *keep_scoring(void *argument) {
  scorer *s = (scorer *)argument;
  for (int i = 0; i < SCORES; i++) s->failed += adaptq_session_report_quality(s->session, 2, s->score) != ADAPTQ_OK;
  return NULL;
}
static void scores_from_any_thread(void) {
  OPEN_WORLD(w, 1);
  CHECK_STATUS(adaptq_session_set_quality_floor(w.session, 0.5, 0, NULL), ADAPTQ_OK);
  scorer scorers[3] = {{w.session, 0.25, 0}, {w.session, 0.5, 0}, {w.session, 0.75, 0}};
  pthread_t threads[3];
  for (int i = 0; i < 3; i++) REQUIRE(pthread_create(&threads[i], NULL, keep_scoring, &scorers[i]) == 0);
  for (int i = 0; i < 200; i++) {
    run(&w);
    shadow(&w, 0);
  }
  for (int i = 0; i < 3; i++) {
    pthread_join(threads[i], NULL);
    CHECK_INT(scorers[i].failed, 0);
  }
  adaptq_plan_info info = plan_info(&w, 2);
  CHECK_INT(info.reports, 3 * SCORES);
  CHECK(info.reported_mean >= 0.25 && info.reported_mean <= 0.75);
  close_world(&w);
}

// A session that is shadowed by one thread while another one runs it: each call works or is busy.
typedef struct { world *w; int stop; long ok, other; } shadower;
static void *keep_shadowing(void *argument) {
  shadower *s = (shadower *)argument;
  while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
    adaptq_status status = adaptq_session_shadow(s->w->session, NULL, 0, NULL, NULL);
    s->ok += status == ADAPTQ_OK;
    s->other += status != ADAPTQ_OK && status != ADAPTQ_BUSY && status != ADAPTQ_CANCELLED && status != ADAPTQ_NOT_FOUND;
  }
  return NULL;
}
static void beside_runs(void) {
  OPEN_WORLD(w, 1);
  run(&w);
  shadower s = {&w, 0, 0, 0};
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, keep_shadowing, &s) == 0);
  for (int i = 0; i < 2000; i++) {
    adaptq_status status = adaptq_session_run(w.session, w.inputs, 2, &w.output, 1, NULL, NULL);
    CHECK(status == ADAPTQ_OK || status == ADAPTQ_BUSY || status == ADAPTQ_CANCELLED);
    if (i % 7 == 0) CHECK_STATUS(adaptq_session_cancel(w.session), ADAPTQ_OK);
    if (i % 50 == 0) usleep(100);
  }
  __atomic_store_n(&s.stop, 1, __ATOMIC_RELEASE);
  pthread_join(thread, NULL);
  CHECK(s.ok > 0 && s.other == 0);
  run(&w);
  close_world(&w);
}

// Warm shadow runs, scores and the runs that apply them allocate nothing and make no system call.
static void warm_calls(void) {
  world w;
  if (!open_world_threads(&w, 1, 1)) return;
  CHECK_STATUS(adaptq_session_set_quality_floor(w.session, 0.97, 0, NULL), ADAPTQ_OK);
  adaptq_shadow_options options = {.struct_size = sizeof options};
  adaptq_shadow_report report = {.struct_size = sizeof report};
  int failed = adaptq_session_run(w.session, w.inputs, 2, &w.output, 1, NULL, NULL);
  failed |= adaptq_session_shadow(w.session, NULL, 0, &options, &report);
  ssize_t ignored = write(-1, "adaptq-begin", 12);
  if (adaptq_test_count_begin) adaptq_test_count_begin();
  for (int i = 0; i < 600; i++) {
    failed |= adaptq_session_report_quality(w.session, i % PLANS, (double)(i % 11) / 10);
    failed |= adaptq_session_run(w.session, w.inputs, 2, &w.output, 1, NULL, NULL);
    options.forget = i == 500;
    failed |= adaptq_session_shadow(w.session, i % 3 == 0 ? w.inputs : NULL, i % 3 == 0 ? 2 : 0, &options, &report);
  }
  long allocations = adaptq_test_count_end ? adaptq_test_count_end() : -1;
  ignored += write(-1, "adaptq-end", 10);
  CHECK(ignored != 0);
  CHECK_INT(failed, 0);
  if (allocations >= 0) CHECK_INT(allocations, 0);
  close_world(&w);
}

// A file without plans: a floor waits for evidence.
static void without_plans(void) {
  adaptq_runtime *runtime = NULL;
  adaptq_model *model = NULL;
  adaptq_session *session = NULL;
  REQUIRE_OK(adaptq_runtime_create(NULL, &runtime));
  REQUIRE_OK(adaptq_model_open(runtime, ADAPTQ_TESTS "/ABI/growing.adaptq", &model));
  adaptq_session_options options = {.struct_size = sizeof options, .shadow = 1, .measure_ns = 1};
  REQUIRE_OK(adaptq_session_create(model, &options, &session));
  static float data[2 * 5 * 4], keys[2 * 8 * 4];
  for (int i = 0; i < 2 * 5 * 4; i++) data[i] = (float)(i % 7) - 3;
  adaptq_tensor x, y[2];
  tensor_shape(&x, ADAPTQ_TYPE_FLOAT32, 3, 2, 5, 4, data);
  REQUIRE_OK(adaptq_session_prepare(session, &x, 1));
  CHECK_STATUS(adaptq_session_set_quality_floor(session, 0.1, 0, NULL), ADAPTQ_OK);
  adaptq_plan_info plans[FIXTURE_LEVELS] = {{.struct_size = sizeof plans[0]}};
  size_t count = 0;
  REQUIRE_OK(adaptq_session_plans(session, plans, FIXTURE_LEVELS, &count));
  CHECK(plans[0].mean_source == ADAPTQ_QUALITY_UNKNOWN && plans[0].floor_mean_cosine == 0);
  // States do not move, however often; with no room left for a run there is none for a shadow either.
  size_t size = 0, after = 0;
  unsigned char saved[4096], again[4096];
  REQUIRE_OK(adaptq_session_state_save(session, saved, sizeof saved, &size));
  for (int i = 0; i < 20; i++) CHECK_STATUS(adaptq_session_shadow(session, &x, 1, NULL, NULL), ADAPTQ_OK);
  REQUIRE_OK(adaptq_session_state_save(session, again, sizeof again, &after));
  CHECK(size == after && memcmp(saved, again, size) == 0);
  static float out[2 * 5 * 4];
  tensor_shape(&y[0], ADAPTQ_TYPE_FLOAT32, 3, 2, 5, 4, out);
  tensor_shape(&y[1], ADAPTQ_TYPE_FLOAT32, 3, 2, 5, 4, keys);
  REQUIRE_OK(adaptq_session_run(session, &x, 1, y, 2, NULL, NULL));
  CHECK_ERROR(adaptq_session_shadow(session, NULL, 0, NULL, NULL), ADAPTQ_OUT_OF_RANGE, "has no room");
  CHECK_STATUS(adaptq_session_reset_state(session), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_shadow(session, NULL, 0, NULL, NULL), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  CHECK_STATUS(adaptq_model_destroy(model), ADAPTQ_OK);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
}

int main(void) {
  RUN(compares_and_leaves_the_rest);
  RUN(floors_and_scores);
  RUN(drift_is_observed);
  RUN(older_structs);
  RUN(scores_from_any_thread);
  RUN(beside_runs);
  RUN(warm_calls);
  RUN(without_plans);
  return check_end();
}
