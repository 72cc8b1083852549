// translator/callouts/software_interrupts.h - INT n, INT3, INTO and INT1.
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

Result int_n(Core& core, const Operation& op);
Result int3(Core& core, const Operation& op);
Result into(Core& core, const Operation& op);
Result int1(Core& core, const Operation& op);

}  // namespace ringshift::translator
