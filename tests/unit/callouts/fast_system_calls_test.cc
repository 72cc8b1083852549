// tests/unit/callouts/fast_system_calls_test.cc - SYSCALL, SYSRET, SYSENTER and SYSEXIT by mode and
// vendor.
#include "translator/callouts/fast_system_calls.h"

#include "tests/unit/callouts/fixture.h"

namespace ringshift::translator {
namespace {

using guest::general_protection;
using guest::Gpr;
using guest::invalid_opcode;
using namespace guest::flags;

// One model of each vendor, whatever the host is.
class FastSystemCalls : public CalloutTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    model = guest::CpuModel::create(GetParam()).value();
    state.msr.star = 0x0023001000000000ull | 0x12345678;
    state.msr.lstar = 0xffff800000001000;
    state.msr.cstar = 0xffff800000002000;
    state.msr.sfmask = kIf | kTf | kDf;
    state.msr.sysenter_cs = kCode32;
    state.msr.sysenter_esp = 0xffff800000003000;
    state.msr.sysenter_eip = 0xffff800000004000;
  }
};

INSTANTIATE_TEST_SUITE_P(Vendors, FastSystemCalls, ::testing::Values("qemu64", "Nehalem"),
                         [](const auto& param) { return std::string(param.param); });

TEST_P(FastSystemCalls, SyscallFrom64BitCode) {
  enter_long(3);
  state.rflags |= kDf | kCf | kRf;
  ASSERT_TRUE(syscall_entry(core, operation(4)));
  EXPECT_EQ(state.rip, 0xffff800000001000u);
  EXPECT_EQ(state.reg(Gpr::kRcx), kCode + 2);
  EXPECT_EQ(state.reg(Gpr::kR11), kFixed1 | kIf | kDf | kCf);
  EXPECT_EQ(state.rflags, kFixed1 | kCf);
  EXPECT_EQ(state.cpl, 0);
  EXPECT_EQ(cs().selector, 0x10);
  EXPECT_EQ(ss().selector, 0x18);
  EXPECT_TRUE(state.in_64bit_code());
  EXPECT_EQ(ss().dpl(), 0u);
}

TEST_P(FastSystemCalls, SyscallNeedsSceAndAModeOfItsVendor) {
  enter_long(3);
  state.msr.efer &= ~guest::efer::kSce;
  EXPECT_TRUE(faults_with(syscall_entry(core, operation(4)), invalid_opcode()));
  enter_compatibility(3);
  const Result compatibility = syscall_entry(core, operation(4));
  if (model.vendor_is_intel()) {
    EXPECT_TRUE(faults_with(compatibility, invalid_opcode()));
  } else {
    ASSERT_TRUE(compatibility);
    EXPECT_EQ(state.rip, 0xffff800000002000u);
  }
  enter_protected32(3);
  state.msr.efer = guest::efer::kSce;
  const Result legacy = syscall_entry(core, operation(4));
  if (model.vendor_is_intel()) {
    EXPECT_TRUE(faults_with(legacy, invalid_opcode()));
  } else {
    ASSERT_TRUE(legacy);
    EXPECT_EQ(state.rip, 0x12345678u);
    EXPECT_FALSE(state.rflags & kIf);
    EXPECT_EQ(state.cpl, 0);
  }
}

TEST_P(FastSystemCalls, SysretTo64BitCode) {
  enter_long(0);
  state.reg(Gpr::kRcx) = 0x7fff00001234;
  state.reg(Gpr::kR11) = 0xffffffffffffffff;
  ASSERT_TRUE(syscall_return(core, operation(8)));
  EXPECT_EQ(state.rip, 0x7fff00001234u);
  EXPECT_EQ(state.rflags, 0x3c7fd7u) << "never VM or RF";
  EXPECT_EQ(state.cpl, 3);
  EXPECT_EQ(cs().selector, 0x33);
  EXPECT_EQ(ss().selector, 0x2b);
  EXPECT_EQ(cs().dpl(), 3u);
  EXPECT_TRUE(state.in_64bit_code());
}

