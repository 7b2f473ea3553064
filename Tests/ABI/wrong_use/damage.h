// Files whose body was damaged: header intact, a bit of the tensors flipped. A weight has no checksum, so most such files open
// and give other numbers; a scale that would poison every product is refused. Never a crash, whatever the bit.
#ifndef ADAPTQ_WRONG_USE_DAMAGE_H
#define ADAPTQ_WRONG_USE_DAMAGE_H

#include "damage_helpers.h"
#include "machinery.h"

static unsigned char damaged[sizeof small_file];

// Where the bytes of a tensor begin in a file.
static size_t tensor_at(const unsigned char *file, size_t size, const char *name) {
  uint64_t header = 0;
  size_t begin = 0;
  char key[100];
  memcpy(&header, file, 8);
  snprintf(key, sizeof key, "\"%s\"", name);
  const char *at = memmem(file, size, key, strlen(key));
  if (at) at = strstr(at, "data_offsets");
  if (!at || sscanf(at, "data_offsets\": [%zu", &begin) != 1) check_fail(__FILE__, __LINE__, "no tensor %s", name);
  return 8 + header + begin;
}

static adaptq_status open_and_run(const unsigned char *file, size_t size) {
  adaptq_model *model = NULL;
  adaptq_session *session = NULL;
  adaptq_status status = adaptq_model_open_memory(w.runtime, file, size, &model);
  if (status != ADAPTQ_OK) return status;
  good_inputs();
  status = adaptq_session_create(model, NULL, &session);
  if (status == ADAPTQ_OK) status = adaptq_session_prepare(session, in.max_inputs, 2);
  for (int i = 0; status == ADAPTQ_OK && i < FIXTURE_LEVELS; i++) {
    in.run.level = fixture_level[i];
    status = adaptq_session_run(session, in.inputs, 2, in.outputs, 1, &in.run, NULL);
  }
  adaptq_session_destroy(session);
  adaptq_model_destroy(model);
  good_inputs();
  return status;
}

// The small model with two bytes of a tensor replaced.
static adaptq_status with_bytes(const char *name, size_t offset, const char *bytes, size_t count) {
  memcpy(damaged, small_file, small_size);
  memcpy(damaged + tensor_at(small_file, small_size, name) + offset, bytes, count);
  adaptq_status status = open_and_run(damaged, small_size);
  clean_results();
  out_before = out;
  return status;
}

// Seeded bits of the body, one at a time: each file opens and runs at every level, or is refused as ADAPTQ_INVALID_FILE.
static adaptq_status flipped_model(const unsigned char *file, size_t size) {
  uint64_t header = 0, state = 2024;
  memcpy(&header, file, 8);
  size_t body = 8 + header;
  long cases = getenv("ADAPTQ_TEST_LONG") ? 20000 : 300, opened = 0;
  for (long i = 0; i < cases; i++) {
    size_t bit = check_random(&state) % ((size - body) * 8);
    memcpy(damaged, file, size);
    damaged[body + bit / 8] ^= (unsigned char)(1 << bit % 8);
    adaptq_status status = open_and_run(damaged, size);
    opened += status == ADAPTQ_OK;
    if (status != ADAPTQ_OK && status != ADAPTQ_INVALID_FILE) {
      check_fail(__FILE__, __LINE__, "bit %zu of the body: %s (%s)", bit, adaptq_status_name(status), adaptq_last_error());
      return status;
    }
  }
  printf("  %ld flipped bits in a body of %zu bytes, %ld files opened and ran\n", cases, size - body, opened);
  return ADAPTQ_OK;
}

static void damaged_bodies(void) {
  HARMLESS(adaptq_model_open_memory, "a bit of the body flipped (seeded, any bit)",
           "other numbers, or `ADAPTQ_INVALID_FILE`; never a crash", (void)0, flipped_model(small_file, small_size));
  HARMLESS(adaptq_model_open_memory, "weight codes replaced", "other numbers: codes carry no checksum", (void)0,
           with_bytes("site.1.plane0", 0, "\xff\xff", 2));
  WRONG(adaptq_model_open_memory, "a scale of nested weights NaN", ADAPTQ_INVALID_FILE, "", (void)0,
        with_bytes("site.1.scales", 0, "\x00\x7e", 2));
  WRONG(adaptq_model_open_memory, "a scale of nested weights infinite", ADAPTQ_INVALID_FILE, "", (void)0,
        with_bytes("site.1.scales", 2, "\x00\x7c", 2));
  WRONG(adaptq_model_open_memory, "a scale of nested weights negative", ADAPTQ_INVALID_FILE, "", (void)0,
        with_bytes("site.1.scales", 0, "\x00\xac", 2));
  HARMLESS(adaptq_model_open_memory, "an FP32 weight NaN", "the numbers computed from it are NaN", (void)0,
           with_bytes("site.1.fp32", 0, "\x00\x00\xc0\x7f", 4));
  HARMLESS(adaptq_model_open_memory, "an FP16 weight infinite", "the numbers computed from it are NaN or infinite", (void)0,
           with_bytes("site.1.fp16", 0, "\x00\x7c", 2));
  HARMLESS(adaptq_model_open_memory, "a bias NaN", "the numbers computed from it are NaN", (void)0,
           with_bytes("constant.0", 0, "\x00\x00\xc0\x7f", 4));
  WRONG(adaptq_tokenizer_create, "the vocabulary's mark damaged", ADAPTQ_INVALID_FILE, "", (void)0,
        with_vocabulary(0, "X"));
  WRONG(adaptq_tokenizer_create, "the vocabulary's count damaged", ADAPTQ_INVALID_FILE, "", (void)0,
        with_vocabulary(8, "\xff"));
  WRONG(adaptq_matrix_file_open_memory, "a scale NaN", ADAPTQ_INVALID_FILE, "", (void)0, damaged_matrices(1));
  HARMLESS(adaptq_matrix_file_open_memory, "a bit of the body flipped (seeded, any bit)",
           "other numbers, or `ADAPTQ_INVALID_FILE`; never a crash", (void)0, damaged_matrices(0));
}

#endif
