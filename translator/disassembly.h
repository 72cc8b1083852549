// translator/disassembly.h - code as text for people, with what kind of instruction each one is.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ringshift::translator {

enum class Syntax : std::uint8_t { kIntel, kAtt };

struct ListedInstruction {
  std::uint32_t offset = 0, length = 0;
  std::string text;
  std::string category;   // "load/store", "branch", "system", ...; bytes that are none: "bad"
  std::string sensitive;  // as row_name() calls it, if it has rules of its own; else empty
  // Where a direct branch goes.
  std::optional<std::uint64_t> target;
  bool conditional = false, call = false, ends_block = false;
};

// Names for the absolute addresses that code refers to; an empty text: has none.
using AddressNames = std::function<std::string(std::uint64_t)>;

// `code_bytes`: 2, 4 or 8, the width of the code segment. Undecodable bytes are listed one by one.
std::vector<ListedInstruction> disassemble(unsigned code_bytes, std::uint64_t address,
                                           std::span<const std::uint8_t> bytes, Syntax syntax,
                                           const AddressNames& names = {});

}  // namespace ringshift::translator
