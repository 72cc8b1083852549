// tests/unit/devices/bus_test.cc - ranges refuse overlap, accesses are split, nobody home is all
// ones.
#include "devices/bus.h"

#include <gtest/gtest.h>

#include <tuple>
#include <vector>

namespace ringshift::devices {
namespace {

using Access = std::tuple<unsigned, unsigned, std::uint64_t>;  // offset, size, value

class RecordingPorts final : public PortHandler {
 public:
  std::uint32_t port_read(std::uint16_t offset, unsigned size) override {
    reads.emplace_back(offset, size, 0);
    return 0xa0a0a0a0u + offset * 0x01010101u;
  }
  void port_write(std::uint16_t offset, unsigned size, std::uint32_t value) override {
    writes.emplace_back(offset, size, value);
  }
  std::vector<Access> reads, writes;
};

class RecordingMmio final : public MmioHandler {
 public:
  std::uint64_t mmio_read(std::uint64_t offset, unsigned size) override {
    reads.emplace_back(offset, size, 0);
    return 0x1122334455667788;
  }
  void mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) override {
    writes.emplace_back(offset, size, value);
  }
  std::vector<Access> reads, writes;
};

TEST(PortBus, RefusesRangesThatOverlapOrLeaveThePortSpace) {
  PortBus bus;
  RecordingPorts a, b;
  ASSERT_TRUE(bus.add(0x40, 4, a));
  EXPECT_FALSE(bus.add(0x43, 1, b));
  EXPECT_FALSE(bus.add(0x3f, 2, b));
  EXPECT_FALSE(bus.add(0x30, 0x100, b));
  EXPECT_FALSE(bus.add(0x50, 0, b));
  EXPECT_FALSE(bus.add(0xffff, 2, b));
  EXPECT_TRUE(bus.add(0x44, 1, b));
  EXPECT_TRUE(bus.add(0x3f, 1, b));
  EXPECT_TRUE(bus.add(0xffff, 1, b));
}

TEST(PortBus, WidthThatTheDeviceLacksBecomesSeveralAccesses) {
  PortBus bus;
  RecordingPorts bytes, wide;
  ASSERT_TRUE(bus.add(0x70, 2, bytes, 1));
  ASSERT_TRUE(bus.add(0xcf8, 8, wide));
  bus.write(0x70, 2, 0x1234);
  EXPECT_EQ(bytes.writes, (std::vector<Access>{{0, 1, 0x34}, {1, 1, 0x12}}));
  EXPECT_EQ(bus.read(0x70, 2), 0xa1a0u);
  bus.write(0xcf8, 4, 0x80000000);
  EXPECT_EQ(wide.writes, (std::vector<Access>{{0, 4, 0x80000000}}));
}

TEST(PortBus, AccessAcrossAnEdgeReachesBothSides) {
  PortBus bus;
  RecordingPorts left, right;
  ASSERT_TRUE(bus.add(0x100, 2, left));
  ASSERT_TRUE(bus.add(0x102, 1, right));
  EXPECT_EQ(bus.read(0x100, 4), 0xffa0a0a0u);  // the last byte is nobody's
  bus.write(0x100, 4, 0x44332211);
  EXPECT_EQ(left.writes, (std::vector<Access>{{0, 2, 0x2211}}));
  EXPECT_EQ(right.writes, (std::vector<Access>{{0, 1, 0x33}}));
  EXPECT_EQ(bus.read(0xff, 4) & 0xff, 0xffu);
}

TEST(PortBus, UnclaimedReadsAreAllOnesAndTold) {
  PortBus bus;
  std::vector<UnclaimedAccess> seen;
  bus.set_unclaimed_hook([&](const UnclaimedAccess& a) { seen.push_back(a); });
  EXPECT_EQ(bus.read(0x300, 1), 0xffu);
  EXPECT_EQ(bus.read(0x300, 2), 0xffffu);
  EXPECT_EQ(bus.read(0xffff, 4), 0xffffffffu);
  bus.write(0x300, 2, 0xffff1234);
  ASSERT_EQ(seen.size(), 4u);
  EXPECT_TRUE(seen[3].is_write);
  EXPECT_EQ(seen[3].value, 0x1234u);
  EXPECT_EQ(seen[3].address, 0x300u);
}

TEST(PortBus, RemovedRangeIsUnclaimedAndFree) {
  PortBus bus;
  RecordingPorts a;
  ASSERT_TRUE(bus.add(0xc000, 0x20, a));
  EXPECT_FALSE(bus.remove(0xc001));
  EXPECT_TRUE(bus.remove(0xc000));
  EXPECT_EQ(bus.read(0xc000, 4), 0xffffffffu);
  EXPECT_TRUE(bus.add(0xc010, 0x20, a));
}

TEST(MmioBus, SplitsByWidthAndRangeInsideItsWindow) {
  MmioBus bus(0x10000);
  RecordingMmio a;
  EXPECT_FALSE(bus.add(0xff00, 0x200, a));
  ASSERT_TRUE(bus.add(0x1000, 0x1000, a, 4));
  EXPECT_EQ(bus.mmio_read(0x1010, 8), 0x5566778855667788u);
  EXPECT_EQ(a.reads, (std::vector<Access>{{0x10, 4, 0}, {0x14, 4, 0}}));
  bus.mmio_write(0x1ffc, 8, 0x1122334455667788);
  EXPECT_EQ(a.writes, (std::vector<Access>{{0xffc, 4, 0x55667788}}));
  EXPECT_EQ(bus.mmio_read(0x3000, 8), ~0ull);
}

}  // namespace
}  // namespace ringshift::devices
