// Budgets of power and energy of sessions: which plan they choose, what reports and telemetry say, limits that cannot hold
// together. The model is the one of make_small.py, whose plans and qualities are known.
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "small_session.h"


static const double mean[PLANS] = {1, 0.999999, 0.9998, 0.9995, 0.999, 0.998, 0.97, 0.96, 0.75, 0.5};
// Bytes of weights per pair of them, scales included: energy by pj_per_byte alone does not depend on this machine's speed.
static const double bytes[PLANS] = {8, 4, 2 + 1.0625, 2.125, 1.0625 + 0.8125, 1.625, 1.0625 + 0.3125, 1.125, 0.3125 + 0.5625, 0.625};

static int open_world_at(world *w, const char *sensors) {
  adaptq_runtime_options options = {.struct_size = sizeof options, .sensor_root = sensors};
  return open_small_session(w, &options, NULL);
}
static int open_world(world *w) { return open_world_at(w, "/nonexistent"); }
#define OPEN_WORLD(w) world w; if (!open_world(&w)) return

static adaptq_run_report run(world *w, adaptq_level level) {
  adaptq_run_options options = {.struct_size = sizeof options, .level = level};
  adaptq_run_report report = {.struct_size = sizeof report};
  CHECK_STATUS(adaptq_session_run(w->session, w->inputs, 2, &w->output, 1, &options, &report), ADAPTQ_OK);
  return report;
}

static adaptq_status set(world *w, adaptq_power_budget budget, adaptq_limit_report *limit) {
  budget.struct_size = sizeof budget;
  return adaptq_session_set_power_budget(w->session, &budget, limit);
}

// By the model of bytes, from that of the best and the worst plan: tables are read at every level alike.
static double model_energy(int plan, double best, double least) {
  return least + (best - least) * (bytes[plan] - bytes[PLANS - 1]) / (bytes[0] - bytes[PLANS - 1]);
}

