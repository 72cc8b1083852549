// devices/acpi_dsdt.cc - the AML of the machine's DSDT.
#include "devices/acpi_dsdt.h"

#include <array>
#include <string>

#include "devices/pci_firmware.h"
#include "devices/pci_host.h"
#include "devices/piix3_isa.h"
#include "devices/piix4_pm.h"

namespace ringshift::devices {
namespace {

using aml::Bytes;

constexpr std::array<std::string_view, Piix3Isa::kPirqs> kLinks{"LNKA", "LNKB", "LNKC", "LNKD"};
constexpr std::uint64_t kPresent = 0x0b;  // present, enabled, functioning
constexpr std::uint32_t kHpetBase = 0xfed00000, kHpetBytes = 0x400;

// Package(4): SLP_TYP for PM1a and PM1b control, two reserved.
Bytes soft_off() {
  const Bytes type = aml::integer(Piix4Pm::kPowerOffSleepType);
  return aml::name("\\_S5", aml::package({type, type, aml::integer(0), aml::integer(0)}));
}

// Each slot's four pins, spread over the four links: {slot << 16 | any function, pin, link, 0}.
Bytes interrupt_routing() {
  std::vector<Bytes> entries;
  for (unsigned slot = 1; slot < PciHost::kSlots; ++slot)
    for (unsigned pin = 0; pin < 4; ++pin)
      entries.push_back(
          aml::package({aml::integer(slot << 16 | 0xffff), aml::integer(pin),
                        aml::reference(kLinks[Piix3Isa::pirq_of(slot, pin)]), aml::integer(0)}));
  return aml::name("_PRT", aml::package(entries));
}

// A link offers the one interrupt that firmware routed it to, so setting it has nothing to do.
Bytes link_device(unsigned pirq) {
  const Bytes interrupt = aml::resources({aml::shared_interrupt(kPirqInterrupts[pirq])});
  return aml::device(
      kLinks[pirq],
      {aml::name("_HID", aml::eisa_id("PNP0C0F")), aml::name("_UID", aml::integer(pirq)),
       aml::name("_STA", aml::integer(kPresent)), aml::name("_PRS", interrupt),
       aml::name("_CRS", interrupt), aml::method("_DIS", 0, {}), aml::method("_SRS", 1, {})});
}

Bytes root_resources(const AcpiConfig& config) {
  constexpr auto kMemoryLast = static_cast<std::uint32_t>(PciHost::kHoleEnd - 1);
  return aml::name("_CRS", aml::resources({aml::bus_range(0, 0xff), aml::port_range(0, 0xcf7),
                                           aml::ports(0xcf8, 8), aml::port_range(0xd00, 0xffff),
                                           aml::memory_range(0xa0000, 0xbffff, true),
                                           aml::memory_range(config.pci_memory_base, kMemoryLast, false)}));
}

// A PNP device with fixed ports and an interrupt.
Bytes isa_device(std::string_view path, std::string_view id, unsigned unit,
                 const std::vector<Bytes>& descriptors) {
  return aml::device(
      path,
      {aml::name("_HID", aml::eisa_id(id)), aml::name("_UID", aml::integer(unit)),
       aml::name("_STA", aml::integer(0x0f)), aml::name("_CRS", aml::resources(descriptors))});
}

Bytes serial_port(unsigned index) {
  static constexpr std::array<std::uint16_t, 4> kBase{0x3f8, 0x2f8, 0x3e8, 0x2e8};
  const std::string path = "COM" + std::to_string(index + 1);
  return isa_device(path, "PNP0501", index + 1,
                    {aml::ports(kBase[index], 8), aml::isa_interrupt(index % 2 ? 3 : 4)});
}

// Behind the ISA bridge, 00:01.0.
Bytes isa_bridge(const AcpiConfig& config) {
  std::vector<Bytes> terms{aml::name("_ADR", aml::integer(0x00010000))};
  for (unsigned i = 0; i < config.serial_ports && i < 4; ++i) terms.push_back(serial_port(i));
  terms.push_back(isa_device("RTC", "PNP0B00", 0, {aml::ports(0x70, 2), aml::isa_interrupt(8)}));
  if (config.keyboard_controller) {
    terms.push_back(isa_device("KBD", "PNP0303", 0,
                               {aml::ports(0x60, 1), aml::ports(0x64, 1), aml::isa_interrupt(1)}));
    terms.push_back(isa_device("MOU", "PNP0F13", 0, {aml::isa_interrupt(12)}));
  }
  return aml::device("ISA", terms);
}

// Ports that belong to the board, so that nothing else is put there.
Bytes motherboard_resources(const AcpiConfig& config) {
  return isa_device("MBRD", "PNP0C02", 0,
                    {aml::ports(config.pm_base, Piix4Pm::kPmBytes),
                     aml::ports(Piix4Pm::kGpeBase, Piix4Pm::kGpeBytes),
                     aml::ports(Piix4Pm::kSmiBase, Piix4Pm::kSmiBytes)});
}

Bytes hpet_device() {
  return isa_device("HPET", "PNP0103", 0, {aml::fixed_memory(kHpetBase, kHpetBytes, false)});
}

}  // namespace

aml::Bytes build_dsdt_body(const AcpiConfig& config) {
  std::vector<Bytes> root{aml::name("_HID", aml::eisa_id("PNP0A03")),
                          aml::name("_UID", aml::integer(0)),
                          aml::name("_BBN", aml::integer(0)),
                          root_resources(config),
                          interrupt_routing(),
                          isa_bridge(config)};
  std::vector<Bytes> system;
  for (unsigned pirq = 0; pirq < kLinks.size(); ++pirq) system.push_back(link_device(pirq));
  system.push_back(aml::device("PCI0", root));
  system.push_back(motherboard_resources(config));
  if (config.hpet) system.push_back(hpet_device());
  return aml::concatenate({soft_off(), aml::scope("\\_SB", system)});
}

}  // namespace ringshift::devices
