// The telemetry file: who may make it where, what is in it, readers in other processes, children, killed hosts.
// ADAPTQ_COMMAND: the command adaptq, for `adaptq watch`; what needs it is skipped without.
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "fixture.h"
#include "telemetry_reader.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { LENGTH = 12, BATCH = 1 };

static char folder[64], path[96];

static int exists(const char *name) {
  struct stat info;
  return lstat(name, &info) == 0;
}

static adaptq_telemetry_file_options sizes(int32_t sessions, int32_t records, int32_t sites) {
  adaptq_telemetry_file_options options = {
      .struct_size = sizeof options, .max_sessions = sessions, .max_records = records, .max_sites = sites};
  return options;
}

// A runtime with one thread, a file, the model.
#define OPEN_RECORDED(f, options) \
  OPEN_FIXTURE_THREADS(f, 1); \
  REQUIRE_OK(adaptq_runtime_telemetry_file(f.runtime, path, options))

// --------------------------------------------------------------------------------------------------------- what it holds

static int64_t nearest_rank(const int64_t *values, int count, int hundredths) {
  int rank = (hundredths * count + 9999) / 10000;
  for (int i = 0; i < count; i++) {
    int below = 0, same = 0;
    for (int k = 0; k < count; k++) {
      below += values[k] < values[i];
      same += values[k] == values[i];
    }
    if (below < rank && below + same >= rank) return values[i];
  }
  return -1;
}

