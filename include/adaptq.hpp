/** @file
 *  adaptq.h for C++17 and newer: handles that destroy themselves, views, errors as exceptions or as results. Header only,
 *  nothing but inline calls of the C functions; what they do is said in adaptq.h.
 *
 *  Errors    Every operation that can fail comes twice, and the caller chooses at each call: `try_open(...)` returns an
 *            adaptq::result and never throws; `open(...)` returns the value or throws an adaptq::error. The throwing ones do
 *            not exist under -fno-exceptions or where ADAPTQ_NO_EXCEPTIONS is defined.
 *  Handles   move-only. A moved-from or default-made one is empty: using it gives ADAPTQ_INVALID_HANDLE.
 *  Views     adaptq::span is std::span where C++20 has it, else a class with the parts of it that are used here.
 *  Threads   as in adaptq.h; one handle object must not be changed by two threads. Destroying a session object while a run
 *            is in progress on it leaves the session alive (ADAPTQ_BUSY): end runs first.
 *  Callbacks must not throw: an exception would pass through C code. */
#ifndef ADAPTQ_HPP
#define ADAPTQ_HPP

#if !defined(__cplusplus) || __cplusplus < 201703L
#error "adaptq.hpp needs C++17"
#endif

#include "adaptq.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#if __cplusplus >= 202002L
#include <span>
#endif

#if !defined(ADAPTQ_NO_EXCEPTIONS) && defined(__cpp_exceptions)
/** 1 where the throwing operations exist. */
#define ADAPTQ_HPP_THROWS 1
#include <stdexcept>
#else
#define ADAPTQ_HPP_THROWS 0
#endif

/** The C++ face of adaptq.h. */
namespace adaptq {

/* ------------------------------------------------------------------------------------------------------------- views */

#if __cplusplus >= 202002L
/** A pointer and a count. */
template <class T>
using span = std::span<T>;
#else
/** A pointer and a count: the part of std::span that C++17 programs need here. */
template <class T>
class span {
 public:
  /** Empty. */
  constexpr span() noexcept = default;
  /** `count` elements at `data`. */
  constexpr span(T *data, std::size_t count) noexcept : data_(data), size_(count) {}
  /** A whole array. */
  template <std::size_t N>
  constexpr span(T (&array)[N]) noexcept : data_(array), size_(N) {}
  /** Whatever has data() and size(): std::vector, std::array, std::string, another span. */
  template <class C, class = std::enable_if_t<
                         !std::is_array_v<std::remove_reference_t<C>> &&
                         std::is_convertible_v<std::remove_pointer_t<decltype(std::declval<C &>().data())> (*)[], T (*)[]>>>
  constexpr span(C &&container) noexcept : data_(container.data()), size_(container.size()) {}

  constexpr T *data() const noexcept { return data_; }              /**< The first element. */
  constexpr std::size_t size() const noexcept { return size_; }     /**< How many elements. */
  constexpr bool empty() const noexcept { return size_ == 0; }      /**< Whether there are none. */
  constexpr T *begin() const noexcept { return data_; }             /**< The first element. */
  constexpr T *end() const noexcept { return data_ + size_; }       /**< Behind the last element. */
  constexpr T &operator[](std::size_t i) const { return data_[i]; } /**< Element `i`, not checked. */

 private:
  T *data_ = nullptr;
  std::size_t size_ = 0;
};
#endif

/** An IEEE 754 binary16 number as bits. */
struct half {
  std::uint16_t bits; /**< Sign, 5 bits of exponent, 10 bits of fraction. */
};

/** The adaptq_type of a C++ type; no value for types that tensors do not have. */
template <class T>
struct type_of {};
template <>
struct type_of<float> : std::integral_constant<adaptq_type, ADAPTQ_TYPE_FLOAT32> {};
template <>
struct type_of<std::int64_t> : std::integral_constant<adaptq_type, ADAPTQ_TYPE_INT64> {};
template <>
struct type_of<std::int32_t> : std::integral_constant<adaptq_type, ADAPTQ_TYPE_INT32> {};
template <>
struct type_of<half> : std::integral_constant<adaptq_type, ADAPTQ_TYPE_FLOAT16> {};
template <>
struct type_of<std::int8_t> : std::integral_constant<adaptq_type, ADAPTQ_TYPE_INT8> {};
template <>
struct type_of<std::uint8_t> : std::integral_constant<adaptq_type, ADAPTQ_TYPE_UINT8> {};
template <>
struct type_of<bool> : std::integral_constant<adaptq_type, ADAPTQ_TYPE_BOOL> {};

/* ------------------------------------------------------------------------------------------------------------ errors */

#if ADAPTQ_HPP_THROWS
/** What the throwing operations throw. what() is the text of adaptq_last_error(). */
class error : public std::runtime_error {
 public:
  /** An error with a status and a text. */
  error(adaptq_status status, const std::string &message) : std::runtime_error(message), status_(status) {}
  /** Which kind of error. */
  adaptq_status status() const noexcept { return status_; }

 private:
  adaptq_status status_;
};
#endif

/** A value, or a status and a text. */
template <class T>
class [[nodiscard]] result {
 public:
  /** Success. */
  result(T value) : value_(std::move(value)) {}
  /** A failure; `status` is not ADAPTQ_OK. */
  result(adaptq_status status, std::string message) : status_(status), message_(std::move(message)) {}

