// translator/callouts/fpu_state.h - FXSAVE, FXRSTOR, and FNSAVE, FRSTOR, FNSTENV, FLDENV.
//
// DEVIATION: the x87 instruction and data pointers and FOP are zero in every image. What the host
// has there are addresses of translated code. AMD processors do not save them either (FXSAVE,
// XSAVE) unless an exception is pending, so operating systems cope.
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

// The REX.W forms differ only in the width of the pointers, which are zero.
Result save_fx(Core& core, const Operation& op);     // FXSAVE, FXSAVE64
Result restore_fx(Core& core, const Operation& op);  // FXRSTOR, FXRSTOR64

Result save_x87(Core& core, const Operation& op);               // FNSAVE
Result restore_x87(Core& core, const Operation& op);            // FRSTOR
Result store_x87_environment(Core& core, const Operation& op);  // FNSTENV
Result load_x87_environment(Core& core, const Operation& op);   // FLDENV

}  // namespace ringshift::translator
