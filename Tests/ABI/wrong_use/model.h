// Wrong uses of what needs no session: names, runtimes, models, tokenizers.
#ifndef ADAPTQ_WRONG_USE_MODEL_H
#define ADAPTQ_WRONG_USE_MODEL_H

#include "machinery.h"
#include "model_helpers.h"

static void names(void) {
  ANSWERS(adaptq_status_name, "unknown value", "ADAPTQ_UNKNOWN_STATUS",
          strcmp(adaptq_status_name(INT32_MIN), "ADAPTQ_UNKNOWN_STATUS") == 0 &&
              strcmp(adaptq_status_name(9), "ADAPTQ_UNKNOWN_STATUS") == 0);
  ANSWERS(adaptq_last_error, "before any failure, and after success", "never NULL", adaptq_last_error() != NULL);
  ANSWERS(adaptq_version_number, "none possible", "", adaptq_version_number() > 0);
  ANSWERS(adaptq_version_string, "none possible", "", adaptq_version_string()[0] != 0);
  ANSWERS(adaptq_level_name, "unknown value", "UNKNOWN",
          strcmp(adaptq_level_name(INT32_MAX), "UNKNOWN") == 0 && strcmp(adaptq_level_name(3), "UNKNOWN") == 0);
  ANSWERS(adaptq_reason_name, "unknown value", "unknown",
          strcmp(adaptq_reason_name(INT32_MIN), "unknown") == 0 && strcmp(adaptq_reason_name(99), "unknown") == 0);
  ANSWERS(adaptq_has_feature, "NULL", "0", adaptq_has_feature(NULL) == 0);
  ANSWERS(adaptq_has_feature, "unknown, empty or not UTF-8", "0",
          adaptq_has_feature("flight") == 0 && adaptq_has_feature("") == 0 && adaptq_has_feature("\xff") == 0);
  ANSWERS(adaptq_option_count, "none possible", "", adaptq_option_count() > 0);
  WRONG(adaptq_option_describe, "info NULL", ADAPTQ_INVALID_ARGUMENT, "info is NULL", (void)0,
        adaptq_option_describe(0, NULL));
  WRONG_STRUCT_SIZES(adaptq_option_describe, adaptq_option_info, out.option.struct_size,
                     adaptq_option_describe(0, &out.option));
  WRONG(adaptq_option_describe, "index behind the last one", ADAPTQ_OUT_OF_RANGE, "there are", (void)0,
        adaptq_option_describe(adaptq_option_count(), &out.option));
  WRONG(adaptq_option_describe, "index huge", ADAPTQ_OUT_OF_RANGE, "index 18446744073709551615: there are", (void)0,
        adaptq_option_describe(SIZE_MAX, &out.option));
}

#define COUNT_USES(function, type, dead, live, target) \
  do { \
    WRONG_HANDLES(function, type, dead, function(in.handle, &(target))); \
    WRONG(function, "out NULL", ADAPTQ_INVALID_ARGUMENT, "out is NULL", (void)0, function(live, NULL)); \
  } while (0)

#define RUNTIME_OUT ((adaptq_runtime **)&out.handle)
static void runtime_create(void) {
  WRONG(adaptq_runtime_create, "out NULL", ADAPTQ_INVALID_ARGUMENT, "out is NULL", (void)0,
        adaptq_runtime_create(&in.runtime, NULL));
  WRONG_STRUCT_SIZES(adaptq_runtime_create, adaptq_runtime_options, in.runtime.struct_size,
                     adaptq_runtime_create(&in.runtime, RUNTIME_OUT));
  WRONG(adaptq_runtime_create, "log_level negative", ADAPTQ_INVALID_ARGUMENT,
        "adaptq_runtime_options.log_level is -1; expected 0 to 3", in.runtime.log_level = -1,
        adaptq_runtime_create(&in.runtime, RUNTIME_OUT));
  WRONG(adaptq_runtime_create, "log_level unknown", ADAPTQ_INVALID_ARGUMENT,
        "adaptq_runtime_options.log_level is 4; expected 0 to 3", in.runtime.log_level = 4,
        adaptq_runtime_create(&in.runtime, RUNTIME_OUT));
  WRONG(adaptq_runtime_create, "code_generation unknown", ADAPTQ_INVALID_ARGUMENT,
        "adaptq_runtime_options.code_generation is 3; expected 0 to 2", in.runtime.code_generation = 3,
        adaptq_runtime_create(&in.runtime, RUNTIME_OUT));
  WRONG(adaptq_runtime_create, "max_isa unknown", ADAPTQ_INVALID_ARGUMENT,
        "adaptq_runtime_options.max_isa is 9; expected 0 to 8", in.runtime.max_isa = 9,
        adaptq_runtime_create(&in.runtime, RUNTIME_OUT));
  WRONG(adaptq_runtime_create, "max_isa huge", ADAPTQ_INVALID_ARGUMENT,
        "adaptq_runtime_options.max_isa is 2147483647", in.runtime.max_isa = INT32_MAX,
        adaptq_runtime_create(&in.runtime, RUNTIME_OUT));
}

