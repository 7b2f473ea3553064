/** @file
 *  adaptq: an adaptive-precision neural-network runtime.
 *
 * This header is the manual; what is not in it is not API.
 *
 * First steps        adaptq_runtime_create, adaptq_model_open, adaptq_session_create, adaptq_session_prepare,
 *                    adaptq_session_run. A budget or a fixed level may be set at any time before or between runs.
 * Own graph          adaptq_matrix_create and adaptq_matrix_multiply serve hosts that only want the products;
 *                    adaptq_group_create, _begin and _end keep a budget for them.
 * Handles            adaptq_runtime, adaptq_model, adaptq_session, adaptq_tokenizer, adaptq_matrix, adaptq_matrix_file and
 *                    adaptq_group are tokens in pointer clothes: they are looked up, never dereferenced. NULL, a
 *                    destroyed handle or any other bit pattern gives ADAPTQ_INVALID_HANDLE. A handle keeps what it was made from alive: the order of destruction is free.
 * Structs            begin with struct_size. Zero the struct (= {0}), then set struct_size = sizeof it. A size smaller
 *                    than the first version of the struct, larger than this library knows, or no multiple of 8, is
 *                    refused; fields that the caller does not know are zero.
 * Zero               in an option means: the default.
 * Errors             every function that can fail returns adaptq_status. On an error nothing the caller gave is
 *                    written, except that an out-pointer for a new handle becomes NULL. adaptq_last_error() then names
 *                    the field and the value.
 * Threads            handles may be used from any thread. "Calls" below are calls on one session; sessions, also of one
 *                    model, run in parallel.
 *
 *                    function                              from which threads, and when
 *                    ------------------------------------  ------------------------------------------------------
 *                    status_name, level_name, reason_name, any thread at any time, also in signal handlers;
 *                    quality_source_name, version_*,       last_error: of the calling thread
 *                    last_error
 *                    runtime_*, model_*, tokenizer_*,      any thread at any time, several at once
 *                    matrix_file_*, matrix_create,
 *                    matrix_open, session_create,
 *                    option_*, has_feature
 *                    session_run, session_prepare,         any thread, one call at a time: ADAPTQ_BUSY at once while a
 *                    session_shadow, session_destroy       run, prepare or shadow run is in progress
 *                    session_output_shape, session_costs,  the same; a run that begins meanwhile gets ADAPTQ_BUSY
 *                    _export_costs, _import_costs,
 *                    _prepare_info,
 *                    session_plans, _plan_sites,
 *                    session_memory, session_set_trace,
 *                    session_reset_state,
 *                    session_state_save, _restore,
 *                    session_drift
 *                    session_telemetry*                    any thread; ADAPTQ_BUSY while a run is in progress, which is
 *                                                          not disturbed
 *                    session_set_level,                    any thread at any time; hold from the next run on
 *                    session_set_allowed_levels,
 *                    session_set_latency_budget,
 *                    session_set_quality_floor,
 *                    session_set_power_budget,
 *                    session_power_budget,
 *                    session_report_quality,
 *                    session_set_budget
 *                    session_cancel                        any thread at any time
 *                    other matrix_*                        any thread; a multiplication without a workspace and destroy
 *                                                          get ADAPTQ_BUSY while another one without is in progress
 *                    group_begin, _multiply, _end,         any thread, one call at a time on a group: ADAPTQ_BUSY at once
 *                    _abandon, _destroy                    while another one is in progress
 *                    other group_*                         any thread at any time; setters hold from the next frame on
 *
 *                    Signal handlers may call the first group only. No call waits for another one, except that first
 *                    sessions of a runtime wait for its kernels and threads to be made. Worker threads: see
 *                    adaptq_runtime_options.
 * Fork               after fork() parent and child go on independently, with all handles. The child's runtimes make
 *                    workers of their own at the first run or prepare that wants them; code, models and sessions are the
 *                    child's own copies. Fork may happen while other threads are inside adaptq: a session in which one of
 *                    them was running or preparing stays ADAPTQ_BUSY in the child, everything else works there. No
 *                    fork handler is registered where the kernel has MADV_WIPEONFORK (Linux 4.14). A thread that
 *                    another thread's very first calls of adaptq run beside should not fork before they return: the
 *                    Swift run time inside the library builds tables then, under locks of its own.
 * Floating point     results do not depend on the host's rounding mode, flush-to-zero or exception masks; each function
 *                    gives the calling thread its environment back, flags included. Callbacks see the default one.
 * Callbacks          (log, allocator, read, trace, parallel_for) are called on the thread that is in an adaptq call, with
 *                    no lock held, and may call any adaptq function themselves. Handles keep to the rules above: while a session runs or
 *                    prepares, its own callbacks get ADAPTQ_BUSY from run, prepare and destroy on it; a handle that is
 *                    being destroyed is invalid already. A callback must return: no longjmp and no C++ exception out of it.
 * Memory             whatever grows with a model or with its inputs lives in buffers that may be refused: then the call
 *                    gives ADAPTQ_OUT_OF_MEMORY and nothing is leaked. They come from mmap, or from
 *                    adaptq_runtime_options.allocate. Small objects, each below 64 KiB (and, while a model is opened, the
 *                    parsed header of its file, at most 100 MB of text) come from malloc; if that returns NULL the process
 *                    ends.
 * Environment        ADAPTQ_MAX_ISA, ADAPTQ_PERF_MAP and ADAPTQ_GDB are the only variables read: each once per process, by the first
 *                    adaptq_runtime_create() that wants it. Ignored in a program that runs with more rights than its user
 *                    (AT_SECURE) and with adaptq_runtime_options.ignore_environment.
 * Profilers          with ADAPTQ_PERF_MAP=1 (any other value: off) the call that generates a runtime's kernels appends their
 *                    addresses, sizes and names to /tmp/perf-PID.map, where perf(1) looks for them: a regular file of the
 *                    process's user, mode 0600 when it is created; symbolic links and others are refused. What goes wrong
 *                    is a warning in the log, nothing else. The file stays; lines of a destroyed runtime stay, too. A child
 *                    of fork() has no map of the kernels that it inherits.
 * Debuggers          with ADAPTQ_GDB=1 (any other value: off) gdb(1) shows the names of generated kernels, as long as the runtime
 *                    and what was made with it are there.
 * AMX                tiles are used only where a host asks: max_isa ADAPTQ_ISA_AMX or ADAPTQ_MAX_ISA=amx, on a CPU with AMX-INT8 or
 *                    AMX-BF16. adaptq_runtime_create() then asks Linux (5.16 or newer) for the permission with arch_prctl(). That
 *                    concerns the whole process and cannot be taken back: where a thread has used tiles, the frame of a signal
 *                    handler grows by some 8 KiB, and sigaltstack() refuses stacks too small for that. A refusal, for instance
 *                    because a thread has such a stack already, is a warning in the log; everything else works as without.
 *                    Kernels set the tiles up when they begin and release them when they end: as with vector registers, no call
 *                    keeps what the calling thread had in them. INT8 to INT2 give the same bits with and without AMX, FP16 (from
 *                    16 rows on) does not. No machine with AMX was there: these kernels have run on an emulator only.
 * Files              descriptors that adaptq opens are close-on-exec and are closed before the call returns. The one file that
 *                    stays mapped: see adaptq_runtime_telemetry_file().
 * What it never does install signal handlers, register atexit functions, change locale or environment, write to standard
 *                    output or standard error, unload itself (-z nodelete).
 *
 *  Linux on x86-64 (64-bit pointers), glibc 2.36 or newer. */
#ifndef ADAPTQ_H
#define ADAPTQ_H

#if !defined(__linux__) || !defined(__x86_64__) || defined(__ILP32__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "adaptq supports Linux on x86-64 with 64-bit pointers"
#endif

#include <stddef.h>
#include <stdint.h>

#if !defined(__GLIBC__) || __GLIBC__ < 2 || (__GLIBC__ == 2 && __GLIBC_MINOR__ < 36)
#error "adaptq needs glibc 2.36 or newer"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** Version that a program is compiled with: changes with the ABI while it is 0. See adaptq_version_number(). */
#define ADAPTQ_VERSION_MAJOR 0
/** Second part of the version: new functions and fields; below 1.0 also changes of the ABI. */
#define ADAPTQ_VERSION_MINOR 2
/** Third part of the version: corrections. */
#define ADAPTQ_VERSION_PATCH 0
/** The three parts as text. */
#define ADAPTQ_VERSION_STRING "0.2.0"

/** Stands before every function of the library. */
#define ADAPTQ_API __attribute__((visibility("default")))

/** Most dimensions of a tensor. */
#define ADAPTQ_MAX_RANK 8

/* ------------------------------------------------------------------------------------------------ status and errors */

/** Result of a call. The values never change; gaps are room for later ones. */
typedef int32_t adaptq_status;
/** Values of adaptq_status. */
enum {
  ADAPTQ_OK = 0,                  /* done */
  ADAPTQ_INVALID_ARGUMENT = 1,    /* NULL, wrong struct_size, count, type, rank, size, overlap or enum value */
  ADAPTQ_INVALID_HANDLE = 2,      /* not a live handle of the wanted kind */
  ADAPTQ_BUSY = 3,                /* a run is in progress on this session */
  ADAPTQ_OUT_OF_MEMORY = 4,       /* a buffer could not be allocated */
  ADAPTQ_CANCELLED = 5,           /* adaptq_session_cancel() stopped this call */
  ADAPTQ_NOT_FOUND = 10,          /* no such file, or no such part in the model */
  ADAPTQ_IO_ERROR = 11,           /* the system refused to open or read */
  ADAPTQ_INVALID_FILE = 12,       /* not a well-formed .adaptq file */
  ADAPTQ_UNSUPPORTED_VERSION = 13,/* a .adaptq file of a version this library does not know */
  ADAPTQ_UNSUPPORTED = 14,        /* well-formed, but nothing here can run it */
  ADAPTQ_NOT_PREPARED = 20,       /* adaptq_session_prepare() has not succeeded yet */
  ADAPTQ_OUT_OF_RANGE = 21,       /* a size above what was prepared, or a product that overflows */
  ADAPTQ_BUFFER_TOO_SMALL = 22,   /* the needed count has been written where the function says so */
  ADAPTQ_INTERNAL_ERROR = 90      /* a defect of adaptq; please report the text */
};

/** The name of a status, for example "ADAPTQ_BUSY"; "ADAPTQ_UNKNOWN_STATUS" for any other value. Never NULL, static. */
ADAPTQ_API const char *adaptq_status_name(adaptq_status status);

/** What went wrong in the calling thread's last failed call: names the field and the value. Never NULL; "" if no call of
 *  this thread has failed. The text belongs to the thread and stays until its next failing adaptq call. */
ADAPTQ_API const char *adaptq_last_error(void);

/** Version of the library at run time: major * 1000000 + minor * 1000 + patch. */
ADAPTQ_API int32_t adaptq_version_number(void);

/** Version of the library at run time as text, for example "0.2.0". Static. */
ADAPTQ_API const char *adaptq_version_string(void);

/** 1 if the library at run time has a feature, else 0; NULL and unknown names give 0. For hosts that load the library with
 *  dlopen() or run with a newer one than they were built with.
 *
 *  Names     "open-fd", "open-callback", "allocator", "ignore-environment", "strides", "tensor-types", "cancel", "trace",
 *            "memory-report", "metadata", "options", "code-generation", "threads", "parallel-for",
 *            "probe", "matrix", "states", "matrix-group", "power-sensors", "plans", "telemetry-file", "amx",
 *            "session-power", "poll-thread", "shadow", "costs", "thread-choice"
 *  Since     0.2 */
ADAPTQ_API int32_t adaptq_has_feature(const char *name);

/* ----------------------------------------------------------------------------------------------------------- types */

/** Precision of weights. The value is the number of bits, ADAPTQ_LEVEL_AUTO leaves the choice to the budget.
 *
 *  Attention has no weights and so no level: it follows that of the linear site that makes its queries. At FP32, without
 *  such a site, or on a CPU without AVX512-BF16 it multiplies 32-bit floats. Else it multiplies bfloat16 numbers; at integer
 *  levels and from 96 keys on, queries by keys as 8-bit codes with a scale per row. */
typedef int32_t adaptq_level;
/** Values of adaptq_level. */
enum {
  ADAPTQ_LEVEL_AUTO = 0,  /* the budget chooses */
  ADAPTQ_LEVEL_INT2 = 2,  /* 2-bit codes */
  ADAPTQ_LEVEL_INT4 = 4,  /* 4-bit codes */
  ADAPTQ_LEVEL_INT6 = 6,  /* 6-bit codes */
  ADAPTQ_LEVEL_INT8 = 8,  /* 8-bit codes */
  ADAPTQ_LEVEL_FP16 = 16, /* IEEE 754 binary16 */
  ADAPTQ_LEVEL_FP32 = 32  /* IEEE 754 binary32 */
};

/** A set of levels: one bit per level. */
enum {
  ADAPTQ_ALLOW_INT2 = 1,  /* ADAPTQ_LEVEL_INT2 */
  ADAPTQ_ALLOW_INT4 = 2,  /* ADAPTQ_LEVEL_INT4 */
  ADAPTQ_ALLOW_INT6 = 4,  /* ADAPTQ_LEVEL_INT6 */
  ADAPTQ_ALLOW_INT8 = 8,  /* ADAPTQ_LEVEL_INT8 */
  ADAPTQ_ALLOW_FP16 = 16, /* ADAPTQ_LEVEL_FP16 */
  ADAPTQ_ALLOW_FP32 = 32, /* ADAPTQ_LEVEL_FP32 */
  ADAPTQ_ALLOW_ALL = 63   /* all of them */
};

/** The name of a level, for example "INT8"; "AUTO" for ADAPTQ_LEVEL_AUTO, "UNKNOWN" for any other value. Static. */
ADAPTQ_API const char *adaptq_level_name(adaptq_level level);

/** Element type of a tensor. */
typedef int32_t adaptq_type;
/** Values of adaptq_type. */
enum {
  ADAPTQ_TYPE_FLOAT32 = 1, /* IEEE 754 binary32 */
  ADAPTQ_TYPE_INT64 = 2,   /* 64 bits, two's complement */
  ADAPTQ_TYPE_INT32 = 3,   /* 32 bits, two's complement */
  ADAPTQ_TYPE_FLOAT16 = 4, /* IEEE 754 binary16 */
  ADAPTQ_TYPE_INT8 = 5,    /* 8 bits, two's complement */
  ADAPTQ_TYPE_UINT8 = 6,   /* 8 bits, no sign */
  ADAPTQ_TYPE_BOOL = 7     /* one byte: 0 is false, anything else true (read as 1) */
};

