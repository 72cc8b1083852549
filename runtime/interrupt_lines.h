// runtime/interrupt_lines.h - wiring between devices and interrupt controllers: shared, fanned-out
// lines.
#pragma once

#include <memory>
#include <vector>

#include "devices/device.h"

namespace ringshift::runtime {

// One wire that several devices drive (high while any of them is) and several inputs see.
class SharedLine {
 public:
  void add_input(devices::Line& input) { inputs_.push_back(&input); }

  devices::Line& add_source() {
    sources_.push_back(std::make_unique<Source>(*this));
    return *sources_.back();
  }

 private:
  class Source final : public devices::Line {
   public:
    explicit Source(SharedLine& wire) : wire_(wire) {}
    void set(bool level) override {
      if (level == level_) return;
      level_ = level;
      wire_.count(level);
    }

   private:
    SharedLine& wire_;
    bool level_ = false;
  };

  void count(bool up) {
    high_ += up ? 1 : -1;
    if (high_ != (up ? 1 : 0)) return;
    for (auto* input : inputs_) input->set(up);
  }

  std::vector<devices::Line*> inputs_;
  std::vector<std::unique_ptr<Source>> sources_;
  int high_ = 0;
};

}  // namespace ringshift::runtime
