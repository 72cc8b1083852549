// tests/unit/callouts/flags_test.cc - PUSHF, POPF, CLI, STI, CLAC, STAC: what each mode and
// privilege shows and may change.
#include "translator/callouts/flags.h"

#include "tests/unit/callouts/fixture.h"

namespace ringshift::translator {
namespace {

namespace flags = guest::flags;
namespace cr4 = guest::cr4;
using guest::Gpr;

constexpr std::uint64_t kIopl3 = flags::kIopl;

class Flags : public CalloutTest {
 protected:
  Result push_flags(unsigned bytes) { return pushf(core, operation(bytes)); }
  Result pop_flags(unsigned bytes, std::uint64_t value) {
    rsp() -= bytes;
    store<std::uint64_t>(stack_address(), value);
    const auto result = popf(core, operation(bytes));
    if (!result) rsp() += bytes;
    return result;
  }
  std::uint64_t stack_address() {
    return ss().base + (state.stack_bytes() == 2 ? rsp() & 0xffff : rsp());
  }
  bool has(std::uint64_t bits) const { return (state.rflags & bits) == bits; }
  const guest::GuestFault gp0 = guest::general_protection();
  static constexpr std::uint64_t kAll = ~0ull;
};

TEST_F(Flags, PushfHidesVmAndRf) {
  enter_protected32();
  state.rflags |= flags::kRf | flags::kCf;
  ASSERT_TRUE(push_flags(4));
  EXPECT_EQ(load32(stack_address()), flags::kFixed1 | flags::kIf | flags::kCf);
  enter_long();
  state.rflags |= flags::kRf | flags::kAc;
  ASSERT_TRUE(push_flags(8));
  EXPECT_EQ(load64(stack_address()), flags::kFixed1 | flags::kIf | flags::kAc);
}

// Every flag a privilege may not change keeps its value, whatever the image says.
TEST_F(Flags, PopfByPrivilege) {
  struct Case {
    unsigned cpl, iopl;
    bool changes_if, changes_iopl;
  };
  for (const Case& c : {Case{0, 0, true, true}, Case{0, 3, true, true}, Case{3, 3, true, false},
                        Case{3, 0, false, false}, Case{1, 0, false, false}, Case{1, 1, true, false},
                        Case{2, 1, false, false}}) {
    enter_protected32();
    state.cpl = static_cast<std::uint8_t>(c.cpl);
    const std::uint64_t start = flags::kFixed1 | flags::kIf | c.iopl << flags::kIoplShift;
    const std::uint64_t other_iopl = std::uint64_t{c.iopl ^ 3} << flags::kIoplShift;
    state.rflags = start;
    ASSERT_TRUE(pop_flags(4, flags::kFixed1 | other_iopl | flags::kCf));
    EXPECT_EQ(!has(flags::kIf), c.changes_if) << c.cpl << c.iopl;
    EXPECT_EQ(state.iopl() != c.iopl, c.changes_iopl) << c.cpl << c.iopl;
    EXPECT_TRUE(has(flags::kCf));
  }
}

TEST_F(Flags, PopfNeverTouchesVmVifVipAndClearsRf) {
  enter_protected32();
  state.rflags = flags::kFixed1 | flags::kRf;
  ASSERT_TRUE(pop_flags(4, kAll));
  EXPECT_FALSE(state.rflags & (flags::kVm | flags::kVif | flags::kVip | flags::kRf));
  EXPECT_EQ(state.rflags, 0x247fd7u) << "everything that exists and may be set";
  state.rflags |= flags::kVif | flags::kVip;
  ASSERT_TRUE(pop_flags(4, 0));
  EXPECT_EQ(state.rflags, flags::kFixed1 | flags::kVif | flags::kVip);
}

TEST_F(Flags, SixteenBitPopfLeavesTheUpperHalf) {
  enter_protected32();
  state.rflags = flags::kFixed1 | flags::kAc | flags::kId;
  ASSERT_TRUE(pop_flags(2, 0));
  EXPECT_EQ(state.rflags, flags::kFixed1 | flags::kAc | flags::kId);
}

TEST_F(Flags, PopfThatFaultsLeavesEverything) {
  enter_real();
  rsp() = 0xffff;
  const auto before = state.rflags;
  EXPECT_TRUE(faults_with(popf(core, operation(2)), guest::stack_fault()));
  EXPECT_EQ(state.rflags, before);
  EXPECT_EQ(rsp(), 0xffffu);
}

TEST_F(Flags, V86BelowIopl3NeedsVme) {
  enter_v86(0);
  for (unsigned bytes : {2u, 4u}) {
    EXPECT_TRUE(faults_with(push_flags(bytes), gp0));
    EXPECT_TRUE(faults_with(pop_flags(bytes, 0), gp0));
  }
  EXPECT_TRUE(faults_with(cli(core, operation(2)), gp0));
  EXPECT_TRUE(faults_with(sti(core, operation(2)), gp0));
  state.cr4 |= cr4::kVme;
  EXPECT_TRUE(push_flags(2));
  EXPECT_TRUE(faults_with(push_flags(4), gp0)) << "the 32-bit forms fault even with VME";
  EXPECT_TRUE(faults_with(pop_flags(4, 0), gp0));
}

TEST_F(Flags, VmeShowsVifAsIfAndIopl3) {
  enter_v86(0);
  state.cr4 |= cr4::kVme;
  state.rflags &= ~flags::kVif;
  ASSERT_TRUE(push_flags(2));
  EXPECT_EQ(load16(stack_address()), flags::kFixed1 | kIopl3);
  state.rflags |= flags::kVif;
  ASSERT_TRUE(push_flags(2));
  EXPECT_EQ(load16(stack_address()), flags::kFixed1 | kIopl3 | flags::kIf);
}

TEST_F(Flags, VmePopfMovesIfToVif) {
  enter_v86(0);
  state.cr4 |= cr4::kVme;
  ASSERT_TRUE(pop_flags(2, flags::kIf | flags::kCf | kIopl3));
  EXPECT_TRUE(has(flags::kVif | flags::kCf | flags::kVm | flags::kIf));
  EXPECT_EQ(state.iopl(), 0u);
  ASSERT_TRUE(pop_flags(2, 0));
  EXPECT_FALSE(has(flags::kVif));
  EXPECT_TRUE(has(flags::kIf)) << "the real flag is not the guest task's";
  const auto sp = rsp();
  EXPECT_TRUE(faults_with(pop_flags(2, flags::kTf), gp0));
  state.rflags |= flags::kVip;
  EXPECT_TRUE(faults_with(pop_flags(2, flags::kIf), gp0)) << "an interrupt is pending";
  EXPECT_EQ(rsp(), sp);
  EXPECT_TRUE(pop_flags(2, 0));
}

TEST_F(Flags, V86WithIopl3OwnsIf) {
  enter_v86(3);
  ASSERT_TRUE(cli(core, operation(2)));
  EXPECT_FALSE(has(flags::kIf));
  ASSERT_TRUE(sti(core, operation(2)));
  EXPECT_TRUE(has(flags::kIf));
  ASSERT_TRUE(pop_flags(4, 0));
  EXPECT_EQ(state.rflags, flags::kFixed1 | flags::kVm | kIopl3) << "IOPL and VM stay";
}

TEST_F(Flags, StiOpensAShadowOnlyWhenItEnables) {
  enter_protected32();
  state.rflags &= ~flags::kIf;
  ASSERT_TRUE(sti(core, operation(4)));
  EXPECT_TRUE(has(flags::kIf));
  EXPECT_TRUE(state.interrupt_shadow);
  state.interrupt_shadow = false;
  ASSERT_TRUE(sti(core, operation(4)));
  EXPECT_FALSE(state.interrupt_shadow);
  EXPECT_FALSE(state.debug_shadow);
}

TEST_F(Flags, CliAndStiFollowIopl) {
  enter_protected32(3);
  EXPECT_TRUE(faults_with(cli(core, operation(4)), gp0));
  EXPECT_TRUE(faults_with(sti(core, operation(4)), gp0));
  EXPECT_TRUE(has(flags::kIf));
  state.rflags |= kIopl3;
  ASSERT_TRUE(cli(core, operation(4)));
  EXPECT_FALSE(has(flags::kIf));
}

TEST_F(Flags, ProtectedModeVirtualInterrupts) {
  enter_protected32(3);
  state.cr4 |= cr4::kPvi;
  ASSERT_TRUE(sti(core, operation(4)));
  EXPECT_TRUE(has(flags::kVif | flags::kIf));
  EXPECT_FALSE(state.interrupt_shadow);
  ASSERT_TRUE(cli(core, operation(4)));
  EXPECT_FALSE(has(flags::kVif));
  EXPECT_TRUE(has(flags::kIf));
  state.rflags |= flags::kVip;
  EXPECT_TRUE(faults_with(sti(core, operation(4)), gp0));
  state.cpl = 2;
  EXPECT_TRUE(faults_with(cli(core, operation(4)), gp0)) << "CPL 3 only";
}

TEST_F(Flags, StacAndClac) {
  enter_long();
  ASSERT_TRUE(stac(core, operation(4)));
  EXPECT_TRUE(has(flags::kAc));
  ASSERT_TRUE(clac(core, operation(4)));
  EXPECT_FALSE(has(flags::kAc));
  enter_long(3);
  EXPECT_TRUE(faults_with(stac(core, operation(4)), guest::invalid_opcode()));
}

// With SMAP, user pages are reachable exactly while AC is set, and the view that translated code
// uses holds them only then.
TEST_F(Flags, AlignmentCheckOpensUserPagesToTheSupervisor) {
  enter_long();
  constexpr std::uint64_t kSupervisorAlias = 2 << 20;  // the same memory again, for POPF's stack
  store<std::uint64_t>(kPd + 8, 0x83);
  state.cr4 |= cr4::kSmap;
  mode_changed(core);
  const auto popf_with = [&](std::uint64_t image) {
    rsp() = kSupervisorAlias + kStack;
    store(kStack, image);
    return popf(core, operation(8));
  };
  const auto reaches = [&] { return mmu.host_address({kData}, 1, false).has_value(); };
  const auto in_view = [&] { return mmu.current().find_read({kData}) != nullptr; };
  EXPECT_FALSE(reaches());
  for (const bool by_popf : {false, true}) {
    ASSERT_TRUE(by_popf ? popf_with(flags::kAc) : stac(core, operation(4)));
    EXPECT_TRUE(reaches());
    EXPECT_TRUE(in_view());
    ASSERT_TRUE(by_popf ? popf_with(0) : clac(core, operation(4)));
    EXPECT_FALSE(in_view()) << by_popf;
    EXPECT_FALSE(reaches());
  }
}

}  // namespace
}  // namespace ringshift::translator
