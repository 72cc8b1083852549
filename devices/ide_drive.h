// devices/ide_drive.h - one drive of an IDE channel: an ATA disk or an ATAPI CD drive.
// Facts: ATA/ATAPI-6 "Register and command descriptions", "Protocols".
//
// The channel writes the command block's registers to both drives, as the cable does; only the one
// that is selected executes a command. Data moves through the data port a block at a time, or
// through the bus master, which asks for the whole of it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "devices/block_device.h"
#include "devices/guest_transfer.h"
#include "devices/scsi_cd.h"

namespace ringshift::devices {

namespace ata {
inline constexpr std::uint8_t kError = 0x01, kDataRequest = 0x08, kSeekComplete = 0x10,
                              kReady = 0x40, kBusy = 0x80;  // status
inline constexpr std::uint8_t kAbort = 0x04, kNoId = 0x10;  // error
inline constexpr unsigned kSectorBytes = 512;
}  // namespace ata

// What the guest wrote, the second byte of each pair being the value before ("previous content").
struct AtaRegisters {
  std::array<std::uint8_t, 2> feature{}, count{}, lba_low{}, lba_mid{}, lba_high{};
  std::uint8_t device = 0;
};

// A transfer that waits for the bus master.
struct IdeDma {
  bool to_guest = true;
  std::uint64_t bytes = 0;
};

class IdeDrive {
 public:
  enum class Kind : std::uint8_t { kDisk, kCd };

  // `disk` null: a CD drive without a disc. `interrupt`: the drive wants its line high.
  IdeDrive(Kind kind, BlockDevice* disk, std::string serial, std::function<void()> interrupt);

  void reset(bool diagnostic);  // power-on, SRST and EXECUTE DEVICE DIAGNOSTIC
  AtaRegisters& registers() { return r_; }
  std::uint8_t status() const { return status_; }
  std::uint8_t error() const { return error_; }
  bool is_cd() const { return kind_ == Kind::kCd; }

  void execute(std::uint8_t command);
  std::uint16_t read_data();
  void write_data(std::uint16_t value);

  // The bus master's side: what waits for it, and running it. Ranges beyond the drive's bytes are
  // not touched; fewer are an error. `done` comes with the interrupt's moment.
  const IdeDma* pending_dma() const { return dma_ ? &*dma_ : nullptr; }
  void run_dma(guest::PhysicalMemory& memory, std::vector<GuestRange> ranges,
               std::function<void(bool)> done);
  void abandon_dma() { dma_.reset(); }

 private:
  enum class Phase : std::uint8_t { kIdle, kDataIn, kDataOut, kPacket };
  using Continue = void (IdeDrive::*)();

  // Of the command that is executed.
  struct Transfer {
    std::uint64_t sector = 0;
    std::uint32_t left = 0;   // sectors not yet moved
    std::uint32_t block = 1;  // sectors for each DRQ
    unsigned sector_bytes = ata::kSectorBytes;
  };

  bool uses_lba48(std::uint8_t command) const;
  std::uint64_t sector_address(bool lba48) const;
  std::uint32_t sector_count(bool lba48) const;
  bool begin_transfer(bool lba48, std::uint32_t block);

  void command_on_disk(std::uint8_t command);
  void command_on_cd(std::uint8_t command);
  bool common_command(std::uint8_t command);
  void identify();
  void set_features();
  void signature();

  void read_block();
  void ask_for_block();
  void store_block();
  void packet_received();
  void packet_data();
  void finish_packet();
  void packet_error();

  void offer(std::vector<std::uint8_t> data, Continue next);
  void ask(std::size_t bytes, Continue next);
  void succeed();
  void fail(std::uint8_t error);
  void raise();
  void submit(BlockRequest request, std::function<void(bool)> done);
  void set_packet_reason(bool to_host, bool command);

  Kind kind_;
  BlockDevice* disk_;
  std::string serial_;
  std::function<void()> interrupt_;
  ScsiCd cd_;
  AtaRegisters r_;
  std::uint8_t status_ = 0, error_ = 0, multiple_ = 16;
  std::uint8_t udma_mode_ = 5;  // what SET FEATURES chose

  Phase phase_ = Phase::kIdle;
  std::vector<std::uint8_t> buffer_;
  std::size_t at_ = 0;
  Continue next_ = nullptr;
  Transfer transfer_;
  std::vector<std::uint8_t> answer_;  // of a packet, what the host has not taken
  std::size_t answer_at_ = 0;
  std::size_t packet_limit_ = 0;  // bytes that the host takes at once
  bool packet_dma_ = false;
  std::optional<IdeDma> dma_;
  // Completions of commands before a reset come to nothing.
  std::shared_ptr<std::uint64_t> epoch_ = std::make_shared<std::uint64_t>(0);
};

}  // namespace ringshift::devices
