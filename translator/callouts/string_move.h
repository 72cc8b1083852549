// translator/callouts/string_move.h - MOVS, STOS and LODS with their repeat prefixes.
// SDM Vol. 2 "MOVS/MOVSB/MOVSW/MOVSD/MOVSQ", "STOS...", "LODS...".
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

Result move_string(Core& core, const Operation& op);
Result store_string(Core& core, const Operation& op);
Result load_string(Core& core, const Operation& op);

}  // namespace ringshift::translator
