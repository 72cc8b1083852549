// tests/guest/programs/segments.c - LDT and TLS segments, bases and limits, 16-bit and other-size
// code.
#include <asm/ldt.h>
#include <errno.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static Escape escape;
static volatile int last_signal;
static void on_fault(int number) {
  last_signal = number;
  leave_fault(&escape, number);
}

static bool set_ldt(unsigned entry, uintptr_t base, unsigned limit, bool big, bool pages,
                    unsigned contents, bool absent) {
  struct user_desc d = {.entry_number = entry,
                        .base_addr = base,
                        .limit = limit,
                        .seg_32bit = big,
                        .contents = contents,
                        .read_exec_only = 0,
                        .limit_in_pages = pages,
                        .seg_not_present = absent,
                        .useable = 1};
  return syscall(SYS_modify_ldt, 1, &d, sizeof d) == 0;
}
#define LDT(n) ((n) << 3 | 7)

// FS is free in 32-bit programs and GS in 64-bit ones: the C library keeps its thread in the other.
#ifdef __x86_64__
#define FREE "gs"
#else
#define FREE "fs"
#endif

static int try_read(unsigned selector, unsigned offset, int* value) {
  unsigned char v = 0;
  last_signal = 0;
  MAY_FAULT(escape, __asm__ volatile("mov %1, %%" FREE "; movb %%" FREE ":(%2), %0"
                                     : "=&q"(v)
                                     : "r"(selector), "r"((uintptr_t)offset)
                                     : "memory"));
  __asm__ volatile("mov %0, %%" FREE : : "r"(0));
  *value = v;
  return last_signal;
}

static void data_segments(void) {
  unsigned char* p =
      mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  for (int i = 0; i < 8192; ++i) p[i] = i * 7 + i / 256;
  if (!set_ldt(0, (uintptr_t)p, 100, true, false, 0, false)) {
    skip("segments.ldt", strerror(errno));
    return;
  }
  int value, signal_number = try_read(LDT(0), 50, &value);
  expect(signal_number == 0 && value == p[50], "segments.base", "signal %d value %d", signal_number,
         value);
#ifdef __i386__
  signal_number = try_read(LDT(0), 100, &value);
  expect(signal_number == 0 && value == p[100], "segments.limit_last_byte", "signal %d",
         signal_number);
  signal_number = try_read(LDT(0), 101, &value);
  expect(signal_number == SIGSEGV, "segments.limit", "signal %d", signal_number);
  set_ldt(1, (uintptr_t)p, 100, true, false, 1, false);  // expand-down: 101 and up are valid
  signal_number = try_read(LDT(1), 100, &value);
  expect(signal_number == SIGSEGV, "segments.expand_down_below", "signal %d", signal_number);
  signal_number = try_read(LDT(1), 4000, &value);
  expect(signal_number == 0 && value == p[4000], "segments.expand_down", "signal %d",
         signal_number);
  set_ldt(2, (uintptr_t)p, 0, true, true, 0, false);  // one page, in pages
  signal_number = try_read(LDT(2), 4095, &value);
  expect(signal_number == 0 && value == p[4095], "segments.page_limit_inside", "signal %d",
         signal_number);
  signal_number = try_read(LDT(2), 4096, &value);
  expect(signal_number == SIGSEGV, "segments.page_limit", "signal %d", signal_number);
#endif
  set_ldt(3, (uintptr_t)p, 100, true, false, 0, true);
  signal_number = try_read(LDT(3), 0, &value);
  expect(signal_number == SIGBUS || signal_number == SIGSEGV, "segments.not_present", "signal %d",
         signal_number);
  signal_number = try_read(LDT(100), 0, &value);
  expect(signal_number == SIGSEGV, "segments.beyond_ldt", "signal %d", signal_number);
  unsigned limit = 0;
  uint8_t ok;
  set_ldt(0, (uintptr_t)p, 100, true, false, 0, false);
  __asm__ volatile("lsl %2, %0; setz %1" : "+r"(limit), "=q"(ok) : "r"(LDT(0)) : "cc");
  expect(ok && limit == 100, "segments.lsl", "%u %u", ok, limit);
  unsigned rights = 0;
  __asm__ volatile("lar %2, %0; setz %1" : "+r"(rights), "=q"(ok) : "r"(LDT(0)) : "cc");
  expect(ok && (rights & 0xff00) == 0xf300, "segments.lar", "%u %x", ok, rights);
  __asm__ volatile("verw %w1; setz %0" : "=q"(ok) : "r"(LDT(0)) : "cc");
  expect(ok, "segments.verw", "not writable");
  __asm__ volatile("verr %w1; setz %0" : "=q"(ok) : "r"(LDT(90)) : "cc");
  expect(!ok, "segments.verr", "readable");
}

