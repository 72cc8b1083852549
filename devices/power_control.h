// devices/power_control.h - where devices send requests that end or restart the whole machine.
// Requests only note what was asked: they return to the device, and the machine acts on them after
// the instruction that caused them.
#pragma once

namespace ringshift::devices {

class PowerControl {
 public:
  virtual ~PowerControl() = default;
  virtual void reset() = 0;
  virtual void power_off() = 0;
  // The process is to end with this status (isa-debug-exit).
  virtual void exit(int status) = 0;
};

}  // namespace ringshift::devices
