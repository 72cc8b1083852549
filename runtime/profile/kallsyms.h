// runtime/profile/kallsyms.h - the symbol table that Linux carries in its own image
// (scripts/kallsyms.c): names compressed by a table of 256 tokens, addresses relative to a base.
// Found by the shape of the token table, so nothing needs to be known of the kernel, and where it
// was loaded does not matter.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "runtime/profile/symbol_table.h"

namespace ringshift::runtime::profile {

// A piece of the guest's linear memory.
struct MemoryImage {
  std::uint64_t address = 0;
  std::span<const std::uint8_t> bytes;
};

// `word_bytes`: 8 or 4. Nothing: none is there, or of a form that is not known: those of Linux 4.20
// to 6.1 and since 6.4 with CONFIG_KALLSYMS_BASE_RELATIVE are. Any bytes are safe.
std::optional<std::vector<Symbol>> find_kallsyms(const MemoryImage& image, unsigned word_bytes);

}  // namespace ringshift::runtime::profile
