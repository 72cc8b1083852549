// translator/emit_control.cc - near branches and the exits of a block.
#include "translator/block_emitter.h"

namespace ringshift::translator {
namespace r = asmjit::x86;
namespace {

using Id = r::Inst::Id;

std::uint32_t host_jcc(ZydisMnemonic m) {
  switch (m) {
    case ZYDIS_MNEMONIC_JO:
      return Id::kIdJo;
    case ZYDIS_MNEMONIC_JNO:
      return Id::kIdJno;
    case ZYDIS_MNEMONIC_JB:
      return Id::kIdJb;
    case ZYDIS_MNEMONIC_JNB:
      return Id::kIdJnb;
    case ZYDIS_MNEMONIC_JZ:
      return Id::kIdJz;
    case ZYDIS_MNEMONIC_JNZ:
      return Id::kIdJnz;
    case ZYDIS_MNEMONIC_JBE:
      return Id::kIdJbe;
    case ZYDIS_MNEMONIC_JNBE:
      return Id::kIdJnbe;
    case ZYDIS_MNEMONIC_JS:
      return Id::kIdJs;
    case ZYDIS_MNEMONIC_JNS:
      return Id::kIdJns;
    case ZYDIS_MNEMONIC_JP:
      return Id::kIdJp;
    case ZYDIS_MNEMONIC_JNP:
      return Id::kIdJnp;
    case ZYDIS_MNEMONIC_JL:
      return Id::kIdJl;
    case ZYDIS_MNEMONIC_JNL:
      return Id::kIdJnl;
    case ZYDIS_MNEMONIC_JLE:
      return Id::kIdJle;
    default:
      return Id::kIdJnle;
  }
}

bool is_loop(ZydisMnemonic m) {
  return m == ZYDIS_MNEMONIC_LOOP || m == ZYDIS_MNEMONIC_LOOPE || m == ZYDIS_MNEMONIC_LOOPNE;
}

// Bytes that the target RIP is truncated to. In 64-bit code the operand-size prefix is ignored.
unsigned branch_width(const Insn& insn, ModeKey mode) {
  return mode.is_64bit() ? 8 : insn.operand_bytes();
}

}  // namespace

bool BlockEmitter::linkable(std::int64_t target) const {
  return target >= 0 && target < static_cast<std::int64_t>(guest::kPageBytes) && !mode_.single() &&
         (mode_.is_64bit() || mode_.flat());
}

void BlockEmitter::target_to_r11(std::int64_t target, unsigned width) {
  auto& a = assembler_;
  a.mov(r::r11, frame_slot(slot::rip_base));
  if (width == 8 && target != static_cast<std::int32_t>(target)) {
    a.mov(r::r10, target);
    a.lea(r::r11, r::ptr(r::r11, r::r10));
    return;
  }
  const auto displacement = static_cast<std::int32_t>(target);
  if (width == 8)
    a.lea(r::r11, r::ptr(r::r11, displacement));
  else
    a.lea(r::r11d, r::ptr(r::r11, displacement));
  if (width == 2) a.movzx(r::r11d, r::r11w);
}

// Where no target can be wrong, and one instruction at a time, there is no record.
std::uint32_t BlockEmitter::branch_record(bool direct, std::int32_t rsp_change) const {
  const bool wide = mode_.is_64bit();
  // DEVIATION: a relative branch out of the canonical addresses, which only code at their very edge
  // can make, faults at its target.
  if (mode_.single() || (wide ? direct : mode_.flat())) return BranchRecord::kNone;
  BranchRecord record;
  record.page_offset = insn_->page_offset;
  record.rsp_change = rsp_change;
  if (is_loop(insn_->mnemonic()))
    record.counter_bytes = static_cast<std::uint8_t>(insn_->address_bytes());
  return record.pack();
}

void BlockEmitter::exit_unlinked(std::int64_t target, unsigned width, std::uint32_t record) {
  if (width == rip_width() && links_across() && target == static_cast<std::int32_t>(target))
    return exit_across(target);
  target_to_r11(target, width);
  exit_indirect(record);
}

void BlockEmitter::exit_indirect(std::uint32_t record) {
  if (block_.hot) return exit_by_jump_cache(record);
  if (record == BranchRecord::kNone)
    return jump_thunk(mode_.single() ? thunks_.indirect_slow : thunks_.sequential_exit);
  assembler_.mov(frame_slot(slot::branch, 4), record);
  jump_thunk(thunks_.indirect_exit);
}

void BlockEmitter::exit_to(std::int64_t target, unsigned width, bool branch) {
  if (!linkable(target) || width == 2) {
    exit_unlinked(target, width, branch ? branch_record(true) : BranchRecord::kNone);
    return;
  }
  ColdExit cold{assembler_.newLabel(), static_cast<std::uint16_t>(target), 0};
  assembler_.long_().jmp(cold.stub);
  cold.field_offset = assembler_.offset() - 4;
  cold_exits_.push_back(cold);
}

void BlockEmitter::exit_if(std::uint32_t jcc, std::int64_t target, unsigned width) {
  if (!linkable(target) || width == 2) {
    ColdJump cold{assembler_.newLabel(), target, width, branch_record(true)};
    assembler_.long_().emit(jcc, cold.entry);
    cold_jumps_.push_back(cold);
    return;
  }
  ColdExit cold{assembler_.newLabel(), static_cast<std::uint16_t>(target), 0};
  assembler_.long_().emit(jcc, cold.stub);
  cold.field_offset = assembler_.offset() - 4;
  cold_exits_.push_back(cold);
}

void BlockEmitter::branch_target_from_operand(const Insn& insn) {
  auto& a = assembler_;
  const unsigned width = branch_width(insn, mode_);
  if (insn.memory) {
    if (windows_ && window_branch_target(insn, width)) return;
    memory_operand(insn, false);
    if (width == 8)
      a.mov(r::r11, r::ptr(r::r11, 0, 8));
    else if (width == 4)
      a.mov(r::r11d, r::ptr(r::r11, 0, 4));
    else
      a.movzx(r::r11d, r::ptr(r::r11, 0, 2));
    end_access();
    return;
  }
  const std::uint8_t number = gpr_number(insn.operands[0].reg.value);
  load_gpr(r::r11, number);
  if (width == 4) a.mov(r::r11d, r::r11d);
  if (width == 2) a.movzx(r::r11d, r::r11w);
}

void BlockEmitter::jump(const Insn& insn) {
  settle_stack();
  if (insn.operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
    const std::int64_t target = insn.page_offset + insn.length() + insn.operands[0].imm.value.s;
    if (to_loop(target))
      assembler_.jmp(loop_.start);
    else
      exit_to(target, branch_width(insn, mode_), true);
    return;
  }
  branch_target_from_operand(insn);
  restore_flags();
  exit_indirect(branch_record(false));
}

void BlockEmitter::conditional_jump(const Insn& insn, bool ends_block) {
  const std::int64_t next = insn.page_offset + insn.length();
  const std::int64_t target = next + insn.operands[0].imm.value.s;
  settle_stack();
  if (to_loop(target))
    assembler_.long_().emit(host_jcc(insn.mnemonic()), loop_.start);
  else
    exit_if(host_jcc(insn.mnemonic()), target, branch_width(insn, mode_));
  if (ends_block) exit_to(next, rip_width());
  keeps_delta_ = true;
}

// LOOP and JCXZ have no form with a 32-bit displacement: a short branch around the exit. rCX by the
// address size; flags stay as they are.
void BlockEmitter::loop_or_jcxz(const Insn& insn) {
  auto& a = assembler_;
  const std::int64_t next = insn.page_offset + insn.length();
  const std::int64_t target = next + insn.operands[0].imm.value.s;
  const unsigned width = branch_width(insn, mode_);
  const unsigned count = insn.address_bytes();
  const ZydisMnemonic m = insn.mnemonic();
  const bool counts = is_loop(m);
  settle_stack();
  Label zero = a.newLabel(), nonzero = a.newLabel(), near_zero = a.newLabel(),
        not_taken = a.newLabel();
  if (counts) {
    if (count == 8)
      a.lea(r::rcx, r::ptr(r::rcx, -1));
    else if (count == 4)
      a.lea(r::ecx, r::ptr(r::rcx, -1));
    else
      a.lea(r::cx, r::ptr(r::rcx, -1));
  }
  a.mov(r::r10, r::rcx);
  if (count == 2) a.movzx(r::ecx, r::cx);
  // What follows may be longer than JRCXZ reaches.
  a.jecxz(count == 4 ? r::Gp(r::ecx) : r::Gp(r::rcx), near_zero);
  a.jmp(nonzero);
  a.bind(near_zero);
  a.jmp(zero);
  a.bind(nonzero);
  a.mov(r::rcx, r::r10);
  if (counts) {
    if (m == ZYDIS_MNEMONIC_LOOPE) a.jnz(not_taken);
    if (m == ZYDIS_MNEMONIC_LOOPNE) a.jz(not_taken);
    exit_to(target, width, true);
  } else {
    exit_to(next, rip_width());
  }
  a.bind(zero);
  a.mov(r::rcx, r::r10);
  a.bind(not_taken);
  if (counts)
    exit_to(next, rip_width());
  else
    exit_to(target, width, true);
}

}  // namespace ringshift::translator
