// runtime/profile/stack_walk.h - who called whom in the guest: by ORC where there are tables, else
// by frame pointers. Async-signal-safe.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/profile/guest_reader.h"
#include "runtime/profile/orc.h"

namespace ringshift::runtime::profile {

struct StackStart {
  std::uint64_t rip = 0, rsp = 0, rbp = 0;
  unsigned word_bytes = 8;
  bool kernel = false;  // CPL below 3
};

// Return addresses from the innermost on; how many. `orc` may be null.
std::size_t walk_stack(GuestReader& memory, const StackStart& start, const OrcTable* orc,
                       std::span<std::uint64_t> frames);

}  // namespace ringshift::runtime::profile
