// devices/local_apic_timer.h - the local APIC's timer: one-shot, periodic, TSC deadline.
// The current count follows from the clock. A host timer runs only while an expiry would interrupt.
// Device lock held for every call.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "devices/device.h"

namespace ringshift::devices {

// Guest time at which the guest's TSC reaches a value, rounded up; far values saturate.
class GuestTsc {
 public:
  virtual ~GuestTsc() = default;
  virtual std::int64_t ns_at_tsc(std::uint64_t tsc) const = 0;
};

// SDM Vol. 3 "APIC Timer". The input clock is 1 GHz: one count a nanosecond before the divider.
class LocalApicTimer {
 public:
  enum class Mode : std::uint8_t { kOneShot = 0, kPeriodic = 1, kTscDeadline = 2, kReserved = 3 };
  static constexpr std::uint64_t kInputHz = 1'000'000'000;

  LocalApicTimer(TimerService& timers, const GuestTsc& tsc, std::function<void()> expired);

  void reset();
  void set_lvt(Mode mode, bool masked);
  void set_divide(std::uint32_t divide_configuration);
  void set_initial_count(std::uint32_t count);
  std::uint32_t initial_count() const { return initial_; }
  std::uint32_t current_count() const;

  // IA32_TSC_DEADLINE.
  void set_deadline(std::uint64_t tsc);
  std::uint64_t deadline();
  // The guest's TSC jumped: the deadline is now at another time.
  void tsc_changed() { arm(); }

 private:
  // Periods below this would keep the host busy with nothing but this timer.
  static constexpr std::int64_t kMinimumWakeNs = 20'000;

  std::int64_t period_ns() const {
    return static_cast<std::int64_t>(std::uint64_t{initial_} << shift_);
  }
  void settle();
  void expire();
  void arm();
  void fire();
  bool deadline_passed(std::int64_t at) const;

  Clock& clock_;
  const GuestTsc& tsc_;
  std::function<void()> expired_;
  std::unique_ptr<Timer> timer_;

  Mode mode_ = Mode::kOneShot;
  bool masked_ = true;
  unsigned shift_ = 1;
  std::uint32_t initial_ = 0;
  bool counting_ = false;
  std::int64_t start_ns_ = 0;   // when the count stood at initial_
  std::uint64_t deadline_ = 0;  // 0: disarmed
};

}  // namespace ringshift::devices