// Energy of one run, by bytes: each plan's own, in proportion to what it reads.
static void energy_of_a_run(void) {
  OPEN_WORLD(w);
  adaptq_power_budget none = {.struct_size = sizeof none};
  adaptq_run_report report = run(&w, 0);
  CHECK(report.plan == 0 && report.energy_mj == 0 && report.energy_source == ADAPTQ_ENERGY_NONE && report.power_unreachable == 0);
  CHECK_STATUS(adaptq_session_power_budget(w.session, &none), ADAPTQ_NOT_FOUND);
  CHECK_STATUS(set(&w, (adaptq_power_budget){.energy_mj = 1e9, .pj_per_byte = 1e6}, NULL), ADAPTQ_OK);
  double best = run(&w, 0).energy_mj, energy[PLANS];
  CHECK(best > 0);
  for (int plan = 0; plan < PLANS; plan++) {
    CHECK_STATUS(set(&w, (adaptq_power_budget){.energy_mj = 1e9, .pj_per_byte = 1e6}, NULL), ADAPTQ_OK);
    CHECK_STATUS(adaptq_session_set_quality_floor(w.session, 0, 0, NULL), ADAPTQ_OK);
    // A limit between two plans takes the lower of them.
    double least = 0;
    adaptq_limit_report limit = {.struct_size = sizeof limit};
    CHECK_STATUS(adaptq_session_set_quality_floor(w.session, mean[plan], 0, NULL), ADAPTQ_OK);
    CHECK_ERROR(set(&w, (adaptq_power_budget){.energy_mj = 1e-9, .pj_per_byte = 1e6}, &limit), ADAPTQ_UNSUPPORTED,
                "energy_mj cannot hold, the cheapest plan that is left takes");
    CHECK_INT(limit.limit, ADAPTQ_LIMIT_ENERGY);
    least = limit.nearest;
    energy[plan] = least;
    CHECK_STATUS(set(&w, (adaptq_power_budget){.energy_mj = least, .pj_per_byte = 1e6}, &limit), ADAPTQ_OK);
    CHECK(limit.limit == ADAPTQ_LIMIT_NONE && limit.nearest == 0);
    report = run(&w, 0);
    CHECK_INT(report.plan, plan);
    CHECK(report.energy_mj <= least && report.energy_mj > least * 0.99999 && report.energy_source == ADAPTQ_ENERGY_MODELLED);
    CHECK(report.reason == ADAPTQ_REASON_POWER || plan == 0);
    CHECK(report.power_unreachable == 0 && report.waited_ns == 0);
  }
  // Tables are read at every level alike.
  for (int plan = 2; plan < PLANS; plan++) {
    double share = (energy[plan] - energy[1]) / (energy[0] - energy[1]), expected = (bytes[plan] - bytes[1]) / (bytes[0] - bytes[1]);
    if (!(share - expected < 1e-3 && expected - share < 1e-3)) check_fail(__FILE__, __LINE__, "plan %d: %g, expected %g", plan, share, expected);
  }
  // The floor beside an energy that only lower plans hold.
  CHECK_STATUS(adaptq_session_set_quality_floor(w.session, 0, 0, NULL), ADAPTQ_OK);
  CHECK_STATUS(set(&w, (adaptq_power_budget){.energy_mj = energy[5], .pj_per_byte = 1e6}, NULL), ADAPTQ_OK);
  adaptq_limit_report limit = {.struct_size = sizeof limit};
  CHECK_ERROR(adaptq_session_set_quality_floor(w.session, 0.9999, 0, &limit), ADAPTQ_UNSUPPORTED, "mean_cosine cannot hold");
  CHECK(limit.limit == ADAPTQ_LIMIT_MEAN_COSINE && limit.nearest == mean[5]);
  CHECK_STATUS(adaptq_session_set_allowed_levels(w.session, ADAPTQ_ALLOW_INT8), ADAPTQ_OK);
  CHECK_INT(run(&w, 0).power_unreachable, 1);
  CHECK_STATUS(adaptq_session_set_allowed_levels(w.session, 0), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_set_quality_floor(w.session, limit.nearest, 0, &limit), ADAPTQ_OK);
  CHECK_INT(run(&w, 0).plan, 5);
  // A fixed level stays and says that it is too much.
  report = run(&w, ADAPTQ_LEVEL_FP32);
  CHECK(report.plan == 0 && report.power_unreachable == 1 && report.energy_mj == best && report.reason == ADAPTQ_REASON_FIXED);
  adaptq_telemetry entries[2] = {{.struct_size = sizeof entries[0]}};
  size_t count = 0;
  CHECK_STATUS(adaptq_session_telemetry(w.session, entries, 2, &count), ADAPTQ_OK);
  CHECK(count == 2 && entries[1].power_unreachable == 1 && entries[1].energy_source == ADAPTQ_ENERGY_MODELLED);
  CHECK(entries[1].energy_mj > best * 0.9999 && entries[1].energy_mj < best * 1.0001 && entries[0].power_unreachable == 0);
  CHECK_STATUS(adaptq_session_set_power_budget(w.session, NULL, NULL), ADAPTQ_OK);
  report = run(&w, 0);
  CHECK(report.plan == 0 && report.energy_mj == 0);
  close_world(&w);
}

static void reads_back(void) {
  OPEN_WORLD(w);
  adaptq_power_budget budget = {.power_mw = 7, .static_mw = 1, .active_mw = 2, .pj_per_mac = 3, .pj_per_byte = 4,
                                .mode = ADAPTQ_POWER_LEAST_ENERGY, .attribution = ADAPTQ_ATTRIBUTE_MODEL, .max_wait_ns = 5, .thread_mw = 6};
  adaptq_power_budget back = {.struct_size = sizeof back};
  CHECK_STATUS(set(&w, budget, NULL), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_power_budget(w.session, &back), ADAPTQ_OK);
  budget.struct_size = sizeof budget;
  budget.window_ns = 10000000000;
  CHECK(memcmp(&back, &budget, sizeof back) == 0);
  // A caller of the first version of the struct.
  adaptq_power_budget old = {.struct_size = 64, .energy_mj = 1e9, .active_mw = 2, .mode = 77};
  CHECK_STATUS(adaptq_session_set_power_budget(w.session, &old, NULL), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_power_budget(w.session, &old), ADAPTQ_OK);
  CHECK(old.energy_mj == 1e9 && old.mode == 77 && old.struct_size == 64);
  // And of the one without thread_mw.
  old = (adaptq_power_budget){.struct_size = 80, .energy_mj = 1e9, .active_mw = 2, .thread_mw = 77};
  CHECK_STATUS(adaptq_session_set_power_budget(w.session, &old, NULL), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_power_budget(w.session, &old), ADAPTQ_OK);
  CHECK(old.energy_mj == 1e9 && old.thread_mw == 77 && old.struct_size == 80);
  // What cannot hold changes nothing.
  CHECK_STATUS(set(&w, (adaptq_power_budget){.power_mw = 5, .static_mw = 5, .active_mw = 1}, NULL), ADAPTQ_UNSUPPORTED);
  CHECK_STATUS(adaptq_session_power_budget(w.session, &back), ADAPTQ_OK);
  CHECK(back.energy_mj == 1e9);
  CHECK(adaptq_has_feature("session-power") == 1);
  close_world(&w);
}

