// translator/callouts/string_compare.h - CMPS and SCAS with REPE and REPNE.
// SDM Vol. 2 "CMPS/CMPSB/CMPSW/CMPSD/CMPSQ", "SCAS/SCASB/SCASW/SCASD".
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

Result compare_strings(Core& core, const Operation& op);
Result scan_string(Core& core, const Operation& op);

}  // namespace ringshift::translator
