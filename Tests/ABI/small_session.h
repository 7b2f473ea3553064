// A runtime, the model of make_small.py, a session prepared for it, and tensors for one run.
#ifndef ADAPTQ_TEST_SMALL_SESSION_H
#define ADAPTQ_TEST_SMALL_SESSION_H

#include "fixture.h"

enum { PLANS = 10, SITES = 3, WIDTH = 32, LENGTH = 6 };

typedef struct {
  adaptq_runtime *runtime;
  adaptq_model *model;
  adaptq_session *session;
  int64_t ids[LENGTH], mask[LENGTH];
  float y[WIDTH];
  adaptq_tensor inputs[2], output;
} world;

static int open_small_session(world *w, const adaptq_runtime_options *runtime, const adaptq_session_options *session) {
  memset(w, 0, sizeof *w);
  const char *path = getenv("ADAPTQ_TEST_SMALL_MODEL");
  for (int i = 0; i < LENGTH; i++) { w->ids[i] = i; w->mask[i] = 1; }
  tensor_shape(&w->inputs[0], ADAPTQ_TYPE_INT64, 2, 1, LENGTH, 1, w->ids);
  tensor_shape(&w->inputs[1], ADAPTQ_TYPE_INT64, 2, 1, LENGTH, 1, w->mask);
  tensor_shape(&w->output, ADAPTQ_TYPE_FLOAT32, 2, 1, WIDTH, 1, w->y);
  if (path && adaptq_runtime_create(runtime, &w->runtime) == ADAPTQ_OK &&
      adaptq_model_open(w->runtime, path, &w->model) == ADAPTQ_OK &&
      adaptq_session_create(w->model, session, &w->session) == ADAPTQ_OK &&
      adaptq_session_prepare(w->session, w->inputs, 2) == ADAPTQ_OK)
    return 1;
  check_fail(__FILE__, __LINE__, "no session: %s", path ? adaptq_last_error() : "ADAPTQ_TEST_SMALL_MODEL is not set");
  return 0;
}

static void close_world(world *w) {
  CHECK_STATUS(adaptq_session_destroy(w->session), ADAPTQ_OK);
  CHECK_STATUS(adaptq_model_destroy(w->model), ADAPTQ_OK);
  CHECK_STATUS(adaptq_runtime_destroy(w->runtime), ADAPTQ_OK);
}

#endif
