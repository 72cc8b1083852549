// runtime/profile/symbolizer.h - puts names to guest addresses: the kernel's by its own table or a
// given file, the users' by what their pages of code hold.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <unordered_map>
#include <vector>

#include "runtime/profile/guest_kernel.h"
#include "runtime/profile/symbol_table.h"

namespace ringshift::runtime::profile {

// Where the names of programs come from.
class ProgramPages {
 public:
  // All ELF files below a folder. The error is one line for the user.
  static tl::expected<ProgramPages, std::string> read(const std::string& folder);

  struct Function {
    std::string name, module;
  };
  // For code at this offset in a page with this hash.
  std::optional<Function> function(std::uint64_t hash, std::uint64_t offset) const;
  bool empty() const { return programs_.empty(); }

 private:
  struct Program {
    std::string name;
    SymbolTable symbols;
  };
  struct Place {
    std::size_t program;
    std::uint64_t address;
  };
  std::vector<Program> programs_;
  std::unordered_map<std::uint64_t, Place> pages_;
};

// An ELF file, or nm's text (System.map). The error is one line for the user.
tl::expected<SymbolTable, std::string> read_symbol_file(const std::string& path);

struct SymbolSources {
  std::shared_ptr<const GuestKernel> kernel;
  std::shared_ptr<const SymbolTable> file;  // of the guest's kernel or program
  std::shared_ptr<const ProgramPages> programs;
};

class Symbolizer {
 public:
  explicit Symbolizer(SymbolSources sources) : sources_(std::move(sources)) {}

  struct Name {
    std::string function, module;  // module: "kernel", a program's file, or empty
    std::uint64_t start = 0;       // 0: not known
    bool known = false;
  };
  // `page_hash`: 0 where it is not known; user code only.
  Name name_of(std::uint64_t address, bool user, std::uint64_t page_hash) const;

 private:
  SymbolSources sources_;
};

}  // namespace ringshift::runtime::profile
