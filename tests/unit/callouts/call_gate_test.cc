// tests/unit/callouts/call_gate_test.cc - far CALL and JMP through call gates: checks, stacks,
// parameters.
#include "tests/unit/callouts/fixture.h"
#include "translator/callouts/far_transfer.h"

namespace ringshift::translator {
namespace {

using guest::fault;
using guest::general_protection;
using guest::stack_fault;
using guest::Vector;

class CallGates : public CalloutTest {
 protected:
  static constexpr std::uint16_t kGate = kFirstFree, kSpare = kFirstFree + 16;

  Operation to_gate(unsigned rpl = 3) const {
    Operation op = operation(4);
    op.length = 7;
    op.immediate = 0xdeadbeef;  // ignored
    op.immediate2 = static_cast<std::uint16_t>(kGate | rpl);
    return op;
  }
  Result call() { return far_call(core, to_gate()); }
  Result jump() { return far_jump(core, to_gate()); }
};

TEST_F(CallGates, InnerRingSwitchesStacksAndCopiesParameters) {
  enter_protected32(3);
  write_gdt(kGate, gate(kCallGate32, kCode32 | 3, 0x123456, 3, 2));
  store<std::uint32_t>(kStack, 0x11111111);
  store<std::uint32_t>(kStack + 4, 0x22222222);
  ASSERT_TRUE(call());
  EXPECT_EQ(state.cpl, 0);
  EXPECT_EQ(cs().selector, kCode32) << "RPL becomes the new CPL";
  EXPECT_EQ(state.rip, 0x123456u);
  EXPECT_EQ(ss().selector, kData32);
  EXPECT_EQ(rsp(), kRing0Stack - 24);
  EXPECT_EQ(load32(kRing0Stack - 4), kData32R3);
  EXPECT_EQ(load32(kRing0Stack - 8), kStack);
  EXPECT_EQ(load32(kRing0Stack - 12), 0x22222222u);
  EXPECT_EQ(load32(kRing0Stack - 16), 0x11111111u);
  EXPECT_EQ(load32(kRing0Stack - 20), kCode32R3);
  EXPECT_EQ(load32(kRing0Stack - 24), kCode + 7);
}

TEST_F(CallGates, SixteenBitGatePushesWordsAndUses16BitsOfItsOffset) {
  enter_protected32(3);
  write_gdt(kGate, gate(kCallGate16, kCode16, 0xffff1234, 3, 1));
  store<std::uint16_t>(kStack, 0x7777);
  ASSERT_TRUE(call());
  EXPECT_EQ(state.rip, 0x1234u) << "the upper offset word belongs to 32-bit gates only";
  EXPECT_EQ(rsp(), kRing0Stack - 10);
  EXPECT_EQ(load16(kRing0Stack - 2), kData32R3);
  EXPECT_EQ(load16(kRing0Stack - 6), 0x7777);
  EXPECT_EQ(load16(kRing0Stack - 10), (kCode + 7) & 0xffff);
}

TEST_F(CallGates, SixteenBitTaskStateGivesItsStack) {
  enter_protected32(3);
  write_gdt(kGate, gate(kCallGate32, kCode32, 0x123456, 3));
  state.tr.attributes = 0x83;
  store<std::uint16_t>(kTss + 2, 0x8000);
  store<std::uint16_t>(kTss + 4, kData16);
  ASSERT_TRUE(call());
  EXPECT_EQ(ss().selector, kData16);
  EXPECT_EQ(load32(0x8000 - 16), kCode + 7);
  EXPECT_EQ(rsp() & 0xffff, 0x8000u - 16);
}

TEST_F(CallGates, SameRingKeepsTheStack) {
  enter_protected32(0);
  write_gdt(kGate, gate(kCallGate32, kCode32, 0x123456, 3, 5));
  ASSERT_TRUE(call());
  EXPECT_EQ(rsp(), kStack - 8);
  EXPECT_EQ(load32(kStack - 8), kCode + 7);
}

TEST_F(CallGates, ConformingTargetStaysInTheRing) {
  enter_protected32(3);
  write_gdt(kGate, gate(kCallGate32, kConforming32, 0x123456, 3));
  ASSERT_TRUE(jump());
  EXPECT_EQ(state.cpl, 3);
  EXPECT_EQ(cs().selector, kConforming32 | 3);
}

TEST_F(CallGates, GateChecksInOrder) {
  enter_protected32(3);
  write_gdt(kGate, gate(kCallGate32, kCode32, 0, 0) & ~(1ull << 47));
  EXPECT_TRUE(faults_with(call(), general_protection(kGate))) << "DPL before presence";
  write_gdt(kGate, gate(kCallGate32, kCode32, 0, 3) & ~(1ull << 47));
  EXPECT_TRUE(faults_with(call(), fault(Vector::kSegmentNotPresent, kGate)));
  write_gdt(kGate, gate(kCallGate32, 3, 0, 3));
  EXPECT_TRUE(faults_with(call(), general_protection(0)));
  write_gdt(kGate, gate(kCallGate32, kData32, 0, 3));
  EXPECT_TRUE(faults_with(call(), general_protection(kData32)));
  write_gdt(kGate, gate(kCallGate32, kNotPresentCode, 0, 3));
  EXPECT_TRUE(faults_with(call(), fault(Vector::kSegmentNotPresent, kNotPresentCode)));
  write_gdt(kGate, gate(kCallGate32, kCode32, 0, 3));
  EXPECT_TRUE(faults_with(jump(), general_protection(kCode32))) << "JMP does not change rings";
  enter_protected32(0);
  write_gdt(kGate, gate(kCallGate32, kCode32, 0, 0));
  EXPECT_TRUE(faults_with(call(), general_protection(kGate))) << "RPL 3 above DPL 0";
}

TEST_F(CallGates, InnerStackChecks) {
  enter_protected32(3);
  write_gdt(kGate, gate(kCallGate32, kCode32, 0x1000, 3));
  store<std::uint16_t>(kTss + 8, 0);
  EXPECT_TRUE(faults_with(call(), fault(Vector::kInvalidTss, 0)));
  store<std::uint16_t>(kTss + 8, kData32R3);
  EXPECT_TRUE(faults_with(call(), fault(Vector::kInvalidTss, kData32R3 & ~3u)));
  store<std::uint16_t>(kTss + 8, kReadOnlyData);
  EXPECT_TRUE(faults_with(call(), fault(Vector::kInvalidTss, kReadOnlyData)));
  store<std::uint16_t>(kTss + 8, kNotPresentData);
  EXPECT_TRUE(faults_with(call(), stack_fault(kNotPresentData)));
  write_gdt(kSpare, descriptor(0, 0xfff, 0x4092));
  store<std::uint16_t>(kTss + 8, kSpare);  // ESP0 lies beyond this limit
  EXPECT_TRUE(faults_with(call(), stack_fault(kSpare)));
  state.tr.limit = 8;
  EXPECT_TRUE(faults_with(call(), fault(Vector::kInvalidTss, kTssSel)));
  EXPECT_EQ(state.cpl, 3);
  EXPECT_EQ(rsp(), kStack);
}

TEST_F(CallGates, LongModeGateTakesSixteenBytes) {
  enter_long(3);
  const std::uint64_t entry = 0xffff800000001000;
  write_gdt16(kGate, gate(kCallGate32, kCode64, entry, 3, 7), entry >> 32);
  store<std::uint32_t>(kData, 0);
  store<std::uint16_t>(kData + 4, kGate | 3);
  const Operation op = memory_operation(4, kData);
  ASSERT_TRUE(far_call(core, op));
  EXPECT_EQ(state.rip, entry);
  EXPECT_EQ(state.cpl, 0);
  EXPECT_EQ(ss().selector, 0);
  EXPECT_EQ(rsp(), kRing0Stack - 32) << "no parameters in long mode";
  EXPECT_EQ(load64(kRing0Stack - 8), kData32R3);
  EXPECT_EQ(load64(kRing0Stack - 16), kStack);
  EXPECT_EQ(load64(kRing0Stack - 24), kCode64R3);
  EXPECT_EQ(load64(kRing0Stack - 32), kCode + 2);
}

TEST_F(CallGates, LongModeGateChecks) {
  enter_long(3);
  store<std::uint16_t>(kData + 4, kGate | 3);
  const Operation op = memory_operation(4, kData);
  write_gdt16(kGate, gate(kCallGate16, kCode64, 0x1000, 3), 0);
  EXPECT_TRUE(faults_with(far_call(core, op), general_protection(kGate)));
  write_gdt16(kGate, gate(kCallGate32, kCode64, 0x1000, 3), std::uint64_t{1} << 40);
  EXPECT_TRUE(faults_with(far_call(core, op), general_protection(kGate))) << "upper type bits";
  write_gdt16(kGate, gate(kCallGate32, kCode32, 0x1000, 3), 0);
  EXPECT_TRUE(faults_with(far_call(core, op), general_protection(kCode32))) << "not 64-bit code";
  write_gdt16(kGate, gate(kCallGate32, kCode64, 0x1000, 3), 0x8000);
  EXPECT_TRUE(faults_with(far_call(core, op), general_protection(0))) << "not canonical";
}

}  // namespace
}  // namespace ringshift::translator
