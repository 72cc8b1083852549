// translator/callouts/far_transfer.cc - far CALL, JMP and RET: real mode, code segments, gates,
// tasks. SDM Vol. 2 "CALL", "JMP", "RET".
#include "translator/callouts/far_transfer.h"

#include "translator/callouts/call_gate.h"
#include "translator/callouts/code_segment.h"
#include "translator/callouts/segment_load.h"
#include "translator/callouts/stack_segment.h"
#include "translator/callouts/task_switch.h"

namespace ringshift::translator {

using guest::Checked;
using guest::CpuState;
using guest::Gpr;
using guest::GuestFault;
using guest::Seg;
using guest::SegmentRegister;
using guest::Status;
using guest::Vector;

namespace {

struct FarPointer {
  Selector selector;
  std::uint64_t offset = 0;
};

// APM Vol. 3 "CALL (Far)": REX.W does not widen a far pointer there.
unsigned far_operand_bytes(const Core& core, const Operation& op) {
  return op.operand_bytes == 8 && !core.model.vendor_is_intel() ? 4 : op.operand_bytes;
}

Checked<FarPointer> far_pointer(Core& core, const Operation& op) {
  const unsigned bytes = far_operand_bytes(core, op);
  if (!op.has_memory) return FarPointer{{op.immediate2}, truncate(op.immediate, bytes)};
  const std::uint64_t at = effective_offset(core, op);
  RS_ASSIGN(offset, read_data(core, op.memory.segment, at, bytes));
  RS_ASSIGN(selector,
            read_data(core, op.memory.segment, truncate(at + bytes, op.address_bytes), 2));
  return FarPointer{{static_cast<std::uint16_t>(selector)}, offset};
}

Status push_return_address(Core& core, Stack& stack, const Operation& op) {
  const unsigned bytes = far_operand_bytes(core, op);
  RS_CHECK(stack.push(bytes, core.state.segment(Seg::kCs).selector));
  return stack.push(bytes, next_rip(core, op));
}

// Loads CS:RIP without a change of privilege; CALL pushes the return address first.
Result transfer(Core& core, const Operation& op, const CodeTarget& target, bool call) {
  if (call) {
    Stack stack = Stack::current(core);
    RS_CHECK(push_return_address(core, stack, op));
    core.state.reg(Gpr::kRsp) = stack.pointer();
  }
  enter_code(core, target);
  return Next::kJump;
}

Result to_code_segment(Core& core, const Operation& op, const FarPointer& far,
                       const Descriptor& descriptor, bool call) {
  const GuestFault bad = guest::general_protection(far.selector.error_code());
  const unsigned cpl = core.state.cpl;
  RS_CHECK(check_code_size(core, descriptor, far.selector));
  const bool allowed = descriptor.conforming()
                           ? descriptor.dpl() <= cpl
                           : far.selector.rpl() <= cpl && descriptor.dpl() == cpl;
  if (!allowed) return tl::unexpected(bad);
  RS_ASSIGN(cs, present_code_segment(core, far.selector, descriptor, cpl, 0));
  RS_CHECK(check_instruction_pointer(core, cs, far.offset, 0));
  return transfer(core, op, {cs, far.offset, cpl}, call);
}

Result to_task(Core& core, const Operation& op, Selector tss, bool call) {
  RS_ASSIGN(descriptor, read_available_tss(core, tss, 0));
  const SwitchKind kind = call ? SwitchKind::kCall : SwitchKind::kJump;
  RS_ASSIGN(trap,
            switch_task(core, {tss, descriptor, kind, 0, next_rip(core, op), core.state.rflags}));
  if (trap) return tl::unexpected(task_switch_trap());
  return Next::kJump;
}

// A TSS named directly: its descriptor's DPL is checked like a gate's.
Result to_task_directly(Core& core, const Operation& op, Selector tss, const Descriptor& descriptor,
                        bool call) {
  if (descriptor.dpl() < core.state.cpl || descriptor.dpl() < tss.rpl())
    return tl::unexpected(guest::general_protection(tss.error_code()));
  return to_task(core, op, tss, call);
}

Result to_system_segment(Core& core, const Operation& op, Selector selector,
                         const Descriptor& descriptor, bool call) {
  const GuestFault bad = guest::general_protection(selector.error_code());
  const SystemType type = descriptor.system_type();
  if (core.state.long_mode_active() && type != SystemType::kCallGate32) return tl::unexpected(bad);
  switch (type) {
    case SystemType::kCallGate16:
    case SystemType::kCallGate32:
      return call ? call_through_gate(core, op, selector, descriptor)
                  : jump_through_gate(core, selector, descriptor);
    case SystemType::kTaskGate:
      RS_CHECK(check_gate_access(core, selector, descriptor));
      return to_task(core, op, descriptor.gate_selector(), call);
    case SystemType::kTss16Available:
    case SystemType::kTss32Available:
      return to_task_directly(core, op, selector, descriptor, call);
    default:
      return tl::unexpected(bad);
  }
}

Result far_branch(Core& core, const Operation& op, bool call) {
  RS_ASSIGN(far, far_pointer(core, op));
  if (core.state.real_or_v86()) {
    RS_ASSIGN(target, check_real_mode_code(core, far.selector.value, far.offset));
    return transfer(core, op, target, call);
  }
  if (far.selector.null()) return tl::unexpected(guest::general_protection());
  RS_ASSIGN(descriptor, read_descriptor(core, far.selector,
                                        guest::general_protection(far.selector.error_code())));
  if (descriptor.is_code()) return to_code_segment(core, op, far, descriptor, call);
  if (descriptor.is_system()) return to_system_segment(core, op, far.selector, descriptor, call);
  return tl::unexpected(guest::general_protection(far.selector.error_code()));
}

// The rest of RET to an outer ring: `stack` stands at the saved rSP.
Result return_outer(Core& core, const Operation& op, Stack& stack, const CodeTarget& target) {
  CpuState& s = core.state;
  const unsigned bytes = op.operand_bytes;
  RS_ASSIGN(pointer, stack.pop(bytes));
  RS_ASSIGN(selector, stack.pop(bytes));
  RS_ASSIGN(ss, check_return_stack(core, {static_cast<std::uint16_t>(selector)}, target));
  RS_CHECK(check_instruction_pointer(core, target.cs, target.rip, 0));
  const unsigned width = stack_width(core, target.cs, ss);
  const std::uint64_t outer = merge_stack_pointer(s.reg(Gpr::kRsp) & 0xffffffff, pointer, width);
  s.segment(Seg::kSs) = ss;
  s.reg(Gpr::kRsp) = merge_stack_pointer(outer, outer + (op.immediate & 0xffff), width);
  enter_code(core, target);
  drop_inner_segments(s);
  return Next::kJump;
}

}  // namespace

Result far_call(Core& core, const Operation& op) { return far_branch(core, op, true); }
Result far_jump(Core& core, const Operation& op) { return far_branch(core, op, false); }

Result far_return(Core& core, const Operation& op) {
  CpuState& s = core.state;
  Stack stack = Stack::current(core);
  RS_ASSIGN(rip, stack.pop(op.operand_bytes));
  RS_ASSIGN(popped, stack.pop(op.operand_bytes));
  const auto selector = static_cast<std::uint16_t>(popped);
  stack.release(op.immediate & 0xffff);
  CodeTarget target;
  if (s.real_or_v86()) {
    RS_ASSIGN(real, check_real_mode_code(core, selector, rip));
    target = real;
  } else {
    RS_ASSIGN(code, check_return_code(core, {selector}, rip));
    target = code;
    if (target.cpl > s.cpl) return return_outer(core, op, stack, target);
    RS_CHECK(check_instruction_pointer(core, target.cs, rip, 0));
  }
  s.reg(Gpr::kRsp) = stack.pointer();
  enter_code(core, target);
  return Next::kJump;
}

}  // namespace ringshift::translator
