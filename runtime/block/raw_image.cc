// runtime/block/raw_image.cc - a disk whose file holds its bytes as they are; opening any image;
// and the overlay of -snapshot.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#include "runtime/block/block_image.h"

namespace ringshift::runtime {
namespace {

using devices::BlockPiece;

constexpr std::uint64_t kSector = 512;
constexpr std::array<std::uint8_t, 4> kQcow2Magic{'Q', 'F', 'I', 0xfb};

class RawImage final : public BlockImage {
 public:
  RawImage(HostDisk file, bool guessed)
      : file_(std::move(file)),
        guessed_(guessed),
        bytes_((file_.bytes() + kSector - 1) / kSector * kSector) {}
  std::uint64_t bytes() const override { return bytes_; }
  bool read_only() const override { return file_.read_only(); }
  std::string_view format() const override { return "raw"; }
  BlockStatus read(std::uint64_t offset, std::span<const BlockPiece> pieces) override {
    return file_.read(offset, pieces);
  }
  BlockStatus write(std::uint64_t offset, std::span<const BlockPiece> pieces) override {
    if (guessed_ && becomes_another_format(offset, pieces))
      return tl::unexpected(file_.path() +
                            ": a guest tries to make a qcow2 image of it; name "
                            "format=raw if it may");
    return file_.write(offset, pieces);
  }
  BlockStatus flush() override { return file_.flush(); }
  BlockStatus write_zeroes(std::uint64_t offset, std::uint64_t bytes, bool may_unmap) override {
    return file_.write_zeroes(offset, bytes, may_unmap);
  }
  bool read_cached(std::uint64_t offset, std::span<const BlockPiece> pieces) override {
    return file_.read_cached(offset, pieces);
  }

 private:
  // The next run would look at the file again, and follow the guest to any file of the host that
  // the image names as its base.
  static bool becomes_another_format(std::uint64_t offset, std::span<const BlockPiece> pieces) {
    return offset == 0 && !pieces.empty() && pieces[0].bytes >= kQcow2Magic.size() &&
           std::equal(kQcow2Magic.begin(), kQcow2Magic.end(), pieces[0].data);
  }
  HostDisk file_;
  bool guessed_;         // nobody said that it is raw
  std::uint64_t bytes_;  // whole sectors; what the file lacks of the last reads as zeroes
};

// Clusters that were written are in an unlinked file at the offset that they have on the disk.
class TemporaryOverlay final : public BlockImage {
 public:
  TemporaryOverlay(std::unique_ptr<BlockImage> base, HostDisk file)
      : base_(std::move(base)),
        file_(std::move(file)),
        written_((base_->bytes() + kCluster - 1) / kCluster) {}
  std::uint64_t bytes() const override { return base_->bytes(); }
  bool read_only() const override { return false; }
  std::string_view format() const override { return base_->format(); }

  BlockStatus read(std::uint64_t offset, std::span<const BlockPiece> pieces) override {
    return for_each_cluster(kCluster, offset, pieces, [this](std::uint64_t at, auto part) {
      return written_[at / kCluster] ? file_.read(at, part) : base_->read(at, part);
    });
  }
  BlockStatus write(std::uint64_t offset, std::span<const BlockPiece> pieces) override {
    return for_each_cluster(
        kCluster, offset, pieces, [this](std::uint64_t at, auto part) -> BlockStatus {
          if (auto copied = copy_up(at / kCluster, total_bytes(part) == kCluster); !copied)
            return copied;
          return file_.write(at, part);
        });
  }
  BlockStatus flush() override { return {}; }
  BlockStatus write_zeroes(std::uint64_t offset, std::uint64_t bytes, bool) override {
    std::vector<std::uint8_t> zeroes(std::min(bytes, kCluster));
    while (bytes != 0) {
      const BlockPiece piece{zeroes.data(), std::min<std::uint64_t>(bytes, zeroes.size())};
      if (auto written = write(offset, std::span(&piece, 1)); !written) return written;
      offset += piece.bytes;
      bytes -= piece.bytes;
    }
    return {};
  }

 private:
  static constexpr std::uint64_t kCluster = 65536;

  BlockStatus copy_up(std::uint64_t cluster, bool whole) {
    if (written_[cluster]) return {};
    if (!whole) {
      const std::uint64_t at = cluster * kCluster;
      std::vector<std::uint8_t> data(std::min(kCluster, bytes() - at));
      const BlockPiece piece{data.data(), data.size()};
      if (auto status = base_->read(at, std::span(&piece, 1)); !status) return status;
      if (auto status = file_.write(at, data); !status) return status;
    }
    written_[cluster] = true;
    return {};
  }

  std::unique_ptr<BlockImage> base_;
  HostDisk file_;
  std::vector<bool> written_;
};

}  // namespace

tl::expected<std::unique_ptr<BlockImage>, std::string> make_temporary_overlay(
    std::unique_ptr<BlockImage> base) {
  const char* folder = std::getenv("TMPDIR");
  std::string path = std::string(folder && *folder ? folder : "/var/tmp") + "/ringshift-XXXXXX";
  const int fd = ::mkstemp(path.data());
  if (fd < 0) return tl::unexpected(fmt::format("{}: {}", path, std::strerror(errno)));
  ::close(fd);
  auto file = HostDisk::open(path, false);
  ::unlink(path.c_str());
  if (!file) return tl::unexpected(file.error());
  return std::make_unique<TemporaryOverlay>(std::move(base), std::move(*file));
}

tl::expected<std::unique_ptr<BlockImage>, std::string> open_image_file(const std::string& path,
                                                                       const std::string& format,
                                                                       bool read_only,
                                                                       unsigned depth) {
  auto file = HostDisk::open(path, read_only);
  if (!file) return tl::unexpected(file.error());
  std::string kind = format;
  if (kind.empty()) {
    std::array<std::uint8_t, 4> first{};
    if (auto read = file->read(0, std::span(first)); !read) return tl::unexpected(read.error());
    kind = first == kQcow2Magic ? "qcow2" : "raw";
  }
  if (kind == "raw") return std::make_unique<RawImage>(std::move(*file), format.empty());
  if (kind == "qcow2") return open_qcow2(std::move(*file), depth);
  return tl::unexpected(fmt::format("{}: format={} is neither raw nor qcow2", path, kind));
}

tl::expected<std::unique_ptr<BlockImage>, std::string> open_image(const ImageOptions& options) {
  auto image =
      open_image_file(options.file, options.format, options.read_only || options.snapshot, 0);
  if (!image || !options.snapshot) return image;
  return make_temporary_overlay(std::move(*image));
}

}  // namespace ringshift::runtime
