// runtime/kvm/software_side.cc - what KVM leaves to us of the processor.
#include "runtime/kvm/software_side.h"

#include "translator/callouts/msr.h"
#include "translator/callouts/paravirtual_time.h"

namespace ringshift::runtime {

SoftwareSide::SoftwareSide(guest::PhysicalMemory& memory, guest::CpuState& state,
                           const guest::CpuModel& model, guest::Platform& platform)
    : mmu_(memory, state, model), core_{state, mmu_, memory, model, platform} {}

std::optional<std::uint64_t> SoftwareSide::read_msr(std::uint32_t index) {
  return translator::read_msr(core_, index);
}

bool SoftwareSide::write_msr(std::uint32_t index, std::uint64_t value) {
  return translator::write_msr(core_, index, value);
}

void SoftwareSide::tell_stolen_time() { translator::write_steal_time(core_); }

bool SoftwareSide::deliver(const kvm_vcpu_events& events) {
  const auto& exception = events.exception;
  if (!exception.injected && !exception.pending && !events.interrupt.injected &&
      !events.nmi.injected)
    return false;
  translator::mode_changed(core_);  // the guest ran elsewhere
  mmu_.flush_all(false);
  guest::CpuState& s = core_.state;
  s.activity = guest::Activity::kRunning;
  if (exception.injected || exception.pending) {
    guest::GuestFault fault{static_cast<guest::Vector>(exception.nr), exception.has_error_code != 0,
                            exception.error_code, 0};
    // The kernel has put the address there already.
    if (fault.vector == guest::Vector::kPageFault) fault.address = s.cr2;
    translator::deliver_fault(core_, fault);
  } else if (events.nmi.injected) {
    translator::deliver_interrupt(core_, static_cast<std::uint8_t>(guest::Vector::kNmi),
                                  translator::EventKind::kExternal);
  } else {
    translator::deliver_interrupt(core_, events.interrupt.nr, translator::EventKind::kExternal);
  }
  return true;
}

}  // namespace ringshift::runtime
