// devices/debug_console.cc - the port 0xE9 console.
#include "devices/debug_console.h"

namespace ringshift::devices {

std::uint8_t DebugConsole::read_byte(std::uint16_t) { return kPresent; }

void DebugConsole::write_byte(std::uint16_t, std::uint8_t value) { output_.write(value); }

}  // namespace ringshift::devices
