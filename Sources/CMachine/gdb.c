#include "cmachine_gdb.h"

#include <stddef.h>

// gdb looks for these two names in the symbol table of each library. They are not exported: another library's code generator in
// the same process has its own.

enum { NO_ACTION, REGISTER, UNREGISTER };

struct descriptor {
  uint32_t version;
  uint32_t action;
  cmachine_gdb_entry *relevant;
  cmachine_gdb_entry *first;
};

__attribute__((used, visibility("hidden"))) struct descriptor __jit_debug_descriptor = {1, NO_ACTION, NULL, NULL};

// gdb has a breakpoint here. The empty statement keeps the calls.
__attribute__((used, noinline, visibility("hidden"))) void __jit_debug_register_code(void) { __asm__ volatile("" ::: "memory"); }

static void tell(uint32_t action, cmachine_gdb_entry *entry) {
  __jit_debug_descriptor.relevant = entry;
  __jit_debug_descriptor.action = action;
  __jit_debug_register_code();
  __jit_debug_descriptor.action = NO_ACTION;
  __jit_debug_descriptor.relevant = NULL;
}

void cmachine_gdb_register(cmachine_gdb_entry *entry) {
  entry->previous = NULL;
  entry->next = __jit_debug_descriptor.first;
  if (entry->next) entry->next->previous = entry;
  __jit_debug_descriptor.first = entry;
  tell(REGISTER, entry);
}

void cmachine_gdb_unregister(cmachine_gdb_entry *entry) {
  if (entry->previous) entry->previous->next = entry->next;
  else __jit_debug_descriptor.first = entry->next;
  if (entry->next) entry->next->previous = entry->previous;
  tell(UNREGISTER, entry);
}
