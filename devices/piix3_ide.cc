// devices/piix3_ide.cc - configuration of the PIIX3's IDE function.
// DEVIATION: the channels answer at their ports whether the timing registers enable them or not.
#include "devices/piix3_ide.h"

namespace ringshift::devices {

Piix3Ide::Piix3Ide(guest::PhysicalMemory& memory, Line& irq14, Line& irq15)
    : PciDevice({.vendor = 0x8086,
                 .device = 0x7010,
                 .class_code = 0x010180,
                 .subsystem_vendor = 0x1af4,
                 .subsystem = 0x1100}),
      channels_{IdeChannel(memory, irq14), IdeChannel(memory, irq15)},
      bus_master_(
          [this](std::uint16_t offset, unsigned size) {
            std::uint32_t value = 0;
            for (unsigned i = 0; i < size; ++i) {
              const unsigned at = offset + i;
              value |= std::uint32_t{channels_[at / 8 & 1].read_bus_master(
                           static_cast<std::uint16_t>(at % 8))}
                       << (8 * i);
            }
            return value;
          },
          [this](std::uint16_t offset, unsigned size, std::uint32_t value) {
            channels_[offset / 8 & 1].write_bus_master(static_cast<std::uint16_t>(offset % 8), size,
                                                       value);
          }) {
  define(pci::kStatus, 2, 0x0280);
  define(0x40, 4, 0x80008000, 0xffffffff);  // timing; both channels enabled
  define(0x44, 1, 0, 0xff);
  add_port_bar(4, 16, bus_master_);
}

void Piix3Ide::reset() {
  PciDevice::reset();
  for (IdeChannel& channel : channels_) channel.reset();
}

}  // namespace ringshift::devices
