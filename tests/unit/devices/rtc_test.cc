// tests/unit/devices/rtc_test.cc - time of day, formats, UIP, the three interrupts, CMOS memory.
#include "devices/rtc.h"

#include <gtest/gtest.h>

#include "tests/unit/devices/timer_fakes.h"

namespace ringshift::devices {
namespace {

constexpr std::int64_t kMs = 1'000'000, kSecond = 1000 * kMs;
constexpr std::int64_t kLeapDay = 1'709'251'195;  // 2024-02-29 23:59:55 UTC, a Thursday

class RtcTest : public ::testing::Test {
 protected:
  std::uint32_t read(std::uint8_t index) {
    rtc.port_write(0, 1, index);
    return rtc.port_read(1, 1);
  }
  void write(std::uint8_t index, std::uint8_t value) {
    rtc.port_write(0, 1, index);
    rtc.port_write(1, 1, value);
  }

  timer_test::FakeLoop loop;
  timer_test::FakeLine irq8;
  Rtc rtc{loop.timers, irq8, kLeapDay};
};

TEST_F(RtcTest, ShowsUtcInBcdAndRollsOver) {
  EXPECT_EQ(read(0), 0x55u);
  EXPECT_EQ(read(2), 0x59u);
  EXPECT_EQ(read(4), 0x23u);
  EXPECT_EQ(read(6), 5u);  // Thursday
  EXPECT_EQ(read(7), 0x29u);
  EXPECT_EQ(read(8), 0x02u);
  EXPECT_EQ(read(9), 0x24u);
  EXPECT_EQ(read(0x32), 0x20u);
  loop.run_for(5 * kSecond);
  EXPECT_EQ(read(0), 0u);
  EXPECT_EQ(read(4), 0u);
  EXPECT_EQ(read(6), 6u);
  EXPECT_EQ(read(7), 0x01u);
  EXPECT_EQ(read(8), 0x03u);
}

TEST_F(RtcTest, BinaryAnd12HourFormats) {
  write(0x0b, 0x04);  // binary, 12 hours
  EXPECT_EQ(read(0), 55u);
  EXPECT_EQ(read(4), 0x80u | 11);
  loop.run_for(5 * kSecond);
  EXPECT_EQ(read(4), 12u);  // midnight
  write(0x0b, 0x00);
  write(4, 0x92);  // 12 PM
  write(0x0b, 0x02);
  EXPECT_EQ(read(4), 0x12u);
}

TEST_F(RtcTest, SetFreezesTheRegistersAndTakesNewOnes) {
  write(0x0b, 0x82);
  loop.run_for(3 * kSecond);
  EXPECT_EQ(read(0), 0x55u);
  const std::uint8_t date[][2] = {{0, 0x58}, {2, 0x59}, {4, 0x23}, {6, 3},
                                  {7, 0x31}, {8, 0x12}, {9, 0x99}, {0x32, 0x19}};
  for (const auto& [index, value] : date) write(index, value);
  EXPECT_EQ(read(9), 0x99u);
  write(0x0b, 0x02);
  EXPECT_EQ(read(0), 0x58u);
  EXPECT_EQ(read(6), 3u);
  loop.run_for(2 * kSecond);
  EXPECT_EQ(read(9), 0x00u);
  EXPECT_EQ(read(0x32), 0x20u);
  EXPECT_EQ(read(7), 0x01u);
  EXPECT_EQ(read(6), 4u);
}

TEST_F(RtcTest, UpdateInProgressAnnouncesTheUpdate) {
  int high = 0;
  for (int us10 = 0; us10 < 100'000; ++us10) {
    const bool uip = read(0x0a) & 0x80;
    high += uip;
    if (!uip) {
      // 244 us are left to read the time after UIP was seen low.
      const std::uint32_t second = read(0);
      loop.time.now += 240'000;
      ASSERT_EQ(read(0), second);
      loop.time.now -= 240'000;
    }
    loop.stall(10'000);
  }
  EXPECT_NEAR(high, 222, 2);
  write(0x0b, 0x82);
  loop.stall(kSecond - 1 * kMs - loop.now() % kSecond);
  EXPECT_EQ(read(0x0a) & 0x80, 0u);
}

TEST_F(RtcTest, DividerResetMakesTheFirstUpdateHalfASecondLater) {
  loop.run_for(300 * kMs);
  write(0x0a, 0x76);
  const std::uint32_t frozen = read(0);
  loop.run_for(10 * kSecond);
  EXPECT_EQ(read(0), frozen);
  write(0x0a, 0x26);
  loop.run_for(499 * kMs);
  EXPECT_EQ(read(0), frozen);
  loop.run_for(2 * kMs);
  EXPECT_NE(read(0), frozen);
}

TEST_F(RtcTest, PeriodicInterruptAtItsRate) {
  write(0x0b, 0x42);
  int interrupts = 0;
  for (int ms = 0; ms < 4000; ++ms) {
    loop.run_for(kMs / 4);
    if (!irq8.level) continue;
    EXPECT_EQ(read(0x0c) & 0xc0, 0xc0u);
    EXPECT_FALSE(irq8.level);
    ++interrupts;
  }
  EXPECT_NEAR(interrupts, 1024, 1);
}

TEST_F(RtcTest, PeriodicFlagCanBePolledWithoutInterrupt) {
  read(0x0c);
  EXPECT_EQ(read(0x0c), 0u);
  loop.run_for(10 * kMs);
  EXPECT_EQ(read(0x0c), 0x40u);  // not IRQF
  EXPECT_EQ(read(0x0c), 0u);
  EXPECT_EQ(irq8.rises, 0);
}

TEST_F(RtcTest, UpdateEndedInterruptOnTheSecond) {
  write(0x0b, 0x12);
  loop.run_until(kSecond - 1);
  EXPECT_FALSE(irq8.level);
  loop.run_until(kSecond);
  EXPECT_TRUE(irq8.level);
  EXPECT_EQ(read(0x0c) & 0xb0, 0x90u);
  EXPECT_FALSE(irq8.level);
}

TEST_F(RtcTest, AlarmMatchesWithWildcards) {
  write(1, 0x03);
  write(3, 0xff);
  write(5, 0xff);
  write(0x0b, 0x22);
  loop.run_for(7 * kSecond);
  EXPECT_FALSE(irq8.level);
  loop.run_for(kSecond);  // 00:00:03
  EXPECT_TRUE(irq8.level);
  EXPECT_EQ(read(0x0c) & 0xa0, 0xa0u);
  loop.run_for(59 * kSecond);
  EXPECT_FALSE(irq8.level);
  loop.run_for(kSecond);
  EXPECT_TRUE(irq8.level);
}

TEST_F(RtcTest, AlarmOfOneTimeComesOnceADay) {
  write(1, 0x00);
  write(3, 0x30);
  write(5, 0x06);
  write(0x0b, 0x22);
  loop.run_for(3 * 86'400 * kSecond);
  EXPECT_EQ(irq8.rises, 1);  // it is level: nobody read register C
  EXPECT_EQ(read(0x0c) & 0xa0, 0xa0u);
}

TEST_F(RtcTest, IdleClockNeedsNoTimer) {
  EXPECT_EQ(loop.timers.next_deadline(), std::nullopt);
  write(0x0b, 0x12);
  EXPECT_NE(loop.timers.next_deadline(), std::nullopt);
  write(0x0b, 0x02);
  EXPECT_EQ(loop.timers.next_deadline(), std::nullopt);
}

TEST_F(RtcTest, CmosKeepsBytesAndTellsTheMemorySize) {
  write(0x0f, 0x5a);
  EXPECT_EQ(read(0x0f), 0x5au);
  EXPECT_EQ(read(0x8f), 0x5au);  // bit 7 is the NMI mask
  EXPECT_TRUE(rtc.nmi_masked());
  write(0x0d, 0x00);
  EXPECT_EQ(read(0x0d), 0x80u);
  rtc.port_write(2, 1, 0x20);
  rtc.port_write(3, 1, 0x77);
  EXPECT_EQ(rtc.port_read(3, 1), 0x77u);
  EXPECT_NE(read(0x20), 0x77u);

  rtc.set_memory_size(0xc0000000, 0x140000000);
  EXPECT_EQ(read(0x15) | read(0x16) << 8, 640u);
  EXPECT_EQ(read(0x30) | read(0x31) << 8, 0xffffu);
  EXPECT_EQ(read(0x34) | read(0x35) << 8, (0xc0000000u - 0x1000000) >> 16);
  EXPECT_EQ(read(0x5b) | read(0x5c) << 8 | read(0x5d) << 16, 0x140000000u >> 16);
}

// No date that a guest writes may do harm.
TEST_F(RtcTest, AnyBytesAreADate) {
  for (unsigned value = 0; value < 256; ++value) {
    for (std::uint8_t mode : {0x00, 0x02, 0x04, 0x06}) {
      write(0x0b, mode | 0x80);
      for (std::uint8_t index : {0, 2, 4, 6, 7, 8, 9, 0x32})
        write(index, static_cast<std::uint8_t>(value));
      write(0x0b, mode);
      loop.run_for(kSecond);
      for (std::uint8_t index : {0, 2, 4, 6, 7, 8, 9, 0x32}) read(index);
    }
  }
}

}  // namespace
}  // namespace ringshift::devices
