// devices/ps2_keyboard.cc - commands and scan codes of a PS/2 keyboard.
// Facts: IBM PS/2 Technical Reference, "Keyboards (101- and 102-Key)".
#include "devices/ps2_keyboard.h"

#include <array>
#include <vector>

namespace ringshift::devices {
namespace {

enum Command : std::uint8_t {
  kSetLeds = 0xed,
  kEcho = 0xee,
  kScanCodeSet = 0xf0,
  kIdentify = 0xf2,
  kTypematic = 0xf3,
  kEnable = 0xf4,
  kDisable = 0xf5,
  kDefaults = 0xf6,
  kAllKeysFirst = 0xf7,  // to FA: key types, which only set 3 knows
  kAllKeysLast = 0xfa,
  kOneKeyFirst = 0xfb,
  kOneKeyLast = 0xfd,
  kResend = 0xfe,
  kReset = 0xff,
};
constexpr std::uint8_t kAcknowledge = 0xfa, kRefused = 0xfe, kSelfTestPassed = 0xaa;

using Bytes = std::vector<std::uint8_t>;

void append_set1(Bytes& out, Ps2Key key, bool down) {
  if (key.extended) out.push_back(0xe0);
  out.push_back(down ? key.code : key.code | 0x80);
}

void append_set2(Bytes& out, Ps2Key key, bool down) {
  if (key.extended) out.push_back(0xe0);
  if (!down) out.push_back(0xf0);
  out.push_back(set2_code(key.code));
}

Bytes scan_codes(Ps2Key key, bool down, bool set1) {
  const auto append = set1 ? append_set1 : append_set2;
  Bytes out;
  if (key == kPause) {  // sent whole when it goes down, and it never goes up
    if (!down) return out;
    return set1 ? Bytes{0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5}
                : Bytes{0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77};
  }
  constexpr Ps2Key kFakeShift{0x2a, true};
  if (key == kPrintScreen && down) append(out, kFakeShift, true);
  append(out, key, down);
  if (key == kPrintScreen && !down) append(out, kFakeShift, false);
  return out;
}

}  // namespace

void Ps2Keyboard::reset() {
  clear_queue();
  awaiting_argument_.reset();
  set_defaults();
  scanning_ = true;
  set_leds({});
}

void Ps2Keyboard::set_defaults() { scan_code_set_ = 2; }

void Ps2Keyboard::set_leds(Leds leds) {
  if (leds == leds_) return;
  leds_ = leds;
  if (on_leds_) on_leds_(leds_);
}

void Ps2Keyboard::key(Ps2Key key, bool down) {
  if (!scanning_) return;
  const Bytes bytes = scan_codes(key, down, scan_code_set_ == 1);
  if (!bytes.empty()) queue(bytes);
}

bool Ps2Keyboard::key(std::string_view name, bool down) {
  const auto found = find_key(name);
  if (found) key(*found, down);
  return found.has_value();
}

// Commands are ED and above, arguments below: a command in place of an argument ends the wait.
void Ps2Keyboard::send(std::uint8_t byte) {
  if (awaiting_argument_ && byte < kSetLeds) {
    const std::uint8_t pending = *awaiting_argument_;
    awaiting_argument_.reset();
    argument(pending, byte);
    return;
  }
  awaiting_argument_.reset();
  command(byte);
}

void Ps2Keyboard::command(std::uint8_t byte) {
  switch (byte) {
    case kSetLeds:
    case kScanCodeSet:
    case kTypematic:
    case kOneKeyFirst:
    case kOneKeyFirst + 1:
    case kOneKeyLast:
      awaiting_argument_ = byte;
      queue({kAcknowledge});
      break;
    case kEcho:
      queue({kEcho});
      break;
    case kIdentify:
      queue({kAcknowledge, 0xab, 0x83});
      break;
    case kEnable:
      scanning_ = true;
      clear_queue();
      queue({kAcknowledge});
      break;
    case kDisable:
    case kDefaults:
      scanning_ = byte == kDefaults;
      set_defaults();
      clear_queue();
      queue({kAcknowledge});
      break;
    case kResend:
      queue({last_sent_});
      return;
    case kReset:
      reset();
      queue({kAcknowledge, kSelfTestPassed});
      last_sent_ = kSelfTestPassed;
      return;
    default:
      queue({byte >= kAllKeysFirst && byte <= kAllKeysLast ? kAcknowledge : kRefused});
      break;
  }
  last_sent_ = kAcknowledge;
}

void Ps2Keyboard::argument(std::uint8_t command, std::uint8_t value) {
  switch (command) {
    case kSetLeds:
      set_leds({(value & 1) != 0, (value & 2) != 0, (value & 4) != 0});
      queue({kAcknowledge});
      break;
    case kScanCodeSet:
      // DEVIATION: set 3 is refused; no system in use selects it.
      if (value == 0) {
        queue({kAcknowledge, scan_code_set_});
      } else if (value <= 2) {
        scan_code_set_ = value;
        clear_queue();
        queue({kAcknowledge});
      } else {
        queue({kRefused});
      }
      break;
    default:
      queue({kAcknowledge});
      break;
  }
}

}  // namespace ringshift::devices
