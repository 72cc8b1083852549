// runtime/run_option_rows.cc - the table of `ringshift run`'s options: one row says all about one.
#include "runtime/run_option_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "runtime/device_options.h"
#include "runtime/option_values.h"

namespace ringshift::runtime {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;
constexpr std::uint64_t kMostCache = std::uint64_t{1} << 30;
constexpr std::uint64_t kMostRam = std::uint64_t{1} << 39;

auto failed(std::string why) { return tl::unexpected(std::move(why)); }

OptionStatus set_memory(RunDraft& draft, const std::string& value) {
  KeyValues words(value, true);
  const auto text = words.name().empty() ? words.take("size") : words.name();
  if (auto rest = words.finish(); !rest) return rest;
  const auto bytes = parse_size(text.value_or(""), kMiB);
  if (!bytes) return failed("not a memory size (512, 512M, 2G)");
  if (*bytes < kMiB) return failed("a guest needs at least 1M");
  if (*bytes > kMostRam) return failed("at most 512G");
  draft.options.ram_bytes = (*bytes + 4095) & ~std::uint64_t{4095};
  return {};
}

OptionStatus set_smp(RunDraft&, const std::string& value) {
  if (value.empty()) return failed("the number of processors is missing");
  KeyValues words(value, true);
  const auto is_one = [](const std::optional<std::string>& text) {
    return !text || parse_number(*text) == 1;
  };
  const auto count = words.name().empty() ? words.take("cpus") : words.name();
  bool one = is_one(count);
  for (const auto* part : {"sockets", "dies", "cores", "threads", "maxcpus"})
    one = is_one(words.take(part)) && one;
  if (auto rest = words.finish(); !rest) return rest;
  if (!one) return failed("only one processor is supported so far");
  return {};
}

OptionStatus set_accelerator(RunDraft& draft, const std::string& value) {
  KeyValues words(value, true);
  const auto name = words.name().empty() ? words.take("accel").value_or("") : words.name();
  if (name == "tcg") return failed("tcg is QEMU's translator; this one is called bt");
  if (name == "kvm") {
    draft.options.accelerator = AcceleratorKind::kKvm;
    return words.finish();
  }
  if (name != "bt" && name != "auto") return failed("accelerators are auto, bt and kvm");
  draft.options.accelerator = name == "bt" ? AcceleratorKind::kBt : AcceleratorKind::kAuto;
  auto& translator = draft.options.translator;
  if (const auto cache = words.take("cache")) {
    translator.cache_bytes = parse_size(*cache, kMiB);
    // Branches reach 2 GiB.
    if (translator.cache_bytes.value_or(0) < kMiB || *translator.cache_bytes > kMostCache)
      return failed("cache= needs a size from 1M to 1G");
  }
  if (const auto chain = words.take("chain")) {
    if (*chain != "on" && *chain != "off") return failed("chain= is on or off");
    translator.chain = *chain == "on";
  }
  if (const auto tier = words.take("tier")) {
    if (*tier != "1" && *tier != "2" && *tier != "auto") return failed("tier= is 1, 2 or auto");
    translator.tier = *tier;
  }
  if (const auto memory = words.take("mmu")) {
    if (*memory != "tlb" && *memory != "windows" && *memory != "auto")
      return failed("mmu= is tlb, windows or auto");
    translator.memory = *memory;
  }
  if (const auto block = words.take("block")) {
    translator.block_instructions = parse_number(*block);
    if (translator.block_instructions.value_or(0) == 0)
      return failed("block= needs a number of instructions, 1 or more");
  }
  return words.finish();
}

OptionStatus set_machine(RunDraft& draft, const std::string& value) {
  KeyValues words(value, true);
  auto name = words.name();
  if (name.empty()) name = words.take("type").value_or("pc");
  if (name != "pc" && !name.starts_with("pc-i440fx"))
    return failed(fmt::format("there is no machine '{}', only pc", name));
  if (const auto accelerator = words.take("accel")) {
    if (auto set = set_accelerator(draft, *accelerator); !set) return set;
  }
  // Asking for what is the case anyway is no error.
  for (const auto& [key, only] : {std::pair{"usb", "off"},
                                  {"vmport", "off"},
                                  {"graphics", "off"},
                                  {"acpi", "on"},
                                  {"hpet", "on"},
                                  {"pit", "on"},
                                  {"pic", "on"}}) {
    const auto setting = words.take(key);
    if (setting && *setting != only) return failed(fmt::format("{} is always {} here", key, only));
  }
  return words.finish();
}

OptionStatus add_serial(RunDraft& draft, const std::string& value) {
  auto spec = parse_backend(value);
  if (!spec) return failed(spec.error());
  if (draft.options.serial.size() == 4) return failed("there are four serial ports");
  draft.options.serial.push_back(*spec);
  return {};
}

OptionStatus set_debug_console(RunDraft& draft, const std::string& value) {
  auto spec = parse_backend(value);
  if (!spec) return failed(spec.error());
  draft.options.debug_console = *spec;
  return {};
}

OptionStatus set_rtc(RunDraft& draft, const std::string& value) {
  KeyValues words(value, false);
  const auto base = words.take("base").value_or("utc");
  const auto clock = words.take("clock").value_or("host");
  if (base != "utc" && base != "localtime") return failed("base= is utc or localtime");
  if (clock != "host") return failed("only clock=host is supported");
  draft.options.rtc_base = base == "utc" ? RtcBase::kUtc : RtcBase::kLocalTime;
  return words.finish();
}

OptionStatus set_boot(RunDraft& draft, const std::string& value) {
  KeyValues words(value, true);
  BootOptions& boot = draft.options.boot;
  const auto order = words.name().empty() ? words.take("order") : words.name();
  if (order) {
    if (order->empty() || order->size() > 3 || order->find_first_not_of("acdn") != order->npos)
      return failed("the order is up to three of a (floppy), c (disk), d (CD), n (network)");
    boot.order = *order;
  }
  if (const auto menu = words.take("menu")) {
    if (*menu != "on" && *menu != "off") return failed("menu= is on or off");
    boot.menu = *menu == "on";
  }
  if (const auto wait = words.take("splash-time")) {
    const auto milliseconds = parse_number(*wait);
    if (!milliseconds || *milliseconds > 0xffff) return failed("splash-time= is 0 to 65535");
    boot.menu_wait_ms = static_cast<std::uint16_t>(*milliseconds);
  }
  return words.finish();
}

template <DriveInterface kInterface, unsigned kIndex, bool kCd = false>
OptionStatus add_disk(RunDraft& draft, const std::string& value) {
  return add_short_drive(draft.options, value, kInterface, kCd, kIndex);
}

OptionStatus set_vga(RunDraft& draft, const std::string& value) {
  if (value != "none" && value != "std") return failed("adapters are std and none");
  draft.options.vga = value == "std";
  return {};
}

// What QEMU's documents use -global for with devices that exist here.
OptionStatus set_global(RunDraft& draft, const std::string& value) {
  constexpr std::string_view kPort = "isa-debugcon.iobase=";
  const auto port =
      value.starts_with(kPort) ? parse_number(value.substr(kPort.size())) : std::nullopt;
  if (!port || *port > 0xffff) return failed("only isa-debugcon.iobase=PORT is supported");
  draft.options.debug_console_port = static_cast<std::uint16_t>(*port);
  return {};
}

OptionStatus set_log(RunDraft& draft, const std::string& value) {
  auto& log = draft.options.log;
  struct Item {
    std::string_view name;
    bool* on;
  };
  const std::array items{Item{"in_asm", &log.in_asm},  Item{"out_asm", &log.out_asm},
                         Item{"int", &log.interrupts}, Item{"exec", &log.exec},
                         Item{"mmu", &log.mmu},        Item{"guest_errors", &log.guest_errors},
                         Item{"stats", &log.stats}};
  for (const auto& word : split_commas(value)) {
    const auto item = std::find_if(items.begin(), items.end(),
                                   [&](const Item& candidate) { return candidate.name == word; });
    if (item == items.end()) {
      return failed(fmt::format(
          "'{}' is not one of in_asm, out_asm, int, exec, mmu, guest_errors, stats", word));
    }
    *item->on = true;
  }
  return {};
}

OptionStatus add_fw_cfg(RunDraft& draft, const std::string& value) {
  FwCfgFile entry;
  KeyValues words(value, false);
  entry.name = words.take("name").value_or("");
  entry.file = words.take("file").value_or("");
  entry.text = words.take("string").value_or("");
  if (entry.name.empty()) return failed("name= is missing");
  if (entry.file.empty() == entry.text.empty()) return failed("give either file= or string=");
  draft.options.fw_cfg.push_back(entry);
  return words.finish();
}

// An option whose only accepted argument asks for what is the case anyway.
template <char const* const& kOnly>
OptionStatus only(RunDraft&, const std::string& value) {
  if (value == kOnly) return {};
  return failed(fmt::format("only '{}' is supported", kOnly));
}
constexpr const char* kNone = "none";

template <std::vector<BackendSpec> RunOptions::*kList>
OptionStatus add_monitor(RunDraft& draft, const std::string& value) {
  if (value == "none") return {};
  auto spec = parse_backend(value);
  if (!spec) return failed(spec.error());
  (draft.options.*kList).push_back(*spec);
  return {};
}

constexpr std::array kRows = std::to_array<OptionRow>({
    {"kernel", "FILE",
     "Linux bzImage, multiboot 1 kernel (ELF or not), or ELF file with a PVH entry",
     [](RunDraft& d, const std::string& v) -> OptionStatus {
       if (v.empty()) return failed("the file's name is empty");
       d.options.kernel = v;
       return {};
     }},
    {"initrd", "FILE", "initial RAM disk; for multiboot: modules \"file args,file args\"",
     [](RunDraft& d, const std::string& v) -> OptionStatus {
       d.options.initrd = v;
       return {};
     }},
    {"append", "TEXT", "kernel command line",
     [](RunDraft& d, const std::string& v) -> OptionStatus {
       d.options.append = v;
       return {};
     }},
    {"bios", "FILE", "firmware, as the processor finds it at reset (SeaBIOS: bios-256k.bin)",
     [](RunDraft& d, const std::string& v) -> OptionStatus {
       if (v.empty()) return failed("the file's name is empty");
       d.options.bios = v;
       return {};
     }},
    {"drive", "file=F[,K=V]",
     "a disk: if=ide|virtio|floppy|pflash|none, media=disk|cdrom, format=raw|qcow2, index=N,\n"
     "readonly=on, snapshot=on, id=NAME, serial=TEXT",
     [](RunDraft& d, const std::string& v) { return add_drive(d.options, v); }},
    {"hda", "FILE", "disk image on IDE; also -hdb, -hdc, -hdd", add_disk<DriveInterface::kIde, 0>},
    {"hdb", "FILE", "", add_disk<DriveInterface::kIde, 1>},
    {"hdc", "FILE", "", add_disk<DriveInterface::kIde, 2>},
    {"hdd", "FILE", "", add_disk<DriveInterface::kIde, 3>},
    {"cdrom", "FILE", "CD or DVD image", add_disk<DriveInterface::kIde, 2, true>},
    {"fda", "FILE", "floppy image; also -fdb", add_disk<DriveInterface::kFloppy, 0>},
    {"fdb", "FILE", "", add_disk<DriveInterface::kFloppy, 1>},
    {"snapshot", "", "disks keep nothing of what the guest writes",
     [](RunDraft& d, const std::string&) -> OptionStatus {
       d.options.snapshot = true;
       return {};
     }},
    {"netdev", "KIND,id=N",
     "a network: user[,hostfwd=tcp:[ADDR]:PORT-[ADDR]:PORT][,net=A/BITS][,dns=A][,tftp=DIR]\n"
     "[,bootfile=F][,restrict=on], or tap[,ifname=N]",
     [](RunDraft& d, const std::string& v) { return add_netdev(d.options, v); }},
    {"nic", "KIND[,K=V]", "a network and a card at once: user,model=virtio|e1000,mac=A,... or none",
     [](RunDraft& d, const std::string& v) { return add_nic(d.options, v); }},
    {"boot", "ORDER[,menu=on]",
     "what firmware tries, in turn: a floppy, c disk, d CD, n network (default cad)", set_boot},
    {"m", "SIZE", "guest memory in MiB, or with a suffix K, M, G, T (default 128)", set_memory},
    {"smp", "N", "processors: 1 for now", set_smp},
    {"cpu", "MODEL[,+F,-F]", "processor model: max (default), host, qemu64, ...",
     [](RunDraft& d, const std::string& v) -> OptionStatus {
       d.options.cpu = v;
       return {};
     }},
    {"accel", "NAME",
     "auto (default: kvm where hardware is behind it, else bt), kvm, or\n"
     "bt[,cache=SIZE][,chain=on|off][,block=N][,tier=1|2|auto][,mmu=tlb|windows|auto]",
     set_accelerator},
    {"machine", "pc[,accel=NAME]", "machine type: pc (i440FX, PIIX)", set_machine},
    {"M", "pc", "", set_machine},
    {"nographic", "", "no display; COM1 is this terminal, with Ctrl-A keys (the default)",
     [](RunDraft& d, const std::string&) -> OptionStatus {
       d.nographic = true;
       return {};
     }},
    {"serial", "DEV",
     "next of COM1 to COM4: stdio, mon:stdio, file:PATH, pty,\n"
     "unix:PATH[,server][,nowait], tcp:[HOST]:PORT,server[,nowait], null, none",
     add_serial},
    {"debugcon", "DEV", "debug console on port 0xe9: same devices as -serial", set_debug_console},
    {"device", "NAME[,K=V]",
     "isa-debug-exit,iobase=P,iosize=N: a write of v ends the run with (v << 1) | 1\n"
     "pc-testdev, pci-testdev: QEMU's test devices\n"
     "virtio-blk-pci, ide-hd, ide-cd with drive=ID[,serial=TEXT]\n"
     "virtio-net-pci, e1000 with netdev=ID[,mac=A]\n"
     "loader,file=F,addr=A[,mode=real16|protected32|long64][,entry=E]: raw bytes at A;\n"
     "with a mode the processor starts there",
     [](RunDraft& d, const std::string& v) { return add_device(d.options, v); }},
    {"fw_cfg", "name=N,file=F", "add a file (or string=TEXT) to the firmware configuration device",
     add_fw_cfg},
    {"rtc", "base=utc|localtime", "what the CMOS clock shows (default utc)", set_rtc},
    {"no-reboot", "", "exit instead of restarting the guest",
     [](RunDraft& d, const std::string&) -> OptionStatus {
       d.options.no_reboot = true;
       return {};
     }},
    {"no-shutdown", "", "stay after the guest powered off, until Ctrl-A x or a signal",
     [](RunDraft& d, const std::string&) -> OptionStatus {
       d.options.no_shutdown = true;
       return {};
     }},
    {"S", "", "start paused; Ctrl-A p continues",
     [](RunDraft& d, const std::string&) -> OptionStatus {
       d.options.start_paused = true;
       return {};
     }},
    {"d", "ITEMS", "log, comma separated: in_asm,out_asm,int,exec,mmu,guest_errors,stats", set_log},
    {"D", "FILE", "where -d logs to (default standard error)",
     [](RunDraft& d, const std::string& v) -> OptionStatus {
       if (v.empty()) return failed("the file's name is empty");
       d.options.log.file = v;
       return {};
     }},
    {"profile-socket", "PATH", "a Unix socket where `ringshift profile` finds this guest",
     [](RunDraft& d, const std::string& v) -> OptionStatus {
       if (v.empty()) return failed("the socket's name is empty");
       d.options.profile_socket = v;
       return {};
     }},
    {"perfmap", "", "name translated code in /tmp/perf-PID.map, for the host's perf",
     [](RunDraft& d, const std::string&) -> OptionStatus {
       d.options.perf_map = true;
       return {};
     }},
    {"jitdump", "", "write jit-PID.dump, for `perf inject --jit`",
     [](RunDraft& d, const std::string&) -> OptionStatus {
       d.options.jit_dump = true;
       return {};
     }},
    {"v", "", "say on standard error what was chosen and why",
     [](RunDraft& d, const std::string&) -> OptionStatus {
       d.options.verbose = true;
       return {};
     }},
    {"display", "none", "no window (there is none yet: -monitor shows the screen); without -serial, COM1\ngoes nowhere",
     [](RunDraft& d, const std::string& v) -> OptionStatus {
       d.display_none = true;
       return only<kNone>(d, v);
     }},
    {"nodefaults", "", "no serial port unless one is named",
     [](RunDraft& d, const std::string&) -> OptionStatus {
       d.no_defaults = true;
       return {};
     }},
    {"name", "TEXT", "", [](RunDraft&, const std::string&) -> OptionStatus { return {}; }},
    {"no-user-config", "", "", [](RunDraft&, const std::string&) -> OptionStatus { return {}; }},
    {"monitor", "DEV", "a prompt for commands (help): stdio, unix:PATH,server,nowait, pty",
     add_monitor<&RunOptions::monitors>},
    {"gdb", "DEV", "where gdb connects: tcp::PORT or unix:PATH,server,nowait",
     [](RunDraft& d, const std::string& v) -> OptionStatus {
       // A debugger may come at any time, and nobody waits for it.
       return add_monitor<&RunOptions::gdb>(
           d, v.starts_with("tcp:") && v.find(',') == v.npos ? v + ",server,nowait" : v);
     }},
    {"s", "", "-gdb tcp::1234",
     [](RunDraft& d, const std::string&) {
       return add_monitor<&RunOptions::gdb>(d, "tcp::1234,server,nowait");
     }},
    {"qmp", "DEV", "the same for programs, in QEMU's machine protocol",
     add_monitor<&RunOptions::qmp>},
    {"vga", "std|none", "display adapter (default std with firmware, none without)", set_vga},
    {"global", "D.P=V", "", set_global},
    {"vnc", "none", "", only<kNone>},
    {"net", "none", "", only<kNone>},
    {"parallel", "none", "", only<kNone>},
});

constexpr auto kElsewhere = std::to_array<std::string_view>(
    {"usb",
     "usbdevice",  "chardev",  "mon",
     "object",     "numa",        "loadvm",      "icount",   "enable-kvm",
     "daemonize",  "pidfile",     "smbios",     "acpitable",   "no-acpi",  "no-hpet",
     "audiodev",    "spice",      "k",           "uuid",     "dtb",
     "pflash",     "mtdblock",    "sd",         "blockdev",    "watchdog", "incoming",
     "trace",      "sandbox",     "option-rom", "virtfs",      "fsdev",    "tpmdev",
     "curses",     "full-screen", "readconfig", "writeconfig", "mem-path", "mem-prealloc",
     "singlestep", "runas",       "chroot",     "dfilter",     "seed",     "action",
     "overcommit", "cpu-pm",      "shim"});

}  // namespace

std::span<const OptionRow> run_option_rows() { return kRows; }

bool is_known_elsewhere(std::string_view name) {
  return std::find(kElsewhere.begin(), kElsewhere.end(), name) != kElsewhere.end();
}

}  // namespace ringshift::runtime
