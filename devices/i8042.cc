// devices/i8042.cc - commands, output buffer and translation of the keyboard controller.
// Facts: IBM PS/2 Technical Reference, "Keyboard/Auxiliary Device Controller".
#include "devices/i8042.h"

namespace ringshift::devices {
namespace {

namespace status {
constexpr std::uint8_t kOutputFull = 0x01, kSystem = 0x04, kCommand = 0x08, kUnlocked = 0x10,
                       kMouseOutput = 0x20;
}
namespace config {
constexpr std::uint8_t kKeyboardInterrupt = 0x01, kMouseInterrupt = 0x02, kSystem = 0x04,
                       kKeyboardDisabled = 0x10, kMouseDisabled = 0x20, kTranslate = 0x40;
constexpr std::uint8_t kAfterFirmware = kKeyboardInterrupt | kSystem | kMouseDisabled | kTranslate;
}  // namespace config
namespace output {
constexpr std::uint8_t kNoReset = 0x01, kA20 = 0x02, kKeyboardFull = 0x10, kMouseFull = 0x20,
                       kIdleLines = 0xc0;
}

enum Command : std::uint8_t {
  kReadRam = 0x20,   // to 3F
  kWriteRam = 0x60,  // to 7F
  kDisableMouse = 0xa7,
  kEnableMouse = 0xa8,
  kTestMouse = 0xa9,
  kSelfTest = 0xaa,
  kTestKeyboard = 0xab,
  kDisableKeyboard = 0xad,
  kEnableKeyboard = 0xae,
  kReadInputPort = 0xc0,
  kReadOutputPort = 0xd0,
  kWriteOutputPort = 0xd1,
  kWriteKeyboardOutput = 0xd2,
  kWriteMouseOutput = 0xd3,
  kWriteMouse = 0xd4,
  kDisableA20 = 0xdd,
  kEnableA20 = 0xdf,
  kReadTestInputs = 0xe0,
  kPulse = 0xf0,  // to FF: the low bits that are clear are pulsed low
};
constexpr std::uint8_t kSelfTestPassed = 0x55, kPortTestPassed = 0x00;
constexpr std::uint8_t kInputPort = 0x80;  // keyboard not locked

}  // namespace

I8042::I8042(Line& keyboard_interrupt, Line& mouse_interrupt, A20Gate& a20, PowerControl& power)
    : keyboard_interrupt_(keyboard_interrupt),
      mouse_interrupt_(mouse_interrupt),
      a20_(a20),
      power_(power),
      data_port_([this](std::uint16_t) { return read_data(); },
                 [this](std::uint16_t, std::uint8_t value) { write_data(value); }),
      command_port_([this](std::uint16_t) { return read_status(); },
                    [this](std::uint16_t, std::uint8_t value) { write_command(value); }) {
  keyboard_.on_output([this] { fill_output(); });
  mouse_.on_output([this] { fill_output(); });
  reset();
}

void I8042::reset() {
  keyboard_.reset();
  mouse_.reset();
  configuration_ = config::kAfterFirmware;
  for (auto& byte : ram_) byte = 0;
  pending_command_.reset();
  responses_.clear();
  output_full_ = last_write_was_command_ = break_prefix_ = false;
  update_interrupts();
}

bool I8042::keyboard_disabled() const { return configuration_ & config::kKeyboardDisabled; }
bool I8042::mouse_disabled() const { return configuration_ & config::kMouseDisabled; }

std::uint8_t I8042::read_status() const {
  std::uint8_t value = status::kUnlocked;
  if (output_full_) value |= status::kOutputFull;
  if (output_full_ && output_source_ == Source::kMouse) value |= status::kMouseOutput;
  if (configuration_ & config::kSystem) value |= status::kSystem;
  if (last_write_was_command_) value |= status::kCommand;
  return value;
}

std::uint8_t I8042::read_data() {
  const std::uint8_t value = output_;
  output_full_ = false;
  update_interrupts();  // low for a moment, so that the next byte is a new edge
  fill_output();
  return value;
}

void I8042::write_data(std::uint8_t value) {
  last_write_was_command_ = false;
  if (pending_command_) {
    const std::uint8_t command = *pending_command_;
    pending_command_.reset();
    finish_command(command, value);
    return;
  }
  // Writing to the keyboard enables its interface.
  configuration_ &= static_cast<std::uint8_t>(~config::kKeyboardDisabled);
  keyboard_.send(value);
  fill_output();
}

void I8042::write_command(std::uint8_t command) {
  last_write_was_command_ = true;
  pending_command_.reset();
  if (command >= kPulse) {
    if (!(command & output::kNoReset)) power_.reset();
    return;
  }
  if (command >= kReadRam && command < kReadRam + 0x20) {
    respond(command == kReadRam ? configuration_ : ram_[command - kReadRam - 1]);
    return;
  }
  if (command >= kWriteRam && command < kWriteRam + 0x20) {
    pending_command_ = command;
    return;
  }
  switch (command) {
    case kDisableMouse:
      write_configuration(configuration_ | config::kMouseDisabled);
      break;
    case kEnableMouse:
      write_configuration(configuration_ & static_cast<std::uint8_t>(~config::kMouseDisabled));
      break;
    case kTestMouse:
    case kTestKeyboard:
      respond(kPortTestPassed);
      break;
    case kSelfTest:
      configuration_ |= config::kSystem;
      respond(kSelfTestPassed);
      break;
    case kDisableKeyboard:
      write_configuration(configuration_ | config::kKeyboardDisabled);
      break;
    case kEnableKeyboard:
      write_configuration(configuration_ & static_cast<std::uint8_t>(~config::kKeyboardDisabled));
      break;
    case kReadInputPort:
      respond(kInputPort);
      break;
    case kReadOutputPort:
      respond(output_port());
      break;
    case kReadTestInputs:
      respond(0);
      break;
    case kWriteOutputPort:
    case kWriteKeyboardOutput:
    case kWriteMouseOutput:
    case kWriteMouse:
      pending_command_ = command;
      break;
    case kDisableA20:
    case kEnableA20:
      a20_.set(command == kEnableA20);
      break;
    default:
      break;
  }
}

void I8042::finish_command(std::uint8_t command, std::uint8_t value) {
  switch (command) {
    case kWriteOutputPort:
      write_output_port(value);
      break;
    case kWriteKeyboardOutput:
      respond(value, Source::kKeyboard);
      break;
    case kWriteMouseOutput:
      respond(value, Source::kMouse);
      break;
    case kWriteMouse:
      configuration_ &= static_cast<std::uint8_t>(~config::kMouseDisabled);
      mouse_.send(value);
      fill_output();
      break;
    case kWriteRam:
      write_configuration(value);
      break;
    default:
      ram_[command - kWriteRam - 1] = value;
      break;
  }
}

void I8042::write_configuration(std::uint8_t value) {
  configuration_ = value;
  update_interrupts();
  fill_output();
}

std::uint8_t I8042::output_port() const {
  std::uint8_t value = output::kIdleLines | output::kNoReset;
  if (a20_.open()) value |= output::kA20;
  if (output_full_)
    value |= output_source_ == Source::kMouse ? output::kMouseFull : output::kKeyboardFull;
  return value;
}

void I8042::write_output_port(std::uint8_t value) {
  a20_.set(value & output::kA20);
  if (!(value & output::kNoReset)) power_.reset();
}

// A guest that asks and never reads gets its first answers only: the buffer is not endless.
void I8042::respond(std::uint8_t byte, Source source) {
  constexpr std::size_t kMostResponses = 16;
  if (responses_.size() < kMostResponses) responses_.push_back({byte, source});
  fill_output();
}

void I8042::fill_output() {
  if (output_full_) return;
  if (!responses_.empty()) {
    const Response next = responses_.front();
    responses_.pop_front();
    set_output(next.byte, next.source);
    return;
  }
  if (fill_from_keyboard()) return;
  if (!mouse_disabled() && mouse_.has_output()) set_output(mouse_.take_output(), Source::kMouse);
}

// Translation turns "F0, code" of set 2 into one byte, the set 1 code with bit 7 set.
bool I8042::fill_from_keyboard() {
  while (!keyboard_disabled() && keyboard_.has_output()) {
    std::uint8_t byte = keyboard_.take_output();
    if (configuration_ & config::kTranslate) {
      if (byte == 0xf0) {
        break_prefix_ = true;
        continue;
      }
      byte = translate_set2_to_set1(byte);
      if (break_prefix_) byte |= 0x80;
    }
    break_prefix_ = false;
    set_output(byte, Source::kKeyboard);
    return true;
  }
  return false;
}

void I8042::set_output(std::uint8_t byte, Source source) {
  output_ = byte;
  output_source_ = source;
  output_full_ = true;
  update_interrupts();
}

void I8042::update_interrupts() {
  const bool from_mouse = output_source_ == Source::kMouse;
  keyboard_interrupt_.set(output_full_ && !from_mouse &&
                          (configuration_ & config::kKeyboardInterrupt));
  mouse_interrupt_.set(output_full_ && from_mouse && (configuration_ & config::kMouseInterrupt));
}

}  // namespace ringshift::devices
