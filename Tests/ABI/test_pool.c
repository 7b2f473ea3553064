// The library's threads: how many there are, where they run, what they do to results, and what options are refused.
#define _GNU_SOURCE
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "fixture.h"
#include "pool_host.h"

enum { BATCH = 3, LENGTH = 40 };

// ------------------------------------------------------------------------------------------------------ /proc/self/task

typedef struct {
  int count, workers;
  long worker;  // thread id of the last one called adaptq-*
} tasks;

static int read_task(long id, const char *file, char *text, size_t size) {
  char path[128];
  snprintf(path, sizeof path, "/proc/self/task/%ld/%s", id, file);
  FILE *f = fopen(path, "r");
  size_t n = f ? fread(text, 1, size - 1, f) : 0;
  if (f) fclose(f);
  text[n] = 0;
  return n > 0;
}

static tasks read_tasks(void) {
  tasks result = {0, 0, 0};
  DIR *directory = opendir("/proc/self/task");
  for (struct dirent *entry; directory && (entry = readdir(directory));) {
    long id = atol(entry->d_name);
    char name[64];
    if (id == 0 || !read_task(id, "comm", name, sizeof name)) continue;
    result.count++;
    if (strncmp(name, "adaptq-", 7) != 0) continue;
    result.workers++;
    result.worker = id;
  }
  if (directory) closedir(directory);
  return result;
}

// A thread that has been joined may be listed for a moment longer.
static tasks tasks_when(int workers) {
  tasks now = read_tasks();
  for (int i = 0; i < 1000 && now.workers != workers; i++) {
    usleep(1000);
    now = read_tasks();
  }
  return now;
}

// The line of /proc/self/task/ID/status that begins with `key`.
static const char *status_line(long id, const char *key, char *text, size_t size) {
  if (!read_task(id, "status", text, size)) return "";
  char *line = strstr(text, key);
  if (!line) return "";
  line[strcspn(line, "\n")] = 0;
  return line + strlen(key);
}

static int allowed_cpus(int32_t *cpus, int most) {
  cpu_set_t set;
  int count = 0;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 0;
  for (int cpu = 0; cpu < CPU_SETSIZE && count < most; cpu++) if (CPU_ISSET(cpu, &set)) cpus[count++] = cpu;
  return count;
}

// ---------------------------------------------------------------------------------------------------------- how many

static void run_with_threads(int32_t threads, int expected_workers) {
  tasks before = read_tasks();
  OPEN_FIXTURE_THREADS(f, threads);
  tensors t;
  int32_t known = -1;
  CHECK_STATUS(adaptq_runtime_threads(f.runtime, &known), ADAPTQ_OK);
  CHECK_INT(known, threads);
  CHECK_INT(read_tasks().count, before.count);
  adaptq_session *session = fixture_session(&f, &t, 0, BATCH, LENGTH);
  REQUIRE(session != NULL);
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
  tasks with = read_tasks();
  CHECK_INT(with.workers, expected_workers);
  CHECK_INT(with.count, before.count + expected_workers);
  // The session keeps the workers until it goes as well.
  fixture_close(&f);
  CHECK_INT(read_tasks().workers, expected_workers);
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  CHECK_INT(tasks_when(0).count, before.count);
  tensors_free(&f, &t);
}

static void one_thread_creates_none(void) { run_with_threads(1, 0); }
static void two_threads_create_one(void) { run_with_threads(2, 1); }
static void five_threads_create_four(void) { run_with_threads(5, 4); }

static void default_is_no_more_than_allowed(void) {
  adaptq_runtime *runtime = NULL;
  int32_t cpus[1024], known = 0;
  REQUIRE_OK(adaptq_runtime_create(NULL, &runtime));
  CHECK_STATUS(adaptq_runtime_threads(runtime, &known), ADAPTQ_OK);
  CHECK(known >= 1 && known <= allowed_cpus(cpus, 1024));
  CHECK_ERROR(adaptq_runtime_threads(runtime, NULL), ADAPTQ_INVALID_ARGUMENT, "out");
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
  known = 77;
  CHECK_STATUS(adaptq_runtime_threads(runtime, &known), ADAPTQ_INVALID_HANDLE);
  CHECK_INT(known, 77);
}

