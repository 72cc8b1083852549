// translator/listing.cc - code as text, one line an instruction, for logs.
#include "translator/listing.h"

#include <Zydis/Zydis.h>
#include <fmt/core.h>

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

}  // namespace ringshift::translator
