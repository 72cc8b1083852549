// devices/tick_rate.h - exact conversion between guest nanoseconds and the ticks of a device's
// crystal.
#pragma once

#include <cstdint>

namespace ringshift::devices {

// Frequencies below 9 GHz, so that no product leaves 64 bits.
class TickRate {
 public:
  explicit constexpr TickRate(std::int64_t hz) : hz_(hz) {}

  // Whole ticks since time 0.
  constexpr std::int64_t ticks_at(std::int64_t ns) const {
    return ns / kSecond * hz_ + ns % kSecond * hz_ / kSecond;
  }
  // The first nanosecond of a tick: ticks_at(ns_of(t)) == t.
  constexpr std::int64_t ns_of(std::int64_t tick) const {
    return tick / hz_ * kSecond + (tick % hz_ * kSecond + hz_ - 1) / hz_;
  }

 private:
  static constexpr std::int64_t kSecond = 1'000'000'000;
  std::int64_t hz_;
};

}  // namespace ringshift::devices
