// tests/guest/programs/syscalls.c - every way into the kernel: SYSCALL, SYSENTER through the vDSO,
// INT 80H.
#include <errno.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static long int80(long number) {
  long result;
#ifdef __x86_64__
  __asm__ volatile("int $0x80" : "=a"(result) : "0"(number) : "r8", "r9", "r10", "r11", "memory");
#else
  __asm__ volatile("int $0x80" : "=a"(result) : "0"(number) : "memory");
#endif
  return result;
}

enum { kGetpid32 = 20 };

static void entries(void) {
  long pid = getpid();
  if (kernel_is_64bit() || sizeof(long) == 4)
    expect(int80(kGetpid32) == pid, "syscalls.int80", "%ld", int80(kGetpid32));
#ifdef __i386__
  unsigned long entry = getauxval(AT_SYSINFO);  // SYSENTER, or SYSCALL on some processors
  if (entry) {
    long result;
    __asm__ volatile("call *%1" : "=a"(result) : "r"(entry), "0"(kGetpid32) : "memory", "cc");
    expect(result == pid, "syscalls.vdso_entry", "%ld", result);
    bool ok = true;
    for (int i = 0; i < 20000; ++i) {
      unsigned b = 0x11111111, c = 0x22222222, d = 0x33333333, s = 0x44444444, t = 0x55555555;
      __asm__ volatile("pushl %6; movl $20, %%eax; call *(%%esp); addl $4, %%esp"
                       : "=a"(result), "+b"(b), "+c"(c), "+d"(d), "+S"(s), "+D"(t)
                       : "m"(entry)
                       : "memory", "cc");
      ok &= result == pid && b == 0x11111111 && c == 0x22222222 && d == 0x33333333 &&
            s == 0x44444444 && t == 0x55555555;
    }
    expect(ok, "syscalls.vdso_registers", "a register changed");
  } else {
    skip("syscalls.vdso_entry", "no AT_SYSINFO");
  }
#else
  unsigned long rcx, r11, result, next, flags_in;
  __asm__ volatile("pushf; pop %4; lea 1f(%%rip), %3; mov $39, %%eax; syscall; 1: mov %%r11, %1"
                   : "=&c"(rcx), "=&r"(r11), "=&a"(result), "=&r"(next), "=&r"(flags_in)
                   :
                   : "r11", "memory");
  expect((long)result == pid && rcx == next && ((r11 ^ flags_in) & ~0x8d5ul) == 0,
         "syscalls.syscall_rcx_r11", "%lu rcx %lx r11 %lx", result, rcx, r11);
#endif
}

static void many_calls(void) {
  bool ok = true;
  pid_t parent = getppid();
  for (int i = 0; i < 50000; ++i) ok &= syscall(SYS_getppid) == parent;
  expect(ok, "syscalls.getppid_loop", "wrong answer");
  errno = 0;
  expect(syscall(9999) == -1 && errno == ENOSYS, "syscalls.enosys", "errno %d", errno);
  expect(syscall(SYS_write, 1, 1, 1) == -1 && errno == EFAULT, "syscalls.efault", "errno %d",
         errno);
}

// Copies between user and kernel memory, through pipes and files, in awkward sizes.
static void copies(void) {
  int ends[2], zero = open("/dev/zero", O_RDONLY);
  if (pipe(ends) != 0) return;
  static unsigned char in[9000], out[9000];
  uint64_t state = 71, hash = MIX_SEED;
  for (size_t i = 0; i < sizeof in; ++i) in[i] = next_random(&state) >> 24;
  bool ok = true;
  for (unsigned i = 0; i < 400; ++i) {
    unsigned size = 1 + next_random(&state) % 4000, a = next_random(&state) % 5000,
             b = next_random(&state) % 5000;
    struct iovec parts[2] = {{out + b, size / 2}, {out + b + size / 2, size - size / 2}};
    ok &= write(ends[1], in + a, size) == (ssize_t)size;
    ok &= readv(ends[0], parts, 2) == (ssize_t)size;
    ok &= memcmp(in + a, out + b, size) == 0;
    hash = mix_bytes(hash, out + b, size);
  }
  expect(ok, "syscalls.pipe_copies", "contents differ");
  sum("syscalls.pipe_copies", hash);
  if (zero >= 0) {
    memset(out, 1, sizeof out);
    ok = read(zero, out + 3, 8000) == 8000;
    for (int i = 0; i < 8000; ++i) ok &= out[i + 3] == 0;
    expect(ok && out[2] == 1 && out[8003] == 1, "syscalls.read_zero", "wrong");
    close(zero);
  }
  close(ends[0]);
  close(ends[1]);
}

void program_syscalls(void) {
  entries();
  many_calls();
  copies();
}
