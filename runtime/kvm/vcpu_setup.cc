// runtime/kvm/vcpu_setup.cc - what a KVM machine and its processor are told once.
#include "runtime/kvm/vcpu_setup.h"

#include <fmt/format.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "runtime/kvm/kvm_state.h"
#include "runtime/kvm/variable_list.h"

namespace ringshift::runtime {
namespace {

struct Range {
  std::uint32_t first, count;
};
// EFER, system calls, segment bases and TSC_AUX; SYSENTER; PAT. Those in between do not exist.
constexpr std::array<Range, 4> kKept{{{0xc0000080, 5}, {0xc0000100, 4}, {0x174, 3}, {0x277, 1}}};

bool has_subleaves(std::uint32_t leaf) {
  return leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd || leaf == 0x8000001d;
}

}  // namespace

tl::expected<void, std::string> set_up_exits(int vm) {
  // What the kernel's emulator does not know comes to us; a kernel before 5.15 makes user code
  // fault.
  kvm_enable_cap failure{};
  failure.cap = KVM_CAP_EXIT_ON_EMULATION_FAILURE;
  failure.args[0] = 1;
  ::ioctl(vm, KVM_ENABLE_CAP, &failure);
  kvm_enable_cap enable{};
  enable.cap = KVM_CAP_X86_USER_SPACE_MSR;
  // x2APIC's registers cannot be named in a filter; without KVM's own APIC they are invalid.
  enable.args[0] =
      KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER;
  if (::ioctl(vm, KVM_ENABLE_CAP, &enable) != 0)
    return tl::unexpected(fmt::format("KVM lets no MSR out: {}", std::strerror(errno)));
  std::uint8_t all = 0xff;
  kvm_msr_filter filter{};
  filter.flags = KVM_MSR_FILTER_DEFAULT_DENY;
  for (std::size_t i = 0; i < kKept.size(); ++i)
    filter.ranges[i] = {KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, kKept[i].count, kKept[i].first,
                        &all};
  if (::ioctl(vm, KVM_X86_SET_MSR_FILTER, &filter) != 0)
    return tl::unexpected(fmt::format("KVM takes no MSR filter: {}", std::strerror(errno)));
  return {};
}

tl::expected<void, std::string> set_cpuid(int vcpu, const guest::CpuModel& model,
                                          std::uint32_t apic_id) {
  const auto leaves = model.leaves();
  VariableList<CpuidHead, kvm_cpuid_entry2> list(leaves.size());
  list->count = static_cast<std::uint32_t>(leaves.size());
  const auto entries = list.entries(leaves.size());
  const guest::CpuState state;  // OSXSAVE and the XSAVE area's size follow it, by KVM itself
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const auto [leaf, subleaf, _] = leaves[i];
    auto value = model.cpuid(leaf, subleaf, state, apic_id);
    // KVM knows linear addresses of 48 and 57 bits, or of no size.
    if (leaf == 0x80000008 && !model.has(guest::feature::kLongMode)) value.eax &= 0xff;
    entries[i].function = leaf;
    entries[i].index = subleaf;
    entries[i].flags = has_subleaves(leaf) ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0;
    entries[i].eax = value.eax;
    entries[i].ebx = value.ebx;
    entries[i].ecx = value.ecx;
    entries[i].edx = value.edx;
  }
  if (::ioctl(vcpu, request::kSetCpuid, list.get()) != 0)
    return tl::unexpected(fmt::format("KVM refuses the processor model: {}", std::strerror(errno)));
  return {};
}

unsigned known_msrs(const KvmDevice& device) {
  unsigned bits = 0;
  const auto msrs = kvm_msrs();
  for (std::size_t i = 0; i < msrs.size(); ++i)
    if (device.has_msr(msrs[i].index)) bits |= 1u << i;
  return bits;
}

}  // namespace ringshift::runtime
