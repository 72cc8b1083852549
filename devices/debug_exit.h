// devices/debug_exit.h - isa-debug-exit: a write of v ends the machine with status (v << 1) | 1.
#pragma once

#include "devices/device.h"
#include "devices/power_control.h"

namespace ringshift::devices {

class DebugExit final : public PortHandler {
 public:
  explicit DebugExit(PowerControl& power) : power_(power) {}
  std::uint32_t port_read(std::uint16_t offset, unsigned size) override;
  void port_write(std::uint16_t offset, unsigned size, std::uint32_t value) override;

 private:
  PowerControl& power_;
};

}  // namespace ringshift::devices
