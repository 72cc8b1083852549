// runtime/device_options.h - the argument of -device.
#pragma once

#include <string>
#include <tl/expected.hpp>

#include "runtime/options.h"

namespace ringshift::runtime {

tl::expected<void, std::string> add_device(RunOptions& options, const std::string& text);

}  // namespace ringshift::runtime
