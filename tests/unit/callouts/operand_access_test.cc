// tests/unit/callouts/operand_access_test.cc - segmentation, addressing and stack accesses of
// call-outs.
#include "tests/unit/callouts/fixture.h"

namespace ringshift::translator {
namespace {

using guest::general_protection;
using guest::Gpr;
using guest::Seg;
using guest::stack_fault;

class OperandAccess : public CalloutTest {
 protected:
  // The linear address, or the fault as a negative vector.
  std::int64_t linear(Seg seg, std::uint64_t offset, std::size_t bytes, bool write = false) {
    const auto a = linear_address(core, seg, offset, bytes, write);
    if (a) return static_cast<std::int64_t>(a->value);
    return -static_cast<std::int64_t>(a.error().vector);
  }
};

TEST_F(OperandAccess, EffectiveOffsetWrapsAtTheAddressSize) {
  enter_long();
  Operation op = memory_operation(4, 0x10);
  op.memory.base = static_cast<std::uint8_t>(Gpr::kRbx);
  op.memory.index = static_cast<std::uint8_t>(Gpr::kRsi);
  op.memory.scale = 4;
  state.reg(Gpr::kRbx) = 0xfffffff0;
  state.reg(Gpr::kRsi) = 2;
  EXPECT_EQ(effective_offset(core, op), 0x100000008u);
  op.address_bytes = 4;
  EXPECT_EQ(effective_offset(core, op), 8u);
  op.address_bytes = 2;
  state.reg(Gpr::kRbx) = 0xfff0;
  EXPECT_EQ(effective_offset(core, op), 8u);
  op.address_bytes = 8;
  op.memory.base = kRipBase;
  op.memory.index = kNoRegister;
  op.memory.displacement = -2;
  EXPECT_EQ(effective_offset(core, op), kCode);  // RIP + length 2 - 2
}

TEST_F(OperandAccess, RealModeChecksLimitsButNoTypes) {
  EXPECT_EQ(linear(Seg::kDs, 0xffff, 1), std::int64_t{kData + 0xffff});
  EXPECT_EQ(linear(Seg::kDs, 0xffff, 2), -13);
  EXPECT_EQ(linear(Seg::kSs, 0xfffd, 4), -12);
  EXPECT_EQ(linear(Seg::kCs, 0x10, 4, true), std::int64_t{kCode + 0x10});
  state.segment(Seg::kFs).limit = 0xffffffff;  // "unreal" mode
  EXPECT_EQ(linear(Seg::kFs, 0x100000, 4), std::int64_t{kData + 0x100000});
}

TEST_F(OperandAccess, ProtectedModeTypesAndNullSegments) {
  enter_protected32();
  EXPECT_EQ(linear(Seg::kCs, 0, 4), 0);
  EXPECT_EQ(linear(Seg::kCs, 0, 4, true), -13);
  cs().attributes &= static_cast<std::uint16_t>(~2);  // execute-only
  EXPECT_EQ(linear(Seg::kCs, 0, 4), -13);
  state.segment(Seg::kDs) = {};
  EXPECT_EQ(linear(Seg::kDs, 0, 1), -13);
  ss() = {};
  EXPECT_EQ(linear(Seg::kSs, 0, 1), -12);
  state.segment(Seg::kEs).attributes = 0xc091;  // read-only
  EXPECT_EQ(linear(Seg::kEs, 8, 4), 8);
  EXPECT_EQ(linear(Seg::kEs, 8, 4, true), -13);
}

TEST_F(OperandAccess, ExpandDownSegmentsAreValidAboveTheLimit) {
  enter_protected32();
  state.segment(Seg::kDs) = segment(kData32, 0x4097, 0, 0xfff);  // big, expand-down
  EXPECT_EQ(linear(Seg::kDs, 0xfff, 1), -13);
  EXPECT_EQ(linear(Seg::kDs, 0x1000, 1), 0x1000);
  EXPECT_EQ(linear(Seg::kDs, 0xffffffff, 1), 0xffffffff);
  state.segment(Seg::kDs).attributes = 0x0097;  // the top is FFFFH without B
  EXPECT_EQ(linear(Seg::kDs, 0xfffe, 2), 0xfffe);
  EXPECT_EQ(linear(Seg::kDs, 0xffff, 2), -13);
  EXPECT_EQ(linear(Seg::kDs, 0x10000, 1), -13);
}

TEST_F(OperandAccess, LinearAddressesWrapAt4GiBOutside64BitCode) {
  enter_protected32();
  state.segment(Seg::kDs).base = 0xfffff000;
  EXPECT_EQ(linear(Seg::kDs, 0x2000, 4), 0x1000);
}

TEST_F(OperandAccess, LongModeUsesFsAndGsBasesAndCanonicalChecks) {
  enter_long();
  state.segment(Seg::kDs).base = 0x5000;
  state.segment(Seg::kGs) = segment(0, 0, 0x7000, 0);  // a null selector does not matter
  EXPECT_EQ(linear(Seg::kDs, 0x10, 8, true), 0x10);
  EXPECT_EQ(linear(Seg::kGs, 0x10, 8, true), 0x7010);
  EXPECT_EQ(linear(Seg::kCs, 0x10, 8, true), 0x10);
  EXPECT_EQ(linear(Seg::kDs, 0x7fffffffffff, 1), 0x7fffffffffff);
  EXPECT_EQ(linear(Seg::kDs, 0x7fffffffffff, 2), -13);
  EXPECT_EQ(linear(Seg::kSs, 0x800000000000, 1), -12);
}

TEST_F(OperandAccess, AlignmentCheckNeedsAmAcAndRing3) {
  enter_protected32(3);
  state.cr0 |= guest::cr0::kAm;
  state.rflags |= guest::flags::kAc;
  EXPECT_TRUE(read_data(core, Seg::kDs, kData, 4));
  const auto fault = guest::fault(guest::Vector::kAlignmentCheck, 0);
  EXPECT_EQ(read_data(core, Seg::kDs, kData + 2, 4).error(), fault);
  EXPECT_EQ(write_data(core, Seg::kDs, kData + 1, 2, 0).error(), fault);
  rsp() = kStack - 1;
  EXPECT_EQ(push(core, 4, 0).error(), fault);
  EXPECT_EQ(rsp(), kStack - 1);
  state.rflags &= ~guest::flags::kAc;
  EXPECT_TRUE(read_data(core, Seg::kDs, kData + 2, 4));
  state.rflags |= guest::flags::kAc;
  state.cpl = 0;
  EXPECT_TRUE(read_data(core, Seg::kDs, kData + 2, 4));
}

TEST_F(OperandAccess, RegisterOperandsFollowRexAndZeroExtend) {
  Operation op = operation(1);
  op.rm = 4;
  state.reg(Gpr::kRax) = 0x1122334455667788;
  state.reg(Gpr::kRsp) = 0x99;
  EXPECT_EQ(*read_rm(core, op, 1), 0x77u);  // AH
  ASSERT_TRUE(write_rm(core, op, 1, 0xab));
  EXPECT_EQ(state.reg(Gpr::kRax), 0x112233445566ab88u);
  op.prefixes = prefix::kRex;
  EXPECT_EQ(*read_rm(core, op, 1), 0x99u);  // SPL
  write_gpr(core, 0, 2, 0x1ffff);
  EXPECT_EQ(state.reg(Gpr::kRax), 0x112233445566ffffu);
  write_gpr(core, 0, 4, 0x80000000);
  EXPECT_EQ(state.reg(Gpr::kRax), 0x80000000u);
}

TEST_F(OperandAccess, PushAndPopKeepTheUpperHalfOf16BitStacks) {
  rsp() = 0xaaaa0000;
  ASSERT_TRUE(push(core, 4, 0x12345678));
  EXPECT_EQ(rsp(), 0xaaaafffcu) << "SP wraps, the rest of ESP stays";
  rsp() = 0xaaaa8000;
  ASSERT_TRUE(push(core, 4, 0x12345678));
  EXPECT_EQ(rsp(), 0xaaaa7ffcu);
  EXPECT_EQ(load32(kStack + 0x7ffc), 0x12345678u);
  EXPECT_EQ(*pop(core, 2), 0x5678u);
  EXPECT_EQ(rsp(), 0xaaaa7ffeu);
}

TEST_F(OperandAccess, PushBeyondTheLimitFaultsAndMovesNothing) {
  rsp() = 1;
  EXPECT_EQ(push(core, 2, 0).error(), stack_fault());
  EXPECT_EQ(rsp(), 1u);
  enter_long();
  rsp() = 0x800000000004;
  EXPECT_EQ(push(core, 8, 0).error(), stack_fault());
  EXPECT_EQ(pop(core, 8).error(), stack_fault());
}

}  // namespace
}  // namespace ringshift::translator
