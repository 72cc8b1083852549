// tests/unit/callouts/gather_test.cc - gathers and scatters against the host's, and their restarts.
#include "translator/callouts/gather.h"

#include <Zydis/Zydis.h>
#include <immintrin.h>

#include <cstring>
#include <random>

#include "tests/unit/callouts/fixture.h"
#include "translator/callouts/extended_state.h"
#include "translator/callouts/vector_operands.h"

namespace ringshift::translator {
namespace {

class GatherTest : public CalloutTest {
 protected:
  static constexpr std::size_t kTable = 4096;
  static constexpr unsigned kDestination = 3, kIndex = 17, kIndexVex = 5, kMask = 6;

  void enter_with_vectors() {
    enter_long();
    state.cr4 |= guest::cr4::kOsfxsr | guest::cr4::kOsxsave;
    state.xcr0 = model.supported_xcr0();
    for (auto& byte : table_) byte = static_cast<std::uint8_t>(random_());
    memory->write_bytes({kData}, table_);
  }
  bool has_avx512() const {
    return model.has(guest::feature::kAvx512f) && model.has(guest::feature::kAvx512vl);
  }
  VectorBytes random_vector() {
    VectorBytes v;
    for (auto& byte : v) byte = static_cast<std::uint8_t>(random_());
    return v;
  }
  // Indices that, times 4, stay inside the table around its middle.
  VectorBytes random_indices(unsigned bytes) {
    VectorBytes v;
    for (unsigned i = 0; i < 64 / bytes; ++i) {
      const std::int64_t index = static_cast<std::int64_t>(random_() % 900) - 450;
      std::memcpy(v.data() + i * bytes, &index, bytes);
    }
    return v;
  }
  Operation vector_operation(const VectorOperands& v, unsigned scale = 4) {
    Operation op = memory_operation(8, 8);
    op.memory.base = 0;
    op.memory.scale = static_cast<std::uint8_t>(scale);
    op.immediate = v.pack();
    state.gpr[0] = kData + kTable / 2 - 8;
    return op;
  }
  const std::uint8_t* middle() const { return table_.data() + kTable / 2; }
  static VectorBytes upper_cleared(VectorBytes v, std::size_t bytes) {
    std::fill(v.begin() + static_cast<std::ptrdiff_t>(bytes), v.end(), 0);
    return v;
  }

