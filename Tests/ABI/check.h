// A test program's few needs: CHECK..., one line per test, a count at the end. Header only, C11 and C++17.
//
//   static void refuses_null(void) { CHECK_STATUS(adaptq_model_open(NULL, "x", &m), ADAPTQ_INVALID_HANDLE); }
//   int main(void) { RUN(refuses_null); return check_end(); }
//
// run.sh counts the lines that begin with "ok ", "FAIL " and "skip ".
#ifndef ADAPTQ_CHECK_H
#define ADAPTQ_CHECK_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adaptq.h"

static int check_failures, check_failed_tests;
static const char *check_skip_reason;

__attribute__((format(printf, 3, 4), unused))
static void check_fail(const char *file, int line, const char *format, ...) {
  // One broken promise in a loop over thousands of cases need not fill the screen.
  if (++check_failures > 20) return;
  va_list arguments;
  va_start(arguments, format);
  printf("  %s:%d: ", file, line);
  vprintf(format, arguments);
  printf("\n");
  va_end(arguments);
}

#define CHECK(condition) \
  do { if (!(condition)) check_fail(__FILE__, __LINE__, "expected %s", #condition); } while (0)

#define CHECK_INT(actual, expected) \
  do { \
    long long check_a = (long long)(actual), check_e = (long long)(expected); \
    if (check_a != check_e) check_fail(__FILE__, __LINE__, "%s is %lld, expected %lld", #actual, check_a, check_e); \
  } while (0)

// The status of a call; a failing one must have left an error text.
#define CHECK_STATUS(call, expected) \
  do { \
    adaptq_status check_s = (call), check_w = (expected); \
    if (check_s != check_w) \
      check_fail(__FILE__, __LINE__, "%s gives %s, expected %s (\"%s\")", #call, adaptq_status_name(check_s), \
                 adaptq_status_name(check_w), adaptq_last_error()); \
    else if (check_s != ADAPTQ_OK && adaptq_last_error()[0] == 0) \
      check_fail(__FILE__, __LINE__, "%s left no error text", #call); \
  } while (0)

// Like CHECK_STATUS, and the error text contains `part`.
#define CHECK_ERROR(call, expected, part) \
  do { \
    CHECK_STATUS(call, expected); \
    if (!strstr(adaptq_last_error(), part)) \
      check_fail(__FILE__, __LINE__, "the error text of %s is \"%s\", expected \"%s\" in it", #call, adaptq_last_error(), \
                 part); \
  } while (0)

// Where going on makes no sense.
#define REQUIRE(condition) \
  do { if (!(condition)) { check_fail(__FILE__, __LINE__, "expected %s", #condition); return; } } while (0)
#define REQUIRE_OK(call) \
  do { \
    adaptq_status check_s = (call); \
    if (check_s != ADAPTQ_OK) { \
      check_fail(__FILE__, __LINE__, "%s gives %s (\"%s\")", #call, adaptq_status_name(check_s), adaptq_last_error()); \
      return; \
    } \
  } while (0)

#define SKIP(reason) do { check_skip_reason = (reason); return; } while (0)

#define RUN(test) check_run(__FILE__, #test, test)

__attribute__((unused)) static void check_run(const char *file, const char *name, void (*test)(void)) {
  const char *slash = strrchr(file, '/');
  const char *base = slash ? slash + 1 : file;
  int length = (int)strcspn(base, ".");
  check_failures = 0;
  check_skip_reason = NULL;
  test();
  if (check_failures > 0) {
    check_failed_tests++;
    printf("FAIL %.*s.%s (%d)\n", length, base, name, check_failures);
  } else if (check_skip_reason) {
    printf("skip %.*s.%s: %s\n", length, base, name, check_skip_reason);
  } else {
    printf("ok %.*s.%s\n", length, base, name);
  }
  fflush(stdout);
}

__attribute__((unused)) static int check_end(void) {
  printf("end\n");
  return check_failed_tests > 0;
}

// Memory that must stay as it is: filled with a pattern that no result has.
__attribute__((unused)) static void canary_fill(void *memory, size_t size) { memset(memory, 0xC5, size); }
__attribute__((unused)) static int canary_intact(const void *memory, size_t size) {
  for (size_t i = 0; i < size; i++) if (((const unsigned char *)memory)[i] != 0xC5) return 0;
  return 1;
}

// SplitMix64: the same numbers everywhere.
__attribute__((unused)) static uint64_t check_random(uint64_t *state) {
  uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
  z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
  return z ^ (z >> 31);
}

#endif
