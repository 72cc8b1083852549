// translator/callouts/string_run.h - one execution of a string instruction: progress and pauses.
//
// How this works: a repeated string is done in runs of elements that lie in one page on either
// side. Each run is resolved to host addresses once and done there by the host's own string
// instruction, with the same element size and direction, so overlaps (also through two linear pages
// that map one frame) come out as element by element. Whatever cannot be resolved (MMIO, watched
// pages, elements that straddle pages) goes through read_data/write_data in short batches. rSI, rDI
// and rCX are committed after every run, so a fault shows the progress up to the faulting element.
#pragma once

#include <algorithm>
#include <cstdint>

#include "translator/core.h"

namespace ringshift::translator {

class StringRun {
 public:
  StringRun(Core& core, const Operation& op);

  // Elements are left, and the time slice after which interrupts must be seen is not over.
  bool working() const {
    return left_ != 0 && budget_ > 0 && core_.state.pending_debug == pending_before_;
  }
  // kContinue when everything is done, else kJump back to the instruction.
  Next outcome() const;
  void finish() { left_ = 0; }  // the condition of REPE/REPNE ended the repetition

  std::uint64_t left() const { return left_; }
  unsigned element() const { return element_; }
  bool repeated() const { return repeated_; }
  bool backward() const { return backward_; }
  std::uint64_t offset(guest::Gpr pointer) const {
    return core_.state.reg(pointer) & address_mask_;
  }

  // Host address of the element at `pointer`, the first of a run that stays in its page, inside its
  // segment and does not wrap; `elements` is reduced to the length of that run. nullptr: the
  // elements must go one at a time.
  guest::Checked<std::uint8_t*> resolve(guest::Seg segment, guest::Gpr pointer,
                                        std::uint64_t& elements, bool write);

  std::uint64_t slow_batch(std::uint64_t elements) const {
    const bool breakpoints = core_.state.dr[7] & 0xff;  // which trap after the iteration
    return std::min<std::uint64_t>(elements, breakpoints ? 1 : 64);
  }

  // Moves the pointer past `elements`; take() then counts them once per run.
  void advance(guest::Gpr pointer, std::uint64_t elements);
  void take_fast(std::uint64_t elements) { take(elements, elements * element_); }
  void take_slow(std::uint64_t elements) { take(elements, elements * kSlowCost); }
  void take_port(std::uint64_t elements) { take(elements, elements * kPortCost); }

 private:
  static constexpr std::int64_t kSlice = 64 * 1024;  // bytes moved between two looks at interrupts
  static constexpr std::uint64_t kSlowCost = 16;
  static constexpr std::uint64_t kPortCost = kSlice / 256;

  void take(std::uint64_t elements, std::uint64_t cost);
  void write_pointer(guest::Gpr reg, std::uint64_t value);
  std::uint64_t elements_before_wrap(std::uint64_t offset) const;
  std::uint64_t elements_in_page(std::uint64_t linear) const;
  bool checks_alignment() const;

  Core& core_;
  std::uint64_t address_mask_;
  unsigned element_;
  bool repeated_;
  bool backward_;
  std::uint64_t left_;
  std::int64_t budget_;
  std::uint32_t pending_before_;
};

}  // namespace ringshift::translator
