// devices/acpi_loader.h - the ACPI tables for a firmware that places them itself: fw_cfg files and
// the commands that say where pointers and checksums are in them.
// Facts: QEMU's "bios-linker-loader" as SeaBIOS and OVMF read it.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "devices/acpi_tables.h"

namespace ringshift::devices {

struct AcpiLoaderFiles {
  static constexpr std::string_view kTablesName = "etc/acpi/tables", kRootName = "etc/acpi/rsdp",
                                    kCommandsName = "etc/table-loader";
  std::vector<std::uint8_t> tables, root_pointer, commands;
};

// `config.tables_address` is not looked at: pointers are offsets in the tables' file.
AcpiLoaderFiles build_acpi_loader(AcpiConfig config);

}  // namespace ringshift::devices
