// A host's own threads for the tests: a thread per call, started and joined each time. Slow and simple.
#ifndef ADAPTQ_POOL_HOST_H
#define ADAPTQ_POOL_HOST_H

#include <pthread.h>
#include <stddef.h>

enum { HOST_MOST = 64 };

typedef struct {
  void (*body)(void *, size_t);
  void *body_context;
  size_t index;
  void (*around)(int inside);  // called in each thread before and after the body; NULL: nothing
} host_call;

static void *host_thread(void *argument) {
  host_call *call = (host_call *)argument;
  if (call->around) call->around(0);
  call->body(call->body_context, call->index);
  if (call->around) call->around(1);
  return NULL;
}

typedef struct {
  long calls;
  size_t largest;
  void (*around)(int inside);
} host_pool;

__attribute__((unused)) static void host_parallel_for(void *context, size_t count, void (*body)(void *, size_t),
                                                      void *body_context) {
  host_pool *pool = (host_pool *)context;
  pthread_t threads[HOST_MOST];
  host_call calls[HOST_MOST];
  int started[HOST_MOST];
  __atomic_fetch_add(&pool->calls, 1, __ATOMIC_RELAXED);
  if (count > __atomic_load_n(&pool->largest, __ATOMIC_RELAXED))
    __atomic_store_n(&pool->largest, count, __ATOMIC_RELAXED);
  if (count > HOST_MOST) return;
  for (size_t i = 0; i < count; i++) {
    calls[i] = (host_call){body, body_context, i, pool->around};
    started[i] = i + 1 < count && pthread_create(&threads[i], NULL, host_thread, &calls[i]) == 0;
    if (!started[i]) body(body_context, i);
  }
  for (size_t i = 0; i < count; i++) if (started[i]) pthread_join(threads[i], NULL);
}

#endif
