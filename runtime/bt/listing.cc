// runtime/bt/listing.cc - -d in_asm and out_asm: what was translated, and into what.
#include <Zydis/Zydis.h>
#include <fmt/core.h>

#include "runtime/bt/bt_vcpu.h"

namespace ringshift::runtime {
namespace {

void list(std::FILE* file, ZydisMachineMode machine, std::uint64_t address,
          std::span<const std::uint8_t> bytes) {
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

ZydisMachineMode machine_of(translator::ModeKey mode) {
  switch (mode.code_bytes()) {
    case 8:
      return ZYDIS_MACHINE_MODE_LONG_64;
    case 4:
      return ZYDIS_MACHINE_MODE_LEGACY_32;
    default:
      return ZYDIS_MACHINE_MODE_LEGACY_16;
  }
}

}  // namespace

void BtVcpu::log_block(guest::LinearAddress linear) {
  std::FILE* file = options_.log.file;
  if (!file) return;
  const codecache::Block& block = translator_.block();
  const translator::ModeKey mode(block.key.mode);
  if (options_.log.in_asm) {
    std::vector<std::uint8_t> bytes(block.guest_bytes);
    memory_.read_bytes(guest::PhysicalAddress{block.key.physical}, bytes);
    fmt::print(file, "IN: {:x} physical {:x} mode {:x}\n", linear.value, block.key.physical,
               block.key.mode);
    list(file, machine_of(mode), linear.value, bytes);
  }
  if (options_.log.out_asm) {
    fmt::print(file, "OUT: {} bytes for {}\n", translator_.code().size(), block.guest_bytes);
    list(file, ZYDIS_MACHINE_MODE_LONG_64, reinterpret_cast<std::uint64_t>(arena_->next()),
         translator_.code());
  }
}

}  // namespace ringshift::runtime
