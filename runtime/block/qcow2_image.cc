// runtime/block/qcow2_image.cc - disks in QEMU's qcow2 format: two levels of tables from the disk's
// clusters to the file's, reference counts, a base image for what was never written.
// Facts: QEMU's docs/interop/qcow2.
//
// A kill at any moment loses nothing that was acknowledged: a cluster is counted before it is
// filled, and filled before a table names it. What is cut off there is a cluster that nobody names.
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <unordered_map>

#include "runtime/block/block_image.h"

namespace ringshift::runtime {
namespace {

using devices::BlockPiece;
using Bytes = std::vector<std::uint8_t>;

constexpr unsigned kMostDepth = 16;  // images over images
constexpr std::uint64_t kOffsetMask = 0x00fffffffffffe00;
constexpr std::uint64_t kCopied = std::uint64_t{1} << 63, kCompressed = std::uint64_t{1} << 62,
                        kZero = 1;
constexpr std::uint64_t kMostTableBytes = 32u << 20;
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 56;

namespace incompatible {
constexpr std::uint64_t kDirty = 1, kCorrupt = 2, kCompressionType = 8;
}

std::uint64_t big(const std::uint8_t* at, unsigned bytes) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < bytes; ++i) value = value << 8 | at[i];
  return value;
}
void put_big(std::uint8_t* at, std::uint64_t value, unsigned bytes) {
  for (unsigned i = 0; i < bytes; ++i)
    at[i] = static_cast<std::uint8_t>(value >> (8 * (bytes - 1 - i)));
}

struct Header {
  std::uint32_t version = 0, cluster_bits = 0, l1_entries = 0, refcount_clusters = 0,
                refcount_order = 4, header_bytes = 72;
  std::uint64_t backing_offset = 0, bytes = 0, l1_offset = 0, refcount_offset = 0, incompatible = 0;
  std::uint32_t backing_bytes = 0, encryption = 0;
  std::uint8_t compression = 0;

  std::uint64_t cluster() const { return std::uint64_t{1} << cluster_bits; }
  std::uint64_t l2_entries() const { return cluster() / 8; }
};

Header parse(const std::uint8_t* h) {
  Header r;
  r.version = static_cast<std::uint32_t>(big(h + 4, 4));
  r.backing_offset = big(h + 8, 8);
  r.backing_bytes = static_cast<std::uint32_t>(big(h + 16, 4));
  r.cluster_bits = static_cast<std::uint32_t>(big(h + 20, 4));
  r.bytes = big(h + 24, 8);
  r.encryption = static_cast<std::uint32_t>(big(h + 32, 4));
  r.l1_entries = static_cast<std::uint32_t>(big(h + 36, 4));
  r.l1_offset = big(h + 40, 8);
  r.refcount_offset = big(h + 48, 8);
  r.refcount_clusters = static_cast<std::uint32_t>(big(h + 56, 4));
  if (r.version < 3) return r;
  r.incompatible = big(h + 72, 8);
  r.refcount_order = static_cast<std::uint32_t>(big(h + 96, 4));
  r.header_bytes = static_cast<std::uint32_t>(big(h + 100, 4));
  if (r.header_bytes > 104) r.compression = h[104];
  return r;
}

