// devices/line_gate.h - a line that can be cut: what the HPET's legacy replacement does to IRQ 0
// and 8.
#pragma once

#include "devices/device.h"

namespace ringshift::devices {

// Passes its input on while open; while closed the output is low.
class LineGate final : public Line {
 public:
  explicit LineGate(Line& output) : output_(output) {}

  void set(bool level) override {
    level_ = level;
    output_.set(level_ && open_);
  }
  void open(bool open) {
    if (open == open_) return;
    open_ = open;
    output_.set(level_ && open_);
  }

 private:
  Line& output_;
  bool level_ = false, open_ = true;
};

}  // namespace ringshift::devices
