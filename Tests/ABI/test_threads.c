// Several threads: one session refuses a second call, setters are free at any time, sessions run in parallel.
#define _GNU_SOURCE
#include <pthread.h>
#include <unistd.h>

#include "fixture.h"

// A thread that runs one session over and over. `inside` is 1 around each call of adaptq_session_run().
typedef struct {
  const fixture *f;
  adaptq_session *session;
  tensors t;
  int stop, inside;
  long ok, busy, dead, other;
  adaptq_status last_other;
} runner;

static void *keep_running(void *argument) {
  runner *r = (runner *)argument;
  while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
    __atomic_store_n(&r->inside, 1, __ATOMIC_RELEASE);
    adaptq_status status = fixture_run(r->f, r->session, &r->t, NULL, NULL);
    __atomic_store_n(&r->inside, 0, __ATOMIC_RELEASE);
    if (status == ADAPTQ_OK) __atomic_fetch_add(&r->ok, 1, __ATOMIC_RELAXED);
    else if (status == ADAPTQ_BUSY) __atomic_fetch_add(&r->busy, 1, __ATOMIC_RELAXED);
    else if (status == ADAPTQ_INVALID_HANDLE) { r->dead++; break; }
    else { r->other++; r->last_other = status; }
  }
  return NULL;
}

static int start_runner(runner *r, pthread_t *thread, const fixture *f, int64_t batch, int64_t length) {
  memset(r, 0, sizeof *r);
  r->f = f;
  r->session = fixture_session(f, &r->t, fixture_allow[fixture_best_level(f->levels)], batch, length);
  return r->session != NULL && pthread_create(thread, NULL, keep_running, r) == 0;
}

static void stop_runner(runner *r, pthread_t thread) {
  __atomic_store_n(&r->stop, 1, __ATOMIC_RELEASE);
  pthread_join(thread, NULL);
  if (r->other) check_fail(__FILE__, __LINE__, "a run gave %s", adaptq_status_name(r->last_other));
}

static void wait_until_inside(const runner *r) {
  for (long spins = 0; !__atomic_load_n(&r->inside, __ATOMIC_ACQUIRE) && spins < 2000000000L; spins++) {}
  // Most likely past the checks and in the middle of the run, whose length is some milliseconds.
  usleep(1000);
}

// A call that must be refused during a run. It may hit the gap between two runs and succeed; that it is refused within
// many attempts is certain enough, since the runner spends nearly all its time inside.
enum { ATTEMPTS = 100, BATCH = 4, LENGTH = 32 };

static void run_is_refused_during_run(void) {
  OPEN_FIXTURE(f);
  runner r;
  pthread_t thread;
  REQUIRE(start_runner(&r, &thread, &f, BATCH, LENGTH));
  tensors mine = r.t;
  for (size_t i = 0; i < f.n_outputs; i++) mine.outputs[i].data = malloc(mine.outputs[i].data_size);
  int busy = 0;
  for (int i = 0; i < ATTEMPTS && !busy; i++) {
    wait_until_inside(&r);
    for (size_t k = 0; k < f.n_outputs; k++) canary_fill(mine.outputs[k].data, mine.outputs[k].data_size);
    adaptq_run_report report;
    canary_fill(&report, sizeof report);
    report.struct_size = sizeof report;
    adaptq_status status =
        adaptq_session_run(r.session, mine.inputs, f.n_inputs, mine.outputs, f.n_outputs, NULL, &report);
    CHECK(status == ADAPTQ_OK || status == ADAPTQ_BUSY);
    busy = status == ADAPTQ_BUSY;
    if (!busy) continue;
    CHECK(canary_intact(mine.outputs[0].data, mine.outputs[0].data_size));
    CHECK(canary_intact(&report.sequence, sizeof report - offsetof(adaptq_run_report, sequence)));
    CHECK(strlen(adaptq_last_error()) > 0);
  }
  CHECK(busy);
  stop_runner(&r, thread);
  CHECK(r.ok > 0);
  CHECK_STATUS(adaptq_session_destroy(r.session), ADAPTQ_OK);
  for (size_t i = 0; i < f.n_outputs; i++) free(mine.outputs[i].data);
  tensors_free(&f, &r.t);
  fixture_close(&f);
}

