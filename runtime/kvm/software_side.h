// runtime/kvm/software_side.h - what KVM leaves to us of the processor: model-specific registers
// that it does not keep, and events that it has begun to deliver. The translator's call-outs do it,
// so both are the same under every accelerator.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <optional>

#include "softmmu/mmu.h"
#include "translator/core.h"

namespace ringshift::runtime {

class SoftwareSide {
 public:
  SoftwareSide(guest::PhysicalMemory& memory, guest::CpuState& state, const guest::CpuModel& model,
               guest::Platform& platform);

  // Nothing, false: #GP(0).
  std::optional<std::uint64_t> read_msr(std::uint32_t index);
  [[nodiscard]] bool write_msr(std::uint32_t index, std::uint64_t value);

  // Writes the stolen time to the guest's memory, if it has asked for it.
  void tell_stolen_time();
  // Brings the state behind the delivery of what is in flight; true when something was.
  bool deliver(const kvm_vcpu_events& events);

 private:
  softmmu::Mmu mmu_;
  translator::Core core_;
};

}  // namespace ringshift::runtime
