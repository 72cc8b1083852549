// translator/callouts/selector_checks.h - LAR, LSL, VERR, VERW and ARPL: questions about selectors
// that answer in ZF instead of faulting.
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

// `reg` is the destination, r/m the selector.
Result lar(Core& core, const Operation& op);
Result lsl(Core& core, const Operation& op);
Result verr(Core& core, const Operation& op);
Result verw(Core& core, const Operation& op);
Result arpl(Core& core, const Operation& op);

}  // namespace ringshift::translator
