// tests/unit/callouts/msr_test.cc - RDMSR, WRMSR and the counters: what can be stored where, what
// is refused, and what the vendors' parts have.
#include "translator/callouts/msr.h"

#include "tests/unit/callouts/fixture.h"

namespace ringshift::translator {
namespace {

using guest::CpuModel;
using guest::Gpr;

constexpr std::uint64_t kNonCanonical = 0xaaaaaaaaaaaaaaaa, kKernelAddress = 0xffff800012345678;

class ModelSpecificRegisters : public CalloutTest {
 protected:
  ModelSpecificRegisters()
      : amd(CpuModel::create("qemu64").value()), intel(CpuModel::create("core2duo").value()) {
    enter_long();
  }
  bool write(std::uint32_t index, std::uint64_t value) { return write_msr(core, index, value); }
  std::uint64_t read(std::uint32_t index) {
    const auto value = read_msr(core, index);
    EXPECT_TRUE(value) << std::hex << index;
    return value.value_or(0xbad);
  }
  bool exists(std::uint32_t index) { return read_msr(core, index).has_value(); }
  void expect_holds(std::uint32_t index, std::uint64_t value) {
    EXPECT_TRUE(write(index, value)) << std::hex << index;
    EXPECT_EQ(read(index), value) << std::hex << index;
  }
  Core with(const CpuModel& other) { return {state, mmu, *memory, other, platform}; }