static void least_energy(void) {
  OPEN_WORLD(w);
  adaptq_power_budget budget = {.mode = ADAPTQ_POWER_LEAST_ENERGY, .pj_per_byte = 1e6};
  CHECK_STATUS(set(&w, budget, NULL), ADAPTQ_OK);
  // Without a floor the least of all.
  CHECK_INT(run(&w, 0).plan, PLANS - 1);
  for (int plan = 0; plan < PLANS; plan++) {
    CHECK_STATUS(adaptq_session_set_quality_floor(w.session, mean[plan], 0, NULL), ADAPTQ_OK);
    CHECK_INT(run(&w, 0).plan, plan);
  }
  // A latency that only low plans hold leaves none above the floor: that says the power budget, when it is set.
  adaptq_plan_info plans[PLANS] = {{.struct_size = sizeof plans[0]}};
  size_t count = 0;
  REQUIRE_OK(adaptq_session_plans(w.session, plans, PLANS, &count));
  CHECK_STATUS(adaptq_session_set_power_budget(w.session, NULL, NULL), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_set_quality_floor(w.session, 0, 0, NULL), ADAPTQ_OK);
  int quick = 0;
  for (int plan = 1; plan < PLANS; plan++) if (plans[plan].latency_ns < plans[quick].latency_ns) quick = plan;
  int better = -1;
  for (int plan = 0; plan < quick; plan++) if (better < 0 || mean[plan] > mean[better]) better = plan;
  if (better >= 0) {
    adaptq_limit_report limit = {.struct_size = sizeof limit};
    CHECK_STATUS(adaptq_session_set_latency_budget(w.session, plans[quick].latency_ns, 95), ADAPTQ_OK);
    CHECK_STATUS(adaptq_session_set_quality_floor(w.session, mean[better], 0, NULL), ADAPTQ_OK);
    int alone = 1;
    for (int plan = 0; plan <= better; plan++) alone &= plans[plan].latency_ns > plans[quick].latency_ns;
    if (alone) {
      CHECK_ERROR(set(&w, budget, &limit), ADAPTQ_UNSUPPORTED, "mean_cosine cannot hold");
      CHECK(limit.limit == ADAPTQ_LIMIT_MEAN_COSINE && limit.nearest < mean[better]);
    }
  }
  close_world(&w);
}

static void wait_ns(long ns) {
  struct timespec time = {0, ns};
  nanosleep(&time, NULL);
}

// A cap between two plans at this rate: runs alternate, and the average meets it. By bytes, so that the machine does not matter.
static void average_power(void) {
  OPEN_WORLD(w);
  CHECK_STATUS(set(&w, (adaptq_power_budget){.energy_mj = 1e9, .pj_per_byte = 1e6}, NULL), ADAPTQ_OK);
  double best = run(&w, 0).energy_mj, least = run(&w, ADAPTQ_LEVEL_INT2).energy_mj, sum = 0;
  // 1 ms and what the system makes of it: 0.4 of the way at 1.2 ms.
  adaptq_power_budget budget = {.window_ns = 100000000, .static_mw = 100, .pj_per_byte = 1e6};
  budget.power_mw = budget.static_mw + (least + 0.4 * (best - least)) / 1.2e-3;
  CHECK_STATUS(set(&w, budget, NULL), ADAPTQ_OK);
  struct timespec begin, end;
  int changes = 0, unreachable = 0;
  for (int i = 0; i < 600; i++) {
    if (i == 200) { clock_gettime(CLOCK_MONOTONIC, &begin); sum = 0; }
    adaptq_run_report report = run(&w, 0);
    changes += report.level_changed;
    unreachable += report.power_unreachable;
    sum += report.energy_mj;
    wait_ns(1000000);
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  double seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) * 1e-9;
  double power = budget.static_mw + sum / seconds;
  // On a busy machine pauses are longer, and the best plan may not be enough to reach the cap; never above it.
  if (!(power < budget.power_mw * 1.02)) check_fail(__FILE__, __LINE__, "%g mW with a cap of %g", power, budget.power_mw);
  CHECK(changes > 3 || sum > 399.5 * best);
  CHECK(unreachable < 60);
  // Nothing holds it: least energy, and the rate that would do.
  budget.power_mw = budget.static_mw + least / 0.5;
  CHECK_STATUS(set(&w, budget, NULL), ADAPTQ_OK);
  run(&w, 0);
  adaptq_run_report report = run(&w, 0);
  CHECK(report.power_unreachable == 1 && report.plan == PLANS - 1);
  CHECK(report.recommended_interval_ns > 499000000 && report.recommended_interval_ns < 501000000);
  close_world(&w);
}

