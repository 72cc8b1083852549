// translator/access_groups.h - finds accesses of a block that one look-up can serve.
#pragma once

#include <span>

#include "translator/mode_key.h"
#include "translator/plan.h"

namespace ringshift::translator {

void clear_groups(std::span<Planned> plan);
// Two or more accesses through one base register that stays the same but for PUSH and POP, close
// together, with nothing between them that needs the register that holds the group's address.
void form_groups(std::span<Planned> plan, ModeKey mode);

}  // namespace ringshift::translator
