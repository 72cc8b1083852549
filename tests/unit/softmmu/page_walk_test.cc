// tests/unit/softmmu/page_walk_test.cc - formats, A/D rules and odd corners of the page walk.
#include "softmmu/page_walk.h"

#include <gtest/gtest.h>

#include "tests/unit/softmmu/paging_guest.h"

namespace ringshift::softmmu {
namespace {

constexpr std::uint64_t kLinear = 0x7f1234567abc;

TEST(PageWalk, WithoutPagingLinearIsPhysical) {
  PagingGuest g;
  const auto result = g.walk(0x12345, kWrite);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->address.value, 0x12345u);
  EXPECT_TRUE(result->writable);
}

// SDM Vol. 3 "Address Wraparound": A20M# masks addresses of tables and of what they lead to.
TEST(PageWalk, A20MasksTablesAndPages) {
  PagingGuest g;
  g.enter_32bit_paging();
  g.state.cr4 |= guest::cr4::kPse;
  g.memory->write({0x1000 + 4 * 3}, 4, 0x102000 | kP | kRw);
  g.memory->write({0x1000 + 4 * 4}, 4, 0x00c00000 | kPs | kP | kRw);
  g.memory->write({0x102000 + 4 * 5}, 4, 0x103000 | kP | kRw);
  g.memory->write({0x2000 + 4 * 5}, 4, 0x104000 | kP | kRw);
  const std::uint64_t small = 3u << 22 | 5u << 12 | 0x67, large = 4u << 22 | 1u << 20 | 0x67;
  EXPECT_EQ(g.walk(small, kRead)->address.value, 0x103067u);
  EXPECT_EQ(g.walk(large, kRead)->address.value, 0xd00067u);
  g.state.address_mask = guest::kA20Masked;
  EXPECT_EQ(g.walk(small, kWrite)->address.value, 0x004067u);
  EXPECT_EQ(g.walk(large, kWrite)->address.value, 0xc00067u);
  g.state.cr0 &= ~guest::cr0::kPg;
  EXPECT_EQ(g.walk(0x100067, kRead)->address.value, 0x67u);
}

TEST(PageWalk, Pse36ReachesAbove4GiB) {
  PagingGuest g;
  g.enter_32bit_paging();
  g.state.cr4 |= guest::cr4::kPse;
  g.memory->write({0x1000 + 4 * 3}, 4, 0x00400000 | 0xa5 << 13 | kPs | kP | kRw);
  const auto result = g.walk(0x00c12345, kWrite);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->address.value, 0xa500412345u);
  EXPECT_EQ(result->page_bytes, 0x400000u);
  g.features.physical_address_bits = 36;
  EXPECT_EQ(g.walk_fault(0x00c12345, kRead), kErrP | kErrRsvd);
  g.features.pse36 = false;
  g.memory->write({0x1000 + 4 * 3}, 4, 0x00400000 | 1 << 13 | kPs | kP | kRw);
  EXPECT_EQ(g.walk_fault(0x00c12345, kRead), kErrP | kErrRsvd);
}

TEST(PageWalk, PaeUsesTheRegistersNotMemory) {
  PagingGuest g;
  g.enter_pae_paging();
  g.state.pdpte = {0, 0, 0, 0x5000 | kP};
  g.memory->write({0x5000 + 8 * 511}, 8, 0x6000 | kP | kRw | kUs);
  g.memory->write({0x6000 + 8 * 511}, 8, std::uint64_t{0x812345000} | kP | kRw);
  const auto result = g.walk(0xffffffff, kRead);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->address.value, 0x812345fffu);
  EXPECT_EQ(g.walk_fault(0x3fffffff, kUserWrite), kErrW | kErrU);
}

TEST(PageWalk, LoadPdptesChecksReservedBitsOfPresentOnes) {
  const auto model = guest::CpuModel::create("max");
  ASSERT_TRUE(model);
  PagingGuest g;
  const std::uint64_t cr3 = 0x2345 & ~std::uint64_t{31};
  g.memory->write({cr3}, 8, 0x5000 | kP | 8 | 16);   // PWT and PCD are allowed
  g.memory->write({cr3 + 8}, 8, ~std::uint64_t{1});  // not present: anything goes
  g.memory->write({cr3 + 24}, 8, 0x7000 | kP);
  const auto loaded = load_pdptes(*g.memory, *model, 0x2345);
  ASSERT_TRUE(loaded);
  EXPECT_EQ((*loaded)[0], 0x5000u | kP | 8 | 16);
  EXPECT_EQ((*loaded)[3], 0x7000u | kP);
  for (unsigned bit : {1u, 2u, 5u, 6u, 7u, 8u, model->physical_address_bits(), 63u}) {
    g.memory->write({cr3 + 16}, 8, kP | std::uint64_t{1} << bit);
    const auto refused = load_pdptes(*g.memory, *model, 0x2345);
    ASSERT_FALSE(refused) << bit;
    EXPECT_EQ(refused.error(), guest::general_protection());
  }
}

