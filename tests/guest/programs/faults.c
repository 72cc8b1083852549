// tests/guest/programs/faults.c - each processor exception arrives as the right signal, code and
// address.
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"

#ifndef TRAP_TRACE
#define TRAP_TRACE 2
#endif

static Escape escape;
static struct {
  int signal, code;
  uintptr_t address, pc;
  unsigned long trap, error, flags;
} got;

// Where an assembly statement below put its faulting instruction.
static uintptr_t expected_pc;
#ifdef __x86_64__
#define MARK(p) "lea 66" #p "f(%%rip), %%rdx; mov %%rdx, %0; 66" #p ": "
#define STACK_POINTER "rsp"
#define MARK_CLOBBER "rdx",
#else
#define MARK(p) "movl $66" #p "f, %0; 66" #p ": "
#define STACK_POINTER "esp"
#define MARK_CLOBBER "edx",
#endif

static void on_fault(int signal_number, siginfo_t* info, void* raw) {
  // The kernel leaves AC as it was; the code here may touch misaligned words.
  __asm__ volatile("pushf; andl $~0x40000, (%%" STACK_POINTER "); popf" ::: "memory", "cc");
  ucontext_t* context = raw;
  got.signal = signal_number;
  got.code = info->si_code;
  got.address = (uintptr_t)info->si_addr;
#ifdef __x86_64__
  got.pc = context->uc_mcontext.gregs[REG_RIP];
#else
  got.pc = context->uc_mcontext.gregs[REG_EIP];
#endif
  got.trap = context->uc_mcontext.gregs[REG_TRAPNO];
  got.error = context->uc_mcontext.gregs[REG_ERR];
  got.flags = context->uc_mcontext.gregs[REG_EFL];
  leave_fault(&escape, signal_number);
}

static void install(void) {
  static const int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  // Of its own, for the case whose stack pointer is no address at all.
  static char stack[65536];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&alternate, NULL);
  struct sigaction action = {.sa_sigaction = on_fault,
                             .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
  for (unsigned i = 0; i < sizeof kSignals / sizeof kSignals[0]; ++i)
    sigaction(kSignals[i], &action, NULL);
}

#define RAISES(p, name, want_signal, want_code, want_trap, ...)                                 \
  do {                                                                                          \
    memset(&got, 0, sizeof got);                                                                \
    expected_pc = 0;                                                                            \
    MAY_FAULT(escape, __VA_ARGS__);                                                             \
    expect(got.signal == (want_signal) && got.code == (want_code) && got.trap == (want_trap) && \
               (expected_pc == 0 || got.pc == expected_pc),                                     \
           name, "signal %d code %d trap %lu error %lx at %lx (%lx)", got.signal, got.code,     \
           got.trap, got.error, (long)got.pc, (long)expected_pc);                               \
  } while (0)

#define ASM(text, ...) \
  __asm__ volatile(text : "=m"(expected_pc) : __VA_ARGS__ : MARK_CLOBBER "memory", "cc")

static void arithmetic(void) {
  RAISES(1, "faults.divide_by_zero", SIGFPE, FPE_INTDIV, 0,
         __asm__ volatile("xor %%edx, %%edx; mov $1, %%eax; xor %%ebx, %%ebx; div %%ebx" ::
                              : "eax", "ebx", "edx", "cc"));
  RAISES(1, "faults.divide_overflow", SIGFPE, FPE_INTDIV, 0,
         __asm__ volatile("mov $0x80000000, %%eax; cdq; mov $-1, %%ebx; idiv %%ebx" ::
                              : "eax", "ebx", "edx", "cc"));
  unsigned csr, divide_on = 0x1f80 & ~0x200, normal = 0x1f80;
  RAISES(1, "faults.simd_divide", SIGFPE, FPE_FLTDIV, 19, {
    volatile double zero = 0, one = 1;
    __asm__ volatile("ldmxcsr %0; movsd %1, %%xmm0; divsd %2, %%xmm0"
                     :
                     : "m"(divide_on), "m"(one), "m"(zero)
                     : "xmm0");
  });
  __asm__ volatile("ldmxcsr %1; stmxcsr %0" : "=m"(csr) : "m"(normal));
  uint16_t unmasked = 0x37f & ~0x4;
  RAISES(1, "faults.x87_divide", SIGFPE, FPE_FLTDIV, 16,
         __asm__ volatile("fninit; fldcw %0; fldz; fld1; fdivp; fwait"
                          :
                          : "m"(unmasked)));
  __asm__ volatile("fnclex; fninit");
#ifdef __i386__
  RAISES(1, "faults.into", SIGSEGV, SI_KERNEL, 4,
         __asm__ volatile("movb $0x7f, %%al; addb $1, %%al; into" ::
                              : "eax", "cc"));
  static const int kBounds[2] = {10, 20};
  RAISES(1, "faults.bound", SIGSEGV, SI_KERNEL, 5,
         __asm__ volatile("bound %0, %1"
                          :
                          : "r"(5), "m"(kBounds)
                          : "cc"));
  RAISES(1, "faults.bound_inside", 0, 0, 0,
         __asm__ volatile("bound %0, %1"
                          :
                          : "r"(15), "m"(kBounds)
                          : "cc"));
#endif
}

