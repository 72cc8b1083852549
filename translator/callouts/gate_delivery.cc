// translator/callouts/gate_delivery.cc - interrupt, trap and task gates of the IDT, and their
// stacks. SDM Vol. 2 "INT n/INTO/INT3/INT1" (pseudocode), Vol. 3 "Exception- or Interrupt-Handler
// Procedures".
#include "translator/callouts/code_segment.h"
#include "translator/callouts/descriptor.h"
#include "translator/callouts/interrupt_delivery.h"
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

bool is_task_gate(const Descriptor& gate) { return gate.system_type() == SystemType::kTaskGate; }
bool is_wide(const Descriptor& gate) { return gate.type() & 8; }
bool masks_interrupts(const Descriptor& gate) { return !(gate.type() & 1); }

bool allowed_type(const CpuState& s, const Descriptor& gate) {
  if (!gate.is_system()) return false;
  switch (gate.system_type()) {
    case SystemType::kInterruptGate32:
    case SystemType::kTrapGate32:
      return true;
    case SystemType::kInterruptGate16:
    case SystemType::kTrapGate16:
    case SystemType::kTaskGate:
      return !s.long_mode_active();
    default:
      return false;
  }
}

Checked<Descriptor> read_gate(Core& core, const Event& event) {
  const CpuState& s = core.state;
  const GuestFault bad = guest::general_protection(event.idt_error_code());
  const unsigned bytes = s.long_mode_active() ? 16 : 8;
  if (event.vector * bytes + bytes - 1 > s.idtr.limit) return tl::unexpected(bad);
  const std::uint64_t at = s.idtr.base + event.vector * bytes;
  Descriptor gate;
  RS_ASSIGN(low, load_system<std::uint64_t>(core, at));
  gate.low = low;
  if (bytes == 16) {
    RS_ASSIGN(high, load_system<std::uint64_t>(core, at + 8));
    gate.high = high;
  }
  if (!allowed_type(s, gate)) return tl::unexpected(bad);
  if (event.software() && gate.dpl() < s.cpl) return tl::unexpected(bad);
  if (!gate.present())
    return tl::unexpected(guest::fault(Vector::kSegmentNotPresent, event.idt_error_code()));
  return gate;
}

// --- task gates ---

Status push_task_error_code(Core& core, const Event& event) {
  if (!event.has_error_code) return {};
  const unsigned bytes = core.state.tr.type() & 8 ? 4 : 2;
  Stack stack(core, core.state.segment(Seg::kSs), core.state.reg(Gpr::kRsp),
              core.state.stack_bytes(), core.state.cpl, guest::stack_fault(event.ext()));
  RS_CHECK(stack.push(bytes, event.error_code));
  core.state.reg(Gpr::kRsp) = stack.pointer();
  return {};
}

Status through_task_gate(Core& core, const Event& event, const Descriptor& gate) {
  const Selector tss = gate.gate_selector();
  RS_ASSIGN(descriptor, read_available_tss(core, tss, event.ext()));
  RS_ASSIGN(trap, switch_task(core, {tss, descriptor, SwitchKind::kInterrupt, event.ext(),
                                     event.return_rip, event.flags_image}));
  RS_CHECK(push_task_error_code(core, event));
  if (trap) return tl::unexpected(task_switch_trap());
  return {};
}

// --- interrupt and trap gates ---

struct GateHandler {
  SegmentRegister cs;
  std::uint64_t rip = 0;
  unsigned cpl = 0;
  bool inner = false;
  unsigned bytes = 4;  // of each pushed item
};

Checked<GateHandler> read_handler(Core& core, const Event& event, const Descriptor& gate) {
  const CpuState& s = core.state;
  const std::uint32_t ext = event.ext();
  const bool long_mode = s.long_mode_active();
  const Selector selector = gate.gate_selector();
  if (selector.null()) return tl::unexpected(guest::general_protection(ext));
  const GuestFault bad = guest::general_protection(selector.error_code(ext));
  RS_ASSIGN(code, read_descriptor(core, selector, bad));
  if (!code.is_code() || code.dpl() > s.cpl) return tl::unexpected(bad);
  if (long_mode && (!code.long_mode() || code.big())) return tl::unexpected(bad);
  if (!code.present())
    return tl::unexpected(guest::fault(Vector::kSegmentNotPresent, selector.error_code(ext)));
  if (s.v86() && (code.conforming() || code.dpl() != 0)) return tl::unexpected(bad);
  GateHandler handler;
  handler.inner = !code.conforming() && code.dpl() < s.cpl;
  handler.cpl = handler.inner ? code.dpl() : s.cpl;
  handler.bytes = long_mode ? 8 : is_wide(gate) ? 4 : 2;
  handler.rip = long_mode       ? gate.gate_offset64()
                : is_wide(gate) ? gate.gate_offset32()
                                : gate.gate_offset16();
  RS_ASSIGN(cs, present_code_segment(core, selector, code, handler.cpl, ext));
  handler.cs = cs;
  return handler;
}

