// Two budgeted sessions of one runtime at once, on threads of their own, with and without the runtime's pool: they share what they
// know of the load, and that is all they share.
#define _GNU_SOURCE
#include <pthread.h>
#include <time.h>

#include "fixture.h"

enum { LENGTH = 8, CALLS = 300 };

typedef struct {
  fixture *f;
  adaptq_session *session;
  tensors t;
  int pauses;
  int64_t switches, calls, failed;
} worker;

static void *work(void *argument) {
  worker *w = (worker *)argument;
  for (int i = 0; i < CALLS; i++) {
    if (w->pauses && i % 50 == 49) {
      struct timespec pause = {0, 300000000};
      nanosleep(&pause, NULL);
    }
    adaptq_run_report report;
    if (fixture_run(w->f, w->session, &w->t, NULL, &report) != ADAPTQ_OK) w->failed++;
    w->switches += report.level_changed;
    w->calls++;
  }
  return NULL;
}

static void both(int threads) {
  OPEN_FIXTURE_THREADS(f, threads);
  worker workers[2];
  memset(workers, 0, sizeof workers);
  for (int i = 0; i < 2; i++) {
    workers[i].f = &f;
    workers[i].pauses = i;
    workers[i].session = fixture_session(&f, &workers[i].t, 0, 1, LENGTH);
    REQUIRE(workers[i].session != NULL);
    adaptq_run_report report;
    CHECK_STATUS(fixture_run(&f, workers[i].session, &workers[i].t, NULL, &report), ADAPTQ_OK);
    CHECK_STATUS(adaptq_session_set_latency_budget(workers[i].session, report.latency_ns * 3, 90), ADAPTQ_OK);
  }
  pthread_t other;
  REQUIRE(pthread_create(&other, NULL, work, &workers[0]) == 0);
  work(&workers[1]);
  pthread_join(other, NULL);
  for (int i = 0; i < 2; i++) {
    CHECK_INT(workers[i].failed, 0);
    CHECK_INT(workers[i].calls, CALLS);
    // Whatever else runs here: no swinging at every call.
    CHECK(workers[i].switches < CALLS / 3);
    CHECK_STATUS(adaptq_session_destroy(workers[i].session), ADAPTQ_OK);
    tensors_free(&f, &workers[i].t);
  }
  fixture_close(&f);
}

static void without_a_pool(void) { both(1); }
static void with_a_pool(void) { both(3); }

int main(void) {
  RUN(without_a_pool);
  RUN(with_a_pool);
  return check_end();
}