static void records_are_what_the_runs_reported(void) {
  adaptq_telemetry_file_options options = sizes(2, 16, 0);
  OPEN_RECORDED(f, &options);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, 0, BATCH, LENGTH);
  REQUIRE(session != NULL);
  telemetry_reader reader;
  REQUIRE(telemetry_open(&reader, path));
  CHECK_INT(reader.sections, 2);
  CHECK_INT(reader.records, 16);
  CHECK_INT(reader.levels, 256);
  CHECK_INT(telemetry_word(reader.look[1] + 80), getpid());
  CHECK_INT(telemetry_word(reader.look[1] + 112), 1);
  CHECK_INT(telemetry_section_word(&reader, 0, 0) & 3, 1);
  CHECK_INT(telemetry_section_word(&reader, 0, 8), 1);
  CHECK_INT(telemetry_section_word(&reader, 0, 16), f.n_sites);
  CHECK_INT(telemetry_section_word(&reader, 0, 40), 0);
  CHECK_INT(telemetry_section_word(&reader, 1, 0), 0);
  for (size_t i = 0; i < f.n_sites; i++) {
    adaptq_site_info site = {.struct_size = sizeof site};
    REQUIRE_OK(adaptq_model_site(f.model, i, &site));
    const unsigned char *entry = reader.look[1] + telemetry_section(&reader, 0) + 256 + 64 * i;
    CHECK_INT(telemetry_word(entry), site.n * site.k);
    CHECK_INT(entry[8], site.kind == ADAPTQ_SITE_EMBEDDING);
    CHECK(strncmp((const char *)entry + 9, site.name, 54) == 0);
  }
  uint64_t last_time = 0, misses = 0, n_runs = 0;
  int64_t latencies[40];
  adaptq_run_options run = {.struct_size = sizeof run};
  for (int i = 0; i < 40; i++) {
    // Without a budget, with a generous one, with one that nothing holds, with a level, with deadlines.
    if (i == 10) REQUIRE_OK(adaptq_session_set_latency_budget(session, 1000000000, 99));
    if (i == 20) REQUIRE_OK(adaptq_session_set_latency_budget(session, 1, 90));
    run.level = i >= 25 && i < 30 ? fixture_level[fixture_best_level(f.levels)] : ADAPTQ_LEVEL_AUTO;
    run.deadline_ns = i >= 35 ? 1 : 0;
    adaptq_run_report report;
    REQUIRE_OK(fixture_run(&f, session, &t, &run, &report));
    n_runs++;
    misses += report.budget_missed != 0;
    REQUIRE(telemetry_look(&reader));
    telemetry_record record;
    const unsigned char *levels;
    REQUIRE(telemetry_get(&reader, 0, (report.sequence - 1) % 16, &record, &levels));
    CHECK_INT(record.mark, report.sequence);
    CHECK_INT(telemetry_section_word(&reader, 0, 40), report.sequence);
    CHECK(record.time > last_time);
    last_time = record.time;
    CHECK_INT(record.latency, report.latency_ns);
    CHECK_INT(record.budget, report.budget_ns);
    CHECK_INT(record.deadline, run.deadline_ns);
    CHECK_INT(record.work, BATCH * LENGTH);
    CHECK_INT(record.level, report.level);
    CHECK_INT(record.reason, report.reason);
    CHECK_INT(record.flags, (report.budget_missed ? 1 : 0) | (report.level_changed ? 2 : 0) |
                                (report.budget_unreachable ? 4 : 0) | (report.deadline_missed ? 8 : 0) |
                                (run.level != ADAPTQ_LEVEL_AUTO ? 16 : 0));
    CHECK_INT(record.percentile, i < 10 ? 0 : i < 20 ? 9900 : 9000);
    CHECK_INT(record.dropped, report.dropped_sites);
    CHECK(record.slowdown > 0 && record.multiplier > 0);
    // The nearest rank among the runs so far, fewer than the 64 that count.
    latencies[i] = report.latency_ns;
    CHECK_INT(record.moving, i < 10 ? 0 : nearest_rank(latencies, i + 1, i < 20 ? 9900 : 9000));
    CHECK_INT(record.runs, n_runs);
    CHECK_INT(record.misses, misses);
    CHECK(record.unavoidable <= record.misses);
    adaptq_level site_levels[256];
    REQUIRE(f.n_sites <= 256);
    REQUIRE_OK(adaptq_session_telemetry_sites(session, report.sequence, site_levels, f.n_sites));
    for (size_t site = 0; site < f.n_sites; site++) CHECK_INT(levels[site], site_levels[site]);
  }
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  REQUIRE(telemetry_look(&reader));
  CHECK_INT(telemetry_section_word(&reader, 0, 0) & 3, 2);
  CHECK(telemetry_section_word(&reader, 0, 56) >= last_time);
  tensors_free(&f, &t);
  fixture_close(&f);
  CHECK(!exists(path));
  REQUIRE(telemetry_look(&reader));
  CHECK_INT(telemetry_word(reader.look[1] + 112), 2);
  telemetry_close(&reader);
}

static int warnings;
static void count_warnings(void *context, int32_t level, const char *message) {
  (void)context;
  if (level == ADAPTQ_LOG_WARNING && strstr(message, "telemetry file")) warnings++;
}

