// translator/callouts/far_transfer.h - far CALL, JMP and RET in every mode.
// The far pointer is an immediate (`immediate2`:`immediate`) or lies in memory, offset first.
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

Result far_call(Core& core, const Operation& op);
Result far_jump(Core& core, const Operation& op);
// `immediate` is the number of bytes that RET imm16 drops.
Result far_return(Core& core, const Operation& op);

}  // namespace ringshift::translator
