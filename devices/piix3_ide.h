// devices/piix3_ide.h - the IDE function of the PIIX3 (00:01.1): two channels at the ports that
// they have always had, and a bus master. Facts: Intel 82371SB (PIIX3) data sheet, "IDE Interface".
#pragma once

#include "devices/ide_channel.h"
#include "devices/pci_device.h"

namespace ringshift::devices {

class Piix3Ide final : public PciDevice {
 public:
  static constexpr std::array<std::uint16_t, 2> kCommandBase{0x1f0, 0x170},
      kControlPort{0x3f6, 0x376};

  Piix3Ide(guest::PhysicalMemory& memory, Line& irq14, Line& irq15);
  void reset() override;

  IdeChannel& channel(unsigned index) { return channels_.at(index); }

 private:
  std::array<IdeChannel, 2> channels_;
  FunctionPorts bus_master_;
};

}  // namespace ringshift::devices
