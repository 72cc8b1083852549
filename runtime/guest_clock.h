// runtime/guest_clock.h - the guest's TSC against guest time, for the local APIC's deadline mode.
#pragma once

#include <x86intrin.h>

#include <cstdint>
#include <limits>

#include "devices/device.h"
#include "devices/local_apic_timer.h"

namespace ringshift::runtime {

// The guest's TSC is the host's plus an offset, and guest time is the host's monotonic clock: both
// advance at their host's rate, so the distance to a TSC value converts by the TSC's frequency.
class MachineTsc final : public devices::GuestTsc {
 public:
  MachineTsc(devices::Clock& clock, std::uint64_t hz) : clock_(clock), hz_(hz) {}
  // The vCPU's offset; it lives in its state.
  void set_offset_source(const std::uint64_t* offset) { offset_ = offset; }

  std::int64_t ns_at_tsc(std::uint64_t tsc) const override {
    const std::int64_t clock_now = clock_.now_ns();  // before the TSC: never late
    const auto now = __rdtsc() + (offset_ ? *offset_ : 0);
    const auto distance = static_cast<__int128>(static_cast<std::int64_t>(tsc - now)) *
                          1'000'000'000 / static_cast<__int128>(hz_);
    // Round up: the deadline must have passed when the timer fires.
    const auto at = clock_now + distance + (distance >= 0 ? 1 : 0);
    constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
    return at > kMost ? kMost : static_cast<std::int64_t>(at);
  }

 private:
  devices::Clock& clock_;
  std::uint64_t hz_;
  const std::uint64_t* offset_ = nullptr;
};

}  // namespace ringshift::runtime
