// adaptq.hpp: handles move and destroy, errors come as results and as exceptions, views of all kinds reach the library.
// Compiled with and without exceptions, as C++17 and C++20.
#include "adaptq.hpp"

#include <array>
#include <atomic>
#include <memory>
#include <thread>

#include <unistd.h>

#include "fixture.h"

#define REQUIRE_RESULT(result) \
  do { \
    if (!(result)) { \
      check_fail(__FILE__, __LINE__, "%s: %s", adaptq_status_name((result).status()), (result).message().c_str()); \
      return; \
    } \
  } while (0)

static_assert(!std::is_copy_constructible_v<adaptq::session> && !std::is_copy_assignable_v<adaptq::session>, "move-only");
static_assert(std::is_nothrow_move_constructible_v<adaptq::model> && std::is_nothrow_move_assignable_v<adaptq::model>, "");
static_assert(std::is_default_constructible_v<adaptq::runtime>, "");

static void handles() {
  auto made = adaptq::runtime::try_create();
  REQUIRE_RESULT(made);
  adaptq::runtime runtime = *std::move(made);
  CHECK(runtime && runtime.get() != nullptr);
  adaptq_runtime *raw = runtime.get();
  adaptq::runtime moved = std::move(runtime);
  CHECK(moved.get() == raw);
  CHECK(!runtime);  // NOLINT: a moved-from handle is empty by contract
  adaptq::runtime other;
  CHECK(!other);
  other = std::move(moved);
  CHECK(other.get() == raw && !moved);
  auto &same = other;
  other = std::move(same);
  CHECK(other.get() == raw);
  other.reset();
  CHECK(!other);
  CHECK_STATUS(adaptq_runtime_destroy(raw), ADAPTQ_INVALID_HANDLE);  // it was destroyed
  {
    auto scoped = adaptq::runtime::try_create();
    REQUIRE_RESULT(scoped);
    raw = (*scoped).get();
  }
  CHECK_STATUS(adaptq_runtime_destroy(raw), ADAPTQ_INVALID_HANDLE);
  auto kept = adaptq::runtime::try_create();
  REQUIRE_RESULT(kept);
  raw = kept->release();
  CHECK(!*kept);
  CHECK_STATUS(adaptq_runtime_destroy(raw), ADAPTQ_OK);
}

static void results() {
  adaptq::runtime_options options;
  options.max_isa = 99;
  {
    auto recorded = adaptq::runtime::try_create();
    REQUIRE_RESULT(recorded);
    CHECK(recorded->try_telemetry_file("/nonexistent/folder/file").status() == ADAPTQ_NOT_FOUND);
    const std::string path = "/tmp/adaptq-hpp-" + std::to_string(getpid());
    CHECK(bool(recorded->try_telemetry_file(path)) && access(path.c_str(), F_OK) == 0);
  }
  auto failed = adaptq::runtime::try_create(options);
  CHECK(!failed && failed.status() == ADAPTQ_INVALID_ARGUMENT);
  CHECK(failed.message().find("max_isa is 99") != std::string::npos);
  adaptq::runtime empty;
  auto model = adaptq::model::try_open(empty, "nothing");
  CHECK(!model && model.status() == ADAPTQ_INVALID_HANDLE && !model.message().empty());
  auto runtime = adaptq::runtime::try_create();
  REQUIRE_RESULT(runtime);
  CHECK(adaptq::model::try_open(*runtime, "/nowhere/at/all").status() == ADAPTQ_NOT_FOUND);
  CHECK(adaptq::model::try_open_fd(*runtime, -1).status() == ADAPTQ_INVALID_ARGUMENT);
  const std::array<std::byte, 3> bytes{};
  CHECK(adaptq::model::try_open(*runtime, bytes).status() == ADAPTQ_INVALID_FILE);
  auto fails = [](std::uint64_t, adaptq::span<std::byte>) -> std::int64_t { return -1; };
  CHECK(adaptq::model::try_open(*runtime, fails, 100).status() == ADAPTQ_IO_ERROR);
  CHECK(adaptq::session().try_cancel().status() == ADAPTQ_INVALID_HANDLE);
  CHECK(adaptq::model().try_metadata().status() == ADAPTQ_INVALID_HANDLE);
#if ADAPTQ_HPP_THROWS
  int thrown = 0;
  try {
    adaptq::model::open(*runtime, "/nowhere/at/all");
  } catch (const adaptq::error &error) {
    thrown += error.status() == ADAPTQ_NOT_FOUND && std::strstr(error.what(), "/nowhere/at/all") != nullptr;
  }
  try {
    adaptq::session().set_level(ADAPTQ_LEVEL_INT8);
  } catch (const std::runtime_error &error) {
    thrown += std::strstr(error.what(), "adaptq_session") != nullptr;
  }
  CHECK_INT(thrown, 2);
#endif
}

