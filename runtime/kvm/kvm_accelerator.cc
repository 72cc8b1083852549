// runtime/kvm/kvm_accelerator.cc - Linux's KVM as an accelerator.
#include "runtime/kvm/kvm_accelerator.h"

#include <utility>

#include "runtime/kvm/kvm_vcpu.h"

namespace ringshift::runtime {
namespace {

class KvmAccelerator final : public Accelerator {
 public:
  explicit KvmAccelerator(KvmDevice device) : device_(std::move(device)) {}
  std::string_view name() const override { return "kvm"; }
  const guest::FeatureSet* features() const override { return &device_.features(); }
  tl::expected<std::unique_ptr<Vcpu>, std::string> create_vcpu(guest::PhysicalMemory& memory,
                                                               const guest::CpuModel& model,
                                                               guest::Platform& platform) override {
    return KvmVcpu::create(device_, memory, model, platform);
  }

 private:
  KvmDevice device_;
};

}  // namespace

tl::expected<std::unique_ptr<Accelerator>, std::string> create_kvm_accelerator() {
  auto device = KvmDevice::open();
  if (!device) return tl::unexpected(device.error());
  return std::make_unique<KvmAccelerator>(std::move(*device));
}

}  // namespace ringshift::runtime
