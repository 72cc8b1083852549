// translator/emit_inline.cc - look-ups made in the block itself, for blocks that are loop heads.
#include "translator/block_emitter.h"

namespace ringshift::translator {
namespace r = asmjit::x86;
namespace {

r::Mem view_entry(std::size_t offset) {
  r::Mem m = r::ptr(r::r10, static_cast<std::int32_t>(view_field(offset)), 8);
  m.setSegment(r::gs);
  return m;
}

}  // namespace

// R11 linear -> R11 host. See softmmu/view.h for the test; R10 is the entry's offset in its table.
void BlockEmitter::inline_look_up(unsigned bytes, bool write, const codecache::FaultPoint& facts,
                                  bool group) {
  auto& a = assembler_;
  if (!flags_saved_) {
    a.mov(r::r10, r::rax);
    a.lahf();
    a.seto(r::al);
    a.mov(frame_slot(slot::saved_flags, 2), r::ax);
    a.mov(r::rax, r::r10);
    flags_saved_ = true;
  }
  const std::size_t table = write ? offsetof(softmmu::View, write) : offsetof(softmmu::View, read);
  static_assert(sizeof(softmmu::TlbEntry) == 16);
  a.mov(r::r10, r::r11);
  a.shr(r::r10, guest::kPageShift - 4);
  a.and_(r::r10d, (softmmu::kTlbEntries - 1) << 4);
  ColdMiss miss;
  miss.entry = a.newLabel();
  miss.back = a.newLabel();
  a.xor_(r::r11, view_entry(table + offsetof(softmmu::TlbEntry, tag)));
  a.cmp(r::r11, static_cast<std::int32_t>(guest::kPageBytes - bytes));
  a.long_().ja(miss.entry);
  a.xor_(r::r11, view_entry(table + offsetof(softmmu::TlbEntry, tag)));
  a.add(r::r11, view_entry(table + offsetof(softmmu::TlbEntry, addend)));
  a.bind(miss.back);
  mark_insn_start();
  miss.point = block_.fault_points.back();
  miss.point.reads_memory = facts.reads_memory;
  miss.point.stack_segment = facts.stack_segment;
  miss.point.group_instructions = facts.group_instructions;
  miss.point.access_begin = miss.point.host_offset;
  miss.point_index = block_.fault_points.size() - 1;
  miss.kind = bytes | (write ? kWriteAccess : 0);
  miss.group = group;
  miss.table = static_cast<std::uint32_t>(table);
  cold_misses_.push_back(miss);
}

void BlockEmitter::emit_cold_misses() {
  auto& a = assembler_;
  for (ColdMiss& miss : cold_misses_) {
    a.bind(miss.entry);
    a.xor_(r::r11, view_entry(miss.table + offsetof(softmmu::TlbEntry, tag)));
    a.mov(r::r10d, static_cast<std::uint32_t>(miss.kind));
    call_thunk(miss.group ? thunks_.inline_group_miss : thunks_.inline_miss);
    miss.point.access_end = block_.fault_points[miss.point_index].access_end;
    miss.point.host_offset = static_cast<std::uint32_t>(a.offset());
    block_.fault_points.push_back(miss.point);
    a.jmp(miss.back);
  }
}

}  // namespace ringshift::translator
