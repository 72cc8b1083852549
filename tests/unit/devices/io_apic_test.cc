// tests/unit/devices/io_apic_test.cc - edge and level pins, remote IRR, masks, both kinds of EOI.
#include "devices/io_apic.h"

#include <gtest/gtest.h>

#include "tests/unit/devices/timer_fakes.h"

namespace ringshift::devices {
namespace {

class IoApicTest : public ::testing::Test {
 protected:
  IoApicTest() { cpu.software_enable(); }
  std::uint32_t read(std::uint8_t index) {
    io.mmio_write(0, 4, index);
    return static_cast<std::uint32_t>(io.mmio_read(0x10, 4));
  }
  void write(std::uint8_t index, std::uint32_t value) {
    io.mmio_write(0, 4, index);
    io.mmio_write(0x10, 4, value);
  }
  void entry(unsigned pin, std::uint32_t low) {
    write(static_cast<std::uint8_t>(0x10 + 2 * pin), low);
  }
  std::uint32_t entry(unsigned pin) { return read(static_cast<std::uint8_t>(0x10 + 2 * pin)); }
  void eoi() { cpu.write(0xb0, 0); }
  int take(std::uint8_t vector) {
    int count = 0;
    while (const auto v = cpu.apic.acknowledge()) {
      EXPECT_EQ(*v, vector);
      ++count;
      eoi();
      if (count > 10) break;
    }
    return count;
  }

  timer_test::FakeLoop loop;
  ApicBus bus;
  timer_test::FakeProcessor cpu{loop, bus};
  IoApic io{bus};
};

TEST_F(IoApicTest, Registers) {
  EXPECT_EQ(read(1), 0x00170020u);
  write(0, 0xff000000);
  EXPECT_EQ(read(0), 0x0f000000u);
  for (unsigned pin = 0; pin < 24; ++pin) EXPECT_EQ(entry(pin), 0x10000u);
  write(0x11, 0xffffffff);
  EXPECT_EQ(read(0x11), 0xff000000u);
  entry(0, 0xffffffff);
  EXPECT_EQ(entry(0), 0x1afffu);  // status and remote IRR are read-only
  EXPECT_EQ(read(0x40), 0u);
}

TEST_F(IoApicTest, EdgePinSendsOncePerRise) {
  entry(4, 0x54);
  io.pin(4).set(true);
  io.pin(4).set(true);
  EXPECT_EQ(take(0x54), 1);
  EXPECT_EQ(entry(4), 0x54u);
  io.pin(4).set(false);
  io.pin(4).set(true);
  EXPECT_EQ(take(0x54), 1);
}

TEST_F(IoApicTest, EdgeOnAMaskedPinIsLost) {
  entry(4, 0x10054);
  io.pin(4).set(true);
  entry(4, 0x54);
  EXPECT_EQ(take(0x54), 0);
}

TEST_F(IoApicTest, LevelPinSendsAgainAfterEoiWhileAsserted) {
  entry(10, 0x805a);
  io.pin(10).set(true);
  EXPECT_EQ(entry(10), 0xc05au);
  EXPECT_EQ(cpu.apic.acknowledge(), 0x5a);
  EXPECT_EQ(cpu.apic.acknowledge(), std::nullopt);
  eoi();
  EXPECT_EQ(cpu.apic.acknowledge(), 0x5a);
  io.pin(10).set(false);
  eoi();
  EXPECT_EQ(entry(10), 0x805au);
  EXPECT_EQ(cpu.apic.acknowledge(), std::nullopt);
}

TEST_F(IoApicTest, MaskedLevelIsSeenWhenTheMaskGoes) {
  entry(10, 0x1805a);
  io.pin(10).set(true);
  EXPECT_FALSE(cpu.apic.interrupt_pending());
  entry(10, 0x805a);
  EXPECT_TRUE(cpu.apic.interrupt_pending());
}

TEST_F(IoApicTest, EoiRegisterAndSwitchToEdgeClearRemoteIrr) {
  cpu.write(0xf0, 0x11ff);  // no broadcast
  entry(10, 0x805a);
  io.pin(10).set(true);
  EXPECT_EQ(cpu.apic.acknowledge(), 0x5a);
  io.pin(10).set(false);
  eoi();
  EXPECT_EQ(entry(10), 0xc05au);
  io.mmio_write(0x40, 4, 0x5b);  // not its vector
  EXPECT_EQ(entry(10), 0xc05au);
  io.mmio_write(0x40, 4, 0x5a);
  EXPECT_EQ(entry(10), 0x805au);
  io.pin(10).set(true);
  EXPECT_EQ(entry(10), 0xc05au);
  io.pin(10).set(false);
  entry(10, 0x1005a);
  entry(10, 0x1805a);
  EXPECT_EQ(entry(10), 0x1805au);
}

TEST_F(IoApicTest, LevelThatNoProcessorTakesSetsNoRemoteIrr) {
  write(0x25, 0x07000000);  // nobody
  entry(10, 0x805a);
  io.pin(10).set(true);
  EXPECT_EQ(entry(10), 0x805au);
}

TEST_F(IoApicTest, LogicalDestinationAndNmi) {
  cpu.write(0xd0, 0x04000000);
  write(0x15, 0x04000000);
  entry(2, 0x852);
  io.pin(2).set(true);
  EXPECT_EQ(take(0x52), 1);
  io.pin(2).set(false);
  write(0x15, 0);
  entry(2, 0x400);
  io.pin(2).set(true);
  EXPECT_EQ(cpu.cpu.nmis, 1);
}

}  // namespace
}  // namespace ringshift::devices
