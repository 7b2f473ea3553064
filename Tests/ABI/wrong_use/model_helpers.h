// Calls and callbacks of model.h that need more than one expression.
#ifndef ADAPTQ_WRONG_USE_MODEL_HELPERS_H
#define ADAPTQ_WRONG_USE_MODEL_HELPERS_H

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "machinery.h"

static void *no_memory(void *context, size_t size, size_t alignment) {
  (void)context, (void)size, (void)alignment;
  return NULL;
}
static void no_release(void *context, void *memory, size_t size) { (void)context, (void)memory, (void)size; }
static void *odd_memory_block(void *context, size_t size, size_t alignment) {
  static char block[1 << 16] __attribute__((aligned(64)));
  (void)context, (void)alignment;
  return size < sizeof block ? block + 8 : NULL;
}
static adaptq_status open_with(adaptq_allocate_callback allocate) {
  adaptq_runtime *runtime = NULL;
  in.runtime.allocate = allocate;
  in.runtime.release = no_release;
  adaptq_status status = adaptq_runtime_create(&in.runtime, &runtime);
  in_before = in;
  if (status == ADAPTQ_OK) status = adaptq_model_open(runtime, w.path, (adaptq_model **)&out.handle);
  adaptq_runtime_destroy(runtime);
  return status == ADAPTQ_OK ? ADAPTQ_INTERNAL_ERROR : status;
}

static void serial_for(void *context, size_t count, void (*body)(void *, size_t), void *body_context) {
  (void)context;
  for (size_t i = 0; i < count; i++) body(body_context, i);
}
// A CPU set of one CPU, which exists.
static int32_t cpus[2];
static void one_cpu(void) {
  cpus[0] = cpus[1] = sched_getcpu();
  in.runtime.cpu_set = cpus;
  in.runtime.n_cpus = 1;
}

static int64_t read_small(void *context, uint64_t offset, void *buffer, size_t size) {
  (void)context;
  if (offset >= small_size) return 0;
  // At most 1000 bytes at a time.
  size_t count = small_size - (size_t)offset;
  if (count > size) count = size;
  if (count > 1000) count = 1000;
  memcpy(buffer, small_file + offset, count);
  return (int64_t)count;
}
static int64_t read_error(void *context, uint64_t offset, void *buffer, size_t size) {
  (void)context, (void)offset, (void)buffer, (void)size;
  return -EIO;
}
static int64_t read_too_much(void *context, uint64_t offset, void *buffer, size_t size) {
  (void)context, (void)offset, (void)buffer;
  return (int64_t)size + 1;
}
static int64_t read_lowest(void *context, uint64_t offset, void *buffer, size_t size) {
  (void)context, (void)offset, (void)buffer, (void)size;
  return INT64_MIN;
}

static const char *long_path(void) {
  static char text[5001];
  memset(text, 'a', 5000);
  return text;
}

static adaptq_status open_odd(void) {
  static unsigned char moved[sizeof small_file + 1];
  memcpy(moved + 1, small_file, small_size);
  adaptq_model *model = NULL;
  adaptq_status status = adaptq_model_open_memory(w.runtime, moved + 1, small_size, &model);
  return status ? status : adaptq_model_destroy(model);
}

static adaptq_status destroy_early(void) {
  adaptq_model *model = NULL;
  adaptq_session *session = NULL;
  adaptq_status status = adaptq_model_open(w.runtime, w.path, &model);
  if (status == 0) status = adaptq_session_create(model, NULL, &session);
  if (status == 0) status = adaptq_model_destroy(model);
  if (status == 0) status = adaptq_session_prepare(session, in.max_inputs, 2);
  if (status == 0) status = adaptq_session_run(session, in.inputs, 2, in.outputs, 1, NULL, NULL);
  return status ? status : adaptq_session_destroy(session);
}

#endif
