// runtime/display/png.h - a picture as a PNG or PPM file.
#pragma once

#include <string>
#include <tl/expected.hpp>

#include "devices/vga_screen.h"

namespace ringshift::runtime {

// By the name's end: .ppm, anything else is PNG. The error is one line for the user.
tl::expected<void, std::string> write_picture(const devices::Picture& picture,
                                              const std::string& path);

}  // namespace ringshift::runtime
