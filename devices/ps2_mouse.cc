// devices/ps2_mouse.cc - commands and packets of a PS/2 mouse.
// Facts: IBM PS/2 Technical Reference, "Mouse"; Microsoft, "IntelliMouse Protocol".
#include "devices/ps2_mouse.h"

#include <algorithm>

namespace ringshift::devices {
namespace {

enum Command : std::uint8_t {
  kScalingOff = 0xe6,
  kScalingOn = 0xe7,
  kResolution = 0xe8,
  kStatus = 0xe9,
  kStreamMode = 0xea,
  kReadData = 0xeb,
  kEndWrap = 0xec,
  kWrapMode = 0xee,
  kRemoteMode = 0xf0,
  kIdentify = 0xf2,
  kSampleRate = 0xf3,
  kEnable = 0xf4,
  kDisable = 0xf5,
  kDefaults = 0xf6,
  kReset = 0xff,
};
constexpr std::uint8_t kAcknowledge = 0xfa, kRefused = 0xfe, kSelfTestPassed = 0xaa;
constexpr std::uint8_t kPlainId = 0, kWheelId = 3;

}  // namespace

void Ps2Mouse::reset() {
  clear_queue();
  awaiting_argument_.reset();
  set_defaults();
  id_ = kPlainId;
  last_rates_ = {};
  wrap_ = false;
}

void Ps2Mouse::set_defaults() {
  reporting_ = remote_ = scaling_ = false;
  resolution_ = 2;
  sample_rate_ = 100;
  dx_ = dy_ = wheel_ = 0;
}

void Ps2Mouse::move(int dx, int dy, int wheel, Buttons buttons) {
  constexpr int kLimit = 4096;  // what several packets can still carry; more is meaningless
  dx_ = std::clamp(dx_ + std::clamp(dx, -kLimit, kLimit), -kLimit, kLimit);
  dy_ = std::clamp(dy_ + std::clamp(dy, -kLimit, kLimit), -kLimit, kLimit);
  wheel_ = std::clamp(wheel_ + std::clamp(wheel, -kLimit, kLimit), -127, 127);
  buttons_ = buttons;
  if (!reporting_ || remote_ || wrap_) return;
  do {
    queue_packet();
  } while (dx_ || dy_ || (id_ == kWheelId && wheel_));
}

std::uint8_t Ps2Mouse::button_bits() const {
  return static_cast<std::uint8_t>(buttons_.left | buttons_.right << 1 | buttons_.middle << 2);
}

// Byte 0: yo xo ys xs 1 middle right left; then x, y and, with a wheel, z.
void Ps2Mouse::queue_packet() {
  const int x = std::clamp(dx_, -255, 255), y = std::clamp(dy_, -255, 255);
  dx_ -= x;
  dy_ -= y;
  const auto head =
      static_cast<std::uint8_t>(0x08 | button_bits() | (x < 0 ? 0x10 : 0) | (y < 0 ? 0x20 : 0));
  const auto low = [](int v) { return static_cast<std::uint8_t>(v & 0xff); };
  if (id_ == kWheelId) {
    const int z = std::clamp(wheel_, -8, 7);
    wheel_ -= z;
    queue({head, low(x), low(y), low(z)});
  } else {
    wheel_ = 0;
    queue({head, low(x), low(y)});
  }
}

void Ps2Mouse::send(std::uint8_t byte) {
  if (wrap_ && byte != kEndWrap && byte != kReset) {
    queue({byte});
    return;
  }
  if (awaiting_argument_) {
    const std::uint8_t pending = *awaiting_argument_;
    awaiting_argument_.reset();
    argument(pending, byte);
    return;
  }
  command(byte);
}

void Ps2Mouse::command(std::uint8_t byte) {
  switch (byte) {
    case kScalingOff:
    case kScalingOn:
      scaling_ = byte == kScalingOn;
      break;
    case kResolution:
    case kSampleRate:
      awaiting_argument_ = byte;
      break;
    case kStatus: {
      const auto flags = static_cast<std::uint8_t>(remote_ << 6 | reporting_ << 5 | scaling_ << 4 |
                                                   buttons_.left << 2 | buttons_.middle << 1 |
                                                   static_cast<int>(buttons_.right));
      queue({kAcknowledge, flags, resolution_, sample_rate_});
      return;
    }
    case kStreamMode:
      remote_ = false;
      break;
    case kRemoteMode:
      remote_ = true;
      break;
    case kReadData:
      queue({kAcknowledge});
      queue_packet();
      return;
    case kEndWrap:
    case kWrapMode:
      wrap_ = byte == kWrapMode;
      break;
    case kIdentify:
      queue({kAcknowledge, id_});
      return;
    case kEnable:
    case kDisable:
      reporting_ = byte == kEnable;
      dx_ = dy_ = wheel_ = 0;
      break;
    case kDefaults:
      set_defaults();
      break;
    case kReset:
      reset();
      queue({kAcknowledge, kSelfTestPassed, id_});
      return;
    default:
      queue({kRefused});
      return;
  }
  queue({kAcknowledge});
}

void Ps2Mouse::argument(std::uint8_t command, std::uint8_t value) {
  if (command == kResolution) {
    resolution_ = value & 3;
  } else {
    sample_rate_ = value;
    note_sample_rate(value);
  }
  queue({kAcknowledge});
}

void Ps2Mouse::note_sample_rate(std::uint8_t rate) {
  last_rates_ = {last_rates_[1], last_rates_[2], rate};
  constexpr std::array<std::uint8_t, 3> kUnlockWheel{200, 100, 80};
  if (last_rates_ == kUnlockWheel) id_ = kWheelId;
}

}  // namespace ringshift::devices
