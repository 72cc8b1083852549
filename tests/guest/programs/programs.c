// tests/guest/programs/programs.c - the multi-call test binary: runs the programs named, or lists
// them.
#include <cpuid.h>
#include <errno.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "check.h"

static int failures;

int failure_count(void) { return failures; }

void skip(const char* name, const char* why) { dprintf(1, "SKIP %s: %s\n", name, why); }

bool expect(bool ok, const char* name, const char* format, ...) {
  if (ok) {
    dprintf(1, "PASS %s\n", name);
    return true;
  }
  char why[400];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(why, sizeof why, format, arguments);
  va_end(arguments);
  dprintf(1, "FAIL %s: %s\n", name, why);
  ++failures;
  return false;
}

void sum(const char* name, uint64_t value) {
  dprintf(1, "SUM %s %016llx\n", name, (unsigned long long)value);
}

void sum_silicon(const char* name, uint64_t value) {
  dprintf(1, "SUM %s %016llx silicon\n", name, (unsigned long long)value);
}

void leave_fault(Escape* escape, int signal_number) {
  if (!escape->armed) {
    dprintf(1, "FAIL unexpected_signal: %d\n", signal_number);
    _exit(1);
  }
  escape->armed = 0;
  siglongjmp(escape->buffer, 1);
}

CpuidLeaf cpuid(uint32_t leaf, uint32_t subleaf) {
  CpuidLeaf r = {0, 0, 0, 0};
  if (__get_cpuid_max(leaf & 0x80000000u, NULL) < leaf) return r;
  __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
  return r;
}

uint64_t enabled_state(void) {
  if (!(cpuid(1, 0).ecx & (1u << 27))) return 0;  // OSXSAVE
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

bool kernel_is_64bit(void) {
  struct utsname name;
  return sizeof(void*) == 8 || (uname(&name) == 0 && strcmp(name.machine, "x86_64") == 0);
}

typedef struct {
  const char* name;
  void (*run)(void);
} Program;

static const Program kPrograms[] = {
#define ROW(name) {#name, program_##name},
    GUEST_PROGRAMS(ROW)
#undef ROW
};
enum { kProgramCount = sizeof kPrograms / sizeof kPrograms[0] };

int main(int argc, char** argv) {
  if (argc < 2) {
    for (int i = 0; i < kProgramCount; ++i) printf("%s\n", kPrograms[i].name);
    return 0;
  }
  // What an exec test runs: says that it was reached, by its exit status.
  if (strcmp(argv[1], "exec-child") == 0) return argc > 2 ? atoi(argv[2]) : 0;
  for (int a = 1; a < argc; ++a) {
    int found = 0;
    for (int i = 0; i < kProgramCount; ++i) {
      if (strcmp(argv[a], kPrograms[i].name) != 0 && strcmp(argv[a], "all") != 0) continue;
      found = 1;
      kPrograms[i].run();
    }
    if (!found) {
      fprintf(stderr, "no program '%s'\n", argv[a]);
      return 2;
    }
  }
  return failures ? 1 : 0;
}
