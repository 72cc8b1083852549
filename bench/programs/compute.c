// bench/programs/compute.c - workloads of arithmetic and control flow: little memory, no kernel.
#include "workload.h"

uint64_t work_registers(void) {
  unsigned long a = 1, b = 2, c = 3, n = 100000000;
  __asm__ volatile(
      "1: add %1, %0; lea 7(%2,%0), %2; xor %2, %1; imul $17, %0, %0; ror $3, %1; dec %3; jnz 1b"
      : "+r"(a), "+r"(b), "+r"(c), "+r"(n)
      :
      : "cc");
  return a ^ b ^ c;
}

uint64_t work_integer(void) {
  uint32_t state = 12345, total = 0;
  for (int i = 0; i < 25000000; ++i) {
    uint32_t r = next_random(&state);
    if (r & 1)
      total += r % 1000;
    else
      total ^= r >> (r & 15);
    total = total * 3 + (uint32_t)i / 7;
  }
  return total;
}

uint64_t work_scalar_float(void) {
  double x = 0.5, y = 1.25, sum = 0;
  for (int i = 1; i < 15000000; ++i) {
    x = x * 3.9 * (1 - x);
    y = (y + x / y) * 0.5;
    sum += y - x;
  }
  uint64_t bits;
  memcpy(&bits, &sum, 8);
  return bits;
}

uint64_t work_matrix(void) {
  enum { kSize = 192 };
  static float a[kSize][kSize], b[kSize][kSize], c[kSize][kSize];
  uint32_t state = 7;
  for (int i = 0; i < kSize; ++i)
    for (int j = 0; j < kSize; ++j)
      a[i][j] = next_random(&state) % 100 * 0.01f, b[i][j] = next_random(&state) % 100 * 0.02f;
  for (int round = 0; round < 250; ++round) {
    for (int i = 0; i < kSize; ++i) {
      for (int j = 0; j < kSize; ++j) c[i][j] = 0;
      for (int k = 0; k < kSize; ++k)
        for (int j = 0; j < kSize; ++j) c[i][j] += a[i][k] * b[k][j];
    }
    a[round % kSize][3] = c[3][round % kSize] * 0.001f;
  }
  uint64_t sum = 0;
  for (int i = 0; i < kSize; ++i)
    for (int j = 0; j < kSize; ++j) {
      uint32_t bits;
      memcpy(&bits, &c[i][j], 4);
      sum = sum * 31 + bits;
    }
  return sum;
}

__attribute__((noinline, noipa)) static unsigned fibonacci(unsigned n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

uint64_t work_recursion(void) { return fibonacci(40); }

#define STEP(n, expression) \
  __attribute__((noinline)) static uint32_t step_##n(uint32_t v) { return expression; }
STEP(0, v + 1)
STEP(1, v ^ (v >> 3))
STEP(2, v * 5)
STEP(3, v - 77)
STEP(4, v << 1 | v >> 31)
STEP(5, ~v)
STEP(6, v + (v << 4))
STEP(7, v ^ 0x5bd1e995)

uint64_t work_indirect(void) {
  static uint32_t (*const volatile kSteps[])(uint32_t) = {step_0, step_1, step_2, step_3,
                                                          step_4, step_5, step_6, step_7};
  uint32_t state = 99, v = 1;
  for (int i = 0; i < 25000000; ++i) {
    if ((i & 15) == 0) next_random(&state);
    v = kSteps[(state >> (i & 15)) & 7](v);
  }
  return v;
}

uint64_t work_bignum(void) {
  enum { kWords = 160 };
  static uint32_t a[kWords], b[kWords], product[2 * kWords];
  uint32_t state = 3;
  for (int i = 0; i < kWords; ++i) a[i] = next_random(&state), b[i] = next_random(&state);
  uint64_t sum = 0;
  for (int round = 0; round < 10000; ++round) {
    memset(product, 0, sizeof product);
    for (int i = 0; i < kWords; ++i) {
      uint64_t carry = 0;
      for (int j = 0; j < kWords; ++j) {
        carry += (uint64_t)a[i] * b[j] + product[i + j];
        product[i + j] = (uint32_t)carry;
        carry >>= 32;
      }
      product[i + kWords] = (uint32_t)carry;
    }
    unsigned long carry = 0;
    for (int i = 0; i < kWords; ++i) {  // add with carry, as the instruction does it
      uint32_t x = a[i], y = product[i + kWords];
      __asm__("neg %1; adcl %2, %0; sbb %1, %1" : "+r"(x), "+r"(carry) : "r"(y) : "cc");
      a[i] = x;
    }
    sum = sum * 31 + product[kWords] + carry;
  }
  return sum;
}

static uint32_t rotate(uint32_t v, int n) { return v >> n | v << (32 - n); }

// FIPS 180-4: the constants are the fractional parts of the cube roots of the first 64 primes.
static void make_constants(uint32_t k[64]) {
  int found = 0;
  for (unsigned n = 2; found < 64; ++n) {
    int prime = 1;
    for (unsigned d = 2; d * d <= n; ++d) prime &= n % d != 0;
    if (!prime) continue;
    long double root = 1;
    for (int i = 0; i < 60; ++i) root = root - (root * root * root - n) / (3 * root * root);
    k[found++] = (uint32_t)(uint64_t)((root - (uint64_t)root) * 4294967296.0L);
  }
}

static void sha256_block(uint32_t h[8], const uint32_t k[64], const unsigned char* p) {
  uint32_t w[64];
  for (int i = 0; i < 16; ++i)
    w[i] = (uint32_t)p[i * 4] << 24 | p[i * 4 + 1] << 16 | p[i * 4 + 2] << 8 | p[i * 4 + 3];
  for (int i = 16; i < 64; ++i) {
    uint32_t x = w[i - 15], y = w[i - 2];
    w[i] = w[i - 16] + (rotate(x, 7) ^ rotate(x, 18) ^ x >> 3) + w[i - 7] +
           (rotate(y, 17) ^ rotate(y, 19) ^ y >> 10);
  }
  uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], last = h[7];
  for (int i = 0; i < 64; ++i) {
    uint32_t t1 =
        last + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + k[i] + w[i];
    uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    last = g, g = f, f = e, e = d + t1;
    d = c, c = b, b = a, a = t1 + t2;
  }
  h[0] += a, h[1] += b, h[2] += c, h[3] += d;
  h[4] += e, h[5] += f, h[6] += g, h[7] += last;
}

uint64_t work_hash(void) {
  static unsigned char data[65536];
  uint32_t k[64], state = 5, h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                     0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  make_constants(k);
  for (size_t i = 0; i < sizeof data; ++i) data[i] = next_random(&state);
  for (int round = 0; round < 900; ++round)
    for (size_t i = 0; i < sizeof data; i += 64) sha256_block(h, k, data + i);
  return (uint64_t)h[0] << 32 | h[7];
}
