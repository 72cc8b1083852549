// translator/callouts/call_gate.cc - checks a call gate, copies its parameters, switches stacks.
// SDM Vol. 3 "Accessing a Code Segment Through a Call Gate".
#include "translator/callouts/call_gate.h"

#include <array>

#include "translator/callouts/code_segment.h"
#include "translator/callouts/stack_segment.h"

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

struct GateTarget {
  Selector selector;
  Descriptor code;
  std::uint64_t rip = 0;
  unsigned bytes = 4;  // of each pushed item: the gate's size
};

// The gate itself, then the code descriptor that it names, up to the privilege rule.
Checked<GateTarget> read_target(Core& core, Selector selector, Descriptor gate) {
  RS_CHECK(check_gate_access(core, selector, gate));
  const bool long_mode = core.state.long_mode_active();
  RS_CHECK(read_upper_half(core, selector, gate, guest::general_protection(selector.error_code())));
  GateTarget target;
  target.selector = gate.gate_selector();
  if (target.selector.null()) return tl::unexpected(guest::general_protection());
  const GuestFault bad = guest::general_protection(target.selector.error_code());
  RS_ASSIGN(code, read_descriptor(core, target.selector, bad));
  if (!code.is_code() || code.dpl() > core.state.cpl) return tl::unexpected(bad);
  if (long_mode && (!code.long_mode() || code.big())) return tl::unexpected(bad);
  target.code = code;
  const bool narrow = gate.system_type() == SystemType::kCallGate16;
  target.bytes = long_mode ? 8 : narrow ? 2 : 4;
  target.rip = long_mode ? gate.gate_offset64()
               : narrow  ? gate.gate_offset16()
                         : gate.gate_offset32();
  return target;
}

Status push_return_address(Stack& stack, const CpuState& s, unsigned bytes, std::uint64_t rip) {
  RS_CHECK(stack.push(bytes, s.segment(Seg::kCs).selector));
  return stack.push(bytes, rip);
}

Result call_same_privilege(Core& core, const GateTarget& target, std::uint64_t return_rip) {
  CpuState& s = core.state;
  RS_ASSIGN(cs, present_code_segment(core, target.selector, target.code, s.cpl, 0));
  RS_CHECK(check_instruction_pointer(core, cs, target.rip, 0));
  Stack stack = Stack::current(core);
  RS_CHECK(push_return_address(stack, s, target.bytes, return_rip));
  s.reg(Gpr::kRsp) = stack.pointer();
  enter_code(core, {cs, target.rip, s.cpl});
  return Next::kJump;
}

// Copies `count` items so that they lie on the new stack as they lay on the old one.
Status copy_parameters(Core& core, Stack& to, unsigned count, unsigned bytes) {
  std::array<std::uint64_t, 31> items{};
  Stack from = Stack::current(core);
  for (unsigned i = 0; i < count; ++i) {
    RS_ASSIGN(item, from.pop(bytes));
    items[i] = item;
  }
  for (unsigned i = count; i > 0; --i) RS_CHECK(to.push(bytes, items[i - 1]));
  return {};
}

Result call_inner(Core& core, const GateTarget& target, unsigned parameters,
                  std::uint64_t return_rip) {
  CpuState& s = core.state;
  const unsigned cpl = target.code.dpl();
  RS_ASSIGN(inner, inner_stack(core, cpl, 0, 0));
  RS_ASSIGN(cs, present_code_segment(core, target.selector, target.code, cpl, 0));
  RS_CHECK(check_instruction_pointer(core, cs, target.rip, 0));
  Stack stack(core, inner.ss, inner.pointer, inner.width, cpl,
              guest::stack_fault(Selector{inner.ss.selector}.error_code()));
  RS_CHECK(stack.push(target.bytes, s.segment(Seg::kSs).selector));
  RS_CHECK(stack.push(target.bytes, s.reg(Gpr::kRsp)));
  RS_CHECK(copy_parameters(core, stack, parameters, target.bytes));
  RS_CHECK(push_return_address(stack, s, target.bytes, return_rip));
  s.segment(Seg::kSs) = inner.ss;
  s.reg(Gpr::kRsp) = merge_stack_pointer(s.reg(Gpr::kRsp), stack.pointer(), inner.width);
  enter_code(core, {cs, target.rip, cpl});
  return Next::kJump;
}

}  // namespace

Status check_gate_access(const Core& core, Selector selector, const Descriptor& gate) {
  if (gate.dpl() < core.state.cpl || gate.dpl() < selector.rpl())
    return tl::unexpected(guest::general_protection(selector.error_code()));
  if (!gate.present())
    return tl::unexpected(guest::fault(Vector::kSegmentNotPresent, selector.error_code()));
  return {};
}

Result jump_through_gate(Core& core, Selector selector, Descriptor gate) {
  RS_ASSIGN(target, read_target(core, selector, gate));
  const unsigned cpl = core.state.cpl;
  if (!target.code.conforming() && target.code.dpl() != cpl)
    return tl::unexpected(guest::general_protection(target.selector.error_code()));
  RS_ASSIGN(cs, present_code_segment(core, target.selector, target.code, cpl, 0));
  RS_CHECK(check_instruction_pointer(core, cs, target.rip, 0));
  enter_code(core, {cs, target.rip, cpl});
  return Next::kJump;
}

Result call_through_gate(Core& core, const Operation& op, Selector selector, Descriptor gate) {
  RS_ASSIGN(target, read_target(core, selector, gate));
  if (!target.code.present())
    return tl::unexpected(guest::fault(Vector::kSegmentNotPresent, target.selector.error_code()));
  const std::uint64_t return_rip = next_rip(core, op);
  const bool inner = !target.code.conforming() && target.code.dpl() < core.state.cpl;
  if (!inner) return call_same_privilege(core, target, return_rip);
  const unsigned parameters = target.bytes == 8 ? 0 : gate.parameter_count();
  return call_inner(core, target, parameters, return_rip);
}

}  // namespace ringshift::translator
