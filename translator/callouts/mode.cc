// translator/callouts/mode.cc - keeps EFER.LMA, CPL and the MMU's view in step with the mode bits.
#include "translator/callouts/mode.h"

#include "softmmu/page_walk.h"

namespace ringshift::translator {

namespace cr0 = guest::cr0;
namespace cr4 = guest::cr4;
namespace efer = guest::efer;

// In protected mode CPL is what the transfer that loaded CS and SS has set: SS may still be the old
// one when it asks for the new view.
void mode_changed(Core& core) {
  guest::CpuState& s = core.state;
  const bool long_mode = (s.cr0 & cr0::kPg) && (s.msr.efer & efer::kLme);
  s.msr.efer = long_mode ? s.msr.efer | efer::kLma : s.msr.efer & ~efer::kLma;
  if (!s.protected_mode()) {
    s.cpl = 0;
  } else if (s.v86()) {
    s.cpl = 3;
  }
  core.mmu.select_view();
}

bool uses_pdptes(const Core& core, const PagingControls& controls) {
  return (controls.cr0 & cr0::kPg) && (controls.cr4 & cr4::kPae) &&
         !(core.state.msr.efer & efer::kLme);
}

// SDM Vol. 3 "PDPTE Registers".
guest::Status load_pdpte_registers(Core& core, const PagingControls& controls) {
  RS_ASSIGN(pdptes,
            softmmu::load_pdptes(core.memory, core.model, controls.cr3 & core.state.address_mask));
  core.state.pdpte = pdptes;
  return {};
}

}  // namespace ringshift::translator
