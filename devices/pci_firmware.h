// devices/pci_firmware.h - what firmware does to PCI before an operating system runs: BARs, routes,
// enables. For guests that are started without firmware; called after every reset of the machine.
#pragma once

#include <array>
#include <cstdint>

#include "devices/pci_host.h"
#include "devices/piix3_isa.h"
#include "devices/piix4_pm.h"

namespace ringshift::devices {

// ISA interrupts of PIRQ A to D. They are level-triggered: the board sets them so in the ELCR.
inline constexpr std::array<std::uint8_t, Piix3Isa::kPirqs> kPirqInterrupts{10, 10, 11, 11};
inline constexpr std::uint16_t kPirqElcr = 1 << 10 | 1 << 11;

// Places every BAR, enables decoding and bus mastering, sets interrupt lines, PIRQ routes and the
// PM base. False when the BARs do not fit (those that did not are left unplaced).
[[nodiscard]] bool set_up_pci(PciHost& host, Piix3Isa& isa, Piix4Pm& pm);

}  // namespace ringshift::devices
