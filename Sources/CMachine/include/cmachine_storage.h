// Storage that the C ABI needs and Swift cannot declare without a lazy initializer: one per thread or one per process.
#ifndef ADAPTQ_CMACHINE_STORAGE_H
#define ADAPTQ_CMACHINE_STORAGE_H

#include <stdint.h>

enum { CMACHINE_ERROR_TEXT_SIZE = 1024, CMACHINE_HANDLE_CHUNKS = 1024 };

#pragma clang assume_nonnull begin

/// The calling thread's error text: CMACHINE_ERROR_TEXT_SIZE bytes, zeroed at first, that go away with the thread.
char *cmachine_error_text(void);

// Words that the lock-free table of handles starts from, zero when the process starts; Sources/AdaptQ/HandleTable.swift
// gives them meaning.
uint64_t *cmachine_handle_free_head(void);
uint64_t *cmachine_handle_slots_used(void);
/// CMACHINE_HANDLE_CHUNKS words.
uint64_t *cmachine_handle_chunks(void);

#pragma clang assume_nonnull end

#endif
