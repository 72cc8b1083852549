// tests/guest/programs/signals.c - delivery, alternate stacks, long jumps, masks, interrupted
// calls.
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static volatile int count;
static volatile uintptr_t stack_seen;
static sigjmp_buf escape;

static void on_signal(int signal_number) {
  count += signal_number;
  char local;
  stack_seen = (uintptr_t)&local;
}

static void set_handler(int signal_number, void (*handler)(int), int flags) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
  sigaction(signal_number, &action, NULL);
}

static void delivery(void) {
  set_handler(SIGUSR1, on_signal, 0);
  count = 0;
  for (int i = 0; i < 2000; ++i) raise(SIGUSR1);
  expect(count == 2000 * SIGUSR1, "signals.raise", "%d", count);

  sigset_t set, old;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, &old);
  count = 0;
  raise(SIGUSR1);
  int while_blocked = count;
  sigprocmask(SIG_SETMASK, &old, NULL);
  expect(while_blocked == 0 && count == SIGUSR1, "signals.mask", "%d %d", while_blocked, count);
}

static void alternate_stack(void) {
  static char stack[32768];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack}, off = {.ss_flags = SS_DISABLE};
  sigaltstack(&alternate, NULL);
  set_handler(SIGUSR2, on_signal, SA_ONSTACK);
  raise(SIGUSR2);
  expect(stack_seen >= (uintptr_t)stack && stack_seen < (uintptr_t)stack + sizeof stack,
         "signals.sigaltstack", "handler at %lx", (unsigned long)stack_seen);
  sigaltstack(&off, NULL);
}

__attribute__((noinline)) static unsigned overflow(unsigned depth) {
  volatile char pad[4096];
  pad[depth % 4096] = depth;
  return depth > 1000000 ? 0 : overflow(depth + 1) + pad[(depth + 1) % 4096];
}

static void on_overflow(int signal_number) {
  count = signal_number;
  siglongjmp(escape, 1);
}

// Only a handler on its own stack can run when the stack itself is what faulted.
static void stack_overflow(void) {
  struct rlimit limit = {1 << 20, 1 << 20};
  pid_t child = fork();
  if (child == 0) {
    static char stack[65536];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    setrlimit(RLIMIT_STACK, &limit);
    sigaltstack(&alternate, NULL);
    set_handler(SIGSEGV, on_overflow, SA_ONSTACK);
    for (volatile int i = 0; i < 5; ++i)
      if (sigsetjmp(escape, 1) == 0) overflow(0);
    _exit(count == SIGSEGV ? 7 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  expect(WIFEXITED(status) && WEXITSTATUS(status) == 7, "signals.stack_overflow", "status %x",
         status);
}

static void long_jumps(void) {
  set_handler(SIGSEGV, on_overflow, 0);
  volatile int jumps = 0;
  for (volatile int i = 0; i < 500; ++i) {
    if (sigsetjmp(escape, 1) == 0)
      *(volatile int*)(uintptr_t)(16 + i) = 1;
    else
      ++jumps;
  }
  signal(SIGSEGV, SIG_DFL);
  expect(jumps == 500, "signals.siglongjmp", "%d jumps", jumps);
}

static void interrupted_call(void) {
  int ends[2];
  if (pipe(ends) != 0) return;
  set_handler(SIGALRM, on_signal, 0);
  alarm(1);
  char byte;
  ssize_t n = read(ends[0], &byte, 1);
  int error = errno;
  expect(n == -1 && error == EINTR, "signals.eintr", "%zd errno %d", n, error);
  close(ends[0]);
  close(ends[1]);
}

static void nested_handler(int signal_number) {
  ++count;
  if (signal_number == SIGUSR1) raise(SIGUSR2);
}

static void nesting_and_children(void) {
  set_handler(SIGUSR1, nested_handler, 0);
  set_handler(SIGUSR2, nested_handler, 0);
  count = 0;
  raise(SIGUSR1);
  expect(count == 2, "signals.nested", "%d", count);

  static const int kDeadly[] = {SIGTERM, SIGKILL, SIGSEGV, SIGABRT};
  for (int i = 0; i < 4; ++i) {
    struct rlimit none = {0, 0};
    pid_t child = fork();
    if (child == 0) {
      setrlimit(RLIMIT_CORE, &none);
      signal(kDeadly[i], SIG_DFL);
      for (;;) pause();
    }
    kill(child, kDeadly[i]);
    int status = 0;
    waitpid(child, &status, 0);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != kDeadly[i])
      expect(false, "signals.kill", "signal %d gave status %x", kDeadly[i], status);
  }
  expect(true, "signals.kill_done", "never");
}

// Every general register must come back from a handler as it was.
static void registers_kept(void) {
  bool ok = true;
  set_handler(SIGUSR1, on_signal, 0);
  for (int i = 0; i < 200; ++i) {
#ifdef __x86_64__
    unsigned long sum_after;
    __asm__ volatile(
        "mov $11, %%r8; mov $12, %%r9; mov $13, %%r10; mov $15, %%r12; mov $16, %%r13;"
        "mov $17, %%r14; mov $18, %%r15; mov $19, %%rbx;"
        "mov $39, %%eax; syscall; mov %%eax, %%edi; mov %1, %%esi; mov $62, %%eax; syscall;"
        "lea (%%r8,%%r9), %0; add %%r10, %0; add %%r12, %0; add %%r13, %0; add %%r14, %0;"
        "add %%r15, %0; add %%rbx, %0;"
        : "=&d"(sum_after)
        : "i"(SIGUSR1)
        : "r8", "r9", "r10", "r12", "r13", "r14", "r15", "rbx", "rax", "rcx", "r11", "rdi", "rsi",
          "memory", "cc");
    ok &= sum_after == 11 + 12 + 13 + 15 + 16 + 17 + 18 + 19;
#else
    unsigned a, b;
    __asm__ volatile(
        "movl $20, %%eax; int $0x80; movl $0x1234, %%edi; movl $0x5678, %%esi;"
        "pushl %%ebx; movl %%eax, %%ebx; movl %2, %%ecx; movl $37, %%eax; int $0x80; popl %%ebx;"
        : "=&D"(a), "=&S"(b)
        : "i"(SIGUSR1)
        : "eax", "ecx", "memory", "cc");
    ok &= a == 0x1234 && b == 0x5678;
#endif
  }
  expect(ok, "signals.registers", "a register changed");
}

void program_signals(void) {
  delivery();
  alternate_stack();
  stack_overflow();
  long_jumps();
  interrupted_call();
  nesting_and_children();
  registers_kept();
}
