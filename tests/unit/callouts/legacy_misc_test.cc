// tests/unit/callouts/legacy_misc_test.cc - BOUND, XLAT and the wide compare-and-exchange
// instructions.
#include "translator/callouts/legacy_misc.h"

#include "tests/unit/callouts/fixture.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;
using guest::Vector;

class LegacyMiscTest : public CalloutTest {
 protected:
  void set_pair(Gpr low, Gpr high, std::uint64_t low_value, std::uint64_t high_value) {
    state.reg(low) = low_value;
    state.reg(high) = high_value;
  }
};

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

TEST_F(LegacyMiscTest, CompareExchange8BytesEqual) {
  enter_long();
  store<std::uint64_t>(kData + 4, 0x0000000200000001);  // any alignment
  set_pair(Gpr::kRax, Gpr::kRdx, 0xffffffff00000001, 0xffffffff00000002);
  set_pair(Gpr::kRbx, Gpr::kRcx, 0x1133, 0x2244);
  ASSERT_EQ(compare_exchange_8_bytes(core, memory_operation(4, kData + 4)), Next::kContinue);
  EXPECT_EQ(load64(kData + 4), 0x0000224400001133u);
  EXPECT_TRUE(state.rflags & guest::flags::kZf);
  EXPECT_EQ(state.reg(Gpr::kRax), 0xffffffff00000001u);  // HW: untouched when equal
}

TEST_F(LegacyMiscTest, CompareExchange8BytesUnequal) {
  enter_long();
  store<std::uint64_t>(kData, 0xbbbbbbbbaaaaaaaa);
  set_pair(Gpr::kRax, Gpr::kRdx, 0xffffffff00000001, 0xffffffff00000002);
  state.rflags |= guest::flags::kZf | guest::flags::kCf;
  ASSERT_EQ(compare_exchange_8_bytes(core, memory_operation(4, kData)), Next::kContinue);
  EXPECT_FALSE(state.rflags & guest::flags::kZf);
  EXPECT_TRUE(state.rflags & guest::flags::kCf);
  EXPECT_EQ(state.reg(Gpr::kRax), 0xaaaaaaaau);
  EXPECT_EQ(state.reg(Gpr::kRdx), 0xbbbbbbbbu);
  EXPECT_EQ(load64(kData), 0xbbbbbbbbaaaaaaaau);
}

TEST_F(LegacyMiscTest, CompareExchangeAcrossPagesAndOnWatchedPages) {
  enter_long();
  for (const std::uint64_t at : {kData + 0xffc, kData + 0x2000}) {
    memory->watch({kData + 0x2000}, true);
    store<std::uint64_t>(at, 5);
    set_pair(Gpr::kRax, Gpr::kRdx, 5, 0);
    set_pair(Gpr::kRbx, Gpr::kRcx, 6, 7);
    ASSERT_EQ(compare_exchange_8_bytes(core, memory_operation(4, at)), Next::kContinue);
    EXPECT_EQ(load64(at), 0x700000006u);
  }
}

TEST_F(LegacyMiscTest, CompareExchange16Bytes) {
  enter_long();
  store<std::uint64_t>(kData, 1);
  store<std::uint64_t>(kData + 8, 2);
  set_pair(Gpr::kRax, Gpr::kRdx, 1, 2);
  set_pair(Gpr::kRbx, Gpr::kRcx, 0x1111111111111111, 0x2222222222222222);
  ASSERT_EQ(compare_exchange_16_bytes(core, memory_operation(8, kData)), Next::kContinue);
  EXPECT_EQ(load64(kData), 0x1111111111111111u);
  EXPECT_EQ(load64(kData + 8), 0x2222222222222222u);
  ASSERT_EQ(compare_exchange_16_bytes(core, memory_operation(8, kData)), Next::kContinue);
  EXPECT_FALSE(state.rflags & guest::flags::kZf);
  EXPECT_EQ(state.reg(Gpr::kRdx), 0x2222222222222222u);
  EXPECT_TRUE(faults_with(compare_exchange_16_bytes(core, memory_operation(8, kData + 8)),
                          guest::general_protection()));
}

// The destination is written even when the comparison fails, so it must be writable.
TEST_F(LegacyMiscTest, CompareExchangeNeedsWriteAccess) {
  enter_long();
  store<std::uint64_t>(kPd, 0x85);  // read-only, and CR0.WP is set
  mmu.flush_all(false);
  set_pair(Gpr::kRax, Gpr::kRdx, 9, 9);
  EXPECT_TRUE(faults_with(compare_exchange_8_bytes(core, memory_operation(4, kData)),
                          guest::page_fault(kData, 3)));
}

}  // namespace
}  // namespace ringshift::translator
