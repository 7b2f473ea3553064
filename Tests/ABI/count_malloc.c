// LD_PRELOAD shim: counts calls of the allocator between adaptq_test_count_begin() and adaptq_test_count_end(), in every
// thread. Test programs find the two functions as weak symbols and skip when the shim is not loaded.
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

// glibc's own entry points: no dlsym, which would allocate.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static atomic_int counting;
static atomic_long calls;
static atomic_size_t largest;

__attribute__((visibility("default"))) void adaptq_test_count_begin(void) {
  atomic_store(&calls, 0);
  atomic_store(&largest, 0);
  atomic_store(&counting, 1);
}

__attribute__((visibility("default"))) long adaptq_test_count_end(void) {
  atomic_store(&counting, 0);
  return atomic_load(&calls);
}

// Of the largest block that was asked for since adaptq_test_count_begin().
__attribute__((visibility("default"))) size_t adaptq_test_largest_block(void) { return atomic_load(&largest); }

static inline void count(size_t size) {
  if (!atomic_load_explicit(&counting, memory_order_relaxed)) return;
  atomic_fetch_add(&calls, 1);
  size_t before = atomic_load(&largest);
  while (size > before && !atomic_compare_exchange_weak(&largest, &before, size)) {}
}

void *malloc(size_t size) { count(size); return __libc_malloc(size); }
void *calloc(size_t n, size_t size) { count(n * size); return __libc_calloc(n, size); }
void *realloc(void *old, size_t size) { count(size); return __libc_realloc(old, size); }
void *memalign(size_t alignment, size_t size) { count(size); return __libc_memalign(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) { count(size); return __libc_memalign(alignment, size); }
void free(void *pointer) { if (pointer) count(0); __libc_free(pointer); }

int posix_memalign(void **out, size_t alignment, size_t size) {
  count(size);
  if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0) return EINVAL;
  void *memory = __libc_memalign(alignment, size);
  if (memory == NULL) return ENOMEM;
  *out = memory;
  return 0;
}