static void every_session_has_a_section_until_there_are_none(void) {
  fixture f;
  NEEDS_MODEL();
  adaptq_runtime_options with_log = {.struct_size = sizeof with_log, .threads = 1, .log = count_warnings};
  if (!fixture_open_with(&f, &with_log)) return;
  tensors t[4];
  adaptq_session *before = fixture_session(&f, &t[0], 0, BATCH, LENGTH);
  adaptq_telemetry_file_options options = sizes(2, 16, 8);
  REQUIRE_OK(adaptq_runtime_telemetry_file(f.runtime, path, &options));
  warnings = 0;
  adaptq_session *first = fixture_session(&f, &t[1], 0, BATCH, LENGTH);
  adaptq_session *second = fixture_session(&f, &t[2], 0, BATCH, LENGTH);
  CHECK_INT(warnings, 0);
  adaptq_session *third = fixture_session(&f, &t[3], 0, BATCH, LENGTH);
  REQUIRE(before && first && second && third);
  CHECK_INT(warnings, 1);
  adaptq_session *all[] = {before, first, second, third};
  for (int i = 0; i < 4; i++)
    for (int k = 0; k <= i; k++) CHECK_STATUS(fixture_run(&f, all[i], &t[i], NULL, NULL), ADAPTQ_OK);
  telemetry_reader reader;
  REQUIRE(telemetry_open(&reader, path));
  CHECK_INT(telemetry_word(reader.look[1] + 120), 1);
  CHECK_INT(telemetry_word(reader.look[1] + 128), 2);
  CHECK_INT(telemetry_section_word(&reader, 0, 40), 2);
  CHECK_INT(telemetry_section_word(&reader, 1, 40), 3);
  // A model with more sites than there is room for.
  CHECK_INT(telemetry_section_word(&reader, 0, 16), f.n_sites);
  CHECK_INT(telemetry_section_word(&reader, 0, 24), f.n_sites < 8 ? f.n_sites : 8);
  // The place of one that goes is the next one's.
  CHECK_STATUS(adaptq_session_destroy(first), ADAPTQ_OK);
  tensors_free(&f, &t[1]);
  all[1] = fixture_session(&f, &t[1], 0, BATCH, LENGTH);
  CHECK_INT(warnings, 1);
  REQUIRE(telemetry_look(&reader));
  CHECK_INT(telemetry_section_word(&reader, 0, 8), 3);
  CHECK_INT(telemetry_section_word(&reader, 0, 40), 0);
  // The file goes with the last handle, whatever the order.
  CHECK_STATUS(adaptq_runtime_destroy(f.runtime), ADAPTQ_OK);
  CHECK_STATUS(adaptq_model_destroy(f.model), ADAPTQ_OK);
  for (int i = 0; i < 4; i++) {
    CHECK(exists(path));
    CHECK_STATUS(fixture_run(&f, all[i], &t[i], NULL, NULL), ADAPTQ_OK);
    CHECK_STATUS(adaptq_session_destroy(all[i]), ADAPTQ_OK);
    tensors_free(&f, &t[i]);
  }
  CHECK(!exists(path));
  telemetry_close(&reader);
}

// ------------------------------------------------------------------------------------------------------ making the file

static void mode_is_0600_whatever_the_umask(void) {
  for (int mask = 0; mask <= 0777; mask = mask ? mask * 8 + 7 : 7) {
    adaptq_runtime *runtime;
    REQUIRE_OK(adaptq_runtime_create(NULL, &runtime));
    mode_t before = umask((mode_t)mask);
    adaptq_status status = adaptq_runtime_telemetry_file(runtime, path, NULL);
    umask(before);
    CHECK_STATUS(status, ADAPTQ_OK);
    struct stat info;
    REQUIRE(lstat(path, &info) == 0);
    CHECK_INT(info.st_mode, S_IFREG | 0600);
    CHECK_INT(info.st_uid, geteuid());
    CHECK_INT(info.st_nlink, 1);
    CHECK((size_t)info.st_blocks * 512 >= (size_t)info.st_size);
    CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
    CHECK(!exists(path));
  }
}

static int count_descriptors(void) {
  int count = 0;
  for (int i = 0; i < 256; i++) count += fcntl(i, F_GETFD) >= 0;
  return count;
}

