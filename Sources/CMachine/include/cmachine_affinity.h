// Which CPUs the calling thread may use. glibc declares its functions only for _GNU_SOURCE, which Swift does not set.
#ifndef ADAPTQ_CMACHINE_AFFINITY_H
#define ADAPTQ_CMACHINE_AFFINITY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/// Bit `cpu % 64` of word `cpu / 64` for each CPU; the kernel writes only as many words as it has. Negative on error.
static inline long cmachine_allowed_cpus(uint64_t *words, size_t count) {
  return syscall(SYS_sched_getaffinity, 0, count * sizeof *words, words);
}

/// Zero, or negative on error.
static inline long cmachine_bind_to_cpus(const uint64_t *words, size_t count) {
  return syscall(SYS_sched_setaffinity, 0, count * sizeof *words, words);
}

#endif
