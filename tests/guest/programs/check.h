// tests/guest/programs/check.h - how a guest test reports: one line a check, on standard output.
//
//   PASS name            FAIL name: why            SKIP name: why
//   SUM name hex         a result that must equal a native run's on any x86 processor
//   SUM name hex silicon a result that only the same processor must repeat (x87 transcendentals)
#pragma once

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// One row a program; programs.c turns it into the table of the multi-call binary.
#define GUEST_PROGRAMS(X) \
  X(integer)              \
  X(bits)                 \
  X(strings)              \
  X(floating)             \
  X(x87)                  \
  X(vector)               \
  X(vector_switch)        \
  X(memory)               \
  X(selfmod)              \
  X(signals)              \
  X(faults)               \
  X(syscalls)             \
  X(processes)            \
  X(threads)              \
  X(timers)               \
  X(ptrace_step)          \
  X(ptrace_watch)         \
  X(segments)             \
  X(vm86)

#define DECLARE(name) void program_##name(void);
GUEST_PROGRAMS(DECLARE)
#undef DECLARE

// Counts failures of this process; the program's exit status.
int failure_count(void);
void skip(const char* name, const char* why);
// Prints PASS, or FAIL with the formatted reason; returns `ok`.
bool expect(bool ok, const char* name, const char* format, ...)
    __attribute__((format(printf, 3, 4)));
void sum(const char* name, uint64_t value);
void sum_silicon(const char* name, uint64_t value);

// Where the handler of an expected fault goes back to, once: a fault that no check expects ends the
// program with FAIL instead of going round through a jump buffer that is stale.
typedef struct {
  sigjmp_buf buffer;
  volatile sig_atomic_t armed;
} Escape;
// MAY_FAULT runs the statement; the handler calls leave_fault().
#define MAY_FAULT(escape, ...)                \
  do {                                        \
    (escape).armed = 1;                       \
    if (sigsetjmp((escape).buffer, 1) == 0) { \
      __VA_ARGS__;                            \
    }                                         \
    (escape).armed = 0;                       \
  } while (0)
_Noreturn void leave_fault(Escape* escape, int signal_number);

// FNV-1a over the bytes of a word: order-dependent, and cheap to write in any language.
static inline uint64_t mix(uint64_t hash, uint64_t value) {
  for (int i = 0; i < 8; ++i) {
    hash = (hash ^ (value & 0xff)) * 0x100000001b3ull;
    value >>= 8;
  }
  return hash;
}
static inline uint64_t mix_bytes(uint64_t hash, const void* bytes, size_t count) {
  for (size_t i = 0; i < count; ++i)
    hash = (hash ^ ((const unsigned char*)bytes)[i]) * 0x100000001b3ull;
  return hash;
}
#define MIX_SEED 0xcbf29ce484222325ull

// xorshift64*: the same numbers everywhere.
static inline uint64_t next_random(uint64_t* state) {
  uint64_t x = *state;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  *state = x;
  return x * 0x2545f4914f6cdd1dull;
}

// What the guest's processor offers, as CPUID says.
typedef struct {
  uint32_t eax, ebx, ecx, edx;
} CpuidLeaf;
CpuidLeaf cpuid(uint32_t leaf, uint32_t subleaf);
// XCR0, or 0 when the kernel does not use XSAVE.
uint64_t enabled_state(void);
bool kernel_is_64bit(void);
