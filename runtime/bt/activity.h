// runtime/bt/activity.h - what a vCPU is at, as one word that a signal handler may read: set by the
// slow paths, so that translated code pays nothing for it.
#pragma once

#include <atomic>
#include <cstdint>

namespace ringshift::runtime {

enum class Activity : std::uint8_t {
  kGuestCode,  // translated code
  kOutside,    // not in run()
  kDispatch,   // between blocks: events, finding code. The guest's RIP is exact in the state
  kTranslate,  // the same, while a block is made
  kFlush,      // while the code cache starts afresh
  kPromote,    // a block has run often
  kLink,       // an exit is linked
  kMiss,       // an access that look-ups do not serve; detail: none
  kStore,      // the end of a store that look-ups do not serve
  kSegment,    // a segment's limits and rights
  kCallOut,    // detail: row of the instruction table
  kQuick,      // the same, in its quick form
  kException,  // delivery; detail: vector
  kInterrupt,  // delivery; detail: vector
  kPort,       // detail: port
  kDevice,     // memory of a device; detail: physical page number
  kWindow,     // an access through a window that the host refused
  kObserve,    // observers look: profilers
};

// Whether the state's RIP says where the guest is. Only then may the cache's blocks be changing.
constexpr bool is_between_blocks(Activity what) {
  switch (what) {
    case Activity::kDispatch:
    case Activity::kTranslate:
    case Activity::kFlush:
    case Activity::kPromote:
    case Activity::kException:
    case Activity::kInterrupt:
    case Activity::kObserve:
      return true;
    default:
      return false;
  }
}

class ActivityWord {
 public:
  static constexpr unsigned kDetailBits = 24;
  static constexpr std::uint32_t pack(Activity what, std::uint64_t detail) {
    return static_cast<std::uint32_t>(what) << kDetailBits |
           static_cast<std::uint32_t>(detail & ((1u << kDetailBits) - 1));
  }
  static constexpr Activity what(std::uint32_t word) {
    return static_cast<Activity>(word >> kDetailBits);
  }
  static constexpr std::uint32_t detail(std::uint32_t word) {
    return word & ((1u << kDetailBits) - 1);
  }

  std::uint32_t get() const { return word_.load(std::memory_order_relaxed); }
  void set(std::uint32_t word) { word_.store(word, std::memory_order_relaxed); }
  void set(Activity what, std::uint64_t detail = 0) { set(pack(what, detail)); }

 private:
  std::atomic<std::uint32_t> word_ = pack(Activity::kOutside, 0);
};

// For the time of a scope.
class Doing {
 public:
  Doing(ActivityWord& word, Activity what, std::uint64_t detail = 0)
      : word_(word), before_(word.get()) {
    word.set(what, detail);
  }
  ~Doing() { word_.set(before_); }
  Doing(const Doing&) = delete;
  Doing& operator=(const Doing&) = delete;

 private:
  ActivityWord& word_;
  const std::uint32_t before_;
};

}  // namespace ringshift::runtime
