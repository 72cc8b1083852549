// runtime/kvm/vcpu_setup.h - what a KVM machine and its processor are told once: which MSRs leave
// the guest, and CPUID. Errors are one line for the user.
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>

#include "guest/cpu_model.h"
#include "runtime/kvm/kvm_device.h"

namespace ringshift::runtime {

// Every MSR but the few that KVM has to keep itself is ours, and so is what it cannot emulate.
tl::expected<void, std::string> set_up_exits(int vm);
tl::expected<void, std::string> set_cpuid(int vcpu, const guest::CpuModel& model,
                                          std::uint32_t apic_id);
// Which of kvm_msrs() the kernel has, as bits.
unsigned known_msrs(const KvmDevice& device);

}  // namespace ringshift::runtime
