// What makes Debian's static libhwloc.a fit to live in a library: its environment variables are answered here, and what it
// does to the whole process is kept from it. Package.swift lists the symbols that the linker redirects (--wrap).
#define _GNU_SOURCE
#include "chwloc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <hwloc/plugins.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HIDDEN __attribute__((visibility("hidden")))

/// What the calling thread has asked hwloc for. Per thread instead of behind a lock, which a child of fork() could find held:
/// hwloc itself loads several topologies at once, and locks its list of components alone.
static _Thread_local struct {
  const char *root;
  jmp_buf *escape;
} call;

// MARK: The environment

char *__real_getenv(const char *name);

/// The variables are the only switch that some things have, and the environment is the host's: it is neither read for these
/// names nor written. Every other getenv() of this binary passes through.
HIDDEN char *__wrap_getenv(const char *name) {
  static const char *const answers[][2] = {
    // hwloc_topology_init() opens every plugin it finds here, libraries of GPUs among them.
    {"HWLOC_PLUGINS_PATH", ""},
    {"HWLOC_COMPONENTS", "linux,stop"},
    // 2 is all of them.
    {"HWLOC_HIDE_ERRORS", "2"},
    // What the process may use is read elsewhere (ControlGroups.swift).
    {"HWLOC_ALLOW", "all"},
    // Emulated nodes may share CPUs, which hwloc 2.9 otherwise takes for a broken firmware.
    {"HWLOC_DEBUG_ALLOW_OVERLAPPING_NODE_CPUSETS", "1"},
    // Version and name of the process, which nobody reads.
    {"HWLOC_DONT_ADD_VERSION_INFO", "1"},
  };
  if (strncmp(name, "HWLOC_", 6) != 0) return __real_getenv(name);
  if (strcmp(name, "HWLOC_FSROOT") == 0) return (char *)call.root;
  for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
    if (strcmp(name, answers[i][0]) == 0) return (char *)answers[i][1];
  return NULL;
}

// MARK: Parts that shall not be there

static int refuse(unsigned long flags) {
  (void)flags;
  return -1;
}

// The component x86 binds the calling thread to every CPU in turn; the others read descriptions that nobody has. Defined here,
// they are not taken out of the archive: a component whose init() fails is left out.
#define ABSENT {HWLOC_COMPONENT_ABI, refuse, NULL, HWLOC_COMPONENT_TYPE_DISC, 0, NULL}
HIDDEN const struct hwloc_component hwloc_x86_component = ABSENT;
HIDDEN const struct hwloc_component hwloc_noos_component = ABSENT;
HIDDEN const struct hwloc_component hwloc_xml_nolibxml_component = ABSENT;
HIDDEN const struct hwloc_component hwloc_xml_component = ABSENT;
HIDDEN const struct hwloc_component hwloc_synthetic_component = ABSENT;
// With these two the archive's XML stays out as well.
HIDDEN void hwloc_xml_callbacks_register(void *callbacks) { (void)callbacks; }
HIDDEN void hwloc_xml_callbacks_reset(void) {}

// The archive asks libudev about disks and network cards. Devices are switched off, and libudev.so shall not be needed.
HIDDEN void *udev_new(void) { return NULL; }
HIDDEN void *udev_unref(void *udev) {
  (void)udev;
  return NULL;
}
HIDDEN void *udev_device_unref(void *device) {
  (void)device;
  return NULL;
}
HIDDEN void *udev_device_new_from_subsystem_sysname(void *udev, const char *subsystem, const char *name) {
  (void)udev, (void)subsystem, (void)name;
  return NULL;
}
HIDDEN const char *udev_device_get_property_value(void *device, const char *key) {
  (void)device, (void)key;
  return NULL;
}

// MARK: Descriptors

int __real_openat(int folder, const char *path, int flags, ...);

/// hwloc opens files so that a program which another thread starts meanwhile would inherit them.
HIDDEN int __wrap_openat(int folder, const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return __real_openat(folder, path, call.escape != NULL ? flags | O_CLOEXEC : flags, mode);
}

DIR *__real_fdopendir(int descriptor);
FILE *__real_fdopen(int descriptor, const char *mode);

/// What hwloc does not close when these two fail is closed for it.
HIDDEN DIR *__wrap_fdopendir(int descriptor) {
  DIR *folder = __real_fdopendir(descriptor);
  if (folder == NULL && call.escape != NULL) close(descriptor);
  return folder;
}

HIDDEN FILE *__wrap_fdopen(int descriptor, const char *mode) {
  FILE *file = __real_fdopen(descriptor, mode);
  if (file == NULL && call.escape != NULL) close(descriptor);
  return file;
}

// MARK: Numbers

int __real_hwloc_bitmap_set(hwloc_bitmap_t set, unsigned number);

/// A folder named cpu4294967295 would cost gigabytes. Linux has at most 8192 CPUs; as many as CPUSet.swift reads are taken.
HIDDEN int __wrap_hwloc_bitmap_set(hwloc_bitmap_t set, unsigned number) {
  if (number < 16384) return __real_hwloc_bitmap_set(set, number);
  errno = EINVAL;
  return -1;
}

// MARK: Data of the C library

// The archive's code is made for programs: it reads these variables at a fixed distance, which a shared library cannot have to
// the C library's. So they get twins in here, for all code of this binary. glibc's own `stderr` starts out as the address of
// this object; the dynamic linker writes it before any code runs, a constructor would come after other constructors.
extern struct _IO_FILE_plus _IO_2_1_stderr_, _IO_2_1_stdout_;
HIDDEN FILE *__wrap_stderr = (FILE *)&_IO_2_1_stderr_;
HIDDEN FILE *__wrap_stdout = (FILE *)&_IO_2_1_stdout_;
HIDDEN char *__wrap_program_invocation_name = "";

// MARK: Assertions

_Noreturn void __real___assert_fail(const char *text, const char *file, unsigned line, const char *function);

/// hwloc asserts some things about files: a folder of memory nodes has a node in it. A sandbox need not know that, and its host
/// must not end for it.
HIDDEN _Noreturn void __wrap___assert_fail(const char *text, const char *file, unsigned line, const char *function) {
  if (call.escape != NULL) longjmp(*call.escape, 1);
  __real___assert_fail(text, file, line, function);
}

struct hwloc_topology *chwloc_load(const char *root) {
  int saved = errno;
  jmp_buf escape;
  hwloc_topology_t topology = NULL;
  call.root = root;
  if (hwloc_topology_init(&topology) != 0) {
    topology = NULL;
  } else if (setjmp(escape) != 0) {
    // What was built so far may be in any state: not even freeing is safe.
    topology = NULL;
  } else {
    call.escape = &escape;
    // Distances would only be grouped, and memory attributes be kept.
    hwloc_topology_set_flags(
        topology, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED | HWLOC_TOPOLOGY_FLAG_NO_DISTANCES | HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS);
    hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
    // Groups stay, though nobody reads them: a memory node that is near to a part of a package hangs on one.
    hwloc_topology_set_type_filter(topology, HWLOC_OBJ_MEMCACHE, HWLOC_TYPE_FILTER_KEEP_NONE);
    hwloc_topology_set_type_filter(topology, HWLOC_OBJ_MISC, HWLOC_TYPE_FILTER_KEEP_NONE);
    if (hwloc_topology_load(topology) != 0) {
      hwloc_topology_destroy(topology);
      topology = NULL;
    }
  }
  call.escape = NULL;
  call.root = NULL;
  errno = saved;
  return topology;
}
