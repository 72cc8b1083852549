// runtime/kvm/kvm_exits.cc - why the guest was left, and what is done about it. Ports, device
// memory and MSRs go where they go under translation.
#include <fmt/format.h>

#include <cstring>

#include "runtime/kvm/kvm_vcpu.h"
#include "runtime/probe.h"

namespace ringshift::runtime {

bool KvmVcpu::serve() {
  if (run_error_) return fail(fmt::format("KVM cannot run: {}", std::strerror(run_error_)));
  switch (area_->exit_reason) {
    case KVM_EXIT_IO:
      serve_port();
      return true;
    case KVM_EXIT_MMIO:
      serve_mmio();
      return true;
    case KVM_EXIT_X86_RDMSR:
      serve_msr_read();
      return true;
    case KVM_EXIT_X86_WRMSR:
      serve_msr_write();
      return true;
    case KVM_EXIT_HLT:
      ++count_.halts;
      state_.activity = guest::Activity::kHalted;
      return true;
    case KVM_EXIT_IRQ_WINDOW_OPEN:
      ++count_.windows;
      return true;
    case KVM_EXIT_SET_TPR:
    case KVM_EXIT_INTR:
      return true;
    case KVM_EXIT_SHUTDOWN:
      // A KVM without hardware also gives up where it cannot deliver an event (in 32-bit modes, and
      // INT n of user code), with the state from before; the translator knows which it is.
      if (!has_hardware_) return run_by_translation();
      state_.activity = guest::Activity::kShutdown;
      return true;
    default:
      return internal_error();
  }
}

// A repeated string instruction comes with several elements at once.
void KvmVcpu::serve_port() {
  const auto& io = area_->io;
  auto* at = reinterpret_cast<std::uint8_t*>(&*area_) + io.data_offset;
  access_open_ = true;
  for (std::uint32_t i = 0; i < io.count; ++i, at += io.size) {
    std::uint32_t value = 0;
    if (io.direction == KVM_EXIT_IO_IN) {
      ++count_.port_reads;
      value = platform_.port_read(io.port, io.size);
      std::memcpy(at, &value, io.size);
    } else {
      ++count_.port_writes;
      std::memcpy(&value, at, io.size);
      platform_.port_write(io.port, io.size, value);
    }
  }
}

void KvmVcpu::serve_mmio() {
  auto& mmio = area_->mmio;
  access_open_ = true;
  if (mmio.is_write) {
    ++count_.mmio_writes;
    memory_.write_bytes({mmio.phys_addr}, {mmio.data, mmio.len});
  } else {
    ++count_.mmio_reads;
    memory_.read_bytes({mmio.phys_addr}, {mmio.data, mmio.len});
  }
}

// KVM also asks about what it would refuse itself: of its own registers that is the answer.
bool KvmVcpu::keeps_msr(std::uint32_t reason, std::uint32_t index) const {
  constexpr std::uint32_t kX2apicFirst = 0x800, kX2apicLast = 0x8ff;
  return reason != KVM_MSR_EXIT_REASON_FILTER && (index < kX2apicFirst || index > kX2apicLast);
}

void KvmVcpu::serve_msr_read() {
  auto& msr = area_->msr;
  access_open_ = true;
  ++count_.msr_reads;
  const auto value =
      keeps_msr(msr.reason, msr.index) ? std::nullopt : software_.read_msr(msr.index);
  msr.error = !value;
  msr.data = value.value_or(0);
}

void KvmVcpu::serve_msr_write() {
  auto& msr = area_->msr;
  access_open_ = true;
  ++count_.msr_writes;
  msr.error = keeps_msr(msr.reason, msr.index) || !software_.write_msr(msr.index, msr.data);
  // Of what is ours, KVM has to know the counter's offset, and whether there is an APIC.
  if (state_.msr.tsc_offset != known_.tsc_offset || msr.index == kApicBaseMsr) {
    fetch();
    push();
  }
}

// The emulator of KVM, which serves device memory and, without hardware, ring 0, knows part of the
// instruction set; the translator knows it all.
bool KvmVcpu::run_by_translation() {
  if (!stepper_) {
    if (const auto missing = missing_for_translation(probe_host()); !missing.empty())
      return fail("KVM cannot emulate an instruction, and " + missing);
    auto stepper = create_bt_stepper(memory_, model_, platform_);
    if (!stepper) return fail(stepper.error());
    stepper_ = std::move(*stepper);
  }
  if (!fetch()) return false;
  ++count_.translated;
  stepper_->step(state_);
  known_.events.flags = 0;  // with it goes the #UD that some kernels have queued
  return push();
}

bool KvmVcpu::internal_error() {
  const auto reason = area_->exit_reason;
  if (reason == KVM_EXIT_INTERNAL_ERROR && area_->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
    return run_by_translation();
  if (!fetched_) fetch();
  if (reason == KVM_EXIT_INTERNAL_ERROR)
    return fail(fmt::format("KVM gives up with internal error {}", area_->internal.suberror));
  if (reason == KVM_EXIT_FAIL_ENTRY)
    return fail(fmt::format("the processor refuses to enter the guest, reason {:#x}",
                            area_->fail_entry.hardware_entry_failure_reason));
  return fail(fmt::format("KVM left the guest for reason {}", reason));
}

}  // namespace ringshift::runtime
