// devices/local_apic.h - one processor's local APIC, as xAPIC (MMIO) and x2APIC (MSRs).
// Owned by the board, one for each vCPU. Every call holds the device lock, except interrupt_hint().
// Tells its vCPU through a line when to look; never touches the vCPU's state.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>

#include "devices/apic_bus.h"
#include "devices/device.h"
#include "devices/local_apic_timer.h"
#include "devices/pic.h"
#include "devices/vector_set.h"

namespace ringshift::devices {

// What a local APIC tells its processor core besides maskable interrupts. Called with the device
// lock held, from any thread: implementations note the event and return.
class CpuSignals {
 public:
  virtual ~CpuSignals() = default;
  virtual void nmi() = 0;
  virtual void smi() = 0;
  virtual void init() = 0;
  virtual void startup(std::uint8_t vector) = 0;  // SIPI: start at vector * 1000H
};

struct LocalApicConfig {
  std::uint32_t id = 0;
  bool bootstrap_processor = true;
  bool x2apic = true;        // as CPUID says
  bool tsc_deadline = true;  // as CPUID says
  unsigned physical_address_bits = 40;
  // As firmware leaves the bootstrap processor: PIC interrupts through LINT0, NMI on LINT1.
  bool virtual_wire = true;
  // The guest moved or switched its APIC (new IA32_APIC_BASE). May be empty.
  std::function<void(std::uint64_t)> base_changed;
};

class LocalApic final : public MmioHandler {
 public:
  static constexpr std::uint64_t kDefaultBase = 0xfee00000, kMmioBytes = 4096;

  // `attention` is high while an interrupt is pending: "look at me". It may rise from the timer
  // thread.
  LocalApic(LocalApicConfig config, ApicBus& bus, TimerService& timers, const GuestTsc& tsc,
            CpuSignals& cpu, Line& attention);

  // RESET: everything, IA32_APIC_BASE too.
  void reset();
  // Who answers an INTA cycle for ExtINT. Without one there are no external interrupts.
  void connect_pic(ExternalInterruptSource& pic) { pic_ = &pic; }
  // The processor's interrupt pins. LINT0 is INTR while the APIC is disabled, LINT1 is NMI.
  Line& lint0() { return lint0_; }
  Line& lint1() { return lint1_; }

  // An interrupt of high enough priority, or one of the PIC's, waits. Cached: a load.
  bool interrupt_pending() const { return pending_; }
  // The same without the lock, and possibly out of date: for polling, before one takes the lock.
  // Whoever sees true under no lock must ask acknowledge(), which may say no.
  bool interrupt_hint() const { return hint_.load(std::memory_order_acquire); }
  // INTA: the vector to deliver, which is in service from now on; nothing when none waits. There is
  // no moment between INTR and INTA here in which a request could go away, hence no spurious
  // vector.
  std::optional<std::uint8_t> acknowledge();

  // CR8.
  std::uint8_t task_priority() const { return static_cast<std::uint8_t>(tpr_ >> 4); }
  void set_task_priority(std::uint8_t cr8) { write_tpr(static_cast<std::uint8_t>(cr8 << 4)); }

  // IA32_APIC_BASE, IA32_TSC_DEADLINE, 800H to 8FFH. Nothing or false: #GP(0).
  std::optional<std::uint64_t> msr_read(std::uint32_t index);
  bool msr_write(std::uint32_t index, std::uint64_t value);
  std::uint64_t base_msr() const { return base_; }
  bool enabled() const { return base_ & kBaseEnable; }  // CPUID.1:EDX.APIC follows
  std::uint32_t id() const { return config_.id; }
  // After the guest's TSC or its offset was written.
  void tsc_changed() { timer_.tsc_changed(); }

  // The 4 KiB at the address that base_msr() gives.
  std::uint64_t mmio_read(std::uint64_t offset, unsigned size) override;
  void mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) override;

  // For the bus.
  bool is_destination(const ApicMessage& message) const;
  bool accepts_fixed() const { return enabled() && software_enabled(); }
  bool receive(const ApicMessage& message);
  std::uint8_t processor_priority() const { return ppr_; }

 private:
  static constexpr std::uint64_t kBaseBootstrap = 0x100, kBaseExtended = 0x400, kBaseEnable = 0x800;
  enum Lvt : unsigned { kTimer, kThermal, kPerformance, kLint0, kLint1, kError, kLvtCount };
  enum ErrorBit : std::uint32_t {
    kSendIllegalVector = 0x20,
    kReceiveIllegalVector = 0x40,
    kIllegalRegister = 0x80,
  };

  class Pin final : public Line {
   public:
    Pin(LocalApic& apic, Lvt lvt) : apic_(apic), lvt_(lvt) {}
    void set(bool level) override { apic_.set_pin(lvt_, level); }

   private:
    LocalApic& apic_;
    Lvt lvt_;
  };

  bool extended() const { return base_ & kBaseExtended; }
  bool software_enabled() const;
  void power_up();
  bool write_base(std::uint64_t value);

  // Interrupt state (local_apic.cc).
  bool accept(std::uint8_t vector, bool level_triggered);
  void deliver_local(Lvt lvt, bool level_triggered);
  bool& pin_level(Lvt lvt) { return pin_levels_[lvt - kLint0]; }
  void set_pin(Lvt lvt, bool level);
  void sample_level_pin(Lvt lvt);
  bool external_pending() const;
  std::uint8_t next_vector() const;
  void update_priority();
  void update_pending();
  void end_of_interrupt();
  void report_error(ErrorBit error);
  void write_tpr(std::uint8_t value);
  void send_ipi();

  // Registers by number: MMIO offset / 16, x2APIC MSR - 800H (local_apic_registers.cc).
  std::optional<std::uint32_t> read_register(unsigned index);
  bool write_register(unsigned index, std::uint32_t value);  // false: there is no such register
  void write_svr(std::uint32_t value);
  void write_lvt(Lvt lvt, std::uint32_t value);
  std::uint32_t lvt_writable(Lvt lvt) const;
  std::uint32_t logical_id() const;
  std::optional<std::uint64_t> read_x2apic(unsigned index);
  bool write_x2apic(unsigned index, std::uint64_t value);
  std::uint64_t x2apic_writable(unsigned index) const;

  const LocalApicConfig config_;
  ApicBus& bus_;
  CpuSignals& cpu_;
  Line& attention_;
  ExternalInterruptSource* pic_ = nullptr;
  Pin lint0_, lint1_;
  LocalApicTimer timer_;

  std::uint64_t base_ = 0;
  VectorSet irr_, isr_, tmr_;
  std::uint8_t tpr_ = 0, ppr_ = 0;
  std::uint32_t svr_ = 0, ldr_ = 0, dfr_ = 0, divide_ = 0;
  std::uint32_t icr_low_ = 0, icr_high_ = 0;
  std::uint32_t errors_ = 0, shown_errors_ = 0;
  std::array<std::uint32_t, kLvtCount> lvt_{};
  std::array<bool, 2> pin_levels_{};
  bool external_message_ = false;  // an ExtINT message came and was not acknowledged yet

  bool pending_ = false;
  std::atomic<bool> hint_{false};
};

}  // namespace ringshift::devices
