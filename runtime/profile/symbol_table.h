// runtime/profile/symbol_table.h - names of a guest's functions by address.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ringshift::runtime::profile {

// As nm(1) and kallsyms have them: `kind` is nm's letter, t and w (and their capitals) are code.
struct Symbol {
  std::uint64_t address = 0;
  char kind = 't';
  std::string name;
  std::uint64_t bytes = 0;  // 0: up to the next symbol

  bool is_code() const { return kind == 't' || kind == 'T' || kind == 'w' || kind == 'W'; }
};

class SymbolTable {
 public:
  SymbolTable() = default;
  // Any order; of several names for an address the first is kept.
  explicit SymbolTable(std::vector<Symbol> symbols);

  // The function that holds an address; null: none.
  const Symbol* function_at(std::uint64_t address) const;
  const Symbol* find(std::string_view name) const;  // looks at all of them
  bool empty() const { return symbols_.empty(); }
  std::size_t size() const { return symbols_.size(); }

 private:
  std::vector<Symbol> symbols_;  // by address
};

// Text of nm(1), System.map and /proc/kallsyms: "address kind name". Empty: not one line is that.
std::vector<Symbol> parse_symbol_map(std::string_view text);

}  // namespace ringshift::runtime::profile
