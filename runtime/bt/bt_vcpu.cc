// runtime/bt/bt_vcpu.cc - one vCPU under binary translation: construction, run(), the board's face.
#include "runtime/bt/bt_vcpu.h"

#include <fmt/core.h>
#include <ucontext.h>
#include <x86intrin.h>

#include "runtime/bt/host_faults.h"

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
      translator_(*arena_, thunks_, model),
      simd_mask_(host_xcr0() & kGuestSimd) {
  arena_->seal();
  Frame& f = frame();
  f.owner = this;
  f.jump_mask = softmmu::kJumpEntries - 1;
  f.index_mask = (softmmu::kTlbEntries - 1) << guest::kPageShift;
  f.page_mask = ~guest::kPageOffsetMask;
  guest::reset(f.state);
  reset_simd(f.state);
  memory_.set_mmio_prologue(&BtVcpu::before_mmio);
}

BtVcpu::~BtVcpu() = default;

void BtVcpu::state_changed() {
  frame().simd_loaded = 0;
  translator::mode_changed(core_);
  mmu_.flush_all(false);
  interrupt_maybe_ = true;
}

ExitReason BtVcpu::run() {
  set_current_vcpu(this);
  loaded_view_ = nullptr;  // the thread, and so its GS base, may be new
  for (;;) {
    const std::uint8_t* code = next();
    while (code) {
      running_ = true;
      thunks_.enter(&frame(), code);
      running_ = false;
      if (frame().leave != translator::Leave::kHostFault) {
        code = nullptr;
        break;
      }
      frame().leave = translator::Leave::kDispatch;
      const auto vector = static_cast<guest::Vector>(frame().pending_vector);
      if (vector == guest::Vector::kX87Error && !(state().cr0 & guest::cr0::kNe)) {
        raise_ferr();  // and the instruction waits, by running again, for the interrupt
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

void BtVcpu::request_interrupt() { frame().attention.store(1); }

void BtVcpu::inject_nmi() {
  nmi_requested_ = true;
  frame().attention.store(1);
}

void BtVcpu::stop() {
  stop_requested_ = true;
  frame().attention.store(1);
}

// --- guest::Platform -----------------------------------------------------------------------------

std::uint32_t BtVcpu::port_read(std::uint16_t port, unsigned size) {
  spill_simd();
  return board_.port_read(port, size);
}
void BtVcpu::port_write(std::uint16_t port, unsigned size, std::uint32_t value) {
  spill_simd();
  board_.port_write(port, size, value);
}
bool BtVcpu::interrupt_pending() {
  spill_simd();
  return board_.interrupt_pending();
}
std::optional<std::uint8_t> BtVcpu::acknowledge_interrupt() {
  spill_simd();
  return board_.acknowledge_interrupt();
}
std::uint8_t BtVcpu::task_priority() {
  spill_simd();
  return board_.task_priority();
}
void BtVcpu::set_task_priority(std::uint8_t cr8) {
  spill_simd();
  board_.set_task_priority(cr8);
  interrupt_maybe_ = true;
}
std::optional<std::uint64_t> BtVcpu::apic_msr_read(std::uint32_t index) {
  spill_simd();
  return board_.apic_msr_read(index);
}
bool BtVcpu::apic_msr_write(std::uint32_t index, std::uint64_t value) {
  spill_simd();
  interrupt_maybe_ = true;
  return board_.apic_msr_write(index, value);
}
std::uint32_t BtVcpu::apic_id() {
  spill_simd();
  return board_.apic_id();
}
void BtVcpu::raise_ferr() {
  spill_simd();
  board_.raise_ferr();
}
void BtVcpu::triple_fault() {
  spill_simd();
  board_.triple_fault();
}

void BtVcpu::before_mmio() {
  if (BtVcpu* vcpu = current_vcpu()) {
    vcpu->spill_simd();
    vcpu->interrupt_maybe_ = true;
  }
}

// --- codecache::CacheListener --------------------------------------------------------------------

void BtVcpu::blocks_removed() {
  code_changed_ = true;
  mmu_.flush_jumps();
}

void BtVcpu::page_watched(guest::PhysicalAddress page) { mmu_.drop_writable(page); }

// --- host faults ---------------------------------------------------------------------------------

bool BtVcpu::on_host_fault(int trap_number, void* context) {
  auto& g = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto* rip = reinterpret_cast<const std::uint8_t*>(g[REG_RIP]);
  if (!running_ || !arena_->contains(rip)) return false;
  const auto vector = static_cast<guest::Vector>(trap_number);
  if (vector != guest::Vector::kDivideError && vector != guest::Vector::kX87Error &&
      vector != guest::Vector::kSimdError && vector != guest::Vector::kGeneralProtection &&
      vector != guest::Vector::kInvalidOpcode)
    return false;
  const codecache::Block* block = cache_.find_host(rip);
  const codecache::FaultPoint* point = block ? block->fault_point(rip) : nullptr;
  if (!point) return false;
  Frame& f = frame();
  constexpr std::pair<int, unsigned> kMap[] = {
      {REG_RAX, 0},  {REG_RCX, 1},  {REG_RDX, 2}, {REG_RBX, 3}, {REG_R15, 4},
      {REG_RBP, 5},  {REG_RSI, 6},  {REG_RDI, 7}, {REG_R8, 8},  {REG_R9, 9},
      {REG_R12, 12}, {REG_R13, 13}, {REG_R14, 14}};
  for (const auto& [host, guest] : kMap) f.state.gpr[guest] = static_cast<std::uint64_t>(g[host]);
  f.state.rflags = (f.state.rflags & ~(guest::flags::kArithmetic | guest::flags::kDf)) |
                   (static_cast<std::uint64_t>(g[REG_EFL]) & guest::flags::kArithmetic) |
                   (f.direction ? guest::flags::kDf : 0);
  f.state.rip = wrap_rip(f.rip_base + block->start_offset() + point->guest_offset);
  f.pending_vector = static_cast<std::uint32_t>(vector);
  f.leave = translator::Leave::kHostFault;
  g[REG_RIP] = reinterpret_cast<greg_t>(thunks_.leave);
  g[REG_RSP] = reinterpret_cast<greg_t>(&f);
  return true;
}

std::string BtVcpu::statistics() const {
  const auto& c = cache_.counters();
  const auto& m = mmu_.counters();
  const double expansion =
      c.guest_bytes ? static_cast<double>(c.host_bytes) / static_cast<double>(c.guest_bytes) : 0;
  return fmt::format(
      "blocks translated      {}\nguest instructions     {}\nguest bytes            {}\n"
      "host bytes             {}\nexpansion              {:.2f}\nlinks                  {}\n"
      "blocks invalidated     {}\nwrites to code pages   {}\ncache flushes          {}\n"
      "dispatches             {}\ncall-outs              {}\nexceptions             {}\n"
      "interrupts             {}\nTLB read misses        {}\nTLB write misses       {}\n"
      "slow reads             {}\nslow writes            {}\npage walks             {}\n"
      "TLB flushes            {}\npage flushes           {}\nview switches          {}\n",
      c.blocks, c.instructions, c.guest_bytes, c.host_bytes, expansion, c.links,
      c.invalidated_blocks, c.watched_writes, c.flushes, dispatches_, call_outs_, faults_,
      interrupts_, m.read_misses, m.write_misses, m.slow_reads, m.slow_writes, m.walks,
      m.full_flushes, m.page_flushes, m.view_switches);
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
