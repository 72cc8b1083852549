// tests/unit/translator/decoder_test.cc - what the decoder tells the emitter about an instruction,
// and where it refuses.
#include <gtest/gtest.h>

#include <vector>

#include "translator/insn.h"

namespace ringshift::translator {
namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr ModeKey k64(2 | 2 << 2), k32(1 | 1 << 2), k16(0);

class DecoderTest : public ::testing::Test {
 protected:
  std::optional<DecodeError> error(ModeKey mode, const Bytes& bytes) {
    return decoder_.decode(mode, bytes, 0x123, insn_);
  }
  const Insn& decode(ModeKey mode, const Bytes& bytes) {
    EXPECT_EQ(error(mode, bytes), std::nullopt);
    return insn_;
  }
  Decoder decoder_{true, true};
  Insn insn_;
};

TEST_F(DecoderTest, RefusesWhatIsNoInstruction) {
  EXPECT_EQ(error(k64, {0x06}), DecodeError::kInvalid);  // PUSH ES
  EXPECT_EQ(error(k32, {0x06}), std::nullopt);
  EXPECT_EQ(error(k64, {0xea, 0, 0, 0, 0, 0, 0}), DecodeError::kInvalid);
  EXPECT_EQ(error(k64, {0x0f, 0x04}), DecodeError::kInvalid);
  EXPECT_EQ(error(k64, {0xf0, 0x90}), DecodeError::kInvalid);        // LOCK NOP
  EXPECT_EQ(error(k64, {0xf0, 0x01, 0xc1}), DecodeError::kInvalid);  // LOCK on a register
  EXPECT_EQ(error(k64, {0xf0, 0x01, 0x01}), std::nullopt);
  EXPECT_EQ(error(k64, {0x8e, 0xc8}), DecodeError::kInvalid);  // MOV CS, EAX
}

TEST_F(DecoderTest, TellsTruncatedFromTooLong) {
  const Bytes long_one = {0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8};
  for (std::size_t n = 1; n < long_one.size(); ++n)
    EXPECT_EQ(error(k64, Bytes(long_one.begin(), long_one.begin() + static_cast<long>(n))),
              DecodeError::kTruncated);
  EXPECT_EQ(error(k64, long_one), std::nullopt);
  Bytes fifteen(14, 0x66);
  fifteen.push_back(0x90);
  EXPECT_EQ(error(k64, fifteen), std::nullopt);
  EXPECT_EQ(insn_.length(), 15u);
  Bytes sixteen(15, 0x66);
  sixteen.push_back(0x90);
  EXPECT_EQ(error(k64, sixteen), DecodeError::kTooLong);
  EXPECT_EQ(error(k64, Bytes(14, 0x66)), DecodeError::kTruncated);
}

TEST_F(DecoderTest, RegisterFields) {
  const Insn& add = decode(k64, {0x4d, 0x01, 0xd7});  // ADD R15, R10
  EXPECT_EQ(add.reg.number, 10);
  EXPECT_TRUE(add.reg.read && !add.reg.written);
  EXPECT_EQ(add.rm.number, 15);
  EXPECT_TRUE(add.rm.read && add.rm.written);
  EXPECT_EQ(add.page_offset, 0x123);
  const Insn& mov = decode(k64, {0x44, 0x89, 0xd7});  // MOV EDI, R10D
  EXPECT_TRUE(mov.rm.written && !mov.rm.read);
  EXPECT_EQ(mov.rm.bytes, 4);
  const Insn& partial = decode(k64, {0x44, 0x88, 0xd0});  // MOV AL, R10B keeps the rest of RAX
  EXPECT_TRUE(partial.rm.written && partial.rm.read);
  const Insn& conditional = decode(k64, {0x48, 0x0f, 0x44, 0xc1});  // CMOVZ
  EXPECT_TRUE(conditional.reg.written && conditional.reg.read);
  const Insn& high = decode(k64, {0x88, 0xe0});  // MOV AL, AH
  EXPECT_TRUE(high.reg.high_byte);
  const Insn& low = decode(k64, {0x40, 0x88, 0xe0});  // MOV AL, SPL
  EXPECT_FALSE(low.reg.high_byte);
  EXPECT_EQ(low.reg.number, 4);
  const Insn& push = decode(k64, {0x41, 0x53});
  EXPECT_TRUE(push.rm_is_opcode_field);
  EXPECT_EQ(push.rm.number, 11);
  const Insn& andn = decode(k64, {0xc4, 0x42, 0xa0, 0xf2, 0xd7});
  EXPECT_EQ(andn.reg.number, 10);
  EXPECT_EQ(andn.vvvv.number, 11);
  EXPECT_EQ(andn.rm.number, 15);
}

TEST_F(DecoderTest, MemoryOperands) {
  struct Case {
    ModeKey mode;
    Bytes bytes;
    guest::Seg segment;
    unsigned base, index, scale;
    std::int64_t displacement;
    unsigned size;
    bool reads, writes;
  };
  using guest::Seg;
  const Case cases[] = {
      {k64, {0x01, 0x44, 0x8b, 0x08}, Seg::kDs, 3, 1, 4, 8, 4, true, true},
      {k64, {0x89, 0x44, 0x24, 0xf8}, Seg::kSs, 4, kNoRegister, 1, -8, 4, false, true},
      {k64, {0x8b, 0x45, 0x00}, Seg::kSs, 5, kNoRegister, 1, 0, 4, true, false},
      {k64, {0x43, 0x8b, 0x04, 0xfa}, Seg::kDs, 10, 15, 8, 0, 4, true, false},
      {k64,
       {0x65, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0},
       Seg::kGs,
       kNoRegister,
       kNoRegister,
       1,
       0x28,
       8,
       true,
       false},
      {k64, {0x8b, 0x05, 0x10, 0, 0, 0}, Seg::kDs, kRipBase, kNoRegister, 1, 0x10, 4, true, false},
      {k64, {0x3b, 0x00}, Seg::kDs, 0, kNoRegister, 1, 0, 4, true, false},
      {k32,
       {0x8b, 0x05, 0x10, 0, 0, 0x80},
       Seg::kDs,
       kNoRegister,
       kNoRegister,
       1,
       static_cast<std::int32_t>(0x80000010),
       4,
       true,
       false},
      {k32, {0x2e, 0x89, 0x00}, Seg::kCs, 0, kNoRegister, 1, 0, 4, false, true},
      {k16, {0x8b, 0x42, 0xff}, Seg::kSs, 5, 6, 1, -1, 2, true, false},
      {k16, {0x8b, 0x07}, Seg::kDs, 3, kNoRegister, 1, 0, 2, true, false},
      {k64, {0x0f, 0x11, 0x00}, Seg::kDs, 0, kNoRegister, 1, 0, 16, false, true},
      // FISTP stores nothing when it raises an unmasked exception: what it keeps is read first. What
      // a mask leaves out is not read.
      {k64, {0xdf, 0x38}, Seg::kDs, 0, kNoRegister, 1, 0, 8, true, true},
      {k64, {0x62, 0xf1, 0x7c, 0x49, 0x11, 0x00}, Seg::kDs, 0, kNoRegister, 1, 0, 64, false, true},
      // A cache line is named by any of its bytes.
      {k64, {0x0f, 0xae, 0x38}, Seg::kDs, 0, kNoRegister, 1, 0, 1, true, false},
  };
  for (const Case& c : cases) {
    const Insn& insn = decode(c.mode, c.bytes);
    SCOPED_TRACE(int{c.bytes[0]} << 8 | c.bytes[1]);
    ASSERT_NE(insn.memory, nullptr);
    const MemoryOperand m = insn.memory_operand();
    EXPECT_EQ(m.segment, c.segment);
    EXPECT_EQ(m.base, c.base);
    EXPECT_EQ(m.index, c.index);
    EXPECT_EQ(m.scale, c.scale);
    EXPECT_EQ(static_cast<std::int32_t>(m.displacement), c.displacement);
    EXPECT_EQ(insn.memory_bytes, c.size);
    EXPECT_EQ(insn.reads_memory, c.reads);
    EXPECT_EQ(insn.writes_memory, c.writes);
  }
}

// An overwritten flag must be overwritten for every operand, or a loop check would lose it.
TEST_F(DecoderTest, Flags) {
  using namespace guest::flags;
  EXPECT_EQ(decode(k64, {0x01, 0xc1}).flags_overwritten(), kArithmetic);  // ADD
  EXPECT_EQ(decode(k64, {0x01, 0xc1}).flags_read(), 0u);
  EXPECT_EQ(decode(k64, {0x11, 0xc1}).flags_read(), kCf);                        // ADC
  EXPECT_EQ(decode(k64, {0xff, 0xc1}).flags_overwritten(), kArithmetic & ~kCf);  // INC
  EXPECT_EQ(decode(k64, {0xd3, 0xe0}).flags_overwritten(), 0u);  // SHL by CL: none when CL is 0
  EXPECT_EQ(decode(k64, {0x0f, 0x44, 0xc1}).flags_read(), kZf);
  EXPECT_EQ(decode(k64, {0x76, 0}).flags_read(), kCf | kZf);  // JBE
  EXPECT_EQ(decode(k64, {0x89, 0xc1}).flags_overwritten(), 0u);
}

TEST(DecoderFeatures, LzcntAndTzcntAreOlderInstructionsWithoutTheFeature) {
  Insn insn;
  const Bytes lzcnt = {0xf3, 0x0f, 0xbd, 0xc1}, tzcnt = {0xf3, 0x0f, 0xbc, 0xc1};
  const Decoder with(true, true), without(false, false);
  with.decode(k64, lzcnt, 0, insn);
  EXPECT_EQ(insn.mnemonic(), ZYDIS_MNEMONIC_LZCNT);
  without.decode(k64, lzcnt, 0, insn);
  EXPECT_EQ(insn.mnemonic(), ZYDIS_MNEMONIC_BSR);
  with.decode(k64, tzcnt, 0, insn);
  EXPECT_EQ(insn.mnemonic(), ZYDIS_MNEMONIC_TZCNT);
  without.decode(k64, tzcnt, 0, insn);
  EXPECT_EQ(insn.mnemonic(), ZYDIS_MNEMONIC_BSF);
}

}  // namespace
}  // namespace ringshift::translator
