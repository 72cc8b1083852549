// devices/acpi_loader.cc - which bytes of the ACPI tables a firmware has to patch after it has
// placed them.
#include "devices/acpi_loader.h"

#include <array>
#include <utility>

namespace ringshift::devices {
namespace {

constexpr std::size_t kHeaderBytes = 36, kLengthAt = 4, kChecksumAt = 9;

class Commands {
 public:
  enum class Zone : std::uint8_t { kHigh = 1, kFSegment = 2 };

  void allocate(std::string_view file, std::uint32_t alignment, Zone zone) {
    begin(1);
    put_name(file);
    put(alignment, 4);
    put(static_cast<std::uint8_t>(zone), 1);
  }
  // The pointer of `bytes` bytes in `in` holds an offset in `to`; the address of that is added.
  void add_pointer(std::string_view in, std::string_view to, std::uint32_t offset, unsigned bytes) {
    begin(2);
    put_name(in);
    put_name(to);
    put(offset, 4);
    put(bytes, 1);
  }
  void add_checksum(std::string_view file, std::uint32_t at, std::uint32_t first,
                    std::uint32_t bytes) {
    begin(3);
    put_name(file);
    put(at, 4);
    put(first, 4);
    put(bytes, 4);
  }
  std::vector<std::uint8_t> take() {
    finish();
    return std::move(bytes_);
  }

 private:
  static constexpr std::size_t kCommandBytes = 128, kNameBytes = 56;
  void finish() {
    bytes_.resize((bytes_.size() + kCommandBytes - 1) / kCommandBytes * kCommandBytes);
  }
  void begin(std::uint32_t command) {
    finish();
    put(command, 4);
  }
  void put(std::uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i)
      bytes_.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  }
  void put_name(std::string_view name) {
    for (std::size_t i = 0; i < kNameBytes; ++i)
      bytes_.push_back(i < name.size() ? static_cast<std::uint8_t>(name[i]) : 0);
  }
  std::vector<std::uint8_t> bytes_;
};

std::uint32_t length_of(const std::vector<std::uint8_t>& tables, std::uint32_t table) {
  std::uint32_t length = 0;
  for (unsigned i = 0; i < 4; ++i)
    length |= std::uint32_t{tables.at(table + kLengthAt + i)} << (8 * i);
  return length;
}

}  // namespace

AcpiLoaderFiles build_acpi_loader(AcpiConfig config) {
  config.tables_address = 0;
  AcpiImage image = build_acpi_tables(config);
  AcpiLoaderFiles files;
  constexpr auto kTables = AcpiLoaderFiles::kTablesName, kRoot = AcpiLoaderFiles::kRootName;
  Commands commands;
  commands.allocate(kTables, 64, Commands::Zone::kHigh);
  commands.allocate(kRoot, 16, Commands::Zone::kFSegment);

  const auto again = [&](std::uint32_t table) {
    image.tables.at(table + kChecksumAt) = 0;
    commands.add_checksum(kTables, static_cast<std::uint32_t>(table + kChecksumAt), table,
                          length_of(image.tables, table));
  };
  // ACPI Specification "FADT Format": FIRMWARE_CTRL, DSDT, X_FIRMWARE_CTRL, X_DSDT.
  constexpr auto kFadtPointers =
      std::to_array<std::pair<std::uint32_t, unsigned>>({{36, 4}, {40, 4}, {132, 8}, {140, 8}});
  for (const auto& [offset, bytes] : kFadtPointers)
    commands.add_pointer(kTables, kTables, image.fadt_address + offset, bytes);
  again(image.fadt_address);
  for (const auto& [table, bytes] :
       {std::pair{image.rsdt_address, 4u}, std::pair{image.xsdt_address, 8u}}) {
    for (std::uint32_t at = kHeaderBytes; at < length_of(image.tables, table); at += bytes)
      commands.add_pointer(kTables, kTables, table + at, bytes);
    again(table);
  }
  // "Root System Description Pointer (RSDP)": both addresses, both checksums.
  constexpr std::uint32_t kChecksum = 8, kRsdt = 16, kXsdt = 24, kExtendedChecksum = 32;
  commands.add_pointer(kRoot, kTables, kRsdt, 4);
  commands.add_pointer(kRoot, kTables, kXsdt, 8);
  image.root_pointer.at(kChecksum) = image.root_pointer.at(kExtendedChecksum) = 0;
  commands.add_checksum(kRoot, kChecksum, 0, 20);
  commands.add_checksum(kRoot, kExtendedChecksum, 0, 36);

  files.tables = std::move(image.tables);
  files.root_pointer = std::move(image.root_pointer);
  files.commands = commands.take();
  return files;
}

}  // namespace ringshift::devices
