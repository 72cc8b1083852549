// translator/callouts/stack_frames.h - ENTER, PUSHA/POPA, and slow near stack instructions.
//
// The translator emits PUSH, POP, LEAVE, CALL and RET itself where it can; the functions after POPA
// are its fallback. Each leaves the state as it was when an access faults.
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

Result enter(Core& core, const Operation& op);
Result push_all(Core& core, const Operation& op);
Result pop_all(Core& core, const Operation& op);

Result push_rm(Core& core, const Operation& op);
Result push_immediate(Core& core, const Operation& op);
Result pop_rm(Core& core, const Operation& op);
Result leave(Core& core, const Operation& op);
Result near_call_rm(Core& core, const Operation& op);
Result near_call_relative(Core& core, const Operation& op);
// `immediate` is the number of bytes that RET imm16 drops.
Result near_return(Core& core, const Operation& op);

}  // namespace ringshift::translator
