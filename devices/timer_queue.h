// devices/timer_queue.h - guest time and the machine's one-shot timers over an injected time
// source. Owned by the machine; every call holds the device lock, except where it says otherwise.
// Never sleeps and never starts a thread: the machine's loop waits for next_deadline() and calls
// run_due().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "devices/device.h"

namespace ringshift::devices {

// A monotonic clock of the host, or a test's hand-cranked one. Any thread.
class TimeSource {
 public:
  virtual ~TimeSource() = default;
  virtual std::int64_t host_ns() const = 0;
};

// CLOCK_MONOTONIC.
class MonotonicTime final : public TimeSource {
 public:
  std::int64_t host_ns() const override;
};

class TimerQueue final : public TimerService, private Clock {
 public:
  // Guest time starts at 0, now. The source must outlive the queue, the queue its timers.
  explicit TimerQueue(const TimeSource& source);

  Clock& clock() override { return *this; }
  // The callback may arm, cancel or destroy any timer but its own, which it may only arm or cancel.
  std::unique_ptr<Timer> create(std::function<void()> callback) override;

  // Earliest deadline in guest time, past ones included; nothing when no timer is armed or the
  // machine is paused.
  std::optional<std::int64_t> next_deadline() const;
  // The same as nanoseconds from now, 0 when it has passed: what the loop may sleep.
  std::optional<std::int64_t> time_to_next_deadline() const;
  // Calls back every timer that is due, earliest deadline first. One that arms itself again in the
  // past runs with the next call, so that no timer can keep the loop or starve another.
  void run_due();

  // Called when the earliest deadline moves forward: the loop must shorten its sleep.
  void set_deadline_observer(std::function<void()> observer) { observer_ = std::move(observer); }

  void pause();
  void resume();

 private:
  class QueuedTimer;

  std::int64_t now_ns() const override;
  std::int64_t earliest() const;
  void insert(QueuedTimer& timer);
  void remove(QueuedTimer& timer);
  void place(std::size_t slot, QueuedTimer* timer);
  void sift_up(std::size_t slot);
  void sift_down(std::size_t slot);

  const TimeSource& source_;
  std::int64_t origin_ns_;                 // host time at guest time 0
  std::optional<std::int64_t> paused_at_;  // guest time
  std::uint64_t next_sequence_ = 0;
  std::vector<QueuedTimer*> heap_;   // binary heap by (deadline, sequence)
  std::vector<QueuedTimer*> batch_;  // run_due()'s, nullptr where it was cancelled meanwhile
  std::function<void()> observer_;
};

}  // namespace ringshift::devices
