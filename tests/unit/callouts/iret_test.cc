// tests/unit/callouts/iret_test.cc - IRET to every mode and ring, and which flags it may change.
#include "translator/callouts/iret.h"

#include <initializer_list>
#include <utility>

#include "tests/unit/callouts/fixture.h"

namespace ringshift::translator {
namespace {

using guest::general_protection;
using guest::Seg;
using namespace guest::flags;

class Iret : public CalloutTest {
 protected:
  template <typename T>
  void frame(std::initializer_list<T> items) {
    std::uint64_t at = ss().base + rsp();
    for (T item : items) store(std::exchange(at, at + sizeof(T)), item);
  }
  void frame16(std::initializer_list<std::uint16_t> items) { frame<std::uint16_t>(items); }
  void frame32(std::initializer_list<std::uint32_t> items) { frame<std::uint32_t>(items); }
  void frame64(std::initializer_list<std::uint64_t> items) { frame<std::uint64_t>(items); }
  Result run(unsigned bytes) { return iret(core, operation(bytes)); }

  static constexpr std::uint32_t kEverything = 0x3f7fd7;
};

TEST_F(Iret, RealMode) {
  state.nmi_blocked = true;
  frame16({0x1234, 0x3000, 0x7fd5});
  ASSERT_TRUE(run(2));
  EXPECT_EQ(cs().base, 0x30000u);
  EXPECT_EQ(state.rip, 0x1234u);
  EXPECT_EQ(state.rflags, 0x7fd7u);
  EXPECT_EQ(rsp(), 0x8006u);
  EXPECT_FALSE(state.nmi_blocked);
}

TEST_F(Iret, RealMode32LeavesVmVifAndVip) {
  frame32({0x1234, 0x3000, kEverything});
  ASSERT_TRUE(run(4));
  EXPECT_EQ(state.rflags, kEverything & ~(kVm | kVif | kVip));
}

TEST_F(Iret, SameRingFollowsCplAndIopl) {
  enter_protected32(3);
  state.rflags = kFixed1;
  frame32({0x1234, kCode32R3, kEverything & ~std::uint32_t{kNt}});
  ASSERT_TRUE(run(4));
  EXPECT_EQ(state.rflags, (kEverything & ~(kNt | kIf | kIopl | kVm | kVif | kVip)));
  EXPECT_EQ(rsp(), kStack + 12);
  enter_protected32(3);
  state.rflags = kFixed1 | kIopl;
  frame32({0x1234, kCode32R3, kIf | kIopl});
  ASSERT_TRUE(run(4));
  EXPECT_EQ(state.rflags, kFixed1 | kIopl | kIf) << "CPL 3 may change IF at IOPL 3";
  enter_protected32(0);
  frame32({0x1234, kCode32, static_cast<std::uint32_t>(kIopl | kVif | kVip | kId)});
  ASSERT_TRUE(run(4));
  EXPECT_EQ(state.rflags, kFixed1 | kIopl | kVif | kVip | kId);
}

TEST_F(Iret, SixteenBitOperandLeavesTheUpperFlags) {
  enter_protected32(0);
  state.rflags = kFixed1 | kAc | kId;
  frame16({0x1234, kCode32, kCf | kIopl});
  ASSERT_TRUE(run(2));
  EXPECT_EQ(state.rflags, kFixed1 | kAc | kId | kCf | kIopl);
}

TEST_F(Iret, OuterRingSwitchesStacksAndDropsSegments) {
  enter_protected32(0);
  frame32({0x1234, kCode32R3, kIf | kTf | kRf, 0x9000, kData32R3});
  ASSERT_TRUE(run(4));
  EXPECT_EQ(state.cpl, 3);
  EXPECT_EQ(ss().selector, kData32R3);
  EXPECT_EQ(rsp(), 0x9000u);
  EXPECT_EQ(state.rflags, kFixed1 | kIf | kTf | kRf) << "the flags follow the old CPL";
  EXPECT_EQ(state.segment(Seg::kDs).selector, 0);
}

TEST_F(Iret, ToV86) {
  enter_protected32(0);
  frame32({0x1234, 0x2000, static_cast<std::uint32_t>(kVm | kIf | kVif), 0x7000, 0x5000, 0x1001,
           0x1002, 0x1003, 0x1004});
  ASSERT_TRUE(run(4));
  EXPECT_TRUE(state.v86());
  EXPECT_EQ(state.cpl, 3);
  EXPECT_EQ(cs().base, 0x20000u);
  EXPECT_EQ(cs().attributes, 0xf3);
  EXPECT_EQ(ss().base, 0x50000u);
  EXPECT_EQ(rsp(), 0x7000u);
  EXPECT_EQ(state.segment(Seg::kEs).selector, 0x1001);
  EXPECT_EQ(state.segment(Seg::kDs).selector, 0x1002);
  EXPECT_EQ(state.segment(Seg::kFs).selector, 0x1003);
  EXPECT_EQ(state.segment(Seg::kGs).selector, 0x1004);
  EXPECT_TRUE(state.rflags & kVif);
}

TEST_F(Iret, ToV86ChecksEipAndChangesNothing) {
  enter_protected32(0);
  frame32({0x10000, 0x2000, kVm, 0x7000, 0x5000, 0, 0, 0, 0});
  EXPECT_TRUE(faults_with(run(4), general_protection(0)));
  EXPECT_FALSE(state.v86());
  EXPECT_EQ(rsp(), kStack);
}

TEST_F(Iret, VmIsIgnoredAboveRing0AndInLongMode) {
  enter_protected32(3);
  frame32({0x1234, kCode32R3, kVm});
  ASSERT_TRUE(run(4));
  EXPECT_FALSE(state.v86());
  enter_long(0);
  frame64({0x1234, kCode64, kVm, 0x9000, 0});
  ASSERT_TRUE(run(8));
  EXPECT_FALSE(state.v86());
}

TEST_F(Iret, V86NeedsIopl3WithoutVme) {
  enter_v86(0);
  frame16({0x1234, 0x3000, 0});
  EXPECT_TRUE(faults_with(run(2), general_protection(0)));
  enter_v86(3);
  frame16({0x1234, 0x3000, 0});
  ASSERT_TRUE(run(2));
  EXPECT_EQ(state.rflags, kFixed1 | kVm | kIopl) << "IOPL and VM stay";
  EXPECT_EQ(cs().base, 0x30000u);
}

TEST_F(Iret, VmeGivesIfToVif) {
  enter_v86(0);
  state.cr4 |= guest::cr4::kVme;
  state.rflags &= ~kIf;
  frame16({0x1234, 0x3000, kIf | kIopl});
  ASSERT_TRUE(run(2));
  EXPECT_EQ(state.rflags, kFixed1 | kVm | kVif);
  frame16({0x1234, 0x3000, 0});
  ASSERT_TRUE(run(2));
  EXPECT_EQ(state.rflags, kFixed1 | kVm);
  frame16({0x1234, 0x3000, kTf});
  EXPECT_TRUE(faults_with(run(2), general_protection(0)));
  state.rflags |= kVip;
  frame16({0x1234, 0x3000, kIf});
  EXPECT_TRUE(faults_with(run(2), general_protection(0)));
  frame32({0x1234, 0x3000, 0});
  EXPECT_TRUE(faults_with(run(4), general_protection(0))) << "16-bit operands only";
}

TEST_F(Iret, LongModeAlwaysPopsTheStack) {
  enter_long(0);
  frame64({0xffff800000001234, kCode64, kIf | kRf, 0x9008, 0});
  ASSERT_TRUE(run(8));
  EXPECT_EQ(state.rip, 0xffff800000001234u);
  EXPECT_EQ(rsp(), 0x9008u);
  EXPECT_EQ(ss().selector, 0) << "null is allowed in 64-bit ring 0";
  EXPECT_EQ(state.rflags, kFixed1 | kIf | kRf);
}

TEST_F(Iret, LongModeToRing3KeepsFsAndGsBases) {
  enter_long(0);
  state.segment(Seg::kFs) = segment(0, 0, 0x7000, 0);
  frame64({0x1234, kCode64R3, kIf, 0x9008, kData32R3});
  ASSERT_TRUE(run(8));
  EXPECT_EQ(state.cpl, 3);
  EXPECT_EQ(state.segment(Seg::kFs).base, 0x7000u);
}

TEST_F(Iret, LongModeToCompatibilityMode) {
  enter_long(0);
  frame64({0x1234, kCode32R3, kIf, 0x9008, kData32R3});
  ASSERT_TRUE(run(8));
  EXPECT_FALSE(state.in_64bit_code());
  EXPECT_EQ(state.stack_bytes(), 4u);
  EXPECT_EQ(rsp(), 0x9008u);
}

TEST_F(Iret, LongModeChecks) {
  enter_long(0);
  frame64({0x800000000000, kCode64R3, 0, 0x9008, kData32R3});
  EXPECT_TRUE(faults_with(run(8), general_protection(0))) << "non-canonical RIP";
  frame64({0x1234, kCode64R3, 0, 0x9008, 3});
  EXPECT_TRUE(faults_with(run(8), general_protection(0))) << "null SS for ring 3";
  frame64({0x1234, kCode64, 0, 0x9008, kData32R3});
  EXPECT_TRUE(faults_with(run(8), general_protection(kData32R3 & ~3u)));
  state.rflags |= kNt;
  EXPECT_TRUE(faults_with(run(8), general_protection(0))) << "no nested tasks";
  EXPECT_EQ(state.cpl, 0);
  EXPECT_EQ(rsp(), kStack);
}

TEST_F(Iret, UnblocksNmiEvenWhenItFaults) {
  enter_protected32(0);
  state.nmi_blocked = true;
  frame32({0, 0, 0});
  EXPECT_TRUE(faults_with(run(4), general_protection(0)));
  EXPECT_FALSE(state.nmi_blocked);
}

TEST_F(Iret, SixteenBitStackSegmentKeepsTheUpperHalfOfEsp) {
  enter_protected32(0);
  write_gdt(kFirstFree, descriptor(0, 0xffff, 0x00f2));
  frame32({0x1234, kCode32R3, 0, 0x9000, kFirstFree | 3});
  ASSERT_TRUE(run(4));
  EXPECT_EQ(rsp(), (kStack & 0xffff0000) | 0x9000);
}

}  // namespace
}  // namespace ringshift::translator
