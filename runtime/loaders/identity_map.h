// runtime/loaders/identity_map.h - page tables that map the first 4 GiB to themselves.
#pragma once

#include <cstdint>

#include "runtime/loaders/placement.h"

namespace ringshift::runtime {

inline constexpr std::uint64_t kIdentityMapAddress = 0x9000;  // of the PML4; six pages in all

LoadStatus place_identity_map(guest::PhysicalMemory& memory);

}  // namespace ringshift::runtime
