// devices/aml.h - a tiny builder of ACPI Machine Language: each function returns the bytes of one
// term. ACPI Specification "ACPI Machine Language (AML) Specification". Terms are put together by
// appending.
//   device("COM1", {name("_HID", eisa_id("PNP0501")), name("_CRS", resources({...}))})
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

namespace ringshift::devices::aml {

using Bytes = std::vector<std::uint8_t>;

Bytes concatenate(const std::vector<Bytes>& terms);

// Data. A path is up to two segments of at most 4 characters, with an optional root: "\\_SB.PCI0".
Bytes integer(std::uint64_t value);
Bytes eisa_id(std::string_view id);  // "PNP0A03"
Bytes reference(std::string_view path);
Bytes package(const std::vector<Bytes>& elements);  // at most 255
Bytes buffer(const Bytes& contents);

// Named objects.
Bytes name(std::string_view path, const Bytes& value);
Bytes scope(std::string_view path, const std::vector<Bytes>& terms);
Bytes device(std::string_view path, const std::vector<Bytes>& terms);
Bytes method(std::string_view path, unsigned arguments, const std::vector<Bytes>& terms);

// Resource descriptors, and the buffer that ends with the end tag.
// ACPI Specification "Resource Data Types for ACPI".
Bytes resources(const std::vector<Bytes>& descriptors);
Bytes ports(std::uint16_t first, std::uint8_t count);
Bytes isa_interrupt(unsigned irq);  // edge-triggered, active high, exclusive
// Level-triggered, active high, shared.
Bytes shared_interrupt(std::uint32_t gsi);
Bytes fixed_memory(std::uint32_t base, std::uint32_t bytes, bool writable);
// Ranges that a bridge passes on, first to last.
Bytes bus_range(std::uint16_t first, std::uint16_t last);
Bytes port_range(std::uint16_t first, std::uint16_t last);
Bytes memory_range(std::uint32_t first, std::uint32_t last, bool cacheable);

}  // namespace ringshift::devices::aml
