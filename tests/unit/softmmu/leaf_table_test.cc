// tests/unit/softmmu/leaf_table_test.cc - neighbours of a page as a walk would find them, and that
// looking at them changes nothing.
#include "softmmu/leaf_table.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/unit/softmmu/paging_guest.h"

namespace ringshift::softmmu {
namespace {

constexpr std::uint64_t kPage = 4096, kBase = 0x7f0000000000, kFrame = 0x400000;

std::optional<LeafTable> find(PagingGuest& g, std::uint64_t linear, Access privilege = kUserRead) {
  return LeafTable::find(*g.memory, g.state, g.features, {linear}, privilege);
}

TEST(LeafTable, CoversTheTableOfThePage) {
  PagingGuest g;
  g.enter_long_mode();
  g.map(kBase + 5 * kPage, kFrame | kRw | kUs | kA | kD);
  g.memory->write({g.entry(kBase, 2)}, 8, g.memory->read({g.entry(kBase, 2)}, 8) | kA);
  g.memory->write({g.entry(kBase, 3)}, 8, g.memory->read({g.entry(kBase, 3)}, 8) | kA);
  EXPECT_FALSE(find(g, kBase)) << "the entry at the top is not accessed";
  g.memory->write({g.entry(kBase, 4)}, 8, g.memory->read({g.entry(kBase, 4)}, 8) | kA);
  const auto table = find(g, kBase + 5 * kPage);
  ASSERT_TRUE(table);
  EXPECT_EQ(table->page_bytes(), kPage);
  EXPECT_EQ(table->first().value, kBase);
  EXPECT_EQ(table->bytes(), 512 * kPage);
  ASSERT_TRUE(table->page({kBase + 5 * kPage}));
  EXPECT_EQ(table->page({kBase + 5 * kPage})->start.value, kFrame);
  EXPECT_FALSE(table->page({kBase + 6 * kPage}));
}

// Every entry of the table against the walk, with all bits that matter at random.
TEST(LeafTable, AgreesWithTheWalk) {
  std::mt19937_64 random(1);
  for (unsigned round = 0; round < 40; ++round) {
    PagingGuest g;
    if (random() % 2) g.state.cr4 |= guest::cr4::kSmap;
    if (random() % 2) g.state.cr4 |= guest::cr4::kPge;
    if (random() % 2) g.state.cr4 |= guest::cr4::kPke;
    if (random() % 2) g.state.cr4 |= guest::cr4::kPks;
    g.state.pkru = static_cast<std::uint32_t>(random() & random());
    g.state.msr.pkrs = static_cast<std::uint32_t>(random() & random());
    g.enter_long_mode();
    if (random() % 2) g.state.cr0 &= ~guest::cr0::kWp;
    if (random() % 2) g.state.msr.efer &= ~guest::efer::kNxe;
    const unsigned level = 1 + round % 3;
    const std::uint64_t bytes = kPage << (9 * (level - 1));
    const std::uint64_t above = (random() % 2 ? kRw : 0) | (random() % 2 ? kUs : 0) | kA;
    const std::uint64_t first = g.entry(kBase, level, above);
    for (unsigned i = 0; i < 512; ++i) {
      // Not present, and reserved bits, now and then.
      std::uint64_t value = (random() & (kRw | kUs | kA | kD | kG)) | (random() % 8 ? kP : 0) |
                            (level > 1 && random() % 8 ? kPs : 0) | (random() % 8 ? 0 : kXd) |
                            (random() % 8 ? 0 : std::uint64_t{1} << 51) |
                            (random() % 8 || level == 1 ? 0 : std::uint64_t{1} << 13);
      value |= ((random() % 8) * bytes & 0xffffffffff) | (random() & 15) << 59;
      g.memory->write({first + i * 8}, 8, value);
    }
    // The walk that finds the table must end at a page of its size.
    g.memory->write({first}, 8, kP | kRw | kUs | kA | (level > 1 ? kPs : 0));
    const bool user = random() % 2;
    const auto table = find(g, kBase, user ? kUserRead : kRead);
    ASSERT_TRUE(table);
    ASSERT_EQ(table->page_bytes(), bytes);
    for (unsigned i = 0; i < 512; ++i) {
      const std::uint64_t a = kBase + i * bytes, entry = g.memory->read({first + i * 8}, 8);
      const auto page = table->page({a});
      const bool is_leaf = level == 1 || (entry & kPs);
      if (!is_leaf) {
        ASSERT_FALSE(page);
        continue;
      }
      const auto walked = g.walk(a, user ? kUserRead : kRead, false);
      ASSERT_EQ(page.has_value(), walked && (entry & kA)) << std::hex << entry;
      if (!page) continue;
      ASSERT_EQ(page->start, walked->address);
      ASSERT_EQ(page->writable, walked->writable);
      ASSERT_EQ(page->global, walked->global);
      ASSERT_EQ(g.memory->read({first + i * 8}, 8), entry);
    }
  }
}

TEST(LeafTable, WithoutPagingEverythingIsItself) {
  PagingGuest g;
  const auto table = find(g, 0x12345678);
  ASSERT_TRUE(table);
  EXPECT_FALSE(table->paging());
  EXPECT_EQ(table->first().value, 0u);
  EXPECT_EQ(table->bytes(), std::uint64_t{1} << 32);
  EXPECT_EQ(table->page({0x12345678})->start.value, 0x12345000u);
}

}  // namespace
}  // namespace ringshift::softmmu
