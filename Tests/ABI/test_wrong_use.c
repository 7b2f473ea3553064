// Every function and every wrong use of it: a status, a text that names the field, outputs untouched. Each line of the files
// in wrong_use is a test here and a row of docs/wrong-use.md, which run.sh compares with what --table prints.
//
// ADAPTQ_TEST_SMALL_MODEL: what make_small.py writes. Models with states are ABI/audio.adaptq and
// ABI/growing.adaptq.
#define _GNU_SOURCE
#include "wrong_use/damage.h"
#include "wrong_use/matrix.h"
#include "wrong_use/group.h"
#include "wrong_use/model.h"
#include "wrong_use/session.h"

static void print_head(void) {
  puts("# Wrong use\n");
  puts("Every function of `adaptq.h` and what it answers when it is called wrongly. Made from the tests themselves by");
  puts("`Tests/ABI/run.sh` (`build/abi/test_wrong_use --table`), which also checks that this page is up to date and that no");
  puts("function of the header is missing. The last column is the C function in `Tests/ABI/wrong_use` and the number of the");
  puts("line in it.\n");
  puts("In every row what the caller gave is untouched: inputs, outputs and reports keep their bytes, except that the out");
  puts("pointer of a constructor becomes NULL and that `ADAPTQ_BUFFER_TOO_SMALL` writes the needed count. The text is part of");
  puts("what `adaptq_last_error()` says. Rows with `ADAPTQ_OK` look wrong and are allowed; they say what happens.\n");
  puts("Not in the table, because C itself forbids them: pointers that are neither NULL nor valid, and pointers to numbers and");
  puts("handles (`size_t *out`) that are not aligned. Structs and tensor data may lie at any address.\n");
  puts("| function | use | status | text | test |");
  puts("|---|---|---|---|---|");
}

int main(int argc, char **argv) {
  is_table = argc > 1 && strcmp(argv[1], "--table") == 0;
  if (is_table) print_head();
  else if (!open_world()) {
    printf("FAIL test_wrong_use: no fixtures; run.sh makes them\nend\n");
    return 1;
  }
  WRONG_RUN(names);
  WRONG_RUN(runtime_create);
  WRONG_RUN(runtime_callbacks);
  WRONG_RUN(runtime_threads);
  WRONG_RUN(runtime_machine);
  WRONG_RUN(runtime_poll);
  WRONG_RUN(runtime_telemetry_file);
  WRONG_RUN(runtime_destroy);
  WRONG_RUN(model_open);
  WRONG_RUN(model_open_memory);
  WRONG_RUN(model_open_fd);
  WRONG_RUN(model_open_callback);
  WRONG_RUN(model_metadata);
  WRONG_RUN(model_destroy);
  WRONG_RUN(model_counts);
  WRONG_RUN(model_infos);
  WRONG_RUN(session_create);
  WRONG_RUN(session_destroy);
  WRONG_RUN(session_prepare);
  WRONG_RUN(session_output_shape);
  WRONG_RUN(session_run);
  WRONG_RUN(session_states);
  WRONG_RUN(session_set);
  WRONG_RUN(session_exported_costs);
  WRONG_RUN(session_questions);
  WRONG_RUN(session_shadow);
  WRONG_RUN(tokenizer_create);
  WRONG_RUN(tokenizer_destroy);
  WRONG_RUN(tokenizer_get_info);
  WRONG_RUN(tokenizer_encode);
  WRONG_RUN(matrix_create);
  WRONG_RUN(matrix_destroy);
  WRONG_RUN(matrix_get_info);
  WRONG_RUN(matrix_multiply);
  WRONG_RUN(matrix_workspace_size);
  WRONG_RUN(matrix_quantize);
  WRONG_RUN(matrix_save);
  WRONG_RUN(matrix_files);
  WRONG_RUN(group_create);
  WRONG_RUN(group_destroy);
  WRONG_RUN(group_set);
  WRONG_RUN(group_questions);
  WRONG_RUN(group_frames);
  WRONG_RUN(damaged_bodies);
  if (is_table) return 0;
  RUN(close_world);
  printf("  %ld wrong uses\n", wrong_uses);
  return check_end();
}
