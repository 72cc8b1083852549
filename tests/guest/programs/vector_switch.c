// tests/guest/programs/vector_switch.c - SIMD, mask and x87 registers survive task switches and
// signals.
#include <signal.h>
#include <stddef.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

// One register file before and after; the offsets are spelled out in the assembly below.
typedef struct {
  __attribute__((aligned(64))) unsigned char in[16][64];   // 0
  __attribute__((aligned(64))) unsigned char out[16][64];  // 1024
  uint64_t mask_in[8];                                     // 2048
  uint64_t mask_out[8];                                    // 2112
  unsigned char x87_in[4][16];                             // 2176
  unsigned char x87_out[4][16];                            // 2240
} Registers;
_Static_assert(offsetof(Registers, out) == 1024 && offsetof(Registers, mask_in) == 2048 &&
                   offsetof(Registers, mask_out) == 2112 && offsetof(Registers, x87_in) == 2176 &&
                   offsetof(Registers, x87_out) == 2240,
               "offsets used in assembly");

#ifdef __x86_64__
enum { kRegisterCount = 16 };
#define EACH(F, r)                                                                          \
  F(r, 0)                                                                                   \
  F(r, 1) F(r, 2) F(r, 3) F(r, 4) F(r, 5) F(r, 6) F(r, 7) F(r, 8) F(r, 9) F(r, 10) F(r, 11) \
      F(r, 12) F(r, 13) F(r, 14) F(r, 15)
#define YIELD "mov $24, %%eax; syscall;"  // sched_yield
#define YIELD_CLOBBERS "rax", "rcx", "r11"
#else
enum { kRegisterCount = 8 };
#define EACH(F, r) F(r, 0) F(r, 1) F(r, 2) F(r, 3) F(r, 4) F(r, 5) F(r, 6) F(r, 7)
#define YIELD "movl $158, %%eax; int $0x80;"
#define YIELD_CLOBBERS "eax", "ecx"
#endif
#define EACH_MASK(F) F(1) F(2) F(3) F(4) F(5) F(6) F(7)
#define LOAD(r, n) "movups " #n "*64(%0), %%" #r #n ";"
#define STORE(r, n) "movups %%" #r #n ", 1024+" #n "*64(%0);"
#define LOAD_V(r, n) "vmovups " #n "*64(%0), %%" #r #n ";"
#define STORE_V(r, n) "vmovups %%" #r #n ", 1024+" #n "*64(%0);"
#define LOAD_MASK(n) "kmovw 2048+8*" #n "(%0), %%k" #n ";"
#define STORE_MASK(n) "kmovw %%k" #n ", 2112+8*" #n "(%0);"
#define LOAD_X87 "fninit; fldt 2176(%0); fldt 2192(%0); fldt 2208(%0); fldt 2224(%0);"
#define STORE_X87 "fstpt 2288(%0); fstpt 2272(%0); fstpt 2256(%0); fstpt 2240(%0);"
#define SPIN "mov $30000, %%ecx; 1: dec %%ecx; jnz 1b;"
#define XMM_CLOBBERS "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7"
#define ROUND_TRIP(between, load, store)                 \
  __asm__ volatile(LOAD_X87 load between store STORE_X87 \
                   :                                     \
                   : "S"(r)                              \
                   : "memory", "cc", YIELD_CLOBBERS, XMM_CLOBBERS)

// Between load and store nothing but the kernel, or a signal handler, can touch the registers.
__attribute__((noinline)) static void round_trip(Registers* r, unsigned width, bool spin) {
  if (width == 16 && spin) ROUND_TRIP(SPIN, EACH(LOAD, xmm), EACH(STORE, xmm));
  if (width == 16 && !spin) ROUND_TRIP(YIELD, EACH(LOAD, xmm), EACH(STORE, xmm));
  if (width == 32 && spin) ROUND_TRIP(SPIN, EACH(LOAD_V, ymm), EACH(STORE_V, ymm) "vzeroupper;");
  if (width == 32 && !spin) ROUND_TRIP(YIELD, EACH(LOAD_V, ymm), EACH(STORE_V, ymm) "vzeroupper;");
  if (width == 64 && spin)
    ROUND_TRIP(SPIN, EACH(LOAD_V, zmm) EACH_MASK(LOAD_MASK),
               EACH(STORE_V, zmm) EACH_MASK(STORE_MASK) "vzeroupper;");
  if (width == 64 && !spin)
    ROUND_TRIP(YIELD, EACH(LOAD_V, zmm) EACH_MASK(LOAD_MASK),
               EACH(STORE_V, zmm) EACH_MASK(STORE_MASK) "vzeroupper;");
}