// A worker takes no signal of the host, and no CPU time while nothing runs.
static void workers_are_quiet(void) {
  OPEN_FIXTURE_THREADS(f, 2);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, 0, BATCH, LENGTH);
  REQUIRE(session != NULL);
  long worker = tasks_when(1).worker;
  char text[4096], before[128], after[128];
  // Bits of signals 1 to 31 but SIGKILL (9) and SIGSTOP (19), which nobody can block.
  unsigned long blocked = strtoul(status_line(worker, "SigBlk:", text, sizeof text), NULL, 16);
  unsigned long most = 0x7fffffff & ~(1UL << 8) & ~(1UL << 18);
  CHECK((blocked & most) == most);
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
  usleep(20000);
  CHECK(read_task(worker, "schedstat", before, sizeof before));
  usleep(100000);
  CHECK(read_task(worker, "schedstat", after, sizeof after));
  CHECK(strcmp(before, after) == 0);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

// ---------------------------------------------------------------------------------------------------------- same bits

// Runs at every level with the options, and compares with the results of one thread, which the first call makes.
static void *expected[FIXTURE_LEVELS];

static void compare_results(fixture *f, const char *what) {
  tensors t;
  adaptq_session *session = fixture_session(f, &t, 0, BATCH, LENGTH);
  REQUIRE(session != NULL);
  for (int i = 0; i < FIXTURE_LEVELS; i++) {
    if (!(f->levels & fixture_allow[i])) continue;
    for (int32_t most = 0; most < 4; most++) {
      adaptq_run_options options = {.struct_size = sizeof options, .level = fixture_level[i], .max_threads = most};
      canary_fill(t.outputs[0].data, t.outputs[0].data_size);
      CHECK_STATUS(fixture_run(f, session, &t, &options, NULL), ADAPTQ_OK);
      if (!expected[i]) {
        expected[i] = malloc(t.outputs[0].data_size);
        memcpy(expected[i], t.outputs[0].data, t.outputs[0].data_size);
      }
      if (memcmp(expected[i], t.outputs[0].data, t.outputs[0].data_size) != 0)
        check_fail(__FILE__, __LINE__, "%s, %s, max_threads %d: other bits", what, adaptq_level_name(fixture_level[i]),
                   (int)most);
    }
  }
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(f, &t);
}

static void same_bits_for_any_number(void) {
  for (int32_t threads = 1; threads <= 5; threads++) {
    OPEN_FIXTURE_THREADS(f, threads);
    char what[32];
    snprintf(what, sizeof what, "%d threads", (int)threads);
    compare_results(&f, what);
    fixture_close(&f);
  }
}

static void same_bits_with_the_hosts_threads(void) {
  NEEDS_MODEL();
  tasks before = read_tasks();
  for (int32_t width = 1; width <= 4; width++) {
    host_pool pool = {0, 0, NULL};
    adaptq_runtime_options options = {.struct_size = sizeof options,
                                      .parallel_for = host_parallel_for,
                                      .parallel_for_context = &pool,
                                      .parallel_for_threads = width};
    fixture f;
    int32_t known = 0;
    if (!fixture_open_with(&f, &options)) return;
    CHECK_STATUS(adaptq_runtime_threads(f.runtime, &known), ADAPTQ_OK);
    CHECK_INT(known, width);
    compare_results(&f, "the host's threads");
    fixture_close(&f);
    CHECK(width == 1 ? pool.calls == 0 : pool.calls > 0);
    CHECK(pool.largest <= (size_t)width);
  }
  CHECK_INT(read_tasks().workers, before.workers);
}

// -------------------------------------------------------------------------------------------------- sharing one pool

typedef struct {
  const fixture *f;
  adaptq_session *session;
  tensors t;
  long runs;
  int wrong;
} runner;

static void *run_often(void *argument) {
  runner *r = (runner *)argument;
  adaptq_run_options options = {.struct_size = sizeof options, .level = fixture_level[fixture_best_level(r->f->levels)]};
  for (int i = 0; i < 25; i++) {
    if (fixture_run(r->f, r->session, &r->t, &options, NULL) != ADAPTQ_OK) r->wrong++;
    if (memcmp(r->t.outputs[0].data, expected[fixture_best_level(r->f->levels)], r->t.outputs[0].data_size) != 0)
      r->wrong++;
    r->runs++;
  }
  return NULL;
}