static void runtime_callbacks(void) {
  WRONG(adaptq_runtime_create, "allocate without release", ADAPTQ_INVALID_ARGUMENT,
        "adaptq_runtime_options.allocate is set, but release is NULL", in.runtime.allocate = no_memory,
        adaptq_runtime_create(&in.runtime, RUNTIME_OUT));
  WRONG(adaptq_runtime_create, "release without allocate", ADAPTQ_INVALID_ARGUMENT,
        "adaptq_runtime_options.release is set, but allocate is NULL", in.runtime.release = no_release,
        adaptq_runtime_create(&in.runtime, RUNTIME_OUT));
  WRONG(adaptq_runtime_create, "ignore_environment 2", ADAPTQ_INVALID_ARGUMENT,
        "adaptq_runtime_options.ignore_environment is 2; expected 0 to 1", in.runtime.ignore_environment = 2,
        adaptq_runtime_create(&in.runtime, RUNTIME_OUT));
  WRONG(adaptq_model_open, "an allocator that gives nothing", ADAPTQ_OUT_OF_MEMORY, "no memory for", (void)0,
        open_with(no_memory));
  WRONG(adaptq_model_open, "an allocator that gives an odd address", ADAPTQ_INVALID_ARGUMENT,
        "which is not a multiple of 64", (void)0, open_with(odd_memory_block));
}

#define THREADS_WRONG(use, part, setup) \
  WRONG(adaptq_runtime_create, use, ADAPTQ_INVALID_ARGUMENT, part, setup, adaptq_runtime_create(&in.runtime, RUNTIME_OUT))
static void runtime_threads(void) {
  THREADS_WRONG("threads negative", "adaptq_runtime_options.threads is -1; expected 0 to 1024", in.runtime.threads = -1);
  THREADS_WRONG("threads huge", "adaptq_runtime_options.threads is 2147483647", in.runtime.threads = INT32_MAX);
  THREADS_WRONG("parallel_for_threads negative", "adaptq_runtime_options.parallel_for_threads is -1; expected 0 to 1024",
                in.runtime.parallel_for_threads = -1);
  THREADS_WRONG("parallel_for_threads without parallel_for", "parallel_for_threads is 2, but parallel_for is NULL",
                in.runtime.parallel_for_threads = 2);
  THREADS_WRONG("parallel_for and threads", "adaptq_runtime_options.threads is 2, but parallel_for is set",
                in.runtime.threads = (in.runtime.parallel_for = serial_for, 2));
  THREADS_WRONG("parallel_for and cpu_set", "adaptq_runtime_options.n_cpus is 1, but parallel_for is set",
                (one_cpu(), in.runtime.parallel_for = serial_for));
  THREADS_WRONG("cpu_set NULL with n_cpus 1", "adaptq_runtime_options.cpu_set is NULL", in.runtime.n_cpus = 1);
  THREADS_WRONG("n_cpus huge", "adaptq_runtime_options.n_cpus is 18446744073709551615; at most 8192",
                (one_cpu(), in.runtime.n_cpus = SIZE_MAX));
  THREADS_WRONG("a CPU negative", "adaptq_runtime_options.cpu_set[0] is -1, a CPU this thread may not use",
                (one_cpu(), cpus[0] = -1));
  THREADS_WRONG("a CPU that does not exist", "adaptq_runtime_options.cpu_set[0] is 2147483647, a CPU this thread may not use",
                (one_cpu(), cpus[0] = INT32_MAX));
  THREADS_WRONG("a CPU twice", "for the second time", (one_cpu(), in.runtime.n_cpus = 2));
  THREADS_WRONG("more threads than CPUs in cpu_set", "adaptq_runtime_options.threads is 2, but cpu_set has 1 CPUs",
                (one_cpu(), in.runtime.threads = 2));
  COUNT_USES(adaptq_runtime_threads, adaptq_runtime, w.dead_runtime, w.runtime, out.number);
}

static const char *path_of(size_t length) {
  static char path[5000];
  memset(path, 'a', length);
  path[length] = 0;
  return path;
}

static adaptq_status never_polled(void) {
  adaptq_runtime *runtime = NULL;
  adaptq_status status = adaptq_runtime_create(NULL, &runtime);
  if (status == ADAPTQ_OK) status = adaptq_runtime_power(runtime, &out.power);
  adaptq_runtime_destroy(runtime);
  return status;
}

