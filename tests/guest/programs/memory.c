// tests/guest/programs/memory.c - mmap, mprotect, sharing, copy on write, accesses across pages.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static sigjmp_buf escape;
static volatile uintptr_t fault_address;

static void on_fault(int signal_number, siginfo_t* info, void* context) {
  (void)signal_number, (void)context;
  fault_address = (uintptr_t)info->si_addr;
  siglongjmp(escape, 1);
}

static void catch_faults(bool on) {
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  if (!on) action = (struct sigaction){.sa_handler = SIG_DFL};
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
}

static unsigned char* map(size_t bytes, int protection, int flags) {
  return mmap(NULL, bytes, protection, flags | MAP_ANONYMOUS, -1, 0);
}

static void touch_many_pages(void) {
  enum { kPages = 2048 };
  unsigned char* p = map(kPages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  bool zero = true;
  for (int i = 0; i < kPages; ++i) zero &= p[i * 4096 + i % 4096] == 0;
  for (int i = 0; i < kPages; ++i) p[i * 4096 + i % 4096] = i;
  bool kept = true;
  for (int i = 0; i < kPages; ++i) kept &= p[i * 4096 + i % 4096] == (unsigned char)i;
  expect(zero && kept, "memory.touch", "zero %d kept %d", zero, kept);
  madvise(p, kPages * 4096, MADV_DONTNEED);
  bool dropped = true;
  for (int i = 0; i < kPages; ++i) dropped &= p[i * 4096 + i % 4096] == 0;
  expect(dropped, "memory.madvise_dontneed", "old contents");
  munmap(p, kPages * 4096);
  catch_faults(true);
  bool faulted = false;
  if (sigsetjmp(escape, 1) == 0)
    p[5 * 4096] = 1;
  else
    faulted = true;
  catch_faults(false);
  expect(faulted && fault_address == (uintptr_t)(p + 5 * 4096), "memory.munmap",
         "no fault after munmap");
}

static void protect_and_unprotect(void) {
  unsigned char* p = map(16 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  volatile int faults = 0;
  catch_faults(true);
  for (volatile int i = 0; i < 200; ++i) {
    unsigned char* q = p + (i % 16) * 4096;
    *q = i;
    mprotect(q, 4096, PROT_READ);
    if (sigsetjmp(escape, 1) == 0)
      *(volatile unsigned char*)q = 0xff;
    else
      ++faults;
    if (*q != (unsigned char)i) faults = -1000;
    mprotect(q, 4096, PROT_READ | PROT_WRITE);
    *q = 1;
  }
  expect(faults == 200, "memory.mprotect_write", "%d faults", faults);
  faults = 0;
  for (volatile int i = 0; i < 50; ++i) {
    mprotect(p, 4096, PROT_NONE);
    if (sigsetjmp(escape, 1) == 0)
      fault_address = *(volatile unsigned char*)p;
    else
      ++faults;
    mprotect(p, 4096, PROT_READ | PROT_WRITE);
  }
  catch_faults(false);
  expect(faults == 50, "memory.mprotect_none", "%d faults", faults);
  munmap(p, 16 * 4096);
}

// SDM Vol. 3: a store that straddles a page it may not write changes nothing.
static void straddling(void) {
  unsigned char* p = map(8192, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  memset(p, 0x55, 8192);
  uint64_t v = 0x1122334455667788ull;
  memcpy(p + 4093, &v, 8);
  uint64_t back;
  memcpy(&back, p + 4093, 8);
  expect(back == v && p[4096] == 0x55, "memory.straddle", "%llx", (unsigned long long)back);
  mprotect(p + 4096, 4096, PROT_READ);
  memset(p, 0x55, 4096);
  catch_faults(true);
  bool faulted = false;
  if (sigsetjmp(escape, 1) == 0)
    *(volatile uint32_t*)(p + 4094) = 0;
  else
    faulted = true;
  expect(faulted && fault_address == (uintptr_t)p + 4096 && p[4094] == 0x55 && p[4095] == 0x55,
         "memory.straddle_fault", "fault %d at %lx, bytes %x %x", faulted,
         (unsigned long)fault_address, p[4094], p[4095]);
  faulted = false;
  if (sigsetjmp(escape, 1) == 0)
    __asm__ volatile("addl $1, %0" : "+m"(*(volatile uint32_t*)(p + 4095)) : : "cc");
  else
    faulted = true;
  expect(faulted && p[4095] == 0x55, "memory.straddle_rmw_fault", "fault %d, byte %x", faulted,
         p[4095]);
  catch_faults(false);
  munmap(p, 8192);
}

static void shared_and_private(void) {
  volatile unsigned* shared = (unsigned*)map(4096, PROT_READ | PROT_WRITE, MAP_SHARED);
  volatile unsigned* private = (unsigned*)map(4096, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  *shared = 1, *private = 1;
  pid_t child = fork();
  if (child == 0) {
    *shared = 42, *private = 42;
    _exit(0);
  }
  waitpid(child, NULL, 0);
  expect(*shared == 42, "memory.map_shared", "%u", *shared);
  expect(*private == 1, "memory.copy_on_write", "%u", *private);
}

static void file_mappings(void) {
  int fd = memfd_create("file", 0);
  if (fd < 0 || ftruncate(fd, 8192) != 0) {
    skip("memory.file_mapping", "no memfd");
    return;
  }
  unsigned char* a = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  unsigned char* b = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
  unsigned char* c = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  a[5000] = 77;
  unsigned char read_back = 0;
  bool ok = pread(fd, &read_back, 1, 5000) == 1;
  expect(ok && b[5000] == 77 && c[5000] == 77 && read_back == 77, "memory.alias", "%u %u %u",
         b[5000], c[5000], read_back);
  c[5000] = 1;
  ok = pwrite(fd, "x", 1, 100) == 1;
  expect(ok && a[5000] == 77 && b[100] == 'x', "memory.file_write_seen", "%u %u", a[5000], b[100]);
  if (ftruncate(fd, 4096) != 0) return;
  catch_faults(true);
  bool faulted = false;
  if (sigsetjmp(escape, 1) == 0)
    fault_address = *(volatile unsigned char*)(b + 4100);
  else
    faulted = true;
  catch_faults(false);
  expect(faulted && fault_address == (uintptr_t)b + 4100, "memory.truncated_file", "no fault");
  unsigned char* moved = mremap(a, 4096, 4 * 4096, MREMAP_MAYMOVE);
  expect(moved != MAP_FAILED && moved[100] == 'x', "memory.mremap", "lost");
  close(fd);
}

static void stack_growth(void) {
  volatile unsigned char deep[3 << 20];
  uint64_t hash = MIX_SEED;
  for (int i = (int)sizeof deep - 1; i >= 0; i -= 4096) deep[i] = i >> 12;
  for (unsigned i = 0; i < sizeof deep; i += 4096) hash = mix(hash, deep[i]);
  sum("memory.stack_growth", hash);
}

void program_memory(void) {
  touch_many_pages();
  protect_and_unprotect();
  straddling();
  shared_and_private();
  file_mappings();
  stack_growth();
}
