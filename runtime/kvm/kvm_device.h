// runtime/kvm/kvm_device.h - /dev/kvm, open: what this kernel's KVM offers, and virtual machines
// made by it. Immutable after open(), so any thread may use it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "guest/cpu_model.h"
#include "runtime/kvm/file_descriptor.h"

namespace ringshift::runtime {

class KvmDevice {
 public:
  // The error is one line for the user: why it does not open, or what an old kernel lacks.
  static tl::expected<KvmDevice, std::string> open();

  // An empty machine: no memory, no processor, interrupt controllers left to user space.
  tl::expected<FileDescriptor, std::string> create_vm() const;
  // Bytes of the area that a vCPU shares with the kernel.
  std::size_t run_area_bytes() const { return run_area_bytes_; }
  // CPUID bits that a guest may be shown.
  const guest::FeatureSet& features() const { return features_; }
  bool has_msr(std::uint32_t index) const;
  bool has_xcrs() const { return has_xcrs_; }
  // VT-x or SVM runs the guest; else the kernel emulates what user mode cannot run.
  bool has_hardware() const { return has_hardware_; }

 private:
  KvmDevice() = default;
  int check(unsigned long capability) const;
  std::string missing_capability() const;
  bool ask_features();  // false: errno says why not
  bool ask_msrs();

  FileDescriptor fd_;
  std::size_t run_area_bytes_ = 0;
  guest::FeatureSet features_;
  std::vector<std::uint32_t> msrs_;
  bool has_xcrs_ = false, has_hardware_ = false;
};

}  // namespace ringshift::runtime