static void views() {
  float values[6] = {1, 2, 3, 4, 5, 6};
  std::vector<std::int32_t> numbers(4);
  const std::array<adaptq::half, 2> halves{};
  std::uint8_t bytes[2] = {0, 1};
  adaptq::input a(adaptq::span<const float>(values), {2, 3});
  CHECK(a.struct_size == sizeof(adaptq_tensor) && a.type == ADAPTQ_TYPE_FLOAT32 && a.rank == 2 && a.sizes[0] == 2);
  CHECK(a.sizes[1] == 3 && a.data == values && a.data_size == sizeof values && a.strides[0] == 0);
  adaptq::input b(numbers, {2, 1}, {2, 1});
  CHECK(b.type == ADAPTQ_TYPE_INT32 && b.data_size == 16 && b.strides[0] == 2 && b.strides[1] == 1);
  CHECK(adaptq::input(halves, {2}).type == ADAPTQ_TYPE_FLOAT16 && adaptq::input(halves, {2}).data_size == 4);
  CHECK(adaptq::input(adaptq::span<const std::uint8_t>(bytes), {2}).type == ADAPTQ_TYPE_UINT8);
  CHECK(adaptq::type_of<bool>::value == ADAPTQ_TYPE_BOOL && adaptq::type_of<std::int8_t>::value == ADAPTQ_TYPE_INT8);
  adaptq::output c(numbers, {4});
  CHECK(c.type == ADAPTQ_TYPE_INT32 && c.data == numbers.data());
  adaptq::input shaped = adaptq::input::shaped<std::int64_t>({7, 8});
  CHECK(shaped.data == nullptr && shaped.data_size == 0 && shaped.sizes[1] == 8 && shaped.type == ADAPTQ_TYPE_INT64);
  CHECK_INT(adaptq::input(numbers, {1, 1, 1, 1, 1, 1, 1, 1, 1}).rank, ADAPTQ_MAX_RANK + 1);  // refused by every function
  adaptq::span<float> none;
  CHECK(none.empty() && none.size() == 0);
  adaptq::span<const float> all(values);
  float sum = 0;
  for (float value : all) sum += value;
  CHECK(sum == 21 && all[2] == 3);
}

