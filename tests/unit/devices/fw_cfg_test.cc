// tests/unit/devices/fw_cfg_test.cc - items, file directory and DMA of fw_cfg, and refusals.
#include "devices/fw_cfg.h"

#include <gtest/gtest.h>

namespace ringshift::devices {
namespace {

class Config : public ::testing::Test {
 protected:
  void select(unsigned key) { fw_cfg.ports().port_write(0, 2, key); }
  std::string read(std::size_t bytes) {
    std::string out;
    while (out.size() < bytes) out.push_back(static_cast<char>(fw_cfg.ports().port_read(1, 1)));
    return out;
  }
  std::uint64_t number(FwCfgKey key, unsigned bytes) {
    select(static_cast<unsigned>(key));
    std::uint64_t value = 0;
    for (unsigned i = 0; i < bytes; ++i)
      value |= std::uint64_t{fw_cfg.ports().port_read(1, 1)} << (8 * i);
    return value;
  }
  // Returns the control field that the device leaves.
  std::uint32_t dma(std::uint32_t control, std::uint32_t length, std::uint64_t address,
                    std::uint64_t descriptor = 0x1000) {
    memory->write({descriptor}, 4, __builtin_bswap32(control));
    memory->write({descriptor + 4}, 4, __builtin_bswap32(length));
    memory->write({descriptor + 8}, 8, __builtin_bswap64(address));
    fw_cfg.dma_ports().port_write(0, 4, __builtin_bswap32(descriptor >> 32));
    fw_cfg.dma_ports().port_write(4, 4, __builtin_bswap32(static_cast<std::uint32_t>(descriptor)));
    return __builtin_bswap32(static_cast<std::uint32_t>(memory->read({descriptor}, 4)));
  }
  std::string guest_text(std::uint64_t at, std::size_t bytes) {
    std::string out(bytes, '?');
    memory->read_bytes({at}, {reinterpret_cast<std::uint8_t*>(out.data()), bytes});
    return out;
  }

  std::unique_ptr<guest::PhysicalMemory> memory = guest::PhysicalMemory::create(1 << 20).value();
  FwCfg fw_cfg{*memory};
};

TEST_F(Config, SignatureAndFeatures) {
  select(0);
  EXPECT_EQ(read(4), "QEMU");
  EXPECT_EQ(read(2), std::string(2, '\0')) << "past the end";
  EXPECT_EQ(number(FwCfgKey::kFeatures, 4), 3u);
  EXPECT_EQ(fw_cfg.dma_ports().port_read(0, 4), 0x554d4551u) << "\"QEMU\"";
  EXPECT_EQ(fw_cfg.dma_ports().port_read(4, 4), 0x47464320u) << "\" CFG\"";
}

TEST_F(Config, MachineDescription) {
  fw_cfg.describe_machine(0x123456789000, 2, 4);
  EXPECT_EQ(number(FwCfgKey::kRamSize, 8), 0x123456789000u);
  EXPECT_EQ(number(FwCfgKey::kCpuCount, 2), 2u);
  EXPECT_EQ(number(FwCfgKey::kMaximumCpus, 2), 4u);
}

TEST_F(Config, SelectingStartsOverAndUnknownItemsAreEmpty) {
  select(0);
  read(2);
  select(0x4000);  // the write channel of item 0
  EXPECT_EQ(read(4), "QEMU");
  select(0x3fff);
  EXPECT_EQ(read(3), std::string(3, '\0'));
}

TEST_F(Config, FilesAreListedAndReadable) {
  ASSERT_TRUE(fw_cfg.add_file("etc/one", {'1'}));
  ASSERT_TRUE(fw_cfg.add_file("opt/two", {'2', '2'}));
  select(0x19);
  EXPECT_EQ(read(4), std::string("\0\0\0\2", 4));
  EXPECT_EQ(read(8), std::string("\0\0\0\1\0\x20\0\0", 8));
  EXPECT_EQ(read(56).substr(0, 8), std::string("etc/one\0", 8));
  EXPECT_EQ(read(8), std::string("\0\0\0\2\0\x21\0\0", 8));
  select(0x21);
  EXPECT_EQ(read(2), "22");
}

TEST_F(Config, BadFileNamesAreRefused) {
  EXPECT_FALSE(fw_cfg.add_file("", {}));
  EXPECT_FALSE(fw_cfg.add_file(std::string(56, 'n'), {}));
  EXPECT_TRUE(fw_cfg.add_file(std::string(55, 'n'), {}));
  EXPECT_FALSE(fw_cfg.add_file(std::string(55, 'n'), {}));
}

TEST_F(Config, DmaSelectsReadsSkipsAndZeroFills) {
  fw_cfg.set_string(FwCfgKey::kCommandLineData, "console=ttyS0");
  EXPECT_EQ(dma(0x15u << 16 | 8 | 2, 7, 0x8000), 0u);
  EXPECT_EQ(guest_text(0x8000, 7), "console");
  EXPECT_EQ(dma(4, 1, 0), 0u);
  EXPECT_EQ(dma(2, 10, 0x9000), 0u);
  EXPECT_EQ(guest_text(0x9000, 10), std::string("ttyS0\0\0\0\0\0", 10));
}

TEST_F(Config, DmaRefusesWritesAndAbsurdLengths) {
  EXPECT_EQ(dma(0x15u << 16 | 8 | 16, 4, 0x8000), 1u);
  EXPECT_EQ(dma(2, 0xffffffff, 0x8000), 1u);
  EXPECT_EQ(dma(8, 0, 0), 0u);
}

TEST_F(Config, DmaOutsideMemoryIsHarmless) {
  dma(8 | 2, 16, 0xfffffffffffffff8);
  dma(8 | 2, 0x10000, memory->ram_bytes() - 16);
  fw_cfg.dma_ports().port_write(0, 4, 0xffffffff);
  fw_cfg.dma_ports().port_write(4, 4, 0xffffffff);
  select(0);
  EXPECT_EQ(read(4), "QEMU");
}

TEST_F(Config, ReplacedItemStartsOver) {
  fw_cfg.set(FwCfgKey::kBootDevice, {1, 2, 3, 4});
  select(0x0c);
  read(3);
  fw_cfg.set(FwCfgKey::kBootDevice, {9});
  EXPECT_EQ(dma(2, 2, 0x8000), 0u);
  EXPECT_EQ(guest_text(0x8000, 2), std::string("\x09\0", 2));
}

}  // namespace
}  // namespace ringshift::devices
