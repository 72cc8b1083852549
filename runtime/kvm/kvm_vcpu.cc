// runtime/kvm/kvm_vcpu.cc - one vCPU under KVM: making it, the loop around KVM_RUN, events.
#include "runtime/kvm/kvm_vcpu.h"

#include <fmt/format.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "runtime/kvm/vcpu_setup.h"

namespace ringshift::runtime {
tl::expected<std::unique_ptr<Vcpu>, std::string> KvmVcpu::create(const KvmDevice& device,
                                                                 guest::PhysicalMemory& memory,
                                                                 const guest::CpuModel& model,
                                                                 guest::Platform& platform) {
  auto vm = device.create_vm();
  if (!vm) return tl::unexpected(vm.error());
  if (auto set = set_up_exits(vm->get()); !set) return tl::unexpected(set.error());
  FileDescriptor vcpu(::ioctl(vm->get(), KVM_CREATE_VCPU, 0));
  if (!vcpu.valid())
    return tl::unexpected(fmt::format("KVM makes no processor: {}", std::strerror(errno)));
  RunArea area(vcpu.get(), device.run_area_bytes());
  if (!area.valid())
    return tl::unexpected(fmt::format("KVM's shared memory: {}", std::strerror(errno)));
  return std::unique_ptr<Vcpu>(new KvmVcpu(device, {std::move(*vm), std::move(vcpu)},
                                           std::move(area), memory, model, platform));
}

KvmVcpu::KvmVcpu(const KvmDevice& device, Files files, RunArea area, guest::PhysicalMemory& memory,
                 const guest::CpuModel& model, guest::Platform& platform)
    : files_(std::move(files)),
      area_(std::move(area)),
      has_hardware_(device.has_hardware()),
      memory_(memory),
      model_(model),
      platform_(platform),
      slots_(files_.vm.get(), memory),
      transfer_(files_.vcpu.get(), known_msrs(device), device.has_xcrs()),
      software_(memory, state_, model, platform),
      kick_(*area_) {
  guest::reset(state_);
}

// --- from any thread -----------------------------------------------------------------------------

void KvmVcpu::inject_nmi() {
  nmi_requested_ = true;
  kick_.send();
}

void KvmVcpu::stop() {
  stop_requested_ = true;
  kick_.send();
}

// --- registers -----------------------------------------------------------------------------------

guest::CpuState& KvmVcpu::state() {
  if (running_ && !fetched_) fetch();
  return state_;
}

std::uint64_t KvmVcpu::apic_base() {
  constexpr std::uint64_t kDefault = 0xfee00900;  // enabled, bootstrap processor
  constexpr std::uint64_t kExtended = 0x400;      // x2APIC registers are the board's, not KVM's
  return platform_.apic_msr_read(kApicBaseMsr).value_or(kDefault) & ~kExtended;
}

bool KvmVcpu::fetch() {
  ++count_.fetches;
  KvmState told;
  if (auto got = transfer_.fetch(told); !got) return fail(got.error());
  from_kvm(told, state_);
  in_flight_ = told.events;
  // What is compared later is in our own terms: what the kernel tells may be spelled otherwise.
  const std::uint64_t tsc_offset = known_.tsc_offset;
  known_ = to_kvm(state_, told.sregs.apic_base);
  known_.tsc_offset = tsc_offset;
  fetched_ = true;
  return true;
}

// True when the kernel has what state_ says.
bool KvmVcpu::push() {
  // Without hardware, user code reads the host's counter whatever the offset; so that all of the
  // guest and its timers agree, its counter is the host's.
  if (!has_hardware_) state_.msr.tsc_offset = 0;
  const KvmState wanted = to_kvm(state_, apic_base());
  if (auto set = transfer_.push(wanted, known_, !pushed_once_); !set) return fail(set.error());
  pushed_once_ = true;
  known_ = wanted;
  return true;
}

bool KvmVcpu::fail(const std::string& why) {
  fmt::print(stderr, "ringshift: {}, at {:#06x}:{:#x}\n", why,
             state_.segment(guest::Seg::kCs).selector, state_.rip);
  exit_ = ExitReason::kFailed;
  return false;
}

// --- run() ---------------------------------------------------------------------------------------

bool KvmVcpu::begin() {
  if (auto updated = slots_.update(); !updated) return fail(updated.error());
  if (!pushed_once_)  // the board that knows the APIC ID was not there earlier
    if (auto set = set_cpuid(files_.vcpu.get(), model_, platform_.apic_id()); !set)
      return fail(set.error());
  if (!push()) return false;
  takes_interrupt_ = (state_.rflags & guest::flags::kIf) && !state_.interrupt_shadow;
  return true;
}

ExitReason KvmVcpu::run() {
  const Kick::Target target(kick_);
  if (!begin()) return exit_;
  running_ = true;
  for (;;) {
    kick_.clear();  // before what it may have been sent for is looked at
    if (stop_requested_.exchange(false)) return leave(ExitReason::kStopped);
    if (state_.activity == guest::Activity::kShutdown) return leave(ExitReason::kShutdown);
    take_nmi();
    take_interrupt();
    if (state_.activity == guest::Activity::kHalted) return leave(ExitReason::kHalted);
    if (enter() && !serve()) return leave(exit_);
  }
}

// The last access is completed without entering the guest, and what was to be delivered is.
ExitReason KvmVcpu::leave(ExitReason reason) {
  exit_ = reason;
  finish_access();
  if (exit_ != ExitReason::kFailed && fetch() && exit_ != ExitReason::kShutdown &&
      software_.deliver(in_flight_))
    known_.events.flags = 0;  // so that it is written, and the kernel forgets what was in flight
  running_ = false;
  return exit_;
}

// SDM Vol. 3 "Nonmaskable Interrupt (NMI)": KVM holds it back until the one before has returned.
void KvmVcpu::take_nmi() {
  if (nmi_requested_.exchange(false)) ::ioctl(files_.vcpu.get(), KVM_NMI, 0);
  if (state_.activity != guest::Activity::kHalted) return;
  kvm_vcpu_events events{};
  ::ioctl(files_.vcpu.get(), KVM_GET_VCPU_EVENTS, &events);
  if (events.nmi.pending && !events.nmi.masked) state_.activity = guest::Activity::kRunning;
}

void KvmVcpu::take_interrupt() {
  bool waits = platform_.interrupt_pending();
  if (waits && takes_interrupt_) {
    if (const auto vector = platform_.acknowledge_interrupt()) {
      kvm_interrupt interrupt{*vector};
      ::ioctl(files_.vcpu.get(), KVM_INTERRUPT, &interrupt);
      ++count_.interrupts;
      software_.tell_stolen_time();
      state_.activity = guest::Activity::kRunning;
      takes_interrupt_ = false;
    }
    waits = platform_.interrupt_pending();
  }
  area_->request_interrupt_window = waits;
}

bool KvmVcpu::enter() {
  tpr_ = platform_.task_priority();
  area_->cr8 = tpr_;
  fetched_ = false;
  access_open_ = false;
  ++count_.entries;
  kick_.entering();
  const int result = ::ioctl(files_.vcpu.get(), KVM_RUN, 0);
  const int error = errno;
  kick_.left();
  takes_interrupt_ = area_->ready_for_interrupt_injection;
  if (area_->cr8 != tpr_) platform_.set_task_priority(static_cast<std::uint8_t>(area_->cr8));
  run_error_ = result < 0 ? error : 0;
  if (run_error_ != EINTR && run_error_ != EAGAIN) return true;
  ++count_.kicks;
  return false;
}

void KvmVcpu::finish_access() {
  while (access_open_) {
    kick_.set();
    if (enter() && !serve()) return;
  }
}

std::string KvmVcpu::statistics() const {
  std::string text;
  const auto line = [&](const char* name, std::uint64_t value) {
    text += fmt::format("{:<28}{}\n", name, value);
  };
  line("guest entries", count_.entries);
  line("kicks", count_.kicks);
  line("port reads", count_.port_reads);
  line("port writes", count_.port_writes);
  line("device memory reads", count_.mmio_reads);
  line("device memory writes", count_.mmio_writes);
  line("MSR reads", count_.msr_reads);
  line("MSR writes", count_.msr_writes);
  line("halts", count_.halts);
  line("interrupt windows", count_.windows);
  line("interrupts", count_.interrupts);
  line("instructions translated", count_.translated);
  line("register fetches", count_.fetches);
  return text;
}

}  // namespace ringshift::runtime
