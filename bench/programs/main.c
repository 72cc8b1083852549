// bench/programs/main.c - the multi-call benchmark: runs the workloads named, prints time and
// checksum.
#include <time.h>

#include "workload.h"

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

int main(int argc, char** argv) {
  static const struct {
    const char *name, *about;
    uint64_t (*work)(void);
  } kWorkloads[] = {
#define ROW(name, about) {#name, about, work_##name},
      WORKLOADS(ROW)
#undef ROW
  };
  enum { kCount = sizeof kWorkloads / sizeof kWorkloads[0] };
  if (argc < 2) {
    for (int i = 0; i < kCount; ++i) printf("%s\n", kWorkloads[i].name);
    return 0;
  }
  if (strcmp(argv[1], "exec-child") == 0) return 0;  // what fork_exec starts
  for (int a = 1; a < argc; ++a)
    for (int i = 0; i < kCount; ++i) {
      if (strcmp(argv[a], kWorkloads[i].name) != 0 && strcmp(argv[a], "all") != 0) continue;
      double start = seconds();
      uint64_t sum = kWorkloads[i].work();
      printf("BENCH %d %s %016llx %.6f\n", (int)sizeof(void*) * 8, kWorkloads[i].name,
             (unsigned long long)sum, seconds() - start);
      fflush(stdout);
    }
  return 0;
}
