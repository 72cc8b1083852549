// devices/acpi_tables.cc - layout and checksums of the RSDP, RSDT, XSDT, FADT, FACS, MADT and HPET
// tables.
#include "devices/acpi_tables.h"

#include <string_view>
#include <utility>

#include "devices/acpi_dsdt.h"
#include "devices/pci_firmware.h"
#include "devices/piix4_pm.h"

namespace ringshift::devices {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kHeaderBytes = 36, kChecksumAt = 9;
constexpr std::uint32_t kLocalApicBase = 0xfee00000, kIoApicBase = 0xfec00000,
                        kHpetBase = 0xfed00000;
constexpr std::uint16_t kResetPort = 0xcf9;
constexpr std::uint8_t kResetValue = 0x06;
constexpr std::uint8_t kCenturyRegister = 0x32;

void put(Bytes& out, std::uint64_t value, unsigned bytes) {
  for (unsigned i = 0; i < bytes; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}
void put(Bytes& out, std::string_view text, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i)
    out.push_back(static_cast<std::uint8_t>(i < text.size() ? text[i] : ' '));
}

// All bytes of a table add up to zero.
void set_checksum(Bytes& table, std::size_t at, std::size_t bytes) {
  std::uint8_t sum = 0;
  for (std::size_t i = 0; i < bytes; ++i) sum = static_cast<std::uint8_t>(sum + table[i]);
  table[at] = static_cast<std::uint8_t>(table[at] - sum);
}

// ACPI Specification "System Description Table Header".
Bytes table(std::string_view signature, std::uint8_t revision, const Bytes& body) {
  Bytes out;
  put(out, signature, 4);
  put(out, kHeaderBytes + body.size(), 4);
  put(out, revision, 1);
  put(out, 0, 1);  // checksum
  put(out, "RNGSFT", 6);
  put(out, "RINGSHFT", 8);
  put(out, 1, 4);
  put(out, "RNGS", 4);
  put(out, 1, 4);
  out.insert(out.end(), body.begin(), body.end());
  set_checksum(out, kChecksumAt, out.size());
  return out;
}

// "Generic Address Structure" for an I/O port; all zeros when there is no register.
void put_port(Bytes& out, std::uint16_t port, unsigned bytes) {
  constexpr std::uint8_t kSystemIo = 1;
  put(out, port ? kSystemIo : 0, 1);
  put(out, port ? 8 * bytes : 0, 1);
  put(out, 0, 2);  // bit offset; access size undefined, as the width says it
  put(out, port, 8);
}

// "Firmware ACPI Control Structure": no checksum, no OEM fields.
Bytes build_facs() {
  constexpr std::size_t kBytes = 64, kVersionAt = 32;
  Bytes out;
  put(out, "FACS", 4);
  put(out, kBytes, 4);
  out.resize(kBytes);  // no waking vector, global lock free, no flags
  out[kVersionAt] = 1;
  return out;
}

// "Fixed ACPI Description Table", revision 3.
Bytes build_fadt(const AcpiConfig& config, std::uint32_t facs, std::uint32_t dsdt) {
  const std::uint16_t pm = config.pm_base;
  const auto pm_control = static_cast<std::uint16_t>(pm + 4);
  const auto pm_timer = static_cast<std::uint16_t>(pm + 8);
  constexpr std::uint16_t kLegacyDevices = 1, kHas8042 = 2, kNoVga = 4;
  constexpr std::uint32_t kWbinvd = 1 << 0, kC1 = 1 << 2, kNoSleepButton = 1 << 5,
                          kNoFixedRtcWake = 1 << 6, kResetSupported = 1 << 10;
  const auto boot_architecture = static_cast<std::uint16_t>(
      kLegacyDevices | (config.keyboard_controller ? kHas8042 : 0) | (config.vga ? 0 : kNoVga));
  Bytes b;
  put(b, facs, 4);
  put(b, dsdt, 4);
  put(b, 1, 1);  // interrupt model of ACPI 1.0: multiple APIC
  put(b, 0, 1);  // preferred profile: unspecified
  put(b, Piix4Pm::kSciInterrupt, 2);
  put(b, Piix4Pm::kSmiBase, 4);
  put(b, Piix4Pm::kAcpiEnable, 1);
  put(b, Piix4Pm::kAcpiDisable, 1);
  put(b, 0, 2);  // S4BIOS, P-state control
  put(b, pm, 4);
  put(b, 0, 4);
  put(b, pm_control, 4);
  put(b, 0, 4);
  put(b, 0, 4);  // PM2 control
  put(b, pm_timer, 4);
  put(b, Piix4Pm::kGpeBase, 4);
  put(b, 0, 4);
  put(b, 4, 1);  // lengths: PM1 event, PM1 control, PM2 control, timer, GPE0, GPE1
  put(b, 2, 1);
  put(b, 0, 1);
  put(b, 4, 1);
  put(b, Piix4Pm::kGpeBytes, 1);
  put(b, 0, 1);
  put(b, 0, 2);       // GPE1 base, C-state control
  put(b, 0x0fff, 2);  // C2 and C3 latency: too long to be offered
  put(b, 0x0fff, 2);
  put(b, 0, 4);  // flush size and stride: WBINVD works
  put(b, 0, 2);  // duty offset and width
  put(b, 0, 2);  // day and month alarm
  put(b, kCenturyRegister, 1);
  put(b, boot_architecture, 2);
  put(b, 0, 1);
  put(b, kWbinvd | kC1 | kNoSleepButton | kNoFixedRtcWake | kResetSupported, 4);
  put_port(b, kResetPort, 1);
  put(b, kResetValue, 1);
  put(b, 0, 3);
  put(b, facs, 8);
  put(b, dsdt, 8);
  put_port(b, pm, 4);
  put_port(b, 0, 0);
  put_port(b, pm_control, 2);
  put_port(b, 0, 0);
  put_port(b, 0, 0);
  put_port(b, pm_timer, 4);
  put_port(b, Piix4Pm::kGpeBase, Piix4Pm::kGpeBytes);
  put_port(b, 0, 0);
  return table("FACP", 3, b);
}

void put_override(Bytes& out, std::uint8_t irq, std::uint32_t gsi, std::uint16_t flags) {
  put(out, 2, 1);
  put(out, 10, 1);
  put(out, 0, 1);  // ISA
  put(out, irq, 1);
  put(out, gsi, 4);
  put(out, flags, 2);
}

// "Multiple APIC Description Table".
Bytes build_madt(const AcpiConfig& config) {
  constexpr std::uint32_t kHasPics = 1, kEnabled = 1;
  constexpr std::uint16_t kConforming = 0, kLevelActiveHigh = 0x0d;
  Bytes b;
  put(b, kLocalApicBase, 4);
  put(b, kHasPics, 4);
  for (std::size_t i = 0; i < config.apic_ids.size(); ++i) {
    put(b, 0, 1);
    put(b, 8, 1);
    put(b, i, 1);
    put(b, config.apic_ids[i], 1);
    put(b, kEnabled, 4);
  }
  put(b, 1, 1);
  put(b, 12, 1);
  put(b, config.io_apic_id, 1);
  put(b, 0, 1);
  put(b, kIoApicBase, 4);
  put(b, 0, 4);  // first global interrupt
  put_override(b, 0, 2, kConforming);
  put_override(b, Piix4Pm::kSciInterrupt, Piix4Pm::kSciInterrupt, kLevelActiveHigh);
  for (std::uint8_t irq = 0; irq < 16; ++irq)
    if (kPirqElcr >> irq & 1) put_override(b, irq, irq, kLevelActiveHigh);
  put(b, 4, 1);  // NMI on LINT1 of every processor
  put(b, 6, 1);
  put(b, 0xff, 1);
  put(b, kConforming, 2);
  put(b, 1, 1);
  return table("APIC", 3, b);
}

// IA-PC HPET Specification "The ACPI 2.0 HPET Description Table".
Bytes build_hpet() {
  constexpr std::uint32_t kBlockId = 0x8086a201;  // Intel, legacy routing, 64 bits, 3 comparators
  Bytes b;
  put(b, kBlockId, 4);
  put(b, 0, 4);  // address space: memory
  put(b, kHpetBase, 8);
  put(b, 0, 1);  // number
  put(b, 0, 2);  // minimum tick
  put(b, 0, 1);  // page protection
  return table("HPET", 1, b);
}

// "Root System Description Pointer", revision 2.
Bytes build_root_pointer(std::uint32_t rsdt, std::uint32_t xsdt) {
  constexpr std::size_t kFirstRevisionBytes = 20, kBytes = 36;
  Bytes out;
  put(out, "RSD PTR ", 8);
  put(out, 0, 1);
  put(out, "RNGSFT", 6);
  put(out, 2, 1);
  put(out, rsdt, 4);
  put(out, kBytes, 4);
  put(out, xsdt, 8);
  put(out, 0, 4);
  set_checksum(out, 8, kFirstRevisionBytes);
  set_checksum(out, 32, kBytes);
  return out;
}

// Puts tables one after the other and knows where each went.
class Placer {
 public:
  explicit Placer(std::uint32_t base) : base_(base) {}
  std::uint32_t place(const Bytes& bytes) {
    constexpr std::size_t kAlignment = 64;  // what the FACS needs
    bytes_.resize((bytes_.size() + kAlignment - 1) / kAlignment * kAlignment);
    const auto address = static_cast<std::uint32_t>(base_ + bytes_.size());
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return address;
  }
  Bytes take() { return std::move(bytes_); }

 private:
  std::uint32_t base_;
  Bytes bytes_;
};

}  // namespace

AcpiImage build_acpi_tables(const AcpiConfig& config) {
  AcpiImage image;
  Placer placer(config.tables_address);
  image.facs_address = placer.place(build_facs());
  image.dsdt_address = placer.place(table("DSDT", 2, build_dsdt_body(config)));
  image.fadt_address = placer.place(build_fadt(config, image.facs_address, image.dsdt_address));
  image.madt_address = placer.place(build_madt(config));
  std::vector<std::uint32_t> listed{image.fadt_address, image.madt_address};
  if (config.hpet) {
    image.hpet_address = placer.place(build_hpet());
    listed.push_back(image.hpet_address);
  }
  Bytes rsdt, xsdt;
  for (const std::uint32_t address : listed) {
    put(rsdt, address, 4);
    put(xsdt, address, 8);
  }
  image.rsdt_address = placer.place(table("RSDT", 1, rsdt));
  image.xsdt_address = placer.place(table("XSDT", 1, xsdt));
  image.root_pointer = build_root_pointer(image.rsdt_address, image.xsdt_address);
  image.tables = placer.take();
  return image;
}

}  // namespace ringshift::devices