  explicit operator bool() const noexcept { return status_ == ADAPTQ_OK; }       /**< Whether there is a value. */
  adaptq_status status() const noexcept { return status_; }                      /**< ADAPTQ_OK, or what failed. */
  const std::string &message() const noexcept { return message_; }               /**< Empty, or what went wrong. */
  T &operator*() & noexcept { return value_; }                                   /**< The value, not checked. */
  const T &operator*() const & noexcept { return value_; }                       /**< The value, not checked. */
  T &&operator*() && noexcept { return std::move(value_); }                      /**< The value, not checked. */
  T *operator->() noexcept { return &value_; }                                   /**< The value, not checked. */
  const T *operator->() const noexcept { return &value_; }                       /**< The value, not checked. */
#if ADAPTQ_HPP_THROWS
  /** The value, or throws an adaptq::error. */
  T value() && {
    if (status_ != ADAPTQ_OK) throw error(status_, message_);
    return std::move(value_);
  }
#endif

 private:
  adaptq_status status_ = ADAPTQ_OK;
  std::string message_;
  T value_{};
};

/** Success without a value, or a status and a text. */
template <>
class [[nodiscard]] result<void> {
 public:
  /** Success. */
  result() = default;
  /** A failure; `status` is not ADAPTQ_OK. */
  result(adaptq_status status, std::string message) : status_(status), message_(std::move(message)) {}

  explicit operator bool() const noexcept { return status_ == ADAPTQ_OK; } /**< Whether it succeeded. */
  adaptq_status status() const noexcept { return status_; }                /**< ADAPTQ_OK, or what failed. */
  const std::string &message() const noexcept { return message_; }         /**< Empty, or what went wrong. */
#if ADAPTQ_HPP_THROWS
  /** Nothing, or throws an adaptq::error. */
  void value() && {
    if (status_ != ADAPTQ_OK) throw error(status_, message_);
  }
#endif

 private:
  adaptq_status status_ = ADAPTQ_OK;
  std::string message_;
};

/** What the other parts of this header share; not for callers. */
namespace detail {

/** A result of a C call without a value. */
inline result<void> outcome(adaptq_status status) {
  if (status == ADAPTQ_OK) return {};
  return {status, adaptq_last_error()};
}

/** A result of a C call: `value` if it succeeded. */
template <class T>
result<T> outcome(adaptq_status status, T value) {
  if (status == ADAPTQ_OK) return result<T>(std::move(value));
  return {status, adaptq_last_error()};
}

/** A zeroed C struct with its size set. */
template <class S>
S sized() noexcept {
  S value;
  std::memset(&value, 0, sizeof value);
  value.struct_size = sizeof value;
  return value;
}

/** Owns a C handle. */
template <class H, adaptq_status (*Destroy)(H *)>
class handle {
 public:
  /** Empty. */
  handle() noexcept = default;
  /** Takes a handle over. */
  explicit handle(H *raw) noexcept : raw_(raw) {}
  /** Takes over; `other` becomes empty. */
  handle(handle &&other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  /** Destroys its own and takes over; `other` becomes empty. */
  handle &operator=(handle &&other) noexcept {
    if (this != &other) reset(std::exchange(other.raw_, nullptr));
    return *this;
  }
  handle(const handle &) = delete;
  handle &operator=(const handle &) = delete;
  /** Destroys what it owns. */
  ~handle() { reset(); }

  explicit operator bool() const noexcept { return raw_ != nullptr; }        /**< Whether it owns a handle. */
  H *get() const noexcept { return raw_; }                                   /**< The C handle, still owned. */
  H *release() noexcept { return std::exchange(raw_, nullptr); }             /**< The C handle, no longer owned. */
  /** Destroys what it owns and takes over `raw`. */
  void reset(H *raw = nullptr) noexcept {
    if (raw_ != nullptr) Destroy(raw_);
    raw_ = raw;
  }

 private:
  H *raw_ = nullptr;
};

}  // namespace detail

/* ------------------------------------------------------------------------------------------------------------ tensors */

/** A shape or strides: at most ADAPTQ_MAX_RANK numbers. */
using extents = std::initializer_list<std::int64_t>;

/** A tensor in the caller's memory, as the C functions take it: what adaptq::input and adaptq::output have in common. */
struct tensor : adaptq_tensor {
 protected:
  /** `bytes` at `data`. More sizes than ADAPTQ_MAX_RANK give a rank that every function refuses. */
  tensor(adaptq_type element, void *memory, std::size_t bytes, span<const std::int64_t> shape,
         span<const std::int64_t> steps) noexcept
      : adaptq_tensor(detail::sized<adaptq_tensor>()) {
    type = element;
    data = memory;
    data_size = bytes;
    rank = static_cast<std::int32_t>(shape.size() <= ADAPTQ_MAX_RANK ? shape.size() : ADAPTQ_MAX_RANK + 1);
    for (std::size_t i = 0; i < shape.size() && i < ADAPTQ_MAX_RANK; i++) sizes[i] = shape[i];
    for (std::size_t i = 0; i < steps.size() && i < ADAPTQ_MAX_RANK; i++) strides[i] = steps[i];
  }
  /** Views a list. */
  static span<const std::int64_t> view(extents list) noexcept { return {list.begin(), list.size()}; }
};

/** A tensor that a run reads. The memory must live until the run returns. */
struct input : tensor {
  /** The elements of `values` in the given shape, dense or with strides in elements. */
  template <class T>
  input(span<const T> values, extents shape, extents steps = {}) noexcept
      : input(values, view(shape), view(steps)) {}
  /** The same for a shape that is not known when compiling. */
  template <class T>
  input(span<const T> values, span<const std::int64_t> shape, span<const std::int64_t> steps = {}) noexcept
      : tensor(type_of<T>::value, const_cast<T *>(values.data()), values.size() * sizeof(T), shape, steps) {}
  /** A std::vector, std::array or whatever has data() and size(). */
  template <class C, class T = std::remove_const_t<std::remove_pointer_t<decltype(std::declval<const C &>().data())>>>
  input(const C &values, extents shape, extents steps = {}) noexcept
      : input(span<const T>(values.data(), values.size()), view(shape), view(steps)) {}
  /** The largest shape of an input for adaptq::session::prepare(): no memory. */
  template <class T>
  static input shaped(extents shape) noexcept {
    return input(span<const T>(), shape);
  }
};

/** A tensor that a run writes. The memory must live until the run returns. */
struct output : tensor {
  /** The elements of `values` in the given shape, dense or with strides in elements. */
  template <class T>
  output(span<T> values, extents shape, extents steps = {}) noexcept : output(values, view(shape), view(steps)) {}
  /** The same for a shape that is not known when compiling. */
  template <class T>
  output(span<T> values, span<const std::int64_t> shape, span<const std::int64_t> steps = {}) noexcept
      : tensor(type_of<T>::value, values.data(), values.size() * sizeof(T), shape, steps) {}
  /** A std::vector, std::array or whatever has data() and size(). */
  template <class C, class T = std::remove_pointer_t<decltype(std::declval<C &>().data())>>
  output(C &values, extents shape, extents steps = {}) noexcept
      : output(span<T>(values.data(), values.size()), view(shape), view(steps)) {}
};

static_assert(sizeof(input) == sizeof(adaptq_tensor) && sizeof(output) == sizeof(adaptq_tensor),
              "arrays of these are arrays of adaptq_tensor");

/* ------------------------------------------------------------------------------------------------------------ runtime */

/** adaptq_runtime_options with struct_size set and all defaults. */
struct runtime_options : adaptq_runtime_options {
  /** All defaults. */
  runtime_options() noexcept : adaptq_runtime_options(detail::sized<adaptq_runtime_options>()) {}
  /** Sends log lines up to `level` to `callable(int32_t level, std::string_view message)`, which must live as long as the
   *  runtime and what is made from it. */
  template <class F>
  runtime_options &log_to(F &callable, std::int32_t level = ADAPTQ_LOG_WARNING) noexcept {
    log = [](void *context, std::int32_t line_level, const char *message) {
      (*static_cast<F *>(context))(line_level, std::string_view(message));
    };
    log_context = &callable;
    log_level = level;
    return *this;
  }
};

/** What models share: log, memory and kernels. See adaptq_runtime_create(). */
class runtime : public detail::handle<adaptq_runtime, adaptq_runtime_destroy> {
 public:
  using handle::handle;
  /** adaptq_runtime_create(). */
  static result<runtime> try_create(const adaptq_runtime_options &options = runtime_options()) {
    adaptq_runtime *raw = nullptr;
    adaptq_status status = adaptq_runtime_create(&options, &raw);
    return detail::outcome(status, runtime(raw));
  }
  /** adaptq_runtime_telemetry_file(); without options all defaults. */
  result<void> try_telemetry_file(const std::string &path, const adaptq_telemetry_file_options *options = nullptr) const {
    return detail::outcome(adaptq_runtime_telemetry_file(get(), path.c_str(), options));
  }
#if ADAPTQ_HPP_THROWS
  /** adaptq_runtime_create(). */
  static runtime create(const adaptq_runtime_options &options = runtime_options()) {
    return try_create(options).value();
  }
  /** adaptq_runtime_telemetry_file(). */
  void telemetry_file(const std::string &path, const adaptq_telemetry_file_options *options = nullptr) const {
    try_telemetry_file(path, options).value();
  }
#endif
};

/* -------------------------------------------------------------------------------------------------------------- model */

/** A model and its weights. See adaptq_model_open(). */
class model : public detail::handle<adaptq_model, adaptq_model_destroy> {
 public:
  using handle::handle;

