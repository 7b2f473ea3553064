// How fast runs are with some numbers of threads, in turns.   bench_threads MODEL.adaptq BATCH LENGTH THREADS...
// THREADS 0 is the default. Prints per number: threads in use, median and best latency, runs per second of wall time.
#define _GNU_SOURCE
#include <time.h>

#include "adaptq.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRY(call) do { if ((call) != ADAPTQ_OK) { fprintf(stderr, "%s\n", adaptq_last_error()); exit(1); } } while (0)

enum { MOST = 8, ROUNDS = 12, TIMES = 100000 };

typedef struct {
  int32_t wanted, in_use;
  adaptq_session *session;
  int64_t *times;
  long runs;
  double seconds;
} contestant;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int compare(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  if (argc < 5 || argc > 4 + MOST) {
    fprintf(stderr, "usage: bench_threads MODEL.adaptq BATCH LENGTH THREADS...\n");
    return 2;
  }
  int64_t batch = atol(argv[2]), length = atol(argv[3]);
  size_t count = (size_t)(batch * length);
  int64_t *ids = calloc(count, sizeof *ids), *mask = calloc(count, sizeof *mask);
  if (!ids || !mask) return 1;
  for (size_t i = 0; i < count; i++) {
    ids[i] = 1000 + (int64_t)(i * 7 % 5000);
    mask[i] = 1;
  }
  adaptq_tensor in[2] = {{.struct_size = sizeof in[0], .type = ADAPTQ_TYPE_INT64, .rank = 2, .sizes = {batch, length},
                          .data = ids, .data_size = count * sizeof *ids},
                         {.struct_size = sizeof in[0], .type = ADAPTQ_TYPE_INT64, .rank = 2, .sizes = {batch, length},
                          .data = mask, .data_size = count * sizeof *mask}};
  adaptq_tensor out = {.struct_size = sizeof out};
  adaptq_run_options call = {.struct_size = sizeof call, .level = ADAPTQ_LEVEL_INT8};
  contestant all[MOST];
  int n = argc - 4;
  memset(all, 0, sizeof all);
  for (int i = 0; i < n; i++) {
    contestant *c = &all[i];
    adaptq_runtime *runtime;
    adaptq_model *model;
    adaptq_runtime_options options = {.struct_size = sizeof options, .threads = atoi(argv[4 + i])};
    c->wanted = options.threads;
    c->times = malloc(TIMES * sizeof *c->times);
    if (!c->times) return 1;
    TRY(adaptq_runtime_create(&options, &runtime));
    TRY(adaptq_runtime_threads(runtime, &c->in_use));
    TRY(adaptq_model_open(runtime, argv[1], &model));
    TRY(adaptq_session_create(model, NULL, &c->session));
    TRY(adaptq_session_prepare(c->session, in, 2));
    if (i == 0) {
      TRY(adaptq_session_output_shape(c->session, in, 2, 0, &out));
      out.data = malloc(out.data_size);
    }
    TRY(adaptq_model_destroy(model));
    TRY(adaptq_runtime_destroy(runtime));
  }
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < n; i++) {
      contestant *c = &all[i];
      double begin = now();
      adaptq_run_report report = {.struct_size = sizeof report};
      do {
        TRY(adaptq_session_run(c->session, in, 2, &out, 1, &call, &report));
        if (c->runs < TIMES) c->times[c->runs++] = report.latency_ns;
      } while (now() - begin < 1);
      c->seconds += now() - begin;
    }
  }
  for (int i = 0; i < n; i++) {
    contestant *c = &all[i];
    qsort(c->times, (size_t)c->runs, sizeof *c->times, compare);
    printf("threads %d (%d in use): median %.3f ms, best %.3f ms, %.1f runs/s\n", (int)c->wanted, (int)c->in_use,
           (double)c->times[c->runs / 2] / 1e6, (double)c->times[0] / 1e6, (double)c->runs / c->seconds);
    TRY(adaptq_session_destroy(c->session));
    free(c->times);
  }
  free(out.data);
  free(ids);
  free(mask);
  return 0;
}
