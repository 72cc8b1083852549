// translator/emit_stack.cc - PUSH, POP, LEAVE, near CALL and RET on a stack without limits to
// check. Other stacks (16-bit, or with a base) go through call-outs.
#include <utility>

#include "translator/block_emitter.h"

namespace ringshift::translator {
namespace r = asmjit::x86;
namespace {

const r::Gp kStackPointer = r::r15;
constexpr std::uint8_t kRsp = 4;

}  // namespace

bool BlockEmitter::fast_stack(ModeKey mode, const Insn& insn) {
  if (mode.alignment_check()) return false;
  if (mode.is_64bit()) return true;
  return mode.flat() && mode.stack_bytes() == 4 && insn.operand_bytes() == 4 &&
         (!insn.memory || insn.address_bytes() == 4);
}

void BlockEmitter::adjust_rsp(std::int32_t by) {
  by += std::exchange(rsp_ahead_, 0);
  if (mode_.is_64bit())
    assembler_.lea(kStackPointer, r::ptr(kStackPointer, by));
  else
    assembler_.lea(kStackPointer.r32(), r::ptr(kStackPointer, by));
}

void BlockEmitter::adjust_rsp_later(std::int32_t by) {
  constexpr std::int32_t kMost = 1024;
  rsp_ahead_ += by;
  if (rsp_ahead_ > kMost || rsp_ahead_ < -kMost) adjust_rsp(0);
}

// In front of what needs guest RSP in its register.
void BlockEmitter::commit_rsp() {
  if (rsp_ahead_) adjust_rsp(0);
}

// The instruction has no form for windows after all.
void BlockEmitter::restart_insn() {
  if (!rsp_ahead_) return;
  commit_rsp();
  mark_insn_start();
}

// R11 = linear address of a slot of `bytes` below the top.
void BlockEmitter::stack_slot_address(unsigned bytes) {
  const auto down = -static_cast<std::int32_t>(bytes);
  if (mode_.is_64bit())
    assembler_.lea(r::r11, r::ptr(kStackPointer, down));
  else
    assembler_.lea(r::r11d, r::ptr(kStackPointer, down));
}

void BlockEmitter::load_gpr(const Gp& to, unsigned guest) {
  if (lives_in_memory(guest))
    assembler_.mov(to, gpr_slot(guest));
  else
    assembler_.mov(to, r::gpq(host_register(guest)));
}

// 64-bit store of a register that holds the right upper half already.
void BlockEmitter::store_gpr(unsigned guest, const Gp& from) {
  if (lives_in_memory(guest))
    assembler_.mov(gpr_slot(guest), from);
  else
    assembler_.mov(r::gpq(host_register(guest)), from);
}

// The slot of a push, ready to be stored to.
r::Mem BlockEmitter::pushed_slot(unsigned bytes) {
  if (group_offset_ >= 0) return r::ptr(r::r11, group_offset_, bytes);
  stack_slot_address(bytes);
  look_up(bytes, true, false, true);
  return r::ptr(r::r11, 0, bytes);
}

// The slot on top of the stack, ready to be read.
r::Mem BlockEmitter::top_slot(unsigned bytes) {
  if (group_offset_ >= 0) return r::ptr(r::r11, group_offset_, bytes);
  const unsigned width = mode_.is_64bit() ? 8 : 4;
  assembler_.mov(sized(r::r11, width), sized(kStackPointer, width));
  look_up(bytes, false, true, true);
  return r::ptr(r::r11, 0, bytes);
}

void BlockEmitter::push_value(const r::Mem& slot, const Gp& value, unsigned bytes) {
  assembler_.mov(slot, sized(value, bytes));
  adjust_rsp(-static_cast<std::int32_t>(bytes));
  end_access();
}

void BlockEmitter::push(const Insn& insn) {
  if (windows_ && window_push(insn)) return;
  restart_insn();
  auto& a = assembler_;
  const unsigned bytes = insn.operand_bytes();
  const ZydisDecodedOperand& operand = insn.operands[0];
  if (insn.memory) {
    memory_operand(insn, false);
    a.mov(sized(r::r10, bytes), r::ptr(r::r11, 0, bytes));
    end_access();
    a.mov(frame_slot(slot::temp), r::r10);
    const r::Mem top = pushed_slot(bytes);
    a.mov(r::r10, frame_slot(slot::temp));
    push_value(top, r::r10, bytes);
    return;
  }
  const r::Mem top = pushed_slot(bytes);
  if (operand.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
    const auto value = static_cast<std::int32_t>(operand.imm.value.s);
    a.mov(top, bytes == 2 ? static_cast<std::int16_t>(value) : value);
    adjust_rsp(-static_cast<std::int32_t>(bytes));
    end_access();
    return;
  }
  const std::uint8_t number = gpr_number(operand.reg.value);
  if (lives_in_memory(number)) {
    a.mov(r::r10, gpr_slot(number));
    push_value(top, r::r10, bytes);
  } else {
    push_value(top, r::gpq(host_register(number)), bytes);
  }
}

void BlockEmitter::pop(const Insn& insn) {
  if (windows_ && window_pop(insn)) return;
  restart_insn();
  auto& a = assembler_;
  const unsigned bytes = insn.operand_bytes();
  a.mov(sized(r::r10, bytes), top_slot(bytes));
  end_access();
  if (insn.memory) {
    a.mov(frame_slot(slot::temp), r::r10);
    memory_operand(insn, true, static_cast<std::int32_t>(bytes));
    a.mov(r::r10, frame_slot(slot::temp));
    a.mov(r::ptr(r::r11, 0, bytes), sized(r::r10, bytes));
    adjust_rsp(static_cast<std::int32_t>(bytes));
    end_access();
    return;
  }
  adjust_rsp(static_cast<std::int32_t>(bytes));
  const std::uint8_t number = gpr_number(insn.operands[0].reg.value);
  if (bytes != 2) {
    store_gpr(number, r::r10);
  } else if (lives_in_memory(number)) {
    a.mov(gpr_slot(number, 2), r::r10w);
  } else {
    a.mov(r::gpw(host_register(number)), r::r10w);
  }
}

void BlockEmitter::leave(const Insn& insn) {
  if (windows_ && window_leave(insn)) return;
  auto& a = assembler_;
  const unsigned bytes = insn.operand_bytes();
  const unsigned width = mode_.is_64bit() ? 8 : 4;
  a.mov(sized(r::r11, width), sized(r::rbp, width));
  look_up(bytes, false, true, true);
  a.mov(sized(r::r10, bytes), r::ptr(r::r11, 0, bytes));
  a.lea(sized(kStackPointer, width), r::ptr(r::rbp, static_cast<std::int32_t>(bytes)));
  a.mov(sized(r::rbp, bytes), sized(r::r10, bytes));
  end_access();
}

void BlockEmitter::call(const Insn& insn) {
  auto& a = assembler_;
  const unsigned bytes = mode_.is_64bit() ? 8 : 4;
  const bool relative = insn.operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
  const std::int64_t next = insn.page_offset + insn.length();
  if (!relative) {
    branch_target_from_operand(insn);
    a.mov(frame_slot(slot::temp), r::r11);
  }
  const auto down = -static_cast<std::int32_t>(bytes);
  if (windows_) {
    a.mov(r::r11, frame_slot(slot::rip_base));
    a.lea(sized(r::r11, bytes), r::ptr(r::r11, static_cast<std::int32_t>(next)));
    a.mov(window_at(kRsp, down, bytes, true), sized(r::r11, bytes));
    adjust_rsp(down);
  } else {
    stack_.stepped = true;
    settle_stack();
    const r::Mem top = pushed_slot(bytes);
    a.mov(r::r10, frame_slot(slot::rip_base));
    a.lea(sized(r::r10, bytes), r::ptr(r::r10, static_cast<std::int32_t>(next)));
    push_value(top, r::r10, bytes);
    if (block_.hot) a.mov(r::r11, r::r10);
    restore_flags();
  }
  if (block_.hot && linkable(next)) expect_return(next);
  if (relative) {
    exit_to(next + insn.operands[0].imm.value.s, bytes, true);
  } else {
    a.mov(r::r11, frame_slot(slot::temp));
    exit_indirect(branch_record(false, -static_cast<std::int32_t>(bytes)));
  }
}

void BlockEmitter::ret(const Insn& insn) {
  auto& a = assembler_;
  const unsigned bytes = mode_.is_64bit() ? 8 : 4;
  std::int32_t release = static_cast<std::int32_t>(bytes);
  if (insn.operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
    release += static_cast<std::int32_t>(insn.operands[0].imm.value.u & 0xffff);
  if (windows_) {
    a.mov(sized(r::r11, bytes), window_at(kRsp, 0, bytes, false));
    commit_rsp();
  } else {
    stack_.stepped = true;
    settle_stack();
    a.mov(sized(r::r11, bytes), top_slot(bytes));
    end_access();
    restore_flags();
  }
  if (block_.hot) return_entry();
  adjust_rsp(release);
  const std::uint32_t record = branch_record(false, release);
  if (block_.hot) return exit_to_caller(record);
  exit_indirect(record);
}

}  // namespace ringshift::translator
