// translator/callouts/halt.h - HLT, instructions that only serialize, and those that the processor
// does not have.
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

Result hlt(Core& core, const Operation& op);
Result serialize(Core& core, const Operation& op);
// MONITOR, MWAIT and their user-mode forms, RSM, virtualization: CPUID offers none of them.
Result absent_instruction(Core& core, const Operation& op);

}  // namespace ringshift::translator
