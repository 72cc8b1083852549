// devices/ps2_keymap.h - key names and scan codes: set 1, set 2, and the controller's translation
// between them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace ringshift::devices {

// A key by its scan code in set 1. `extended`: sent after an E0 prefix.
struct Ps2Key {
  std::uint8_t code = 0;
  bool extended = false;
  bool operator==(const Ps2Key&) const = default;
};

// Keys whose byte sequences follow no rule.
inline constexpr Ps2Key kPrintScreen{0x37, true};
inline constexpr Ps2Key kPause{0x45, true};

// The key of this name (the names QEMU's monitor uses: "a", "ret", "shift_r", "kp_7").
std::optional<Ps2Key> find_key(std::string_view name);

// What the keyboard controller turns a set 2 byte into when translation is on.
std::uint8_t translate_set2_to_set1(std::uint8_t code);
// The set 2 code of a set 1 code (below 80H); 0 when there is none.
std::uint8_t set2_code(std::uint8_t set1_code);

}  // namespace ringshift::devices
