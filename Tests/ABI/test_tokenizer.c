// adaptq_tokenizer_*: the contract, and the token ids of the golden sentences where the model has their vocabulary.
#define _GNU_SOURCE
#include <pthread.h>

#include "fixture.h"

enum { ROOM = 512 };

#define OPEN_TOKENIZER(f, tokenizer) \
  OPEN_FIXTURE(f); \
  adaptq_tokenizer *tokenizer = NULL; \
  if (adaptq_tokenizer_create(f.model, &tokenizer) == ADAPTQ_NOT_FOUND) { fixture_close(&f); SKIP("no tokenizer"); } \
  REQUIRE(tokenizer != NULL)

static void close_tokenizer(fixture *f, adaptq_tokenizer *tokenizer) {
  CHECK_STATUS(adaptq_tokenizer_destroy(tokenizer), ADAPTQ_OK);
  fixture_close(f);
}

static void information(void) {
  OPEN_TOKENIZER(f, tokenizer);
  adaptq_tokenizer_info info = {.struct_size = sizeof info};
  CHECK_STATUS(adaptq_tokenizer_get_info(tokenizer, &info), ADAPTQ_OK);
  CHECK_INT(info.struct_size, sizeof info);
  CHECK(info.vocabulary_size > 0 && info.pad_id >= -1 && info.pad_id < info.vocabulary_size && info.max_length >= 0);
  CHECK_STATUS(adaptq_tokenizer_get_info(tokenizer, NULL), ADAPTQ_INVALID_ARGUMENT);
  const size_t sizes[] = {0, 8, sizeof info - 1, sizeof info + 8};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    canary_fill(&info, sizeof info);
    info.struct_size = sizes[i];
    CHECK_ERROR(adaptq_tokenizer_get_info(tokenizer, &info), ADAPTQ_INVALID_ARGUMENT,
                "adaptq_tokenizer_info.struct_size");
    CHECK(canary_intact(&info.vocabulary_size, sizeof info - offsetof(adaptq_tokenizer_info, vocabulary_size)));
  }
  CHECK_STATUS(adaptq_tokenizer_create(f.model, NULL), ADAPTQ_INVALID_ARGUMENT);
  close_tokenizer(&f, tokenizer);
}

static void refuses_handles(void) {
  OPEN_TOKENIZER(f, dead);
  CHECK_STATUS(adaptq_tokenizer_destroy(dead), ADAPTQ_OK);
  adaptq_tokenizer *wrong[] = {NULL, dead, (adaptq_tokenizer *)f.model, (adaptq_tokenizer *)(void *)&f};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    adaptq_tokenizer_info info;
    int64_t ids[4];
    size_t count = 77;
    canary_fill(&info, sizeof info);
    canary_fill(ids, sizeof ids);
    info.struct_size = sizeof info;
    CHECK_STATUS(adaptq_tokenizer_get_info(wrong[i], &info), ADAPTQ_INVALID_HANDLE);
    CHECK_STATUS(adaptq_tokenizer_encode(wrong[i], "a", 1, 0, ids, 4, &count), ADAPTQ_INVALID_HANDLE);
    CHECK_STATUS(adaptq_tokenizer_destroy(wrong[i]), wrong[i] ? ADAPTQ_INVALID_HANDLE : ADAPTQ_OK);
    CHECK(count == 77 && canary_intact(ids, sizeof ids));
    CHECK(canary_intact(&info.vocabulary_size, sizeof info - offsetof(adaptq_tokenizer_info, vocabulary_size)));
  }
  fixture_close(&f);
}

static void capacities(void) {
  OPEN_TOKENIZER(f, tokenizer);
  const char text[] = "The quick brown fox jumps over the lazy dog.";
  int64_t all[ROOM], ids[ROOM];
  size_t needed = 0, count = 77;
  REQUIRE_OK(adaptq_tokenizer_encode(tokenizer, text, strlen(text), 0, all, ROOM, &needed));
  CHECK(needed > 2 && needed < ROOM);
  CHECK_STATUS(adaptq_tokenizer_encode(tokenizer, text, strlen(text), 0, NULL, 0, &count), ADAPTQ_BUFFER_TOO_SMALL);
  CHECK_INT(count, needed);
  for (size_t capacity = 0; capacity <= needed; capacity++) {
    canary_fill(ids, sizeof ids);
    count = 77;
    CHECK_STATUS(adaptq_tokenizer_encode(tokenizer, text, strlen(text), 0, ids, capacity, &count),
                 capacity < needed ? ADAPTQ_BUFFER_TOO_SMALL : ADAPTQ_OK);
    CHECK_INT(count, needed);
    if (capacity < needed) CHECK(canary_intact(ids, sizeof ids));
    else CHECK(memcmp(ids, all, needed * sizeof ids[0]) == 0 && canary_intact(ids + needed, sizeof ids - needed * 8));
  }
  count = 77;
  CHECK_STATUS(adaptq_tokenizer_encode(tokenizer, text, strlen(text), 0, NULL, ROOM, &count), ADAPTQ_INVALID_ARGUMENT);
  CHECK_STATUS(adaptq_tokenizer_encode(tokenizer, NULL, 5, 0, ids, ROOM, &count), ADAPTQ_INVALID_ARGUMENT);
  CHECK_STATUS(adaptq_tokenizer_encode(tokenizer, text, strlen(text), 0, ids, ROOM, NULL), ADAPTQ_INVALID_ARGUMENT);
  CHECK_INT(count, 77);
  close_tokenizer(&f, tokenizer);
}

