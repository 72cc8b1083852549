// translator/callouts/legacy_misc.h - BOUND, XLAT, CMPXCHG8B and CMPXCHG16B.
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

Result check_bound(Core& core, const Operation& op);
Result translate_byte(Core& core, const Operation& op);
Result compare_exchange_8_bytes(Core& core, const Operation& op);
Result compare_exchange_16_bytes(Core& core, const Operation& op);

}  // namespace ringshift::translator
