// Calls of one workload at a budget and at fixed levels, in turn:
//
//   host model MODEL.adaptq TOKENS      whole inferences of a sequence of so many tokens
//   host matrices COUNT SIZE            frames of COUNT matrices of SIZE x SIZE, one row each
//
// Contestants are sessions of one model, or groups of the same matrices: one with the budget, and fixed ones at FP16, INT8 and
// the level that turned out fastest. Prints "about ...", a line "plan INDEX NAME QUALITY" for each of the budget's plans, and
// "ready CONTESTANT ...". Then every line "BUDGET_NS PERCENTILE CALLS" on standard input is one phase: in each round every
// contestant makes one call, in an order drawn anew, so that a bad moment meets all of them and none always follows the same other
// one. Without a budget (0) the first contestant does not take part. When the phase is over: a line "CONTESTANT,WALL_NS,PLAN,
// QUALITY,SWITCHED,REASON" per call, in order of the rounds, and "end". compare.py asks and judges.
#define _GNU_SOURCE
#define PROGRAM "host"
#include "../../examples-c/host.h"

enum { CONTESTANTS = 4, LEVELS = 6, MAX_PLANS = 256, MAX_INPUTS = 4, MAX_TOKENS = 512, MAX_CALLS = 1000000 };
static const adaptq_level levels[LEVELS] = {ADAPTQ_LEVEL_FP32, ADAPTQ_LEVEL_FP16, ADAPTQ_LEVEL_INT8,
                                            ADAPTQ_LEVEL_INT6, ADAPTQ_LEVEL_INT4, ADAPTQ_LEVEL_INT2};
static const uint32_t allowed[LEVELS] = {ADAPTQ_ALLOW_FP32, ADAPTQ_ALLOW_FP16, ADAPTQ_ALLOW_INT8,
                                         ADAPTQ_ALLOW_INT6, ADAPTQ_ALLOW_INT4, ADAPTQ_ALLOW_INT2};

typedef struct { int64_t wall_ns; int32_t plan, switched, reason; } call;
typedef struct {
  const char *name;
  adaptq_level level;  // ADAPTQ_LEVEL_AUTO: the budget's choice
  double quality;      // of a fixed level
  adaptq_session *session;
  adaptq_group *group;
  call *calls;
} contestant;

static struct { adaptq_model *model; adaptq_tensor inputs[MAX_INPUTS], output; size_t n_inputs; } model;
static struct { adaptq_matrix **all; int64_t count, size; float *x, *y; } matrices;
static struct { char name[64]; double quality; } plans[MAX_PLANS];
static size_t n_plans;

