// Who am I after a fork: a page that the system clears in every child, and a count beside it that children inherit.
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/mman.h>

#include "cmachine.h"

enum { UNSEEN = 0, COUNTING = 1, SEEN = 2 };

static uint64_t *mark;  // in the page that children find cleared
static uint64_t generation = 1;
static uint64_t kept_mark;  // stands in where the page is not to be had; see forked()

static void forked(void) { __atomic_store_n(&kept_mark, UNSEEN, __ATOMIC_RELEASE); }

/// Linux has MADV_WIPEONFORK since 4.14. It sees every kind of fork; a handler, the second best, only those of the C
/// library.
static uint64_t *make_mark(void) {
  uint64_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page != MAP_FAILED && madvise(page, 4096, MADV_WIPEONFORK) != 0) {
    munmap(page, 4096);
    page = MAP_FAILED;
  }
  uint64_t *made = page != MAP_FAILED ? page : &kept_mark;
  uint64_t *expected = NULL;
  if (__atomic_compare_exchange_n(&mark, &expected, made, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
    if (made == &kept_mark) pthread_atfork(NULL, NULL, forked);
    return made;
  }
  if (page != MAP_FAILED) munmap(page, 4096);
  return expected;
}

uint64_t cmachine_fork_generation(void) {
  uint64_t *seen = __atomic_load_n(&mark, __ATOMIC_ACQUIRE);
  if (seen == NULL) seen = make_mark();
  while (__atomic_load_n(seen, __ATOMIC_ACQUIRE) != SEEN) {
    uint64_t expected = UNSEEN;
    // A few instructions apart: whoever finds COUNTING waits that long. A child made in between finds UNSEEN again.
    if (__atomic_compare_exchange_n(seen, &expected, COUNTING, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
      __atomic_add_fetch(&generation, 1, __ATOMIC_ACQ_REL);
      __atomic_store_n(seen, SEEN, __ATOMIC_RELEASE);
    }
  }
  return __atomic_load_n(&generation, __ATOMIC_ACQUIRE);
}
