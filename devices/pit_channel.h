// devices/pit_channel.h - one counter of the 8254: its six modes as functions of time.
// Time is the PIT's own tick count since the machine was created, handed in with each call; nothing
// ticks in between. Owned by Pit.
#pragma once

#include <cstdint>
#include <optional>

namespace ringshift::devices {

// Intel 8254 data sheet, "Mode Definitions".
class PitChannel {
 public:
  enum Mode : std::uint8_t {
    kInterruptOnTerminalCount = 0,
    kOneShot = 1,
    kRateGenerator = 2,
    kSquareWave = 3,
    kSoftwareStrobe = 4,
    kHardwareStrobe = 5,
  };

  void write_control(std::uint8_t control, std::int64_t now);
  void write_data(std::uint8_t value, std::int64_t now);
  std::uint8_t read_data(std::int64_t now);
  void latch_count(std::int64_t now);
  void latch_status(std::int64_t now);
  void set_gate(bool level, std::int64_t now);

  bool gate() const { return gate_; }
  bool output(std::int64_t now) const;
  Mode mode() const { return mode_; }

  // The next times at which OUT rises: once, or from `first` on every `period` ticks.
  struct RisingEdges {
    std::int64_t first;
    std::int64_t period;  // 0: once
  };
  std::optional<RisingEdges> rising_edges(std::int64_t now) const;

 private:
  enum class Access : std::uint8_t { kLow = 1, kHigh = 2, kLowThenHigh = 3 };

  bool periodic() const { return mode_ == kRateGenerator || mode_ == kSquareWave; }
  bool hardware_triggered() const { return mode_ == kOneShot || mode_ == kHardwareStrobe; }
  std::int64_t modulus() const { return bcd_ ? 10'000 : 65'536; }
  std::int64_t high_ticks(std::int64_t count) const;
  std::int64_t elapsed(std::int64_t now) const;
  std::uint16_t count_at(std::int64_t now) const;
  std::uint16_t encode(std::int64_t value) const;
  std::int64_t decode(std::uint16_t raw) const;
  bool null_count(std::int64_t now) const;

  void write_count(std::uint16_t raw, std::int64_t now);
  void load(std::int64_t now);
  void settle(std::int64_t now);

  Mode mode_ = kInterruptOnTerminalCount;
  std::uint8_t control_ = 0x30;  // as written: access, mode, BCD
  Access access_ = Access::kLowThenHigh;
  bool bcd_ = false;
  bool gate_ = true;

  // Counting element. While loaded_, the count is a function of the time since start_, or of
  // frozen_ while the gate holds it; otherwise it stands at idle_count_.
  bool loaded_ = false;
  std::uint16_t idle_count_ = 0;
  std::int64_t count_ = 65'536;
  std::int64_t start_ = 0;
  std::optional<std::int64_t> frozen_;

  // Count register: what the next load brings; in the periodic modes a new count waits for
  // reload_at_.
  std::optional<std::int64_t> next_count_;
  std::int64_t register_count_ = 65'536;
  std::int64_t reload_at_ = 0;
  std::int64_t phase_at_reload_ = 0;  // ticks into the new period at reload_at_

  bool write_high_next_ = false, read_high_next_ = false;
  std::uint8_t written_low_ = 0;
  std::optional<std::uint16_t> latched_count_;
  std::optional<std::uint8_t> latched_status_;
};

}  // namespace ringshift::devices
