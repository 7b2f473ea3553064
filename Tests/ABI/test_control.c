// Cancel, trace, what callbacks may do, memory reports and metadata.
#define _GNU_SOURCE
#include <pthread.h>
#include <unistd.h>

#include "clock.h"
#include "fixture.h"

enum { BATCH = 2, LENGTH = 8 };

static uint32_t best(const fixture *f) { return fixture_allow[fixture_best_level(f->levels)]; }

// ----------------------------------------------------------------------------------------------------------------- trace

typedef struct {
  const fixture *f;
  adaptq_session *session, *other;
  tensors *t, *other_t;
  int64_t last_end;
  uint64_t events, count;
  int wrong, cancel_at;
  int sites[256];
} watcher;

static void watch(void *context, const adaptq_trace_event *event) {
  watcher *w = (watcher *)context;
  w->wrong += event->struct_size != sizeof *event || event->step != w->events || event->begin_ns < w->last_end ||
              event->end_ns < event->begin_ns || event->reserved != 0 || !event->operation[0];
  if (event->site_index >= 0) {
    adaptq_site_info info = {.struct_size = sizeof info};
    w->wrong += adaptq_model_site(w->f->model, (size_t)event->site_index, &info) != ADAPTQ_OK;
    w->wrong += !event->site || strcmp(event->site, info.name) != 0;
    w->wrong += event->level != (info.kind == ADAPTQ_SITE_EMBEDDING ? ADAPTQ_LEVEL_INT8 :
                                 fixture_level[fixture_best_level(w->f->levels)]);
    if (event->site_index < 256) w->sites[event->site_index]++;
  } else {
    w->wrong += event->site != NULL || event->level != ADAPTQ_LEVEL_AUTO;
  }
  w->last_end = event->end_ns;
  w->count = event->step_count;
  w->events++;
  if (w->cancel_at && w->events == (uint64_t)w->cancel_at) w->wrong += adaptq_session_cancel(w->session) != ADAPTQ_OK;
}

static void every_operator_is_traced(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, best(&f), BATCH, LENGTH);
  REQUIRE(session != NULL);
  watcher w = {.f = &f, .session = session, .t = &t, .last_end = now_ns()};
  CHECK_STATUS(adaptq_session_set_trace(session, watch, &w), ADAPTQ_OK);
  adaptq_run_report report;
  REQUIRE_OK(fixture_run(&f, session, &t, NULL, &report));
  CHECK_INT(w.wrong, 0);
  CHECK(w.events > 0 && w.events == w.count && w.last_end <= now_ns());
  for (size_t i = 0; i < f.n_sites && i < 256; i++) CHECK(w.sites[i] > 0);
  // Prepare is not traced, and the trace holds over it.
  uint64_t events = w.events;
  CHECK_STATUS(adaptq_session_prepare(session, t.inputs, f.n_inputs), ADAPTQ_OK);
  CHECK(w.events == events);
  w.events = 0;
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
  CHECK(w.events == events && w.wrong == 0);
  CHECK_STATUS(adaptq_session_set_trace(session, NULL, &w), ADAPTQ_OK);
  w.events = 0;
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
  CHECK(w.events == 0);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_set_trace(session, watch, &w), ADAPTQ_INVALID_HANDLE);
  CHECK_STATUS(adaptq_session_set_trace(NULL, watch, &w), ADAPTQ_INVALID_HANDLE);
  // Set before the first prepare.
  w.events = 0;
  REQUIRE_OK(adaptq_session_create(f.model, NULL, &session));
  CHECK_STATUS(adaptq_session_set_trace(session, watch, &w), ADAPTQ_OK);
  adaptq_session_set_level(session, fixture_level[fixture_best_level(f.levels)]);
  CHECK_STATUS(adaptq_session_prepare(session, t.inputs, f.n_inputs), ADAPTQ_OK);
  CHECK(w.events == 0);
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
  CHECK(w.events == events && w.wrong == 0);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

// ---------------------------------------------------------------------------------------------------------------- cancel

