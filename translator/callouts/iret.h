// translator/callouts/iret.h - IRET, IRETD and IRETQ in every mode.
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

Result iret(Core& core, const Operation& op);

}  // namespace ringshift::translator
