// Models from descriptors and callbacks, and what the library does with descriptors of its own.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fixture.h"

// A model that was opened some other way is the same model.
static void check_same(const fixture *f, adaptq_model *model) {
  uint32_t levels = 0;
  size_t sites = 0;
  CHECK_STATUS(adaptq_model_levels(model, &levels), ADAPTQ_OK);
  CHECK_STATUS(adaptq_model_site_count(model, &sites), ADAPTQ_OK);
  CHECK(levels == f->levels && sites == f->n_sites);
  CHECK_STATUS(adaptq_model_destroy(model), ADAPTQ_OK);
}

static int open_descriptors(void) {
  int count = 0;
  DIR *folder = opendir("/proc/self/fd");
  while (folder && readdir(folder)) count++;
  if (folder) closedir(folder);
  return count;
}

static void from_a_descriptor(void) {
  OPEN_FIXTURE(f);
  int before = open_descriptors();
  int fd = open(fixture_path(), O_RDONLY | O_CLOEXEC);
  REQUIRE(fd >= 0);
  off_t end = lseek(fd, 0, SEEK_END);
  REQUIRE(lseek(fd, 17, SEEK_SET) == 17);
  adaptq_model *model = NULL;
  REQUIRE_OK(adaptq_model_open_fd(f.runtime, fd, 0, 0, &model));
  check_same(&f, model);
  REQUIRE_OK(adaptq_model_open_fd(f.runtime, fd, 0, (uint64_t)end, &model));
  check_same(&f, model);
  CHECK_INT(lseek(fd, 0, SEEK_CUR), 17);  // neither moved nor closed

  // A model in the middle of another file.
  size_t size = 0;
  char *bytes = read_whole_file(fixture_path(), &size);
  int packed = memfd_create("packed", MFD_CLOEXEC);
  REQUIRE(bytes && packed >= 0);
  CHECK(pwrite(packed, bytes, size, 1001) == (ssize_t)size);
  REQUIRE_OK(adaptq_model_open_fd(f.runtime, packed, 1001, 0, &model));
  check_same(&f, model);
  CHECK(pwrite(packed, "tail", 4, (off_t)(1001 + size)) == 4);
  REQUIRE_OK(adaptq_model_open_fd(f.runtime, packed, 1001, size, &model));
  check_same(&f, model);
  model = (adaptq_model *)0x1000;
  CHECK_STATUS(adaptq_model_open_fd(f.runtime, packed, 1001, 0, &model), ADAPTQ_INVALID_FILE);  // with the tail
  CHECK(model == NULL);
  free(bytes);
  close(packed);
  close(fd);
  CHECK_INT(open_descriptors(), before);
  fixture_close(&f);
}

static void refuses_descriptors(void) {
  adaptq_runtime *runtime = NULL;
  REQUIRE_OK(adaptq_runtime_create(NULL, &runtime));
  adaptq_model *model = NULL;
  int fd = memfd_create("small", MFD_CLOEXEC), ends[2];
  REQUIRE(fd >= 0 && ftruncate(fd, 100) == 0 && pipe2(ends, O_CLOEXEC) == 0);
#define REFUSED(status, part, runtime, fd, offset, size) \
  do { \
    model = (adaptq_model *)0x1000; \
    CHECK_ERROR(adaptq_model_open_fd(runtime, fd, offset, size, &model), status, part); \
    CHECK(model == NULL); \
  } while (0)
  REFUSED(ADAPTQ_INVALID_HANDLE, "adaptq_runtime", NULL, fd, 0, 0);
  REFUSED(ADAPTQ_INVALID_ARGUMENT, "fd is -1", runtime, -1, 0, 0);
  REFUSED(ADAPTQ_INVALID_ARGUMENT, "fd is -2147483648", runtime, INT32_MIN, 0, 0);
  REFUSED(ADAPTQ_IO_ERROR, "descriptor 999999", runtime, 999999, 0, 0);
  REFUSED(ADAPTQ_IO_ERROR, "descriptor 999999", runtime, 999999, 0, 10);
  REFUSED(ADAPTQ_OUT_OF_RANGE, "101", runtime, fd, 101, 0);
  REFUSED(ADAPTQ_OUT_OF_RANGE, "18446744073709551615", runtime, fd, UINT64_MAX, 0);
  REFUSED(ADAPTQ_OUT_OF_RANGE, "18446744073709551615", runtime, fd, 0, UINT64_MAX);
  REFUSED(ADAPTQ_OUT_OF_RANGE, "offset and size", runtime, fd, INT64_MAX, INT64_MAX);
  REFUSED(ADAPTQ_OUT_OF_MEMORY, "", runtime, fd, 0, UINT64_C(1) << 62);
  REFUSED(ADAPTQ_IO_ERROR, "ended after 90 of 91", runtime, fd, 10, 91);
  REFUSED(ADAPTQ_IO_ERROR, "not a regular file", runtime, ends[0], 0, 0);
  REFUSED(ADAPTQ_IO_ERROR, "seek", runtime, ends[0], 0, 10);
  REFUSED(ADAPTQ_INVALID_FILE, "", runtime, fd, 0, 0);
  REFUSED(ADAPTQ_INVALID_FILE, "", runtime, fd, 100, 0);
#undef REFUSED
  CHECK_ERROR(adaptq_model_open_fd(runtime, fd, 0, 0, NULL), ADAPTQ_INVALID_ARGUMENT, "out");
  close(fd);
  close(ends[0]);
  close(ends[1]);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
}