// Empty, or why the image cannot be used.
std::string complaint_about(const Header& h, std::uint64_t file_bytes, bool read_only) {
  const auto inside = [file_bytes](std::uint64_t at, std::uint64_t bytes) {
    return at <= file_bytes && bytes <= file_bytes - at;
  };
  if (h.version < 2 || h.version > 3)
    return fmt::format("version {} of qcow2 is unknown", h.version);
  if (h.cluster_bits < 9 || h.cluster_bits > 21) return "the cluster size is not valid";
  if (h.bytes > kMostBytes) return "the disk's size is not valid";
  if (h.encryption) return "encrypted images are not supported";
  const std::uint64_t known =
      incompatible::kDirty | incompatible::kCorrupt | incompatible::kCompressionType;
  if (h.incompatible & ~known)
    return "it uses features that are not supported (external data or extended tables)";
  if ((h.incompatible & incompatible::kCorrupt) && !read_only) return "it is marked as damaged";
  if ((h.incompatible & incompatible::kDirty) && !read_only)
    return "it was not closed; qemu-img check -r all repairs it";
  if (h.compression != 0) return "only zlib compression is supported";
  if (h.refcount_order > 6) return "the width of its reference counts is not valid";
  const std::uint64_t l2_reach = h.cluster() * h.l2_entries();
  if (std::uint64_t{h.l1_entries} * 8 > kMostTableBytes ||
      h.l1_entries < (h.bytes + l2_reach - 1) / l2_reach)
    return "its first table is too short or too long";
  if (h.l1_offset % h.cluster() || !inside(h.l1_offset, std::uint64_t{h.l1_entries} * 8))
    return "its first table lies outside the file";
  const std::uint64_t counts = std::uint64_t{h.refcount_clusters} << h.cluster_bits;
  if (h.refcount_offset % h.cluster() || counts > kMostTableBytes ||
      !inside(h.refcount_offset, std::min<std::uint64_t>(counts, 8)))
    return "its table of reference counts lies outside the file";
  if (h.backing_offset && (h.backing_bytes > 1023 || !inside(h.backing_offset, h.backing_bytes)))
    return "the name of its base lies outside the file";
  return "";
}

class Qcow2Image final : public BlockImage {
 public:
  Qcow2Image(HostDisk file, const Header& header, std::unique_ptr<BlockImage> base)
      : file_(std::move(file)), header_(header), base_(std::move(base)) {}

  BlockStatus load() {
    l1_.resize(std::size_t{header_.l1_entries} * 8);
    if (auto read = file_.read(header_.l1_offset, std::span(l1_)); !read) return read;
    counts_.resize(std::size_t{header_.refcount_clusters} << header_.cluster_bits);
    if (auto read = file_.read(header_.refcount_offset, std::span(counts_)); !read) return read;
    end_ = (file_.bytes() + cluster() - 1) / cluster() * cluster();
    return {};
  }

  std::uint64_t bytes() const override { return header_.bytes / 512 * 512; }
  bool read_only() const override { return file_.read_only(); }
  std::string_view format() const override { return "qcow2"; }

  BlockStatus read(std::uint64_t offset, std::span<const BlockPiece> pieces) override {
    return for_each_cluster(cluster(), offset, pieces,
                            [this](std::uint64_t at, auto part) { return read_cluster(at, part); });
  }
  BlockStatus write(std::uint64_t offset, std::span<const BlockPiece> pieces) override {
    return for_each_cluster(cluster(), offset, pieces, [this](std::uint64_t at, auto part) {
      return write_cluster(at, part);
    });
  }
  BlockStatus flush() override { return file_.flush(); }

  // Whole clusters become zero clusters, which need no data; the edges are written.
  BlockStatus write_zeroes(std::uint64_t offset, std::uint64_t bytes, bool) override {
    Bytes zeroes(std::min(bytes, cluster()));
    while (bytes != 0) {
      const std::uint64_t here = std::min(bytes, cluster() - offset % cluster());
      const BlockPiece piece{zeroes.data(), here};
      BlockStatus done;
      if (here == cluster() && header_.version >= 3)
        done = make_zero(offset);
      else
        done = write_cluster(offset, std::span(&piece, 1));
      if (!done) return done;
      offset += here;
      bytes -= here;
    }
    return {};
  }

 private:
  std::uint64_t cluster() const { return header_.cluster(); }
  tl::unexpected<std::string> damaged(const char* what) const {
    return tl::unexpected(fmt::format("{}: damaged image: {}", file_.path(), what));
  }

  // --- Tables ---

  std::size_t l1_index(std::uint64_t at) const { return at / cluster() / header_.l2_entries(); }
  std::size_t l2_index(std::uint64_t at) const { return at / cluster() % header_.l2_entries(); }
  std::uint64_t l1_entry(std::size_t index) const { return big(&l1_[index * 8], 8); }

