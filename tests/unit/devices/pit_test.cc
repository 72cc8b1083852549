// tests/unit/devices/pit_test.cc - the six modes, latches and read-back of the 8254, IRQ 0, port
// 61H.
#include "devices/pit.h"

#include <gtest/gtest.h>

#include "tests/unit/devices/timer_fakes.h"

namespace ringshift::devices {
namespace {

class PitTest : public ::testing::Test {
 protected:
  void control(std::uint8_t value) { pit.port_write(3, 1, value); }
  void write_word(unsigned channel, std::uint16_t value) {
    pit.port_write(static_cast<std::uint16_t>(channel), 1, value & 0xff);
    pit.port_write(static_cast<std::uint16_t>(channel), 1, value >> 8);
  }
  std::uint32_t read_byte(unsigned channel) {
    return pit.port_read(static_cast<std::uint16_t>(channel), 1);
  }
  std::uint32_t read_word(unsigned channel) {
    const std::uint32_t low = read_byte(channel);
    return low | read_byte(channel) << 8;
  }
  // Ticks after the count was loaded (one tick after the write).
  void at_tick(std::int64_t ticks) { loop.run_until(kPitRate.ns_of(loaded + ticks)); }
  void program(unsigned channel, std::uint8_t mode, std::uint16_t count, bool bcd = false) {
    control(static_cast<std::uint8_t>(channel << 6 | 0x30 | mode << 1 | (bcd ? 1 : 0)));
    write_word(channel, count);
    loaded = kPitRate.ticks_at(loop.now()) + 1;
  }
  std::uint8_t status(unsigned channel) {
    control(static_cast<std::uint8_t>(0xe0 | 2u << channel));
    return static_cast<std::uint8_t>(read_byte(channel));
  }
  bool out(unsigned channel) { return status(channel) & 0x80; }