static void runtime_poll(void) {
  WRONG_HANDLES(adaptq_runtime_poll, adaptq_runtime, w.dead_runtime, adaptq_runtime_poll(in.handle, &out.power));
  WRONG_STRUCT_SIZES(adaptq_runtime_poll, adaptq_power_info, out.power.struct_size,
                     adaptq_runtime_poll(w.runtime, &out.power));
  HARMLESS(adaptq_runtime_poll, "info NULL", "reads the sensors all the same", (void)0,
           adaptq_runtime_poll(w.runtime, NULL));
  WRONG_HANDLES(adaptq_runtime_power, adaptq_runtime, w.dead_runtime, adaptq_runtime_power(in.handle, &out.power));
  WRONG_STRUCT_SIZES(adaptq_runtime_power, adaptq_power_info, out.power.struct_size,
                     adaptq_runtime_power(w.runtime, &out.power));
  WRONG(adaptq_runtime_power, "info NULL", ADAPTQ_INVALID_ARGUMENT, "info is NULL", (void)0, adaptq_runtime_power(w.runtime, NULL));
  WRONG(adaptq_runtime_power, "before the first poll", ADAPTQ_NOT_FOUND, "nothing has read the sensors", (void)0, never_polled());
  THREADS_WRONG("poll_interval_ms negative", "adaptq_runtime_options.poll_interval_ms is -1; expected 0 to 3600000",
                in.runtime.poll_interval_ms = -1);
  THREADS_WRONG("poll_interval_ms above an hour", "adaptq_runtime_options.poll_interval_ms is 3600001",
                in.runtime.poll_interval_ms = 3600001);
  THREADS_WRONG("reserved not 0", "adaptq_runtime_options.reserved is 3, not 0", in.runtime.reserved = 3);
  THREADS_WRONG("sensor_root not UTF-8", "adaptq_runtime_options.sensor_root is not UTF-8", in.runtime.sensor_root = "\xff");
  THREADS_WRONG("sensor_root of 4097 bytes", "adaptq_runtime_options.sensor_root: more than 4096 bytes",
                in.runtime.sensor_root = path_of(4097));
}

static void runtime_machine(void) {
  WRONG_HANDLES(adaptq_runtime_machine, adaptq_runtime, w.dead_runtime, adaptq_runtime_machine(in.handle, &out.machine));
  WRONG(adaptq_runtime_machine, "info NULL", ADAPTQ_INVALID_ARGUMENT, "info is NULL", (void)0,
        adaptq_runtime_machine(w.runtime, NULL));
  WRONG_STRUCT_SIZES(adaptq_runtime_machine, adaptq_machine_info, out.machine.struct_size,
                     adaptq_runtime_machine(w.runtime, &out.machine));
  WRONG_HANDLES(adaptq_runtime_thread_cpus, adaptq_runtime, w.dead_runtime,
                adaptq_runtime_thread_cpus(in.handle, out.cpus, 8, &out.count));
  WRONG(adaptq_runtime_thread_cpus, "count NULL", ADAPTQ_INVALID_ARGUMENT, "count is NULL", (void)0,
        adaptq_runtime_thread_cpus(w.runtime, out.cpus, 8, NULL));
  WRONG(adaptq_runtime_thread_cpus, "cpus NULL", ADAPTQ_INVALID_ARGUMENT, "cpus is NULL, capacity is 8", (void)0,
        adaptq_runtime_thread_cpus(w.runtime, NULL, 8, &out.count));
  WRONG(adaptq_runtime_thread_cpus, "capacity 0", ADAPTQ_BUFFER_TOO_SMALL, "capacity is 0, needs ", (void)0,
        adaptq_runtime_thread_cpus(w.runtime, out.cpus, 0, &out.count));
  WRONG_HANDLES(adaptq_runtime_level_kernels, adaptq_runtime, w.dead_runtime,
                adaptq_runtime_level_kernels(in.handle, ADAPTQ_LEVEL_INT8, &out.kernels));
  WRONG(adaptq_runtime_level_kernels, "info NULL", ADAPTQ_INVALID_ARGUMENT, "info is NULL", (void)0,
        adaptq_runtime_level_kernels(w.runtime, ADAPTQ_LEVEL_INT8, NULL));
  WRONG_STRUCT_SIZES(adaptq_runtime_level_kernels, adaptq_level_kernels, out.kernels.struct_size,
                     adaptq_runtime_level_kernels(w.runtime, ADAPTQ_LEVEL_INT8, &out.kernels));
  WRONG(adaptq_runtime_level_kernels, "level 0 (AUTO)", ADAPTQ_INVALID_ARGUMENT,
        "level is 0; expected 2, 4, 6, 8, 16 or 32", (void)0,
        adaptq_runtime_level_kernels(w.runtime, ADAPTQ_LEVEL_AUTO, &out.kernels));
  WRONG(adaptq_runtime_level_kernels, "level that equals one in its low byte", ADAPTQ_INVALID_ARGUMENT, "level is 264",
        (void)0, adaptq_runtime_level_kernels(w.runtime, 264, &out.kernels));
  WRONG_HANDLES(adaptq_runtime_probe_json, adaptq_runtime, w.dead_runtime,
                adaptq_runtime_probe_json(in.handle, out.json, sizeof out.json, &out.count));
  WRONG(adaptq_runtime_probe_json, "length NULL", ADAPTQ_INVALID_ARGUMENT, "length is NULL", (void)0,
        adaptq_runtime_probe_json(w.runtime, out.json, sizeof out.json, NULL));
  WRONG(adaptq_runtime_probe_json, "buffer NULL", ADAPTQ_INVALID_ARGUMENT, "buffer is NULL, capacity is 64", (void)0,
        adaptq_runtime_probe_json(w.runtime, NULL, 64, &out.count));
  WRONG(adaptq_runtime_probe_json, "capacity too small", ADAPTQ_BUFFER_TOO_SMALL, "capacity is 64, needs ", (void)0,
        adaptq_runtime_probe_json(w.runtime, out.json, sizeof out.json, &out.count));
}