  // Null where there is none yet.
  tl::expected<Bytes*, std::string> l2_table(std::uint64_t at) {
    const std::uint64_t where = l1_entry(l1_index(at)) & kOffsetMask;
    if (where == 0) return nullptr;
    return cached_table(where);
  }
  tl::expected<Bytes*, std::string> cached_table(std::uint64_t where) {
    if (const auto known = tables_.find(where); known != tables_.end()) return &known->second;
    if (where % cluster() || where >= end_) return damaged("a table lies outside the file");
    if (tables_.size() >= kMostTables) tables_.clear();
    Bytes table(cluster());
    if (auto read = file_.read(where, std::span(table)); !read) return tl::unexpected(read.error());
    return &(tables_[where] = std::move(table));
  }
  BlockStatus store_entry(Bytes& table, std::uint64_t where, std::size_t index,
                          std::uint64_t value) {
    put_big(&table[index * 8], value, 8);
    return file_.write(where + index * 8, std::span<const std::uint8_t>(&table[index * 8], 8));
  }

  // The table that maps `at`, made or made our own if need be, and where it is.
  tl::expected<std::pair<Bytes*, std::uint64_t>, std::string> own_l2_table(std::uint64_t at) {
    const std::size_t index = l1_index(at);
    const std::uint64_t entry = l1_entry(index), old = entry & kOffsetMask;
    if (old && (entry & kCopied)) {
      auto table = cached_table(old);
      if (!table) return tl::unexpected(table.error());
      return std::pair{*table, old};
    }
    Bytes copy(cluster());
    if (old) {
      auto table = cached_table(old);
      if (!table) return tl::unexpected(table.error());
      copy = **table;
    }
    const auto where = allocate();
    if (!where) return tl::unexpected(where.error());
    if (auto w = file_.write(*where, std::span<const std::uint8_t>(copy)); !w)
      return tl::unexpected(w.error());
    put_big(&l1_[index * 8], *where | kCopied, 8);
    if (auto w = file_.write(header_.l1_offset + index * 8,
                             std::span<const std::uint8_t>(&l1_[index * 8], 8));
        !w)
      return tl::unexpected(w.error());
    if (old)
      if (auto released = change_count(old, -1); !released) return tl::unexpected(released.error());
    if (tables_.size() >= kMostTables) tables_.clear();
    return std::pair{&(tables_[*where] = std::move(copy)), *where};
  }

  // --- Reference counts ---

  std::uint64_t counts_per_block() const { return cluster() * 8 >> header_.refcount_order; }

  std::uint64_t get_count(const Bytes& block, std::size_t index) const {
    const unsigned bits = 1u << header_.refcount_order;
    if (bits >= 8) return big(&block[index * (bits / 8)], bits / 8);
    return block[index * bits / 8] >> (index * bits % 8) & ((1u << bits) - 1);
  }
  BlockStatus set_count(Bytes& block, std::uint64_t where, std::size_t index, std::uint64_t value) {
    const unsigned bits = 1u << header_.refcount_order;
    const std::uint64_t most = bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
    if (value > most) return damaged("a reference count overflows");
    const std::size_t byte = index * bits / 8;
    const unsigned bytes = std::max(bits / 8, 1u);
    if (bits >= 8) {
      put_big(&block[byte], value, bytes);
    } else {
      const unsigned shift = index * bits % 8, mask = ((1u << bits) - 1) << shift;
      block[byte] = static_cast<std::uint8_t>((block[byte] & ~mask) | value << shift);
    }
    return file_.write(where + byte, std::span<const std::uint8_t>(&block[byte], bytes));
  }

