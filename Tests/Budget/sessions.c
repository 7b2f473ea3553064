// Two sessions at once, each with a latency budget, each on a thread of its own, and each the other's load:
//
//   sessions MODEL.adaptq [TOKENS=128 [FACTOR=1.8 [THREADS=1 [BURSTS=12 [ROUNDS=3]]]]]
//
// The first one makes a call every budget; the second one the same in bursts of 40 calls with 1.5 seconds between them. In every
// other pause a load comes or goes, on each CPU a thread that computes for 0.2 ms and sleeps for 0.4 ms (less than a time slice, which
// no level could make up for), so that a burst begins under another load than the last one ended with. The
// budget is FACTOR times the median of FP16 alone, for 95 % of the calls. THREADS is that of the runtime: with more than one the
// sessions share its pool. In each round the sessions belong once to one runtime, which shares what they know of the load, and
// once to two, which do not. Printed are sums over the rounds: calls, misses, misses in the first five calls of a burst, switches.
#define _GNU_SOURCE
#define PROGRAM "sessions"
#include <pthread.h>
#include <stdatomic.h>

#include "../../examples-c/host.h"

enum { BURST = 40, FIRST = 5, MOST_TOKENS = 512, MOST_INPUTS = 4, MOST_HOGS = 64 };
static const int64_t PAUSE_NS = 1500000000, HOG_NS = 200000;
static cpu_set_t hog_cpus[MOST_HOGS];

static int64_t tokens = 128, budget_ns;
static int bursts = 12;
static _Atomic int stop, hogs_run;

typedef struct {
  adaptq_session *session;
  adaptq_tensor inputs[MOST_INPUTS], output;
  size_t n_inputs;
  int64_t calls, misses, first_misses, firsts, switches;
} worker;

static adaptq_model *open_model(const char *path, int threads) {
  adaptq_runtime_options options = {.struct_size = sizeof options, .threads = threads};
  adaptq_runtime *runtime = NULL;
  adaptq_model *model = NULL;
  MUST(adaptq_runtime_create(&options, &runtime));
  MUST(adaptq_model_open(runtime, path, &model));
  MUST(adaptq_runtime_destroy(runtime));
  return model;
}

// Costs are measured once, alone, and given to all later sessions: what differs between them is what they know of the load.
static void *costs;
static size_t costs_size;

static void make(worker *w, adaptq_model *model) {
  *w = (worker){0};
  MUST(adaptq_session_create(model, NULL, &w->session));
  MUST(adaptq_model_input_count(model, &w->n_inputs));
  if (w->n_inputs > MOST_INPUTS) fail("model", "more than 4 inputs");
  for (size_t i = 0; i < w->n_inputs; i++) {
    adaptq_tensor_info info = {.struct_size = sizeof info};
    MUST(adaptq_model_input(model, i, &info));
    if (info.rank != 2 || info.type != ADAPTQ_TYPE_INT64) fail(info.name, "not [batch, tokens] of int64");
    int64_t *values = allocate((size_t)tokens, sizeof *values);
    for (int64_t k = 0; k < tokens; k++) values[k] = strstr(info.name, "mask") ? 1 : strstr(info.name, "type") ? 0 : 1000 + k;
    w->inputs[i] = (adaptq_tensor){.struct_size = sizeof(adaptq_tensor), .type = ADAPTQ_TYPE_INT64, .rank = 2, .sizes = {1, tokens},
                                   .data = values, .data_size = (size_t)tokens * 8};
  }
  if (costs) MUST(adaptq_session_import_costs(w->session, costs, costs_size));
  MUST(adaptq_session_prepare(w->session, w->inputs, w->n_inputs));
  w->output.struct_size = sizeof w->output;
  MUST(adaptq_session_output_shape(w->session, w->inputs, w->n_inputs, 0, &w->output));
  w->output.data = allocate(w->output.data_size, 1);
}

static void unmake(worker *w) {
  MUST(adaptq_session_destroy(w->session));
  for (size_t i = 0; i < w->n_inputs; i++) free(w->inputs[i].data);
  free(w->output.data);
}

static adaptq_run_report run(worker *w, adaptq_level level) {
  adaptq_run_options options = {.struct_size = sizeof options, .level = level};
  adaptq_run_report report = {.struct_size = sizeof report};
  MUST(adaptq_session_run(w->session, w->inputs, w->n_inputs, &w->output, 1, &options, &report));
  return report;
}

static void sleep_until(int64_t time) {
  struct timespec wanted = {time / 1000000000, time % 1000000000};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wanted, NULL) == EINTR) {}
}

// One call per budget.
static int64_t paced(worker *w, int64_t next, int index) {
  sleep_until(next);
  adaptq_run_report report = run(w, ADAPTQ_LEVEL_AUTO);
  int missed = report.latency_ns > budget_ns;
  w->calls++;
  w->misses += missed;
  w->switches += report.level_changed;
  if (index < FIRST) w->first_misses += missed, w->firsts++;
  next += budget_ns;
  return next > now_ns() ? next : now_ns();
}

