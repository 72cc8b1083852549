// tests/differential/known_differences.h - where Ringshift differs from this processor, with the
// reason of each.
#pragma once

#include <string>

#include "tests/differential/case.h"
#include "tests/differential/compare.h"

namespace ringshift::differential {

// The reason when everything that differs is known; empty: it is a bug.
std::string known_reason(const Case& c, const std::vector<Difference>& differences,
                         const Outcome& native);

}  // namespace ringshift::differential
