// tests/unit/translator/masked_operand_test.cc - which bytes each kind of masked instruction needs.
#include "translator/masked_operand.h"

#include "tests/unit/callouts/fixture.h"

namespace ringshift::translator {
namespace {

using By = MaskedOperand::By;
using Code = std::vector<std::uint8_t>;

struct Case {
  const char* name;
  Code code;  // with an operand at [RAX], opmask K1 or vector mask register 1
  MaskedOperand expected;
};

const Case kCases[] = {
    {"MOV", {0x8b, 0x00}, {}},
    {"VMOVDQU8 ZMM", {0x62, 0xf1, 0x7f, 0x48, 0x6f, 0x08}, {}},
    {"VMOVDQU8 ZMM {K1}", {0x62, 0xf1, 0x7f, 0x49, 0x6f, 0x08}, {By::kOpmask, 1, 0, 6}},
    {"VMOVDQU8 [RAX] {K1}, ZMM", {0x62, 0xf1, 0x7f, 0x49, 0x7f, 0x08}, {By::kOpmask, 1, 0, 6}},
    {"VMASKMOVPD YMM, YMM1", {0xc4, 0xe2, 0x75, 0x2d, 0x10}, {By::kSignBits, 1, 3, 2}},
    {"VPMASKMOVD [RAX], XMM1", {0xc4, 0xe2, 0x71, 0x8e, 0x10}, {By::kSignBits, 1, 2, 2}},
    {"VPEXPANDB ZMM {K1}", {0x62, 0xf2, 0x7d, 0x49, 0x62, 0x08}, {By::kPacked, 1, 0, 6}},
    {"VPCOMPRESSD [RAX] {K1}", {0x62, 0xf2, 0x7d, 0x49, 0x8b, 0x08}, {By::kPacked, 1, 2, 4}},
    {"VADDPS [RAX]{1TO16} {K1}", {0x62, 0xf1, 0x74, 0x59, 0x58, 0x08}, {By::kOpmask, 1, 2, 4}},
    {"VADDSS {K1}", {0x62, 0xf1, 0x76, 0x09, 0x58, 0x08}, {By::kOpmask, 1, 2, 0}},
    {"VBROADCASTF32X4 {K1}", {0x62, 0xf2, 0x7d, 0x49, 0x1a, 0x08}, {By::kOpmask, 1, 2, 4}},
    {"VPDPBUSD ZMM {K1}", {0x62, 0xf2, 0x75, 0x49, 0x50, 0x10}, {By::kOpmask, 1, 2, 4}},
    {"VPMOVDB [RAX] {K1}, ZMM", {0x62, 0xf2, 0x7e, 0x49, 0x31, 0x08}, {By::kOpmask, 1, 0, 4}},
    {"VEXTRACTF32X4 [RAX] {K1}",
     {0x62, 0xf3, 0x7d, 0x49, 0x19, 0x08, 0x01},
     {By::kOpmask, 1, 2, 2, true}},
    // No element of theirs depends on one element in memory alone.
    {"VPSHUFB ZMM {K1}", {0x62, 0xf2, 0x75, 0x49, 0x00, 0x10}, {}},
    {"VDBPSADBW ZMM {K1}", {0x62, 0xf3, 0x75, 0x49, 0x42, 0x10, 0x00}, {}},
};

class MaskedOperandTest : public CalloutTest {
 protected:
  MaskedOperand of(const Code& code) {
    enter_long();
    Insn insn;
    EXPECT_EQ(Decoder(true, true).decode(ModeKey::of(state, false), code, 0, insn), std::nullopt);
    return masked_operand_of(insn);
  }
  ExtendedState with_opmask(std::uint64_t k1) {
    enter_long();
    ExtendedState x(core);
    x.set_opmask(1, k1);
    return x;
  }
};

TEST_F(MaskedOperandTest, Forms) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(of(c.code), c.expected);
    EXPECT_EQ(MaskedOperand::unpack(c.expected.pack()), c.expected);
  }
}

TEST_F(MaskedOperandTest, BytesOfAnOpmask) {
  if (!model.has(guest::feature::kAvx512f)) GTEST_SKIP() << "the host has no AVX-512";
  const ExtendedState x = with_opmask(0xffff'0000'0000'8005);
  EXPECT_EQ(selected_bytes({By::kOpmask, 1, 2, 4}, x, 64), 0xf000'0000'0000'0f0fu);
  // Bits past the operand's elements do not count.
  EXPECT_EQ(selected_bytes({By::kOpmask, 1, 3, 1}, x, 16), 0xffu);
  EXPECT_EQ(selected_bytes({By::kOpmask, 1, 0, 6}, x, 64), 0xffff'0000'0000'8005u);
  EXPECT_EQ(selected_bytes({By::kPacked, 1, 2, 4}, x, 64), 0xfffu);
  EXPECT_EQ(selected_bytes({By::kPacked, 1, 0, 6}, x, 64), (1u << 19) - 1);
  // One element in memory for many results; four for sixteen.
  EXPECT_EQ(selected_bytes({By::kOpmask, 1, 3, 3}, x, 8), 0xffu);
  EXPECT_EQ(selected_bytes({By::kOpmask, 1, 2, 4}, x, 16), 0xff0fu);
}

TEST_F(MaskedOperandTest, BytesOfSignBits) {
  if (!model.has(guest::feature::kAvx)) GTEST_SKIP() << "the host has no AVX";
  enter_long();
  ExtendedState x(core);
  VectorBytes mask{};
  mask[7] = 0x80;
  mask[8] = 0xff;
  mask[15] = 0x7f;
  mask[31] = 0xff;
  x.set_vector(1, mask, 32);
  EXPECT_EQ(selected_bytes({By::kSignBits, 1, 3, 2}, x, 32), 0xff00'00ffu);
  EXPECT_EQ(selected_bytes({By::kSignBits, 1, 2, 2}, x, 16), 0xf0u);
}

}  // namespace
}  // namespace ringshift::translator
