// runtime/loaders/linux.cc - the Linux/x86 boot protocol: bzImage and zImage, 64-bit and 32-bit
// entry. Field offsets and rules: Linux "The Linux/x86 Boot Protocol" (Documentation/x86/boot.rst)
// and "Zero Page". The 16-bit setup code is never run: it would need a BIOS.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "runtime/loaders/boot.h"
#include "runtime/loaders/cpu_entry.h"
#include "runtime/loaders/identity_map.h"

namespace ringshift::runtime {
namespace {

constexpr std::uint32_t kHdrS = 0x53726448;  // "HdrS"
constexpr std::uint64_t kHeaderStart = 0x1f1;
constexpr std::uint8_t kLoadedHigh = 1;
constexpr std::uint16_t kXlfKernel64 = 1;
constexpr std::uint64_t kEntry64Offset = 0x200;
constexpr std::uint8_t kLoaderUndefined = 0xff;
constexpr std::size_t kZeroPageBytes = 4096;
constexpr std::size_t kE820Slots = 128;

struct SetupHeader {
  std::uint16_t version = 0;
  std::uint64_t setup_bytes = 0;  // boot sector and real-mode code: the kernel proper follows
  bool loaded_high = false;
  std::uint32_t code32_start = 0;
  std::uint32_t initrd_max = 0x37ffffff;
  std::uint32_t command_line_max = 255;
  bool entry64 = false;
  std::uint64_t preferred_address = 0, run_bytes = 0;  // 0 before protocol 2.10
  Bytes raw;  // from offset 1f1h, to be copied into the zero page
};

// Where the loader's own pieces go. The 64-bit kernel's decompressor uses the top of conventional
// memory, and a zImage is decompressed from 1000h to 90000h, so each stays clear of the other.
struct Layout {
  std::uint64_t kernel, zero_page, command_line, gdt;
};
constexpr Layout kHighLayout{0x100000, 0x10000, 0x20000, 0x8000};
constexpr Layout kLowLayout{0x1000, 0x90000, 0x91000, 0x99000};

tl::expected<SetupHeader, std::string> parse_header(Bytes kernel) {
  const SpanReader file(kernel);
  SetupHeader header;
  header.version = *file.at<std::uint16_t>(0x206);
  if (header.version < 0x0200) {
    return tl::unexpected(
        fmt::format("Linux boot protocol {:#06x} is too old (2.00 or newer)", header.version));
  }
  // The header ends where the jump at 200h goes to.
  const std::uint64_t header_end = 0x202 + *file.at<std::uint8_t>(0x201);
  const auto raw = file.slice(kHeaderStart, header_end - kHeaderStart);
  if (!raw || header_end < 0x220 || header_end > 0x280)
    return tl::unexpected(std::string("damaged Linux setup header"));
  header.raw = *raw;
  // A field counts only when both the version and the header's length cover it.
  const auto field = [&]<typename T>(std::uint16_t since, std::uint64_t at, T absent) {
    return header.version >= since && at + sizeof(T) <= header_end ? *file.at<T>(at) : absent;
  };
  const std::uint64_t sectors = *file.at<std::uint8_t>(0x1f1);
  header.setup_bytes = ((sectors == 0 ? 4 : sectors) + 1) * 512;
  header.loaded_high = *file.at<std::uint8_t>(0x211) & kLoadedHigh;
  header.code32_start = *file.at<std::uint32_t>(0x214);
  header.initrd_max = field(0x0203, 0x22c, header.initrd_max);
  header.command_line_max = field(0x0206, 0x238, header.command_line_max);
  header.entry64 = field(0x020c, 0x236, std::uint16_t{0}) & kXlfKernel64;
  header.preferred_address = field(0x020a, 0x258, std::uint64_t{0});
  header.run_bytes = field(0x020a, 0x260, std::uint32_t{0});
  if (header.setup_bytes >= kernel.size())
    return tl::unexpected(std::string("truncated Linux kernel: nothing follows its setup code"));
  // syssize counts the protected-mode part in 16-byte units; below 2.04 only 16 bits are reliable.
  const auto paragraphs =
      header.version >= 0x0204 ? *file.at<std::uint32_t>(0x1f4) : *file.at<std::uint16_t>(0x1f4);
  const std::uint64_t required = paragraphs == 0 ? 0 : (std::uint64_t{paragraphs} - 1) * 16 + 1;
  if (header.version >= 0x0204 && kernel.size() - header.setup_bytes < required) {
    return tl::unexpected(fmt::format("truncated Linux kernel: {} bytes where its header says {}",
                                      kernel.size(),
                                      header.setup_bytes + std::uint64_t{paragraphs} * 16));
  }
  return header;
}

class ZeroPage {
 public:
  template <typename T>
  void set(std::size_t offset, T value) {
    std::memcpy(page_.data() + offset, &value, sizeof value);
  }
  void copy(std::size_t offset, Bytes bytes) {
    std::copy(bytes.begin(), bytes.end(), page_.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  Bytes bytes() const { return page_; }

 private:
  std::array<std::uint8_t, kZeroPageBytes> page_{};
};

void set_memory(ZeroPage& page, const BootEnvironment& environment,
                const guest::PhysicalMemory& memory) {
  const auto count = std::min(environment.memory_map.size(), kE820Slots);
  page.set<std::uint8_t>(0x1e8, static_cast<std::uint8_t>(count));
  for (std::size_t i = 0; i < count; ++i) {
    const auto& range = environment.memory_map[i];
    page.set<std::uint64_t>(0x2d0 + i * 20, range.start);
    page.set<std::uint64_t>(0x2d8 + i * 20, range.bytes);
    page.set<std::uint32_t>(0x2e0 + i * 20, static_cast<std::uint32_t>(range.type));
  }
  // What kernels without E820 read: KiB above 1 MiB, in 16 and in 32 bits.
  const auto low = memory.low_ram_bytes();
  const std::uint64_t extended_kib = low > kExtendedStart ? (low - kExtendedStart) >> 10 : 0;
  page.set<std::uint16_t>(
      0x002, static_cast<std::uint16_t>(std::min<std::uint64_t>(extended_kib, 0xfc00)));
  page.set<std::uint32_t>(0x1e0, static_cast<std::uint32_t>(extended_kib));
}

// The kernel's own need: the image, and from protocol 2.10 on the room in which it unpacks itself.
AddressRange kernel_range(const SetupHeader& header, const Layout& layout, std::uint64_t bytes) {
  AddressRange range{layout.kernel, layout.kernel + bytes};
  if (header.loaded_high && header.run_bytes > 0) {
    const auto start = std::max(layout.kernel, header.preferred_address);
    range.end = std::max(range.end, start + header.run_bytes);
  }
  return range;
}

// As high as the kernel allows, so that it stays clear of the kernel's growth.
tl::expected<std::uint64_t, std::string> place_initrd(const BootModule& initrd,
                                                      const SetupHeader& header,
                                                      const AddressRange& kernel,
                                                      guest::PhysicalMemory& memory) {
  const auto top =
      std::min<std::uint64_t>(std::uint64_t{header.initrd_max} + 1, memory.low_ram_bytes());
  const auto bytes = initrd.bytes.size();
  const auto start = bytes > top ? 0 : (top - bytes) & ~guest::kPageOffsetMask;
  if (start < kernel.end) {
    return tl::unexpected(fmt::format(
        "the initrd ({} KiB) and the kernel (which needs memory up to {:#x}) do not fit below "
        "{:#x}: give the guest more memory with -m",
        bytes >> 10, kernel.end, top));
  }
  auto status = place(memory, "the initrd", start, initrd.bytes);
  if (!status) return tl::unexpected(status.error());
  return start;
}

LoadStatus enter(const Layout& layout, bool use_64bit, guest::PhysicalMemory& memory,
                 guest::CpuState& state) {
  // __BOOT_CS is 10h and __BOOT_DS 18h.
  const std::array<std::uint64_t, 4> gdt{0, 0, use_64bit ? kDescriptorCode64 : kDescriptorCode32,
                                         kDescriptorData};
  auto status = place(memory, "the boot GDT", layout.gdt,
                      {reinterpret_cast<const std::uint8_t*>(gdt.data()), sizeof gdt});
  if (!status) return status;
  FlatEntry entry{.rip = layout.kernel, .gdt = {layout.gdt, sizeof gdt - 1}};
  if (use_64bit) {
    if (status = place_identity_map(memory); !status) return status;
    entry.rip += kEntry64Offset;
    enter_long64(state, entry, kIdentityMapAddress);
  } else {
    enter_protected32(state, entry);
  }
  state.reg(guest::Gpr::kRsi) = layout.zero_page;
  // The protocol asks for EBP = EDI = EBX = 0; reset left the family/model word in EDX.
  state.reg(guest::Gpr::kRdx) = 0;
  return {};
}

}  // namespace

bool has_linux_header(Bytes kernel) {
  const SpanReader file(kernel);
  return file.at<std::uint32_t>(0x202) == kHdrS && kernel.size() >= 0x280;
}

LoadStatus boot_linux(const BootSource& source, const BootEnvironment& environment,
                      guest::PhysicalMemory& memory, guest::CpuState& state) {
  const auto header = parse_header(source.kernel);
  if (!header) return tl::unexpected(header.error());
  const Layout& layout = header->loaded_high ? kHighLayout : kLowLayout;
  const Bytes payload = Bytes(source.kernel).subspan(header->setup_bytes);
  if (!header->loaded_high && layout.kernel + payload.size() > layout.zero_page)
    return tl::unexpected(std::string("zImage too large for conventional memory"));
  const auto range = kernel_range(*header, layout, payload.size());
  if (!is_ram(memory, range.start, range.end - range.start)) {
    return tl::unexpected(
        fmt::format("the kernel needs memory up to {:#x}, and the guest has {} MiB: raise -m",
                    range.end, memory.ram_bytes() >> 20));
  }
  if (source.command_line.size() > std::min(header->command_line_max, 0x7fffu)) {
    return tl::unexpected(fmt::format("-append is {} bytes long, this kernel takes at most {}",
                                      source.command_line.size(), header->command_line_max));
  }

  ZeroPage page;
  page.copy(kHeaderStart, header->raw);
  page.set<std::uint8_t>(0x210, kLoaderUndefined);
  page.set<std::uint32_t>(0x214, static_cast<std::uint32_t>(layout.kernel));
  if (header->version >= 0x0202) {
    page.set<std::uint32_t>(0x228, static_cast<std::uint32_t>(layout.command_line));
  } else {
    page.set<std::uint16_t>(0x020, 0xa33f);
    page.set<std::uint16_t>(0x022,
                            static_cast<std::uint16_t>(layout.command_line - layout.zero_page));
  }
  page.set<std::uint64_t>(0x070, environment.acpi_rsdp);
  set_memory(page, environment, memory);

  auto status = place(memory, "the kernel", layout.kernel, payload);
  if (!status) return status;
  if (!source.modules.empty()) {
    const auto start = place_initrd(source.modules.front(), *header, range, memory);
    if (!start) return tl::unexpected(start.error());
    page.set<std::uint32_t>(0x218, static_cast<std::uint32_t>(*start));
    page.set<std::uint32_t>(0x21c, static_cast<std::uint32_t>(source.modules.front().bytes.size()));
  }
  BlockBuilder command_line(layout.command_line);
  command_line.append_string(source.command_line);
  if (status = place(memory, "the command line", layout.command_line, command_line.bytes());
      !status)
    return status;
  if (status = place(memory, "the boot parameters", layout.zero_page, page.bytes()); !status)
    return status;
  return enter(layout, header->entry64 && environment.long_mode, memory, state);
}

}  // namespace ringshift::runtime
