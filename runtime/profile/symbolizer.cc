// runtime/profile/symbolizer.cc - puts names to guest addresses.
#include "runtime/profile/symbolizer.h"

#include <fmt/format.h>

#include <filesystem>

#include "runtime/loaders/host_file.h"
#include "runtime/profile/elf_symbols.h"

namespace ringshift::runtime::profile {
namespace {
namespace fs = std::filesystem;
constexpr std::uint64_t kMostFileBytes = std::uint64_t{1} << 30;
}  // namespace

tl::expected<ProgramPages, std::string> ProgramPages::read(const std::string& folder) {
  ProgramPages pages;
  std::error_code problem;
  fs::recursive_directory_iterator files(folder, fs::directory_options::skip_permission_denied,
                                         problem);
  if (problem) return tl::unexpected(fmt::format("--symfs {}: {}", folder, problem.message()));
  for (; files != fs::recursive_directory_iterator(); files.increment(problem)) {
    if (problem) return tl::unexpected(fmt::format("--symfs {}: {}", folder, problem.message()));
    if (!files->is_regular_file(problem)) continue;
    const auto bytes = read_host_file(files->path().string(), kMostFileBytes);
    if (!bytes || !is_elf(*bytes)) continue;
    auto elf = read_elf_symbols(*bytes);
    if (!elf || elf->symbols.empty()) continue;
    for (const auto& page : elf->code_pages)
      pages.pages_.emplace(page.hash, Place{pages.programs_.size(), page.address});
    pages.programs_.push_back(
        {files->path().filename().string(), SymbolTable(std::move(elf->symbols))});
  }
  return pages;
}

std::optional<ProgramPages::Function> ProgramPages::function(std::uint64_t hash,
                                                             std::uint64_t offset) const {
  const auto place = pages_.find(hash);
  if (hash == 0 || place == pages_.end()) return std::nullopt;
  const Program& program = programs_[place->second.program];
  const Symbol* symbol = program.symbols.function_at(place->second.address + offset);
  if (!symbol) return std::nullopt;
  return Function{symbol->name, program.name};
}

tl::expected<SymbolTable, std::string> read_symbol_file(const std::string& path) {
  const auto bytes = read_host_file(path, kMostFileBytes);
  if (!bytes) return tl::unexpected(bytes.error());
  if (is_elf(*bytes)) {
    auto elf = read_elf_symbols(*bytes);
    if (!elf) return tl::unexpected(fmt::format("{}: {}", path, elf.error()));
    if (elf->symbols.empty()) return tl::unexpected(fmt::format("{}: has no symbols", path));
    return SymbolTable(std::move(elf->symbols));
  }
  auto symbols = parse_symbol_map({reinterpret_cast<const char*>(bytes->data()), bytes->size()});
  if (symbols.empty())
    return tl::unexpected(fmt::format("{}: neither an ELF file nor a symbol map", path));
  return SymbolTable(std::move(symbols));
}

Symbolizer::Name Symbolizer::name_of(std::uint64_t address, bool user,
                                     std::uint64_t page_hash) const {
  if (user && sources_.programs)
    if (auto found = sources_.programs->function(page_hash, guest::page_offset(address)))
      return {found->name, found->module, 0, true};
  if (sources_.kernel)
    if (const Symbol* symbol = sources_.kernel->symbols().function_at(address); symbol && !user)
      return {symbol->name, "kernel", symbol->address, true};
  if (sources_.file)
    if (const Symbol* symbol = sources_.file->function_at(address))
      return {symbol->name, "", symbol->address, true};
  // A page is what can be told apart.
  return {fmt::format("{:#x}", address & ~guest::kPageOffsetMask), "", 0, false};
}

}  // namespace ringshift::runtime::profile
