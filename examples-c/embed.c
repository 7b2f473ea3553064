// Sentence embeddings from a C program, and a latency budget that holds while other processes compete for the CPU.
//
//   embed MODEL.adaptq [SENTENCES.txt] [--calls N] [--min-ms X] [--factor X] [--percentile X] [--block N] [--nice N]
//
// Part 1 embeds sentences (one per line, or a built-in set) in one batch and prints the nearest ones to some of them.
// Part 2 measures what each precision level costs, sets a budget of `factor` times the unloaded median of FP16 (of FP32
// where FP16 is not faster or not stored), and makes N calls in each of three phases: calm, loaded, calm. Three sessions take
// turns, `block` calls at a time: one holds the budget, one stays at FP16, one at INT8. A call is a batch of sentences that
// takes at least `min-ms` milliseconds at FP16. The load is a busy process of nice value `nice` on the CPU of this program.
//
// The exit code is 0 if everything ran, whatever came out; the last lines say what did.
#define _GNU_SOURCE
#define PROGRAM "embed"

#include "host.h"
#include "load.h"

// -------------------------------------------------------------------------------------------------------------- sentences

static const char *const built_in[] = {
    "How do I reset my password?",
    "I forgot my login details and cannot sign in.",
    "Where can I change the address of my account?",
    "The cat sleeps on the warm radiator.",
    "A kitten is napping on top of the heater.",
    "Our dog chases every bicycle in the street.",
    "Stock markets fell sharply on Thursday afternoon.",
    "Share prices dropped a lot late in the week.",
    "The central bank left its interest rate unchanged.",
    "Plants turn sunlight, water and air into sugar.",
    "Photosynthesis stores the energy of light in chemical bonds.",
    "Mushrooms are neither plants nor animals.",
    "Heavy rain caused the stream to burst its banks.",
    "The river floods the valley almost every March.",
    "Snow is expected above eight hundred metres.",
    "A compiler translates source code into machine instructions.",
    "Programs are turned into something a processor can execute.",
    "The debugger stopped at the first line of the loop.",
    "The home team won two to one after extra time.",
    "A late goal decided the football match.",
    "She ran the marathon in under three hours.",
    "Boil the potatoes until a fork goes in easily.",
    "The dough has to rest for an hour before you bake it.",
    "This soup needs more salt and a little lemon.",
    "Electric cars need less maintenance than those with engines.",
    "A battery-powered vehicle has no oil to change.",
    "The train leaves at seven from platform four.",
    "The violin maker listens to the wood before she carves it.",
    "An orchestra tunes before the concert begins.",
    "He has played the cello since he was a child.",
};

typedef struct { char **texts; int count; } sentences;

static char *copy_text(const char *text) {
  char *copy = strdup(text);
  if (copy == NULL) fail("memory", "none left");
  return copy;
}

static sentences read_sentences(const char *path) {
  sentences all = {0};
  if (path == NULL) {
    all.count = sizeof built_in / sizeof built_in[0];
    all.texts = allocate((size_t)all.count, sizeof *all.texts);
    for (int i = 0; i < all.count; i++) all.texts[i] = copy_text(built_in[i]);
    return all;
  }
  FILE *file = fopen(path, "r");
  if (file == NULL) fail(path, strerror(errno));
  char *line = NULL;
  size_t capacity = 0;
  ssize_t length;
  while ((length = getline(&line, &capacity, file)) >= 0) {
    while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r')) line[--length] = 0;
    if (length == 0) continue;
    all.texts = realloc(all.texts, (size_t)(all.count + 1) * sizeof *all.texts);
    if (all.texts == NULL) fail("memory", "none left");
    all.texts[all.count++] = copy_text(line);
  }
  free(line);
  fclose(file);
  if (all.count == 0) fail(path, "no sentences");
  return all;
}

// ----------------------------------------------------------------------------------------------------- batches and the model

// Best first.
enum { LEVELS = 6 };
static const adaptq_level level_of[LEVELS] = {ADAPTQ_LEVEL_FP32, ADAPTQ_LEVEL_FP16, ADAPTQ_LEVEL_INT8,
                                              ADAPTQ_LEVEL_INT6, ADAPTQ_LEVEL_INT4, ADAPTQ_LEVEL_INT2};
