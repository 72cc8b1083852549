// tests/unit/runtime/kernel_images.h - kernel files made by hand, so that a test can break one
// field.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "runtime/loaders/boot.h"

namespace ringshift::runtime::test {

class Image {
 public:
  explicit Image(std::size_t bytes) : bytes_(bytes) {}
  template <typename T>
  Image& set(std::size_t offset, T value) {
    std::memcpy(bytes_.data() + offset, &value, sizeof value);
    return *this;
  }
  const std::vector<std::uint8_t>& bytes() const { return bytes_; }
  std::vector<std::uint8_t>& bytes() { return bytes_; }

 private:
  std::vector<std::uint8_t> bytes_;
};

// A bzImage of protocol 2.15: four setup sectors, then `payload` bytes that count up.
inline Image bzimage(std::size_t payload = 8192) {
  constexpr std::size_t kSetup = 5 * 512;
  Image image(kSetup + payload);
  image.set<std::uint8_t>(0x1f1, 4)
      .set<std::uint32_t>(0x1f4, static_cast<std::uint32_t>(payload / 16))
      .set<std::uint16_t>(0x1fe, 0xaa55)
      .set<std::uint16_t>(0x200, 0x6aeb)  // jmp: the header ends at 26Ch
      .set<std::uint32_t>(0x202, 0x53726448)
      .set<std::uint16_t>(0x206, 0x020f)
      .set<std::uint8_t>(0x211, 1)
      .set<std::uint32_t>(0x214, 0x100000)
      .set<std::uint32_t>(0x22c, 0x7fffffff)
      .set<std::uint16_t>(0x236, 1)
      .set<std::uint32_t>(0x238, 2047)
      .set<std::uint64_t>(0x258, 0x1000000)
      .set<std::uint32_t>(0x260, 0x800000);
  for (std::size_t i = 0; i < payload; ++i)
    image.bytes()[kSetup + i] = static_cast<std::uint8_t>(i * 7 + 1);
  return image;
}

// A 64-bit ELF file with one loaded segment at 2 MiB (4 KiB of data, 8 KiB in memory) and a PVH
// note.
inline Image pvh_elf() {
  constexpr std::size_t kData = 0x1000;
  Image image(kData + 4096);
  image.set<std::uint32_t>(0, 0x464c457f)
      .set<std::uint8_t>(4, 2)
      .set<std::uint8_t>(5, 1)
      .set<std::uint16_t>(16, 2)
      .set<std::uint16_t>(18, 62)
      .set<std::uint64_t>(24, 0xffffffff80200000)
      .set<std::uint64_t>(32, 64)
      .set<std::uint16_t>(54, 56)
      .set<std::uint16_t>(56, 2);
  image.set<std::uint32_t>(64, 1)
      .set<std::uint64_t>(72, kData)
      .set<std::uint64_t>(80, 0xffffffff80200000)
      .set<std::uint64_t>(88, 0x200000)
      .set<std::uint64_t>(96, 4096)
      .set<std::uint64_t>(104, 8192);
  image.set<std::uint32_t>(120, 4)
      .set<std::uint64_t>(128, 0x200)
      .set<std::uint64_t>(152, 24)
      .set<std::uint64_t>(160, 24)
      .set<std::uint64_t>(168, 4);
  image.set<std::uint32_t>(0x200, 4)
      .set<std::uint32_t>(0x204, 8)
      .set<std::uint32_t>(0x208, 18)
      .set<std::uint32_t>(0x20c, 0x006e6558)  // "Xen"
      .set<std::uint64_t>(0x210, 0x200010);
  image.set<std::uint32_t>(kData, 0xfeedface);
  return image;
}

// The same file without its note and with a multiboot header in its data.
inline Image multiboot_elf(std::uint32_t flags = 3) {
  auto image = pvh_elf();
  image.set<std::uint32_t>(120, 0)
      .set<std::uint32_t>(0x1100, 0x1badb002)
      .set<std::uint32_t>(0x1104, flags)
      .set<std::uint32_t>(0x1108, 0 - 0x1badb002 - flags);
  return image;
}

// A raw file whose header says where it goes: loaded at 2 MiB, 16 KiB in memory.
inline Image multiboot_raw() {
  constexpr std::uint32_t kFlags = 0x10003;
  Image image(8192);
  image.set<std::uint32_t>(0x40, 0x1badb002)
      .set<std::uint32_t>(0x44, kFlags)
      .set<std::uint32_t>(0x48, 0 - 0x1badb002 - kFlags)
      .set<std::uint32_t>(0x4c, 0x200040)
      .set<std::uint32_t>(0x50, 0x200000)
      .set<std::uint32_t>(0x54, 0)
      .set<std::uint32_t>(0x58, 0x204000)
      .set<std::uint32_t>(0x5c, 0x200100);
  return image;
}

// A small machine to load into.
struct Loading {
  std::unique_ptr<guest::PhysicalMemory> memory;
  guest::CpuState state;
  BootEnvironment environment;

  explicit Loading(std::uint64_t ram = std::uint64_t{64} << 20)
      : memory(std::move(*guest::PhysicalMemory::create(ram))) {
    guest::reset(state);
    environment.memory_map = memory_map(*memory);
    environment.acpi_rsdp = 0xe0000;
  }

  LoadStatus boot(const Image& kernel, const std::string& command_line = "",
                  std::vector<BootModule> modules = {}) {
    const auto format = detect_format(kernel.bytes());
    if (!format) return tl::unexpected(format.error());
    return runtime::boot({*format, "kernel", kernel.bytes(), std::move(modules), command_line},
                         environment, *memory, state);
  }
  std::string text(std::uint64_t address) {
    std::string result;
    while (const char c = memory->load<char>({address + result.size()})) result += c;
    return result;
  }
};

}  // namespace ringshift::runtime::test