  CpuModel amd, intel;
};

TEST_F(ModelSpecificRegisters, InstructionsSplitTheValue) {
  state.reg(Gpr::kRcx) = 0xffffffff'c0000102;
  state.reg(Gpr::kRax) = 0xeeeeeeee'12345678;
  state.reg(Gpr::kRdx) = 0xdddddddd'ffff8000;
  ASSERT_TRUE(wrmsr(core, operation(4)));
  EXPECT_EQ(state.msr.kernel_gs_base, kKernelAddress);
  ASSERT_TRUE(rdmsr(core, operation(4)));
  EXPECT_EQ(state.reg(Gpr::kRax), 0x12345678u);
  EXPECT_EQ(state.reg(Gpr::kRdx), 0xffff8000u);
}

TEST_F(ModelSpecificRegisters, UnknownOnesFault) {
  for (const std::uint32_t index : {0x12345u, 0x48u, 0x49u, 0xda0u, 0x480u, 0x6a0u, 0x4b564d02u,
                                    0x40000000u, 0xc0010114u, 0xffffffffu}) {
    state.reg(Gpr::kRcx) = index;
    state.reg(Gpr::kRax) = state.reg(Gpr::kRdx) = 0;
    EXPECT_TRUE(faults_with(rdmsr(core, operation(4)), guest::general_protection())) << index;
    EXPECT_TRUE(faults_with(wrmsr(core, operation(4)), guest::general_protection())) << index;
  }
}

TEST_F(ModelSpecificRegisters, AddressesMustBeCanonical) {
  for (const std::uint32_t index :
       {0x175u, 0x176u, 0xc0000082u, 0xc0000083u, 0xc0000100u, 0xc0000101u, 0xc0000102u}) {
    expect_holds(index, kKernelAddress);
    EXPECT_FALSE(write(index, kNonCanonical)) << std::hex << index;
    EXPECT_EQ(read(index), kKernelAddress);
  }
  EXPECT_EQ(state.segment(guest::Seg::kGs).base, kKernelAddress);
}

TEST_F(ModelSpecificRegisters, SystemCallSetup) {
  expect_holds(0xc0000081, 0x0023001000000000);
  expect_holds(0xc0000084, 0xffffffff);
  expect_holds(0x174, 0x1234);
}

TEST_F(ModelSpecificRegisters, EferRules) {
  namespace efer = guest::efer;
  const std::uint64_t before = state.msr.efer;
  EXPECT_FALSE(write(0xc0000080, before | 1u << 12)) << "SVME";
  EXPECT_FALSE(write(0xc0000080, before & ~efer::kLme)) << "LME while paging is on";
  EXPECT_TRUE(write(0xc0000080, before & ~efer::kLma)) << "LMA is not software's";
  EXPECT_EQ(state.msr.efer, before);
  expect_holds(0xc0000080, before & ~efer::kSce);
  enter_protected32();
  expect_holds(0xc0000080, efer::kLme | efer::kNxe);
  EXPECT_FALSE(state.long_mode_active());
}

TEST_F(ModelSpecificRegisters, ThirtyTwoBitModelsHaveNoLongModeRegisters) {
  const CpuModel old = CpuModel::create("pentium3").value();
  Core pentium = with(old);
  for (const std::uint32_t index :
       {0xc0000080u, 0xc0000082u, 0xc0000084u, 0xc0000100u, 0xc0000102u, 0xc0000103u}) {
    EXPECT_FALSE(read_msr(pentium, index)) << std::hex << index;
    EXPECT_FALSE(write_msr(pentium, index, 0)) << std::hex << index;
  }
  EXPECT_TRUE(read_msr(pentium, 0x174));
}

TEST_F(ModelSpecificRegisters, TimeStampCounterRunsAndCanBeSet) {
  const std::uint64_t first = read(0x10);
  EXPECT_GT(read(0x10), first);
  ASSERT_TRUE(write(0x10, 1000));
  EXPECT_LT(read(0x10), 10'000'000'000u);
  EXPECT_GE(read(0x10), 1000u);
}

TEST_F(ModelSpecificRegisters, TscAdjustFollowsTheCounterAndMovesIt) {
  EXPECT_EQ(read(0x3b), 0u);
  const std::uint64_t offset = state.msr.tsc_offset;
  ASSERT_TRUE(write(0x3b, 1'000'000'000'000));
  EXPECT_EQ(state.msr.tsc_offset - offset, 1'000'000'000'000u);
  ASSERT_TRUE(write(0x10, 0));
  EXPECT_EQ(state.msr.tsc_adjust,
            1'000'000'000'000 + (state.msr.tsc_offset - offset - 1'000'000'000'000));
  ASSERT_TRUE(write(0x3b, 0));
  EXPECT_EQ(state.msr.tsc_offset, offset) << "removing the adjustment restores the counter";
}

// A TSC deadline is armed again for the counter's new value.
TEST_F(ModelSpecificRegisters, TheBoardHearsOfACounterThatMoved) {
  ASSERT_TRUE(write(0x10, 5));
  EXPECT_EQ(platform.tsc_changes, 1);
  ASSERT_TRUE(write(0x3b, 5));
  EXPECT_EQ(platform.tsc_changes, 2);
}

TEST_F(ModelSpecificRegisters, RdtscAndTsd) {
  ASSERT_TRUE(write(0x10, 0x5'0000'0000));
  state.reg(Gpr::kRax) = state.reg(Gpr::kRdx) = ~0ull;
  ASSERT_TRUE(rdtsc(core, operation(4)));
  EXPECT_EQ(state.reg(Gpr::kRdx), 5u);
  EXPECT_EQ(state.reg(Gpr::kRax) >> 32, 0u);
  state.cr4 |= guest::cr4::kTsd;
  EXPECT_TRUE(rdtsc(core, operation(4)));
  state.cpl = 3;
  EXPECT_TRUE(faults_with(rdtsc(core, operation(4)), guest::general_protection()));
  EXPECT_TRUE(faults_with(rdtscp(core, operation(4)), guest::general_protection()));
}

TEST_F(ModelSpecificRegisters, TscAuxIsWhatRdtscpAndRdpidShow) {
  ASSERT_TRUE(write(0xc0000103, 0x12345));
  ASSERT_TRUE(rdtscp(core, operation(4)));
  EXPECT_EQ(state.reg(Gpr::kRcx), 0x12345u);
  Operation op = operation(8);
  op.rm = static_cast<std::uint8_t>(Gpr::kRbx);
  state.reg(Gpr::kRbx) = ~0ull;
  ASSERT_TRUE(rdpid(core, op));
  EXPECT_EQ(state.reg(Gpr::kRbx), 0x12345u);
  Core plain = with(amd);
  EXPECT_TRUE(faults_with(rdpid(plain, op), guest::invalid_opcode()));
  EXPECT_TRUE(faults_with(rdtscp(plain, op), guest::invalid_opcode()));
}

TEST_F(ModelSpecificRegisters, NoPerformanceCounters) {
  state.reg(Gpr::kRcx) = 0;
  EXPECT_TRUE(faults_with(rdpmc(core, operation(4)), guest::general_protection()));
}

TEST_F(ModelSpecificRegisters, PatTypes) {
  expect_holds(0x277, 0x0007040600070406);
  expect_holds(0x277, 0x0706050401000607);
  for (const std::uint64_t bad : {2, 3, 8, 0xff}) {
    EXPECT_FALSE(write(0x277, bad));
    EXPECT_FALSE(write(0x277, bad << 56));
  }
}

TEST_F(ModelSpecificRegisters, MtrrValidity) {
  EXPECT_EQ(read(0xfe), 0x508u);
  EXPECT_FALSE(write(0xfe, 0x508));
  expect_holds(0x2ff, 0xc06);
  EXPECT_FALSE(write(0x2ff, 0xc02)) << "type 2 is reserved";
  EXPECT_FALSE(write(0x2ff, 0x1c06));
  expect_holds(0x200, 0xc0000000);
  EXPECT_FALSE(write(0x200, 0xc0000007)) << "UC- exists in the PAT only";
  EXPECT_FALSE(write(0x200, 1ull << 40)) << "beyond the physical address";
  expect_holds(0x201, 0xffc0000800);
  EXPECT_FALSE(write(0x201, 0xffc0000801));
  expect_holds(0x250, 0x0606060606060606);
  expect_holds(0x259, 0);
  expect_holds(0x26f, 0x0505050505050505);
  EXPECT_FALSE(write(0x268, 0x0707070707070707));
  EXPECT_FALSE(exists(0x210)) << "eight ranges";
  EXPECT_FALSE(exists(0x251));
}

TEST_F(ModelSpecificRegisters, MachineCheckBanks) {
  const std::uint64_t cap = read(0x179);
  const auto banks = static_cast<std::uint32_t>(cap & 0xff);
  ASSERT_EQ(banks, guest::kMachineCheckBanks);
  EXPECT_FALSE(write(0x179, cap));
  for (std::uint32_t bank = 0; bank < banks; ++bank) {
    const std::uint32_t first = 0x400 + 4 * bank;
    expect_holds(first, 0);
    expect_holds(first, ~0ull);
    EXPECT_FALSE(write(first, kNonCanonical));
    expect_holds(first + 1, 0);
    EXPECT_FALSE(write(first + 1, 1));
    expect_holds(first + 2, kNonCanonical);
    expect_holds(first + 3, ~0ull);
  }
  for (std::uint32_t index = 0x400 + 4 * banks; index < 0x480; ++index) {
    EXPECT_FALSE(exists(index));
    EXPECT_FALSE(write(index, 0));
  }
  expect_holds(0x17b, ~0ull);
  EXPECT_FALSE(write(0x17b, 5));
  expect_holds(0x17a, 0);
}

TEST_F(ModelSpecificRegisters, MiscEnableKeepsItsReadOnlyBits) {
  const std::uint64_t reported = read(0x1a0);
  EXPECT_EQ(reported & 0x1880, 0x1800u) << "no performance monitoring, no BTS, no PEBS";
  ASSERT_TRUE(write(0x1a0, 0x400c50809));
  EXPECT_EQ(read(0x1a0), (0x400c50809 & ~0x1880ull) | 0x1800);
}

TEST_F(ModelSpecificRegisters, DebugControl) {
  expect_holds(0x1d9, 3);
  EXPECT_FALSE(write(0x1d9, 1u << 6));
  EXPECT_EQ(read(0x1db), 0u);
}

TEST_F(ModelSpecificRegisters, ApicRegistersAreThePlatforms) {
  EXPECT_EQ(read(0x1b), 0xfee00900u);
  platform.apic_msrs[0x80b] = 7;
  ASSERT_TRUE(write(0x80b, 0));
  EXPECT_EQ(platform.apic_msrs[0x80b], 0u);
  EXPECT_FALSE(exists(0x803)) << "the platform refuses";
  ASSERT_TRUE(write(0x6e0, 12345));
  EXPECT_EQ(platform.apic_msrs[0x6e0], 12345u);
  EXPECT_FALSE(write(0x1b, 1ull << 40 | 0xfee00900));
}

TEST_F(ModelSpecificRegisters, ApicFeaturesThatCpuidHidesFault) {
  Core plain = with(amd);
  platform.apic_msrs[0x80b] = 7;
  EXPECT_FALSE(read_msr(plain, 0x80b));
  EXPECT_FALSE(read_msr(plain, 0x6e0));
  EXPECT_FALSE(write_msr(plain, 0x1b, 0xfee00d00)) << "x2APIC mode";
  EXPECT_TRUE(write_msr(plain, 0x1b, 0xfee00900));
  EXPECT_FALSE(read_msr(plain, 0x3b)) << "TSC_ADJUST";
  EXPECT_FALSE(read_msr(plain, 0xc0000103)) << "neither RDTSCP nor RDPID";
}

TEST_F(ModelSpecificRegisters, AmdParts) {
  Core c = with(amd);
  EXPECT_EQ(read_msr(c, 0xc0010015).value() >> 24 & 1, 1u) << "the TSC runs at the P0 frequency";
  EXPECT_TRUE(write_msr(c, 0xc0010015, 1u << 18 | 1u << 24));
  EXPECT_FALSE(write_msr(c, 0xc0010015, 1ull << 40));
  EXPECT_EQ(read_msr(c, 0xc0011029), 2u);
  for (std::uint32_t index = 0xc0010000; index <= 0xc0010007; ++index) {
    EXPECT_TRUE(write_msr(c, index, 0xffff));
    EXPECT_EQ(read_msr(c, index), 0u) << "no counter is there to keep a value";
  }
  for (const std::uint32_t index : {0xc0010010u, 0xc001001fu, 0xc0010058u, 0x8bu})
    EXPECT_TRUE(read_msr(c, index)) << std::hex << index;
  EXPECT_FALSE(read_msr(c, 0x17)) << "Intel's platform ID";
}

TEST_F(ModelSpecificRegisters, IntelParts) {
  Core c = with(intel);
  EXPECT_TRUE(read_msr(c, 0x17));
  EXPECT_TRUE(write_msr(c, 0x8b, 0));
  EXPECT_EQ(read_msr(c, 0x8b).value() & 0xffffffff, 0u) << "the revision is in the upper half";
  EXPECT_FALSE(read_msr(c, 0xc0010015));
  EXPECT_FALSE(read_msr(c, 0xc0010000));
  EXPECT_FALSE(read_msr(c, 0x10a)) << "no IA32_ARCH_CAPABILITIES on this model";
}

}  // namespace
}  // namespace ringshift::translator