  std::array<std::uint8_t, kTable> table_{};
  std::mt19937_64 random_{5};
};

template <typename V>
const V* at(const VectorBytes& bytes) {
  return reinterpret_cast<const V*>(bytes.data());
}
template <typename V>
void to_bytes(VectorBytes& bytes, const V& v) {
  std::memcpy(bytes.data(), &v, sizeof v);
}

// Each native form takes and returns whole vectors through memory.
[[gnu::target("avx2")]] void native_dd256(VectorBytes& d, const VectorBytes& i,
                                          const VectorBytes& m, const std::uint8_t* base) {
  to_bytes(d, _mm256_mask_i32gather_epi32(
                  _mm256_loadu_si256(at<__m256i>(d)), reinterpret_cast<const int*>(base),
                  _mm256_loadu_si256(at<__m256i>(i)), _mm256_loadu_si256(at<__m256i>(m)), 4));
}
[[gnu::target("avx2")]] void native_dq256(VectorBytes& d, const VectorBytes& i,
                                          const VectorBytes& m, const std::uint8_t* base) {
  to_bytes(d, _mm256_mask_i32gather_epi64(
                  _mm256_loadu_si256(at<__m256i>(d)), reinterpret_cast<const long long*>(base),
                  _mm_loadu_si128(at<__m128i>(i)), _mm256_loadu_si256(at<__m256i>(m)), 4));
}
[[gnu::target("avx2")]] void native_qd256(VectorBytes& d, const VectorBytes& i,
                                          const VectorBytes& m, const std::uint8_t* base) {
  to_bytes(d, _mm256_mask_i64gather_epi32(
                  _mm_loadu_si128(at<__m128i>(d)), reinterpret_cast<const int*>(base),
                  _mm256_loadu_si256(at<__m256i>(i)), _mm_loadu_si128(at<__m128i>(m)), 4));
}
[[gnu::target("avx2")]] void native_qq128(VectorBytes& d, const VectorBytes& i,
                                          const VectorBytes& m, const std::uint8_t* base) {
  to_bytes(d, _mm_mask_i64gather_epi64(
                  _mm_loadu_si128(at<__m128i>(d)), reinterpret_cast<const long long*>(base),
                  _mm_loadu_si128(at<__m128i>(i)), _mm_loadu_si128(at<__m128i>(m)), 4));
}
[[gnu::target("avx512f")]] void native_dd512(VectorBytes& d, const VectorBytes& i, unsigned k,
                                             const std::uint8_t* base) {
  to_bytes(
      d, _mm512_mask_i32gather_epi32(_mm512_loadu_si512(at<__m512i>(d)), static_cast<__mmask16>(k),
                                     _mm512_loadu_si512(at<__m512i>(i)), base, 4));
}
[[gnu::target("avx512f")]] void native_qd512(VectorBytes& d, const VectorBytes& i, unsigned k,
                                             const std::uint8_t* base) {
  to_bytes(d,
           _mm512_mask_i64gather_epi32(_mm256_loadu_si256(at<__m256i>(d)), static_cast<__mmask8>(k),
                                       _mm512_loadu_si512(at<__m512i>(i)), base, 4));
}
[[gnu::target("avx512f")]] void native_scatter_dd512(const VectorBytes& s, const VectorBytes& i,
                                                     unsigned k, std::uint8_t* base) {
  _mm512_mask_i32scatter_epi32(base, static_cast<__mmask16>(k), _mm512_loadu_si512(at<__m512i>(i)),
                               _mm512_loadu_si512(at<__m512i>(s)), 4);
}
[[gnu::target("avx512f")]] void native_scatter_qq512(const VectorBytes& s, const VectorBytes& i,
                                                     unsigned k, std::uint8_t* base) {
  _mm512_mask_i64scatter_epi64(base, static_cast<__mmask8>(k), _mm512_loadu_si512(at<__m512i>(i)),
                               _mm512_loadu_si512(at<__m512i>(s)), 4);
}

TEST_F(GatherTest, VexFormsAreTheHosts) {
  enter_with_vectors();
  if (!model.has(guest::feature::kAvx2)) GTEST_SKIP() << "the host has no AVX2";
  struct Form {
    Handler callout;
    void (*native)(VectorBytes&, const VectorBytes&, const VectorBytes&, const std::uint8_t*);
    std::uint8_t vector_bytes;
    unsigned index_bytes;
    std::size_t result_bytes;
  };
  const Form forms[] = {{gather_dword_dword, native_dd256, 32, 4, 32},
                        {gather_dword_qword, native_dq256, 32, 4, 32},
                        {gather_qword_dword, native_qd256, 32, 8, 16},
                        {gather_qword_qword, native_qq128, 16, 8, 16}};
  ExtendedState x(core);
  for (int i = 0; i < 400; ++i) {
    const Form& form = forms[i % 4];
    VectorBytes destination = random_vector();
    const VectorBytes index = random_indices(form.index_bytes), mask = random_vector();
    x.set_vector(kDestination, destination, 64);
    x.set_vector(kIndexVex, index, 64);
    x.set_vector(kMask, mask, 64);
    form.native(destination, index, mask, middle());
    ASSERT_EQ(form.callout(core, vector_operation({kDestination, kIndexVex, kMask,
                                                   form.vector_bytes, false, false})),
              Next::kContinue);
    EXPECT_EQ(x.vector(kDestination), upper_cleared(destination, form.result_bytes)) << i;
    EXPECT_EQ(x.vector(kMask), VectorBytes{}) << i;
    EXPECT_EQ(x.vector(kIndexVex), index) << i;
  }
}

TEST_F(GatherTest, EvexFormsAreTheHosts) {
  enter_with_vectors();
  if (!has_avx512()) GTEST_SKIP() << "the host has no AVX-512";
  ExtendedState x(core);
  for (int i = 0; i < 200; ++i) {
    const bool wide_index = i % 2;
    VectorBytes destination = random_vector();
    const VectorBytes index = random_indices(wide_index ? 8 : 4);
    const std::uint64_t k = random_();
    x.set_vector(30, destination, 64);
    x.set_vector(kIndex, index, 64);
    x.set_opmask(2, k);
    (wide_index ? native_qd512 : native_dd512)(destination, index, static_cast<unsigned>(k),
                                               middle());
    const Operation op = vector_operation({30, kIndex, 2, 64, true, false});
    ASSERT_EQ((wide_index ? gather_qword_dword : gather_dword_dword)(core, op), Next::kContinue);
    EXPECT_EQ(x.vector(30), upper_cleared(destination, wide_index ? 32 : 64)) << i;
    EXPECT_EQ(x.opmask(2), 0u);
  }
}

TEST_F(GatherTest, ScattersAreTheHosts) {
  enter_with_vectors();
  if (!has_avx512()) GTEST_SKIP() << "the host has no AVX-512";
  ExtendedState x(core);
  for (int i = 0; i < 200; ++i) {
    const bool wide = i % 2;
    const VectorBytes source = random_vector(), index = random_indices(wide ? 8 : 4);
    const std::uint64_t k = random_();
    x.set_vector(1, source, 64);
    x.set_vector(kIndex, index, 64);
    x.set_opmask(7, k);
    (wide ? native_scatter_qq512 : native_scatter_dd512)(source, index, static_cast<unsigned>(k),
                                                         table_.data() + kTable / 2);
    const Operation op = vector_operation({1, kIndex, 7, 64, true, false});
    ASSERT_EQ((wide ? scatter_qword_qword : scatter_dword_dword)(core, op), Next::kContinue);
    std::array<std::uint8_t, kTable> after;
    memory->read_bytes({kData}, after);
    ASSERT_EQ(after, table_) << i;
    EXPECT_EQ(x.opmask(7), 0u);
  }
}

// SDM Vol. 2 "VPGATHERDD": elements before the fault are done and their mask bits are clear.
TEST_F(GatherTest, FaultKeepsCompletedElements) {
  enter_with_vectors();
  if (!model.has(guest::feature::kAvx2)) GTEST_SKIP() << "the host has no AVX2";
  ExtendedState x(core);
  VectorBytes index{}, mask, old = random_vector();
  mask.fill(0xff);
  store_host<std::uint32_t>(index.data() + 0, 1);
  store_host<std::uint32_t>(index.data() + 4, 2);
  store_host<std::uint32_t>(index.data() + 8, 0x7fffffff);  // far outside RAM
  x.set_vector(kDestination, old, 64);
  x.set_vector(kIndexVex, index, 64);
  x.set_vector(kMask, mask, 64);
  const Operation op = vector_operation({kDestination, kIndexVex, kMask, 16, false, false}, 1);
  const Result result = gather_dword_dword(core, op);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().vector, guest::Vector::kPageFault);
  const VectorBytes after = x.vector(kDestination), left = x.vector(kMask);
  EXPECT_EQ(std::memcmp(after.data(), middle() + 1, 4), 0);
  EXPECT_EQ(std::memcmp(after.data() + 4, middle() + 2, 4), 0);
  EXPECT_EQ(std::memcmp(after.data() + 8, old.data() + 8, 8), 0);
  EXPECT_EQ(load_host<std::uint64_t>(left.data()), 0u);
  EXPECT_EQ(load_host<std::uint64_t>(left.data() + 8), ~std::uint64_t{0});

