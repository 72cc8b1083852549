// tests/unit/codecache/cache_test.cc - arena, look-up, links, invalidation and flush, without a
// translator: blocks are a few bytes of made-up host code.
#include "codecache/cache.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <set>

namespace ringshift::codecache {
namespace {

using guest::PhysicalAddress;

class Listener final : public CacheListener {
 public:
  void before_change() override { ++changes; }
  void block_removed(const Block& block, Removal) override { removed.push_back(block.key); }
  void all_removed() override { ++flushes; }
  void page_watched(PhysicalAddress page) override { watched.push_back(page.value); }
  int changes = 0, flushes = 0;
  std::vector<BlockKey> removed;
  std::vector<std::uint64_t> watched;
};

// Host code of a block with one exit: E9 <stub>, where the stub is INT3s at the end.
constexpr std::uint32_t kField = 1, kStub = 8, kHostBytes = 24;
std::vector<std::uint8_t> host_code() {
  std::vector<std::uint8_t> code(kHostBytes, 0xcc);
  code[0] = 0xe9;
  const std::int32_t displacement = kStub - (kField + 4);
  std::memcpy(&code[kField], &displacement, 4);
  return code;
}

class CacheTest : public ::testing::Test {
 protected:
  CacheTest()
      : arena(std::move(Arena::create(1 << 20).value())),
        memory(std::move(guest::PhysicalMemory::create(1 << 20).value())),
        cache(*arena, *memory, listener) {}

  Block* add(std::uint64_t physical, std::uint16_t guest_bytes = 16, std::uint32_t mode = 0,
             std::uint64_t second_page = Block::kNoPage) {
    Block b;
    b.key = {physical, mode};
    b.guest_bytes = guest_bytes;
    b.instructions = 1;
    b.second_page = second_page;
    Exit e;
    e.field_offset = kField;
    e.stub_offset = kStub;
    b.exits.push_back(e);
    return cache.insert(std::move(b), host_code());
  }
  // Where the block's jump leads.
  static const std::uint8_t* target(const Block& b) {
    std::int32_t displacement;
    std::memcpy(&displacement, b.host + kField, 4);
    return b.host + kField + 4 + displacement;
  }
  void write(std::uint64_t at, std::size_t bytes) {
    memory->write_bytes({at}, std::vector<std::uint8_t>(bytes, 1));
  }
  ::testing::AssertionResult consistent() const {
    const std::string_view wrong = cache.check_invariants();
    return wrong.empty() ? ::testing::AssertionSuccess() : ::testing::AssertionFailure() << wrong;
  }