// The whole life of a model with results only: what -fno-exceptions programs write.
static void life_with_results() {
  NEEDS_MODEL();
  int lines = 0;
  auto log = [&lines](std::int32_t, std::string_view message) { lines += !message.empty(); };
  auto runtime = adaptq::runtime::try_create(adaptq::runtime_options().log_to(log, ADAPTQ_LOG_DEBUG));
  REQUIRE_RESULT(runtime);
  auto model = adaptq::model::try_open(*runtime, fixture_path());
  REQUIRE_RESULT(model);
  CHECK(lines > 0);
  auto tokenizer = adaptq::tokenizer::try_create(*model);
  REQUIRE_RESULT(tokenizer);
  auto ids = tokenizer->try_encode("The quick brown fox.", 16);
  REQUIRE_RESULT(ids);
  std::array<std::int64_t, 16> same{};
  auto count = tokenizer->try_encode("The quick brown fox.", same, 16);
  REQUIRE_RESULT(count);
  CHECK(*count == ids->size() && std::equal(ids->begin(), ids->end(), same.begin()));
  CHECK(tokenizer->try_encode("The quick brown fox.", adaptq::span<std::int64_t>(same.data(), 2)).status() ==
        ADAPTQ_BUFFER_TOO_SMALL);
  auto info = tokenizer->try_info();
  CHECK(info && info->vocabulary_size > 1000);

  auto inputs_wanted = model->try_input_count();
  REQUIRE_RESULT(inputs_wanted);
  const auto length = static_cast<std::int64_t>(ids->size());
  std::vector<bool> unused;
  std::unique_ptr<bool[]> mask(new bool[ids->size()]);
  std::fill_n(mask.get(), ids->size(), true);
  std::vector<std::int32_t> types(ids->size(), 0);
  std::vector<adaptq::input> inputs, largest;
  for (std::size_t i = 0; i < *inputs_wanted; i++) {
    auto input = model->try_input(i);
    REQUIRE_RESULT(input);
    largest.push_back(adaptq::input::shaped<std::int64_t>({1, 32}));
    if (std::strcmp(input->name, "input_ids") == 0) inputs.emplace_back(*ids, adaptq::extents{1, length});
    else if (std::strstr(input->name, "mask"))
      inputs.emplace_back(adaptq::span<const bool>(mask.get(), ids->size()), adaptq::extents{1, length});
    else inputs.emplace_back(types, adaptq::extents{1, length});
  }
  auto session = adaptq::session::try_create(*model);
  REQUIRE_RESULT(session);
  CHECK(session->try_run(inputs, {}).status() == ADAPTQ_NOT_PREPARED);
  auto prepared = session->try_prepare(largest);
  REQUIRE_RESULT(prepared);
  auto shape = session->try_output_shape(inputs, 0);
  REQUIRE_RESULT(shape);
  REQUIRE(shape->size() == 2);
  std::vector<float> vector(static_cast<std::size_t>((*shape)[0] * (*shape)[1]));
  std::vector<adaptq::half> halves(vector.size());
  const adaptq::output outputs[] = {adaptq::output(vector, {(*shape)[0], (*shape)[1]})};
  auto report = session->try_run(inputs, outputs);
  REQUIRE_RESULT(report);
  CHECK(report->sequence == 1 && report->latency_ns > 0);
  // Too little memory: the report says how much is needed.
  const adaptq::output small[] = {
      adaptq::output(adaptq::span<float>(vector.data(), 3), adaptq::span<const std::int64_t>(*shape))};
  adaptq::run_report needs;
  CHECK(session->try_run(inputs, small, needs).status() == ADAPTQ_BUFFER_TOO_SMALL);
  CHECK_INT(needs.needed_bytes, vector.size() * sizeof(float));
  const adaptq::output as_half[] = {adaptq::output(halves, {(*shape)[0], (*shape)[1]})};
  CHECK(bool(session->try_run(inputs, as_half, adaptq::run_options(report->level))));
  CHECK(halves[0].bits != 0);

  std::uint64_t events = 0;
  auto trace = [&events](const adaptq_trace_event &event) { events += event.end_ns >= event.begin_ns; };
  CHECK(bool(session->try_set_trace(trace)));
  CHECK(bool(session->try_run(inputs, outputs)));
  CHECK(events > 0);
  CHECK(bool(session->try_remove_trace()));
  CHECK(bool(session->try_set_latency_budget(1000000000, 95)) && bool(session->try_set_allowed_levels(0)));
  CHECK(session->try_set_level(7).status() == ADAPTQ_INVALID_ARGUMENT);
  auto costs = session->try_costs();
  CHECK(costs && !costs->empty() && costs->front().latency_ns > 0);
  auto plans = session->try_plans();
  CHECK(plans && plans->size() >= costs->size() && plans->front().latency_ns > 0);
  CHECK(session->try_set_quality_floor(0, 0) && !session->try_set_quality_floor(2, 0));
  adaptq_power_budget power = {};
  power.energy_mj = 1e9;
  power.active_mw = 1000;
  CHECK(session->try_power_budget().status() == ADAPTQ_NOT_FOUND && session->try_set_power_budget(power));
  auto budget = session->try_power_budget();
  CHECK(budget && budget->energy_mj == 1e9 && budget->window_ns == 10000000000);
  CHECK(bool(session->try_remove_power_budget()));
  CHECK(session->try_report_quality(0, 1) && !session->try_report_quality(0, 2));
  auto unshadowed = session->try_shadow();
  CHECK(!unshadowed && unshadowed.status() == ADAPTQ_UNSUPPORTED);
  auto drift = session->try_drift();
  CHECK(drift && !drift->empty() && drift->front().observed_rows == 0);
  auto telemetry = session->try_telemetry();
  CHECK(telemetry && telemetry->size() == 3);
  CHECK(bool(session->try_cancel()));
  auto memory = session->try_memory();
  CHECK(memory && memory->arena_bytes > 0);
  CHECK(bool(session->try_reset_state()));
  auto saved = session->try_save_state();
  REQUIRE_RESULT(saved);
  CHECK(bool(session->try_restore_state(*saved)) && session->try_restore_state({}).status() == ADAPTQ_INVALID_ARGUMENT);
  CHECK(model->try_memory()->nested_bytes > 0 && *model->try_levels() != 0 && *model->try_site_count() > 0);
  CHECK(model->try_output(0)->rank == 2 && model->try_site(0)->n > 0 && model->try_site(1000000).status() != ADAPTQ_OK);
  CHECK(model->try_metadata("no such key").status() == ADAPTQ_NOT_FOUND && bool(model->try_metadata()));
}