static void opcodes(void) {
  RAISES(1, "faults.ud2", SIGILL, ILL_ILLOPN, 6, ASM(MARK(1) "ud2", "m"(escape)));
  expect(got.address == got.pc, "faults.ud2_address", "%lx", (long)got.address);
  RAISES(2, "faults.bad_lock", SIGILL, ILL_ILLOPN, 6,
         ASM(MARK(2) ".byte 0xf0, 0x01, 0xc8", "m"(escape)));  // lock add eax, ecx
#ifdef __x86_64__
  RAISES(3, "faults.invalid_in_64bit", SIGILL, ILL_ILLOPN, 6,
         ASM(MARK(3) ".byte 0x27", "m"(escape)));
#endif
  RAISES(4, "faults.int3", SIGTRAP, SI_KERNEL, 3, __asm__ volatile("int3"));
  RAISES(5, "faults.icebp", SIGTRAP, TRAP_BRKPT, 1, __asm__ volatile(".byte 0xf1"));
}

// Privileged and sensitive instructions at ring 3: #GP(0), SIGSEGV from the kernel, address 0.
static void privileged(void) {
  RAISES(1, "faults.hlt", SIGSEGV, SI_KERNEL, 13, ASM(MARK(1) "hlt", "m"(escape)));
  RAISES(2, "faults.cli", SIGSEGV, SI_KERNEL, 13, ASM(MARK(2) "cli", "m"(escape)));
  RAISES(3, "faults.sti", SIGSEGV, SI_KERNEL, 13, ASM(MARK(3) "sti", "m"(escape)));
  RAISES(4, "faults.in", SIGSEGV, SI_KERNEL, 13, ASM(MARK(4) "in $0x60, %%al", "m"(escape)));
  RAISES(5, "faults.clts", SIGSEGV, SI_KERNEL, 13, ASM(MARK(5) "clts", "m"(escape)));
  RAISES(6, "faults.wbinvd", SIGSEGV, SI_KERNEL, 13, ASM(MARK(6) "wbinvd", "m"(escape)));
  RAISES(7, "faults.lgdt", SIGSEGV, SI_KERNEL, 13, ASM(MARK(7) "lgdt %1", "m"(escape)));
#ifdef __x86_64__
  RAISES(8, "faults.mov_cr3", SIGSEGV, SI_KERNEL, 13, ASM(MARK(8) "mov %%cr3, %%rdx", "m"(escape)));
#else
  RAISES(8, "faults.mov_cr3", SIGSEGV, SI_KERNEL, 13, ASM(MARK(8) "mov %%cr3, %%edx", "m"(escape)));
#endif
  RAISES(9, "faults.rdmsr", SIGSEGV, SI_KERNEL, 13, ASM(MARK(9) "rdmsr", "c"(0x10)));
  RAISES(10, "faults.int_13", SIGSEGV, SI_KERNEL, 13, ASM(MARK(10) "int $13", "m"(escape)));
  expect(got.error == (13 << 3 | 2), "faults.int_13_error", "%lx", got.error);
  RAISES(11, "faults.bad_selector", SIGSEGV, SI_KERNEL, 13,
         __asm__ volatile("mov %0, %%ds"
                          :
                          : "r"(0xfff8)));
  expect(got.error == 0xfff8, "faults.bad_selector_error", "%lx", got.error);
}

