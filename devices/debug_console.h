// devices/debug_console.h - the port 0xE9 console: bytes written go to a sink, reads say it is
// there.
#pragma once

#include "devices/byte_ports.h"

namespace ringshift::devices {

class DebugConsole final : public BytePorts {
 public:
  static constexpr std::uint8_t kPresent = 0xe9;

  explicit DebugConsole(CharacterSink& output) : output_(output) {}

 private:
  std::uint8_t read_byte(std::uint16_t offset) override;
  void write_byte(std::uint16_t offset, std::uint8_t value) override;
  CharacterSink& output_;
};

}  // namespace ringshift::devices
