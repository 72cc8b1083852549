// tests/unit/softmmu/view_test.cc - what a view caches, and that each way of dropping it does so.
#include "softmmu/view.h"

#include <gtest/gtest.h>

namespace ringshift::softmmu {
namespace {

using guest::LinearAddress;
using guest::PhysicalAddress;

constexpr std::uint64_t k2M = 0x200000, k1G = 0x40000000;

std::uint8_t* host(std::uint64_t n) { return reinterpret_cast<std::uint8_t*>(0x700000000000 + n); }

// The compare that translated code makes.
bool hits(const std::array<TlbEntry, kTlbEntries>& table, std::uint64_t linear, unsigned size) {
  return (linear ^ table[(linear >> 12) % kTlbEntries].tag) <= 4096 - size;
}

class ViewTest : public ::testing::Test {
 protected:
  void fill(std::uint64_t linear, std::uint64_t physical, bool writable, bool global = false,
            std::uint64_t page_bytes = 4096) {
    view_->fill({linear}, host(physical), {physical}, writable, global, page_bytes);
  }
  void fill_code(std::uint64_t linear, bool global = false, std::uint64_t page_bytes = 4096) {
    view_->fill_fetch({{linear}, {0x5000}, page_bytes, global});
    view_->fill_jump(linear, 0xc0de, linear & ~std::uint64_t{4095}, global);
  }
  bool has_jump(std::uint64_t rip) const {
    const JumpEntry* entry = view_->find_jump(rip);
    return entry && entry->host_code != 0;
  }
  void TearDown() override { EXPECT_EQ(view_->check_structure(), ""); }