static void what_is_refused(void) {
  adaptq_runtime *runtime, *dead;
  REQUIRE_OK(adaptq_runtime_create(NULL, &dead));
  CHECK_STATUS(adaptq_runtime_destroy(dead), ADAPTQ_OK);
  REQUIRE_OK(adaptq_runtime_create(NULL, &runtime));
  int descriptors = count_descriptors();
  CHECK_STATUS(adaptq_runtime_telemetry_file(dead, path, NULL), ADAPTQ_INVALID_HANDLE);
  CHECK_STATUS(adaptq_runtime_telemetry_file(NULL, path, NULL), ADAPTQ_INVALID_HANDLE);
  CHECK_ERROR(adaptq_runtime_telemetry_file(runtime, NULL, NULL), ADAPTQ_INVALID_ARGUMENT, "path is NULL");
  CHECK_ERROR(adaptq_runtime_telemetry_file(runtime, "/tmp/\xff", NULL), ADAPTQ_INVALID_ARGUMENT, "path is not UTF-8");
  CHECK_STATUS(adaptq_runtime_telemetry_file(runtime, "", NULL), ADAPTQ_IO_ERROR);
  adaptq_telemetry_file_options options = sizes(0, 0, 0);
  for (size_t size = 0; size < 100; size++) {
    options.struct_size = size;
    if (size != sizeof options)
      CHECK_ERROR(adaptq_runtime_telemetry_file(runtime, path, &options), ADAPTQ_INVALID_ARGUMENT, "struct_size");
  }
  static const int32_t wrong[][3] = {{-1, 0, 0}, {65, 0, 0}, {0, -1, 0}, {0, 65537, 0}, {0, 0, -1}, {0, 0, 4097}};
  static const char *const names[] = {"max_sessions", "max_records", "max_sites"};
  for (size_t i = 0; i < 6; i++) {
    options = sizes(wrong[i][0], wrong[i][1], wrong[i][2]);
    CHECK_ERROR(adaptq_runtime_telemetry_file(runtime, path, &options), ADAPTQ_INVALID_ARGUMENT, names[i / 2]);
  }
  options = sizes(1, 15, 0);
  CHECK_ERROR(adaptq_runtime_telemetry_file(runtime, path, &options), ADAPTQ_OUT_OF_RANGE, "records is 15");
  options = sizes(64, 65536, 4096);
  CHECK_ERROR(adaptq_runtime_telemetry_file(runtime, path, &options), ADAPTQ_OUT_OF_RANGE, "bytes");
  CHECK(!exists(path));
  // What is there already, a symbolic link to nothing among it, stays as it is.
  char target[128];
  snprintf(target, sizeof target, "%s/target", folder);
  REQUIRE(symlink(target, path) == 0);
  CHECK_ERROR(adaptq_runtime_telemetry_file(runtime, path, NULL), ADAPTQ_IO_ERROR, path);
  CHECK(!exists(target) && exists(path) && unlink(path) == 0);
  REQUIRE(mkdir(path, 0700) == 0);
  CHECK_ERROR(adaptq_runtime_telemetry_file(runtime, path, NULL), ADAPTQ_IO_ERROR, path);
  REQUIRE(rmdir(path) == 0);
  FILE *other = fopen(path, "w");
  REQUIRE(other != NULL);
  fputs("other", other);
  fclose(other);
  CHECK_ERROR(adaptq_runtime_telemetry_file(runtime, path, NULL), ADAPTQ_IO_ERROR, "exists");
  struct stat info;
  CHECK(stat(path, &info) == 0 && info.st_size == 5 && unlink(path) == 0);
  CHECK_ERROR(adaptq_runtime_telemetry_file(runtime, "/nonexistent/folder/file", NULL), ADAPTQ_NOT_FOUND, "/nonexistent");
  CHECK_STATUS(adaptq_runtime_telemetry_file(runtime, "/proc/self/file", NULL), ADAPTQ_NOT_FOUND);
  // Only one.
  REQUIRE_OK(adaptq_runtime_telemetry_file(runtime, path, NULL));
  CHECK_ERROR(adaptq_runtime_telemetry_file(runtime, path, NULL), ADAPTQ_INVALID_ARGUMENT, "already");
  CHECK_INT(count_descriptors(), descriptors);
  // What lies there at the end is not the file that was made.
  REQUIRE(unlink(path) == 0 && symlink("/nonexistent", path) == 0);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
  CHECK(exists(path) && unlink(path) == 0);
}

static void a_relative_path_is_found_again(void) {
  char back[4096];
  REQUIRE(getcwd(back, sizeof back) && chdir(folder) == 0);
  adaptq_runtime *runtime;
  REQUIRE_OK(adaptq_runtime_create(NULL, &runtime));
  CHECK_STATUS(adaptq_runtime_telemetry_file(runtime, "file", NULL), ADAPTQ_OK);
  CHECK(exists("file"));
  REQUIRE(chdir(back) == 0);
  CHECK(exists(path));
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
  CHECK(!exists(path));
}

