// runtime/profile/sampler.cc - a timer that interrupts the vCPU's thread and takes a sample.
//
// The timer is of wall time: one of the thread's own processor time comes with the host's tick
// only, four milliseconds apart on many hosts. A thread that waits for the guest's next interrupt
// gives no samples; while the host takes the processor away, signals do not pile up, so that costs
// one sample too many.
//
// The handler interrupts translated code (host RSP is the frame, guest registers in the host's) or
// C++ anywhere. It reads, and writes nothing but its ring and `attention`. Block look-ups are safe
// unless the cache's books are being changed, which the activity word says.
#include "runtime/profile/sampler.h"

#include <fmt/format.h>
#include <signal.h>
#include <ucontext.h>

#include <cerrno>
#include <cstring>

#include "runtime/bt/frame_stack.h"
#include "runtime/profile/stack_walk.h"

namespace ringshift::runtime::profile {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
// Added to the period, lest it keeps step with the ticks of guest and host.
constexpr std::int64_t kOutOfStepNs = 3011;
constexpr std::size_t kRingSamples = 2048;
// How long samples wait at most while the guest runs.
constexpr std::int64_t kLookNs = kNsPerSecond / 10;

std::int64_t now_ns() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * kNsPerSecond + t.tv_nsec;
}

int signal_number() { return SIGRTMIN + 2; }

}  // namespace

Sampler::Sampler(TranslatingVcpu& vcpu)
    : vcpu_(vcpu),
      parts_(vcpu.parts()),
      features_(softmmu::PagingFeatures::of(parts_.model)),
      ring_(kRingSamples) {}

tl::expected<std::unique_ptr<Sampler>, std::string> Sampler::start(TranslatingVcpu& vcpu,
                                                                   pid_t vcpu_thread, unsigned hz) {
  install_handler();
  std::unique_ptr<Sampler> sampler(new Sampler(vcpu));
  if (auto armed = sampler->arm(vcpu_thread, hz); !armed) return tl::unexpected(armed.error());
  return sampler;
}

// One per process, as signal handlers are; which sampler a signal is for comes with it.
void Sampler::install_handler() {
  static const bool once = [] {
    struct sigaction action {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    // Faults of translated code cannot happen inside the handler, and must not nest around it.
    sigfillset(&action.sa_mask);
    return ::sigaction(signal_number(), &action, nullptr) == 0;
  }();
  static_cast<void>(once);
}

tl::expected<void, std::string> Sampler::arm(pid_t vcpu_thread, unsigned hz) {
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = signal_number();
  event.sigev_value.sival_ptr = this;
  event._sigev_un._tid = vcpu_thread;
  if (::timer_create(CLOCK_MONOTONIC, &event, &timer_) != 0)
    return tl::unexpected(fmt::format("cannot create a timer: {}", std::strerror(errno)));
  armed_ = true;
  began_ns_ = looked_ns_ = now_ns();
  const std::int64_t period = kNsPerSecond / hz + kOutOfStepNs;
  period_ns_ = static_cast<std::uint64_t>(period);
  itimerspec times{};
  times.it_value = times.it_interval = {period / kNsPerSecond, period % kNsPerSecond};
  if (::timer_settime(timer_, 0, &times, nullptr) != 0)
    return tl::unexpected(fmt::format("cannot start a timer: {}", std::strerror(errno)));
  return {};
}

// On the vCPU's thread, so that no signal of the timer is still under way.
Sampler::~Sampler() {
  if (armed_) ::timer_delete(timer_);
}

void Sampler::on_signal(int, siginfo_t* info, void* context) {
  if (info->si_code != SI_TIMER) return;
  const int saved_errno = errno;
  static_cast<Sampler*>(info->si_value.sival_ptr)->take(context);
  errno = saved_errno;
}

void Sampler::take(const void* context) {
  if (ActivityWord::what(parts_.activity.get()) == Activity::kOutside) return;
  if (Sample* sample = ring_.next()) {
    const std::int64_t now = now_ns();
    sample->when_ns = now - began_ns_;
    fill(*sample, context);
    ring_.push();
    if (now - looked_ns_ < kLookNs && ring_.size() < ring_.capacity() / 2) return;
    looked_ns_ = now;
  }
  vcpu_.want_look();
}

void Sampler::fill(Sample& sample, const void* context) {
  const guest::CpuState& s = parts_.frame.state;
  sample.activity = parts_.activity.get();
  sample.flushes = parts_.cache.counters().flushes;
  sample.cr3 = s.cr3;
  sample.cpl = s.cpl;
  sample.code_bytes = static_cast<std::uint8_t>(s.code_bytes());
  sample.paging = s.paging();
  sample.rip_base = parts_.frame.rip_base;
  sample.cs_base = s.in_64bit_code() ? 0 : s.segment(guest::Seg::kCs).base;
  find_place(sample, context);

  const auto& g = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs;
  const bool in_registers = parts_.cache.arena().contains(reinterpret_cast<void*>(sample.host_ip));
  StackStart start{
      .rip = sample.rip + sample.cs_base,
      .rsp = in_registers ? static_cast<std::uint64_t>(g[REG_R15]) : s.reg(guest::Gpr::kRsp),
      .rbp = in_registers ? static_cast<std::uint64_t>(g[REG_RBP]) : s.reg(guest::Gpr::kRbp),
      .word_bytes = sample.code_bytes,
      .kernel = s.cpl != 3};
  sample.depth = 0;
  sample.comm = {};
  if (!sample.paging || sample.code_bytes < 4) return;
  const GuestKernel* kernel = kernel_.load(std::memory_order_acquire);
  GuestReader memory(parts_.memory, s, features_);
  if (kernel) kernel->current_comm(memory, s, sample.comm);
  sample.depth = static_cast<std::uint8_t>(
      walk_stack(memory, start, kernel ? kernel->orc() : nullptr, sample.frames));
}

// A block's own address, or where it called from: that lies on top of the stack below the frame.
void Sampler::find_place(Sample& sample, const void* context) const {
  const auto& g = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs;
  const auto frame = reinterpret_cast<std::uint64_t>(&parts_.frame);
  const auto rsp = static_cast<std::uint64_t>(g[REG_RSP]);
  sample.host_ip = static_cast<std::uint64_t>(g[REG_RIP]);
  sample.site = 0;
  sample.rip = parts_.frame.state.rip;
  if (is_between_blocks(ActivityWord::what(sample.activity))) return;
  // In run() itself, on the thread's own stack.
  if (rsp > frame || frame - rsp > FrameStack::kStackBytes) return;
  std::uint64_t site = sample.host_ip;
  if (rsp < frame) {
    std::memcpy(&site, reinterpret_cast<const void*>(frame - sizeof site), sizeof site);
    --site;  // of the call itself, which may be the block's last instruction
  }
  const auto* block = parts_.cache.find_host(reinterpret_cast<const void*>(site));
  if (!block) {
    // Jumped to, on the way to other code: R11 is its RIP, or its host address.
    if (rsp != frame) return;
    site = static_cast<std::uint64_t>(g[REG_R11]);
    block = parts_.cache.find_host(reinterpret_cast<const void*>(site));
    if (!block) {
      sample.rip = sample.rip_base;
      return;
    }
  }
  sample.site = site;
  const auto* point = block->fault_point(reinterpret_cast<const std::uint8_t*>(site));
  sample.rip = sample.rip_base + block->start_offset() + (point ? point->guest_offset : 0);
}

}  // namespace ringshift::runtime::profile