#define FILE_CALL adaptq_runtime_telemetry_file(w.runtime, "/nonexistent/telemetry", &in.telemetry_file)
static void runtime_telemetry_file(void) {
  WRONG_HANDLES(adaptq_runtime_telemetry_file, adaptq_runtime, w.dead_runtime,
                adaptq_runtime_telemetry_file(in.handle, "/nonexistent/telemetry", &in.telemetry_file));
  WRONG(adaptq_runtime_telemetry_file, "path NULL", ADAPTQ_INVALID_ARGUMENT, "path is NULL", (void)0,
        adaptq_runtime_telemetry_file(w.runtime, NULL, NULL));
  WRONG(adaptq_runtime_telemetry_file, "path not UTF-8", ADAPTQ_INVALID_ARGUMENT, "path is not UTF-8", (void)0,
        adaptq_runtime_telemetry_file(w.runtime, "/tmp/\xff", NULL));
  WRONG(adaptq_runtime_telemetry_file, "no such folder", ADAPTQ_NOT_FOUND, "/nonexistent/telemetry", (void)0, FILE_CALL);
  WRONG(adaptq_runtime_telemetry_file, "a path that exists", ADAPTQ_IO_ERROR, "exists", (void)0,
        adaptq_runtime_telemetry_file(w.runtime, "/dev/null", NULL));
  WRONG(adaptq_runtime_telemetry_file, "a folder", ADAPTQ_IO_ERROR, "path \"/\"", (void)0,
        adaptq_runtime_telemetry_file(w.runtime, "/", NULL));
  WRONG_STRUCT_SIZES(adaptq_runtime_telemetry_file, adaptq_telemetry_file_options, in.telemetry_file.struct_size, FILE_CALL);
  WRONG(adaptq_runtime_telemetry_file, "max_sessions negative", ADAPTQ_INVALID_ARGUMENT,
        "adaptq_telemetry_file_options.max_sessions is -1; expected 0 to 64", in.telemetry_file.max_sessions = -1, FILE_CALL);
  WRONG(adaptq_runtime_telemetry_file, "max_sessions above 64", ADAPTQ_INVALID_ARGUMENT, "max_sessions is 65",
        in.telemetry_file.max_sessions = 65, FILE_CALL);
  WRONG(adaptq_runtime_telemetry_file, "max_records above 65536", ADAPTQ_INVALID_ARGUMENT, "max_records is 65537",
        in.telemetry_file.max_records = 65537, FILE_CALL);
  WRONG(adaptq_runtime_telemetry_file, "max_records below 16", ADAPTQ_OUT_OF_RANGE, "records is 15; expected 16 to 65536",
        in.telemetry_file.max_records = 15, FILE_CALL);
  WRONG(adaptq_runtime_telemetry_file, "max_sites above 4096", ADAPTQ_INVALID_ARGUMENT, "max_sites is 4097",
        in.telemetry_file.max_sites = 4097, FILE_CALL);
  WRONG(adaptq_runtime_telemetry_file, "a file above 256 MiB", ADAPTQ_OUT_OF_RANGE, "above 268435456",
        (in.telemetry_file.max_records = 65536, in.telemetry_file.max_sites = 4096), FILE_CALL);
}

static void runtime_destroy(void) {
  HARMLESS(adaptq_runtime_destroy, "NULL", "does nothing", (void)0, adaptq_runtime_destroy(NULL));
  WRONG(adaptq_runtime_destroy, "destroyed", ADAPTQ_INVALID_HANDLE, "is not a live handle", (void)0,
        adaptq_runtime_destroy(w.dead_runtime));
  WRONG(adaptq_runtime_destroy, "a handle of another kind", ADAPTQ_INVALID_HANDLE, "is not a live handle", (void)0,
        adaptq_runtime_destroy((void *)w.model));
  WRONG(adaptq_runtime_destroy, "an address", ADAPTQ_INVALID_HANDLE, "is not a live handle", (void)0,
        adaptq_runtime_destroy((void *)&in));
}

