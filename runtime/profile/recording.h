// runtime/profile/recording.h - what was seen of a guest in a stretch of time, before names are put
// to it. A value: it outlives the machine.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "codecache/block.h"
#include "runtime/accelerator.h"
#include "runtime/bt/translating_vcpu.h"
#include "runtime/profile/guest_kernel.h"
#include "runtime/profile/sample.h"

namespace ringshift::runtime::profile {

// Who runs: an address space, and the task in it where that is known.
struct ProcessKey {
  std::uint64_t cr3 = 0;
  std::array<char, kCommBytes> comm{};
  auto operator<=>(const ProcessKey&) const = default;
};

// What a sample found the vCPU at. Translated code is told apart further; the detail of kThunk is
// the number of an entry of Recording::thunks.
struct Work {
  std::uint32_t activity = 0;  // ActivityWord
  enum class Code : std::uint8_t { kNone, kCold, kHot, kThunk } code = Code::kNone;
  auto operator<=>(const Work&) const = default;
};

struct StackKey {
  std::uint32_t process = 0;  // index
  std::uint8_t cpl = 0;
  std::uint8_t word_bytes = 8;
  Work work;
  std::vector<std::uint64_t> frames;  // linear addresses, the innermost first
  auto operator<=>(const StackKey&) const = default;
};

struct BlockRecord {
  codecache::BlockKey key;
  std::uint64_t linear = 0;
  bool hot = false, removed = false;
  std::uint32_t process = 0;  // that ran it first
  std::uint64_t page_hash = 0;
  std::vector<std::uint8_t> guest, host;  // code; the host's data is left out
  std::uint64_t host_bytes = 0;           // with its data
  std::uint64_t host_address = 0;
  // From a host offset on, what the instruction at a guest offset became; sorted by host offset.
  struct Start {
    std::uint32_t host_offset;
    std::uint16_t guest_offset;
  };
  std::vector<Start> starts;
  std::map<std::uint32_t, std::uint32_t> samples;  // by host offset
  std::map<std::uint32_t, std::uint32_t> called;   // by the offset of a call that runs
  std::uint64_t runs = 0;                          // with exact counts
};

// The counters at one time.
struct TimePoint {
  std::int64_t when_ns = 0;
  std::vector<std::uint64_t> values;  // as Recording::counters names them
};

// The code cache at one time, cut into cells of equal size.
struct CachePicture {
  std::int64_t when_ns = 0;
  std::uint64_t used_bytes = 0, capacity_bytes = 0;
  struct Cell {
    std::uint32_t cold = 0, hot = 0, dead = 0;  // bytes
    std::uint32_t age_ms = 0;                   // mean of its live blocks
  };
  std::vector<Cell> cells;
};

// Stores that hit translated code.
struct CodeWrite {
  std::uint64_t page = 0;    // physical address
  std::uint64_t linear = 0;  // of a block that went
  std::uint64_t writer = 0;  // RIP of a store
  std::uint32_t process = 0;
  std::uint64_t blocks = 0;  // that went
};

struct Recording {
  unsigned hz = 0;
  bool exact = false;
  std::uint64_t sample_ns = 0;  // what one sample stands for
  std::int64_t began_unix_s = 0;
  std::int64_t wall_ns = 0, cpu_ns = 0, idle_ns = 0;
  bool ended = false;  // the guest did, before it was asked for
  std::uint64_t samples = 0, lost = 0;

  std::vector<ProcessKey> processes;
  std::map<StackKey, std::uint32_t> stacks;
  std::vector<BlockRecord> blocks;
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::uint64_t> page_hashes;  // process, page
  std::map<std::uint64_t, CodeWrite> code_writes;                                // by page

  std::vector<Counter> counters;  // of this stretch
  std::vector<TimePoint> timeline;
  std::vector<CachePicture> cache;
  CallOutCounts call_outs;
  // Of the emitted form's host code: what block code may call.
  std::map<std::uint64_t, std::string> thunks;

  std::shared_ptr<const GuestKernel> kernel;
};

}  // namespace ringshift::runtime::profile
