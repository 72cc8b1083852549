// devices/acpi_dsdt.h - the machine's DSDT: soft-off, the PCI root with its interrupt routing, ISA
// devices.
#pragma once

#include "devices/acpi_tables.h"
#include "devices/aml.h"

namespace ringshift::devices {

// The AML that follows the DSDT's header.
aml::Bytes build_dsdt_body(const AcpiConfig& config);

}  // namespace ringshift::devices
