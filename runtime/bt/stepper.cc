// runtime/bt/stepper.cc - single instructions by translation, for another engine.
#include "runtime/bt/bt_vcpu.h"

namespace ringshift::runtime {
namespace {

class BtStepper final : public InstructionStepper {
 public:
  explicit BtStepper(std::unique_ptr<BtVcpu> vcpu) : vcpu_(std::move(vcpu)) {}
  void step(guest::CpuState& state) override {
    vcpu_->state() = state;
    vcpu_->step();
    state = vcpu_->state();
  }

 private:
  std::unique_ptr<BtVcpu> vcpu_;
};

}  // namespace

tl::expected<std::unique_ptr<InstructionStepper>, std::string> create_bt_stepper(
    guest::PhysicalMemory& memory, const guest::CpuModel& model, guest::Platform& platform) {
  BtOptions options;
  options.cache_bytes = 1 << 20;
  options.max_block_instructions = 1;
  options.chain = false;
  options.tier = BtOptions::Tier::kFirst;
  options.memory = BtOptions::Memory::kTlb;
  auto vcpu = BtVcpu::create(memory, model, platform, options);
  if (!vcpu) return tl::unexpected(vcpu.error());
  // create() made it.
  return std::make_unique<BtStepper>(
      std::unique_ptr<BtVcpu>(static_cast<BtVcpu*>(vcpu->release())));
}

}  // namespace ringshift::runtime
