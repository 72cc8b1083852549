// tests/guest/programs/floating.c - SSE floating point: known answers, rounding, flags, denormals,
// sums.
#include <emmintrin.h>
#include <math.h>

#include "check.h"

static uint64_t bits_of(double d) {
  uint64_t b;
  memcpy(&b, &d, sizeof b);
  return b;
}

// Arithmetic through intrinsics, so that the 32-bit build also uses SSE.
static double add(double a, double b) {
  return _mm_cvtsd_f64(_mm_add_sd(_mm_set_sd(a), _mm_set_sd(b)));
}
static double mul(double a, double b) {
  return _mm_cvtsd_f64(_mm_mul_sd(_mm_set_sd(a), _mm_set_sd(b)));
}
static double quotient(double a, double b) {
  return _mm_cvtsd_f64(_mm_div_sd(_mm_set_sd(a), _mm_set_sd(b)));
}
static double root(double a) { return _mm_cvtsd_f64(_mm_sqrt_sd(_mm_set_sd(a), _mm_set_sd(a))); }

static void known_answers(void) {
  volatile double tenth = 0.1, fifth = 0.2, one = 1, three = 3, two = 2;
  expect(bits_of(add(tenth, fifth)) == 0x3fd3333333333334ull, "floating.add", "%a",
         add(tenth, fifth));
  expect(bits_of(quotient(one, three)) == 0x3fd5555555555555ull, "floating.divide", "%a",
         quotient(one, three));
  expect(bits_of(root(two)) == 0x3ff6a09e667f3bcdull, "floating.sqrt", "%a", root(two));
  volatile float f = 16777217.0f;
  expect(f == 16777216.0f, "floating.single_rounding", "%a", f);
  expect(_mm_cvtsd_si32(_mm_set_sd(2.5)) == 2 && _mm_cvtsd_si32(_mm_set_sd(3.5)) == 4 &&
             _mm_cvttsd_si32(_mm_set_sd(-2.9)) == -2,
         "floating.convert", "wrong");
  expect(_mm_cvtsd_si32(_mm_set_sd(1e300)) == (int)0x80000000, "floating.convert_overflow",
         "wrong");
}

static void rounding_modes(void) {
  static const unsigned kModes[] = {0x0000, 0x2000, 0x4000, 0x6000};  // nearest, down, up, zero
  static const uint64_t kThird[] = {0xbfd5555555555555ull, 0xbfd5555555555556ull,
                                    0xbfd5555555555555ull, 0xbfd5555555555555ull};
  unsigned saved = _mm_getcsr();
  bool ok = true;
  for (int i = 0; i < 4; ++i) {
    _mm_setcsr((saved & ~0x6000u) | kModes[i]);
    volatile double minus_one = -1, three = 3;
    ok &= bits_of(quotient(minus_one, three)) == kThird[i];
  }
  _mm_setcsr(saved);
  expect(ok, "floating.rounding_modes", "a third is wrong");
}

static void exception_flags(void) {
  unsigned saved = _mm_getcsr();
  static const struct {
    double a, b;
    char op;
    unsigned flags;
  } kCases[] = {
      {1, 3, '/', 0x20},          {1, 0, '/', 0x04},
      {0, 0, '/', 0x01},          {1e308, 10, '*', 0x28},
      {3e-308, 1e-10, '*', 0x30}, {1, 2, '+', 0x00},
      {4.9e-324, 1, '+', 0x22},   {INFINITY, -INFINITY, '+', 0x01},
  };
  bool ok = true;
  unsigned got = 0, index = 0;
  for (unsigned i = 0; i < sizeof kCases / sizeof kCases[0] && ok; ++i) {
    volatile double a = kCases[i].a, b = kCases[i].b, r;
    _mm_setcsr(saved & ~0x3fu);
    r = kCases[i].op == '/' ? quotient(a, b) : kCases[i].op == '*' ? mul(a, b) : add(a, b);
    (void)r;
    got = _mm_getcsr() & 0x3f, index = i;
    ok = got == kCases[i].flags;
  }
  _mm_setcsr(saved);
  expect(ok, "floating.exception_flags", "case %u: %x", index, got);
}

