// runtime/kvm/kvm_device.cc - /dev/kvm, open: what this kernel's KVM offers.
#include "runtime/kvm/kvm_device.h"

#include <cpuid.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "guest/cpu_model_features.h"
#include "runtime/kvm/variable_list.h"

namespace ringshift::runtime {
namespace {

struct Needed {
  const char* name;
  unsigned long number;
};
// All of them are in Linux 5.14.
constexpr auto kNeeded = std::to_array<Needed>({
    {"KVM_CAP_USER_MEMORY", KVM_CAP_USER_MEMORY},
    {"KVM_CAP_READONLY_MEM", KVM_CAP_READONLY_MEM},
    {"KVM_CAP_USER_NMI", KVM_CAP_USER_NMI},
    {"KVM_CAP_IMMEDIATE_EXIT", KVM_CAP_IMMEDIATE_EXIT},
    {"KVM_CAP_VCPU_EVENTS", KVM_CAP_VCPU_EVENTS},
    {"KVM_CAP_DEBUGREGS", KVM_CAP_DEBUGREGS},
    {"KVM_CAP_XSAVE", KVM_CAP_XSAVE},
    {"KVM_CAP_SREGS2", KVM_CAP_SREGS2},
    {"KVM_CAP_X86_USER_SPACE_MSR", KVM_CAP_X86_USER_SPACE_MSR},
    {"KVM_CAP_X86_MSR_FILTER", KVM_CAP_X86_MSR_FILTER},
});

constexpr std::uint32_t kMostLeaves = 256;  // KVM_MAX_CPUID_ENTRIES, the kernel's own limit
constexpr std::uint32_t kMostMsrs = 1024;

std::uint32_t reg_of(const kvm_cpuid_entry2& e, guest::Feature::Register reg) {
  switch (reg) {
    case guest::Feature::kEax:
      return e.eax;
    case guest::Feature::kEbx:
      return e.ebx;
    case guest::Feature::kEcx:
      return e.ecx;
    default:
      return e.edx;
  }
}

std::string why_not_open(int error) {
  switch (error) {
    case ENOENT:
      return "/dev/kvm is not there: the kvm module is not loaded, or this kernel has none";
    case EACCES:
    case EPERM:
      return "/dev/kvm may not be opened by this user";
    default:
      return fmt::format("/dev/kvm: {}", std::strerror(error));
  }
}

bool processor_has(std::uint32_t leaf, unsigned bit) {
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  __get_cpuid(leaf, &eax, &ebx, &ecx, &edx);
  return ecx >> bit & 1;
}

}  // namespace

tl::expected<KvmDevice, std::string> KvmDevice::open() {
  KvmDevice device;
  device.fd_ = FileDescriptor(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
  if (!device.fd_.valid()) return tl::unexpected(why_not_open(errno));
  if (::ioctl(device.fd_.get(), KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
    return tl::unexpected(std::string("/dev/kvm speaks another version of its interface"));
  if (const auto missing = device.missing_capability(); !missing.empty())
    return tl::unexpected(
        fmt::format("this kernel's KVM lacks {} (Linux 5.14 or newer is needed)", missing));
  const int bytes = ::ioctl(device.fd_.get(), KVM_GET_VCPU_MMAP_SIZE, 0);
  if (bytes < 0) return tl::unexpected(fmt::format("/dev/kvm: {}", std::strerror(errno)));
  device.run_area_bytes_ = static_cast<std::size_t>(bytes);
  constexpr unsigned kVmxBit = 5, kSvmBit = 2;
  device.has_hardware_ = processor_has(1, kVmxBit) || processor_has(guest::feature::kExt, kSvmBit);
  device.has_xcrs_ = device.check(KVM_CAP_XCRS) > 0;
  if (!device.ask_features() || !device.ask_msrs())
    return tl::unexpected(
        fmt::format("/dev/kvm does not say what it offers: {}", std::strerror(errno)));
  return device;
}

int KvmDevice::check(unsigned long capability) const {
  return ::ioctl(fd_.get(), KVM_CHECK_EXTENSION, capability);
}

std::string KvmDevice::missing_capability() const {
  const auto missing =
      std::ranges::find_if(kNeeded, [&](const Needed& n) { return check(n.number) <= 0; });
  return missing == kNeeded.end() ? "" : missing->name;
}

// x2APIC and the TSC deadline are the project's own local APIC's, whose registers KVM passes on;
// the paravirtual clock and steal time are the project's own too.
bool KvmDevice::ask_features() {
  VariableList<CpuidHead, kvm_cpuid_entry2> list(kMostLeaves);
  list->count = kMostLeaves;
  if (::ioctl(fd_.get(), request::kGetSupportedCpuid, list.get()) != 0) return false;
  for (const auto& named : guest::named_features())
    for (const auto& entry : list.entries(list->count))
      if (entry.function == named.feature.leaf && entry.index == named.feature.subleaf &&
          (reg_of(entry, named.feature.reg) >> named.feature.bit & 1))
        features_.set(named.feature, true);
  features_.set(guest::feature::kX2apic, true);
  features_.set(guest::feature::kTscDeadline, true);
  features_.set(guest::feature::kHypervisor, true);
  for (const auto& named : guest::named_features())
    if (named.feature.leaf == guest::feature::kKvmFeatures &&
        named.provider == guest::Provider::kRingshift)
      features_.set(named.feature, true);
  return true;
}

bool KvmDevice::ask_msrs() {
  VariableList<MsrIndexHead, std::uint32_t> list(kMostMsrs);
  list->count = kMostMsrs;
  if (::ioctl(fd_.get(), request::kGetMsrIndexList, list.get()) != 0) return false;
  const auto indices = list.entries(list->count);
  msrs_.assign(indices.begin(), indices.end());
  return true;
}

bool KvmDevice::has_msr(std::uint32_t index) const { return std::ranges::count(msrs_, index); }

tl::expected<FileDescriptor, std::string> KvmDevice::create_vm() const {
  int fd = -1;
  do {  // a signal may interrupt it
    fd = ::ioctl(fd_.get(), KVM_CREATE_VM, 0);
  } while (fd < 0 && errno == EINTR);
  FileDescriptor vm(fd);
  if (!vm.valid())
    return tl::unexpected(fmt::format("KVM makes no machine: {}", std::strerror(errno)));
  // Intel's processors without "unrestricted guest" run real mode as a task with tables of their
  // own; these pages lie where the board has only its chipset's window.
  constexpr std::uint64_t kIdentityMap = 0xfffbc000;
  constexpr unsigned long kTss = 0xfffbd000;
  std::uint64_t identity_map = kIdentityMap;
  if (check(KVM_CAP_SET_IDENTITY_MAP_ADDR) > 0)
    ::ioctl(vm.get(), KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
  if (check(KVM_CAP_SET_TSS_ADDR) > 0) ::ioctl(vm.get(), KVM_SET_TSS_ADDR, kTss);
  return vm;
}

}  // namespace ringshift::runtime
