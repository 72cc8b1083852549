// tests/unit/devices/testdev_test.cc - pc-testdev and pci-testdev as conformance suites use them.
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "devices/pc_testdev.h"
#include "devices/pci_host.h"
#include "devices/pci_testdev.h"
#include "tests/unit/devices/board_fakes.h"

namespace ringshift::devices {
namespace {

using namespace board_fakes;

class Testdev : public ::testing::Test {
 protected:
  std::array<Line*, 24> wires() {
    std::array<Line*, 24> out{};
    out[0] = &first;
    out[23] = &last;
    return out;
  }
  FakeLine first, last;
  std::optional<std::uint64_t> flushed;
  PcTestdev device{wires(), [this](guest::PhysicalAddress page) { flushed = page.value; }};
};

TEST_F(Testdev, EchoPortsShareOneRegister) {
  device.echo_ports().port_write(0, 4, 0x11223344);
  EXPECT_EQ(device.echo_ports().port_read(0, 4), 0x11223344u);
  EXPECT_EQ(device.echo_ports().port_read(1, 1), 0x33u);
  device.echo_ports().port_write(2, 2, 0xabcd);
  EXPECT_EQ(device.byte_echo_ports().port_read(0, 4), 0xabcd3344u);
  device.byte_echo_ports().port_write(0, 1, 0x99);
  EXPECT_EQ(device.echo_ports().port_read(0, 1), 0x99u);
}

TEST_F(Testdev, LinesFollowWrites) {
  device.line_ports().port_write(0, 1, 1);
  EXPECT_TRUE(first.level);
  device.line_ports().port_write(0, 1, 0);
  EXPECT_FALSE(first.level);
  device.line_ports().port_write(23, 4, 0x100);
  EXPECT_TRUE(last.level);
  device.line_ports().port_write(5, 1, 1);   // not wired
  device.line_ports().port_write(24, 1, 1);  // past the end
}

TEST_F(Testdev, FlushNamesThePage) {
  device.flush_ports().port_write(0, 4, 0x00123456);
  EXPECT_EQ(flushed, 0x00123000u);
}

TEST_F(Testdev, MemoryKeepsEveryWidth) {
  auto& memory = device.memory();
  memory.mmio_write(0, 8, 0x8877665544332211);
  EXPECT_EQ(memory.mmio_read(0, 8), 0x8877665544332211u);
  EXPECT_EQ(memory.mmio_read(2, 2), 0x4433u);
  memory.mmio_write(0xffff, 1, 0x7e);
  EXPECT_EQ(memory.mmio_read(0xffff, 1), 0x7eu);
}

// The procedure of docs/specs/pci-testdev, run on either BAR.
template <typename Read, typename Write>
int run_all_tests(Read read, Write write, std::vector<std::string>* names) {
  int test = 0;
  for (; test < 10; ++test) {
    write(0, 1, static_cast<std::uint32_t>(test));
    EXPECT_EQ(read(12, 4), 0u) << "selecting a test clears the count";
    const auto width = read(1, 1);
    if (width != 1 && width != 2 && width != 4) break;
    const auto offset = read(4, 4), data = read(8, 4);
    for (int i = 0; i < 16; ++i) write(offset, width, data);
    EXPECT_EQ(read(12, 4), 16u);
    write(offset + 8, width, data);
    EXPECT_EQ(read(12, 4), 16u) << "another place does not count";
    std::string name;
    for (std::uint32_t at = 16; const auto c = read(at, 1); ++at)
      name.push_back(static_cast<char>(c));
    names->push_back(name);
  }
  return test;
}

TEST(PciTestdev, CountsWritesOnBothBars) {
  FakePower power;
  PciHost host{power};
  PciTestdev device;
  ASSERT_TRUE(host.attach(4, 0, device));
  EXPECT_EQ(device.config_read(0, 4), 0x00051b36u);
  device.config_write(0x10, 4, 0xfe000000);
  device.config_write(0x14, 4, 0xc000);
  device.config_write(4, 2, 3);
  std::vector<std::string> names;
  EXPECT_EQ(run_all_tests(
                [&](std::uint32_t at, unsigned size) {
                  return static_cast<std::uint32_t>(
                      host.memory().mmio_read(0xfe000000 - PciHost::kHoleBase + at, size));
                },
                [&](std::uint32_t at, unsigned size, std::uint32_t value) {
                  host.memory().mmio_write(0xfe000000 - PciHost::kHoleBase + at, size, value);
                },
                &names),
            3);
  EXPECT_EQ(run_all_tests(
                [&](std::uint32_t at, unsigned size) {
                  return host.ports().port_read(static_cast<std::uint16_t>(0xc000 + at), size);
                },
                [&](std::uint32_t at, unsigned size, std::uint32_t value) {
                  host.ports().port_write(static_cast<std::uint16_t>(0xc000 + at), size, value);
                },
                &names),
            3);
  EXPECT_EQ(names.front(), "mmio-no-eventfd");
  EXPECT_EQ(names.back(), "portio-datamatch-eventfd");
}

}  // namespace
}  // namespace ringshift::devices
