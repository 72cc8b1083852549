// translator/callouts/paravirtual_time.h - the clock and the steal time that a guest of KVM finds in
// its own memory, and KVM's hypercalls.
// Linux "Documentation/virt/kvm/x86/msr.rst", "hypercalls.rst".
#pragma once

#include "translator/core.h"

namespace ringshift::translator {

// Each writes its structure anew if the guest has asked for it. The system time changes only when
// the time-stamp counter jumps, the steal time always.
void write_system_time(Core& core);
void write_steal_time(Core& core);

// VMCALL and VMMCALL: no hypercall does anything, and each says so. #UD without KVM's interface.
Result hypercall(Core& core, const Operation& op);

// How ticks of a counter of `hz` become nanoseconds: shifted by `shift` (left if positive), then
// times multiplier / 2^32.
struct TickScale {
  std::uint32_t multiplier;
  std::int8_t shift;
};
TickScale tick_scale(std::uint64_t hz);

}  // namespace ringshift::translator
