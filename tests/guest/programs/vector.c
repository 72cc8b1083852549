// tests/guest/programs/vector.c - AVX, AVX2, AVX-512, AES, SHA and the like, where CPUID offers
// them.
#include <immintrin.h>

#include "check.h"

enum { kXcrAvx = 0x6, kXcrAvx512 = 0xe6 };

#define ON(isa) __attribute__((target(isa), noinline))

static void fill(void* to, size_t bytes, uint64_t* state) {
  for (size_t i = 0; i < bytes; i += 8) {
    uint64_t r = next_random(state);
    memcpy((char*)to + i, &r, 8);
  }
}

ON("avx") static uint64_t avx_sum(void) {
  uint64_t state = 51, hash = MIX_SEED;
  for (int i = 0; i < 5000; ++i) {
    float a[8], b[8];
    for (int j = 0; j < 8; ++j)
      a[j] = (int32_t)next_random(&state) * 1e-3f, b[j] = (int32_t)next_random(&state) * 1e-5f;
    __m256 x = _mm256_loadu_ps(a), y = _mm256_loadu_ps(b);
    __m256 results[] = {_mm256_add_ps(x, y), _mm256_mul_ps(x, y), _mm256_div_ps(x, y),
                        _mm256_permute2f128_ps(x, y, 0x21), _mm256_hadd_ps(x, y)};
    hash = mix_bytes(hash, results, sizeof results);
  }
  // VZEROUPPER and the 128-bit VEX forms clear the upper half; legacy SSE keeps it.
  __m256i ones, kept, cleared;
  __asm__(
      "vpcmpeqd %%xmm0, %%xmm0, %%xmm0; vinsertf128 $1, %%xmm0, %%ymm0, %%ymm0;"
      "vmovaps %%ymm0, %%ymm1; vmovaps %%ymm0, %%ymm2;"
      "pxor %%xmm1, %%xmm1; vpxor %%xmm2, %%xmm2, %%xmm2;"
      "vmovups %%ymm0, %0; vmovups %%ymm1, %1; vmovups %%ymm2, %2; vzeroupper"
      : "=m"(ones), "=m"(kept), "=m"(cleared)
      :
      : "xmm0", "xmm1", "xmm2");
  hash = mix_bytes(hash, &ones, 32);
  hash = mix_bytes(hash, &kept, 32);
  return mix_bytes(hash, &cleared, 32);
}

ON("avx2,fma") static uint64_t avx2_sum(void) {
  uint64_t state = 53, hash = MIX_SEED;
  static int table[256];
  for (int i = 0; i < 256; ++i) table[i] = i * 2654435761u;
  for (int i = 0; i < 5000; ++i) {
    __m256i a, b;
    fill(&a, 32, &state);
    fill(&b, 32, &state);
    __m256i index = _mm256_and_si256(a, _mm256_set1_epi32(255));
    __m256i results[] = {_mm256_add_epi32(a, b),
                         _mm256_mullo_epi16(a, b),
                         _mm256_shuffle_epi8(a, b),
                         _mm256_permutevar8x32_epi32(a, b),
                         _mm256_i32gather_epi32(table, index, 4),
                         _mm256_sllv_epi32(a, index)};
    hash = mix_bytes(hash, results, sizeof results);
    __m256d x = _mm256_cvtepi32_pd(_mm256_castsi256_si128(a));
    __m256d y = _mm256_cvtepi32_pd(_mm256_castsi256_si128(b));
    __m256d f = _mm256_fmadd_pd(x, y, x);
    hash = mix_bytes(hash, &f, 32);
  }
  return hash;
}

