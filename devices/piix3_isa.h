// devices/piix3_isa.h - the PCI-to-ISA bridge (00:01.0): routes PCI interrupt pins to ISA
// interrupts.
#pragma once

#include <array>
#include <cstdint>

#include "devices/pci_device.h"
#include "devices/pci_host.h"

namespace ringshift::devices {

// PIRQ route control registers A to D; slots take turns: INTx of slot s is PIRQ (s - 1 + x) mod 4.
class Piix3Isa final : public PciDevice, public PciInterruptRouter {
 public:
  static constexpr unsigned kPirqs = 4, kIsaLines = 16;
  static constexpr std::uint8_t kRouteControl = 0x60;

  // One line per ISA interrupt, for the PCI interrupts alone; null where none may go.
  explicit Piix3Isa(const std::array<Line*, kIsaLines>& isa_lines);

  void reset() override;
  void set_interrupt(unsigned slot, unsigned pin, bool level) override;

  static constexpr unsigned pirq_of(unsigned slot, unsigned pin) { return (slot + 3 + pin) % 4; }

 private:
  void config_written(std::uint8_t offset, unsigned size) override;
  void update_lines();

  std::array<Line*, kIsaLines> isa_lines_;
  std::array<std::uint8_t, PciHost::kSlots> asserted_{};  // per slot, a bit per pin
  std::array<unsigned, kPirqs> pirq_asserted_{};          // how many pins hold each PIRQ
  std::array<bool, kIsaLines> level_{};
};

}  // namespace ringshift::devices
