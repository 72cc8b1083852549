// runtime/options.h - the command line as data: QEMU's spelling, same meaning, nothing ignored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <variant>
#include <vector>

#include "runtime/compare/compare.h"
#include "runtime/console/backends.h"
#include "runtime/drive_options.h"
#include "runtime/loaders/flat.h"
#include "runtime/net_options.h"

namespace ringshift::runtime {

struct DebugExitOptions {
  std::uint16_t port = 0x501;
  std::uint16_t bytes = 2;
};

struct LoaderOptions {
  std::string file;
  std::uint64_t address = 0;
  std::optional<FlatMode> mode;
  std::optional<std::uint64_t> entry;
};

// One entry of -fw_cfg.
struct FwCfgFile {
  std::string name;
  std::string file;  // either the host file, or the bytes themselves
  std::string text;
};

// -boot: what firmware tries, one letter each (a floppy, c disk, d CD, n network).
struct BootOptions {
  std::string order = "cad";
  bool menu = false;
  std::optional<std::uint16_t> menu_wait_ms;
};

enum class RtcBase { kUtc, kLocalTime };

struct LogOptions {
  bool in_asm = false, out_asm = false, interrupts = false, exec = false, mmu = false,
       guest_errors = false, stats = false;
  std::string file;  // -D; empty: standard error
  bool any() const {
    return in_asm || out_asm || interrupts || exec || mmu || guest_errors || stats;
  }
};

struct TranslatorOptions {
  std::optional<std::uint64_t> cache_bytes;
  std::optional<std::uint64_t> block_instructions;
  std::optional<bool> chain;
  std::string tier = "auto";
  std::string memory = "auto";
};

enum class AcceleratorKind { kAuto, kBt, kKvm };

struct RunOptions {
  std::uint64_t ram_bytes = std::uint64_t{128} << 20;
  std::string cpu = "max";
  AcceleratorKind accelerator = AcceleratorKind::kAuto;
  TranslatorOptions translator;
  std::string kernel, initrd, append;
  std::vector<BackendSpec> serial;  // COM1 to COM4
  std::optional<BackendSpec> debug_console;
  std::uint16_t debug_console_port = 0xe9;
  std::string bios;  // empty: SeaBIOS, if the guest boots from a disk
  BootOptions boot;
  std::vector<DriveOptions> drives;
  std::vector<NetdevOptions> netdevs;
  std::vector<NicOptions> nics;
  bool snapshot = false;    // for every disk
  std::optional<bool> vga;  // absent: with firmware only
  std::vector<DebugExitOptions> debug_exit;
  bool pc_testdev = false, pci_testdev = false;
  std::vector<LoaderOptions> loaders;
  std::vector<FwCfgFile> fw_cfg;
  RtcBase rtc_base = RtcBase::kUtc;
  bool no_reboot = false, no_shutdown = false, start_paused = false, verbose = false;
  LogOptions log;
  std::vector<BackendSpec> monitors, qmp, gdb;
  std::string profile_socket;               // empty: none
  bool perf_map = false, jit_dump = false;  // for the host's perf

  // A guest that nobody else starts is started from its disks.
  bool uses_firmware() const {
    return !bios.empty() || (kernel.empty() && loaders.empty() && !drives.empty());
  }
  bool names_a_guest() const { return !kernel.empty() || !loaders.empty() || uses_firmware(); }
};

struct ProbeOptions {
  bool json = false;
};
// Text for standard output, then exit status 0.
struct TextAnswer {
  std::string text;
};
using Command = std::variant<RunOptions, ProbeOptions, CompareOptions, TextAnswer>;

// The error is one line that names the option.
tl::expected<Command, std::string> parse_command_line(const std::vector<std::string>& arguments);

// Of `run` alone; for tests.
tl::expected<RunOptions, std::string> parse_run_options(const std::vector<std::string>& arguments);

std::string version_text();

}  // namespace ringshift::runtime