static const uint32_t allow_of[LEVELS] = {ADAPTQ_ALLOW_FP32, ADAPTQ_ALLOW_FP16, ADAPTQ_ALLOW_INT8,
                                          ADAPTQ_ALLOW_INT6, ADAPTQ_ALLOW_INT4, ADAPTQ_ALLOW_INT2};

// Sentences as the model wants them: every input is batch x length of int64.
enum { MAX_INPUTS = 4, MAX_LENGTH = 256 };
typedef struct {
  int batch, length, n_inputs, dimension;
  int64_t *data[MAX_INPUTS];
  float *output;  // batch x dimension
  adaptq_tensor inputs[MAX_INPUTS], outputs[1];
} batch;

static void free_batch(batch *b) {
  for (int i = 0; i < b->n_inputs; i++) free(b->data[i]);
  free(b->output);
}

// `rows` sentences (repeated if there are fewer), padded to the longest.
static batch make_batch(adaptq_model *model, adaptq_tokenizer *tokenizer, const sentences *all, int rows) {
  batch b = {0};
  b.batch = rows;
  adaptq_tokenizer_info info = {.struct_size = sizeof info};
  MUST(adaptq_tokenizer_get_info(tokenizer, &info));
  int64_t bound = info.max_length > 0 && info.max_length < MAX_LENGTH ? info.max_length : MAX_LENGTH;

  int64_t(*ids)[MAX_LENGTH] = allocate((size_t)rows, sizeof *ids);
  size_t *lengths = allocate((size_t)rows, sizeof *lengths);
  for (int row = 0; row < rows; row++) {
    const char *text = all->texts[row % all->count];
    MUST(adaptq_tokenizer_encode(tokenizer, text, strlen(text), bound, ids[row], MAX_LENGTH, &lengths[row]));
    if ((int)lengths[row] > b.length) b.length = (int)lengths[row];
  }

  size_t n_inputs = 0, n_outputs = 0, cells = (size_t)rows * (size_t)b.length;
  MUST(adaptq_model_input_count(model, &n_inputs));
  MUST(adaptq_model_output_count(model, &n_outputs));
  if (n_inputs > MAX_INPUTS || n_outputs != 1) fail("model", "expected at most 4 inputs and 1 output");
  b.n_inputs = (int)n_inputs;
  for (int i = 0; i < b.n_inputs; i++) {
    adaptq_tensor_info input = {.struct_size = sizeof input};
    MUST(adaptq_model_input(model, (size_t)i, &input));
    if (input.type != ADAPTQ_TYPE_INT64 || input.rank != 2) fail(input.name, "expected int64 of rank 2");
    int is_mask = strstr(input.name, "mask") != NULL, is_ids = strcmp(input.name, "input_ids") == 0;
    b.data[i] = allocate(cells, sizeof(int64_t));
    for (int row = 0; row < rows; row++)
      for (int k = 0; k < b.length; k++) {
        int inside = k < (int)lengths[row];
        int64_t pad = is_ids && info.pad_id > 0 ? info.pad_id : 0;
        b.data[i][row * b.length + k] = !inside ? pad : is_mask ? 1 : is_ids ? ids[row][k] : 0;
      }
    b.inputs[i] = (adaptq_tensor){.struct_size = sizeof(adaptq_tensor),
                                  .type = ADAPTQ_TYPE_INT64,
                                  .rank = 2,
                                  .sizes = {rows, b.length},
                                  .data = b.data[i],
                                  .data_size = cells * sizeof(int64_t)};
  }
  free(ids);
  free(lengths);
  return b;
}

// Asks the prepared session for the output's shape and makes room for it.
static void make_output(adaptq_session *session, batch *b) {
  b->outputs[0].struct_size = sizeof(adaptq_tensor);
  MUST(adaptq_session_output_shape(session, b->inputs, (size_t)b->n_inputs, 0, &b->outputs[0]));
  if (b->outputs[0].type != ADAPTQ_TYPE_FLOAT32 || b->outputs[0].rank != 2) fail("output", "expected float32 of rank 2");
  b->dimension = (int)b->outputs[0].sizes[1];
  free(b->output);
  b->output = allocate(1, b->outputs[0].data_size);
  b->outputs[0].data = b->output;
}

