// tests/differential/initial_state.h - registers and memory to start from, drawn from a seed with
// weight on edge values.
#pragma once

#include "tests/differential/case.h"

namespace ringshift::differential {

// The state depends on the mode and the seed only, not on the code, so that a case can be reduced.
Registers initial_registers(Mode mode, std::uint64_t seed);
void initial_memory(std::uint64_t seed, Memory& memory);

}  // namespace ringshift::differential
