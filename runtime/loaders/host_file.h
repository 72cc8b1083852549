// runtime/loaders/host_file.h - reads a whole host file, with errors fit for the user.
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace ringshift::runtime {

// Empty files and files past `limit` bytes (guest memory: nothing larger can be of use) are errors.
tl::expected<std::vector<std::uint8_t>, std::string> read_host_file(const std::string& path,
                                                                    std::uint64_t limit);

}  // namespace ringshift::runtime
