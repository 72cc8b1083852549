// translator/callouts/interrupt_delivery.cc - events to handlers: double and triple faults, real
// mode.
#include "translator/callouts/interrupt_delivery.h"

#include <utility>

#include "translator/callouts/code_segment.h"
#include "translator/callouts/debug_registers.h"
#include "translator/callouts/descriptor.h"
#include "translator/callouts/stack_segment.h"

namespace ringshift::translator {

using guest::CpuState;
using guest::GuestFault;
using guest::Status;
using guest::Vector;

namespace {

// SDM Vol. 3 "Interrupt 8 - Double Fault Exception (#DF)":
//   first \ second   benign   contributory   page fault
//   benign           second   second         second
//   contributory     second   double         second
//   page fault       second   double         double
//   double fault     second   shutdown       shutdown
enum class FaultClass { kBenign, kContributory, kPageFault, kDoubleFault };

FaultClass fault_class(std::uint8_t vector) {
  switch (static_cast<Vector>(vector)) {
    case Vector::kDivideError:
    case Vector::kInvalidTss:
    case Vector::kSegmentNotPresent:
    case Vector::kStackFault:
    case Vector::kGeneralProtection:
      return FaultClass::kContributory;
    case Vector::kPageFault:
      return FaultClass::kPageFault;
    case Vector::kDoubleFault:
      return FaultClass::kDoubleFault;
    default:
      return FaultClass::kBenign;
  }
}

enum class Outcome { kDeliverSecond, kDoubleFault, kShutdown };

Outcome combine(FaultClass first, FaultClass second) {
  if (second == FaultClass::kBenign || first == FaultClass::kBenign) return Outcome::kDeliverSecond;
  if (first == FaultClass::kDoubleFault) return Outcome::kShutdown;
  if (first == FaultClass::kContributory && second == FaultClass::kPageFault)
    return Outcome::kDeliverSecond;
  return Outcome::kDoubleFault;
}

// SDM Vol. 3 "Exception Classifications". #DB and the traps leave RF as it is.
bool sets_resume_flag(Vector vector) {
  switch (vector) {
    case Vector::kDivideError:
    case Vector::kBoundRange:
    case Vector::kInvalidOpcode:
    case Vector::kDeviceNotAvailable:
    case Vector::kInvalidTss:
    case Vector::kSegmentNotPresent:
    case Vector::kStackFault:
    case Vector::kGeneralProtection:
    case Vector::kPageFault:
    case Vector::kX87Error:
    case Vector::kAlignmentCheck:
    case Vector::kSimdError:
      return true;
    default:
      return false;
  }
}

// SDM Vol. 3 "Debug Status Register (DR6)", "Debug Control Register (DR7)", and "IA32_DEBUGCTL
// MSR": LBR and BTF are cleared as well.
void record_debug_exception(CpuState& s, std::uint64_t dr6_bits) {
  constexpr std::uint64_t kBreakpointBits = 0xf, kGeneralDetect = 1u << 13, kLbrAndBtf = 3;
  s.dr[6] = (s.dr[6] & ~kBreakpointBits) | dr6_bits;
  s.dr[7] &= ~kGeneralDetect;
  s.msr.debugctl &= ~kLbrAndBtf;
}

// The event of a fault at the current instruction, with its side effects on CR2 and DR6.
Event begin_exception(CpuState& s, const GuestFault& fault) {
  if (fault.vector == Vector::kPageFault) s.cr2 = fault.address;
  if (fault.vector == Vector::kDebug) record_debug_exception(s, fault.address);
  const std::uint64_t resume = sets_resume_flag(fault.vector) ? guest::flags::kRf : 0;
  return {static_cast<std::uint8_t>(fault.vector),
          EventKind::kException,
          fault.has_error_code,
          fault.error_code,
          s.rip,
          s.rflags | resume};
}

void shut_down(Core& core) {
  core.state.activity = guest::Activity::kShutdown;
  core.platform.triple_fault();
}

// Delivers the event, or what its delivery raises instead, until a handler is reached.
void deliver(Core& core, Event event) {
  // HW: benign faults on the way to a benign fault's handler (#AC at CPL 3) repeat for ever on a
  // processor; nothing but shutdown ends that here.
  constexpr int kMostAttempts = 8;
  core.state.activity = guest::Activity::kRunning;
  core.state.interrupt_shadow = false;
  core.state.debug_shadow = false;
  core.state.pending_debug = 0;  // of an instruction that faulted: it runs again
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    const Status delivered = dispatch(core, event);
    if (delivered) return;
    const GuestFault& second = delivered.error();
    const FaultClass first_class =
        event.kind == EventKind::kException ? fault_class(event.vector) : FaultClass::kBenign;
    switch (combine(first_class, fault_class(static_cast<std::uint8_t>(second.vector)))) {
      case Outcome::kShutdown:
        return shut_down(core);
      case Outcome::kDoubleFault:
        if (second.vector == Vector::kPageFault) core.state.cr2 = second.address;
        event = begin_exception(core.state, guest::fault(Vector::kDoubleFault, 0));
        break;
      case Outcome::kDeliverSecond:
        event = begin_exception(core.state, second);
    }
  }
  shut_down(core);
}

}  // namespace

