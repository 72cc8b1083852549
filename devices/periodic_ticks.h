// devices/periodic_ticks.h - which periodic ticks are owed to the guest, and when to look again.
// Used by the PIT, the RTC and the HPET, each in its own counter's unit; the unit's zero is any
// fixed moment. Never drifts: the n-th tick is due at first + n * period, however late the ones
// before came.
//
// Policy when the host was slow. Guests that count ticks fall behind if late ones are dropped;
// guests that calibrate against ticks (Linux times its LAPIC timer and delay loop so) are misled if
// late ones arrive all at once. So ticks that are owed come at twice the nominal rate, at most
// kMaxCatchUp of them; what is older is dropped, as on real hardware with interrupts disabled.
// And no guest can make the host wake more often than the minimum distance: faster ticks merge.
#pragma once

#include <algorithm>
#include <cstdint>

namespace ringshift::devices {

class PeriodicTicks {
 public:
  static constexpr std::int64_t kMaxCatchUp = 8;
  static constexpr std::int64_t kMinimumWakeNs = 20'000;  // 50 kHz

  // Ticks at first, first + period, ... No wake-up sooner than `minimum_wake` after another.
  void start(std::int64_t first, std::int64_t period, std::int64_t minimum_wake) {
    first_ = first;
    period_ = std::max<std::int64_t>(period, 1);
    minimum_wake_ = std::max<std::int64_t>(minimum_wake, 1);
    delivered_ = 0;
  }

  // True when a tick is owed now; it then counts as delivered.
  bool take(std::int64_t now) {
    const std::int64_t elapsed = elapsed_ticks(now);
    if (delivered_ >= elapsed) return false;
    const std::int64_t owed_limit = period_ >= minimum_wake_ ? kMaxCatchUp + 1 : 1;
    delivered_ = std::max(delivered_, elapsed - owed_limit) + 1;
    return true;
  }

  // When to call take() next.
  std::int64_t next_wake(std::int64_t now) const {
    if (now < first_) return first_;
    const std::int64_t elapsed = elapsed_ticks(now);
    if (delivered_ < elapsed) return now + std::max(period_ / 2, minimum_wake_);
    return std::max(first_ + elapsed * period_, now + minimum_wake_);
  }

 private:
  std::int64_t elapsed_ticks(std::int64_t now) const {
    return now < first_ ? 0 : (now - first_) / period_ + 1;
  }

  std::int64_t first_ = 0, period_ = 1, minimum_wake_ = 1, delivered_ = 0;
};

}  // namespace ringshift::devices