static void *all_the_time(void *argument) {
  int64_t next = now_ns();
  while (!stop) next = paced(argument, next, FIRST);
  return NULL;
}

static void *hog(void *argument) {
  cpu_set_t *cpu = argument;
  (void)sched_setaffinity(0, sizeof *cpu, cpu);
  while (!stop) {
    int64_t begin = now_ns();
    while (hogs_run && now_ns() - begin < HOG_NS) {}
    sleep_until(now_ns() + 2 * HOG_NS);
  }
  return NULL;
}

static void in_bursts(worker *w) {
  for (int burst = 0; burst < bursts; burst++) {
    int64_t next = now_ns();
    for (int i = 0; i < BURST; i++) next = paced(w, next, i);
    sleep_until(now_ns() + PAUSE_NS / 3);
    if (burst % 2 == 0) hogs_run = !hogs_run;
    sleep_until(now_ns() + PAUSE_NS * 2 / 3);
  }
}

static void one_round(adaptq_model *first, adaptq_model *second, int n_hogs, worker sums[2]) {
  worker workers[2];
  make(&workers[0], first);
  make(&workers[1], second);
  for (int i = 0; i < 2; i++) MUST(adaptq_session_set_latency_budget(workers[i].session, budget_ns, 95));
  stop = 0;
  hogs_run = 0;
  pthread_t other, spinning[MOST_HOGS];
  for (int i = 0; i < n_hogs; i++)
    if (pthread_create(&spinning[i], NULL, hog, &hog_cpus[i]) != 0) fail("pthread_create", "refused");
  if (pthread_create(&other, NULL, all_the_time, &workers[0]) != 0) fail("pthread_create", "refused");
  in_bursts(&workers[1]);
  stop = 1;
  pthread_join(other, NULL);
  for (int i = 0; i < n_hogs; i++) pthread_join(spinning[i], NULL);
  for (int i = 0; i < 2; i++) {
    sums[i].calls += workers[i].calls, sums[i].misses += workers[i].misses, sums[i].switches += workers[i].switches;
    sums[i].first_misses += workers[i].first_misses, sums[i].firsts += workers[i].firsts;
    unmake(&workers[i]);
  }
}

int main(int count, char **arguments) {
  if (count < 2) fail("usage", "sessions MODEL.adaptq [TOKENS [FACTOR [THREADS [BURSTS [ROUNDS]]]]]");
  if (count > 2) tokens = atoi(arguments[2]);
  double factor = count > 3 ? atof(arguments[3]) : 1.8;
  int threads = count > 4 ? atoi(arguments[4]) : 1;
  if (count > 5) bursts = atoi(arguments[5]);
  int rounds = count > 6 ? atoi(arguments[6]) : 3;
  if (tokens < 1 || tokens > MOST_TOKENS) fail("TOKENS", "1 to 512");
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof cpus, &cpus) != 0) fail("sched_getaffinity", strerror(errno));
  int n_hogs = 0;
  for (int i = 0; i < CPU_SETSIZE && n_hogs < MOST_HOGS; i++)
    if (CPU_ISSET(i, &cpus)) {
      CPU_ZERO(&hog_cpus[n_hogs]);
      CPU_SET(i, &hog_cpus[n_hogs++]);
    }

  adaptq_model *one = open_model(arguments[1], threads), *two = open_model(arguments[1], threads);
  worker alone;
  make(&alone, one);
  int64_t times[41];
  for (int i = 0; i < 41; i++) times[i] = run(&alone, ADAPTQ_LEVEL_FP16).latency_ns;
  budget_ns = (int64_t)(factor * (double)percentile(times, 41, 50));
  adaptq_session_export_costs(alone.session, NULL, 0, &costs_size);
  costs = allocate(costs_size, 1);
  MUST(adaptq_session_export_costs(alone.session, costs, costs_size, &costs_size));
  unmake(&alone);
  printf("budget %.2f ms, %d threads in the runtime, load on %d CPUs\n", (double)budget_ns * 1e-6, threads, n_hogs);

  worker sums[2][2] = {0};
  for (int round = 0; round < rounds; round++) {
    one_round(one, one, n_hogs, sums[0]);
    one_round(one, two, n_hogs, sums[1]);
  }
  static const char *const how[2] = {"one runtime", "two runtimes"}, *const which[2] = {"all the time", "in bursts"};
  for (int i = 0; i < 2; i++)
    for (int k = 0; k < 2; k++) {
      worker *w = &sums[i][k];
      printf("%-13s %-13s %5lld calls, missed %5.2f %%, switches per 100 %5.2f", how[i], which[k], (long long)w->calls,
             100.0 * (double)w->misses / (double)w->calls, 100.0 * (double)w->switches / (double)w->calls);
      if (w->firsts > 0)
        printf(", missed of the first %d after a pause %5.2f %%", FIRST, 100.0 * (double)w->first_misses / (double)w->firsts);
      printf("\n");
    }
  free(costs);
  MUST(adaptq_model_destroy(one));
  MUST(adaptq_model_destroy(two));
  return 0;
}
