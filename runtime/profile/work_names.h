// runtime/profile/work_names.h - what the vCPU was at, in words.
#pragma once

#include <map>
#include <string>

#include "runtime/profile/recording.h"

namespace ringshift::runtime::profile {

struct WorkName {
  std::string kind, detail;
  // As a frame on top of the guest's stack; empty for the guest's own code.
  std::string frame() const;
  bool is_guest_code = false;
};

WorkName work_name(const Work& work, const std::map<std::uint64_t, std::string>& thunks);
std::string vector_name(unsigned vector);  // of an exception: "#PF"

}  // namespace ringshift::runtime::profile
