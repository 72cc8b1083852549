// runtime/loaders/flat.cc - raw bytes at an address, and the processor state to start them in.
#include "runtime/loaders/flat.h"

#include <fmt/format.h>

#include <array>

#include "runtime/loaders/cpu_entry.h"
#include "runtime/loaders/identity_map.h"

namespace ringshift::runtime {
namespace {

// Below the addresses that small images use; only the modes that need it write there.
constexpr std::uint64_t kGdt = 0x800;

LoadStatus enter_flat(bool long_mode, std::uint64_t entry, guest::PhysicalMemory& memory,
                      guest::CpuState& state) {
  const std::array<std::uint64_t, 4> gdt{0, 0, long_mode ? kDescriptorCode64 : kDescriptorCode32,
                                         kDescriptorData};
  auto status = place(memory, "the boot GDT", kGdt,
                      {reinterpret_cast<const std::uint8_t*>(gdt.data()), sizeof gdt});
  if (!status) return status;
  const FlatEntry flat{entry, 0x10, 0x18, {kGdt, sizeof gdt - 1}};
  if (!long_mode) {
    enter_protected32(state, flat);
    return {};
  }
  if (status = place_identity_map(memory); !status) return status;
  enter_long64(state, flat, kIdentityMapAddress);
  return {};
}

}  // namespace

LoadStatus boot_flat(const FlatImage& image, guest::PhysicalMemory& memory,
                     guest::CpuState& state) {
  auto status = place(memory, image.name, image.address, image.bytes);
  if (!status || !image.mode) return status;
  const auto entry = image.entry.value_or(image.address);
  if (*image.mode == FlatMode::kReal16) {
    if (entry > 0xfffff) {
      return tl::unexpected(
          fmt::format("{}: real mode cannot start at {:#x}, above 1 MiB", image.name, entry));
    }
    enter_real16(state, static_cast<std::uint32_t>(entry));
    return {};
  }
  return enter_flat(*image.mode == FlatMode::kLong64, entry, memory, state);
}

}  // namespace ringshift::runtime
