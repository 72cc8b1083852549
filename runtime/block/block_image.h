// runtime/block/block_image.h - a disk image: a flat array of bytes in some file format.
// Used by one thread at a time. Offsets and sizes are in bytes; callers stay inside bytes().
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "devices/block_device.h"

namespace ringshift::runtime {

using BlockStatus = tl::expected<void, std::string>;

class BlockImage {
 public:
  virtual ~BlockImage() = default;
  virtual std::uint64_t bytes() const = 0;
  virtual bool read_only() const = 0;
  virtual std::string_view format() const = 0;

  virtual BlockStatus read(std::uint64_t offset, std::span<const devices::BlockPiece> pieces) = 0;
  virtual BlockStatus write(std::uint64_t offset, std::span<const devices::BlockPiece> pieces) = 0;
  virtual BlockStatus flush() = 0;
  virtual BlockStatus write_zeroes(std::uint64_t offset, std::uint64_t bytes, bool may_unmap) = 0;
  // Reads what costs no wait: false when nothing, or not all, of it was in the host's memory.
  virtual bool read_cached(std::uint64_t, std::span<const devices::BlockPiece>) { return false; }
};

struct ImageOptions {
  std::string file;
  std::string format;  // raw, qcow2; empty: what the file looks like
  bool read_only = false;
  bool snapshot = false;  // writes go to a temporary file
};

// The error is one line that names the file.
tl::expected<std::unique_ptr<BlockImage>, std::string> open_image(const ImageOptions& options);

// --- For the formats ---

// A host file, held against other virtual machines unless it is only read.
class HostDisk {
 public:
  static tl::expected<HostDisk, std::string> open(const std::string& path, bool read_only);
  HostDisk(HostDisk&& other) noexcept;
  HostDisk& operator=(HostDisk&&) = delete;
  ~HostDisk();

  std::uint64_t bytes() const { return bytes_; }
  const std::string& path() const { return path_; }
  bool read_only() const { return read_only_; }
  // Past the end of the file reads as zeroes.
  BlockStatus read(std::uint64_t offset, std::span<const devices::BlockPiece> pieces);
  BlockStatus write(std::uint64_t offset, std::span<const devices::BlockPiece> pieces);
  BlockStatus read(std::uint64_t offset, std::span<std::uint8_t> bytes);
  BlockStatus write(std::uint64_t offset, std::span<const std::uint8_t> bytes);
  BlockStatus flush();
  BlockStatus write_zeroes(std::uint64_t offset, std::uint64_t bytes, bool may_unmap);
  bool read_cached(std::uint64_t offset, std::span<const devices::BlockPiece> pieces);

 private:
  HostDisk(int fd, std::string path, bool read_only, std::uint64_t bytes)
      : fd_(fd), path_(std::move(path)), read_only_(read_only), bytes_(bytes) {}
  tl::unexpected<std::string> failed(const char* what) const;

  int fd_;
  std::string path_;
  bool read_only_;
  std::uint64_t bytes_;
};

tl::expected<std::unique_ptr<BlockImage>, std::string> open_qcow2(HostDisk file, unsigned depth);
// Reads come from `base` until written; nothing is kept.
tl::expected<std::unique_ptr<BlockImage>, std::string> make_temporary_overlay(
    std::unique_ptr<BlockImage> base);
// `depth`: how many images lie over this one.
tl::expected<std::unique_ptr<BlockImage>, std::string> open_image_file(const std::string& path,
                                                                       const std::string& format,
                                                                       bool read_only,
                                                                       unsigned depth);

// The part [from, from + bytes) of a list of pieces.
std::vector<devices::BlockPiece> slice(std::span<const devices::BlockPiece> pieces,
                                       std::uint64_t from, std::uint64_t bytes);
std::uint64_t total_bytes(std::span<const devices::BlockPiece> pieces);

// Calls `action(offset, pieces)` for each part of a transfer that lies in one cluster.
template <typename F>
BlockStatus for_each_cluster(std::uint64_t cluster_bytes, std::uint64_t offset,
                             std::span<const devices::BlockPiece> pieces, F action) {
  std::uint64_t done = 0;
  const std::uint64_t total = total_bytes(pieces);
  while (done < total) {
    const std::uint64_t at = offset + done;
    const std::uint64_t here = std::min(total - done, cluster_bytes - at % cluster_bytes);
    const auto part = slice(pieces, done, here);
    if (auto status = action(at, std::span<const devices::BlockPiece>(part)); !status)
      return status;
    done += here;
  }
  return {};
}
void fill_zero(std::span<const devices::BlockPiece> pieces);

}  // namespace ringshift::runtime
