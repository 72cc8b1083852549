// tests/differential/compare.h - what differs between two outcomes, in words.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/differential/case.h"

namespace ringshift::differential {

struct Difference {
  std::string what, native, translated;
};

// Flags that the manual leaves undefined, of those that the sequence does not write later.
// compare() masks them on processors other than AMD's, whose undefined flags Ringshift gives.
struct UndefinedFlags {
  std::uint64_t at_end = 0;
  bool read = false;  // by some instruction, whose result may be anything
};
UndefinedFlags undefined_flags(const Case& c);

// Both outcomes must have been normalized.
std::vector<Difference> compare(const Case& c, const Outcome& native, const Outcome& translated);
void normalize(Mode mode, Outcome& outcome);

std::string disassemble(const Case& c, std::uint64_t rip);
// Registers that the sequence names, with their initial values.
std::string initial_state_text(const Case& c, const Registers& initial);

}  // namespace ringshift::differential