static char root[200];

static void put(const char *path, const char *text) {
  char whole[500];
  snprintf(whole, sizeof whole, "%s/%s", root, path);
  for (char *at = whole + 1; (at = strchr(at, '/')); at++) {
    *at = 0;
    mkdir(whole, 0700);
    *at = '/';
  }
  // At once: the thread that polls must not find half of it.
  char other[520];
  snprintf(other, sizeof other, "%s.new", whole);
  FILE *file = fopen(other, "w");
  REQUIRE(file != NULL);
  fprintf(file, "%s\n", text);
  fclose(file);
  REQUIRE(rename(other, whole) == 0);
}

// A counter of a machine on which runs take 1.5 times what the model says: reports say it, and the average holds the cap as
// measured. Then it stops, and they say that, too.
static void measured(void) {
  char text[40];
  snprintf(root, sizeof root, "%s/adaptq-session-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
  REQUIRE(mkdtemp(root) != NULL);
  put("sys/class/powercap/intel-rapl:0/name", "package-0");
  put("sys/class/powercap/intel-rapl:0/max_energy_range_uj", "262143328850");
  put("sys/class/powercap/intel-rapl:0/energy_uj", "1000000");
  world w;
  if (!open_world_at(&w, root)) return;
  CHECK_STATUS(set(&w, (adaptq_power_budget){.energy_mj = 1e9, .pj_per_byte = 1e6}, NULL), ADAPTQ_OK);
  double best = run(&w, 0).energy_mj, least = run(&w, ADAPTQ_LEVEL_INT2).energy_mj;
  // Virtual machines stop for a while: the counter is made of the runs and the time that has passed.
  adaptq_power_budget budget = {.window_ns = 200000000, .static_mw = 1000, .pj_per_byte = 1e6};
  budget.power_mw = budget.static_mw + 1.5 * (least + 0.4 * (best - least)) / 1.2e-3;
  CHECK_STATUS(set(&w, budget, NULL), ADAPTQ_OK);
  struct timespec begin, now;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  double joules = 1, spent = 0, from = 0, last = 0;
  adaptq_run_report report = {.struct_size = sizeof report};
  int sources = 0;
  for (int i = 0; i < 900; i++) {
    report = run(&w, 0);
    clock_gettime(CLOCK_MONOTONIC, &now);
    double time = (double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) * 1e-9;
    double used = 1.5 * model_energy(report.plan, best, least) * 1e-3 + budget.static_mw * 1e-3 * (time - last);
    joules += used;
    if (i == 300) { from = time; spent = 0; }
    spent += used;
    last = time;
    if (i % 20 == 19) {
      snprintf(text, sizeof text, "%lld", (long long)(joules * 1e6));
      put("sys/class/powercap/intel-rapl:0/energy_uj", text);
      CHECK_STATUS(adaptq_runtime_poll(w.runtime, NULL), ADAPTQ_OK);
    }
    sources += report.energy_source == ADAPTQ_ENERGY_PACKAGES;
    wait_ns(1000000);
  }
  double power = spent / (last - from) * 1e3;
  if (!(power < budget.power_mw * 1.02)) check_fail(__FILE__, __LINE__, "%g mW with a cap of %g", power, budget.power_mw);
  if (sources < 800) check_fail(__FILE__, __LINE__, "measured in %d of 900 runs", sources);
  double scale = report.energy_mj / model_energy(report.plan, best, least);
  if (!(scale > 1.3 && scale < 1.7)) check_fail(__FILE__, __LINE__, "scale %g", scale);
  // Nothing comes any more: after a while the reports do not call it measured, but keep what was learned.
  put("sys/class/powercap/intel-rapl:0/energy_uj", "nothing");
  for (int i = 0; i < 350; i++) {
    if (i % 50 == 0) adaptq_runtime_poll(w.runtime, NULL);
    wait_ns(10000000);
  }
  report = run(&w, 0);
  CHECK_INT(report.energy_source, ADAPTQ_ENERGY_MODELLED);
  CHECK(report.energy_mj > 1.3 * model_energy(report.plan, best, least));
  adaptq_power_info info = {.struct_size = sizeof info};
  CHECK_STATUS(adaptq_runtime_power(w.runtime, &info), ADAPTQ_OK);
  CHECK(info.fault == ADAPTQ_SENSOR_VANISHED && info.faults > 3);
  // The model alone, if the host wants that.
  budget.attribution = ADAPTQ_ATTRIBUTE_MODEL;
  CHECK_STATUS(set(&w, budget, NULL), ADAPTQ_OK);
  report = run(&w, 0);
  CHECK(report.energy_source == ADAPTQ_ENERGY_MODELLED && report.energy_mj < 1.01 * model_energy(report.plan, best, least));
  close_world(&w);
  char command[300];
  snprintf(command, sizeof command, "rm -rf '%s'", root);
  CHECK(system(command) == 0);
}

static void *canceller(void *argument) {
  wait_ns(50000000);
  adaptq_session_cancel(((world *)argument)->session);
  return NULL;
}

// A run may wait for the power to hold; that is no latency, and cancelling ends it.
static void waits(void) {
  OPEN_WORLD(w);
  CHECK_STATUS(set(&w, (adaptq_power_budget){.energy_mj = 1e9, .pj_per_byte = 1e6}, NULL), ADAPTQ_OK);
  double least = run(&w, ADAPTQ_LEVEL_INT2).energy_mj;
  // The least of all holds at one run per 20 ms.
  adaptq_power_budget budget = {.power_mw = least / 0.02, .pj_per_byte = 1e6, .max_wait_ns = 1000000000};
  CHECK_STATUS(set(&w, budget, NULL), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_set_latency_budget(w.session, 15000000, 95), ADAPTQ_OK);
  struct timespec begin, end;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  int64_t waited = 0;
  for (int i = 0; i < 12; i++) {
    adaptq_run_report report = run(&w, 0);
    CHECK(report.waited_ns >= 0 && (i > 0 || report.waited_ns == 0));
    waited += report.waited_ns;
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  double seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) * 1e-9;
  if (!(seconds > 0.1 && waited > 100000000)) check_fail(__FILE__, __LINE__, "%g s, waited %lld ns", seconds, (long long)waited);
  // No longer than allowed.
  budget.power_mw = least / 1e6;
  budget.max_wait_ns = 3000000;
  CHECK_STATUS(set(&w, budget, NULL), ADAPTQ_OK);
  run(&w, 0);
  adaptq_run_report report = run(&w, 0);
  CHECK(report.waited_ns >= 3000000 && report.power_unreachable == 1 && report.latency_ns > 0);
  // A wait of an hour, ended by another thread.
  budget.max_wait_ns = 3600000000000;
  CHECK_STATUS(set(&w, budget, NULL), ADAPTQ_OK);
  run(&w, 0);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, canceller, &w) == 0);
  adaptq_run_options options = {.struct_size = sizeof options};
  CHECK_STATUS(adaptq_session_run(w.session, w.inputs, 2, &w.output, 1, &options, NULL), ADAPTQ_CANCELLED);
  pthread_join(thread, NULL);
  close_world(&w);
}