  /** adaptq_model_open(). */
  static result<model> try_open(const runtime &from, const std::string &path) {
    adaptq_model *raw = nullptr;
    adaptq_status status = adaptq_model_open(from.get(), path.c_str(), &raw);
    return detail::outcome(status, model(raw));
  }
  /** adaptq_model_open_memory(). */
  static result<model> try_open(const runtime &from, span<const std::byte> bytes) {
    adaptq_model *raw = nullptr;
    adaptq_status status = adaptq_model_open_memory(from.get(), bytes.data(), bytes.size(), &raw);
    return detail::outcome(status, model(raw));
  }
  /** adaptq_model_open_fd(). */
  static result<model> try_open_fd(const runtime &from, int fd, std::uint64_t offset = 0, std::uint64_t size = 0) {
    adaptq_model *raw = nullptr;
    adaptq_status status = adaptq_model_open_fd(from.get(), fd, offset, size, &raw);
    return detail::outcome(status, model(raw));
  }
  /** adaptq_model_open_callback() with `callable(uint64_t offset, span<std::byte> buffer) -> int64_t`. */
  template <class F>
  static result<model> try_open(const runtime &from, F &callable, std::uint64_t size) {
    adaptq_model *raw = nullptr;
    adaptq_status status = adaptq_model_open_callback(
        from.get(),
        [](void *context, std::uint64_t offset, void *buffer, std::size_t count) -> std::int64_t {
          return (*static_cast<F *>(context))(offset, span<std::byte>(static_cast<std::byte *>(buffer), count));
        },
        &callable, size, &raw);
    return detail::outcome(status, model(raw));
  }