  timer_test::FakeLoop loop;
  timer_test::FakeLine irq0;
  Pit pit{loop.timers, irq0};
  SystemControlPort port61{pit};
  std::int64_t loaded = 0;
};

TEST_F(PitTest, Mode0RaisesOutOnceWhenTheCountEnds) {
  program(0, 0, 100);
  EXPECT_FALSE(irq0.level);
  at_tick(99);
  EXPECT_FALSE(out(0));
  EXPECT_EQ(read_word(0), 1u);
  EXPECT_EQ(irq0.rises, 0);
  at_tick(100);
  EXPECT_TRUE(out(0));
  EXPECT_EQ(irq0.rises, 1);
  at_tick(103);
  EXPECT_EQ(read_word(0), 0xfffdu);  // goes on counting
  at_tick(200'000);
  EXPECT_EQ(irq0.rises, 1);
}

TEST_F(PitTest, Mode0FirstByteOfANewCountStopsIt) {
  program(0, 0, 100);
  at_tick(200);
  EXPECT_TRUE(out(0));
  pit.port_write(0, 1, 50);
  EXPECT_FALSE(out(0));
  at_tick(400);
  EXPECT_FALSE(out(0));
}

TEST_F(PitTest, Mode2InterruptsEachPeriodWithoutDrift) {
  program(0, 2, 11932);  // 100 Hz
  const int before = irq0.rises;
  at_tick(11932 * 1000 - 1);
  EXPECT_EQ(irq0.rises - before, 999);
  at_tick(11932 * 1000);
  EXPECT_EQ(irq0.rises - before, 1000);
}

TEST_F(PitTest, Mode2OutIsLowForTheLastTick) {
  program(2, 2, 10);
  port61.port_write(0, 1, 1);
  loaded = kPitRate.ticks_at(loop.now()) + 1;
  at_tick(8);
  EXPECT_TRUE(pit.output2());
  at_tick(9);
  EXPECT_FALSE(pit.output2());
  EXPECT_EQ(read_word(2), 1u);
  at_tick(10);
  EXPECT_TRUE(pit.output2());
  EXPECT_EQ(read_word(2), 10u);
}

TEST_F(PitTest, Mode2TakesANewCountAtTheEndOfThePeriod) {
  program(0, 2, 1000);
  at_tick(300);
  write_word(0, 400);
  EXPECT_EQ(status(0) & 0x40, 0x40);  // null count: not loaded yet
  at_tick(500);
  EXPECT_EQ(read_word(0), 500u);
  const int before = irq0.rises;
  at_tick(1000);
  EXPECT_EQ(irq0.rises, before + 1);
  EXPECT_EQ(read_word(0), 400u);
  EXPECT_EQ(status(0) & 0x40, 0);
  at_tick(1400);
  EXPECT_EQ(irq0.rises, before + 2);
}

TEST_F(PitTest, Mode3CountsByTwoAndSplitsOddCounts) {
  program(0, 3, 7);  // high 4, low 3
  const bool expected_out[] = {true, true, true, true, false, false, false, true};
  const unsigned expected_count[] = {6, 4, 2, 0, 6, 4, 2, 6};
  for (int i = 0; i < 8; ++i) {
    at_tick(i);
    EXPECT_EQ(out(0), expected_out[i]) << i;
    EXPECT_EQ(read_word(0), expected_count[i]) << i;
  }
}

TEST_F(PitTest, Mode3CountZeroIs65536) {
  program(0, 3, 0);
  const int before = irq0.rises;
  at_tick(65'535);
  EXPECT_EQ(irq0.rises, before);
  at_tick(65'536);
  EXPECT_EQ(irq0.rises, before + 1);
}

TEST_F(PitTest, Mode1IsTriggeredByTheGateAndCanBeRetriggered) {
  port61.port_write(0, 1, 0);
  program(2, 1, 100);
  EXPECT_TRUE(pit.output2());
  port61.port_write(0, 1, 1);
  loaded = kPitRate.ticks_at(loop.now()) + 1;
  at_tick(50);
  EXPECT_FALSE(pit.output2());
  port61.port_write(0, 1, 0);
  port61.port_write(0, 1, 1);
  at_tick(120);
  EXPECT_FALSE(pit.output2());
  at_tick(152);
  EXPECT_TRUE(pit.output2());
}

TEST_F(PitTest, Mode4StrobesOnceSoftwareTriggered) {
  program(0, 4, 1000);
  const int before = irq0.rises;
  at_tick(1000);
  EXPECT_FALSE(out(0));
  EXPECT_EQ(irq0.rises, before);
  at_tick(1001);
  EXPECT_TRUE(out(0));
  EXPECT_EQ(irq0.rises, before + 1);
  at_tick(100'000);
  EXPECT_EQ(irq0.rises, before + 1);
}

TEST_F(PitTest, Mode5StrobesAfterTheTrigger) {
  program(2, 5, 10);
  loop.run_for(1'000'000);
  EXPECT_TRUE(pit.output2());
  port61.port_write(0, 1, 1);
  loaded = kPitRate.ticks_at(loop.now()) + 1;
  at_tick(10);
  EXPECT_FALSE(pit.output2());
  at_tick(11);
  EXPECT_TRUE(pit.output2());
}

TEST_F(PitTest, GateStopsChannel2) {
  program(2, 0, 1000);  // the gate is low
  loop.run_for(10'000'000);
  EXPECT_EQ(read_word(2), 1000u);
  port61.port_write(0, 1, 1);
  loop.run_until(kPitRate.ns_of(kPitRate.ticks_at(loop.now()) + 400));
  port61.port_write(0, 1, 0);
  loop.run_for(10'000'000);
  EXPECT_EQ(read_word(2), 600u);
  EXPECT_FALSE(pit.output2());
}

// How Linux measures the TSC: gate on, mode 0, wait for OUT2 in port 61H.
TEST_F(PitTest, Port61ShowsOut2AndTheRefreshToggle) {
  port61.port_write(0, 1, (port61.port_read(0, 1) & ~2u) | 1);
  program(2, 0, 1193 * 50);
  at_tick(1193 * 50 - 1);
  EXPECT_EQ(port61.port_read(0, 1) & 0x21, 0x01u);
  at_tick(1193 * 50);
  EXPECT_EQ(port61.port_read(0, 1) & 0x21, 0x21u);
  int toggles = 0;
  std::uint32_t last = port61.port_read(0, 1) & 0x10;
  for (int us = 0; us < 3000; ++us) {
    loop.run_for(1000);
    const std::uint32_t now = port61.port_read(0, 1) & 0x10;
    toggles += now != last;
    last = now;
  }
  EXPECT_NEAR(toggles, 3000 / 15.085, 2);
}

TEST_F(PitTest, LatchHoldsTheCountUntilItIsRead) {
  program(0, 2, 50'000);
  at_tick(1000);
  control(0x00);
  at_tick(2000);
  control(0x00);  // ignored: the first is not read yet
  EXPECT_EQ(read_byte(0), 49'000u & 0xff);
  at_tick(3000);
  EXPECT_EQ(read_byte(0), 49'000u >> 8);
  EXPECT_EQ(read_word(0), 47'000u);
}

TEST_F(PitTest, ReadBackGivesStatusThenCount) {
  program(0, 3, 5000);
  at_tick(1000);
  control(0xc2);  // count and status of channel 0
  at_tick(1500);
  EXPECT_EQ(read_byte(0), 0xb6u);  // OUT, low-high access, mode 3
  EXPECT_EQ(read_word(0), 3000u);
}

TEST_F(PitTest, BcdCountsInDecimal) {
  program(0, 2, 0x1000, true);
  at_tick(1);
  EXPECT_EQ(read_word(0), 0x0999u);
  program(0, 0, 0, true);
  at_tick(1);
  EXPECT_EQ(read_word(0), 0x9999u);
}

TEST_F(PitTest, SlowHostOwesOnlyAFewTicks) {
  program(0, 2, 1193);  // about 1 kHz
  at_tick(1193 * 10);
  const int before = irq0.rises;
  loop.stall(500'000'000);
  loop.run_for(500'000'000);
  const int nominal = 500;
  EXPECT_LE(irq0.rises - before, nominal + PeriodicTicks::kMaxCatchUp + 2);
  EXPECT_GE(irq0.rises - before, nominal + PeriodicTicks::kMaxCatchUp - 1);
}

TEST_F(PitTest, ShortestPeriodsDoNotFloodTheHost) {
  program(0, 2, 1);
  const int before = irq0.rises;
  loop.run_for(10'000'000);
  EXPECT_LE(irq0.rises - before, 10'000'000 / PeriodicTicks::kMinimumWakeNs + 30);
  EXPECT_GT(irq0.rises - before, 300);
}

}  // namespace
}  // namespace ringshift::devices
