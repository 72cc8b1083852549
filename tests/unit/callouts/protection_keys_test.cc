// tests/unit/callouts/protection_keys_test.cc - RDPKRU, WRPKRU and IA32_PKRS: their checks, and
// that views lose what new rights take away.
#include "translator/callouts/protection_keys.h"

#include "tests/unit/callouts/fixture.h"
#include "translator/callouts/msr.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;

constexpr std::uint32_t kPkrs = 0x6e1;

class ProtectionKeys : public CalloutTest {
 protected:
  ProtectionKeys() {
    enter_long(3);
    state.cr4 |= guest::cr4::kPke | guest::cr4::kPks;
  }
  Result write(std::uint64_t rax, std::uint64_t rcx = 0, std::uint64_t rdx = 0) {
    state.reg(Gpr::kRax) = rax;
    state.reg(Gpr::kRcx) = rcx;
    state.reg(Gpr::kRdx) = rdx;
    return write_user_key_rights(core, operation(4));
  }
};

TEST_F(ProtectionKeys, UserModeReadsAndWrites) {
  ASSERT_TRUE(write(0xffffffff'55555554, 0xffffffff'00000000, 0xffffffff'00000000));
  EXPECT_EQ(state.pkru, 0x55555554u) << "only the low halves count";
  state.reg(Gpr::kRax) = state.reg(Gpr::kRdx) = ~0ull;
  ASSERT_TRUE(read_user_key_rights(core, operation(4)));
  EXPECT_EQ(state.reg(Gpr::kRax), 0x55555554u);
  EXPECT_EQ(state.reg(Gpr::kRdx), 0u);
}

TEST_F(ProtectionKeys, OtherRegistersMustBeZero) {
  EXPECT_TRUE(faults_with(write(1, 1), guest::general_protection()));
  EXPECT_TRUE(faults_with(write(1, 0, 1), guest::general_protection()));
  EXPECT_EQ(state.pkru, 0u);
  state.reg(Gpr::kRcx) = 1;
  EXPECT_TRUE(faults_with(read_user_key_rights(core, operation(4)), guest::general_protection()));
}

TEST_F(ProtectionKeys, Cr4Enables) {
  state.cr4 &= ~guest::cr4::kPke;
  EXPECT_TRUE(faults_with(write(0), guest::invalid_opcode()));
  EXPECT_TRUE(faults_with(read_user_key_rights(core, operation(4)), guest::invalid_opcode()));
}

TEST_F(ProtectionKeys, SupervisorRightsAreAnMsr) {
  if (!model.has(guest::feature::kPks)) GTEST_SKIP() << "the host's processor has no long mode";
  state.cpl = 0;
  EXPECT_TRUE(write_msr(core, kPkrs, 0xaaaaaaa8));
  EXPECT_EQ(state.msr.pkrs, 0xaaaaaaa8u);
  EXPECT_EQ(read_msr(core, kPkrs), 0xaaaaaaa8u);
  EXPECT_FALSE(write_msr(core, kPkrs, 1ull << 32));
}

}  // namespace
}  // namespace ringshift::translator
