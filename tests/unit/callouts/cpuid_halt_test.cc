// tests/unit/callouts/cpuid_halt_test.cc - CPUID's registers and its APIC bit; HLT; absent
// instructions; the traits of the system rows.
#include <algorithm>

#include "tests/unit/callouts/fixture.h"
#include "translator/callouts/system_rows.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;

class CpuidAndHalt : public CalloutTest {
 protected:
  std::uint32_t edx_of(std::uint32_t leaf) {
    state.reg(Gpr::kRax) = leaf;
    state.reg(Gpr::kRcx) = 0;
    EXPECT_TRUE(cpuid(core, operation(4)));
    return static_cast<std::uint32_t>(state.reg(Gpr::kRdx));
  }
};

TEST_F(CpuidAndHalt, CpuidFillsFourRegistersZeroExtended) {
  enter_long();
  state.reg(Gpr::kRax) = 0xffffffff'00000007;
  state.reg(Gpr::kRcx) = 0xffffffff'00000000;
  state.reg(Gpr::kRbx) = state.reg(Gpr::kRdx) = ~0ull;
  ASSERT_TRUE(cpuid(core, operation(4)));
  const auto expected = model.cpuid(7, 0, state, 0);
  EXPECT_EQ(state.reg(Gpr::kRax), expected.eax);
  EXPECT_EQ(state.reg(Gpr::kRbx), expected.ebx);
  EXPECT_EQ(state.reg(Gpr::kRcx), expected.ecx);
  EXPECT_EQ(state.reg(Gpr::kRdx), expected.edx);
}

TEST_F(CpuidAndHalt, ADisabledApicIsHidden) {
  constexpr std::uint32_t kApic = 1u << 9;
  EXPECT_TRUE(edx_of(1) & kApic);
  platform.apic_msrs[0x1b] = 0xfee00000;
  EXPECT_FALSE(edx_of(1) & kApic);
  EXPECT_FALSE(edx_of(0x80000001) & kApic);
}

TEST_F(CpuidAndHalt, HltStopsAfterItself) {
  enter_protected32();
  Operation op = operation(4);
  op.length = 1;
  const auto result = hlt(core, op);
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, Next::kJump);
  EXPECT_EQ(state.rip, kCode + 1);
  EXPECT_EQ(state.activity, guest::Activity::kHalted);
}

TEST_F(CpuidAndHalt, HltAtTheTopOfAddressSpaceWraps) {
  enter_protected32();
  state.rip = 0xffffffff;
  Operation op = operation(4);
  op.length = 1;
  ASSERT_TRUE(hlt(core, op));
  EXPECT_EQ(state.rip, 0u);
}

TEST_F(CpuidAndHalt, AbsentInstructionsAreUndefined) {
  EXPECT_TRUE(faults_with(absent_instruction(core, operation(4)), guest::invalid_opcode()));
}

TEST_F(CpuidAndHalt, SerializeFollowsCpuid) {
  const auto result = serialize(core, operation(4));
  EXPECT_EQ(result.has_value(), model.has(guest::feature::kSerialize));
}

// A system instruction without its privilege check would be an open door.
TEST(SystemRows, PrivilegedInstructionsSayRing0) {
  for (const Row& row : kControlRows) EXPECT_TRUE(has(row.traits, Trait::kRing0)) << row.manual;
  static constexpr ZydisMnemonic kPrivileged[] = {
      ZYDIS_MNEMONIC_CLTS,   ZYDIS_MNEMONIC_LMSW,   ZYDIS_MNEMONIC_LGDT,   ZYDIS_MNEMONIC_LIDT,
      ZYDIS_MNEMONIC_LLDT,   ZYDIS_MNEMONIC_LTR,    ZYDIS_MNEMONIC_INVLPG, ZYDIS_MNEMONIC_INVPCID,
      ZYDIS_MNEMONIC_INVD,   ZYDIS_MNEMONIC_WBINVD, ZYDIS_MNEMONIC_RDMSR,  ZYDIS_MNEMONIC_WRMSR,
      ZYDIS_MNEMONIC_SWAPGS, ZYDIS_MNEMONIC_HLT};
  for (const Row& row : kSystemRows) {
    const bool privileged = std::ranges::find(kPrivileged, row.mnemonic) != std::end(kPrivileged);
    EXPECT_EQ(has(row.traits, Trait::kRing0), privileged) << row.manual;
  }
}

TEST(SystemRows, NoMnemonicTwice) {
  for (const Row& a : kSystemRows)
    EXPECT_EQ(std::ranges::count(kSystemRows, a.mnemonic, &Row::mnemonic), 1) << a.manual;
}

}  // namespace
}  // namespace ringshift::translator