/** Highest instruction set that generated code may use. */
typedef int32_t adaptq_isa;
/** Values of adaptq_isa. */
enum {
  ADAPTQ_ISA_DEFAULT = 0, /* the best this CPU and this system offer, or ADAPTQ_MAX_ISA from the environment */
  ADAPTQ_ISA_PORTABLE = 1, /* no generated code */
  ADAPTQ_ISA_AVX2 = 2, /* AVX2, FMA and F16C */
  ADAPTQ_ISA_AVXVNNI = 3, /* and AVX-VNNI */
  ADAPTQ_ISA_AVX512 = 4, /* F, BW, DQ, VL */
  ADAPTQ_ISA_AVX512VNNI = 5, /* and AVX-512 VNNI */
  ADAPTQ_ISA_AVX512BF16 = 6, /* and AVX-512 BF16 */
  ADAPTQ_ISA_AVX512FP16 = 7, /* and AVX512-FP16 */
  ADAPTQ_ISA_AMX = 8 /* and AMX tiles, which ADAPTQ_ISA_DEFAULT leaves out: see AMX above */
};

/** Handle of what models share: log, memory and kernels. */
typedef struct adaptq_runtime adaptq_runtime;
/** Handle of a model: graph and weights. */
typedef struct adaptq_model adaptq_model;
/** Handle of a session: one stream of inferences on a model. */
typedef struct adaptq_session adaptq_session;
/** Handle of a tokenizer. */
typedef struct adaptq_tokenizer adaptq_tokenizer;

/* --------------------------------------------------------------------------------------------------------- runtime */

/** Levels of log lines; each includes those before it. */
enum {
  ADAPTQ_LOG_WARNING = 1, /* something does not work as well as it could */
  ADAPTQ_LOG_INFO = 2,    /* what was opened, prepared, chosen */
  ADAPTQ_LOG_DEBUG = 3    /* for work on adaptq itself */
};

/** Receives one log line, without newline. Called on the thread that made the adaptq call, never inside a run.
 *  `message` is valid during the call only. */
typedef void (*adaptq_log_callback)(void *context, int32_t level, const char *message);

/** Gives `size` bytes at a multiple of `alignment`, not zeroed, or NULL. Any thread, several at once; never inside a run.
 *  `size` is above 0 and a multiple of 4096, `alignment` is 64. NULL makes the adaptq call fail with ADAPTQ_OUT_OF_MEMORY,
 *  memory at another address is released at once and gives ADAPTQ_INVALID_ARGUMENT. */
typedef void *(*adaptq_allocate_callback)(void *context, size_t size, size_t alignment);

/** Takes back what adaptq_allocate_callback gave, with the same size. Called when the last handle that needs the buffer is
 *  destroyed, or when a call fails. */
typedef void (*adaptq_release_callback)(void *context, void *memory, size_t size);

/** Whether machine code may be generated. */
enum {
  ADAPTQ_CODE_GENERATION_DEFAULT = 0, /* on */
  ADAPTQ_CODE_GENERATION_ON = 1,      /* generated kernels where they exist and the system allows them */
  ADAPTQ_CODE_GENERATION_OFF = 2      /* portable kernels only */
};

/** The host's own threads: calls body(body_context, index) once for each index from 0 to count - 1, in any order, on any
 *  threads, also at the same time, and returns when all these calls have returned.
 *
 *  Called inside adaptq_session_run() and adaptq_session_prepare(), on the thread that called them, some hundred times a
 *  run; sessions that run at the same time call it at the same time. `count` is at most the number of threads. It may call
 *  any of the bodies itself. `body` may be called for no longer than the call lasts, and sets the floating-point
 *  environment it needs, and the thread's own again. */
typedef void (*adaptq_parallel_for)(void *context, size_t count, void (*body)(void *body_context, size_t index),
                                    void *body_context);

/** Most threads that may work on a run. */
enum { ADAPTQ_MAX_THREADS = 1024 };

/** Threads of a runtime, shared by all its sessions.
 *
 *  threads      threads that work on one run, the calling one among them. 1: the library creates no thread. 0: as many
 *               as this machine is good for: physical cores that the calling thread may use, at most the CPU quota of its
 *               control group. Results do not depend on it: the same plan on the same CPU gives the same bits for any
 *               number of threads.
 *  The pool     workers are created by the first adaptq_session_prepare() that needs them and joined when the last handle
 *               made from the runtime, and the runtime's own, is destroyed. They are called "adaptq-0" and so on, block
 *               all signals, and use the CPUs that the thread which created the runtime may use. They spin only inside a
 *               run, at most 0.1 ms at a time, and sleep within 50 microseconds of its end. A run that finds another one
 *               using the pool uses its own thread alone. Small steps do too. Threads the system refuses are done
 *               without, which is logged.
 *  cpu_set      CPUs for the threads: worker i is bound to cpu_set[i + 1]; cpu_set[0] is meant for the thread that calls
 *               run, which is left as it is. threads 0 then means n_cpus, and more threads than CPUs are refused, as are
 *               CPUs that the calling thread may not use, or that come twice.
 *  parallel_for the host's threads instead of the pool; parallel_for_threads says how many bodies are worth calling at once
 *               (0: as for threads). `threads` and `n_cpus` must be 0 then. */
/** Options of adaptq_runtime_create(). */
typedef struct adaptq_runtime_options {
  size_t struct_size;
  adaptq_log_callback log; /* NULL: no log */
  void *log_context;       /* handed to log */
  int32_t log_level;       /* 0: ADAPTQ_LOG_WARNING */
  int32_t code_generation; /* ADAPTQ_CODE_GENERATION_*; default on. Off: portable kernels only */
  adaptq_isa max_isa;      /* ADAPTQ_ISA_* */
  /** All buffers of models, sessions, matrices and tokenizers made from this runtime that are or may be larger than 64 KiB. Not:
     small objects, pages of generated code. Both callbacks or none; they must stay callable until the runtime and everything
     made from it is destroyed. NULL: mmap. */
  adaptq_allocate_callback allocate;
  adaptq_release_callback release; /* takes back what allocate gave */
  void *allocator_context;         /* handed to allocate and release */
  int32_t ignore_environment; /* 1: no variable is looked at; 0: see Environment above */
  /* Threads, see above. */
  const int32_t *cpu_set;            /* CPU numbers, read during the call; NULL: none given */
  size_t n_cpus;                     /* 0 to 8192 */
  adaptq_parallel_for parallel_for;  /* NULL: the library's own pool */
  void *parallel_for_context;        /* handed to parallel_for */
  int32_t threads;                   /* 0 to ADAPTQ_MAX_THREADS */
  int32_t parallel_for_threads;      /* 0 to ADAPTQ_MAX_THREADS */
  const char *sensor_root; /* folder below which adaptq_runtime_poll() looks for /sys and /proc, UTF-8, up to 4096 bytes; NULL: "/".
                              Copied. Since 0.2 */
  int32_t poll_interval_ms; /* 0: no thread polls. Else one thread of the library does what adaptq_runtime_poll() does, so often;
                               1 to 3600000. See there. Since 0.2 */
  int32_t reserved;         /* 0 */
} adaptq_runtime_options;

/** Creates a runtime: CPU detection, log and kernels shared by models and sessions. Constructor.
 *
 *  Memory    `options` is read during the call; NULL means all defaults.
 *  Errors    ADAPTQ_INVALID_ARGUMENT  out NULL, wrong struct_size, unknown enum value, ADAPTQ_MAX_ISA not a known name,
 *                                     thread options that contradict each other or this machine
 *  Since     0.1 */
ADAPTQ_API adaptq_status adaptq_runtime_create(const adaptq_runtime_options *options, adaptq_runtime **out);

/** Destroys a runtime. Models and sessions made from it stay usable. NULL is accepted and does nothing. Destructor. */
ADAPTQ_API adaptq_status adaptq_runtime_destroy(adaptq_runtime *runtime);

/** How many threads may work on one run, the calling one among them. Creates none; after the first
 *  adaptq_session_prepare() fewer than asked for if the system refused some.
 *
 *  Errors    ADAPTQ_INVALID_HANDLE, ADAPTQ_INVALID_ARGUMENT
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_runtime_threads(adaptq_runtime *runtime, int32_t *out);

/** Options of adaptq_runtime_telemetry_file(). Together they make the size of the file, which may be at most 256 MiB; the
 *  defaults make 1.9 MB. */
typedef struct adaptq_telemetry_file_options {
  size_t struct_size;
  int32_t max_sessions; /* sessions at a time that the file has room for, 1 to 64; 0: 8 */
  int32_t max_records;  /* inferences kept for each session, 16 to 65536; 0: 512 */
  int32_t max_sites;    /* levels kept with each inference, 1 to 4096, rounded up to a multiple of 8; 0: 256. Of a model with
                           more sites only so many, the first ones, are kept */
} adaptq_telemetry_file_options;

/** Makes a file in which every session that is created from here on leaves a record of each run: time, latency, budget,
 *  level of every site, reason, slow-down, misses, energy; and each adaptq_runtime_poll() what it found. Other processes read it while this one runs: `adaptq watch PATH`, or a reader
 *  of your own; docs/telemetry-file.md defines every byte.
 *
 *  Meaning   The file is made at `path`, which must not exist (nor be a symbolic link), readable and writable for this
 *            process's user only (mode 0600 whatever the umask), at its full size, and mapped. A relative path is meant from the
 *            present folder. A run writes its record with plain stores: no allocation, no lock, no system call. A model opened
 *            before is no obstacle; sessions that exist already are not recorded. A session that finds all sections in use is
 *            not recorded either, which is logged; one that is destroyed leaves its section, with the records, to the next.
 *  Where     on tmpfs: /dev/shm, or /run/user/UID. Elsewhere the system writes pages to a disk now and then, and a run may wait
 *            for that.
 *  Lifetime  removed when the last handle made from the runtime, and the runtime's own, is destroyed; not if something else lies
 *            at `path` then. A process that ends without that leaves it behind: readers see that the process is gone, and the
 *            next one must remove the file or take another path.
 *  Danger    whoever may write the file (the same user, and root) can shorten it: the next run then ends the process with
 *            SIGBUS, as with any mapped file. Others' writes into it change nothing in this process.
 *  Fork      a child of fork() writes nothing into the file and does not remove it; it may ask for one of its own, for sessions
 *            that it creates.
 *  Memory    path and options are read during the call; options NULL: all defaults. The file's pages are not in
 *            adaptq_session_memory().
 *  Threads   any, at any time
 *  Errors    ADAPTQ_INVALID_ARGUMENT  path NULL or not UTF-8, wrong struct_size, an option out of its bounds, or the runtime
 *                                     has such a file already
 *            ADAPTQ_OUT_OF_RANGE      max_records below 16, or a file above 256 MiB
 *            ADAPTQ_NOT_FOUND         no such folder
 *            ADAPTQ_IO_ERROR          the path exists or is not allowed, the file system is full, or the file would be above
 *                                     RLIMIT_FSIZE. Nothing is left behind
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_runtime_telemetry_file(adaptq_runtime *runtime, const char *path,
                                                       const adaptq_telemetry_file_options *options);

/* --------------------------------------------------------------------------------------------------------- machine */

/** What the hardware, the operating system and the container give. Unknown counts and sizes are 0; what follows a comment
 *  "smallest" is the smallest where cores differ, so that work sized by it fits everywhere. */
typedef struct adaptq_machine_info {
  size_t struct_size;
  int32_t packages;             /* sockets */
  int32_t numa_nodes;           /* memory nodes */
  int32_t cores;                /* physical cores whose threads run */
  int32_t performance_cores;    /* those of the fastest kind; all of them where there is one kind */
  int32_t hardware_threads;     /* that run, allowed or not */
  int32_t allowed_threads;      /* hardware threads that the calling thread may use */
  int32_t recommended_threads;  /* physical cores in the allowed set, at most cpu_quota rounded down, at least 1 */
  adaptq_isa isa;               /* the highest that kernels may be made for within adaptq_runtime_options.max_isa */
  uint32_t isa_mask;            /* bit 1 << ADAPTQ_ISA_*: that set may be used */
  int32_t l3_count;             /* third-level caches */
  uint64_t l1d_size;            /* bytes of one first-level data cache, smallest */
  uint64_t l2_size;             /* bytes of one second-level cache, smallest */
  uint64_t l3_size;             /* bytes of one third-level cache, smallest */
  uint64_t memory_size;         /* bytes of the whole machine */
  uint64_t memory_limit;        /* bytes, the smallest limit of the control groups; 0: none */
  double cpu_quota;             /* CPUs' worth of time, the smallest quota of the control groups; 0: none */
} adaptq_machine_info;

/** Fills `info`. The topology is read once per process; allowed CPUs, quota and memory limit at every call, with some system
 *  calls, so a host may ask again when its container may have changed.
 *
 *  Threads   any, at any time; not for a time-critical path
 *  Errors    ADAPTQ_INVALID_ARGUMENT  info NULL, wrong struct_size
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_runtime_machine(adaptq_runtime *runtime, adaptq_machine_info *info);

/** CPUs that threads should go to, best first, as the operating system numbers them: one per physical core of the calling
 *  thread's allowed set, the fastest kind first, at most cpu_quota rounded down, at least one.
 *
 *  Memory    writes the numbers to `cpus` and how many to *count. With too small a capacity: ADAPTQ_BUFFER_TOO_SMALL, *count
 *            is the needed number, cpus is untouched. cpus may be NULL with capacity 0.
 *  Threads   any, at any time
 *  Errors    ADAPTQ_BUFFER_TOO_SMALL, ADAPTQ_INVALID_ARGUMENT  count NULL, cpus NULL with a capacity
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_runtime_thread_cpus(adaptq_runtime *runtime, int32_t *cpus, size_t capacity,
                                                    size_t *count);

/** Which kernels serve one level on this CPU. */
typedef struct adaptq_level_kernels {
  size_t struct_size;
  adaptq_level level;      /* the level asked for */
  adaptq_isa isa;          /* of the product kernels in use; ADAPTQ_ISA_PORTABLE where none was generated */
  int32_t generated_count; /* generated kernels in use */
  int32_t refused_count;   /* generated, but not in use: the system refused them or they disagree with their twins; the JSON
                              of adaptq_runtime_probe_json() says why */
} adaptq_level_kernels;

/** Fills `info` for `level`. The first call that needs kernels generates them, as the first session does: some milliseconds.
 *
 *  Threads   any, at any time
 *  Errors    ADAPTQ_INVALID_ARGUMENT  level not one of ADAPTQ_LEVEL_INT2 to ADAPTQ_LEVEL_FP32, info NULL, wrong struct_size
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_runtime_level_kernels(adaptq_runtime *runtime, adaptq_level level,
                                                      adaptq_level_kernels *info);

/** Everything that `adaptq probe --json` prints, as the same JSON: cores, caches, features, limits, kernels of each level and
 *  why better ones are not used. docs/probe-json.md describes the fields. Generates kernels like
 *  adaptq_runtime_level_kernels().
 *
 *  Memory    writes UTF-8 text with a terminating zero to `buffer`, and the number of bytes without it to *length. The
 *            capacity must be above that number; with too small a one: ADAPTQ_BUFFER_TOO_SMALL, *length is written, buffer
 *            is untouched. buffer may be NULL with capacity 0. The text may change between two calls: when it has grown, ask
 *            again.
 *  Threads   any, at any time
 *  Errors    ADAPTQ_BUFFER_TOO_SMALL, ADAPTQ_INVALID_ARGUMENT  length NULL, buffer NULL with a capacity
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_runtime_probe_json(adaptq_runtime *runtime, char *buffer, size_t capacity,
                                                   size_t *length);

/* ------------------------------------------------------------------------------------------------------------- power */

