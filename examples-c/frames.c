// A host with its own graph: its frames hold a latency budget while other processes compete for memory and CPU.
//
//   frames [--matrices N] [--size K] [--frames N] [--block N] [--factor X] [--percentile X] [--nice N]
//
// A frame is one vector that goes through N matrices of K x K, as one token goes through the layers of a network; between
// two of them this program does work of its own (a residual and a normalization). Weights are drawn at random and kept at
// FP16 beside the nested form. The budget is `factor` times the unloaded median of FP16. Four groups take turns, `block`
// frames at a time, through three phases (calm, loaded, calm): one with the budget, one fixed at FP16, one at INT8 and one at
// the fastest level. Quality is the cosine to the same frame at FP16, measured on the first frame of every turn, outside of
// what is timed.
//
// The exit code is 0 if everything ran, whatever came out.
#define _GNU_SOURCE
#define PROGRAM "frames"

#include "host.h"
#include "load.h"

static struct { int matrices, size, frames, block, nice; double factor, percent; } option = {8, 4096, 400, 25, 3, 1.3, 95};

// Sums of four uniform numbers: bell-shaped, as trained weights are, and quick to draw.
static float bell(uint64_t *state) {
  uint64_t z = (*state += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  z ^= z >> 31;
  double sum = 0;
  for (int i = 0; i < 4; i++) sum += (double)(z >> (16 * i) & 0xFFFF);
  return (float)((sum / 65535 - 2) * 1.732);
}

static adaptq_matrix *new_matrix(adaptq_runtime *runtime, int index, float *weights) {
  uint64_t state = (uint64_t)index * 1000003u + 1;
  float scale = 1 / sqrtf((float)option.size);
  for (int64_t i = 0; i < (int64_t)option.size * option.size; i++) weights[i] = bell(&state) * scale;
  adaptq_matrix_options options = {.struct_size = sizeof options, .n = option.size, .k = option.size, .weights = weights};
  options.keep = ADAPTQ_ALLOW_FP16;
  options.max_rows = 1;
  adaptq_matrix *matrix = NULL;
  MUST(adaptq_matrix_create(runtime, &options, &matrix));
  return matrix;
}

// What the host does between two products: x becomes the normalized sum of x and y.
static void between(float *x, const float *y) {
  float squares = 0;
  for (int i = 0; i < option.size; i++) {
    x[i] += y[i];
    squares += x[i] * x[i];
  }
  float factor = 1 / sqrtf(squares / (float)option.size + 1e-12f);
  for (int i = 0; i < option.size; i++) x[i] *= factor;
}

static void draw_input(float *x, uint64_t seed) {
  for (int i = 0; i < option.size; i++) x[i] = bell(&seed);
}

// One frame: begin, products and the host's own work, end.
static adaptq_frame_report run_frame(adaptq_group *group, float *x, float *y) {
  adaptq_multiply product = {.struct_size = sizeof product, .rows = 1, .x = x, .y = y};
  adaptq_frame_report report = {.struct_size = sizeof report};
  MUST(adaptq_group_begin(group, 1, NULL, 0));
  for (int i = 0; i < option.matrices; i++) {
    MUST(adaptq_group_multiply(group, (size_t)i, &product));
    between(x, y);
  }
  MUST(adaptq_group_end(group, &report));
  return report;
}

static double cosine(const float *a, const float *b) {
  double ab = 0, aa = 0, bb = 0;
  for (int i = 0; i < option.size; i++) {
    ab += (double)a[i] * b[i];
    aa += (double)a[i] * a[i];
    bb += (double)b[i] * b[i];
  }
  return ab / sqrt(aa * bb);
}

enum { PHASES = 3, MODES = 4, MAX_PLANS = 256 };
static const char *const phase_name[PHASES] = {"calm", "loaded", "calm again"};

typedef struct {
  const char *name;
  adaptq_group *group;
  int64_t *latency[PHASES];
  int done[PHASES], switches[PHASES], compared[PHASES];
  double plan_sum[PHASES], cosine_sum[PHASES];
} mode;

static void one_turn(mode *m, int phase, mode *exact, float *x, float *y, float *reference, int frames) {
  for (int i = 0; i < frames; i++) {
    uint64_t seed = (uint64_t)(phase * option.frames + m->done[phase]) + 77;
    draw_input(x, seed);
    adaptq_frame_report report = run_frame(m->group, x, y);
    m->latency[phase][m->done[phase]++] = report.latency_ns;
    m->switches[phase] += report.plan_changed;
    m->plan_sum[phase] += report.plan;
    if (i > 0) continue;
    draw_input(reference, seed);
    run_frame(exact->group, reference, y);
    m->cosine_sum[phase] += cosine(x, reference);
    m->compared[phase]++;
  }
}

static void print_plans(adaptq_group *group) {
  adaptq_group_plan plans[MAX_PLANS];
  plans[0].struct_size = sizeof plans[0];
  size_t count = 0;
  MUST(adaptq_group_plans(group, plans, MAX_PLANS, &count));
  adaptq_level *levels = allocate((size_t)option.matrices, sizeof *levels);
  printf("  plan   ms per frame   noise dB   levels of the matrices\n");
  for (size_t i = 0; i < count; i++) {
    MUST(adaptq_group_plan_levels(group, i, levels, (size_t)option.matrices));
    printf("  %4zu %14.2f %10.1f  ", i, (double)plans[i].cost_ns / 1e6, plans[i].noise_db);
    for (int k = 0; k < option.matrices && k < 16; k++) printf(" %s", adaptq_level_name(levels[k]));
    printf("%s\n", option.matrices > 16 ? " ..." : "");
  }
  free(levels);
}

static void print_results(mode *modes, int64_t budget) {
  printf("\n  %-12s %-11s %8s %8s %8s %15s %9s %9s %10s\n", "mode", "phase", "p50 ms", "p95 ms", "max ms", "misses",
         "switches", "plan", "1 - cosine");
  for (int phase = 0; phase < PHASES; phase++)
    for (int i = 0; i < MODES; i++) {
      mode *m = &modes[i];
      int missed = 0, count = m->done[phase];
      for (int k = 0; k < count; k++) missed += m->latency[phase][k] > budget;
      int64_t middle = percentile(m->latency[phase], count, 50), high = percentile(m->latency[phase], count, 95);
      printf("  %-12s %-11s %8.2f %8.2f %8.2f %6d (%5.1f %%) %9d %9.1f %10.2e\n", m->name, phase_name[phase],
             (double)middle / 1e6, (double)high / 1e6, (double)m->latency[phase][count - 1] / 1e6, missed,
             100.0 * missed / count, m->switches[phase], m->plan_sum[phase] / count,
             1 - m->cosine_sum[phase] / m->compared[phase]);
    }
}

static void read_options(int argc, char **argv) {
  for (int i = 1; i < argc; i += 2) {
    double value = i + 1 < argc ? atof(argv[i + 1]) : 0;
    int whole = value >= 0 && value <= 1000000 ? (int)value : 0;
    if (strcmp(argv[i], "--matrices") == 0) option.matrices = whole;
    else if (strcmp(argv[i], "--size") == 0) option.size = whole;
    else if (strcmp(argv[i], "--frames") == 0) option.frames = whole;
    else if (strcmp(argv[i], "--block") == 0) option.block = whole;
    else if (strcmp(argv[i], "--nice") == 0) option.nice = whole;
    else if (strcmp(argv[i], "--factor") == 0) option.factor = value;
    else if (strcmp(argv[i], "--percentile") == 0) option.percent = value;
    else fail(argv[i], "unknown option; see the head of frames.c");
  }
  if (option.matrices < 1 || option.size < 1 || option.size > 32768 || option.frames < 1 || option.block < 1 ||
      option.factor <= 0)
    fail("options", "matrices, size (up to 32768), frames, block and factor are above 0");
}

int main(int argc, char **argv) {
  read_options(argc, argv);
  load_init();
  cpu_set_t cpus;
  pin(&cpus);
  adaptq_runtime *runtime = NULL;
  MUST(adaptq_runtime_create(NULL, &runtime));
  adaptq_matrix **matrices = allocate((size_t)option.matrices, sizeof(adaptq_matrix *));
  float *weights = allocate((size_t)option.size * (size_t)option.size, sizeof *weights);
  int64_t bytes = 0;
  for (int i = 0; i < option.matrices; i++) {
    matrices[i] = new_matrix(runtime, i, weights);
    adaptq_matrix_info info = {.struct_size = sizeof info};
    MUST(adaptq_matrix_get_info(matrices[i], &info));
    bytes += info.stored_bytes;
  }
  free(weights);
  printf("%d matrices of %d x %d, one row each per frame; %.0f MB hold FP16 and every integer level\n", option.matrices,
         option.size, option.size, (double)bytes / 1e6);

  const char *names[MODES] = {"adaptq", "fixed FP16", "fixed INT8", "fixed INT2"};
  const adaptq_level fixed[MODES] = {ADAPTQ_LEVEL_AUTO, ADAPTQ_LEVEL_FP16, ADAPTQ_LEVEL_INT8, ADAPTQ_LEVEL_INT2};
  mode modes[MODES] = {{0}};
  for (int i = 0; i < MODES; i++) {
    modes[i].name = names[i];
    MUST(adaptq_group_create(runtime, matrices, (size_t)option.matrices, NULL, &modes[i].group));
    MUST(adaptq_group_set_level(modes[i].group, fixed[i]));
    for (int phase = 0; phase < PHASES; phase++) modes[i].latency[phase] = allocate((size_t)option.frames, sizeof(int64_t));
  }
  print_plans(modes[0].group);

  float *x = allocate((size_t)option.size, sizeof *x), *y = allocate((size_t)option.size, sizeof *y);
  float *reference = allocate((size_t)option.size, sizeof *reference);
  int64_t calm[31];
  for (int i = -3; i < 31; i++) {
    draw_input(x, (uint64_t)(i + 1000));
    int64_t latency = run_frame(modes[1].group, x, y).latency_ns;
    if (i >= 0) calm[i] = latency;
  }
  int64_t budget = (int64_t)((double)percentile(calm, 31, 50) * option.factor);
  printf("\nbudget: %.2f ms for %g %% of the frames (%.3g x the unloaded median of FP16)\n", (double)budget / 1e6,
         option.percent, option.factor);
  MUST(adaptq_group_set_latency_budget(modes[0].group, budget, option.percent));

  for (int phase = 0; phase < PHASES; phase++) {
    if (phase == 1 && load_start(&cpus, option.nice) < 1) fail("load", "no process could be started");
    while (modes[MODES - 1].done[phase] < option.frames)
      for (int i = 0; i < MODES; i++) {
        int left = option.frames - modes[i].done[phase];
        one_turn(&modes[i], phase, &modes[1], x, y, reference, left < option.block ? left : option.block);
      }
    if (phase == 1 && load_alive() < 1) fail("load", "ended by itself");
    load_stop();
  }
  print_results(modes, budget);

  for (int i = 0; i < MODES; i++) {
    MUST(adaptq_group_destroy(modes[i].group));
    for (int phase = 0; phase < PHASES; phase++) free(modes[i].latency[phase]);
  }
  for (int i = 0; i < option.matrices; i++) MUST(adaptq_matrix_destroy(matrices[i]));
  MUST(adaptq_runtime_destroy(runtime));
  free(matrices), free(x), free(y), free(reference);
  return 0;
}
