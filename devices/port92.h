// devices/port92.h - system control port A (92h): fast A20 gate and fast reset.
#pragma once

#include "devices/a20_gate.h"
#include "devices/byte_ports.h"
#include "devices/power_control.h"

namespace ringshift::devices {

class Port92 final : public BytePorts {
 public:
  Port92(A20Gate& a20, PowerControl& power) : a20_(a20), power_(power) {}
  void reset() { stored_ = 0; }

 private:
  std::uint8_t read_byte(std::uint16_t offset) override;
  void write_byte(std::uint16_t offset, std::uint8_t value) override;
  A20Gate& a20_;
  PowerControl& power_;
  std::uint8_t stored_ = 0;  // every bit but A20
};

}  // namespace ringshift::devices