/** Where a power figure comes from. */
enum {
  ADAPTQ_POWER_NONE = 0,    /* nothing measures it here */
  ADAPTQ_POWER_RAPL = 1,    /* energy counters of all processor packages: whatever runs on them, not this process alone */
  ADAPTQ_POWER_DRIVER = 2,  /* what a hardware monitoring driver calls the power of the processors */
  ADAPTQ_POWER_BATTERY = 3  /* what batteries give while they discharge: the whole machine */
};

/** Why the source's last reading did not count. */
enum {
  ADAPTQ_SENSOR_OK = 0,           /* it did */
  ADAPTQ_SENSOR_VANISHED = 1,     /* no reading, or no number */
  ADAPTQ_SENSOR_OUT_OF_RANGE = 2, /* below 0, or beyond the counter's own range */
  ADAPTQ_SENSOR_FROZEN = 3,       /* a counter that stood still for two seconds */
  ADAPTQ_SENSOR_JUMPED = 4,       /* more power than any machine takes */
  ADAPTQ_SENSOR_CLOCK = 5,        /* the clock went back */
  ADAPTQ_SENSOR_DENIED = 6        /* the user of this process may not read it, as with RAPL since Linux 5.10 */
};

/** The sensors as of one adaptq_runtime_poll(). */
typedef struct adaptq_power_info {
  size_t struct_size;
  int32_t source;            /* ADAPTQ_POWER_*: of power_mw and energy_uj */
  int32_t fault;             /* ADAPTQ_SENSOR_*: of the source at this poll */
  double power_mw;           /* mean over the last second, or since the poll before if that is longer ago; 0: unknown */
  uint64_t energy_uj;        /* of all polls of this runtime that counted */
  uint64_t faults;           /* polls of this runtime that did not */
  int32_t on_battery;        /* 1 yes, 0 no, -1 unknown */
  int32_t battery_percent;   /* charge of the emptiest battery; -1 unknown */
  int32_t temperature_mc;    /* of the hottest processor sensor in thousandths of a degree Celsius; INT32_MIN unknown */
  int32_t is_capped;         /* 1 if a power saver or the firmware forbids the highest frequency */
  uint64_t frequency_khz;    /* mean over the processors' frequency domains; 0 unknown */
  uint64_t max_frequency_khz;/* what they could do; 0 unknown */
  uint64_t throttle_events;  /* times that processors throttled for heat since the first poll */
} adaptq_power_info;

/** Reads the power and heat sensors: powercap (RAPL), hwmon, batteries, cpufreq and thermal throttling, all from files below
 *  adaptq_runtime_options.sensor_root. Nothing else of adaptq reads them, and runs never do: a host that wants figures, or budgets of
 *  power that are measured, calls this every second or so. The first call finds the files and gives no power yet.
 *
 *  Thread    With adaptq_runtime_options.poll_interval_ms a thread of the library does it instead: the one thread that exists
 *            because a host asks for it and that no run uses. adaptq_runtime_create() makes it (where the system refuses it, the log
 *            says so), it is called "adaptq-poll", blocks all signals, sleeps between polls, never calls the log or any other
 *            callback, and is joined when the last handle made from the runtime, and the runtime's own, is destroyed; that may wait
 *            for a poll to end. This function may be called besides. A child of fork() has none until it calls this function.
 *  Memory    `info` may be NULL; else set struct_size
 *  Threads   any, at any time; calls of one runtime wait for each other. Makes system calls and allocates.
 *  Errors    ADAPTQ_INVALID_HANDLE, ADAPTQ_INVALID_ARGUMENT. A sensor that is missing or lies is not an error: see fault
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_runtime_poll(adaptq_runtime *runtime, adaptq_power_info *info);

/** The sensors as of the last poll, whoever made it, without reading them. With a telemetry file other processes see it, too.
 *
 *  Threads   any, at any time; does not wait for a poll
 *  Errors    ADAPTQ_NOT_FOUND  nothing has polled yet; *info is untouched
 *            ADAPTQ_INVALID_HANDLE, ADAPTQ_INVALID_ARGUMENT
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_runtime_power(adaptq_runtime *runtime, adaptq_power_info *info);

/* ----------------------------------------------------------------------------------------------------------- model */

/** Opens a `.adaptq` file. The file is read into memory; it may be changed or removed afterwards. Constructor.
 *
 *  Errors    ADAPTQ_NOT_FOUND, ADAPTQ_IO_ERROR  the path cannot be read (also a directory)
 *            ADAPTQ_INVALID_FILE, ADAPTQ_UNSUPPORTED_VERSION, ADAPTQ_UNSUPPORTED
 *            ADAPTQ_OUT_OF_MEMORY
 *  Since     0.1 */
ADAPTQ_API adaptq_status adaptq_model_open(adaptq_runtime *runtime, const char *path, adaptq_model **out);

/** Like adaptq_model_open() for a file that is in memory already. The bytes are copied. */
ADAPTQ_API adaptq_status adaptq_model_open_memory(adaptq_runtime *runtime, const void *data, size_t size,
                                                  adaptq_model **out);

/** Like adaptq_model_open() for a part of a file that is open already: `size` bytes from `offset` on; size 0 means all from
 *  `offset` to the end, which needs a regular file. Read with pread: the descriptor is neither moved nor closed.
 *
 *  Errors    ADAPTQ_IO_ERROR          not an open descriptor, not seekable, the file ends too early
 *            ADAPTQ_INVALID_ARGUMENT  fd negative
 *            ADAPTQ_OUT_OF_RANGE      offset behind the end, offset + size too large
 *            and those of adaptq_model_open()
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_model_open_fd(adaptq_runtime *runtime, int32_t fd, uint64_t offset, uint64_t size,
                                              adaptq_model **out);

/** Puts up to `size` bytes of the source, from `offset` on, into `buffer`. Returns how many, 1 to `size` (fewer than asked
 *  for is allowed: it is called again for the rest), 0 where the source ends, or a negative number: -errno. */
typedef int64_t (*adaptq_read_callback)(void *context, uint64_t offset, void *buffer, size_t size);

/** Like adaptq_model_open() for a source that the host reads: an archive, an encrypted file. `size` is the size of the whole
 *  `.adaptq` file. `read` is called on this thread, in order of offsets, and not after return.
 *
 *  Errors    ADAPTQ_IO_ERROR  `read` returned 0, a negative number or more than it was asked for
 *            and those of adaptq_model_open()
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_model_open_callback(adaptq_runtime *runtime, adaptq_read_callback read, void *context,
                                                    uint64_t size, adaptq_model **out);

/** Destroys the handle; sessions and tokenizers made from the model keep what they need. NULL does nothing. */
ADAPTQ_API adaptq_status adaptq_model_destroy(adaptq_model *model);

/** A tensor the model reads or writes. Sizes of -1 are chosen by the caller at each run; equal dim_names mean equal
 *  sizes. Texts belong to the model and live as long as any handle made from it. */
typedef struct adaptq_tensor_info {
  size_t struct_size;
  const char *name;               /* as in the model */
  adaptq_type type;               /* the model's: see adaptq_tensor for others that may be given */
  int32_t rank;                   /* how many of the sizes count */
  int64_t sizes[ADAPTQ_MAX_RANK]; /* -1: chosen by the caller */
  const char *dim_names[ADAPTQ_MAX_RANK]; /* NULL for fixed sizes, and for sizes of outputs that follow from others */
} adaptq_tensor_info;

/** How many tensors a run reads. */
ADAPTQ_API adaptq_status adaptq_model_input_count(adaptq_model *model, size_t *out);
/** How many tensors a run writes. */
ADAPTQ_API adaptq_status adaptq_model_output_count(adaptq_model *model, size_t *out);
/** Describes input `index`. ADAPTQ_OUT_OF_RANGE if there is none. `info->struct_size` is read. */
ADAPTQ_API adaptq_status adaptq_model_input(adaptq_model *model, size_t index, adaptq_tensor_info *info);
/** Describes output `index`. ADAPTQ_OUT_OF_RANGE if there is none. `info->struct_size` is read. */
ADAPTQ_API adaptq_status adaptq_model_output(adaptq_model *model, size_t index, adaptq_tensor_info *info);

/** The levels (ADAPTQ_ALLOW_*) at which every linear site of the model is stored. */
ADAPTQ_API adaptq_status adaptq_model_levels(adaptq_model *model, uint32_t *out);

/** Kinds of sites. */
enum {
  ADAPTQ_SITE_LINEAR = 1,   /* a matrix that inputs are multiplied with */
  ADAPTQ_SITE_EMBEDDING = 2 /* a table of which rows are looked up */
};

/** A place in the model that has weights: n outputs (rows of a table) by k inputs (width of a row). A convolution is a
 *  linear site whose inputs are those of all taps, the two products of a recurrent layer are a linear site each. */
typedef struct adaptq_site_info {
  size_t struct_size;
  const char *name; /* as in the model */
  int32_t kind;    /* ADAPTQ_SITE_* */
  uint32_t levels; /* ADAPTQ_ALLOW_*; an embedding table is read at 8 bits or in full whatever the level */
  int64_t n;             /* outputs, or rows of the table */
  int64_t k;             /* inputs, or width of a row */
  int64_t stored_bytes; /* all forms kept in memory */
} adaptq_site_info;

/** How many sites the model has. */
ADAPTQ_API adaptq_status adaptq_model_site_count(adaptq_model *model, size_t *out);
/** Describes site `index`. ADAPTQ_OUT_OF_RANGE if there is none. `info->struct_size` is read. */
ADAPTQ_API adaptq_status adaptq_model_site(adaptq_model *model, size_t index, adaptq_site_info *info);

/** How many texts of the user's own the file holds (`adaptq convert --metadata key=value`). */
ADAPTQ_API adaptq_status adaptq_model_metadata_count(adaptq_model *model, size_t *out);

/** Text `index`, in the order of the keys' bytes. Texts belong to the model and live as long as any handle made from it; a
 *  zero byte inside a text is shown as "?". ADAPTQ_OUT_OF_RANGE if there is none; key and value are untouched then. */
ADAPTQ_API adaptq_status adaptq_model_metadata(adaptq_model *model, size_t index, const char **key, const char **value);

/** The text with a key. ADAPTQ_NOT_FOUND if there is none, ADAPTQ_INVALID_ARGUMENT if `key` is not UTF-8; *value is untouched
 *  then. */
ADAPTQ_API adaptq_status adaptq_model_metadata_find(adaptq_model *model, const char *key, const char **value);

/** Where the bytes are. Of buffers above 64 KiB or that grow with the model; small objects are not counted. */
typedef struct adaptq_memory {
  size_t struct_size;
  uint64_t nested_bytes;    /* weights for INT8 to INT2 with their scales */
  uint64_t fp16_bytes;      /* weights kept as FP16 */
  uint64_t fp32_bytes;      /* weights kept as FP32 */
  uint64_t table_bytes;     /* embedding tables */
  uint64_t constant_bytes;  /* biases and other constants */
  uint64_t other_bytes;     /* the rest of a model's file: header, tokenizer, padding; names */
  uint64_t arena_bytes;     /* intermediate values at the largest prepared sizes */
  uint64_t scratch_bytes;   /* what operators need while they run */
  uint64_t state_bytes;     /* plan, telemetry, bookkeeping and states of a session */
  uint64_t code_bytes;      /* generated code: one copy per runtime, shared by its sessions */
  uint64_t total_bytes;     /* sum of the above */
} adaptq_memory;

/** What a model keeps; the kinds of a session are 0. `memory->struct_size` is read. */
ADAPTQ_API adaptq_status adaptq_model_memory(adaptq_model *model, adaptq_memory *memory);

/* --------------------------------------------------------------------------------------------------------- session */

/** Options of adaptq_session_create(). */
typedef struct adaptq_session_options {
  size_t struct_size;
  uint32_t allowed_levels; /* ADAPTQ_ALLOW_*; 0: every level that the model stores */
  int64_t measure_ns;      /* nanoseconds after which adaptq_session_prepare() begins no further measurement; 0: about 400 ms
                              per size. One run per allowed level is always made; plans that mix levels take no runs.
                              Since 0.2 */
  int32_t shadow;          /* 1: adaptq_session_shadow() may be called; adaptq_session_prepare() allocates what it needs, and each
                              run copies its inputs for it. 0: neither. Since 0.2 */
  int32_t choose_threads;  /* 1: adaptq_session_prepare() measures costs with fewer threads, too (all, powers of two below, one), in the
                              same time and so in fewer rounds; a budget of power or energy then chooses how many threads a run has,
                              see thread_mw. 0: a run has all that it may have. Since 0.2 */
} adaptq_session_options;

/** Creates a session: one stream of inferences on a model. Constructor.
 *
 *  Errors    ADAPTQ_INVALID_ARGUMENT  unknown bits in allowed_levels
 *            ADAPTQ_UNSUPPORTED       none of the allowed levels is stored
 *  Since     0.1 */
ADAPTQ_API adaptq_status adaptq_session_create(adaptq_model *model, const adaptq_session_options *options,
                                               adaptq_session **out);

/** Destroys a session. ADAPTQ_BUSY while a run or prepare is in progress: nothing is destroyed then. NULL does nothing. */
ADAPTQ_API adaptq_status adaptq_session_destroy(adaptq_session *session);

/** A tensor in the caller's memory, at any alignment: row-major and dense, or with strides. Inputs are only read.
 *
 *  Types     as in the model, or converted (model's type from or to the caller's):
 *              input float32   from float16, int8, uint8, bool: exact
 *              input int64     from int32, int8, uint8, bool: exact
 *              input int32     from int8, uint8, bool: exact; from int64: each value must fit
 *              output float32  to float16: rounded to nearest even, above 65504 infinite
 *              output int64    to int32: each value must fit
 *              output int32    to int64: exact
 *            A value that does not fit gives ADAPTQ_OUT_OF_RANGE and is named; outputs are untouched then.
 *  Strides   in elements, not bytes; all zero over the rank means dense. Element (i, j, ...) is at
 *            data + (i * strides[0] + j * strides[1] + ...) * size of an element. Negative ones are refused. A stride of 0
 *            beside others that are not repeats an input. No two elements of an output may share memory: ordered by
 *            size, each stride is at least the number of elements that the smaller ones span. Strides of axes of
 *            size 1 do not matter.
 *  Bytes     a tensor spans from its first to its last element; data_size is at least that, and overlap is judged by it. */