  std::unique_ptr<View> view_ = View::create();
};

TEST_F(ViewTest, ANewViewMatchesNothing) {
  for (std::uint64_t i = 0; i < kTlbEntries; ++i)
    for (std::uint64_t high : {std::uint64_t{0}, std::uint64_t{1} << 24, ~std::uint64_t{0} << 24}) {
      ASSERT_FALSE(hits(view_->read, high | i << 12, 1));
      ASSERT_FALSE(hits(view_->write, high | i << 12, 1));
    }
  for (std::uint64_t rip : {std::uint64_t{0}, std::uint64_t{8192}, ~std::uint64_t{0}})
    ASSERT_EQ(view_->find_jump(rip), nullptr);
}

TEST_F(ViewTest, ReadFillIsNotWritable) {
  fill(0x1000, 0x8000, false);
  EXPECT_EQ(view_->find_read({0x1234}), host(0x8234));
  EXPECT_EQ(view_->find_write({0x1234}), nullptr);
  EXPECT_EQ(view_->find_read({0x2000}), nullptr);
  EXPECT_EQ(view_->find_read({0x1001000}), nullptr) << "same index, another page";
}

TEST_F(ViewTest, WriteFillServesBoth) {
  fill(0x1000, 0x8000, true);
  EXPECT_EQ(view_->find_read({0x1234}), host(0x8234));
  EXPECT_EQ(view_->find_write({0x1234}), host(0x8234));
}

TEST_F(ViewTest, TheCompareExcludesStraddling) {
  fill(0x1000, 0x8000, false);
  EXPECT_TRUE(hits(view_->read, 0x1ff8, 8));
  EXPECT_FALSE(hits(view_->read, 0x1ff9, 8));
  EXPECT_TRUE(hits(view_->read, 0x1fff, 1));
}

// Copying between two pages of one index: each table keeps its own page.
TEST_F(ViewTest, SourceAndDestinationOfOneIndexDoNotThrash) {
  fill(0x1000, 0x8000, false);
  fill(0x1001000, 0x9000, true);
  EXPECT_NE(view_->find_read({0x1000}), nullptr);
  EXPECT_NE(view_->find_write({0x1001000}), nullptr);
}

// A page that was mapped anew must not be read at one frame and written at another.
TEST_F(ViewTest, RefillReplacesBothTables) {
  fill(0x1000, 0x8000, true);
  fill(0x1000, 0x9000, false);
  EXPECT_EQ(view_->find_read({0x1000}), host(0x9000));
  EXPECT_EQ(view_->find_write({0x1000}), nullptr);
  fill(0x1000, 0xa000, true);
  EXPECT_EQ(view_->find_read({0x1000}), host(0xa000));
}

TEST_F(ViewTest, FlushKeepsGlobalsOnRequest) {
  fill(0x1000, 0x8000, true, false);
  fill(0x2000, 0x9000, true, true);
  fill_code(0x3000, false);
  fill_code(0x4000, true);
  view_->flush(true);
  EXPECT_EQ(view_->find_read({0x1000}), nullptr);
  EXPECT_EQ(view_->find_write({0x1000}), nullptr);
  EXPECT_NE(view_->find_write({0x2000}), nullptr);
  EXPECT_FALSE(has_jump(0x3000));
  EXPECT_TRUE(has_jump(0x4000));
  EXPECT_FALSE(view_->find_fetch({0x3000}));
  EXPECT_TRUE(view_->find_fetch({0x4000}));
  view_->flush(false);
  EXPECT_EQ(view_->find_write({0x2000}), nullptr);
  EXPECT_FALSE(has_jump(0x4000));
  EXPECT_FALSE(view_->find_fetch({0x4000}));
}

// A set's entries move and change their kind; a flush of local ones finds all of these, and what it
// leaves is found by the next full one.
TEST_F(ViewTest, JumpsThatChangeTheirKindAreFlushed) {
  constexpr std::uint64_t kSameSet = kJumpSets << kJumpShift;
  for (unsigned kinds = 0; kinds < 64; ++kinds) {
    const auto global = [&](unsigned i) { return (kinds >> i & 1) != 0; };
    for (unsigned i = 0; i < 6; ++i) fill_code(0x3000 + i * kSameSet, global(i));
    EXPECT_EQ(view_->check_structure(), "");
    view_->flush(true);
    for (unsigned i = 0; i < 6; ++i)
      if (!global(i)) EXPECT_FALSE(has_jump(0x3000 + i * kSameSet)) << kinds << " " << i;
    fill_code(0x3000, false);
    fill_code(0x3000, true);
    view_->flush(true);
    view_->flush(false);
    for (unsigned i = 0; i < 6; ++i) EXPECT_FALSE(has_jump(0x3000 + i * kSameSet)) << kinds;
  }
}

TEST_F(ViewTest, FlushPageDropsGlobalJumps) {
  view_->jumps_are_linear = true;
  fill_code(0x3010, true);
  fill_code(0x4010, true);
  fill_code(0x5010, false);
  view_->flush_page({0x3000});
  EXPECT_FALSE(has_jump(0x3010));
  EXPECT_TRUE(has_jump(0x4010));
  EXPECT_TRUE(has_jump(0x5010));
}

TEST_F(ViewTest, FlushPageDropsOnlyThatPage) {
  fill(0x1000, 0x8000, true, true);
  fill(0x2000, 0x9000, true);
  view_->flush_page({0x1fff});
  EXPECT_EQ(view_->find_read({0x1000}), nullptr);
  EXPECT_EQ(view_->find_write({0x1000}), nullptr);
  EXPECT_NE(view_->find_write({0x2000}), nullptr);
  view_->flush_page({0x1002000});
  EXPECT_NE(view_->find_write({0x2000}), nullptr) << "same index, another page";
}

TEST_F(ViewTest, FlushPageDropsItsJumps) {
  fill_code(0x3010);
  view_->flush_page({0x9000});
  EXPECT_TRUE(has_jump(0x3010)) << "a page without code";
  view_->flush_page({0x3000});
  EXPECT_FALSE(has_jump(0x3010));
  EXPECT_FALSE(view_->find_fetch({0x3010}));
}

// The fetch cache may have forgotten the page (another took its slot) while jumps into it live on.
TEST_F(ViewTest, FlushPageDropsJumpsThatOutliveTheirFetchEntry) {
  fill_code(0x3010, true);
  fill_code(0x3010 + kFetchEntries * 4096 + 8, true);
  view_->flush(true);
  ASSERT_TRUE(has_jump(0x3010));
  view_->flush_page({0x3000});
  EXPECT_FALSE(has_jump(0x3010));
}

TEST_F(ViewTest, FlushPageDropsAllOfALargePage) {
  for (const std::uint64_t size : {k2M, 2 * k2M, k1G}) {
    const std::uint64_t base = 3 * k1G;
    fill(base, 0x8000, true, false, size);
    fill(base + size - 4096, 0x9000, false, false, size);
    fill(base + size, 0xa000, true, false, size);
    fill_code(base + size / 2 + 0x5000, false, size);
    view_->flush_page({base + size / 2});
    EXPECT_EQ(view_->find_write({base}), nullptr) << size;
    EXPECT_EQ(view_->find_read({base + size - 4096}), nullptr) << size;
    EXPECT_NE(view_->find_write({base + size}), nullptr) << size;
    EXPECT_FALSE(has_jump(base + size / 2 + 0x5000)) << size;
    EXPECT_FALSE(view_->find_fetch({base + size / 2 + 0x5000})) << size;
    view_->flush(false);
  }
}

TEST_F(ViewTest, GlobalLargePagesAreRememberedAcrossAPartialFlush) {
  fill(0, 0x8000, true, true, k2M);
  view_->flush(true);
  ASSERT_NE(view_->find_write({0}), nullptr);
  view_->flush_page({0x100000});
  EXPECT_EQ(view_->find_write({0}), nullptr);
}

TEST_F(ViewTest, DropWritableFindsEveryAliasAndKeepsReads) {
  fill(0x1000, 0x8000, true);
  fill(0x5000, 0x8000, true);
  fill(0x6000, 0x9000, true);
  view_->drop_writable({0x8abc});
  EXPECT_EQ(view_->find_write({0x1000}), nullptr);
  EXPECT_EQ(view_->find_write({0x5000}), nullptr);
  EXPECT_NE(view_->find_read({0x1000}), nullptr);
  EXPECT_NE(view_->find_write({0x6000}), nullptr);
}

TEST_F(ViewTest, DropWritableWorksAfterAPartialFlush) {
  fill(0x1000, 0x8000, true, true);
  view_->flush(true);
  ASSERT_NE(view_->find_write({0x1000}), nullptr);
  view_->drop_writable({0x8000});
  EXPECT_EQ(view_->find_write({0x1000}), nullptr);
}

TEST_F(ViewTest, JumpsOfARipZero) {
  view_->fill_jump(0, 0xc0de, 0, false);
  EXPECT_TRUE(has_jump(0));
  view_->flush_jumps();
  EXPECT_FALSE(has_jump(0));
  EXPECT_NE(view_->jump[0].negated_rip, 0u);
}

TEST_F(ViewTest, TwoRipsOfOneSetStayAndTheThirdTakesTheOldest) {
  constexpr std::uint64_t kApart = kJumpSets << kJumpShift;
  ASSERT_EQ(View::jump_index(0x1000), View::jump_index(0x1000 + 2 * kApart));
  fill_code(0x1000);
  fill_code(0x1000 + kApart);
  EXPECT_TRUE(has_jump(0x1000));
  EXPECT_TRUE(has_jump(0x1000 + kApart));
  fill_code(0x1000 + 2 * kApart);
  EXPECT_FALSE(has_jump(0x1000));
  EXPECT_TRUE(has_jump(0x1000 + kApart));
  EXPECT_TRUE(has_jump(0x1000 + 2 * kApart));
  view_->drop_jump(0, 0xc0de);
  EXPECT_FALSE(has_jump(0x1000 + kApart));
  EXPECT_FALSE(has_jump(0x1000 + 2 * kApart));
}

// Where RIPs are linear, the jumps of other pages survive, but for what may run on into the page.
TEST_F(ViewTest, InvalidatingAPageOfCodeKeepsTheJumpsOfOthers) {
  for (const bool linear : {true, false}) {
    view_->jumps_are_linear = linear;
    for (const std::uint64_t rip : {0x1000, 0x1ff0, 0x1ff1, 0x2000, 0x2fff, 0x3000}) fill_code(rip);
    view_->flush_page({0x2123});
    EXPECT_EQ(has_jump(0x1000), linear);
    EXPECT_EQ(has_jump(0x1ff0), linear);
    EXPECT_FALSE(has_jump(0x1ff1));
    EXPECT_FALSE(has_jump(0x2000));
    EXPECT_FALSE(has_jump(0x2fff));
    EXPECT_EQ(has_jump(0x3000), linear);
  }
}

TEST_F(ViewTest, EverySlotCanBeUsedAndFlushedAgainAndAgain) {
  for (int round = 0; round < 3; ++round) {
    for (std::uint64_t i = 0; i < 2 * kTlbEntries; ++i) fill(i << 12, i << 12, i % 2, i % 3 == 0);
    for (std::uint64_t i = 0; i < 3 * kJumpEntries; ++i)
      view_->fill_jump(i * 3, 1 + i, 0, i % 3 == 0);
    ASSERT_EQ(view_->check_structure(), "");
    view_->flush(round % 2);
  }
  view_->flush(false);
  for (std::uint64_t i = 0; i < kTlbEntries; ++i) ASSERT_EQ(view_->find_read({i << 12}), nullptr);
}

}  // namespace
}  // namespace ringshift::softmmu
