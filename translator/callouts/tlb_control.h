// translator/callouts/tlb_control.h - INVLPG, INVPCID, and the cache instructions INVD, WBINVD and
// WBNOINVD, which have nothing to do here.
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

Result invlpg(Core& core, const Operation& op);
// `reg` holds the type, memory the descriptor.
Result invpcid(Core& core, const Operation& op);
Result write_back_caches(Core& core, const Operation& op);

}  // namespace ringshift::translator