typedef struct adaptq_tensor {
  size_t struct_size;
  adaptq_type type;               /* ADAPTQ_TYPE_* */
  int32_t rank;                   /* how many of the sizes count */
  int64_t sizes[ADAPTQ_MAX_RANK]; /* elements along each axis */
  void *data;                     /* the first element */
  size_t data_size; /* bytes at `data`; at least what type, sizes and strides need */
  int64_t strides[ADAPTQ_MAX_RANK]; /* elements; all 0: dense */
} adaptq_tensor;

/** Allocates and measures costs for inputs up to the given sizes; later runs within them allocate nothing. (Code is
 *  generated once per runtime, by its first adaptq_session_create().) May be called again with other
 *  sizes; the former preparation stays valid if it fails.
 *
 *  Shapes    `max_inputs[i]` gives type, rank and the largest size of each dimension of input i; `data` is ignored and
 *            may be NULL.
 *  Time      up to 24 runs per allowed level, at the largest and at smaller sizes: the costs the budget is held with.
 *            Fewer with adaptq_session_options.measure_ns: the largest size first; sizes that were not measured count as
 *            costing in proportion, and runs correct that. No run at all with costs that another session of the same kind has
 *            exported, see adaptq_session_import_costs().
 *  Errors    ADAPTQ_BUSY, ADAPTQ_INVALID_ARGUMENT, ADAPTQ_OUT_OF_RANGE, ADAPTQ_OUT_OF_MEMORY, ADAPTQ_CANCELLED
 *  Since     0.1 */
ADAPTQ_API adaptq_status adaptq_session_prepare(adaptq_session *session, const adaptq_tensor *max_inputs,
                                                size_t n_inputs);

/** The shape output `index` will have for inputs of the given sizes (`data` is ignored).
 *
 *  Memory    writes type (the model's), rank, sizes and data_size (bytes needed when dense) of *output, zeroes strides,
 *            leaves `data` alone. struct_size is read.
 *  States    Since 0.2: a size that is the length of a growing state is the one behind the next run with these inputs, at
 *            most the state's maximum.
 *  Threads   ADAPTQ_BUSY during a run, and a run that begins during this call gets ADAPTQ_BUSY.
 *  Errors    ADAPTQ_NOT_PREPARED, ADAPTQ_OUT_OF_RANGE, ADAPTQ_INVALID_ARGUMENT, ADAPTQ_BUSY
 *  Since     0.1 */
ADAPTQ_API adaptq_status adaptq_session_output_shape(adaptq_session *session, const adaptq_tensor *inputs,
                                                     size_t n_inputs, size_t index, adaptq_tensor *output);

/** Why the level in use was chosen: the cause of its last change. */
enum {
  ADAPTQ_REASON_INITIAL = 1,        /* first choice, by the costs that adaptq_session_prepare() measured */
  ADAPTQ_REASON_FIXED = 2,          /* a level was set for the session or this call, or only one is allowed */
  ADAPTQ_REASON_BUDGET_MISSED = 3,  /* down: too many recent runs were above the budget */
  ADAPTQ_REASON_PREDICTED_MISS = 4, /* down: the predicted percentile is above the budget, or, for one run, after a surprise */
  ADAPTQ_REASON_HEADROOM = 5,       /* up: there is room, long enough after going down, or it went too far down */
  ADAPTQ_REASON_ASCENT_FAILED = 6,  /* down again soon after going up; the next attempt waits longer */
  ADAPTQ_REASON_LEVELS_CHANGED = 7, /* the allowed levels or the floor were changed, or a plan fell below the floor or rose above */
  ADAPTQ_REASON_BUDGET_CHANGED = 8, /* the budget was changed */
  ADAPTQ_REASON_NO_BUDGET = 9,      /* no budget: the best allowed level */
  ADAPTQ_REASON_WORK_CHANGED = 10,  /* same load, other sizes: another level fits */
  ADAPTQ_REASON_DEADLINE = 11,      /* the call's deadline_ns asked for a lower level, at its begin or on the way. Since 0.2 */
  ADAPTQ_REASON_PROBE = 12,         /* this run only: the next better level, to see whether it would hold. Since 0.2 */
  ADAPTQ_REASON_POWER = 13          /* a budget of power or energy asked for less than latency does: a lower plan, fewer threads.
                                       Since 0.2 */
};

/** The name of a reason, for example "predicted miss"; "unknown" for any other value. Static. */
ADAPTQ_API const char *adaptq_reason_name(int32_t reason);

/** Options of adaptq_session_run(). */
typedef struct adaptq_run_options {
  size_t struct_size;
  adaptq_level level;   /* this call only; ADAPTQ_LEVEL_AUTO: what the session says */
  /** Nanoseconds from its begin within which this call should end, up to 2^50 - 1; 0: no deadline. The call begins at the
      best level predicted to end in time, of those that the budget would choose or lower ones. Before each operator with
      weights outside of conditionals and loops, the time left is compared with the predicted rest: where it no longer
      suffices, this and all later ones go down to a level that does, or to the fastest. A fixed level stays: then the
      deadline is only reported. Since 0.2 */
  int64_t deadline_ns;
  int32_t max_threads;  /* this call only, at most so many threads, up to ADAPTQ_MAX_THREADS; 0: no limit */
} adaptq_run_options;

/** What stands behind an energy. */
enum {
  ADAPTQ_ENERGY_NONE = 0,     /* there is no budget of power or energy, so nobody asked */
  ADAPTQ_ENERGY_MODELLED = 1, /* the coefficients of the budget */
  ADAPTQ_ENERGY_PACKAGES = 2, /* the same, scaled to what the processors take, whoever uses them */
  ADAPTQ_ENERGY_MACHINE = 3,  /* the same with what the machine takes from its batteries */
  ADAPTQ_ENERGY_PROCESS = 4   /* the same with this process's share of either, by processor time */
};

/** What adaptq_session_run() did. */
typedef struct adaptq_run_report {
  size_t struct_size;
  uint64_t sequence;    /* number of this run in its session, from 1 */
  int64_t latency_ns;   /* monotonic time from the checked arguments to the written outputs */
  int64_t budget_ns;    /* 0: none */
  adaptq_level level;   /* of the linear sites, where they differ: of most of their weights; with a deadline: what the run
                           began with */
  int32_t reason;       /* ADAPTQ_REASON_* */
  int32_t budget_missed;/* 1 if latency_ns > budget_ns > 0; not an error */
  int32_t level_changed;/* 1 if the run before used another plan, or there was none */
  int32_t budget_unreachable; /* 1 if even the fastest allowed plan is predicted to miss */
  int32_t plan;         /* index of adaptq_session_plans(); with a deadline: what the run began with. Since 0.2 */
  /** Least data_size of the first tensor whose data_size is too small. This and needed_index are the only fields that a
      failed run writes, and only if it gives ADAPTQ_BUFFER_TOO_SMALL; a run that succeeds makes them 0. */
  uint64_t needed_bytes;
  uint64_t needed_index; /* that tensor: input i is i, output i is n_inputs + i */
  int32_t deadline_missed; /* 1 if latency_ns > deadline_ns > 0; not an error: the result is complete. Since 0.2 */
  int32_t dropped_sites;   /* linear sites that ran at a lower level than in `plan`, because of the deadline. Since 0.2 */
  /* With a budget of power or energy, else 0. Since 0.2 */
  int32_t power_unreachable; /* 1 if no plan holds the power at this rate of runs, or the energy of a run */
  int32_t energy_source;     /* ADAPTQ_ENERGY_* */
  double energy_mj;          /* of this run, without static power */
  int64_t recommended_interval_ns; /* from begin to begin, with which the plan of least energy would hold the power; 0: none */
  int64_t waited_ns;         /* before it began, for the power to hold: see max_wait_ns */
  double mean_cosine;      /* quality of `plan` that a floor goes by, as floor_mean_cosine of adaptq_plan_info, to within 2^-29.
                              Since 0.2 */
  int32_t quality_source;  /* ADAPTQ_QUALITY_*: where mean_cosine is from; 0 if it is not known. Since 0.2 */
  int32_t threads;         /* that might work on the run, the calling one among them: what was asked for, less where a budget of power
                              chose fewer, 1 while another run has the pool. Since 0.2 */
} adaptq_run_report;

/** Runs one inference: reads n_inputs tensors, writes n_outputs tensors, returns when all are written.
 *
 *  Meaning   Tensors come in the order of adaptq_model_input() and adaptq_model_output(). With a budget set, the level
 *            is chosen for each run. A missed budget is not an error: the result is complete. With a deadline for this call
 *            the level may also go down between two operators of it.
 *  Shapes    Rank and sizes as in the model; a size the model leaves open takes 1 (or what one window of its
 *            convolutions needs) up to the bound given to adaptq_session_prepare(). Output sizes: adaptq_session_output_shape().
 *  Memory    All buffers stay the caller's; nothing is kept after return. Exactly the bytes of each tensor are read or
 *            written. Outputs overlap neither inputs nor each other. The call allocates nothing and makes no system
 *            call, except to wake workers, to wait for one that the system holds up, and to sleep where a budget of power says so
 *            (max_wait_ns). `options` and `report` may
 *            be NULL; else set struct_size.
 *  Threads   One run at a time per session: a second one returns ADAPTQ_BUSY at once.
 *  Errors    ADAPTQ_NOT_PREPARED
 *            ADAPTQ_INVALID_ARGUMENT  NULL, wrong count, type, rank, size, overlap, or an input value outside the
 *                                     model's range (a token id that the embedding table does not have)
 *            ADAPTQ_OUT_OF_RANGE      a size above what was prepared
 *            ADAPTQ_OUT_OF_RANGE      (since 0.2) a growing state of the model has no room for what the run appends
 *            ADAPTQ_OUT_OF_RANGE      also a value that its type cannot hold, see adaptq_tensor, or options->deadline_ns
 *            ADAPTQ_BUFFER_TOO_SMALL  data_size below what the tensor needs: report->needed_bytes says how much that is
 *            ADAPTQ_UNSUPPORTED       options->level is not allowed in this session
 *            ADAPTQ_CANCELLED         adaptq_session_cancel() was called meanwhile
 *            ADAPTQ_BUSY
 *            On error outputs and *report are untouched, but for what ADAPTQ_BUFFER_TOO_SMALL writes.
 *  Since     0.1 */
ADAPTQ_API adaptq_status adaptq_session_run(adaptq_session *session, const adaptq_tensor *inputs, size_t n_inputs,
                                            const adaptq_tensor *outputs, size_t n_outputs,
                                            const adaptq_run_options *options, adaptq_run_report *report);

/** Asks the run, shadow run or prepare that is in progress on the session to stop: it returns ADAPTQ_CANCELLED before its next
 *  operator, outputs untouched, and leaves no trace in budget and telemetry. A prepare that is cancelled leaves the former preparation.
 *
 *  Threads   Any thread, at any time; also from a callback. Does not wait. Without a run or prepare in progress nothing
 *            happens, and a later run is not affected; a run that is just ending may still succeed.
 *  Errors    ADAPTQ_INVALID_HANDLE
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_session_cancel(adaptq_session *session);

/** One operator of one run. */
typedef struct adaptq_trace_event {
  size_t struct_size;
  const char *operation; /* for example "linear"; static */
  const char *site;      /* name of the site whose weights it read (the first of two), or NULL; lives with the session */
  int64_t site_index;    /* as for adaptq_model_site(), or -1 */
  uint64_t step;         /* position among the operators of the model, from 0; loops repeat some, branches skip some */
  uint64_t step_count;   /* operators of the model */
  adaptq_level level;    /* of the site; ADAPTQ_LEVEL_AUTO where there is none */
  int32_t reserved;      /* 0 */
  int64_t begin_ns;      /* monotonic time, CLOCK_MONOTONIC */
  int64_t end_ns;        /* the same clock */
} adaptq_trace_event;

/** Called inside a run after each operator, on the thread that runs. `event` is valid during the call only. The time it
 *  takes counts as latency of the run. */
typedef void (*adaptq_trace_callback)(void *context, const adaptq_trace_event *event);

/** Sets or, with NULL, removes the trace of a session. Without one a run does not look at the clock between operators. Not
 *  called while adaptq_session_prepare() measures. Holds over later prepares. The callback has the floating-point
 *  environment of a run: rounding to nearest, no flush to zero.
 *
 *  Errors    ADAPTQ_BUSY  a run or prepare is in progress
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_session_set_trace(adaptq_session *session, adaptq_trace_callback callback,
                                                  void *context);

/** What a session keeps besides its model, and the code it shares; the kinds of a model are 0. `memory->struct_size` is
 *  read. ADAPTQ_BUSY during a run or prepare. */
ADAPTQ_API adaptq_status adaptq_session_memory(adaptq_session *session, adaptq_memory *memory);

/* --------------------------------------------------------------------------------------------------------- states */
/* A model may have states: the memory of a recurrent layer, say. A session keeps them from run to run. They begin as zeros
 * and change only when a run has succeeded: a run that ends with any other status leaves them as they were, and so does
 * adaptq_session_prepare(), also called again. Some states grow with every run up to a fixed length (keys and values that
 * attention looks back at): a run that finds no room gets ADAPTQ_OUT_OF_RANGE, and so does adaptq_session_prepare() for
 * sizes with which one run would append more than an empty state holds. Models without states take these calls, too.
 * All of this is since 0.2. */

/** Sets all states of the session to zeros, growing ones to length 0: the next run begins a new sequence. Allocates
 *  nothing.
 *
 *  Threads   ADAPTQ_BUSY during a run or prepare; one that begins during this call gets ADAPTQ_BUSY.
 *  Errors    ADAPTQ_INVALID_HANDLE, ADAPTQ_BUSY
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_session_reset_state(adaptq_session *session);

/** Copies all states into the caller's memory, for adaptq_session_state_restore().
 *
 *  Memory    writes the bytes to `buffer`, which may lie at any alignment, and their number to *size. With a capacity
 *            below that: ADAPTQ_BUFFER_TOO_SMALL, *size is the needed number, `buffer` is untouched; buffer may be NULL
 *            with capacity 0. The number is the same for all sessions of a model, at least 32. Allocates nothing.
 *  Meaning   a header (who wrote it, a checksum), then the states. Good for this model on any machine and at any level,
 *            for as long as the model's states keep their names, order and types.
 *  Threads   as adaptq_session_reset_state()
 *  Errors    ADAPTQ_INVALID_HANDLE, ADAPTQ_BUSY, ADAPTQ_BUFFER_TOO_SMALL
 *            ADAPTQ_INVALID_ARGUMENT  size NULL, or buffer NULL with enough capacity
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_session_state_save(adaptq_session *session, void *buffer, size_t capacity,
                                                   size_t *size);

/** Sets all states to what adaptq_session_state_save() wrote, in this session or another one of the same model. `size` is
 *  the number it gave. The session need not be prepared.
 *
 *  Memory    `data` is read during the call, at any alignment. It need not be trusted: anything but undamaged bytes of a
 *            model with these states is refused, and no state changes then.
 *  Threads   as adaptq_session_reset_state()
 *  Errors    ADAPTQ_INVALID_HANDLE, ADAPTQ_BUSY
 *            ADAPTQ_INVALID_ARGUMENT  data NULL, another size, not a saved state, other states, damaged
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_session_state_restore(adaptq_session *session, const void *data, size_t size);

/* ---------------------------------------------------------------------------------------------- precision and budget */

