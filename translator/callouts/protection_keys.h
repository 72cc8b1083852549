// translator/callouts/protection_keys.h - RDPKRU and WRPKRU. SDM Vol. 3 "Protection Keys".
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

Result read_user_key_rights(Core& core, const Operation& op);   // RDPKRU
Result write_user_key_rights(Core& core, const Operation& op);  // WRPKRU

// Also what XRSTOR loads: no view may keep what the new rights take away.
void set_user_key_rights(Core& core, std::uint32_t rights);

}  // namespace ringshift::translator
