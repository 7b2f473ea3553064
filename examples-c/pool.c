// A host's own threads run the model: its pool stands in for the library's.   pool MODEL.adaptq [THREADS]
#include <adaptq.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRY(call) do { if ((call) != ADAPTQ_OK) { fprintf(stderr, "%s\n", adaptq_last_error()); exit(1); } } while (0)

// A small pool: one job at a time, whose calls are taken from a counter under a lock.
enum { MOST = 64, BATCH = 4, LENGTH = 64, RUNS = 20 };
typedef struct {
  pthread_mutex_t lock, job_lock;
  pthread_cond_t wake, done;
  pthread_t threads[MOST];
  int n_threads, ends;
  void (*body)(void *, size_t);
  void *body_context;
  size_t next, count, left;
} pool;

// Takes calls until there are none. With the lock held, except inside a call.
static void pool_help(pool *p) {
  while (p->next < p->count) {
    size_t index = p->next++;
    pthread_mutex_unlock(&p->lock);
    p->body(p->body_context, index);
    pthread_mutex_lock(&p->lock);
    if (--p->left == 0) pthread_cond_broadcast(&p->done);
  }
}

static void *pool_thread(void *argument) {
  pool *p = argument;
  pthread_mutex_lock(&p->lock);
  while (!p->ends) {
    pool_help(p);
    if (!p->ends) pthread_cond_wait(&p->wake, &p->lock);
  }
  pthread_mutex_unlock(&p->lock);
  return NULL;
}

// What adaptq calls: returns when every index has been called.
static void pool_parallel_for(void *context, size_t count, void (*body)(void *, size_t), void *body_context) {
  pool *p = context;
  pthread_mutex_lock(&p->job_lock);  // another session's job may be going on
  pthread_mutex_lock(&p->lock);
  p->body = body;
  p->body_context = body_context;
  p->next = 0;
  p->count = p->left = count;
  pthread_cond_broadcast(&p->wake);
  pool_help(p);
  while (p->left > 0) pthread_cond_wait(&p->done, &p->lock);
  pthread_mutex_unlock(&p->lock);
  pthread_mutex_unlock(&p->job_lock);
}

static void pool_start(pool *p, int threads) {
  memset(p, 0, sizeof *p);
  pthread_mutex_init(&p->lock, NULL);
  pthread_mutex_init(&p->job_lock, NULL);
  pthread_cond_init(&p->wake, NULL);
  pthread_cond_init(&p->done, NULL);
  while (p->n_threads < threads - 1 && pthread_create(&p->threads[p->n_threads], NULL, pool_thread, p) == 0)
    p->n_threads++;
}

static void pool_end(pool *p) {
  pthread_mutex_lock(&p->lock);
  p->ends = 1;
  pthread_cond_broadcast(&p->wake);
  pthread_mutex_unlock(&p->lock);
  for (int i = 0; i < p->n_threads; i++) pthread_join(p->threads[i], NULL);
  pthread_cond_destroy(&p->wake);
  pthread_cond_destroy(&p->done);
  pthread_mutex_destroy(&p->lock);
  pthread_mutex_destroy(&p->job_lock);
}

// Median latency of some runs in milliseconds; the last run's result in `embeddings`.
static int compare(const void *a, const void *b) { return (*(const int64_t *)a > *(const int64_t *)b) * 2 - 1; }
static double measure(const char *path, adaptq_runtime_options *options, float *embeddings, size_t size) {
  static int64_t ids[BATCH * LENGTH], mask[BATCH * LENGTH], times[RUNS];
  adaptq_runtime *runtime;
  adaptq_model *model;
  adaptq_session *session;
  options->struct_size = sizeof *options;
  TRY(adaptq_runtime_create(options, &runtime));
  TRY(adaptq_model_open(runtime, path, &model));
  TRY(adaptq_session_create(model, NULL, &session));
  for (int i = 0; i < BATCH * LENGTH; i++) {
    ids[i] = 1000 + i * 7 % 5000;
    mask[i] = 1;
  }
  adaptq_tensor in[2] = {{.struct_size = sizeof in[0], .type = ADAPTQ_TYPE_INT64, .rank = 2, .sizes = {BATCH, LENGTH},
                          .data = ids, .data_size = sizeof ids},
                         {.struct_size = sizeof in[0], .type = ADAPTQ_TYPE_INT64, .rank = 2, .sizes = {BATCH, LENGTH},
                          .data = mask, .data_size = sizeof mask}};
  adaptq_tensor out = {.struct_size = sizeof out};
  adaptq_run_options call = {.struct_size = sizeof call, .level = ADAPTQ_LEVEL_INT8};
  adaptq_run_report report = {.struct_size = sizeof report};
  TRY(adaptq_session_prepare(session, in, 2));
  TRY(adaptq_session_output_shape(session, in, 2, 0, &out));
  if (out.data_size != size) exit(1);
  out.data = embeddings;
  for (int i = 0; i < RUNS; i++) {
    TRY(adaptq_session_run(session, in, 2, &out, 1, &call, &report));
    times[i] = report.latency_ns;
  }
  qsort(times, RUNS, sizeof times[0], compare);
  TRY(adaptq_session_destroy(session));
  TRY(adaptq_model_destroy(model));
  TRY(adaptq_runtime_destroy(runtime));
  return (double)times[RUNS / 2] / 1e6;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: pool MODEL.adaptq [THREADS]\n");
    return 2;
  }
  static float by_host[BATCH * 384], alone[BATCH * 384];
  int threads = argc > 2 ? atoi(argv[2]) : 2;
  if (threads < 1 || threads > MOST) threads = 2;
  pool p;
  pool_start(&p, threads);
  adaptq_runtime_options host = {
      .parallel_for = pool_parallel_for, .parallel_for_context = &p, .parallel_for_threads = threads};
  adaptq_runtime_options one = {.threads = 1}, own = {.threads = threads};
  double ms_one = measure(argv[1], &one, alone, sizeof alone);
  double ms_own = measure(argv[1], &own, by_host, sizeof by_host);
  int same = memcmp(alone, by_host, sizeof alone) == 0;
  double ms_host = measure(argv[1], &host, by_host, sizeof by_host);
  same = same && memcmp(alone, by_host, sizeof alone) == 0;
  pool_end(&p);
  printf("%d x %d tokens: 1 thread %.2f ms, %d of the library %.2f ms, %d of the host %.2f ms; %s\n", BATCH, LENGTH, ms_one,
         threads, ms_own, threads, ms_host, same ? "same bits" : "DIFFERENT RESULTS");
  return same ? 0 : 1;
}
