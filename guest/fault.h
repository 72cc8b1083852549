// guest/fault.h - exceptions that guest code raises, as values: returned, never thrown.
#pragma once

#include <cstdint>
#include <tl/expected.hpp>

namespace ringshift::guest {

// SDM Vol. 3 "Exception and Interrupt Reference".
enum class Vector : std::uint8_t {
  kDivideError = 0,
  kDebug = 1,
  kNmi = 2,
  kBreakpoint = 3,
  kOverflow = 4,
  kBoundRange = 5,
  kInvalidOpcode = 6,
  kDeviceNotAvailable = 7,
  kDoubleFault = 8,
  kInvalidTss = 10,
  kSegmentNotPresent = 11,
  kStackFault = 12,
  kGeneralProtection = 13,
  kPageFault = 14,
  kX87Error = 16,
  kAlignmentCheck = 17,
  kMachineCheck = 18,
  kSimdError = 19,
};

// What an exception carries. `address` is CR2 for #PF and the DR6 bits to set for #DB; else 0.
struct GuestFault {
  Vector vector{};
  bool has_error_code = false;
  std::uint32_t error_code = 0;
  std::uint64_t address = 0;

  bool operator==(const GuestFault&) const = default;
};

constexpr GuestFault fault(Vector v) { return {v, false, 0, 0}; }
constexpr GuestFault fault(Vector v, std::uint32_t error_code) { return {v, true, error_code, 0}; }
constexpr GuestFault general_protection(std::uint32_t error_code = 0) {
  return fault(Vector::kGeneralProtection, error_code);
}
constexpr GuestFault stack_fault(std::uint32_t error_code = 0) {
  return fault(Vector::kStackFault, error_code);
}
constexpr GuestFault invalid_opcode() { return fault(Vector::kInvalidOpcode); }
constexpr GuestFault page_fault(std::uint64_t linear, std::uint32_t error_code) {
  return {Vector::kPageFault, true, error_code, linear};
}

template <typename T>
using Checked = tl::expected<T, GuestFault>;
using Status = tl::expected<void, GuestFault>;

}  // namespace ringshift::guest

// Returns from the enclosing function with the fault when `expr` holds one; for expressions whose
// value is not wanted. A macro because the language has no other early return.
#define RS_CHECK(expr)                                            \
  do {                                                            \
    if (auto rs_status = (expr); !rs_status)                      \
      return tl::unexpected(rs_status.error());                   \
  } while (0)

// Declares `var` with the value of `expr`, or returns its fault.
#define RS_ASSIGN(var, expr)                                      \
  auto var##_or_fault = (expr);                                   \
  if (!var##_or_fault) return tl::unexpected(var##_or_fault.error()); \
  auto var = *var##_or_fault