  /** adaptq_model_input_count(). */
  result<std::size_t> try_input_count() const { return count(adaptq_model_input_count); }
  /** adaptq_model_output_count(). */
  result<std::size_t> try_output_count() const { return count(adaptq_model_output_count); }
  /** adaptq_model_site_count(). */
  result<std::size_t> try_site_count() const { return count(adaptq_model_site_count); }
  /** adaptq_model_input(). */
  result<adaptq_tensor_info> try_input(std::size_t index) const {
    auto info = detail::sized<adaptq_tensor_info>();
    return outcome(adaptq_model_input(get(), index, &info), info);
  }
  /** adaptq_model_output(). */
  result<adaptq_tensor_info> try_output(std::size_t index) const {
    auto info = detail::sized<adaptq_tensor_info>();
    return outcome(adaptq_model_output(get(), index, &info), info);
  }
  /** adaptq_model_site(). */
  result<adaptq_site_info> try_site(std::size_t index) const {
    auto info = detail::sized<adaptq_site_info>();
    return outcome(adaptq_model_site(get(), index, &info), info);
  }
  /** adaptq_model_levels(). */
  result<std::uint32_t> try_levels() const {
    std::uint32_t levels = 0;
    return outcome(adaptq_model_levels(get(), &levels), levels);
  }
  /** adaptq_model_metadata_find(). The text lives as long as the model. */
  result<std::string_view> try_metadata(const std::string &key) const {
    const char *value = "";
    adaptq_status status = adaptq_model_metadata_find(get(), key.c_str(), &value);
    return detail::outcome(status, std::string_view(value));
  }
  /** All keys and texts, adaptq_model_metadata(). They live as long as the model. */
  result<std::vector<std::pair<std::string_view, std::string_view>>> try_metadata() const {
    std::vector<std::pair<std::string_view, std::string_view>> all;
    std::size_t texts = 0;
    adaptq_status status = adaptq_model_metadata_count(get(), &texts);
    for (std::size_t i = 0; i < texts && status == ADAPTQ_OK; i++) {
      const char *key = "", *value = "";
      status = adaptq_model_metadata(get(), i, &key, &value);
      all.emplace_back(key, value);
    }
    return detail::outcome(status, std::move(all));
  }
  /** adaptq_model_memory(). */
  result<adaptq_memory> try_memory() const {
    auto memory = detail::sized<adaptq_memory>();
    return outcome(adaptq_model_memory(get(), &memory), memory);
  }

#if ADAPTQ_HPP_THROWS
  /** adaptq_model_open(). */
  static model open(const runtime &from, const std::string &path) { return try_open(from, path).value(); }
  /** adaptq_model_open_memory(). */
  static model open(const runtime &from, span<const std::byte> bytes) { return try_open(from, bytes).value(); }
  /** adaptq_model_open_fd(). */
  static model open_fd(const runtime &from, int fd, std::uint64_t offset = 0, std::uint64_t size = 0) {
    return try_open_fd(from, fd, offset, size).value();
  }
  /** adaptq_model_open_callback() with `callable(uint64_t offset, span<std::byte> buffer) -> int64_t`. */
  template <class F>
  static model open(const runtime &from, F &callable, std::uint64_t size) {
    return try_open(from, callable, size).value();
  }
  std::size_t input_count() const { return try_input_count().value(); }               /**< adaptq_model_input_count(). */
  std::size_t output_count() const { return try_output_count().value(); }             /**< adaptq_model_output_count(). */
  std::size_t site_count() const { return try_site_count().value(); }                 /**< adaptq_model_site_count(). */
  adaptq_tensor_info input(std::size_t index) const { return try_input(index).value(); }   /**< adaptq_model_input(). */
  adaptq_tensor_info output(std::size_t index) const { return try_output(index).value(); } /**< adaptq_model_output(). */
  adaptq_site_info site(std::size_t index) const { return try_site(index).value(); }  /**< adaptq_model_site(). */
  std::uint32_t levels() const { return try_levels().value(); }                       /**< adaptq_model_levels(). */
  adaptq_memory memory() const { return try_memory().value(); }                       /**< adaptq_model_memory(). */
  /** adaptq_model_metadata_find(). The text lives as long as the model. */
  std::string_view metadata(const std::string &key) const { return try_metadata(key).value(); }
  /** All keys and texts, adaptq_model_metadata(). They live as long as the model. */
  std::vector<std::pair<std::string_view, std::string_view>> metadata() const { return try_metadata().value(); }
#endif

 private:
  template <class T>
  static result<T> outcome(adaptq_status status, const T &value) { return detail::outcome(status, T(value)); }
  result<std::size_t> count(adaptq_status (*ask)(adaptq_model *, std::size_t *)) const {
    std::size_t number = 0;
    adaptq_status status = ask(get(), &number);
    return detail::outcome(status, std::size_t(number));
  }
};

/* ------------------------------------------------------------------------------------------------------------ session */

/** adaptq_session_options with struct_size set. */
struct session_options : adaptq_session_options {
  /** Levels to use, ADAPTQ_ALLOW_*; 0: all that the model stores. */
  explicit session_options(std::uint32_t levels = 0) noexcept
      : adaptq_session_options(detail::sized<adaptq_session_options>()) {
    allowed_levels = levels;
  }
  /** At most about so long for measuring in prepare, one run per level apart; 0: as long as it takes. */
  session_options &measure_within(std::chrono::nanoseconds time) noexcept {
    measure_ns = static_cast<std::int64_t>(time.count());
    return *this;
  }
  /** Allows adaptq_session_shadow(). */
  session_options &allow_shadow() noexcept {
    shadow = 1;
    return *this;
  }
  /** Budgets of power may choose how many threads a run has. */
  session_options &let_power_choose_threads() noexcept {
    choose_threads = 1;
    return *this;
  }
};

/** adaptq_shadow_options with struct_size set. */
struct shadow_options : adaptq_shadow_options {
  /** The plan to compare; 0: the session chooses. */
  explicit shadow_options(std::int32_t which = 0) noexcept
      : adaptq_shadow_options(detail::sized<adaptq_shadow_options>()) {
    plan = which;
  }
};

/** adaptq_run_options with struct_size set. */
struct run_options : adaptq_run_options {
  /** A level for one call. */
  explicit run_options(adaptq_level call_level = ADAPTQ_LEVEL_AUTO) noexcept
      : adaptq_run_options(detail::sized<adaptq_run_options>()) {
    level = call_level;
  }
  /** Sets deadline_ns. */
  run_options &within(std::chrono::nanoseconds time) noexcept {
    deadline_ns = time.count();
    return *this;
  }
};

/** adaptq_run_report with struct_size set. */
struct run_report : adaptq_run_report {
  /** To be filled by a run. */
  run_report() noexcept : adaptq_run_report(detail::sized<adaptq_run_report>()) {}
};

/** One stream of inferences. See adaptq_session_create(). */
class session : public detail::handle<adaptq_session, adaptq_session_destroy> {
 public:
  using handle::handle;

