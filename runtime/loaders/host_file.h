// runtime/loaders/host_file.h - reads a whole host file, with errors fit for the user.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace ringshift::runtime {

// Empty files and files past `limit` bytes are errors; `whose` says in the message what is as small.
tl::expected<std::vector<std::uint8_t>, std::string> read_host_file(
    const std::string& path, std::uint64_t limit, std::string_view whose = "guest memory");

}  // namespace ringshift::runtime
