// tests/unit/callouts/far_transfer_test.cc - far CALL, JMP and RET to code segments, in every mode.
#include "translator/callouts/far_transfer.h"

#include <utility>

#include "tests/unit/callouts/fixture.h"

namespace ringshift::translator {
namespace {

using guest::fault;
using guest::general_protection;
using guest::Gpr;
using guest::Seg;
using guest::stack_fault;
using guest::Vector;

class FarTransfer : public CalloutTest {
 protected:
  Operation far(unsigned bytes, std::uint16_t selector, std::uint64_t offset) const {
    Operation op = operation(bytes);
    op.length = 7;
    op.immediate = offset;
    op.immediate2 = selector;
    return op;
  }
  Result jump(std::uint16_t selector, std::uint64_t offset) {
    return far_jump(core, far(4, selector, offset));
  }
  Result call(std::uint16_t selector, std::uint64_t offset) {
    return far_call(core, far(4, selector, offset));
  }
  Operation ret(unsigned bytes, std::uint64_t drop = 0) const {
    Operation op = operation(bytes);
    op.immediate = drop;
    return op;
  }
};

TEST_F(FarTransfer, RealModeJumpCallAndReturn) {
  ASSERT_TRUE(far_jump(core, far(2, 0x1000, 0xffffffffffff8000)));  // sign-extended immediate
  EXPECT_EQ(cs().base, 0x10000u);
  EXPECT_EQ(state.rip, 0x8000u);
  ASSERT_TRUE(far_call(core, far(2, 0x3000, 0x10)));
  EXPECT_EQ(rsp(), 0x7ffcu);
  EXPECT_EQ(load16(kStack + 0x7ffe), 0x1000);
  EXPECT_EQ(load16(kStack + 0x7ffc), 0x8007);
  ASSERT_TRUE(far_return(core, ret(2, 6)));
  EXPECT_EQ(cs().selector, 0x1000);
  EXPECT_EQ(state.rip, 0x8007u);
  EXPECT_EQ(rsp(), 0x8006u);
}

TEST_F(FarTransfer, RealModeOffsetBeyondTheLimitFaults) {
  EXPECT_TRUE(faults_with(far_jump(core, far(4, 0x1000, 0x10000)), general_protection()));
  EXPECT_TRUE(faults_with(far_call(core, far(4, 0x1000, 0x10000)), general_protection()));
  EXPECT_EQ(rsp(), 0x8000u);
  EXPECT_EQ(cs().selector, kCode >> 4);
}

TEST_F(FarTransfer, V86KeepsRing3) {
  enter_v86(0);
  ASSERT_TRUE(far_jump(core, far(2, 0x1000, 0x20)));
  EXPECT_EQ(cs().base, 0x10000u);
  EXPECT_EQ(cs().attributes, 0xf3);
  EXPECT_EQ(state.cpl, 3);
}

TEST_F(FarTransfer, MemoryOperandHoldsOffsetThenSelector) {
  enter_protected32();
  store<std::uint32_t>(kData, 0x1234);
  store<std::uint16_t>(kData + 4, kCode16);
  ASSERT_TRUE(far_jump(core, memory_operation(4, kData)));
  EXPECT_EQ(cs().selector, kCode16);
  EXPECT_EQ(state.rip, 0x1234u);
  EXPECT_FALSE(cs().big());
}

TEST_F(FarTransfer, JumpChecksTheCodeSegmentInOrder) {
  enter_protected32(3);
  EXPECT_TRUE(faults_with(jump(3, 0), general_protection(0)));
  EXPECT_TRUE(faults_with(jump(0x403, 0), general_protection(0x400)));
  EXPECT_TRUE(faults_with(jump(kData32R3, 0), general_protection(kData32R3 & ~3u)));
  EXPECT_TRUE(faults_with(jump(kCode32, 0), general_protection(kCode32))) << "DPL 0 at CPL 3";
  write_gdt(kFirstFree, descriptor(0, 0xffff, 0x40fe & ~0x80));  // conforming, not present
  EXPECT_TRUE(faults_with(jump(kFirstFree | 3, 0), fault(Vector::kSegmentNotPresent, kFirstFree)));
  write_gdt(kFirstFree, descriptor(0, 0xffff, 0x40fa));
  EXPECT_TRUE(faults_with(jump(kFirstFree | 3, 0x10000), general_protection(0)));
  EXPECT_EQ(cs().selector, kCode32R3);
  ASSERT_TRUE(jump(kFirstFree, 0xffff));
  EXPECT_EQ(cs().selector, kFirstFree | 3) << "RPL becomes CPL";
  enter_protected32(0);
  EXPECT_TRUE(faults_with(jump(kCode32 | 3, 0), general_protection(kCode32))) << "RPL above CPL";
  EXPECT_TRUE(faults_with(jump(kCode32R3, 0), general_protection(kCode32R3 & ~3u)));
}

TEST_F(FarTransfer, ConformingCodeKeepsThePrivilege) {
  enter_protected32(3);
  ASSERT_TRUE(call(kConforming32, 0x5000));
  EXPECT_EQ(state.cpl, 3);
  EXPECT_EQ(cs().selector, kConforming32 | 3);
  EXPECT_EQ(load32(kStack - 4), kCode32R3);
  EXPECT_EQ(load32(kStack - 8), kCode + 7);
  EXPECT_EQ(load<std::uint8_t>(kGdt + kConforming32 + 5), 0x9f) << "accessed";
}

TEST_F(FarTransfer, CallThatFaultsOnItsStackChangesNothing) {
  enter_protected32();
  ss().attributes = 0;
  EXPECT_TRUE(faults_with(call(kCode16, 0), stack_fault()));
  EXPECT_EQ(cs().selector, kCode32);
  EXPECT_EQ(rsp(), kStack);
}

TEST_F(FarTransfer, LongModeCodeSizes) {
  enter_long();
  write_gdt(kFirstFree, descriptor(0, 0xffffffff, kAttrCode64 | 0x4000));  // L and D
  EXPECT_TRUE(faults_with(jump(kFirstFree, 0), general_protection(kFirstFree)));
  ASSERT_TRUE(jump(kCode32, 0x1000));
  EXPECT_FALSE(state.in_64bit_code());
  ASSERT_TRUE(jump(kCode64, 0x2000));
  EXPECT_TRUE(state.in_64bit_code());
  EXPECT_TRUE(faults_with(jump(kTssSel, 0), general_protection(kTssSel)))
      << "no tasks in long mode";
  write_gdt(kFirstFree, gate(kTaskGate, kTssBSel, 0));
  EXPECT_TRUE(faults_with(jump(kFirstFree, 0), general_protection(kFirstFree)));
}

TEST_F(FarTransfer, LongModeCallAndReturn) {
  enter_long();
  store<std::uint32_t>(kData, 0x5000);
  store<std::uint16_t>(kData + 4, kCode64);
  Operation op = memory_operation(4, kData);
  ASSERT_TRUE(far_call(core, op));
  EXPECT_EQ(rsp(), kStack - 8);
  EXPECT_EQ(load32(kStack - 8), kCode + 2);
  ASSERT_TRUE(far_return(core, ret(4)));
  EXPECT_EQ(state.rip, kCode + 2);
  EXPECT_EQ(rsp(), kStack);
  store<std::uint64_t>(kStack, 0x800000000000);
  store<std::uint64_t>(kStack + 8, kCode64);
  EXPECT_TRUE(faults_with(far_return(core, ret(8)), general_protection(0)));
  EXPECT_EQ(rsp(), kStack);
}

TEST_F(FarTransfer, SixtyFourBitFarPointersAreIntels) {
  store<std::uint16_t>(kData + 8, kCode64);
  for (const char* name : {"qemu64", "Nehalem"}) {
    model = guest::CpuModel::create(name).value();
    enter_long();
    store<std::uint64_t>(
        kData, model.vendor_is_intel() ? 0x123400005678ull : 0x5678 | std::uint64_t{kCode64} << 32);
    ASSERT_TRUE(far_jump(core, memory_operation(8, kData)));
    EXPECT_EQ(state.rip, model.vendor_is_intel() ? 0x123400005678u : 0x5678u) << name;
  }
}

class FarReturn : public FarTransfer {
 protected:
  void frame32(std::initializer_list<std::uint32_t> items) {
    std::uint64_t at = kStack;
    for (std::uint32_t item : items) store(std::exchange(at, at + 4), item);
  }
};

TEST_F(FarReturn, SameRing) {
  enter_protected32();
  frame32({0x1234, 0xdead0000u | kCode16});
  ASSERT_TRUE(far_return(core, ret(4, 8)));
  EXPECT_EQ(cs().selector, kCode16);
  EXPECT_EQ(state.rip, 0x1234u);
  EXPECT_EQ(rsp(), kStack + 16);
}

TEST_F(FarReturn, OuterRingSwitchesStacksAndDropsSegments) {
  enter_protected32();
  frame32({0x1234, kCode32R3, 0xaaaa, 0xbbbb, 0x9000, kData32R3});
  ASSERT_TRUE(far_return(core, ret(4, 8)));
  EXPECT_EQ(state.cpl, 3);
  EXPECT_EQ(cs().selector, kCode32R3);
  EXPECT_EQ(ss().selector, kData32R3);
  EXPECT_EQ(rsp(), 0x9008u) << "the immediate is dropped from the outer stack too";
  EXPECT_EQ(state.segment(Seg::kDs).selector, 0);
  EXPECT_EQ(state.segment(Seg::kGs).selector, 0);
}

TEST_F(FarReturn, OuterStackChecks) {
  enter_protected32();
  frame32({0x1234, kCode32R3, 0x9000, 3});
  EXPECT_TRUE(faults_with(far_return(core, ret(4)), general_protection(0)));
  frame32({0x1234, kCode32R3, 0x9000, kData32});
  EXPECT_TRUE(faults_with(far_return(core, ret(4)), general_protection(kData32)));
  write_gdt(kFirstFree, descriptor(0, 0xffff, 0x40f2 & ~0x80));
  frame32({0x1234, kCode32R3, 0x9000, kFirstFree | 3});
  EXPECT_TRUE(faults_with(far_return(core, ret(4)), stack_fault(kFirstFree)));
  EXPECT_EQ(state.cpl, 0);
  EXPECT_EQ(rsp(), kStack);
}

TEST_F(FarReturn, CodeChecks) {
  enter_protected32(3);
  frame32({0, 0});
  EXPECT_TRUE(faults_with(far_return(core, ret(4)), general_protection(0)));
  frame32({0, kCode32});
  EXPECT_TRUE(faults_with(far_return(core, ret(4)), general_protection(kCode32))) << "inner ring";
  frame32({0, kCode32 | 3});
  EXPECT_TRUE(faults_with(far_return(core, ret(4)), general_protection(kCode32))) << "DPL";
  frame32({0, kData32R3});
  EXPECT_TRUE(faults_with(far_return(core, ret(4)), general_protection(kData32R3 & ~3u)));
  write_gdt(kFirstFree, descriptor(0, 0xffff, 0x40fa & ~0x80));
  frame32({0, kFirstFree | 3});
  EXPECT_TRUE(faults_with(far_return(core, ret(4)), fault(Vector::kSegmentNotPresent, kFirstFree)));
}

TEST_F(FarReturn, SixteenBitOuterStackKeepsTheUpperHalf) {
  enter_protected32();
  write_gdt(kFirstFree, descriptor(0, 0xffff, 0x00f2));
  frame32({0x1234, kCode32R3, 0xcccc9000, kFirstFree | 3});
  ASSERT_TRUE(far_return(core, ret(4)));
  EXPECT_EQ(rsp(), (kStack & 0xffff0000) | 0x9000);
}

}  // namespace
}  // namespace ringshift::translator
