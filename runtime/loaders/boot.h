// runtime/loaders/boot.h - what -kernel, -initrd and -append name: read once, placed at every
// reset. Files are untrusted: whatever is wrong with one is an error of one line, before the guest
// runs.
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "guest/cpu_state.h"
#include "guest/physical_memory.h"
#include "runtime/loaders/memory_map.h"
#include "runtime/loaders/placement.h"

namespace ringshift::runtime {

enum class KernelFormat { kLinux, kMultiboot, kPvh };

struct BootModule {
  std::string command_line;  // the file's name and arguments, for multiboot
  std::vector<std::uint8_t> bytes;
};

struct BootSource {
  KernelFormat format{};
  std::string kernel_name;
  std::vector<std::uint8_t> kernel;
  std::vector<BootModule> modules;  // Linux and PVH: at most one, the initrd
  std::string command_line;         // -append
};

// What the loaders must know of the machine around them.
struct BootEnvironment {
  bool long_mode = true;        // the guest CPU has it
  std::uint64_t acpi_rsdp = 0;  // 0: no tables
  std::vector<MemoryRange> memory_map;
};

// The error names what the file is not.
tl::expected<KernelFormat, std::string> detect_format(Bytes kernel);

// `initrd` is one path; for multiboot "path arguments,path arguments", a comma in it doubled.
tl::expected<BootSource, std::string> read_boot_source(const std::string& kernel_path,
                                                       const std::string& initrd,
                                                       const std::string& command_line,
                                                       std::uint64_t ram_bytes);

// Writes kernel, modules and boot information to RAM and sets the registers. `state` was just
// reset.
LoadStatus boot(const BootSource& source, const BootEnvironment& environment,
                guest::PhysicalMemory& memory, guest::CpuState& state);

// The three protocols behind boot().
LoadStatus boot_linux(const BootSource& source, const BootEnvironment& environment,
                      guest::PhysicalMemory& memory, guest::CpuState& state);
LoadStatus boot_multiboot(const BootSource& source, const BootEnvironment& environment,
                          guest::PhysicalMemory& memory, guest::CpuState& state);
LoadStatus boot_pvh(const BootSource& source, const BootEnvironment& environment,
                    guest::PhysicalMemory& memory, guest::CpuState& state);

bool has_linux_header(Bytes kernel);
bool has_multiboot_header(Bytes kernel);

}  // namespace ringshift::runtime