TEST_P(FastSystemCalls, SysretToCompatibilityMode) {
  enter_long(0);
  state.reg(Gpr::kRcx) = 0xaaaa00001234;
  state.reg(Gpr::kR11) = kIf;
  ASSERT_TRUE(syscall_return(core, operation(4)));
  EXPECT_EQ(state.rip, 0x1234u);
  EXPECT_EQ(cs().selector, 0x23);
  EXPECT_FALSE(state.in_64bit_code());
  EXPECT_TRUE(cs().big());
}

TEST_P(FastSystemCalls, SysretChecks) {
  enter_long(3);
  EXPECT_TRUE(faults_with(syscall_return(core, operation(8)), general_protection()));
  enter_long(0);
  state.reg(Gpr::kRcx) = 0x800000000000;
  const Result not_canonical = syscall_return(core, operation(8));
  EXPECT_EQ(not_canonical.has_value(), !model.vendor_is_intel()) << "AMD faults at the fetch";
  enter_long(0);
  state.msr.efer &= ~guest::efer::kSce;
  EXPECT_TRUE(faults_with(syscall_return(core, operation(8)), invalid_opcode()));
}

TEST_P(FastSystemCalls, SysenterAndSysexitInProtectedMode) {
  enter_protected32(3);
  ASSERT_TRUE(sysenter(core, operation(4)));
  EXPECT_EQ(state.rip, 0x4000u);
  EXPECT_EQ(rsp(), 0x3000u);
  EXPECT_EQ(cs().selector, kCode32);
  EXPECT_EQ(ss().selector, kCode32 + 8);
  EXPECT_EQ(state.cpl, 0);
  EXPECT_FALSE(state.rflags & kIf);
  state.reg(Gpr::kRcx) = 0x9000;
  state.reg(Gpr::kRdx) = 0x1234;
  ASSERT_TRUE(sysexit(core, operation(4)));
  EXPECT_EQ(state.rip, 0x1234u);
  EXPECT_EQ(rsp(), 0x9000u);
  EXPECT_EQ(cs().selector, (kCode32 + 16) | 3);
  EXPECT_EQ(ss().selector, (kCode32 + 24) | 3);
  EXPECT_EQ(state.cpl, 3);
}

TEST_P(FastSystemCalls, SysenterFromV86LeavesIt) {
  enter_v86(0);
  ASSERT_TRUE(sysenter(core, operation(2)));
  EXPECT_FALSE(state.v86());
  EXPECT_EQ(state.cpl, 0);
}

TEST_P(FastSystemCalls, SysenterInLongModeIsIntels) {
  enter_long(3);
  const Result entered = sysenter(core, operation(4));
  if (!model.vendor_is_intel()) {
    EXPECT_TRUE(faults_with(entered, invalid_opcode()));
    return;
  }
  ASSERT_TRUE(entered);
  EXPECT_EQ(state.rip, 0xffff800000004000u);
  EXPECT_EQ(rsp(), 0xffff800000003000u);
  EXPECT_TRUE(state.in_64bit_code());
  state.reg(Gpr::kRcx) = 0x7fff00009000;
  state.reg(Gpr::kRdx) = 0x7fff00001234;
  ASSERT_TRUE(sysexit(core, operation(8)));
  EXPECT_EQ(state.rip, 0x7fff00001234u);
  EXPECT_EQ(cs().selector, (kCode32 + 32) | 3);
  EXPECT_EQ(ss().selector, (kCode32 + 40) | 3);
  enter_long(0);
  state.reg(Gpr::kRcx) = 0x800000000000;
  EXPECT_TRUE(faults_with(sysexit(core, operation(8)), general_protection()));
}

TEST_P(FastSystemCalls, SysenterChecks) {
  EXPECT_TRUE(faults_with(sysenter(core, operation(2)), general_protection())) << "real mode";
  enter_protected32(3);
  EXPECT_TRUE(faults_with(sysexit(core, operation(4)), general_protection())) << "CPL 3";
  state.msr.sysenter_cs = 3;
  EXPECT_TRUE(faults_with(sysenter(core, operation(4)), general_protection())) << "null CS";
}

}  // namespace
}  // namespace ringshift::translator
