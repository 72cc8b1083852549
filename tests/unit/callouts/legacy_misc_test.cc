// tests/unit/callouts/legacy_misc_test.cc - BOUND and XLAT.
#include "translator/callouts/legacy_misc.h"

#include "tests/unit/callouts/fixture.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;
using guest::Vector;

class LegacyMiscTest : public CalloutTest {};

TEST_F(LegacyMiscTest, BoundComparesSigned) {
  enter_protected32();
  store<std::int32_t>(kData, -5);
  store<std::int32_t>(kData + 4, 7);
  Operation op = memory_operation(4, kData);
  op.reg = 1;
  for (const std::int32_t inside : {-5, 0, 7}) {
    state.gpr[1] = static_cast<std::uint32_t>(inside);
    EXPECT_EQ(check_bound(core, op), Next::kContinue) << inside;
  }
  for (const std::int32_t outside : {-6, 8, INT32_MIN, INT32_MAX}) {
    state.gpr[1] = static_cast<std::uint32_t>(outside);
    EXPECT_TRUE(faults_with(check_bound(core, op), guest::fault(Vector::kBoundRange))) << outside;
  }
}

TEST_F(LegacyMiscTest, BoundWithWords) {
  enter_real();
  store<std::int16_t>(kData + 0x10, -1);
  store<std::int16_t>(kData + 0x12, 1);
  Operation op = memory_operation(2, 0x10);
  op.reg = 3;
  state.gpr[3] = 0xabcdffff;
  EXPECT_EQ(check_bound(core, op), Next::kContinue);
  state.gpr[3] = 0x0000fffe;
  EXPECT_TRUE(faults_with(check_bound(core, op), guest::fault(Vector::kBoundRange)));
}

TEST_F(LegacyMiscTest, XlatWrapsAtTheAddressSize) {
  enter_real();
  store<std::uint8_t>(kData + 0x0f, 0x99);
  state.reg(Gpr::kRbx) = 0xffff;
  state.reg(Gpr::kRax) = 0x1210;
  ASSERT_EQ(translate_byte(core, operation(1)), Next::kContinue);
  EXPECT_EQ(state.reg(Gpr::kRax), 0x1299u);
}

}  // namespace
}  // namespace ringshift::translator
