// tests/unit/runtime/elf_loader_test.cc - PVH and multiboot kernels: hand-over, modules, broken
// files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/loaders/elf.h"
#include "runtime/loaders/flat.h"
#include "tests/unit/runtime/kernel_images.h"

namespace ringshift::runtime::test {
namespace {

using guest::Gpr;
using testing::HasSubstr;

std::string error_of(const LoadStatus& status) { return status ? "" : status.error(); }

TEST(PvhLoader, EntersWhereTheNoteSays) {
  Loading l;
  l.memory->store<std::uint32_t>({0x201000}, 0x55555555);  // bss must come out clear
  ASSERT_TRUE(l.boot(pvh_elf(), "a b", {{"i", std::vector<std::uint8_t>(100, 7)}}));
  EXPECT_EQ(l.state.rip, 0x200010u);
  EXPECT_FALSE(l.state.paging());
  EXPECT_EQ(l.memory->load<std::uint32_t>({0x200000}), 0xfeedfaceu);
  EXPECT_EQ(l.memory->load<std::uint32_t>({0x201000}), 0u);
  const auto info = l.state.reg(Gpr::kRbx);
  EXPECT_EQ(l.memory->load<std::uint32_t>({info}), 0x336ec578u);
  EXPECT_EQ(l.memory->load<std::uint32_t>({info + 12}), 1u);
  EXPECT_EQ(l.text(l.memory->load<std::uint64_t>({info + 24})), "a b");
  EXPECT_EQ(l.memory->load<std::uint64_t>({info + 32}), 0xe0000u);
  const auto module = l.memory->load<std::uint64_t>({info + 16});
  EXPECT_EQ(l.memory->load<std::uint64_t>({module + 8}), 100u);
  EXPECT_EQ(l.memory->load<std::uint8_t>({l.memory->load<std::uint64_t>({module}) + 99}), 7);
}

TEST(PvhLoader, AnElfFileWithoutAnyEntryIsRefused) {
  Loading l;
  EXPECT_THAT(error_of(l.boot(pvh_elf().set<std::uint32_t>(120, 0))),
              HasSubstr("neither a multiboot header nor a PVH entry"));
}

TEST(ElfParser, RefusesBrokenFiles) {
  const auto error = [](const Image& image) {
    const auto elf = parse_elf(image.bytes());
    return elf ? std::string() : elf.error();
  };
  EXPECT_EQ(error(pvh_elf()), "");
  EXPECT_THAT(error(pvh_elf().set<std::uint64_t>(72, 0x10000)), HasSubstr("past the end"));
  EXPECT_THAT(error(pvh_elf().set<std::uint64_t>(72, ~0ull)), HasSubstr("past the end"));
  EXPECT_THAT(error(pvh_elf().set<std::uint64_t>(104, 100)), HasSubstr("larger in the file"));
  EXPECT_THAT(error(pvh_elf().set<std::uint64_t>(88, ~0ull - 100)), HasSubstr("wraps"));
  EXPECT_THAT(error(pvh_elf().set<std::uint64_t>(32, ~0ull)), HasSubstr("program headers"));
  EXPECT_THAT(error(pvh_elf().set<std::uint16_t>(54, 8)), HasSubstr("too short"));
  EXPECT_THAT(error(pvh_elf().set<std::uint16_t>(18, 40)), HasSubstr("another processor"));
  EXPECT_THAT(error(pvh_elf().set<std::uint32_t>(0x204, 0xffffffff)), HasSubstr("note"));
  EXPECT_THAT(error(pvh_elf().set<std::uint32_t>(64, 0)), HasSubstr("nothing to load"));
}

TEST(ElfParser, RefusesEveryTruncation) {
  const auto whole = pvh_elf();
  for (std::size_t bytes = 0; bytes < whole.bytes().size(); bytes += 37) {
    auto cut = whole;
    cut.bytes().resize(bytes);
    EXPECT_FALSE(parse_elf(cut.bytes())) << bytes;
  }
}

TEST(ElfParser, TranslatesTheEntryThroughItsSegment) {
  const auto image = pvh_elf();
  EXPECT_EQ(parse_elf(image.bytes())->physical_entry(), 0x200000u);
}

TEST(ElfLoader, SegmentsOutsideRamAreRefused) {
  Loading l;
  EXPECT_THAT(error_of(l.boot(pvh_elf().set<std::uint64_t>(88, 0x4000000))), HasSubstr("64 MiB"));
  EXPECT_FALSE(l.boot(pvh_elf().set<std::uint64_t>(104, 1ull << 60)));
}

TEST(MultibootLoader, HandsOverAnElfKernel) {
  Loading l;
  ASSERT_TRUE(l.boot(multiboot_elf(), "one two",
                     {{"mod a", std::vector<std::uint8_t>(10, 1)},
                      {"mod b", std::vector<std::uint8_t>(5000, 2)}}));
  EXPECT_EQ(l.state.reg(Gpr::kRax), 0x2badb002u);
  EXPECT_EQ(l.state.rip, 0x200000u);
  EXPECT_EQ(l.state.code_bytes(), 4u);
  const auto info = l.state.reg(Gpr::kRbx);
  const auto word = [&](std::uint64_t at) { return l.memory->load<std::uint32_t>({at}); };
  EXPECT_EQ(word(info) & 0x4d, 0x4du);
  EXPECT_EQ(word(info + 4), 639u - 0u);
  EXPECT_EQ(word(info + 8), (63u << 10));
  EXPECT_EQ(l.text(word(info + 16)), "kernel one two");
  ASSERT_EQ(word(info + 20), 2u);
  const auto modules = word(info + 24);
  EXPECT_EQ(word(modules) % 4096, 0u);
  EXPECT_GE(word(modules), 0x202000u);
  EXPECT_EQ(word(modules + 4) - word(modules), 10u);
  EXPECT_EQ(l.text(word(modules + 8)), "mod a");
  EXPECT_EQ(word(modules + 16 + 4) - word(modules + 16), 5000u);
  EXPECT_EQ(l.memory->load<std::uint8_t>({word(modules + 16) + 4999ull}), 2);
  // Memory map entries of 24 bytes, the size field not counted.
  EXPECT_EQ(word(info + 44), l.environment.memory_map.size() * 24);
  EXPECT_EQ(word(word(info + 48)), 20u);
}

TEST(MultibootLoader, LoadsByTheHeadersAddresses) {
  Loading l;
  l.memory->store<std::uint32_t>({0x203000}, 1);
  ASSERT_TRUE(l.boot(multiboot_raw()));
  EXPECT_EQ(l.state.rip, 0x200100u);
  EXPECT_EQ(l.memory->load<std::uint32_t>({0x200040}), 0x1badb002u);
  EXPECT_EQ(l.memory->load<std::uint32_t>({0x203000}), 0u);
}

TEST(MultibootLoader, RefusesBrokenHeaders) {
  Loading l;
  EXPECT_THAT(error_of(l.boot(multiboot_elf(0x13))), HasSubstr("not known"));
  EXPECT_FALSE(l.boot(multiboot_raw().set<std::uint32_t>(0x50, 0x200041)));    // before the file
  EXPECT_FALSE(l.boot(multiboot_raw().set<std::uint32_t>(0x50, 0x100000)));    // far before it
  EXPECT_FALSE(l.boot(multiboot_raw().set<std::uint32_t>(0x54, 0x300000)));    // past its end
  EXPECT_FALSE(l.boot(multiboot_raw().set<std::uint32_t>(0x54, 0x1fffff)));    // end before start
  EXPECT_FALSE(l.boot(multiboot_raw().set<std::uint32_t>(0x58, 0x200001)));    // bss before data
  EXPECT_FALSE(l.boot(multiboot_raw().set<std::uint32_t>(0x58, 0xf0000000)));  // past RAM
}

TEST(MultibootLoader, InformationStaysClearOfALowKernel) {
  Loading l;
  ASSERT_TRUE(l.boot(multiboot_raw()
                         .set<std::uint32_t>(0x4c, 0x8040)
                         .set<std::uint32_t>(0x50, 0x8000)
                         .set<std::uint32_t>(0x58, 0)
                         .set<std::uint32_t>(0x5c, 0x8100)));
  const auto info = l.state.reg(Gpr::kRbx);
  EXPECT_TRUE(info >= 0xa000 || info + 4096 <= 0x8000) << std::hex << info;
}

TEST(FlatLoader, StartsInEachMode) {
  const auto start = [](FlatMode mode, std::uint64_t address) {
    Loading l;
    const FlatImage image{"flat", {0x90, 0xf4}, address, mode, {}};
    EXPECT_TRUE(boot_flat(image, *l.memory, l.state));
    EXPECT_EQ(l.memory->load<std::uint16_t>({address}), 0xf490);
    return l.state;
  };
  const auto real = start(FlatMode::kReal16, 0x27c00);
  EXPECT_EQ(real.segment(guest::Seg::kCs).base + real.rip, 0x27c00u);
  EXPECT_EQ(real.segment(guest::Seg::kCs).base, real.segment(guest::Seg::kCs).selector * 16u);
  EXPECT_FALSE(real.protected_mode());
  EXPECT_EQ(start(FlatMode::kProtected32, 0x100000).code_bytes(), 4u);
  EXPECT_TRUE(start(FlatMode::kLong64, 0x100000).in_64bit_code());
}

TEST(FlatLoader, RealModeEndsAt1MiB) {
  Loading l;
  EXPECT_FALSE(boot_flat({"flat", {0x90}, 0x100000, FlatMode::kReal16, {}}, *l.memory, l.state));
}

TEST(ReadBootSource, SplitsMultibootModulesAtSingleCommas) {
  const std::string folder = testing::TempDir();
  const auto write = [&](const std::string& name, const std::vector<std::uint8_t>& bytes) {
    std::FILE* file = std::fopen((folder + name).c_str(), "wb");
    std::fwrite(bytes.data(), 1, bytes.size(), file);
    std::fclose(file);
    return folder + name;
  };
  const auto kernel = write("rs_kernel", multiboot_elf().bytes());
  const auto a = write("rs_a", {1});
  const auto comma = write("rs_a,b", {2, 3});
  const auto source =
      read_boot_source(kernel, a + " x y," + folder + "rs_a,,b", "", std::uint64_t{1} << 30);
  ASSERT_TRUE(source) << source.error();
  ASSERT_EQ(source->modules.size(), 2u);
  EXPECT_EQ(source->modules[0].command_line, a + " x y");
  EXPECT_EQ(source->modules[1].bytes.size(), 2u);
  EXPECT_THAT(read_boot_source(kernel, folder + "absent", "", 1 << 30).error(),
              HasSubstr("-initrd"));
  EXPECT_THAT(read_boot_source(kernel, "", "", 100).error(), HasSubstr("larger than guest memory"));
  EXPECT_THAT(read_boot_source(folder, "", "", 1 << 30).error(), HasSubstr("-kernel"));
}

}  // namespace
}  // namespace ringshift::runtime::test
