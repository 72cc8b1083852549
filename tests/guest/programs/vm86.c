// tests/guest/programs/vm86.c - vm86(2): real-mode code in a 32-bit process, its exits and its
// interrupts.
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

#ifdef __i386__
#include <asm/vm86.h>

enum { kEnter = 1, kCodeSegment = 0x1000, kStackSegment = 0x2000 };

static struct vm86plus_struct machine;
static unsigned char* const kLow = (unsigned char*)0x1000;

static bool prepare(void) {
  unsigned char* low = mmap(kLow, 0x9f000, PROT_READ | PROT_WRITE | PROT_EXEC,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  return low == kLow;
}

static long run(const unsigned char* code, size_t bytes) {
  memcpy((void*)(kCodeSegment << 4), code, bytes);
  memset(&machine, 0, sizeof machine);
  machine.regs.cs = kCodeSegment;
  machine.regs.ds = machine.regs.es = kCodeSegment;
  machine.regs.ss = kStackSegment;
  machine.regs.esp = 0xfffe;
  machine.regs.eflags = 0x20202;
  machine.cpu_type = CPU_586;
  memset(&machine.int_revectored, 0xff, sizeof machine.int_revectored);
  return syscall(SYS_vm86, kEnter, &machine);
}
#define RUN(...)                                        \
  ({                                                    \
    static const unsigned char code_[] = {__VA_ARGS__}; \
    run(code_, sizeof code_);                           \
  })

static void exits(void) {
  long r = RUN(0xb8, 0x34, 0x12,  // mov ax, 1234h
               0xb9, 0x03, 0x00,  // mov cx, 3
               0x40, 0xe2, 0xfd,  // inc ax; loop
               0x0e, 0x1f,        // push cs; pop ds
               0xa3, 0x00, 0x01,  // mov [100h], ax
               0xcd, 0x21);       // int 21h
  uint16_t stored = *(uint16_t*)((kCodeSegment << 4) + 0x100);
  expect(VM86_TYPE(r) == VM86_INTx && VM86_ARG(r) == 0x21 &&
             (machine.regs.eax & 0xffff) == 0x1237 && stored == 0x1237 && machine.regs.eip == 16,
         "vm86.int_exit", "result %lx ax %lx ip %lx", r, machine.regs.eax, machine.regs.eip);
  r = RUN(0xf4);  // hlt: the kernel cannot emulate it
  expect(VM86_TYPE(r) == VM86_UNKNOWN, "vm86.unknown_exit", "%lx", r);
  r = RUN(0xe4, 0x60);  // in al, 60h: not permitted
  expect(VM86_TYPE(r) == VM86_UNKNOWN && machine.regs.eip == 0, "vm86.port_exit", "%lx", r);
}

static void virtual_flags(void) {
  // cli; pushf; pop ax; sti; pushf; pop bx; int 21h
  long r = RUN(0xfa, 0x9c, 0x58, 0xfb, 0x9c, 0x5b, 0xcd, 0x21);
  if (VM86_TYPE(r) == VM86_STI) r = syscall(SYS_vm86, kEnter, &machine);
  expect(VM86_TYPE(r) == VM86_INTx && !(machine.regs.eax & 0x200) && (machine.regs.ebx & 0x200),
         "vm86.virtual_if", "result %lx ax %lx bx %lx", r, machine.regs.eax, machine.regs.ebx);
}

static void segments(void) {
  // Wrapping and segment arithmetic: mov ax, 3000h; mov es, ax; mov di, 4; mov word es:[di],
  // 0beefh; mov ax, 3000h - 1; mov ds, ax; mov bx, [14h]; int 21h
  long r = RUN(0xb8, 0x00, 0x30, 0x8e, 0xc0, 0xbf, 0x04, 0x00, 0x26, 0xc7, 0x05, 0xef, 0xbe, 0xb8,
               0xff, 0x2f, 0x8e, 0xd8, 0x8b, 0x1e, 0x14, 0x00, 0xcd, 0x21);
  expect(VM86_TYPE(r) == VM86_INTx && (machine.regs.ebx & 0xffff) == 0xbeef, "vm86.segments",
         "%lx bx %lx", r, machine.regs.ebx);
  // call far 1000:0020; int 21h ... at 20h: mov dx, 77h; retf
  static unsigned char code[0x30] = {0x9a, 0x20, 0x00, 0x00, 0x10, 0xcd, 0x21};
  static const unsigned char kFar[] = {0xba, 0x77, 0x00, 0xcb};
  memcpy(code + 0x20, kFar, sizeof kFar);
  r = run(code, sizeof code);
  expect(VM86_TYPE(r) == VM86_INTx && (machine.regs.edx & 0xffff) == 0x77 &&
             (machine.regs.esp & 0xffff) == 0xfffe,
         "vm86.far_call", "%lx dx %lx sp %lx", r, machine.regs.edx, machine.regs.esp);
}

static void work(void) {
  // 16-bit loop with 32-bit operands: xor eax,eax; mov cx, 50000; l: add eax, ecx; rol eax, 3; loop
  // l
  long r = RUN(0x66, 0x31, 0xc0, 0x66, 0x31, 0xc9, 0xb9, 0x50, 0xc3, 0x66, 0x01, 0xc8, 0x66, 0xc1,
               0xc0, 0x03, 0xe2, 0xf7, 0xcd, 0x21);
  uint32_t want = 0;
  for (uint32_t c = 50000; c != 0; --c) {
    want += c;
    want = want << 3 | want >> 29;
  }
  expect(VM86_TYPE(r) == VM86_INTx && (uint32_t)machine.regs.eax == want, "vm86.loop",
         "%lx %lx want %x", r, machine.regs.eax, want);
}

void program_vm86(void) {
  errno = 0;
  if (syscall(SYS_vm86, 0, NULL) == -1 && errno == ENOSYS) {
    skip("vm86", "not in this kernel");
    return;
  }
  if (!prepare()) {
    skip("vm86", "low memory cannot be mapped");
    return;
  }
  exits();
  virtual_flags();
  segments();
  work();
}
#else
void program_vm86(void) { skip("vm86", "32-bit only"); }
#endif
