// tests/differential/fixed_cases.cc - the list, in the form of --one.
#include "tests/differential/fixed_cases.h"

namespace ringshift::differential {

std::span<const char* const> fixed_cases() {
  static constexpr const char* kCases[] = {
      // LEA with a slot register as base.
      "64:1:4d8d5308",
  };
  return kCases;
}

}  // namespace ringshift::differential