static adaptq_run_report run(adaptq_session *session, batch *b) {
  adaptq_run_report report = {.struct_size = sizeof report};
  MUST(adaptq_session_run(session, b->inputs, (size_t)b->n_inputs, b->outputs, 1, NULL, &report));
  return report;
}

static adaptq_session *new_session(adaptq_model *model, uint32_t levels, batch *b) {
  adaptq_session_options options = {.struct_size = sizeof options, .allowed_levels = levels};
  adaptq_session *session = NULL;
  MUST(adaptq_session_create(model, &options, &session));
  MUST(adaptq_session_prepare(session, b->inputs, (size_t)b->n_inputs));
  make_output(session, b);
  return session;
}

// ---------------------------------------------------------------------------------------------------- part 1: nearest sentences

static void show_nearest(adaptq_model *model, adaptq_tokenizer *tokenizer, const sentences *all) {
  batch b = make_batch(model, tokenizer, all, all->count);
  // Only the best level is allowed: prepare then has only that one to measure.
  uint32_t stored = 0, best_level = 0;
  MUST(adaptq_model_levels(model, &stored));
  for (int i = LEVELS - 1; i >= 0; i--) if (stored & allow_of[i]) best_level = allow_of[i];
  adaptq_session *session = new_session(model, best_level, &b);
  adaptq_run_report report = run(session, &b);
  printf("%d sentences of up to %d tokens, %d numbers each, at %s in %.1f ms\n", b.batch, b.length, b.dimension,
         adaptq_level_name(report.level), (double)report.latency_ns / 1e6);

  for (int row = 0; row < b.batch; row++) {
    float *v = b.output + (size_t)row * (size_t)b.dimension, sum = 0;
    for (int i = 0; i < b.dimension; i++) sum += v[i] * v[i];
    for (int i = 0; i < b.dimension; i++) v[i] /= sqrtf(sum);
  }
  int queries = b.batch < 5 ? b.batch : 5;
  for (int q = 0; q < queries; q++) {
    int query = q * b.batch / queries, best[3] = {-1, -1, -1};
    float cosine[3] = {-2, -2, -2};
    for (int row = 0; row < b.batch; row++) {
      if (row == query) continue;
      float dot = 0;
      for (int i = 0; i < b.dimension; i++) dot += b.output[query * b.dimension + i] * b.output[row * b.dimension + i];
      for (int place = 0; place < 3; place++)
        if (dot > cosine[place]) {
          for (int k = 2; k > place; k--) cosine[k] = cosine[k - 1], best[k] = best[k - 1];
          cosine[place] = dot, best[place] = row;
          break;
        }
    }
    printf("\n  %.100s\n", all->texts[query]);
    for (int place = 0; place < 3 && best[place] >= 0; place++)
      printf("    %6.3f  %.100s\n", (double)cosine[place], all->texts[best[place]]);
  }
  MUST(adaptq_session_destroy(session));
  free_batch(&b);
}

// --------------------------------------------------------------------------------------------------------- part 2: the budget

static struct { int calls, block, nice; double min_ms, factor, percent; } option = {200, 25, 3, 20, 1.3, 95};

enum { PHASES = 3, MODES = 3 };
static const char *const phase_name[PHASES] = {"calm", "loaded", "calm again"};

static int index_of(adaptq_level level) {
  for (int i = 0; i < LEVELS; i++)
    if (level_of[i] == level) return i;
  fail("level", "a run reports one that this program does not know");
  return 0;
}

// Median of `runs` runs at a level, by this program's own clock.
static int64_t median_at(adaptq_session *session, batch *b, adaptq_level level, int runs) {
  int64_t times[101];
  MUST(adaptq_session_set_level(session, level));
  run(session, b);
  for (int i = 0; i < runs; i++) {
    int64_t start = now_ns();
    run(session, b);
    times[i] = now_ns() - start;
  }
  MUST(adaptq_session_set_level(session, ADAPTQ_LEVEL_AUTO));
  return percentile(times, runs, 50);
}