TEST(PageWalk, SetsAccessedOnThePathAndDirtyAtTheLeaf) {
  PagingGuest g;
  g.enter_long_mode();
  g.map(kLinear, 0x200000 | kRw | kUs);
  const auto flags_at = [&](unsigned level) {
    return g.memory->read({g.entry(kLinear, level)}, 8) & (kA | kD);
  };
  ASSERT_TRUE(g.walk(kLinear, kUserRead, false));
  for (unsigned level = 1; level <= 4; ++level) EXPECT_EQ(flags_at(level), 0u);

  auto read = g.walk(kLinear, kUserRead);
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->writable) << "not dirty yet";
  for (unsigned level = 1; level <= 4; ++level) EXPECT_EQ(flags_at(level), kA);

  auto write = g.walk(kLinear, kUserWrite);
  ASSERT_TRUE(write);
  EXPECT_TRUE(write->writable);
  EXPECT_EQ(flags_at(1), kA | kD);
  for (unsigned level = 2; level <= 4; ++level) EXPECT_EQ(flags_at(level), kA);
}

TEST(PageWalk, ARefusedAccessLeavesTheTablesAlone) {
  PagingGuest g;
  g.enter_long_mode();
  g.map(kLinear, 0x200000 | kUs);
  EXPECT_EQ(g.walk_fault(kLinear, kUserWrite), kErrP | kErrW | kErrU);
  for (unsigned level = 1; level <= 4; ++level)
    EXPECT_EQ(g.memory->read({g.entry(kLinear, level)}, 8) & (kA | kD), 0u);
}

TEST(PageWalk, GlobalNeedsPge) {
  PagingGuest g;
  g.enter_long_mode();
  g.map(kLinear, 0x200000 | kUs | kG);
  EXPECT_FALSE(g.walk(kLinear, kRead)->global);
  g.state.cr4 |= guest::cr4::kPge;
  EXPECT_TRUE(g.walk(kLinear, kRead)->global);
}

TEST(PageWalk, LargePagesOfFourLevelPaging) {
  PagingGuest g;
  g.enter_long_mode();
  g.map(0x40000000, 0x80000000 | kRw, 3);
  g.map(0x80200000, 0x00600000 | kRw, 2);
  EXPECT_EQ(g.walk(0x7fffffff, kRead)->address.value, 0xbfffffffu);
  EXPECT_EQ(g.walk(0x803abcde, kRead)->address.value, 0x007abcdeu);
  g.features.gigabyte_pages = false;
  EXPECT_EQ(g.walk_fault(0x40000000, kRead), kErrP | kErrRsvd);
}

// Page tables can point anywhere; a walk through nothing, ROM or the end of RAM must come back.
TEST(PageWalk, TablesOutsideRam) {
  PagingGuest g;
  g.enter_long_mode();
  g.state.cr3 = 0xfee00000;  // reads as all ones: PS of a PML4E is reserved
  EXPECT_EQ(g.walk_fault(kLinear, kRead), kErrP | kErrRsvd);

  std::vector<std::uint8_t> rom(4096);
  const std::uint64_t leaf = 0x200000 | kP | kRw | kUs;
  std::memcpy(rom.data() + ((kLinear >> 12) & 511) * 8, &leaf, 8);
  ASSERT_TRUE(g.memory->add_rom({0xffff0000}, rom));
  g.state.cr3 = 0x1000;
  g.memory->write({g.entry(kLinear, 2)}, 8, 0xffff0000 | kP | kRw | kUs);
  const auto result = g.walk(kLinear, kWrite);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->address.value, 0x200abcu);
}

TEST(PageWalk, NonCanonicalAddressesAreHarmless) {
  PagingGuest g;
  g.enter_long_mode();
  for (std::uint64_t a : {std::uint64_t{0x0000800000000000}, std::uint64_t{0xfffe000000000000},
                          ~std::uint64_t{0} >> 1})
    EXPECT_EQ(g.walk_fault(a, kRead), 0u);
}

// SDM Vol. 3 "Accessed and Dirty Flags": updates come with a locked operation, so a table that maps
// itself or is watched behaves as for any other write.
TEST(PageWalk, AccessedBitOfAWatchedTableIsReported) {
  struct Observer : guest::WriteObserver {
    std::vector<std::uint64_t> at;
    void on_watched_write(guest::PhysicalAddress start, std::size_t) override {
      at.push_back(start.value);
    }
  } observer;
  PagingGuest g;
  g.enter_long_mode();
  g.map(kLinear, 0x200000 | kRw);
  const std::uint64_t pte = g.entry(kLinear, 1);
  g.memory->set_observer(&observer);
  g.memory->watch({pte}, true);
  ASSERT_TRUE(g.walk(kLinear, kRead));
  ASSERT_TRUE(g.walk(kLinear, kRead));
  EXPECT_EQ(observer.at, std::vector<std::uint64_t>{pte})
      << "once: the second walk changes nothing";
}

}  // namespace
}  // namespace ringshift::softmmu
