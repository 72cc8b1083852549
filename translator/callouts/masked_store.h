// translator/callouts/masked_store.h - MASKMOVQ and MASKMOVDQU: stores of the bytes of a register
// that another one selects. Other bytes are never touched, so they cannot fault.
// Masked operands of other instructions: translator/masked_operand.h.
#pragma once

#include <cstdint>

#include "translator/callouts/extended_state.h"
#include "translator/core.h"

namespace ringshift::translator {

Result store_masked_mmx_bytes(Core& core, const Operation& op);  // MASKMOVQ
Result store_masked_xmm_bytes(Core& core, const Operation& op);  // MASKMOVDQU, VMASKMOVDQU

}  // namespace ringshift::translator
