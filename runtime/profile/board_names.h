// runtime/profile/board_names.h - what answers on a PC at a port, or at a page of memory, by
// convention.
#pragma once

#include <cstdint>
#include <string>

namespace ringshift::runtime::profile {

std::string port_device(std::uint64_t port);
std::string page_device(std::uint64_t page_number);

}  // namespace ringshift::runtime::profile
