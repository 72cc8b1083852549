// runtime/profile/text_table.h - what text reports print alike.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/profile/profile.h"

namespace ringshift::runtime::profile {

// Of all samples, in percent.
inline double percent(const Profile& profile, std::uint64_t samples) {
  return profile.run.samples
             ? 100.0 * static_cast<double>(samples) / static_cast<double>(profile.run.samples)
             : 0;
}

inline std::string work_text(const Share& share) {
  return share.detail.empty() ? share.kind : share.kind + ": " + share.detail;
}

inline std::string function_text(const FunctionShare& f) {
  return f.module.empty() ? f.name : f.name + " (" + f.module + ")";
}

}  // namespace ringshift::runtime::profile
