// translator/callouts/task_switch.h - the hardware task switch, for JMP, CALL, IRET and task gates.
// SDM Vol. 3 "Task Switching". A fault before the switch commits leaves the old task as it was; one
// after it is returned with the state of the new task, in whose context it must be delivered.
#pragma once

#include "translator/callouts/descriptor.h"
#include "translator/core.h"

namespace ringshift::translator {

enum class SwitchKind : std::uint8_t { kJump, kCall, kInterrupt, kReturn };

struct TaskSwitch {
  Selector tss;           // of the new task
  Descriptor descriptor;  // already checked for type, privilege and presence
  SwitchKind kind = SwitchKind::kJump;
  std::uint32_t ext = 0;         // EXT bit of error codes
  std::uint64_t return_rip = 0;  // saved in the old TSS
  std::uint64_t saved_flags = 0;
};

// True when the new TSS has its T bit set: a debug trap is due before its first instruction.
guest::Checked<bool> switch_task(Core& core, const TaskSwitch& request);

// The #DB of a set T bit.
guest::GuestFault task_switch_trap();

// Finds an available TSS for JMP, CALL and task gates, whose violations raise #GP.
guest::Checked<Descriptor> read_available_tss(Core& core, Selector selector, std::uint32_t ext);

// IRET with NT set.
Result task_return(Core& core, const Operation& op);

}  // namespace ringshift::translator