static void prepare_and_telemetry_are_refused_during_run(void) {
  OPEN_FIXTURE(f);
  runner r;
  pthread_t thread;
  REQUIRE(start_runner(&r, &thread, &f, BATCH, LENGTH));
  static adaptq_telemetry entries[256];
  adaptq_level *levels = (adaptq_level *)calloc(f.n_sites, sizeof *levels);
  int prepare_busy = 0, telemetry_busy = 0, sites_busy = 0;
  for (int i = 0; i < ATTEMPTS && !(prepare_busy && telemetry_busy && sites_busy); i++) {
    size_t count = 77;
    adaptq_status status;
    for (int k = 0; k < 256; k++) entries[k].struct_size = sizeof entries[k];
    if (!telemetry_busy) {
      wait_until_inside(&r);
      status = adaptq_session_telemetry(r.session, entries, 256, &count);
      CHECK(status == ADAPTQ_OK || status == ADAPTQ_BUSY);
      telemetry_busy = status == ADAPTQ_BUSY;
      if (telemetry_busy) CHECK_INT(count, 77);
    }
    if (!sites_busy) {
      wait_until_inside(&r);
      status = adaptq_session_telemetry_sites(r.session, 1, levels, f.n_sites);
      CHECK(status == ADAPTQ_OK || status == ADAPTQ_BUSY || status == ADAPTQ_NOT_FOUND);
      sites_busy = status == ADAPTQ_BUSY;
    }
    if (!prepare_busy) {
      wait_until_inside(&r);
      status = adaptq_session_prepare(r.session, r.t.inputs, f.n_inputs);
      CHECK(status == ADAPTQ_OK || status == ADAPTQ_BUSY);
      prepare_busy = status == ADAPTQ_BUSY;
    }
  }
  CHECK(prepare_busy && telemetry_busy && sites_busy);
  stop_runner(&r, thread);
  CHECK_STATUS(adaptq_session_destroy(r.session), ADAPTQ_OK);
  free(levels);
  tensors_free(&f, &r.t);
  fixture_close(&f);
}

static void destroy_is_refused_during_run(void) {
  OPEN_FIXTURE(f);
  int busy = 0;
  for (int attempt = 0; attempt < 20 && !busy; attempt++) {
    runner r;
    pthread_t thread;
    REQUIRE(start_runner(&r, &thread, &f, BATCH, LENGTH));
    wait_until_inside(&r);
    adaptq_status status = adaptq_session_destroy(r.session);
    CHECK(status == ADAPTQ_OK || status == ADAPTQ_BUSY);
    busy = status == ADAPTQ_BUSY;
    if (!busy) {
      // The gap between two runs: then the session is gone, and the runner is told so.
      pthread_join(thread, NULL);
      CHECK_INT(r.dead, 1);
      tensors_free(&f, &r.t);
      continue;
    }
    // Nothing was destroyed.
    stop_runner(&r, thread);
    CHECK_INT(r.dead, 0);
    CHECK_STATUS(fixture_run(&f, r.session, &r.t, NULL, NULL), ADAPTQ_OK);
    CHECK_STATUS(adaptq_session_destroy(r.session), ADAPTQ_OK);
    CHECK_STATUS(fixture_run(&f, r.session, &r.t, NULL, NULL), ADAPTQ_INVALID_HANDLE);
    tensors_free(&f, &r.t);
  }
  CHECK(busy);
  fixture_close(&f);
}

static void setters_during_run(void) {
  OPEN_FIXTURE(f);
  runner r;
  pthread_t thread;
  REQUIRE(start_runner(&r, &thread, &f, 1, 16));
  uint32_t allowed = fixture_allow[fixture_best_level(f.levels)];
  for (int i = 0; i < 3000 || __atomic_load_n(&r.ok, __ATOMIC_RELAXED) < 50; i++) {
    CHECK_STATUS(adaptq_session_set_level(r.session, i % 2 ? ADAPTQ_LEVEL_AUTO : fixture_level[fixture_best_level(f.levels)]),
                 ADAPTQ_OK);
    CHECK_STATUS(adaptq_session_set_allowed_levels(r.session, i % 3 ? 0 : allowed), ADAPTQ_OK);
    CHECK_STATUS(adaptq_session_set_latency_budget(r.session, i % 5 ? 1000 + i % 5000 : 0, 95), ADAPTQ_OK);
  }
  stop_runner(&r, thread);
  CHECK(r.busy == 0);
  CHECK_STATUS(adaptq_session_destroy(r.session), ADAPTQ_OK);
  tensors_free(&f, &r.t);
  fixture_close(&f);
}

