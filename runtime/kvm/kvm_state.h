// runtime/kvm/kvm_state.h - the guest's registers in the kernel's structures, and between these and
// guest::CpuState. Pure conversions, and one transfer to and from a vCPU.
#pragma once

#include <linux/kvm.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <tl/expected.hpp>

#include "guest/cpu_state.h"

namespace ringshift::runtime {

// The registers that KVM keeps besides those in its structures. All other MSRs stay in CpuState,
// where translator/callouts answers for them under every accelerator.
struct KvmMsr {
  std::uint32_t index;
  std::uint64_t guest::Msrs::*place;
};
std::span<const KvmMsr> kvm_msrs();
inline constexpr std::size_t kKvmMsrs = 10;

struct KvmState {
  kvm_regs regs{};
  kvm_sregs2 sregs{};
  kvm_debugregs debug{};
  kvm_vcpu_events events{};
  // KVM_GET_XSAVE's area: the standard format, as in CpuState.
  std::array<std::uint8_t, guest::kXsaveBytes> xsave{};
  std::uint64_t xcr0 = 1;
  std::uint64_t tsc_offset = 0;
  std::array<std::uint64_t, kKvmMsrs> msrs{};  // in the order of kvm_msrs()
};

// `apic_base`: the MSR, of which KVM needs the enable bit for CPUID.
KvmState to_kvm(const guest::CpuState& state, std::uint64_t apic_base);
// Everything that KVM holds; the rest of `state` stays.
void from_kvm(const KvmState& kvm, guest::CpuState& state);

// Moves a KvmState between here and one vCPU.
class KvmStateTransfer {
 public:
  // `has_msr`: which of kvm_msrs() this kernel knows, as bits.
  KvmStateTransfer(int vcpu, unsigned has_msr, bool has_xcrs);
  // Reads all but the time-stamp counter's offset, which only user space changes.
  tl::expected<void, std::string> fetch(KvmState& to) const;
  // Writes what differs from `known`, which is what the vCPU has. `all`: everything.
  tl::expected<void, std::string> push(const KvmState& wanted, const KvmState& known,
                                       bool all) const;

 private:
  using Status = tl::expected<void, std::string>;
  Status push_msrs(const KvmState& wanted) const;
  Status push_tsc_offset(std::uint64_t offset) const;
  Status push_xcr0(std::uint64_t value) const;

  int vcpu_;
  unsigned has_msr_;
  bool has_xcrs_, has_tsc_offset_;
};

}  // namespace ringshift::runtime
