// devices/ps2_mouse.h - a PS/2 mouse with wheel (IntelliMouse protocol): commands and movement
// packets.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "devices/ps2_port.h"

namespace ringshift::devices {

class Ps2Mouse final : public Ps2Port {
 public:
  struct Buttons {
    bool left = false, right = false, middle = false;
  };

  void send(std::uint8_t byte) override;
  void reset() override;

  // Movement in counts; y grows upwards, wheel grows towards the user.
  void move(int dx, int dy, int wheel, Buttons buttons);

 private:
  void command(std::uint8_t byte);
  void argument(std::uint8_t command, std::uint8_t value);
  void set_defaults();
  void note_sample_rate(std::uint8_t rate);
  void queue_packet();
  std::uint8_t button_bits() const;

  std::optional<std::uint8_t> awaiting_argument_;
  bool reporting_ = false, remote_ = false, wrap_ = false, scaling_ = false;
  std::uint8_t resolution_ = 2, sample_rate_ = 100, id_ = 0;
  std::array<std::uint8_t, 3> last_rates_{};  // 200, 100, 80 unlocks the wheel
  int dx_ = 0, dy_ = 0, wheel_ = 0;
  Buttons buttons_;
};

}  // namespace ringshift::devices
