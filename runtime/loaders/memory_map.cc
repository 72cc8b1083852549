// runtime/loaders/memory_map.cc - the guest's memory map, as firmware would report it (INT 15h
// E820).
#include "runtime/loaders/memory_map.h"

#include <algorithm>

namespace ringshift::runtime {

std::vector<MemoryRange> memory_map(const guest::PhysicalMemory& memory) {
  const auto low = memory.low_ram_bytes();
  std::vector<MemoryRange> map;
  map.push_back({0, std::min(low, kConventionalEnd), MemoryType::kUsable});
  if (low > kConventionalEnd) map.push_back({kConventionalEnd, 0x400, MemoryType::kReserved});
  // The ACPI tables live here, as the shadowed BIOS does on a PC.
  map.push_back({kBiosAreaStart, kExtendedStart - kBiosAreaStart, MemoryType::kReserved});
  if (low > kExtendedStart)
    map.push_back({kExtendedStart, low - kExtendedStart, MemoryType::kUsable});
  if (memory.high_ram_bytes() > 0) {
    map.push_back(
        {guest::PhysicalMemory::kHighRamBase, memory.high_ram_bytes(), MemoryType::kUsable});
  }
  return map;
}

}  // namespace ringshift::runtime
