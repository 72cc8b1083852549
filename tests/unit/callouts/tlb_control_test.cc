// tests/unit/callouts/tlb_control_test.cc - INVLPG and INVPCID drop what they name, and check what
// they are told.
#include "translator/callouts/tlb_control.h"

#include "tests/unit/callouts/fixture.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;

class TlbControl : public CalloutTest {
 protected:
  TlbControl() {
    enter_long();
    touch(kData);
    touch(kStack);
  }
  void touch(std::uint64_t a) {
    ASSERT_TRUE(mmu.load<std::uint8_t>({a}, mmu.data_access(softmmu::AccessKind::kRead)));
    ASSERT_TRUE(cached(a));
  }
  bool cached(std::uint64_t a) { return mmu.current().find_read({a}) != nullptr; }
  Result invalidate_pcid(std::uint64_t type, std::uint64_t pcid, std::uint64_t address) {
    Operation op = memory_operation(8, kCode);
    op.reg = static_cast<std::uint8_t>(Gpr::kRbx);
    state.reg(Gpr::kRbx) = type;
    store(kCode, pcid);
    store(kCode + 8, address);
    return invpcid(core, op);
  }
  const guest::GuestFault gp0 = guest::general_protection();
};

TEST_F(TlbControl, InvlpgDropsOnePage) {
  store<std::uint64_t>(kPd, 0x87);  // one large page holds everything: every entry of it may go
  ASSERT_TRUE(invlpg(core, memory_operation(8, kData)));
  EXPECT_FALSE(cached(kData));
}

TEST_F(TlbControl, InvlpgUsesTheSegmentBaseAndNoLimit) {
  enter_protected32();
  state.segment(guest::Seg::kFs) = segment(kData32, 0xc093, kData - 0x10, 0);
  touch(kData);
  ASSERT_TRUE(invlpg(core, memory_operation(4, 0x10, guest::Seg::kFs)));
  EXPECT_FALSE(cached(kData));
}

TEST_F(TlbControl, InvlpgOfANonCanonicalAddressDoesNothing) {
  const auto before = mmu.counters().page_flushes;
  ASSERT_TRUE(invlpg(core, memory_operation(8, 1ull << 50)));
  EXPECT_EQ(mmu.counters().page_flushes, before);
  EXPECT_TRUE(faults_with(invlpg(core, operation(8)), guest::invalid_opcode())) << "register form";
}

TEST_F(TlbControl, InvpcidChecks) {
  EXPECT_TRUE(faults_with(invalidate_pcid(4, 0, 0), gp0)) << "no such type";
  EXPECT_TRUE(faults_with(invalidate_pcid(2, 0x1000, 0), gp0)) << "reserved bits";
  EXPECT_TRUE(faults_with(invalidate_pcid(0, 1, kData), gp0)) << "PCIDs are off";
  EXPECT_TRUE(faults_with(invalidate_pcid(1, 1, 0), gp0)) << "PCIDs are off";
  EXPECT_TRUE(faults_with(invalidate_pcid(0, 0, 1ull << 50), gp0)) << "non-canonical";
  EXPECT_TRUE(cached(kData));
  state.cr4 |= guest::cr4::kPcide;
  mode_changed(core);
  EXPECT_TRUE(invalidate_pcid(1, 1, 0));
}

TEST_F(TlbControl, InvpcidByType) {
  ASSERT_TRUE(invalidate_pcid(0, 0, kData));
  EXPECT_FALSE(cached(kData));
  touch(kData);
  ASSERT_TRUE(invalidate_pcid(1, 0, 0));
  EXPECT_FALSE(cached(kData));
  for (const std::uint64_t type : {2, 3}) {
    touch(kData);
    ASSERT_TRUE(invalidate_pcid(type, 0, 0));
    EXPECT_FALSE(cached(kData)) << type;
  }
}

TEST_F(TlbControl, OnlyTypeTwoDropsGlobalPages) {
  store<std::uint64_t>(kPd, 0x187);
  mmu.flush_all(false);
  touch(kData);
  ASSERT_TRUE(invalidate_pcid(3, 0, 0));
  EXPECT_TRUE(cached(kData));
  ASSERT_TRUE(invalidate_pcid(2, 0, 0));
  EXPECT_FALSE(cached(kData));
}

TEST_F(TlbControl, CacheInstructionsAreHarmless) {
  EXPECT_TRUE(write_back_caches(core, operation(4)));
  EXPECT_TRUE(cached(kData));
}

}  // namespace
}  // namespace ringshift::translator