  Listener listener;
  std::unique_ptr<Arena> arena;
  std::unique_ptr<guest::PhysicalMemory> memory;
  Cache cache;
};

// --- arena ---------------------------------------------------------------------------------------

TEST(Arena, AppendPatchSealReset) {
  auto arena = std::move(Arena::create(64 << 10).value());
  const std::uint8_t code[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  std::uint8_t* expected = arena->next();
  std::uint8_t* first = arena->append(code);
  EXPECT_EQ(first, expected);
  EXPECT_EQ(std::memcmp(first, code, sizeof code), 0);  // the two views are one memory
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(arena->next()) % 16, 0u);
  arena->patch32(first + 1, 0x44332211);
  EXPECT_EQ(first[1], 0x11);
  EXPECT_EQ(first[4], 0x44);
  EXPECT_EQ(first[5], 6);
  arena->seal();
  const std::size_t sealed = arena->used_bytes();
  std::uint8_t* second = arena->append(code);
  EXPECT_TRUE(arena->contains(second));
  EXPECT_FALSE(arena->contains(code));
  arena->reset();
  EXPECT_EQ(arena->used_bytes(), sealed);
  EXPECT_EQ(arena->append(code), second);
}

TEST(Arena, RunsWhatWasWrittenAndIsNotWritableThere) {
  auto arena = std::move(Arena::create(4096).value());
  const std::uint8_t code[] = {0xb8, 42, 0, 0, 0, 0xc3};  // MOV EAX, 42; RET
  auto* function = reinterpret_cast<int (*)()>(arena->append(code));
  EXPECT_EQ(function(), 42);
  EXPECT_DEATH(*reinterpret_cast<volatile std::uint8_t*>(function) = 0, "");
}

TEST(Arena, CanBeFilledToTheLastByte) {
  auto arena = std::move(Arena::create(4096).value());
  const std::vector<std::uint8_t> code(4091, 0x90);
  arena->append(code);
  EXPECT_EQ(arena->free_bytes(), 0u);
  EXPECT_EQ(arena->used_bytes(), 4096u);
}

// --- look-up -------------------------------------------------------------------------------------

TEST_F(CacheTest, FindsByAddressAndMode) {
  Block* a = add(0x1000, 16, 1);
  Block* b = add(0x1000, 16, 2);
  Block* c = add(0x1004, 16, 1);
  EXPECT_EQ(cache.find({0x1000, 1}), a);
  EXPECT_EQ(cache.find({0x1000, 2}), b);
  EXPECT_EQ(cache.find({0x1004, 1}), c);
  EXPECT_EQ(cache.find({0x1000, 3}), nullptr);
  EXPECT_EQ(cache.find({0x2000, 1}), nullptr);
  EXPECT_TRUE(consistent());
}

TEST_F(CacheTest, FindsByHostAddress) {
  Block* a = add(0x1000);
  Block* b = add(0x2000);
  EXPECT_EQ(cache.find_host(a->host), a);
  EXPECT_EQ(cache.find_host(a->host + kHostBytes - 1), a);
  EXPECT_EQ(cache.find_host(a->host + kHostBytes), nullptr);  // the alignment gap
  EXPECT_EQ(cache.find_host(b->host), b);
  EXPECT_EQ(cache.find_host(a->host - 1), nullptr);
  EXPECT_EQ(cache.find_host(&listener), nullptr);
  cache.invalidate(*a, Removal::kStore);  // it may still be running
  EXPECT_EQ(cache.find_host(a->host), a);
  EXPECT_FALSE(a->valid);
}

// Blocks far apart and close together, with things between them that are no blocks.
TEST_F(CacheTest, FindsByHostAddressAmongMany) {
  std::vector<Block*> blocks;
  std::mt19937 random(7);
  for (std::uint64_t i = 0; i < 500; ++i) {
    blocks.push_back(add(0x1000 + i * 16));
    if (random() % 3 == 0) arena->append(std::vector<std::uint8_t>(random() % 1500, 0xcc));
  }
  const std::uint8_t* first = blocks.front()->host;
  for (int round = 0; round < 2; ++round) {
    auto next = blocks.begin();
    for (const std::uint8_t* at = first; at < arena->next() + 600; ++at) {
      if (next != blocks.end() && at == (*next)->host + kHostBytes) ++next;
      Block* expected = next != blocks.end() && at >= (*next)->host ? *next : nullptr;
      ASSERT_EQ(cache.find_host(at), expected) << at - first;
    }
    cache.flush();
    EXPECT_EQ(cache.find_host(first), nullptr);
    blocks = {add(0x1000), add(0x2000)};
  }
}

TEST(FaultPoints, TheLastOneAtOrBefore) {
  Block b;
  std::uint8_t code[100];
  b.host = code;
  for (std::uint32_t at : {10u, 20u, 30u}) {
    FaultPoint p;
    p.host_offset = at;
    b.fault_points.push_back(p);
  }
  EXPECT_EQ(b.fault_point(code + 9), nullptr);
  EXPECT_EQ(b.fault_point(code + 10)->host_offset, 10u);
  EXPECT_EQ(b.fault_point(code + 29)->host_offset, 20u);
  EXPECT_EQ(b.fault_point(code + 99)->host_offset, 30u);
}

// --- links ---------------------------------------------------------------------------------------

TEST_F(CacheTest, LinkAndInvalidateTheTarget) {
  Block* a = add(0x1000);
  Block* b = add(0x1100);
  EXPECT_EQ(target(*a), a->host + kStub);
  cache.link(*a, a->exits[0], *b);
  EXPECT_EQ(target(*a), b->host);
  EXPECT_TRUE(consistent());
  cache.invalidate(*b, Removal::kStore);
  EXPECT_EQ(target(*a), a->host + kStub);
  EXPECT_EQ(a->exits[0].target, nullptr);
  EXPECT_TRUE(a->valid);
  EXPECT_TRUE(consistent());
}

TEST_F(CacheTest, InvalidatedSourceLeavesNoTrace) {
  Block* a = add(0x1000);
  Block* b = add(0x1100);
  cache.link(*a, a->exits[0], *b);
  cache.link(*b, b->exits[0], *b);  // a loop to itself
  cache.invalidate(*a, Removal::kStore);
  EXPECT_EQ(target(*a), a->host + kStub);  // it may be running: its exit leads out
  EXPECT_EQ(b->predecessors.size(), 1u);
  cache.invalidate(*b, Removal::kStore);
  EXPECT_EQ(target(*b), b->host + kStub);
  EXPECT_TRUE(consistent());
}

// --- writes --------------------------------------------------------------------------------------

TEST_F(CacheTest, WritesHitExactlyTheBlocksTheyOverlap) {
  for (std::uint64_t at = 0x0ff8; at < 0x1018; ++at) {
    SCOPED_TRACE(at);
    Block* b = add(0x1000, 8);
    Block* other = add(0x1020, 8);
    write(at, 4);
    EXPECT_EQ(b->valid, at + 4 <= 0x1000 || at >= 0x1008);
    EXPECT_TRUE(other->valid);
    EXPECT_EQ(cache.find({0x1000, 0}), b->valid ? b : nullptr);
    EXPECT_TRUE(consistent());
    cache.flush();
  }
}

TEST_F(CacheTest, PageIsWatchedWhileItHoldsCode) {
  EXPECT_FALSE(memory->watched({0x1000}));
  Block* a = add(0x1000);
  Block* b = add(0x1800);
  EXPECT_TRUE(memory->watched({0x1000}));
  EXPECT_EQ(listener.watched, std::vector<std::uint64_t>{0x1000});  // told once
  cache.invalidate(*a, Removal::kStore);
  EXPECT_TRUE(memory->watched({0x1000}));
  cache.invalidate(*b, Removal::kStore);
  EXPECT_FALSE(memory->watched({0x1000}));
}

TEST_F(CacheTest, StraddlingBlockEndsInItsSecondPage) {
  // 6 bytes on page 1, 4 on page 7, which need not be its neighbour.
  Block* b = add(0x1ffa, 10, 0, 0x7000);
  EXPECT_TRUE(memory->watched({0x7000}));
  write(0x7004, 1);  // just past the tail
  EXPECT_TRUE(b->valid);
  write(0x2000, 8);  // its neighbour in physical space is not its tail
  EXPECT_TRUE(b->valid);
  write(0x7003, 1);
  EXPECT_FALSE(b->valid);
  EXPECT_FALSE(memory->watched({0x7000}));
  EXPECT_FALSE(memory->watched({0x1000}));
  Block* again = add(0x1ffa, 10, 0, 0x7000);
  write(0x1fff, 1);
  EXPECT_FALSE(again->valid);
  EXPECT_TRUE(consistent());
}

TEST_F(CacheTest, OneWriteAcrossTwoPages) {
  Block* a = add(0x1ff0, 16);
  Block* b = add(0x2000, 16);
  write(0x1ffe, 4);
  EXPECT_FALSE(a->valid);
  EXPECT_FALSE(b->valid);
  EXPECT_EQ(cache.counters().invalidated_blocks, 2u);
}

TEST_F(CacheTest, InvalidateTwiceCountsOnce) {
  Block* a = add(0x1000);
  cache.invalidate(*a, Removal::kStore);
  cache.invalidate(*a, Removal::kStore);
  EXPECT_EQ(listener.removed.size(), 1u);
  EXPECT_EQ(cache.counters().invalidated_blocks, 1u);
}

// --- flush and loop heads ------------------------------------------------------------------------

TEST_F(CacheTest, FlushForgetsEverything) {
  Block* a = add(0x1000);
  std::uint8_t* first = a->host;
  add(0x1ffa, 10, 0, 0x7000);
  cache.flush();
  EXPECT_EQ(listener.flushes, 1);
  EXPECT_EQ(cache.find({0x1000, 0}), nullptr);
  EXPECT_EQ(cache.find_host(first), nullptr);
  EXPECT_FALSE(memory->watched({0x1000}));
  EXPECT_FALSE(memory->watched({0x7000}));
  EXPECT_EQ(add(0x3000)->host, first);
}

TEST_F(CacheTest, LoopHeadsOutliveTheirBlocks) {
  Block* a = add(0x1010);
  cache.mark(a->key, Mark::kLoopHead);
  cache.invalidate(*a, Removal::kStore);
  EXPECT_TRUE(cache.is_marked({0x1010, 0}, Mark::kLoopHead));
  EXPECT_FALSE(cache.is_marked({0x1010, 0}, Mark::kHot));
  EXPECT_FALSE(cache.is_marked({0x1011, 0}, Mark::kLoopHead));
  EXPECT_FALSE(cache.is_marked({0x2010, 0}, Mark::kLoopHead));
}

// The observer goes when the cache goes.
TEST_F(CacheTest, BooksChangeOnlyAfterNotice) {
  const int before = listener.changes;
  Block* a = add(0x1000);
  EXPECT_GT(listener.changes, before);
  const int inserted = listener.changes;
  write(0x1000, 1);
  EXPECT_GT(listener.changes, inserted);
  EXPECT_FALSE(a->valid);
}

// --- random --------------------------------------------------------------------------------------

// Against a model that keeps a set of live blocks, thousands of operations deep.
TEST_F(CacheTest, RandomOperationsAgreeWithAModel) {
  std::mt19937 random(7);
  struct Entry {
    Block* block;
    std::uint64_t first_end, tail, tail_end;
  };
  std::vector<Entry> live;
  for (int step = 0; step < 4000; ++step) {
    const unsigned choice = random() % 100;
    if (choice < 45) {
      const std::uint64_t page = 0x1000 * (1 + random() % 4);
      const bool straddles = random() % 8 == 0;
      const std::uint64_t at = straddles ? page + 0xff4 : page + random() % 0xfe0;
      const std::uint32_t mode = random() % 2;
      if (cache.find({at, mode})) continue;
      const std::uint64_t tail = 0x1000 * (1 + random() % 4);
      Block* b = add(at, 15, mode, straddles ? tail : Block::kNoPage);
      live.push_back(
          {b, std::min(at + 15, page + 0x1000), straddles ? tail : 0, straddles ? tail + 3 : 0});
    } else if (choice < 70 && live.size() > 1) {
      Entry& from = live[random() % live.size()];
      Entry& to = live[random() % live.size()];
      if (!from.block->exits[0].target) cache.link(*from.block, from.block->exits[0], *to.block);
    } else if (choice < 98) {
      const std::uint64_t at = 0x1000 + random() % 0x4000, end = at + 1 + random() % 32;
      write(at, end - at);
      std::erase_if(live, [&](const Entry& e) {
        const std::uint64_t start = e.block->key.physical;
        const bool hit = (start < end && e.first_end > at) || (e.tail < end && e.tail_end > at);
        EXPECT_EQ(e.block->valid, !hit);
        return hit;
      });
    } else {
      cache.flush();
      live.clear();
    }
    ASSERT_TRUE(consistent()) << step;
    for (const Entry& e : live) {
      ASSERT_EQ(cache.find(e.block->key), e.block);
      ASSERT_TRUE(e.block->valid);
      const Exit& exit = e.block->exits[0];
      ASSERT_EQ(target(*e.block), exit.target ? exit.target->host : e.block->host + kStub);
    }
    for (std::uint64_t page = 0x1000; page <= 0x4000; page += 0x1000) {
      const bool expected = std::any_of(live.begin(), live.end(), [&](const Entry& e) {
        return e.block->physical_page() == page || e.block->second_page == page;
      });
      ASSERT_EQ(memory->watched({page}), expected) << page;
    }
  }
}

}  // namespace
}  // namespace ringshift::codecache
