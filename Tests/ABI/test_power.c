// Sensors below a root folder of our own: RAPL with wrap-around, denied, frozen, jumping and vanishing files, a battery, heat.
#define _GNU_SOURCE
#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

// ThreadSanitizer ends a child of a process with threads that makes one itself.
#if defined(__SANITIZE_THREAD__)
#define CHILD_MAKES_THREADS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CHILD_MAKES_THREADS 0
#endif
#endif
#ifndef CHILD_MAKES_THREADS
#define CHILD_MAKES_THREADS 1
#endif

static char root[200];

static void put(const char *path, const char *text) {
  char whole[500];
  snprintf(whole, sizeof whole, "%s/%s", root, path);
  for (char *at = whole + 1; (at = strchr(at, '/')); at++) {
    *at = 0;
    mkdir(whole, 0700);
    *at = '/';
  }
  FILE *file = fopen(whole, "w");
  REQUIRE(file != NULL);
  fprintf(file, "%s\n", text);
  fclose(file);
}

static void put_number(const char *path, long long number) {
  char text[40];
  snprintf(text, sizeof text, "%lld", number);
  put(path, text);
}

static void wait_ms(long ms) {
  struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&time, NULL);
}

static adaptq_runtime *runtime_at(const char *folder) {
  adaptq_runtime_options options = {.struct_size = sizeof options, .sensor_root = folder};
  adaptq_runtime *runtime = NULL;
  CHECK_STATUS(adaptq_runtime_create(&options, &runtime), ADAPTQ_OK);
  return runtime;
}

static adaptq_power_info poll(adaptq_runtime *runtime) {
  adaptq_power_info info = {.struct_size = sizeof info};
  CHECK_STATUS(adaptq_runtime_poll(runtime, &info), ADAPTQ_OK);
  return info;
}

static void a_counter_that_wraps(void) {
  put("sys/class/powercap/intel-rapl:0/name", "package-0");
  put_number("sys/class/powercap/intel-rapl:0/max_energy_range_uj", 1000000000);
  put_number("sys/class/powercap/intel-rapl:0/energy_uj", 999900000);
  adaptq_runtime *runtime = runtime_at(root);
  adaptq_power_info info = poll(runtime);
  CHECK(info.source == ADAPTQ_POWER_RAPL && info.fault == ADAPTQ_SENSOR_OK && info.power_mw == 0 && info.energy_uj == 0);
  CHECK(info.on_battery == -1 && info.battery_percent == -1 && info.temperature_mc == INT32_MIN && info.frequency_khz == 0);
  wait_ms(20);
  put_number("sys/class/powercap/intel-rapl:0/energy_uj", 100000);
  info = poll(runtime);
  CHECK_INT(info.energy_uj, 200000);
  // 0.2 J in 20 ms or a little more.
  CHECK(info.fault == ADAPTQ_SENSOR_OK && info.power_mw > 0 && info.power_mw <= 10000);

  put_number("sys/class/powercap/intel-rapl:0/energy_uj", -5);
  info = poll(runtime);
  CHECK(info.fault == ADAPTQ_SENSOR_OUT_OF_RANGE && info.faults == 1 && info.energy_uj == 200000);
  put("sys/class/powercap/intel-rapl:0/energy_uj", "lots");
  info = poll(runtime);
  CHECK(info.fault == ADAPTQ_SENSOR_VANISHED && info.faults == 2);
  put_number("sys/class/powercap/intel-rapl:0/energy_uj", 1000);
  CHECK_INT(poll(runtime).fault, ADAPTQ_SENSOR_OK);
  put_number("sys/class/powercap/intel-rapl:0/energy_uj", 999999999);
  info = poll(runtime);
  CHECK(info.fault == ADAPTQ_SENSOR_JUMPED && info.faults == 3 && info.energy_uj == 200000);
  CHECK_STATUS(adaptq_runtime_poll(runtime, NULL), ADAPTQ_OK);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
}

static void a_battery_and_heat(void) {
  char other[300];
  snprintf(other, sizeof other, "%s/machine2", root);
  put("machine2/sys/class/power_supply/BAT0/type", "Battery");
  put("machine2/sys/class/power_supply/BAT0/status", "Discharging");
  put("machine2/sys/class/power_supply/BAT0/capacity", "42");
  put("machine2/sys/class/power_supply/BAT0/power_now", "7500000");
  put("machine2/sys/class/hwmon/hwmon0/name", "coretemp");
  put("machine2/sys/class/hwmon/hwmon0/temp1_input", "71000");
  put("machine2/sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count", "5");
  adaptq_runtime *runtime = runtime_at(other);
  poll(runtime);
  put("machine2/sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count", "9");
  wait_ms(2);
  adaptq_power_info info = poll(runtime);
  CHECK(info.source == ADAPTQ_POWER_BATTERY && info.on_battery == 1 && info.battery_percent == 42);
  CHECK(info.power_mw > 7400 && info.power_mw < 7600 && info.temperature_mc == 71000 && info.throttle_events == 4);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
}