// A child's exit status; a signal counts as 1000 and its number.
static int wait_for(pid_t child) {
  int status;
  if (waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

// In a mount namespace of its own, where a file system has 64 KiB.
static void a_full_disk_is_an_error(void) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("full", folder, "tmpfs", 0, "size=64k") != 0)
      _exit(77);
    adaptq_runtime *runtime;
    if (adaptq_runtime_create(NULL, &runtime) != ADAPTQ_OK) _exit(1);
    if (adaptq_runtime_telemetry_file(runtime, path, NULL) != ADAPTQ_IO_ERROR) _exit(2);
    if (!strstr(adaptq_last_error(), "No space left")) _exit(3);
    if (exists(path)) _exit(4);
    // One that fits.
    adaptq_telemetry_file_options options = sizes(1, 16, 8);
    if (adaptq_runtime_telemetry_file(runtime, path, &options) != ADAPTQ_OK) _exit(5);
    _exit(adaptq_runtime_destroy(runtime) == ADAPTQ_OK && !exists(path) ? 0 : 6);
  }
  int status = wait_for(child);
  if (status == 77) SKIP("no mounting here");
  CHECK_INT(status, 0);
}

// The limit for files is an error, too, and not the signal that the system would send.
static void a_limit_of_the_process_is_an_error(void) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    struct rlimit limit = {65536, RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(77);
    adaptq_runtime *runtime;
    if (adaptq_runtime_create(NULL, &runtime) != ADAPTQ_OK) _exit(1);
    if (adaptq_runtime_telemetry_file(runtime, path, NULL) != ADAPTQ_IO_ERROR) _exit(2);
    if (!strstr(adaptq_last_error(), "too large") || exists(path)) _exit(3);
    _exit(0);
  }
  int status = wait_for(child);
  if (status == 77) SKIP("no limits here");
  CHECK_INT(status, 0);
}

// ------------------------------------------------------------------------------------------------------- other processes

// Reads until `wanted` different runs were seen. Every record must make sense: a torn one would not.
static int watch_records(const char *file, uint64_t wanted) {
  telemetry_reader r;
  if (!telemetry_open(&r, file)) return __LINE__;
  uint64_t seen = 0, newest = 0;
  for (int round = 0; seen < wanted; round++) {
    if (round > 200000 || !telemetry_look(&r)) return __LINE__;
    // By the number of the run: later runs ended later.
    uint64_t last = telemetry_section_word(&r, 0, 40), before = 0;
    for (uint64_t run = last > r.records ? last - r.records + 1 : 1; run <= last; run++) {
      telemetry_record record;
      const unsigned char *levels;
      if (!telemetry_get(&r, 0, (run - 1) % r.records, &record, &levels) || record.mark != run) continue;
      if (record.latency == 0 || record.time <= before || record.runs != run) return __LINE__;
      if (record.reason < 1 || record.reason > 12 || record.flags > 31 || record.work == 0) return __LINE__;
      before = record.time;
      // Sites that are no tables have the level of the run.
      uint64_t sites = telemetry_section_word(&r, 0, 24);
      for (uint64_t site = 0; site < sites; site++) {
        const unsigned char *entry = r.look[1] + telemetry_section(&r, 0) + 256 + 64 * site;
        if (entry[8] == 0 && levels[site] != record.level) return __LINE__;
      }
      if (run > newest) {
        newest = run;
        seen++;
      }
    }
  }
  telemetry_close(&r);
  return 0;
}

