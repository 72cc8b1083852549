// tests/unit/devices/board_fakes.h - clock, timers, lines, sinks and power requests that tests can
// look into.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "devices/device.h"
#include "devices/power_control.h"

namespace ringshift::devices::board_fakes {

// Timers fire, in order, inside advance().
class FakeTimers final : public TimerService, private Clock {
 public:
  Clock& clock() override { return *this; }
  std::unique_ptr<Timer> create(std::function<void()> callback) override {
    return std::make_unique<FakeTimer>(*this, std::move(callback));
  }
  void advance(std::int64_t ns) {
    const std::int64_t end = now_ + ns;
    for (;;) {
      FakeTimer* next = nullptr;
      for (FakeTimer* t : armed_)
        if (t->deadline <= end && (!next || t->deadline < next->deadline)) next = t;
      if (!next) break;
      now_ = std::max(now_, next->deadline);
      next->cancel();
      next->callback();
    }
    now_ = end;
  }
  std::size_t armed() const { return armed_.size(); }

 private:
  struct FakeTimer final : Timer {
    FakeTimer(FakeTimers& o, std::function<void()> c) : owner(o), callback(std::move(c)) {}
    ~FakeTimer() override { cancel(); }
    void arm(std::int64_t at) override {
      cancel();
      deadline = at;
      owner.armed_.push_back(this);
    }
    void cancel() override { std::erase(owner.armed_, this); }
    FakeTimers& owner;
    std::function<void()> callback;
    std::int64_t deadline = 0;
  };
  std::int64_t now_ns() const override { return now_; }
  std::int64_t now_ = 0;
  std::vector<FakeTimer*> armed_;
};

struct FakeLine final : Line {
  void set(bool on) override {
    if (on && !level) ++rises;
    level = on;
  }
  bool level = false;
  int rises = 0;
};

struct FakeSink final : CharacterSink {
  void write(std::uint8_t byte) override { text.push_back(static_cast<char>(byte)); }
  std::string text;
};

struct FakePower final : PowerControl {
  void reset() override { ++resets; }
  void power_off() override { ++power_offs; }
  void exit(int s) override { statuses.push_back(s); }
  int resets = 0, power_offs = 0;
  std::vector<int> statuses;
};

}  // namespace ringshift::devices::board_fakes
