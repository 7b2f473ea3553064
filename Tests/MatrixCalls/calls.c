// Times adaptq_matrix_multiply() of the shipped library, one thread: calls N K CASES LEVELS [codes]. CASES are numbers of rows,
// with commas between; an m behind one lets its calls walk through 256 MB of copies, so that weights come from memory, and all
// others find them where the last call left them. With "codes" the integer levels are also called with quantized rows.
//
// Prints "ready NAME@CASE ..." and then, for every line "SAMPLES NANOSECONDS" on standard input, one line per name: the name and
// SAMPLES times, nanoseconds per call; a sample is as many calls as fill NANOSECONDS, and of a call that is much longer there is
// one sample. Ends with its input. compare.py runs it beside peers.
#define _POSIX_C_SOURCE 200809L
#include <adaptq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../Peers/elapsed.h"

#define MUST(call) do { if ((call) != ADAPTQ_OK) { fprintf(stderr, "%s\n", adaptq_last_error()); exit(1); } } while (0)

enum { MAX_CASES = 8, MAX_LEVELS = 6, MAX_CALLS = 2 * MAX_CASES * MAX_LEVELS };
static const int64_t rotated_bytes = 256 << 20;

/* One form of the weights: alone, and as often as calls from memory need it. */
typedef struct {
  uint32_t keep;
  adaptq_matrix *matrix, **copies;
  int n_copies;
} form;

typedef struct {
  char name[64];
  adaptq_matrix **matrices;
  int n_matrices, next;
  adaptq_multiply call;
} timed;

static adaptq_runtime *runtime;
static int64_t n, k, max_rows = 1;
static float *w, *x, *y, *scales;
static int8_t *codes;

static void *allocate(int64_t count, size_t size) {
  void *memory = calloc((size_t)count, size);
  if (memory == NULL) fprintf(stderr, "no memory\n"), exit(1);
  return memory;
}

static void fill(float *values, int64_t count) {
  unsigned long long state = 1;
  for (int64_t i = 0; i < count; i++) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    values[i] = (float)(state >> 40) / 8388608.0f - 1.0f;
  }
}

/* Bytes that one call at this level reads. */
static int64_t byte_count(int level) { return level > 8 ? n * k * level / 8 : n * k * level / 8 + n * ((k + 63) / 64) * 4; }

static void make(form *f) {
  adaptq_matrix_options options = {.struct_size = sizeof options, .name = "w", .n = n, .k = k, .weights = w};
  options.keep = f->keep;
  options.max_rows = max_rows;
  MUST(adaptq_matrix_create(runtime, &options, &f->matrix));
}

/* Copies come out of a file: encoding takes longer than reading. */
static void copy(form *f, int count) {
  char path[] = "/tmp/adaptq-calls-XXXXXX";
  int descriptor = mkstemp(path);
  if (descriptor < 0) exit(1);
  close(descriptor);
  MUST(adaptq_matrix_save(&f->matrix, 1, path));
  f->copies = allocate(count, sizeof *f->copies);
  adaptq_matrix_open_options options = {.struct_size = sizeof options, .max_rows = max_rows};
  for (f->n_copies = 0; f->n_copies < count; f->n_copies++) {
    adaptq_matrix_file *file;
    MUST(adaptq_matrix_file_open(runtime, path, &file));
    MUST(adaptq_matrix_open(file, "w", &options, &f->copies[f->n_copies]));
    MUST(adaptq_matrix_file_destroy(file));
  }
  remove(path);
}

static double sample(timed *t, int calls) {
  moment start = moment_now();
  for (int i = 0; i < calls; i++) {
    MUST(adaptq_matrix_multiply(t->matrices[t->next], &t->call));
    if (++t->next == t->n_matrices) t->next = 0;
  }
  return elapsed_ns(start) / calls;
}

