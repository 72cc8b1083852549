// tests/unit/runtime/linux_loader_test.cc - the Linux boot protocol: what the kernel finds, what is
// refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/runtime/kernel_images.h"

namespace ringshift::runtime::test {
namespace {

using guest::Gpr;
using testing::HasSubstr;

TEST(LinuxLoader, Enters64BitKernelsInLongModeAt200h) {
  Loading l;
  ASSERT_TRUE(l.boot(bzimage(), "console=ttyS0"));
  EXPECT_EQ(l.state.rip, 0x100200u);
  EXPECT_TRUE(l.state.in_64bit_code());
  EXPECT_TRUE(l.state.paging());
  EXPECT_EQ(l.state.segment(guest::Seg::kCs).selector, 0x10);
  EXPECT_EQ(l.state.segment(guest::Seg::kDs).selector, 0x18);
  EXPECT_FALSE(l.state.rflags & guest::flags::kIf);
  EXPECT_EQ(l.memory->load<std::uint8_t>({0x100000}), 1);
  EXPECT_EQ(l.memory->load<std::uint8_t>({0x100003}), 22);
}

TEST(LinuxLoader, IdentityMapReachesTheZeroPage) {
  Loading l;
  ASSERT_TRUE(l.boot(bzimage()));
  const auto zero_page = l.state.reg(Gpr::kRsi);
  const auto entry = [&](std::uint64_t table, std::uint64_t index) {
    return l.memory->load<std::uint64_t>({(table & ~0xfffull) + index * 8});
  };
  const auto directory = entry(entry(l.state.cr3, 0), zero_page >> 30);
  const auto large = entry(directory, zero_page >> 21 & 511);
  EXPECT_EQ(large & 0x83, 0x83u);
  EXPECT_EQ(large & ~0xfffull, zero_page & ~0x1fffffull);
  EXPECT_EQ(entry(entry(entry(l.state.cr3, 0), 3), 511) & ~0xfffull, 0xffe00000u);
}

TEST(LinuxLoader, FillsTheZeroPage) {
  Loading l;
  ASSERT_TRUE(l.boot(bzimage(), "quiet x=1", {{"i", std::vector<std::uint8_t>(5000, 0xab)}}));
  const auto page = l.state.reg(Gpr::kRsi);
  const auto word = [&](std::uint64_t at) { return l.memory->load<std::uint32_t>({page + at}); };
  EXPECT_EQ(word(0x202), 0x53726448u);
  EXPECT_EQ(word(0x210) & 0xff, 0xffu);
  EXPECT_EQ(l.text(word(0x228)), "quiet x=1");
  EXPECT_EQ(word(0x070), 0xe0000u);
  EXPECT_EQ(word(0x1e8) & 0xff, l.environment.memory_map.size());
  EXPECT_EQ(l.memory->load<std::uint64_t>({page + 0x2d8}), 0x9fc00u);
  // The initrd: page aligned, at the top of RAM, whole.
  EXPECT_EQ(word(0x21c), 5000u);
  EXPECT_EQ(word(0x218), (64u << 20) - 8192);
  EXPECT_EQ(l.memory->load<std::uint8_t>({word(0x218) + 4999ull}), 0xab);
}

TEST(LinuxLoader, Enters32BitKernelsWithoutPaging) {
  Loading l;
  ASSERT_TRUE(l.boot(bzimage().set<std::uint16_t>(0x236, 0)));
  EXPECT_EQ(l.state.rip, 0x100000u);
  EXPECT_FALSE(l.state.paging());
  EXPECT_EQ(l.state.code_bytes(), 4u);
  for (const auto r : {Gpr::kRbx, Gpr::kRbp, Gpr::kRdi}) EXPECT_EQ(l.state.reg(r), 0u);
}

TEST(LinuxLoader, UsesThe32BitEntryOnAProcessorWithoutLongMode) {
  Loading l;
  l.environment.long_mode = false;
  ASSERT_TRUE(l.boot(bzimage()));
  EXPECT_FALSE(l.state.long_mode_active());
}

TEST(LinuxLoader, PutsAZImageAt1000h) {
  Loading l;
  ASSERT_TRUE(l.boot(bzimage().set<std::uint8_t>(0x211, 0).set<std::uint16_t>(0x236, 0)));
  EXPECT_EQ(l.state.rip, 0x1000u);
  EXPECT_GE(l.state.reg(Gpr::kRsi), 0x90000u);
}

TEST(LinuxLoader, RefusesWhatDoesNotFit) {
  const auto error = [](const LoadStatus& status) { return status ? "" : status.error(); };
  {
    Loading l;
    EXPECT_THAT(error(l.boot(bzimage(), std::string(2048, 'x'))), HasSubstr("at most 2047"));
  }
  {
    Loading l(std::uint64_t{16} << 20);  // the kernel unpacks itself between 16 and 24 MiB
    EXPECT_THAT(error(l.boot(bzimage())), HasSubstr("raise -m"));
  }
  {
    Loading l;
    EXPECT_THAT(error(l.boot(bzimage(), "", {{"i", std::vector<std::uint8_t>(60 << 20)}})),
                HasSubstr("initrd"));
  }
}

TEST(LinuxLoader, KeepsTheInitrdBelowTheKernelsLimit) {
  Loading l;
  ASSERT_TRUE(l.boot(bzimage().set<std::uint32_t>(0x22c, 0x2ffffff), "",
                     {{"i", std::vector<std::uint8_t>(4096)}}));
  EXPECT_EQ(l.memory->load<std::uint32_t>({l.state.reg(Gpr::kRsi) + 0x218}), 0x2fff000u);
}

TEST(LinuxLoader, RefusesEveryTruncation) {
  const auto whole = bzimage();
  for (std::size_t bytes = 0; bytes + 16 <= whole.bytes().size(); bytes += 61) {
    auto cut = whole;
    cut.bytes().resize(bytes);
    Loading l;
    EXPECT_FALSE(l.boot(cut)) << bytes;
  }
}

TEST(LinuxLoader, SurvivesAnyHeader) {
  std::uint32_t random = 12345;
  for (int round = 0; round < 300; ++round) {
    auto image = bzimage(1024);
    for (std::size_t at = 0x1f1; at < 0x280; ++at) {
      random = random * 1664525 + 1013904223;
      if (at >= 0x202 && at < 0x206) continue;  // keep "HdrS"
      if (random >> 30 == 0) image.set<std::uint8_t>(at, static_cast<std::uint8_t>(random >> 8));
    }
    Loading l;
    static_cast<void>(l.boot(image));  // any answer, no crash: the sanitizers watch
  }
}

}  // namespace
}  // namespace ringshift::runtime::test
