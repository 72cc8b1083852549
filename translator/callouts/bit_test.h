// translator/callouts/bit_test.h - BT, BTS, BTR, BTC of a memory bit string with a register index,
// which reach memory far from the effective address.
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

Result bit_test(Core& core, const Operation& op);

}  // namespace ringshift::translator
