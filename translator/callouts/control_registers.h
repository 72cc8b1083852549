// translator/callouts/control_registers.h - MOV to and from CR0, CR2, CR3, CR4, CR8; CLTS, LMSW,
// SMSW. SDM Vol. 3 "Control Registers". For MOV, `reg` is the control register's number and `rm`
// the general register.
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

Result mov_to_control(Core& core, const Operation& op);
Result mov_from_control(Core& core, const Operation& op);
Result clts(Core& core, const Operation& op);
Result lmsw(Core& core, const Operation& op);
Result smsw(Core& core, const Operation& op);

// CR4.UMIP bars SGDT, SIDT, SLDT, SMSW and STR outside ring 0: #GP(0).
guest::Status check_user_mode_prevention(const Core& core);

}  // namespace ringshift::translator
