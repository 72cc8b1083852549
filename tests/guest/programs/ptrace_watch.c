// tests/guest/programs/ptrace_watch.c - debug registers set through ptrace: break on execution,
// write, access.
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#ifdef __x86_64__
#define PC rip
#else
#define PC eip
#endif

static volatile uint32_t watched[4];
static volatile uint32_t other;

__attribute__((noinline, noipa)) static void breakpoint_here(int i) { other += i; }

static void child_body(void) {
  ptrace(PTRACE_TRACEME, 0, NULL, NULL);
  raise(SIGSTOP);
  for (int i = 0; i < 5; ++i) {
    watched[0] = i;
    other = watched[1];
    ((volatile uint8_t*)watched)[11] = i;
    breakpoint_here(i);
  }
  _exit(3);
}

static bool poke(pid_t child, int number, uintptr_t value) {
  return ptrace(PTRACE_POKEUSER, child, offsetof(struct user, u_debugreg) + number * sizeof(long),
                value) == 0;
}

enum { kExecute = 0, kWrite = 1, kAccess = 3 };

static void watch(const char* name, uintptr_t address, unsigned kind, unsigned bytes, int want,
                  uintptr_t want_pc) {
  pid_t child = fork();
  if (child == 0) child_body();
  int status, hits = 0;
  waitpid(child, &status, 0);
  unsigned control = 1 | kind << 16 | (bytes - 1) << 18;
  if (!poke(child, 0, address) || !poke(child, 7, control)) {
    skip(name, strerror(errno));
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return;
  }
  bool right_place = true;
  long dr6 = 0;
  for (;;) {
    ptrace(PTRACE_CONT, child, NULL, NULL);
    waitpid(child, &status, 0);
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP || hits > 100) break;
    ++hits;
    dr6 =
        ptrace(PTRACE_PEEKUSER, child, offsetof(struct user, u_debugreg) + 6 * sizeof(long), NULL);
    struct user_regs_struct regs;
    ptrace(PTRACE_GETREGS, child, NULL, &regs);
    right_place &= want_pc == 0 || (uintptr_t)regs.PC == want_pc;
    right_place &= (dr6 & 1) == 1;
  }
  bool ended = WIFEXITED(status) && WEXITSTATUS(status) == 3;
  if (!WIFEXITED(status)) {
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
  }
  expect(hits == want && right_place && ended, name, "%d hits, dr6 %lx, status %x", hits, dr6,
         status);
}

void program_ptrace_watch(void) {
  uintptr_t function = (uintptr_t)breakpoint_here, words = (uintptr_t)watched;
  watch("ptrace_watch.execute", function, kExecute, 1, 5, function);
  watch("ptrace_watch.write_4", words, kWrite, 4, 5, 0);
  watch("ptrace_watch.write_not_read", words + 4, kWrite, 4, 0, 0);
  watch("ptrace_watch.access_4", words + 4, kAccess, 4, 5, 0);
  watch("ptrace_watch.write_1", words + 11, kWrite, 1, 5, 0);
  watch("ptrace_watch.write_beside", words + 10, kWrite, 1, 0, 0);
  watch("ptrace_watch.write_2_covers", words + 10, kWrite, 2, 5, 0);
}
