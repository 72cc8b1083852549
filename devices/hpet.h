// devices/hpet.h - the high precision event timer: a 64-bit counter at 100 MHz and three
// comparators. Device lock held for every call. The counter and the comparators of periodic timers
// follow from the clock; a host timer runs for each comparator that can interrupt. IA-PC HPET
// Specification 1.0a.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "devices/device.h"
#include "devices/periodic_ticks.h"

namespace ringshift::devices {

// Where the timers' interrupts go.
struct HpetOutputs {
  Line& legacy_irq0;    // timer 0 under legacy replacement: PIC IRQ 0 and I/O APIC pin 2
  Line& legacy_irq8;    // timer 1
  Line& legacy_active;  // high: the board cuts the PIT and the RTC off their lines (LineGate)
  std::array<Line*, 32> pins{};  // I/O APIC pins; what is not nullptr is offered to software
};

class Hpet final : public MmioHandler {
 public:
  static constexpr std::uint64_t kDefaultBase = 0xfed00000, kMmioBytes = 1024;
  static constexpr unsigned kTimers = 3;
  static constexpr std::int64_t kTickNs = 10;

  Hpet(TimerService& timers, HpetOutputs outputs);

  // Capabilities, low half: also the hardware ID in the ACPI table.
  static constexpr std::uint32_t kCapabilitiesLow =
      0x8086'0000 | 1 << 15 | 1 << 13 | (kTimers - 1) << 8 | 1;

  std::uint64_t mmio_read(std::uint64_t offset, unsigned size) override;
  void mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) override;

 private:
  struct Comparator {
    std::uint64_t config = 0;
    std::uint64_t value = ~std::uint64_t{0};  // of a periodic timer: as of its last settle()
    std::uint64_t period = 0;
    std::uint64_t fsb_route = 0;
    std::unique_ptr<Timer> timer;
    bool waiting = false;  // a match lies ahead, at match_tick
    std::int64_t match_tick = 0;
    PeriodicTicks ticks;
    Line* output = nullptr;  // where it drove its line high
  };

  std::uint64_t read_register(std::uint64_t offset);
  void write_register(std::uint64_t offset, std::uint64_t value, std::uint64_t written);
  void write_config(std::uint64_t value);
  void write_counter(std::uint64_t value);
  void write_timer_config(unsigned n, std::uint64_t value);
  void write_comparator(unsigned n, std::uint64_t value, std::uint64_t written);
  void clear_status(std::uint32_t bits);

  bool counting() const;
  bool legacy() const;
  std::int64_t tick() const { return clock_.now_ns() / kTickNs; }
  std::uint64_t counter() const;
  std::uint64_t mask(const Comparator& c) const;
  bool periodic(const Comparator& c) const;
  bool repeats(const Comparator& c) const;
  std::uint64_t comparator_now(const Comparator& c) const;
  Line* route(unsigned n);

  void stop(unsigned n);   // settles and forgets the next match
  void start(unsigned n);  // finds the next match
  void on_timer(unsigned n);
  void take_matches(unsigned n);
  void arm(unsigned n);
  void interrupt(unsigned n);
  void drive_level(unsigned n);

  Clock& clock_;
  HpetOutputs outputs_;
  std::uint64_t config_ = 0;
  std::uint32_t status_ = 0;
  std::uint64_t halted_counter_ = 0;  // while not counting
  std::uint64_t counter_offset_ = 0;  // counter minus tick(), while counting
  std::uint64_t route_capability_ = 0;
  std::array<Comparator, kTimers> timers_;
};

}  // namespace ringshift::devices
