// tests/unit/profile/symbols_test.cc - names by address: tables, maps, and this very program's ELF file.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "runtime/profile/elf_symbols.h"
#include "runtime/profile/page_hash.h"
#include "runtime/profile/symbol_table.h"

namespace ringshift::runtime::profile {
namespace {

TEST(SymbolTable, AFunctionReachesToTheNextSymbol) {
  const SymbolTable table({{0x300, 't', "last", 0x10}, {0x100, 'T', "first", 0}, {0x200, 'D', "data", 0}});
  EXPECT_EQ(table.function_at(0xff), nullptr);
  EXPECT_EQ(table.function_at(0x100)->name, "first");
  EXPECT_EQ(table.function_at(0x1ff)->name, "first");
  EXPECT_EQ(table.function_at(0x210), nullptr) << "data is no function";
  EXPECT_EQ(table.function_at(0x30f)->name, "last");
  EXPECT_EQ(table.function_at(0x310), nullptr) << "behind its end";
  EXPECT_EQ(table.find("data")->address, 0x200u);
  EXPECT_EQ(table.find("absent"), nullptr);
}

TEST(SymbolTable, OfTwoNamesTheFirst) {
  const SymbolTable table({{0x100, 't', "name", 0}, {0x100, 't', "alias", 0}});
  EXPECT_EQ(table.function_at(0x100)->name, "name");
}

TEST(SymbolMap, LinesThatAreNoneAreLeftOut) {
  const auto symbols = parse_symbol_map(
      "ffffffff81000000 T _stext\nnonsense\n\nffffffff81000010 t do_it [module]\r\n0000 D\n12345");
  ASSERT_EQ(symbols.size(), 2u);
  EXPECT_EQ(symbols[0].address, 0xffffffff81000000u);
  EXPECT_EQ(symbols[1].name, "do_it");
}

std::vector<std::uint8_t> this_program() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

extern "C" __attribute__((noinline)) int function_with_a_known_name() {
  asm volatile("");
  return 42;
}

TEST(ElfSymbols, NamesFunctionsByWhatTheirPageHolds) {
  EXPECT_EQ(function_with_a_known_name(), 42);
  const auto elf = read_elf_symbols(this_program());
  ASSERT_TRUE(elf) << elf.error();
  const auto here = reinterpret_cast<std::uint64_t>(&function_with_a_known_name);
  const std::uint64_t page = here & ~guest::kPageOffsetMask;
  const std::uint64_t hash = page_hash(reinterpret_cast<const std::uint8_t*>(page));
  const SymbolTable table(elf->symbols);
  bool found = false;
  for (const auto& candidate : elf->code_pages) {
    if (candidate.hash != hash) continue;
    const Symbol* symbol = table.function_at(candidate.address + (here - page));
    found |= symbol && symbol->name == "function_with_a_known_name";
  }
  EXPECT_TRUE(found) << "the page in memory is the file's";
}

TEST(ElfSymbols, CutOffAnywhereIsSafe) {
  auto bytes = this_program();
  bytes.resize(std::min<std::size_t>(bytes.size(), 1 << 16));
  for (std::size_t n = 0; n < bytes.size(); n += 509)
    static_cast<void>(read_elf_symbols(std::span(bytes).first(n)));
  for (std::size_t i = 16; i < 64; ++i) {
    auto damaged = bytes;
    damaged[i] = 0xff;
    static_cast<void>(read_elf_symbols(damaged));
  }
  EXPECT_FALSE(read_elf_symbols({}));
}

}  // namespace
}  // namespace ringshift::runtime::profile
