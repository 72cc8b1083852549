// runtime/profile/thin_out.h - lists of what was seen over time that may not grow for ever.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace ringshift::runtime::profile {

// A list of `most` loses every second entry, and those to come are as far apart.
template <typename T>
void thin_out(std::vector<T>& list, std::size_t most, std::int64_t& step) {
  if (list.size() < most) return;
  for (std::size_t i = 1; 2 * i < list.size(); ++i) list[i] = std::move(list[2 * i]);
  list.resize((list.size() + 1) / 2);
  step *= 2;
}

}  // namespace ringshift::runtime::profile
