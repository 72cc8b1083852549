// runtime/loaders/memory_map.h - the guest's memory map, as firmware would report it (INT 15h
// E820).
#pragma once

#include <cstdint>
#include <vector>

#include "guest/physical_memory.h"

namespace ringshift::runtime {

// ACPI specification "Address Range Types".
enum class MemoryType : std::uint32_t { kUsable = 1, kReserved = 2, kAcpi = 3, kAcpiNvs = 4 };

struct MemoryRange {
  std::uint64_t start = 0, bytes = 0;
  MemoryType type = MemoryType::kUsable;
};

// The last KiB of conventional memory is the extended BIOS data area on a PC.
inline constexpr std::uint64_t kConventionalEnd = 0x9fc00;
inline constexpr std::uint64_t kBiosAreaStart = 0xe0000;
inline constexpr std::uint64_t kExtendedStart = 0x100000;

// Sorted by address, without overlaps.
std::vector<MemoryRange> memory_map(const guest::PhysicalMemory& memory);

}  // namespace ringshift::runtime
