// runtime/profile/orc.cc - Linux's ORC tables.
#include "runtime/profile/orc.h"

#include <algorithm>
#include <cstring>

namespace ringshift::runtime::profile {

// Linux's arch/x86/include/asm/orc_types.h: two 16-bit offsets, then bit fields of 4 and 4 bits for
// the registers and 2 (since 6.4: 3) for the type.
OrcEntry OrcTable::decode(const std::uint8_t* bytes, OrcLayout layout) {
  using Kind = OrcEntry::Kind;
  static constexpr Kind kBefore64[] = {Kind::kCall, Kind::kRegisters, Kind::kPartialRegisters,
                                       Kind::kUnknown};
  static constexpr Kind kSince64[] = {
      Kind::kUnknown,          Kind::kEnd,     Kind::kCall,    Kind::kRegisters,
      Kind::kPartialRegisters, Kind::kUnknown, Kind::kUnknown, Kind::kUnknown};
  OrcEntry entry;
  std::memcpy(&entry.sp_offset, bytes, 2);
  std::memcpy(&entry.bp_offset, bytes + 2, 2);
  const auto register_of = [](unsigned bits) {
    return bits <= static_cast<unsigned>(OrcEntry::Register::kSpIndirect)
               ? static_cast<OrcEntry::Register>(bits)
               : OrcEntry::Register::kUndefined;
  };
  entry.sp_register = register_of(bytes[4] & 0xf);
  entry.bp_register = register_of(bytes[4] >> 4);
  entry.kind = layout == OrcLayout::kBefore64 ? kBefore64[bytes[5] & 3] : kSince64[bytes[5] & 7];
  return entry;
}

std::optional<OrcTable> OrcTable::make(std::uint64_t address,
                                       std::span<const std::int32_t> ip_table,
                                       std::span<const std::uint8_t> entries, OrcLayout layout) {
  if (ip_table.empty() || entries.size() != ip_table.size() * kEntryBytes) return std::nullopt;
  OrcTable table;
  table.starts_.reserve(ip_table.size());
  table.entries_.reserve(ip_table.size());
  for (std::size_t i = 0; i < ip_table.size(); ++i) {
    const auto displacement = static_cast<std::uint64_t>(std::int64_t{ip_table[i]});
    const std::uint64_t start = address + i * sizeof(std::int32_t) + displacement;
    // The kernel sorts them at build time, or before it uses them.
    if (!table.starts_.empty() && start < table.starts_.back()) return std::nullopt;
    table.starts_.push_back(start);
    table.entries_.push_back(decode(entries.data() + i * kEntryBytes, layout));
  }
  return table;
}

std::optional<OrcEntry> OrcTable::find(std::uint64_t rip) const {
  const auto after = std::upper_bound(starts_.begin(), starts_.end(), rip);
  // Behind the last start lies what belongs to no table: modules.
  if (after == starts_.begin() || after == starts_.end()) return std::nullopt;
  return entries_[static_cast<std::size_t>(after - starts_.begin()) - 1];
}

}  // namespace ringshift::runtime::profile
