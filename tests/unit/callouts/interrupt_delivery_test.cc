// tests/unit/callouts/interrupt_delivery_test.cc - exceptions and interrupts to their handlers.
#include "translator/callouts/interrupt_delivery.h"

#include "tests/unit/callouts/fixture.h"

namespace ringshift::translator {
namespace {

using guest::Activity;
using guest::fault;
using guest::general_protection;
using guest::page_fault;
using guest::Seg;
using guest::Vector;
using namespace guest::flags;

class InterruptDelivery : public CalloutTest {
 protected:
  void external(std::uint8_t vector) { deliver_interrupt(core, vector, EventKind::kExternal); }
  void expect_handler(Vector vector) {
    EXPECT_EQ(state.rip, handler(static_cast<unsigned>(vector)));
    EXPECT_EQ(state.activity, Activity::kRunning);
  }
};

TEST_F(InterruptDelivery, RealModePushesThreeWordsAndNoErrorCode) {
  store<std::uint32_t>(13 * 4, 0x30000010);
  state.rflags |= kTf | kAc;
  deliver_fault(core, general_protection(0));
  EXPECT_EQ(cs().base, 0x30000u);
  EXPECT_EQ(state.rip, 0x10u);
  EXPECT_EQ(rsp(), 0x7ffau);
  EXPECT_EQ(load16(kStack + 0x7ffe), kFixed1 | kIf | kTf);
  EXPECT_EQ(load16(kStack + 0x7ffc), kCode >> 4);
  EXPECT_EQ(load16(kStack + 0x7ffa), 0x100);
  EXPECT_EQ(state.rflags & (kIf | kTf | kAc), 0u);
}

TEST_F(InterruptDelivery, RealModeWithoutATableShutsDown) {
  state.idtr.limit = 0;
  deliver_fault(core, general_protection(0));
  EXPECT_EQ(state.activity, Activity::kShutdown);
  EXPECT_EQ(platform.triple_faults, 1);
}

TEST_F(InterruptDelivery, RealModeDoubleFaultUsesVector8) {
  store<std::uint32_t>(8 * 4, 0x30000080);
  state.idtr.limit = 13 * 4 - 1;  // #GP has no entry, #DF has
  deliver_fault(core, general_protection(0));
  EXPECT_EQ(state.rip, 0x80u);
  EXPECT_EQ(state.activity, Activity::kRunning);
}

TEST_F(InterruptDelivery, SameRingPushesFlagsCsEipAndErrorCode) {
  enter_protected32();
  write_idt_all(kInterruptGate32, kCode32);
  state.rflags |= kTf | kNt;
  deliver_fault(core, general_protection(0x1234));
  expect_handler(Vector::kGeneralProtection);
  EXPECT_EQ(rsp(), kStack - 16);
  EXPECT_EQ(load32(kStack - 4), kFixed1 | kIf | kTf | kNt | kRf) << "faults push RF set";
  EXPECT_EQ(load32(kStack - 8), kCode32);
  EXPECT_EQ(load32(kStack - 12), kCode);
  EXPECT_EQ(load32(kStack - 16), 0x1234u);
  EXPECT_EQ(state.rflags & (kIf | kTf | kNt | kRf), 0u);
}

TEST_F(InterruptDelivery, TrapGatesKeepIf) {
  enter_protected32();
  write_idt_all(kTrapGate32, kCode32);
  external(0x20);
  EXPECT_TRUE(state.rflags & kIf);
  EXPECT_EQ(load32(kStack - 4) & kRf, 0u);
}

TEST_F(InterruptDelivery, SixteenBitGatesPushWordsAndIgnoreTheUpperOffset) {
  enter_protected32();
  write_idt(14, gate(kInterruptGate16, kCode32, 0xffff4321));
  deliver_fault(core, page_fault(0xabcd, 2));
  EXPECT_EQ(state.rip, 0x4321u);
  EXPECT_EQ(rsp(), kStack - 8);
  EXPECT_EQ(load16(kStack - 8), 2);
  EXPECT_EQ(state.cr2, 0xabcdu);
}

TEST_F(InterruptDelivery, InnerRingTakesTheStackOfTheTss) {
  enter_protected32(3);
  write_idt_all(kInterruptGate32, kCode32);
  external(0x21);
  EXPECT_EQ(state.cpl, 0);
  EXPECT_EQ(ss().selector, kData32);
  EXPECT_EQ(rsp(), kRing0Stack - 20);
  EXPECT_EQ(load32(kRing0Stack - 4), kData32R3);
  EXPECT_EQ(load32(kRing0Stack - 8), kStack);
  EXPECT_EQ(load32(kRing0Stack - 16), kCode32R3);
}

TEST_F(InterruptDelivery, FromV86PushesAndForgetsTheSegments) {
  enter_v86(3);
  write_idt_all(kInterruptGate32, kCode32);
  state.segment(Seg::kFs).selector = 0x1111;
  state.segment(Seg::kGs).selector = 0x2222;
  external(0x21);
  EXPECT_EQ(state.rflags & kVm, 0u);
  EXPECT_EQ(state.cpl, 0);
  EXPECT_EQ(rsp(), kRing0Stack - 36);
  EXPECT_EQ(load32(kRing0Stack - 4), 0x2222u);
  EXPECT_EQ(load32(kRing0Stack - 8), 0x1111u);
  EXPECT_EQ(load32(kRing0Stack - 12), kData >> 4);  // DS
  EXPECT_EQ(load32(kRing0Stack - 16), kData >> 4);  // ES
  EXPECT_EQ(load32(kRing0Stack - 20), kStack >> 4);
  EXPECT_EQ(load32(kRing0Stack - 24), 0x8000u);
  EXPECT_TRUE(load32(kRing0Stack - 28) & kVm);
  EXPECT_EQ(load32(kRing0Stack - 32), kCode >> 4);
  EXPECT_EQ(load32(kRing0Stack - 36), 0x100u);
  EXPECT_EQ(state.segment(Seg::kDs).selector, 0);
  EXPECT_FALSE(state.segment(Seg::kDs).present());
}

TEST_F(InterruptDelivery, FromV86OnlyToNonconformingRing0) {
  enter_v86(3);
  write_idt_all(kInterruptGate32, kCode32);
  write_idt(0x21, gate(kInterruptGate32, kConforming32, 0x1000));
  external(0x21);
  expect_handler(Vector::kGeneralProtection);
  EXPECT_EQ(load32(rsp()), kConforming32 | 1u);
}

TEST_F(InterruptDelivery, LongModeAlignsTheStackAndPushesFiveItems) {
  enter_long();
  write_idt64_all(kInterruptGate32, kCode64);
  rsp() = kStack - 3;
  deliver_fault(core, page_fault(0xffff800000000000, 0));
  expect_handler(Vector::kPageFault);
  EXPECT_EQ(rsp(), kStack - 16 - 48);
  EXPECT_EQ(load64(kStack - 16 - 8), kData32);
  EXPECT_EQ(load64(kStack - 16 - 16), kStack - 3);
  EXPECT_EQ(load64(kStack - 16 - 24), kFixed1 | kIf | kRf);
  EXPECT_EQ(load64(kStack - 16 - 32), kCode64);
  EXPECT_EQ(load64(kStack - 16 - 40), kCode);
  EXPECT_EQ(load64(kStack - 16 - 48), 0u);
  EXPECT_EQ(ss().selector, kData32) << "SS stays without a change of ring";
  EXPECT_EQ(state.cr2, 0xffff800000000000u);
}

TEST_F(InterruptDelivery, LongModeInnerRingLoadsANullStackSegment) {
  enter_long(3);
  write_idt64_all(kInterruptGate32, kCode64);
  external(0x20);
  EXPECT_EQ(state.cpl, 0);
  EXPECT_EQ(ss().selector, 0);
  EXPECT_EQ(ss().dpl(), 0u);
  EXPECT_EQ(rsp(), kRing0Stack - 40);
}

TEST_F(InterruptDelivery, InterruptStackTableCountsInEveryRing) {
  enter_long();
  write_idt64_all(kInterruptGate32, kCode64);
  write_idt64(8, gate(kInterruptGate32, kCode64, handler(8), 0, 1), handler(8));
  deliver_fault(core, fault(Vector::kDoubleFault, 0));
  expect_handler(Vector::kDoubleFault);
  EXPECT_EQ(rsp(), kIstStack - 48);
  EXPECT_EQ(load64(kIstStack - 16), kStack);
  EXPECT_EQ(ss().selector, kData32) << "null only with a change of ring";
}

TEST_F(InterruptDelivery, CompatibilityModeEntersTheSameHandlers) {
  enter_compatibility(3);
  write_idt64_all(kTrapGate32, kCode64);
  external(0x20);
  EXPECT_TRUE(state.in_64bit_code());
  EXPECT_EQ(load64(kRing0Stack - 32), kCode32R3);
}

TEST_F(InterruptDelivery, LongModeGateChecks) {
  enter_long();
  write_idt64_all(kInterruptGate32, kCode64);
  write_idt64(0x20, gate(kInterruptGate16, kCode64, handler(0x20)), 0);
  external(0x20);
  expect_handler(Vector::kGeneralProtection);
  EXPECT_EQ(load64(rsp()), 0x20u * 8 + 2 + 1);
  write_idt64(0x20, gate(kInterruptGate32, kCode32, handler(0x20)), 0);
  external(0x20);
  EXPECT_EQ(load64(rsp()), kCode32 | 1u);
  write_idt64(0x20, gate(kInterruptGate32, kCode64, 0), 0x8000ull << 32);
  external(0x20);
  EXPECT_EQ(load64(rsp()), 1u) << "non-canonical entry";
}

TEST_F(InterruptDelivery, ErrorCodesNameTheIdtAndTheExternalEvent) {
  enter_protected32();
  write_idt_all(kInterruptGate32, kCode32);
  write_idt(0x20, gate(kInterruptGate32, kCode32, 0) & ~(1ull << 47));
  external(0x20);
  expect_handler(Vector::kSegmentNotPresent);
  EXPECT_EQ(load32(rsp()), 0x20u * 8 + 3);
  external(0x80);  // beyond the limit
  expect_handler(Vector::kGeneralProtection);
  EXPECT_EQ(load32(rsp()), 0x80u * 8 + 3);
}

// SDM Vol. 3 "Interrupt 8 - Double Fault Exception (#DF)": each pair of classes.
TEST_F(InterruptDelivery, DoubleFaultTable) {
  const std::uint64_t absent = ~(std::uint64_t{1} << 47);
  const auto deliver_with_absent_gate = [&](const guest::GuestFault& first) {
    enter_protected32();
    write_idt_all(kInterruptGate32, kCode32);
    const auto v = static_cast<unsigned>(first.vector);
    write_idt(v, gate(kInterruptGate32, kCode32, 0) & absent);  // second: #NP, contributory
    deliver_fault(core, first);
  };
  deliver_with_absent_gate(guest::invalid_opcode());
  expect_handler(Vector::kSegmentNotPresent);
  deliver_with_absent_gate(general_protection(0));
  expect_handler(Vector::kDoubleFault);
  EXPECT_EQ(load32(rsp()), 0u);
  deliver_with_absent_gate(page_fault(0, 0));
  expect_handler(Vector::kDoubleFault);
  deliver_with_absent_gate(fault(Vector::kDoubleFault, 0));
  EXPECT_EQ(state.activity, Activity::kShutdown);
  EXPECT_EQ(platform.triple_faults, 1);
}

TEST_F(InterruptDelivery, PageFaultDuringContributoryIsDeliveredAlone) {
  enter_long();
  write_idt64_all(kInterruptGate32, kCode64);
  write_idt64(13, gate(kInterruptGate32, kCode64, handler(13), 0, 2), handler(13));
  store<std::uint64_t>(kTss + 36 + 8, 0x40000000);  // IST2 is not mapped
  deliver_fault(core, general_protection(0));
  expect_handler(Vector::kPageFault);
  EXPECT_EQ(state.cr2, 0x40000000u - 8);
  EXPECT_EQ(load64(rsp()), 2u) << "the error code is the page fault's own";
  write_idt64(14, gate(kInterruptGate32, kCode64, handler(14), 0, 2), handler(14));
  deliver_fault(core, general_protection(0));
  expect_handler(Vector::kDoubleFault);
  state.cr2 = 0;
  deliver_fault(core, page_fault(0x1234, 0));
  expect_handler(Vector::kDoubleFault);
  EXPECT_EQ(state.cr2, 0x40000000u - 8) << "CR2 is the second page fault's";
}

TEST_F(InterruptDelivery, FailedDeliveryLeavesTheStateForTheNext) {
  enter_protected32(3);
  write_idt_all(kInterruptGate32, kCode32);
  write_idt(0x20, gate(kInterruptGate32, kNotPresentCode, 0));
  external(0x20);
  expect_handler(Vector::kSegmentNotPresent);
  EXPECT_EQ(load32(kRing0Stack - 8), kStack);
  EXPECT_EQ(load32(kRing0Stack - 20), kCode);
  EXPECT_EQ(load32(kRing0Stack - 24), kNotPresentCode | 1u);
}

TEST_F(InterruptDelivery, DebugExceptionRecordsItsCauses) {
  enter_protected32();
  write_idt_all(kInterruptGate32, kCode32);
  state.dr[6] = 0xffff0ff0 | 3;
  state.dr[7] |= 1u << 13;
  state.rflags |= kTf;
  deliver_fault(core, {Vector::kDebug, false, 0, 1u << 14});
  expect_handler(Vector::kDebug);
  EXPECT_EQ(state.dr[6], 0xffff0ff0u | 1u << 14);
  EXPECT_EQ(state.dr[7] & 1u << 13, 0u) << "GD is cleared";
  EXPECT_EQ(load32(kStack - 4) & kRf, 0u) << "#DB leaves RF as it is";
}

TEST_F(InterruptDelivery, InterruptsWakeAndNmiBlocksNmi) {
  enter_protected32();
  write_idt_all(kInterruptGate32, kCode32);
  state.activity = Activity::kHalted;
  state.interrupt_shadow = true;
  external(2);
  EXPECT_EQ(state.activity, Activity::kRunning);
  EXPECT_TRUE(state.nmi_blocked);
  EXPECT_FALSE(state.interrupt_shadow);
}

TEST_F(InterruptDelivery, RepeatedBenignFaultsEnd) {
  enter_protected32(3);
  write_idt_all(kInterruptGate32, kCode32R3, 3);  // handlers in ring 3, on the misaligned stack
  state.cr0 |= guest::cr0::kAm;
  state.rflags |= kAc;
  rsp() = kStack - 1;
  deliver_fault(core, fault(Vector::kAlignmentCheck, 0));
  EXPECT_EQ(state.activity, Activity::kShutdown);
}

TEST_F(InterruptDelivery, PushesToAnInnerStackAreSupervisorAccesses) {
  enter_long(3);
  write_idt64_all(kInterruptGate32, kCode64);
  store<std::uint64_t>(kPd, 0x83);  // all of it supervisor-only
  mmu.flush_all(false);
  external(0x20);
  expect_handler(static_cast<Vector>(0x20));
}

}  // namespace
}  // namespace ringshift::translator