static void measure(timed *t, int samples, double span) {
  sample(t, 1);
  double once = sample(t, 1);
  int calls = span > once ? (int)(span / once) : 1;
  if (once > 20 * span) samples = 1;
  printf("%s", t->name);
  for (int i = 0; i < samples; i++) printf(" %.1f", sample(t, calls));
  printf("\n");
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  n = atoll(argv[1]), k = atoll(argv[2]);
  int with_codes = argc > 5 && strcmp(argv[5], "codes") == 0, n_cases = 0, n_levels = 0, n_calls = 0;
  char *cases[MAX_CASES];
  int levels[MAX_LEVELS];
  for (char *part = strtok(argv[3], ","); part && n_cases < MAX_CASES; part = strtok(NULL, ",")) {
    cases[n_cases++] = part;
    if (atoll(part) > max_rows) max_rows = atoll(part);
  }
  for (char *part = strtok(argv[4], ","); part && n_levels < MAX_LEVELS; part = strtok(NULL, ","))
    levels[n_levels++] = atoi(part);
  int64_t groups = (k + 63) / 64;
  w = allocate(n * k, sizeof *w), x = allocate(max_rows * k, sizeof *x), y = allocate(max_rows * n, sizeof *y);
  scales = allocate(max_rows * groups, sizeof *scales), codes = allocate(max_rows * k, 1);
  fill(w, n * k), fill(x, max_rows * k);
  adaptq_runtime_options options = {.struct_size = sizeof options, .threads = 1};
  MUST(adaptq_runtime_create(&options, &runtime));

  static form forms[3] = {{.keep = 0}, {.keep = ADAPTQ_ALLOW_FP16}, {.keep = ADAPTQ_ALLOW_FP32}};
  static timed calls[MAX_CALLS];
  int wanted[3] = {0};
  for (int i = 0; i < n_levels; i++) {
    int which = levels[i] > 16 ? 2 : levels[i] > 8 ? 1 : 0, count = (int)(rotated_bytes / byte_count(levels[i])) + 1;
    if (!forms[which].matrix) make(&forms[which]);
    if (count > wanted[which]) wanted[which] = count;
  }
  for (int c = 0; c < n_cases; c++)
    for (int f = 0; f < 3; f++)
      if (strchr(cases[c], 'm') && forms[f].matrix && !forms[f].copies) copy(&forms[f], wanted[f]);
  for (int i = 0; i < n_levels; i++)
    if (levels[i] <= 8) {
      MUST(adaptq_matrix_quantize(forms[0].matrix, max_rows, x, 0, codes, 0, scales, 0));
      break;
    }
  free(w);

  printf("version adaptq %s\nready", adaptq_version_string());
  for (int i = 0; i < n_levels; i++)
    for (int c = 0; c < n_cases; c++)
      for (int kind = 0; kind < (with_codes && levels[i] <= 8 ? 2 : 1); kind++) {
        form *f = &forms[levels[i] > 16 ? 2 : levels[i] > 8 ? 1 : 0];
        timed *t = &calls[n_calls++];
        snprintf(t->name, sizeof t->name, "adaptq-%s%s@%s", adaptq_level_name(levels[i]), kind ? "-codes" : "", cases[c]);
        int rotates = strchr(cases[c], 'm') != NULL;
        t->matrices = rotates ? f->copies : &f->matrix;
        t->n_matrices = rotates ? (int)(rotated_bytes / byte_count(levels[i])) + 1 : 1;
        t->call = (adaptq_multiply){.struct_size = sizeof t->call, .level = levels[i], .rows = atoll(cases[c]), .y = y};
        if (kind == 0) t->call.x = x;
        if (kind == 1) t->call.codes = codes, t->call.scales = scales;
        MUST(adaptq_matrix_multiply(t->matrices[0], &t->call));
        printf(" %s", t->name);
      }
  printf("\n");
  fflush(stdout);
  int samples;
  double span;
  while (scanf("%d %lf", &samples, &span) == 2) {
    for (int i = 0; i < n_calls; i++) measure(&calls[i], samples, span);
    fflush(stdout);
  }
  return 0;
}
