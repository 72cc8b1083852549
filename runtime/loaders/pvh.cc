// runtime/loaders/pvh.cc - PVH: an ELF file whose Xen note names a 32-bit entry point.
// Facts: Xen "x86/HVM direct boot ABI" and the hvm_start_info structure.
#include <fmt/format.h>

#include <algorithm>

#include "runtime/loaders/boot.h"
#include "runtime/loaders/cpu_entry.h"
#include "runtime/loaders/elf.h"

namespace ringshift::runtime {
namespace {

constexpr std::uint32_t kStartMagic = 0x336ec578, kStartVersion = 1;
constexpr std::uint64_t kInfoAddress = 0x6000;
constexpr std::uint64_t kInfoLimit = 0x9f000;

struct StartInfo {
  std::uint32_t magic, version, flags, module_count;
  std::uint64_t modules, command_line, rsdp, memory_map;
  std::uint32_t memory_map_entries, reserved;
};
static_assert(sizeof(StartInfo) == 56);

struct StartModule {
  std::uint64_t start, bytes, command_line, reserved;
};

struct StartRange {
  std::uint64_t start, bytes;
  std::uint32_t type, reserved;
};

// As high in low RAM as it goes, clear of the kernel.
tl::expected<StartModule, std::string> place_initrd(const BootModule& initrd,
                                                    const AddressRange& kernel,
                                                    guest::PhysicalMemory& memory) {
  const auto top = memory.low_ram_bytes();
  const auto bytes = initrd.bytes.size();
  const auto start = bytes > top ? 0 : (top - bytes) & ~guest::kPageOffsetMask;
  if (start < std::max(kernel.end, kExtendedStart)) {
    return tl::unexpected(
        fmt::format("the initrd ({} KiB) does not fit beside the kernel: give the guest more "
                    "memory with -m",
                    bytes >> 10));
  }
  auto placed = place(memory, "the initrd", start, initrd.bytes);
  if (!placed) return tl::unexpected(placed.error());
  return StartModule{start, bytes, 0, 0};
}

}  // namespace

LoadStatus boot_pvh(const BootSource& source, const BootEnvironment& environment,
                    guest::PhysicalMemory& memory, guest::CpuState& state) {
  const auto elf = parse_elf(source.kernel);
  if (!elf) return tl::unexpected(elf.error());
  const auto entry = pvh_entry(*elf);
  if (!entry || *entry > 0xffffffff)
    return tl::unexpected(std::string("no PVH entry point below 4 GiB"));
  auto status = place_segments(*elf, memory);
  if (!status) return status;

  StartInfo info{kStartMagic, kStartVersion, 0, 0, 0, 0, environment.acpi_rsdp, 0, 0, 0};
  BlockBuilder block(kInfoAddress + sizeof info);
  info.memory_map = block.next();
  info.memory_map_entries = static_cast<std::uint32_t>(environment.memory_map.size());
  for (const auto& range : environment.memory_map)
    block.append_value(
        StartRange{range.start, range.bytes, static_cast<std::uint32_t>(range.type), 0});
  if (!source.modules.empty()) {
    const auto module = place_initrd(source.modules.front(), elf->physical_range(), memory);
    if (!module) return tl::unexpected(module.error());
    info.modules = block.append_value(*module);
    info.module_count = 1;
  }
  info.command_line = block.append_string(source.command_line);
  BlockBuilder whole(kInfoAddress);
  whole.append_value(info);
  whole.append(block.bytes());
  const AddressRange range{kInfoAddress, kInfoAddress + whole.bytes().size()};
  const bool taken = std::any_of(elf->segments.begin(), elf->segments.end(), [&](const auto& s) {
    return range.overlaps({s.physical, s.physical + s.memory_bytes});
  });
  if (taken || range.end > kInfoLimit)
    return tl::unexpected(std::string("no room below 1 MiB for the PVH start information"));
  status = place(memory, "the PVH start information", kInfoAddress, whole.bytes());
  if (!status) return status;
  enter_protected32(state, {*entry, 0x8, 0x10, {}});
  state.reg(guest::Gpr::kRbx) = kInfoAddress;
  return {};
}

}  // namespace ringshift::runtime
