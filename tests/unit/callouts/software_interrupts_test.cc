// tests/unit/callouts/software_interrupts_test.cc - INT n, INT3, INTO, INT1, and INT n in v86 mode.
#include "translator/callouts/software_interrupts.h"

#include "tests/unit/callouts/fixture.h"

namespace ringshift::translator {
namespace {

using guest::fault;
using guest::general_protection;
using guest::Vector;
using namespace guest::flags;

class SoftwareInterrupts : public CalloutTest {
 protected:
  Result interrupt(std::uint8_t vector) {
    Operation op = operation(4);
    op.immediate = vector;
    return int_n(core, op);
  }
  // The redirection bitmap all ones except for `vector`, below an I/O map at the end of the TSS.
  void redirect_only(unsigned vector) {
    state.tr.limit = 0x67 + 32;
    store<std::uint16_t>(kTss + 102, 0x68 + 32);
    for (unsigned i = 0; i < 32; ++i) store<std::uint8_t>(kTss + 0x68 + i, 0xff);
    store<std::uint8_t>(kTss + 0x68 + vector / 8, static_cast<std::uint8_t>(~(1u << (vector & 7))));
  }
};

TEST_F(SoftwareInterrupts, RealModeReturnsBehindTheInstruction) {
  store<std::uint32_t>(0x10 * 4, 0x30000010);
  ASSERT_TRUE(interrupt(0x10));
  EXPECT_EQ(cs().base, 0x30000u);
  EXPECT_EQ(load16(kStack + 0x7ffa), 0x102);
}

TEST_F(SoftwareInterrupts, GateDplGuardsAllButInt1) {
  enter_protected32(3);
  write_idt_all(kInterruptGate32, kCode32, 0);
  EXPECT_TRUE(faults_with(interrupt(0x21), general_protection(0x21 * 8 + 2)));
  EXPECT_TRUE(faults_with(int3(core, operation(4)), general_protection(3 * 8 + 2)));
  state.rflags |= kOf;
  EXPECT_TRUE(faults_with(into(core, operation(4)), general_protection(4 * 8 + 2)));
  EXPECT_EQ(state.cpl, 3);
  ASSERT_TRUE(int1(core, operation(4)));
  EXPECT_EQ(state.rip, handler(1));
  write_idt_all(kInterruptGate32, kCode32, 3);
  enter_protected32(3);
  ASSERT_TRUE(interrupt(0x21));
  EXPECT_EQ(load32(rsp()), kCode + 2) << "no error code, and the address of the next instruction";
}

TEST_F(SoftwareInterrupts, FaultsOfTheDeliveryCarryNoExtBit) {
  enter_protected32();
  write_idt_all(kInterruptGate32, kNotPresentCode);
  EXPECT_TRUE(faults_with(interrupt(0x21), fault(Vector::kSegmentNotPresent, kNotPresentCode)));
  EXPECT_TRUE(faults_with(int1(core, operation(4)),
                          fault(Vector::kSegmentNotPresent, kNotPresentCode | 1)));
  EXPECT_TRUE(faults_with(interrupt(0x90), general_protection(0x90 * 8 + 2)));
}

TEST_F(SoftwareInterrupts, IntoNeedsOverflow) {
  enter_protected32();
  const Result result = into(core, operation(4));
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, Next::kContinue);
  EXPECT_EQ(state.rip, kCode);
}

TEST_F(SoftwareInterrupts, V86NeedsIopl3ButInt3DoesNot) {
  enter_v86(0);
  write_idt_all(kInterruptGate32, kCode32, 3);
  EXPECT_TRUE(faults_with(interrupt(0x21), general_protection(0)));
  ASSERT_TRUE(int3(core, operation(2)));
  EXPECT_EQ(state.cpl, 0);
  enter_v86(3);
  ASSERT_TRUE(interrupt(0x21));
  EXPECT_EQ(state.rip, handler(0x21));
  EXPECT_FALSE(state.v86());
}

TEST_F(SoftwareInterrupts, VmeRedirectsWithVifForIf) {
  enter_v86(0);
  state.cr4 |= guest::cr4::kVme;
  redirect_only(0x21);
  store<std::uint32_t>(0x21 * 4, 0x30000040);
  state.rflags = (state.rflags & ~kIf) | kVif | kTf;
  ASSERT_TRUE(interrupt(0x21));
  EXPECT_TRUE(state.v86());
  EXPECT_EQ(cs().base, 0x30000u);
  EXPECT_EQ(state.rip, 0x40u);
  EXPECT_EQ(load16(kStack + 0x7ffe), kFixed1 | kIf | kTf | kIopl) << "VIF as IF, and IOPL 3";
  EXPECT_EQ(state.rflags & (kVif | kTf), 0u);
  EXPECT_EQ(state.iopl(), 0u);
}

TEST_F(SoftwareInterrupts, VmeRedirectsWithTheRealIfAtIopl3) {
  enter_v86(3);
  state.cr4 |= guest::cr4::kVme;
  redirect_only(0x21);
  store<std::uint32_t>(0x21 * 4, 0x30000040);
  state.rflags |= kVif;
  ASSERT_TRUE(interrupt(0x21));
  EXPECT_EQ(load16(kStack + 0x7ffe), kFixed1 | kIf | kIopl);
  EXPECT_FALSE(state.rflags & kIf);
  EXPECT_TRUE(state.rflags & kVif);
}

TEST_F(SoftwareInterrupts, VmeBitSetGoesTheProtectedWay) {
  enter_v86(0);
  state.cr4 |= guest::cr4::kVme;
  redirect_only(0x21);
  EXPECT_TRUE(faults_with(interrupt(0x22), general_protection(0)));
  enter_v86(3);
  state.cr4 |= guest::cr4::kVme;
  redirect_only(0x21);
  write_idt_all(kInterruptGate32, kCode32, 3);
  ASSERT_TRUE(interrupt(0x22));
  EXPECT_EQ(state.cpl, 0);
}

TEST_F(SoftwareInterrupts, VmeBitmapBeyondTheTssFaults) {
  enter_v86(0);
  state.cr4 |= guest::cr4::kVme;
  redirect_only(0x21);
  state.tr.limit = 0x68;
  EXPECT_TRUE(faults_with(interrupt(0x21), general_protection(0)));
}

}  // namespace
}  // namespace ringshift::translator