  /** adaptq_session_create(). */
  static result<session> try_create(const model &from, const adaptq_session_options &options = session_options()) {
    adaptq_session *raw = nullptr;
    adaptq_status status = adaptq_session_create(from.get(), &options, &raw);
    return detail::outcome(status, session(raw));
  }
  /** adaptq_session_prepare(). */
  result<void> try_prepare(span<const input> largest) {
    return detail::outcome(adaptq_session_prepare(get(), largest.data(), largest.size()));
  }
  /** adaptq_session_run(). `report.needed_bytes` also tells what ADAPTQ_BUFFER_TOO_SMALL needs. Does not allocate if it
   *  succeeds. */
  result<void> try_run(span<const input> inputs, span<const output> outputs, run_report &report,
                       const adaptq_run_options &options = run_options()) {
    return detail::outcome(adaptq_session_run(get(), inputs.data(), inputs.size(), outputs.data(), outputs.size(),
                                              &options, &report));
  }
  /** adaptq_session_run(). */
  result<run_report> try_run(span<const input> inputs, span<const output> outputs,
                             const adaptq_run_options &options = run_options()) {
    run_report report;
    adaptq_status status = adaptq_session_run(get(), inputs.data(), inputs.size(), outputs.data(), outputs.size(),
                                              &options, &report);
    return detail::outcome(status, std::move(report));
  }
  /** adaptq_session_output_shape(): sizes of output `index` for inputs of the given sizes. */
  result<std::vector<std::int64_t>> try_output_shape(span<const input> inputs, std::size_t index) {
    auto shape = detail::sized<adaptq_tensor>();
    adaptq_status status = adaptq_session_output_shape(get(), inputs.data(), inputs.size(), index, &shape);
    return detail::outcome(status, std::vector<std::int64_t>(shape.sizes, shape.sizes + shape.rank));
  }
  /** adaptq_session_set_level(). */
  result<void> try_set_level(adaptq_level level) { return detail::outcome(adaptq_session_set_level(get(), level)); }
  /** adaptq_session_set_allowed_levels(). */
  result<void> try_set_allowed_levels(std::uint32_t levels) {
    return detail::outcome(adaptq_session_set_allowed_levels(get(), levels));
  }
  /** adaptq_session_set_latency_budget(). */
  result<void> try_set_latency_budget(std::int64_t latency_ns, double percentile) {
    return detail::outcome(adaptq_session_set_latency_budget(get(), latency_ns, percentile));
  }
  /** adaptq_session_cancel(), from any thread. */
  result<void> try_cancel() const { return detail::outcome(adaptq_session_cancel(get())); }
  /** adaptq_session_set_trace() with `callable(const adaptq_trace_event &)`, which must live until the trace is removed or
   *  the session is gone. */
  template <class F>
  result<void> try_set_trace(F &callable) {
    return detail::outcome(adaptq_session_set_trace(
        get(),
        [](void *context, const adaptq_trace_event *event) { (*static_cast<F *>(context))(*event); }, &callable));
  }
  /** adaptq_session_set_trace(): no longer. */
  result<void> try_remove_trace() { return detail::outcome(adaptq_session_set_trace(get(), nullptr, nullptr)); }
  /** adaptq_session_memory(). */
  result<adaptq_memory> try_memory() const {
    auto memory = detail::sized<adaptq_memory>();
    adaptq_status status = adaptq_session_memory(get(), &memory);
    return detail::outcome(status, adaptq_memory(memory));
  }
  /** adaptq_session_costs(): measured costs, best level first. */
  result<std::vector<adaptq_level_cost>> try_costs() const {
    std::vector<adaptq_level_cost> costs(8, detail::sized<adaptq_level_cost>());
    std::size_t known = 0;
    adaptq_status status = adaptq_session_costs(get(), costs.data(), costs.size(), &known);
    costs.resize(status == ADAPTQ_OK ? known : 0);
    return detail::outcome(status, std::move(costs));
  }
  /** adaptq_session_prepare_info(). */
  result<adaptq_prepare_info> try_prepare_info() const {
    auto info = detail::sized<adaptq_prepare_info>();
    adaptq_status status = adaptq_session_prepare_info(get(), &info);
    return detail::outcome(status, adaptq_prepare_info(info));
  }
  /** adaptq_session_export_costs(). */
  result<std::vector<std::byte>> try_export_costs() const {
    std::size_t size = 0;
    std::vector<std::byte> bytes;
    adaptq_status status = adaptq_session_export_costs(get(), nullptr, 0, &size);
    if (status == ADAPTQ_BUFFER_TOO_SMALL) {
      bytes.resize(size);
      status = adaptq_session_export_costs(get(), bytes.data(), bytes.size(), &size);
    }
    return detail::outcome(status, std::move(bytes));
  }
  /** adaptq_session_import_costs(). */
  result<void> try_import_costs(span<const std::byte> bytes) {
    return detail::outcome(adaptq_session_import_costs(get(), bytes.data(), bytes.size()));
  }
  /** adaptq_session_plans(): what the budget chooses from, best first. */
  result<std::vector<adaptq_plan_info>> try_plans() const {
    std::vector<adaptq_plan_info> plans(64, detail::sized<adaptq_plan_info>());
    std::size_t known = 0;
    adaptq_status status = adaptq_session_plans(get(), plans.data(), plans.size(), &known);
    plans.resize(status == ADAPTQ_OK ? known : 0);
    return detail::outcome(status, std::move(plans));
  }
  /** adaptq_session_set_quality_floor(). */
  result<void> try_set_quality_floor(double mean_cosine, double p5_cosine, adaptq_limit_report *report = nullptr) {
    return detail::outcome(adaptq_session_set_quality_floor(get(), mean_cosine, p5_cosine, report));
  }
  /** adaptq_session_set_power_budget(); struct_size is set here. */
  result<void> try_set_power_budget(adaptq_power_budget budget, adaptq_limit_report *report = nullptr) {
    budget.struct_size = sizeof budget;
    return detail::outcome(adaptq_session_set_power_budget(get(), &budget, report));
  }
  /** adaptq_session_set_power_budget(): no longer any. */
  result<void> try_remove_power_budget() {
    return detail::outcome(adaptq_session_set_power_budget(get(), nullptr, nullptr));
  }
  /** adaptq_session_power_budget(). */
  result<adaptq_power_budget> try_power_budget() const {
    auto budget = detail::sized<adaptq_power_budget>();
    adaptq_status status = adaptq_session_power_budget(get(), &budget);
    return detail::outcome(status, adaptq_power_budget(budget));
  }
  /** adaptq_session_shadow() with the inputs of the last run. */
  result<adaptq_shadow_report> try_shadow(const adaptq_shadow_options &options = shadow_options()) {
    return try_shadow(span<const input>(), options);
  }
  /** adaptq_session_shadow(). */
  result<adaptq_shadow_report> try_shadow(span<const input> inputs,
                                          const adaptq_shadow_options &options = shadow_options()) {
    auto report = detail::sized<adaptq_shadow_report>();
    adaptq_status status = adaptq_session_shadow(get(), inputs.size() ? inputs.data() : nullptr, inputs.size(), &options,
                                                 &report);
    return detail::outcome(status, adaptq_shadow_report(report));
  }
  /** adaptq_session_report_quality(), from any thread. */
  result<void> try_report_quality(std::int32_t plan, double score) const {
    return detail::outcome(adaptq_session_report_quality(get(), plan, score));
  }
  /** adaptq_session_drift(): one entry per site. */
  result<std::vector<adaptq_site_drift>> try_drift() const {
    std::size_t known = 0;
    auto first = detail::sized<adaptq_site_drift>();
    adaptq_status status = adaptq_session_drift(get(), &first, 0, &known);
    std::vector<adaptq_site_drift> sites(known, first);
    if (status == ADAPTQ_BUFFER_TOO_SMALL) status = adaptq_session_drift(get(), sites.data(), sites.size(), &known);
    return detail::outcome(status, std::move(sites));
  }
  /** adaptq_session_set_budget(). */
  result<void> try_set_budget(const adaptq_budget &budget, adaptq_limit_report *report = nullptr) {
    return detail::outcome(adaptq_session_set_budget(get(), &budget, report));
  }
  /** adaptq_session_telemetry(): the last inferences, oldest first. */
  result<std::vector<adaptq_telemetry>> try_telemetry() const {
    std::vector<adaptq_telemetry> entries(256, detail::sized<adaptq_telemetry>());
    std::size_t kept = 0;
    adaptq_status status = adaptq_session_telemetry(get(), entries.data(), entries.size(), &kept);
    entries.resize(status == ADAPTQ_OK ? kept : 0);
    return detail::outcome(status, std::move(entries));
  }

