// runtime/run_guest.cc - the verb `run`: from options to a machine, and its exit status.
#include "runtime/run_guest.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "runtime/accelerator_choice.h"
#include "runtime/builtin/builtin_guest.h"
#include "runtime/console/terminal.h"
#include "runtime/gdb/gdb_server.h"
#include "runtime/loaders/host_file.h"
#include "runtime/log_file.h"
#include "runtime/machine.h"
#include "runtime/message.h"
#include "runtime/monitor/monitor.h"
#include "runtime/profile/control_server.h"
#include "runtime/profile/perf_watcher.h"
#include "runtime/signals.h"

namespace ringshift::runtime {
namespace {

using Status = tl::expected<void, std::string>;

Status load_guest(const RunOptions& options, MachineConfig& config) {
  if (!options.kernel.empty()) {
    auto source =
        read_boot_source(options.kernel, options.initrd, options.append, options.ram_bytes);
    if (!source) return tl::unexpected(source.error());
    config.kernel = std::move(*source);
  }
  for (const auto& loader : options.loaders) {
    auto bytes = read_host_file(loader.file, options.ram_bytes);
    if (!bytes) return tl::unexpected("-device loader: " + bytes.error());
    config.images.push_back(
        {loader.file, std::move(*bytes), loader.address, loader.mode, loader.entry});
  }
  if (!options.names_a_guest()) config.kernel = builtin_guest();
  return {};
}

// Where Debian's packages put what a name without a folder means.
constexpr auto kFirmwareFolders = std::to_array<std::string_view>(
    {"/usr/share/seabios/", "/usr/share/qemu/", "/usr/share/OVMF/", "/usr/share/vgabios/"});

tl::expected<std::vector<std::uint8_t>, std::string> read_firmware(const std::string& name,
                                                                   std::size_t limit) {
  std::string path = name;
  if (::access(path.c_str(), R_OK) != 0 && name.find('/') == name.npos)
    for (const auto folder : kFirmwareFolders)
      if (const std::string there = std::string(folder) + name;
          ::access(there.c_str(), R_OK) == 0) {
        path = there;
        break;
      }
  return read_host_file(path, limit, "any firmware");
}

Status open_drives(const RunOptions& options, MachineConfig& config) {
  for (const auto& drive : options.drives) {
    if (drive.interface == DriveInterface::kPflash) continue;  // see load_flash()
    std::unique_ptr<Disk> disk;
    if (!drive.image.file.empty()) {
      auto image = open_image(drive.image);
      if (!image) return tl::unexpected("-drive " + image.error());
      if ((*image)->read_only() && !drive.cdrom && drive.interface == DriveInterface::kIde)
        return tl::unexpected("-drive " + drive.image.file +
                              ": IDE disks cannot be read-only; use snapshot=on, or if=virtio");
      const auto name = drive.id.empty() ? fmt::format("drive{}", config.drives.size()) : drive.id;
      disk = std::make_unique<Disk>(name, drive.image.file, std::move(*image));
      if (disk->bytes() == 0)
        return tl::unexpected("-drive " + drive.image.file + ": the image is empty");
    }
    config.drives.push_back(
        {std::move(disk), drive.interface, *drive.index, drive.cdrom, drive.serial});
  }
  return {};
}

Status open_networks(const RunOptions& options, MachineConfig& config) {
  for (const auto& nic : options.nics) {
    const auto net = std::ranges::find(options.netdevs, nic.netdev, &NetdevOptions::id);
    auto link = net->tap ? open_tap(net->interface_name) : open_user_net(net->user);
    if (!link) return tl::unexpected(fmt::format("-netdev {}: {}", nic.netdev, link.error()));
    config.nics.push_back({std::move(*link), nic.model, nic.address});
  }
  return {};
}

constexpr const char* kDefaultFirmware = "bios-256k.bin";

// Two flash chips as QEMU has them: the firmware in the first, its variables in the second.
Status load_flash(const RunOptions& options, MachineConfig& config) {
  constexpr std::size_t kMost = std::size_t{8} << 20, kUnit = 4096;
  for (const auto& drive : options.drives) {
    if (drive.interface != DriveInterface::kPflash) continue;
    auto image = read_firmware(drive.image.file, kMost);
    if (!image) return tl::unexpected("-drive " + image.error());
    if (image->empty() || image->size() % kUnit != 0)
      return tl::unexpected("-drive " + drive.image.file + ": not a multiple of 4096 bytes");
    if (*drive.index == 0) {
      config.firmware = Firmware{drive.image.file, std::move(*image)};
      continue;
    }
    FlashConfig flash{std::move(*image), nullptr};
    if (!drive.image.read_only && !drive.image.snapshot) {
      auto file = open_image(drive.image);
      if (!file) return tl::unexpected("-drive " + file.error());
      flash.disk = std::make_unique<Disk>("pflash", drive.image.file, std::move(*file));
    }
    config.flash = std::move(flash);
  }
  if (config.flash && !config.firmware)
    return tl::unexpected(std::string("-drive if=pflash: the first one, the firmware, is missing"));
  return {};
}

Status load_firmware(const RunOptions& options, MachineConfig& config) {
  config.vga = options.vga.value_or(options.uses_firmware());
  config.boot = options.boot;
  if (!options.uses_firmware()) return {};
  if (!options.kernel.empty() || !options.loaders.empty())
    return tl::unexpected(
        std::string("-bios: firmware boots from a disk, not together with -kernel or loader"));
  constexpr std::size_t kMost = std::size_t{8} << 20, kUnit = 64 << 10;
  if (auto loaded = load_flash(options, config); !loaded) return loaded;
  if (!config.firmware) {
    const std::string name = options.bios.empty() ? kDefaultFirmware : options.bios;
    auto image = read_firmware(name, kMost);
    if (!image)
      return tl::unexpected("-bios " + image.error() + " (Debian's package seabios has one)");
    if (image->empty() || image->size() % kUnit != 0)
      return tl::unexpected("-bios " + name + ": a firmware image is a multiple of 64 KiB");
    config.firmware = Firmware{name, std::move(*image)};
  }
  if (!config.vga) return {};
  auto rom = read_firmware("vgabios-stdvga.bin", kUnit);
  if (!rom)
    return tl::unexpected("-vga std: " + rom.error() + " (Debian's package seabios has it)");
  config.fw_cfg.push_back({"pci1234,1111.rom", std::move(*rom)});
  return {};
}

Status load_fw_cfg(const RunOptions& options, MachineConfig& config) {
  for (const auto& entry : options.fw_cfg) {
    FwCfgItem item{entry.name, {entry.text.begin(), entry.text.end()}};
    if (!entry.file.empty()) {
      auto bytes = read_host_file(entry.file, std::uint64_t{64} << 20);
      if (!bytes) return tl::unexpected("-fw_cfg " + bytes.error());
      item.bytes = std::move(*bytes);
    }
    config.fw_cfg.push_back(std::move(item));
  }
  return {};
}

Status open_channels(const RunOptions& options, const CommandHandler& commands,
                     MachineConfig& config) {
  const auto open =
      [&](const BackendSpec& spec, const std::string& option,
          const std::string& label) -> tl::expected<std::unique_ptr<ByteChannel>, std::string> {
    if (spec.kind == BackendSpec::Kind::kNone) return nullptr;
    auto channel = open_backend(spec, label, commands);
    if (!channel) return tl::unexpected(option + ": " + channel.error());
    return channel;
  };
  for (std::size_t i = 0; i < options.serial.size(); ++i) {
    auto channel = open(options.serial[i], "-serial", fmt::format("serial{}", i));
    if (!channel) return tl::unexpected(channel.error());
    config.serial.push_back(std::move(*channel));
  }
  if (options.debug_console) {
    auto channel = open(*options.debug_console, "-debugcon", "debugcon");
    if (!channel) return tl::unexpected(channel.error());
    config.debug_console = std::move(*channel);
  }
  return {};
}

BtOptions translator_options(const RunOptions& options, std::FILE* log) {
  BtOptions result;
  if (const auto bytes = options.translator.cache_bytes) result.cache_bytes = *bytes;
  if (const auto count = options.translator.block_instructions)
    result.max_block_instructions = static_cast<unsigned>(std::min<std::uint64_t>(*count, 1024));
  if (options.translator.tier != "auto")
    result.tier =
        options.translator.tier == "1" ? BtOptions::Tier::kFirst : BtOptions::Tier::kSecond;
  if (options.translator.memory != "auto")
    result.memory =
        options.translator.memory == "tlb" ? BtOptions::Memory::kTlb : BtOptions::Memory::kWindows;
  const auto& log_options = options.log;
  // What is to be logged has to pass the dispatcher.
  result.chain = options.translator.chain.value_or(true) && !log_options.exec;
  if (log_options.exec) result.tier = BtOptions::Tier::kFirst;
  result.log = {.in_asm = log_options.in_asm,
                .out_asm = log_options.out_asm,
                .interrupts = log_options.interrupts,
                .exec = log_options.exec,
                .mmu = log_options.mmu,
                .guest_errors = log_options.guest_errors,
                .file = log};
  return result;
}

// Which accelerator, and why, for those who ask.
void explain_choice(const RunOptions& options, const AcceleratorChoice& choice) {
  if (!choice.warning.empty()) print_message("ringshift: {}", choice.warning);
  if (!options.verbose && !options.log.any()) return;
  if (options.accelerator == AcceleratorKind::kAuto)
    print_message("ringshift: accelerator {} ({})", choice.accelerator->name(), choice.why);
}

std::unique_ptr<RawTerminal> prepare_terminal(const RunOptions& options) {
  for (const auto& spec : options.serial) {
    if (spec.uses_stdio()) return RawTerminal::enter(STDIN_FILENO, !spec.escape_keys);
  }
  for (const auto* list : {&options.monitors, &options.qmp})
    for (const auto& spec : *list)
      if (spec.uses_stdio()) return RawTerminal::enter(STDIN_FILENO, !spec.escape_keys);
  if (options.debug_console && options.debug_console->uses_stdio())
    return RawTerminal::enter(STDIN_FILENO, !options.debug_console->escape_keys);
  return nullptr;
}

}  // namespace

namespace {

using Watchers = std::vector<std::unique_ptr<RunWatcher>>;

tl::expected<Watchers, std::string> asked_for(const RunOptions& options,
                                              const CommandHandler& commands) {
  Watchers watchers;
  const auto serve = [&](const std::vector<BackendSpec>& specs, const char* option,
                         auto make) -> Status {
    for (const auto& spec : specs) {
      auto channel = open_backend(spec, option, commands);
      if (!channel) return tl::unexpected(fmt::format("-{}: {}", option, channel.error()));
      watchers.push_back(make(std::move(*channel)));
    }
    return {};
  };
  if (auto served = serve(options.monitors, "monitor", monitor::serve_people); !served)
    return tl::unexpected(served.error());
  if (auto served = serve(options.gdb, "gdb", gdb::serve_gdb); !served)
    return tl::unexpected(served.error());
  if (auto served = serve(options.qmp, "qmp", monitor::serve_programs); !served)
    return tl::unexpected(served.error());
  if (options.perf_map || options.jit_dump)
    watchers.push_back(profile::watch_for_perf(options.perf_map, options.jit_dump));
  if (!options.profile_socket.empty())
    watchers.push_back(profile::serve_profiles(options.profile_socket));
  return watchers;
}

// Runs the machine with all of them looking on.
tl::expected<int, std::string> run_watched(Machine& machine,
                                           const std::vector<RunWatcher*>& watchers,
                                           std::unique_ptr<RawTerminal>& terminal) {
  for (RunWatcher* watcher : watchers)
    if (auto ready = watcher->before_run(machine); !ready) return tl::unexpected(ready.error());
  const int status = machine.run();
  terminal.reset();
  for (RunWatcher* watcher : watchers) watcher->after_run(machine);
  return status;
}

}  // namespace

tl::expected<int, std::string> run_guest(const RunOptions& options, RunWatcher* watcher) {
  LogFile log;
  if (auto opened = log.open(options.log.file); !opened) return tl::unexpected(opened.error());
  auto choice = choose_accelerator(options.accelerator, translator_options(options, log.get()));
  if (!choice) return tl::unexpected(choice.error());
  MachineConfig config{.ram_bytes = options.ram_bytes,
                       .debug_console_port = options.debug_console_port,
                       .debug_exit = options.debug_exit,
                       .pc_testdev = options.pc_testdev,
                       .pci_testdev = options.pci_testdev,
                       .rtc_base = options.rtc_base,
                       .no_reboot = options.no_reboot,
                       .no_shutdown = options.no_shutdown,
                       .start_paused = options.start_paused};
  auto model = guest::CpuModel::create(options.cpu, choice->accelerator->features());
  if (!model) return tl::unexpected(model.error());
  config.model = std::move(*model);
  if (auto loaded = load_guest(options, config); !loaded) return tl::unexpected(loaded.error());
  if (auto opened = open_networks(options, config); !opened) return tl::unexpected(opened.error());
  if (auto opened = open_drives(options, config); !opened) return tl::unexpected(opened.error());
  if (auto loaded = load_firmware(options, config); !loaded) return tl::unexpected(loaded.error());
  if (auto loaded = load_fw_cfg(options, config); !loaded) return tl::unexpected(loaded.error());

  if (options.log.guest_errors) config.guest_errors = log.get();

  explain_choice(options, *choice);
  // The keys and signals act on a machine that exists only below; none arrives before its run().
  Machine* machine = nullptr;
  std::unique_ptr<RawTerminal> terminal;
  SignalSource signals({
      .terminate =
          [&](int signal) {
            print_message("ringshift: terminating on signal {}", signal);
            machine->stop(128 + signal);
          },
      .before_stop =
          [&] {
            if (terminal) terminal->suspend();
          },
      .after_continue =
          [&] {
            if (terminal) terminal->resume();
          },
  });
  const CommandHandler commands = [&](EscapeCommand command) {
    if (command == EscapeCommand::kQuit) machine->stop(0);
    if (command == EscapeCommand::kPause) machine->toggle_pause();
  };
  if (auto opened = open_channels(options, commands, config); !opened)
    return tl::unexpected(opened.error());

  // Before the accelerator installs its signal handlers: those pass on what is not theirs.
  terminal = prepare_terminal(options);
  auto created = Machine::create(std::move(config), *choice->accelerator);
  if (!created) return tl::unexpected(created.error());
  machine = created->get();
  machine->loop().add(signals);
  const auto watchers = asked_for(options, commands);
  if (!watchers) return tl::unexpected(watchers.error());
  std::vector<RunWatcher*> all;
  for (const auto& one : *watchers) all.push_back(one.get());
  if (watcher) all.push_back(watcher);
  const auto status = run_watched(*machine, all, terminal);
  if (!status) return status;
  if (options.log.stats) fmt::print(log.get(), "{}", machine->statistics());
  return status;
}

}  // namespace ringshift::runtime
