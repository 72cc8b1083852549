// runtime/loaders/elf.h - the parts of an ELF executable that a boot loader needs.
// The result points into the file's bytes, which must outlive it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "guest/physical_memory.h"
#include "runtime/loaders/placement.h"
#include "runtime/loaders/span_reader.h"

namespace ringshift::runtime {

struct ElfSegment {
  std::uint64_t physical = 0, linear = 0, memory_bytes = 0;
  Bytes contents;
};

struct ElfNote {
  std::string_view name;
  std::uint32_t type = 0;
  Bytes description;
};

struct ElfImage {
  bool is_64bit = false;
  std::uint64_t entry = 0;           // linear, as the file says
  std::vector<ElfSegment> segments;  // PT_LOAD with a size, in file order; never empty
  std::vector<ElfNote> notes;

  // The entry point as a physical address: through the segment that holds it.
  std::uint64_t physical_entry() const;
  AddressRange physical_range() const;
};

bool is_elf(Bytes file);
// Little-endian x86 executables of either class; everything is checked against the file's size.
tl::expected<ElfImage, std::string> parse_elf(Bytes file);
LoadStatus place_segments(const ElfImage& image, guest::PhysicalMemory& memory);

// XEN_ELFNOTE_PHYS32_ENTRY: where a PVH loader enters, if the file says.
std::optional<std::uint64_t> pvh_entry(const ElfImage& image);

}  // namespace ringshift::runtime
