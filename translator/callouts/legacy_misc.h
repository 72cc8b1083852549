// translator/callouts/legacy_misc.h - BOUND and XLAT.
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

Result check_bound(Core& core, const Operation& op);
Result translate_byte(Core& core, const Operation& op);

}  // namespace ringshift::translator
