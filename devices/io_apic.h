// devices/io_apic.h - the 82093AA I/O APIC (version 20H, with its EOI register): 24 pins to
// messages. Owned by the board, which also decides which ISA IRQ reaches which pin (IRQ 0: pin 2).
// Device lock held for every call. A pin's Line says "asserted" or not; the polarity bits are only
// kept.
#pragma once

#include <array>
#include <cstdint>

#include "devices/apic_bus.h"
#include "devices/device.h"

namespace ringshift::devices {

class IoApic final : public MmioHandler, public EoiListener {
 public:
  static constexpr unsigned kPins = 24;
  static constexpr std::uint64_t kDefaultBase = 0xfec00000, kMmioBytes = 4096;

  // Attaches itself to the bus for EOIs.
  explicit IoApic(ApicBus& bus, std::uint8_t id = 0);

  void reset();
  Line& pin(unsigned number) { return pins_[number % kPins]; }

  std::uint64_t mmio_read(std::uint64_t offset, unsigned size) override;
  void mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) override;
  void end_of_interrupt(std::uint8_t vector) override;

 private:
  class Pin final : public Line {
   public:
    void connect(IoApic* apic, unsigned number) { apic_ = apic, number_ = number; }
    void set(bool level) override { apic_->set_pin(number_, level); }

   private:
    IoApic* apic_ = nullptr;
    unsigned number_ = 0;
  };

  std::uint32_t read_register(std::uint8_t index) const;
  void write_register(std::uint8_t index, std::uint32_t value);
  void write_entry(unsigned pin, std::uint64_t value);
  void set_pin(unsigned pin, bool level);
  void sample_level(unsigned pin);
  bool send(unsigned pin);

  ApicBus& bus_;
  const std::uint8_t reset_id_;
  std::uint8_t id_ = 0, select_ = 0;
  std::array<std::uint64_t, kPins> entries_{};
  std::uint32_t asserted_ = 0;  // bit n: pin n
  std::array<Pin, kPins> pins_;
};

}  // namespace ringshift::devices