// Cancelled from the trace after each operator in turn: deterministic.
static void cancelled_between_operators(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, best(&f), BATCH, LENGTH);
  REQUIRE(session != NULL);
  adaptq_run_report report;
  REQUIRE_OK(fixture_run(&f, session, &t, NULL, &report));
  size_t size = t.outputs[0].data_size;
  char *expected = (char *)malloc(size);
  REQUIRE(expected != NULL);
  memcpy(expected, t.outputs[0].data, size);
  // No run in progress: nothing happens, now or later.
  CHECK_STATUS(adaptq_session_cancel(session), ADAPTQ_OK);
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, &report), ADAPTQ_OK);
  uint64_t sequence = report.sequence;
  watcher w = {.f = &f, .session = session, .t = &t};
  CHECK_STATUS(adaptq_session_set_trace(session, watch, &w), ADAPTQ_OK);
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, &report), ADAPTQ_OK);
  sequence++;
  int steps = (int)w.events;
  for (w.cancel_at = 1; w.cancel_at < steps; w.cancel_at++) {
    w.events = 0;
    canary_fill(t.outputs[0].data, size);
    canary_fill(&report, sizeof report);
    report.struct_size = sizeof report;
    CHECK_ERROR(adaptq_session_run(session, t.inputs, f.n_inputs, t.outputs, f.n_outputs, NULL, &report),
                ADAPTQ_CANCELLED, "cancelled");
    CHECK_INT(w.events, w.cancel_at);
    CHECK(canary_intact(t.outputs[0].data, size));
    CHECK(canary_intact(&report.sequence, sizeof report - sizeof report.struct_size));
  }
  // After the last operator it is too late; the next run is as any other.
  w.events = 0;
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, &report), ADAPTQ_OK);
  CHECK(report.sequence == sequence + 1);
  w.cancel_at = 0;
  w.events = 0;
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, &report), ADAPTQ_OK);
  CHECK(report.sequence == sequence + 2 && memcmp(t.outputs[0].data, expected, size) == 0);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_cancel(session), ADAPTQ_INVALID_HANDLE);
  CHECK_STATUS(adaptq_session_cancel(NULL), ADAPTQ_INVALID_HANDLE);
  free(expected);
  tensors_free(&f, &t);
  fixture_close(&f);
}

// Cancelled by another thread at any moment: every run ends in one of two ways, and correctly.
typedef struct { adaptq_session *session; int stop; long calls; } canceller;

static void *cancel_often(void *argument) {
  canceller *c = (canceller *)argument;
  uint64_t state = 7;
  while (!__atomic_load_n(&c->stop, __ATOMIC_ACQUIRE)) {
    if (adaptq_session_cancel(c->session) != ADAPTQ_OK) return c;
    c->calls++;
    struct timespec pause = {0, (long)(check_random(&state) % 40000000)};
    nanosleep(&pause, NULL);
  }
  return NULL;
}

static void cancelled_by_another_thread(void) {
  OPEN_FIXTURE(f);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, best(&f), BATCH, LENGTH);
  REQUIRE(session != NULL);
  REQUIRE_OK(fixture_run(&f, session, &t, NULL, NULL));
  size_t size = t.outputs[0].data_size;
  char *expected = (char *)malloc(size);
  REQUIRE(expected != NULL);
  memcpy(expected, t.outputs[0].data, size);
  canceller c = {.session = session};
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, cancel_often, &c) == 0);
  int done = 0, cancelled = 0, wrong = 0, cancelled_prepares = 0;
  for (int i = 0; i < 200; i++) {
    canary_fill(t.outputs[0].data, size);
    adaptq_status status = fixture_run(&f, session, &t, NULL, NULL);
    if (status == ADAPTQ_OK) done++, wrong += memcmp(t.outputs[0].data, expected, size) != 0;
    else if (status == ADAPTQ_CANCELLED) cancelled++, wrong += !canary_intact(t.outputs[0].data, size);
    else wrong++;
    if (i % 20 == 0) {
      status = adaptq_session_prepare(session, t.inputs, f.n_inputs);
      if (status == ADAPTQ_CANCELLED) cancelled_prepares++;
      else wrong += status != ADAPTQ_OK;
    }
  }
  __atomic_store_n(&c.stop, 1, __ATOMIC_RELEASE);
  void *result = NULL;
  pthread_join(thread, &result);
  CHECK(result == NULL);
  CHECK_INT(wrong, 0);
  CHECK(cancelled + cancelled_prepares > 0);
  printf("  %d runs done, %d cancelled, %d prepares cancelled, %ld calls\n", done, cancelled, cancelled_prepares, c.calls);
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
  CHECK(memcmp(t.outputs[0].data, expected, size) == 0);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  free(expected);
  tensors_free(&f, &t);
  fixture_close(&f);
}

