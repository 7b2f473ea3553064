// What gdb needs to learn of generated code ("JIT Compilation Interface" in its manual): a list of images of object files, and a
// function that it stops at.
#ifndef CMACHINE_GDB_H
#define CMACHINE_GDB_H

#include <stdint.h>

// One entry of the list. The names are ours, the layout is gdb's.
typedef struct cmachine_gdb_entry {
  struct cmachine_gdb_entry *next;
  struct cmachine_gdb_entry *previous;
  const void *image;
  uint64_t byte_count;
} cmachine_gdb_entry;

// Puts an entry into the list or takes it out, and tells a debugger that is attached. Only one call at a time. Entry and image
// must stay until the entry is taken out.
void cmachine_gdb_register(cmachine_gdb_entry *entry);
void cmachine_gdb_unregister(cmachine_gdb_entry *entry);

#endif
