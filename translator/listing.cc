// translator/listing.cc - code as text, one line an instruction, for logs.
#include "translator/listing.h"

#include <Zydis/Zydis.h>
#include <fmt/core.h>

#include "translator/instruction_table.h"

namespace ringshift::translator {
namespace {

ZydisMachineMode machine_of(unsigned code_bytes) {
  switch (code_bytes) {
    case 8:
      return ZYDIS_MACHINE_MODE_LONG_64;
    case 4:
      return ZYDIS_MACHINE_MODE_LEGACY_32;
    default:
      return ZYDIS_MACHINE_MODE_LEGACY_16;
  }
}

}  // namespace

void list_code(std::FILE* file, unsigned code_bytes, std::uint64_t address,
               std::span<const std::uint8_t> bytes) {
  const ZydisMachineMode machine = machine_of(code_bytes);
  std::size_t at = 0;
  while (at < bytes.size()) {
    ZydisDisassembledInstruction insn;
    if (!ZYAN_SUCCESS(ZydisDisassembleIntel(machine, address + at, bytes.data() + at,
                                            bytes.size() - at, &insn))) {
      fmt::print(file, "  {:016x}: (bad)\n", address + at);
      return;
    }
    std::string hex;
    for (unsigned i = 0; i < insn.info.length; ++i) hex += fmt::format("{:02x}", bytes[at + i]);
    fmt::print(file, "  {:016x}: {:<30} {}\n", address + at, hex, insn.text);
    at += insn.info.length;
  }
}

std::string_view row_name(std::size_t row) {
  // Forms that share a mnemonic, in the order of FormRow.
  static constexpr std::string_view kForms[] = {"mov to cr",   "mov from cr", "mov to dr",
                                                "mov from dr", "call far",    "jmp far",
                                                "ret far",     "mov to seg",  "mov from seg"};
  if (row < std::size(kForms)) return kForms[row];
  const ZydisMnemonic mnemonic = instruction_table()[row].mnemonic;
  return mnemonic == ZYDIS_MNEMONIC_INVALID ? "undefined" : ZydisMnemonicGetString(mnemonic);
}

}  // namespace ringshift::translator
