// Atomic operations on a plain 64-bit word that Swift holds by pointer: a slot of a lock-free table.
#ifndef ADAPTQ_CMACHINE_ATOMICS_H
#define ADAPTQ_CMACHINE_ATOMICS_H

#include <stdbool.h>
#include <stdint.h>

static inline uint64_t cmachine_atomic_load(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }

static inline void cmachine_atomic_store(uint64_t *word, uint64_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/// On failure `*expected` becomes what the word holds.
static inline bool cmachine_atomic_exchange_if(uint64_t *word, uint64_t *expected, uint64_t desired) {
  return __atomic_compare_exchange_n(word, expected, desired, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/// Returns the value after the subtraction.
static inline uint64_t cmachine_atomic_subtract(uint64_t *word, uint64_t amount) {
  return __atomic_sub_fetch(word, amount, __ATOMIC_ACQ_REL);
}

// The next three stand in one order that all threads agree on: who writes one word and then reads another needs that.

static inline uint64_t cmachine_atomic_load_ordered(const uint64_t *word) {
  return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

/// Returns the value before.
static inline uint64_t cmachine_atomic_exchange(uint64_t *word, uint64_t value) {
  return __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
}

/// Returns the value after the addition.
static inline uint64_t cmachine_atomic_add(uint64_t *word, uint64_t amount) {
  return __atomic_add_fetch(word, amount, __ATOMIC_SEQ_CST);
}

// Words of a record that a sequence number guards: no order among themselves.

static inline uint64_t cmachine_atomic_load_relaxed(const uint64_t *word) {
  return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void cmachine_atomic_store_relaxed(uint64_t *word, uint64_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

/// Keeps stores behind it from becoming visible before stores that precede it.
static inline void cmachine_atomic_write_fence(void) { __atomic_thread_fence(__ATOMIC_RELEASE); }

/// Keeps plain reads before it from moving behind atomic loads after it.
static inline void cmachine_atomic_read_fence(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }

#endif
