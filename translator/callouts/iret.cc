// translator/callouts/iret.cc - returns from handlers: real, v86, same ring, outer ring, nested
// task. SDM Vol. 2 "IRET/IRETD/IRETQ - Interrupt Return".
#include "translator/callouts/iret.h"

#include <array>

#include "translator/callouts/code_segment.h"
#include "translator/callouts/segment_load.h"
#include "translator/callouts/stack_segment.h"
#include "translator/callouts/task_switch.h"

namespace ringshift::translator {

using guest::Checked;
using guest::CpuState;
using guest::Gpr;
using guest::Seg;
using guest::SegmentRegister;
using guest::Status;

namespace {

using namespace guest::flags;

constexpr std::uint64_t kAlways = kArithmetic | kTf | kDf | kNt;  // any operand size, any CPL
constexpr std::uint64_t kWide = kRf | kAc | kId;                  // 32- and 64-bit operands
constexpr std::uint64_t kVirtual = kVif | kVip;                   // the same, at CPL 0

struct Frame {
  std::uint64_t rip = 0, rflags = 0;
  Selector cs;
};

Checked<Frame> pop_frame(Stack& stack, unsigned bytes) {
  RS_ASSIGN(rip, stack.pop(bytes));
  RS_ASSIGN(cs, stack.pop(bytes));
  RS_ASSIGN(rflags, stack.pop(bytes));
  return Frame{rip, rflags, {static_cast<std::uint16_t>(cs)}};
}

void replace_flags(CpuState& s, std::uint64_t mask, std::uint64_t value) {
  s.rflags = (s.rflags & ~mask) | (value & mask) | kFixed1;
}

// IF follows IOPL, IOPL itself only CPL 0.
std::uint64_t writable_flags(const CpuState& s, unsigned bytes) {
  std::uint64_t mask = kAlways;
  if (bytes > 2) mask |= kWide;
  if (s.cpl <= s.iopl()) mask |= kIf;
  if (s.cpl == 0) mask |= bytes > 2 ? kIopl | kVirtual : kIopl;
  return mask;
}

Result finish(Core& core, const Stack& stack, const CodeTarget& target, std::uint64_t mask,
              std::uint64_t rflags) {
  core.state.reg(Gpr::kRsp) = stack.pointer();
  replace_flags(core.state, mask, rflags);
  enter_code(core, target);
  return Next::kJump;
}

Result return_in_real_mode(Core& core, const Operation& op) {
  Stack stack = Stack::current(core);
  RS_ASSIGN(frame, pop_frame(stack, op.operand_bytes));
  RS_ASSIGN(target, check_real_mode_code(core, frame.cs.value, frame.rip));
  const std::uint64_t mask = kAlways | kIf | kIopl | (op.operand_bytes > 2 ? kWide : 0);
  core.state.nmi_blocked = false;
  return finish(core, stack, target, mask, frame.rflags);
}

// SDM Vol. 3 "Virtual-8086 Mode", "Enhancing Virtual-8086 Mode": below IOPL 3 only a 16-bit IRET
// with CR4.VME, which gives IF's value to VIF.
Result return_in_v86(Core& core, const Operation& op) {
  const CpuState& s = core.state;
  const bool direct = s.iopl() == 3;
  if (!direct && !((s.cr4 & guest::cr4::kVme) && op.operand_bytes == 2))
    return tl::unexpected(guest::general_protection());
  Stack stack = Stack::current(core);
  RS_ASSIGN(frame, pop_frame(stack, op.operand_bytes));
  RS_ASSIGN(target, check_real_mode_code(core, frame.cs.value, frame.rip));
  std::uint64_t mask = kAlways | (op.operand_bytes > 2 ? kWide : 0);
  std::uint64_t value = frame.rflags;
  if (direct) {
    mask |= kIf;
  } else {
    if ((value & kTf) || ((value & kIf) && (s.rflags & kVip)))
      return tl::unexpected(guest::general_protection());
    mask |= kVif;
    value = (value & ~kVif) | (value & kIf ? kVif : 0);
  }
  core.state.nmi_blocked = false;
  return finish(core, stack, target, mask, value);
}

// RETURN-TO-VIRTUAL-8086-MODE: the frame goes on with ESP, SS, ES, DS, FS, GS.
Result return_to_v86(Core& core, Stack& stack, const Frame& frame) {
  CpuState& s = core.state;
  constexpr std::array kOrder{Seg::kSs, Seg::kEs, Seg::kDs, Seg::kFs, Seg::kGs};
  std::array<std::uint16_t, kOrder.size()> selectors{};
  RS_ASSIGN(esp, stack.pop(4));
  for (std::uint16_t& selector : selectors) {
    RS_ASSIGN(popped, stack.pop(4));
    selector = static_cast<std::uint16_t>(popped);
  }
  const SegmentRegister cs = v86_segment(frame.cs.value);
  RS_CHECK(check_instruction_pointer(core, cs, frame.rip, 0));
  for (std::size_t i = 0; i < kOrder.size(); ++i) s.segment(kOrder[i]) = v86_segment(selectors[i]);
  s.reg(Gpr::kRsp) = esp;
  replace_flags(s, kAlways | kWide | kIf | kIopl | kVirtual | kVm, frame.rflags);
  enter_code(core, {cs, frame.rip, 3});
  return Next::kJump;
}

// The frame goes on with rSP and SS: to an outer ring, or anywhere from 64-bit code.
Result return_with_stack(Core& core, const Operation& op, Stack& stack, const Frame& frame,
                         const CodeTarget& target) {
  CpuState& s = core.state;
  RS_ASSIGN(pointer, stack.pop(op.operand_bytes));
  RS_ASSIGN(selector, stack.pop(op.operand_bytes));
  RS_ASSIGN(ss, check_return_stack(core, {static_cast<std::uint16_t>(selector)}, target));
  RS_CHECK(check_instruction_pointer(core, target.cs, target.rip, 0));
  const bool outer = target.cpl > s.cpl;
  const unsigned width = stack_width(core, target.cs, ss);
  replace_flags(s, writable_flags(s, op.operand_bytes), frame.rflags);
  s.segment(Seg::kSs) = ss;
  s.reg(Gpr::kRsp) = merge_stack_pointer(s.reg(Gpr::kRsp) & 0xffffffff, pointer, width);
  enter_code(core, target);
  if (outer) drop_inner_segments(s);
  return Next::kJump;
}

Result return_in_protected_mode(Core& core, const Operation& op) {
  CpuState& s = core.state;
  Stack stack = Stack::current(core);
  RS_ASSIGN(frame, pop_frame(stack, op.operand_bytes));
  if ((frame.rflags & kVm) && s.cpl == 0 && op.operand_bytes == 4 && !s.long_mode_active())
    return return_to_v86(core, stack, frame);
  RS_ASSIGN(target, check_return_code(core, frame.cs, frame.rip));
  if (target.cpl > s.cpl || s.in_64bit_code())
    return return_with_stack(core, op, stack, frame, target);
  RS_CHECK(check_instruction_pointer(core, target.cs, target.rip, 0));
  return finish(core, stack, target, writable_flags(s, op.operand_bytes), frame.rflags);
}

}  // namespace

Result iret(Core& core, const Operation& op) {
  CpuState& s = core.state;
  if (!s.protected_mode()) return return_in_real_mode(core, op);
  if (s.v86()) return return_in_v86(core, op);
  // SDM Vol. 3 "Handling Multiple NMIs": executing IRET is enough, even when it faults.
  s.nmi_blocked = false;
  if (!(s.rflags & kNt)) return return_in_protected_mode(core, op);
  if (s.long_mode_active()) return tl::unexpected(guest::general_protection());
  return task_return(core, op);
}

}  // namespace ringshift::translator
