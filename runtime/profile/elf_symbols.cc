// runtime/profile/elf_symbols.cc - functions of ELF files, 64- and 32-bit. System V ABI, "Object
// Files".
#include "runtime/profile/elf_symbols.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "runtime/profile/page_hash.h"

namespace ringshift::runtime::profile {
namespace {

struct Elf64 {
  using Header = Elf64_Ehdr;
  using Segment = Elf64_Phdr;
  using Section = Elf64_Shdr;
  using Sym = Elf64_Sym;
};
struct Elf32 {
  using Header = Elf32_Ehdr;
  using Segment = Elf32_Phdr;
  using Section = Elf32_Shdr;
  using Sym = Elf32_Sym;
};

template <typename Elf>
class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> file) : file_(file) {}

  tl::expected<ElfSymbols, std::string> run() {
    const auto header = get<typename Elf::Header>(0);
    if (!header) return tl::unexpected(std::string("the ELF header is cut off"));
    header_ = *header;
    for (unsigned i = 0; i < header_.e_phnum; ++i)
      if (const auto s =
              get<typename Elf::Segment>(header_.e_phoff + i * std::uint64_t{header_.e_phentsize}))
        add_pages(*s);
    if (!add_symbols(SHT_SYMTAB)) add_symbols(SHT_DYNSYM);
    return std::move(result_);
  }

 private:
  template <typename T>
  std::optional<T> get(std::uint64_t at) const {
    if (at > file_.size() || sizeof(T) > file_.size() - at) return std::nullopt;
    T value;
    std::memcpy(&value, file_.data() + at, sizeof value);
    return value;
  }
  std::optional<typename Elf::Section> section(std::uint64_t i) const {
    return get<typename Elf::Section>(header_.e_shoff + i * header_.e_shentsize);
  }

  // As the guest's kernel maps them: whole pages of the file, zeros behind its end.
  void add_pages(const typename Elf::Segment& segment) {
    if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X)) return;
    const std::uint64_t first = segment.p_offset & ~guest::kPageOffsetMask;
    const std::uint64_t address = segment.p_vaddr - (segment.p_offset - first);
    const std::uint64_t end = std::min<std::uint64_t>(
        file_.size(), segment.p_offset + std::min<std::uint64_t>(segment.p_filesz, file_.size()));
    for (std::uint64_t at = first; at < end; at += guest::kPageBytes) {
      std::array<std::uint8_t, guest::kPageBytes> page{};
      std::memcpy(page.data(), file_.data() + at,
                  std::min<std::uint64_t>(page.size(), file_.size() - at));
      result_.code_pages.push_back({page_hash(page.data()), address + (at - first)});
    }
  }

  bool add_symbols(std::uint32_t type) {
    for (unsigned i = 0; i < header_.e_shnum; ++i) {
      const auto table = section(i);
      if (!table || table->sh_type != type) continue;
      const auto strings = section(table->sh_link);
      if (!strings || strings->sh_offset > file_.size()) continue;
      for (std::uint64_t at = 0; at + sizeof(typename Elf::Sym) <= table->sh_size;
           at += sizeof(typename Elf::Sym)) {
        const auto symbol = get<typename Elf::Sym>(table->sh_offset + at);
        if (!symbol) break;
        add_symbol(*symbol, *strings);
      }
    }
    return !result_.symbols.empty();
  }
  void add_symbol(const typename Elf::Sym& symbol, const typename Elf::Section& strings) {
    const unsigned type = symbol.st_info & 0xf;
    if ((type != STT_FUNC && type != STT_NOTYPE && type != STT_GNU_IFUNC) ||
        symbol.st_shndx == SHN_UNDEF || symbol.st_shndx >= SHN_LORESERVE)
      return;
    const std::uint64_t at = strings.sh_offset + symbol.st_name;
    if (at >= file_.size()) return;
    const auto* text = reinterpret_cast<const char*>(file_.data()) + at;
    const std::string name(text, ::strnlen(text, file_.size() - at));
    // Of labels, those of code only: data would cut functions off.
    const auto home = section(symbol.st_shndx);
    if (name.empty() || (home && !(home->sh_flags & SHF_EXECINSTR))) return;
    result_.symbols.push_back({symbol.st_value, 't', name, symbol.st_size});
  }

  std::span<const std::uint8_t> file_;
  typename Elf::Header header_{};
  ElfSymbols result_;
};

}  // namespace

bool is_elf(std::span<const std::uint8_t> file) {
  return file.size() > EI_CLASS && std::memcmp(file.data(), ELFMAG, SELFMAG) == 0;
}

tl::expected<ElfSymbols, std::string> read_elf_symbols(std::span<const std::uint8_t> file) {
  if (!is_elf(file)) return tl::unexpected(std::string("not an ELF file"));
  if (file[EI_CLASS] == ELFCLASS64) return Reader<Elf64>(file).run();
  if (file[EI_CLASS] == ELFCLASS32) return Reader<Elf32>(file).run();
  return tl::unexpected(std::string("an ELF file of an unknown class"));
}

}  // namespace ringshift::runtime::profile
