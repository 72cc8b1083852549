// translator/emit_group.cc - one look-up for several accesses through the same base register.
#include <algorithm>

#include "translator/block_emitter.h"

namespace ringshift::translator {
namespace r = asmjit::x86;

void BlockEmitter::begin_group(const Group& group) {
  auto& a = assembler_;
  r::Gp base = r::r11, index = r::r10;
  if (lives_in_memory(group.base))
    a.mov(r::r11, gpr_slot(group.base));
  else
    base = r::gpq(host_register(group.base));
  r::Mem start = r::ptr(base, group.start);
  if (group.index != kNoRegister) {
    if (lives_in_memory(group.index))
      a.mov(r::r10, gpr_slot(group.index));
    else
      index = r::gpq(host_register(group.index));
    start = r::ptr(base, index, scale_shift(group.scale), group.start);
  }
  a.lea(sized(r::r11, mode_.is_64bit() ? 8 : 4), start);
  const auto c = std::find_if(kGroupSpans.begin(), kGroupSpans.end(),
                              [&](unsigned span) { return span >= group.span; });
  const auto span = static_cast<std::size_t>(c - kGroupSpans.begin());
  group_active_ = true;
  if (inline_look_ups_) {
    codecache::FaultPoint facts;
    facts.group_instructions = group.instructions;
    return inline_look_up(kGroupSpans[span], group.write, facts,
                          (group.write ? thunks_.write_miss : thunks_.read_miss).group[span]);
  }
  call_thunk(group.write ? thunks_.group_write[span] : thunks_.group_read[span]);
  mark_insn_start();
  block_.fault_points.back().group_instructions = group.instructions;
}

}  // namespace ringshift::translator