/** Uses one level for every run from the next one on; ADAPTQ_LEVEL_AUTO returns to the budget. Copies and allocates
 *  nothing. ADAPTQ_UNSUPPORTED if the level is not allowed in this session. */
ADAPTQ_API adaptq_status adaptq_session_set_level(adaptq_session *session, adaptq_level level);

/** Restricts the levels the budget may choose from; 0 means all that the session allows. A plan that mixes levels may be
 *  chosen if all of them are allowed. ADAPTQ_UNSUPPORTED if the set holds a level that the session was not created with, or if
 *  no plan of these levels holds the quality floor, or none of these within a budget of power; nothing changes then. */
ADAPTQ_API adaptq_status adaptq_session_set_allowed_levels(adaptq_session *session, uint32_t allowed_levels);

/** Sets a latency budget: at least `percentile` per cent of the runs are to take at most `latency_ns`.
 *
 *  Units     latency_ns in nanoseconds of monotonic time, above 0; percentile from 50 to 99.9. latency_ns 0 removes
 *            the budget (percentile is ignored).
 *  Method    the best plan whose predicted latency holds; down at once after misses, up by one step after a dwell.
 *            Plans not expected to be faster than a better one on this machine at this size are not steps. Sessions of one
 *            runtime share what they see of the machine's load: one that goes on after a pause (of more than a second) begins with what has changed for the others.
 *  Errors    ADAPTQ_INVALID_ARGUMENT, ADAPTQ_OUT_OF_RANGE
 *  Since     0.1 */
ADAPTQ_API adaptq_status adaptq_session_set_latency_budget(adaptq_session *session, int64_t latency_ns,
                                                           double percentile);

/** What a budget of power asks for. */
enum {
  ADAPTQ_POWER_BEST_QUALITY = 0, /* the best plan within latency and power */
  ADAPTQ_POWER_LEAST_ENERGY = 1  /* the plan of least energy within latency and the floor of quality; power_mw and energy_mj may
                                    be 0 */
};

/** What of a measured power counts as that of runs, beyond static_mw. */
enum {
  ADAPTQ_ATTRIBUTE_ALL = 0,     /* all that the sensors see, whoever takes it */
  ADAPTQ_ATTRIBUTE_PROCESS = 1, /* this process's share, by processor time; all of it where /proc/stat does not say */
  ADAPTQ_ATTRIBUTE_MODEL = 2    /* nothing: the model alone counts */
};

/** A budget of power or energy, and the model that says what a run (of a session) or a frame (of a group) takes: its energy is
 *  active_mw, and thread_mw for each thread that may work on it, times its time on the idle machine, as measured when the session was
 *  prepared or the group was made (of a frame: of its products), plus pj_per_mac for each multiply-add and pj_per_byte for each byte of
 *  weights read, as the plan counts them.
 *  Average power is static_mw plus the energy of the runs at the rate at which the host makes them. All numbers are finite and
 *  not below 0. */
typedef struct adaptq_power_budget {
  size_t struct_size;
  double power_mw;    /* average over the window, static_mw included; 0: no cap */
  int64_t window_ns;  /* 0: 10 s */
  double energy_mj;   /* of one run or frame, without static_mw; 0: no limit */
  double static_mw;   /* what the machine takes whatever is run */
  double active_mw;   /* what computing takes on top of it */
  double pj_per_mac;  /* picojoules */
  double pj_per_byte; /* picojoules */
  /* Of sessions; 0 for groups. */
  int32_t mode;        /* ADAPTQ_POWER_BEST_QUALITY or ADAPTQ_POWER_LEAST_ENERGY */
  int32_t attribution; /* ADAPTQ_ATTRIBUTE_* */
  int64_t max_wait_ns; /* 0: no run waits. Else a run may wait so long before it begins, where even the plan of least energy is too
                          much at the host's rate; the wait is no part of its latency, and adaptq_session_cancel() ends it */
  double thread_mw;    /* milliwatts that each thread takes during the whole run, its waiting for the others included: the power of
                          another core at work. 0: fewer threads save nothing but where they are faster. Since 0.2 */
} adaptq_power_budget;

struct adaptq_limit_report;

/** Sets a budget of power or energy beside the one of latency: of the plans that latency and the floor of quality leave, each run
 *  has the best one that the energy left allows, or the one of least energy (mode). At a cap between two plans runs alternate
 *  between them, so that the average meets it. NULL removes it.
 *
 *  Choice    of threads, in a session with choose_threads: each plan counts with the number of threads that takes the least energy, of
 *            those with which its latency is expected to hold, of equal ones the largest; so the same plan may run with fewer threads,
 *            and a better one within the same energy. Results are the same bits. Only numbers that were measured are chosen, at most
 *            max_threads of the call. A call with a deadline, and one that tries a better plan (ADAPTQ_REASON_PROBE), has all. The
 *            controller compares a run with what so many threads were measured to take.
 *  Measured  The energies are modelled. Where adaptq_runtime_poll() (or the thread of poll_interval_ms) finds sensors of power,
 *            they are scaled by measured over modelled energy of the window, 1/8 to 8, and what still differs is made up for.
 *            Readings that cannot be true, and those that no factor of this range explains, do not count; reports say what stands
 *            behind their energy (ADAPTQ_ENERGY_*). Sessions of one runtime with such budgets share what is measured in
 *            proportion.
 *  Memory    `report` may be NULL; else set its struct_size. It is written when the call succeeds and when it gives
 *            ADAPTQ_UNSUPPORTED. Changes nothing unless it succeeds.
 *  Threads   any thread, any time; holds from the next run on
 *  Errors    ADAPTQ_UNSUPPORTED       the limits cannot hold together, at the largest prepared size on the idle machine; `report`
 *                                     and the error text name the one that cannot and the nearest value that can: energy_mj below
 *                                     the cheapest plan's, power_mw not above static_mw, or a floor of quality above what plans
 *                                     within the latency have. Before adaptq_session_prepare() only power_mw is looked at
 *            ADAPTQ_INVALID_ARGUMENT  neither power_mw nor energy_mj nor ADAPTQ_POWER_LEAST_ENERGY, no coefficient of energy,
 *                                     unknown mode or attribution, wrong struct_size
 *            ADAPTQ_OUT_OF_RANGE      a number that is negative, NaN or above 1e12, window_ns, max_wait_ns
 *            A cap that no plan can hold at the host's rate is no error: runs say so in power_unreachable, and
 *            recommended_interval_ns says what rate the plan of least energy could hold.
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_session_set_power_budget(adaptq_session *session, const adaptq_power_budget *budget,
                                                         struct adaptq_limit_report *report);

/** The budget that adaptq_session_set_power_budget() last set, with defaults in place of zeros. Any thread, any time.
 *
 *  Errors    ADAPTQ_NOT_FOUND  there is none; *budget is untouched
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_session_power_budget(adaptq_session *session, adaptq_power_budget *budget);

/** What a level costs here. */
typedef struct adaptq_level_cost {
  size_t struct_size;
  adaptq_level level;  /* of the linear sites */
  int32_t is_step;     /* 1 if the level is faster than every better one at that size; others are no step there */
  int64_t latency_ns;  /* median at the largest prepared size, measured by adaptq_session_prepare() */
} adaptq_level_cost;

/** Measured costs, best level first.
 *
 *  Memory    set costs[0].struct_size first: it is the distance of the entries. Writes all entries, with struct_size in
 *            each, and *count, the number there are. With too small a capacity: ADAPTQ_BUFFER_TOO_SMALL, *count
 *            is written, costs are not. costs may be NULL with capacity 0.
 *  Threads   ADAPTQ_BUSY during a run, and a run that begins during this call gets ADAPTQ_BUSY.
 *  Errors    ADAPTQ_NOT_PREPARED, ADAPTQ_BUSY
 *  Since     0.1 */
ADAPTQ_API adaptq_status adaptq_session_costs(adaptq_session *session, adaptq_level_cost *costs, size_t capacity,
                                              size_t *count);

/** How a session came by its costs. */
typedef struct adaptq_prepare_info {
  size_t struct_size;
  uint64_t measure_runs;   /* runs that the last adaptq_session_prepare() made to measure; 0 with imported costs */
  int64_t measure_ns;      /* what they took */
  int32_t costs_imported;  /* 1: costs were taken from adaptq_session_import_costs() */
  int32_t threads;         /* that may work on a run, the calling one among them */
  int32_t thread_counts;   /* numbers of threads that costs are known for; 1: runs have all threads, because choose_threads is 0,
                              there is one thread, costs were imported, or there was no time to measure. Since 0.2 */
  int32_t reserved;        /* 0 */
} adaptq_prepare_info;

/** Fills `info` for the last preparation that succeeded.
 *
 *  Threads   ADAPTQ_BUSY during a run, and a run that begins during this call gets ADAPTQ_BUSY.
 *  Errors    ADAPTQ_NOT_PREPARED, ADAPTQ_BUSY, ADAPTQ_INVALID_ARGUMENT
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_session_prepare_info(adaptq_session *session, adaptq_prepare_info *info);

/** Copies what this session knows about costs into the caller's memory: what was measured (or imported) and how runs have
 *  corrected it since. For adaptq_session_import_costs(), in another process too; docs/costs-format.md defines every byte.
 *
 *  Memory    writes the bytes to `buffer`, which may lie at any alignment, and their number to *size. With a capacity below
 *            that: ADAPTQ_BUFFER_TOO_SMALL, *size is the needed number, `buffer` is untouched; buffer may be NULL with
 *            capacity 0. The number stays the same until the session is prepared again.
 *  Threads   as adaptq_session_prepare_info(); not for a time-critical path
 *  Errors    ADAPTQ_NOT_PREPARED, ADAPTQ_BUSY, ADAPTQ_BUFFER_TOO_SMALL
 *            ADAPTQ_INVALID_ARGUMENT  size NULL, or buffer NULL with enough capacity
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_session_export_costs(adaptq_session *session, void *buffer, size_t capacity,
                                                     size_t *size);

/** Gives a session exported costs, between adaptq_session_create() and adaptq_session_prepare(): a preparation for the sizes
 *  that they were measured with makes no measurement then, and one for other sizes measures as ever. A later call replaces
 *  what an earlier one gave; what is prepared already stays as it is.
 *
 *  Meaning   costs hold for a CPU and the instructions that may be used, the kernels of this version, the model's file, the
 *            number of threads, the levels that the session allows, and the prepared sizes. All but the sizes is compared here.
 *            They are those with all threads: a session with choose_threads that takes them over has no choice of threads.
 *            That the machine is as fast as it was, nobody checks: runs correct that, as they do after measuring.
 *  Memory    `data` is read during the call, at any alignment, and copied. It need not be trusted: whatever it says is checked, and
 *            on an error nothing changes.
 *  Threads   as adaptq_session_prepare_info(); not for a time-critical path
 *  Errors    ADAPTQ_UNSUPPORTED          costs of something else: the text names the field, its value and the one here. A host
 *                                        goes on without them then
 *            ADAPTQ_UNSUPPORTED_VERSION  another form of these bytes
 *            ADAPTQ_INVALID_ARGUMENT     data NULL, no exported costs, cut off, damaged
 *            ADAPTQ_BUSY
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_session_import_costs(adaptq_session *session, const void *data, size_t size);

/* Plans: what the budget chooses from. A plan gives each linear site a level. A file that `adaptq tune` has written stores
 * plans that mix levels, with their quality; a session uses those whose levels it allows. Without stored plans there is one
 * per level. A fixed level is always the plan in which all linear sites have it. */

/** Where the quality of a plan is known from. What is further down counts before what is further up, when there is enough of it. */
enum {
  ADAPTQ_QUALITY_UNKNOWN = 0,    /* nowhere from */
  ADAPTQ_QUALITY_CALIBRATED = 1, /* measured when the file was tuned */
  ADAPTQ_QUALITY_SHADOWED = 2,   /* adaptq_session_shadow(), from 16 comparisons on */
  ADAPTQ_QUALITY_REPORTED = 3    /* adaptq_session_report_quality(), from 16 scores on; mean only */
};

/** The name of a source, for example "shadowed"; "unknown" for any other value. Static. Since 0.2 */
ADAPTQ_API const char *adaptq_quality_source_name(int32_t source);

/** A plan of a session. */
typedef struct adaptq_plan_info {
  size_t struct_size;
  double mean_cosine;  /* quality, measured when the file was tuned: cosine of the outputs with those of the best level in the
                          file, mean over all output rows of the calibration set; 0 where the file stores no plans */
  double p5_cosine;    /* the same, 5th percentile: 95 % of the rows came at least as near */
  int64_t latency_ns;  /* at the largest prepared size: measured for plans of one level, predicted from the measured times of
                          the operators for others */
  adaptq_level level;  /* of all linear sites, or of most of their weights */
  int32_t is_mixed;    /* 1 if linear sites have different levels */
  int32_t is_step;     /* 1 if at that size clearly faster than every better plan that is a step; others are no step there */
  int32_t reserved;    /* 0 */
  int64_t sites_int2;  /* how many linear sites have ADAPTQ_LEVEL_INT2 */
  int64_t sites_int4;  /* the same for ADAPTQ_LEVEL_INT4 */
  int64_t sites_int6;  /* the same for ADAPTQ_LEVEL_INT6 */
  int64_t sites_int8;  /* the same for ADAPTQ_LEVEL_INT8 */
  int64_t sites_fp16;  /* the same for ADAPTQ_LEVEL_FP16 */
  int64_t sites_fp32;  /* the same for ADAPTQ_LEVEL_FP32 */
  /* What follows is learned while the host runs and stays over adaptq_session_prepare(). All since 0.2. */
  double floor_mean_cosine; /* what adaptq_session_set_quality_floor() compares, with its source; 0 where nothing is known. Shadowed
                          cosines are with plan 0 of the session: what that lost against the file's best level, calibrated, is
                          taken off */
  double floor_p5_cosine; /* the same for the 5th percentile */
  int32_t mean_source; /* ADAPTQ_QUALITY_* of floor_mean_cosine */
  int32_t p5_source;   /* ADAPTQ_QUALITY_* of floor_p5_cosine */
  int32_t is_below_floor; /* 1 if the last run would not have chosen it, because it is below the floor */
  int32_t reserved1;   /* 0 */
  int64_t shadow_samples; /* comparisons with plan 0 by adaptq_session_shadow() */
  int64_t shadow_rows; /* the newest output rows of them, which the next three are taken over: at most 512, 32 of a comparison */
  double shadow_mean_cosine; /* with plan 0; 0 without rows, as the next two */
  double shadow_p5_cosine; /* 5th percentile */
  double shadow_snr_db; /* energy of plan 0's outputs over that of the differences, in decibels, from the mean of the rows'
                          ratios; at most 300 */
  int64_t reports;     /* scores by adaptq_session_report_quality(); counting ends at 16777215 */
  double reported_mean; /* of them: of all up to the 64th, then each new one counts as one of 64; 0 without */
} adaptq_plan_info;

