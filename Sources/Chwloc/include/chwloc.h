// hwloc, linked into whatever contains the room Hardware, asked without the process around it noticing. Types and functions
// that read a topology are hwloc's own.
#ifndef ADAPTQ_CHWLOC_H
#define ADAPTQ_CHWLOC_H

#include <hwloc.h>

/// A loaded topology of the machine whose files lie below `root`, of this machine where that is NULL. NULL where hwloc cannot
/// load it or breaks an assertion of its own, which leaves some memory behind. The caller frees it with
/// hwloc_topology_destroy().
///
/// It has every CPU, allowed or not, no devices and no distances. Any thread may call this at any time, several at once too;
/// thread affinity, locale, environment and errno stay as they are, nothing is printed, no library is loaded.
struct hwloc_topology *_Nullable chwloc_load(const char *_Nullable root);

#endif