static void matrices() {
  auto runtime = adaptq::runtime::try_create();
  REQUIRE_RESULT(runtime);
  enum { N = 20, K = 70 };
  std::vector<float> weights(N * K), x(2 * K), y(2 * N);
  for (int i = 0; i < N * K; i++) weights[static_cast<std::size_t>(i)] = float(i % 13 - 6) / 8;
  for (int i = 0; i < 2 * K; i++) x[static_cast<std::size_t>(i)] = float(i % 7 - 3);
  adaptq::matrix_options options(weights, N, K);
  options.keep = ADAPTQ_ALLOW_FP32;
  options.name = "own";
  auto matrix = adaptq::matrix::try_create(*runtime, options);
  REQUIRE_RESULT(matrix);
  CHECK(matrix->try_info()->n == N && matrix->try_info()->k == K && *matrix->try_workspace_size(2) > 0);
  CHECK(bool(matrix->try_multiply(adaptq::multiply(ADAPTQ_LEVEL_FP32, 2, x.data(), y.data()))));
  for (std::size_t row = 0; row < 2; row++)
    for (std::size_t n = 0; n < N; n++) {
      float sum = 0;
      for (std::size_t k = 0; k < K; k++) sum += weights[n * K + k] * x[row * K + k];  // exact in float
      CHECK(y[row * N + n] == sum);
    }
  CHECK(matrix->try_multiply(adaptq::multiply(ADAPTQ_LEVEL_FP16, 2, x.data(), y.data())).status() == ADAPTQ_UNSUPPORTED);
  const std::string path = "/tmp/adaptq-hpp-" + std::to_string(getpid()) + ".adaptq";
  CHECK(bool(matrix->try_save(path)));
  auto file = adaptq::matrix_file::try_open(*runtime, path);
  unlink(path.c_str());
  REQUIRE_RESULT(file);
  auto names = file->try_names();
  REQUIRE_RESULT(names);
  CHECK(names->size() == 1 && names->front() == "own");
  auto again = file->try_open_matrix("own", 4);
  REQUIRE_RESULT(again);
  CHECK(again->try_info()->max_rows == 4 && file->try_open_matrix("other").status() == ADAPTQ_NOT_FOUND);
#if ADAPTQ_HPP_THROWS
  auto made = adaptq::matrix::create(*runtime, options);
  made.multiply(adaptq::multiply(ADAPTQ_LEVEL_INT8, 1, x.data(), y.data()));
  int thrown = 0;
  try {
    adaptq::matrix_file::open(*runtime, path);
  } catch (const adaptq::error &error) {
    thrown += error.status() == ADAPTQ_NOT_FOUND;
  }
  CHECK_INT(thrown, 1);
  CHECK(made.info().n == N && made.workspace_size(1) > 0 && file->names().size() == 1 && file->open_matrix("own").info().n == N);
#endif
}

