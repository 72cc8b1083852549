// runtime/block/host_disk.cc - a disk's file on the host.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>

#include "runtime/block/block_image.h"

namespace ringshift::runtime {
namespace {

using devices::BlockPiece;

constexpr std::size_t kMostParts = 256;

// A lock of the open file, so that it goes with the last descriptor. Readers share it.
bool lock_file(int fd, bool shared) {
  struct flock lock {};
  lock.l_type = shared ? F_RDLCK : F_WRLCK;
  lock.l_whence = SEEK_SET;
  return ::fcntl(fd, F_OFD_SETLK, &lock) == 0 || (errno != EAGAIN && errno != EACCES);
}

// Calls `transfer(parts, count, offset)` until all pieces are done; short transfers go on. The end
// of the file, a transfer of nothing, ends it. Returns the bytes transferred, or -1.
template <typename F>
std::int64_t transfer_all(std::uint64_t offset, std::span<const BlockPiece> pieces, F transfer) {
  std::int64_t total = 0;
  std::size_t piece = 0, inside = 0;
  while (piece < pieces.size()) {
    std::array<iovec, kMostParts> parts;
    std::size_t count = 0;
    for (std::size_t i = piece; i < pieces.size() && count < parts.size(); ++i, ++count) {
      const std::size_t skip = i == piece ? inside : 0;
      parts[count] = {pieces[i].data + skip, pieces[i].bytes - skip};
    }
    const auto done = transfer(parts.data(), static_cast<int>(count),
                               static_cast<off_t>(offset + static_cast<std::uint64_t>(total)));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return -1;
    if (done == 0) break;
    total += done;
    std::size_t left = static_cast<std::size_t>(done);
    while (piece < pieces.size() && left >= pieces[piece].bytes - inside) {
      left -= pieces[piece].bytes - inside;
      inside = 0;
      ++piece;
    }
    inside += left;
  }
  return total;
}

}  // namespace

std::vector<BlockPiece> slice(std::span<const BlockPiece> pieces, std::uint64_t from,
                              std::uint64_t bytes) {
  std::vector<BlockPiece> result;
  for (const BlockPiece& piece : pieces) {
    if (bytes == 0) break;
    if (from >= piece.bytes) {
      from -= piece.bytes;
      continue;
    }
    const std::size_t taken = std::min<std::uint64_t>(piece.bytes - from, bytes);
    result.push_back({piece.data + from, taken});
    bytes -= taken;
    from = 0;
  }
  return result;
}

std::uint64_t total_bytes(std::span<const BlockPiece> pieces) {
  std::uint64_t total = 0;
  for (const BlockPiece& piece : pieces) total += piece.bytes;
  return total;
}

void fill_zero(std::span<const BlockPiece> pieces) {
  for (const BlockPiece& piece : pieces) std::memset(piece.data, 0, piece.bytes);
}

tl::expected<HostDisk, std::string> HostDisk::open(const std::string& path, bool read_only) {
  const int fd = ::open(path.c_str(), (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
  if (fd < 0) return tl::unexpected(fmt::format("{}: {}", path, std::strerror(errno)));
  HostDisk disk(fd, path, read_only, 0);
  struct stat info {};
  if (::fstat(fd, &info) != 0) return disk.failed("cannot be looked at");
  if (S_ISBLK(info.st_mode)) {
    if (::ioctl(fd, BLKGETSIZE64, &disk.bytes_) != 0) return disk.failed("has no size");
  } else if (S_ISREG(info.st_mode)) {
    disk.bytes_ = static_cast<std::uint64_t>(info.st_size);
  } else {
    return tl::unexpected(path + ": neither a file nor a block device");
  }
  if (!lock_file(fd, read_only)) return tl::unexpected(path + ": another virtual machine uses it");
  return disk;
}

HostDisk::HostDisk(HostDisk&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      read_only_(other.read_only_),
      bytes_(other.bytes_) {}

HostDisk::~HostDisk() {
  if (fd_ >= 0) ::close(fd_);
}

tl::unexpected<std::string> HostDisk::failed(const char* what) const {
  return tl::unexpected(fmt::format("{}: {}: {}", path_, what, std::strerror(errno)));
}

BlockStatus HostDisk::read(std::uint64_t offset, std::span<const BlockPiece> pieces) {
  const auto done = transfer_all(offset, pieces, [this](const iovec* parts, int count, off_t at) {
    return ::preadv(fd_, parts, count, at);
  });
  if (done < 0) return failed("read error");
  const auto read = static_cast<std::uint64_t>(done), wanted = total_bytes(pieces);
  if (read < wanted) fill_zero(slice(pieces, read, wanted - read));
  return {};
}

BlockStatus HostDisk::write(std::uint64_t offset, std::span<const BlockPiece> pieces) {
  const auto done = transfer_all(offset, pieces, [this](const iovec* parts, int count, off_t at) {
    return ::pwritev(fd_, parts, count, at);
  });
  const std::uint64_t wanted = total_bytes(pieces);
  if (done < 0 || static_cast<std::uint64_t>(done) != wanted) return failed("write error");
  bytes_ = std::max(bytes_, offset + wanted);
  return {};
}

BlockStatus HostDisk::read(std::uint64_t offset, std::span<std::uint8_t> bytes) {
  const BlockPiece piece{bytes.data(), bytes.size()};
  return read(offset, std::span(&piece, 1));
}

BlockStatus HostDisk::write(std::uint64_t offset, std::span<const std::uint8_t> bytes) {
  const BlockPiece piece{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
  return write(offset, std::span(&piece, 1));
}

BlockStatus HostDisk::flush() {
  if (!read_only_ && ::fdatasync(fd_) != 0) return failed("cannot be written to stable storage");
  return {};
}

// A hole where the host can make one, else zeroes.
BlockStatus HostDisk::write_zeroes(std::uint64_t offset, std::uint64_t bytes, bool may_unmap) {
  const int how = (may_unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) | FALLOC_FL_KEEP_SIZE;
  if (::fallocate(fd_, how, static_cast<off_t>(offset), static_cast<off_t>(bytes)) == 0) return {};
  static constexpr std::array<std::uint8_t, 65536> kZeroes{};
  while (bytes != 0) {
    const std::uint64_t here = std::min<std::uint64_t>(bytes, kZeroes.size());
    if (auto written = write(offset, std::span(kZeroes).first(here)); !written) return written;
    offset += here;
    bytes -= here;
  }
  return {};
}

bool HostDisk::read_cached(std::uint64_t offset, std::span<const BlockPiece> pieces) {
  const auto done = transfer_all(offset, pieces, [this](const iovec* parts, int count, off_t at) {
    return ::preadv2(fd_, parts, count, at, RWF_NOWAIT);
  });
  return done >= 0 && static_cast<std::uint64_t>(done) == total_bytes(pieces);
}

}  // namespace ringshift::runtime