  /** adaptq_session_reset_state(). */
  result<void> try_reset_state() { return detail::outcome(adaptq_session_reset_state(get())); }
  /** adaptq_session_state_save(). */
  result<std::vector<std::byte>> try_save_state() const {
    std::size_t size = 0;
    std::vector<std::byte> bytes;
    adaptq_status status = adaptq_session_state_save(get(), nullptr, 0, &size);
    if (status == ADAPTQ_BUFFER_TOO_SMALL) {
      bytes.resize(size);
      status = adaptq_session_state_save(get(), bytes.data(), bytes.size(), &size);
    }
    return detail::outcome(status, std::move(bytes));
  }
  /** adaptq_session_state_restore(). */
  result<void> try_restore_state(span<const std::byte> bytes) {
    return detail::outcome(adaptq_session_state_restore(get(), bytes.data(), bytes.size()));
  }

#if ADAPTQ_HPP_THROWS
  void reset_state() { try_reset_state().value(); }                                     /**< adaptq_session_reset_state(). */
  std::vector<std::byte> save_state() const { return try_save_state().value(); }        /**< adaptq_session_state_save(). */
  void restore_state(span<const std::byte> bytes) { try_restore_state(bytes).value(); } /**< adaptq_session_state_restore(). */
  /** adaptq_session_create(). */
  static session create(const model &from, const adaptq_session_options &options = session_options()) {
    return try_create(from, options).value();
  }
  /** adaptq_session_prepare(). */
  void prepare(span<const input> largest) { try_prepare(largest).value(); }
  /** adaptq_session_run(). */
  run_report run(span<const input> inputs, span<const output> outputs,
                 const adaptq_run_options &options = run_options()) {
    return try_run(inputs, outputs, options).value();
  }
  /** adaptq_session_output_shape(): sizes of output `index` for inputs of the given sizes. */
  std::vector<std::int64_t> output_shape(span<const input> inputs, std::size_t index) {
    return try_output_shape(inputs, index).value();
  }
  void set_level(adaptq_level level) { try_set_level(level).value(); } /**< adaptq_session_set_level(). */
  /** adaptq_session_set_allowed_levels(). */
  void set_allowed_levels(std::uint32_t levels) { try_set_allowed_levels(levels).value(); }
  /** adaptq_session_set_latency_budget(). */
  void set_latency_budget(std::int64_t latency_ns, double percentile) {
    try_set_latency_budget(latency_ns, percentile).value();
  }
  void cancel() const { try_cancel().value(); } /**< adaptq_session_cancel(), from any thread. */
  /** adaptq_session_set_trace() with `callable(const adaptq_trace_event &)`, see try_set_trace(). */
  template <class F>
  void set_trace(F &callable) {
    try_set_trace(callable).value();
  }
  void remove_trace() { try_remove_trace().value(); }                                /**< No longer. */
  adaptq_memory memory() const { return try_memory().value(); }                      /**< adaptq_session_memory(). */
  std::vector<adaptq_level_cost> costs() const { return try_costs().value(); }       /**< adaptq_session_costs(). */
  adaptq_prepare_info prepare_info() const { return try_prepare_info().value(); }    /**< adaptq_session_prepare_info(). */
  std::vector<std::byte> export_costs() const { return try_export_costs().value(); } /**< adaptq_session_export_costs(). */
  void import_costs(span<const std::byte> bytes) { try_import_costs(bytes).value(); }/**< adaptq_session_import_costs(). */
  std::vector<adaptq_plan_info> plans() const { return try_plans().value(); }        /**< adaptq_session_plans(). */
  /** adaptq_session_shadow() with the inputs of the last run. */
  adaptq_shadow_report shadow(const adaptq_shadow_options &options = shadow_options()) {
    return try_shadow(options).value();
  }
  /** adaptq_session_shadow(). */
  adaptq_shadow_report shadow(span<const input> inputs, const adaptq_shadow_options &options = shadow_options()) {
    return try_shadow(inputs, options).value();
  }
  /** adaptq_session_report_quality(), from any thread. */
  void report_quality(std::int32_t plan, double score) const { try_report_quality(plan, score).value(); }
  std::vector<adaptq_site_drift> drift() const { return try_drift().value(); } /**< adaptq_session_drift(). */
  /** adaptq_session_set_quality_floor(). */
  void set_quality_floor(double mean_cosine, double p5_cosine, adaptq_limit_report *report = nullptr) {
    try_set_quality_floor(mean_cosine, p5_cosine, report).value();
  }
  /** adaptq_session_set_power_budget(); struct_size is set here. */
  void set_power_budget(const adaptq_power_budget &budget, adaptq_limit_report *report = nullptr) {
    try_set_power_budget(budget, report).value();
  }
  /** adaptq_session_set_power_budget(): no longer any. */
  void remove_power_budget() { try_remove_power_budget().value(); }
  /** adaptq_session_power_budget(). */
  adaptq_power_budget power_budget() const { return try_power_budget().value(); }
  /** adaptq_session_set_budget(). */
  void set_budget(const adaptq_budget &budget, adaptq_limit_report *report = nullptr) {
    try_set_budget(budget, report).value();
  }
  std::vector<adaptq_telemetry> telemetry() const { return try_telemetry().value(); }/**< adaptq_session_telemetry(). */
#endif
};

/* ---------------------------------------------------------------------------------------------------------- tokenizer */

/** A model's tokenizer. See adaptq_tokenizer_create(). */
class tokenizer : public detail::handle<adaptq_tokenizer, adaptq_tokenizer_destroy> {
 public:
  using handle::handle;

