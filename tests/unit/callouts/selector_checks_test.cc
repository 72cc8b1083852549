// tests/unit/callouts/selector_checks_test.cc - LAR, LSL, VERR, VERW, ARPL against the manual's
// tables of types and privileges.
#include "translator/callouts/selector_checks.h"

#include "tests/unit/callouts/fixture.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;

class SelectorChecks : public CalloutTest {
 protected:
  static constexpr std::uint64_t kUntouched = 0x1122334455667788;

  // ZF after the instruction; RCX holds the destination.
  bool ask(Handler instruction, std::uint16_t selector, unsigned bytes = 4) {
    Operation op = operation(bytes);
    op.reg = static_cast<std::uint8_t>(Gpr::kRcx);
    op.rm = static_cast<std::uint8_t>(Gpr::kRbx);
    state.reg(Gpr::kRbx) = selector;
    state.reg(Gpr::kRcx) = kUntouched;
    const std::uint64_t others = state.rflags & ~guest::flags::kZf;
    EXPECT_TRUE(instruction(core, op));
    EXPECT_EQ(state.rflags & ~guest::flags::kZf, others) << "only ZF changes";
    return state.rflags & guest::flags::kZf;
  }
  std::uint64_t destination() const { return state.reg(Gpr::kRcx); }
  void put(std::uint16_t attributes) {
    write_gdt16(kFirstFree, descriptor(0x5000, 0x67, attributes), 0);
  }
};

TEST_F(SelectorChecks, LarShowsTheAccessBytes) {
  enter_protected32();
  ASSERT_TRUE(ask(lar, kCode32));
  EXPECT_EQ(destination(), 0x00c09a00u);
  ASSERT_TRUE(ask(lar, kCode32, 2));
  EXPECT_EQ(destination(), (kUntouched & ~0xffffull) | 0x9a00);
}

TEST_F(SelectorChecks, LslScalesTheLimit) {
  enter_protected32();
  ASSERT_TRUE(ask(lsl, kData32));
  EXPECT_EQ(destination(), 0xffffffffu);
  ASSERT_TRUE(ask(lsl, kTssSel));
  EXPECT_EQ(destination(), 0x67u);
}

TEST_F(SelectorChecks, NothingIsSaidAboutNullOrMissingDescriptors) {
  enter_protected32();
  for (Handler instruction : {lar, lsl, verr, verw}) {
    for (const std::uint16_t selector :
         {std::uint16_t{0}, std::uint16_t{3}, std::uint16_t{0x400}, std::uint16_t{0xfffc}}) {
      EXPECT_FALSE(ask(instruction, selector)) << selector;
      EXPECT_EQ(destination(), kUntouched);
    }
  }
}

TEST_F(SelectorChecks, SystemTypes) {
  struct Expected {
    unsigned type;
    bool lar_legacy, lsl_legacy, lar_long, lsl_long;
  };
  static constexpr Expected kTable[] = {
      {0, false, false, false, false},  {1, true, true, false, false},
      {2, true, true, true, true},      {3, true, true, false, false},
      {4, true, false, false, false},   {5, true, false, false, false},
      {6, false, false, false, false},  {7, false, false, false, false},
      {8, false, false, false, false},  {9, true, true, true, true},
      {10, false, false, false, false}, {11, true, true, true, true},
      {12, true, false, true, false},   {13, false, false, false, false},
      {14, false, false, false, false}, {15, false, false, false, false},
  };
  for (const Expected& e : kTable) {
    put(static_cast<std::uint16_t>(0x80 | e.type));
    enter_protected32();
    EXPECT_EQ(ask(lar, kFirstFree), e.lar_legacy) << e.type;
    EXPECT_EQ(ask(lsl, kFirstFree), e.lsl_legacy) << e.type;
    EXPECT_FALSE(ask(verr, kFirstFree)) << e.type;
    EXPECT_FALSE(ask(verw, kFirstFree)) << e.type;
    enter_long();
    EXPECT_EQ(ask(lar, kFirstFree), e.lar_long) << e.type;
    EXPECT_EQ(ask(lsl, kFirstFree), e.lsl_long) << e.type;
  }
}

// Every CPL, RPL and DPL for a data segment, and conforming code, which is visible from anywhere.
TEST_F(SelectorChecks, PrivilegeMatrix) {
  for (unsigned cpl = 0; cpl < 4; ++cpl) {
    enter_protected32();
    state.cpl = static_cast<std::uint8_t>(cpl);
    for (unsigned rpl = 0; rpl < 4; ++rpl) {
      for (unsigned dpl = 0; dpl < 4; ++dpl) {
        const auto selector = static_cast<std::uint16_t>(kFirstFree | rpl);
        put(static_cast<std::uint16_t>(kAttrData32 | dpl << 5));
        const bool visible = dpl >= cpl && dpl >= rpl;
        for (Handler instruction : {lar, lsl, verr, verw})
          EXPECT_EQ(ask(instruction, selector), visible) << cpl << rpl << dpl;
        put(static_cast<std::uint16_t>(kAttrCode32 | 4 | dpl << 5));
        for (Handler instruction : {lar, lsl, verr}) EXPECT_TRUE(ask(instruction, selector));
        EXPECT_FALSE(ask(verw, selector));
      }
    }
  }
}

TEST_F(SelectorChecks, ReadAndWriteRights) {
  enter_protected32();
  EXPECT_TRUE(ask(verr, kReadOnlyData));
  EXPECT_FALSE(ask(verw, kReadOnlyData));
  EXPECT_FALSE(ask(verr, kExecuteOnly));
  EXPECT_TRUE(ask(verr, kCode32));
  EXPECT_FALSE(ask(verw, kCode32));
  EXPECT_TRUE(ask(verw, kNotPresentData)) << "presence is not asked";
}

TEST_F(SelectorChecks, ArplRaisesTheRpl) {
  enter_protected32();
  Operation op = operation(2);
  op.reg = static_cast<std::uint8_t>(Gpr::kRcx);
  op.rm = static_cast<std::uint8_t>(Gpr::kRbx);
  state.reg(Gpr::kRbx) = 0xaaaa0008;
  state.reg(Gpr::kRcx) = 3;
  ASSERT_TRUE(arpl(core, op));
  EXPECT_EQ(state.reg(Gpr::kRbx), 0xaaaa000bu);
  EXPECT_TRUE(state.rflags & guest::flags::kZf);
  state.reg(Gpr::kRcx) = 2;
  ASSERT_TRUE(arpl(core, op));
  EXPECT_EQ(state.reg(Gpr::kRbx), 0xaaaa000bu);
  EXPECT_FALSE(state.rflags & guest::flags::kZf);
}

TEST_F(SelectorChecks, ArplInMemory) {
  enter_protected32();
  Operation op = memory_operation(2, kData);
  op.reg = static_cast<std::uint8_t>(Gpr::kRcx);
  store<std::uint32_t>(kData, 0xbbbb0021);
  state.reg(Gpr::kRcx) = 3;
  ASSERT_TRUE(arpl(core, op));
  EXPECT_EQ(load32(kData), 0xbbbb0023u);
}

}  // namespace
}  // namespace ringshift::translator
