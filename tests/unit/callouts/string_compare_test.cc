// tests/unit/callouts/string_compare_test.cc - CMPS and SCAS: when flags change, and when not.
#include "translator/callouts/string_compare.h"

#include "tests/unit/callouts/fixture.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;
namespace flags = guest::flags;

class StringCompareTest : public CalloutTest {
 protected:
  Operation repeated(std::uint8_t repeat, unsigned element) {
    Operation op = operation(element);
    op.prefixes |= repeat;
    return op;
  }
};

TEST_F(StringCompareTest, ZeroCountLeavesFlags) {
  enter_long();
  state.reg(Gpr::kRcx) = 0;
  state.rflags |= flags::kCf | flags::kZf;
  const std::uint64_t before = state.rflags;
  ASSERT_EQ(compare_strings(core, repeated(prefix::kRep, 1)), Next::kContinue);
  EXPECT_EQ(state.rflags, before);
}

// SDM Vol. 2 "REP": a page fault restores EFLAGS to what it was before the instruction.
TEST_F(StringCompareTest, FaultRestoresFlagsAndKeepsProgress) {
  enter_long();
  state.reg(Gpr::kRsi) = kData;
  state.reg(Gpr::kRdi) = kRamBytes - 16;  // 16 equal bytes, then an unmapped page
  state.reg(Gpr::kRcx) = 100;
  state.rflags |= flags::kCf;
  const std::uint64_t before = state.rflags;
  EXPECT_TRUE(faults_with(compare_strings(core, repeated(prefix::kRep, 1)),
                          guest::page_fault(kRamBytes, 0)));
  EXPECT_EQ(state.rflags, before);
  EXPECT_EQ(state.reg(Gpr::kRcx), 84u);
  EXPECT_EQ(state.reg(Gpr::kRsi), kData + 16);
}

TEST_F(StringCompareTest, RepneStopsAfterTheFirstEqualElement) {
  enter_long();
  store<std::uint32_t>(kData + 40, 0xcafe);
  state.reg(Gpr::kRax) = 0xffffffff'0000cafe;
  state.reg(Gpr::kRdi) = kData;
  state.reg(Gpr::kRcx) = 1000;
  ASSERT_EQ(scan_string(core, repeated(prefix::kRepne, 4)), Next::kContinue);
  EXPECT_EQ(state.reg(Gpr::kRdi), kData + 44);
  EXPECT_EQ(state.reg(Gpr::kRcx), 989u);
  EXPECT_TRUE(state.rflags & flags::kZf);
}

// Control, system and virtual flags never change.
TEST_F(StringCompareTest, OnlyArithmeticFlagsChange) {
  enter_long();
  store<std::uint8_t>(kData, 1);
  state.rflags = flags::kFixed1 | flags::kIf | flags::kIopl | flags::kAc | flags::kId;
  const std::uint64_t system = state.rflags;
  state.reg(Gpr::kRax) = 0;
  state.reg(Gpr::kRdi) = kData;
  ASSERT_EQ(scan_string(core, operation(1)), Next::kContinue);
  EXPECT_EQ(state.rflags & ~flags::kArithmetic, system);
  EXPECT_EQ(state.rflags & flags::kArithmetic, flags::kCf | flags::kSf | flags::kPf | flags::kAf);
}

}  // namespace
}  // namespace ringshift::translator
