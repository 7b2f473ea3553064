// What worker threads need: waiting on a word, a name, the fork mark.
#ifndef ADAPTQ_CMACHINE_THREADS_H
#define ADAPTQ_CMACHINE_THREADS_H

#include <linux/futex.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#pragma clang assume_nonnull begin

static inline void cmachine_pause(void) {
#if defined(__x86_64__)
  __asm__ volatile("pause");
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/// The upper and the lower half of a 64-bit word, as futexes.
static inline uint32_t *cmachine_upper_half(uint64_t *word) { return (uint32_t *)word + 1; }
static inline uint32_t *cmachine_lower_half(uint64_t *word) { return (uint32_t *)word; }

/// Sleeps while `*word` is `expected`; may return early.
static inline void cmachine_futex_wait(uint32_t *word, uint32_t expected) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, (void *_Nullable)0, (void *_Nullable)0, 0);
}

/// Tried again where a filter or a tracer refuses it: a wake that is lost leaves a thread asleep for ever.
static inline void cmachine_futex_wake(uint32_t *word, int32_t count) {
  for (int attempt = 0; attempt < 8; attempt++) {
    if (syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, (void *_Nullable)0, (void *_Nullable)0, 0) >= 0) return;
  }
}

/// At most 15 bytes count.
static inline void cmachine_name_thread(const char *name) { prctl(PR_SET_NAME, (unsigned long)name, 0, 0, 0); }

/// A number that differs in every process that fork made of this one, by whatever means; it never is 0. Two loads, apart
/// from the first call in a process. Lives in fork.c.
uint64_t cmachine_fork_generation(void);

#pragma clang assume_nonnull end

#endif
