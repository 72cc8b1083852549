// tests/differential/case.cc - cases as text.
#include "tests/differential/case.h"

#include <fmt/core.h>

#include <cstdlib>

namespace ringshift::differential {

Bytes Case::code() const {
  Bytes all;
  for (const Bytes& i : instructions) all.insert(all.end(), i.begin(), i.end());
  return all;
}

std::string Case::text() const {
  std::string s = mode == Mode::k64 ? "64" : mode == Mode::kCompatibility ? "32" : "pae";
  s += fmt::format(":{:x}:", state_seed);
  for (std::size_t i = 0; i < instructions.size(); ++i) {
    if (i) s += ',';
    for (std::uint8_t b : instructions[i]) s += fmt::format("{:02x}", b);
  }
  return s;
}

std::optional<Case> Case::parse(const std::string& text) {
  const std::size_t first = text.find(':'), second = text.find(':', first + 1);
  if (first == std::string::npos || second == std::string::npos) return std::nullopt;
  Case c;
  const std::string mode = text.substr(0, first);
  if (mode == "64")
    c.mode = Mode::k64;
  else if (mode == "32")
    c.mode = Mode::kCompatibility;
  else if (mode == "pae")
    c.mode = Mode::kProtected;
  else
    return std::nullopt;
  c.state_seed = std::strtoull(text.c_str() + first + 1, nullptr, 16);
  Bytes insn;
  for (std::size_t i = second + 1; i <= text.size(); ++i) {
    if (i == text.size() || text[i] == ',') {
      if (!insn.empty()) c.instructions.push_back(insn);
      insn.clear();
      continue;
    }
    if (i + 1 >= text.size()) return std::nullopt;
    insn.push_back(static_cast<std::uint8_t>(std::strtoul(text.substr(i, 2).c_str(), nullptr, 16)));
    ++i;
  }
  return c;
}

}  // namespace ringshift::differential
