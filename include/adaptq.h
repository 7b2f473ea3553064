/* adaptq: an adaptive-precision neural-network runtime.
 *
 * This header is the manual; what is not in it is not API.
 *
 * First steps        adaptq_runtime_create, adaptq_model_open, adaptq_session_create, adaptq_session_prepare,
 *                    adaptq_session_run. A budget or a fixed level may be set at any time before or between runs.
 * Handles            adaptq_runtime, adaptq_model, adaptq_session and adaptq_tokenizer are tokens in pointer clothes:
 *                    they are looked up, never dereferenced. NULL, a destroyed handle or any other bit pattern gives
 *                    ADAPTQ_INVALID_HANDLE. A handle keeps what it was made from alive: the order of destruction is free.
 * Structs            begin with struct_size. Zero the struct (= {0}), then set struct_size = sizeof it. A size smaller
 *                    than the first version of the struct or larger than this library knows is refused.
 * Zero               in an option means: the default.
 * Errors             every function that can fail returns adaptq_status. On an error nothing the caller gave is
 *                    written, except that an out-pointer for a new handle becomes NULL. adaptq_last_error() then names
 *                    the field and the value.
 * Threads            handles may be used from any thread. Calls on one session are serialized by refusing: while a run
 *                    is in progress, run, prepare and destroy on the same session answer ADAPTQ_BUSY at once; budget
 *                    and level setters are allowed at any time and hold from the next run on. Sessions, also of one
 *                    model, run in parallel. adaptq creates no thread. No function may be called from a signal handler.
 * What it never does install signal handlers, register atexit functions, change locale or environment, write to standard
 *                    output or standard error, unload itself (-z nodelete).
 *
 * Linux on x86-64, glibc 2.36 or newer. */
#ifndef ADAPTQ_H
#define ADAPTQ_H

#include <stddef.h>
#include <stdint.h>

#if !defined(__linux__) || !defined(__x86_64__)
#error "adaptq supports Linux on x86-64"
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define ADAPTQ_VERSION_MAJOR 0
#define ADAPTQ_VERSION_MINOR 1
#define ADAPTQ_VERSION_PATCH 0
#define ADAPTQ_VERSION_STRING "0.1.0"

#define ADAPTQ_API __attribute__((visibility("default")))

#define ADAPTQ_MAX_RANK 8

/* ------------------------------------------------------------------------------------------------ status and errors */

