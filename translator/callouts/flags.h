// translator/callouts/flags.h - instructions that read or write the system flags: PUSHF, POPF, CLI,
// STI with their virtual-8086 and protected-mode virtual interrupt forms; CLAC and STAC.
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

Result pushf(Core& core, const Operation& op);
Result popf(Core& core, const Operation& op);
Result cli(Core& core, const Operation& op);
Result sti(Core& core, const Operation& op);
Result clac(Core& core, const Operation& op);
Result stac(Core& core, const Operation& op);

}  // namespace ringshift::translator
