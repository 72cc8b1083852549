// runtime/monitor/info.cc - what `info` shows.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "runtime/machine.h"
#include "runtime/monitor/commands.h"
#include "runtime/monitor/page_tables.h"
#include "runtime/options.h"

namespace ringshift::runtime::monitor {
namespace {

using guest::CpuState;

std::string segment_line(const char* name, const guest::SegmentRegister& s) {
  return fmt::format("{:<4}={:04x} {:016x} {:08x} {:08x}\n", name, s.selector, s.base, s.limit,
                     std::uint32_t{s.attributes} << 8);
}

Answer registers(Machine& machine) {
  static constexpr std::array<const char*, 16> kNames{"RAX", "RCX", "RDX", "RBX", "RSP", "RBP",
                                                      "RSI", "RDI", "R8 ", "R9 ", "R10", "R11",
                                                      "R12", "R13", "R14", "R15"};
  static constexpr std::array<const char*, 6> kSegments{"ES", "CS", "SS", "DS", "FS", "GS"};
  const CpuState& s = machine.vcpu().state();
  std::string text;
  for (std::size_t i = 0; i < 16; ++i)
    text += fmt::format("{}={:016x}{}", kNames[i], s.gpr[i], i % 4 == 3 ? "\n" : " ");
  text += fmt::format("RIP={:016x} RFL={:08x} CPL={} HLT={}\n", s.rip, s.rflags, s.cpl,
                      s.activity == guest::Activity::kHalted ? 1 : 0);
  for (std::size_t i = 0; i < guest::kSegCount; ++i) text += segment_line(kSegments[i], s.seg[i]);
  text += segment_line("LDT", s.ldtr);
  text += segment_line("TR", s.tr);
  text += fmt::format("GDT= {:016x} {:08x}\nIDT= {:016x} {:08x}\n", s.gdtr.base, s.gdtr.limit,
                      s.idtr.base, s.idtr.limit);
  text +=
      fmt::format("CR0={:08x} CR2={:016x} CR3={:016x} CR4={:08x}\n", s.cr0, s.cr2, s.cr3, s.cr4);
  for (unsigned i : {0u, 1u, 2u, 3u, 6u, 7u})
    text += fmt::format("DR{}={:016x}{}", i, s.dr[i], i == 3 || i == 7 ? "\n" : " ");
  text += fmt::format("EFER={:016x}\n", s.msr.efer);
  return text;
}

Answer status(Machine& machine) {
  return fmt::format("VM status: {}\n", machine.is_paused() ? "paused" : "running");
}

Answer version(Machine&) { return version_text(); }

Answer jit(Machine& machine) { return machine.statistics(); }

Answer block(Machine& machine) {
  std::string text;
  for (const DriveConfig& drive : machine.config().drives) {
    const char* where = drive.interface == DriveInterface::kIde      ? "ide"
                        : drive.interface == DriveInterface::kVirtio ? "virtio"
                                                                     : "floppy";
    if (!drive.disk) {
      text += fmt::format("{}{}: no medium\n", where, drive.index);
      continue;
    }
    const DiskCounters& c = drive.disk->counters();
    text += fmt::format(
        "{} ({}{}): {} ({}{}), {} bytes\n    read {} requests, {} bytes; written {}, {}; flushed "
        "{}; errors {}\n",
        drive.disk->name(), where, drive.index, drive.disk->file(), drive.disk->format(),
        drive.disk->read_only() ? ", read-only" : "", drive.disk->bytes(), c.reads, c.read_bytes,
        c.writes, c.written_bytes, c.flushes, c.errors);
  }
  return text.empty() ? "no disks\n" : text;
}

Answer network(Machine& machine) {
  std::string text;
  for (const NicConfig& nic : machine.config().nics) {
    const auto c = nic.link->counters();
    text +=
        fmt::format("{} on {}: {:02x}; sent {} frames, received {}, dropped {}\n",
                    nic.model == NicModel::kVirtio ? "virtio-net" : "e1000", nic.link->describe(),
                    fmt::join(nic.address, ":"), c.sent, c.received, c.dropped);
  }
  return text.empty() ? "no network cards\n" : text;
}

Answer memory_tree(Machine& machine) {
  std::string text;
  for (const auto& m : machine.memory().mappings())
    text += fmt::format("{:016x}-{:016x} {}\n", m.start.value, m.start.value + m.bytes - 1,
                        m.writable ? "ram" : "rom");
  return text;
}

Answer pci(Machine& machine) {
  std::string text;
  const auto lock = machine.lock_devices();
  machine.board().pci().for_each([&](unsigned slot, unsigned function, devices::PciDevice& d) {
    text += fmt::format("  00:{:02x}.{}  {:04x}:{:04x}  class {:04x}\n", slot, function,
                        d.config_read(devices::pci::kVendorId, 2),
                        d.config_read(devices::pci::kDeviceId, 2),
                        d.config_read(devices::pci::kClass, 2));
    for (unsigned bar = 0; bar < devices::pci::kBarCount; ++bar)
      if (const auto bytes = d.bar_bytes(bar))
        text += fmt::format(
            "      BAR{}: {} at {:#x}, {:#x} bytes\n", bar,
            d.bar_is_ports(bar) ? "ports" : "memory",
            d.config_read(static_cast<std::uint8_t>(devices::pci::kBar0 + 4 * bar), 4) & ~15u,
            bytes);
  });
  return text;
}

Answer counters(Machine& machine) {
  std::string text;
  for (const auto& counter : machine.vcpu().counters())
    text += fmt::format("{:<40} {}\n", counter.name, counter.value);
  return text;
}

Answer mapped(Machine& machine) { return list_mappings(machine, false); }
Answer tlb(Machine& machine) { return list_mappings(machine, true); }

struct Topic {
  std::string_view name, help;
  Answer (*show)(Machine& machine);
};
constexpr auto kTopics = std::to_array<Topic>({
    {"registers", "the processor's registers", registers},
    {"status", "whether the guest runs", status},
    {"mem", "mapped linear memory, as ranges", mapped},
    {"tlb", "mapped linear memory, page by page", tlb},
    {"mtree", "physical memory that needs no device", memory_tree},
    {"block", "disks", block},
    {"network", "network cards", network},
    {"pci", "PCI devices", pci},
    {"jit", "the translator's statistics", jit},
    {"counters", "every counter of the accelerator", counters},
    {"version", "Ringshift's version", version},
});

}  // namespace

Answer info(Machine& machine, const Words& words) {
  if (words.size() < 2) {
    std::string text;
    for (const Topic& topic : kTopics)
      text += fmt::format("info {:<12} {}\n", topic.name, topic.help);
    return text;
  }
  const auto topic = std::ranges::find(kTopics, words[1], &Topic::name);
  if (topic == kTopics.end())
    return tl::unexpected(
        fmt::format("info knows nothing of '{}'; info alone lists what it does", words[1]));
  return topic->show(machine);
}

}  // namespace ringshift::runtime::monitor