// Reading telemetry never makes a run fail.
static void telemetry_does_not_disturb_runs(void) {
  OPEN_FIXTURE(f);
  runner r;
  pthread_t thread;
  REQUIRE(start_runner(&r, &thread, &f, 1, 1));
  static adaptq_telemetry entries[256];
  long read = 0, asked = 0;
  // As long as it takes for many runs to meet a reader.
  while (__atomic_load_n(&r.ok, __ATOMIC_RELAXED) < 3000 && __atomic_load_n(&r.busy, __ATOMIC_RELAXED) == 0) {
    size_t count = 0;
    for (int k = 0; k < 256; k++) entries[k].struct_size = sizeof entries[k];
    adaptq_status status = adaptq_session_telemetry(r.session, entries, 256, &count);
    asked++;
    CHECK(status == ADAPTQ_OK || status == ADAPTQ_BUSY);
    if (status != ADAPTQ_OK) continue;
    read++;
    for (size_t k = 1; k < count; k++) CHECK(entries[k].sequence == entries[k - 1].sequence + 1);
  }
  stop_runner(&r, thread);
  CHECK(r.busy == 0);
  printf("  read between runs: %ld of %ld times, runs: %ld\n", read, asked, r.ok);
  CHECK_STATUS(adaptq_session_destroy(r.session), ADAPTQ_OK);
  tensors_free(&f, &r.t);
  fixture_close(&f);
}

static void sessions_in_parallel(void) {
  OPEN_FIXTURE(f);
  enum { THREADS = 3 };
  runner r[THREADS];
  pthread_t threads[THREADS];
  tensors t;
  adaptq_session *alone = fixture_session(&f, &t, fixture_allow[fixture_best_level(f.levels)], 1, 9);
  REQUIRE(alone != NULL);
  CHECK_STATUS(fixture_run(&f, alone, &t, NULL, NULL), ADAPTQ_OK);
  for (int i = 0; i < THREADS; i++) REQUIRE(start_runner(&r[i], &threads[i], &f, 1, 9));
  // The runtime's and the model's handle may go while they run.
  fixture_close(&f);
  usleep(200000);
  for (int i = 0; i < THREADS; i++) {
    stop_runner(&r[i], threads[i]);
    CHECK(r[i].ok > 0 && r[i].busy == 0);
    CHECK(memcmp(r[i].t.outputs[0].data, t.outputs[0].data, t.outputs[0].data_size) == 0);
    CHECK_STATUS(adaptq_session_destroy(r[i].session), ADAPTQ_OK);
    tensors_free(&f, &r[i].t);
  }
  CHECK_STATUS(adaptq_session_destroy(alone), ADAPTQ_OK);
  tensors_free(&f, &t);
}

// Sessions are made and destroyed by several threads at once while the model is in use.
static void *make_and_destroy(void *argument) {
  const fixture *f = (const fixture *)argument;
  for (int i = 0; i < 200; i++) {
    adaptq_session *session = NULL;
    if (adaptq_session_create(f->model, NULL, &session) != ADAPTQ_OK) return (void *)"create failed";
    if (adaptq_session_set_level(session, ADAPTQ_LEVEL_AUTO) != ADAPTQ_OK) return (void *)"set_level failed";
    if (adaptq_session_destroy(session) != ADAPTQ_OK) return (void *)"destroy failed";
  }
  return NULL;
}

static void sessions_come_and_go(void) {
  OPEN_FIXTURE(f);
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) REQUIRE(pthread_create(&threads[i], NULL, make_and_destroy, &f) == 0);
  for (int i = 0; i < 4; i++) {
    void *result = NULL;
    pthread_join(threads[i], &result);
    if (result) check_fail(__FILE__, __LINE__, "thread %d: %s", i, (const char *)result);
  }
  fixture_close(&f);
}

int main(void) {
  RUN(run_is_refused_during_run);
  RUN(prepare_and_telemetry_are_refused_during_run);
  RUN(destroy_is_refused_during_run);
  RUN(setters_during_run);
  RUN(telemetry_does_not_disturb_runs);
  RUN(sessions_in_parallel);
  RUN(sessions_come_and_go);
  return check_end();
}