ON("avx512f,avx512bw,avx512vl,avx512dq") static uint64_t avx512_sum(void) {
  uint64_t state = 57, hash = MIX_SEED;
  for (int i = 0; i < 3000; ++i) {
    __m512i a, b;
    fill(&a, 64, &state);
    fill(&b, 64, &state);
    __mmask16 k = _mm512_cmpgt_epi32_mask(a, b);
    __m512i results[] = {_mm512_mask_add_epi32(a, k, a, b),
                         _mm512_maskz_mullo_epi32(k, a, b),
                         _mm512_rol_epi64(a, 13),
                         _mm512_ternarylogic_epi64(a, b, a, 0x96),
                         _mm512_mask_compress_epi32(b, k, a),
                         _mm512_permutexvar_epi64(a, b)};
    hash = mix_bytes(mix(hash, k), results, sizeof results);
    char masked[64] = {0};
    _mm512_mask_storeu_epi8(masked, (__mmask64)next_random(&state), a);
    hash = mix_bytes(hash, masked, 64);
  }
  return hash;
}

ON("aes,pclmul,sse4.1") static uint64_t aes_sum(void) {
  uint64_t state = 59, hash = MIX_SEED;
  for (int i = 0; i < 5000; ++i) {
    __m128i a, k;
    fill(&a, 16, &state);
    fill(&k, 16, &state);
    __m128i results[] = {_mm_aesenc_si128(a, k), _mm_aesdeclast_si128(a, k),
                         _mm_aeskeygenassist_si128(a, 0x1b), _mm_clmulepi64_si128(a, k, 0x10)};
    hash = mix_bytes(hash, results, sizeof results);
  }
  return hash;
}

ON("sha,sse4.1") static uint64_t sha_sum(void) {
  uint64_t state = 61, hash = MIX_SEED;
  for (int i = 0; i < 3000; ++i) {
    __m128i a, b, c;
    fill(&a, 16, &state);
    fill(&b, 16, &state);
    fill(&c, 16, &state);
    __m128i results[] = {_mm_sha256rnds2_epu32(a, b, c), _mm_sha256msg1_epu32(a, b),
                         _mm_sha256msg2_epu32(a, b), _mm_sha1rnds4_epu32(a, b, 2)};
    hash = mix_bytes(hash, results, sizeof results);
  }
  return hash;
}

ON("sse4.2,ssse3") static uint64_t sse4_sum(void) {
  uint64_t state = 67, hash = MIX_SEED;
  for (int i = 0; i < 5000; ++i) {
    __m128i a, b;
    fill(&a, 16, &state);
    fill(&b, 16, &state);
    __m128i results[] = {_mm_shuffle_epi8(a, b),    _mm_blendv_epi8(a, b, a),
                         _mm_mpsadbw_epu8(a, b, 3), _mm_cmpistrm(a, b, 0x40),
                         _mm_hadd_epi16(a, b),      _mm_minpos_epu16(a)};
    hash = mix_bytes(hash, results, sizeof results);
    hash = mix(hash, _mm_cmpistri(a, b, 0x0c));
    hash = mix(hash, _mm_crc32_u32((uint32_t)hash, (uint32_t)i));
  }
  return hash;
}

void program_vector(void) {
  CpuidLeaf one = cpuid(1, 0), seven = cpuid(7, 0);
  uint64_t state = enabled_state();
  bool avx = (state & kXcrAvx) == kXcrAvx && (one.ecx & (1u << 28));
  bool avx512 = (state & kXcrAvx512) == kXcrAvx512;
  const uint32_t kAvx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
  const struct {
    const char* name;
    bool offered;
    uint64_t (*run)(void);
  } kCases[] = {
      {"vector.sse4", (one.ecx & (1u << 20)) && (one.ecx & (1u << 9)), sse4_sum},
      {"vector.aes", (one.ecx & (1u << 25)) && (one.ecx & 2), aes_sum},
      {"vector.sha", seven.ebx & (1u << 29), sha_sum},
      {"vector.avx", avx, avx_sum},
      {"vector.avx2", avx && (seven.ebx & (1u << 5)) && (one.ecx & (1u << 12)), avx2_sum},
      {"vector.avx512", avx512 && (seven.ebx & kAvx512) == kAvx512, avx512_sum},
  };
  for (unsigned i = 0; i < sizeof kCases / sizeof kCases[0]; ++i) {
    if (kCases[i].offered)
      sum(kCases[i].name, kCases[i].run());
    else
      skip(kCases[i].name, "not offered");
  }
}
