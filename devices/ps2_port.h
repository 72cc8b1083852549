// devices/ps2_port.h - the device end of a PS/2 cable: what the controller sends, and a queue it
// fetches from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <span>
#include <utility>

namespace ringshift::devices {

class Ps2Port {
 public:
  virtual ~Ps2Port() = default;

  // A byte from the controller.
  virtual void send(std::uint8_t byte) = 0;
  virtual void reset() = 0;

  bool has_output() const { return !queue_.empty(); }
  std::uint8_t take_output() {
    const std::uint8_t byte = queue_.front();
    queue_.pop_front();
    return byte;
  }
  // Called when has_output() became true.
  void on_output(std::function<void()> callback) { on_output_ = std::move(callback); }

 protected:
  // Real devices hold 16 bytes; more is given so that a burst of injected input is not torn.
  static constexpr std::size_t kQueueBytes = 256;

  // All of the bytes or none, so that a key or a packet is never cut.
  void queue(std::span<const std::uint8_t> bytes) {
    if (queue_.size() + bytes.size() > kQueueBytes) return;
    queue_.insert(queue_.end(), bytes.begin(), bytes.end());
    if (on_output_) on_output_();
  }
  void queue(std::initializer_list<std::uint8_t> bytes) {
    queue(std::span<const std::uint8_t>(bytes.begin(), bytes.size()));
  }
  void clear_queue() { queue_.clear(); }

 private:
  std::deque<std::uint8_t> queue_;
  std::function<void()> on_output_;
};

}  // namespace ringshift::devices
