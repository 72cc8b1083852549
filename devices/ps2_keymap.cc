// devices/ps2_keymap.cc - key names and scan codes of the PC keyboard.
// Facts: IBM PS/2 Technical Reference, "Keyboard Controller"; Microsoft, "Keyboard Scan Code
// Specification".
#include "devices/ps2_keymap.h"

#include <algorithm>
#include <array>

namespace ringshift::devices {
namespace {

// Set 2 codes 00H to 84H. Above, the translation leaves a byte as it is.
constexpr std::array<std::uint8_t, 0x85> kTranslation = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29,
    0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11,
    0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14,
    0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24,
    0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35,
    0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36,
    0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c,
    0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
    0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54, 0x80, 0x81, 0x82, 0x41, 0x54};

// Where two set 2 codes translate to one, the later is the one that keyboards send (F7, SysRq).
constexpr auto kSet2 = [] {
  std::array<std::uint8_t, 0x80> codes{};
  for (std::size_t set2 = 1; set2 < kTranslation.size(); ++set2)
    if (kTranslation[set2] < codes.size())
      codes[kTranslation[set2]] = static_cast<std::uint8_t>(set2);
  return codes;
}();

struct NamedKey {
  std::string_view name;
  Ps2Key key;
};

constexpr bool kE0 = true;
constexpr NamedKey kKeys[] = {
    {"esc", {0x01}},
    {"1", {0x02}},
    {"2", {0x03}},
    {"3", {0x04}},
    {"4", {0x05}},
    {"5", {0x06}},
    {"6", {0x07}},
    {"7", {0x08}},
    {"8", {0x09}},
    {"9", {0x0a}},
    {"0", {0x0b}},
    {"minus", {0x0c}},
    {"equal", {0x0d}},
    {"backspace", {0x0e}},
    {"tab", {0x0f}},
    {"q", {0x10}},
    {"w", {0x11}},
    {"e", {0x12}},
    {"r", {0x13}},
    {"t", {0x14}},
    {"y", {0x15}},
    {"u", {0x16}},
    {"i", {0x17}},
    {"o", {0x18}},
    {"p", {0x19}},
    {"bracket_left", {0x1a}},
    {"bracket_right", {0x1b}},
    {"ret", {0x1c}},
    {"ctrl", {0x1d}},
    {"a", {0x1e}},
    {"s", {0x1f}},
    {"d", {0x20}},
    {"f", {0x21}},
    {"g", {0x22}},
    {"h", {0x23}},
    {"j", {0x24}},
    {"k", {0x25}},
    {"l", {0x26}},
    {"semicolon", {0x27}},
    {"apostrophe", {0x28}},
    {"grave_accent", {0x29}},
    {"shift", {0x2a}},
    {"backslash", {0x2b}},
    {"z", {0x2c}},
    {"x", {0x2d}},
    {"c", {0x2e}},
    {"v", {0x2f}},
    {"b", {0x30}},
    {"n", {0x31}},
    {"m", {0x32}},
    {"comma", {0x33}},
    {"dot", {0x34}},
    {"slash", {0x35}},
    {"shift_r", {0x36}},
    {"asterisk", {0x37}},
    {"kp_multiply", {0x37}},
    {"alt", {0x38}},
    {"spc", {0x39}},
    {"caps_lock", {0x3a}},
    {"f1", {0x3b}},
    {"f2", {0x3c}},
    {"f3", {0x3d}},
    {"f4", {0x3e}},
    {"f5", {0x3f}},
    {"f6", {0x40}},
    {"f7", {0x41}},
    {"f8", {0x42}},
    {"f9", {0x43}},
    {"f10", {0x44}},
    {"num_lock", {0x45}},
    {"scroll_lock", {0x46}},
    {"kp_7", {0x47}},
    {"kp_8", {0x48}},
    {"kp_9", {0x49}},
    {"kp_subtract", {0x4a}},
    {"kp_4", {0x4b}},
    {"kp_5", {0x4c}},
    {"kp_6", {0x4d}},
    {"kp_add", {0x4e}},
    {"kp_1", {0x4f}},
    {"kp_2", {0x50}},
    {"kp_3", {0x51}},
    {"kp_0", {0x52}},
    {"kp_decimal", {0x53}},
    {"sysrq", {0x54}},
    {"less", {0x56}},
    {"f11", {0x57}},
    {"f12", {0x58}},
    {"hiragana", {0x70}},
    {"ro", {0x73}},
    {"henkan", {0x79}},
    {"muhenkan", {0x7b}},
    {"yen", {0x7d}},
    {"kp_comma", {0x7e}},
    {"audioprev", {0x10, kE0}},
    {"audionext", {0x19, kE0}},
    {"kp_enter", {0x1c, kE0}},
    {"ctrl_r", {0x1d, kE0}},
    {"audiomute", {0x20, kE0}},
    {"calculator", {0x21, kE0}},
    {"audioplay", {0x22, kE0}},
    {"audiostop", {0x24, kE0}},
    {"volumedown", {0x2e, kE0}},
    {"volumeup", {0x30, kE0}},
    {"ac_home", {0x32, kE0}},
    {"kp_divide", {0x35, kE0}},
    {"print", kPrintScreen},
    {"alt_r", {0x38, kE0}},
    {"pause", kPause},
    {"home", {0x47, kE0}},
    {"up", {0x48, kE0}},
    {"pgup", {0x49, kE0}},
    {"left", {0x4b, kE0}},
    {"right", {0x4d, kE0}},
    {"end", {0x4f, kE0}},
    {"down", {0x50, kE0}},
    {"pgdn", {0x51, kE0}},
    {"insert", {0x52, kE0}},
    {"delete", {0x53, kE0}},
    {"meta_l", {0x5b, kE0}},
    {"meta_r", {0x5c, kE0}},
    {"menu", {0x5d, kE0}},
    {"compose", {0x5d, kE0}},
    {"power", {0x5e, kE0}},
    {"sleep", {0x5f, kE0}},
    {"wake", {0x63, kE0}},
    {"ac_bookmarks", {0x66, kE0}},
    {"ac_refresh", {0x67, kE0}},
    {"ac_forward", {0x69, kE0}},
    {"ac_back", {0x6a, kE0}},
    {"computer", {0x6b, kE0}},
    {"mail", {0x6c, kE0}},
};

}  // namespace

std::optional<Ps2Key> find_key(std::string_view name) {
  const auto* found =
      std::find_if(std::begin(kKeys), std::end(kKeys), [&](auto& k) { return k.name == name; });
  if (found == std::end(kKeys)) return std::nullopt;
  return found->key;
}

std::uint8_t translate_set2_to_set1(std::uint8_t code) {
  return code < kTranslation.size() ? kTranslation[code] : code;
}

std::uint8_t set2_code(std::uint8_t set1_code) {
  return set1_code < kSet2.size() ? kSet2[set1_code] : 0;
}

}  // namespace ringshift::devices
