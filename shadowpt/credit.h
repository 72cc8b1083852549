// shadowpt/credit.h - whether mapping pages for a view pays: a view whose mappings are dropped soon
// (a guest that flushes at each CR3 load) has to wait before it gets more.
//
// What a mapping cost is owed when it is dropped. Time pays it back at a fixed rate, so that no
// view spends more than a small share of its time on windows, and one whose mappings live is never
// refused.
#pragma once

#include <cstdint>

namespace ringshift::shadowpt {

class Credit {
 public:
  // Time is in cycles of the host's counter; these are orders of magnitude, not measurements of
  // this host.
  static constexpr std::int64_t kRunCost = 25'000;  // fault, map, populate and drop: about 10 us
  static constexpr std::int64_t kTimeShare = 16;    // one of so many cycles may go into mapping
  static constexpr std::int64_t kMost = 200 * kRunCost;  // in hand for a burst
  // However deep in debt, a view may try again after half a second or so.
  static constexpr std::int64_t kLeast = -3 * kMost;

  bool allows(std::uint64_t now) {
    earn(now);
    return balance_ >= 0;
  }
  void charge(std::uint64_t runs, std::uint64_t now) {
    earn(now);
    constexpr std::uint64_t kEnough = (kMost - kLeast) / kRunCost;
    balance_ -= static_cast<std::int64_t>(runs < kEnough ? runs : kEnough) * kRunCost;
    if (balance_ < kLeast) balance_ = kLeast;
  }
  std::int64_t balance() const { return balance_; }

 private:
  void earn(std::uint64_t now) {
    const std::uint64_t earned = (now - then_) / kTimeShare;
    if (now <= then_ || earned == 0) return;  // another processor's counter may be behind
    then_ = now;
    balance_ = earned >= static_cast<std::uint64_t>(kMost - balance_)
                   ? kMost
                   : balance_ + static_cast<std::int64_t>(earned);
  }

  std::uint64_t then_ = 0;
  std::int64_t balance_ = kMost;
};

}  // namespace ringshift::shadowpt
