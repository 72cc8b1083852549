// runtime/loaders/boot.cc - recognizes a kernel file, reads what goes with it, and calls its
// protocol.
#include "runtime/loaders/boot.h"

#include <fmt/format.h>

#include "runtime/loaders/elf.h"
#include "runtime/loaders/host_file.h"

namespace ringshift::runtime {
namespace {

// Splits at single commas; a doubled one stands for itself (QEMU's spelling).
std::vector<std::string> split_modules(const std::string& text) {
  std::vector<std::string> parts(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != ',') {
      parts.back() += text[i];
    } else if (i + 1 < text.size() && text[i + 1] == ',') {
      parts.back() += ',';
      ++i;
    } else {
      parts.emplace_back();
    }
  }
  return parts;
}

tl::expected<std::vector<BootModule>, std::string> read_modules(KernelFormat format,
                                                                const std::string& initrd,
                                                                std::uint64_t limit) {
  std::vector<BootModule> modules;
  if (initrd.empty()) return modules;
  const auto parts =
      format == KernelFormat::kMultiboot ? split_modules(initrd) : std::vector<std::string>{initrd};
  for (const auto& part : parts) {
    const auto path = format == KernelFormat::kMultiboot ? part.substr(0, part.find(' ')) : part;
    auto bytes = read_host_file(path, limit);
    if (!bytes) return tl::unexpected("-initrd " + bytes.error());
    modules.push_back({part, std::move(*bytes)});
  }
  return modules;
}

}  // namespace

tl::expected<KernelFormat, std::string> detect_format(Bytes kernel) {
  if (has_linux_header(kernel)) return KernelFormat::kLinux;
  // Multiboot before PVH: a file may be both, and only the multiboot header names its loader.
  if (has_multiboot_header(kernel)) return KernelFormat::kMultiboot;
  if (!is_elf(kernel)) {
    return tl::unexpected(
        std::string("not a Linux bzImage, a multiboot kernel or an ELF file with a PVH entry"));
  }
  const auto elf = parse_elf(kernel);
  if (!elf) return tl::unexpected(elf.error());
  if (!pvh_entry(*elf)) {
    return tl::unexpected(std::string(
        "this ELF file has neither a multiboot header nor a PVH entry note: no way to start it"));
  }
  return KernelFormat::kPvh;
}

tl::expected<BootSource, std::string> read_boot_source(const std::string& kernel_path,
                                                       const std::string& initrd,
                                                       const std::string& command_line,
                                                       std::uint64_t ram_bytes) {
  auto kernel = read_host_file(kernel_path, ram_bytes);
  if (!kernel) return tl::unexpected("-kernel " + kernel.error());
  const auto format = detect_format(*kernel);
  if (!format) return tl::unexpected(fmt::format("-kernel {}: {}", kernel_path, format.error()));
  auto modules = read_modules(*format, initrd, ram_bytes);
  if (!modules) return tl::unexpected(modules.error());
  return BootSource{*format, kernel_path, std::move(*kernel), std::move(*modules), command_line};
}

LoadStatus boot(const BootSource& source, const BootEnvironment& environment,
                guest::PhysicalMemory& memory, guest::CpuState& state) {
  const auto start = [&] {
    switch (source.format) {
      case KernelFormat::kLinux:
        return boot_linux(source, environment, memory, state);
      case KernelFormat::kMultiboot:
        return boot_multiboot(source, environment, memory, state);
      case KernelFormat::kPvh:
        break;
    }
    return boot_pvh(source, environment, memory, state);
  };
  auto status = start();
  if (!status)
    return tl::unexpected(fmt::format("-kernel {}: {}", source.kernel_name, status.error()));
  return status;
}

}  // namespace ringshift::runtime