// A source that gives at most `most` bytes at a time and, at byte `stop`, returns `answer`.
typedef struct {
  const char *bytes;
  size_t size, most;
  uint64_t stop, next;
  int64_t answer;
  int calls, wrong;
} source;

static int64_t read_source(void *context, uint64_t offset, void *buffer, size_t size) {
  source *s = (source *)context;
  s->calls++;
  s->wrong |= offset != s->next || size == 0 || size != s->size - offset;
  if (offset >= s->stop) return s->answer;
  size_t count = size < s->most ? size : s->most;
  if (offset + count > s->stop) count = (size_t)(s->stop - offset);
  memcpy(buffer, s->bytes + offset, count);
  s->next += count;
  return (int64_t)count;
}

static void from_a_callback(void) {
  OPEN_FIXTURE(f);
  source s = {.stop = UINT64_MAX};
  s.bytes = read_whole_file(fixture_path(), &s.size);
  REQUIRE(s.bytes != NULL);
  const size_t most[] = {SIZE_MAX, 1 << 20, 40001};
  for (int i = 0; i < 3; i++) {
    s.most = most[i];
    s.next = 0;
    s.calls = 0;
    adaptq_model *model = NULL;
    REQUIRE_OK(adaptq_model_open_callback(f.runtime, read_source, &s, s.size, &model));
    CHECK_INT(s.calls, s.most > s.size ? 1 : (s.size + s.most - 1) / s.most);
    CHECK(!s.wrong);
    check_same(&f, model);
  }
  // It ends, fails or claims too much, at the first byte and later.
  const uint64_t stops[] = {0, 1, 100000};
  const struct { int64_t answer; const char *part; } answers[] = {
      {0, "ended after"}, {-EIO, "nput/output error"}, {-1, ""}, {INT64_MIN, ""}, {INT64_MAX, "asked for"}};
  for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++)
    for (size_t k = 0; k < sizeof answers / sizeof answers[0]; k++) {
      s.stop = stops[i];
      s.answer = answers[k].answer;
      s.next = 0;
      adaptq_model *model = (adaptq_model *)0x1000;
      CHECK_ERROR(adaptq_model_open_callback(f.runtime, read_source, &s, s.size, &model), ADAPTQ_IO_ERROR,
                  answers[k].part);
      CHECK(model == NULL);
    }
  s.stop = 0;
  adaptq_model *model = (adaptq_model *)0x1000;
  CHECK_ERROR(adaptq_model_open_callback(f.runtime, NULL, &s, s.size, &model), ADAPTQ_INVALID_ARGUMENT, "read");
  CHECK(model == NULL);
  CHECK_ERROR(adaptq_model_open_callback(f.runtime, read_source, &s, s.size, NULL), ADAPTQ_INVALID_ARGUMENT, "out");
  CHECK_STATUS(adaptq_model_open_callback(NULL, read_source, &s, s.size, &model), ADAPTQ_INVALID_HANDLE);
  CHECK_STATUS(adaptq_model_open_callback(f.runtime, read_source, &s, UINT64_MAX, &model), ADAPTQ_OUT_OF_RANGE);
  CHECK_STATUS(adaptq_model_open_callback(f.runtime, read_source, &s, UINT64_C(1) << 62, &model), ADAPTQ_OUT_OF_MEMORY);
  CHECK_STATUS(adaptq_model_open_callback(f.runtime, read_source, &s, 0, &model), ADAPTQ_INVALID_FILE);
  free((void *)(uintptr_t)s.bytes);
  fixture_close(&f);
}

// While a model is opened by path its descriptor exists: the allocator is called then and looks.
static int descriptors_seen, descriptors_inherited;

static void *look_and_allocate(void *context, size_t size, size_t alignment) {
  int *known = (int *)context;
  DIR *folder = opendir("/proc/self/fd");
  if (!folder) return NULL;
  for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
    int fd = atoi(entry->d_name);
    if (entry->d_name[0] == '.' || fd == dirfd(folder) || fd >= 1024 || known[fd]) continue;
    descriptors_seen++;
    if (!(fcntl(fd, F_GETFD) & FD_CLOEXEC)) descriptors_inherited++;
  }
  closedir(folder);
  return aligned_alloc(alignment, size);
}

static void give_back(void *context, void *memory, size_t size) {
  (void)context;
  (void)size;
  free(memory);
}

static void descriptors_are_close_on_exec(void) {
  NEEDS_MODEL();
  static int known[1024];
  for (int fd = 0; fd < 1024; fd++) known[fd] = fcntl(fd, F_GETFD) >= 0;
  adaptq_runtime_options options = {0};
  options.struct_size = sizeof options;
  options.allocate = look_and_allocate;
  options.release = give_back;
  options.allocator_context = known;
  adaptq_runtime *runtime = NULL;
  adaptq_model *model = NULL;
  REQUIRE_OK(adaptq_runtime_create(&options, &runtime));
  REQUIRE_OK(adaptq_model_open(runtime, fixture_path(), &model));
  CHECK(descriptors_seen > 0);
  CHECK_INT(descriptors_inherited, 0);
  CHECK_STATUS(adaptq_model_destroy(model), ADAPTQ_OK);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
}

int main(void) {
  RUN(from_a_descriptor);
  RUN(refuses_descriptors);
  RUN(from_a_callback);
  RUN(descriptors_are_close_on_exec);
  return check_end();
}
