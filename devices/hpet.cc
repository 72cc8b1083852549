// devices/hpet.cc - HPET registers, comparator matches, interrupt routing.
#include "devices/hpet.h"

#include <limits>

namespace ringshift::devices {
namespace {

constexpr std::uint64_t kCapabilities = 0x000, kConfig = 0x010, kStatus = 0x020, kCounter = 0x0f0,
                        kFirstTimer = 0x100, kTimerStride = 0x20;
constexpr std::uint64_t kTimerConfig = 0x00, kTimerComparator = 0x08, kTimerFsb = 0x10;

constexpr std::uint64_t kPeriodFemtoseconds = Hpet::kTickNs * 1'000'000;

constexpr std::uint64_t kEnable = 1, kLegacyReplacement = 2;  // kConfig

namespace timer {
constexpr std::uint64_t kLevel = 1 << 1, kInterrupts = 1 << 2, kPeriodic = 1 << 3,
                        kPeriodicCapable = 1 << 4, k64Bit = 1 << 5, kSetValue = 1 << 6,
                        k32BitMode = 1 << 8, kRoute = 0x1f << 9, kRouteShift = 9;
constexpr std::uint64_t kWritable =
    kLevel | kInterrupts | kPeriodic | kSetValue | k32BitMode | kRoute;
constexpr unsigned kRouteCapabilityShift = 32;
}  // namespace timer

constexpr std::int64_t kMinimumWakeTicks = PeriodicTicks::kMinimumWakeNs / Hpet::kTickNs;
// Farther matches (centuries away) never come.
constexpr std::uint64_t kFarthest = std::numeric_limits<std::int64_t>::max() / 64;

}  // namespace

Hpet::Hpet(TimerService& timers, HpetOutputs outputs) : clock_(timers.clock()), outputs_(outputs) {
  for (unsigned pin = 0; pin < outputs_.pins.size(); ++pin)
    if (outputs_.pins[pin]) route_capability_ |= std::uint64_t{1} << pin;
  for (unsigned n = 0; n < kTimers; ++n) {
    timers_[n].config =
        timer::kPeriodicCapable | timer::k64Bit | route_capability_ << timer::kRouteCapabilityShift;
    timers_[n].timer = timers.create([this, n] { on_timer(n); });
  }
}

// Registers are 64 bits wide; each half may be accessed on its own.
std::uint64_t Hpet::mmio_read(std::uint64_t offset, unsigned size) {
  const unsigned shift = 8 * (offset & 7);
  const std::uint64_t value = read_register(offset & ~std::uint64_t{7}) >> shift;
  return size >= 8 ? value : value & ((std::uint64_t{1} << (8 * size)) - 1);
}

void Hpet::mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  const unsigned shift = 8 * (offset & 7);
  const std::uint64_t ones = size >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * size)) - 1;
  write_register(offset & ~std::uint64_t{7}, (value & ones) << shift, ones << shift);
}

std::uint64_t Hpet::read_register(std::uint64_t offset) {
  switch (offset) {
    case kCapabilities:
      return kPeriodFemtoseconds << 32 | kCapabilitiesLow;
    case kConfig:
      return config_;
    case kStatus:
      return status_;
    case kCounter:
      return counter();
    default:
      break;
  }
  if (offset < kFirstTimer || offset >= kFirstTimer + kTimers * kTimerStride) return 0;
  const Comparator& c = timers_[(offset - kFirstTimer) / kTimerStride];
  switch ((offset - kFirstTimer) % kTimerStride) {
    case kTimerConfig:
      return c.config;
    case kTimerComparator:
      return comparator_now(c);
    case kTimerFsb:
      return c.fsb_route;
    default:
      return 0;
  }
}

// `written`: the bits that the access covers.
void Hpet::write_register(std::uint64_t offset, std::uint64_t value, std::uint64_t written) {
  const auto merged = [&](std::uint64_t old) { return (old & ~written) | value; };
  switch (offset) {
    case kConfig:
      return write_config(merged(config_));
    case kStatus:
      return clear_status(static_cast<std::uint32_t>(value));
    case kCounter:
      return write_counter(merged(counter()));
    default:
      break;
  }
  if (offset < kFirstTimer || offset >= kFirstTimer + kTimers * kTimerStride) return;
  const auto n = static_cast<unsigned>((offset - kFirstTimer) / kTimerStride);
  switch ((offset - kFirstTimer) % kTimerStride) {
    case kTimerConfig:
      return write_timer_config(n, merged(timers_[n].config));
    case kTimerComparator:
      return write_comparator(n, value, written);
    case kTimerFsb:
      timers_[n].fsb_route = merged(timers_[n].fsb_route);
      return;
    default:
      return;
  }
}

bool Hpet::counting() const { return config_ & kEnable; }
bool Hpet::legacy() const { return config_ & kLegacyReplacement; }

std::uint64_t Hpet::counter() const {
  return counting() ? static_cast<std::uint64_t>(tick()) + counter_offset_ : halted_counter_;
}

void Hpet::write_config(std::uint64_t value) {
  for (unsigned n = 0; n < kTimers; ++n) stop(n);
  const std::uint64_t now = counter();
  config_ = value & (kEnable | kLegacyReplacement);
  halted_counter_ = now;
  counter_offset_ = now - static_cast<std::uint64_t>(tick());
  outputs_.legacy_active.set(legacy());
  for (unsigned n = 0; n < kTimers; ++n) {
    drive_level(n);
    start(n);
  }
}

