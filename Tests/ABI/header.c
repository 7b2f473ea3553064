/* The header alone, as C11 and as C++17, without a warning; and the sizes that callers compiled with it rely on. */
#include "adaptq.h"

#ifdef __cplusplus
#define SAME(a, b) static_assert((a) == (b), #a)
#else
#define SAME(a, b) _Static_assert((a) == (b), #a)
#endif

SAME(sizeof(adaptq_runtime_options), 128);
SAME(sizeof(adaptq_power_info), 80);
SAME(sizeof(adaptq_group_options), 40);
SAME(sizeof(adaptq_group_plan), 24);
SAME(sizeof(adaptq_frame_report), 96);
SAME(sizeof(adaptq_budget), 48);
SAME(sizeof(adaptq_prepare_info), 40);
SAME(sizeof(adaptq_power_budget), 88);
SAME(sizeof(adaptq_tensor_info), 152);
SAME(sizeof(adaptq_site_info), 48);
SAME(sizeof(adaptq_session_options), 32);
SAME(sizeof(adaptq_tensor), 160);
SAME(sizeof(adaptq_run_options), 32);
SAME(sizeof(adaptq_run_report), 128);
SAME(sizeof(adaptq_memory), 96);
SAME(sizeof(adaptq_trace_event), 72);
SAME(sizeof(adaptq_option_info), 72);
// The sizes of the first versions: what was added since comes after them.
SAME(offsetof(adaptq_runtime_options, allocate), 40);
SAME(offsetof(adaptq_tensor, strides), 96);
SAME(offsetof(adaptq_run_options, max_threads), 24);
SAME(offsetof(adaptq_run_report, needed_bytes), 56);
SAME(offsetof(adaptq_frame_report, deadline_ns), 80);
SAME(offsetof(adaptq_run_report, deadline_missed), 72);
SAME(offsetof(adaptq_run_report, power_unreachable), 80);
SAME(offsetof(adaptq_power_budget, mode), 64);
SAME(offsetof(adaptq_power_budget, thread_mw), 80);
SAME(offsetof(adaptq_session_options, choose_threads), 28);
SAME(offsetof(adaptq_run_report, threads), 124);
SAME(offsetof(adaptq_prepare_info, thread_counts), 32);
SAME(offsetof(adaptq_telemetry, threads), 80);
SAME(offsetof(adaptq_telemetry, power_unreachable), 56);
SAME(sizeof(adaptq_level_cost), 24);
SAME(sizeof(adaptq_telemetry), 88);
SAME(sizeof(adaptq_telemetry_file_options), 24);
SAME(sizeof(adaptq_tokenizer_info), 32);
SAME(sizeof(adaptq_matrix_options), 112);
SAME(sizeof(adaptq_matrix_info), 80);
SAME(sizeof(adaptq_multiply), 128);
SAME(sizeof(adaptq_matrix_open_options), 24);

int main(void) { return adaptq_status_name(ADAPTQ_OK) == 0; }