  // Where the block of counts for `host` is, made if need be. A new one counts itself.
  tl::expected<std::uint64_t, std::string> count_block(std::uint64_t host) {
    const std::uint64_t index = host / cluster() / counts_per_block();
    if (index * 8 >= counts_.size()) {
      if (auto grown = grow_count_table(index); !grown) return tl::unexpected(grown.error());
    }
    const std::uint64_t where = big(&counts_[index * 8], 8) & kOffsetMask;
    if (where) return where;
    const std::uint64_t fresh = end_;
    end_ += cluster();
    Bytes block(cluster());
    if (auto w = file_.write(fresh, std::span<const std::uint8_t>(block)); !w)
      return tl::unexpected(w.error());
    if (auto set = store_count_block(index, fresh); !set) return tl::unexpected(set.error());
    tables_[fresh] = std::move(block);
    if (auto counted = change_count(fresh, 1); !counted) return tl::unexpected(counted.error());
    return fresh;
  }
  BlockStatus store_count_block(std::uint64_t index, std::uint64_t where) {
    put_big(&counts_[index * 8], where, 8);
    return file_.write(header_.refcount_offset + index * 8,
                       std::span<const std::uint8_t>(&counts_[index * 8], 8));
  }
  // A longer table elsewhere; the header says where as one write.
  BlockStatus grow_count_table(std::uint64_t index) {
    const std::uint64_t old_at = header_.refcount_offset, old_bytes = counts_.size();
    std::uint64_t clusters = std::max<std::uint64_t>(header_.refcount_clusters, 1);
    while (clusters * cluster() / 8 <= index) clusters *= 2;
    if (clusters * cluster() > kMostTableBytes) return damaged("it has grown too large");
    Bytes longer = counts_;
    longer.resize(clusters * cluster());
    const std::uint64_t at = end_;
    end_ += clusters * cluster();
    if (auto w = file_.write(at, std::span<const std::uint8_t>(longer)); !w) return w;
    std::array<std::uint8_t, 12> place;
    put_big(place.data(), at, 8);
    put_big(place.data() + 8, clusters, 4);
    if (auto w = file_.write(48, std::span<const std::uint8_t>(place)); !w) return w;
    counts_ = std::move(longer);
    header_.refcount_offset = at;
    header_.refcount_clusters = static_cast<std::uint32_t>(clusters);
    for (std::uint64_t i = 0; i < clusters; ++i)
      if (auto counted = change_count(at + i * cluster(), 1); !counted) return counted;
    for (std::uint64_t i = 0; i * cluster() < old_bytes; ++i)
      if (auto released = change_count(old_at + i * cluster(), -1); !released) return released;
    return {};
  }
  BlockStatus change_count(std::uint64_t host, int by) {
    const auto where = count_block(host);
    if (!where) return tl::unexpected(where.error());
    auto block = cached_table(*where);
    if (!block) return tl::unexpected(block.error());
    const std::size_t index = host / cluster() % counts_per_block();
    const std::uint64_t count = get_count(**block, index);
    if (by < 0 && count == 0) return damaged("a cluster in use counts as free");
    const std::uint64_t next = by < 0 ? count - 1 : count + 1;
    if (next == 0) free_.push_back(host);
    return set_count(**block, *where, index, next);
  }

  // A cluster that counts one.
  tl::expected<std::uint64_t, std::string> allocate() {
    std::uint64_t where;
    if (!free_.empty()) {
      where = free_.back();
      free_.pop_back();
    } else {
      // The block of counts that covers it may need the end of the file first.
      if (auto block = count_block(end_); !block) return block;
      where = end_;
      end_ += cluster();
    }
    if (auto counted = change_count(where, 1); !counted) return tl::unexpected(counted.error());
    return where;
  }

  // --- Clusters ---

  BlockStatus read_base(std::uint64_t at, std::span<const BlockPiece> part) {
    if (!base_ || at >= base_->bytes()) {
      fill_zero(part);
      return {};
    }
    const std::uint64_t here = std::min(total_bytes(part), base_->bytes() - at);
    const auto there = slice(part, 0, here);
    if (auto read = base_->read(at, there); !read) return read;
    fill_zero(slice(part, here, total_bytes(part) - here));
    return {};
  }

  BlockStatus read_cluster(std::uint64_t at, std::span<const BlockPiece> part) {
    auto table = l2_table(at);
    if (!table) return tl::unexpected(table.error());
    const std::uint64_t entry = *table ? big(&(**table)[l2_index(at) * 8], 8) : 0;
    if (entry & kCompressed) return read_compressed(entry, at, part);
    if (header_.version >= 3 && (entry & kZero)) {
      fill_zero(part);
      return {};
    }
    const std::uint64_t where = entry & kOffsetMask;
    if (where == 0) return read_base(at, part);
    if (where % cluster() || where >= end_) return damaged("a cluster lies outside the file");
    return file_.read(where + at % cluster(), part);
  }

