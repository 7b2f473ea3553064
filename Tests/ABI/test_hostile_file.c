// Damaged .adaptq files: every one of them gives an error (or a model, where the damage is in a place without meaning),
// never a crash and never a read outside the bytes that were handed over. An inaccessible page follows the bytes.
//
// ADAPTQ_TEST_SMALL_MODEL, else ADAPTQ_TEST_MODEL. Files of any size are tried; how many cases a test makes is bounded
// (ADAPTQ_TEST_LONG lifts the bound), and it says how many it made.
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "fixture.h"

enum { PAGE = 4096 };

static const char *path(void) {
  const char *small = getenv("ADAPTQ_TEST_SMALL_MODEL");
  return small ? small : fixture_path();
}
static long bound(long cases) { return getenv("ADAPTQ_TEST_LONG") ? INT64_MAX : cases; }

// The file, followed (from the next page boundary on) by an inaccessible page. end_aligned: the file ends at the boundary.
typedef struct { char *mapping, *bytes; size_t size, mapped; } guarded;

static int load(guarded *g, int end_aligned) {
  size_t size = 0;
  char *file = read_whole_file(path(), &size);
  if (file == NULL) return 0;
  g->size = size;
  g->mapped = (size + PAGE - 1) / PAGE * PAGE + PAGE;
  g->mapping = (char *)mmap(NULL, g->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (g->mapping == MAP_FAILED || mprotect(g->mapping + g->mapped - PAGE, PAGE, PROT_NONE) != 0) return 0;
  g->bytes = end_aligned ? g->mapping + g->mapped - PAGE - size : g->mapping;
  memcpy(g->bytes, file, size);
  free(file);
  return 1;
}

static int is_expected(adaptq_status s) {
  return s == ADAPTQ_INVALID_FILE || s == ADAPTQ_UNSUPPORTED_VERSION || s == ADAPTQ_UNSUPPORTED ||
         s == ADAPTQ_OUT_OF_RANGE || s == ADAPTQ_OUT_OF_MEMORY;
}

// A model that opened in spite of the damage must be able to say everything about itself.
static void describe(adaptq_model *model) {
  size_t inputs = 0, outputs = 0, sites = 0;
  uint32_t levels = 0;
  CHECK_STATUS(adaptq_model_input_count(model, &inputs), ADAPTQ_OK);
  CHECK_STATUS(adaptq_model_output_count(model, &outputs), ADAPTQ_OK);
  CHECK_STATUS(adaptq_model_site_count(model, &sites), ADAPTQ_OK);
  CHECK_STATUS(adaptq_model_levels(model, &levels), ADAPTQ_OK);
  size_t letters = 0;
  for (size_t i = 0; i < inputs + outputs; i++) {
    adaptq_tensor_info info = {.struct_size = sizeof info};
    CHECK_STATUS(i < inputs ? adaptq_model_input(model, i, &info) : adaptq_model_output(model, i - inputs, &info), ADAPTQ_OK);
    letters += strlen(info.name);
  }
  for (size_t i = 0; i < sites; i++) {
    adaptq_site_info info = {.struct_size = sizeof info};
    CHECK_STATUS(adaptq_model_site(model, i, &info), ADAPTQ_OK);
    letters += strlen(info.name);
  }
  adaptq_tokenizer *tokenizer = NULL;
  if (adaptq_tokenizer_create(model, &tokenizer) == ADAPTQ_OK) {
    int64_t ids[64];
    size_t count = 0;
    letters += (size_t)adaptq_tokenizer_encode(tokenizer, "damage", 6, 0, ids, 64, &count);
    CHECK_STATUS(adaptq_tokenizer_destroy(tokenizer), ADAPTQ_OK);
  }
  adaptq_session *session = NULL;
  if (adaptq_session_create(model, NULL, &session) == ADAPTQ_OK) CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  (void)letters;
}

// Returns 1 if it opened. `what` and `where` name the case in a failure.
static int try_open(adaptq_runtime *runtime, const char *bytes, size_t size, const char *what, size_t where) {
  adaptq_model *model = (adaptq_model *)0x1000;
  adaptq_status status = adaptq_model_open_memory(runtime, bytes, size, &model);
  if (status == ADAPTQ_OK) {
    describe(model);
    CHECK_STATUS(adaptq_model_destroy(model), ADAPTQ_OK);
    return 1;
  }
  if (!is_expected(status))
    check_fail(__FILE__, __LINE__, "%s at %zu: %s (%s)", what, where, adaptq_status_name(status), adaptq_last_error());
  if (model != NULL) check_fail(__FILE__, __LINE__, "%s at %zu: *out is not NULL", what, where);
  if (adaptq_last_error()[0] == 0) check_fail(__FILE__, __LINE__, "%s at %zu: no error text", what, where);
  return 0;
}

#define OPEN_HOSTILE(g, end_aligned) \
  if (!path()) SKIP("ADAPTQ_TEST_MODEL is not set"); \
  adaptq_runtime *runtime = NULL; \
  REQUIRE_OK(adaptq_runtime_create(NULL, &runtime)); \
  guarded g; \
  REQUIRE(load(&g, end_aligned))

static void close_hostile(guarded *g, adaptq_runtime *runtime) {
  munmap(g->mapping, g->mapped);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
}

static uint64_t header_end(const guarded *g) {
  uint64_t length = 0;
  if (g->size < 8) return 0;
  memcpy(&length, g->bytes, 8);
  return length > g->size - 8 ? g->size : length + 8;
}

// Cut at page boundaries from the end on, each further page made inaccessible.
static void cut_at_every_page(void) {
  OPEN_HOSTILE(g, 0);
  long pages = (long)((g.size - 1) / PAGE), cases = 0, step = pages / bound(2000) + 1;
  for (long page = pages; page >= 0; page--) {
    mprotect(g.mapping + page * PAGE, PAGE, PROT_NONE);
    if (page % step != 0 && page > 64) continue;
    cases++;
    if (try_open(runtime, g.bytes, (size_t)page * PAGE, "cut", (size_t)page * PAGE))
      check_fail(__FILE__, __LINE__, "a file cut at byte %ld opened", page * PAGE);
  }
  printf("  %ld cuts of a file of %zu bytes\n", cases, g.size);
  close_hostile(&g, runtime);
}

// Cut at every byte of the beginning, and a byte or a few before the end. The bytes end at an inaccessible page.
static void cut_at_odd_bytes(void) {
  if (!path()) SKIP("ADAPTQ_TEST_MODEL is not set");
  adaptq_runtime *runtime = NULL;
  REQUIRE_OK(adaptq_runtime_create(NULL, &runtime));
  size_t size = 0;
  char *file = read_whole_file(path(), &size);
  REQUIRE(file != NULL);
  char *page = (char *)mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(page != MAP_FAILED && mprotect(page + 2 * PAGE, PAGE, PROT_NONE) == 0);
  for (size_t length = 0; length < 2 * PAGE && length < size; length += length < 600 ? 1 : 37) {
    memcpy(page + 2 * PAGE - length, file, length);
    if (try_open(runtime, page + 2 * PAGE - length, length, "cut", length))
      check_fail(__FILE__, __LINE__, "a file cut at byte %zu opened", length);
  }
  for (size_t less = 1; less < 70 && less < size; less += 3)
    if (try_open(runtime, file, size - less, "cut before the end", less))
      check_fail(__FILE__, __LINE__, "a file without its last %zu bytes opened", less);
  munmap(page, 3 * PAGE);
  free(file);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
}

// One byte of the header changed: inverted, set to 0, to a quote, plus one. Some changes are in a name and harmless.
static void flip_every_header_byte(void) {
  OPEN_HOSTILE(g, 1);
  uint64_t end = header_end(&g);
  REQUIRE(end > 8);
  // The first bytes all; the rest with a stride when there are too many or the file is big.
  long per_case = 1 + (long)(g.size >> 22), step = (long)end * 2 / (bound(6000) / per_case + 1) + 1, cases = 0, opened = 0;
  for (uint64_t at = 0; at < end; at += at < 256 ? 1 : (uint64_t)step) {
    char kept = g.bytes[at];
    const char changes[] = {(char)~kept, 0, '"', (char)(kept + 1), (char)(kept ^ 1), '9', '-'};
    int n = at < 256 ? (int)sizeof changes : 2;
    for (int k = 0; k < n; k++) {
      char now = at < 256 ? changes[k] : changes[(at / 7 + (uint64_t)k * 3) % sizeof changes];
      if (now == kept) continue;
      g.bytes[at] = now;
      opened += try_open(runtime, g.bytes, g.size, "changed byte", at);
      cases++;
    }
    g.bytes[at] = kept;
  }
  CHECK(try_open(runtime, g.bytes, g.size, "unchanged", 0));
  printf("  %ld changes in a header of %" PRIu64 " bytes, %ld opened\n", cases, end, opened);
  close_hostile(&g, runtime);
}

// Numbers in the header replaced by ones that overflow sums and products.
static void huge_numbers_in_the_header(void) {
  OPEN_HOSTILE(g, 1);
  uint64_t end = header_end(&g);
  REQUIRE(end > 8);
  static const char *const numbers[] = {"18446744073709551615", "9223372036854775807", "4611686018427387904", "-1",
                                        "1e308", "4294967296", "0", "99999999999999999999999999"};
  long cases = 0, opened = 0, wanted = bound(400) / (1 + (long)(g.size >> 22));
  uint64_t skip = end / (uint64_t)(wanted < 1 ? 1 : wanted > (long)end ? (long)end : wanted) + 1;
  char *copy = (char *)malloc(g.size + 32);
  REQUIRE(copy != NULL);
  for (uint64_t at = 8; at < end; at++) {
    if (g.bytes[at] < '0' || g.bytes[at] > '9') continue;
    uint64_t stop = at;
    while (stop < end && g.bytes[stop] >= '0' && g.bytes[stop] <= '9') stop++;
    const char *number = numbers[cases % (long)(sizeof numbers / sizeof numbers[0])];
    size_t length = strlen(number);
    uint64_t header = end - 8 - (stop - at) + length;
    memcpy(copy, &header, 8);
    memcpy(copy + 8, g.bytes + 8, at - 8);
    memcpy(copy + at, number, length);
    memcpy(copy + at + length, g.bytes + stop, g.size - stop);
    opened += try_open(runtime, copy, g.size - (stop - at) + length, number, at);
    cases++;
    at = stop + skip;
  }
  free(copy);
  printf("  %ld replaced numbers, %ld opened\n", cases, opened);
  close_hostile(&g, runtime);
}

// Whatever the length field says.
static void header_lengths(void) {
  OPEN_HOSTILE(g, 1);
  uint64_t right = 0;
  memcpy(&right, g.bytes, 8);
  const uint64_t lengths[] = {0, 1, 2, 7, 8, right - 1, right + 1, right + 8, g.size - 8, g.size - 7, g.size, g.size + 1,
                              UINT64_C(100000001), UINT64_C(1) << 31, UINT64_C(1) << 32, UINT64_C(1) << 63,
                              UINT64_MAX - 8, UINT64_MAX - 7, UINT64_MAX};
  for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
    memcpy(g.bytes, &lengths[i], 8);
    if (try_open(runtime, g.bytes, g.size, "header length", (size_t)lengths[i]))
      check_fail(__FILE__, __LINE__, "header length %" PRIu64 " instead of %" PRIu64 " opened", lengths[i], right);
  }
  close_hostile(&g, runtime);
}

