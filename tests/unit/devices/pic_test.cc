// tests/unit/devices/pic_test.cc - the 8259 pair against its data sheet.
#include "devices/pic.h"

#include <gtest/gtest.h>

#include "tests/unit/devices/timer_fakes.h"

namespace ringshift::devices {
namespace {

class PicTest : public ::testing::Test {
 protected:
  PicTest() { initialize(0x01, 0x01); }

  void initialize(std::uint8_t master_icw4, std::uint8_t slave_icw4) {
    init(pic.master_ports(), 0x20, 0x04, master_icw4);
    init(pic.slave_ports(), 0x28, 0x02, slave_icw4);
  }
  static void init(PortHandler& chip, std::uint8_t base, std::uint8_t icw3, std::uint8_t icw4) {
    chip.port_write(0, 1, 0x11);
    chip.port_write(1, 1, base);
    chip.port_write(1, 1, icw3);
    chip.port_write(1, 1, icw4);
    chip.port_write(1, 1, 0x00);
  }
  void pulse(unsigned irq) {
    pic.input(irq).set(true);
    pic.input(irq).set(false);
  }
  void master(std::uint8_t ocw) { pic.master_ports().port_write(0, 1, ocw); }
  void slave(std::uint8_t ocw) { pic.slave_ports().port_write(0, 1, ocw); }
  void mask_master(std::uint8_t m) { pic.master_ports().port_write(1, 1, m); }
  std::uint32_t isr(PortHandler& chip) {
    chip.port_write(0, 1, 0x0b);
    return chip.port_read(0, 1);
  }
  std::uint32_t irr(PortHandler& chip) {
    chip.port_write(0, 1, 0x0a);
    return chip.port_read(0, 1);
  }

