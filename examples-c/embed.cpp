// Sentence embeddings from C++: which sentences are alike, within a latency budget, and where the time goes.
//
//   embed MODEL.adaptq [SENTENCE...]
#include <adaptq.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

namespace {

// The inputs of a sentence model: ids and, for those that have one, mask and token types.
struct sentence {
  std::vector<std::int64_t> ids;
  std::vector<std::uint8_t> mask;   // a byte each is enough: converted by the library
  std::vector<std::uint8_t> types;

  explicit sentence(std::vector<std::int64_t> tokens)
      : ids(std::move(tokens)), mask(ids.size(), 1), types(ids.size(), 0) {}

  std::vector<adaptq::input> inputs(const adaptq::model &model) const {
    const auto length = static_cast<std::int64_t>(ids.size());
    std::vector<adaptq::input> all;
    for (std::size_t i = 0; i < model.input_count(); i++) {
      const std::string name = model.input(i).name;
      if (name == "input_ids") all.emplace_back(ids, adaptq::extents{1, length});
      else all.emplace_back(name.find("mask") != std::string::npos ? mask : types, adaptq::extents{1, length});
    }
    return all;
  }
};

double cosine(const std::vector<float> &a, const std::vector<float> &b) {
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); i++) {
    ab += double(a[i]) * double(b[i]);
    aa += double(a[i]) * double(a[i]);
    bb += double(b[i]) * double(b[i]);
  }
  return ab / std::sqrt(aa * bb);
}

int run(const std::string &path, const std::vector<std::string> &texts) {
  auto log = [](std::int32_t level, std::string_view line) {
    std::fprintf(stderr, "adaptq %d: %.*s\n", int(level), int(line.size()), line.data());
  };
  const auto runtime = adaptq::runtime::create(adaptq::runtime_options().log_to(log));
  const auto model = adaptq::model::open(runtime, path);
  const auto tokenizer = adaptq::tokenizer::create(model);

  std::vector<sentence> sentences;
  for (const auto &text : texts) sentences.emplace_back(tokenizer.encode(text, 128));
  const auto longest = std::max_element(sentences.begin(), sentences.end(), [](const sentence &a, const sentence &b) {
    return a.ids.size() < b.ids.size();
  });

  auto session = adaptq::session::create(model);
  session.prepare(longest->inputs(model));
  session.set_latency_budget(20'000'000, 95);  // 20 ms for 95 % of the runs

  // Time per kind of operator, over all runs.
  std::map<std::string, std::int64_t> time;
  auto trace = [&time](const adaptq_trace_event &event) { time[event.operation] += event.end_ns - event.begin_ns; };
  session.set_trace(trace);

  std::vector<std::vector<float>> vectors;
  for (std::size_t i = 0; i < sentences.size(); i++) {
    const auto inputs = sentences[i].inputs(model);
    const auto shape = session.output_shape(inputs, 0);
    std::vector<float> vector(static_cast<std::size_t>(shape[0] * shape[1]));
    const std::array<adaptq::output, 1> outputs{adaptq::output(vector, {shape[0], shape[1]})};
    const auto report = session.run(inputs, outputs);
    std::printf("%s %6.2f ms  %s\n", adaptq_level_name(report.level), double(report.latency_ns) / 1e6, texts[i].c_str());
    vectors.push_back(std::move(vector));
  }
  session.remove_trace();

  std::printf("\n");
  for (std::size_t i = 0; i < vectors.size(); i++) {
    std::size_t nearest = i == 0 ? 1 : 0;
    for (std::size_t k = 0; k < vectors.size(); k++)
      if (k != i && cosine(vectors[i], vectors[k]) > cosine(vectors[i], vectors[nearest])) nearest = k;
    if (vectors.size() > 1)
      std::printf("%.3f  %s  ~  %s\n", cosine(vectors[i], vectors[nearest]), texts[i].c_str(), texts[nearest].c_str());
  }
  std::printf("\n");
  for (const auto &[operation, nanoseconds] : time) std::printf("%-12s %8.2f ms\n", operation.c_str(), double(nanoseconds) / 1e6);
  const auto memory = model.memory();
  std::printf("\n%.1f MB of weights, %.1f MB of working memory\n", double(memory.total_bytes) / 1e6,
              double(session.memory().total_bytes) / 1e6);
  return 0;
}

}  // namespace

int main(int argc, char **argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: embed MODEL.adaptq [SENTENCE...]\n");
    return 2;
  }
  std::vector<std::string> texts(argv + 2, argv + argc);
  if (texts.empty())
    texts = {"The cat sleeps on the warm radiator.", "A kitten is napping on top of the heater.",
             "Stock markets fell sharply on Thursday.", "Share prices dropped a lot late in the week."};
  try {
    return run(argv[1], texts);
  } catch (const adaptq::error &error) {
    std::fprintf(stderr, "embed: %s: %s\n", adaptq_status_name(error.status()), error.what());
    return 1;
  }
}
