// bench/programs/kernel.c - workloads that live in the guest's kernel: system calls, faults,
// processes.
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workload.h"

uint64_t work_syscalls(void) {
  uint64_t same = 0;
  long parent = syscall(SYS_getppid);
  for (int i = 0; i < 1000000; ++i) same += syscall(SYS_getppid) == parent;
  return same;
}

uint64_t work_faults(void) {
  enum { kPages = 64 };
  uint64_t sum = 0;
  for (int i = 0; i < 1500; ++i) {
    volatile unsigned char* p =
        mmap(NULL, kPages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int j = 0; j < kPages; ++j) p[j * 4096] = i + j;
    for (int j = 0; j < kPages; ++j) sum += p[j * 4096];
    munmap((void*)p, kPages * 4096);
  }
  return sum;
}

uint64_t work_fork_wait(void) {
  uint64_t sum = 0;
  for (int i = 0; i < 1000; ++i) {
    pid_t child = fork();
    if (child == 0) _exit(i & 127);
    int status = 0;
    waitpid(child, &status, 0);
    sum = sum * 31 + WEXITSTATUS(status);
  }
  return sum;
}

uint64_t work_fork_exec(void) {
  uint64_t sum = 0;
  for (int i = 0; i < 400; ++i) {
    pid_t child = fork();
    if (child == 0) {
      execl("/proc/self/exe", "bench", "exec-child", NULL);
      _exit(126);
    }
    int status = 0;
    waitpid(child, &status, 0);
    sum = sum * 31 + WEXITSTATUS(status) + 1;
  }
  return sum;
}

uint64_t work_ping_pong(void) {
  int there[2], back[2];
  if (pipe(there) != 0 || pipe(back) != 0) return 0;
  enum { kRounds = 40000 };
  uint32_t v = 1;
  pid_t child = fork();
  if (child == 0) {
    for (int i = 0; i < kRounds; ++i) {
      if (read(there[0], &v, 4) != 4) _exit(1);
      v = v * 1664525 + 1013904223;
      if (write(back[1], &v, 4) != 4) _exit(1);
    }
    _exit(0);
  }
  for (int i = 0; i < kRounds; ++i)
    if (write(there[1], &v, 4) != 4 || read(back[0], &v, 4) != 4) return 0;
  waitpid(child, NULL, 0);
  return v;
}