// SDM Vol. 3 "64-Bit Mode Stack Frame", "Interrupt Stack Table": aligned, and from the IST entry
// even without a change of CPL.
Checked<InnerStack> handler_stack(Core& core, const Event& event, const Descriptor& gate,
                                  const GateHandler& handler) {
  const CpuState& s = core.state;
  const unsigned ist = s.long_mode_active() ? gate.interrupt_stack_table() : 0;
  const std::uint64_t pointer = truncate(s.reg(Gpr::kRsp), s.in_64bit_code() ? 8 : 4);
  InnerStack stack{s.segment(Seg::kSs), pointer, s.stack_bytes()};
  if (handler.inner || ist) {
    RS_ASSIGN(other, inner_stack(core, handler.cpl, ist, event.ext()));
    stack.pointer = other.pointer;
    stack.width = other.width;
    if (handler.inner) stack.ss = other.ss;
  }
  if (s.long_mode_active()) {
    stack.pointer &= ~std::uint64_t{15};
    stack.width = 8;
  }
  return stack;
}

Status push_v86_segments(Stack& stack, const CpuState& s, unsigned bytes) {
  for (Seg segment : {Seg::kGs, Seg::kFs, Seg::kDs, Seg::kEs})
    RS_CHECK(stack.push(bytes, s.segment(segment).selector));
  return {};
}

Status push_frame(Stack& stack, const CpuState& s, const Event& event, const GateHandler& handler) {
  const unsigned bytes = handler.bytes;
  if (s.v86()) RS_CHECK(push_v86_segments(stack, s, bytes));
  if (handler.inner || bytes == 8) {
    RS_CHECK(stack.push(bytes, s.segment(Seg::kSs).selector));
    RS_CHECK(stack.push(bytes, s.reg(Gpr::kRsp)));
  }
  RS_CHECK(stack.push(bytes, event.flags_image));
  RS_CHECK(stack.push(bytes, s.segment(Seg::kCs).selector));
  RS_CHECK(stack.push(bytes, event.return_rip));
  return event.has_error_code ? stack.push(bytes, event.error_code) : Status{};
}

void forget_v86_segments(CpuState& s) {
  for (Seg segment : {Seg::kGs, Seg::kFs, Seg::kDs, Seg::kEs})
    s.segment(segment) = null_data_segment(s.segment(segment), {0});
}

Status through_code_gate(Core& core, const Event& event, const Descriptor& gate) {
  using namespace guest::flags;
  CpuState& s = core.state;
  RS_ASSIGN(handler, read_handler(core, event, gate));
  RS_ASSIGN(target, handler_stack(core, event, gate, handler));
  RS_CHECK(check_instruction_pointer(core, handler.cs, handler.rip, event.ext()));
  const std::uint32_t stack_selector =
      handler.inner ? Selector{target.ss.selector}.error_code(event.ext()) : event.ext();
  Stack stack(core, target.ss, target.pointer, target.width, handler.cpl,
              guest::stack_fault(stack_selector));
  RS_CHECK(push_frame(stack, s, event, handler));

  if (s.v86()) forget_v86_segments(s);
  s.segment(Seg::kSs) = target.ss;
  s.reg(Gpr::kRsp) = merge_stack_pointer(s.reg(Gpr::kRsp), stack.pointer(), target.width);
  s.rflags &= ~(kTf | kNt | kVm | kRf | (masks_interrupts(gate) ? kIf : 0));
  enter_code(core, {handler.cs, handler.rip, handler.cpl});
  return {};
}

}  // namespace

Status deliver_through_gate(Core& core, const Event& event) {
  RS_ASSIGN(gate, read_gate(core, event));
  return is_task_gate(gate) ? through_task_gate(core, event, gate)
                            : through_code_gate(core, event, gate);
}

}  // namespace ringshift::translator