// SDM Vol. 3 "Interrupt and Exception Handling" of real-address mode.
Status deliver_through_vector_table(Core& core, std::uint64_t table, std::uint8_t vector,
                                    std::uint64_t return_rip, std::uint64_t image,
                                    std::uint64_t cleared) {
  CpuState& s = core.state;
  RS_ASSIGN(entry, load_system<std::uint32_t>(core, table + vector * 4u));
  RS_ASSIGN(target,
            check_real_mode_code(core, static_cast<std::uint16_t>(entry >> 16), entry & 0xffff));
  Stack stack = Stack::current(core);
  RS_CHECK(stack.push(2, image));
  RS_CHECK(stack.push(2, s.segment(guest::Seg::kCs).selector));
  RS_CHECK(stack.push(2, return_rip));
  s.reg(guest::Gpr::kRsp) = stack.pointer();
  s.rflags &= ~cleared;
  enter_code(core, target);
  return {};
}

Status dispatch(Core& core, const Event& event) {
  using namespace guest::flags;
  const CpuState& s = core.state;
  if (s.protected_mode()) return deliver_through_gate(core, event);
  if (event.vector * 4u + 3u > s.idtr.limit)
    return tl::unexpected(guest::general_protection(event.idt_error_code()));
  return deliver_through_vector_table(core, s.idtr.base, event.vector, event.return_rip,
                                      event.flags_image, kIf | kTf | kAc | kRf);
}

void deliver_fault(Core& core, const GuestFault& fault) {
  if (core.state.activity == guest::Activity::kShutdown) return;
  deliver(core, begin_exception(core.state, fault));
}

void deliver_interrupt(Core& core, std::uint8_t vector, EventKind kind) {
  CpuState& s = core.state;
  if (s.activity == guest::Activity::kShutdown) return;
  const bool nmi = vector == static_cast<std::uint8_t>(Vector::kNmi);
  if (nmi && kind == EventKind::kExternal) s.nmi_blocked = true;
  deliver(core, {vector, kind, false, 0, s.rip, s.rflags});
}

Status software_interrupt(Core& core, std::uint8_t vector, EventKind kind, std::uint64_t next_rip) {
  CpuState& s = core.state;
  RS_CHECK(dispatch(core, {vector, kind, false, 0, next_rip, s.rflags}));
  // SDM Vol. 3 "Single-Step Exception Condition": the handler is entered without a trap. What MOV
  // SS held back waits for the handler's first instruction; INT1 reports it with itself.
  s.pending_debug &= dr6::kBreakpoints;
  if (kind == EventKind::kInt1) record_debug_exception(s, std::exchange(s.pending_debug, 0));
  s.interrupt_shadow = false;
  s.debug_shadow = false;
  return {};
}

}  // namespace ringshift::translator
