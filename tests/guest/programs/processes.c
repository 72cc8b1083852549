// tests/guest/programs/processes.c - fork, exec and wait loops, pipes between processes, exit
// codes.
#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void fork_loop(void) {
  bool ok = true;
  for (int i = 0; i < 200; ++i) {
    pid_t child = fork();
    if (child == 0) _exit(i & 0x7f);
    int status = -1;
    ok &= waitpid(child, &status, 0) == child && WIFEXITED(status) &&
          WEXITSTATUS(status) == (i & 0x7f);
  }
  expect(ok, "processes.fork_wait", "a child's status was wrong");
}

static void exec_loop(void) {
  volatile bool ok = true;
  for (volatile int i = 0; i < 60; ++i) {
    char code[8];
    snprintf(code, sizeof code, "%d", i);
    pid_t child = i & 1 ? vfork() : fork();
    if (child == 0) {
      execl("/proc/self/exe", "guest-tests", "exec-child", code, NULL);
      _exit(126);
    }
    int status = -1;
    ok = ok && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == i;
  }
  expect(ok, "processes.fork_exec_wait", "a child's status was wrong");
}

static int tree(int depth) {
  if (depth == 0) return 1;
  pid_t children[2];
  for (int i = 0; i < 2; ++i)
    if ((children[i] = fork()) == 0) _exit(tree(depth - 1));
  int total = 0;
  for (int i = 0; i < 2; ++i) {
    int status = 0;
    waitpid(children[i], &status, 0);
    total += WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
  }
  return total;
}

static void ping_pong(void) {
  int there[2], back[2];
  if (pipe(there) != 0 || pipe(back) != 0) return;
  enum { kRounds = 3000 };
  pid_t child = fork();
  if (child == 0) {
    uint32_t v;
    for (int i = 0; i < kRounds; ++i) {
      if (read(there[0], &v, 4) != 4) _exit(1);
      v = v * 1664525 + 1013904223;
      if (write(back[1], &v, 4) != 4) _exit(1);
    }
    _exit(0);
  }
  uint32_t v = 1;
  bool ok = true;
  for (int i = 0; i < kRounds; ++i) {
    ok &= write(there[1], &v, 4) == 4;
    ok &= read(back[0], &v, 4) == 4;
  }
  waitpid(child, NULL, 0);
  expect(ok, "processes.ping_pong", "short read or write");
  sum("processes.ping_pong", v);
}

// Ten children write their own patterns over inherited memory; nobody sees another's.
static void isolation(void) {
  enum { kBytes = 256 * 4096 };
  unsigned char* p = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(p, 0xaa, kBytes);
  int wrong = 0;
  pid_t children[10];
  for (int c = 0; c < 10; ++c) {
    if ((children[c] = fork()) != 0) continue;
    bool ok = true;
    for (int i = 0; i < kBytes; i += 512) {
      ok &= p[i] == 0xaa;
      p[i] = c;
    }
    usleep(1000);
    for (int i = 0; i < kBytes; i += 512) ok &= p[i] == c;
    _exit(!ok);
  }
  for (int c = 0; c < 10; ++c) {
    int status = -1;
    waitpid(children[c], &status, 0);
    wrong += status != 0;
  }
  for (int i = 0; i < kBytes; i += 512) wrong += p[i] != 0xaa;
  expect(wrong == 0, "processes.isolation", "%d wrong", wrong);
  munmap(p, kBytes);
}

void program_processes(void) {
  fork_loop();
  exec_loop();
  expect(tree(5) == 32, "processes.tree", "wrong number of leaves");
  ping_pong();
  isolation();
}
