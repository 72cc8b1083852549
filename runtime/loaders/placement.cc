// runtime/loaders/placement.cc - puts bytes into guest RAM, or says in one line why they do not
// fit.
#include "runtime/loaders/placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace ringshift::runtime {

bool is_ram(const guest::PhysicalMemory& memory, std::uint64_t start, std::uint64_t bytes) {
  const auto inside = [&](std::uint64_t base, std::uint64_t length) {
    return start >= base && start - base <= length && bytes <= length - (start - base);
  };
  return inside(0, memory.low_ram_bytes()) ||
         inside(guest::PhysicalMemory::kHighRamBase, memory.high_ram_bytes());
}

LoadStatus place(guest::PhysicalMemory& memory, std::string_view what, std::uint64_t start,
                 Bytes contents, std::uint64_t total_bytes) {
  if (contents.size() > total_bytes || !is_ram(memory, start, total_bytes)) {
    return tl::unexpected(fmt::format(
        "{} needs {} bytes at {:#x}, which guest memory ({} MiB) does not have", what,
        std::max<std::uint64_t>(total_bytes, contents.size()), start, memory.ram_bytes() >> 20));
  }
  memory.write_bytes({start}, contents);
  static constexpr std::array<std::uint8_t, 65536> kZeros{};
  for (std::uint64_t at = contents.size(); at < total_bytes;) {
    const auto step = std::min<std::uint64_t>(kZeros.size(), total_bytes - at);
    memory.write_bytes({start + at}, Bytes(kZeros).first(step));
    at += step;
  }
  return {};
}

LoadStatus place(guest::PhysicalMemory& memory, std::string_view what, std::uint64_t start,
                 Bytes contents) {
  return place(memory, what, start, contents, contents.size());
}

std::uint64_t BlockBuilder::append(Bytes contents, std::uint64_t alignment) {
  const auto at = next(alignment);
  bytes_.resize(at - address_);
  bytes_.insert(bytes_.end(), contents.begin(), contents.end());
  return at;
}

std::uint64_t BlockBuilder::append_string(std::string_view text) {
  const auto at = append({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, 1);
  bytes_.push_back(0);
  return at;
}

}  // namespace ringshift::runtime