static int threads_named(const char *name) {
  char path[300], text[40];
  int count = 0;
  DIR *folder = opendir("/proc/self/task");
  for (struct dirent *entry; folder && (entry = readdir(folder));) {
    snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
    FILE *file = fopen(path, "r");
    if (file && fgets(text, sizeof text, file) && strncmp(text, name, strlen(name)) == 0) count++;
    if (file) fclose(file);
  }
  if (folder) closedir(folder);
  return count;
}

// Threads get their names, and leave the list, a moment after they are made and joined.
static int becomes(int count) {
  for (int i = 0; i < 2000 && threads_named("adaptq-poll") != count; i++) wait_ms(1);
  return threads_named("adaptq-poll") == count;
}

// The thread that polls: made with the runtime, found by its name, gone with the last handle, none in a child.
static void a_thread_that_polls(void) {
  char other[300];
  snprintf(other, sizeof other, "%s/machine3", root);
  put("machine3/sys/class/powercap/intel-rapl:0/name", "package-0");
  put_number("machine3/sys/class/powercap/intel-rapl:0/max_energy_range_uj", 1000000000);
  put_number("machine3/sys/class/powercap/intel-rapl:0/energy_uj", 1000);
  adaptq_runtime_options options = {.struct_size = sizeof options, .sensor_root = other, .poll_interval_ms = 5};
  adaptq_runtime *runtime = NULL;
  adaptq_power_info info = {.struct_size = sizeof info};
  CHECK_INT(threads_named("adaptq-poll"), 0);
  REQUIRE_OK(adaptq_runtime_create(&options, &runtime));
  CHECK(adaptq_has_feature("poll-thread") == 1);
  for (int i = 0; i < 2000 && adaptq_runtime_power(runtime, &info) == ADAPTQ_NOT_FOUND; i++) wait_ms(1);
  CHECK(info.source == ADAPTQ_POWER_RAPL);
  CHECK(becomes(1));
  // It goes on while the counter moves.
  uint64_t energy = 0;
  for (int i = 1; i <= 40 && energy < 10000; i++) {
    put_number("machine3/sys/class/powercap/intel-rapl:0/energy_uj", 1000 + i * 1000);
    wait_ms(10);
    CHECK_STATUS(adaptq_runtime_power(runtime, &info), ADAPTQ_OK);
    energy = info.energy_uj;
  }
  CHECK(energy >= 10000 && info.power_mw > 0);
  // Others may poll besides, and look at the same time.
  for (int i = 0; i < 50; i++) {
    CHECK_STATUS(adaptq_runtime_poll(runtime, NULL), ADAPTQ_OK);
    CHECK_STATUS(adaptq_runtime_power(runtime, &info), ADAPTQ_OK);
  }
  put("machine3/sys/class/powercap/intel-rapl:0/energy_uj", "lots");
  for (int i = 0; i < 2000 && info.fault != ADAPTQ_SENSOR_VANISHED; i++) {
    wait_ms(1);
    CHECK_STATUS(adaptq_runtime_power(runtime, &info), ADAPTQ_OK);
  }
  CHECK(info.fault == ADAPTQ_SENSOR_VANISHED && info.faults > 0);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    // No thread here until this process polls itself; the last sample is the parent's.
    int ok = threads_named("adaptq-poll") == 0 && adaptq_runtime_power(runtime, &info) == ADAPTQ_OK;
    if (CHILD_MAKES_THREADS) ok = ok && adaptq_runtime_poll(runtime, NULL) == ADAPTQ_OK && becomes(1);
    ok = ok && adaptq_runtime_destroy(runtime) == ADAPTQ_OK && becomes(0);
    _exit(ok ? 0 : 1);
  }
  int status = 1;
  waitpid(child, &status, 0);
  CHECK_INT(status, 0);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
  CHECK(becomes(0));
  // Made and gone at once, also from the log's point of view.
  for (int i = 0; i < 100; i++) {
    options.poll_interval_ms = 1 + i % 3;
    REQUIRE_OK(adaptq_runtime_create(&options, &runtime));
    if (i % 2) wait_ms(1);
    CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
  }
  CHECK(becomes(0));
}

static void nothing_there(void) {
  adaptq_runtime *runtime = runtime_at("/nonexistent");
  adaptq_power_info info = poll(runtime);
  CHECK(info.source == ADAPTQ_POWER_NONE && info.fault == ADAPTQ_SENSOR_OK && info.power_mw == 0 && info.faults == 0);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
  // This machine, whatever it has.
  runtime = runtime_at(NULL);
  poll(runtime);
  poll(runtime);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
}

int main(void) {
  snprintf(root, sizeof root, "%s/adaptq-power-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
  if (mkdtemp(root) == NULL) {
    printf("FAIL test_power: no folder\nend\n");
    return 1;
  }
  RUN(a_counter_that_wraps);
  RUN(a_battery_and_heat);
  RUN(a_thread_that_polls);
  RUN(nothing_there);
  char command[300];
  snprintf(command, sizeof command, "rm -rf '%s'", root);
  CHECK(system(command) == 0);
  return check_end();
}
