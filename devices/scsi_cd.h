// devices/scsi_cd.h - the commands of a CD/DVD drive, whatever bus brings them.
// Facts: MMC "Multi-Media Commands", SPC "SCSI Primary Commands".
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "devices/block_device.h"

namespace ringshift::devices {

// SCSI sense data, as far as anybody looks.
struct ScsiSense {
  std::uint8_t key = 0, code = 0, qualifier = 0;
  bool operator==(const ScsiSense&) const = default;
};

class ScsiCd {
 public:
  static constexpr unsigned kSectorBytes = 2048;

  // What a command comes to: data from the drive itself, sectors of the disc, or an error.
  struct Answer {
    std::vector<std::uint8_t> data;
    std::uint64_t first_sector = 0;
    std::uint32_t sectors = 0;
    bool failed = false;  // the sense says why
  };

  // Null: no disc.
  explicit ScsiCd(BlockDevice* disc) : disc_(disc) {}

  Answer execute(std::span<const std::uint8_t, 12> command);
  // The disc could not be read.
  void report_read_error() { sense_ = {0x03, 0x11, 0x00}; }
  const ScsiSense& sense() const { return sense_; }
  BlockDevice* disc() const { return disc_; }
  void reset() { sense_ = {}; }

 private:
  std::uint32_t sector_count() const {
    return disc_ ? static_cast<std::uint32_t>(disc_->bytes() / kSectorBytes) : 0;
  }
  Answer fail(const ScsiSense& sense);
  Answer read(std::uint64_t first, std::uint32_t count);
  Answer inquiry(std::span<const std::uint8_t, 12> command) const;
  Answer request_sense(std::span<const std::uint8_t, 12> command);
  Answer capacity();
  Answer table_of_contents(std::span<const std::uint8_t, 12> command);
  Answer mode_sense(std::span<const std::uint8_t, 12> command, bool six);
  Answer configuration(std::span<const std::uint8_t, 12> command) const;

  BlockDevice* disc_;
  ScsiSense sense_;
};

}  // namespace ringshift::devices
