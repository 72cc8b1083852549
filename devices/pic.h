// devices/pic.h - the PC's pair of 8259A interrupt controllers with the ELCR of PCI chipsets.
// Owns the request, service and mask state of IRQ 0..15; drives one INTR line. Device lock held for
// every call. Never knows whether a local APIC or the processor itself takes its interrupts.
#pragma once

#include <cstdint>
#include <optional>

#include "devices/byte_ports.h"
#include "devices/device.h"

namespace ringshift::devices {

// What answers an INTA cycle: the vector of the interrupt that INTR asked for.
class ExternalInterruptSource {
 public:
  virtual ~ExternalInterruptSource() = default;
  virtual std::uint8_t acknowledge() = 0;
};

// One chip. Intel 8259A data sheet.
class Pic8259 final : public BytePorts {
 public:
  enum class Role { kMaster, kSlave };
  // `elcr_mask`: inputs whose trigger mode the ELCR may change.
  Pic8259(Role role, std::uint8_t elcr_mask, Line& intr);

  void set_input(unsigned pin, bool level);
  // INTA: the input that is now in service, or nothing when the request went away (the chip then
  // answers as for input 7, with nothing in service).
  std::optional<unsigned> begin_service();
  std::uint8_t vector_base() const { return vector_base_; }

  std::uint8_t elcr() const { return elcr_; }
  void set_elcr(std::uint8_t value);

 private:
  std::uint8_t read_byte(std::uint16_t offset) override;
  void write_byte(std::uint16_t offset, std::uint8_t value) override;

  enum class Expects { kOperation, kIcw2, kIcw3, kIcw4 };

  std::optional<unsigned> requested() const;
  unsigned first_in_priority(std::uint8_t set) const;
  std::uint8_t level_inputs() const { return level_triggered_ ? 0xff : elcr_; }
  void follow_levels();
  void update_intr();

  void write_icw1(std::uint8_t value);
  void write_next_icw(std::uint8_t value);
  void write_ocw2(std::uint8_t value);
  void write_ocw3(std::uint8_t value);
  void end_of_interrupt(unsigned pin, bool rotate);

  const Role role_;
  const std::uint8_t elcr_mask_;
  Line& intr_;

  std::uint8_t inputs_ = 0;  // levels now
  std::uint8_t irr_ = 0, isr_ = 0, imr_ = 0, elcr_ = 0;
  std::uint8_t vector_base_ = 0;
  std::uint8_t lowest_ = 7;  // the input that has the lowest priority
  Expects expects_ = Expects::kOperation;
  bool needs_icw3_ = false, needs_icw4_ = false;
  bool level_triggered_ = false;  // LTIM
  bool auto_eoi_ = false, rotate_in_auto_eoi_ = false;
  bool special_fully_nested_ = false, special_mask_ = false;
  bool poll_ = false, read_isr_ = false;
};

class PicPair final : public ExternalInterruptSource {
 public:
  explicit PicPair(Line& intr);

  // ISA IRQ 0..15; 2 is the cascade and goes nowhere.
  Line& input(unsigned irq) { return inputs_[irq & 15]; }
  std::uint8_t acknowledge() override;

  PortHandler& master_ports() { return master_; }  // 20H, 21H
  PortHandler& slave_ports() { return slave_; }    // A0H, A1H
  PortHandler& elcr_ports() { return elcr_; }      // 4D0H, 4D1H

 private:
  class Input final : public Line {
   public:
    void connect(Pic8259* chip, unsigned pin) { chip_ = chip, pin_ = pin; }
    void set(bool level) override {
      if (chip_) chip_->set_input(pin_, level);
    }

   private:
    Pic8259* chip_ = nullptr;
    unsigned pin_ = 0;
  };
  class ElcrPorts final : public BytePorts {
   public:
    ElcrPorts(Pic8259& master, Pic8259& slave) : master_(master), slave_(slave) {}

   private:
    std::uint8_t read_byte(std::uint16_t offset) override;
    void write_byte(std::uint16_t offset, std::uint8_t value) override;
    Pic8259& master_;
    Pic8259& slave_;
  };

  static constexpr unsigned kCascadePin = 2;

  Pic8259 master_;
  Input cascade_;
  Pic8259 slave_;
  ElcrPorts elcr_;
  Input inputs_[16];
};

}  // namespace ringshift::devices
