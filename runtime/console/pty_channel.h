// runtime/console/pty_channel.h - a pseudo-terminal of our own, for another program to open.
#pragma once

#include <memory>
#include <string>
#include <tl/expected.hpp>

#include "runtime/console/byte_channel.h"

namespace ringshift::runtime {

// Says on standard error where it is ("char device redirected to /dev/pts/3 (label serial0)").
// What the guest prints while nobody has it open is lost.
tl::expected<std::unique_ptr<ByteChannel>, std::string> open_pty(const std::string& label);

}  // namespace ringshift::runtime
