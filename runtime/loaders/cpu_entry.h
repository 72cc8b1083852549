// runtime/loaders/cpu_entry.h - the processor states in which boot protocols hand over to a kernel.
#pragma once

#include <cstdint>

#include "guest/cpu_state.h"

namespace ringshift::runtime {

// Flat segments with the given selectors, paging off, interrupts off. `gdt` may be zero: then the
// kernel must load its own before it touches a segment register.
struct FlatEntry {
  std::uint64_t rip = 0;
  std::uint16_t code_selector = 0x10, data_selector = 0x18;
  guest::TableRegister gdt;
};

// All three start from a processor that was just reset.
void enter_protected32(guest::CpuState& state, const FlatEntry& entry);
void enter_long64(guest::CpuState& state, const FlatEntry& entry, std::uint64_t cr3);
// CS:IP with the segment that makes IP's low 12 bits the page offset; `address` below 1 MiB.
void enter_real16(guest::CpuState& state, std::uint32_t address);

// SDM Vol. 3 "Segment Descriptors": flat 4 GiB code and data.
inline constexpr std::uint64_t kDescriptorCode32 = 0x00cf9b000000ffff;
inline constexpr std::uint64_t kDescriptorCode64 = 0x00af9b000000ffff;
inline constexpr std::uint64_t kDescriptorData = 0x00cf93000000ffff;

}  // namespace ringshift::runtime