/** The plans of a session, best quality first: at most 64.
 *
 *  Memory    set plans[0].struct_size first: it is the distance of the entries. Writes all entries, with struct_size in
 *            each, and *count, the number there are. With too small a capacity: ADAPTQ_BUFFER_TOO_SMALL, *count
 *            is written, plans are not. plans may be NULL with capacity 0.
 *  Threads   ADAPTQ_BUSY during a run, and a run that begins during this call gets ADAPTQ_BUSY.
 *  Errors    ADAPTQ_NOT_PREPARED, ADAPTQ_BUSY, ADAPTQ_INVALID_ARGUMENT
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_session_plans(adaptq_session *session, adaptq_plan_info *plans, size_t capacity,
                                              size_t *count);

/** The level that plan `index` gives each site of the model, in the order of adaptq_model_site(); for an embedding table
 *  ADAPTQ_LEVEL_INT8. `count` must be the number of sites. ADAPTQ_OUT_OF_RANGE if there is no such plan; ADAPTQ_BUSY as for
 *  adaptq_session_plans(). Need not be prepared.
 *
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_session_plan_sites(adaptq_session *session, size_t index, adaptq_level *levels,
                                                   size_t count);

/** Limits that adaptq_session_set_quality_floor(), adaptq_session_set_power_budget() and adaptq_session_set_budget() may find to be out
 *  of reach. */
enum {
  ADAPTQ_LIMIT_NONE = 0,        /* all hold */
  ADAPTQ_LIMIT_MEAN_COSINE = 1, /* no plan has such a mean; with a budget of power: none that the other limits leave */
  ADAPTQ_LIMIT_P5_COSINE = 2,   /* no plan with the wanted mean has such a 5th percentile */
  ADAPTQ_LIMIT_ENERGY = 3,      /* no plan takes so little; nearest in millijoules */
  ADAPTQ_LIMIT_POWER = 4,       /* static_mw alone is as much; nearest is that, any power above it may hold */
  ADAPTQ_LIMIT_LATENCY = 5,     /* no plan within the other limits is so fast; nearest in nanoseconds */
  ADAPTQ_LIMIT_LEVELS = 6       /* a level is not in this session; nearest is the set of those that are */
};

/** Which limit cannot hold, and the nearest value that can. */
typedef struct adaptq_limit_report {
  size_t struct_size;
  int32_t limit;    /* ADAPTQ_LIMIT_* */
  int32_t reserved; /* 0 */
  double nearest;   /* the value nearest to the wanted one that can hold, in the unit of the limit; 0 with ADAPTQ_LIMIT_NONE */
} adaptq_limit_report;

/** Sets a floor under the quality of the plans that the budget may choose, also on the way to a deadline. A fixed level is not
 *  looked at.
 *
 *  Evidence  Each plan is judged by floor_mean_cosine and floor_p5_cosine of adaptq_plan_info. When evidence of the host's own
 *            runs shows a plan below the floor it is not chosen any more, from the next run on, and again when it is above by
 *            a tenth of what the floor allows to lose; one that shows itself better than calibrated may be chosen. If such
 *            evidence leaves no plan of the allowed levels, the best of them is used.
 *  Units     cosines as in adaptq_plan_info, 0 to 1, kept to within 2^-29; 0 is no floor.
 *  Memory    `report` may be NULL; else set its struct_size. It is written when the call succeeds and when it gives
 *            ADAPTQ_UNSUPPORTED: no plan of the allowed levels is good enough, and nothing has changed.
 *  Threads   any, at any time; holds from the next run on
 *  Errors    ADAPTQ_UNSUPPORTED       no allowed plan holds both limits, or, with a budget of power, none of those that its
 *                                     energy_mj and the latency leave: `report` and the error text name the one that cannot hold
 *                                     and the nearest value that can
 *            ADAPTQ_NOT_FOUND         the file stores no plans and the session was created without `shadow`, so nothing is known
 *                                     about quality (without a floor: no error). With `shadow` only plan 0 holds a floor
 *                                     until adaptq_session_shadow() has shown that others do
 *            ADAPTQ_INVALID_ARGUMENT  wrong struct_size
 *            ADAPTQ_OUT_OF_RANGE      a limit outside of 0 to 1
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_session_set_quality_floor(adaptq_session *session, double mean_cosine,
                                                          double p5_cosine, adaptq_limit_report *report);

/** All limits of a session together. */
typedef struct adaptq_budget {
  size_t struct_size;
  int64_t latency_ns;      /* as in adaptq_session_set_latency_budget(); 0: no budget */
  double percentile;       /* the same; 0: 95 */
  double mean_cosine;      /* as in adaptq_session_set_quality_floor() */
  double p5_cosine;        /* the same */
  uint32_t allowed_levels; /* as in adaptq_session_set_allowed_levels(); 0: all that the session allows */
  int32_t reserved;        /* 0 */
} adaptq_budget;

/** Sets latency budget, quality floor and allowed levels at once, or, where they cannot hold together, none of them.
 *
 *  Meaning   The limits must leave a plan: made of the allowed levels, as good as the floor, and at the largest prepared size
 *            typically as fast as latency_ns, as adaptq_session_prepare() measured it (or as costs were imported). Before a
 *            preparation latency is not looked at. Where they do not, `report` and the error text name the first limit that cannot
 *            hold beside those before it (levels, mean, 5th percentile, latency) and the nearest value that can. A percentile
 *            needs some room above what runs typically take; that and the load of the machine no call can promise:
 *            adaptq_run_report.budget_unreachable tells later. adaptq_session_set_latency_budget() takes any latency.
 *  Memory    `budget` NULL removes all limits. `report` may be NULL; else set its struct_size. It is written when the call succeeds
 *            and when it gives ADAPTQ_UNSUPPORTED; nothing has changed then. Allocates nothing.
 *  Threads   any, at any time; holds from the next run on. A run that begins during this call may have the new floor and levels with the
 *            old latency
 *  Errors    ADAPTQ_UNSUPPORTED       the limits cannot hold together, or a level is not in this session
 *            ADAPTQ_NOT_FOUND         the file stores no plans, so nothing is known about quality (without a floor: no error)
 *            ADAPTQ_INVALID_ARGUMENT  wrong struct_size, reserved
 *            ADAPTQ_OUT_OF_RANGE      a field outside of its bounds
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_session_set_budget(adaptq_session *session, const adaptq_budget *budget,
                                                   adaptq_limit_report *report);

/* ------------------------------------------------------------------------------------------ quality while the host runs */
/* What a calibration set says about quality holds for inputs like those of the set. A session can look whether it still does: with
 * shadow runs, when the host has time, and by what the host itself thinks of the results. All of this is since 0.2. */

/** Options of adaptq_session_shadow(). */
typedef struct adaptq_shadow_options {
  size_t struct_size;
  int32_t plan;        /* to compare with plan 0; 0: the plan of the run whose inputs are kept, then those compared least often */
  int32_t max_threads; /* at most so many threads, up to ADAPTQ_MAX_THREADS; 0: no limit */
  int32_t forget;      /* 1: what shadow runs found before is forgotten first, also if this call fails later on: comparisons of all
                          plans, and what adaptq_session_drift() observed */
  int32_t reserved;    /* 0 */
} adaptq_shadow_options;

/** What adaptq_session_shadow() did. */
typedef struct adaptq_shadow_report {
  size_t struct_size;
  int32_t plan;         /* that was compared with plan 0; 0: none, because the session has no other */
  int32_t reserved;     /* 0 */
  int64_t rows;         /* output rows compared: all values along the last dimension of an output of floats */
  double mean_cosine;   /* of these rows */
  double snr_db;        /* energy of plan 0's outputs over that of the differences, in decibels, at most 300 */
  int64_t samples;      /* comparisons of this plan so far, this one included */
  int64_t latency_ns;   /* what the call took: about what two runs take, one at plan 0 and one at `plan` */
  int64_t reference_ns; /* of that, the run at plan 0 */
  int64_t plan_ns;      /* of that, the run at `plan` */
} adaptq_shadow_report;

/** Runs inputs twice more, at plan 0 (the session's best) and at another one, and compares the outputs: what adaptq_plan_info and
 *  quality floors know about that plan. Also gathers what adaptq_session_drift() shows. For when the host is idle.
 *
 *  Inputs    NULL with n_inputs 0: those of the session's last run, which it has kept if it succeeded; else as in
 *            adaptq_session_run(), and kept in place of them.
 *  Leaves    the host's outputs, states (each of the two runs begins at the present ones), budget, predictions, telemetry and
 *            trace as they are. Pays with caches: the next run may find less of its weights there.
 *  Memory    allocates nothing. `options` and `report` may be NULL; else set struct_size.
 *  Threads   as adaptq_session_run(): ADAPTQ_BUSY at once while another call is in progress, and a run that begins meanwhile
 *            gets ADAPTQ_BUSY. adaptq_session_cancel() stops it.
 *  Errors    ADAPTQ_UNSUPPORTED       the session was created without adaptq_session_options.shadow
 *            ADAPTQ_NOT_FOUND         no inputs given, and none kept: no run since adaptq_session_prepare(), or the last failed
 *            ADAPTQ_OUT_OF_RANGE      options->plan: there is no such plan
 *            those of adaptq_session_run() that are about inputs, states, cancelling and preparation
 *            On error *report is untouched and nothing has been learned.
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_session_shadow(adaptq_session *session, const adaptq_tensor *inputs, size_t n_inputs,
                                               const adaptq_shadow_options *options, adaptq_shadow_report *report);

/** Tells the session what the host thinks of the results of a plan: a click, a transcript that was corrected, a comparison of its
 *  own.
 *
 *  Units     `plan` as in adaptq_run_report; runs with dropped_sites above 0 were not quite at it and are better left out.
 *            `score` from 0 to 1, to be compared with the cosines of adaptq_session_set_quality_floor().
 *  Method    kept per plan as number and mean, see adaptq_plan_info; from 16 scores on the mean counts before all other evidence.
 *  Memory    allocates nothing
 *  Threads   any thread at any time, several at once; holds from the next run on
 *  Errors    ADAPTQ_OUT_OF_RANGE      no such plan, or a score outside of 0 to 1
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_session_report_quality(adaptq_session *session, int32_t plan, double score);

/** How large the inputs of one site are: of each row (all values along the last dimension) the largest magnitude, over the rows of
 *  the calibration set and over those of shadow runs, at plan 0. Integer levels scale each row by itself, so nothing is clipped; inputs
 *  of other sizes than calibrated say that the file's qualities may not hold. */
typedef struct adaptq_site_drift {
  size_t struct_size;
  int64_t calibrated_rows;     /* 0: unknown, the file was not tuned or by an older version, or the site has no input of its own:
                                  embedding tables, recurrent weights. Then what follows up to calibrated_greatest is 0 */
  double calibrated_mean;      /* of the rows' largest magnitudes */
  double calibrated_deviation; /* their standard deviation */
  double calibrated_least;     /* of the largest magnitudes */
  double calibrated_greatest;  /* of the largest magnitudes */
  int64_t observed_rows;       /* 0: no shadow run yet, or a number was not finite; then the rest is 0 */
  double observed_mean;        /* as calibrated_mean */
  double observed_deviation;   /* as calibrated_deviation */
  double observed_least;       /* as calibrated_least */
  double observed_greatest;    /* as calibrated_greatest */
  double ratio;                /* observed_mean / calibrated_mean; 0: unknown */
  int64_t rows_outside;        /* observed rows below calibrated_least or above calibrated_greatest */
} adaptq_site_drift;

/** How the inputs of each site have drifted from those of the calibration, in the order of adaptq_model_site(). Without
 *  adaptq_session_options.shadow nothing is observed.
 *
 *  Memory    set sites[0].struct_size first: it is the distance of the entries. Writes all entries, with struct_size in
 *            each, and *count, the number there are. With too small a capacity: ADAPTQ_BUFFER_TOO_SMALL, *count
 *            is written, sites are not. sites may be NULL with capacity 0.
 *  Threads   ADAPTQ_BUSY during a run, and a run that begins during this call gets ADAPTQ_BUSY.
 *  Errors    ADAPTQ_BUSY, ADAPTQ_INVALID_ARGUMENT
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_session_drift(adaptq_session *session, adaptq_site_drift *sites, size_t capacity,
                                              size_t *count);

/** One inference of the past. */
typedef struct adaptq_telemetry {
  size_t struct_size;
  uint64_t sequence;   /* number of the inference in its session, from 1 */
  int64_t latency_ns;  /* as in adaptq_run_report */
  int64_t budget_ns;   /* 0: none */
  int64_t work;        /* product of the sizes the caller chose, for example batch x sequence length */
  adaptq_level level;  /* of the linear sites, as in adaptq_run_report */
  int32_t reason;      /* ADAPTQ_REASON_* */
  int32_t budget_missed; /* 1 if latency_ns > budget_ns > 0 */
  int32_t plan;        /* index of adaptq_session_plans(). Since 0.2 */
  /* With a budget of power or energy, else 0; as in adaptq_run_report. Since 0.2 */
  int32_t power_unreachable; /* 1 if no plan held the power at this rate of runs, or the energy of a run */
  int32_t energy_source;     /* ADAPTQ_ENERGY_* */
  double energy_mj;          /* of this run, without static power */
  int64_t recommended_interval_ns; /* from begin to begin, with which the plan of least energy would hold the power; 0: none */
  int32_t threads;           /* as in adaptq_run_report. Since 0.2 */
  int32_t reserved;          /* 0 */
} adaptq_telemetry;

/** The last inferences, oldest first: at most 256 are kept.
 *
 *  Memory    set entries[0].struct_size first: it is the distance of the entries. Writes min(capacity, kept) entries,
 *            the newest ones, and their number to *count.
 *  Threads   Never disturbs a run. ADAPTQ_BUSY if a run is in progress or begins during this call: ask again.
 *  Errors    ADAPTQ_BUSY, ADAPTQ_INVALID_ARGUMENT
 *  Since     0.1 */
ADAPTQ_API adaptq_status adaptq_session_telemetry(adaptq_session *session, adaptq_telemetry *entries, size_t capacity,
                                                  size_t *count);

/** The level each site of the model had in inference `sequence`, in the order of adaptq_model_site(). `count` must be
 *  the number of sites. ADAPTQ_NOT_FOUND if that inference is not among those kept; ADAPTQ_BUSY during a run. */
