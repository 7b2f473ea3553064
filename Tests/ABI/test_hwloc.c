// hwloc inside the library, as its host sees it: no library mapped, no thread, nothing of the calling thread changed, the
// host's own hwloc and its environment left alone. run.sh links the system's libhwloc into a second build of this (-DWITH_HWLOC)
// and runs it with HWLOC_* variables that would give another machine.
#define _GNU_SOURCE
#include <dirent.h>
#include <locale.h>
#include <sched.h>
#include <unistd.h>
#ifdef WITH_HWLOC
#include <hwloc.h>
#endif

#include "check.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

static int count_folder(const char *path) {
  int count = 0;
  DIR *folder = opendir(path);
  while (folder && readdir(folder)) count++;
  if (folder) closedir(folder);
  return count;
}

static char seen[65536];

static void ask(adaptq_machine_info *info) {
  adaptq_runtime *runtime = NULL;
  memset(info, 0, sizeof *info);
  info->struct_size = sizeof *info;
  size_t length = 0;
  CHECK_STATUS(adaptq_runtime_create(NULL, &runtime), ADAPTQ_OK);
  CHECK_STATUS(adaptq_runtime_machine(runtime, info), ADAPTQ_OK);
  CHECK_STATUS(adaptq_runtime_probe_json(runtime, seen, sizeof seen, &length), ADAPTQ_OK);
  CHECK_STATUS(adaptq_runtime_destroy(runtime), ADAPTQ_OK);
}

// Runs first: the library reads the machine once.
static void reading_is_quiet(void) {
  cpu_set_t before, after;
  REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
  locale_t locale = uselocale((locale_t)0);
  int descriptors = count_folder("/proc/self/fd");
  adaptq_machine_info info;
  ask(&info);
  CHECK(info.hardware_threads == sysconf(_SC_NPROCESSORS_ONLN));
  CHECK(sched_getaffinity(0, sizeof after, &after) == 0 && CPU_EQUAL(&before, &after));
  CHECK(uselocale((locale_t)0) == locale);
  CHECK_INT(count_folder("/proc/self/fd"), descriptors);
#ifndef SANITIZED  // ThreadSanitizer has a thread of its own
  CHECK_INT(count_folder("/proc/self/task") - 2, 1);  // without the two dots
#endif

  FILE *maps = fopen("/proc/self/maps", "r");
  REQUIRE(maps != NULL);
  char line[1024];
  while (fgets(line, sizeof line, maps)) {
    const char *const names[] = {
#ifndef WITH_HWLOC
        "libhwloc", "/hwloc/", "libudev", "libxml", "pciaccess", "OpenCL", "libX11", "libGL", "XNVCtrl",
#endif
        "cuda", "nvidia", "amdgpu", "rocm", "level_zero", "ze_loader"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
      if (strcasestr(line, names[i])) check_fail(__FILE__, __LINE__, "%s is mapped: %s", names[i], line);
  }
  fclose(maps);
}

#ifdef WITH_HWLOC
static int host_reads(void) {
  hwloc_topology_t topology;
  if (hwloc_topology_init(&topology) != 0) return -1;
  int count = -1;
  if (hwloc_topology_set_synthetic(topology, "package:2 core:3 pu:2") == 0 && hwloc_topology_load(topology) == 0)
    count = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU);
  hwloc_topology_destroy(topology);
  return count;
}

// The host's hwloc is another library with the same names.
static void the_hosts_hwloc_is_its_own(void) {
  hwloc_topology_t held;
  REQUIRE(hwloc_topology_init(&held) == 0);
  REQUIRE(hwloc_topology_set_synthetic(held, "core:5 pu:1") == 0 && hwloc_topology_load(held) == 0);
  adaptq_machine_info first, second;
  ask(&first);
  CHECK_INT(host_reads(), 12);
  ask(&second);
  CHECK_INT(first.cores, second.cores);
  CHECK_INT(first.hardware_threads, second.hardware_threads);
  CHECK_INT(hwloc_get_nbobjs_by_type(held, HWLOC_OBJ_PU), 5);
  hwloc_topology_destroy(held);
  CHECK_INT(host_reads(), 12);
}
#endif

// With "print": what the library sees, for run.sh to compare under other environments.
int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "print") == 0) {
    adaptq_machine_info info;
    ask(&info);
    puts(seen);
    return 0;
  }
#ifdef WITH_HWLOC
  RUN(the_hosts_hwloc_is_its_own);
#endif
  RUN(reading_is_quiet);
  return check_end();
}
