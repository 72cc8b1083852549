// runtime/machine_config.h - what a machine is made of, as main() or a test puts it together.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "guest/cpu_model.h"
#include "runtime/block/disk.h"
#include "runtime/console/byte_channel.h"
#include "runtime/loaders/boot.h"
#include "runtime/loaders/flat.h"
#include "runtime/options.h"

namespace ringshift::runtime {

struct FwCfgItem {
  std::string name;
  std::vector<std::uint8_t> bytes;
};

// What the processor runs first, at the end of the first 4 GiB; its last 128 KiB also below 1 MiB.
struct Firmware {
  std::string name;
  std::vector<std::uint8_t> image;
};

// A disk and where it is; no disk: a drive without a medium.
struct DriveConfig {
  std::unique_ptr<Disk> disk;
  DriveInterface interface = DriveInterface::kIde;
  unsigned index = 0;
  bool cdrom = false;
  std::string serial;
};

// A flash chip below the firmware, for its variables.
struct FlashConfig {
  std::vector<std::uint8_t> contents;
  std::unique_ptr<Disk> disk;  // null: they are lost at the end
};

struct NicConfig {
  std::unique_ptr<NetLink> link;
  NicModel model = NicModel::kVirtio;
  std::array<std::uint8_t, 6> address{};
};

struct MachineConfig {
  std::uint64_t ram_bytes = std::uint64_t{128} << 20;
  guest::CpuModel model;
  std::optional<BootSource> kernel;
  std::vector<FlatImage> images;
  std::optional<Firmware> firmware;
  std::optional<FlashConfig> flash;
  BootOptions boot;
  bool vga = false;
  std::vector<DriveConfig> drives;
  std::vector<NicConfig> nics;
  std::vector<FwCfgItem> fw_cfg;

  std::vector<std::unique_ptr<ByteChannel>> serial;  // COM1 to COM4; null: no such port
  std::unique_ptr<ByteChannel> debug_console;
  std::uint16_t debug_console_port = 0xe9;
  std::vector<DebugExitOptions> debug_exit;
  bool pc_testdev = false, pci_testdev = false;
  RtcBase rtc_base = RtcBase::kUtc;

  bool no_reboot = false, no_shutdown = false, start_paused = false;
  std::FILE* guest_errors = nullptr;  // where -d guest_errors writes; not owned
};

}  // namespace ringshift::runtime
