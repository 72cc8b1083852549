// tests/unit/devices/hpet_test.cc - the counter, one-shot and periodic comparators, routing.
#include "devices/hpet.h"

#include <gtest/gtest.h>

#include "devices/line_gate.h"
#include "tests/unit/devices/timer_fakes.h"

namespace ringshift::devices {
namespace {

class HpetTest : public ::testing::Test {
 protected:
  HpetTest() : hpet(loop.timers, {irq0, irq8, legacy, routes()}) {}
  std::array<Line*, 32> routes() {
    std::array<Line*, 32> lines{};
    lines[20] = &pin20;
    return lines;
  }
  std::uint64_t read(std::uint64_t offset) { return hpet.mmio_read(offset, 8); }
  void write(std::uint64_t offset, std::uint64_t value) { hpet.mmio_write(offset, 8, value); }
  static std::uint64_t config(unsigned n) { return 0x100 + 0x20 * n; }
  static std::uint64_t comparator(unsigned n) { return 0x108 + 0x20 * n; }
  void run_ticks(std::int64_t ticks) { loop.run_for(ticks * Hpet::kTickNs); }

  timer_test::FakeLoop loop;
  timer_test::FakeLine irq0, irq8, legacy, pin20;
  Hpet hpet;
};

TEST_F(HpetTest, CapabilitiesAndHalves) {
  EXPECT_EQ(read(0), 10'000'000ull << 32 | 0x8086a201);
  EXPECT_EQ(hpet.mmio_read(4, 4), 10'000'000u);
  EXPECT_EQ(hpet.mmio_read(config(2) + 4, 4), 1u << 20);
  EXPECT_EQ(read(config(0)) & 0xffffffff, 0x30u);
  write(0, ~0ull);
  EXPECT_EQ(hpet.mmio_read(0, 4), 0x8086a201u);
}

TEST_F(HpetTest, CounterRunsOnlyWhileEnabled) {
  run_ticks(500);
  EXPECT_EQ(read(0xf0), 0u);
  hpet.mmio_write(0xf0, 4, 0xfffffff0);
  hpet.mmio_write(0xf4, 4, 0x1);
  write(0x10, 1);
  run_ticks(0x20);
  EXPECT_EQ(read(0xf0), 0x2'00000010u);
  EXPECT_EQ(hpet.mmio_read(0xf4, 4), 2u);
  write(0x10, 0);
  run_ticks(100);
  EXPECT_EQ(read(0xf0), 0x2'00000010u);
}

TEST_F(HpetTest, OneShotFiresAtTheMatch) {
  write(config(2), 20 << 9 | 4);
  write(0x10, 1);
  write(comparator(2), 1000);
  run_ticks(999);
  EXPECT_EQ(pin20.rises, 0);
  run_ticks(1);
  EXPECT_EQ(pin20.rises, 1);
  EXPECT_EQ(read(0x20), 0u);  // edge-triggered: no status
  run_ticks(1'000'000);
  EXPECT_EQ(pin20.rises, 1);
  write(comparator(2), 1000);  // long past: a whole turn of 64 bits away
  EXPECT_EQ(loop.timers.next_deadline(), std::nullopt);
}

TEST_F(HpetTest, ComparatorOf32BitsMatchesEachTurn) {
  write(config(2), 20 << 9 | 0x104);
  write(0x10, 1);
  write(comparator(2), 0xabcd'00001000);
  EXPECT_EQ(read(comparator(2)), 0x1000u);
  run_ticks(0x1000);
  EXPECT_EQ(pin20.rises, 1);
  run_ticks((1ll << 32) - 1);
  EXPECT_EQ(pin20.rises, 1);
  run_ticks(1);
  EXPECT_EQ(pin20.rises, 2);
}

// As Linux does it: first match with VAL_SET, then the period.
TEST_F(HpetTest, PeriodicWithTheSetValueRule) {
  write(0x10, 1);
  run_ticks(12'345);
  write(config(2), 20 << 9 | 0x4c);
  write(comparator(2), 12'345 + 10'000);
  EXPECT_EQ(read(config(2)) & 0x40, 0u);
  write(comparator(2), 10'000);
  EXPECT_EQ(read(comparator(2)), 22'345u);
  run_ticks(9'999);
  EXPECT_EQ(pin20.rises, 0);
  run_ticks(1);
  EXPECT_EQ(pin20.rises, 1);
  EXPECT_EQ(read(comparator(2)), 32'345u);
  run_ticks(10'000 * 1000);
  EXPECT_EQ(pin20.rises, 1001);
}

TEST_F(HpetTest, LegacyReplacementRoutesToIrq0And8AndCutsThePit) {
  timer_test::FakeLine out;
  LineGate pit_gate(out);
  pit_gate.set(true);
  EXPECT_TRUE(out.level);
  write(config(0), 20 << 9 | 4);
  write(config(1), 20 << 9 | 4);
  write(comparator(0), 100);
  write(comparator(1), 200);
  write(0x10, 3);
  EXPECT_TRUE(legacy.level);
  pit_gate.open(!legacy.level);
  EXPECT_FALSE(out.level);
  run_ticks(300);
  EXPECT_EQ(irq0.rises, 1);
  EXPECT_EQ(irq8.rises, 1);
  EXPECT_EQ(pin20.rises, 0);
  write(0x10, 1);
  pit_gate.open(!legacy.level);
  EXPECT_TRUE(out.level);
}

TEST_F(HpetTest, LevelTriggeredHoldsItsLineUntilTheStatusIsCleared) {
  write(config(2), 20 << 9 | 6);
  write(comparator(2), 100);
  write(0x10, 1);
  run_ticks(200);
  EXPECT_TRUE(pin20.level);
  EXPECT_EQ(read(0x20), 4u);
  write(0x20, 1);  // another timer's bit
  EXPECT_TRUE(pin20.level);
  write(0x20, 4);
  EXPECT_FALSE(pin20.level);
}

TEST_F(HpetTest, InterruptThatIsOffWakesNobody) {
  write(comparator(0), 100);
  write(0x10, 1);
  EXPECT_EQ(loop.timers.next_deadline(), std::nullopt);
}

TEST_F(HpetTest, SlowHostOwesOnlyAFewTicksAndTinyPeriodsDoNotFloodIt) {
  write(config(2), 20 << 9 | 0x4c);
  write(comparator(2), 100'000);  // 1 ms
  write(0x10, 1);
  loop.stall(1'000'000'000);
  loop.run_for(100'000'000);
  EXPECT_LE(pin20.rises, 1 + PeriodicTicks::kMaxCatchUp + 100);
  EXPECT_GE(pin20.rises, 100);

  write(0x10, 0);
  write(config(2), 20 << 9 | 0x4c);
  write(0xf0, 0);
  write(comparator(2), 1);
  const int before = pin20.rises;
  write(0x10, 1);
  loop.run_for(10'000'000);
  EXPECT_LE(pin20.rises - before, 10'000'000 / PeriodicTicks::kMinimumWakeNs + 2);
}

// Nothing that a guest writes may hang or harm.
TEST_F(HpetTest, AnyValuesInAnyRegister) {
  std::uint64_t value = 0x9e3779b97f4a7c15;
  for (int i = 0; i < 20'000; ++i) {
    value = value * 6364136223846793005u + 1442695040888963407u;
    const std::uint64_t offset = value >> 54 & ~7ull;
    const unsigned size = 1u << (value >> 20 & 3);
    const std::uint64_t data = value >> 12 & 1 ? value : value >> 50;
    hpet.mmio_write(offset < 0x200 ? offset : 0xf0, size, data);
    hpet.mmio_read(offset, size);
    loop.stall(static_cast<std::int64_t>(value >> 48));
    loop.timers.run_due();
  }
}

}  // namespace
}  // namespace ringshift::devices
