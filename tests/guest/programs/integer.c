// tests/guest/programs/integer.c - integer arithmetic with its flags: known answers, and sums of
// many.
#include "check.h"

typedef unsigned long word;

// The arithmetic flags after `op`, with AF left out where the manual leaves it undefined.
#define BINARY_WITH_FLAGS(op, a, b, carry, mask)                \
  ({                                                            \
    word result_ = (a), flags_;                                 \
    __asm__ volatile("bt $0, %k3; " op " %2, %0; pushf; pop %1" \
                     : "+r"(result_), "=r"(flags_)              \
                     : "r"((word)(b)), "r"((word)(carry))       \
                     : "cc");                                   \
    hash = mix(mix(hash, result_), flags_ & (mask));            \
    result_;                                                    \
  })

static void arithmetic_sum(void) {
  uint64_t state = 7, hash = MIX_SEED;
  static const word kEdges[] = {0,
                                1,
                                0x7f,
                                0x80,
                                0xff,
                                0x7fff,
                                0x8000,
                                0x7fffffff,
                                0x80000000u,
                                (word)-1,
                                (word)1 << (sizeof(word) * 8 - 1)};
  enum { kEdgeCount = sizeof kEdges / sizeof kEdges[0] };
  for (int i = 0; i < 20000; ++i) {
    uint64_t r = next_random(&state);
    word a = r & 1 ? (word)next_random(&state) : kEdges[(r >> 8) % kEdgeCount];
    word b = r & 2 ? (word)next_random(&state) : kEdges[(r >> 16) % kEdgeCount];
    word c = (r >> 2) & 1;
    BINARY_WITH_FLAGS("add", a, b, c, 0x8d5);
    BINARY_WITH_FLAGS("adc", a, b, c, 0x8d5);
    BINARY_WITH_FLAGS("sub", a, b, c, 0x8d5);
    BINARY_WITH_FLAGS("sbb", a, b, c, 0x8d5);
    BINARY_WITH_FLAGS("cmp", a, b, c, 0x8d5);
    BINARY_WITH_FLAGS("and", a, b, c, 0x8c5);
    BINARY_WITH_FLAGS("or", a, b, c, 0x8c5);
    BINARY_WITH_FLAGS("xor", a, b, c, 0x8c5);
    BINARY_WITH_FLAGS("imul", a, b, c, 0x801);
  }
  sum("integer.arithmetic", hash);
}

static void shift_sum(void) {
  uint64_t state = 11, hash = MIX_SEED;
  for (int i = 0; i < 20000; ++i) {
    word a = (word)next_random(&state), b = (word)next_random(&state);
    uint8_t count = next_random(&state);
    word r, f;
#define SHIFT(op, mask)                                        \
  r = a;                                                       \
  __asm__ volatile("bt $3, %k3; " op " %b2, %0; pushf; pop %1" \
                   : "+r"(r), "=&r"(f)                         \
                   : "c"(count), "r"(b)                        \
                   : "cc");                                    \
  hash = mix(mix(hash, r), f & (mask))
    SHIFT("rol", 0x1);
    SHIFT("ror", 0x1);
    SHIFT("rcl", 0x1);
    SHIFT("rcr", 0x1);
    // A count of zero leaves the flags alone, so what is hashed is defined for every count.
    SHIFT("shl", 0x1);
    SHIFT("shr", 0x1);
    SHIFT("sar", 0x1);
#undef SHIFT
    r = a;
    __asm__ volatile("shld %%cl, %2, %0" : "+r"(r) : "c"(count & 31), "r"(b) : "cc");
    hash = mix(hash, r);
    r = a;
    __asm__ volatile("shrd %%cl, %2, %0" : "+r"(r) : "c"(count & 31), "r"(b) : "cc");
    hash = mix(hash, r);
  }
  sum("integer.shifts", hash);
}

static void multiply_divide(void) {
  uint64_t state = 13, hash = MIX_SEED;
  for (int i = 0; i < 20000; ++i) {
    word a = (word)next_random(&state), b = (word)next_random(&state), low, high;
    __asm__("mul %3" : "=a"(low), "=d"(high) : "a"(a), "r"(b) : "cc");
    hash = mix(mix(hash, low), high);
    __asm__("imul %3" : "=a"(low), "=d"(high) : "a"(a), "r"(b) : "cc");
    hash = mix(mix(hash, low), high);
    b |= 1;
    __asm__("div %4" : "=a"(low), "=d"(high) : "a"(a), "d"(b >> 1), "r"(b) : "cc");
    hash = mix(mix(hash, low), high);
    __asm__("idiv %4"
            : "=a"(low), "=d"(high)
            : "a"(a), "d"((word)((long)a >> (sizeof(long) * 8 - 1))), "r"(b | 2)
            : "cc");
    hash = mix(mix(hash, low), high);
  }
  sum("integer.multiply_divide", hash);
}

static void high_bytes(void) {
  unsigned a = 0x11223344;
  __asm__("movb %h0, %b0; addb $0x10, %h0; xchgb %b0, %h0" : "+Q"(a));
  expect(a == 0x11223343, "integer.high_bytes", "got %x", a);
}

#ifdef __i386__
static void decimal_adjust(void) {
  uint64_t hash = MIX_SEED;
  for (unsigned a = 0; a < 0x10000; a += 7) {
    unsigned r, f;
#define ADJUST(op, mask)                                                                   \
  r = a;                                                                                   \
  __asm__ volatile("cmpb $0x35, %%al; " op "; pushf; pop %1" : "+a"(r), "=r"(f) : : "cc"); \
  hash = mix(mix(hash, r), f & (mask))
    ADJUST("daa", 0xd5);
    ADJUST("das", 0xd5);
    ADJUST("aaa", 0x11);
    ADJUST("aas", 0x11);
    ADJUST("aam", 0xc4);
    ADJUST("aad", 0xc4);
#undef ADJUST
  }
  sum("integer.decimal_adjust", hash);
  unsigned r;
  __asm__("stc; .byte 0xd6" : "=a"(r) : "a"(0x1200) : "cc");  // SALC
  expect((r & 0xff) == 0xff, "integer.salc", "al %x", r & 0xff);
}

static void pusha_popa(void) {
  unsigned b = 0x1111, c = 0x2222, d = 0x3333;
  __asm__ volatile("pusha; movl $0x77, 16(%%esp); xorl %%ebx, %%ebx; xorl %%ecx, %%ecx; popa"
                   : "+b"(b), "+c"(c), "+d"(d)
                   :
                   : "memory");
  expect(b == 0x77 && c == 0x2222 && d == 0x3333, "integer.pusha_popa", "%x %x %x", b, c, d);
}
#endif

static uint64_t fibonacci(unsigned n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

static uint64_t step_add(uint64_t v) { return v * 3 + 1; }
static uint64_t step_xor(uint64_t v) { return v ^ (v >> 7); }
static uint64_t step_rot(uint64_t v) { return v << 13 | v >> 51; }

static void calls(void) {
  expect(fibonacci(24) == 46368, "integer.recursion", "fib(24) wrong");
  static uint64_t (*const volatile kSteps[])(uint64_t) = {step_add, step_xor, step_rot};
  uint64_t value = 1, state = 3;
  for (int i = 0; i < 100000; ++i) value = kSteps[next_random(&state) % 3](value);
  sum("integer.indirect_calls", value);
}

void program_integer(void) {
  arithmetic_sum();
  shift_sum();
  multiply_divide();
  high_bytes();
#ifdef __i386__
  decimal_adjust();
  pusha_popa();
#endif
  calls();
}
