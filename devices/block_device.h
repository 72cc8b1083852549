// devices/block_device.h - what a disk controller has behind it: bytes by offset, read and written
// asynchronously.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace ringshift::devices {

// Host memory of one part of a transfer.
struct BlockPiece {
  std::uint8_t* data = nullptr;
  std::size_t bytes = 0;
};

struct BlockRequest {
  enum class Kind : std::uint8_t {
    kRead,
    kWrite,
    kFlush,        // what completed before is on stable storage, as far as the host says so
    kDiscard,      // [offset, offset + bytes) is of no interest any more
    kWriteZeroes,  // the same bytes read as zeroes
  };
  Kind kind = Kind::kRead;
  std::uint64_t offset = 0;
  std::vector<BlockPiece> pieces;  // of kRead and kWrite; stay valid until the end
  std::uint64_t bytes = 0;         // of kDiscard and kWriteZeroes
};

class BlockDevice {
 public:
  // On the vCPU's thread with the device lock held; before submit() returns, or later.
  using Done = std::function<void(bool worked)>;

  virtual ~BlockDevice() = default;
  virtual std::uint64_t bytes() const = 0;
  virtual bool read_only() const = 0;
  // A range past the end fails. Requests in flight together may end, and take effect, in any order.
  virtual void submit(BlockRequest request, Done done) = 0;
};

}  // namespace ringshift::devices