// FP16, or FP32 where FP16 is not stored or not faster, or else the best there is.
static adaptq_level high_level(uint32_t stored, const int64_t *median) {
  int has32 = (stored & ADAPTQ_ALLOW_FP32) != 0, has16 = (stored & ADAPTQ_ALLOW_FP16) != 0;
  if (has16 && (!has32 || median[1] < median[0])) return ADAPTQ_LEVEL_FP16;
  if (has32) return ADAPTQ_LEVEL_FP32;
  for (int i = 2; i < LEVELS; i++)
    if (stored & allow_of[i]) return level_of[i];
  fail("model", "stores no level");
  return 0;
}

typedef struct {
  const char *name;
  adaptq_session *session;
  int64_t *latency[PHASES];
  adaptq_level *level[PHASES];
  int done[PHASES];
} mode;

static void one_call(mode *m, int phase, batch *b) {
  int64_t start = now_ns();
  adaptq_run_report report = run(m->session, b);
  m->latency[phase][m->done[phase]] = now_ns() - start;
  m->level[phase][m->done[phase]++] = report.level;
}

// Share of the last `last` calls (0: all) of a phase that took longer than the budget.
static double missed(const mode *m, int phase, int64_t budget) {
  int count = 0;
  for (int i = 0; i < m->done[phase]; i++) count += m->latency[phase][i] > budget;
  return 100.0 * count / m->done[phase];
}

static void print_results(mode *modes, int64_t budget) {
  printf("\n  %-14s %-11s %8s %8s %8s %14s   runs per level\n", "mode", "phase", "p50 ms", "p95 ms", "max ms", "misses");
  int64_t *sorted = allocate((size_t)option.calls, sizeof *sorted);
  for (int phase = 0; phase < PHASES; phase++)
    for (int i = 0; i < MODES; i++) {
      mode *m = &modes[i];
      int count = m->done[phase], shares[LEVELS] = {0};
      memcpy(sorted, m->latency[phase], (size_t)count * sizeof *sorted);
      double share = missed(m, phase, budget);
      printf("  %-14s %-11s %8.2f %8.2f %8.2f %5d (%5.1f %%)  ", m->name, phase_name[phase],
             (double)percentile(sorted, count, 50) / 1e6, (double)percentile(sorted, count, 95) / 1e6,
             (double)percentile(sorted, count, 100) / 1e6, (int)lround(share * count / 100), share);
      for (int k = 0; k < count; k++) shares[index_of(m->level[phase][k])]++;
      for (int k = 0; k < LEVELS; k++)
        if (shares[k]) printf(" %s %.1f %%", adaptq_level_name(level_of[k]), 100.0 * shares[k] / count);
      printf("\n");
    }
  free(sorted);
}

// First call of a phase from which `wanted` holds for 5 calls on; -1: never.
static int first_settled(const mode *m, int phase, adaptq_level high, int wanted_below) {
  for (int i = 0; i + 5 <= m->done[phase]; i++) {
    int all = 1;
    for (int k = 0; k < 5; k++) all &= (m->level[phase][i + k] < high) == wanted_below;
    if (all) return i + 1;
  }
  return -1;
}

static void print_settling(const mode *budgeted, adaptq_level high) {
  int down = first_settled(budgeted, 1, high, 1), up = first_settled(budgeted, 2, high, 0);
  if (down > 0) printf("\n  after the load came: below %s from call %d on\n", adaptq_level_name(high), down);
  else printf("\n  after the load came: never below %s\n", adaptq_level_name(high));
  if (up > 0) printf("  after the load went: at %s or better from call %d on\n", adaptq_level_name(high), up);
  else printf("  after the load went: not back at %s\n", adaptq_level_name(high));
}

static void print_verdict(const mode *modes, adaptq_level high, int64_t budget) {
  double allowed = 100 - option.percent;
  const char *held[MODES][PHASES];
  for (int i = 0; i < MODES; i++)
    for (int phase = 0; phase < PHASES; phase++) held[i][phase] = missed(&modes[i], phase, budget) <= allowed ? "yes" : "NO";
  int last = modes[0].done[2] / 4 > 0 ? modes[0].done[2] / 4 : 1, back = 0;
  for (int i = modes[0].done[2] - last; i < modes[0].done[2]; i++) back += modes[0].level[2][i] >= high;
  printf("\n  budget held in calm, loaded, calm again (at most %.3g %% misses):\n", allowed);
  for (int i = 0; i < MODES; i++)
    printf("    %-14s %s, %s, %s\n", modes[i].name, held[i][0], held[i][1], held[i][2]);
  printf("verdict: under load the budget %s with adaptq, %s at fixed %s; precision %s afterwards (%d of the last %d calls)\n",
         held[0][1][0] == 'y' ? "held" : "DID NOT HOLD", held[1][1][0] == 'y' ? "held" : "did not hold",
         adaptq_level_name(high), 2 * back > last ? "returned" : "DID NOT RETURN", back, last);
  if (2 * back <= last && held[1][2][0] == 'N')
    printf("         (fixed %s did not hold the budget in that phase either)\n", adaptq_level_name(high));
}

