// translator/system_form.cc - which system instructions a block does itself: by instruction and
// mode.
#include "translator/system_form.h"

#include "translator/block_emitter.h"
#include "translator/instruction_table.h"

namespace ringshift::translator {
namespace {

namespace feature = guest::feature;

bool is_row(const Operation& op, FormRow form) { return op.row == static_cast<unsigned>(form); }

// Stack and operand are those of the mode, and EFLAGS.VM cannot be set.
bool plain_flags_stack(const Insn& insn, ModeKey mode) {
  return !mode.real_or_v86() && insn.operand_bytes() == (mode.is_64bit() ? 8u : 4u) &&
         BlockEmitter::fast_stack(mode, insn);
}

// AMD's processors have it in every protected mode; what legacy mode does is the call-out's.
bool has_system_call(ModeKey mode, const guest::CpuModel& model) {
  return model.has(feature::kSyscall) &&
         (mode.is_64bit() || (!model.vendor_is_intel() && !mode.real_or_v86()));
}

bool reads_plain_control(const Operation& op) {
  return op.reg == 0 || op.reg == 2 || op.reg == 3 || op.reg == 4;
}

SystemForm kernel_64bit_form(const Insn& insn, const Operation& op, const guest::CpuModel& model) {
  switch (insn.mnemonic()) {
    case ZYDIS_MNEMONIC_SWAPGS:
      return SystemForm::kSwapgs;
    case ZYDIS_MNEMONIC_SYSRET:
      return model.has(feature::kSyscall) && (op.prefixes & prefix::kRexW)
                 ? SystemForm::kSystemReturn
                 : SystemForm::kQuickTransfer;
    case ZYDIS_MNEMONIC_IRETQ:
      return SystemForm::kQuickTransfer;
    default:
      return SystemForm::kNone;
  }
}

// Outside long mode, with the operands and the stack of 32-bit code.
SystemForm kernel_32bit_form(const Insn& insn, ModeKey mode) {
  if (mode.real_or_v86() || mode.code_bytes() != 4) return SystemForm::kNone;
  switch (insn.mnemonic()) {
    case ZYDIS_MNEMONIC_SYSEXIT:
      return SystemForm::kQuickTransfer;
    case ZYDIS_MNEMONIC_IRETD:
      return mode.stack_bytes() == 4 ? SystemForm::kQuickTransfer : SystemForm::kNone;
    default:
      return SystemForm::kNone;
  }
}

// DS, ES, FS and GS in protected mode; what POP reads is the top of a 32-bit stack.
bool reloads_segment(const Insn& insn, const Operation& op, ModeKey mode) {
  constexpr auto kCs = static_cast<unsigned>(guest::Seg::kCs);
  constexpr auto kSs = static_cast<unsigned>(guest::Seg::kSs);
  if (mode.real_or_v86() || op.reg >= guest::kSegCount || op.reg == kCs || op.reg == kSs)
    return false;
  if (is_row(op, FormRow::kMovToSegment)) return !op.has_memory || insn.memory_bytes == 2;
  return is_row(op, FormRow::kPopSegment) && !mode.is_64bit() && op.operand_bytes == 4 &&
         BlockEmitter::fast_stack(mode, insn);
}

// With 32-bit operands Intel's processors store two bytes.
bool pushes_segment(const Insn& insn, const Operation& op, ModeKey mode,
                    const guest::CpuModel& model) {
  return is_row(op, FormRow::kPushSegment) && op.reg < guest::kSegCount &&
         plain_flags_stack(insn, mode) && (op.operand_bytes == 8 || !model.vendor_is_intel());
}

SystemForm kernel_form(const Insn& insn, const Operation& op, ModeKey mode,
                       const guest::CpuModel& model) {
  if (is_row(op, FormRow::kMovFromControl) && reads_plain_control(op))
    return SystemForm::kReadControl;
  switch (insn.mnemonic()) {
    case ZYDIS_MNEMONIC_CLI:
      return SystemForm::kCli;
    case ZYDIS_MNEMONIC_STI:
      return SystemForm::kSti;
    case ZYDIS_MNEMONIC_CLAC:
      return model.has(feature::kSmap) ? SystemForm::kClac : SystemForm::kNone;
    case ZYDIS_MNEMONIC_STAC:
      return model.has(feature::kSmap) ? SystemForm::kStac : SystemForm::kNone;
    default:
      return mode.is_64bit() ? kernel_64bit_form(insn, op, model) : kernel_32bit_form(insn, mode);
  }
}

}  // namespace

SystemForm system_form(const Insn& insn, const Operation& op, ModeKey mode,
                       const guest::CpuModel& model, bool has_bmi2) {
  if (mode.single() || (op.prefixes & prefix::kLock)) return SystemForm::kNone;
  if (is_row(op, FormRow::kMovFromSegment))
    return (!op.has_memory || insn.memory_bytes == 2) && op.reg < guest::kSegCount
               ? SystemForm::kReadSegment
               : SystemForm::kNone;
  if (reloads_segment(insn, op, mode)) return SystemForm::kQuick;
  if (pushes_segment(insn, op, mode, model)) return SystemForm::kPushSegment;
  switch (insn.mnemonic()) {
    case ZYDIS_MNEMONIC_PUSHFD:
    case ZYDIS_MNEMONIC_PUSHFQ:
      return has_bmi2 && plain_flags_stack(insn, mode) ? SystemForm::kPushf : SystemForm::kNone;
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ:
      return mode.cpl() == 0 && plain_flags_stack(insn, mode) ? SystemForm::kPopf
                                                              : SystemForm::kNone;
    case ZYDIS_MNEMONIC_RDTSC:
      return model.has(feature::kTsc) ? SystemForm::kRdtsc : SystemForm::kNone;
    case ZYDIS_MNEMONIC_RDTSCP:
      return model.has(feature::kRdtscp) ? SystemForm::kRdtscp : SystemForm::kNone;
    case ZYDIS_MNEMONIC_SYSCALL:
      return has_system_call(mode, model) ? SystemForm::kSystemCall : SystemForm::kNone;
    case ZYDIS_MNEMONIC_SYSENTER:
      return mode.real_or_v86() ? SystemForm::kNone : SystemForm::kQuickTransfer;
    case ZYDIS_MNEMONIC_VERR:
      return mode.real_or_v86() ? SystemForm::kNone : SystemForm::kQuick;
    case ZYDIS_MNEMONIC_VERW:
      if (mode.real_or_v86()) return SystemForm::kNone;
      return mode.is_64bit() && (!op.has_memory || insn.memory_bytes == 2) ? SystemForm::kVerw
                                                                           : SystemForm::kQuick;
    default:
      return mode.cpl() == 0 ? kernel_form(insn, op, mode, model) : SystemForm::kNone;
  }
}

}  // namespace ringshift::translator
