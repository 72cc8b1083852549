// translator/callouts/xsave.h - XSAVE, XSAVEOPT, XSAVEC, XRSTOR, and XCR0.
// SDM Vol. 1 "Managing State Using the XSAVE Feature Set". The supervisor forms are not offered.
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

Result save_extended(Core& core, const Operation& op);              // XSAVE
Result save_extended_optimized(Core& core, const Operation& op);    // XSAVEOPT
Result save_extended_compacted(Core& core, const Operation& op);    // XSAVEC
Result restore_extended(Core& core, const Operation& op);           // XRSTOR
Result undefined_supervisor_save(Core& core, const Operation& op);  // XSAVES, XRSTORS: #UD

Result get_extended_control(Core& core, const Operation& op);  // XGETBV
Result set_extended_control(Core& core, const Operation& op);  // XSETBV

}  // namespace ringshift::translator