  timer_test::FakeLine intr;
  PicPair pic{intr};
};

TEST_F(PicTest, DeliversByPriorityAndBlocksLowerUntilEoi) {
  pulse(4);
  pulse(1);
  EXPECT_TRUE(intr.level);
  EXPECT_EQ(pic.acknowledge(), 0x21);
  EXPECT_FALSE(intr.level);  // 4 waits behind 1
  pulse(0);
  EXPECT_TRUE(intr.level);  // 0 does not
  EXPECT_EQ(pic.acknowledge(), 0x20);
  EXPECT_EQ(isr(pic.master_ports()), 0x03u);
  master(0x20);
  EXPECT_FALSE(intr.level);
  master(0x20);
  EXPECT_TRUE(intr.level);
  EXPECT_EQ(pic.acknowledge(), 0x24);
}

TEST_F(PicTest, SlaveGoesThroughTheCascade) {
  pulse(12);
  pulse(8);
  EXPECT_EQ(pic.acknowledge(), 0x28);
  EXPECT_EQ(isr(pic.master_ports()), 0x04u);
  slave(0x20);
  master(0x20);
  EXPECT_TRUE(intr.level);
  EXPECT_EQ(pic.acknowledge(), 0x2c);
}

TEST_F(PicTest, MaskedRequestWaitsInIrr) {
  mask_master(0xff);
  pulse(3);
  EXPECT_FALSE(intr.level);
  EXPECT_EQ(irr(pic.master_ports()), 0x08u);
  EXPECT_EQ(pic.master_ports().port_read(1, 1), 0xffu);
  mask_master(0xf7);
  EXPECT_TRUE(intr.level);
}

TEST_F(PicTest, SpuriousInterruptsHaveNothingInService) {
  EXPECT_EQ(pic.acknowledge(), 0x27);
  EXPECT_EQ(isr(pic.master_ports()), 0u);
  // A level-triggered slave input that falls between INTR and INTA, while the master holds the
  // edge.
  pic.elcr_ports().port_write(1, 1, 0x04);  // IRQ 10
  pic.input(10).set(true);
  pic.input(10).set(false);
  EXPECT_EQ(pic.acknowledge(), 0x2f);
  EXPECT_EQ(isr(pic.slave_ports()), 0u);
  EXPECT_EQ(isr(pic.master_ports()), 0x04u);
}

TEST_F(PicTest, LevelInputAsksAgainAfterEoi) {
  pic.elcr_ports().port_write(0, 1, 0xff);
  EXPECT_EQ(pic.elcr_ports().port_read(0, 1), 0xf8u);  // 0 to 2 stay edge-triggered
  pic.input(5).set(true);
  EXPECT_EQ(pic.acknowledge(), 0x25);
  master(0x20);
  EXPECT_TRUE(intr.level);
  pic.input(5).set(false);
  EXPECT_FALSE(intr.level);
}

TEST_F(PicTest, EdgeInputThatStaysHighAsksOnce) {
  pic.input(5).set(true);
  pic.input(5).set(true);
  EXPECT_EQ(pic.acknowledge(), 0x25);
  master(0x20);
  EXPECT_FALSE(intr.level);
}

TEST_F(PicTest, AutoEoiLeavesNothingInServiceOnBothChips) {
  initialize(0x03, 0x03);
  pulse(9);
  pulse(12);
  EXPECT_EQ(pic.acknowledge(), 0x29);
  EXPECT_TRUE(intr.level);  // the slave's second request is a new edge for the master
  EXPECT_EQ(pic.acknowledge(), 0x2c);
  EXPECT_EQ(isr(pic.master_ports()), 0u);
}

TEST_F(PicTest, RotationMakesTheEndedInputLowest) {
  pulse(3);
  pic.acknowledge();
  master(0xa0);  // rotate on non-specific EOI
  pulse(3);
  pulse(4);
  EXPECT_EQ(pic.acknowledge(), 0x24);
  master(0x64);  // specific EOI 4
  EXPECT_EQ(pic.acknowledge(), 0x23);
  master(0xe3);  // rotate on specific EOI 3
  master(0xc5);  // set priority: 5 lowest, so 6 highest
  pulse(0);
  pulse(6);
  EXPECT_EQ(pic.acknowledge(), 0x26);
}

TEST_F(PicTest, SpecialMaskModeLetsLowerInputsIn) {
  pulse(1);
  pic.acknowledge();
  pulse(6);
  EXPECT_FALSE(intr.level);
  mask_master(0x02);
  EXPECT_FALSE(intr.level);
  master(0x68);  // set special mask mode
  EXPECT_TRUE(intr.level);
  EXPECT_EQ(pic.acknowledge(), 0x26);
  master(0x20);  // ends 6, not the masked 1
  EXPECT_EQ(isr(pic.master_ports()), 0x02u);
}

TEST_F(PicTest, SpecialFullyNestedModeLetsTheSlaveInterruptItselfOnly) {
  initialize(0x11, 0x01);
  pulse(12);
  EXPECT_EQ(pic.acknowledge(), 0x2c);
  pulse(4);
  EXPECT_FALSE(intr.level);  // still below the slave
  pulse(8);
  EXPECT_TRUE(intr.level);
  EXPECT_EQ(pic.acknowledge(), 0x28);
}

TEST_F(PicTest, PollAcknowledges) {
  pulse(3);
  master(0x0c);
  EXPECT_EQ(pic.master_ports().port_read(0, 1), 0x83u);
  EXPECT_EQ(isr(pic.master_ports()), 0x08u);
  EXPECT_FALSE(intr.level);
  master(0x0c);
  EXPECT_EQ(pic.master_ports().port_read(0, 1), 0u);
}

TEST_F(PicTest, Icw1ForgetsEdgesAndMasks) {
  pulse(3);
  mask_master(0xff);
  pic.master_ports().port_write(0, 1, 0x11);
  EXPECT_FALSE(intr.level);
  EXPECT_EQ(irr(pic.master_ports()), 0u);
}

}  // namespace
}  // namespace ringshift::devices
