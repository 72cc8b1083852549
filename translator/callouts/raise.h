// translator/callouts/raise.h - instructions that always fault: undefined, hidden or disabled ones.
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

// The fault that pack_fault() put into the operation's immediate.
Result raise_fault(Core& core, const Operation& op);

}  // namespace ringshift::translator
