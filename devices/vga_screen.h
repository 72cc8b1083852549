// devices/vga_screen.h - what a VGA adapter shows now, as pixels and, in text modes, as text.
// Pure functions of the adapter's state; call them with the device lock held.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "devices/vga.h"

namespace ringshift::devices {

// Red, green, blue, line by line from the top.
struct Picture {
  unsigned width = 0, height = 0;
  std::vector<std::uint8_t> rgb;
};

// A blank picture when the screen is off. Never larger than 2560 by 1600.
Picture draw_screen(const Vga& vga);

// The rows of a text mode, as code page 437 bytes with what is not ASCII replaced by '?', without
// trailing blanks; empty in graphics modes.
std::vector<std::string> screen_text(const Vga& vga);

}  // namespace ringshift::devices
