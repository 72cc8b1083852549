// translator/features.h - which instruction sets the guest may execute, and what state enables
// them.
#pragma once

#include <Zydis/Zydis.h>

#include "guest/cpu_model.h"
#include "guest/fault.h"
#include "translator/insn.h"
#include "translator/mode_key.h"

namespace ringshift::translator {

// The fault that this instruction raises because CPUID hides it or CR0/CR4/XCR0 disable it (#UD or
// #NM); nullopt when it may run. Instruction sets that are not on the list are #UD: an allow-list.
// SDM Vol. 2 "Exceptions" of each instruction; Vol. 3 "System Programming for Instruction Set
// Extensions and Processor Extended States".
std::optional<guest::GuestFault> enablement_fault(const Insn& insn, ModeKey mode,
                                                  const guest::CpuModel& model);

}  // namespace ringshift::translator
