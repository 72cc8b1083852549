// devices/ps2_keyboard.h - a 102-key PS/2 keyboard: its command protocol, and keys from outside.
// The host's own key repeat is what repeats a key: typematic settings are accepted and ignored.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "devices/ps2_keymap.h"
#include "devices/ps2_port.h"

namespace ringshift::devices {

class Ps2Keyboard final : public Ps2Port {
 public:
  struct Leds {
    bool scroll_lock = false, num_lock = false, caps_lock = false;
    bool operator==(const Leds&) const = default;
  };

  void send(std::uint8_t byte) override;
  void reset() override;

  // A key goes down or up. Nothing is sent while the guest has scanning disabled.
  void key(Ps2Key key, bool down);
  // The same by name; false when no key has this name.
  bool key(std::string_view name, bool down);

  Leds leds() const { return leds_; }
  void on_leds(std::function<void(Leds)> callback) { on_leds_ = std::move(callback); }

 private:
  void command(std::uint8_t byte);
  void argument(std::uint8_t command, std::uint8_t value);
  void set_leds(Leds leds);
  void set_defaults();

  std::optional<std::uint8_t> awaiting_argument_;  // the command that wants one
  std::uint8_t scan_code_set_ = 2;
  std::uint8_t last_sent_ = 0;  // for Resend
  bool scanning_ = true;
  Leds leds_;
  std::function<void(Leds)> on_leds_;
};

}  // namespace ringshift::devices
