// runtime/loaders/multiboot.cc - Multiboot 1 kernels: ELF and "a.out kludge", modules, memory map.
// Facts: "Multiboot Specification version 0.6.96".
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "runtime/loaders/boot.h"
#include "runtime/loaders/cpu_entry.h"
#include "runtime/loaders/elf.h"

namespace ringshift::runtime {
namespace {

constexpr std::uint32_t kHeaderMagic = 0x1badb002, kLoaderMagic = 0x2badb002;
constexpr std::uint64_t kSearchBytes = 8192;

namespace header_flag {
constexpr std::uint32_t kPageAlign = 1u << 0, kMemoryInfo = 1u << 1, kVideo = 1u << 2,
                        kAddresses = 1u << 16;
constexpr std::uint32_t kMandatory = 0xffff, kKnown = kPageAlign | kMemoryInfo | kVideo;
}  // namespace header_flag

namespace info_flag {
constexpr std::uint32_t kMemory = 1u << 0, kCommandLine = 1u << 2, kModules = 1u << 3,
                        kMemoryMap = 1u << 6, kLoaderName = 1u << 9;
}

struct Info {
  std::uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr;
  std::uint32_t symbols[4];
  std::uint32_t mmap_length, mmap_addr, drives_length, drives_addr, config_table, boot_loader_name;
  std::uint32_t apm_table;
};
static_assert(sizeof(Info) == 72);

struct ModuleEntry {
  std::uint32_t start, end, string, reserved;
};

struct [[gnu::packed]] MapEntry {
  std::uint32_t size;  // of what follows
  std::uint64_t start, bytes;
  std::uint32_t type;
};
static_assert(sizeof(MapEntry) == 24);

struct Header {
  std::uint64_t offset;
  std::uint32_t flags;
};

std::optional<Header> find_header(Bytes kernel) {
  const SpanReader file(kernel);
  const auto end = std::min<std::uint64_t>(kernel.size(), kSearchBytes);
  for (std::uint64_t at = 0; at + 12 <= end; at += 4) {
    if (*file.at<std::uint32_t>(at) != kHeaderMagic) continue;
    const auto flags = *file.at<std::uint32_t>(at + 4);
    const auto checksum = *file.at<std::uint32_t>(at + 8);
    if (kHeaderMagic + flags + checksum == 0) return Header{at, flags};
  }
  return std::nullopt;
}

struct Loaded {
  std::uint64_t entry = 0;
  std::vector<AddressRange> ranges;
  std::uint64_t end = 0;
};

tl::expected<Loaded, std::string> load_elf(Bytes kernel, guest::PhysicalMemory& memory) {
  const auto elf = parse_elf(kernel);
  if (!elf) return tl::unexpected(elf.error());
  if (auto placed = place_segments(*elf, memory); !placed) return tl::unexpected(placed.error());
  Loaded loaded{elf->physical_entry(), {}, elf->physical_range().end};
  for (const auto& segment : elf->segments)
    loaded.ranges.push_back({segment.physical, segment.physical + segment.memory_bytes});
  if (loaded.entry > 0xffffffff)
    return tl::unexpected(std::string("the entry point of a multiboot kernel lies above 4 GiB"));
  return loaded;
}

// The header itself says where the file goes: "The address fields of Multiboot header".
tl::expected<Loaded, std::string> load_by_addresses(Bytes kernel, const Header& header,
                                                    guest::PhysicalMemory& memory) {
  const SpanReader file(kernel);
  if (!file.slice(header.offset, 32))
    return tl::unexpected(std::string("truncated multiboot header"));
  const auto field = [&](unsigned at) -> std::uint64_t {
    return *file.at<std::uint32_t>(header.offset + at);
  };
  const auto header_address = field(12), load_address = field(16), load_end = field(20),
             bss_end = field(24), entry = field(28);
  if (header_address < load_address || header.offset < header_address - load_address)
    return tl::unexpected(std::string("multiboot header: load address before the file's start"));
  const auto file_start = header.offset - (header_address - load_address);
  const auto load_bytes = load_end == 0 ? kernel.size() - file_start : load_end - load_address;
  const auto contents = file.slice(file_start, load_bytes);
  if (load_end != 0 && load_end < load_address)
    return tl::unexpected(std::string("multiboot header: load end before load address"));
  if (!contents)
    return tl::unexpected(std::string("truncated multiboot kernel: shorter than its header says"));
  const auto total = bss_end == 0 ? load_bytes : bss_end - load_address;
  if (bss_end != 0 && (bss_end < load_address || total < load_bytes))
    return tl::unexpected(std::string("multiboot header: bss ends before the data"));
  auto placed = place(memory, "the kernel", load_address, *contents, total);
  if (!placed) return tl::unexpected(placed.error());
  return Loaded{entry, {{load_address, load_address + total}}, load_address + total};
}

// Modules follow the kernel, each on a page of its own.
tl::expected<std::vector<ModuleEntry>, std::string> place_modules(const BootSource& source,
                                                                  Loaded& loaded,
                                                                  guest::PhysicalMemory& memory) {
  std::vector<ModuleEntry> entries;
  for (const auto& module : source.modules) {
    const auto start = align_up(std::max(loaded.end, kExtendedStart), guest::kPageBytes);
    auto placed = place(memory, "a module", start, module.bytes);
    if (!placed) return tl::unexpected(placed.error());
    loaded.end = start + module.bytes.size();
    if (loaded.end > 0xffffffff) return tl::unexpected(std::string("a module lies above 4 GiB"));
    loaded.ranges.push_back({start, loaded.end});
    entries.push_back(
        {static_cast<std::uint32_t>(start), static_cast<std::uint32_t>(loaded.end), 0, 0});
  }
  return entries;
}

// The whole boot information as one block that starts at `address`.
BlockBuilder build_info(const BootSource& source, const BootEnvironment& environment,
                        std::vector<ModuleEntry> modules, std::uint64_t low_ram,
                        std::uint64_t address) {
  const auto narrow = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
  BlockBuilder block(address + align_up(sizeof(Info), 8));
  Info info{};
  info.flags =
      info_flag::kMemory | info_flag::kCommandLine | info_flag::kMemoryMap | info_flag::kLoaderName;
  info.mem_lower = narrow(std::min(low_ram, kConventionalEnd) >> 10);
  info.mem_upper = narrow(low_ram > kExtendedStart ? (low_ram - kExtendedStart) >> 10 : 0);
  info.mmap_addr = narrow(block.next());
  for (const auto& range : environment.memory_map)
    block.append_value(
        MapEntry{20, range.start, range.bytes, static_cast<std::uint32_t>(range.type)});
  info.mmap_length = narrow(environment.memory_map.size() * sizeof(MapEntry));
  // The first word of the command line is the kernel's name, as every loader passes it.
  const auto space = source.command_line.empty() ? "" : " ";
  info.cmdline = narrow(block.append_string(source.kernel_name + space + source.command_line));
  info.boot_loader_name = narrow(block.append_string("ringshift"));
  for (std::size_t i = 0; i < modules.size(); ++i)
    modules[i].string = narrow(block.append_string(source.modules[i].command_line));
  if (!modules.empty()) {
    info.flags |= info_flag::kModules;
    info.mods_count = narrow(modules.size());
    info.mods_addr = narrow(block.append({reinterpret_cast<const std::uint8_t*>(modules.data()),
                                          modules.size() * sizeof(ModuleEntry)}));
  }
  BlockBuilder whole(address);
  whole.append_value(info);
  whole.append(block.bytes());
  return whole;
}

}  // namespace

bool has_multiboot_header(Bytes kernel) { return find_header(kernel).has_value(); }

LoadStatus boot_multiboot(const BootSource& source, const BootEnvironment& environment,
                          guest::PhysicalMemory& memory, guest::CpuState& state) {
  const auto header = find_header(source.kernel);
  if (!header) return tl::unexpected(std::string("no multiboot header"));
  if (const auto unknown = header->flags & header_flag::kMandatory & ~header_flag::kKnown) {
    return tl::unexpected(
        fmt::format("the multiboot header asks for features {:#x}, which are not known", unknown));
  }
  auto loaded = header->flags & header_flag::kAddresses
                    ? load_by_addresses(source.kernel, *header, memory)
                    : load_elf(source.kernel, memory);
  if (!loaded) return tl::unexpected(loaded.error());
  auto modules = place_modules(source, *loaded, memory);
  if (!modules) return tl::unexpected(modules.error());

  // Low memory, unless the kernel itself lies there.
  const auto build = [&](std::uint64_t address) {
    return build_info(source, environment, *modules, memory.low_ram_bytes(), address);
  };
  const std::array<std::uint64_t, 3> candidates{0x9000, 0x70000, align_up(loaded->end, 4096)};
  for (const auto address : candidates) {
    const auto block = build(address);
    const AddressRange range{address, address + block.bytes().size()};
    const bool taken =
        std::any_of(loaded->ranges.begin(), loaded->ranges.end(),
                    [&](const AddressRange& other) { return other.overlaps(range); });
    if (taken || (address < kExtendedStart && range.end > kConventionalEnd)) continue;
    auto placed = place(memory, "the multiboot information", address, block.bytes());
    if (!placed) return placed;
    enter_protected32(state, {loaded->entry, 0x8, 0x10, {}});
    state.reg(guest::Gpr::kRax) = kLoaderMagic;
    state.reg(guest::Gpr::kRbx) = address;
    return {};
  }
  return tl::unexpected(std::string("no room for the multiboot information"));
}

}  // namespace ringshift::runtime
