// tests/differential/fixed_cases.h - cases that once differed: each stands for a bug that was
// fixed.
#pragma once

#include <span>

namespace ringshift::differential {

std::span<const char* const> fixed_cases();

}  // namespace ringshift::differential
