// runtime/message.h - lines for the user on standard error. Where nobody can read them (a full
// disk, a closed pipe) they are lost: that ends no guest, while fmt::print would throw.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <string>

namespace ringshift::runtime {

template <typename... Args>
void print_message(fmt::format_string<Args...> format, Args&&... args) {
  const std::string line = fmt::format(format, std::forward<Args>(args)...) + '\n';
  static_cast<void>(std::fwrite(line.data(), 1, line.size(), stderr));
}

}  // namespace ringshift::runtime
