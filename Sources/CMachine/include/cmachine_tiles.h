// Permission to use AMX tiles: Linux gives a process the larger register state only when asked (Documentation/arch/x86/xstate.rst).
#ifndef ADAPTQ_CMACHINE_TILES_H
#define ADAPTQ_CMACHINE_TILES_H

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/// Zero, or the errno. For all threads of the process; asking again changes nothing. Only where XCR0 has the tile state.
static inline int cmachine_request_tiles(void) {
  enum { request_permission = 0x1023, tile_data = 18 };
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0 ? 0 : errno;
}

#endif
