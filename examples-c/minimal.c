// One sentence to one embedding within a budget.   minimal MODEL.adaptq
#include <adaptq.h>
#include <stdio.h>
#include <stdlib.h>
#define TRY(call) do { if ((call) != ADAPTQ_OK) { puts(adaptq_last_error()); exit(1); } } while (0)

int main(int argc, char **argv) {
  const char text[] = "The quick brown fox jumps over the lazy dog.";
  int64_t ids[64], mask[64];
  size_t n;
  float embedding[384];
  adaptq_runtime *runtime; adaptq_model *model; adaptq_session *session; adaptq_tokenizer *tokenizer;
  TRY(adaptq_runtime_create(NULL, &runtime));
  TRY(adaptq_model_open(runtime, argc > 1 ? argv[1] : "model.adaptq", &model));
  TRY(adaptq_tokenizer_create(model, &tokenizer));
  TRY(adaptq_session_create(model, NULL, &session));
  TRY(adaptq_tokenizer_encode(tokenizer, text, sizeof text - 1, 64, ids, 64, &n));
  for (size_t i = 0; i < n; i++) mask[i] = 1;
  adaptq_tensor in[2] = {{sizeof in[0], ADAPTQ_TYPE_INT64, 2, {1, (int64_t)n}, ids, n * sizeof ids[0], {0}},
                         {sizeof in[0], ADAPTQ_TYPE_INT64, 2, {1, (int64_t)n}, mask, n * sizeof mask[0], {0}}};
  adaptq_tensor out = {sizeof out, ADAPTQ_TYPE_FLOAT32, 2, {1, 384}, embedding, sizeof embedding, {0}};
  adaptq_run_report report = {.struct_size = sizeof report};
  TRY(adaptq_session_prepare(session, in, 2));
  TRY(adaptq_session_set_latency_budget(session, 20 * 1000000, 95));  // 20 ms for 95 % of the runs
  TRY(adaptq_session_run(session, in, 2, &out, 1, NULL, &report));
  printf("%s, %.2f ms: %f %f %f ...\n", adaptq_level_name(report.level), report.latency_ns / 1e6, embedding[0],
         embedding[1], embedding[2]);
}
