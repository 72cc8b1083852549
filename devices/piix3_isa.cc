// devices/piix3_isa.cc - PIRQ routing of the PCI-to-ISA bridge.
// Facts: Intel 82371SB (PIIX3) data sheet, "PIRQ Route Control Registers".
#include "devices/piix3_isa.h"

namespace ringshift::devices {
namespace {
constexpr std::uint8_t kNotRouted = 0x80, kIsaInterrupt = 0x0f;
// Interrupts that the bridge may not steer to: 0, 1, 2, 8 and 13 belong to the board.
constexpr std::uint16_t kForbidden = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 8 | 1 << 13;
}  // namespace

Piix3Isa::Piix3Isa(const std::array<Line*, kIsaLines>& isa_lines)
    : PciDevice({.vendor = 0x8086,
                 .device = 0x7000,
                 .class_code = 0x060100,
                 .subsystem_vendor = 0x1af4,
                 .subsystem = 0x1100}),
      isa_lines_(isa_lines) {
  define(pci::kCommand, 2, pci::kCommandIo | pci::kCommandMemory | pci::kCommandMaster,
         pci::kCommandSerr);
  define(pci::kStatus, 2, 0x0200);
  define(pci::kHeaderType, 1, pci::kMultifunction);
  define(0x4c, 1, 0x4d, 0xff);      // ISA I/O recovery timer
  define(0x4e, 2, 0x0003, 0x07ff);  // X-bus chip select
  define(kRouteControl, 4, 0x80808080, 0x8f8f8f8f);
  define(0x69, 1, 0x02, 0xfe);  // top of memory
  define(0x82, 1, 0x00, 0x0f);  // deterministic latency control
}

void Piix3Isa::reset() {
  PciDevice::reset();
  asserted_.fill(0);
  pirq_asserted_.fill(0);
  update_lines();
}

void Piix3Isa::set_interrupt(unsigned slot, unsigned pin, bool level) {
  const auto bit = static_cast<std::uint8_t>(1u << pin);
  std::uint8_t& pins = asserted_.at(slot);
  if (((pins & bit) != 0) == level) return;
  pins ^= bit;
  unsigned& holders = pirq_asserted_[pirq_of(slot, pin)];
  level ? ++holders : --holders;
  update_lines();
}

void Piix3Isa::config_written(std::uint8_t offset, unsigned size) {
  if (offset < kRouteControl + kPirqs && offset + size > kRouteControl) update_lines();
}

void Piix3Isa::update_lines() {
  std::array<bool, kIsaLines> level{};
  for (unsigned pirq = 0; pirq < kPirqs; ++pirq) {
    const auto route = config(static_cast<std::uint8_t>(kRouteControl + pirq), 1);
    const unsigned irq = route & kIsaInterrupt;
    if (!(route & kNotRouted) && !(kForbidden >> irq & 1) && pirq_asserted_[pirq])
      level[irq] = true;
  }
  for (unsigned irq = 0; irq < kIsaLines; ++irq) {
    if (level[irq] == level_[irq]) continue;
    level_[irq] = level[irq];
    if (isa_lines_[irq]) isa_lines_[irq]->set(level[irq]);
  }
}

}  // namespace ringshift::devices
