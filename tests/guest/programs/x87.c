// tests/guest/programs/x87.c - the x87 unit: stack, tags, control word, 80-bit results, saved
// images.
#include "check.h"

static uint16_t control_word(void) {
  uint16_t cw;
  __asm__ volatile("fnstcw %0" : "=m"(cw));
  return cw;
}
static void set_control_word(uint16_t cw) { __asm__ volatile("fldcw %0" : : "m"(cw)); }

static uint64_t mix_long_double(uint64_t hash, long double v) { return mix_bytes(hash, &v, 10); }

static void known_answers(void) {
  long double pi, third;
  __asm__("fldpi" : "=t"(pi));
  static const unsigned char kPi[10] = {0x35, 0xc2, 0x68, 0x21, 0xa2, 0xda, 0x0f, 0xc9, 0x00, 0x40};
  expect(memcmp(&pi, kPi, 10) == 0, "x87.fldpi", "wrong bits");
  volatile long double one = 1, three = 3;
  third = one / three;
  static const unsigned char kThird[10] = {0xab, 0xaa, 0xaa, 0xaa, 0xaa,
                                           0xaa, 0xaa, 0xaa, 0xfd, 0x3f};
  expect(memcmp(&third, kThird, 10) == 0, "x87.extended_divide", "wrong bits");
  uint16_t saved = control_word();
  set_control_word((saved & ~0x300) | 0x200);  // precision control: double
  long double narrow = one / three;
  set_control_word(saved);
  expect((double)narrow == narrow && narrow != third, "x87.precision_control", "%La", narrow);
  expect((saved & 0x3f) == 0x3f && (saved & 0x300) == 0x300, "x87.initial_control_word", "%x",
         saved);
}

static void arithmetic_sum(void) {
  uint64_t state = 41, hash = MIX_SEED;
  uint16_t saved = control_word();
  for (int i = 0; i < 20000; ++i) {
    long double a = (long double)(int64_t)next_random(&state) * 1e-7L;
    long double b = (long double)(int64_t)next_random(&state) * 3e-11L + 1e-300L;
    set_control_word((saved & ~0xf00) | (i & 3) << 10 |
                     ((i >> 2) % 3 == 1   ? 0
                      : (i >> 2) % 3 == 2 ? 0x200
                                          : 0x300));
    hash = mix_long_double(hash, a + b);
    hash = mix_long_double(hash, a - b);
    hash = mix_long_double(hash, a * b);
    hash = mix_long_double(hash, a / b);
    long double r;
    __asm__("fsqrt" : "=t"(r) : "0"(a < 0 ? -a : a));
    hash = mix_long_double(hash, r);
    __asm__("frndint" : "=t"(r) : "0"(a));
    hash = mix_long_double(hash, r);
    __asm__("fscale" : "=t"(r) : "0"(a), "u"((long double)(i % 100)));
    hash = mix_long_double(hash, r);
    uint16_t status;
    __asm__("fprem; fnstsw %%ax" : "=t"(r), "=a"(status) : "0"(a), "u"(b));
    hash = mix_long_double(hash, r);
    hash = mix(hash, status & 0x4700);
    __asm__("fxam; fnstsw %%ax" : "=a"(status) : "t"(a));
    hash = mix(hash, status & 0x4700);
    float single = a;
    double twice = b;
    int64_t integer;
    __asm__("fistpll %0" : "=m"(integer) : "t"(a) : "st");
    hash = mix_bytes(mix_bytes(mix(hash, integer), &single, 4), &twice, 8);
    unsigned char packed[10];
    __asm__("fbstp %0" : "=m"(packed) : "t"(a) : "st");
    hash = mix_bytes(hash, packed, 10);
  }
  set_control_word(saved);
  sum("x87.arithmetic", hash);
}