void Hpet::write_counter(std::uint64_t value) {
  for (unsigned n = 0; n < kTimers; ++n) stop(n);
  halted_counter_ = value;
  counter_offset_ = value - static_cast<std::uint64_t>(tick());
  for (unsigned n = 0; n < kTimers; ++n) start(n);
}

void Hpet::write_timer_config(unsigned n, std::uint64_t value) {
  Comparator& c = timers_[n];
  stop(n);
  c.config = (c.config & ~timer::kWritable) | (value & timer::kWritable);
  if (c.config & timer::k32BitMode) {
    c.value &= mask(c);
    c.period &= mask(c);
  }
  drive_level(n);
  start(n);
}

// HPET 1.0a "Timer N Comparator Value Register": in periodic mode a write sets the period; with
// Tn_VAL_SET_CNF, which falls again, it sets the next match too.
void Hpet::write_comparator(unsigned n, std::uint64_t value, std::uint64_t written) {
  Comparator& c = timers_[n];
  stop(n);
  const auto merged = [&](std::uint64_t old) { return ((old & ~written) | value) & mask(c); };
  if (!periodic(c) || (c.config & timer::kSetValue)) c.value = merged(c.value);
  if (periodic(c)) c.period = merged(c.period);
  c.config &= ~timer::kSetValue;
  start(n);
}

void Hpet::clear_status(std::uint32_t bits) {
  status_ &= ~bits;
  for (unsigned n = 0; n < kTimers; ++n) drive_level(n);
}

std::uint64_t Hpet::mask(const Comparator& c) const {
  return c.config & timer::k32BitMode ? 0xffffffff : ~std::uint64_t{0};
}

bool Hpet::periodic(const Comparator& c) const { return c.config & timer::kPeriodic; }

bool Hpet::repeats(const Comparator& c) const {
  return periodic(c) && c.period != 0 && c.period <= kFarthest;
}

// What the comparator of a periodic timer holds: its next match.
std::uint64_t Hpet::comparator_now(const Comparator& c) const {
  if (!c.waiting || !repeats(c) || tick() < c.match_tick) return c.value;
  const auto passed = static_cast<std::uint64_t>(tick() - c.match_tick) / c.period + 1;
  return (c.value + passed * c.period) & mask(c);
}

void Hpet::stop(unsigned n) {
  Comparator& c = timers_[n];
  take_matches(n);  // the old program's, which the host was late to see
  c.value = comparator_now(c);
  c.waiting = false;
  c.timer->cancel();
}

// The next time at which the counter equals the comparator, which for one that has just passed is a
// whole turn of the counter away.
void Hpet::start(unsigned n) {
  Comparator& c = timers_[n];
  if (!counting()) return;
  std::uint64_t distance = (c.value - counter()) & mask(c);
  if (distance == 0 && !repeats(c)) distance = mask(c);
  if (distance > kFarthest) return;
  c.waiting = true;
  c.match_tick = tick() + static_cast<std::int64_t>(distance);
  if (repeats(c))
    c.ticks.start(c.match_tick, static_cast<std::int64_t>(c.period), kMinimumWakeTicks);
  arm(n);
}

void Hpet::arm(unsigned n) {
  Comparator& c = timers_[n];
  // A level-triggered timer shows its matches in the status register even without interrupts.
  const bool visible = c.config & (timer::kInterrupts | timer::kLevel);
  if (!c.waiting || !visible) return c.timer->cancel();
  c.timer->arm((repeats(c) ? c.ticks.next_wake(tick()) : c.match_tick) * kTickNs);
}

void Hpet::on_timer(unsigned n) {
  take_matches(n);
  arm(n);
}

void Hpet::take_matches(unsigned n) {
  Comparator& c = timers_[n];
  if (!c.waiting || tick() < c.match_tick) return;
  if (repeats(c)) {
    if (c.ticks.take(tick())) interrupt(n);
    return;
  }
  // The same value matches again when a 32-bit counter comes round.
  c.waiting = c.config & timer::k32BitMode;
  c.match_tick += std::int64_t{1} << 32;
  interrupt(n);
}

Line* Hpet::route(unsigned n) {
  if (legacy() && n == 0) return &outputs_.legacy_irq0;
  if (legacy() && n == 1) return &outputs_.legacy_irq8;
  return outputs_.pins[(timers_[n].config & timer::kRoute) >> timer::kRouteShift];
}

void Hpet::interrupt(unsigned n) {
  Comparator& c = timers_[n];
  if (c.config & timer::kLevel) {
    status_ |= 1u << n;
    return drive_level(n);
  }
  Line* line = route(n);
  if (!(c.config & timer::kInterrupts) || !line) return;
  line->set(true);
  line->set(false);
}

// The line of a level-triggered timer is its status bit.
void Hpet::drive_level(unsigned n) {
  Comparator& c = timers_[n];
  const bool high =
      (status_ & 1u << n) && (c.config & timer::kLevel) && (c.config & timer::kInterrupts);
  Line* line = high ? route(n) : nullptr;
  if (c.output && c.output != line) c.output->set(false);
  if (line && c.output != line) line->set(true);
  c.output = line;
}

}  // namespace ringshift::devices
