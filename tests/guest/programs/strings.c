// tests/guest/programs/strings.c - string instructions: every width, both directions, restart after
// a fault.
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"

static unsigned char source[8192], target[8192];

static void fill(void) {
  uint64_t state = 23;
  for (size_t i = 0; i < sizeof source; ++i) source[i] = next_random(&state) >> 40;
  memset(target, 0xee, sizeof target);
}

#define REP(instruction, d, s, n, a) \
  __asm__ volatile("rep " instruction : "+D"(d), "+S"(s), "+c"(n) : "a"(a) : "memory", "cc")

static void moves(void) {
  uint64_t hash = MIX_SEED;
  for (unsigned offset = 0; offset < 17; offset += 3) {
    fill();
    unsigned char *d = target + offset, *s = source + 1;
    unsigned long n = 1000;
    REP("movsb", d, s, n, 0);
    n = 500;
    REP("movsw", d, s, n, 0);
    n = 250;
    REP("movsl", d, s, n, 0);
    hash = mix_bytes(mix(mix(hash, d - target), s - source), target, sizeof target);
  }
  sum("strings.movs", hash);

  fill();  // a forward copy onto itself one byte ahead repeats the first byte
  unsigned char *d = source + 1, *s = source;
  unsigned long n = 300;
  unsigned char first = source[0];
  REP("movsb", d, s, n, 0);
  bool same = n == 0;
  for (int i = 0; i <= 300; ++i) same &= source[i] == first;
  expect(same, "strings.movs_overlap", "the pattern did not repeat");

  fill();  // DF set: from the end downwards
  d = target + 999, s = source + 999, n = 1000;
  __asm__ volatile("std; rep movsb; cld" : "+D"(d), "+S"(s), "+c"(n) : : "memory", "cc");
  expect(memcmp(target, source, 1000) == 0 && d + 1 == target && n == 0, "strings.movs_down",
         "%ld left", (long)n);
}

static void stores_and_scans(void) {
  fill();
  unsigned char *d = target, *s = source;
  unsigned long n = 100;
  REP("stosl", d, s, n, 0x41424344);
  expect(d == target + 400 && target[0] == 0x44 && target[399] == 0x41 && target[400] == 0xee,
         "strings.stos", "%02x %02x", target[0], target[400]);
  n = 0;  // a count of zero touches nothing
  d = (unsigned char *)16;
  REP("stosb", d, s, n, 0);
  expect(d == (unsigned char *)16, "strings.rep_zero", "moved");

  memset(target, 'a', 500);
  target[321] = 'b';
  d = target, n = 500;
  uint8_t zero;
  __asm__ volatile("repne scasb; setz %2"
                   : "+D"(d), "+c"(n), "=q"(zero)
                   : "a"('b')
                   : "memory", "cc");
  expect(zero && d == target + 322 && n == 178, "strings.scas", "at %ld, %lu left",
         (long)(d - target), n);

  memcpy(target, source, 1000);
  target[777] ^= 1;
  d = target, s = source, n = 1000;
  __asm__ volatile("repe cmpsb; setz %3"
                   : "+D"(d), "+S"(s), "+c"(n), "=q"(zero)
                   :
                   : "memory", "cc");
  expect(!zero && d == target + 778 && n == 222, "strings.cmps", "at %ld", (long)(d - target));

  uint64_t hash = MIX_SEED;
  s = source;
  for (int i = 0; i < 100; ++i) {
    uint32_t a = 0;
    __asm__ volatile("lodsw; rol $3, %%eax; lodsb" : "+S"(s), "+a"(a) : : "memory", "cc");
    hash = mix(hash, a);
  }
  sum("strings.lods", mix(hash, s - source));
}

static volatile unsigned long fault_count, fault_address, faulting_rcx, faulting_rdi;
static unsigned char *page;

static void on_fault(int signal_number, siginfo_t *info, void *raw) {
  (void)signal_number;
  ucontext_t *context = raw;
#ifdef __x86_64__
  faulting_rcx = context->uc_mcontext.gregs[REG_RCX];
  faulting_rdi = context->uc_mcontext.gregs[REG_RDI];
#else
  faulting_rcx = context->uc_mcontext.gregs[REG_ECX];
  faulting_rdi = context->uc_mcontext.gregs[REG_EDI];
#endif
  fault_address = (unsigned long)info->si_addr;
  ++fault_count;
  mprotect(page + 4096, 4096, PROT_READ | PROT_WRITE);
}

// SDM Vol. 2 "REP": a fault in the middle leaves RCX, RSI and RDI so that it can go on.
static void fault_in_the_middle(void) {
  page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(page + 4096, 4096, PROT_NONE);
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, old;
  sigaction(SIGSEGV, &action, &old);
  fill();
  unsigned char *d = page + 4000, *s = source;
  unsigned long n = 200;
  REP("movsb", d, s, n, 0);
  sigaction(SIGSEGV, &old, NULL);
  expect(fault_count == 1 && fault_address == (unsigned long)page + 4096 && faulting_rcx == 104 &&
             faulting_rdi == (unsigned long)page + 4096,
         "strings.fault_state", "%lu faults at %lx, rcx %lu", fault_count, fault_address,
         faulting_rcx);
  expect(memcmp(page + 4000, source, 200) == 0 && n == 0, "strings.fault_resume",
         "contents differ");
  munmap(page, 8192);
}

void program_strings(void) {
  moves();
  stores_and_scans();
#ifdef __x86_64__
  fill();
  unsigned char *d = target + 5, *s = source + 3;
  unsigned long n = 600;
  REP("movsq", d, s, n, 0);
  expect(memcmp(target + 5, source + 3, 4800) == 0, "strings.movsq", "contents differ");
#endif
  fault_in_the_middle();
}