  /** adaptq_tokenizer_create(). */
  static result<tokenizer> try_create(const model &from) {
    adaptq_tokenizer *raw = nullptr;
    adaptq_status status = adaptq_tokenizer_create(from.get(), &raw);
    return detail::outcome(status, tokenizer(raw));
  }
  /** adaptq_tokenizer_get_info(). */
  result<adaptq_tokenizer_info> try_info() const {
    auto info = detail::sized<adaptq_tokenizer_info>();
    adaptq_status status = adaptq_tokenizer_get_info(get(), &info);
    return detail::outcome(status, adaptq_tokenizer_info(info));
  }
  /** adaptq_tokenizer_encode() into a new vector. */
  result<std::vector<std::int64_t>> try_encode(std::string_view text, std::int64_t max_length = 0) const {
    std::vector<std::int64_t> ids(text.size() + 8);
    std::size_t count = 0;
    adaptq_status status =
        adaptq_tokenizer_encode(get(), text.data(), text.size(), max_length, ids.data(), ids.size(), &count);
    if (status == ADAPTQ_BUFFER_TOO_SMALL) {
      ids.resize(count);
      status = adaptq_tokenizer_encode(get(), text.data(), text.size(), max_length, ids.data(), ids.size(), &count);
    }
    ids.resize(status == ADAPTQ_OK ? count : 0);
    return detail::outcome(status, std::move(ids));
  }
  /** adaptq_tokenizer_encode() into memory of the caller's; the number of ids. */
  result<std::size_t> try_encode(std::string_view text, span<std::int64_t> ids, std::int64_t max_length = 0) const {
    std::size_t count = 0;
    adaptq_status status =
        adaptq_tokenizer_encode(get(), text.data(), text.size(), max_length, ids.data(), ids.size(), &count);
    return detail::outcome(status, std::size_t(count));
  }

#if ADAPTQ_HPP_THROWS
  static tokenizer create(const model &from) { return try_create(from).value(); } /**< adaptq_tokenizer_create(). */
  adaptq_tokenizer_info info() const { return try_info().value(); }               /**< adaptq_tokenizer_get_info(). */
  /** adaptq_tokenizer_encode() into a new vector. */
  std::vector<std::int64_t> encode(std::string_view text, std::int64_t max_length = 0) const {
    return try_encode(text, max_length).value();
  }
  /** adaptq_tokenizer_encode() into memory of the caller's; the number of ids. */
  std::size_t encode(std::string_view text, span<std::int64_t> ids, std::int64_t max_length = 0) const {
    return try_encode(text, ids, max_length).value();
  }
#endif
};

/* ----------------------------------------------------------------------------------------------------------- matrices */

/** adaptq_matrix_options with struct_size set. */
struct matrix_options : adaptq_matrix_options {
  /** All defaults, no weights. */
  matrix_options() noexcept : adaptq_matrix_options(detail::sized<adaptq_matrix_options>()) {}
  /** FP32 weights `[rows][columns]`, dense. */
  matrix_options(span<const float> values, std::int64_t rows, std::int64_t columns) noexcept : matrix_options() {
    weights = values.data();
    n = rows;
    k = columns;
  }
};

/** adaptq_multiply with struct_size set. */
struct multiply : adaptq_multiply {
  /** y `[rows][n]` from x `[rows][k]`, dense, at a level. */
  multiply(adaptq_level at, std::int64_t count, const float *from, float *to) noexcept
      : adaptq_multiply(detail::sized<adaptq_multiply>()) {
    level = at;
    rows = count;
    x = from;
    y = to;
  }
};

/** A matrix of weights. See adaptq_matrix_create(). */
class matrix : public detail::handle<adaptq_matrix, adaptq_matrix_destroy> {
 public:
  using handle::handle;

