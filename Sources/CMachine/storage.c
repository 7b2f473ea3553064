#include "cmachine_storage.h"

static _Thread_local char error_text[CMACHINE_ERROR_TEXT_SIZE];
static uint64_t free_head, slots_used, chunks[CMACHINE_HANDLE_CHUNKS];

char *cmachine_error_text(void) { return error_text; }
uint64_t *cmachine_handle_free_head(void) { return &free_head; }
uint64_t *cmachine_handle_slots_used(void) { return &slots_used; }
uint64_t *cmachine_handle_chunks(void) { return chunks; }