// ------------------------------------------------------------------------------------------------- what callbacks may do

static void call_from_inside(void *context, const adaptq_trace_event *event) {
  watcher *w = (watcher *)context;
  if (event->step != 3 || w->events++ > 0) return;
  adaptq_memory memory = {.struct_size = sizeof memory};
  size_t count = 0;
  // On the session that runs: refused, as from any other place.
  w->wrong += fixture_run(w->f, w->session, w->t, NULL, NULL) != ADAPTQ_BUSY;
  w->wrong += adaptq_session_prepare(w->session, w->t->inputs, w->f->n_inputs) != ADAPTQ_BUSY;
  w->wrong += adaptq_session_destroy(w->session) != ADAPTQ_BUSY;
  w->wrong += adaptq_session_set_trace(w->session, NULL, NULL) != ADAPTQ_BUSY;
  w->wrong += adaptq_session_memory(w->session, &memory) != ADAPTQ_BUSY;
  w->wrong += adaptq_session_costs(w->session, NULL, 0, &count) != ADAPTQ_BUSY;
  w->wrong += adaptq_session_telemetry(w->session, NULL, 0, &count) != ADAPTQ_BUSY;
  // Setters hold from the next run on; anything else works.
  w->wrong += adaptq_session_set_level(w->session, ADAPTQ_LEVEL_AUTO) != ADAPTQ_OK;
  w->wrong += fixture_run(w->f, w->other, w->other_t, NULL, NULL) != ADAPTQ_OK;
  adaptq_runtime *runtime = NULL;
  adaptq_model *model = NULL;
  w->wrong += adaptq_runtime_create(NULL, &runtime) != ADAPTQ_OK;
  w->wrong += adaptq_model_open(runtime, fixture_path(), &model) != ADAPTQ_OK;
  w->wrong += adaptq_model_destroy(model) != ADAPTQ_OK || adaptq_runtime_destroy(runtime) != ADAPTQ_OK;
}

static void calls_from_the_trace(void) {
  OPEN_FIXTURE(f);
  tensors t, other_t;
  adaptq_session *session = fixture_session(&f, &t, best(&f), BATCH, LENGTH);
  adaptq_session *other = fixture_session(&f, &other_t, best(&f), BATCH, LENGTH);
  REQUIRE(session && other);
  REQUIRE_OK(fixture_run(&f, session, &t, NULL, NULL));
  size_t size = t.outputs[0].data_size;
  char *expected = (char *)malloc(size);
  REQUIRE(expected != NULL);
  memcpy(expected, t.outputs[0].data, size);
  watcher w = {.f = &f, .session = session, .other = other, .t = &t, .other_t = &other_t};
  CHECK_STATUS(adaptq_session_set_trace(session, call_from_inside, &w), ADAPTQ_OK);
  canary_fill(t.outputs[0].data, size);
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
  CHECK(w.events == 1 && w.wrong == 0);
  CHECK(memcmp(t.outputs[0].data, expected, size) == 0);
  CHECK(memcmp(other_t.outputs[0].data, expected, size) == 0);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_destroy(other), ADAPTQ_OK);
  free(expected);
  tensors_free(&f, &t);
  tensors_free(&f, &other_t);
  fixture_close(&f);
}

// The log of a runtime, its allocator and its read callback make sessions of that very runtime.
typedef struct { adaptq_runtime *runtime; adaptq_model *model; int depth, logs, allocations, reads, wrong, lines[4]; } nested;