#define MODEL_OUT ((adaptq_model **)&out.handle)
static void model_open(void) {
  WRONG_HANDLES(adaptq_model_open, adaptq_runtime, w.dead_runtime, adaptq_model_open(in.handle, in.path, MODEL_OUT));
  WRONG(adaptq_model_open, "path NULL", ADAPTQ_INVALID_ARGUMENT, "path is NULL", in.path = NULL,
        adaptq_model_open(w.runtime, in.path, MODEL_OUT));
  WRONG(adaptq_model_open, "out NULL", ADAPTQ_INVALID_ARGUMENT, "out is NULL", (void)0,
        adaptq_model_open(w.runtime, in.path, NULL));
  WRONG(adaptq_model_open, "path empty", ADAPTQ_NOT_FOUND, "path \"\": No such file or directory", in.path = "",
        adaptq_model_open(w.runtime, in.path, MODEL_OUT));
  WRONG(adaptq_model_open, "path not UTF-8", ADAPTQ_INVALID_ARGUMENT, "path is not UTF-8", in.path = "/\xff\xfe",
        adaptq_model_open(w.runtime, in.path, MODEL_OUT));
  WRONG(adaptq_model_open, "no such file", ADAPTQ_NOT_FOUND, "No such file or directory", in.path = "/no/such/file",
        adaptq_model_open(w.runtime, in.path, MODEL_OUT));
  WRONG(adaptq_model_open, "a folder", ADAPTQ_IO_ERROR, "path \"/\": not a regular file", in.path = "/",
        adaptq_model_open(w.runtime, in.path, MODEL_OUT));
  WRONG(adaptq_model_open, "a device", ADAPTQ_IO_ERROR, "path \"/dev/zero\": not a regular file", in.path = "/dev/zero",
        adaptq_model_open(w.runtime, in.path, MODEL_OUT));
  WRONG(adaptq_model_open, "a path of 5000 bytes", ADAPTQ_IO_ERROR, "path \"aaaa", in.path = long_path(),
        adaptq_model_open(w.runtime, in.path, MODEL_OUT));
  WRONG(adaptq_model_open, "a file of another kind", ADAPTQ_INVALID_FILE, "", in.path = ADAPTQ_TESTS "/ABI/check.h",
        adaptq_model_open(w.runtime, in.path, MODEL_OUT));
}

static void model_open_memory(void) {
  WRONG_HANDLES(adaptq_model_open_memory, adaptq_runtime, w.dead_runtime,
                adaptq_model_open_memory(in.handle, small_file, small_size, MODEL_OUT));
  WRONG(adaptq_model_open_memory, "data NULL", ADAPTQ_INVALID_ARGUMENT, "data is NULL", (void)0,
        adaptq_model_open_memory(w.runtime, NULL, small_size, MODEL_OUT));
  WRONG(adaptq_model_open_memory, "out NULL", ADAPTQ_INVALID_ARGUMENT, "out is NULL", (void)0,
        adaptq_model_open_memory(w.runtime, small_file, small_size, NULL));
  WRONG(adaptq_model_open_memory, "size 0", ADAPTQ_INVALID_FILE, "model in memory", (void)0,
        adaptq_model_open_memory(w.runtime, small_file, 0, MODEL_OUT));
  WRONG(adaptq_model_open_memory, "size above half the address space", ADAPTQ_OUT_OF_RANGE, "size: 18446744073709551615",
        (void)0, adaptq_model_open_memory(w.runtime, small_file, SIZE_MAX, MODEL_OUT));
  WRONG(adaptq_model_open_memory, "size that no memory holds", ADAPTQ_OUT_OF_MEMORY, "no memory for", (void)0,
        adaptq_model_open_memory(w.runtime, small_file, SIZE_MAX / 4, MODEL_OUT));
  WRONG(adaptq_model_open_memory, "one byte missing", ADAPTQ_INVALID_FILE, "", (void)0,
        adaptq_model_open_memory(w.runtime, small_file, small_size - 1, MODEL_OUT));
  HARMLESS(adaptq_model_open_memory, "data at an odd address", "as at an even one", (void)0, open_odd());
}

