// codecache/cache.h - all translated blocks of a machine: look-up, links, invalidation, counters.
// Keyed by guest-physical address. Used by the vCPU thread (one for now); it hears of writes to
// translated pages as the memory's observer, so that no stale block is ever entered again.
#pragma once

#include <array>
#include <bit>
#include <boost/container/flat_map.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "codecache/arena.h"
#include "codecache/block.h"
#include "guest/physical_memory.h"

namespace ringshift::codecache {

// Why a block went.
enum class Removal : std::uint8_t {
  kStore,      // a store hit its bytes
  kRemapped,   // the second page of a straddling instruction lies elsewhere now
  kUngrouped,  // its groups of accesses kept failing
  kLoopHead,   // to look for interrupt requests at its head
  kPromoted,   // to be translated for speed
  kLookUp,     // an access of it cannot go through a window
};
inline constexpr std::size_t kRemovals = 6;

struct CacheCounters {
  std::uint64_t blocks = 0, instructions = 0, guest_bytes = 0, host_bytes = 0, links = 0,
                invalidated_blocks = 0, watched_writes = 0, flushes = 0;
  std::array<std::uint64_t, kRemovals> removed{};  // by cause; flushes apart
};

// Bits of what is known about the code at an address.
enum class Mark : std::uint8_t {
  kLoopHead = 1,   // looks for interrupt requests at its head
  kUngrouped = 2,  // its accesses want a look-up each
  kHot = 4,        // runs often
  kChecked = 8,    // the instruction's accesses do not go through windows
};

// Told when host addresses of blocks may no longer be entered.
class CacheListener {
 public:
  virtual ~CacheListener() = default;
  // The cache's books are about to change: library code that may use any host register runs next.
  virtual void before_change() = 0;
  virtual void block_removed(const Block& block, Removal why) = 0;  // drop its host address
  virtual void all_removed() = 0;                              // drop every cached host address
  virtual void page_watched(guest::PhysicalAddress page) = 0;  // no fast path may write to it
};

class Cache final : public guest::WriteObserver {
 public:
  Cache(Arena& arena, guest::PhysicalMemory& memory, CacheListener& listener);
  ~Cache() override;

  Block* find(const BlockKey& key) const;
  // The valid block whose code holds this executable address, running or not; nullptr for thunks.
  Block* find_host(const void* executable) const;

  // Takes a finished block; `code` goes to the arena at the address that arena.next() gave. The
  // page is watched from now on. The caller has made sure of room (has_room).
  Block* insert(Block block, std::span<const std::uint8_t> code);
  bool has_room(std::size_t bytes) const { return arena_.free_bytes() >= bytes; }

  void link(Block& from, Exit& exit, Block& to);
  void redirect(Block& from, Exit& exit, const std::uint8_t* executable);
  void invalidate(Block& block, Removal why);
  // Drops everything; only when no vCPU is inside translated code.
  void flush();

  // What was learnt about the code at an address outlives its block: the next translation obeys it.
  void mark(const BlockKey& key, Mark mark);
  bool is_marked(const BlockKey& key, Mark mark) const;
  std::vector<std::uint16_t> marked_offsets(std::uint64_t physical_page, Mark mark) const;
  // `to` takes the place of a removed block in the exits that were linked to it.
  struct Link {
    Block* from;
    Exit* exit;
  };
  using Links = boost::container::small_vector<Link, 8>;
  Links links_to(Block& block) const;

  void on_watched_write(guest::PhysicalAddress start, std::size_t bytes) override;

  Arena& arena() { return arena_; }
  // Those since the last flush, in order of host address, valid or not.
  const std::deque<Block>& blocks() const { return blocks_; }
  const CacheCounters& counters() const { return counters_; }
  // Empty, or what is inconsistent.
  const char* check_invariants() const;

 private:
  struct Page {
    boost::container::flat_multimap<std::uint16_t, Block*> blocks;  // by start offset
    boost::container::flat_map<std::uint16_t, std::uint8_t> marks;  // Mark bits, by offset
    boost::container::small_vector<Block*, 1> tails;  // blocks of the page before that end here
  };
  // Blocks that were looked for last: most look-ups need one cache line of the host.
  struct Recent {
    BlockKey key;
    Block* block = nullptr;
  };
  static constexpr std::size_t kRecent = 8192;
  Recent& recent(const BlockKey& key) const {
    const std::uint64_t mixed = (key.physical ^ key.mode) * 0x9e3779b97f4a7c15;
    return recent_[mixed >> (64 - std::countr_zero(kRecent))];
  }

  Page& page_of(std::uint64_t physical);
  Page* find_page(std::uint64_t physical) const;
  static constexpr unsigned kPieceShift = 8;  // a piece holds a few blocks
  std::size_t piece_of(const std::uint8_t* executable) const {
    return static_cast<std::size_t>(executable - blocks_.front().host) >> kPieceShift;
  }
  void unlink(Block& block);
  void remove_from_page(Block& block);
  void unwatch_if_empty(std::uint64_t physical_page);

  Arena& arena_;
  guest::PhysicalMemory& memory_;
  CacheListener& listener_;
  mutable std::vector<Recent> recent_{kRecent};
  std::unordered_map<std::uint64_t, std::unique_ptr<Page>> pages_;  // by page number
  std::deque<Block> blocks_;                                        // in order of host address
  // For each piece of the arena from the first block on: the first block that begins in it or
  // later.
  std::vector<std::uint32_t> first_blocks_;
  CacheCounters counters_;
};

}  // namespace ringshift::codecache
