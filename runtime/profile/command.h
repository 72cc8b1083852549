// runtime/profile/command.h - the verbs `profile` and `top`.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace ringshift::runtime::profile {

bool is_profile_verb(const std::vector<std::string>& words);
// The exit status. The error is one line for the user.
tl::expected<int, std::string> run_command(const std::vector<std::string>& words);

}  // namespace ringshift::runtime::profile
