// runtime/board.h - the pc board: every device between the processor and the outside, and its
// wiring. Built anew at every reset of the machine, so that no device can carry state over; what
// survives (guest RAM, timers, host channels) belongs to the machine. Every call holds the device
// lock.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "devices/a20_gate.h"
#include "devices/acpi_tables.h"
#include "devices/apic_bus.h"
#include "devices/bus.h"
#include "devices/debug_console.h"
#include "devices/debug_exit.h"
#include "devices/e1000.h"
#include "devices/fw_cfg.h"
#include "devices/floppy.h"
#include "devices/hpet.h"
#include "devices/i8042.h"
#include "devices/io_apic.h"
#include "devices/isa_dma.h"
#include "devices/line_gate.h"
#include "devices/local_apic.h"
#include "devices/pc_testdev.h"
#include "devices/pci_host.h"
#include "devices/pci_testdev.h"
#include "devices/pic.h"
#include "devices/piix3_isa.h"
#include "devices/piix3_ide.h"
#include "devices/piix4_pm.h"
#include "devices/pit.h"
#include "devices/port92.h"
#include "devices/rtc.h"
#include "devices/uart_16550.h"
#include "devices/vga.h"
#include "devices/virtio_pci.h"
#include "runtime/interrupt_lines.h"
#include "runtime/machine_config.h"

namespace ringshift::runtime {

// What the board needs of the machine that it sits in.
struct BoardSurroundings {
  guest::PhysicalMemory& memory;
  devices::TimerService& timers;
  const devices::GuestTsc& tsc;
  devices::PowerControl& power;
  devices::CpuSignals& cpu;
  devices::Line& attention;  // high: the local APIC wants the processor to look
};

class Board {
 public:
  // Physical addresses that the machine hands to memory_window() and friends.
  static constexpr std::uint64_t kPciHole = devices::PciHost::kHoleBase;
  // From where RAM below 4 GiB ends; at least the hole.
  static std::uint64_t pci_memory_base(const guest::PhysicalMemory& memory);
  // I/O APIC, HPET and local APIC; the last may move inside.
  static constexpr std::uint64_t kChipsetWindow = 0xfec00000, kChipsetBytes = 0x400000;
  static constexpr std::uint64_t kRootPointer = 0xe0000, kTables = 0xe1000;

  Board(const MachineConfig& config, const BoardSurroundings& around);
  ~Board();
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  devices::PortBus& ports() { return ports_; }
  devices::MmioHandler& pci_memory() { return pci_.memory(); }
  devices::MmioHandler& chipset_memory() { return chipset_; }
  devices::MmioHandler* testdev_memory();
  devices::MmioHandler* vga_memory() { return vga_ ? &vga_->legacy_memory() : nullptr; }
  devices::Vga* vga() { return vga_.get(); }
  devices::LocalApic& local_apic() { return local_apic_; }
  devices::Uart16550* serial(std::size_t index) { return serial_.at(index).get(); }
  devices::Line& ferr() { return ferr_; }
  // Why it cannot be built as it was asked for; empty: it can.
  const std::string& problem() const { return problem_; }
  bool a20_open() const { return a20_.open(); }
  devices::Piix4Pm& power_management() { return pm_; }
  devices::I8042& keyboard_controller() { return keyboard_; }
  devices::PciHost& pci() { return pci_; }

  // Writes the ACPI tables; false when guest memory is too small for them.
  [[nodiscard]] bool place_acpi_tables();

 private:
  static constexpr unsigned kIsaLines = 16;
  struct Claim {
    std::uint32_t first, end;
  };
  // Makes ports of a fallback look as if they were claimed one range at a time.
  class GapPorts;
  // The HPET's legacy mode cuts these two off.
  class LegacySwitch final : public devices::Line {
   public:
    LegacySwitch(devices::LineGate& pit, devices::LineGate& rtc) : pit_(pit), rtc_(rtc) {}
    void set(bool level) override {
      pit_.open(!level);
      rtc_.open(!level);
    }

   private:
    devices::LineGate& pit_;
    devices::LineGate& rtc_;
  };
  class NoLine final : public devices::Line {
   public:
    void set(bool) override {}
  };

  bool claim(std::uint16_t first, std::uint32_t count, devices::PortHandler& handler,
             unsigned widest = 4);
  void claim_gaps();
  void connect_isa_lines();
  void add_serial_ports(const MachineConfig& config);
  void add_test_devices(const MachineConfig& config);
  void claim_fixed_ports();
  void fill_fw_cfg(const MachineConfig& config);
  void describe_to_firmware(const MachineConfig& config);
  void act_as_firmware();
  void add_drives(const MachineConfig& config);
  void add_nics(const MachineConfig& config);
  void add_floppies(const MachineConfig& config);
  void add_ide_drives(const MachineConfig& config);
  // In the next free slot.
  void attach(devices::PciDevice& device);
  devices::AcpiConfig acpi_config() const;
  void log_unclaimed(std::FILE* file);
  void move_local_apic(std::uint64_t base_msr);
  devices::LocalApicConfig local_apic_config(const MachineConfig& config);
  devices::HpetOutputs hpet_outputs();
  std::array<devices::Line*, devices::Piix3Isa::kIsaLines> pci_isa_lines();

  BoardSurroundings around_;
  std::string problem_;
  devices::PortBus ports_;
  devices::MmioBus chipset_{kChipsetBytes};
  std::vector<Claim> claims_;
  std::vector<std::unique_ptr<GapPorts>> gaps_;

  std::array<SharedLine, kIsaLines> isa_;  // also I/O APIC pins, 0 as pin 2
  devices::ApicBus apic_bus_;
  devices::LocalApic local_apic_;
  std::uint64_t local_apic_at_ = 0;  // offset in the chipset window
  bool local_apic_shown_ = false;
  devices::IoApic io_apic_;
  devices::PicPair pic_;

  devices::LineGate pit_gate_, rtc_gate_;
  LegacySwitch legacy_switch_;
  devices::Pit pit_;
  devices::SystemControlPort control_port_;
  devices::Rtc rtc_;
  devices::Hpet hpet_;

  NoLine a20_line_;
  devices::A20Gate a20_;
  devices::I8042 keyboard_;
  devices::Port92 port92_;
  devices::PciHost pci_;
  devices::Piix3Isa isa_bridge_;
  devices::Piix4Pm pm_;
  devices::FwCfg fw_cfg_;
  devices::Line& ferr_;
  devices::FunctionBytePorts ferr_ports_;

  std::array<std::unique_ptr<devices::Uart16550>, 4> serial_;
  std::unique_ptr<devices::Vga> vga_;
  std::unique_ptr<devices::Piix3Ide> ide_;
  devices::IsaDma dma_;
  std::unique_ptr<devices::Floppy> floppy_;
  std::vector<std::unique_ptr<devices::PciDevice>> cards_;  // disks and networks, in slot order
  std::unique_ptr<devices::DebugConsole> debug_console_;
  std::vector<std::unique_ptr<devices::DebugExit>> debug_exit_;
  std::unique_ptr<devices::PcTestdev> pc_testdev_;
  std::unique_ptr<devices::PciTestdev> pci_testdev_;
};

}  // namespace ringshift::runtime
