// runtime/device_options.cc - the argument of -device.
#include "runtime/device_options.h"

#include <fmt/format.h>

#include "runtime/option_values.h"

namespace ringshift::runtime {
namespace {

using Status = tl::expected<void, std::string>;

Status add_debug_exit(RunOptions& options, KeyValues& words) {
  const auto port = words.take_number("iobase");
  const auto bytes = words.take_number("iosize");
  if (!port) return tl::unexpected(port.error());
  if (!bytes) return tl::unexpected(bytes.error());
  const auto first = port->value_or(DebugExitOptions{}.port);
  const auto count = bytes->value_or(DebugExitOptions{}.bytes);
  if (first > 0xffff || count == 0 || count > 0x10000 - first)
    return tl::unexpected(std::string("iobase and iosize leave the 64 Ki I/O ports"));
  options.debug_exit.push_back(
      {static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(count)});
  return {};
}

tl::expected<std::optional<FlatMode>, std::string> take_mode(KeyValues& words) {
  const auto mode = words.take("mode");
  if (!mode) return std::nullopt;
  if (*mode == "real16") return FlatMode::kReal16;
  if (*mode == "protected32") return FlatMode::kProtected32;
  if (*mode == "long64") return FlatMode::kLong64;
  return tl::unexpected(fmt::format("mode={}: not real16, protected32 or long64", *mode));
}

Status add_loader(RunOptions& options, KeyValues& words) {
  LoaderOptions loader;
  const auto address = words.take_number("addr");
  const auto entry = words.take_number("entry");
  const auto mode = take_mode(words);
  loader.file = words.take("file").value_or("");
  if (!address) return tl::unexpected(address.error());
  if (!entry) return tl::unexpected(entry.error());
  if (!mode) return tl::unexpected(mode.error());
  // The file is always raw here.
  if (words.take("force-raw").value_or("on") != "on")
    return tl::unexpected(std::string("only raw files: use -kernel for ELF"));
  if (loader.file.empty()) return tl::unexpected(std::string("file= is missing"));
  if (!*address) return tl::unexpected(std::string("addr= is missing"));
  if (*entry && !*mode) return tl::unexpected(std::string("entry= needs mode="));
  loader.address = **address;
  loader.entry = *entry;
  loader.mode = *mode;
  options.loaders.push_back(loader);
  return {};
}

// virtio-blk-pci, ide-hd and ide-cd: where a drive goes that -drive made with if=none.
Status add_disk_device(RunOptions& options, KeyValues& words, DriveInterface interface,
                       bool cdrom) {
  const auto drive = words.take("drive").value_or("");
  const auto serial = words.take("serial").value_or("");
  const auto unit = words.take_number("unit");
  if (!unit) return tl::unexpected(unit.error());
  std::optional<unsigned> index;
  if (const auto bus = words.take("bus"); bus && interface == DriveInterface::kIde) {
    if (*bus != "ide.0" && *bus != "ide.1")
      return tl::unexpected(std::string("bus= is ide.0 or ide.1"));
    index = (*bus == "ide.1" ? 2u : 0u) + static_cast<unsigned>(unit->value_or(0) & 1);
  }
  words.take("bootindex");
  return place_drive(options, drive, interface, cdrom, index, serial);
}

}  // namespace

Status add_device(RunOptions& options, const std::string& text) {
  KeyValues words(text, true);
  words.take("id");
  Status added;
  if (words.name() == "isa-debug-exit") {
    added = add_debug_exit(options, words);
  } else if (words.name() == "loader") {
    added = add_loader(options, words);
  } else if (words.name() == "pc-testdev") {
    options.pc_testdev = true;
  } else if (words.name() == "pci-testdev") {
    options.pci_testdev = true;
  } else if (words.name() == "ide-hd" || words.name() == "ide-cd") {
    added = add_disk_device(options, words, DriveInterface::kIde, words.name() == "ide-cd");
  } else if (words.name() == "virtio-blk-pci" || words.name() == "virtio-blk") {
    added = add_disk_device(options, words, DriveInterface::kVirtio, false);
  } else if (words.name() == "virtio-net-pci" || words.name() == "virtio-net") {
    added = add_nic_device(options, words, NicModel::kVirtio);
  } else if (words.name() == "e1000") {
    added = add_nic_device(options, words, NicModel::kE1000);
  } else {
    return tl::unexpected(fmt::format("there is no device '{}'", words.name()));
  }
  return added ? words.finish() : added;
}

}  // namespace ringshift::runtime
