// Records what a load does to a thread: how much slower computing and reading memory get while it has the CPU, how long it runs
// between two waits for the CPU, and how long it waits. Lines for `adaptq simulate`: seconds, compute and memory slow-down, both
// milliseconds. record.py runs it.
//
//   record WINDOW_MS    calibrates for a second, prints "ready", then after each line "N" on standard input N windows
#define _GNU_SOURCE
#include <immintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BUFFER = 256 << 20, CHUNK = 2 << 20, CHAINS = 8, STEPS = 20000 };

static double clock_of(clockid_t id) {
  struct timespec now;
  clock_gettime(id, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}
static double wall(void) { return clock_of(CLOCK_MONOTONIC); }
static double cpu(void) { return clock_of(CLOCK_THREAD_CPUTIME_ID); }

static volatile double sink;
static char *buffer;
static size_t place;

// Multiply-adds in chains that do not wait for each other.
static void compute(void) {
  double sums[CHAINS];
  for (int i = 0; i < CHAINS; i++) sums[i] = 1 + i * 1e-3;
  for (int step = 0; step < STEPS; step++)
    for (int i = 0; i < CHAINS; i++) sums[i] = sums[i] * 0.999999 + 1e-9;
  double total = 0;
  for (int i = 0; i < CHAINS; i++) total += sums[i];
  sink = total;
}

// A chunk of memory that no cache holds.
static void fetch(void) {
  const uint64_t *words = (const uint64_t *)(buffer + place);
  uint64_t total = 0;
  for (size_t i = 0; i < CHUNK / 8; i += 8) total += words[i];
  sink = (double)total;
  place = place + CHUNK >= BUFFER ? 0 : place + CHUNK;
}

typedef struct window {
  double compute, memory;  // milliseconds of CPU time per quantum
  double ran, waited;
  int waits;
} window;

static window measure(double length) {
  window w = {0};
  int quanta = 0;
  double begin = wall(), now = begin;
  while (now - begin < length) {
    double start = cpu();
    compute();
    double middle = cpu();
    fetch();
    double end = cpu(), after = wall();
    w.compute += middle - start;
    w.memory += end - middle;
    w.ran += end - start;
    double lost = (after - now) - (end - start);
    // Less is a timer's interrupt, or the clocks themselves.
    if (lost > 0.2) {
      w.waits++;
      w.waited += lost;
    }
    quanta++;
    now = after;
  }
  w.compute /= quanta;
  w.memory /= quanta;
  return w;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

int main(int count, char **arguments) {
  double length = count > 1 ? atof(arguments[1]) : 0;
  if (length < 5 || length > 1000) {
    fprintf(stderr, "record WINDOW_MS: 5 to 1000\n");
    return 2;
  }
  buffer = aligned_alloc(2 << 20, BUFFER);
  if (!buffer) return 2;
  memset(buffer, 1, BUFFER);
  // Medians of twenty windows on the idle machine are what 1 means.
  double compute_times[20], memory_times[20];
  for (int i = 0; i < 20; i++) {
    window w = measure(length);
    compute_times[i] = w.compute;
    memory_times[i] = w.memory;
  }
  qsort(compute_times, 20, sizeof(double), by_value);
  qsort(memory_times, 20, sizeof(double), by_value);
  double idle_compute = compute_times[10], idle_memory = memory_times[10], elapsed = 0;
  printf("ready\n");
  fflush(stdout);
  char line[32];
  while (fgets(line, sizeof line, stdin)) {
    for (int n = atoi(line); n > 0; n--) {
      window w = measure(length);
      double runs = w.waits ? w.ran / w.waits : 0, waits = w.waits ? w.waited / w.waits : 0;
      printf("%.3f,%.3f,%.3f,%.3f,%.3f\n", elapsed / 1e3, w.compute / idle_compute, w.memory / idle_memory, runs, waits);
      elapsed += length;
    }
    printf("end\n");
    fflush(stdout);
  }
  return 0;
}