// Finds the batch of at least min-ms milliseconds at the high level and measures every level there. The session that
// did it is returned prepared; it may use every level.
static adaptq_session *measure(adaptq_model *model, adaptq_tokenizer *tokenizer, const sentences *all, batch *b,
                               adaptq_level *high, int64_t *high_ns) {
  uint32_t stored = 0;
  MUST(adaptq_model_levels(model, &stored));
  adaptq_session *session = NULL;
  int64_t median[LEVELS] = {0};
  // The search needs the two highest levels only, if there are any.
  uint32_t search = stored & (ADAPTQ_ALLOW_FP32 | ADAPTQ_ALLOW_FP16);
  for (int rows = 1;;) {
    *b = make_batch(model, tokenizer, all, rows);
    session = new_session(model, search, b);
    for (int i = 0; i < 2; i++)
      if (stored & allow_of[i]) median[i] = median_at(session, b, level_of[i], 11);
    *high = high_level(stored, median);
    int h = index_of(*high);
    if (h > 1) median[h] = median_at(session, b, *high, 11);
    double ms = (double)median[h] / 1e6;
    MUST(adaptq_session_destroy(session));
    if (ms >= option.min_ms || rows >= 512) break;
    int next = (int)ceil(rows * option.min_ms * 1.05 / (ms > 0.01 ? ms : 0.01));
    rows = next <= rows ? rows + 1 : next > 4 * rows ? 4 * rows : next;
    free_batch(b);
  }
  session = new_session(model, 0, b);

  adaptq_level_cost costs[LEVELS];
  for (int i = 0; i < LEVELS; i++) costs[i] = (adaptq_level_cost){.struct_size = sizeof costs[i]};
  size_t count = 0;
  MUST(adaptq_session_costs(session, costs, LEVELS, &count));
  printf("one call: %d sentences of %d tokens\n\n  level    measured by prepare    median here    a step of the budget\n", b->batch,
         b->length);
  for (size_t i = 0; i < count; i++) {
    int k = index_of(costs[i].level);
    median[k] = median_at(session, b, costs[i].level, 31);
    printf("  %-6s %16.2f ms %11.2f ms    %s\n", adaptq_level_name(costs[i].level), (double)costs[i].latency_ns / 1e6,
           (double)median[k] / 1e6, costs[i].is_step ? "yes" : "no");
  }
  *high = high_level(stored, median);
  *high_ns = median[index_of(*high)];
  return session;
}

