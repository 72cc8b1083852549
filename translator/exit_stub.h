// translator/exit_stub.h - where a direct exit leads that may not be linked to its successor.
#pragma once

#include <cstdint>
#include <vector>

#include "translator/thunks.h"

namespace ringshift::translator {

// Code for the address `at`: goes to page offset `target` of the page that runs by the jump cache.
std::vector<std::uint8_t> jump_cache_exit(const std::uint8_t* at, std::uint16_t target,
                                          bool is_64bit, const Thunks& thunks);
inline constexpr std::size_t kExitStubBytes = 64;  // more than it takes

}  // namespace ringshift::translator
