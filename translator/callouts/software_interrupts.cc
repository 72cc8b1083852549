// translator/callouts/software_interrupts.cc - INT n with its v86 rules, and its one-byte
// relatives. SDM Vol. 2 "INT n/INTO/INT3/INT1 - Call to Interrupt Procedure".
#include "translator/callouts/software_interrupts.h"

#include "translator/callouts/code_segment.h"
#include "translator/callouts/descriptor.h"
#include "translator/callouts/interrupt_delivery.h"

namespace ringshift::translator {

using guest::Checked;
using guest::CpuState;
using guest::SegmentRegister;
using guest::Vector;

namespace {

using namespace guest::flags;

// SDM Vol. 3 "Software Interrupt Handling Methods While Operating in Virtual-8086 Mode": a clear
// bit in the 32 bytes below the I/O map sends INT n to the 8086 program's own handler.
Checked<bool> redirected_to_8086(Core& core, std::uint8_t vector) {
  constexpr std::uint32_t kMapBaseField = 102, kMapBytes = 32;
  const SegmentRegister& tr = core.state.tr;
  const auto beyond = tl::unexpected(guest::general_protection());
  if (tr.limit < kMapBaseField + 1) return beyond;
  RS_ASSIGN(map_base, load_system<std::uint16_t>(core, tr.base + kMapBaseField));
  const std::uint32_t at = map_base - kMapBytes + vector / 8u;
  if (map_base < kMapBytes || at > tr.limit) return beyond;
  RS_ASSIGN(bits, load_system<std::uint8_t>(core, tr.base + at));
  return !(bits >> (vector & 7) & 1);
}

// Methods 5 (IOPL 3) and 6 (below: VIF stands for IF, and the program sees IOPL 3).
guest::Status interrupt_8086(Core& core, std::uint8_t vector, std::uint64_t return_rip) {
  const CpuState& s = core.state;
  if (s.iopl() == 3)
    return deliver_through_vector_table(core, 0, vector, return_rip, s.rflags, kIf | kTf | kRf);
  std::uint64_t image = (s.rflags | kIopl) & ~kIf;
  if (s.rflags & kVif) image |= kIf;
  return deliver_through_vector_table(core, 0, vector, return_rip, image, kVif | kTf | kRf);
}

Result raise(Core& core, const Operation& op, Vector vector, EventKind kind) {
  RS_CHECK(software_interrupt(core, static_cast<std::uint8_t>(vector), kind, next_rip(core, op)));
  return Next::kJump;
}

}  // namespace

Result int_n(Core& core, const Operation& op) {
  const CpuState& s = core.state;
  const auto vector = static_cast<std::uint8_t>(op.immediate);
  if (s.protected_mode() && s.v86()) {
    if (s.cr4 & guest::cr4::kVme) {
      RS_ASSIGN(to_8086, redirected_to_8086(core, vector));
      if (to_8086) {
        RS_CHECK(interrupt_8086(core, vector, next_rip(core, op)));
        return Next::kJump;
      }
    }
    if (s.iopl() < 3) return tl::unexpected(guest::general_protection());
  }
  return raise(core, op, static_cast<Vector>(vector), EventKind::kSoftware);
}

// INT3 and INTO are not sensitive to IOPL, and never redirected.
Result int3(Core& core, const Operation& op) {
  return raise(core, op, Vector::kBreakpoint, EventKind::kInt3);
}

Result into(Core& core, const Operation& op) {
  if (!(core.state.rflags & kOf)) return Next::kContinue;
  return raise(core, op, Vector::kOverflow, EventKind::kSoftware);
}

Result int1(Core& core, const Operation& op) {
  return raise(core, op, Vector::kDebug, EventKind::kInt1);
}

}  // namespace ringshift::translator
