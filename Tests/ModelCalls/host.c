// Times adaptq_session_run() of the shipped library, everything warm: host MODEL.adaptq THREADS LENGTH... Prints
// "ready NAME ..." and then, for every line "SAMPLES" on standard input, one line per level and length: NAME and SAMPLES times,
// nanoseconds per run. Ends with its input. compare.py runs it beside peers.
#define _POSIX_C_SOURCE 199309L
#include <adaptq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../Peers/elapsed.h"

#define MUST(call) do { if ((call) != ADAPTQ_OK) { fprintf(stderr, "%s\n", adaptq_last_error()); exit(1); } } while (0)

enum { MAX_LENGTHS = 8, MAX_INPUTS = 4 };
static const adaptq_level levels[] = {ADAPTQ_LEVEL_FP32, ADAPTQ_LEVEL_FP16, ADAPTQ_LEVEL_INT8,
                                      ADAPTQ_LEVEL_INT6, ADAPTQ_LEVEL_INT4, ADAPTQ_LEVEL_INT2};
enum { LEVELS = sizeof levels / sizeof levels[0] };

int main(int argc, char **argv) {
  int n_lengths = argc - 3, n_threads = argc > 2 ? atoi(argv[2]) : 0;
  if (n_lengths < 1 || n_lengths > MAX_LENGTHS || n_threads < 1) return 2;
  adaptq_runtime_options options = {.struct_size = sizeof options, .threads = n_threads};
  adaptq_runtime *runtime;
  adaptq_model *model;
  MUST(adaptq_runtime_create(&options, &runtime));
  MUST(adaptq_model_open(runtime, argv[1], &model));
  uint32_t stored;
  size_t n_inputs;
  MUST(adaptq_model_levels(model, &stored));
  MUST(adaptq_model_input_count(model, &n_inputs));
  if (n_inputs > MAX_INPUTS) return 1;

  adaptq_session *session[MAX_LENGTHS];
  adaptq_tensor inputs[MAX_LENGTHS][MAX_INPUTS], output[MAX_LENGTHS];
  memset(inputs, 0, sizeof inputs);
  memset(output, 0, sizeof output);
  for (int i = 0; i < n_lengths; i++) {
    int64_t length = atoll(argv[3 + i]);
    for (size_t k = 0; k < n_inputs; k++) {
      adaptq_tensor_info info = {.struct_size = sizeof info};
      MUST(adaptq_model_input(model, k, &info));
      int64_t *data = malloc((size_t)length * sizeof *data);
      if (data == NULL) return 1;
      int is_ids = strcmp(info.name, "input_ids") == 0, is_mask = strstr(info.name, "mask") != NULL;
      for (int64_t j = 0; j < length; j++) data[j] = is_ids ? 1000 + 37 * j : is_mask;
      inputs[i][k] = (adaptq_tensor){.struct_size = sizeof(adaptq_tensor), .type = ADAPTQ_TYPE_INT64, .rank = 2,
                                     .sizes = {1, length}, .data = data, .data_size = (size_t)length * sizeof *data};
    }
    MUST(adaptq_session_create(model, NULL, &session[i]));
    MUST(adaptq_session_prepare(session[i], inputs[i], n_inputs));
    output[i].struct_size = sizeof output[i];
    MUST(adaptq_session_output_shape(session[i], inputs[i], n_inputs, 0, &output[i]));
    output[i].data = malloc(output[i].data_size);
    if (output[i].data == NULL) return 1;
  }

  char suffix[24] = "";
  if (n_threads > 1) snprintf(suffix, sizeof suffix, "-threads-%d", n_threads);
  printf("version adaptq %s\nready", adaptq_version_string());
  for (int k = 0; k < LEVELS; k++)
    for (int i = 0; i < n_lengths; i++)
      if (stored & (1u << (LEVELS - 1 - k)))
        printf(" adaptq-%s%s@%s", adaptq_level_name(levels[k]), suffix, argv[3 + i]);
  printf("\n");
  fflush(stdout);
  int samples;
  while (scanf("%d", &samples) == 1) {
    for (int k = 0; k < LEVELS; k++)
      for (int i = 0; i < n_lengths; i++) {
        if (!(stored & (1u << (LEVELS - 1 - k)))) continue;
        printf("adaptq-%s%s@%s", adaptq_level_name(levels[k]), suffix, argv[3 + i]);
        MUST(adaptq_session_set_level(session[i], levels[k]));
        MUST(adaptq_session_run(session[i], inputs[i], n_inputs, &output[i], 1, NULL, NULL));
        for (int run = 0; run < samples; run++) {
          moment start = moment_now();
          MUST(adaptq_session_run(session[i], inputs[i], n_inputs, &output[i], 1, NULL, NULL));
          printf(" %.0f", elapsed_ns(start));
        }
        printf("\n");
      }
    fflush(stdout);
  }
  return 0;
}
