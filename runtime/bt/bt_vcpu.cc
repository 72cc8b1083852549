// runtime/bt/bt_vcpu.cc - one vCPU under binary translation: construction, run(), the board's face.
#include "runtime/bt/bt_vcpu.h"

#include <cstring>
#include <utility>

#include "runtime/bt/host_faults.h"
#include "translator/instruction_table.h"
#include "translator/translator.h"

namespace ringshift::runtime {
namespace {

constexpr std::uint64_t kGuestSimd = 0xe7;  // x87, SSE, AVX, AVX-512

std::uint64_t host_xcr0() {
  std::uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low | static_cast<std::uint64_t>(high) << 32;
}

// SDM Vol. 1 "x87 FPU Control Word", "MXCSR": the values after reset.
void reset_simd(guest::CpuState& s) {
  s.xsave.fill(0);
  const std::uint16_t control = 0x37f;
  const std::uint32_t mxcsr = 0x1f80;
  std::memcpy(s.xsave.data(), &control, sizeof control);
  std::memcpy(s.xsave.data() + 24, &mxcsr, sizeof mxcsr);
  s.xsave[512] = 3;  // XSTATE_BV: x87 and SSE are there
}

}  // namespace

tl::expected<std::unique_ptr<Vcpu>, std::string> BtVcpu::create(guest::PhysicalMemory& memory,
                                                                const guest::CpuModel& model,
                                                                guest::Platform& platform,
                                                                const BtOptions& options) {
  auto stack = FrameStack::create();
  if (!stack) return tl::unexpected(stack.error());
  auto arena = codecache::Arena::create(options.cache_bytes);
  if (!arena) return tl::unexpected(arena.error());
  install_host_fault_handlers();
  return std::unique_ptr<Vcpu>(
      new BtVcpu(memory, model, platform, options, std::move(*stack), std::move(*arena)));
}

BtVcpu::BtVcpu(guest::PhysicalMemory& memory, const guest::CpuModel& model,
               guest::Platform& platform, const BtOptions& options, FrameStack stack,
               std::unique_ptr<codecache::Arena> arena)
    : memory_(memory),
      model_(model),
      board_(platform),
      options_(options),
      stack_(std::move(stack)),
      arena_(std::move(arena)),
      mmu_(memory, frame().state, model),
      core_{frame().state, mmu_, memory, model, *this},
      cache_(*arena_, memory, *this),
      thunks_(translator::emit_thunks(*arena_, make_hooks(), __builtin_cpu_supports("bmi2"))),
      translator_(std::make_unique<translator::Translator>(*arena_, thunks_, model)),
      simd_mask_(host_xcr0() & kGuestSimd),
      row_counts_(translator::instruction_table().size()),
      quick_counts_(row_counts_.size()) {
  arena_->seal();
  // A RIP of -1 is canonical: the RET has nothing to say about it.
  mmu_.set_unexpected_return(reinterpret_cast<std::uint64_t>(thunks_.unexpected_return));
  if (options_.memory != BtOptions::Memory::kTlb && thunks_.count_run) windows_.emplace(mmu_);
  Frame& f = frame();
  f.owner = this;
  f.selection = &mmu_.selection();
  f.jump_mask = (softmmu::kJumpSets - 1) << softmmu::kJumpShift;
  f.index_mask = (softmmu::kTlbEntries - 1) << guest::kPageShift;
  f.count_mask = (translator::kRunCounts - 1) << 3;  // blocks are longer than 8 bytes
  f.page_mask = ~guest::kPageOffsetMask;
  guest::reset(f.state);
  reset_simd(f.state);
  memory_.set_mmio_prologue(&BtVcpu::before_mmio);
}

BtVcpu::~BtVcpu() = default;

void BtVcpu::state_changed() {
  frame().simd_loaded = 0;
  translator::mode_changed(core_);
  follow_a20();
  follow_map();
  frame().interrupt_maybe = 1;
}

ExitReason BtVcpu::run() {
  set_current_vcpu(this);
  frame().loaded_view = nullptr;  // the thread, and so its GS base, may be new
  const Doing running(activity_, Activity::kGuestCode);
  for (;;) {
    const std::uint8_t* code = next();
    while (code) {
      running_ = true;
      thunks_.enter(&frame(), code);
      running_ = false;
      const translator::Leave why = std::exchange(frame().leave, translator::Leave::kDispatch);
      if (why == translator::Leave::kDispatch) {
        code = nullptr;
        break;
      }
      if (why == translator::Leave::kWindowFault) {
        look_up_instead();
        code = next();
        continue;
      }
      const auto vector = static_cast<guest::Vector>(frame().pending_vector);
      if (vector == guest::Vector::kX87Error) {
        raise_x87_error();
      } else if (vector == guest::Vector::kGeneralProtection) {
        raise(guest::general_protection());
      } else {
        raise(fault(vector));
      }
      code = next();
    }
    if (!code) break;
  }
  spill_simd();
  set_current_vcpu(nullptr);
  return exit_;
}

void BtVcpu::step() {
  start_afresh();
  state_changed();
  single_budget_ = 1;
  step_ = Step::kDue;
  run();
  step_ = Step::kNone;
  single_budget_ = 0;
}

TranslatingVcpu::Parts BtVcpu::parts() {
  return {frame(), cache_, thunks_, memory_, model_, activity_};
}

void BtVcpu::want_look() {
  look_wanted_ = true;
  frame().attention.store(1);
}

void BtVcpu::count_runs(bool on) {
  if (counts_runs_ == on) return;
  counts_runs_ = on;
  start_afresh();
}

void BtVcpu::request_interrupt() { frame().attention.store(1); }

void BtVcpu::inject_nmi() {
  nmi_requested_ = true;
  frame().attention.store(1);
}

void BtVcpu::stop() {
  stop_requested_ = true;
  frame().attention.store(1);
}

// --- the accelerator -----------------------------------------------------------------------------

namespace {
class BtAccelerator final : public Accelerator {
 public:
  explicit BtAccelerator(const BtOptions& options) : options_(options) {}
  std::string_view name() const override { return "bt"; }
  tl::expected<std::unique_ptr<Vcpu>, std::string> create_vcpu(guest::PhysicalMemory& memory,
                                                               const guest::CpuModel& model,
                                                               guest::Platform& platform) override {
    return BtVcpu::create(memory, model, platform, options_);
  }

 private:
  BtOptions options_;
};
}  // namespace

std::unique_ptr<Accelerator> create_bt_accelerator(const BtOptions& options) {
  return std::make_unique<BtAccelerator>(options);
}

}  // namespace ringshift::runtime