static void model_open_fd(void) {
#define OPEN_FD(fd, offset, size) adaptq_model_open_fd(w.runtime, fd, offset, size, MODEL_OUT)
  int fd = is_table ? -1 : open(w.path, O_RDONLY | O_CLOEXEC), folder = is_table ? -1 : open("/", O_RDONLY | O_CLOEXEC);
  int ends[2] = {-1, -1};
  if (!is_table) CHECK(fd >= 0 && folder >= 0 && pipe(ends) == 0);
  WRONG_HANDLES(adaptq_model_open_fd, adaptq_runtime, w.dead_runtime, adaptq_model_open_fd(in.handle, fd, 0, 0, MODEL_OUT));
  WRONG(adaptq_model_open_fd, "out NULL", ADAPTQ_INVALID_ARGUMENT, "out is NULL", (void)0,
        adaptq_model_open_fd(w.runtime, fd, 0, 0, NULL));
  WRONG(adaptq_model_open_fd, "fd negative", ADAPTQ_INVALID_ARGUMENT, "fd is -1", (void)0, OPEN_FD(-1, 0, 0));
  WRONG(adaptq_model_open_fd, "fd that is not open", ADAPTQ_IO_ERROR, "descriptor 1000000: Bad file descriptor", (void)0,
        OPEN_FD(1000000, 0, 0));
  WRONG(adaptq_model_open_fd, "a folder", ADAPTQ_IO_ERROR, "not a regular file", (void)0, OPEN_FD(folder, 0, 0));
  WRONG(adaptq_model_open_fd, "a pipe", ADAPTQ_IO_ERROR, "Illegal seek", (void)0, OPEN_FD(ends[0], 0, 100));
  WRONG(adaptq_model_open_fd, "offset behind the end", ADAPTQ_OUT_OF_RANGE, "offset 65536 is behind the end", (void)0,
        OPEN_FD(fd, 65536, 0));
  WRONG(adaptq_model_open_fd, "offset huge", ADAPTQ_OUT_OF_RANGE, "offset: 18446744073709551615", (void)0,
        OPEN_FD(fd, UINT64_MAX, 0));
  WRONG(adaptq_model_open_fd, "size huge", ADAPTQ_OUT_OF_RANGE, "size: 18446744073709551615", (void)0,
        OPEN_FD(fd, 0, UINT64_MAX));
  WRONG(adaptq_model_open_fd, "offset + size overflows", ADAPTQ_OUT_OF_RANGE, "offset and size", (void)0,
        OPEN_FD(fd, INT64_MAX, INT64_MAX));
  WRONG(adaptq_model_open_fd, "size behind the end", ADAPTQ_IO_ERROR, "ended after", (void)0, OPEN_FD(fd, 0, 65536));
  WRONG(adaptq_model_open_fd, "offset into the middle", ADAPTQ_INVALID_FILE, "", (void)0, OPEN_FD(fd, 64, 0));
  if (is_table) return;
  CHECK(close(fd) == 0 && close(folder) == 0 && close(ends[0]) == 0 && close(ends[1]) == 0);
}

static void model_open_callback(void) {
#define OPEN_CALLBACK(read, size) adaptq_model_open_callback(w.runtime, read, NULL, size, MODEL_OUT)
  WRONG_HANDLES(adaptq_model_open_callback, adaptq_runtime, w.dead_runtime,
                adaptq_model_open_callback(in.handle, read_small, NULL, small_size, MODEL_OUT));
  WRONG(adaptq_model_open_callback, "out NULL", ADAPTQ_INVALID_ARGUMENT, "out is NULL", (void)0,
        adaptq_model_open_callback(w.runtime, read_small, NULL, small_size, NULL));
  WRONG(adaptq_model_open_callback, "read NULL", ADAPTQ_INVALID_ARGUMENT, "read is NULL", (void)0,
        OPEN_CALLBACK(NULL, small_size));
  WRONG(adaptq_model_open_callback, "size 0", ADAPTQ_INVALID_FILE, "model from a callback", (void)0,
        OPEN_CALLBACK(read_small, 0));
  WRONG(adaptq_model_open_callback, "size huge", ADAPTQ_OUT_OF_RANGE, "size: 18446744073709551615", (void)0,
        OPEN_CALLBACK(read_small, UINT64_MAX));
  WRONG(adaptq_model_open_callback, "size that no memory holds", ADAPTQ_OUT_OF_MEMORY, "no memory for", (void)0,
        OPEN_CALLBACK(read_small, UINT64_MAX / 4));
  WRONG(adaptq_model_open_callback, "size behind the end", ADAPTQ_IO_ERROR, "ended after", (void)0,
        OPEN_CALLBACK(read_small, small_size + 64));
  WRONG(adaptq_model_open_callback, "read fails", ADAPTQ_IO_ERROR, "Input/output error", (void)0,
        OPEN_CALLBACK(read_error, small_size));
  WRONG(adaptq_model_open_callback, "read says more than it was asked for", ADAPTQ_IO_ERROR, "bytes read where", (void)0,
        OPEN_CALLBACK(read_too_much, small_size));
  WRONG(adaptq_model_open_callback, "read says INT64_MIN", ADAPTQ_IO_ERROR, "read callback", (void)0,
        OPEN_CALLBACK(read_lowest, small_size));
}