static _Atomic int stop;
static void *setter(void *argument) {
  world *w = argument;
  uint64_t seed = 1;
  adaptq_power_budget back = {.struct_size = sizeof back};
  while (!stop) {
    double x = (double)(1 + check_random(&seed) % 9);
    // Every field the same number: a mixture of two budgets would show.
    adaptq_power_budget budget = {.power_mw = x + 1, .energy_mj = 1e6 * x, .static_mw = x, .active_mw = x, .pj_per_mac = x, .pj_per_byte = x};
    CHECK_STATUS(set(w, budget, NULL), ADAPTQ_OK);
    adaptq_status status = adaptq_session_power_budget(w->session, &back);
    if (status == ADAPTQ_OK) CHECK(back.active_mw == back.static_mw && back.pj_per_mac == back.pj_per_byte);
  }
  return NULL;
}

// Setters on two threads while runs are in progress.
static void from_other_threads(void) {
  OPEN_WORLD(w);
  pthread_t threads[2];
  stop = 0;
  for (int i = 0; i < 2; i++) REQUIRE(pthread_create(&threads[i], NULL, setter, &w) == 0);
  for (int i = 0; i < 3000; i++) CHECK(run(&w, 0).plan >= 0);
  stop = 1;
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  close_world(&w);
}

int main(void) {
  RUN(energy_of_a_run);
  RUN(reads_back);
  RUN(least_energy);
  RUN(average_power);
  RUN(measured);
  RUN(waits);
  RUN(from_other_threads);
  return check_end();
}