static void lengths(void) {
  OPEN_TOKENIZER(f, tokenizer);
  const char text[] = "one two three four five six seven eight nine ten";
  int64_t all[ROOM], ids[ROOM];
  size_t needed = 0, count = 0, special = 0;
  REQUIRE_OK(adaptq_tokenizer_encode(tokenizer, text, strlen(text), 0, all, ROOM, &needed));
  REQUIRE_OK(adaptq_tokenizer_encode(tokenizer, "", 0, 0, ids, ROOM, &special));
  CHECK(special < needed);
  const int64_t wrong[] = {-1, INT64_MIN};
  canary_fill(ids, sizeof ids);
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    CHECK_ERROR(adaptq_tokenizer_encode(tokenizer, text, strlen(text), wrong[i], ids, ROOM, &count),
                ADAPTQ_INVALID_ARGUMENT, "max_length");
  for (int64_t bound = 1; bound < (int64_t)special; bound++)
    CHECK_STATUS(adaptq_tokenizer_encode(tokenizer, text, strlen(text), bound, ids, ROOM, &count), ADAPTQ_INVALID_ARGUMENT);
  CHECK(canary_intact(ids, sizeof ids));
  for (int64_t bound = (int64_t)special > 0 ? (int64_t)special : 1; bound <= (int64_t)needed + 3; bound++) {
    CHECK_STATUS(adaptq_tokenizer_encode(tokenizer, text, strlen(text), bound, ids, ROOM, &count), ADAPTQ_OK);
    CHECK_INT(count, bound < (int64_t)needed ? bound : (int64_t)needed);
    if (special == 2) CHECK(ids[0] == all[0] && ids[count - 1] == all[needed - 1]);
  }
  CHECK_STATUS(adaptq_tokenizer_encode(tokenizer, text, strlen(text), INT64_MAX, ids, ROOM, &count), ADAPTQ_OK);
  CHECK_INT(count, needed);
  // No terminator is needed and none is looked for.
  char *exact = (char *)malloc(3);
  REQUIRE(exact != NULL);
  memcpy(exact, "one", 3);
  CHECK_STATUS(adaptq_tokenizer_encode(tokenizer, exact, 3, 0, ids, ROOM, &count), ADAPTQ_OK);
  CHECK(count == special + 1 && memcmp(ids, all, (count - 1) * sizeof ids[0]) == 0);
  free(exact);
  close_tokenizer(&f, tokenizer);
}

static void refuses_what_is_not_utf8(void) {
  OPEN_TOKENIZER(f, tokenizer);
  static const struct { const char *bytes; size_t length, wrong; } cases[] = {
      {"ab\xFF" "cd", 5, 2},           // never occurs
      {"\x80", 1, 0},                  // continuation without start
      {"abc\xC3", 4, 3},               // cut short
      {"\xC0\xAF", 2, 0},              // overlong
      {"x\xED\xA0\x80", 4, 1},         // surrogate
      {"\xF4\x90\x80\x80", 4, 0},      // above U+10FFFF
      {"ok \xE2\x82", 5, 3},           // cut short
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    int64_t ids[ROOM];
    size_t count = 77;
    char number[32];
    canary_fill(ids, sizeof ids);
    snprintf(number, sizeof number, "%zu", cases[i].wrong);
    CHECK_ERROR(adaptq_tokenizer_encode(tokenizer, cases[i].bytes, cases[i].length, 0, ids, ROOM, &count),
                ADAPTQ_INVALID_ARGUMENT, number);
    CHECK(count == 77 && canary_intact(ids, sizeof ids));
  }
  close_tokenizer(&f, tokenizer);
}