static void model_metadata(void) {
  COUNT_USES(adaptq_model_metadata_count, adaptq_model, w.dead_model, w.model, out.count);
  WRONG_HANDLES(adaptq_model_metadata, adaptq_model, w.dead_model,
                adaptq_model_metadata(in.handle, 0, &out.text, &out.text2));
  WRONG(adaptq_model_metadata, "key NULL", ADAPTQ_INVALID_ARGUMENT, "key is NULL", (void)0,
        adaptq_model_metadata(w.model, 0, NULL, &out.text2));
  WRONG(adaptq_model_metadata, "value NULL", ADAPTQ_INVALID_ARGUMENT, "value is NULL", (void)0,
        adaptq_model_metadata(w.model, 0, &out.text, NULL));
  WRONG(adaptq_model_metadata, "index behind the last one", ADAPTQ_OUT_OF_RANGE, "index 2: the model has 2", (void)0,
        adaptq_model_metadata(w.model, 2, &out.text, &out.text2));
  WRONG(adaptq_model_metadata, "index huge", ADAPTQ_OUT_OF_RANGE, "index 18446744073709551615", (void)0,
        adaptq_model_metadata(w.model, SIZE_MAX, &out.text, &out.text2));
  WRONG_HANDLES(adaptq_model_metadata_find, adaptq_model, w.dead_model,
                adaptq_model_metadata_find(in.handle, "author", &out.text));
  WRONG(adaptq_model_metadata_find, "key NULL", ADAPTQ_INVALID_ARGUMENT, "key is NULL", (void)0,
        adaptq_model_metadata_find(w.model, NULL, &out.text));
  WRONG(adaptq_model_metadata_find, "value NULL", ADAPTQ_INVALID_ARGUMENT, "value is NULL", (void)0,
        adaptq_model_metadata_find(w.model, "author", NULL));
  WRONG(adaptq_model_metadata_find, "no such key", ADAPTQ_NOT_FOUND, "key \"weather\": the model has no such metadata",
        (void)0, adaptq_model_metadata_find(w.model, "weather", &out.text));
  WRONG(adaptq_model_metadata_find, "key not UTF-8", ADAPTQ_INVALID_ARGUMENT, "key is not UTF-8", (void)0,
        adaptq_model_metadata_find(w.model, "\xff", &out.text));
  WRONG_HANDLES(adaptq_model_memory, adaptq_model, w.dead_model, adaptq_model_memory(in.handle, &out.memory));
  WRONG(adaptq_model_memory, "memory NULL", ADAPTQ_INVALID_ARGUMENT, "memory is NULL", (void)0,
        adaptq_model_memory(w.model, NULL));
  WRONG_STRUCT_SIZES(adaptq_model_memory, adaptq_memory, out.memory.struct_size,
                     adaptq_model_memory(w.model, &out.memory));
}

static void model_destroy(void) {
  HARMLESS(adaptq_model_destroy, "NULL", "does nothing", (void)0, adaptq_model_destroy(NULL));
  WRONG(adaptq_model_destroy, "destroyed", ADAPTQ_INVALID_HANDLE, "is not a live handle", (void)0,
        adaptq_model_destroy(w.dead_model));
  WRONG(adaptq_model_destroy, "a handle of another kind", ADAPTQ_INVALID_HANDLE, "is not a live handle", (void)0,
        adaptq_model_destroy((void *)w.runtime));
  HARMLESS(adaptq_model_destroy, "before its sessions", "they keep what they need", (void)0, destroy_early());
}

static void model_counts(void) {
  COUNT_USES(adaptq_model_input_count, adaptq_model, w.dead_model, w.model, out.count);
  COUNT_USES(adaptq_model_output_count, adaptq_model, w.dead_model, w.model, out.count);
  COUNT_USES(adaptq_model_site_count, adaptq_model, w.dead_model, w.model, out.count);
  COUNT_USES(adaptq_model_levels, adaptq_model, w.dead_model, w.model, out.levels);
}

#define INFO_USES(function, type, field, what) \
  do { \
    WRONG_HANDLES(function, adaptq_model, w.dead_model, function(in.handle, 0, &(field))); \
    WRONG(function, "info NULL", ADAPTQ_INVALID_ARGUMENT, "info is NULL", (void)0, function(w.model, 0, NULL)); \
    WRONG_STRUCT_SIZES(function, type, (field).struct_size, function(w.model, 0, &(field))); \
    WRONG(function, "index behind the last one", ADAPTQ_OUT_OF_RANGE, "index 3: the model has ", (void)0, \
          function(w.model, 3, &(field))); \
    WRONG(function, "index huge", ADAPTQ_OUT_OF_RANGE, "index 18446744073709551615: the model has ", (void)0, \
          function(w.model, SIZE_MAX, &(field))); \
    HARMLESS(function, "info at an odd address", "filled as at an even one", (void)0, \
             function(w.model, 0, ODD(field))); \
  } while (0)

static void model_infos(void) {
  INFO_USES(adaptq_model_input, adaptq_tensor_info, out.tensor_info, "input");
  INFO_USES(adaptq_model_output, adaptq_tensor_info, out.tensor_info, "output");
  INFO_USES(adaptq_model_site, adaptq_site_info, out.site_info, "site");
}

/* -------------------------------------------------------------------------------------------------------- tokenizer */

#define TOKENIZER_OUT ((adaptq_tokenizer **)&out.handle)
static void tokenizer_create(void) {
  WRONG_HANDLES(adaptq_tokenizer_create, adaptq_model, w.dead_model, adaptq_tokenizer_create(in.handle, TOKENIZER_OUT));
  WRONG(adaptq_tokenizer_create, "out NULL", ADAPTQ_INVALID_ARGUMENT, "out is NULL", (void)0,
        adaptq_tokenizer_create(w.model, NULL));
  WRONG(adaptq_tokenizer_create, "a model without a tokenizer", ADAPTQ_NOT_FOUND, "the model has no tokenizer", (void)0,
        adaptq_tokenizer_create(w.audio, TOKENIZER_OUT));
}

