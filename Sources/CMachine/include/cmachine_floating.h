// The floating-point environment of the calling thread: rounding, flush to zero, exception masks.
#ifndef ADAPTQ_CMACHINE_FLOATING_H
#define ADAPTQ_CMACHINE_FLOATING_H

#include <stdint.h>

#pragma clang assume_nonnull begin

#if defined(__x86_64__)
/// MXCSR, and the x87 environment where it was not the default one.
typedef struct cmachine_floating {
  uint32_t mxcsr;
  uint32_t has_x87;
  uint8_t x87[28];
} cmachine_floating;

/// Round to nearest, nothing flushed, every exception masked; `saved` keeps what was there.
static inline void cmachine_enter_floating(cmachine_floating *saved) {
  uint16_t control;
  uint32_t mxcsr = 0x1F80;
  __asm__ volatile("stmxcsr %0" : "=m"(saved->mxcsr));
  __asm__ volatile("fnstcw %0" : "=m"(control));
  if (saved->mxcsr != mxcsr) __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
  saved->has_x87 = (control & 0x0F3F) != 0x033F;
  if (saved->has_x87) {
    // Storing the environment masks everything: an exception that waits unmasked cannot fire in here.
    control = 0x037F;
    __asm__ volatile("fnstenv %0\n\tfnclex\n\tfldcw %1" : "=m"(saved->x87) : "m"(control));
  }
}

static inline void cmachine_leave_floating(const cmachine_floating *saved) {
  __asm__ volatile("ldmxcsr %0" : : "m"(saved->mxcsr));
  if (saved->has_x87) __asm__ volatile("fldenv %0" : : "m"(saved->x87));
}
#elif defined(__aarch64__)
typedef struct cmachine_floating {
  uint64_t control, status;
} cmachine_floating;

static inline void cmachine_enter_floating(cmachine_floating *saved) {
  __asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(saved->control), "=r"(saved->status));
  __asm__ volatile("msr fpcr, xzr");
}

static inline void cmachine_leave_floating(const cmachine_floating *saved) {
  __asm__ volatile("msr fpcr, %0\n\tmsr fpsr, %1" : : "r"(saved->control), "r"(saved->status));
}
#endif

#pragma clang assume_nonnull end

#endif