static void transcendental_sum(void) {
  uint64_t state = 43, hash = MIX_SEED;
  for (int i = 0; i < 5000; ++i) {
    long double a = (long double)(int32_t)next_random(&state) * 1e-8L, r;
    __asm__("fsin" : "=t"(r) : "0"(a));
    hash = mix_long_double(hash, r);
    __asm__("fcos" : "=t"(r) : "0"(a));
    hash = mix_long_double(hash, r);
    __asm__("fpatan" : "=t"(r) : "0"(a), "u"(1.5L) : "st(1)");
    hash = mix_long_double(hash, r);
    __asm__("fyl2x" : "=t"(r) : "0"(a < 0 ? 1 - a : 1 + a), "u"(2.5L) : "st(1)");
    hash = mix_long_double(hash, r);
    __asm__("f2xm1" : "=t"(r) : "0"(a / 32));
    hash = mix_long_double(hash, r);
  }
  sum_silicon("x87.transcendental", hash);
}

static void stack_and_tags(void) {
  // FSTENV's 32-bit image: control, status, tag word, then pointers.
  uint32_t environment[7];
  __asm__ volatile("fninit; fld1; fldz; fldpi; fnstenv %0; fninit"
                   : "=m"(environment)
                   :
                   : "memory");
  expect((environment[1] >> 11 & 7) == 5, "x87.top", "top %u", environment[1] >> 11 & 7);
  // Registers 5 (pi), 6 (zero), 7 (one): valid 00, zero 01, valid 00; the others empty 11.
  expect((environment[2] & 0xffff) == 0x13ff, "x87.tags", "%x", environment[2] & 0xffff);

  uint16_t status;
  __asm__ volatile("fninit; fld1; fld1; fld1; fld1; fld1; fld1; fld1; fld1; fld1; fnstsw %0; fninit"
                   : "=m"(status));
  expect((status & 0x241) == 0x241, "x87.stack_overflow", "status %x", status);
  __asm__ volatile("fninit; faddp; fnstsw %0; fninit" : "=m"(status));
  expect((status & 0x241) == 0x41, "x87.stack_underflow", "status %x", status);
}

static void saved_images(void) {
  unsigned char image[108], again[108];
  __attribute__((aligned(16))) static unsigned char fx[512], fx_again[512];
  __asm__ volatile("fninit; fldpi; fld1; fldl2e; fnsave %0; frstor %0; fnsave %1"
                   : "=m"(image), "=m"(again)
                   :
                   : "memory");
  expect(memcmp(image, again, 108) == 0, "x87.fsave_frstor", "images differ");
  __asm__ volatile("fninit; fldpi; fldlg2; fxsave %0; fninit; fxrstor %0; fxsave %1; fninit"
                   : "=m"(fx), "=m"(fx_again)
                   :
                   : "memory");
  expect(memcmp(fx + 32, fx_again + 32, 128) == 0 && fx[4] == 0xc0, "x87.fxsave_fxrstor", "tags %x",
         fx[4]);
}

static void mmx_aliases(void) {
  uint64_t out;
  uint8_t fx_tags;
  __attribute__((aligned(16))) static unsigned char fx[512];
  uint64_t in = 0x0102030405060708ull;
  __asm__ volatile("fninit; movq %2, %%mm3; paddb %%mm3, %%mm3; fxsave %1; movq %%mm3, %0; emms"
                   : "=m"(out), "=m"(fx)
                   : "m"(in)
                   : "memory");
  fx_tags = fx[4];
  expect(out == 0x020406080a0c0e10ull, "x87.mmx", "%llx", (unsigned long long)out);
  expect(fx_tags == 0xff, "x87.mmx_tags", "%x", fx_tags);
}

static void conditional(void) {
  long double r;
  uint8_t below, zero;
  __asm__("cmp $1, %1; fcmove %%st(1), %%st" : "=t"(r) : "r"(1), "0"(2.0L), "u"(7.0L) : "cc");
  expect(r == 7, "x87.fcmov", "%La", r);
  __asm__("fcomi %%st(1), %%st; setb %0; setz %1"
          : "=q"(below), "=q"(zero)
          : "t"(1.0L), "u"(2.0L)
          : "cc");
  expect(below && !zero, "x87.fcomi", "%d %d", below, zero);
}

void program_x87(void) {
  known_answers();
  arithmetic_sum();
  transcendental_sum();
  stack_and_tags();
  saved_images();
  mmx_aliases();
  conditional();
}
