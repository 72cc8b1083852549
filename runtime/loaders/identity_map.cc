// runtime/loaders/identity_map.cc - page tables that map the first 4 GiB to themselves.
#include "runtime/loaders/identity_map.h"

#include <array>

namespace ringshift::runtime {

// 2 MiB pages: one PML4 entry, four PDPT entries, four full page directories.
// SDM Vol. 3 "4-Level Paging and 5-Level Paging".
LoadStatus place_identity_map(guest::PhysicalMemory& memory) {
  constexpr std::uint64_t kPresentWritable = 3, kLarge = 0x80, kLargeBytes = 0x200000;
  std::array<std::uint64_t, 6 * 512> entries{};
  entries[0] = (kIdentityMapAddress + 0x1000) | kPresentWritable;
  for (std::uint64_t i = 0; i < 4; ++i)
    entries[512 + i] = (kIdentityMapAddress + 0x2000 + i * 0x1000) | kPresentWritable;
  for (std::uint64_t i = 0; i < 2048; ++i)
    entries[1024 + i] = i * kLargeBytes | kPresentWritable | kLarge;
  return place(memory, "the boot page tables", kIdentityMapAddress,
               {reinterpret_cast<const std::uint8_t*>(entries.data()), sizeof entries});
}

}  // namespace ringshift::runtime