static void pages(void) {
  unsigned char* p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  RAISES(1, "faults.unmapped_read", SIGSEGV, SEGV_MAPERR, 14, (void)*(volatile char*)64);
  expect(got.address == 64 && got.error == 4, "faults.unmapped_read_error", "%lx %lx",
         (long)got.address, got.error);
  RAISES(1, "faults.read_only_write", SIGSEGV, SEGV_ACCERR, 14, *(volatile char*)(p + 123) = 1);
  expect(got.address == (uintptr_t)p + 123 && (got.error & ~1ul) == 6,
         "faults.read_only_write_error", "%lx %lx", (long)got.address, got.error);
  (void)*(volatile unsigned char*)p;
  RAISES(1, "faults.present_write", SIGSEGV, SEGV_ACCERR, 14, *(volatile char*)(p + 5) = 1);
  expect(got.error == 7, "faults.present_write_error", "%lx", got.error);
  RAISES(1, "faults.jump_to_nowhere", SIGSEGV, SEGV_MAPERR, 14,
         ((void (*)(void))(uintptr_t)0x1234)());
  expect(got.address == 0x1234 && got.pc == 0x1234, "faults.jump_to_nowhere_pc", "%lx %lx",
         (long)got.address, (long)got.pc);
#ifdef __x86_64__
  mprotect(p, 4096, PROT_READ | PROT_WRITE);
  p[0] = 0xc3;
  mprotect(p, 4096, PROT_READ);
  RAISES(1, "faults.no_execute", SIGSEGV, SEGV_ACCERR, 14, ((void (*)(void))p)());
  expect(got.address == (uintptr_t)p && (got.error & 0x14) == 0x14, "faults.no_execute_error",
         "%lx %lx", (long)got.address, got.error);
  RAISES(1, "faults.kernel_read", SIGSEGV, SEGV_MAPERR, 14,
         (void)*(volatile char*)0xffffffff81000000ull);
  RAISES(1, "faults.non_canonical", SIGSEGV, SI_KERNEL, 13,
         (void)*(volatile char*)0x8000000000000000ull);
  RAISES(1, "faults.non_canonical_stack", SIGBUS, SI_KERNEL, 12,
         __asm__ volatile("mov %%rsp, %%rbx; mov %0, %%rsp; push %%rax; mov %%rbx, %%rsp"
                          :
                          : "r"(0x8000000000000000ull)
                          : "rbx", "memory"));
  RAISES(1, "faults.non_canonical_jump", SIGSEGV, SI_KERNEL, 13,
         __asm__ volatile("jmp *%0"
                          :
                          : "r"(0x8000000000000000ull)));
#endif
  munmap(p, 4096);
}

static void alignment(void) {
  __attribute__((aligned(16))) static char bytes[32];
  RAISES(1, "faults.movaps_misaligned", SIGSEGV, SI_KERNEL, 13,
         __asm__ volatile("movaps %0, %%xmm0"
                          :
                          : "m"(bytes[4])
                          : "xmm0"));
  RAISES(1, "faults.alignment_check", SIGBUS, BUS_ADRALN, 17,
         __asm__ volatile("pushf; orl $0x40000, (%%" STACK_POINTER "); popf; movl %0, %%eax"
                          :
                          : "m"(bytes[1])
                          : "eax", "memory", "cc"));
}

static volatile int traps;
static uintptr_t trap_first, trap_last;
static void on_trap(int signal_number, siginfo_t* info, void* raw) {
  (void)signal_number, (void)info;
  ucontext_t* context = raw;
#ifdef __x86_64__
  uintptr_t pc = context->uc_mcontext.gregs[REG_RIP];
#else
  uintptr_t pc = context->uc_mcontext.gregs[REG_EIP];
#endif
  if (traps++ == 0) trap_first = pc;
  trap_last = pc;
}

// TF set by POPF: a trap after each instruction that follows, none after the POPF that clears it.
static void trap_flag(void) {
  struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
  sigaction(SIGTRAP, &action, NULL);
  traps = 0;
#ifdef __x86_64__
  __asm__ volatile(
      "sub $256, %%rsp; pushf; orq $0x100, (%%rsp); popf; nop; nop; xor %%eax, %%eax; nop;"
      "pushf; andq $~0x100, (%%rsp); popf; nop; add $256, %%rsp" ::
          : "rax", "memory", "cc");
#else
  __asm__ volatile(
      "pushf; orl $0x100, (%%esp); popf; nop; nop; xor %%eax, %%eax; nop;"
      "pushf; andl $~0x100, (%%esp); popf; nop" ::
          : "eax", "memory", "cc");
#endif
  expect(traps == 7, "faults.trap_flag", "%d traps from %lx to %lx", traps, (long)trap_first,
         (long)trap_last);
}

// The handler repairs the mapping; the instruction runs again and its operands are intact.
static unsigned char* repaired;
static volatile int repairs;
static void on_repair(int signal_number, siginfo_t* info, void* context) {
  (void)signal_number, (void)context;
  ++repairs;
  mprotect((void*)((uintptr_t)info->si_addr & ~4095ul), 4096, PROT_READ | PROT_WRITE);
}

static void repair_and_retry(void) {
  repaired = mmap(NULL, 64 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct sigaction action = {.sa_sigaction = on_repair, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, NULL);
  bool ok = true;
  for (int i = 0; i < 64; ++i) {
    uint32_t* word = (uint32_t*)(repaired + i * 4096 + 16);
    __asm__ volatile("addl %1, %0" : "+m"(*word) : "r"(i) : "cc");
    uint32_t exchanged = 7;
    __asm__ volatile("xchgl %0, %1" : "+r"(exchanged), "+m"(*word));
    ok &= exchanged == (uint32_t)i && *word == 7;
  }
  expect(ok && repairs == 64, "faults.repair_and_retry", "%d repairs", repairs);
  munmap(repaired, 64 * 4096);
}

void program_faults(void) {
  install();
  arithmetic();
  opcodes();
  privileged();
  pages();
  alignment();
  trap_flag();
  repair_and_retry();
}
