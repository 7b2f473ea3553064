// Damage to vocabularies and to files of matrices.
#ifndef ADAPTQ_WRONG_USE_DAMAGE_HELPERS_H
#define ADAPTQ_WRONG_USE_DAMAGE_HELPERS_H

#include "machinery.h"
#include "matrix_helpers.h"

static size_t tensor_at(const unsigned char *file, size_t size, const char *name);

static adaptq_status with_vocabulary(size_t offset, const char *byte) {
  static unsigned char file[sizeof small_file];
  adaptq_model *model = NULL;
  memcpy(file, small_file, small_size);
  file[tensor_at(file, small_size, "tokenizer.vocabulary") + offset] = (unsigned char)byte[0];
  adaptq_status status = adaptq_model_open_memory(w.runtime, file, small_size, &model);
  if (status != ADAPTQ_OK) return ADAPTQ_INTERNAL_ERROR;
  status = adaptq_tokenizer_create(model, (adaptq_tokenizer **)&out.handle);
  char text[512];
  snprintf(text, sizeof text, "%s", adaptq_last_error());
  adaptq_model_destroy(model);
  return status;
}

static adaptq_status multiply_all_levels(adaptq_matrix_file *file) {
  adaptq_matrix *matrix = NULL;
  adaptq_status status = adaptq_matrix_open(file, "", NULL, &matrix);
  for (int i = 0; status == ADAPTQ_OK && i < FIXTURE_LEVELS; i++) {
    float y[ROWS * N];
    adaptq_multiply call = {.struct_size = sizeof call, .level = fixture_level[i], .rows = ROWS, .x = rows_x, .y = y};
    status = adaptq_matrix_multiply(matrix, &call);
  }
  adaptq_matrix_destroy(matrix);
  return status;
}

// A saved matrix with a NaN as its first scale, or with seeded bits of its body flipped one at a time.
static adaptq_status damaged_matrices(int nan_scale) {
  size_t size = 0;
  if (adaptq_matrix_save(&w.matrix, 1, saved_path()) != ADAPTQ_OK) return ADAPTQ_INTERNAL_ERROR;
  unsigned char *file = (unsigned char *)read_whole_file(saved_path(), &size);
  remove(saved_path());
  uint64_t header = 0, state = 2025;
  if (!file) return ADAPTQ_INTERNAL_ERROR;
  memcpy(&header, file, 8);
  size_t body = 8 + header;
  adaptq_status status = ADAPTQ_OK;
  long cases = nan_scale ? 1 : getenv("ADAPTQ_TEST_LONG") ? 20000 : 300;
  for (long i = 0; i < cases; i++) {
    size_t bit = check_random(&state) % ((size - body) * 8);
    adaptq_matrix_file *opened = NULL;
    unsigned char kept = file[body + bit / 8];
    if (nan_scale) {
      const char *at = memmem(file, size, "scales\"", 7);
      size_t begin = 0;
      at = at ? strstr(at, "data_offsets") : NULL;
      if (!at || sscanf(at, "data_offsets\":[%zu", &begin) != 1) check_fail(__FILE__, __LINE__, "no scales");
      memcpy(file + body + begin, "\x00\x7e", 2);
    } else {
      file[body + bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    status = adaptq_matrix_file_open_memory(w.runtime, file, size, &opened);
    if (status == ADAPTQ_OK) status = multiply_all_levels(opened);
    adaptq_matrix_file_destroy(opened);
    if (nan_scale) break;
    file[body + bit / 8] = kept;
    if (status != ADAPTQ_OK && status != ADAPTQ_INVALID_FILE) break;
    status = ADAPTQ_OK;
  }
  free(file);
  return status;
}

#endif
