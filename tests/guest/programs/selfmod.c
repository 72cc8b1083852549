// tests/guest/programs/selfmod.c - code that changes: JIT pages, rewriting in place, aliases, page
// ends.
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

typedef int (*Function)(void);

static unsigned char* code_pages(int count, int protection) {
  return mmap(NULL, count * 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

// mov eax, value; ret
static void write_constant(unsigned char* at, int value) {
  at[0] = 0xb8;
  memcpy(at + 1, &value, 4);
  at[5] = 0xc3;
}

static void jit_page(void) {
  unsigned char* p = code_pages(1, PROT_READ | PROT_WRITE);
  bool ok = true;
  for (int i = 0; i < 300; ++i) {
    mprotect(p, 4096, PROT_READ | PROT_WRITE);
    write_constant(p + (i % 7) * 16, i);
    mprotect(p, 4096, PROT_READ | PROT_EXEC);
    ok &= ((Function)(p + (i % 7) * 16))() == i;
  }
  expect(ok, "selfmod.write_then_execute", "old code ran");
  munmap(p, 4096);
}

static void rewrite_in_place(void) {
  unsigned char* p = code_pages(1, PROT_READ | PROT_WRITE | PROT_EXEC);
  bool ok = true;
  write_constant(p, -1);
  for (int i = 0; i < 20000; ++i) {
    memcpy(p + 1, &i, 4);
    ok &= ((Function)p)() == i;
  }
  expect(ok, "selfmod.rewrite_immediate", "old code ran");

  // Different instruction each time: inc eax / dec eax behind mov eax, 10.
  static const unsigned char kIncrement[2] = {0xff, 0xc0}, kDecrement[2] = {0xff, 0xc8};
  write_constant(p, 10);
  p[7] = 0xc3;
  for (int i = 0; i < 5000; ++i) {
    memcpy(p + 5, i & 1 ? kIncrement : kDecrement, 2);
    ok &= ((Function)p)() == (i & 1 ? 11 : 9);
  }
  expect(ok, "selfmod.rewrite_opcode", "old code ran");
  // Data next to code, written often, must leave the code right.
  volatile unsigned* data = (unsigned*)(p + 2048);
  write_constant(p, 5);
  for (int i = 0; i < 20000; ++i) {
    *data += i;
    ok &= ((Function)p)() == 5;
  }
  expect(ok && *data == 199990000u, "selfmod.data_beside_code", "%u", *data);
  munmap(p, 4096);
}

// The store rewrites the very next instruction, which the processor must then execute.
static void next_instruction(void) {
  unsigned char* p = code_pages(1, PROT_READ | PROT_WRITE | PROT_EXEC);
  static const unsigned char kCode[] = {
#ifdef __x86_64__
      0xc6, 0x05, 0x01, 0x00, 0x00, 0x00, 0x07,  // mov byte [rip+1], 7 (the immediate below)
#else
      0xe8, 0x00, 0x00, 0x00, 0x00,  // call the next instruction
      0x5a,                          // pop edx
      0xc6, 0x42, 0x06, 0x07,        // mov byte [edx+6], 7
#endif
      0xb8, 0x01, 0x00, 0x00, 0x00,  // mov eax, 1
      0xc3,
  };
  bool ok = true;
  for (int i = 0; i < 100; ++i) {
    memcpy(p, kCode, sizeof kCode);
    ok &= ((Function)p)() == 7;
  }
  expect(ok, "selfmod.next_instruction", "the old immediate was used");
  munmap(p, 4096);
}

// One frame at two addresses: written through one, executed through the other.
static void aliased(void) {
  int fd = memfd_create("code", 0);
  if (fd < 0 || ftruncate(fd, 4096) != 0) {
    skip("selfmod.alias", "no memfd");
    return;
  }
  unsigned char* w = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  unsigned char* x = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  unsigned char* y = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  bool ok = true;
  for (int i = 0; i < 2000; ++i) {
    write_constant(w, i);
    // SDM Vol. 3 "Handling Self- and Cross-Modifying Code": another linear address needs
    // serializing.
    cpuid(0, 0);
    ok &= ((Function)x)() == i && ((Function)y)() == i;
  }
  expect(ok, "selfmod.alias", "old code ran");
  bool written = true;
  for (int i = 0; i < 50; ++i) {  // through the kernel: no store instruction of this process
    unsigned char bytes[6];
    write_constant(bytes, -i);
    written &= pwrite(fd, bytes, 6, 0) == 6 && ((Function)x)() == -i;
  }
  expect(written, "selfmod.kernel_writes", "old code ran");
  close(fd);
}

static void straddling_instruction(void) {
  unsigned char* p = code_pages(2, PROT_READ | PROT_WRITE | PROT_EXEC);
  bool ok = true;
  for (int offset = 1; offset <= 5; ++offset) {
    unsigned char* at = p + 4096 - offset;
    for (int i = 0; i < 500; ++i) {
      write_constant(at, (int)(i * 0x01010101u));
      ok &= ((Function)at)() == (int)(i * 0x01010101u);
    }
  }
  expect(ok, "selfmod.straddling_instruction", "old code ran");
  // Another page mapped in the place of the second one.
  write_constant(p + 4094, 0x11223344);
  ok = ((Function)(p + 4094))() == 0x11223344;
  mmap(p + 4096, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
       -1, 0);
  write_constant(p + 4094, 0x55667788);
  ok &= ((Function)(p + 4094))() == 0x55667788;
  expect(ok, "selfmod.remapped_second_page", "old code ran");
  munmap(p, 8192);
}

// Much code, run once: the translator must cope with more than it can keep.
static void many_functions(void) {
  enum { kPages = 256, kEach = 4096 / 16 };
  unsigned char* p = code_pages(kPages, PROT_READ | PROT_WRITE | PROT_EXEC);
  uint64_t hash = MIX_SEED;
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < kPages * kEach; ++i) write_constant(p + i * 16, i * 3 + round);
    for (int i = 0; i < kPages * kEach; ++i) hash = mix(hash, ((Function)(p + i * 16))());
  }
  sum("selfmod.many_functions", hash);
  munmap(p, kPages * 4096);
}

void program_selfmod(void) {
  jit_page();
  rewrite_in_place();
  next_instruction();
  aliased();
  straddling_instruction();
  many_functions();
}
