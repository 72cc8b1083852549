// runtime/bt/frame_stack.h - the stack that translated code runs on, with the frame at its top and
// a guard page at its bottom.
#pragma once

#include <cstddef>
#include <string>
#include <tl/expected.hpp>
#include <utility>

#include "translator/frame.h"

namespace ringshift::runtime {

class FrameStack {
 public:
  static constexpr std::size_t kStackBytes = 512 * 1024;
  // The error is one line for the user.
  static tl::expected<FrameStack, std::string> create();
  ~FrameStack();
  FrameStack(FrameStack&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)),
        frame_(std::exchange(other.frame_, nullptr)) {}
  FrameStack& operator=(FrameStack&&) = delete;

  translator::Frame& frame() { return *frame_; }
  const translator::Frame& frame() const { return *frame_; }

 private:
  FrameStack() = default;
  void* memory_ = nullptr;
  translator::Frame* frame_ = nullptr;
};

}  // namespace ringshift::runtime
