// devices/pit_channel.cc - 8254 counter: count, OUT and reloads derived from the tick number.
#include "devices/pit_channel.h"

#include <algorithm>

namespace ringshift::devices {
namespace {

// Read-back status byte.
constexpr std::uint8_t kStatusOut = 0x80, kStatusNullCount = 0x40, kStatusControl = 0x3f;

// A count of 1 is illegal where the counter reloads itself; the shortest period stands in for it.
constexpr std::int64_t kShortestPeriod = 2;

}  // namespace

std::int64_t PitChannel::high_ticks(std::int64_t count) const {
  return mode_ == kSquareWave ? (count + 1) / 2 : count - 1;
}

std::int64_t PitChannel::elapsed(std::int64_t now) const {
  return frozen_ ? *frozen_ : std::max<std::int64_t>(0, now - start_);
}

std::uint16_t PitChannel::encode(std::int64_t value) const {
  const auto v = static_cast<std::uint32_t>(value % modulus());
  if (!bcd_) return static_cast<std::uint16_t>(v);
  return static_cast<std::uint16_t>(v / 1000 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10);
}

// 0 stands for the modulus. A digit above 9 counts as its value.
std::int64_t PitChannel::decode(std::uint16_t raw) const {
  std::int64_t value = raw;
  if (bcd_) value = (raw >> 12) * 1000 + (raw >> 8 & 15) * 100 + (raw >> 4 & 15) * 10 + (raw & 15);
  return value == 0 ? modulus() : value;
}

std::uint16_t PitChannel::count_at(std::int64_t now) const {
  if (!loaded_) return idle_count_;
  const std::int64_t e = elapsed(now);
  switch (mode_) {
    case kRateGenerator:
      return encode(count_ - e % count_);
    case kSquareWave: {
      // Down by two in each half. An odd count is loaded less one, and its high half lasts one tick
      // more, spent at 0.
      const std::int64_t high = high_ticks(count_);
      const std::int64_t phase = e % count_;
      const std::int64_t in_half = phase < high ? phase : phase - high;
      return encode((count_ & ~std::int64_t{1}) - 2 * in_half);
    }
    default:
      return encode(count_ + modulus() - e % modulus());
  }
}

bool PitChannel::output(std::int64_t now) const {
  if (!loaded_) return mode_ != kInterruptOnTerminalCount;
  const std::int64_t e = elapsed(now);
  switch (mode_) {
    case kInterruptOnTerminalCount:
    case kOneShot:
      return e >= count_;
    case kRateGenerator:
    case kSquareWave:
      return !gate_ || e % count_ < high_ticks(count_);
    default:
      return e != count_;
  }
}

bool PitChannel::null_count(std::int64_t now) const {
  return next_count_.has_value() || !loaded_ || (now < start_ && !frozen_);
}

std::optional<PitChannel::RisingEdges> PitChannel::rising_edges(std::int64_t now) const {
  if (!loaded_ || frozen_) return std::nullopt;
  if (periodic()) {
    if (next_count_ && now < reload_at_) {
      // A reload between two periods is itself a rising edge.
      const std::int64_t first = reload_at_ - phase_at_reload_;
      return RisingEdges{first >= reload_at_ ? first : first + *next_count_, *next_count_};
    }
    const std::int64_t periods = now < start_ ? 1 : (now - start_) / count_ + 1;
    return RisingEdges{start_ + periods * count_, count_};
  }
  const bool strobe = mode_ == kSoftwareStrobe || mode_ == kHardwareStrobe;
  const std::int64_t edge = start_ + count_ + (strobe ? 1 : 0);
  if (edge <= now) return std::nullopt;
  return RisingEdges{edge, 0};
}

// Brings a count that waited for the end of its period into effect.
void PitChannel::settle(std::int64_t now) {
  if (!periodic() || !next_count_ || !loaded_ || frozen_ || now < reload_at_) return;
  count_ = *next_count_;
  start_ = reload_at_ - phase_at_reload_;
  next_count_.reset();
}

// The count register goes to the counting element with the tick after the write or the trigger.
void PitChannel::load(std::int64_t now) {
  count_ = register_count_;
  start_ = now + 1;
  frozen_.reset();
  next_count_.reset();
  loaded_ = true;
}

void PitChannel::write_control(std::uint8_t control, std::int64_t now) {
  settle(now);
  idle_count_ = count_at(now);
  control_ = control & kStatusControl;
  access_ = static_cast<Access>(control >> 4 & 3);
  const std::uint8_t mode = control >> 1 & 7;
  mode_ = static_cast<Mode>(mode > kHardwareStrobe ? mode & 3 : mode);  // 6 and 7 are 2 and 3
  bcd_ = control & 1;
  loaded_ = false;
  frozen_.reset();
  next_count_.reset();
  write_high_next_ = read_high_next_ = false;
  latched_count_.reset();
  latched_status_.reset();
}

void PitChannel::write_data(std::uint8_t value, std::int64_t now) {
  settle(now);
  switch (access_) {
    case Access::kLow:
      return write_count(value, now);
    case Access::kHigh:
      return write_count(static_cast<std::uint16_t>(value << 8), now);
    case Access::kLowThenHigh:
      break;
  }
  write_high_next_ = !write_high_next_;
  if (!write_high_next_)
    return write_count(static_cast<std::uint16_t>(value << 8 | written_low_), now);
  written_low_ = value;
  if (mode_ == kInterruptOnTerminalCount && loaded_) {
    // Mode 0: the first byte stops the count and OUT goes low at once.
    idle_count_ = count_at(now);
    loaded_ = false;
  }
}

void PitChannel::write_count(std::uint16_t raw, std::int64_t now) {
  register_count_ = decode(raw);
  if (periodic()) register_count_ = std::max(register_count_, kShortestPeriod);
  if (hardware_triggered()) {
    next_count_ = register_count_;
    return;
  }
  if (!periodic() || !loaded_) {
    load(now);
    if (!gate_) frozen_ = 0;
    return;
  }
  next_count_ = register_count_;
  if (frozen_) return;  // the gate's next rise loads it
  // Mode 2 takes a new count at the end of its period, mode 3 at the end of its half period.
  const std::int64_t e = elapsed(now);
  const std::int64_t phase = e % count_;
  const std::int64_t high = high_ticks(count_);
  const bool ends_high = mode_ == kSquareWave && phase < high;
  reload_at_ = std::max(now, start_) + (ends_high ? high : count_) - phase;
  phase_at_reload_ = ends_high ? high_ticks(register_count_) : 0;
}

void PitChannel::set_gate(bool level, std::int64_t now) {
  if (level == gate_) return;
  settle(now);
  gate_ = level;
  if (hardware_triggered()) {
    if (level && (next_count_ || loaded_)) load(now);
    return;
  }
  if (!loaded_) return;
  if (!level) {
    frozen_ = elapsed(now);
  } else if (periodic()) {
    load(now);
  } else {
    start_ = now - frozen_.value_or(0);
    frozen_.reset();
  }
}

void PitChannel::latch_count(std::int64_t now) {
  settle(now);
  if (!latched_count_) latched_count_ = count_at(now);
}

void PitChannel::latch_status(std::int64_t now) {
  settle(now);
  if (latched_status_) return;
  latched_status_ = static_cast<std::uint8_t>((output(now) ? kStatusOut : 0) |
                                              (null_count(now) ? kStatusNullCount : 0) | control_);
}

std::uint8_t PitChannel::read_data(std::int64_t now) {
  if (latched_status_) {
    const std::uint8_t status = *latched_status_;
    latched_status_.reset();
    return status;
  }
  settle(now);
  const std::uint16_t count = latched_count_ ? *latched_count_ : count_at(now);
  const bool high =
      access_ == Access::kHigh || (access_ == Access::kLowThenHigh && read_high_next_);
  if (access_ == Access::kLowThenHigh) read_high_next_ = !read_high_next_;
  // A latched count is held until all the bytes that the access mode asks for were read.
  if (access_ != Access::kLowThenHigh || high) latched_count_.reset();
  return static_cast<std::uint8_t>(high ? count >> 8 : count);
}

}  // namespace ringshift::devices
