// runtime/run_guest.h - the verb `run`: from options to a machine, and its exit status.
#pragma once

#include <string>
#include <tl/expected.hpp>

#include "runtime/options.h"

namespace ringshift::runtime {

// The error is one line for the user.
tl::expected<int, std::string> run_guest(const RunOptions& options);

}  // namespace ringshift::runtime
