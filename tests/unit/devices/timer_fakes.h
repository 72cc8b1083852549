// tests/unit/devices/timer_fakes.h - hand-cranked time and recording lines for tests of devices.
#pragma once

#include <cstdint>
#include <vector>

#include "devices/local_apic.h"
#include "devices/timer_queue.h"

namespace ringshift::devices::timer_test {

class FakeTime final : public TimeSource {
 public:
  std::int64_t host_ns() const override { return now; }
  std::int64_t now = 5'000'000'000;  // not 0: guest time must not be host time
};

// A machine's loop that is never late, or as late as a test wants.
class FakeLoop {
 public:
  FakeTime time;
  TimerQueue timers{time};

  std::int64_t now() { return timers.clock().now_ns(); }

  // Every timer runs at its deadline.
  void run_until(std::int64_t guest_ns) {
    while (timers.next_deadline() && *timers.next_deadline() <= guest_ns) {
      if (*timers.next_deadline() > now()) time.now += *timers.next_deadline() - now();
      timers.run_due();
    }
    time.now += guest_ns - now();
  }
  void run_for(std::int64_t ns) { run_until(now() + ns); }

  // The host was busy: time passes and no timer runs.
  void stall(std::int64_t ns) { time.now += ns; }
};

class FakeLine final : public Line {
 public:
  void set(bool new_level) override {
    if (new_level && !level) ++rises;
    level = new_level;
  }
  bool level = false;
  int rises = 0;
};

// A guest TSC of 2 GHz that started with guest time.
class FakeTsc final : public GuestTsc {
 public:
  std::int64_t ns_at_tsc(std::uint64_t tsc) const override {
    return static_cast<std::int64_t>((tsc + 1) / 2);
  }
};

class FakeCpu final : public CpuSignals {
 public:
  void nmi() override { ++nmis; }
  void smi() override { ++smis; }
  void init() override { ++inits; }
  void startup(std::uint8_t vector) override { startups.push_back(vector); }
  int nmis = 0, smis = 0, inits = 0;
  std::vector<std::uint8_t> startups;
};

// A local APIC with all that it needs.
struct FakeProcessor {
  FakeProcessor(FakeLoop& loop, ApicBus& bus, LocalApicConfig config = {})
      : apic(std::move(config), bus, loop.timers, tsc, cpu, attention) {}

  FakeTsc tsc;
  FakeCpu cpu;
  FakeLine attention;
  LocalApic apic;

  std::uint32_t read(std::uint64_t offset) {
    return static_cast<std::uint32_t>(apic.mmio_read(offset, 4));
  }
  void write(std::uint64_t offset, std::uint32_t value) { apic.mmio_write(offset, 4, value); }
  void software_enable() { write(0xf0, 0x1ff); }
};

}  // namespace ringshift::devices::timer_test
