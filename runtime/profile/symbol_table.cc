// runtime/profile/symbol_table.cc - names of a guest's functions by address.
#include "runtime/profile/symbol_table.h"

#include <algorithm>
#include <charconv>

namespace ringshift::runtime::profile {

SymbolTable::SymbolTable(std::vector<Symbol> symbols) : symbols_(std::move(symbols)) {
  const auto is_before = [](const Symbol& a, const Symbol& b) { return a.address < b.address; };
  if (!std::is_sorted(symbols_.begin(), symbols_.end(), is_before))
    std::stable_sort(symbols_.begin(), symbols_.end(), is_before);
}

const Symbol* SymbolTable::function_at(std::uint64_t address) const {
  auto after = std::upper_bound(symbols_.begin(), symbols_.end(), address,
                                [](std::uint64_t a, const Symbol& s) { return a < s.address; });
  // Labels of data (and of nothing) lie between functions, and end them.
  if (after == symbols_.begin()) return nullptr;
  const std::uint64_t start = std::prev(after)->address;
  auto first = std::lower_bound(symbols_.begin(), after, start,
                                [](const Symbol& s, std::uint64_t a) { return s.address < a; });
  const auto code = std::find_if(first, after, [](const Symbol& s) { return s.is_code(); });
  if (code == after) return nullptr;
  if (code->bytes != 0 && address - code->address >= code->bytes) return nullptr;
  return &*code;
}

const Symbol* SymbolTable::find(std::string_view name) const {
  const auto found = std::find_if(symbols_.begin(), symbols_.end(),
                                  [&](const Symbol& s) { return s.name == name; });
  return found == symbols_.end() ? nullptr : &*found;
}

std::vector<Symbol> parse_symbol_map(std::string_view text) {
  std::vector<Symbol> symbols;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    Symbol symbol;
    const auto [rest, problem] =
        std::from_chars(line.data(), line.data() + line.size(), symbol.address, 16);
    line.remove_prefix(static_cast<std::size_t>(rest - line.data()));
    if (problem != std::errc{} || line.size() < 4 || line[0] != ' ' || line[2] != ' ') continue;
    symbol.kind = line[1];
    line.remove_prefix(3);
    symbol.name = line.substr(0, line.find_first_of(" \t\r"));
    symbols.push_back(std::move(symbol));
  }
  return symbols;
}

}  // namespace ringshift::runtime::profile
