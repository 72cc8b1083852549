// translator/emit_system.cc - system instructions that a block does itself. What is unusual about
// one is left to its call-out, before anything has changed.
#include "translator/block_emitter.h"

namespace ringshift::translator {
namespace r = asmjit::x86;
namespace flags = guest::flags;
namespace {

constexpr std::int32_t kGsBase = slot::segment_base(guest::Seg::kGs);
constexpr std::int32_t msr(std::size_t offset) {
  return slot::msr + static_cast<std::int32_t>(offset);
}

constexpr std::int32_t control_register(unsigned number) {
  switch (number) {
    case 0:
      return offsetof(guest::CpuState, cr0);
    case 2:
      return offsetof(guest::CpuState, cr2);
    case 3:
      return offsetof(guest::CpuState, cr3);
    default:
      return offsetof(guest::CpuState, cr4);
  }
}

constexpr std::int32_t selector_slot(unsigned segment) {
  return static_cast<std::int32_t>(offsetof(guest::CpuState, seg) +
                                   segment * sizeof(guest::SegmentRegister) +
                                   offsetof(guest::SegmentRegister, selector));
}

}  // namespace

void BlockEmitter::system(const Insn& insn, const Operation& op, SystemForm form) {
  switch (form) {
    case SystemForm::kCli:
      assembler_.mov(frame_slot(slot::interrupt_flag, 4), 0);
      return;
    case SystemForm::kSti:
      return set_interrupt_flag(op);
    case SystemForm::kPushf:
      return push_flags(insn);
    case SystemForm::kPopf:
      return pop_flags(insn, op);
    case SystemForm::kSwapgs:
      return swap_gs();
    case SystemForm::kRdtsc:
      return read_time(op, false);
    case SystemForm::kRdtscp:
      return read_time(op, true);
    case SystemForm::kReadControl:
      return read_register(op, control_register(op.reg), mode_.is_64bit() ? 8 : 4);
    case SystemForm::kReadSegment:
      if (op.has_memory) return store_selector(insn, selector_slot(op.reg));
      return read_register(op, selector_slot(op.reg), 2);
    case SystemForm::kPushSegment:
      return push_selector(insn, selector_slot(op.reg));
    case SystemForm::kStac:
      return quick_call(op, thunks_.transfers.stac);
    case SystemForm::kClac:
      return quick_call(op, thunks_.transfers.clac);
    case SystemForm::kVerw:
      return verify_writable(insn, op);
    case SystemForm::kSystemCall:
      assembler_.mov(r::r10d, mode_.in_64bit_code(0).bits());
      return quick_call(
          op, mode_.is_64bit() ? thunks_.transfers.system_call : thunks_.transfers.compatible_call);
    case SystemForm::kSystemReturn:
      assembler_.mov(r::r10d, mode_.in_64bit_code(3).bits());
      return quick_call(op, thunks_.transfers.system_return);
    case SystemForm::kQuick:
    case SystemForm::kQuickTransfer:
      return quick_call(op, nullptr);
    case SystemForm::kRepeatedString:
      return repeated_string(insn, op);
    case SystemForm::kNone:
      return call_out(op);
  }
}

// `thunk`: what tries first; null where there is none.
void BlockEmitter::quick_call(const Operation& op, const std::uint8_t* thunk) {
  Record record{assembler_.newLabel(), op};
  assembler_.lea(r::r11, r::ptr(record.label));
  call_thunk(thunk ? thunk : thunks_.quick);
  records_.push_back(record);
}

BlockEmitter::Label BlockEmitter::cold_call_out(const Operation& op) {
  Record record{assembler_.newLabel(), op};
  ColdCallOut cold{assembler_.newLabel(), record.label};
  records_.push_back(record);
  cold_call_outs_.push_back(cold);
  return cold.entry;
}

// These call-outs end the block.
void BlockEmitter::emit_cold_call_outs() {
  for (const ColdCallOut& cold : cold_call_outs_) {
    assembler_.bind(cold.entry);
    assembler_.lea(r::r11, r::ptr(cold.record));
    call_thunk(thunks_.call_out);
  }
}

// SDM Vol. 2 "STI". No interrupt is due now, and the block looks for new ones after the next
// instruction at the earliest: that is the shadow.
void BlockEmitter::set_interrupt_flag(const Operation& op) {
  auto& a = assembler_;
  Label go = a.newLabel();
  a.mov(r::r10, r::rcx);
  a.mov(r::rcx, frame_slot(slot::attention));
  a.jecxz(r::rcx, go);
  a.mov(r::rcx, r::r10);
  a.long_().jmp(cold_call_out(op));
  a.bind(go);
  a.mov(r::rcx, r::r10);
  a.mov(frame_slot(slot::interrupt_flag, 4), static_cast<std::int32_t>(flags::kIf));
  shadow_next_ = true;
}

// SDM Vol. 2 "PUSHF": VM is clear in this mode, and RF while translated code runs.
void BlockEmitter::push_flags(const Insn& insn) {
  auto& a = assembler_;
  const unsigned bytes = insn.operand_bytes();
  a.pushfq();
  a.pop(r::r10);
  a.pext(r::r10, r::r10, frame_slot(slot::arithmetic_mask));
  a.pdep(r::r10, r::r10, frame_slot(slot::arithmetic_mask));
  // Disjoint bits: their sum is their union, and LEA leaves the flags alone.
  for (const auto& [part, size] :
       {std::pair{slot::other_flags, 8u}, {slot::interrupt_flag, 4u}, {slot::direction, 4u}}) {
    a.mov(size == 8 ? r::Gp(r::r11) : r::Gp(r::r11d), frame_slot(part, size));
    a.lea(r::r10, r::ptr(r::r10, r::r11));
  }
  a.mov(frame_slot(slot::temp), r::r10);
  const r::Mem top = pushed_slot(bytes);
  a.mov(r::r10, frame_slot(slot::temp));
  push_value(top, r::r10, bytes);
}

// SDM Vol. 2 "POPF" at CPL 0, where it overwrites every arithmetic flag: they are free once the
// image was read.
void BlockEmitter::pop_flags(const Insn& insn, const Operation& op) {
  auto& a = assembler_;
  const unsigned bytes = insn.operand_bytes();
  constexpr auto kUnusual =
      static_cast<std::int32_t>(flags::kTf | flags::kNt | flags::kAc | flags::kId | flags::kIopl);
  a.mov(bytes == 8 ? r::Gp(r::r10) : r::Gp(r::r10d), top_slot(bytes));
  end_access();
  const Label unusual = cold_call_out(op);
  Label masked = a.newLabel();
  a.mov(r::r11d, r::r10d);
  a.xor_(r::r11d, frame_slot(slot::other_flags, 4));
  a.test(r::r11d, kUnusual);
  a.long_().jnz(unusual);
  a.test(r::r10d, static_cast<std::int32_t>(flags::kIf));
  a.jz(masked);
  a.cmp(frame_slot(slot::attention), 0);
  a.long_().jne(unusual);
  a.bind(masked);
  for (const auto& [slot, flag] :
       {std::pair{slot::interrupt_flag, flags::kIf}, {slot::direction, flags::kDf}}) {
    a.mov(r::r11d, r::r10d);
    a.and_(r::r11d, static_cast<std::int32_t>(flag));
    a.mov(frame_slot(slot, 4), r::r11d);
  }
  restore_flags_from_r10(bytes);
}

// The host's arithmetic flags as in R10; then the stack pointer moves up.
void BlockEmitter::restore_flags_from_r10(unsigned bytes) {
  auto& a = assembler_;
  constexpr unsigned kOverflowBit = 11;
  a.mov(gpr_slot(0), r::rax);
  a.movzx(r::eax, r::r10b);
  a.shl(r::eax, 8);
  a.shr(r::r10d, kOverflowBit);
  a.and_(r::r10d, 1);
  a.or_(r::eax, r::r10d);
  a.add(r::al, 0x7f);  // overflows exactly when OF is wanted
  a.sahf();
  a.mov(r::rax, gpr_slot(0));
  adjust_rsp(static_cast<std::int32_t>(bytes));
}

void BlockEmitter::swap_gs() {
  auto& a = assembler_;
  constexpr std::int32_t kKernelBase = msr(offsetof(guest::Msrs, kernel_gs_base));
  a.mov(r::r10, frame_slot(kGsBase));
  a.mov(r::r11, frame_slot(kKernelBase));
  a.mov(frame_slot(kGsBase), r::r11);
  a.mov(frame_slot(kKernelBase), r::r10);
}

// SDM Vol. 2 "RDTSC", "RDTSCP". Flags wait in R10: RAX is overwritten anyway, but not when CR4.TSD
// makes it fault.
void BlockEmitter::read_time(const Operation& op, bool with_aux) {
  auto& a = assembler_;
  a.mov(r::r11, r::rax);
  a.lahf();
  a.seto(r::al);
  a.movzx(r::r10d, r::ax);
  if (mode_.cpl() != 0) {
    Label allowed = a.newLabel();
    a.test(frame_slot(control_register(4), 4), static_cast<std::int32_t>(guest::cr4::kTsd));
    a.jz(allowed);
    a.add(r::al, 0x7f);
    a.sahf();
    a.mov(r::rax, r::r11);
    a.long_().jmp(cold_call_out(op));
    a.bind(allowed);
  }
  if (with_aux) a.lfence();  // RDTSCP waits for the instructions before it
  a.rdtsc();
  a.shl(r::rdx, 32);
  a.or_(r::rdx, r::rax);
  a.add(r::rdx, frame_slot(msr(offsetof(guest::Msrs, tsc_offset))));
  a.mov(r::r11d, r::edx);
  a.shr(r::rdx, 32);
  if (with_aux) a.mov(r::ecx, frame_slot(msr(offsetof(guest::Msrs, tsc_aux)), 4));
  a.mov(r::eax, r::r10d);
  a.add(r::al, 0x7f);
  a.sahf();
  a.mov(r::eax, r::r11d);
}

void BlockEmitter::verify_writable(const Insn& insn, const Operation& op) {
  auto& a = assembler_;
  if (thunks_.transfers.verw && op.has_memory) {
    memory_operand(insn, false);
    a.movzx(r::r10d, r::ptr(r::r11, 0, 2));
    end_access();
  } else if (thunks_.transfers.verw) {
    if (lives_in_memory(op.rm))
      a.movzx(r::r10d, gpr_slot(op.rm, 2));
    else
      a.movzx(r::r10d, r::gpw(host_register(op.rm)));
  }
  quick_call(op, thunks_.transfers.verw);
}

void BlockEmitter::store_selector(const Insn& insn, std::int32_t displacement) {
  auto& a = assembler_;
  memory_operand(insn, true);
  a.movzx(r::r10d, frame_slot(displacement, 2));
  a.mov(r::ptr(r::r11, 0, 2), r::r10w);
  end_access();
}

void BlockEmitter::push_selector(const Insn& insn, std::int32_t displacement) {
  const unsigned bytes = insn.operand_bytes();
  const r::Mem top = pushed_slot(bytes);
  assembler_.movzx(r::r10d, frame_slot(displacement, 2));
  push_value(top, r::r10, bytes);
}

// A register of the state into a general register: zero-extended, or its low word.
void BlockEmitter::read_register(const Operation& op, std::int32_t displacement, unsigned bytes) {
  auto& a = assembler_;
  if (bytes == 8)
    a.mov(r::r10, frame_slot(displacement, 8));
  else if (bytes == 4)
    a.mov(r::r10d, frame_slot(displacement, 4));
  else
    a.movzx(r::r10d, frame_slot(displacement, 2));
  if (op.operand_bytes != 2)
    store_gpr(op.rm, r::r10);
  else if (lives_in_memory(op.rm))
    a.mov(gpr_slot(op.rm, 2), r::r10w);
  else
    a.mov(r::gpw(host_register(op.rm)), r::r10w);
}

}  // namespace ringshift::translator
