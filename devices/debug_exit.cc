// devices/debug_exit.cc - isa-debug-exit: the guest ends the machine with a status of its choice.
#include "devices/debug_exit.h"

namespace ringshift::devices {

std::uint32_t DebugExit::port_read(std::uint16_t, unsigned) { return 0; }

void DebugExit::port_write(std::uint16_t, unsigned, std::uint32_t value) {
  power_.exit(static_cast<int>((value << 1) | 1));
}

}  // namespace ringshift::devices