ADAPTQ_API adaptq_status adaptq_session_telemetry_sites(adaptq_session *session, uint64_t sequence,
                                                        adaptq_level *levels, size_t count);

/* ------------------------------------------------------------------------------------------------------- tokenizer */

/** Makes the model's tokenizer. ADAPTQ_NOT_FOUND if the file holds none. Immutable: any threads may share it. */
ADAPTQ_API adaptq_status adaptq_tokenizer_create(adaptq_model *model, adaptq_tokenizer **out);

/** Destroys a tokenizer. NULL is accepted and does nothing. Destructor. */
ADAPTQ_API adaptq_status adaptq_tokenizer_destroy(adaptq_tokenizer *tokenizer);

/** What is fixed about a tokenizer. */
typedef struct adaptq_tokenizer_info {
  size_t struct_size;
  int64_t vocabulary_size; /* ids are below this */
  int64_t pad_id;     /* -1: none */
  int64_t max_length; /* longest sequence the tokenizer's own settings allow; 0: no bound */
} adaptq_tokenizer_info;

/** Describes a tokenizer. `info->struct_size` is read. */
ADAPTQ_API adaptq_status adaptq_tokenizer_get_info(adaptq_tokenizer *tokenizer, adaptq_tokenizer_info *info);

/** Turns UTF-8 text into token ids, with the model's special tokens.
 *
 *  Memory    reads `length` bytes at `text` (no terminator needed), writes the ids and their number to *count. With too
 *            small a capacity: ADAPTQ_BUFFER_TOO_SMALL, *count is the needed number, ids is untouched. ids may be NULL
 *            with capacity 0.
 *  Shapes    max_length above 0 shortens to that many ids, special tokens included; 0: no shortening.
 *  Errors    ADAPTQ_INVALID_ARGUMENT  not UTF-8 (the text names the byte), max_length negative or too small for the
 *                                     special tokens
 *  Since     0.1 */
ADAPTQ_API adaptq_status adaptq_tokenizer_encode(adaptq_tokenizer *tokenizer, const char *text, size_t length,
                                                 int64_t max_length, int64_t *ids, size_t capacity, size_t *count);

/* --------------------------------------------------------------------------------------------------------- options */

/** What an option holds. */
enum {
  ADAPTQ_OPTION_INT32 = 1,  /* int32_t */
  ADAPTQ_OPTION_UINT32 = 2, /* uint32_t */
  ADAPTQ_OPTION_INT64 = 3,  /* int64_t */
  ADAPTQ_OPTION_DOUBLE = 4, /* double */
  ADAPTQ_OPTION_POINTER = 5 /* a callback or its context: no bounds */
};

/** A field of an option struct, or a parameter that has bounds. The checks themselves use these bounds. Texts are static. */
typedef struct adaptq_option_info {
  size_t struct_size;
  const char *owner;       /* "adaptq_runtime_options", or the function whose parameter it is */
  const char *name;        /* "log_level" */
  const char *description; /* one line */
  int32_t type;            /* ADAPTQ_OPTION_* */
  int32_t is_field;        /* 1: a field of the struct `owner`; 0: a parameter of the function `owner` */
  uint64_t offset;         /* of a field in its struct, in bytes */
  double minimum;          /* least allowed value; one between the bounds may be refused where description says so */
  double maximum;          /* largest allowed value */
  double default_value;    /* what 0 means; 0 where 0 means itself */
} adaptq_option_info;

/** How many options there are. */
ADAPTQ_API size_t adaptq_option_count(void);

/** Describes option `index`. ADAPTQ_OUT_OF_RANGE if there is none. `info->struct_size` is read.
 *
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_option_describe(size_t index, adaptq_option_info *info);

/* -------------------------------------------------------------------------------------------------------- matrices */

/* For hosts that have their own graph: one weight matrix, multiplied at a level that each call chooses.
 *
 * y = activation(x W^T + bias) + residual, with n outputs, k inputs, W[n][k], x[rows][k], y[rows][n], residual[rows][n].
 * All strides count elements, not bytes. Data pointers may have any alignment.
 *
 * The weights are copied and encoded once, when the matrix is made; every integer level is read from that one store. A
 * matrix holds INT8, INT6, INT4 and INT2, and FP16 and FP32 if `keep` says so.
 *
 * Integer levels multiply 8-bit activations: per row and group of 64 inputs a scale max|x| / 127 and codes x / scale,
 * rounded to nearest. On CPUs without an 8-bit dot product, INT8 products of more than four rows carry weights and activations
 * as 16-bit fixed-point numbers: a weight within 1.5 / 1024 of the largest one among its 512 neighbours of the same output, an
 * activation within 1 / 8000 of the largest of its 512 or 1 / 519000 of the sum of their magnitudes, whichever is more.
 * A NaN or an infinity in a row of x, or a scale that is one, makes that row of y NaN at these levels;
 * FP16 and FP32 multiply floats and follow IEEE 754. On CPUs with AVX512-BF16, FP16 products of three rows and more round weights
 * and activations to bfloat16 (each within 1 / 256 of itself; an activation above 3.39e38 becomes an infinity, one below 1.2e-38
 * zero) and add in FP32; a max_isa of ADAPTQ_ISA_AVX512VNNI avoids that. On those with
 * AVX512-FP16, too, three and four rows multiply in FP16 instead: weights as they are, an activation within 1 / 2048 of itself or
 * 1 / 1048576 of the largest in its row, sums of 16 products with 11 bits, the rest in FP32; ADAPTQ_ISA_AVX512BF16 avoids that.
 * The same matrix, call and CPU give the same bits. */

/** Handle of a matrix. */
typedef struct adaptq_matrix adaptq_matrix;
/** Handle of the matrices of a file. */
typedef struct adaptq_matrix_file adaptq_matrix_file;

/** How the weights given to adaptq_matrix_create() are stored. */
enum {
  ADAPTQ_WEIGHTS_FLOAT32 = 1, /* IEEE 754 binary32 */
  ADAPTQ_WEIGHTS_FLOAT16 = 2, /* IEEE 754 binary16 */
  ADAPTQ_WEIGHTS_BFLOAT16 = 3, /* the upper half of binary32 */
  ADAPTQ_WEIGHTS_INT8 = 4,     /* codes -128 to 127 of a model that was quantized before, see weight_scales */
  ADAPTQ_WEIGHTS_UINT8 = 5     /* codes 0 to 255 */
};

/** How the 8-bit codes of a matrix become weights. s is stored per output and group of inputs, `code` without a sign; a level with b
 *  bits keeps the b upper bits of a code. */
enum {
  ADAPTQ_SCALES_MINIMUM = 0,   /* lo + s (code + 1/2): FP16 s and lo; fits any range */
  ADAPTQ_SCALES_SYMMETRIC = 1, /* s (code - 128): FP16 s; half as many bytes of scales, less exact below INT8 */
  ADAPTQ_SCALES_OUTPUT = 2     /* s (code - zero point): FP32 s and an integer per output, one group of all inputs; what most
                                  libraries write */
};

/** What shares a scale when activations are coded for an integer level. */
enum {
  ADAPTQ_ACTIVATION_SCALES_GROUP = 0, /* 64 inputs of a row */
  ADAPTQ_ACTIVATION_SCALES_ROW = 1    /* all inputs of a row: faster with many rows, less exact where few inputs are large */
};

/** adaptq_matrix_options.group_size: all inputs of an output share a scale. */
#define ADAPTQ_GROUP_ALL 2147483647

/** Whether a second copy of the INT8 codes is kept, one byte per weight, from which calls with up to four rows at INT8 are
 *  faster on CPUs without AVX-VNNI and AVX-512 VNNI; results have the same bits. The default is yes for up to 1,048,576
 *  weights. Where it would not help (other CPUs, portable kernels) there is none whatever this says. */
enum {
  ADAPTQ_EXPAND_DEFAULT = 0, /* for small matrices */
  ADAPTQ_EXPAND_ON = 1,      /* for this one */
  ADAPTQ_EXPAND_OFF = 2      /* not for this one */
};

/** Functions of each element of a product. */
enum {
  ADAPTQ_ACTIVATION_NONE = 0, /* x */
  ADAPTQ_ACTIVATION_RELU = 1, /* max(x, 0) */
  ADAPTQ_ACTIVATION_GELU = 2, /* x Phi(x), the exact form; within 3e-7 max(1, |x|) */
  ADAPTQ_ACTIVATION_SILU = 3  /* x / (1 + exp(-x)); within 1.6e-7 max(1, |x|) */
};

/** Options of adaptq_matrix_create(). */
typedef struct adaptq_matrix_options {
  size_t struct_size;
  const char *name;      /* UTF-8, for files; NULL: "". Copied */
  int64_t n;             /* outputs, 1 to 2147483648 */
  int64_t k;             /* inputs, 1 to 16777216 */
  const void *weights;   /* weight [i][j] is element i * row_stride + j * column_stride */
  int64_t row_stride;    /* 0: k, or 1 if column_stride is above 1 */
  int64_t column_stride; /* 0: 1. Weights stored [k][n]: column_stride n, row_stride 1 */
  const float *bias;     /* n floats; NULL: none */
  int32_t weight_type;   /* ADAPTQ_WEIGHTS_*; 0: ADAPTQ_WEIGHTS_FLOAT32 */
  int32_t group_size;    /* inputs that share a scale: 64, 128, ADAPTQ_GROUP_ALL; 0: 64, or all with ADAPTQ_SCALES_OUTPUT.
                            Other sizes are ADAPTQ_UNSUPPORTED */
  uint32_t keep;         /* ADAPTQ_ALLOW_FP16, ADAPTQ_ALLOW_FP32 or both: kept beside the integer levels; 0: neither */
  int32_t expand;        /* ADAPTQ_EXPAND_* */
  int64_t max_rows;      /* of a call without a workspace of its own; 0: 16 */
  int32_t scale_kind;    /* ADAPTQ_SCALES_* */
  int32_t activation_scales; /* ADAPTQ_ACTIVATION_SCALES_* */
  const float *weight_scales;  /* weights that are codes: n steps, so that a weight is
                                  weight_scales[i] * (code - zero_points[i]); else NULL. Implies ADAPTQ_SCALES_OUTPUT */
  const int32_t *zero_points;  /* n codes; NULL: all 0. Only with weight_scales */
} adaptq_matrix_options;

/** Encodes weights. Constructor.
 *
 *  Memory    weights and bias are read during the call and copied. The largest buffers are the encoded weights (1.0625
 *            bytes per weight with rows and inputs rounded up to 16 and 64, more with `keep` and `expand`) and, unless
 *            weights are FP32 with column_stride 1, 4 bytes per weight during the call.
 *  Errors    ADAPTQ_INVALID_ARGUMENT  NULL, unknown value, a name that is not UTF-8, strides below 1 or with which two
 *                                     weights share an element, a weight or bias that is NaN or infinite (the text names
 *                                     row and column), codes without weight_scales or weight_scales without codes, a step
 *                                     that is not zero or positive and normal, a zero point that is no code, codes with
 *                                     another scale_kind or with `keep`
 *            ADAPTQ_OUT_OF_RANGE      n, k or max_rows out of range, sizes that overflow (before anything is allocated), or
 *                                     a weight beyond 65504 with ADAPTQ_ALLOW_FP16 in `keep`
 *            ADAPTQ_UNSUPPORTED       the group size, alone or with the scale kind
 *            ADAPTQ_OUT_OF_MEMORY
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_matrix_create(adaptq_runtime *runtime, const adaptq_matrix_options *options,
                                              adaptq_matrix **out);

/** Destroys a matrix. ADAPTQ_BUSY while a multiplication without a workspace of its own is in progress: nothing is destroyed
 *  then. Other calls in progress finish. NULL does nothing. */
ADAPTQ_API adaptq_status adaptq_matrix_destroy(adaptq_matrix *matrix);

/** What is fixed about a matrix. */
typedef struct adaptq_matrix_info {
  size_t struct_size;
  const char *name;       /* belongs to the matrix */
  int64_t n;              /* outputs */
  int64_t k;              /* inputs */
  int64_t max_rows;       /* of a call without a workspace of its own */
  int64_t stored_bytes;   /* all forms of the weights, the expanded one included */
  int64_t workspace_bytes;/* the matrix's own working memory */
  uint32_t levels;        /* ADAPTQ_ALLOW_*: levels that adaptq_matrix_multiply() takes */
  int32_t group_size;     /* inputs that share a scale, or ADAPTQ_GROUP_ALL */
  int32_t has_bias;       /* 1 if there is one */
  int32_t is_expanded;    /* 1 if the second copy of the INT8 codes is there */
  int32_t scale_kind;     /* ADAPTQ_SCALES_* */
  int32_t activation_scales; /* ADAPTQ_ACTIVATION_SCALES_* */
} adaptq_matrix_info;

/** Describes a matrix. `info->struct_size` is read. Any thread, any time. */
ADAPTQ_API adaptq_status adaptq_matrix_get_info(adaptq_matrix *matrix, adaptq_matrix_info *info);

/** One multiplication. Exactly one of x and codes is not NULL. */
typedef struct adaptq_multiply {
  size_t struct_size;
  adaptq_level level;      /* one that the matrix holds; ADAPTQ_LEVEL_AUTO is refused */
  int32_t activation;      /* ADAPTQ_ACTIVATION_* */
  int64_t rows;            /* 1 or more */
  const float *x;          /* [rows][k] */
  int64_t x_stride;        /* 0: k */
  const int8_t *codes;     /* [rows][k], as adaptq_matrix_quantize() writes them: input j of row i stands for
                              codes[i * codes_stride + j] * scales[i * scales_stride + j / 64] */
  int64_t codes_stride;    /* 0: k */
  const float *scales;     /* [rows][(k + 63) / 64] */
  int64_t scales_stride;   /* 0: (k + 63) / 64 */
  float *y;                /* [rows][n] */
  int64_t y_stride;        /* 0: n */
  const float *residual;   /* [rows][n], added after the activation; NULL: none */
  int64_t residual_stride; /* 0: n */
  void *workspace;         /* NULL: the matrix's own */
  size_t workspace_size;   /* bytes at workspace */
  int32_t no_bias;         /* 1: leave the bias out */
} adaptq_multiply;

