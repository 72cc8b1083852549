// devices/i8042.h - the keyboard controller: ports 60H and 64H, PS/2 keyboard and mouse, A20, reset
// pulse. Owns the keyboard and the mouse. After reset it is as firmware leaves it (translation on,
// keyboard interrupt on), since guests are often started without any firmware.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "devices/a20_gate.h"
#include "devices/byte_ports.h"
#include "devices/power_control.h"
#include "devices/ps2_keyboard.h"
#include "devices/ps2_mouse.h"

namespace ringshift::devices {

class I8042 {
 public:
  I8042(Line& keyboard_interrupt, Line& mouse_interrupt, A20Gate& a20, PowerControl& power);
  I8042(const I8042&) = delete;
  I8042& operator=(const I8042&) = delete;

  PortHandler& data_port() { return data_port_; }        // 60H, one byte
  PortHandler& command_port() { return command_port_; }  // 64H, one byte

  Ps2Keyboard& keyboard() { return keyboard_; }
  Ps2Mouse& mouse() { return mouse_; }
  void reset();

 private:
  enum class Source : std::uint8_t { kController, kKeyboard, kMouse };
  struct Response {
    std::uint8_t byte;
    Source source;
  };

  std::uint8_t read_data();
  std::uint8_t read_status() const;
  void write_data(std::uint8_t value);
  void write_command(std::uint8_t command);
  void finish_command(std::uint8_t command, std::uint8_t value);
  void write_output_port(std::uint8_t value);
  std::uint8_t output_port() const;
  void write_configuration(std::uint8_t value);

  void respond(std::uint8_t byte, Source source = Source::kController);
  void fill_output();
  bool fill_from_keyboard();
  void set_output(std::uint8_t byte, Source source);
  void update_interrupts();

  bool keyboard_disabled() const;
  bool mouse_disabled() const;

  Line& keyboard_interrupt_;
  Line& mouse_interrupt_;
  A20Gate& a20_;
  PowerControl& power_;
  Ps2Keyboard keyboard_;
  Ps2Mouse mouse_;
  FunctionBytePorts data_port_, command_port_;

  std::uint8_t configuration_ = 0;
  std::uint8_t ram_[31] = {};  // controller RAM 1 to 31; byte 0 is the configuration
  std::optional<std::uint8_t> pending_command_;  // waits for its data byte
  std::deque<Response> responses_;
  std::uint8_t output_ = 0;
  Source output_source_ = Source::kController;
  bool output_full_ = false;
  bool last_write_was_command_ = false;
  bool break_prefix_ = false;  // translation saw F0: the next byte is a release
};

}  // namespace ringshift::devices