  // "Compressed Clusters Descriptor": raw deflate, in whole sectors.
  BlockStatus read_compressed(std::uint64_t entry, std::uint64_t at,
                              std::span<const BlockPiece> part) {
    if (unpacked_at_ != at / cluster()) {
      const unsigned shift = 62 - (header_.cluster_bits - 8);
      const std::uint64_t where = entry & ((std::uint64_t{1} << shift) - 1);
      const std::uint64_t sectors = (entry >> shift & ((1u << (header_.cluster_bits - 8)) - 1)) + 1;
      Bytes packed(sectors * 512 - where % 512);
      if (where >= end_) return damaged("a compressed cluster lies outside the file");
      if (auto read = file_.read(where, std::span(packed)); !read) return read;
      Bytes unpacked(cluster());
      z_stream stream{};
      stream.next_in = packed.data();
      stream.avail_in = static_cast<uInt>(packed.size());
      stream.next_out = unpacked.data();
      stream.avail_out = static_cast<uInt>(unpacked.size());
      if (inflateInit2(&stream, -12) != Z_OK) return damaged("zlib refuses to start");
      const int result = inflate(&stream, Z_FINISH);
      const bool whole = stream.avail_out == 0 && (result == Z_STREAM_END || result == Z_BUF_ERROR);
      inflateEnd(&stream);
      if (!whole) return damaged("a compressed cluster cannot be unpacked");
      unpacked_ = std::move(unpacked);
      unpacked_at_ = at / cluster();
    }
    std::size_t from = at % cluster();
    for (const BlockPiece& piece : part) {
      std::memcpy(piece.data, unpacked_.data() + from, piece.bytes);
      from += piece.bytes;
    }
    return {};
  }

  // What a table entry that is replaced had counted.
  BlockStatus release(std::uint64_t entry) {
    if (entry & kCompressed) {
      const unsigned shift = 62 - (header_.cluster_bits - 8);
      const std::uint64_t where = entry & ((std::uint64_t{1} << shift) - 1);
      const std::uint64_t sectors = (entry >> shift & ((1u << (header_.cluster_bits - 8)) - 1)) + 1;
      const std::uint64_t last = where / 512 * 512 + sectors * 512 - 1;
      for (std::uint64_t c = where / cluster(); c <= last / cluster(); ++c)
        if (auto released = change_count(c * cluster(), -1); !released) return released;
      return {};
    }
    const std::uint64_t where = entry & kOffsetMask;
    return where ? change_count(where, -1) : BlockStatus{};
  }

  BlockStatus write_cluster(std::uint64_t at, std::span<const BlockPiece> part) {
    auto owned = own_l2_table(at);
    if (!owned) return tl::unexpected(owned.error());
    const auto [table, table_at] = *owned;
    const std::size_t index = l2_index(at);
    const std::uint64_t entry = big(&(*table)[index * 8], 8);
    const bool zero = header_.version >= 3 && (entry & kZero) && !(entry & kCompressed);
    if ((entry & kCopied) && !(entry & kCompressed) && !zero && (entry & kOffsetMask))
      return file_.write((entry & kOffsetMask) + at % cluster(), part);

    // A new cluster, with what this write leaves of the old one.
    const std::uint64_t start = at / cluster() * cluster();
    Bytes whole(cluster());
    const std::uint64_t used = std::min(cluster(), header_.bytes - start);
    if (total_bytes(part) < used) {
      const BlockPiece all{whole.data(), used};
      if (auto read = read_cluster(start, std::span(&all, 1)); !read) return read;
    }
    std::size_t to = at % cluster();
    for (const BlockPiece& piece : part) {
      std::memcpy(whole.data() + to, piece.data, piece.bytes);
      to += piece.bytes;
    }
    const auto where = allocate();
    if (!where) return tl::unexpected(where.error());
    if (auto w = file_.write(*where, std::span<const std::uint8_t>(whole)); !w) return w;
    if (unpacked_at_ == at / cluster()) unpacked_at_ = ~std::uint64_t{0};
    // Counting may have thrown the cached tables out.
    auto again = cached_table(table_at);
    if (!again) return tl::unexpected(again.error());
    if (auto stored = store_entry(**again, table_at, index, *where | kCopied); !stored)
      return stored;
    return release(entry);
  }

