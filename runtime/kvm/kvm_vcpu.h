// runtime/kvm/kvm_vcpu.h - one vCPU under KVM: registers in and out, exits, events. The interrupt
// controllers are the board's: KVM makes none. Everything but the Vcpu methods marked "from any
// thread" belongs to the thread that run()s.
//
// How this works: while run() is not executing, `state_` is complete and nothing is in flight in
// the kernel: an access that it had begun is completed, an event that it had begun to deliver is
// delivered. run() writes what was changed since, whoever changed it. Inside run() the registers
// are the kernel's; state() fetches them when a device asks.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "runtime/accelerator.h"
#include "runtime/bt/bt_accelerator.h"
#include "runtime/kvm/kick.h"
#include "runtime/kvm/kvm_device.h"
#include "runtime/kvm/kvm_state.h"
#include "runtime/kvm/memory_slots.h"
#include "runtime/kvm/run_area.h"
#include "runtime/kvm/software_side.h"

namespace ringshift::runtime {

class KvmVcpu final : public Vcpu {
 public:
  static tl::expected<std::unique_ptr<Vcpu>, std::string> create(const KvmDevice& device,
                                                                 guest::PhysicalMemory& memory,
                                                                 const guest::CpuModel& model,
                                                                 guest::Platform& platform);

  guest::CpuState& state() override;
  void state_changed() override {}  // run() compares
  ExitReason run() override;
  void request_interrupt() override { kick_.send(); }
  void inject_nmi() override;
  void stop() override;
  std::string statistics() const override;

 private:
  static constexpr std::uint32_t kApicBaseMsr = 0x1b;
  struct Files {
    FileDescriptor vm, vcpu;
  };
  KvmVcpu(const KvmDevice& device, Files files, RunArea area, guest::PhysicalMemory& memory,
          const guest::CpuModel& model, guest::Platform& platform);

  // --- kvm_vcpu.cc: the loop, and events ---
  bool begin();  // false: failed
  ExitReason leave(ExitReason reason);
  void take_nmi();
  void take_interrupt();
  bool enter();  // true: an exit is to be served
  void finish_access();
  bool fetch();
  bool push();
  bool fail(const std::string& why);

  // --- kvm_exits.cc ---
  bool serve();  // false: run() ends with exit_
  void serve_port();
  void serve_mmio();
  void serve_msr_read();
  void serve_msr_write();
  bool keeps_msr(std::uint32_t reason, std::uint32_t index) const;
  bool internal_error();
  bool run_by_translation();

  std::uint64_t apic_base();

  Files files_;
  RunArea area_;
  const bool has_hardware_;
  guest::PhysicalMemory& memory_;
  const guest::CpuModel& model_;
  guest::Platform& platform_;
  guest::CpuState state_;
  KvmState known_;               // what the kernel has
  kvm_vcpu_events in_flight_{};  // as last fetched
  MemorySlots slots_;
  KvmStateTransfer transfer_;
  SoftwareSide software_;
  std::unique_ptr<InstructionStepper> stepper_;  // made when it is first needed
  Kick kick_;
  std::atomic<bool> stop_requested_ = false, nmi_requested_ = false;
  ExitReason exit_ = ExitReason::kStopped;
  bool pushed_once_ = false;
  bool running_ = false;      // in run()
  bool fetched_ = true;       // state_ is as the kernel's
  bool access_open_ = false;  // the kernel waits for the answer to its last exit
  bool takes_interrupt_ = false;
  int run_error_ = 0;
  std::uint64_t tpr_ = 0;  // CR8 as the kernel got it
  struct {
    std::uint64_t entries = 0, kicks = 0, port_reads = 0, port_writes = 0, mmio_reads = 0,
                  mmio_writes = 0, msr_reads = 0, msr_writes = 0, halts = 0, windows = 0,
                  interrupts = 0, fetches = 0, translated = 0;
  } count_;
};

}  // namespace ringshift::runtime
