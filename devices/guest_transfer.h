// devices/guest_transfer.h - guest memory as one transfer of a bus master sees it: scattered
// ranges, as host memory. Plain RAM is used in place; a transfer that touches anything else goes
// through a copy.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "devices/block_device.h"
#include "guest/physical_memory.h"

namespace ringshift::devices {

struct GuestRange {
  std::uint64_t start = 0, bytes = 0;
};

class GuestTransfer {
 public:
  enum class Direction : std::uint8_t { kToGuest, kFromGuest };

  GuestTransfer(guest::PhysicalMemory& memory, std::vector<GuestRange> ranges, Direction direction);

  std::uint64_t bytes() const { return bytes_; }
  // Valid as long as this object is.
  const std::vector<BlockPiece>& pieces() const { return pieces_; }
  // After the last byte of a transfer to the guest came; on the vCPU's thread.
  void finish();

 private:
  guest::PhysicalMemory& memory_;
  std::vector<GuestRange> ranges_;
  Direction direction_;
  std::uint64_t bytes_ = 0;
  std::vector<BlockPiece> pieces_;
  std::vector<std::uint8_t> copy_;  // empty: in place
};

}  // namespace ringshift::devices
