// runtime/profile/thunk_names.h - what blocks call, by host address.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "translator/thunks.h"

namespace ringshift::runtime::profile {

std::map<std::uint64_t, std::string> thunk_names(const translator::Thunks& thunks);

}  // namespace ringshift::runtime::profile
