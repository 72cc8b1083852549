// runtime/profile/output_file.h - whole files, written so that a full disk is an error and an older
// file of the name is lost only to a complete new one.
#pragma once

#include <string>
#include <tl/expected.hpp>

namespace ringshift::runtime::profile {

// The errors are one line for the user. What is not a plain file (/dev/stdout) is written in place.
tl::expected<void, std::string> write_file(const std::string& path, const std::string& text);
tl::expected<void, std::string> write_standard_output(const std::string& text);

}  // namespace ringshift::runtime::profile
