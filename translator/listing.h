// translator/listing.h - code as text, one line an instruction, for logs.
#pragma once

#include <cstdint>
#include <cstdio>
#include <span>
#include <string_view>

namespace ringshift::translator {

// `code_bytes`: 2, 4 or 8, the width of the code segment. Ends at the first undefined instruction.
void list_code(std::FILE* file, unsigned code_bytes, std::uint64_t address,
               std::span<const std::uint8_t> bytes);

// What an instruction-table row is called in statistics.
std::string_view row_name(std::size_t row);

}  // namespace ringshift::translator
