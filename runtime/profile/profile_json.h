// runtime/profile/profile_json.h - profiles as JSON; the schema is docs/profile.md's.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "runtime/profile/profile.h"

namespace ringshift::runtime::profile {

// Always valid UTF-8: what is not, of the guest's names, is replaced.
std::string to_json(const Profile& profile);
// Any text is safe; the error says what is wrong with it.
tl::expected<Profile, std::string> from_json(std::string_view text);

}  // namespace ringshift::runtime::profile
