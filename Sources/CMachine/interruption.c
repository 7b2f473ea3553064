// See cmachine_interruption.h.
#include <stddef.h>
#include <stdint.h>
#include <sys/rseq.h>

#include "cmachine.h"

// The kernel wants its signature before the place that a sequence would be aborted to.
static const struct {
  uint32_t signature, landing;
} nowhere = {RSEQ_SIG, 0};

// Begins at a constant: no instruction lies in it. Never written: the kernel reads it when it interrupts a thread that names it.
static const struct rseq_cs never __attribute__((aligned(32))) = {
  .start_ip = (uintptr_t)&nowhere,
  .post_commit_offset = 1,
  .abort_ip = (uintptr_t)&nowhere.landing,
};

static volatile struct rseq *area(void) {
  if (__rseq_size == 0) return NULL;
  char *thread;
  __asm__("mov %%fs:0, %0" : "=r"(thread));
  return (volatile struct rseq *)(thread + __rseq_offset);
}

void cmachine_watch_interruption(void) {
  volatile struct rseq *own = area();
  if (own) own->rseq_cs = (uintptr_t)&never;
}

int cmachine_was_interrupted(void) {
  volatile struct rseq *own = area();
  if (!own) return -1;
  uint64_t named = own->rseq_cs;
  if (named == (uintptr_t)&never) own->rseq_cs = 0;
  return named == (uintptr_t)&never ? 0 : named == 0 ? 1 : -1;
}
