// runtime/loaders/placement.h - puts bytes into guest RAM, or says in one line why they do not fit.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "guest/physical_memory.h"
#include "runtime/loaders/span_reader.h"

namespace ringshift::runtime {

using LoadStatus = tl::expected<void, std::string>;

// A half-open range of guest-physical addresses.
struct AddressRange {
  std::uint64_t start = 0, end = 0;
  bool overlaps(const AddressRange& other) const { return start < other.end && other.start < end; }
};

constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

// Every byte of [start, start + bytes) is RAM.
bool is_ram(const guest::PhysicalMemory& memory, std::uint64_t start, std::uint64_t bytes);

// Copies `contents` to `start` and clears what follows up to `total_bytes`. `what` names it in the
// error.
LoadStatus place(guest::PhysicalMemory& memory, std::string_view what, std::uint64_t start,
                 Bytes contents, std::uint64_t total_bytes);
LoadStatus place(guest::PhysicalMemory& memory, std::string_view what, std::uint64_t start,
                 Bytes contents);

// Grows a block of guest data in host memory and knows the guest address of each piece.
class BlockBuilder {
 public:
  explicit BlockBuilder(std::uint64_t guest_address) : address_(guest_address) {}

  std::uint64_t append(Bytes contents, std::uint64_t alignment = 8);
  std::uint64_t append_string(std::string_view text);  // NUL-terminated
  template <typename T>
  std::uint64_t append_value(const T& value) {
    return append({reinterpret_cast<const std::uint8_t*>(&value), sizeof value});
  }
  std::uint64_t next(std::uint64_t alignment = 8) const {
    return align_up(address_ + bytes_.size(), alignment);
  }
  std::uint64_t address() const { return address_; }
  Bytes bytes() const { return bytes_; }

 private:
  std::uint64_t address_;
  std::vector<std::uint8_t> bytes_;
};

}  // namespace ringshift::runtime
