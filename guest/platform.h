// guest/platform.h - what a processor sees of the board around it: ports, interrupt pins, APIC,
// time. Implemented by runtime/ over devices/; every call comes from the vCPU's thread.
#pragma once

#include <cstdint>
#include <optional>

namespace ringshift::guest {

class Platform {
 public:
  virtual ~Platform() = default;

  // `size` is 1, 2 or 4; unclaimed ports read as all ones.
  virtual std::uint32_t port_read(std::uint16_t port, unsigned size) = 0;
  virtual void port_write(std::uint16_t port, unsigned size, std::uint32_t value) = 0;

  // A maskable interrupt is pending above the current priority (LAPIC, or the PIC through it).
  virtual bool interrupt_pending() = 0;
  // INTA cycle: the vector to deliver, or nothing when the request went away (then no interrupt).
  virtual std::optional<std::uint8_t> acknowledge_interrupt() = 0;

  // CR8 / TPR[7:4].
  virtual std::uint8_t task_priority() = 0;
  virtual void set_task_priority(std::uint8_t cr8) = 0;

  // IA32_APIC_BASE, IA32_TSC_DEADLINE and the x2APIC range 800H..8FFH; nullopt/false: #GP(0).
  virtual std::optional<std::uint64_t> apic_msr_read(std::uint32_t index) = 0;
  virtual bool apic_msr_write(std::uint32_t index, std::uint64_t value) = 0;
  virtual std::uint32_t apic_id() = 0;
  // The guest moved its time-stamp counter: a deadline in its terms is at another time now.
  virtual void tsc_changed() {}

  // Guest time now, and when it began as Unix time; nanoseconds.
  struct Time {
    std::int64_t now = 0, began_at = 0;
  };
  virtual Time time() { return {}; }
  // How long the host's scheduler has kept this processor from running; nanoseconds.
  virtual std::uint64_t stolen_ns() { return 0; }

  // A20M# is not asserted. Changes only within port_write() and with a reset.
  virtual bool a20_open() const { return true; }

  // FERR#: x87 error reported through the PIC when CR0.NE = 0.
  virtual void raise_ferr() = 0;
  // The processor entered shutdown (triple fault).
  virtual void triple_fault() = 0;
};

}  // namespace ringshift::guest
