// guest/address.h - distinct types for the address spaces a guest knows, so that mixing them does not compile.
#pragma once

#include <compare>
#include <cstdint>

namespace ringshift::guest {

// SDM Vol. 3 "Protected-Mode Memory Management": logical -> linear -> physical.
struct LinearAddress {
  std::uint64_t value = 0;
  auto operator<=>(const LinearAddress&) const = default;
};

struct PhysicalAddress {
  std::uint64_t value = 0;
  auto operator<=>(const PhysicalAddress&) const = default;
};

constexpr LinearAddress operator+(LinearAddress a, std::uint64_t n) { return {a.value + n}; }
constexpr PhysicalAddress operator+(PhysicalAddress a, std::uint64_t n) { return {a.value + n}; }

inline constexpr std::uint64_t kPageBytes = 4096;
inline constexpr unsigned kPageShift = 12;
inline constexpr std::uint64_t kPageOffsetMask = kPageBytes - 1;

constexpr std::uint64_t page_offset(std::uint64_t address) { return address & kPageOffsetMask; }
constexpr std::uint64_t page_number(std::uint64_t address) { return address >> kPageShift; }

// Bits 63:47 of a canonical address are equal (48-bit linear addresses; LA57 is not offered).
constexpr bool is_canonical(std::uint64_t address) {
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(address << 16) >> 16) == address;
}

}  // namespace ringshift::guest
