// tests/unit/runtime/disk_image_test.cc - images as disks: what is written is read, in any order
// and size, through every format; damaged images are errors or wrong data, never more.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "runtime/block/disk.h"

namespace ringshift::runtime {
namespace {

using Bytes = std::vector<std::uint8_t>;
using devices::BlockPiece;
using ::testing::HasSubstr;

void put_big(Bytes& to, std::size_t at, std::uint64_t value, unsigned bytes) {
  for (unsigned i = 0; i < bytes; ++i)
    to[at + i] = static_cast<std::uint8_t>(value >> (8 * (bytes - 1 - i)));
}

class DiskImage : public ::testing::Test {
 protected:
  DiskImage() {
    std::string name = (std::filesystem::temp_directory_path() / "ringshift-disk-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~DiskImage() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ / name; }
  std::string make_file(const std::string& name, const Bytes& bytes) {
    std::ofstream file(path(name), std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    return path(name);
  }
  Bytes random_bytes(std::size_t count) {
    Bytes bytes(count);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random_());
    return bytes;
  }

  // An empty qcow2 image: header, one cluster of counts' table, one of counts, the first table.
  std::string make_qcow2(const std::string& name, std::uint64_t disk_bytes, unsigned cluster_bits,
                         const std::string& base = "", unsigned version = 3) {
    const std::uint64_t cluster = std::uint64_t{1} << cluster_bits;
    const std::uint64_t reach = cluster * (cluster / 8);
    const std::uint64_t l1_entries = (disk_bytes + reach - 1) / reach;
    const std::uint64_t l1_clusters = (l1_entries * 8 + cluster - 1) / cluster;
    Bytes image(cluster * (3 + l1_clusters));
    put_big(image, 0, 0x514649fb, 4);
    put_big(image, 4, version, 4);
    if (!base.empty()) {
      put_big(image, 8, 200, 8);
      put_big(image, 16, base.size(), 4);
      std::copy(base.begin(), base.end(), image.begin() + 200);
    }
    put_big(image, 20, cluster_bits, 4);
    put_big(image, 24, disk_bytes, 8);
    put_big(image, 36, l1_entries, 4);
    put_big(image, 40, 3 * cluster, 8);
    put_big(image, 48, cluster, 8);
    put_big(image, 56, 1, 4);
    if (version >= 3) {
      put_big(image, 96, 4, 4);
      put_big(image, 100, 104, 4);
    }
    put_big(image, cluster, 2 * cluster, 8);
    for (std::uint64_t i = 0; i < 3 + l1_clusters; ++i) put_big(image, 2 * cluster + 2 * i, 1, 2);
    return make_file(name, image);
  }

  static Bytes read(BlockImage& image, std::uint64_t at, std::size_t bytes) {
    Bytes data(bytes);
    const BlockPiece piece{data.data(), bytes};
    const auto status = image.read(at, std::span(&piece, 1));
    EXPECT_TRUE(status) << status.error();
    return data;
  }
  static void write(BlockImage& image, std::uint64_t at, Bytes data) {
    const BlockPiece piece{data.data(), data.size()};
    const auto status = image.write(at, std::span(&piece, 1));
    EXPECT_TRUE(status) << status.error();
  }

  // Random reads, writes and zeroes against an array that does the same.
  void compare_with_array(BlockImage& image, Bytes model, unsigned steps) {
    ASSERT_EQ(image.bytes(), model.size());
    for (unsigned i = 0; i < steps; ++i) {
      const std::uint64_t sectors = model.size() / 512, at = random_() % sectors;
      const std::uint64_t count = 1 + random_() % std::min<std::uint64_t>(sectors - at, 300);
      const std::uint64_t first = at * 512, bytes = count * 512;
      switch (random_() % 4) {
        case 0: {
          const Bytes data = random_bytes(bytes);
          write(image, first, data);
          std::copy(data.begin(), data.end(), model.begin() + static_cast<std::ptrdiff_t>(first));
          break;
        }
        case 1:
          ASSERT_TRUE(image.write_zeroes(first, bytes, random_() % 2));
          std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(first), bytes, std::uint8_t{0});
          break;
        default:
          ASSERT_EQ(read(image, first, bytes),
                    Bytes(model.begin() + static_cast<std::ptrdiff_t>(first),
                          model.begin() + static_cast<std::ptrdiff_t>(first + bytes)));
          break;
      }
    }
    EXPECT_EQ(read(image, 0, model.size()), model);
  }

  std::mt19937_64 random_{7};
  std::filesystem::path folder_;
};

TEST_F(DiskImage, RawIsTheFile) {
  const Bytes content = random_bytes(1 << 20);
  auto image = open_image({.file = make_file("raw", content), .format = "raw"});
  ASSERT_TRUE(image) << image.error();
  compare_with_array(**image, content, 300);
}

TEST_F(DiskImage, Qcow2KeepsWhatIsWritten) {
  for (const unsigned version : {2u, 3u})
    for (const unsigned bits : {9u, 12u, 16u}) {
      const std::string file = make_qcow2("q", 3 << 20, bits, "", version);
      Bytes after;
      {
        auto image = open_image({.file = file});
        ASSERT_TRUE(image) << image.error();
        EXPECT_EQ((*image)->format(), "qcow2");
        compare_with_array(**image, Bytes(3 << 20), 400);
        after = read(**image, 0, 3 << 20);
      }
      auto again = open_image({.file = file});
      ASSERT_TRUE(again) << again.error();
      EXPECT_EQ(read(**again, 0, 3 << 20), after) << "version " << version << ", bits " << bits;
    }
}

TEST_F(DiskImage, Qcow2LiesOverItsBase) {
  const Bytes content = random_bytes((1 << 20) - 512);  // shorter than what lies over it
  make_file("base", content);
  auto image = open_image({.file = make_qcow2("over", 1 << 20, 16, "base")});
  ASSERT_TRUE(image) << image.error();
  Bytes model = content;
  model.resize(1 << 20);
  compare_with_array(**image, model, 300);
  auto base = open_image({.file = path("base"), .format = "raw", .read_only = true});
  ASSERT_TRUE(base);
  EXPECT_EQ(read(**base, 0, content.size()), content);
}

TEST_F(DiskImage, SnapshotForgets) {
  const Bytes content = random_bytes(1 << 20);
  const std::string file = make_file("raw", content);
  {
    auto image = open_image({.file = file, .format = "raw", .snapshot = true});
    ASSERT_TRUE(image) << image.error();
    compare_with_array(**image, content, 200);
  }
  auto again = open_image({.file = file, .format = "raw"});
  ASSERT_TRUE(again);
  EXPECT_EQ(read(**again, 0, content.size()), content);
}

// Two machines on one disk would destroy it.
TEST_F(DiskImage, IsLockedAgainstOthers) {
  const std::string file = make_file("raw", Bytes(4096));
  auto first = open_image({.file = file, .format = "raw"});
  ASSERT_TRUE(first);
  const auto second = open_image({.file = file, .format = "raw"});
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error(), HasSubstr("another virtual machine"));
  first->reset();
  EXPECT_TRUE(open_image({.file = file, .format = "raw"}));
}

// Whose format was guessed must not become an image that names another file as its base.
TEST_F(DiskImage, AGuestCannotMakeAnotherFormat) {
  Bytes header(512);
  put_big(header, 0, 0x514649fb, 4);
  const BlockPiece piece{header.data(), header.size()};
  auto guessed = open_image({.file = make_file("raw", Bytes(4096))});
  ASSERT_TRUE(guessed);
  EXPECT_FALSE((*guessed)->write(0, std::span(&piece, 1)));
  guessed->reset();
  auto told = open_image({.file = path("raw"), .format = "raw"});
  ASSERT_TRUE(told);
  EXPECT_TRUE((*told)->write(0, std::span(&piece, 1)));
}

// Any byte of an image may be wrong: opening or reading fails, or gives something, and ends.
TEST_F(DiskImage, DamagedQcow2IsAnErrorAtMost) {
  for (unsigned round = 0; round < 600; ++round) {
    const std::string file = make_qcow2("damaged", 1 << 20, 12);
    {
      auto image = open_image({.file = file});
      ASSERT_TRUE(image);
      for (unsigned i = 0; i < 6; ++i) write(**image, random_() % 200 * 4096, random_bytes(4096));
    }
    {
      std::fstream damage(file, std::ios::binary | std::ios::in | std::ios::out);
      for (unsigned i = 0; i < 1 + random_() % 6; ++i) {
        const std::uint64_t size = std::filesystem::file_size(file);
        damage.seekp(
            static_cast<std::streamoff>(random_() % 3 ? random_() % 112 : random_() % size));
        damage.put(static_cast<char>(random_()));
      }
    }
    if (random_() % 8 == 0) std::filesystem::resize_file(file, random_() % 20'000);
    auto image = open_image({.file = file, .format = "qcow2"});
    if (!image) continue;
    const std::uint64_t bytes = std::min<std::uint64_t>((*image)->bytes(), 1 << 20);
    for (unsigned i = 0; i < 20 && bytes > 4096; ++i) {
      Bytes data = random_bytes(4096);
      const BlockPiece piece{data.data(), data.size()};
      const std::uint64_t at = random_() % (bytes - 4096) / 512 * 512;
      static_cast<void>(random_() % 2 ? (*image)->write(at, std::span(&piece, 1))
                                      : (*image)->read(at, std::span(&piece, 1)));
    }
  }
}

TEST_F(DiskImage, DiskRefusesWhatIsOutside) {
  auto image = open_image({.file = make_file("raw", Bytes(8192)), .format = "raw"});
  ASSERT_TRUE(image);
  Disk disk("d", path("raw"), std::move(*image));
  Bytes data(4096);
  const auto try_at = [&](std::uint64_t offset) {
    std::optional<bool> result;
    disk.submit({devices::BlockRequest::Kind::kRead, offset, {{data.data(), data.size()}}, 0},
                [&](bool worked) { result = worked; });
    return result;
  };
  EXPECT_EQ(try_at(8192), false);
  EXPECT_EQ(try_at(~std::uint64_t{0} - 100), false);
}

}  // namespace
}  // namespace ringshift::runtime