/** Result of a call. The values never change; gaps are room for later ones. */
typedef int32_t adaptq_status;
enum {
  ADAPTQ_OK = 0,
  ADAPTQ_INVALID_ARGUMENT = 1,    /* NULL, wrong struct_size, count, type, rank, size, overlap or enum value */
  ADAPTQ_INVALID_HANDLE = 2,      /* not a live handle of the wanted kind */
  ADAPTQ_BUSY = 3,                /* a run is in progress on this session */
  ADAPTQ_OUT_OF_MEMORY = 4,       /* a buffer could not be allocated */
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

/** Version of the library at run time as text, for example "0.1.0". Static. */
ADAPTQ_API const char *adaptq_version_string(void);

/* ----------------------------------------------------------------------------------------------------------- types */

/** Precision of weights. The value is the number of bits, ADAPTQ_LEVEL_AUTO leaves the choice to the budget. */
typedef int32_t adaptq_level;
enum {
  ADAPTQ_LEVEL_AUTO = 0,
  ADAPTQ_LEVEL_INT2 = 2,
  ADAPTQ_LEVEL_INT4 = 4,
  ADAPTQ_LEVEL_INT6 = 6,
  ADAPTQ_LEVEL_INT8 = 8,
  ADAPTQ_LEVEL_FP16 = 16,
  ADAPTQ_LEVEL_FP32 = 32
};

/** A set of levels: one bit per level. */
enum {
  ADAPTQ_ALLOW_INT2 = 1,
  ADAPTQ_ALLOW_INT4 = 2,
  ADAPTQ_ALLOW_INT6 = 4,
  ADAPTQ_ALLOW_INT8 = 8,
  ADAPTQ_ALLOW_FP16 = 16,
  ADAPTQ_ALLOW_FP32 = 32,
  ADAPTQ_ALLOW_ALL = 63
};

/** The name of a level, for example "INT8"; "AUTO" for ADAPTQ_LEVEL_AUTO, "UNKNOWN" for any other value. Static. */
ADAPTQ_API const char *adaptq_level_name(adaptq_level level);

/** Element type of a tensor. */
typedef int32_t adaptq_type;
enum {
  ADAPTQ_TYPE_FLOAT32 = 1,
  ADAPTQ_TYPE_INT64 = 2,
  ADAPTQ_TYPE_INT32 = 3
};

/** Highest instruction set that generated code may use. */
typedef int32_t adaptq_isa;
enum {
  ADAPTQ_ISA_DEFAULT = 0, /* the best this CPU and this system offer, or ADAPTQ_MAX_ISA from the environment */
  ADAPTQ_ISA_PORTABLE = 1,
  ADAPTQ_ISA_AVX2 = 2, /* AVX2, FMA and F16C */
  ADAPTQ_ISA_AVXVNNI = 3,
  ADAPTQ_ISA_AVX512 = 4, /* F, BW, DQ, VL */
  ADAPTQ_ISA_AVX512VNNI = 5,
  ADAPTQ_ISA_AVX512BF16 = 6
};

typedef struct adaptq_runtime adaptq_runtime;
typedef struct adaptq_model adaptq_model;
typedef struct adaptq_session adaptq_session;
typedef struct adaptq_tokenizer adaptq_tokenizer;

/* --------------------------------------------------------------------------------------------------------- runtime */

enum { ADAPTQ_LOG_WARNING = 1, ADAPTQ_LOG_INFO = 2, ADAPTQ_LOG_DEBUG = 3 };

/** Receives one log line, without newline. Called on the thread that made the adaptq call, never inside a run. It must
 *  not call adaptq functions. `message` is valid during the call only. */
typedef void (*adaptq_log_callback)(void *context, int32_t level, const char *message);

enum { ADAPTQ_CODE_GENERATION_DEFAULT = 0, ADAPTQ_CODE_GENERATION_ON = 1, ADAPTQ_CODE_GENERATION_OFF = 2 };

typedef struct adaptq_runtime_options {
  size_t struct_size;
  adaptq_log_callback log; /* NULL: no log */
  void *log_context;
  int32_t log_level;       /* 0: ADAPTQ_LOG_WARNING */
  int32_t code_generation; /* ADAPTQ_CODE_GENERATION_*; default on. Off: portable kernels only */
  adaptq_isa max_isa;
} adaptq_runtime_options;

/** Creates a runtime: CPU detection, log and kernels shared by models and sessions. Constructor.
 *
 *  Memory    `options` is read during the call; NULL means all defaults.
 *  Errors    ADAPTQ_INVALID_ARGUMENT  out NULL, wrong struct_size, unknown enum value, ADAPTQ_MAX_ISA not a known name
 *  Since     0.1 */
ADAPTQ_API adaptq_status adaptq_runtime_create(const adaptq_runtime_options *options, adaptq_runtime **out);

/** Destroys a runtime. Models and sessions made from it stay usable. NULL is accepted and does nothing. Destructor. */
ADAPTQ_API adaptq_status adaptq_runtime_destroy(adaptq_runtime *runtime);

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

/** Destroys the handle; sessions and tokenizers made from the model keep what they need. NULL does nothing. */
ADAPTQ_API adaptq_status adaptq_model_destroy(adaptq_model *model);

/** A tensor the model reads or writes. Sizes of -1 are chosen by the caller at each run; equal dim_names mean equal
 *  sizes. Texts belong to the model and live as long as any handle made from it. */
typedef struct adaptq_tensor_info {
  size_t struct_size;
  const char *name;
  adaptq_type type;
  int32_t rank;
  int64_t sizes[ADAPTQ_MAX_RANK];
  const char *dim_names[ADAPTQ_MAX_RANK]; /* NULL for fixed sizes, and for sizes of outputs that follow from others */
} adaptq_tensor_info;

ADAPTQ_API adaptq_status adaptq_model_input_count(adaptq_model *model, size_t *out);
ADAPTQ_API adaptq_status adaptq_model_output_count(adaptq_model *model, size_t *out);
/** Describes input `index`. ADAPTQ_OUT_OF_RANGE if there is none. `info->struct_size` is read. */
ADAPTQ_API adaptq_status adaptq_model_input(adaptq_model *model, size_t index, adaptq_tensor_info *info);
/** Describes output `index`. ADAPTQ_OUT_OF_RANGE if there is none. `info->struct_size` is read. */
ADAPTQ_API adaptq_status adaptq_model_output(adaptq_model *model, size_t index, adaptq_tensor_info *info);

/** The levels (ADAPTQ_ALLOW_*) at which every linear site of the model is stored. */
ADAPTQ_API adaptq_status adaptq_model_levels(adaptq_model *model, uint32_t *out);

enum { ADAPTQ_SITE_LINEAR = 1, ADAPTQ_SITE_EMBEDDING = 2 };

/** A place in the model that has weights: n outputs (rows of a table) by k inputs (width of a row). A convolution is a
 *  linear site whose inputs are those of all taps, the two products of a recurrent layer are a linear site each. */
typedef struct adaptq_site_info {
  size_t struct_size;
  const char *name;
  int32_t kind;    /* ADAPTQ_SITE_* */
  uint32_t levels; /* ADAPTQ_ALLOW_*; an embedding table is read at 8 bits or in full whatever the level */
  int64_t n;
  int64_t k;
  int64_t stored_bytes; /* all forms kept in memory */
} adaptq_site_info;

ADAPTQ_API adaptq_status adaptq_model_site_count(adaptq_model *model, size_t *out);
ADAPTQ_API adaptq_status adaptq_model_site(adaptq_model *model, size_t index, adaptq_site_info *info);

/* --------------------------------------------------------------------------------------------------------- session */

typedef struct adaptq_session_options {
  size_t struct_size;
  uint32_t allowed_levels; /* ADAPTQ_ALLOW_*; 0: every level that the model stores */
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

/** A tensor in the caller's memory: row-major, dense, at any alignment. Inputs are only read. */
typedef struct adaptq_tensor {
  size_t struct_size;
  adaptq_type type;
  int32_t rank;
  int64_t sizes[ADAPTQ_MAX_RANK];
  void *data;
  size_t data_size; /* bytes at `data`; at least what type and sizes need */
} adaptq_tensor;

/** Allocates and measures costs for inputs up to the given sizes; later runs within them allocate nothing. (Code is
 *  generated once per runtime, by its first adaptq_session_create().) May be called again with other
 *  sizes; the former preparation stays valid if it fails.
 *
 *  Shapes    `max_inputs[i]` gives type, rank and the largest size of each dimension of input i; `data` is ignored and
 *            may be NULL.
 *  Time      up to 24 runs per allowed level, at the largest and at smaller sizes: the costs the budget is held with.
 *  Errors    ADAPTQ_BUSY, ADAPTQ_INVALID_ARGUMENT, ADAPTQ_OUT_OF_RANGE, ADAPTQ_OUT_OF_MEMORY
 *  Since     0.1 */
ADAPTQ_API adaptq_status adaptq_session_prepare(adaptq_session *session, const adaptq_tensor *max_inputs,
                                                size_t n_inputs);

/** The shape output `index` will have for inputs of the given sizes (`data` is ignored).
 *
 *  Memory    writes type, rank, sizes and data_size (bytes needed) of *output; leaves `data` alone. struct_size is read.
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
  ADAPTQ_REASON_PREDICTED_MISS = 4, /* down: the predicted percentile is above the budget */
  ADAPTQ_REASON_HEADROOM = 5,       /* up: there was room for long enough */
  ADAPTQ_REASON_ASCENT_FAILED = 6,  /* down again soon after going up; the next attempt waits longer */
  ADAPTQ_REASON_LEVELS_CHANGED = 7, /* the allowed levels were changed */
  ADAPTQ_REASON_BUDGET_CHANGED = 8, /* the budget was changed */
  ADAPTQ_REASON_NO_BUDGET = 9,      /* no budget: the best allowed level */
  ADAPTQ_REASON_WORK_CHANGED = 10   /* same load, other sizes: another level fits */
};

/** The name of a reason, for example "predicted miss"; "unknown" for any other value. Static. */
ADAPTQ_API const char *adaptq_reason_name(int32_t reason);

typedef struct adaptq_run_options {
  size_t struct_size;
  adaptq_level level;   /* this call only; ADAPTQ_LEVEL_AUTO: what the session says */
  int64_t deadline_ns;  /* reserved, must be 0 */
} adaptq_run_options;

typedef struct adaptq_run_report {
  size_t struct_size;
  uint64_t sequence;    /* number of this run in its session, from 1 */
  int64_t latency_ns;   /* monotonic time from the checked arguments to the written outputs */
  int64_t budget_ns;    /* 0: none */
  adaptq_level level;   /* of the linear sites */
  int32_t reason;       /* ADAPTQ_REASON_* */
  int32_t budget_missed;/* 1 if latency_ns > budget_ns > 0; not an error */
  int32_t level_changed;/* 1 if the run before used another level, or there was none */
  int32_t budget_unreachable; /* 1 if even the fastest allowed level is predicted to miss */
} adaptq_run_report;

/** Runs one inference: reads n_inputs tensors, writes n_outputs tensors, returns when all are written.
 *
 *  Meaning   Tensors come in the order of adaptq_model_input() and adaptq_model_output(). With a budget set, the level
 *            is chosen for each run. A missed budget is not an error: the result is complete.
 *  Shapes    Rank and sizes as in the model; a size the model leaves open takes 1 (or what one window of its
 *            convolutions needs) up to the bound given to adaptq_session_prepare(). Output sizes: adaptq_session_output_shape().
 *  Memory    All buffers stay the caller's; nothing is kept after return. Exactly the bytes of each tensor are read or
 *            written. Outputs overlap neither inputs nor each other. The call allocates nothing and makes no system
 *            call. `options` and `report` may be NULL; else set struct_size.
 *  Threads   One run at a time per session: a second one returns ADAPTQ_BUSY at once.
 *  Errors    ADAPTQ_NOT_PREPARED
 *            ADAPTQ_INVALID_ARGUMENT  NULL, wrong count, type, rank, size, overlap, or an input value outside the
 *                                     model's range (a token id that the embedding table does not have)
 *            ADAPTQ_OUT_OF_RANGE      a size above what was prepared, or a state of the model that is full
 *            ADAPTQ_BUFFER_TOO_SMALL  data_size below what the tensor needs
 *            ADAPTQ_UNSUPPORTED       options->level is not allowed in this session
 *            ADAPTQ_BUSY
 *            On error outputs and *report are untouched.
 *  Since     0.1 */
ADAPTQ_API adaptq_status adaptq_session_run(adaptq_session *session, const adaptq_tensor *inputs, size_t n_inputs,
                                            const adaptq_tensor *outputs, size_t n_outputs,
                                            const adaptq_run_options *options, adaptq_run_report *report);

/* --------------------------------------------------------------------------------------------------------- states */
/* A model may have states: the memory of a recurrent layer, say. A session keeps them from run to run. They begin as zeros
 * and change only when a run has succeeded: a run that ends with any other status leaves them as they were, and so does
 * adaptq_session_prepare(), also called again. Some states grow with every run up to a fixed length (keys and values that
 * attention looks back at); a run that finds no room gets ADAPTQ_OUT_OF_RANGE. Models without states take these calls, too. */

/** Sets all states of the session to zeros, growing ones to length 0: the next run begins a new sequence. Allocates nothing.
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

/** Restricts the levels the budget may choose from; 0 means all that the session allows. ADAPTQ_UNSUPPORTED if the set
 *  holds a level that the session was not created with. */
ADAPTQ_API adaptq_status adaptq_session_set_allowed_levels(adaptq_session *session, uint32_t allowed_levels);

/** Sets a latency budget: at least `percentile` per cent of the runs are to take at most `latency_ns`.
 *
 *  Units     latency_ns in nanoseconds of monotonic time, above 0; percentile from 50 to 99.9. latency_ns 0 removes
 *            the budget (percentile is ignored).
 *  Method    the best level whose predicted latency holds; down at once after misses, up by one step after a dwell.
 *            Levels not measured faster than a better one on this machine at this size are not steps.
 *  Errors    ADAPTQ_INVALID_ARGUMENT, ADAPTQ_OUT_OF_RANGE
 *  Since     0.1 */
ADAPTQ_API adaptq_status adaptq_session_set_latency_budget(adaptq_session *session, int64_t latency_ns,
                                                           double percentile);

/** What a level costs here. */
typedef struct adaptq_level_cost {
  size_t struct_size;
  adaptq_level level;
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

/** One inference of the past. */
typedef struct adaptq_telemetry {
  size_t struct_size;
  uint64_t sequence;
  int64_t latency_ns;
  int64_t budget_ns;
  int64_t work;        /* product of the sizes the caller chose, for example batch x sequence length */
  adaptq_level level;
  int32_t reason;      /* ADAPTQ_REASON_* */
  int32_t budget_missed;
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

ADAPTQ_API adaptq_status adaptq_tokenizer_destroy(adaptq_tokenizer *tokenizer);

typedef struct adaptq_tokenizer_info {
  size_t struct_size;
  int64_t vocabulary_size;
  int64_t pad_id;     /* -1: none */
  int64_t max_length; /* longest sequence the tokenizer's own settings allow; 0: no bound */
} adaptq_tokenizer_info;

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

#ifdef __cplusplus
}
#endif

#endif /* ADAPTQ_H */
