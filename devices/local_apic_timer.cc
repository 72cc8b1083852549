// devices/local_apic_timer.cc - expiry, reload and divider of the local APIC's timer.
#include "devices/local_apic_timer.h"

#include <algorithm>

namespace ringshift::devices {

LocalApicTimer::LocalApicTimer(TimerService& timers, const GuestTsc& tsc,
                               std::function<void()> expired)
    : clock_(timers.clock()),
      tsc_(tsc),
      expired_(std::move(expired)),
      timer_(timers.create([this] { fire(); })) {}

void LocalApicTimer::reset() {
  timer_->cancel();
  mode_ = Mode::kOneShot;
  masked_ = true;
  shift_ = 1;
  initial_ = 0;
  counting_ = false;
  deadline_ = 0;
}

void LocalApicTimer::set_lvt(Mode mode, bool masked) {
  settle();
  const bool deadline_before = mode_ == Mode::kTscDeadline,
             deadline_now = mode == Mode::kTscDeadline;
  mode_ = mode;
  masked_ = masked;
  // SDM Vol. 3 "TSC-Deadline Mode": changing to or from it disarms the timer.
  if (deadline_before != deadline_now) {
    counting_ = false;
    initial_ = 0;
    deadline_ = 0;
  }
  arm();
}

// The count goes on from where it stands, at the new pace.
void LocalApicTimer::set_divide(std::uint32_t divide_configuration) {
  settle();
  const std::int64_t done = counting_ ? (clock_.now_ns() - start_ns_) >> shift_ : 0;
  const unsigned code = (divide_configuration & 3) | (divide_configuration >> 1 & 4);
  shift_ = (code + 1) & 7;  // 0 divides by 2, 6 by 128, 7 by 1
  start_ns_ = clock_.now_ns() - (done << shift_);
  arm();
}

void LocalApicTimer::set_initial_count(std::uint32_t count) {
  if (mode_ == Mode::kTscDeadline) return;
  initial_ = count;
  counting_ = count != 0;
  start_ns_ = clock_.now_ns();
  arm();
}

std::uint32_t LocalApicTimer::current_count() const {
  if (!counting_ || mode_ == Mode::kTscDeadline) return 0;
  std::int64_t elapsed = clock_.now_ns() - start_ns_;
  if (mode_ == Mode::kPeriodic) {
    elapsed %= period_ns();
  } else if (elapsed >= period_ns()) {
    return 0;
  }
  return initial_ - static_cast<std::uint32_t>(elapsed >> shift_);
}

void LocalApicTimer::set_deadline(std::uint64_t tsc) {
  if (mode_ != Mode::kTscDeadline) return;
  deadline_ = tsc;
  arm();
}

std::uint64_t LocalApicTimer::deadline() {
  settle();
  return deadline_;
}

// Brings an expiry that nobody has noticed yet into effect: the timer was masked, or the host is
// late.
void LocalApicTimer::settle() {
  if (mode_ == Mode::kTscDeadline) {
    if (deadline_ && deadline_passed(tsc_.ns_at_tsc(deadline_))) expire();
  } else if (counting_ && clock_.now_ns() - start_ns_ >= period_ns()) {
    expire();
  }
}

void LocalApicTimer::expire() {
  if (mode_ == Mode::kPeriodic) {
    start_ns_ += (clock_.now_ns() - start_ns_) / period_ns() * period_ns();
  } else {
    counting_ = false;
    deadline_ = 0;
  }
  if (!masked_) expired_();
}

void LocalApicTimer::arm() {
  if (mode_ == Mode::kTscDeadline) {
    if (!deadline_ || masked_) return timer_->cancel();
    const std::int64_t at = tsc_.ns_at_tsc(deadline_);
    // A deadline that has passed interrupts with the write itself: no detour over the timer thread.
    return deadline_passed(at) ? fire() : timer_->arm(at);
  }
  if (!counting_ || masked_) return timer_->cancel();
  if (mode_ == Mode::kPeriodic) {
    // On the grid of start_ns_, so it never drifts; what was missed is not made up for.
    const std::int64_t now = clock_.now_ns();
    const std::int64_t next = start_ns_ + ((now - start_ns_) / period_ns() + 1) * period_ns();
    return timer_->arm(period_ns() < kMinimumWakeNs ? std::max(next, now + kMinimumWakeNs) : next);
  }
  timer_->arm(start_ns_ + period_ns());
}

// The clock is read after the deadline was converted: one that has passed must never look ahead.
bool LocalApicTimer::deadline_passed(std::int64_t at) const { return at <= clock_.now_ns(); }

void LocalApicTimer::fire() {
  settle();
  arm();
}

}  // namespace ringshift::devices