  /** adaptq_matrix_create(). */
  static result<matrix> try_create(const runtime &from, const adaptq_matrix_options &options) {
    adaptq_matrix *raw = nullptr;
    adaptq_status status = adaptq_matrix_create(from.get(), &options, &raw);
    return detail::outcome(status, matrix(raw));
  }
  /** adaptq_matrix_get_info(). */
  result<adaptq_matrix_info> try_info() const {
    auto info = detail::sized<adaptq_matrix_info>();
    adaptq_status status = adaptq_matrix_get_info(get(), &info);
    return detail::outcome(status, adaptq_matrix_info(info));
  }
  /** adaptq_matrix_multiply(). */
  result<void> try_multiply(const adaptq_multiply &call) const {
    return detail::outcome(adaptq_matrix_multiply(get(), &call));
  }
  /** adaptq_matrix_workspace_size(). */
  result<std::size_t> try_workspace_size(std::int64_t rows) const {
    std::size_t size = 0;
    adaptq_status status = adaptq_matrix_workspace_size(get(), rows, &size);
    return detail::outcome(status, std::size_t(size));
  }
  /** adaptq_matrix_save() of this one matrix. */
  result<void> try_save(const std::string &path) const {
    adaptq_matrix *raw = get();
    return detail::outcome(adaptq_matrix_save(&raw, 1, path.c_str()));
  }

#if ADAPTQ_HPP_THROWS
  /** adaptq_matrix_create(). */
  static matrix create(const runtime &from, const adaptq_matrix_options &options) {
    return try_create(from, options).value();
  }
  adaptq_matrix_info info() const { return try_info().value(); }                     /**< adaptq_matrix_get_info(). */
  void multiply(const adaptq_multiply &call) const { try_multiply(call).value(); }   /**< adaptq_matrix_multiply(). */
  void save(const std::string &path) const { try_save(path).value(); }               /**< adaptq_matrix_save(). */
  /** adaptq_matrix_workspace_size(). */
  std::size_t workspace_size(std::int64_t rows) const { return try_workspace_size(rows).value(); }
#endif
};

/** The matrices of a file. See adaptq_matrix_file_open(). */
class matrix_file : public detail::handle<adaptq_matrix_file, adaptq_matrix_file_destroy> {
 public:
  using handle::handle;

  /** adaptq_matrix_file_open(). */
  static result<matrix_file> try_open(const runtime &from, const std::string &path) {
    adaptq_matrix_file *raw = nullptr;
    adaptq_status status = adaptq_matrix_file_open(from.get(), path.c_str(), &raw);
    return detail::outcome(status, matrix_file(raw));
  }
  /** All names, adaptq_matrix_file_name(). They live as long as the file's handle. */
  result<std::vector<std::string_view>> try_names() const {
    std::vector<std::string_view> names;
    std::size_t count = 0;
    adaptq_status status = adaptq_matrix_file_count(get(), &count);
    for (std::size_t i = 0; i < count && status == ADAPTQ_OK; i++) {
      const char *name = "";
      status = adaptq_matrix_file_name(get(), i, &name);
      names.emplace_back(name);
    }
    return detail::outcome(status, std::move(names));
  }
  /** adaptq_matrix_open(); `max_rows` 0: the default. */
  result<matrix> try_open_matrix(const std::string &name, std::int64_t max_rows = 0) const {
    auto options = detail::sized<adaptq_matrix_open_options>();
    options.max_rows = max_rows;
    adaptq_matrix *raw = nullptr;
    adaptq_status status = adaptq_matrix_open(get(), name.c_str(), &options, &raw);
    return detail::outcome(status, matrix(raw));
  }

#if ADAPTQ_HPP_THROWS
  /** adaptq_matrix_file_open(). */
  static matrix_file open(const runtime &from, const std::string &path) { return try_open(from, path).value(); }
  std::vector<std::string_view> names() const { return try_names().value(); } /**< All names. */
  /** adaptq_matrix_open(); `max_rows` 0: the default. */
  matrix open_matrix(const std::string &name, std::int64_t max_rows = 0) const {
    return try_open_matrix(name, max_rows).value();
  }
#endif
};

}  // namespace adaptq

#endif /* ADAPTQ_HPP */
