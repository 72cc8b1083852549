// translator/callouts/fast_system_calls.h - SYSCALL, SYSRET, SYSENTER and SYSEXIT, Intel's and
// AMD's.
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

Result syscall_entry(Core& core, const Operation& op);
Result syscall_return(Core& core, const Operation& op);
Result sysenter(Core& core, const Operation& op);
Result sysexit(Core& core, const Operation& op);

}  // namespace ringshift::translator