// Random bytes behind a plausible beginning.
static void random_files(void) {
  adaptq_runtime *runtime = NULL;
  REQUIRE_OK(adaptq_runtime_create(NULL, &runtime));
  uint64_t state = 99;
  for (int round = 0; round < 3000; round++) {
    size_t size = 8 + check_random(&state) % 600;
    char *bytes = (char *)malloc(size);
    REQUIRE(bytes != NULL);
    for (size_t i = 0; i < size; i++) {
      const char likely[] = "{}[]\":,0123456789-eE.\\u truefalsn__metadata__dtypeshapedata_offsetsF32U8";
      uint64_t r = check_random(&state);
      bytes[i] = round % 3 ? likely[r % (sizeof likely - 1)] : (char)r;
    }
    uint64_t header = round % 5 ? size - 8 : check_random(&state) % (2 * size);
    memcpy(bytes, &header, 8);
    if (round % 3 == 1 && size > 9) bytes[8] = '{', bytes[size - 1] = '}';
    if (try_open(runtime, bytes, size, "random file", (size_t)round))
      check_fail(__FILE__, __LINE__, "random file %d opened", round);
    free(bytes);
  }
  // Deep nesting must not use up the stack.
  enum { DEEP = 1000000 };
  char *deep = (char *)malloc(DEEP);
  REQUIRE(deep != NULL);
  const char openings[] = {'[', '{'};
  for (int i = 0; i < 2; i++) {
    memset(deep, openings[i], DEEP);
    uint64_t header = DEEP - 8;
    memcpy(deep, &header, 8);
    try_open(runtime, deep, DEEP, "deep nesting", (size_t)i);
    for (int k = 8; k + 5 <= DEEP; k += 5) memcpy(deep + k, i ? "{\"a\":" : "[[[[[", 5);
    try_open(runtime, deep, DEEP, "deep nesting", (size_t)i);
  }
  free(deep);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
}

int main(void) {
  RUN(random_files);
  RUN(header_lengths);
  RUN(cut_at_odd_bytes);
  RUN(cut_at_every_page);
  RUN(flip_every_header_byte);
  RUN(huge_numbers_in_the_header);
  return check_end();
}
