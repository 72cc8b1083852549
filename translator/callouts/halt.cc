// translator/callouts/halt.cc - HLT, SERIALIZE, and instructions that are not offered.
#include "translator/callouts/halt.h"

#include "translator/callouts/code_segment.h"

namespace ringshift::translator {

// SDM Vol. 2 "HLT": the saved RIP of the event that ends it points after the instruction.
Result hlt(Core& core, const Operation& op) {
  core.state.rip = next_rip(core, op);
  core.state.activity = guest::Activity::kHalted;
  return Next::kJump;
}

// A call-out has passed through enough of the host to serialize anything.
Result serialize(Core& core, const Operation&) {
  if (!core.model.has(guest::feature::kSerialize)) return tl::unexpected(guest::invalid_opcode());
  return Next::kContinue;
}

Result absent_instruction(Core&, const Operation&) {
  return tl::unexpected(guest::invalid_opcode());
}

}  // namespace ringshift::translator
