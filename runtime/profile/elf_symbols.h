// runtime/profile/elf_symbols.h - functions of ELF files, 64- and 32-bit: the guest's kernel or
// program by address, and any program's by what its pages of code hold.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "runtime/profile/symbol_table.h"

namespace ringshift::runtime::profile {

struct ElfSymbols {
  std::vector<Symbol> symbols;  // by the file's own addresses; of .symtab, else of .dynsym
  struct CodePage {
    std::uint64_t hash = 0;     // page_hash()
    std::uint64_t address = 0;  // by the file's own
  };
  std::vector<CodePage> code_pages;
};

bool is_elf(std::span<const std::uint8_t> file);
// The error says what is wrong with the file. Any bytes are safe.
tl::expected<ElfSymbols, std::string> read_elf_symbols(std::span<const std::uint8_t> file);

}  // namespace ringshift::runtime::profile
