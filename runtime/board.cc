// runtime/board.cc - the pc board's wiring. Who answers a port: claim_fixed_ports() below.
#include "runtime/board.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "devices/acpi_loader.h"
#include "devices/pci_firmware.h"
#include "devices/virtio_blk.h"
#include "devices/virtio_net.h"
#include "runtime/loaders/memory_map.h"
#include "runtime/loaders/placement.h"

namespace ringshift::runtime {
namespace {

constexpr std::array<std::uint16_t, 4> kSerialPorts{0x3f8, 0x2f8, 0x3e8, 0x2e8};
constexpr std::array<unsigned, 4> kSerialInterrupts{4, 3, 4, 3};
constexpr unsigned kTimerIrq = 0, kKeyboardIrq = 1, kCascadeIrq = 2, kRtcIrq = 8, kMouseIrq = 12,
                   kFpuIrq = 13;
constexpr unsigned kTimerPin = 2;  // where IRQ 0 meets the I/O APIC
constexpr unsigned kFirstIdeIrq = 14, kFloppyIrq = 6;
constexpr unsigned kVgaSlot = 2, kFirstFreeSlot = 3;
constexpr unsigned kFirstHpetPin = 20;  // pins 20 to 23 are the HPET's alone

// What the CMOS clock shows at guest time 0.
std::int64_t wall_seconds(RtcBase base, std::int64_t guest_now_ns) {
  const auto now = std::time(nullptr);
  tm broken{};
  if (base == RtcBase::kLocalTime) {
    ::localtime_r(&now, &broken);
    return ::timegm(&broken) - guest_now_ns / 1'000'000'000;
  }
  return now - guest_now_ns / 1'000'000'000;
}

}  // namespace

class Board::GapPorts final : public devices::PortHandler {
 public:
  GapPorts(std::uint16_t first, devices::PortHandler& whole) : first_(first), whole_(whole) {}
  std::uint32_t port_read(std::uint16_t offset, unsigned size) override {
    return whole_.port_read(static_cast<std::uint16_t>(first_ + offset), size);
  }
  void port_write(std::uint16_t offset, unsigned size, std::uint32_t value) override {
    whole_.port_write(static_cast<std::uint16_t>(first_ + offset), size, value);
  }