static void sessions_share_one_pool(void) {
  enum { SESSIONS = 4 };
  OPEN_FIXTURE_THREADS(f, 3);
  REQUIRE(expected[fixture_best_level(f.levels)] != NULL);
  runner r[SESSIONS];
  pthread_t threads[SESSIONS];
  memset(r, 0, sizeof r);
  for (int i = 0; i < SESSIONS; i++) {
    r[i].f = &f;
    r[i].session = fixture_session(&f, &r[i].t, 0, BATCH, LENGTH);
    REQUIRE(r[i].session != NULL);
  }
  CHECK_INT(read_tasks().workers, 2);
  for (int i = 0; i < SESSIONS; i++) REQUIRE(pthread_create(&threads[i], NULL, run_often, &r[i]) == 0);
  CHECK_INT(read_tasks().workers, 2);
  for (int i = 0; i < SESSIONS; i++) {
    pthread_join(threads[i], NULL);
    CHECK_INT(r[i].wrong, 0);
    CHECK_STATUS(adaptq_session_destroy(r[i].session), ADAPTQ_OK);
    tensors_free(&f, &r[i].t);
  }
  fixture_close(&f);
  CHECK_INT(tasks_when(0).workers, 0);
}

// ------------------------------------------------------------------------------------------------------------ options

static void refused(adaptq_runtime_options options, const char *part) {
  adaptq_runtime *runtime = (adaptq_runtime *)0x1000;
  options.struct_size = sizeof options;
  CHECK_ERROR(adaptq_runtime_create(&options, &runtime), ADAPTQ_INVALID_ARGUMENT, part);
  CHECK(runtime == NULL);
}

static void wrong_options(void) {
  const int32_t zero[] = {0}, negative[] = {-1}, huge[] = {1 << 30}, most[] = {INT32_MAX}, least[] = {INT32_MIN};
  int32_t cpus[4] = {0, 0, 0, 0}, twice[2];
  int count = allowed_cpus(cpus, 4);
  twice[0] = twice[1] = cpus[0];
  const int32_t counts[] = {-1, INT32_MIN, ADAPTQ_MAX_THREADS + 1, INT32_MAX};
  for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
    refused((adaptq_runtime_options){.threads = counts[i]}, "threads");
    refused((adaptq_runtime_options){.parallel_for = host_parallel_for, .parallel_for_threads = counts[i]},
            "parallel_for_threads");
  }
  refused((adaptq_runtime_options){.parallel_for_threads = 2}, "parallel_for is NULL");
  refused((adaptq_runtime_options){.parallel_for = host_parallel_for, .threads = 2}, "threads is 2");
  refused((adaptq_runtime_options){.parallel_for = host_parallel_for, .cpu_set = cpus, .n_cpus = 1}, "n_cpus is 1");
  refused((adaptq_runtime_options){.n_cpus = 1}, "cpu_set is NULL");
  refused((adaptq_runtime_options){.cpu_set = zero, .n_cpus = SIZE_MAX}, "n_cpus");
  refused((adaptq_runtime_options){.cpu_set = zero, .n_cpus = SIZE_MAX / 4 + 2}, "n_cpus");
  refused((adaptq_runtime_options){.cpu_set = zero, .n_cpus = 8193}, "n_cpus is 8193");
  refused((adaptq_runtime_options){.cpu_set = negative, .n_cpus = 1}, "cpu_set[0] is -1");
  refused((adaptq_runtime_options){.cpu_set = huge, .n_cpus = 1}, "cpu_set[0]");
  refused((adaptq_runtime_options){.cpu_set = most, .n_cpus = 1}, "cpu_set[0]");
  refused((adaptq_runtime_options){.cpu_set = least, .n_cpus = 1}, "cpu_set[0]");
  refused((adaptq_runtime_options){.cpu_set = twice, .n_cpus = 2}, "cpu_set[1]");
  if (count > 0) refused((adaptq_runtime_options){.cpu_set = cpus, .n_cpus = 1, .threads = 2}, "threads is 2");
}

