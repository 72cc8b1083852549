// translator/callouts/port_io.h - IN and OUT, and the permission to use a port.
// SDM Vol. 1 "I/O Port Addressing", "Protected-Mode I/O".
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

// CPL against IOPL, then the I/O permission bit map of the TSS; #GP(0) when the port is denied.
guest::Status check_port_access(Core& core, std::uint16_t port, unsigned bytes);

Result port_in(Core& core, const Operation& op);
Result port_out(Core& core, const Operation& op);

}  // namespace ringshift::translator
