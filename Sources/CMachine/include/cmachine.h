// What Swift cannot say: a few single instructions and C macros. State only in cmachine_storage.h.
#ifndef ADAPTQ_CMACHINE_H
#define ADAPTQ_CMACHINE_H

#include <errno.h>
#include <stdint.h>
#include <sys/auxv.h>

#include "cmachine_affinity.h"
#include "cmachine_atomics.h"
#include "cmachine_floating.h"
#include "cmachine_gdb.h"
#include "cmachine_interruption.h"
#include "cmachine_storage.h"
#include "cmachine_threads.h"
#include "cmachine_tiles.h"

#if defined(__x86_64__)
static inline void cmachine_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4]) {
  __asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(subleaf));
}

/// Only where CPUID leaf 1 reports OSXSAVE; faults elsewhere.
static inline uint64_t cmachine_xgetbv0(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return ((uint64_t)high << 32) | low;
}

static inline uint32_t cmachine_mxcsr(void) {
  uint32_t value;
  __asm__ volatile("stmxcsr %0" : "=m"(value));
  return value;
}

static inline void cmachine_set_mxcsr(uint32_t value) { __asm__ volatile("ldmxcsr %0" : : "m"(value)); }
#endif

/// Nonzero where the program runs with more rights than its user (set-user-ID, file capabilities).
static inline int cmachine_runs_secure(void) { return getauxval(AT_SECURE) != 0; }

static inline int cmachine_errno(void) { return errno; }
static inline void cmachine_set_errno(int value) { errno = value; }

#endif
