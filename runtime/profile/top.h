// runtime/profile/top.h - a live view of a running guest, in a terminal or as text.
#pragma once

#include <string>
#include <tl/expected.hpp>

#include "runtime/profile/profile.h"
#include "runtime/profile/profile_options.h"

namespace ringshift::runtime::profile {

// The exit status. The error is one line for the user; the terminal is as it was.
tl::expected<int, std::string> run_top(const TopCommand& command);

// One picture of it: not more than these lines and columns.
std::string top_screen(const Profile& profile, std::size_t lines, std::size_t columns);

}  // namespace ringshift::runtime::profile
