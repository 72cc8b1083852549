// translator/emit_inline.cc - look-ups made in the block itself, in hot code.
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

void BlockEmitter::restore_flags() {
  if (!flags_saved_) return;
  auto& a = assembler_;
  a.mov(r::r10, r::rax);
  a.mov(r::ah, frame_slot(slot::saved_flags + 1, 1));
  a.mov(r::al, frame_slot(slot::saved_flags, 1));
  a.add(r::al, 0x7f);  // overflows exactly when SETO stored 1
  a.sahf();
  a.mov(r::rax, r::r10);
  flags_saved_ = false;
}

// Looks R11, linear, up: after it R11 is XORed with the entry's tag, and R10 is the entry's offset
// in its table, which is the result's. See softmmu/view.h for the test.
std::size_t BlockEmitter::tlb_test(unsigned bytes, bool write) {
  auto& a = assembler_;
  if (!flags_saved_) {
    a.mov(r::r10, r::rax);
    // Two stores: joining AH and AL would make both halves wait.
    a.lahf();
    a.seto(frame_slot(slot::saved_flags, 1));
    a.mov(frame_slot(slot::saved_flags + 1, 1), r::ah);
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
  cold_misses_.push_back(miss);
  a.xor_(r::r11, view_entry(table + offsetof(softmmu::TlbEntry, tag)));
  a.cmp(r::r11, static_cast<std::int32_t>(guest::kPageBytes - bytes));
  a.long_().ja(miss.entry);
  return table;
}

// Where the thunk of the test's miss comes back to: the access follows.
void BlockEmitter::end_tlb_test(const codecache::FaultPoint& facts, const std::uint8_t* thunk) {
  ColdMiss& miss = cold_misses_.back();
  assembler_.bind(miss.back);
  mark_insn_start();
  miss.point = block_.fault_points.back();
  miss.point.reads_memory = facts.reads_memory;
  miss.point.stack_segment = facts.stack_segment;
  miss.point.group_instructions = facts.group_instructions;
  miss.point.access_begin = miss.point.host_offset;
  miss.point_index = block_.fault_points.size() - 1;
  miss.thunk = thunk;
}

// R11 linear -> R11 host.
void BlockEmitter::inline_look_up(unsigned bytes, bool write, const codecache::FaultPoint& facts,
                                  const std::uint8_t* miss_thunk) {
  auto& a = assembler_;
  const std::size_t table = tlb_test(bytes, write);
  a.xor_(r::r11, view_entry(table + offsetof(softmmu::TlbEntry, tag)));
  a.add(r::r11, view_entry(table + offsetof(softmmu::TlbEntry, addend)));
  end_tlb_test(facts, miss_thunk);
}

// Whether the linear address is one instruction away from registers that are in the host's.
bool BlockEmitter::is_plain_operand(const Insn& insn) const {
  const MemoryOperand m = insn.memory_operand();
  const auto in_host = [](std::uint8_t r) { return r == kNoRegister || !lives_in_memory(r); };
  if (m.base == kRipBase || !in_host(m.base) || !in_host(m.index) || insn.address_bytes() == 2 ||
      m.segment == guest::Seg::kFs || m.segment == guest::Seg::kGs)
    return false;
  return mode_.is_64bit() ||
         (mode_.flat() && !(m.segment == guest::Seg::kCs && insn.writes_memory));
}

// Whether the guest's own base register and displacement, plus what the look-up finds, is the host
// address. (32-bit addresses wrap, a host address does not.)
bool BlockEmitter::keeps_operand(const Insn& insn) const {
  const MemoryOperand m = insn.memory_operand();
  return mode_.is_64bit() && insn.address_bytes() == 8 && is_plain_operand(insn) &&
         m.index == kNoRegister && m.base < 16;
}

// The whole instruction: R10 becomes the difference of host and linear address, which is known
// sooner than their sum. False: nothing was emitted.
bool BlockEmitter::inline_generic(const Insn& insn) {
  if (mode_.alignment_check()) return false;
  auto& a = assembler_;
  const bool in_place = keeps_operand(insn);
  Rewrite w;
  std::uint8_t home = kNoRegister;  // a register that lives in memory, for which R11 stands in
  bool loaded = false, stored = false;
  const auto place = [&](const GprField& f, std::uint8_t& to) {
    if (!f.used || f.high_byte) return true;
    to = lives_in_memory(f.number) ? kScratchAddress
                                   : static_cast<std::uint8_t>(host_register(f.number));
    if (to != kScratchAddress) return true;
    if (!in_place || (home != kNoRegister && home != f.number)) return false;
    home = f.number;
    loaded |= f.read;
    stored |= f.written;
    return true;
  };
  HostOperand operand;
  const MemoryOperand m = insn.memory_operand();
  operand.base = in_place ? static_cast<std::uint8_t>(host_register(m.base)) : kScratchAddress;
  operand.index = kScratchValue;
  operand.displacement = in_place ? static_cast<std::int32_t>(m.displacement) : 0;
  w.operand = &operand;
  if (!place(insn.reg, w.reg) || !place(insn.vvvv, w.vvvv) || high_byte_conflict(insn, w))
    return false;

  effective_offset(insn);
  apply_segment(m.segment, insn.memory_bytes, insn.writes_memory, insn.address_bytes());
  const unsigned c = size_class(insn.memory_bytes);
  const std::size_t table = tlb_test(kSizeClassBytes[c], insn.writes_memory);
  // Computed again, the address need not wait for the tag.
  if (!in_place && is_plain_operand(insn))
    effective_offset(insn);
  else if (!in_place)
    a.xor_(r::r11, view_entry(table + offsetof(softmmu::TlbEntry, tag)));
  a.mov(r::r10, view_entry(table + offsetof(softmmu::TlbEntry, addend)));
  codecache::FaultPoint facts;
  facts.reads_memory = insn.reads_memory;
  facts.stack_segment = m.segment == guest::Seg::kSs;
  access_open_ = true;
  end_tlb_test(facts, (insn.writes_memory ? thunks_.write_miss : thunks_.read_miss).delta[c]);
  if (loaded) a.mov(r::r11, gpr_slot(home));
  embed(encode_for_host(insn, mode_, w));
  if (stored) a.mov(gpr_slot(home), r::r11);
  end_access();
  return true;
}

void BlockEmitter::emit_cold_misses() {
  auto& a = assembler_;
  for (ColdMiss& miss : cold_misses_) {
    a.bind(miss.entry);
    call_thunk(miss.thunk);
    miss.point.access_end = block_.fault_points[miss.point_index].access_end;
    miss.point.flags_stay_saved = block_.fault_points[miss.point_index].flags_stay_saved;
    miss.point.host_offset = static_cast<std::uint32_t>(a.offset());
    block_.fault_points.push_back(miss.point);
    a.jmp(miss.back);
  }
}

}  // namespace ringshift::translator
