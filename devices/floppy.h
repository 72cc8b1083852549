// devices/floppy.h - an 82077AA floppy controller with two drives.
// Facts: Intel 82077AA data sheet, "Commands", "Result Phase".
// Data moves by DMA on channel 2. There is no time: a command is over when its data has moved.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "devices/block_device.h"
#include "devices/byte_ports.h"
#include "devices/isa_dma.h"

namespace ringshift::devices {

class Floppy {
 public:
  static constexpr std::uint16_t kBase = 0x3f0, kPorts = 6, kDirPort = 0x3f7;
  static constexpr unsigned kDrives = 2;
  // CMOS register 10H: what kind of drive. 1.44 MB for all that hold at most that.
  static constexpr std::uint8_t kType144 = 4, kType288 = 5;

  Floppy(guest::PhysicalMemory& memory, IsaDma& dma, Line& interrupt);

  // Before the machine runs. Null: a drive without a disk.
  void attach(unsigned drive, BlockDevice* disk);
  std::uint8_t drive_type(unsigned drive) const;  // 0: no drive

  PortHandler& ports() { return ports_; }        // kBase
  PortHandler& dir_port() { return dir_port_; }  // kDirPort

 private:
  struct Geometry {
    unsigned cylinders = 80, heads = 2, sectors = 18;
  };
  struct Drive {
    bool present = false;
    BlockDevice* disk = nullptr;
    Geometry geometry;
    std::uint8_t cylinder = 0;
    bool changed = true;
  };
  enum class Phase : std::uint8_t { kCommand, kBusy, kResult };

  std::uint8_t read(std::uint16_t offset);
  void write(std::uint16_t offset, std::uint8_t value);
  void write_output(std::uint8_t value);
  void write_data(std::uint8_t value);
  std::uint8_t read_data();
  void execute();
  void reset();
  void set_interrupt(bool level);
  void answer(std::vector<std::uint8_t> result, bool interrupt);
  void finish_seek(std::uint8_t cylinder);
  void transfer(bool write);
  void move_sectors(bool write);
  void end_transfer(std::uint8_t st0, std::uint8_t st1);
  Drive& selected() { return drives_[drive_]; }

  guest::PhysicalMemory& memory_;
  IsaDma& dma_;
  Line& interrupt_;
  FunctionBytePorts ports_, dir_port_;
  std::array<Drive, kDrives> drives_;
  Phase phase_ = Phase::kCommand;
  std::vector<std::uint8_t> command_, result_;
  std::size_t result_at_ = 0;
  std::uint8_t output_ = 0x0c, status0_ = 0, data_rate_ = 0;
  unsigned drive_ = 0, resets_to_sense_ = 0;
  bool line_ = false;
  // Of the transfer: where it is.
  unsigned cylinder_ = 0, head_ = 0, sector_ = 1;
  std::shared_ptr<std::uint64_t> epoch_ = std::make_shared<std::uint64_t>(0);
};

}  // namespace ringshift::devices
