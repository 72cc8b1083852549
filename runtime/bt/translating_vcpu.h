// runtime/bt/translating_vcpu.h - a vCPU that translates, as its observers see it: profilers, and
// files for host tools. The vCPU's thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "codecache/cache.h"
#include "guest/cpu_model.h"
#include "runtime/bt/activity.h"
#include "translator/frame.h"
#include "translator/thunks.h"

namespace ringshift::runtime {

// Called where library code may run: the guest's SIMD state is put away.
class BlockObserver {
 public:
  virtual ~BlockObserver() = default;
  // A block was made for the code at `linear`, whose bytes these are.
  virtual void translated(const codecache::Block& block, guest::LinearAddress linear,
                          std::span<const std::uint8_t> bytes) = 0;
  // Its guest bytes are about to change, or it is about to be made anew.
  virtual void removed(const codecache::Block& block, codecache::Removal why) = 0;
  // All blocks are about to go.
  virtual void before_flush() = 0;
  // Soon after it was asked for by TranslatingVcpu::want_look().
  virtual void look() = 0;
};

// How often instructions with rules of their own left translated code, by row of the instruction
// table; the board's ports and pages, by number.
struct CallOutCounts {
  std::vector<std::uint64_t> call_outs, quick;
  struct Port {
    std::uint16_t port = 0;
    std::uint64_t reads = 0, writes = 0;
  };
  std::vector<Port> ports;
  struct Page {
    std::uint64_t number = 0, accesses = 0;  // physical page number
  };
  std::vector<Page> device_pages;
  std::array<std::uint64_t, 256> exceptions{}, interrupts{};  // by vector
};

class TranslatingVcpu {
 public:
  // Both sides of translated code. Valid as long as the vCPU.
  struct Parts {
    translator::Frame& frame;
    codecache::Cache& cache;
    const translator::Thunks& thunks;
    guest::PhysicalMemory& memory;
    const guest::CpuModel& model;
    const ActivityWord& activity;
  };
  virtual Parts parts() = 0;
  virtual CallOutCounts call_out_counts() const = 0;

  virtual void add_observer(BlockObserver& observer) = 0;
  virtual void remove_observer(BlockObserver& observer) = 0;
  // Async-signal-safe, on the vCPU's thread: look() of all observers at the next chance.
  virtual void want_look() = 0;
  // Whether blocks count their runs, exactly; between two runs of run(). All blocks are made anew.
  virtual void count_runs(bool on) = 0;

 protected:
  ~TranslatingVcpu() = default;
};

}  // namespace ringshift::runtime
