// devices/acpi_tables.h - the ACPI tables that describe this machine to an operating system.
// ACPI Specification "System Description Tables". Pure function of the configuration; the board
// puts the bytes where it said they would be.
#pragma once

#include <cstdint>
#include <vector>

namespace ringshift::devices {

struct AcpiConfig {
  // Physical address of the tables, 64-byte aligned, below 4 GiB, in memory that the memory map
  // keeps from the guest (the FACS is in there, and a guest may write to that).
  std::uint32_t tables_address = 0;
  std::vector<std::uint8_t> apic_ids{0};
  std::uint8_t io_apic_id = 0;
  unsigned serial_ports = 1;  // COM1 to COM4
  bool keyboard_controller = true;
  bool hpet = true;
  bool vga = false;
  std::uint16_t pm_base = 0x600;  // where the PM registers are: firmware may move them
  std::uint32_t pci_memory_base = 0xc0000000;  // to the end of the PCI hole
};

struct AcpiImage {
  std::vector<std::uint8_t> root_pointer;  // RSDP, for any 16-byte aligned place in E0000H-FFFFFH
  std::vector<std::uint8_t> tables;        // for AcpiConfig::tables_address
  std::uint32_t rsdt_address = 0, xsdt_address = 0, fadt_address = 0, facs_address = 0,
                dsdt_address = 0, madt_address = 0, hpet_address = 0;  // HPET 0: none
};

AcpiImage build_acpi_tables(const AcpiConfig& config);

}  // namespace ringshift::devices
