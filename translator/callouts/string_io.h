// translator/callouts/string_io.h - INS and OUTS with REP.
// SDM Vol. 2 "INS/INSB/INSW/INSD", "OUTS/OUTSB/OUTSW/OUTSD".
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

Result input_string(Core& core, const Operation& op);
Result output_string(Core& core, const Operation& op);

}  // namespace ringshift::translator