/** Multiplies: y = activation(x W^T + bias) + residual.
 *
 *  Memory    Reads and writes exactly the named elements; what lies between rows stays as it is. y overlaps no input;
 *            interleaved rows (equal row distance in bytes, no byte in common) are allowed. The call allocates nothing,
 *            takes no lock and makes no system call. workspace may hold anything and is left with anything.
 *  Threads   Without a workspace one call at a time per matrix, a second one returns ADAPTQ_BUSY at once. With a workspace of
 *            its own each, any number of calls run at once. The calling thread does all the work.
 *  Errors    ADAPTQ_INVALID_ARGUMENT  NULL, wrong struct_size, unknown level or activation, rows or a stride below what the
 *                                     sizes need, both or neither of x and codes, overlap, or, at an integer level of a
 *                                     matrix with ADAPTQ_ACTIVATION_SCALES_ROW, codes with different scales in a row
 *            ADAPTQ_UNSUPPORTED       a level that the matrix does not hold, ADAPTQ_LEVEL_AUTO
 *            ADAPTQ_OUT_OF_RANGE      more rows than max_rows without a workspace, or sizes that overflow
 *            ADAPTQ_BUFFER_TOO_SMALL  workspace_size below adaptq_matrix_workspace_size()
 *            ADAPTQ_BUSY
 *            On error y is untouched.
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_matrix_multiply(adaptq_matrix *matrix, const adaptq_multiply *multiply);

/** Bytes of workspace that a multiplication with up to `rows` rows needs, at any alignment. Grows with rows. */
ADAPTQ_API adaptq_status adaptq_matrix_workspace_size(adaptq_matrix *matrix, int64_t rows, size_t *out);

/** Codes activations once for several matrices with the same k (the q, k and v projections of a layer).
 *
 *  Meaning   Per row and group of 64 inputs (the last one may be shorter), or with ADAPTQ_ACTIVATION_SCALES_ROW per row, whose
 *            groups then have the same scale: scale = max|x| / 127, code = x / scale to nearest,
 *            ties to even, -127 to 127. Below a max|x| of 2^-118 all are 0. A group with a NaN or an infinity has the scale
 *            NaN and unspecified codes. Multiplying these gives the bits that multiplying x gives, at integer levels; at
 *            FP16 and FP32 code * scale is multiplied.
 *  Shapes    x[rows][k], codes[rows][k], scales[rows][(k + 63) / 64]; strides in elements, 0: dense.
 *  Memory    as adaptq_matrix_multiply(). codes and scales overlap neither x nor each other.
 *  Threads   any number of calls at once, also during multiplications
 *  Errors    ADAPTQ_INVALID_ARGUMENT, ADAPTQ_OUT_OF_RANGE; on error codes and scales are untouched
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_matrix_quantize(adaptq_matrix *matrix, int64_t rows, const float *x, int64_t x_stride,
                                                int8_t *codes, int64_t codes_stride, float *scales,
                                                int64_t scales_stride);

/** Writes matrices into one `.adaptq` file: encoded weights, kept forms, biases and names.
 *
 *  Memory    A new file beside `path` is written, flushed and renamed over it: path holds what it held before or all of the
 *            new file. On an error nothing is left behind.
 *  Errors    ADAPTQ_INVALID_ARGUMENT  no matrix, path not UTF-8, or two matrices of one name
 *            ADAPTQ_NOT_FOUND, ADAPTQ_IO_ERROR  the file cannot be written
 *            ADAPTQ_OUT_OF_MEMORY     the file is put together in memory first
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_matrix_save(adaptq_matrix *const *matrices, size_t count, const char *path);

/** Opens a file that adaptq_matrix_save() wrote. It is read into memory. Errors as adaptq_model_open();
 *  ADAPTQ_UNSUPPORTED for the file of a model. Constructor. */
ADAPTQ_API adaptq_status adaptq_matrix_file_open(adaptq_runtime *runtime, const char *path, adaptq_matrix_file **out);

/** Like adaptq_matrix_file_open() for a file that is in memory already. The bytes are copied. */
ADAPTQ_API adaptq_status adaptq_matrix_file_open_memory(adaptq_runtime *runtime, const void *data, size_t size,
                                                        adaptq_matrix_file **out);

/** Destroys the handle; matrices opened from it keep what they need. NULL does nothing. */
ADAPTQ_API adaptq_status adaptq_matrix_file_destroy(adaptq_matrix_file *file);

/** How many matrices the file holds. */
ADAPTQ_API adaptq_status adaptq_matrix_file_count(adaptq_matrix_file *file, size_t *out);

/** The name of matrix `index`; it belongs to the file's handle. ADAPTQ_OUT_OF_RANGE if there is none. */
ADAPTQ_API adaptq_status adaptq_matrix_file_name(adaptq_matrix_file *file, size_t index, const char **out);

/** Options of adaptq_matrix_open(). */
typedef struct adaptq_matrix_open_options {
  size_t struct_size;
  int64_t max_rows; /* as in adaptq_matrix_options */
  int32_t expand;   /* as in adaptq_matrix_options */
} adaptq_matrix_open_options;

/** Makes a matrix of a file usable. Its weights stay those of the file: nothing is copied. Constructor.
 *
 *  Errors    ADAPTQ_NOT_FOUND  no matrix of that name
 *            ADAPTQ_INVALID_ARGUMENT, ADAPTQ_OUT_OF_RANGE, ADAPTQ_OUT_OF_MEMORY
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_matrix_open(adaptq_matrix_file *file, const char *name,
                                            const adaptq_matrix_open_options *options, adaptq_matrix **out);

/* ------------------------------------------------------------------------------------------------ groups of matrices */
/* A host with its own graph keeps a latency budget with a group: the matrices of one frame (one token, one picture, one block
 * of audio). The host marks where a frame begins and ends; in between every matrix has the level that the plan chosen for
 * this frame gives it. Plans are made when the group is: mixes of levels that no other mix beats in measured time and modelled
 * noise at once, from the best to the fastest. All of this is since 0.2. */

/** Handle of a group of matrices. */
typedef struct adaptq_group adaptq_group;

/** Options of adaptq_group_create(). */
typedef struct adaptq_group_options {
  size_t struct_size;
  uint32_t allowed_levels;  /* ADAPTQ_ALLOW_*: of the levels that every matrix holds; 0: all of them */
  int32_t reserved;         /* 0 */
  int64_t max_rows;         /* of a product in a frame; 0: 1 */
  int64_t measure_ns;       /* no further measurement is begun after so long, but for the first of each level; 0: about 400 ms per
                               number of rows */
  const double *importance; /* one per matrix, above 0: how much its errors count beside those of the others; NULL: all
                               alike. Copied */
} adaptq_group_options;

/** Measures every matrix at every level, with max_rows rows and with fewer, and makes the plans. Constructor. Takes as long as
 *  that measuring. `options` may be NULL.
 *
 *  Memory    the matrices stay alive until the group is destroyed, also if their handles are destroyed before; one may
 *            stand in several groups, or several times in one. The group has working memory of its own:
 *            adaptq_matrix_workspace_size() of its largest matrix.
 *  Errors    ADAPTQ_INVALID_ARGUMENT  NULL, count 0, an importance that is not above 0 and finite
 *            ADAPTQ_INVALID_HANDLE    runtime or a matrix
 *            ADAPTQ_UNSUPPORTED       no allowed level is held by every matrix
 *            ADAPTQ_OUT_OF_RANGE      more than 65536 matrices, max_rows
 *            ADAPTQ_OUT_OF_MEMORY
 *  Since     0.2 */
ADAPTQ_API adaptq_status adaptq_group_create(adaptq_runtime *runtime, adaptq_matrix *const *matrices, size_t count,
                                             const adaptq_group_options *options, adaptq_group **out);

/** Destroys a group, also with a frame open. ADAPTQ_BUSY while a call on it is in progress. NULL does nothing. */
ADAPTQ_API adaptq_status adaptq_group_destroy(adaptq_group *group);

/** As adaptq_session_set_latency_budget(), for the time from adaptq_group_begin() to adaptq_group_end(): from the next frame on.
 *  Any thread, any time. */
ADAPTQ_API adaptq_status adaptq_group_set_latency_budget(adaptq_group *group, int64_t latency_ns, double percentile);

/** Gives every frame, from the next one on, a deadline: nanoseconds from adaptq_group_begin() to adaptq_group_end(), up to 2^50 - 1; 0
 *  removes it. Set before a frame that is to have another one.
 *
 *  Meaning   The frame begins at the best plan predicted to end in time, of those that the budgets would choose or lower ones.
 *            Before each adaptq_group_multiply() the time left is compared with what is predicted for the products that are
 *            left: where it no longer suffices, this and all later ones go down to a plan that does, or to the fastest. Which
 *            products are left is taken from the frame before (the first time: each matrix once), in whatever order they come;
 *            a frame that makes other ones is predicted less well. Time that the host spends between products counts, as much
 *            as it usually takes. Of levels written by adaptq_group_begin() the first ones hold only until a product goes down:
 *            adaptq_matrix_multiply() never does. A fixed level stays: then the deadline is only reported.
 *  Threads   any thread, any time
 *  Errors    ADAPTQ_OUT_OF_RANGE  deadline_ns */
ADAPTQ_API adaptq_status adaptq_group_set_deadline(adaptq_group *group, int64_t deadline_ns);

/** All matrices at one level from the next frame on; ADAPTQ_LEVEL_AUTO returns to the budget. ADAPTQ_UNSUPPORTED if the level
 *  is not allowed in this group. Any thread, any time. */
ADAPTQ_API adaptq_status adaptq_group_set_level(adaptq_group *group, adaptq_level level);

/** Sets a budget of power or energy beside the one of latency: of the plans that hold the latency, each frame has the best one that
 *  the energy left allows. At a cap between two plans frames alternate between them, so that the average meets it. NULL removes
 *  it. The energies are modelled; whether the coefficients fit, adaptq_runtime_poll() can show where there are sensors. mode,
 *  attribution and max_wait_ns are for sessions and 0 here.
 *
 *  Threads   any thread, any time; holds from the next frame on
 *  Errors    ADAPTQ_INVALID_ARGUMENT  neither power_mw nor energy_mj, no coefficient of energy, or a field that is for sessions;
 *                                     wrong struct_size
 *            ADAPTQ_OUT_OF_RANGE      a number that is negative, NaN or above 1e12, window_ns
 *            A cap that no plan can hold at the host's rate is no error: frames say so in power_unreachable, and
 *            recommended_interval_ns says what rate the plan of least energy could hold. */
ADAPTQ_API adaptq_status adaptq_group_set_power_budget(adaptq_group *group, const adaptq_power_budget *budget);

/** A plan of a group. */
typedef struct adaptq_group_plan {
  size_t struct_size;
  int64_t cost_ns;  /* all products once with max_rows rows, as measured by adaptq_group_create() */
  double noise_db;  /* energy of the products over that of their errors, in decibels, averaged by importance: a model from the
                       weights' steps, not a measurement of the host's graph. Infinite where nothing is lost */
} adaptq_group_plan;

/** The plans of a group, best first.
 *
 *  Memory    as adaptq_session_costs(): plans[0].struct_size is the distance of the entries; with too small a capacity
 *            ADAPTQ_BUFFER_TOO_SMALL and only *count is written. plans may be NULL with capacity 0.
 *  Threads   any thread, any time */
ADAPTQ_API adaptq_status adaptq_group_plans(adaptq_group *group, adaptq_group_plan *plans, size_t capacity, size_t *count);

/** The level of each matrix in plan `plan`. `count` must be the number of matrices. ADAPTQ_OUT_OF_RANGE if there is no such
 *  plan. Any thread, any time. */
ADAPTQ_API adaptq_status adaptq_group_plan_levels(adaptq_group *group, size_t plan, adaptq_level *levels, size_t count);

/** Begins a frame and chooses the level of every matrix for it.
 *
 *  Meaning   The frame's time begins. A host multiplies with adaptq_group_multiply(), or, on several threads, with
 *            adaptq_matrix_multiply() at the levels written here. Only of products made with adaptq_group_multiply() the group
 *            knows the time, and so what of a frame is the host's own work, which no plan shortens.
 *  Shapes    rows: those of this frame's products, 1 to max_rows; longer frames are predicted to take longer. 0: max_rows
 *  Memory    writes `count` levels, the number of matrices; levels may be NULL with count 0. Allocates nothing, takes no
 *            lock and makes no system call, as adaptq_group_multiply() and adaptq_group_end().
 *  Threads   These three: one at a time per group, a second one returns ADAPTQ_BUSY. Not bound to one thread.
 *  Errors    ADAPTQ_BUSY  also if a frame is open
 *            ADAPTQ_INVALID_ARGUMENT, ADAPTQ_OUT_OF_RANGE */
ADAPTQ_API adaptq_status adaptq_group_begin(adaptq_group *group, int64_t rows, adaptq_level *levels, size_t count);

/** One product of the open frame: adaptq_matrix_multiply() of matrix `index` at its level. multiply->level is ADAPTQ_LEVEL_AUTO;
 *  rows up to max_rows. A matrix may be multiplied any number of times in a frame, or not at all.
 *
 *  Memory    as adaptq_matrix_multiply(); multiply->workspace is NULL, the group's own is used
 *  Errors    those of adaptq_matrix_multiply(), ADAPTQ_INVALID_ARGUMENT if no frame is open, ADAPTQ_OUT_OF_RANGE for index; on
 *            an error y is untouched and the frame stays open */
ADAPTQ_API adaptq_status adaptq_group_multiply(adaptq_group *group, size_t index, const adaptq_multiply *multiply);

/** A frame that has ended. */
typedef struct adaptq_frame_report {
  size_t struct_size;
  uint64_t sequence;       /* number of this frame in its group, from 1; abandoned ones do not count */
  int64_t latency_ns;      /* from adaptq_group_begin() to adaptq_group_end() */
  int64_t multiply_ns;     /* of these inside adaptq_group_multiply() */
  int64_t budget_ns;       /* 0: none */
  int32_t plan;            /* as in adaptq_group_plans(); -1: a fixed level of which there is no plan; with a deadline: what the
                              frame began with */
  int32_t reason;          /* ADAPTQ_REASON_* */
  int32_t budget_missed;   /* 1 if latency_ns > budget_ns > 0 */
  int32_t plan_changed;    /* 1 if the frame before had another plan, or there was none */
  int32_t budget_unreachable; /* 1 if even the fastest plan is predicted to miss */
  int32_t power_unreachable;  /* 1 if no plan holds the power at this rate of frames, or the energy of a frame */
  double energy_mj;        /* modelled, without static power; 0 without a budget of power or energy */
  int64_t recommended_interval_ns; /* from begin to begin, with which the plan of least energy would hold the power; 0: none */
  int64_t deadline_ns;     /* 0: none */
  int32_t deadline_missed; /* 1 if latency_ns > deadline_ns > 0 */
  int32_t dropped_products;/* products at a lower level than `plan` gives their matrix, because of the deadline */
} adaptq_frame_report;

/** Ends the open frame: its time counts for the budget. `report` may be NULL; else set struct_size.
 *
 *  Errors    ADAPTQ_INVALID_ARGUMENT  no frame is open; *report is untouched on every error */
ADAPTQ_API adaptq_status adaptq_group_end(adaptq_group *group, adaptq_frame_report *report);

/** Ends the open frame as if it had not been: for one that the host gave up. Without an open frame nothing happens. Errors:
 *  ADAPTQ_BUSY. */
ADAPTQ_API adaptq_status adaptq_group_abandon(adaptq_group *group);

#ifdef __cplusplus
}
#endif

#endif /* ADAPTQ_H */