static void hold_budget(adaptq_model *model, adaptq_tokenizer *tokenizer, const sentences *all) {
  cpu_set_t cpus;
  pin(&cpus);
  batch b;
  adaptq_level high, low = ADAPTQ_LEVEL_INT8;
  int64_t high_ns;
  uint32_t stored = 0;
  adaptq_session *session = measure(model, tokenizer, all, &b, &high, &high_ns);
  MUST(adaptq_model_levels(model, &stored));
  if (!(stored & ADAPTQ_ALLOW_INT8)) low = high;

  int64_t budget = (int64_t)((double)high_ns * option.factor);
  printf("\nbudget: %.2f ms for %g %% of the calls (%.3g x the unloaded median of %s)\n", (double)budget / 1e6, option.percent,
         option.factor, adaptq_level_name(high));
  char names[MODES][32] = {"adaptq"};
  snprintf(names[1], sizeof names[1], "fixed %s", adaptq_level_name(high));
  snprintf(names[2], sizeof names[2], "fixed %s", adaptq_level_name(low));
  mode modes[MODES] = {{.name = names[0], .session = session},
                       {.name = names[1], .session = new_session(model, allow_of[index_of(high)], &b)},
                       {.name = names[2], .session = new_session(model, allow_of[index_of(low)], &b)}};
  for (int i = 0; i < MODES; i++)
    for (int phase = 0; phase < PHASES; phase++) {
      modes[i].latency[phase] = allocate((size_t)option.calls, sizeof(int64_t));
      modes[i].level[phase] = allocate((size_t)option.calls, sizeof(adaptq_level));
    }
  MUST(adaptq_session_set_latency_budget(modes[0].session, budget, option.percent));
  for (int i = 0; i < MODES; i++)
    for (int k = 0; k < 10; k++) run(modes[i].session, &b);  // warm, not counted

  for (int phase = 0; phase < PHASES; phase++) {
    if (phase == 1) {
      int wanted = CPU_COUNT(&cpus);
      if (load_start(&cpus, option.nice) != wanted) fail("load", "could not start the competing processes");
    }
    // Turns change their order, so that no mode always comes first after another.
    for (int done = 0, turn = 0; done < option.calls; done += option.block, turn++) {
      int block = option.calls - done < option.block ? option.calls - done : option.block;
      for (int i = 0; i < MODES; i++)
        for (int k = 0; k < block; k++) one_call(&modes[(i + turn) % MODES], phase, &b);
    }
    if (phase == 1) {
      int alive = load_alive(), started = load_count;
      load_stop();
      if (alive != started) fail("load", "a competing process ended early; the loaded phase is worth nothing");
    }
  }

  print_results(modes, budget);
  print_settling(&modes[0], high);
  print_verdict(modes, high, budget);
  for (int i = 0; i < MODES; i++) {
    MUST(adaptq_session_destroy(modes[i].session));
    for (int phase = 0; phase < PHASES; phase++) free(modes[i].latency[phase]), free(modes[i].level[phase]);
  }
  free_batch(&b);
}

// ------------------------------------------------------------------------------------------------------------------- main

static void usage(void) {
  fprintf(stderr, "usage: embed MODEL.adaptq [SENTENCES.txt] [--calls N] [--min-ms X] [--factor X] [--percentile X] "
                  "[--block N] [--nice N]\n");
  exit(2);
}

static double number(const char *text, double low, double high) {
  char *end;
  double value = text ? strtod(text, &end) : NAN;
  if (text == NULL || end == text || *end || !(value >= low && value <= high)) usage();
  return value;
}

int main(int argc, char **argv) {
  const char *model_path = NULL, *text_path = NULL;
  for (int i = 1; i < argc; i++) {
    const char *name = argv[i];
    if (name[0] != '-') {
      if (text_path) usage();
      *(model_path ? &text_path : &model_path) = name;
      continue;
    }
    const char *value = ++i < argc ? argv[i] : NULL;
    if (strcmp(name, "--calls") == 0) option.calls = (int)number(value, 8, 1000000);
    else if (strcmp(name, "--min-ms") == 0) option.min_ms = number(value, 0.01, 10000);
    else if (strcmp(name, "--factor") == 0) option.factor = number(value, 0.01, 1000);
    else if (strcmp(name, "--percentile") == 0) option.percent = number(value, 50, 99.9);
    else if (strcmp(name, "--block") == 0) option.block = (int)number(value, 1, 1000000);
    else if (strcmp(name, "--nice") == 0) option.nice = (int)number(value, 0, 19);
    else usage();
  }
  if (model_path == NULL) usage();
  setvbuf(stdout, NULL, _IOLBF, 0);
  load_init();

  adaptq_runtime *runtime = NULL;
  adaptq_model *model = NULL;
  adaptq_tokenizer *tokenizer = NULL;
  MUST(adaptq_runtime_create(NULL, &runtime));
  MUST(adaptq_model_open(runtime, model_path, &model));
  MUST(adaptq_tokenizer_create(model, &tokenizer));
  sentences all = read_sentences(text_path);

  show_nearest(model, tokenizer, &all);
  hold_budget(model, tokenizer, &all);

  for (int i = 0; i < all.count; i++) free(all.texts[i]);
  free(all.texts);
  MUST(adaptq_tokenizer_destroy(tokenizer));
  MUST(adaptq_model_destroy(model));
  MUST(adaptq_runtime_destroy(runtime));
  return 0;
}
