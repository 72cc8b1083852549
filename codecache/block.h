// codecache/block.h - a translated basic block: its key, its host code, its exits and its fault
// map.
#pragma once

#include <boost/container/small_vector.hpp>
#include <cstdint>
#include <vector>

#include "guest/address.h"

namespace ringshift::codecache {

// Everything that decides what the host code is, besides the guest bytes: equal keys <=> the same
// host code is valid. `mode` is translator::ModeKey's bits.
struct BlockKey {
  std::uint64_t physical = 0;
  std::uint32_t mode = 0;
  bool operator==(const BlockKey&) const = default;
};

// Where a host address stands in guest terms. One per instruction that can leave its block in the
// middle; sorted by host_offset.
struct FaultPoint {
  std::uint32_t host_offset = 0;  // return address of the memory thunk's call, or start of the code
  std::uint32_t access_end = 0;   // memory accesses: host offset just past the accessing code
  std::uint32_t access_begin = 0;  // and where that code begins
  std::uint16_t guest_offset = 0;  // of the instruction, from the start of the block
  std::uint8_t guest_length = 0;
  std::uint8_t group_instructions = 0;  // a group's look-up: how many run singly when it fails
  bool reads_memory : 1 = false;      // a write access that also reads: the slow path fetches first
  bool flags_saved : 1 = false;       // the guest's flags are in the frame, not in the host's
  bool flags_stay_saved : 1 = false;  // still so when the access has been made
  bool stack_segment : 1 = false;     // addressing faults are #SS
  bool interrupt_shadow : 1 = false;  // the instruction before was an STI
  bool waits_for_x87 : 1 = false;     // a pending x87 exception comes before the access
  std::uint8_t alignment = 1;         // #GP(0) comes before the access unless it is aligned so
  std::uint16_t masked = 0;           // translator::MaskedOperand, packed
  // An access through a window: its address is the host register's value and the displacement.
  std::uint8_t window_base = kNoWindow;  // host register, or kFlatWindow
  std::uint8_t window_bytes = 0;
  std::uint8_t window_faults = 0;  // that no mapping could mend, shortly one after the other
  bool window_write = false;
  std::int32_t window_displacement = 0;
  // Of a loop that keeps deltas in the frame: which one, and where it has its base included, the
  // host register (kNoWindow: none) that is the index, and its scale.
  std::uint8_t loop_delta = kNoWindow;
  bool with_base = false;
  std::uint8_t window_index = kNoWindow, window_index_shift = 0;
  std::int16_t rsp_ahead = 0;           // what guest RSP is more than its host register
  std::uint64_t window_fault_time = 0;  // of the last one, in host TSC cycles

  static constexpr std::uint8_t kNoWindow = 0xff, kFlatWindow = 0xfe;
};

struct Block;

// A direct exit: a 32-bit jump displacement that points at the exit's stub until it is linked.
struct Exit {
  std::uint32_t field_offset = 0;   // of the displacement, from the block's start
  std::uint32_t stub_offset = 0;    // where it points while unlinked
  std::uint16_t target_offset = 0;  // page offset of the successor (same page)
  Block* target = nullptr;
};

struct Block {
  BlockKey key;
  std::uint32_t number = 0;             // its place in Cache::blocks()
  std::uint64_t second_page = kNoPage;  // physical page of a straddling instruction's tail
  std::uint8_t* host = nullptr;         // executable address
  std::uint32_t host_bytes = 0;
  std::uint32_t code_bytes = 0;  // of them, those that are instructions; data follows
  std::uint16_t guest_bytes = 0;
  std::uint16_t instructions = 0;
  std::uint64_t* runs = nullptr;  // counts them, where that was asked for
  bool valid = true;
  bool checks_requests = false;    // looks for interrupt requests at its head
  std::uint8_t undone_groups = 0;  // how often a group's look-up failed
  bool single = false;             // must not be reached but through the dispatcher
  bool hot = false;                // translated for speed; others count their runs
  bool linked_across = false;      // a view's link from another page leads here
  // Bytes of code at its start that prepare what blocks with such code keep (translator/frame.h,
  // "stack_delta"): who keeps it enters behind them.
  std::uint8_t prologue_bytes = 0;
  boost::container::small_vector<Exit, 2> exits;
  boost::container::small_vector<Block*, 4> predecessors;  // with an exit linked to this block
  std::vector<FaultPoint> fault_points;

  static constexpr std::uint64_t kNoPage = ~std::uint64_t{0};
  const std::uint8_t* prepared_entry() const { return host + prologue_bytes; }
  std::uint64_t physical_page() const { return key.physical & ~guest::kPageOffsetMask; }
  std::uint16_t start_offset() const {
    return static_cast<std::uint16_t>(guest::page_offset(key.physical));
  }
  // The last fault point at or before a host address inside the block; nullptr when there is none.
  const FaultPoint* fault_point(const std::uint8_t* host_address) const;
};

}  // namespace ringshift::codecache
