// devices/pit.cc - 8254 ports, IRQ 0 delivery, port 61H.
#include "devices/pit.h"

namespace ringshift::devices {
namespace {

constexpr unsigned kControlOffset = 3;
constexpr unsigned kReadBack = 3;  // channel field of the control word
constexpr std::uint8_t kNoLatchCount = 0x20, kNoLatchStatus = 0x10;

constexpr std::int64_t kMinimumWakeTicks = kPitRate.ticks_at(PeriodicTicks::kMinimumWakeNs);
constexpr std::int64_t kRefreshTicks = 18;  // BIOSes program channel 1 so: 15 us

namespace port61 {
constexpr std::uint8_t kGate2 = 0x01, kSpeakerData = 0x02, kKept = 0x0e, kRefresh = 0x10,
                       kOut2 = 0x20;
}

}  // namespace

Pit::Pit(TimerService& timers, Line& irq0) : clock_(timers.clock()), irq0_(irq0) {
  timer_ = timers.create([this] {
    deliver_due();
    arm();
  });
  channels_[2].set_gate(false, 0);
}

bool Pit::refresh_toggle() const { return now() / kRefreshTicks & 1; }

std::uint8_t Pit::read_byte(std::uint16_t offset) {
  if (offset >= kControlOffset) return 0xff;  // the control word cannot be read
  return channels_[offset].read_data(now());
}

void Pit::write_byte(std::uint16_t offset, std::uint8_t value) {
  const unsigned channel = offset < kControlOffset ? offset : value >> 6;
  if (channel == kReadBack) return read_back(value);
  const bool latch = offset >= kControlOffset && (value & 0x30) == 0;
  if (latch) return channels_[channel].latch_count(now());
  if (channel == 0) deliver_due();  // edges that passed before this write belong to the old program
  if (offset >= kControlOffset) {
    channels_[channel].write_control(value, now());
  } else {
    channels_[channel].write_data(value, now());
  }
  if (channel == 0) reprogram();
}

void Pit::read_back(std::uint8_t command) {
  for (unsigned channel = 0; channel < channels_.size(); ++channel) {
    if (!(command & 2u << channel)) continue;
    if (!(command & kNoLatchCount)) channels_[channel].latch_count(now());
    if (!(command & kNoLatchStatus)) channels_[channel].latch_status(now());
  }
}

// In modes 2 to 5 OUT is high but for a pulse before it rises, or for half of a square wave: the
// line falls only just before each rise. Edges are the same, and the host wakes once a period.
void Pit::deliver_due() {
  const std::int64_t tick = now();
  if (edges_ == Edges::kOne && tick >= edge_at_) {
    edges_ = Edges::kNone;
  } else if (edges_ != Edges::kPeriodic || !ticks_.take(tick)) {
    return;
  }
  irq0_.set(false);
  irq0_.set(true);
}

void Pit::reprogram() {
  const PitChannel& channel = channels_[0];
  const std::int64_t tick = now();
  const bool follows_output = channel.mode() == PitChannel::kInterruptOnTerminalCount ||
                              channel.mode() == PitChannel::kOneShot;
  irq0_.set(follows_output ? channel.output(tick) : true);
  edges_ = Edges::kNone;
  if (const auto rising = channel.rising_edges(tick)) {
    edges_ = rising->period ? Edges::kPeriodic : Edges::kOne;
    edge_at_ = rising->first;
    if (rising->period) ticks_.start(rising->first, rising->period, kMinimumWakeTicks);
  }
  arm();
}

void Pit::arm() {
  switch (edges_) {
    case Edges::kNone:
      return timer_->cancel();
    case Edges::kOne:
      return timer_->arm(kPitRate.ns_of(edge_at_));
    case Edges::kPeriodic:
      return timer_->arm(kPitRate.ns_of(ticks_.next_wake(now())));
  }
}

std::uint8_t SystemControlPort::read_byte(std::uint16_t) {
  return static_cast<std::uint8_t>((pit_.gate2() ? port61::kGate2 : 0) | kept_ |
                                   (pit_.refresh_toggle() ? port61::kRefresh : 0) |
                                   (pit_.output2() ? port61::kOut2 : 0));
}

void SystemControlPort::write_byte(std::uint16_t, std::uint8_t value) {
  kept_ = value & port61::kKept;
  pit_.set_gate2(value & port61::kGate2);
}

bool SystemControlPort::speaker_data() const { return kept_ & port61::kSpeakerData; }

}  // namespace ringshift::devices
