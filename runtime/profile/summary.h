// runtime/profile/summary.h - what costs most, in plain words, and what could be done about it.
#pragma once

#include <vector>

#include "runtime/profile/profile.h"

namespace ringshift::runtime::profile {

// The most expensive first.
std::vector<Finding> summarize(const Profile& profile);

}  // namespace ringshift::runtime::profile
