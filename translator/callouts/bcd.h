// translator/callouts/bcd.h - decimal arithmetic that 64-bit mode dropped, and SALC.
// SDM Vol. 1 "Decimal Arithmetic Instructions".
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

Result decimal_adjust_add(Core& core, const Operation& op);
Result decimal_adjust_subtract(Core& core, const Operation& op);
Result ascii_adjust_add(Core& core, const Operation& op);
Result ascii_adjust_subtract(Core& core, const Operation& op);
Result ascii_adjust_multiply(Core& core, const Operation& op);
Result ascii_adjust_divide(Core& core, const Operation& op);
Result set_al_from_carry(Core& core, const Operation& op);

}  // namespace ringshift::translator
