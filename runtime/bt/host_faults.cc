// runtime/bt/host_faults.cc - host exceptions raised by translated code become the guest's.
#include "runtime/bt/host_faults.h"

#include <ucontext.h>

#include <array>
#include <csignal>

#include "runtime/bt/bt_vcpu.h"

namespace ringshift::runtime {
namespace {

thread_local BtVcpu* the_vcpu = nullptr;

// The process's handlers for what translated code can raise, and those that were there before.
class HostFaultHandlers {
 public:
  // Constructed before install(), so that the handler never waits for its construction.
  static HostFaultHandlers& instance() {
    static HostFaultHandlers handlers;
    return handlers;
  }

  bool install() {
    // Read first: a signal between the two calls would otherwise be passed on to nothing.
    for (std::size_t i = 0; i < kSignals.size(); ++i)
      sigaction(kSignals[i], nullptr, &previous_[i]);
    struct sigaction action = {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigfillset(&action.sa_mask);
    for (const int signal : kSignals) sigaction(signal, &action, nullptr);
    return true;
  }

  // Async-signal-safe. A faulting instruction runs again and meets the previous handler by itself;
  // a signal that was sent, or that follows its instruction, has to be raised again. It is blocked
  // until our handler returns.
  void pass_on(int signal, bool happens_again) const {
    for (std::size_t i = 0; i < kSignals.size(); ++i)
      if (kSignals[i] == signal) sigaction(signal, &previous_[i], nullptr);
    if (!happens_again) raise(signal);
  }

 private:
  static constexpr std::array kSignals = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};

  HostFaultHandlers() = default;

  static void on_signal(int signal, siginfo_t* info, void* context) {
    const auto* uc = static_cast<const ucontext_t*>(context);
    // Not positive: another process sent it, and the trap number is that of some earlier fault.
    const bool raised_here = info->si_code > 0;
    const int trap = static_cast<int>(uc->uc_mcontext.gregs[REG_TRAPNO]);
    if (raised_here && the_vcpu && the_vcpu->on_host_fault(trap, context)) return;
    instance().pass_on(signal, raised_here && signal != SIGTRAP);
  }

  std::array<struct sigaction, kSignals.size()> previous_ = {};
};

}  // namespace

BtVcpu* current_vcpu() { return the_vcpu; }
void set_current_vcpu(BtVcpu* vcpu) { the_vcpu = vcpu; }

void install_host_fault_handlers() {
  static const bool once = HostFaultHandlers::instance().install();
  static_cast<void>(once);
}

// A copy of an instruction in a store's stub faults for the instruction in the block.
const std::uint8_t* BtVcpu::fault_site(const std::uint8_t* rip) const {
  if (cache_.find_host(rip)) return rip;
  const std::uint8_t *start = nullptr, *site = rip;
  for (const auto& [in_block, stub] : store_stubs_)
    if (stub <= rip && stub > start) {
      start = stub;
      site = in_block;
    }
  return site;
}

// The guest's state as it was before the instruction, and the way out of translated code.
void BtVcpu::leave_at_fault(const codecache::Block& block, const codecache::FaultPoint& point,
                            void* context, translator::Leave reason) {
  auto& g = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  Frame& f = frame();
  constexpr std::pair<int, unsigned> kMap[] = {
      {REG_RAX, 0},  {REG_RCX, 1},  {REG_RDX, 2}, {REG_RBX, 3}, {REG_R15, 4},
      {REG_RBP, 5},  {REG_RSI, 6},  {REG_RDI, 7}, {REG_R8, 8},  {REG_R9, 9},
      {REG_R12, 12}, {REG_R13, 13}, {REG_R14, 14}};
  for (const auto& [host, guest] : kMap) f.state.gpr[guest] = static_cast<std::uint64_t>(g[host]);
  if (point.rsp_ahead) {
    std::uint64_t& rsp = f.state.reg(guest::Gpr::kRsp);
    rsp += static_cast<std::uint64_t>(std::int64_t{point.rsp_ahead});
    if (!translator::ModeKey(block.key.mode).is_64bit()) rsp &= 0xffffffff;
  }
  if (point.flags_saved)
    f.state.rflags = translator::materialize_flags(f);
  else
    f.state.rflags = f.other_flags | f.direction | f.interrupt_flag |
                     (static_cast<std::uint64_t>(g[REG_EFL]) & guest::flags::kArithmetic);
  f.state.rip = wrap_rip(f.rip_base + block.start_offset() + point.guest_offset);
  f.leave = reason;
  g[REG_RIP] = reinterpret_cast<greg_t>(thunks_.leave);
  g[REG_RSP] = reinterpret_cast<greg_t>(&f);
}

bool BtVcpu::on_host_fault(int trap_number, void* context) {
  auto& g = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto* rip = reinterpret_cast<const std::uint8_t*>(g[REG_RIP]);
  if (!running_ || !arena_->contains(rip)) return false;
  const auto vector = static_cast<guest::Vector>(trap_number);
  if (vector == guest::Vector::kPageFault || vector == guest::Vector::kGeneralProtection ||
      vector == guest::Vector::kStackFault) {
    codecache::Block* block = cache_.find_host(rip);
    auto* point = block ? const_cast<codecache::FaultPoint*>(block->fault_point(rip)) : nullptr;
    if (point && point->window_base != codecache::FaultPoint::kNoWindow) {
      if (mend_window(*point, context)) return true;
      note_window_fault(*point);
      window_fault_ = rip;
      leave_at_fault(*block, *point, context, translator::Leave::kWindowFault);
      return true;
    }
  }
  if (vector != guest::Vector::kDivideError && vector != guest::Vector::kX87Error &&
      vector != guest::Vector::kSimdError && vector != guest::Vector::kGeneralProtection &&
      vector != guest::Vector::kInvalidOpcode)
    return false;
  const std::uint8_t* site = fault_site(rip);
  const codecache::Block* block = cache_.find_host(site);
  const codecache::FaultPoint* point = block ? block->fault_point(site) : nullptr;
  if (!point) return false;
  frame().pending_vector = static_cast<std::uint32_t>(vector);
  leave_at_fault(*block, *point, context, translator::Leave::kHostFault);
  return true;
}

}  // namespace ringshift::runtime
