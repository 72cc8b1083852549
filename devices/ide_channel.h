// devices/ide_channel.h - an IDE channel: the command and control block registers, two drives, and
// its half of the bus master. Facts: ATA/ATAPI-6 "Register delivered data transfer command sector
// addressing"; Intel 82371SB (PIIX3) data sheet, "Bus Master IDE I/O Registers".
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "devices/byte_ports.h"
#include "devices/ide_drive.h"

namespace ringshift::devices {

class IdeChannel {
 public:
  static constexpr std::uint16_t kCommandBytes = 8, kBusMasterBytes = 8;

  IdeChannel(guest::PhysicalMemory& memory, Line& interrupt);

  // Drive 0 or 1; before the machine runs.
  void attach(unsigned drive, IdeDrive::Kind kind, BlockDevice* disk, std::string serial);
  bool has_drives() const { return drives_[0] || drives_[1]; }
  bool has_drive(unsigned drive) const { return drives_.at(drive) != nullptr; }

  PortHandler& command_ports() { return command_ports_; }  // 8 ports, the data port 16 or 32 bits
  PortHandler& control_port() { return control_port_; }    // one port
  // Command, status and table address.
  std::uint8_t read_bus_master(std::uint16_t offset) const;
  void write_bus_master(std::uint16_t offset, unsigned size, std::uint32_t value);

  void reset();

 private:
  IdeDrive* selected() { return drives_[drive_index_].get(); }
  std::uint32_t read_command(std::uint16_t offset, unsigned size);
  void write_command(std::uint16_t offset, unsigned size, std::uint32_t value);
  std::uint8_t status();
  void write_register(std::uint16_t offset, std::uint8_t value);
  void write_control(std::uint8_t value);
  void drive_wants_interrupt(unsigned drive);
  void set_line(bool level);
  void start_dma_if_ready();
  std::vector<GuestRange> read_table() const;

  guest::PhysicalMemory& memory_;
  Line& interrupt_;
  FunctionPorts command_ports_;
  FunctionBytePorts control_port_;
  std::array<std::unique_ptr<IdeDrive>, 2> drives_;
  unsigned drive_index_ = 0;
  std::uint8_t control_ = 0;
  bool line_ = false, interrupt_pending_ = false;

  std::uint8_t dma_command_ = 0, dma_status_ = 0;
  std::uint32_t dma_table_ = 0;
};

}  // namespace ringshift::devices