#if ADAPTQ_HPP_THROWS
static void life_with_exceptions() {
  NEEDS_MODEL();
  std::size_t size = 0;
  std::unique_ptr<char, void (*)(void *)> bytes(read_whole_file(fixture_path(), &size), std::free);
  REQUIRE(bytes != nullptr);
  auto runtime = adaptq::runtime::create();
  std::uint64_t read = 0;
  auto source = [&](std::uint64_t offset, adaptq::span<std::byte> buffer) -> std::int64_t {
    std::size_t part = std::min<std::size_t>(buffer.size(), 1 << 22);
    std::memcpy(buffer.data(), bytes.get() + offset, part);
    read += part;
    return static_cast<std::int64_t>(part);
  };
  auto model = adaptq::model::open(runtime, source, size);
  CHECK(read == size && model.levels() != 0 && model.input(0).rank == 2 && model.output_count() == 1);
  CHECK(model.site_count() > 0 && model.site(0).n > 0 && model.output(0).rank == 2);
  auto tokenizer = adaptq::tokenizer::create(model);
  auto ids = tokenizer.encode("One two three");
  CHECK(tokenizer.info().vocabulary_size > 0);
  const auto length = static_cast<std::int64_t>(ids.size());
  std::vector<std::uint8_t> ones(ids.size(), 1);
  std::vector<adaptq::input> inputs;
  for (std::size_t i = 0; i < model.input_count(); i++) {
    if (std::strcmp(model.input(i).name, "input_ids") == 0) inputs.emplace_back(ids, adaptq::extents{1, length});
    else inputs.emplace_back(ones, adaptq::extents{1, length});
  }
  auto session = adaptq::session::create(model, adaptq::session_options(ADAPTQ_ALLOW_INT8));
  session.prepare(inputs);
  auto shape = session.output_shape(inputs, 0);
  std::vector<float> vector(static_cast<std::size_t>(shape[0] * shape[1]));
  const std::vector<adaptq::output> outputs{adaptq::output(vector, {shape[0], shape[1]})};
  CHECK(session.run(inputs, outputs).level == ADAPTQ_LEVEL_INT8);
  session.set_level(ADAPTQ_LEVEL_INT8);
  session.set_allowed_levels(0);
  session.set_latency_budget(0, 0);
  auto shadowed = adaptq::session::create(model, adaptq::session_options(ADAPTQ_ALLOW_INT8 | ADAPTQ_ALLOW_INT4).allow_shadow());
  shadowed.prepare(inputs);
  CHECK(shadowed.shadow(inputs).rows == 1 && shadowed.shadow(adaptq::shadow_options(1)).samples == 2);
  shadowed.report_quality(1, 0.5);
  CHECK(shadowed.drift().size() == model.site_count() && shadowed.plans()[1].reports == 1);
  session.cancel();
  session.set_quality_floor(0, 0);
  adaptq_power_budget power = {};
  power.mode = ADAPTQ_POWER_LEAST_ENERGY;
  power.active_mw = 1000;
  session.set_power_budget(power);
  CHECK(session.power_budget().mode == ADAPTQ_POWER_LEAST_ENERGY);
  session.remove_power_budget();
  CHECK(session.plans().size() == 1);
  CHECK(session.costs().size() == 1 && session.telemetry().size() == 1 && session.memory().state_bytes > 0);
  int thrown = 0;
  try {
    session.set_level(ADAPTQ_LEVEL_FP32);
  } catch (const adaptq::error &error) {
    thrown += error.status() == ADAPTQ_UNSUPPORTED;
  }
  try {
    model.metadata("no such key");
  } catch (const adaptq::error &error) {
    thrown += error.status() == ADAPTQ_NOT_FOUND;
  }
  CHECK_INT(thrown, 2);
  CHECK(model.metadata().size() == model.try_metadata()->size() && model.memory().total_bytes > 0);
  // Cancelled from another thread.
  std::atomic<bool> stop{false};
  std::thread canceller([&] {
    while (!stop) {
      (void)session.try_cancel();
      std::this_thread::yield();
    }
  });
  int cancelled = 0;
  for (int i = 0; i < 1000 && cancelled == 0; i++) cancelled += session.try_run(inputs, outputs).status() == ADAPTQ_CANCELLED;
  stop = true;
  canceller.join();
  CHECK(cancelled > 0);
  CHECK(bool(session.try_run(inputs, outputs)));
}
#endif

int main() {
  RUN(handles);
  RUN(results);
  RUN(views);
  RUN(matrices);
  RUN(life_with_results);
#if ADAPTQ_HPP_THROWS
  RUN(life_with_exceptions);
#endif
  return check_end();
}