  store_host<std::uint32_t>(index.data() + 8, 3);  // the guest maps the page: here, moves the index
  store_host<std::uint32_t>(index.data() + 0, 0x7fffffff);  // done: must not be read again
  x.set_vector(kIndexVex, index, 64);
  ASSERT_EQ(gather_dword_dword(core, op), Next::kContinue);
  EXPECT_EQ(std::memcmp(x.vector(kDestination).data() + 8, middle() + 3, 4), 0);
}

TEST_F(GatherTest, MaskedOutElementsDoNotFault) {
  enter_with_vectors();
  if (!has_avx512()) GTEST_SKIP() << "the host has no AVX-512";
  ExtendedState x(core);
  VectorBytes index;
  index.fill(0x7f);
  x.set_vector(kIndex, index, 64);
  x.set_opmask(1, 0xffff0000);  // no element of the sixteen
  EXPECT_EQ(gather_dword_dword(core, vector_operation({2, kIndex, 1, 64, true, false})),
            Next::kContinue);
}

TEST_F(GatherTest, RegisterClashesAreUndefined) {
  enter_with_vectors();
  const auto undefined = [&](const VectorOperands& v) {
    return faults_with(gather_dword_dword(core, vector_operation(v)), guest::invalid_opcode());
  };
  EXPECT_TRUE(undefined({1, 1, 2, 16, false, false}));
  EXPECT_TRUE(undefined({1, 2, 2, 16, false, false}));
  EXPECT_TRUE(undefined({1, 2, 1, 16, false, false}));
  EXPECT_TRUE(undefined({1, 2, 0, 16, true, false}));  // EVEX without an opmask
  EXPECT_TRUE(undefined({1, 2, 3, 0, false, false}));  // not filled in by the decoder
}

// What the decoder hands over is what the call-out unpacks.
TEST_F(GatherTest, OperandsComeFromTheDecoder) {
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  const auto operands_of = [&](std::vector<std::uint8_t> bytes) {
    ZydisDecodedInstruction instruction;
    std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
    EXPECT_TRUE(ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes.data(), bytes.size(),
                                                    &instruction, operands.data())));
    return VectorOperands::unpack(
        encode_vector_operands(instruction, std::span(operands).first(instruction.operand_count)));
  };
  // vpgatherdd ymm3, [rax + ymm5 * 4], ymm6
  EXPECT_EQ(operands_of({0xc4, 0xe2, 0x4d, 0x90, 0x1c, 0xa8}),
            (VectorOperands{3, 5, 6, 32, false, false}));
  // vpgatherdd zmm30 {k2}, [rax + zmm17 * 4]
  EXPECT_EQ(operands_of({0x62, 0x62, 0x7d, 0x42, 0x90, 0x34, 0x88}),
            (VectorOperands{30, 17, 2, 64, true, false}));
  // maskmovdqu xmm1, xmm9
  EXPECT_EQ(operands_of({0x66, 0x41, 0x0f, 0xf7, 0xc9}).reg, 1);
  EXPECT_EQ(operands_of({0x66, 0x41, 0x0f, 0xf7, 0xc9}).mask, 9);
  // maskmovq mm1, mm2
  EXPECT_EQ(operands_of({0x0f, 0xf7, 0xca}).mask, 2);
  // vmaskmovps ymm1, ymm2, [rax]
  EXPECT_EQ(operands_of({0xc4, 0xe2, 0x6d, 0x2c, 0x08}),
            (VectorOperands{1, 0, 2, 32, false, false}));
  // vmovdqu8 zmm1 {k3}{z}, [rax]
  EXPECT_EQ(operands_of({0x62, 0xf1, 0x7f, 0xcb, 0x6f, 0x08}),
            (VectorOperands{1, 0, 3, 64, true, true}));
}

}  // namespace
}  // namespace ringshift::translator