 private:
  std::uint16_t first_;
  devices::PortHandler& whole_;
};

Board::Board(const MachineConfig& config, const BoardSurroundings& around)
    : around_(around),
      local_apic_(local_apic_config(config), apic_bus_, around.timers, around.tsc, around.cpu,
                  around.attention),
      io_apic_(apic_bus_),
      pic_(local_apic_.lint0()),
      pit_gate_(isa_[kTimerIrq].add_source()),
      rtc_gate_(isa_[kRtcIrq].add_source()),
      legacy_switch_(pit_gate_, rtc_gate_),
      pit_(around.timers, pit_gate_),
      control_port_(pit_),
      rtc_(around.timers, rtc_gate_, wall_seconds(config.rtc_base, around.timers.clock().now_ns())),
      hpet_(around.timers, hpet_outputs()),
      a20_(a20_line_),
      keyboard_(isa_[kKeyboardIrq].add_source(), isa_[kMouseIrq].add_source(), a20_, around.power),
      port92_(a20_, around.power),
      pci_(around.power, pci_memory_base(around.memory)),
      isa_bridge_(pci_isa_lines()),
      pm_(around.timers, isa_[devices::Piix4Pm::kSciInterrupt].add_source(), around.power),
      fw_cfg_(around.memory),
      ferr_(isa_[kFpuIrq].add_source()),
      // A write to F0H clears the x87 error interrupt.
      ferr_ports_([](std::uint16_t) { return std::uint8_t{0xff}; },
                  [this](std::uint16_t, std::uint8_t) { ferr_.set(false); }) {
  local_apic_.connect_pic(pic_);
  connect_isa_lines();
  claim_fixed_ports();
  add_serial_ports(config);
  add_test_devices(config);
  add_drives(config);
  add_nics(config);
  if (config.vga) {
    vga_ = std::make_unique<devices::Vga>(around_.timers.clock());
    claim(devices::Vga::kPortBase, devices::Vga::kPortBytes, vga_->ports());
    claim(devices::Vga::kDispiBase, devices::Vga::kDispiBytes, vga_->dispi_ports(), 2);
  }

  static_cast<void>(chipset_.add(devices::IoApic::kDefaultBase - kChipsetWindow,
                                 devices::IoApic::kMmioBytes, io_apic_));
  static_cast<void>(
      chipset_.add(devices::Hpet::kDefaultBase - kChipsetWindow, devices::Hpet::kMmioBytes, hpet_));
  move_local_apic(local_apic_.base_msr());

  pci_.route_interrupts(isa_bridge_);
  static_cast<void>(pci_.attach(1, 0, isa_bridge_));
  static_cast<void>(pci_.attach(1, 3, pm_));
  if (ide_) static_cast<void>(pci_.attach(1, 1, *ide_));
  if (vga_) static_cast<void>(pci_.attach(kVgaSlot, 0, *vga_));
  if (pci_testdev_) static_cast<void>(pci_.attach(4, 0, *pci_testdev_));
  for (const auto& device : cards_) attach(*device);
  pci_.set_shadow_hook([this](std::uint64_t start, std::uint64_t bytes, bool reads, bool writes) {
    around_.memory.gate_ram({start}, bytes, reads, writes);
  });
  pci_.reset();
  if (config.firmware)
    describe_to_firmware(config);
  else
    act_as_firmware();
  rtc_.set_memory_size(around.memory.low_ram_bytes(), around.memory.high_ram_bytes());
  rtc_.set_cpu_count(1);
  fill_fw_cfg(config);
  claim_gaps();
  if (config.guest_errors) log_unclaimed(config.guest_errors);
}

Board::~Board() = default;

// What is done before a guest starts that is loaded without firmware.
void Board::act_as_firmware() {
  static_cast<void>(devices::set_up_pci(pci_, isa_bridge_, pm_));
  pic_.elcr_ports().port_write(0, 1, devices::kPirqElcr & 0xff);
  pic_.elcr_ports().port_write(1, 1, devices::kPirqElcr >> 8);
  pci_.open_shadow_ram();
}

std::uint64_t Board::pci_memory_base(const guest::PhysicalMemory& memory) {
  constexpr std::uint64_t kUnit = 1 << 20;
  return std::min((memory.low_ram_bytes() + kUnit - 1) / kUnit * kUnit, kPciHole);
}

devices::AcpiConfig Board::acpi_config() const {
  unsigned serial_count = 0;
  for (unsigned i = 0; i < serial_.size(); ++i)
    if (serial_[i]) serial_count = i + 1;
  return {.tables_address = kTables,
          .serial_ports = serial_count,
          .vga = vga_ != nullptr,
          .pm_base = pm_.pm_base() ? pm_.pm_base() : devices::Piix4Pm::kDefaultPmBase,
          .pci_memory_base = static_cast<std::uint32_t>(pci_memory_base(around_.memory))};
}

void Board::describe_to_firmware(const MachineConfig& config) {
  pm_.say_smm_is_set_up();
  const auto files = devices::build_acpi_loader(acpi_config());
  static_cast<void>(fw_cfg_.add_file(devices::AcpiLoaderFiles::kTablesName, files.tables));
  static_cast<void>(fw_cfg_.add_file(devices::AcpiLoaderFiles::kRootName, files.root_pointer));
  static_cast<void>(fw_cfg_.add_file(devices::AcpiLoaderFiles::kCommandsName, files.commands));
  // Firmware has placed the PM registers by the time it reads these.
  fw_cfg_.refresh_file(devices::AcpiLoaderFiles::kTablesName,
                       [this] { return devices::build_acpi_loader(acpi_config()).tables; });
  // CMOS registers of Bochs' BIOS: three devices to try, four bits each, and the floppy check off.
  constexpr std::string_view kCodes = "?acdn";
  std::array<unsigned, 3> tries{};
  for (std::size_t i = 0; i < std::min(config.boot.order.size(), tries.size()); ++i)
    tries[i] = static_cast<unsigned>(kCodes.find(config.boot.order[i]));
  rtc_.set_cmos(0x3d, static_cast<std::uint8_t>(tries[0] | tries[1] << 4));
  rtc_.set_cmos(0x38, static_cast<std::uint8_t>(1 | tries[2] << 4));
  fw_cfg_.set_u16(devices::FwCfgKey::kBootMenu, config.boot.menu);
  if (const auto wait = config.boot.menu_wait_ms)
    static_cast<void>(fw_cfg_.add_file(
        "etc/boot-menu-wait",
        {static_cast<std::uint8_t>(*wait), static_cast<std::uint8_t>(*wait >> 8)}));
}

// Reads give all ones and writes are lost; who looks for a missing device wants to know.
void Board::log_unclaimed(std::FILE* file) {
  const auto log = [file](const char* where, std::uint64_t base) -> devices::UnclaimedHook {
    return [=](const devices::UnclaimedAccess& access) {
      const auto address = base + access.address;
      if (access.is_write) {
        fmt::print(file, "guest error: write of {:#x} to {} {:#x}, which nobody answers\n",
                   access.value, where, address);
      } else {
        fmt::print(file, "guest error: read of {} {:#x}, which nobody answers\n", where, address);
      }
    };
  };
  ports_.set_unclaimed_hook(log("port", 0));
  chipset_.set_unclaimed_hook(log("memory", kChipsetWindow));
  pci_.set_unclaimed_hooks(log("port", 0), log("memory", 0));
}

devices::LocalApicConfig Board::local_apic_config(const MachineConfig& config) {
  return {.x2apic = config.model.has(guest::feature::kX2apic),
          .tsc_deadline = config.model.has(guest::feature::kTscDeadline),
          .physical_address_bits = config.model.physical_address_bits(),
          .base_changed = [this](std::uint64_t base) { move_local_apic(base); }};
}

// DEVIATION: the local APIC can move inside the chipset window only; elsewhere it is not seen.
void Board::move_local_apic(std::uint64_t base_msr) {
  constexpr std::uint64_t kEnable = 0x800, kExtended = 0x400;
  const auto base = base_msr & ~guest::kPageOffsetMask;
  if (local_apic_shown_) chipset_.remove(local_apic_at_);
  local_apic_at_ = base - kChipsetWindow;
  local_apic_shown_ = (base_msr & kEnable) && !(base_msr & kExtended) && base >= kChipsetWindow &&
                      base < kChipsetWindow + kChipsetBytes &&
                      chipset_.add(local_apic_at_, devices::LocalApic::kMmioBytes, local_apic_);
}

devices::HpetOutputs Board::hpet_outputs() {
  devices::HpetOutputs outputs{.legacy_irq0 = isa_[kTimerIrq].add_source(),
                               .legacy_irq8 = isa_[kRtcIrq].add_source(),
                               .legacy_active = legacy_switch_};
  for (unsigned pin = kFirstHpetPin; pin < devices::IoApic::kPins; ++pin)
    outputs.pins.at(pin) = &io_apic_.pin(pin);
  return outputs;
}

std::array<devices::Line*, devices::Piix3Isa::kIsaLines> Board::pci_isa_lines() {
  std::array<devices::Line*, devices::Piix3Isa::kIsaLines> lines{};
  // The ISA interrupts that a PIRQ may be routed to.
  for (const unsigned irq : {3u, 4u, 5u, 6u, 7u, 9u, 10u, 11u, 12u, 14u, 15u})
    lines.at(irq) = &isa_[irq].add_source();
  return lines;
}

void Board::connect_isa_lines() {
  for (unsigned irq = 0; irq < kIsaLines; ++irq) {
    if (irq == kCascadeIrq) continue;
    isa_[irq].add_input(pic_.input(irq));
    isa_[irq].add_input(io_apic_.pin(irq == kTimerIrq ? kTimerPin : irq));
  }
}

bool Board::claim(std::uint16_t first, std::uint32_t count, devices::PortHandler& handler,
                  unsigned widest) {
  if (!ports_.add(first, count, handler, widest)) return false;
  claims_.push_back({first, first + count});
  return true;
}

void Board::claim_fixed_ports() {
  claim(0x20, 2, pic_.master_ports());
  claim(0xa0, 2, pic_.slave_ports());
  claim(0x4d0, 2, pic_.elcr_ports());
  claim(0x40, 4, pit_);
  claim(devices::IsaDma::kLowBase, devices::IsaDma::kLowBytes, dma_.low_ports());
  claim(devices::IsaDma::kPageBase, devices::IsaDma::kPageBytes, dma_.page_ports());
  claim(devices::IsaDma::kHighBase, devices::IsaDma::kHighBytes, dma_.high_ports());
  claim(0x60, 1, keyboard_.data_port());
  claim(0x61, 1, control_port_);
  claim(0x64, 1, keyboard_.command_port());
  claim(0x70, 4, rtc_);
  claim(0x92, 1, port92_);
  claim(0xf0, 1, ferr_ports_);
  claim(devices::Piix4Pm::kSmiBase, devices::Piix4Pm::kSmiBytes, pm_.smi_ports());
  claim(devices::Piix4Pm::kGpeBase, devices::Piix4Pm::kGpeBytes, pm_.gpe_ports());
  claim(devices::FwCfg::kBase, devices::FwCfg::kPortBytes, fw_cfg_.ports());
  claim(devices::FwCfg::kDmaBase, devices::FwCfg::kDmaBytes, fw_cfg_.dma_ports());
  claim(0xcf8, 8, pci_.config_ports());
}

// Every port that nobody claimed belongs to PCI.
void Board::claim_gaps() {
  std::sort(claims_.begin(), claims_.end(),
            [](const Claim& a, const Claim& b) { return a.first < b.first; });
  std::uint32_t next = 0;
  const auto fill = [&](std::uint32_t end) {
    if (next >= end) return;
    gaps_.push_back(std::make_unique<GapPorts>(static_cast<std::uint16_t>(next), pci_.ports()));
    static_cast<void>(ports_.add(static_cast<std::uint16_t>(next), end - next, *gaps_.back()));
  };
  for (const auto& taken : claims_) {
    fill(taken.first);
    next = taken.end;
  }
  fill(0x10000);
}

void Board::add_serial_ports(const MachineConfig& config) {
  for (std::size_t i = 0; i < std::min(config.serial.size(), serial_.size()); ++i) {
    if (!config.serial[i]) continue;
    serial_[i] = std::make_unique<devices::Uart16550>(
        around_.timers, isa_[kSerialInterrupts[i]].add_source(), *config.serial[i]);
    auto* channel = config.serial[i].get();
    serial_[i]->on_receive_ready([channel] { channel->receiver_ready(); });
    claim(kSerialPorts[i], 8, *serial_[i]);
  }
  if (config.debug_console) {
    debug_console_ = std::make_unique<devices::DebugConsole>(*config.debug_console);
    claim(config.debug_console_port, 1, *debug_console_);
  }
}

void Board::add_test_devices(const MachineConfig& config) {
  for (const auto& exit : config.debug_exit) {
    debug_exit_.push_back(std::make_unique<devices::DebugExit>(around_.power));
    if (!claim(exit.port, exit.bytes, *debug_exit_.back()))
      problem_ = fmt::format("-device isa-debug-exit: port {:#x} has a device already", exit.port);
  }
  if (config.pc_testdev) {
    std::array<devices::Line*, devices::PcTestdev::kLines> lines{};
    for (unsigned i = 0; i < lines.size(); ++i)
      lines.at(i) = i < kIsaLines ? &isa_[i].add_source() : &io_apic_.pin(i);
    // Nothing is cached about a page that its own bookkeeping does not already follow.
    pc_testdev_ = std::make_unique<devices::PcTestdev>(lines, [](guest::PhysicalAddress) {});
    claim(devices::PcTestdev::kEchoBase, devices::PcTestdev::kPortBytes, pc_testdev_->echo_ports());
    claim(devices::PcTestdev::kFlushBase, devices::PcTestdev::kPortBytes,
          pc_testdev_->flush_ports());
    claim(devices::PcTestdev::kByteEchoBase, devices::PcTestdev::kPortBytes,
          pc_testdev_->byte_echo_ports());
    claim(devices::PcTestdev::kLineBase, devices::PcTestdev::kLines, pc_testdev_->line_ports());
  }
  if (config.pci_testdev) pci_testdev_ = std::make_unique<devices::PciTestdev>();
}

void Board::attach(devices::PciDevice& device) {
  for (unsigned slot = kFirstFreeSlot; slot < devices::PciHost::kSlots; ++slot)
    if (pci_.attach(slot, 0, device)) return;
  problem_ = "there are no more PCI slots";
}

void Board::add_drives(const MachineConfig& config) {
  bool any_ide = false, any_floppy = false;
  for (const DriveConfig& drive : config.drives) {
    any_ide = any_ide || drive.interface == DriveInterface::kIde;
    any_floppy = any_floppy || drive.interface == DriveInterface::kFloppy;
    if (drive.interface == DriveInterface::kVirtio && drive.disk)
      cards_.push_back(
          std::make_unique<devices::VirtioBlk>(around_.memory, *drive.disk, drive.serial));
  }
  if (any_ide) add_ide_drives(config);
  if (any_floppy) add_floppies(config);
}

void Board::add_nics(const MachineConfig& config) {
  for (const NicConfig& nic : config.nics) {
    if (nic.model == NicModel::kE1000)
      cards_.push_back(std::make_unique<devices::E1000>(around_.memory, *nic.link, nic.address));
    else
      cards_.push_back(
          std::make_unique<devices::VirtioNet>(around_.memory, *nic.link, nic.address));
  }
}

void Board::add_floppies(const MachineConfig& config) {
  floppy_ = std::make_unique<devices::Floppy>(around_.memory, dma_, isa_[kFloppyIrq].add_source());
  for (const DriveConfig& drive : config.drives)
    if (drive.interface == DriveInterface::kFloppy) floppy_->attach(drive.index, drive.disk.get());
  claim(devices::Floppy::kBase, devices::Floppy::kPorts, floppy_->ports());
  claim(devices::Floppy::kDirPort, 1, floppy_->dir_port());
  rtc_.set_cmos(0x10,
                static_cast<std::uint8_t>(floppy_->drive_type(0) << 4 | floppy_->drive_type(1)));
  // The equipment byte: floppies, and how many.
  const unsigned count = floppy_->drive_type(1) ? 2 : 1;
  rtc_.set_cmos(0x14, static_cast<std::uint8_t>(rtc_.cmos(0x14) | 1 | (count - 1) << 6));
}

void Board::add_ide_drives(const MachineConfig& config) {
  ide_ = std::make_unique<devices::Piix3Ide>(around_.memory, isa_[kFirstIdeIrq].add_source(),
                                             isa_[kFirstIdeIrq + 1].add_source());
  for (unsigned i = 0; i < 2; ++i) {
    claim(devices::Piix3Ide::kCommandBase[i], devices::IdeChannel::kCommandBytes,
          ide_->channel(i).command_ports());
    claim(devices::Piix3Ide::kControlPort[i], 1, ide_->channel(i).control_port());
  }
  for (const DriveConfig& drive : config.drives) {
    if (drive.interface != DriveInterface::kIde) continue;
    const auto kind = drive.cdrom ? devices::IdeDrive::Kind::kCd : devices::IdeDrive::Kind::kDisk;
    const auto serial =
        drive.serial.empty() ? fmt::format("RS{:05}", drive.index + 1) : drive.serial;
    ide_->channel(drive.index / 2).attach(drive.index % 2, kind, drive.disk.get(), serial);
  }
}

devices::MmioHandler* Board::testdev_memory() {
  return pc_testdev_ ? &pc_testdev_->memory() : nullptr;
}

void Board::fill_fw_cfg(const MachineConfig& config) {
  fw_cfg_.describe_machine(around_.memory.ram_bytes(), 1, 1);
  struct [[gnu::packed]] Entry {
    std::uint64_t start, bytes;
    std::uint32_t type;
  };
  BlockBuilder map(0);
  for (const auto& range : memory_map(around_.memory)) {
    const Entry entry{range.start, range.bytes, static_cast<std::uint32_t>(range.type)};
    map.append({reinterpret_cast<const std::uint8_t*>(&entry), sizeof entry}, 1);
  }
  const auto bytes = map.bytes();
  static_cast<void>(fw_cfg_.add_file("etc/e820", {bytes.begin(), bytes.end()}));
  for (const auto& item : config.fw_cfg)
    if (!fw_cfg_.add_file(item.name, item.bytes))
      problem_ = fmt::format("-fw_cfg {}: the name is too long, or there is such a file already",
                             item.name);
}

bool Board::place_acpi_tables() {
  const auto image = devices::build_acpi_tables(acpi_config());
  return kTables + image.tables.size() <= kExtendedStart &&
         place(around_.memory, "ACPI", kTables, image.tables) &&
         place(around_.memory, "ACPI", kRootPointer, image.root_pointer);
}

}  // namespace ringshift::runtime