static void any_utf8_is_fine(void) {
  OPEN_TOKENIZER(f, tokenizer);
  adaptq_tokenizer_info info = {.struct_size = sizeof info};
  REQUIRE_OK(adaptq_tokenizer_get_info(tokenizer, &info));
  uint64_t state = 7;
  enum { MOST = 4000 };
  char *text = (char *)malloc(4 * MOST);
  int64_t *ids = (int64_t *)malloc((16 * MOST) * sizeof *ids);
  REQUIRE(text != NULL && ids != NULL);
  for (int round = 0; round < 300; round++) {
    size_t length = 0, points = check_random(&state) % (round % 50 == 0 ? MOST : 60);
    for (size_t i = 0; i < points; i++) {
      uint32_t c = (uint32_t)check_random(&state);
      c = c % 3 == 0 ? c % 128 : c % 3 == 1 ? c % 0x3000 : c % 0x110000;
      if (c >= 0xD800 && c < 0xE000) c = 0;
      if (c < 0x80) text[length++] = (char)c;
      else if (c < 0x800) {
        text[length++] = (char)(0xC0 | c >> 6);
        text[length++] = (char)(0x80 | (c & 63));
      } else if (c < 0x10000) {
        text[length++] = (char)(0xE0 | c >> 12);
        text[length++] = (char)(0x80 | (c >> 6 & 63));
        text[length++] = (char)(0x80 | (c & 63));
      } else {
        text[length++] = (char)(0xF0 | c >> 18);
        text[length++] = (char)(0x80 | (c >> 12 & 63));
        text[length++] = (char)(0x80 | (c >> 6 & 63));
        text[length++] = (char)(0x80 | (c & 63));
      }
    }
    size_t count = 0;
    adaptq_status status = adaptq_tokenizer_encode(tokenizer, text, length, 0, ids, 16 * MOST, &count);
    if (status != ADAPTQ_OK) check_fail(__FILE__, __LINE__, "round %d: %s", round, adaptq_last_error());
    else for (size_t i = 0; i < count; i++) CHECK(ids[i] >= 0 && ids[i] < info.vocabulary_size);
  }
  free(text);
  free(ids);
  close_tokenizer(&f, tokenizer);
}

static void golden_tokens(void) {
  OPEN_TOKENIZER(f, tokenizer);
  adaptq_tokenizer_info info = {.struct_size = sizeof info};
  REQUIRE_OK(adaptq_tokenizer_get_info(tokenizer, &info));
  FILE *texts = fopen("Tests/Golden/sentences.txt", "r"), *tokens = fopen("Tests/Golden/sentences.tokens", "r");
  if (!texts || !tokens || info.vocabulary_size != 30522) {
    if (texts) fclose(texts);
    if (tokens) fclose(tokens);
    close_tokenizer(&f, tokenizer);
    SKIP("no golden tokens for this model");
  }
  static char text[4096], line[4096];
  int number = 0;
  while (fgets(text, sizeof text, texts) && fgets(line, sizeof line, tokens)) {
    int64_t ids[ROOM];
    size_t count = 0, k = 0;
    number++;
    CHECK_STATUS(adaptq_tokenizer_encode(tokenizer, text, strcspn(text, "\n"), 0, ids, ROOM, &count), ADAPTQ_OK);
    char *at = line, *end;
    for (long long want = strtoll(at, &end, 10); end != at; at = end, want = strtoll(at, &end, 10), k++)
      if (k >= count || ids[k] != want) {
        check_fail(__FILE__, __LINE__, "sentence %d, token %zu: expected %lld of \"%s\"", number, k, want, text);
        break;
      }
    CHECK_INT(count, k);
  }
  CHECK_INT(number, 100);
  fclose(texts);
  fclose(tokens);
  close_tokenizer(&f, tokenizer);
}

typedef struct { adaptq_tokenizer *tokenizer; int wrong; } sharer;
static void *encode_often(void *argument) {
  sharer *s = (sharer *)argument;
  const char text[] = "Immutable things may be shared by any number of threads.";
  int64_t first[ROOM], ids[ROOM];
  size_t n = 0, count = 0;
  s->wrong = adaptq_tokenizer_encode(s->tokenizer, text, strlen(text), 0, first, ROOM, &n) != ADAPTQ_OK;
  for (int i = 0; i < 500 && !s->wrong; i++)
    s->wrong = adaptq_tokenizer_encode(s->tokenizer, text, strlen(text), 0, ids, ROOM, &count) != ADAPTQ_OK ||
               count != n || memcmp(ids, first, n * sizeof ids[0]) != 0;
  return NULL;
}

static void shared_by_threads_without_the_model(void) {
  OPEN_TOKENIZER(f, tokenizer);
  fixture_close(&f);
  pthread_t threads[4];
  sharer sharers[4];
  for (int i = 0; i < 4; i++) {
    sharers[i] = (sharer){tokenizer, 0};
    REQUIRE(pthread_create(&threads[i], NULL, encode_often, &sharers[i]) == 0);
  }
  for (int i = 0; i < 4; i++) {
    pthread_join(threads[i], NULL);
    CHECK_INT(sharers[i].wrong, 0);
  }
  CHECK_STATUS(adaptq_tokenizer_destroy(tokenizer), ADAPTQ_OK);
}

int main(void) {
  RUN(information);
  RUN(refuses_handles);
  RUN(capacities);
  RUN(lengths);
  RUN(refuses_what_is_not_utf8);
  RUN(any_utf8_is_fine);
  RUN(golden_tokens);
  RUN(shared_by_threads_without_the_model);
  return check_end();
}
