// tests/unit/callouts/control_registers_test.cc - MOV CR, CLTS, LMSW, SMSW: illegal values, mode
// switches, and what each write drops from the MMU.
#include "translator/callouts/control_registers.h"

#include "tests/unit/callouts/fixture.h"

namespace ringshift::translator {
namespace {

namespace cr0 = guest::cr0;
namespace cr4 = guest::cr4;
namespace efer = guest::efer;
using guest::Gpr;
using guest::Seg;

class ControlRegisters : public CalloutTest {
 protected:
  Result write(unsigned number, std::uint64_t value) {
    Operation op = operation(state.in_64bit_code() ? 8 : 4);
    op.reg = static_cast<std::uint8_t>(number);
    op.rm = static_cast<std::uint8_t>(Gpr::kRbx);
    state.reg(Gpr::kRbx) = value;
    return mov_to_control(core, op);
  }
  std::uint64_t read(unsigned number) {
    Operation op = operation(state.in_64bit_code() ? 8 : 4);
    op.reg = static_cast<std::uint8_t>(number);
    op.rm = static_cast<std::uint8_t>(Gpr::kRcx);
    state.reg(Gpr::kRcx) = ~0ull;
    EXPECT_TRUE(mov_from_control(core, op));
    return state.reg(Gpr::kRcx);
  }
  std::uint64_t full_flushes() const { return mmu.counters().full_flushes; }
  // 32-bit protected mode with PAE paging through page directory pointers at kPdpt.
  void enter_pae() {
    enter_protected32();
    store<std::uint64_t>(kPdpt, kPd | 1);
    for (unsigned i = 1; i < 4; ++i) store<std::uint64_t>(kPdpt + 8 * i, 0);
    ASSERT_TRUE(write(4, cr4::kPae));
    ASSERT_TRUE(write(3, kPdpt));
    ASSERT_TRUE(write(0, state.cr0 | cr0::kPg));
  }
  const guest::GuestFault gp0 = guest::general_protection();
};

TEST_F(ControlRegisters, Cr0RefusesImpossibleCombinations) {
  enter_protected32();
  const std::uint64_t before = state.cr0;
  EXPECT_TRUE(faults_with(write(0, cr0::kPg), gp0)) << "paging without protection";
  EXPECT_TRUE(faults_with(write(0, cr0::kPe | cr0::kNw), gp0)) << "NW without CD";
  EXPECT_EQ(state.cr0, before);
  EXPECT_TRUE(write(0, cr0::kPe | cr0::kNw | cr0::kCd));
}

TEST_F(ControlRegisters, Cr0ReservedBitsAreIgnoredButTheUpperHalfIsNot) {
  enter_long();
  EXPECT_TRUE(faults_with(write(0, state.cr0 | 1ull << 32), gp0));
  EXPECT_TRUE(write(0, state.cr0 | 1u << 6 | 1u << 28));
  EXPECT_EQ(state.cr0 & (1u << 6 | 1u << 28), 0u);
  EXPECT_TRUE(write(0, state.cr0 & ~cr0::kEt));
  EXPECT_TRUE(state.cr0 & cr0::kEt) << "ET is hardwired";
}

TEST_F(ControlRegisters, LongModeIsActivatedByPaging) {
  enter_protected32();
  state.msr.efer = efer::kLme;
  EXPECT_TRUE(faults_with(write(0, state.cr0 | cr0::kPg), gp0)) << "without PAE";
  ASSERT_TRUE(write(4, cr4::kPae));
  ASSERT_TRUE(write(3, kPml4));
  cs().attributes |= 0x2000;
  EXPECT_TRUE(faults_with(write(0, state.cr0 | cr0::kPg), gp0)) << "CS.L is set";
  cs().attributes &= ~0x2000;
  state.tr.attributes = 0x83;
  EXPECT_TRUE(faults_with(write(0, state.cr0 | cr0::kPg), gp0)) << "16-bit TSS in TR";
  state.tr.attributes = 0x8b;
  EXPECT_FALSE(state.long_mode_active());
  ASSERT_TRUE(write(0, state.cr0 | cr0::kPg));
  EXPECT_TRUE(state.long_mode_active());
  ASSERT_TRUE(write(0, state.cr0 & ~cr0::kPg)) << "from compatibility mode";
  EXPECT_FALSE(state.long_mode_active());
}

TEST_F(ControlRegisters, LongModeCannotBeLeftFromSixtyFourBitCode) {
  enter_long();
  EXPECT_TRUE(faults_with(write(0, state.cr0 & ~cr0::kPg), gp0));
  EXPECT_TRUE(faults_with(write(4, state.cr4 & ~cr4::kPae), gp0));
  enter_compatibility();
  state.cr4 |= cr4::kPcide;
  EXPECT_TRUE(faults_with(write(0, state.cr0 & ~cr0::kPg), gp0)) << "PCIDs are on";
}

TEST_F(ControlRegisters, LeavingProtectedModeMakesCplZero) {
  enter_protected32();
  ASSERT_TRUE(write(0, cr0::kEt));
  EXPECT_FALSE(state.protected_mode());
  EXPECT_EQ(state.cpl, 0);
}

TEST_F(ControlRegisters, PaeLoadsItsFourPointers) {
  enter_pae();
  EXPECT_EQ(state.pdpte[0], kPd | 1);
  // Changing the table is not seen before CR3 is written.
  store<std::uint64_t>(kPdpt + 8, 0x5001);
  EXPECT_EQ(state.pdpte[1], 0u);
  ASSERT_TRUE(write(3, kPdpt));
  EXPECT_EQ(state.pdpte[1], 0x5001u);
}

TEST_F(ControlRegisters, ReservedBitsInPdptesRefuseTheWrite) {
  enter_pae();
  const auto before = state.pdpte;
  store<std::uint64_t>(kPdpt + 16, 0x5001 | 1u << 1);
  EXPECT_TRUE(faults_with(write(3, kPdpt), gp0));
  EXPECT_TRUE(faults_with(write(4, state.cr4 | cr4::kPge), gp0)) << "PGE reloads them too";
  EXPECT_FALSE(state.cr4 & cr4::kPge);
  EXPECT_EQ(state.pdpte, before);
  ASSERT_TRUE(write(4, state.cr4 | cr4::kDe)) << "DE does not";
}

TEST_F(ControlRegisters, Cr3ChecksAddressBitsInLongModeOnly) {
  enter_long();
  EXPECT_TRUE(faults_with(write(3, 1ull << 40), gp0));
  EXPECT_TRUE(faults_with(write(3, kPml4 | 1ull << 63), gp0)) << "bit 63 without PCIDs";
  ASSERT_TRUE(write(3, kPml4 | 0x18));
  EXPECT_EQ(read(3), kPml4 | 0x18);
}

TEST_F(ControlRegisters, PcidsNeedLongModeAndACleanCr3) {
  enter_protected32();
  EXPECT_TRUE(faults_with(write(4, cr4::kPcide), gp0));
  enter_long();
  state.cr3 = kPml4 | 0x18;
  EXPECT_TRUE(faults_with(write(4, state.cr4 | cr4::kPcide), gp0));
  state.cr3 = kPml4;
  EXPECT_TRUE(write(4, state.cr4 | cr4::kPcide));
}

// The observable effect of bit 63: what was cached under the PCID is still there.
TEST_F(ControlRegisters, Bit63KeepsThePcidsTranslations) {
  enter_long();
  ASSERT_TRUE(write(4, state.cr4 | cr4::kPcide));
  ASSERT_TRUE(write(3, kPml4 | 5));
  const std::uint64_t address = kData;
  const auto cached = [&] { return mmu.current().find_read({address}) != nullptr; };
  ASSERT_TRUE(mmu.load<std::uint8_t>({address}, mmu.data_access(softmmu::AccessKind::kRead)));
  ASSERT_TRUE(cached());
  ASSERT_TRUE(write(3, kPml4 | 6));
  EXPECT_FALSE(cached()) << "another address space";
  ASSERT_TRUE(write(3, kPml4 | 5 | 1ull << 63));
  EXPECT_EQ(state.cr3, kPml4 | 5) << "bit 63 is not stored";
  EXPECT_TRUE(cached());
  ASSERT_TRUE(write(3, kPml4 | 5));
  EXPECT_FALSE(cached());
}

TEST_F(ControlRegisters, Cr3WriteDropsTranslations) {
  enter_long();
  ASSERT_TRUE(mmu.load<std::uint8_t>({kData}, mmu.data_access(softmmu::AccessKind::kRead)));
  ASSERT_NE(mmu.current().find_read({kData}), nullptr);
  ASSERT_TRUE(write(3, kPml4));
  EXPECT_EQ(mmu.current().find_read({kData}), nullptr);
}

TEST_F(ControlRegisters, Cr4RefusesWhatTheModelLacks) {
  enter_long();
  EXPECT_TRUE(faults_with(write(4, state.cr4 | 1u << 13), gp0)) << "VMXE";
  EXPECT_TRUE(faults_with(write(4, state.cr4 | 1u << 12), gp0)) << "LA57";
  EXPECT_TRUE(faults_with(write(4, state.cr4 | 1ull << 40), gp0));
  EXPECT_TRUE(write(4, state.cr4 | cr4::kSmep | cr4::kSmap | cr4::kUmip | cr4::kFsgsbase));
}

TEST_F(ControlRegisters, TaskSwitchedCostsNoFlush) {
  enter_long();
  const auto before = full_flushes();
  ASSERT_TRUE(write(0, state.cr0 | cr0::kTs));
  ASSERT_TRUE(clts(core, operation(4)));
  EXPECT_FALSE(state.cr0 & cr0::kTs);
  ASSERT_TRUE(write(4, state.cr4 | cr4::kOsfxsr | cr4::kTsd));
  EXPECT_EQ(full_flushes(), before);
  ASSERT_TRUE(write(4, state.cr4 ^ cr4::kPge));
  EXPECT_GT(full_flushes(), before);
}

TEST_F(ControlRegisters, Cr8IsThePlatformsPriority) {
  enter_long();
  ASSERT_TRUE(write(8, 9));
  EXPECT_EQ(platform.priority, 9);
  EXPECT_EQ(read(8), 9u);
  EXPECT_TRUE(faults_with(write(8, 16), gp0));
  enter_protected32();
  EXPECT_TRUE(faults_with(write(8, 1), guest::invalid_opcode()));
}

TEST_F(ControlRegisters, OthersDoNotExist) {
  enter_long();
  for (unsigned n : {1u, 5u, 6u, 7u, 9u, 15u})
    EXPECT_TRUE(faults_with(write(n, 0), guest::invalid_opcode())) << n;
  ASSERT_TRUE(write(2, 0x123456789abc));
  EXPECT_EQ(read(2), 0x123456789abcu);
}

TEST_F(ControlRegisters, ReadsAreTruncatedOutsideLongMode) {
  enter_protected32();
  state.cr2 = 0x1'2345'6789;
  EXPECT_EQ(read(2), 0x23456789u);
}

TEST_F(ControlRegisters, LmswSetsPeButNeverClearsIt) {
  enter_real();
  Operation op = operation(2);
  op.rm = 0;
  state.reg(Gpr::kRax) = 0xfff1;
  const std::uint64_t upper = state.cr0 & ~0xfull;
  ASSERT_TRUE(lmsw(core, op));
  EXPECT_EQ(state.cr0, upper | 1);
  state.reg(Gpr::kRax) = 0xe;
  ASSERT_TRUE(lmsw(core, op));
  EXPECT_EQ(state.cr0 & 0xf, 0xfu) << "PE stays";
}

TEST_F(ControlRegisters, SmswShowsTheGuestsCr0) {
  enter_long();
  Operation op = operation(8);
  op.rm = 0;
  ASSERT_TRUE(smsw(core, op));
  EXPECT_EQ(state.reg(Gpr::kRax), state.cr0);
  op = operation(2);
  op.rm = 0;
  state.reg(Gpr::kRax) = ~0ull;
  ASSERT_TRUE(smsw(core, op));
  EXPECT_EQ(state.reg(Gpr::kRax), ~0xffffull | (state.cr0 & 0xffff));
  store<std::uint64_t>(kData, ~0ull);
  ASSERT_TRUE(smsw(core, memory_operation(8, kData)));
  EXPECT_EQ(load64(kData), ~0xffffull | (state.cr0 & 0xffff)) << "memory takes 16 bits";
}

TEST_F(ControlRegisters, UmipBarsSmswOutsideRing0) {
  enter_long(3);
  state.cr4 |= cr4::kUmip;
  Operation op = operation(8);
  op.rm = 0;
  EXPECT_TRUE(faults_with(smsw(core, op), gp0));
  state.cpl = 0;
  EXPECT_TRUE(smsw(core, op));
}

}  // namespace
}  // namespace ringshift::translator
