// devices/rtc.cc - MC146818: registers, time of day, and the three interrupt sources.
#include "devices/rtc.h"

#include <algorithm>
#include <limits>

#include "devices/calendar.h"
#include "devices/tick_rate.h"

namespace ringshift::devices {
namespace {

enum Register : std::uint8_t {
  kSeconds = 0x00,
  kSecondsAlarm = 0x01,
  kMinutes = 0x02,
  kMinutesAlarm = 0x03,
  kHours = 0x04,
  kHoursAlarm = 0x05,
  kWeekday = 0x06,
  kDay = 0x07,
  kMonth = 0x08,
  kYear = 0x09,
  kA = 0x0a,
  kB = 0x0b,
  kC = 0x0c,
  kD = 0x0d,
  kCentury = 0x32,  // as the FADT tells
};

namespace a {
constexpr std::uint8_t kUpdateInProgress = 0x80, kDivider = 0x70, kDividerRuns = 0x20, kRate = 0x0f;
}
namespace b {
constexpr std::uint8_t kSet = 0x80, kPeriodic = 0x40, kAlarm = 0x20, kUpdate = 0x10, kBinary = 0x04,
                       k24Hours = 0x02;
}
namespace c {
constexpr std::uint8_t kRequest = 0x80, kPeriodic = 0x40, kAlarm = 0x20, kUpdate = 0x10,
                       kSources = 0x70;
}
constexpr std::uint8_t kValidRamAndTime = 0x80;  // D
constexpr std::uint8_t kAfternoon = 0x80;        // hours, in 12-hour mode
constexpr std::uint8_t kDontCare = 0xc0;         // alarm

constexpr std::int64_t kSecond = 1'000'000'000;
// UIP rises 244 us before an update, which takes 1984 us; the registers change at its end.
constexpr std::int64_t kUpdateCycleNs = 244'000 + 1'984'000;
constexpr std::int64_t kSecondsPerDay = 86'400;
constexpr TickRate kCrystal{32'768};
constexpr std::int64_t kMinimumWake = 1;  // 30 us

constexpr std::size_t kFrozenCentury = 10;
constexpr std::uint8_t kTimeRegisters[] = {kSeconds, kMinutes, kHours, kWeekday,
                                           kDay,     kMonth,   kYear,  kCentury};

constexpr bool is_time(std::uint8_t index) {
  return std::find(std::begin(kTimeRegisters), std::end(kTimeRegisters), index) !=
         std::end(kTimeRegisters);
}
constexpr std::size_t frozen_slot(std::uint8_t index) {
  return index == kCentury ? kFrozenCentury : index;
}

constexpr std::int64_t floor_div(std::int64_t n, std::int64_t d) {
  return n / d - (n % d < 0 ? 1 : 0);
}

}  // namespace

Rtc::Rtc(TimerService& timers, Line& irq8, std::int64_t utc_seconds)
    : clock_(timers.clock()), irq8_(irq8) {
  timer_ = timers.create([this] {
    collect_periodic_flag();
    collect_second_flags();
    update_irq();
    arm();
  });
  offset_seconds_ = utc_seconds;
  phase_ns_ = -clock_.now_ns();
  seen_second_ = seconds();
  cmos_[kA] = a::kDividerRuns | 6;  // 1024 Hz
  cmos_[kB] = b::k24Hours;
  cmos_[kD] = kValidRamAndTime;
  restart_periodic();
}

std::uint8_t Rtc::read_byte(std::uint16_t offset) {
  if (offset == 1) return read_register(index_);
  if (offset == 3) return cmos_[upper_index_];
  return 0xff;  // the index cannot be read back
}

void Rtc::write_byte(std::uint16_t offset, std::uint8_t value) {
  switch (offset) {
    case 0:
      index_ = value & 0x7f;
      nmi_masked_ = value & 0x80;
      break;
    case 1:
      write_register(index_, value);
      break;
    case 2:
      upper_index_ = value | 0x80;
      break;
    case 3:
      cmos_[upper_index_] = value;
      break;
  }
}

std::uint8_t Rtc::read_register(std::uint8_t index) {
  if (is_time(index)) return halted() ? frozen_[frozen_slot(index)] : running_time(index);
  if (index == kA)
    return static_cast<std::uint8_t>(cmos_[kA] | (update_in_progress() ? a::kUpdateInProgress : 0));
  if (index == kC) return read_c();
  return cmos_[index];
}

void Rtc::write_register(std::uint8_t index, std::uint8_t value) {
  if (is_time(index)) {
    collect_second_flags();
    const bool running = !halted();
    if (running) freeze();
    frozen_[frozen_slot(index)] = value;
    if (running) commit_frozen();
    return arm();
  }
  switch (index) {
    case kA:
      return write_a(value);
    case kB:
      return write_b(value);
    case kC:
    case kD:
      return;  // read-only
    case kSecondsAlarm:
    case kMinutesAlarm:
    case kHoursAlarm:
      collect_second_flags();  // by the old alarm
      break;
  }
  cmos_[index] = value;
}

void Rtc::write_a(std::uint8_t value) {
  collect_periodic_flag();
  collect_second_flags();
  const bool was_halted = halted(), ran = divider_running();
  if (!was_halted && (value & a::kDivider) != a::kDividerRuns) freeze();
  const bool new_rate = (cmos_[kA] ^ value) & (a::kDivider | a::kRate);
  cmos_[kA] = value & (a::kDivider | a::kRate);
  if (!ran && divider_running()) {
    // The first update follows half a second after the divider starts.
    const std::int64_t second = seconds();
    phase_ns_ = kSecond / 2 - clock_.now_ns();
    offset_seconds_ += second - seconds();
  }
  if (was_halted && !halted()) commit_frozen();
  if (new_rate) restart_periodic();
  arm();
}

void Rtc::write_b(std::uint8_t value) {
  collect_periodic_flag();
  collect_second_flags();
  const bool was_halted = halted();
  if (!was_halted && (value & b::kSet)) freeze();
  if (value & b::kSet) value = static_cast<std::uint8_t>(value & ~b::kUpdate);  // SET clears UIE
  const bool starts_periodic = (value & ~cmos_[kB]) & b::kPeriodic;
  cmos_[kB] = value;
  if (was_halted && !halted()) commit_frozen();
  if (starts_periodic) restart_periodic();
  update_irq();
  arm();
}

// Reading C acknowledges everything that it shows. Periodic ticks that the timer still owes are
// left to it: taken here they would merge with this one.
std::uint8_t Rtc::read_c() {
  if (!(cmos_[kB] & b::kPeriodic)) collect_periodic_flag();
  collect_second_flags();
  update_irq();
  const std::uint8_t flags = cmos_[kC];
  cmos_[kC] = 0;
  update_irq();
  return flags;
}

bool Rtc::divider_running() const { return (cmos_[kA] & a::kDivider) == a::kDividerRuns; }
bool Rtc::halted() const { return (cmos_[kB] & b::kSet) || !divider_running(); }

// Whole seconds of the divider chain; the date is so many more.
std::int64_t Rtc::divider_seconds() const {
  return floor_div(clock_.now_ns() + phase_ns_, kSecond);
}
std::int64_t Rtc::seconds() const { return divider_seconds() + offset_seconds_; }
std::int64_t Rtc::next_second_ns() const { return (divider_seconds() + 1) * kSecond - phase_ns_; }

bool Rtc::update_in_progress() const {
  return !halted() && next_second_ns() - clock_.now_ns() <= kUpdateCycleNs;
}

std::uint8_t Rtc::running_time(std::uint8_t index) const {
  const std::int64_t now = seconds();
  const std::int64_t days = floor_div(now, kSecondsPerDay);
  const auto second_of_day = static_cast<unsigned>(now - days * kSecondsPerDay);
  switch (index) {
    case kSeconds:
      return encode(second_of_day % 60);
    case kMinutes:
      return encode(second_of_day / 60 % 60);
    case kHours:
      return encode_hour(second_of_day / 3600);
    case kWeekday:
      return encode(weekday_from_days(days + weekday_shift_) + 1);
  }
  const Date date = date_from_days(days);
  switch (index) {
    case kDay:
      return encode(date.day);
    case kMonth:
      return encode(date.month);
    case kYear:
      return encode(static_cast<unsigned>(date.year % 100));
    default:
      return encode(static_cast<unsigned>(date.year / 100));
  }
}

void Rtc::freeze() {
  for (const std::uint8_t index : kTimeRegisters) frozen_[frozen_slot(index)] = running_time(index);
}

// DEVIATION: values that are no date (month 13) carry over into one; the chip would count on from
// them.
void Rtc::commit_frozen() {
  const std::int64_t year =
      std::int64_t{decode(frozen_[kFrozenCentury])} * 100 + decode(frozen_[kYear]);
  const std::int64_t days = days_from_date(year, decode(frozen_[kMonth]), decode(frozen_[kDay]));
  const std::int64_t second = days * kSecondsPerDay +
                              std::int64_t{decode_hour(frozen_[kHours])} * 3600 +
                              decode(frozen_[kMinutes]) * 60 + decode(frozen_[kSeconds]);
  // The divider kept counting: the next second begins when it would have.
  offset_seconds_ += second - seconds();
  seen_second_ = second;
  const std::int64_t today = floor_div(second, kSecondsPerDay);
  weekday_shift_ = (std::int64_t{decode(frozen_[kWeekday])} + 6 - weekday_from_days(today)) % 7;
}

std::uint8_t Rtc::encode(unsigned value) const {
  if (cmos_[kB] & b::kBinary) return static_cast<std::uint8_t>(value);
  return static_cast<std::uint8_t>(value / 10 % 10 << 4 | value % 10);
}

unsigned Rtc::decode(std::uint8_t raw) const {
  return cmos_[kB] & b::kBinary ? raw : (raw >> 4) * 10u + (raw & 15u);
}

std::uint8_t Rtc::encode_hour(unsigned hour) const {
  if (cmos_[kB] & b::k24Hours) return encode(hour);
  const unsigned of_twelve = hour % 12 == 0 ? 12 : hour % 12;
  return static_cast<std::uint8_t>(encode(of_twelve) | (hour >= 12 ? kAfternoon : 0));
}

unsigned Rtc::decode_hour(std::uint8_t raw) const {
  if (cmos_[kB] & b::k24Hours) return decode(raw);
  const unsigned of_twelve = decode(static_cast<std::uint8_t>(raw & ~kAfternoon)) % 12;
  return of_twelve + (raw & kAfternoon ? 12 : 0);
}

bool Rtc::alarm_matches(std::int64_t second) const {
  const auto of_day =
      static_cast<unsigned>(second - floor_div(second, kSecondsPerDay) * kSecondsPerDay);
  const auto matches = [&](Register alarm, std::uint8_t now) {
    return (cmos_[alarm] & kDontCare) == kDontCare || cmos_[alarm] == now;
  };
  return matches(kSecondsAlarm, encode(of_day % 60)) &&
         matches(kMinutesAlarm, encode(of_day / 60 % 60)) &&
         matches(kHoursAlarm, encode_hour(of_day / 3600));
}

std::int64_t Rtc::period_units() const {
  const unsigned rate = cmos_[kA] & a::kRate;
  if (rate == 0 || !divider_running()) return 0;
  return std::int64_t{1} << ((rate <= 2 ? rate + 7 : rate) - 1);  // 1 and 2 stand for 8 and 9
}

// Ticks fall on multiples of the period, as the taps of one divider chain do.
void Rtc::restart_periodic() {
  const std::int64_t period = period_units();
  if (!period) return;
  const std::int64_t now = kCrystal.ticks_at(clock_.now_ns());
  ticks_.start((now / period + 1) * period, period, kMinimumWake);
}

// Without PIE the flag is only polled: it says that a tick came, and none is owed.
void Rtc::collect_periodic_flag() {
  if (!period_units() || !ticks_.take(kCrystal.ticks_at(clock_.now_ns()))) return;
  cmos_[kC] |= c::kPeriodic;
  if (!(cmos_[kB] & b::kPeriodic)) restart_periodic();
}

void Rtc::collect_second_flags() {
  if (halted()) return;
  const std::int64_t now = seconds();
  if (now <= seen_second_) return;
  cmos_[kC] |= c::kUpdate;
  // An alarm comes once a day or not at all, so a day is all there is to look at.
  for (std::int64_t s = std::max(seen_second_, now - kSecondsPerDay) + 1; s <= now; ++s) {
    if (!alarm_matches(s)) continue;
    cmos_[kC] |= c::kAlarm;
    break;
  }
  seen_second_ = now;
}

void Rtc::update_irq() {
  const bool request = cmos_[kC] & cmos_[kB] & c::kSources;
  cmos_[kC] = static_cast<std::uint8_t>((cmos_[kC] & c::kSources) | (request ? c::kRequest : 0));
  irq8_.set(request);
}

void Rtc::arm() {
  std::int64_t deadline = std::numeric_limits<std::int64_t>::max();
  const std::int64_t now = clock_.now_ns();
  if ((cmos_[kB] & b::kPeriodic) && period_units())
    deadline = kCrystal.ns_of(ticks_.next_wake(kCrystal.ticks_at(now)));
  if ((cmos_[kB] & (b::kUpdate | b::kAlarm)) && !halted())
    deadline = std::min(deadline, next_second_ns());
  if (deadline == std::numeric_limits<std::int64_t>::max()) {
    timer_->cancel();
  } else {
    timer_->arm(deadline);
  }
}

void Rtc::set_memory_size(std::uint64_t below_4gib, std::uint64_t above_4gib) {
  constexpr std::uint64_t kKib = 1024, kMib = kKib * kKib, kUnit = 64 * kKib, kMost16Bit = 0xffff;
  const auto store = [&](std::uint8_t index, std::uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i)
      cmos_[index + i] = static_cast<std::uint8_t>(value >> (8 * i));
  };
  const auto above = [&](std::uint64_t start, std::uint64_t unit, std::uint64_t most) {
    return below_4gib > start ? std::min((below_4gib - start) / unit, most) : 0;
  };
  store(0x15, std::min<std::uint64_t>(below_4gib / kKib, 640), 2);  // base memory, KiB
  const std::uint64_t extended_kib = above(kMib, kKib, kMost16Bit);
  store(0x17, extended_kib, 2);  // above 1 MiB, KiB
  store(0x30, extended_kib, 2);
  store(0x34, above(16 * kMib, kUnit, kMost16Bit), 2);  // above 16 MiB, in 64 KiB
  store(0x5b, above_4gib / kUnit, 3);                   // above 4 GiB, in 64 KiB
}

void Rtc::set_cpu_count(unsigned cpus) { cmos_[0x5f] = static_cast<std::uint8_t>(cpus - 1); }

}  // namespace ringshift::devices
