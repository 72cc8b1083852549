// runtime/profile/report_folded.cc - folded stacks for other flame-graph tools.
#include <fmt/format.h>

#include <algorithm>

#include "runtime/profile/report.h"

namespace ringshift::runtime::profile {

std::string folded_stacks(const Profile& profile) {
  std::string text;
  for (const Stack& stack : profile.stacks) {
    for (std::size_t i = 0; i < stack.frames.size(); ++i) {
      std::string name = profile.names[stack.frames[i]];
      // What separates frames and lines cannot be in a name.
      std::replace_if(
          name.begin(), name.end(),
          [](char c) { return c == ';' || static_cast<unsigned char>(c) < ' '; }, '_');
      text += (i ? ";" : "") + name;
    }
    text += fmt::format(" {}\n", stack.samples);
  }
  return text;
}

}  // namespace ringshift::runtime::profile