static void another_process_reads_while_this_one_runs(void) {
  adaptq_telemetry_file_options options = sizes(1, 16, 0);
  OPEN_RECORDED(f, &options);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, 0, BATCH, LENGTH);
  REQUIRE(session != NULL);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    alarm(120);
    int line = watch_records(path, 60);
    if (line) fprintf(stderr, "  reader: line %d\n", line);
    _exit(line ? 1 : 0);
  }
  int status = 0;
  pid_t done = 0;
  for (int i = 0; done == 0; i++) {
    // Levels change all the time.
    if (i % 3 == 0)
      CHECK_STATUS(adaptq_session_set_level(session, (f.levels & fixture_allow[i % FIXTURE_LEVELS])
                                                         ? fixture_level[i % FIXTURE_LEVELS]
                                                         : ADAPTQ_LEVEL_AUTO),
                   ADAPTQ_OK);
    CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
    done = waitpid(child, &status, WNOHANG);
  }
  CHECK(done == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
}

static void a_child_leaves_the_file_alone(void) {
  adaptq_telemetry_file_options options = sizes(2, 16, 0);
  OPEN_RECORDED(f, &options);
  tensors t;
  adaptq_session *session = fixture_session(&f, &t, 0, BATCH, LENGTH);
  REQUIRE(session != NULL);
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
  size_t size = 0, size_after = 0;
  char *before = read_whole_file(path, &size);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    alarm(120);
    for (int i = 0; i < 3; i++)
      if (fixture_run(&f, session, &t, NULL, NULL) != ADAPTQ_OK) _exit(1);
    // A session of the child's is not recorded.
    tensors own;
    adaptq_session *second = fixture_session(&f, &own, 0, BATCH, LENGTH);
    if (!second || fixture_run(&f, second, &own, NULL, NULL) != ADAPTQ_OK) _exit(2);
    // It may have a file of its own.
    char other[128];
    snprintf(other, sizeof other, "%s/child", folder);
    if (adaptq_runtime_telemetry_file(f.runtime, other, NULL) != ADAPTQ_OK) _exit(3);
    if (adaptq_runtime_telemetry_file(f.runtime, other, NULL) != ADAPTQ_INVALID_ARGUMENT) _exit(4);
    tensors third_tensors;
    adaptq_session *third = fixture_session(&f, &third_tensors, 0, BATCH, LENGTH);
    if (!third || fixture_run(&f, third, &third_tensors, NULL, NULL) != ADAPTQ_OK) _exit(5);
    telemetry_reader reader;
    if (!telemetry_open(&reader, other) || telemetry_section_word(&reader, 0, 40) != 1) _exit(6);
    if (telemetry_word(reader.look[1] + 80) != (uint64_t)getpid()) _exit(7);
    adaptq_session_destroy(third);
    adaptq_session_destroy(second);
    adaptq_session_destroy(session);
    adaptq_model_destroy(f.model);
    adaptq_runtime_destroy(f.runtime);
    _exit(exists(other) ? 8 : exists(path) ? 0 : 9);
  }
  CHECK_INT(wait_for(child), 0);
  char *after = read_whole_file(path, &size_after);
  CHECK(before && after && size == size_after && memcmp(before, after, size) == 0);
  CHECK_STATUS(fixture_run(&f, session, &t, NULL, NULL), ADAPTQ_OK);
  telemetry_reader reader;
  REQUIRE(telemetry_open(&reader, path));
  CHECK_INT(telemetry_section_word(&reader, 0, 40), 2);
  telemetry_close(&reader);
  free(before);
  free(after);
  CHECK_STATUS(adaptq_session_destroy(session), ADAPTQ_OK);
  tensors_free(&f, &t);
  fixture_close(&f);
  CHECK(!exists(path));
}

// A host that runs until it is killed, or until `runs` are done.
static void be_a_host(long runs) {
  fixture f;
  adaptq_runtime_options one = {.struct_size = sizeof one, .threads = 1};
  adaptq_telemetry_file_options options = sizes(1, 16, 0);
  tensors t;
  adaptq_session *session;
  if (!fixture_open_with(&f, &one) || adaptq_runtime_telemetry_file(f.runtime, path, &options) != ADAPTQ_OK ||
      !(session = fixture_session(&f, &t, 0, BATCH, 1)))
    _exit(1);
  for (long i = 0; i < runs; i++)
    if (fixture_run(&f, session, &t, NULL, NULL) != ADAPTQ_OK) _exit(2);
}

