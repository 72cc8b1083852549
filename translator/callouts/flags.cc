// translator/callouts/flags.cc - PUSHF, POPF, CLI, STI, CLAC, STAC.
#include "translator/callouts/flags.h"

namespace ringshift::translator {
namespace {

namespace cr4 = guest::cr4;
namespace flags = guest::flags;
using guest::CpuState;

// What POPF may change at every privilege; RF is cleared, VM, VIF and VIP stay.
constexpr std::uint64_t kUserFlags =
    flags::kArithmetic | flags::kTf | flags::kDf | flags::kNt | flags::kAc | flags::kId;
constexpr unsigned kV86Iopl = 3;

auto general_protection() { return tl::unexpected(guest::general_protection()); }

bool sensitive_to_iopl(const CpuState& s) { return s.v86() && s.iopl() < kV86Iopl; }

constexpr std::uint64_t width_mask(unsigned bytes) { return bytes == 2 ? 0xffff : ~0ull; }

// SDM Vol. 3 "Interrupt and Exception Handling in Virtual-8086 Mode": VIF stands in for IF.
Result push_virtual_flags(Core& core) {
  const std::uint64_t f = core.state.rflags;
  const std::uint64_t virtual_if = f & flags::kVif ? flags::kIf : 0;
  RS_CHECK(push(core, 2, (f & ~flags::kIf) | virtual_if | flags::kIopl));
  return Next::kContinue;
}

void set_flags(CpuState& s, std::uint64_t value, std::uint64_t writable) {
  s.rflags = (s.rflags & ~writable) | (value & writable);
}

Result pop_virtual_flags(Core& core) {
  CpuState& s = core.state;
  const std::uint64_t rsp = s.reg(guest::Gpr::kRsp);
  RS_ASSIGN(value, pop(core, 2));
  const bool enables = (value & flags::kIf) && (s.rflags & flags::kVip);
  if (enables || (value & flags::kTf)) {
    s.reg(guest::Gpr::kRsp) = rsp;
    return general_protection();
  }
  set_flags(s, value, kUserFlags & width_mask(2));
  set_flags(s, value & flags::kIf ? flags::kVif : 0, flags::kVif);
  return Next::kContinue;
}

// Who may not touch IF may touch VIF, where CR4 allows it.
bool has_virtual_interrupt_flag(const CpuState& s) {
  if (s.v86()) return s.cr4 & cr4::kVme;
  return s.cpl == 3 && (s.cr4 & cr4::kPvi);
}

bool may_change_interrupt_flag(const CpuState& s) {
  if (!s.protected_mode()) return true;
  return s.v86() ? s.iopl() == kV86Iopl : s.cpl <= s.iopl();
}

Result set_alignment_check(Core& core, bool on) {
  if (core.state.cpl > 0 || !core.model.has(guest::feature::kSmap))
    return tl::unexpected(guest::invalid_opcode());
  set_flags(core.state, on ? flags::kAc : 0, flags::kAc);
  core.mmu.select_view();
  return Next::kContinue;
}

}  // namespace

// SDM Vol. 2 "PUSHF": the image never shows VM and RF.
Result pushf(Core& core, const Operation& op) {
  if (sensitive_to_iopl(core.state)) {
    if (op.operand_bytes != 2 || !(core.state.cr4 & cr4::kVme)) return general_protection();
    return push_virtual_flags(core);
  }
  RS_CHECK(push(core, op.operand_bytes, core.state.rflags & ~(flags::kVm | flags::kRf)));
  return Next::kContinue;
}

// SDM Vol. 2 "POPF", table "Effect of POPF/POPFD/POPFQ on the EFLAGS Register".
Result popf(Core& core, const Operation& op) {
  CpuState& s = core.state;
  if (sensitive_to_iopl(s)) {
    if (op.operand_bytes != 2 || !(s.cr4 & cr4::kVme)) return general_protection();
    return pop_virtual_flags(core);
  }
  RS_ASSIGN(value, pop(core, op.operand_bytes));
  std::uint64_t writable = kUserFlags;
  if (may_change_interrupt_flag(s)) writable |= flags::kIf;
  if (s.cpl == 0) writable |= flags::kIopl;
  set_flags(s, value, writable & width_mask(op.operand_bytes));
  s.rflags &= ~flags::kRf;
  core.mmu.select_view();  // AC decides what SMAP lets the supervisor reach
  return Next::kContinue;
}

// SDM Vol. 2 "CLI", "Decision Table for CLI Results".
Result cli(Core& core, const Operation&) {
  CpuState& s = core.state;
  if (may_change_interrupt_flag(s)) {
    s.rflags &= ~flags::kIf;
    return Next::kContinue;
  }
  if (!has_virtual_interrupt_flag(s)) return general_protection();
  s.rflags &= ~flags::kVif;
  return Next::kContinue;
}

// SDM Vol. 2 "STI", "Decision Table for STI Results".
Result sti(Core& core, const Operation&) {
  CpuState& s = core.state;
  if (may_change_interrupt_flag(s)) {
    if (!(s.rflags & flags::kIf)) s.interrupt_shadow = true;
    s.rflags |= flags::kIf;
    return Next::kContinue;
  }
  if (!has_virtual_interrupt_flag(s) || (s.rflags & flags::kVip)) return general_protection();
  s.rflags |= flags::kVif;
  return Next::kContinue;
}

Result clac(Core& core, const Operation&) { return set_alignment_check(core, false); }

Result stac(Core& core, const Operation&) { return set_alignment_check(core, true); }

}  // namespace ringshift::translator
