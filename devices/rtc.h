// devices/rtc.h - the MC146818 real-time clock with its CMOS memory (ports 70H, 71H; 72H, 73H for
// the upper bank). Time of day is the clock plus an offset: it does not tick. Flags of register C
// are derived when someone looks; a timer runs only while an interrupt is enabled. Device lock held
// for every call.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "devices/byte_ports.h"
#include "devices/device.h"
#include "devices/periodic_ticks.h"

namespace ringshift::devices {

class Rtc final : public BytePorts {
 public:
  // `utc_seconds`: what the wall clock shows at guest time 0, as seconds since 1970.
  Rtc(TimerService& timers, Line& irq8, std::int64_t utc_seconds);

  // Bit 7 of the last write to port 70H.
  bool nmi_masked() const { return nmi_masked_; }

  // CMOS memory as firmware leaves it. Not for the clock's own registers (0 to 0DH, century).
  void set_cmos(std::uint8_t index, std::uint8_t value) { cmos_[index] = value; }
  std::uint8_t cmos(std::uint8_t index) const { return cmos_[index]; }
  // The registers from which firmware for QEMU's pc machine reads its memory and processors.
  void set_memory_size(std::uint64_t below_4gib, std::uint64_t above_4gib);
  void set_cpu_count(unsigned cpus);

 private:
  // Even offsets select a register, odd ones access it; 0 and 1 in the lower 128 bytes, 2 and 3 in
  // the upper.
  std::uint8_t read_byte(std::uint16_t offset) override;
  void write_byte(std::uint16_t offset, std::uint8_t value) override;

  std::uint8_t read_register(std::uint8_t index);
  void write_register(std::uint8_t index, std::uint8_t value);
  void write_a(std::uint8_t value);
  void write_b(std::uint8_t value);
  std::uint8_t read_c();

  // Time of day.
  bool divider_running() const;
  bool halted() const;  // SET, or the divider held in reset: the registers stand
  std::int64_t divider_seconds() const;
  std::int64_t seconds() const;
  std::int64_t next_second_ns() const;  // guest time
  bool update_in_progress() const;
  std::uint8_t running_time(std::uint8_t index) const;
  void freeze();
  void commit_frozen();
  std::uint8_t encode(unsigned value) const;
  unsigned decode(std::uint8_t raw) const;
  std::uint8_t encode_hour(unsigned hour) const;
  unsigned decode_hour(std::uint8_t raw) const;

  // Interrupts.
  bool alarm_matches(std::int64_t second) const;
  std::int64_t period_units() const;  // of the 32768 Hz crystal; 0: none
  void restart_periodic();
  void collect_periodic_flag();
  void collect_second_flags();
  void update_irq();
  void arm();

  Clock& clock_;
  Line& irq8_;
  std::unique_ptr<Timer> timer_;
  std::array<std::uint8_t, 256> cmos_{};
  std::uint8_t index_ = 0, upper_index_ = 128;
  bool nmi_masked_ = false;

  std::int64_t phase_ns_ = 0;              // what the divider chain is ahead of guest time
  std::int64_t offset_seconds_ = 0;        // since 1970, when the divider chain was at 0
  std::int64_t weekday_shift_ = 0;         // days by which the guest's weekday is off the calendar
  std::array<std::uint8_t, 11> frozen_{};  // while halted(): registers 0 to 9, then the century
  std::int64_t seen_second_ = 0;           // update and alarm flags are in C up to this one
  PeriodicTicks ticks_;
};

}  // namespace ringshift::devices