static void fill(Registers* r, uint64_t seed) {
  uint64_t state = seed;
  memset(r, 0, sizeof *r);
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 64; ++j) r->in[i][j] = next_random(&state) >> 33;
  for (int i = 0; i < 8; ++i) r->mask_in[i] = next_random(&state) & 0xffff;
  for (int i = 0; i < 4; ++i) {
    long double v = (long double)(next_random(&state) >> 11) / 3;
    memcpy(r->x87_in[i], &v, 10);
  }
}

static const char* difference(const Registers* r, unsigned width) {
  for (int i = 0; i < kRegisterCount; ++i)
    if (memcmp(r->in[i], r->out[i], width) != 0) return "vector register";
  for (int i = 1; i < 8 && width == 64; ++i)
    if (r->mask_in[i] != r->mask_out[i]) return "mask register";
  for (int i = 0; i < 4; ++i)
    if (memcmp(r->x87_in[i], r->x87_out[i], 10) != 0) return "x87 register";
  return NULL;
}

static unsigned vector_width(void) {
  uint64_t state = enabled_state();
  if ((state & 0xe6) == 0xe6) return 64;
  return (state & 6) == 6 ? 32 : 16;
}

static int rounds_in_child(uint64_t seed, unsigned width, int rounds, bool spin) {
  static Registers r;
  for (int i = 0; i < rounds; ++i) {
    fill(&r, seed + i * 977);
    round_trip(&r, width, spin);
    if (difference(&r, width)) return 1;
  }
  return 0;
}

// Three processes, each with values of its own, take turns.
static void between_processes(unsigned width, bool spin) {
  pid_t children[3];
  int wrong = 0;
  for (int i = 0; i < 3; ++i) {
    children[i] = fork();
    if (children[i] == 0) _exit(rounds_in_child(1000 + i * 131, width, spin ? 300 : 1000, spin));
  }
  for (int i = 0; i < 3; ++i) {
    int status = -1;
    waitpid(children[i], &status, 0);
    wrong += status != 0;
  }
  char name[64];
  snprintf(name, sizeof name, "vector_switch.%s_%u", spin ? "preempted" : "yield", width * 8);
  expect(wrong == 0, name, "%d of 3 processes saw other values", wrong);
}

static volatile int handled;
static Registers in_handler;
static volatile unsigned handler_width;

static void on_alarm(int signal_number) {
  (void)signal_number;
  fill(&in_handler, 5000 + handled);
  round_trip(&in_handler, handler_width, true);  // leaves other values in every register
  ++handled;
}

static void across_signals(unsigned width) {
  static Registers r;
  handler_width = width;
  struct sigaction action = {.sa_handler = on_alarm};
  sigaction(SIGALRM, &action, NULL);
  struct itimerval every = {{0, 3000}, {0, 3000}};
  setitimer(ITIMER_REAL, &every, NULL);
  const char* wrong = NULL;
  for (int i = 0; i < 200000 && handled < 60 && !wrong; ++i) {
    fill(&r, 9000 + i);
    round_trip(&r, width, true);
    wrong = difference(&r, width);
  }
  struct itimerval off = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &off, NULL);
  signal(SIGALRM, SIG_DFL);
  expect(!wrong && handled > 0, "vector_switch.signals", "%s after %d signals",
         wrong ? wrong : "nothing", handled);
}

void program_vector_switch(void) {
  for (unsigned width = 16; width <= vector_width(); width *= 2) {
    between_processes(width, false);
    between_processes(width, true);
  }
  across_signals(vector_width());
}