static void tokenizer_destroy(void) {
  HARMLESS(adaptq_tokenizer_destroy, "NULL", "does nothing", (void)0, adaptq_tokenizer_destroy(NULL));
  WRONG(adaptq_tokenizer_destroy, "destroyed", ADAPTQ_INVALID_HANDLE, "is not a live handle", (void)0,
        adaptq_tokenizer_destroy(w.dead_tokenizer));
  WRONG(adaptq_tokenizer_destroy, "a handle of another kind", ADAPTQ_INVALID_HANDLE, "is not a live handle", (void)0,
        adaptq_tokenizer_destroy((void *)w.model));
}

static void tokenizer_get_info(void) {
  WRONG_HANDLES(adaptq_tokenizer_get_info, adaptq_tokenizer, w.dead_tokenizer,
                adaptq_tokenizer_get_info(in.handle, &out.tokenizer_info));
  WRONG(adaptq_tokenizer_get_info, "info NULL", ADAPTQ_INVALID_ARGUMENT, "info is NULL", (void)0,
        adaptq_tokenizer_get_info(w.tokenizer, NULL));
  WRONG_STRUCT_SIZES(adaptq_tokenizer_get_info, adaptq_tokenizer_info, out.tokenizer_info.struct_size,
                     adaptq_tokenizer_get_info(w.tokenizer, &out.tokenizer_info));
}

static void tokenizer_encode(void) {
#define ENCODE(text, length, most, ids, capacity, count) \
  adaptq_tokenizer_encode(w.tokenizer, text, length, most, ids, capacity, count)
  WRONG_HANDLES(adaptq_tokenizer_encode, adaptq_tokenizer, w.dead_tokenizer,
                adaptq_tokenizer_encode(in.handle, "a b", 3, 0, out.ids, 16, &out.count));
  WRONG(adaptq_tokenizer_encode, "text NULL", ADAPTQ_INVALID_ARGUMENT, "text is NULL", (void)0,
        ENCODE(NULL, 3, 0, out.ids, 16, &out.count));
  HARMLESS(adaptq_tokenizer_encode, "text NULL with length 0", "the empty text", (void)0,
           ENCODE(NULL, 0, 0, out.ids, 16, &out.count));
  WRONG(adaptq_tokenizer_encode, "ids NULL", ADAPTQ_INVALID_ARGUMENT, "ids is NULL, capacity is 16", (void)0,
        ENCODE("a b", 3, 0, NULL, 16, &out.count));
  WRONG(adaptq_tokenizer_encode, "count NULL", ADAPTQ_INVALID_ARGUMENT, "count is NULL", (void)0,
        ENCODE("a b", 3, 0, out.ids, 16, NULL));
  WRONG(adaptq_tokenizer_encode, "capacity 0", ADAPTQ_BUFFER_TOO_SMALL, "capacity is 0, needs 4", (void)0,
        ENCODE("a b", 3, 0, NULL, 0, &out.count));
  WRONG(adaptq_tokenizer_encode, "capacity one too small", ADAPTQ_BUFFER_TOO_SMALL, "capacity is 3, needs 4", (void)0,
        ENCODE("a b", 3, 0, out.ids, 3, &out.count));
  WRONG(adaptq_tokenizer_encode, "length huge", ADAPTQ_OUT_OF_RANGE, "length: 18446744073709551615", (void)0,
        ENCODE("a b", SIZE_MAX, 0, out.ids, 16, &out.count));
  HARMLESS(adaptq_tokenizer_encode, "capacity huge", "only what is needed is written", (void)0,
           ENCODE("a b", 3, 0, out.ids, SIZE_MAX, &out.count));
  WRONG(adaptq_tokenizer_encode, "max_length negative", ADAPTQ_INVALID_ARGUMENT,
        "max_length is -1; expected 0 or more", (void)0, ENCODE("a b", 3, -1, out.ids, 16, &out.count));
  WRONG(adaptq_tokenizer_encode, "max_length below the special tokens", ADAPTQ_INVALID_ARGUMENT, "1", (void)0,
        ENCODE("a b", 3, 1, out.ids, 16, &out.count));
  HARMLESS(adaptq_tokenizer_encode, "max_length huge", "no shortening", (void)0,
           ENCODE("a b", 3, INT64_MAX, out.ids, 16, &out.count));
  WRONG(adaptq_tokenizer_encode, "text not UTF-8", ADAPTQ_INVALID_ARGUMENT, "byte 2", (void)0,
        ENCODE("a \xff", 3, 0, out.ids, 16, &out.count));
  WRONG(adaptq_tokenizer_encode, "text cut inside a letter", ADAPTQ_INVALID_ARGUMENT, "byte 2", (void)0,
        ENCODE("a \xc3\xa4", 3, 0, out.ids, 16, &out.count));
  HARMLESS(adaptq_tokenizer_encode, "zero bytes in the text", "a character that the normalizer removes", (void)0,
           ENCODE("a\0b", 3, 0, out.ids, 16, &out.count));
}

#endif