#ifdef __i386__
// 16-bit code in an LDT segment, called far from 32-bit code.
static void sixteen_bit_code(void) {
  unsigned char* p =
      mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  static const unsigned char kCode[] = {
      0xb8, 0x34, 0x12,  // mov ax, 0x1234
      0x83, 0xc0, 0xff,  // add ax, -1
      0xb9, 0x05, 0x00,  // mov cx, 5
      0x01, 0xc8,        // add ax, cx
      0xe2, 0xfc,        // loop to the add
      0x66, 0xcb,        // retf with a 32-bit far pointer
  };
  memcpy(p, kCode, sizeof kCode);
  // A kernel without CONFIG_X86_16BIT, such as Debian's for clouds, has no 16-bit segments.
  if (!set_ldt(4, (uintptr_t)p, 4095, false, false, 2, false)) {
    skip("segments.sixteen_bit_code", strerror(errno));
    return;
  }
  struct {
    uint32_t offset;
    uint16_t selector;
  } __attribute__((packed)) target = {0, LDT(4)};
  unsigned result = 0, count = 0;
  __asm__ volatile("lcall *%2" : "+a"(result), "+c"(count) : "m"(target) : "memory", "cc");
  expect((result & 0xffff) == 0x1233 + 15, "segments.sixteen_bit_code", "%x", result);
}

static void thread_area(void) {
  static unsigned char data[64] = {9, 8, 7};
  struct user_desc d = {
      .entry_number = -1, .base_addr = (uintptr_t)data, .limit = 63, .seg_32bit = 1, .useable = 1};
  if (syscall(SYS_set_thread_area, &d) != 0) {
    skip("segments.set_thread_area", strerror(errno));
    return;
  }
  int value, signal_number = try_read(d.entry_number << 3 | 3, 2, &value);
  expect(signal_number == 0 && value == 7, "segments.set_thread_area", "signal %d value %d",
         signal_number, value);
}

// A 32-bit program on a 64-bit kernel may enter 64-bit code through the kernel's own segment.
static void enter_64bit(void) {
  if (!kernel_is_64bit()) return;
  static const unsigned char kCode[] = {0x48, 0xb8, 1,    0,    0,
                                        0,    2,    0,    0,    0,  // movabs rax, 2_00000001
                                        0x48, 0xc1, 0xe8, 0x20,     // shr rax, 32
                                        0xcb};                      // retf
  unsigned char* p =
      mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(p, kCode, sizeof kCode);
  struct {
    uint32_t offset;
    uint16_t selector;
  } __attribute__((packed)) target = {(uintptr_t)p, 0x33};
  unsigned result = 0;
  __asm__ volatile("lcall *%1" : "+a"(result) : "m"(target) : "memory", "cc");
  expect(result == 2, "segments.enter_64bit", "%x", result);
}
#else
static void base_registers(void) {
  static unsigned char data[64] = {1, 2, 3, 4};
  unsigned char v;
  syscall(SYS_arch_prctl, 0x1001, data);  // ARCH_SET_GS
  __asm__ volatile("movb %%gs:2, %0" : "=q"(v));
  expect(v == 3, "segments.gs_base", "%u", v);
  if (getauxval(26) & 2) {  // AT_HWCAP2: the kernel allows FSGSBASE
    unsigned long old, now;
    __asm__ volatile("rdgsbase %0; wrgsbase %3; movb %%gs:0, %2; rdgsbase %1; wrgsbase %0"
                     : "=&r"(old), "=&r"(now), "=&q"(v)
                     : "r"((unsigned long)data + 1));
    expect(old == (unsigned long)data && now == old + 1 && v == 2, "segments.wrgsbase",
           "%lx %lx %u", old, now, v);
  }
  syscall(SYS_arch_prctl, 0x1001, 0);
}

// From 64-bit code to compatibility mode and back, with a stack below 4 GiB.
static void enter_compatibility(void) {
  static const unsigned char kCode[] = {0x40,  // inc eax (a REX prefix in 64-bit mode)
                                        0x05, 0x10, 0, 0, 0,  // add eax, 16
                                        0xcb};                // retf
  unsigned char* p = mmap(NULL, 65536, PROT_READ | PROT_WRITE | PROT_EXEC,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  memcpy(p, kCode, sizeof kCode);
  struct {
    uint32_t offset;
    uint16_t selector;
  } __attribute__((packed)) target = {(uintptr_t)p, 0x23};
  unsigned long result = 5;
  __asm__ volatile("mov %%rsp, %%rbx; mov %2, %%rsp; lcall *(%1); mov %%rbx, %%rsp"
                   : "+a"(result)
                   : "r"(&target), "r"(p + 65536 - 64)
                   : "rbx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
  expect((uint32_t)result == 22, "segments.enter_compatibility", "%lx", result);
}
#endif

void program_segments(void) {
  signal(SIGSEGV, on_fault);
  signal(SIGBUS, on_fault);
  data_segments();
#ifdef __i386__
  sixteen_bit_code();
  thread_area();
  enter_64bit();
#else
  base_registers();
  enter_compatibility();
#endif
}