static void use_the_library(nested *n) {
  if (n->depth > 0) return;
  n->depth++;
  adaptq_session *session = NULL;
  adaptq_model *model = NULL;
  if (n->model) {
    n->wrong += adaptq_session_create(n->model, NULL, &session) != ADAPTQ_OK;
    n->wrong += adaptq_session_destroy(session) != ADAPTQ_OK;
  }
  n->wrong += adaptq_model_open_memory(n->runtime, "abc", 3, &model) != ADAPTQ_INVALID_FILE;
  n->depth--;
}

static void log_and_use(void *context, int32_t level, const char *message) {
  nested *n = (nested *)context;
  n->logs++;
  n->wrong += level < 1 || level > 3 || message == NULL;
  if (level >= 1 && level <= 3) n->lines[level]++;
  use_the_library(n);
}

static void *allocate_and_use(void *context, size_t size, size_t alignment) {
  nested *n = (nested *)context;
  n->allocations++;
  if (n->runtime) use_the_library(n);
  return aligned_alloc(alignment, size);
}

static void release_and_use(void *context, void *memory, size_t size) {
  (void)size;
  use_the_library((nested *)context);
  free(memory);
}

typedef struct { nested *n; const char *bytes; } nested_source;
static int64_t read_and_use(void *context, uint64_t offset, void *buffer, size_t size) {
  nested_source *s = (nested_source *)context;
  s->n->reads++;
  use_the_library(s->n);
  memcpy(buffer, s->bytes + offset, size);
  return (int64_t)size;
}

static void calls_from_other_callbacks(void) {
  NEEDS_MODEL();
  nested n = {0};
  adaptq_runtime_options options = {.struct_size = sizeof options, .log = log_and_use, .log_context = &n};
  options.log_level = ADAPTQ_LOG_DEBUG;
  options.allocate = allocate_and_use;
  options.release = release_and_use;
  options.allocator_context = &n;
  REQUIRE_OK(adaptq_runtime_create(&options, &n.runtime));
  size_t size = 0;
  nested_source source = {&n, read_whole_file(fixture_path(), &size)};
  REQUIRE(source.bytes != NULL);
  adaptq_model *model = NULL;
  REQUIRE_OK(adaptq_model_open_callback(n.runtime, read_and_use, &source, size, &model));
  n.model = model;
  adaptq_session *session = NULL;
  REQUIRE_OK(adaptq_session_create(model, NULL, &session));  // generates the kernels, logs
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  n.model = NULL;
  CHECK_STATUS(adaptq_model_destroy(model), ADAPTQ_OK);
  CHECK_STATUS(adaptq_runtime_destroy(n.runtime), ADAPTQ_OK);
  CHECK(n.logs > 0 && n.allocations > 0 && n.reads == 1 && n.wrong == 0);
  free((void *)(uintptr_t)source.bytes);
}

static void log_levels(void) {
  NEEDS_MODEL();
  int lines[4] = {0};
  for (int32_t level = 0; level <= ADAPTQ_LOG_DEBUG; level++) {
    nested n = {.depth = 1};
    adaptq_runtime_options options = {.struct_size = sizeof options, .log = log_and_use, .log_context = &n};
    options.log_level = level;
    REQUIRE_OK(adaptq_runtime_create(&options, &n.runtime));
    adaptq_model *model = NULL;
    REQUIRE_OK(adaptq_model_open(n.runtime, fixture_path(), &model));
    CHECK_STATUS(adaptq_model_destroy(model), ADAPTQ_OK);
    CHECK_STATUS(adaptq_runtime_destroy(n.runtime), ADAPTQ_OK);
    for (int above = (level ? level : 1) + 1; above <= 3; above++) CHECK_INT(n.lines[above], 0);
    lines[level] = n.logs;
  }
  CHECK(lines[0] == lines[1] && lines[1] < lines[2] && lines[2] <= lines[3]);
}

int main(void) {
  RUN(every_operator_is_traced);
  RUN(cancelled_between_operators);
  RUN(cancelled_by_another_thread);
  RUN(calls_from_the_trace);
  RUN(calls_from_other_callbacks);
  RUN(log_levels);
  return check_end();
}
