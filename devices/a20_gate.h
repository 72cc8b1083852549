// devices/a20_gate.h - the A20 gate that the keyboard controller and port 92h share: last writer
// wins.
#pragma once

#include "devices/device.h"

namespace ringshift::devices {

class A20Gate {
 public:
  explicit A20Gate(Line& a20) : a20_(a20) { reset(); }
  // Open, as firmware leaves it: no firmware runs before the guest here.
  void reset() { set(true); }
  bool open() const { return open_; }
  void set(bool open) {
    open_ = open;
    a20_.set(open);
  }

 private:
  Line& a20_;
  bool open_ = true;
};

}  // namespace ringshift::devices
