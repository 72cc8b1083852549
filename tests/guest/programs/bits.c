// tests/guest/programs/bits.c - bit tests, scans, atomics and the newer general-register
// instructions.
#include "check.h"

// BT with a register offset reaches beyond the operand, in both directions.
static void bit_strings(void) {
  static uint32_t bits[64];
  uint64_t state = 5, hash = MIX_SEED;
  for (int i = 0; i < 4000; ++i) {
    long offset = (long)(next_random(&state) % 2048) - 1024;
    uint8_t carry;
    uint32_t* middle = bits + 32;
    switch (i % 4) {
      case 0:
        __asm__ volatile("btl %k2, %1; setc %0"
                         : "=q"(carry), "+m"(*middle)
                         : "r"(offset)
                         : "memory", "cc");
        break;
      case 1:
        __asm__ volatile("btsl %k2, %1; setc %0"
                         : "=q"(carry), "+m"(*middle)
                         : "r"(offset)
                         : "memory", "cc");
        break;
      case 2:
        __asm__ volatile("btrl %k2, %1; setc %0"
                         : "=q"(carry), "+m"(*middle)
                         : "r"(offset)
                         : "memory", "cc");
        break;
      default:
        __asm__ volatile("lock btcl %k2, %1; setc %0"
                         : "=q"(carry), "+m"(*middle)
                         : "r"(offset)
                         : "memory", "cc");
    }
    hash = mix(hash, carry);
  }
  sum("bits.bit_strings", mix_bytes(hash, bits, sizeof bits));
}

static void atomics(void) {
  uint32_t v = 10;
  uint32_t old = __sync_fetch_and_add(&v, 5);
  expect(old == 10 && v == 15, "bits.xadd", "%u %u", old, v);
  uint32_t seen = __sync_val_compare_and_swap(&v, 15, 99);
  expect(seen == 15 && v == 99, "bits.cmpxchg_equal", "%u %u", seen, v);
  seen = __sync_val_compare_and_swap(&v, 15, 1);
  expect(seen == 99 && v == 99, "bits.cmpxchg_differs", "%u %u", seen, v);

  uint64_t wide = 0x1122334455667788ull;
  uint32_t low = 0x55667788, high = 0x11223344;
  uint8_t equal;
  __asm__ volatile("lock cmpxchg8b %1; setz %0"
                   : "=q"(equal), "+m"(wide), "+a"(low), "+d"(high)
                   : "b"(0xaabbccdd), "c"(0x01020304)
                   : "cc");
  expect(equal && wide == 0x01020304aabbccddull, "bits.cmpxchg8b", "%llx",
         (unsigned long long)wide);
#ifdef __x86_64__
  if (cpuid(1, 0).ecx & (1u << 13)) {
    __attribute__((aligned(16))) uint64_t pair[2] = {1, 2};
    uint64_t a = 1, d = 2;
    __asm__ volatile("lock cmpxchg16b %1; setz %0"
                     : "=q"(equal), "+m"(pair), "+a"(a), "+d"(d)
                     : "b"(3ull), "c"(4ull)
                     : "cc");
    expect(equal && pair[0] == 3 && pair[1] == 4, "bits.cmpxchg16b", "%llx %llx",
           (unsigned long long)pair[0], (unsigned long long)pair[1]);
  }
#endif
}

static void scans(void) {
  uint64_t state = 17, hash = MIX_SEED;
  bool popcnt = cpuid(1, 0).ecx & (1u << 23), movbe = cpuid(1, 0).ecx & (1u << 22);
  CpuidLeaf seven = cpuid(7, 0);
  bool bmi1 = seven.ebx & (1u << 3), bmi2 = seven.ebx & (1u << 8), adx = seven.ebx & (1u << 19);
  for (int i = 0; i < 10000; ++i) {
    uint32_t a = next_random(&state) | 1u << (i % 32), b = next_random(&state), r;
    __asm__("bsf %1, %0" : "=r"(r) : "r"(a) : "cc");
    hash = mix(hash, r);
    __asm__("bsr %1, %0" : "=r"(r) : "r"(a) : "cc");
    hash = mix(hash, r);
    r = a;
    __asm__("bswap %0" : "+r"(r));
    hash = mix(hash, r);
    if (popcnt) {
      __asm__("popcnt %1, %0" : "=r"(r) : "r"(a) : "cc");
      if (r != (uint32_t)__builtin_popcount(a)) hash = 0;
    }
    if (movbe) {
      __asm__("movbe %1, %0" : "=r"(r) : "m"(a));
      if (r != __builtin_bswap32(a)) hash = 0;
    }
    if (bmi1) {
      __asm__("andn %2, %1, %0" : "=r"(r) : "r"(a), "r"(b) : "cc");
      if (r != (~a & b)) hash = 0;
    }
    if (bmi2) {
      __asm__("pext %2, %1, %0" : "=r"(r) : "r"(a), "r"(0xff00ff00u));
      if (r != ((a >> 8 & 0xff) | (a >> 16 & 0xff00))) hash = 0;
    }
    if (adx) {
      r = a;
      __asm__("clc; adcx %1, %0" : "+r"(r) : "r"(b) : "cc");
      if (r != a + b) hash = 0;
    }
  }
  sum("bits.scans", hash);
}

static void leave_enter(void) {
#ifdef __i386__
  unsigned frame, top, kept;
  __asm__ volatile(
      "movl %%ebp, %%esi; movl %%esp, %%ebp; movl %%esp, %%edi; enter $32, $3;"
      "movl %%ebp, %0; movl %%esp, %1; leave; movl %%ebp, %2; movl %%esi, %%ebp;"
      "subl %%edi, %0; subl %%edi, %1; subl %%edi, %2"
      : "=&a"(frame), "=&c"(top), "=&d"(kept)
      :
      : "esi", "edi", "memory", "cc");
  expect(frame == (unsigned)-4 && top == (unsigned)-48 && kept == 0, "bits.enter_leave", "%d %d",
         (int)frame, (int)top);
#endif
}

static void flag_register(void) {
  unsigned long before, after;
  // ID (bit 21) toggles at ring 3; IF and IOPL do not change.
  __asm__ volatile(
      "pushf; pop %0; mov %0, %1; xor $0x203200, %1; push %1; popf; pushf; pop %1; push %0; popf"
      : "=&r"(before), "=&r"(after)
      :
      : "memory", "cc");
  expect((before ^ after) == 0x200000, "bits.popf_ring3", "before %lx after %lx", before, after);
  expect(before & 0x200, "bits.if_is_seen_set", "%lx", before);
}

void program_bits(void) {
  bit_strings();
  atomics();
  scans();
  leave_enter();
  flag_register();
}
