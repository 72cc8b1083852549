// translator/callouts/call_gate.h - far CALL and JMP through 16-, 32- and 64-bit call gates.
#pragma once

#include "translator/callouts/descriptor.h"
#include "translator/core.h"

namespace ringshift::translator {

// `gate` is a call gate's descriptor, of a type that the mode allows; nothing else is checked yet.
Result jump_through_gate(Core& core, Selector selector, Descriptor gate);
Result call_through_gate(Core& core, const Operation& op, Selector selector, Descriptor gate);

// Gate and target of JMP and CALL: DPL of the gate against CPL and RPL, then presence.
guest::Status check_gate_access(const Core& core, Selector selector, const Descriptor& gate);

}  // namespace ringshift::translator
