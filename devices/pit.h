// devices/pit.h - the 8254 interval timer (ports 40H..43H) and the system control port 61H beside
// it. Channel 0 drives a line (IRQ 0), channel 1 refreshed DRAM once, channel 2 is gated and read
// through port 61H. Device lock held for every call. Counts follow from the clock; only IRQ 0 needs
// a timer.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "devices/byte_ports.h"
#include "devices/device.h"
#include "devices/periodic_ticks.h"
#include "devices/pit_channel.h"
#include "devices/tick_rate.h"

namespace ringshift::devices {

inline constexpr TickRate kPitRate{1'193'182};  // 14.31818 MHz / 12

class Pit final : public BytePorts {
 public:
  Pit(TimerService& timers, Line& irq0);

  // For port 61H.
  void set_gate2(bool level) { channels_[2].set_gate(level, now()); }
  bool gate2() const { return channels_[2].gate(); }
  bool output2() const { return channels_[2].output(now()); }
  bool refresh_toggle() const;

 private:
  std::uint8_t read_byte(std::uint16_t offset) override;
  void write_byte(std::uint16_t offset, std::uint8_t value) override;
  std::int64_t now() const { return kPitRate.ticks_at(clock_.now_ns()); }
  void write_control(std::uint8_t control);
  void read_back(std::uint8_t command);
  void deliver_due();
  void reprogram();
  void arm();

  Clock& clock_;
  Line& irq0_;
  std::unique_ptr<Timer> timer_;
  std::array<PitChannel, 3> channels_;
  enum class Edges { kNone, kOne, kPeriodic } edges_ = Edges::kNone;
  std::int64_t edge_at_ = 0;  // kOne
  PeriodicTicks ticks_;       // kPeriodic
};

// Port 61H: speaker gate and data, refresh toggle, OUT2. The NMI sources that it also reports
// (parity, channel check) never happen here; their enable bits are kept.
class SystemControlPort final : public BytePorts {
 public:
  explicit SystemControlPort(Pit& pit) : pit_(pit) {}

  bool speaker_data() const;

 private:
  std::uint8_t read_byte(std::uint16_t offset) override;
  void write_byte(std::uint16_t offset, std::uint8_t value) override;

  Pit& pit_;
  std::uint8_t kept_ = 0;  // bits 3:1
};

}  // namespace ringshift::devices