// Programs compiled against 0.1 know neither threads nor max_threads.
static void structs_of_the_first_version(void) {
  NEEDS_MODEL();
  fixture f;
  tensors t;
  adaptq_runtime_options options = {.struct_size = offsetof(adaptq_runtime_options, allocate), .threads = -5};
  CHECK_INT(options.struct_size, 40);
  if (!fixture_open_with(&f, &options)) return;
  adaptq_session *session = fixture_session(&f, &t, 0, 1, 4);
  REQUIRE(session != NULL);
  adaptq_run_options run = {.struct_size = offsetof(adaptq_run_options, max_threads), .max_threads = -5};
  CHECK_INT(run.struct_size, 24);
  CHECK_STATUS(fixture_run(&f, session, &t, &run, NULL), ADAPTQ_OK);
  run.struct_size = sizeof run;
  canary_fill(t.outputs[0].data, t.outputs[0].data_size);
  CHECK_ERROR(fixture_run(&f, session, &t, &run, NULL), ADAPTQ_INVALID_ARGUMENT, "max_threads is -5");
  CHECK(canary_intact(t.outputs[0].data, t.outputs[0].data_size));
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

static void workers_use_the_cpu_set(void) {
  NEEDS_MODEL();
  int32_t cpus[2];
  if (allowed_cpus(cpus, 2) < 2) SKIP("only one CPU is allowed here");
  for (int turn = 0; turn < 2; turn++) {
    int32_t set[2] = {cpus[turn], cpus[1 - turn]};
    adaptq_runtime_options options = {.struct_size = sizeof options, .cpu_set = set, .n_cpus = 2};
    fixture f;
    tensors t;
    int32_t known = 0;
    if (!fixture_open_with(&f, &options)) return;
    CHECK_STATUS(adaptq_runtime_threads(f.runtime, &known), ADAPTQ_OK);
    CHECK_INT(known, 2);
    int32_t wanted = set[1];
    set[0] = set[1] = -1;  // read during the call only
    adaptq_session *session = fixture_session(&f, &t, 0, 1, 8);
    REQUIRE(session != NULL);
    char text[4096];
    // The name and the CPUs are set by the worker itself, at its start.
    long worker = tasks_when(1).worker;
    CHECK_INT(strtol(status_line(worker, "Cpus_allowed_list:", text, sizeof text), NULL, 10), wanted);
    CHECK(strchr(status_line(worker, "Cpus_allowed_list:", text, sizeof text), ',') == NULL);
    CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
    tensors_free(&f, &t);
    fixture_close(&f);
    CHECK_INT(tasks_when(0).workers, 0);
  }
}

// A host that calls prepare on a thread bound to one CPU must not get all workers there.
static void workers_do_not_inherit_one_cpu(void) {
  cpu_set_t before, one;
  int32_t cpus[2];
  if (allowed_cpus(cpus, 2) < 2) SKIP("only one CPU is allowed here");
  OPEN_FIXTURE_THREADS(f, 2);
  tensors t;
  CHECK(sched_getaffinity(0, sizeof before, &before) == 0);
  CPU_ZERO(&one);
  CPU_SET(cpus[0], &one);
  CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
  adaptq_session *session = fixture_session(&f, &t, 0, 1, 8);
  CHECK(sched_setaffinity(0, sizeof before, &before) == 0);
  REQUIRE(session != NULL);
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
  char mine[4096], worker[4096];
  CHECK(strcmp(status_line(tasks_when(1).worker, "Cpus_allowed_list:", worker, sizeof worker),
               status_line(getpid(), "Cpus_allowed_list:", mine, sizeof mine)) == 0);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

static void *nothing(void *argument) { return argument; }

int main(void) {
  // ThreadSanitizer adds a thread of its own to the first one of a program, which is not to be counted.
  pthread_t first;
  if (pthread_create(&first, NULL, nothing, NULL) == 0) pthread_join(first, NULL);
  RUN(one_thread_creates_none);
  RUN(two_threads_create_one);
  RUN(five_threads_create_four);
  RUN(default_is_no_more_than_allowed);
  RUN(workers_are_quiet);
  RUN(same_bits_for_any_number);
  RUN(same_bits_with_the_hosts_threads);
  RUN(sessions_share_one_pool);
  RUN(wrong_options);
  RUN(structs_of_the_first_version);
  RUN(workers_use_the_cpu_set);
  RUN(workers_do_not_inherit_one_cpu);
  for (int i = 0; i < FIXTURE_LEVELS; i++) free(expected[i]);
  return check_end();
}
