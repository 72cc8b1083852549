// devices/flash.h - a parallel flash chip with Intel's command set, which firmware keeps its
// variables in. Facts: JEDEC "Common Flash Interface", Intel StrataFlash data sheet, "Command Set".
// Kept in a host file through a block device, if there is one: a write is on its way there when the
// chip says that it is done.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "devices/block_device.h"
#include "devices/device.h"

namespace ringshift::devices {

class Flash final : public MmioHandler {
 public:
  static constexpr std::uint32_t kBlockBytes = 4096;

  // `contents` are what the chip holds; `backing` null: nothing is kept.
  Flash(std::vector<std::uint8_t> contents, BlockDevice* backing);

  std::uint64_t mmio_read(std::uint64_t offset, unsigned size) override;
  void mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) override;
  std::uint64_t bytes() const { return contents_.size(); }
  void reset() { mode_ = Mode::kArray; }

 private:
  enum class Mode : std::uint8_t {
    kArray,
    kStatus,
    kId,
    kQuery,
    kProgram,
    kErase,
    kBufferCount,
    kBufferData,
    kBufferConfirm,
    kLock,
  };
  void command(std::uint64_t offset, std::uint8_t code);
  void store(std::uint64_t offset, std::span<const std::uint8_t> bytes);
  std::uint8_t query(std::uint64_t offset) const;

  std::vector<std::uint8_t> contents_;
  BlockDevice* backing_;
  Mode mode_ = Mode::kArray;
  std::uint8_t status_ = 0x80;
  std::uint64_t buffer_at_ = 0, buffer_left_ = 0;
  std::vector<std::uint8_t> buffer_;
};

}  // namespace ringshift::devices