static uint64_t next_random(uint64_t *state) {
  uint64_t z = (*state += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

// What to allow so that there is nothing to choose; 0 allows everything.
static uint32_t only(adaptq_level level) {
  for (int i = 0; i < LEVELS; i++)
    if (levels[i] == level) return allowed[i];
  return 0;
}

static call run_once(contestant *c) {
  call result = {0};
  int64_t start = now_ns();
  if (c->session) {
    adaptq_run_report report = {.struct_size = sizeof report};
    MUST(adaptq_session_run(c->session, model.inputs, model.n_inputs, &model.output, 1, NULL, &report));
    result = (call){now_ns() - start, report.plan, report.level_changed, report.reason};
  } else {
    adaptq_frame_report report = {.struct_size = sizeof report};
    float *from = matrices.x, *to = matrices.y;
    MUST(adaptq_group_begin(c->group, 1, NULL, 0));
    for (int64_t i = 0; i < matrices.count; i++) {
      adaptq_multiply product = {.struct_size = sizeof product, .rows = 1, .x = from, .y = to};
      MUST(adaptq_group_multiply(c->group, (size_t)i, &product));
      float *swap = from;
      from = to, to = swap;
    }
    MUST(adaptq_group_end(c->group, &report));
    result = (call){now_ns() - start, report.plan, report.plan_changed, report.reason};
    for (int64_t i = 0; i < matrices.size; i++) matrices.x[i] = (float)(i % 17 - 8) / 8;
  }
  return result;
}

static void set_level(contestant *c, adaptq_level level) {
  if (c->session) MUST(adaptq_session_set_level(c->session, level));
  else MUST(adaptq_group_set_level(c->group, level));
}

// ------------------------------------------------------------------------------------------------------------- whole models

static const char *const text =
    "The river floods the valley almost every March. A compiler translates source code into machine instructions, and the debugger "
    "stopped at the first line of the loop. Heavy rain caused the stream to burst its banks. Share prices dropped a lot late in the "
    "week, while the central bank left its interest rate unchanged. The home team won two to one after extra time. ";

static adaptq_session *new_session(adaptq_level level) {
  adaptq_session_options options = {.struct_size = sizeof options, .allowed_levels = only(level)};
  adaptq_session *session = NULL;
  MUST(adaptq_session_create(model.model, &options, &session));
  MUST(adaptq_session_prepare(session, model.inputs, model.n_inputs));
  return session;
}

// Where the file stores no plans with their quality: the cosine of the last output with that of the best level, the first asked for.
static double measured_quality(void) {
  static float *best = NULL;
  size_t count = model.output.data_size / sizeof(float);
  const float *now = model.output.data;
  if (best == NULL) best = memcpy(allocate(count, sizeof *best), now, count * sizeof *best);
  double product = 0, a = 0, b = 0;
  for (size_t k = 0; k < count; k++)
    product += (double)now[k] * best[k], a += (double)now[k] * now[k], b += (double)best[k] * best[k];
  return product / sqrt(a * b);
}

static uint32_t open_model(adaptq_runtime *runtime, const char *path, int64_t tokens) {
  if (tokens < 1 || tokens > MAX_TOKENS) fail("TOKENS", "1 to 512");
  MUST(adaptq_model_open(runtime, path, &model.model));
  adaptq_tokenizer *tokenizer = NULL;
  MUST(adaptq_tokenizer_create(model.model, &tokenizer));
  char long_text[MAX_TOKENS * 8] = "";
  while (strlen(long_text) + strlen(text) < sizeof long_text) strcat(long_text, text);
  static int64_t ids[MAX_TOKENS];
  size_t length = 0;
  MUST(adaptq_tokenizer_encode(tokenizer, long_text, strlen(long_text), tokens, ids, MAX_TOKENS, &length));
  MUST(adaptq_tokenizer_destroy(tokenizer));
  MUST(adaptq_model_input_count(model.model, &model.n_inputs));
  if (model.n_inputs > MAX_INPUTS) fail(path, "more than 4 inputs");
  for (size_t k = 0; k < model.n_inputs; k++) {
    adaptq_tensor_info info = {.struct_size = sizeof info};
    MUST(adaptq_model_input(model.model, k, &info));
    int64_t *data = allocate(length, sizeof *data);
    for (size_t i = 0; i < length; i++)
      data[i] = strcmp(info.name, "input_ids") == 0 ? ids[i] : strstr(info.name, "mask") != NULL;
    model.inputs[k] = (adaptq_tensor){.struct_size = sizeof(adaptq_tensor), .type = ADAPTQ_TYPE_INT64, .rank = 2,
                                      .sizes = {1, (int64_t)length}, .data = data, .data_size = length * sizeof *data};
  }
  uint32_t stored = 0;
  MUST(adaptq_model_levels(model.model, &stored));
  printf("about inferences of %zu tokens, one thread\n", length);
  return stored;
}

static void name_plan(size_t index, adaptq_level level, int is_mixed) {
  if (is_mixed) snprintf(plans[index].name, sizeof plans[index].name, "mix-%zu", index);
  else snprintf(plans[index].name, sizeof plans[index].name, "%s", adaptq_level_name(level));
}

// Of the first contestant all plans, of a fixed one the quality.
static void read_session_plans(contestant *c) {
  adaptq_plan_info info[MAX_PLANS];
  size_t count = 0;
  info[0].struct_size = sizeof info[0];
  MUST(adaptq_session_plans(c->session, info, MAX_PLANS, &count));
  for (size_t i = 0; i < count; i++) {
    double quality = info[i].mean_cosine;
    if (quality == 0 && !info[i].is_mixed) {
      set_level(c, info[i].level);
      run_once(c);
      quality = measured_quality();
    }
    if (c->level != ADAPTQ_LEVEL_AUTO) c->quality = quality;
    else {
      name_plan(i, info[i].level, info[i].is_mixed);
      plans[i].quality = quality;
      n_plans = count;
    }
  }
  set_level(c, c->level);
}

// ------------------------------------------------------------------------------------------------------- groups of matrices

// Sums of four uniform numbers: bell-shaped, as trained weights are.
static float bell(uint64_t *state) {
  uint64_t z = next_random(state);
  double sum = 0;
  for (int i = 0; i < 4; i++) sum += (double)(z >> (16 * i) & 0xFFFF);
  return (float)((sum / 65535 - 2) * 1.732);
}

static uint32_t make_matrices(adaptq_runtime *runtime, int64_t count, int64_t size) {
  if (count < 1 || count > 64 || size < 1 || size > 16384) fail("COUNT SIZE", "1 to 64, 1 to 16384");
  matrices.count = count, matrices.size = size;
  matrices.all = allocate((size_t)count, sizeof *matrices.all);
  matrices.x = allocate((size_t)size, sizeof(float)), matrices.y = allocate((size_t)size, sizeof(float));
  float *weights = allocate((size_t)(size * size), sizeof *weights), scale = 1 / sqrtf((float)size);
  int64_t bytes = 0;
  uint32_t held = 0;
  uint64_t state = 1;
  for (int64_t i = 0; i < count; i++) {
    for (int64_t k = 0; k < size * size; k++) weights[k] = bell(&state) * scale;
    adaptq_matrix_options options = {.struct_size = sizeof options, .n = size, .k = size, .weights = weights};
    options.keep = ADAPTQ_ALLOW_FP16;
    options.max_rows = 1;
    MUST(adaptq_matrix_create(runtime, &options, &matrices.all[i]));
    adaptq_matrix_info info = {.struct_size = sizeof info};
    MUST(adaptq_matrix_get_info(matrices.all[i], &info));
    bytes += info.stored_bytes;
    held = info.levels;
  }
  free(weights);
  for (int64_t i = 0; i < size; i++) matrices.x[i] = (float)(i % 17 - 8) / 8;
  printf("about frames of %d matrices of %d x %d, one row each, one thread; stored: %.1f MB, of which FP16 %.1f MB\n", (int)count,
         (int)size, (int)size, (double)bytes / 1e6, 2 * (double)(count * size * size) / 1e6);
  return held;
}

static adaptq_group *new_group(adaptq_runtime *runtime, adaptq_level level) {
  adaptq_group_options options = {.struct_size = sizeof options, .allowed_levels = only(level)};
  adaptq_group *group = NULL;
  MUST(adaptq_group_create(runtime, matrices.all, (size_t)matrices.count, &options, &group));
  return group;
}

static void read_group_plans(contestant *c) {
  adaptq_group_plan info[MAX_PLANS];
  size_t count = 0;
  info[0].struct_size = sizeof info[0];
  MUST(adaptq_group_plans(c->group, info, MAX_PLANS, &count));
  adaptq_level *each = allocate((size_t)matrices.count, sizeof *each);
  if (c->level != ADAPTQ_LEVEL_AUTO) c->quality = info[0].noise_db;
  for (size_t i = 0; c->level == ADAPTQ_LEVEL_AUTO && i < count; i++) {
    MUST(adaptq_group_plan_levels(c->group, i, each, (size_t)matrices.count));
    int is_mixed = 0;
    for (int64_t k = 1; k < matrices.count; k++) is_mixed |= each[k] != each[0];
    name_plan(i, each[0], is_mixed);
    plans[i].quality = info[i].noise_db;
    n_plans = count;
  }
  free(each);
}

// ------------------------------------------------------------------------------------------------------------------- phases

// The level whose quickest call is the quickest, of calls that take turns as those of a phase do: what else runs here for a moment
// decides nothing.
static adaptq_level find_fastest(contestant *c, uint32_t stored) {
  enum { ROUNDS = 15 };
  int64_t times[LEVELS][ROUNDS], least = INT64_MAX;
  adaptq_level fastest = ADAPTQ_LEVEL_AUTO;
  for (int round = 0; round < ROUNDS; round++)
    for (int i = 0; i < LEVELS; i++) {
      if (!(stored & allowed[i])) continue;
      set_level(c, levels[i]);
      times[i][round] = run_once(c).wall_ns;
    }
  for (int i = 0; i < LEVELS; i++) {
    if (!(stored & allowed[i])) continue;
    int64_t quickest = percentile(times[i], ROUNDS, 0);
    printf("about %s: quickest call %.3f ms\n", adaptq_level_name(levels[i]), (double)quickest / 1e6);
    if (quickest < least) least = quickest, fastest = levels[i];
  }
  set_level(c, ADAPTQ_LEVEL_AUTO);
  return fastest;
}

static void print_call(const contestant *c, const call *one) {
  int is_fixed = c->level != ADAPTQ_LEVEL_AUTO;
  printf("%s,%lld,%s,%.9g,%d,%d\n", c->name, (long long)one->wall_ns, is_fixed ? adaptq_level_name(c->level) : plans[one->plan].name,
         is_fixed ? c->quality : plans[one->plan].quality, one->switched, one->reason);
}

static void run_phase(contestant *all, int first, int calls, uint64_t *random) {
  for (int i = first; i < CONTESTANTS; i++) all[i].calls = allocate((size_t)calls, sizeof(call));
  for (int round = 0; round < calls; round++) {
    int order[CONTESTANTS], count = 0;
    for (int i = first; i < CONTESTANTS; i++) {
      int place = (int)(next_random(random) % (uint64_t)(count + 1));
      order[count] = order[place];
      order[place] = i;
      count++;
    }
    for (int i = 0; i < count; i++) all[order[i]].calls[round] = run_once(&all[order[i]]);
  }
  for (int round = 0; round < calls; round++)
    for (int i = first; i < CONTESTANTS; i++) print_call(&all[i], &all[i].calls[round]);
  printf("end\n");
  fflush(stdout);
  for (int i = first; i < CONTESTANTS; i++) free(all[i].calls);
}

int main(int argc, char **argv) {
  int is_model = argc == 4 && strcmp(argv[1], "model") == 0, is_group = argc == 4 && strcmp(argv[1], "matrices") == 0;
  if (!is_model && !is_group) fail("usage", "host model MODEL.adaptq TOKENS | host matrices COUNT SIZE");
  adaptq_runtime_options options = {.struct_size = sizeof options, .threads = 1};
  adaptq_runtime *runtime = NULL;
  MUST(adaptq_runtime_create(&options, &runtime));
  uint32_t stored = is_model ? open_model(runtime, argv[2], atoll(argv[3])) : make_matrices(runtime, atoll(argv[2]), atoll(argv[3]));
  if (!(stored & ADAPTQ_ALLOW_FP16) || !(stored & ADAPTQ_ALLOW_INT8)) fail("levels", "FP16 and INT8 must be stored");

  contestant all[CONTESTANTS] = {{.name = "automatic"}, {.name = "FP16", .level = ADAPTQ_LEVEL_FP16},
                                 {.name = "INT8", .level = ADAPTQ_LEVEL_INT8}};
  for (int i = 0; i < CONTESTANTS; i++) {
    contestant *c = &all[i];
    if (is_model) c->session = new_session(c->level);
    else c->group = new_group(runtime, c->level);
    if (i == 0 && is_model) {
      model.output.struct_size = sizeof model.output;
      MUST(adaptq_session_output_shape(c->session, model.inputs, model.n_inputs, 0, &model.output));
      model.output.data = allocate(model.output.data_size, 1);
    }
    if (is_model) read_session_plans(c);
    else read_group_plans(c);
    if (i == 0) all[CONTESTANTS - 1].level = find_fastest(c, stored);
  }
  char fastest[64];
  snprintf(fastest, sizeof fastest, "fastest-%s", adaptq_level_name(all[CONTESTANTS - 1].level));
  all[CONTESTANTS - 1].name = fastest;
  for (size_t i = 0; i < n_plans; i++) printf("plan %zu %s %.9g\n", i, plans[i].name, plans[i].quality);
  printf("ready");
  for (int i = 0; i < CONTESTANTS; i++) printf(" %s", all[i].name);
  printf("\n");
  fflush(stdout);

  long long budget;
  double percent;
  int calls;
  uint64_t random = 7;
  while (scanf("%lld %lf %d", &budget, &percent, &calls) == 3) {
    if (calls < 1 || calls > MAX_CALLS) fail("CALLS", "1 to 1000000");
    if (is_model) MUST(adaptq_session_set_latency_budget(all[0].session, budget, percent));
    else MUST(adaptq_group_set_latency_budget(all[0].group, budget, percent));
    run_phase(all, budget > 0 ? 0 : 1, calls, &random);
  }

  for (int i = 0; i < CONTESTANTS; i++) {
    MUST(adaptq_session_destroy(all[i].session));
    MUST(adaptq_group_destroy(all[i].group));
  }
  for (int64_t i = 0; i < matrices.count; i++) MUST(adaptq_matrix_destroy(matrices.all[i]));
  MUST(adaptq_model_destroy(model.model));
  MUST(adaptq_runtime_destroy(runtime));
  for (size_t i = 0; i < model.n_inputs; i++) free(model.inputs[i].data);
  free(model.output.data), free(matrices.all), free(matrices.x), free(matrices.y);
  return 0;
}