static int wait_for_runs(telemetry_reader *r, uint64_t runs) {
  for (int i = 0; i < 60000; i++) {
    if (r->size == 0 && !telemetry_open(r, path)) telemetry_close(r);
    if (r->size != 0 && telemetry_look(r) && telemetry_section_word(r, 0, 40) >= runs) return 1;
    nanosleep(&(struct timespec){0, 1000000}, NULL);
  }
  return 0;
}

static void a_killed_host_leaves_a_readable_file(void) {
  NEEDS_MODEL();
  for (int round = 0; round < 5; round++) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
      alarm(120);
      be_a_host(1L << 40);
      _exit(3);
    }
    telemetry_reader reader = {.descriptor = -1};
    CHECK(wait_for_runs(&reader, 20));
    kill(child, SIGKILL);
    CHECK_INT(wait_for(child), 1000 + SIGKILL);
    CHECK(exists(path));
    REQUIRE(telemetry_look(&reader));
    int whole = 0;
    for (uint64_t slot = 0; slot < reader.records; slot++) {
      telemetry_record record;
      const unsigned char *levels;
      if (!telemetry_get(&reader, 0, slot, &record, &levels)) continue;
      CHECK(record.latency > 0 && record.runs == record.mark);
      whole++;
    }
    CHECK(whole >= 15);
    CHECK_INT(telemetry_word(reader.look[1] + 112), 1);
    telemetry_close(&reader);
    if (getenv("ADAPTQ_COMMAND")) {
      char command[4096], line[8192] = "";
      snprintf(command, sizeof command, "'%s' watch --once '%s'", getenv("ADAPTQ_COMMAND"), path);
      FILE *output = popen(command, "r");
      REQUIRE(output != NULL);
      size_t count = fread(line, 1, sizeof line - 1, output);
      CHECK(count > 0 && strstr(line, "gone") != NULL);
      CHECK_INT(pclose(output), 0);
    }
    CHECK(unlink(path) == 0);
  }
}

// The header says so: whoever may write the file can shorten it.
static void shortening_the_file_ends_the_host(void) {
  NEEDS_MODEL();
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    alarm(120);
    signal(SIGBUS, SIG_DFL);
    be_a_host(1L << 40);
    _exit(3);
  }
  telemetry_reader reader = {.descriptor = -1};
  CHECK(wait_for_runs(&reader, 5));
  CHECK(truncate(path, 0) == 0);
  int status = wait_for(child);
  // A sanitizer makes an exit status of it.
  CHECK(status == 1000 + SIGBUS || (SANITIZED && status > 3));
  CHECK(unlink(path) == 0);
  telemetry_close(&reader);
}

int main(void) {
  strcpy(folder, access("/dev/shm", W_OK) == 0 ? "/dev/shm/adaptq-test-XXXXXX" : "/tmp/adaptq-test-XXXXXX");
  if (!mkdtemp(folder)) return 2;
  snprintf(path, sizeof path, "%s/file", folder);
  RUN(records_are_what_the_runs_reported);
  RUN(every_session_has_a_section_until_there_are_none);
  RUN(mode_is_0600_whatever_the_umask);
  RUN(what_is_refused);
  RUN(a_relative_path_is_found_again);
  RUN(a_full_disk_is_an_error);
  RUN(a_limit_of_the_process_is_an_error);
  RUN(another_process_reads_while_this_one_runs);
  RUN(a_child_leaves_the_file_alone);
  RUN(a_killed_host_leaves_a_readable_file);
  RUN(shortening_the_file_ends_the_host);
  if (rmdir(folder) != 0) printf("FAIL test_telemetry_file.nothing_is_left (%s)\n", strerror(errno));
  else printf("ok test_telemetry_file.nothing_is_left\n");
  return check_end();
}
