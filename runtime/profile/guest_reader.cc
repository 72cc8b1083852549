// runtime/profile/guest_reader.cc - reads a guest's linear memory from outside.
#include "runtime/profile/guest_reader.h"

#include <algorithm>

namespace ringshift::runtime::profile {

const std::uint8_t* GuestReader::page(std::uint64_t linear) {
  const std::uint64_t number = guest::page_number(linear);
  if (number == known_page_) return known_host_;
  known_page_ = number;
  const auto physical = softmmu::look_at(memory_, state_, features_, {linear});
  known_host_ = physical ? memory_.ram_page(*physical) : nullptr;
  return known_host_;
}

bool GuestReader::read(std::uint64_t linear, void* to, std::size_t bytes) {
  auto* out = static_cast<std::uint8_t*>(to);
  while (bytes > 0) {
    const std::uint8_t* host = page(linear);
    if (!host) return false;
    const std::size_t n =
        std::min<std::size_t>(bytes, guest::kPageBytes - guest::page_offset(linear));
    std::memcpy(out, host + guest::page_offset(linear), n);
    out += n;
    linear += n;
    bytes -= n;
  }
  return true;
}

std::optional<std::uint64_t> GuestReader::load_word(std::uint64_t linear, unsigned bytes) {
  if (bytes == 8) return load<std::uint64_t>(linear);
  if (const auto narrow = load<std::uint32_t>(linear)) return *narrow;
  return std::nullopt;
}

}  // namespace ringshift::runtime::profile
