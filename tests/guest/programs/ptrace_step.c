// tests/guest/programs/ptrace_step.c - a parent single-steps its child: step counts and registers.
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#ifdef __x86_64__
#define PC rip
#define AX rax
#define CX rcx
#define DI rdi
#define PREFIX "r"
#else
#define PC eip
#define AX eax
#define CX ecx
#define DI edi
#define PREFIX "e"
#endif

// Each subject is a function in assembly whose instructions are counted by hand.
#define SUBJECT(name, text)                                                                    \
  __asm__(".pushsection .text; .globl " #name "; .type " #name ", @function; " #name ": " text \
          "; ret; .globl " #name "_end; " #name "_end: .popsection");                          \
  extern const char name[], name##_end[];

SUBJECT(straight, "xor %eax,%eax; inc %eax; inc %eax; add $5,%eax; nop")             // 6
SUBJECT(looping, "mov $10,%ecx; xor %eax,%eax; 1: add %ecx,%eax; dec %ecx; jnz 1b")  // 33
SUBJECT(repeating, "mov $8,%ecx; lea -128(%" PREFIX "sp),%" PREFIX
                   "di; xor %eax,%eax; cld;"  // 13
                   "rep stosb")
SUBJECT(pushing, "pushf; pop %" PREFIX "ax; push %" PREFIX "ax; popf")  // 5
SUBJECT(calling, "call 2f; jmp 3f; 2: mov $9,%eax; ret; 3: nop")        // 6
SUBJECT(stack_segment, "mov %ss,%ecx; mov %ecx,%ss; nop; nop")          // 4
#ifdef __x86_64__
SUBJECT(system_call, "mov $39,%eax; syscall; mov %eax,%edx; nop")  // 5
#else
SUBJECT(system_call, "movl $20,%eax; int $0x80; mov %eax,%edx; nop")  // 5
#endif
SUBJECT(identify, "push %" PREFIX "bx; xor %eax,%eax; cpuid; pop %" PREFIX "bx; nop")  // 6

static long steps_through(const char* start, const char* end, struct user_regs_struct* last) {
  pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
    ((void (*)(void))(uintptr_t)start)();
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  long inside = 0;
  for (long i = 0; i < 20000; ++i) {
    if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) != 0) break;
    if (waitpid(child, &status, 0) != child || WIFEXITED(status)) break;
    struct user_regs_struct regs;
    ptrace(PTRACE_GETREGS, child, NULL, &regs);
    uintptr_t pc = regs.PC;
    // A stop inside means that the instruction before it is done; the last stop inside is at RET.
    if (pc >= (uintptr_t)start && pc < (uintptr_t)end) {
      ++inside;
      *last = regs;
    } else if (inside) {
      break;
    }
  }
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return inside;
}

#define STEP(name, want, condition)                                                          \
  do {                                                                                       \
    memset(&regs, 0, sizeof regs);                                                           \
    long steps = steps_through(name, name##_end, &regs);                                     \
    expect(steps == (want) && (condition), "ptrace_step." #name, "%ld steps, ax %lx cx %lx", \
           steps, (unsigned long)regs.AX, (unsigned long)regs.CX);                           \
  } while (0)

void program_ptrace_step(void) {
  struct user_regs_struct regs;
  STEP(straight, 6, regs.AX == 7);
  STEP(looping, 33, regs.AX == 55 && regs.CX == 0);
  // SDM Vol. 3 "Single-Step Exception Condition": a repeated string instruction traps at each
  // iteration.
  STEP(repeating, 13, regs.CX == 0);
  STEP(pushing, 5, (regs.AX & 2) == 2);
  STEP(calling, 6, regs.AX == 9);
  // MOV to SS holds the trap back for one instruction.
  STEP(stack_segment, 4, true);
  STEP(system_call, 5, regs.AX != 0);
  STEP(identify, 6, true);
}