  BlockStatus make_zero(std::uint64_t at) {
    auto owned = own_l2_table(at);
    if (!owned) return tl::unexpected(owned.error());
    const auto [table, table_at] = *owned;
    const std::size_t index = l2_index(at);
    const std::uint64_t entry = big(&(*table)[index * 8], 8);
    if (unpacked_at_ == at / cluster()) unpacked_at_ = ~std::uint64_t{0};
    if (auto stored = store_entry(*table, table_at, index, kZero); !stored) return stored;
    return release(entry);
  }

  static constexpr std::size_t kMostTables = 256;

  HostDisk file_;
  Header header_;
  std::unique_ptr<BlockImage> base_;
  Bytes l1_, counts_;                                // as in the file
  std::unordered_map<std::uint64_t, Bytes> tables_;  // second-level tables and counts, by place
  std::vector<std::uint64_t> free_;                  // clusters that came to count nothing
  std::uint64_t end_ = 0;                            // where the file grows
  Bytes unpacked_;                                   // the compressed cluster read last
  std::uint64_t unpacked_at_ = ~std::uint64_t{0};
};

// A relative name is meant from the image's own folder. "json:" and protocols are QEMU's.
tl::expected<std::string, std::string> base_path(const HostDisk& file, const std::string& name) {
  if (name.starts_with("json:") || name.find("://") != name.npos)
    return tl::unexpected(file.path() + ": its base '" + name + "' is not a file");
  if (name.starts_with('/')) return name;
  return (std::filesystem::path(file.path()).parent_path() / name).string();
}

// Header extension E2792ACAH says what the base is; without it a guest could choose.
tl::expected<std::string, std::string> base_format(HostDisk& file, const Header& header) {
  std::uint64_t at = header.version >= 3 ? header.header_bytes : 72;
  for (unsigned i = 0; i < 64 && at + 8 <= header.cluster(); ++i) {
    std::array<std::uint8_t, 8> head{};
    if (auto read = file.read(at, std::span(head)); !read) return tl::unexpected(read.error());
    const std::uint64_t type = big(head.data(), 4), bytes = big(head.data() + 4, 4);
    if (type == 0 || bytes > header.cluster()) break;
    if (type == 0xe2792aca) {
      std::string name(bytes, '\0');
      if (auto read = file.read(at + 8, {reinterpret_cast<std::uint8_t*>(name.data()), bytes});
          !read)
        return tl::unexpected(read.error());
      return name;
    }
    at += 8 + (bytes + 7) / 8 * 8;
  }
  return std::string();
}

}  // namespace

tl::expected<std::unique_ptr<BlockImage>, std::string> open_qcow2(HostDisk file, unsigned depth) {
  if (depth > kMostDepth) return tl::unexpected(file.path() + ": too many images over images");
  std::array<std::uint8_t, 112> raw{};
  if (auto read = file.read(0, std::span(raw)); !read) return tl::unexpected(read.error());
  if (big(raw.data(), 4) != 0x514649fb) return tl::unexpected(file.path() + ": not a qcow2 image");
  const Header header = parse(raw.data());
  if (const auto why = complaint_about(header, file.bytes(), file.read_only()); !why.empty())
    return tl::unexpected(fmt::format("{}: {}", file.path(), why));
  std::unique_ptr<BlockImage> base;
  if (header.backing_offset && header.backing_bytes) {
    std::string name(header.backing_bytes, '\0');
    if (auto read = file.read(header.backing_offset,
                              {reinterpret_cast<std::uint8_t*>(name.data()), name.size()});
        !read)
      return tl::unexpected(read.error());
    const auto path = base_path(file, name);
    if (!path) return tl::unexpected(path.error());
    const auto format = base_format(file, header);
    if (!format) return tl::unexpected(format.error());
    auto opened = open_image_file(*path, *format, true, depth + 1);
    if (!opened) return tl::unexpected(file.path() + ": its base: " + opened.error());
    base = std::move(*opened);
  }
  auto image = std::make_unique<Qcow2Image>(std::move(file), header, std::move(base));
  if (auto loaded = image->load(); !loaded) return tl::unexpected(loaded.error());
  return image;
}

}  // namespace ringshift::runtime