static void denormals(void) {
  unsigned saved = _mm_getcsr();
  volatile double tiny = 1e-310, half = 0.5, one = 1;
  expect(bits_of(mul(tiny, half)) == bits_of(5e-311), "floating.denormal", "%a", mul(tiny, half));
  _mm_setcsr(saved | 0x8000);  // FTZ
  double flushed = mul(tiny, half);
  _mm_setcsr(saved | 0x0040);  // DAZ
  double as_zero = mul(tiny, one);
  _mm_setcsr(saved);
  expect(flushed == 0 && as_zero == 0, "floating.ftz_daz", "%a %a", flushed, as_zero);
}

static double random_double(uint64_t* state) {
  uint64_t r = next_random(state);
  if ((r & 15) == 0) {
    static const uint64_t kEdges[] = {0,
                                      1ull << 63,
                                      0x7ff0000000000000ull,
                                      0xfff0000000000000ull,
                                      0x7ff8000000000001ull,
                                      1,
                                      0x000fffffffffffffull,
                                      0x7fefffffffffffffull};
    r = kEdges[(r >> 8) & 7];
  }
  double d;
  memcpy(&d, &r, sizeof d);
  return d;
}

static void random_sum(void) {
  uint64_t state = 31, hash = MIX_SEED;
  unsigned saved = _mm_getcsr();
  for (int i = 0; i < 30000; ++i) {
    __m128d a = _mm_set_pd(random_double(&state), random_double(&state));
    __m128d b = _mm_set_pd(random_double(&state), random_double(&state));
    __m128d results[8] = {_mm_add_pd(a, b), _mm_sub_pd(a, b), _mm_mul_pd(a, b),   _mm_div_pd(a, b),
                          _mm_min_pd(a, b), _mm_max_pd(a, b), _mm_cmplt_pd(a, b), _mm_sqrt_pd(a)};
    hash = mix_bytes(hash, results, sizeof results);
    __m128 narrow = _mm_cvtpd_ps(a);
    hash = mix_bytes(hash, &narrow, sizeof narrow);
    hash = mix(hash, (uint32_t)_mm_cvttsd_si32(b));
    hash = mix(hash, _mm_comilt_sd(a, b) << 1 | _mm_comieq_sd(a, b));
  }
  hash = mix(hash, _mm_getcsr());
  _mm_setcsr(saved);
  sum("floating.random", hash);
}

static void integer_simd_sum(void) {
  uint64_t state = 37, hash = MIX_SEED;
  for (int i = 0; i < 20000; ++i) {
    __m128i a = _mm_set_epi64x(next_random(&state), next_random(&state));
    __m128i b = _mm_set_epi64x(next_random(&state), next_random(&state));
    __m128i results[] = {
        _mm_add_epi8(a, b),        _mm_adds_epi16(a, b),    _mm_mulhi_epi16(a, b),
        _mm_mul_epu32(a, b),       _mm_madd_epi16(a, b),    _mm_sad_epu8(a, b),
        _mm_packs_epi32(a, b),     _mm_unpackhi_epi8(a, b), _mm_shuffle_epi32(a, 0x1b),
        _mm_srli_epi64(a, i & 63), _mm_slli_si128(b, 5),    _mm_cmpgt_epi32(a, b)};
    hash = mix_bytes(hash, results, sizeof results);
    hash = mix(hash, _mm_movemask_epi8(a));
  }
  sum("floating.integer_simd", hash);
}

// A small simulation in plain C: what a compiler makes of doubles (x87 in the 32-bit build).
static void compiled_sum(void) {
  static double a[24][24], b[24][24], c[24][24];
  for (int i = 0; i < 24; ++i)
    for (int j = 0; j < 24; ++j) a[i][j] = 1.0 / (i + j + 1), b[i][j] = (i * 7 + j * 3) % 11 - 5.5;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 24; ++i)
      for (int j = 0; j < 24; ++j) {
        double s = 0;
        for (int k = 0; k < 24; ++k) s += a[i][k] * b[k][j];
        c[i][j] = s;
      }
    for (int i = 0; i < 24; ++i)
      for (int j = 0; j < 24; ++j) b[i][j] = c[i][j] / (1 + fabs(c[i][j]));
  }
  sum("floating.compiled", mix_bytes(MIX_SEED, b, sizeof b));
}

void program_floating(void) {
  if (!(cpuid(1, 0).edx & (1u << 26))) {
    skip("floating", "no SSE2");
    return;
  }
  known_answers();
  rounding_modes();
  exception_flags();
  denormals();
  random_sum();
  integer_simd_sum();
  compiled_sum();
}
