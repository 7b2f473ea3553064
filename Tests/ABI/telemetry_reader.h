// A reader of telemetry files, written from docs/telemetry-file.md alone.
#ifndef ADAPTQ_TELEMETRY_READER_H
#define ADAPTQ_TELEMETRY_READER_H

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

typedef struct {
  int descriptor;
  size_t size;
  unsigned char *look[3];
  uint64_t sections, records, levels, section_size, record_size;
} telemetry_reader;

typedef struct {
  uint64_t mark, time, latency, budget, deadline, work;
  uint16_t rung;
  uint8_t level, reason;
  uint32_t flags, percentile, dropped;
  double slowdown, multiplier;
  uint64_t predicted, moving, runs, misses, unavoidable, switches;
  double energy;
  uint64_t recommended, waited;
  uint32_t energy_source, threads;
} telemetry_record;

static uint64_t telemetry_word(const unsigned char *at) {
  uint64_t word;
  memcpy(&word, at, 8);
  return word;
}

__attribute__((unused)) static void telemetry_close(telemetry_reader *r) {
  if (r->descriptor >= 0) close(r->descriptor);
  for (int i = 0; i < 3; i++) free(r->look[i]);
  memset(r, 0, sizeof *r);
  r->descriptor = -1;
}

// Reads the file three times.
__attribute__((unused)) static int telemetry_look(telemetry_reader *r) {
  for (int i = 0; i < 3; i++)
    for (size_t done = 0; done < r->size;) {
      ssize_t count = pread(r->descriptor, r->look[i] + done, r->size - done, (off_t)done);
      if (count <= 0) return 0;
      done += (size_t)count;
    }
  return 1;
}

__attribute__((unused)) static int telemetry_open(telemetry_reader *r, const char *path) {
  struct stat info;
  memset(r, 0, sizeof *r);
  r->descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (r->descriptor < 0 || fstat(r->descriptor, &info) != 0 || info.st_size < 4096) return 0;
  r->size = (size_t)info.st_size;
  for (int i = 0; i < 3; i++)
    if (!(r->look[i] = (unsigned char *)malloc(r->size))) return 0;
  if (!telemetry_look(r)) return 0;
  const unsigned char *h = r->look[1];
  uint32_t version, order;
  memcpy(&version, h + 8, 4);
  memcpy(&order, h + 12, 4);
  r->sections = telemetry_word(h + 24);
  r->records = telemetry_word(h + 32);
  r->levels = telemetry_word(h + 40);
  r->record_size = 160 + r->levels;
  r->section_size = (256 + 64 * r->levels + r->records * r->record_size + 4095) / 4096 * 4096;
  return memcmp(h, "ADAPTQTM", 8) == 0 && version == 2 && order == 0x01020304 && telemetry_word(h + 16) == 4096 &&
         r->sections >= 1 && r->sections <= 64 && r->records >= 16 && r->records <= 65536 && r->levels % 8 == 0 &&
         r->levels >= 8 && r->levels <= 4096 && telemetry_word(h + 48) == r->record_size && telemetry_word(h + 56) == 64 &&
         telemetry_word(h + 64) == r->section_size && telemetry_word(h + 72) == 4096 + r->sections * r->section_size &&
         r->size == 4096 + r->sections * r->section_size;
}

static size_t telemetry_section(const telemetry_reader *r, size_t section) { return 4096 + section * r->section_size; }

__attribute__((unused)) static uint64_t telemetry_section_word(const telemetry_reader *r, size_t section, size_t offset) {
  return telemetry_word(r->look[1] + telemetry_section(r, section) + offset);
}

// Record `slot` of a section; NULL if it is empty or was written meanwhile. *levels gets where its levels are.
__attribute__((unused)) static int telemetry_get(const telemetry_reader *r, size_t section, uint64_t slot,
                                                 telemetry_record *out, const unsigned char **levels) {
  size_t offset = telemetry_section(r, section) + 256 + 64 * r->levels + slot * r->record_size;
  uint64_t mark = telemetry_word(r->look[1] + offset);
  if (mark == 0 || telemetry_word(r->look[0] + offset) != mark || telemetry_word(r->look[2] + offset) != mark) return 0;
  if ((mark - 1) % r->records != slot) return 0;
  _Static_assert(sizeof *out == 160, "as in the file");
  memcpy(out, r->look[1] + offset, 160);
  *levels = r->look[1] + offset + 160;
  return 1;
}

#endif
