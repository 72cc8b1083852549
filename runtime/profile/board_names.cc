// runtime/profile/board_names.cc - what answers on a PC at a port, or at a page of memory.
#include "runtime/profile/board_names.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

#include "runtime/bt/board_counts.h"

namespace ringshift::runtime::profile {
namespace {

struct Range {
  std::uint64_t first, last;
  std::string_view name;
};

constexpr auto kPorts = std::to_array<Range>({
    {0x000, 0x01f, "DMA controller"},
    {0x020, 0x021, "PIC"},
    {0x040, 0x043, "PIT"},
    {0x060, 0x060, "i8042"},
    {0x061, 0x061, "system control port"},
    {0x064, 0x064, "i8042"},
    {0x070, 0x077, "RTC"},
    {0x080, 0x080, "delay"},
    {0x081, 0x08f, "DMA pages"},
    {0x092, 0x092, "port 92h"},
    {0x0a0, 0x0a1, "PIC"},
    {0x0c0, 0x0df, "DMA controller"},
    {0x0e9, 0x0e9, "debug console"},
    {0x0f0, 0x0f1, "FERR#"},
    {0x170, 0x177, "IDE"},
    {0x1f0, 0x1f7, "IDE"},
    {0x2e8, 0x2ef, "COM4"},
    {0x2f8, 0x2ff, "COM2"},
    {0x376, 0x376, "IDE"},
    {0x3b0, 0x3df, "VGA"},
    {0x3e8, 0x3ef, "COM3"},
    {0x3f0, 0x3f5, "floppy"},
    {0x3f6, 0x3f6, "IDE"},
    {0x3f8, 0x3ff, "COM1"},
    {0x4d0, 0x4d1, "PIC"},
    {0x510, 0x51b, "fw_cfg"},
    {0x600, 0x63f, "power management"},
    {0x700, 0x70f, "SMBus"},
    {0xb2, 0xb3, "APM"},
    {0xcf8, 0xcff, "PCI"},
});

// Page numbers.
constexpr auto kPages = std::to_array<Range>({
    {0xa0, 0xbf, "VGA"},
    {0xfec00, 0xfec00, "I/O APIC"},
    {0xfed00, 0xfed00, "HPET"},
    {0xfee00, 0xfee00, "local APIC"},
    {0xc0000, 0xfebff, "PCI memory"},
});

template <std::size_t n>
std::string_view name_in(const std::array<Range, n>& ranges, std::uint64_t at) {
  for (const Range& range : ranges)
    if (at >= range.first && at <= range.last) return range.name;
  return {};
}

}  // namespace

std::string port_device(std::uint64_t port) {
  const auto name = name_in(kPorts, port);
  return name.empty() ? fmt::format("port {:#x}", port) : std::string(name);
}

std::string page_device(std::uint64_t page_number) {
  if (page_number == BoardCounts::kOtherPages) return "other pages";
  const auto name = name_in(kPages, page_number);
  return name.empty() ? fmt::format("memory at {:#x}", page_number << 12) : std::string(name);
}

}  // namespace ringshift::runtime::profile
