// translator/callouts/mode.h - what follows when CR0, CR4 or EFER change: PDPTEs, long mode, views.
// mode_changed() itself is declared in translator/core.h.
#pragma once

#include <cstdint>

#include "translator/core.h"

namespace ringshift::translator {

// Values that MOV to CR and WRMSR want to give the registers that decide the paging mode.
struct PagingControls {
  std::uint64_t cr0, cr3, cr4;
};

// PAE paging outside long mode, which caches four PDPTEs in registers.
bool uses_pdptes(const Core& core, const PagingControls& controls);
// Reads them for `controls` and loads them into the state; #GP(0) leaves the state as it was.
guest::Status load_pdpte_registers(Core& core, const PagingControls& controls);

}  // namespace ringshift::translator
