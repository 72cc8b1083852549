// translator/callouts/descriptor_tables.h - LGDT, LIDT, LLDT, LTR and the stores SGDT, SIDT, SLDT,
// STR. SDM Vol. 3 "Memory-Management Registers".
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

Result lgdt(Core& core, const Operation& op);
Result lidt(Core& core, const Operation& op);
Result lldt(Core& core, const Operation& op);
Result ltr(Core& core, const Operation& op);
Result sgdt(Core& core, const Operation& op);
Result sidt(Core& core, const Operation& op);
Result sldt(Core& core, const Operation& op);
Result str(Core& core, const Operation& op);

}  // namespace ringshift::translator
