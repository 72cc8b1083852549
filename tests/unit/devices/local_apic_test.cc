// tests/unit/devices/local_apic_test.cc - priorities, EOI, IPIs, mode changes and #GP rules,
// ExtINT.
#include "devices/local_apic.h"

#include <gtest/gtest.h>

#include "devices/io_apic.h"
#include "devices/pic.h"
#include "tests/unit/devices/timer_fakes.h"

namespace ringshift::devices {
namespace {

using timer_test::FakeLine;
using timer_test::FakeLoop;
using timer_test::FakeProcessor;

constexpr std::uint32_t kBase = 0x1b, kDeadline = 0x6e0;
constexpr std::uint64_t kEnable = 0x800, kExtended = 0x400;
constexpr std::uint64_t kEoi = 0xb0, kTpr = 0x80, kPpr = 0xa0, kSvr = 0xf0, kEsr = 0x280,
                        kIcrLow = 0x300, kIcrHigh = 0x310, kTimer = 0x320, kLint0 = 0x350,
                        kLint1 = 0x360, kError = 0x370, kIrr = 0x200, kIsr = 0x100, kTmr = 0x180;

class LocalApicTest : public ::testing::Test {
 protected:
  LocalApicTest() { cpu.software_enable(); }
  void fixed(std::uint8_t vector, bool level = false) {
    bus.deliver({.destination = 0, .vector = vector, .level_triggered = level});
  }
  void enter_x2apic() { ASSERT_TRUE(cpu.apic.msr_write(kBase, cpu.apic.base_msr() | kExtended)); }

  FakeLoop loop;
  ApicBus bus;
  FakeProcessor cpu{loop, bus};
};

TEST_F(LocalApicTest, DeliversTheHighestAndNestsByPriorityClass) {
  EXPECT_FALSE(cpu.apic.interrupt_hint());
  fixed(0x31);
  fixed(0x42);
  EXPECT_TRUE(cpu.apic.interrupt_pending());
  EXPECT_TRUE(cpu.apic.interrupt_hint());
  EXPECT_TRUE(cpu.attention.level);
  EXPECT_EQ(cpu.read(kIrr + 0x10), 1u << 0x11);
  EXPECT_EQ(cpu.apic.acknowledge(), 0x42);
  EXPECT_EQ(cpu.read(kIsr + 0x20), 1u << 2);
  EXPECT_EQ(cpu.read(kPpr), 0x40u);
  EXPECT_FALSE(cpu.apic.interrupt_pending());
  fixed(0x4f);  // same class
  EXPECT_FALSE(cpu.apic.interrupt_pending());
  fixed(0x50);
  EXPECT_EQ(cpu.apic.acknowledge(), 0x50);
  cpu.write(kEoi, 0);
  EXPECT_FALSE(cpu.apic.interrupt_pending());
  cpu.write(kEoi, 0);
  EXPECT_EQ(cpu.apic.acknowledge(), 0x4f);
  cpu.write(kEoi, 0);
  EXPECT_EQ(cpu.apic.acknowledge(), 0x31);
  EXPECT_EQ(cpu.apic.acknowledge(), std::nullopt);
}

TEST_F(LocalApicTest, TaskPriorityHoldsBackItsClassAndBelow) {
  cpu.apic.set_task_priority(5);
  EXPECT_EQ(cpu.read(kTpr), 0x50u);
  fixed(0x5f);
  EXPECT_FALSE(cpu.apic.interrupt_pending());
  EXPECT_EQ(cpu.apic.acknowledge(), std::nullopt);
  cpu.write(kTpr, 0x4f);
  EXPECT_EQ(cpu.apic.task_priority(), 4);
  EXPECT_EQ(cpu.read(kPpr), 0x4fu);
  EXPECT_TRUE(cpu.apic.interrupt_pending());
}

TEST_F(LocalApicTest, SoftwareDisabledTakesNothingNewAndMasksTheLvt) {
  fixed(0x40);
  cpu.write(kTimer, 0x50);
  cpu.write(kSvr, 0xff);
  fixed(0x60);
  EXPECT_EQ(cpu.apic.acknowledge(), 0x40);  // what was pending stays
  EXPECT_EQ(cpu.apic.acknowledge(), std::nullopt);
  EXPECT_EQ(cpu.read(kTimer), 0x10050u);
  cpu.write(kTimer, 0x50);
  EXPECT_EQ(cpu.read(kTimer), 0x10050u);  // cannot be unmasked now
}

TEST_F(LocalApicTest, IllegalVectorsAndRegistersAreReported) {
  cpu.write(kError, 0xe0);
  fixed(0x0f);
  EXPECT_EQ(cpu.read(kEsr), 0u);  // shown only after a write
  cpu.write(kEsr, 0);
  EXPECT_EQ(cpu.read(kEsr), 0x40u);
  EXPECT_EQ(cpu.apic.acknowledge(), 0xe0);
  cpu.write(kEoi, 0);
  cpu.write(kIcrLow, 0x40005);  // to self
  cpu.read(0x3d0);
  cpu.write(kEsr, 0);
  EXPECT_EQ(cpu.read(kEsr), 0xa0u);
  cpu.write(kEsr, 0);
  EXPECT_EQ(cpu.read(kEsr), 0u);
}

// An error vector that is itself illegal must not report itself for ever.
TEST_F(LocalApicTest, IllegalErrorVectorEnds) {
  cpu.write(kError, 0x02);
  fixed(0x01);
  cpu.write(kEsr, 0);
  EXPECT_EQ(cpu.read(kEsr), 0x40u);
}

TEST_F(LocalApicTest, PicReachesTheProcessorThroughLint0OrDirectly) {
  PicPair pic(cpu.apic.lint0());
  cpu.apic.connect_pic(pic);
  for (const std::uint8_t value : {0x11, 0x20, 0x04, 0x01, 0x00})
    pic.master_ports().port_write(value != 0x11, 1, value);
  pic.input(3).set(true);
  EXPECT_TRUE(cpu.apic.interrupt_pending());  // virtual wire, as after reset
  cpu.apic.set_task_priority(15);
  EXPECT_TRUE(cpu.apic.interrupt_pending());  // ExtINT knows no priority
  cpu.write(kLint0, 0x10700);
  EXPECT_FALSE(cpu.apic.interrupt_pending());
  cpu.write(kLint0, 0x700);
  EXPECT_EQ(cpu.apic.acknowledge(), 0x23);
  EXPECT_EQ(cpu.read(kIsr + 0x10), 0u);
  EXPECT_FALSE(cpu.apic.interrupt_pending());
  cpu.write(kLint0, 0x10700);
  pic.master_ports().port_write(0, 1, 0x20);
  ASSERT_TRUE(cpu.apic.msr_write(kBase, cpu.apic.base_msr() & ~kEnable));
  pic.input(4).set(true);
  EXPECT_TRUE(cpu.apic.interrupt_pending());
  EXPECT_EQ(cpu.apic.acknowledge(), 0x24);
}

TEST_F(LocalApicTest, LintPinsAsFixedEdgeLevelAndNmi) {
  cpu.write(kLint0, 0x45);
  cpu.apic.lint0().set(true);
  cpu.apic.lint0().set(true);
  EXPECT_EQ(cpu.apic.acknowledge(), 0x45);
  cpu.write(kEoi, 0);
  EXPECT_EQ(cpu.apic.acknowledge(), std::nullopt);
  cpu.apic.lint0().set(false);

  cpu.write(kLint0, 0x8046);
  cpu.apic.lint0().set(true);
  EXPECT_EQ(cpu.read(kLint0) & 0x4000, 0x4000u);  // remote IRR
  EXPECT_EQ(cpu.apic.acknowledge(), 0x46);
  cpu.write(kEoi, 0);
  EXPECT_EQ(cpu.apic.acknowledge(), 0x46);  // still high
  cpu.apic.lint0().set(false);
  cpu.write(kEoi, 0);
  EXPECT_EQ(cpu.apic.acknowledge(), std::nullopt);

  cpu.write(kLint1, 0x400);
  cpu.apic.lint1().set(true);
  cpu.apic.lint1().set(true);
  EXPECT_EQ(cpu.cpu.nmis, 1);
}

TEST_F(LocalApicTest, MmioIgnoresOddAccesses) {
  cpu.apic.mmio_write(kTpr, 1, 0x70);
  cpu.apic.mmio_write(kTpr + 4, 4, 0x70);
  EXPECT_EQ(cpu.read(kTpr), 0u);
  EXPECT_EQ(cpu.read(0x30), 0x01050014u);
  EXPECT_EQ(cpu.apic.mmio_read(0x32, 1), 0x05u);
  for (unsigned offset = 0; offset < 4096; ++offset) {
    for (unsigned size : {1, 2, 4, 8}) {
      cpu.apic.mmio_read(offset, size);
      cpu.apic.mmio_write(offset, size, 0xa5a5a5a5a5a5a5a5);
    }
  }
}

// SDM Vol. 3 "x2APIC State Transitions": every pair of states.
TEST_F(LocalApicTest, BaseMsrTransitions) {
  const std::uint64_t base = 0xfee00100;
  enum { kOff, kXapic, kX2apic, kInvalid, kStates };
  const std::uint64_t bits[kStates] = {0, kEnable, kEnable | kExtended, kExtended};
  const bool allowed[3][kStates] = {
      {true, true, false, false}, {true, true, true, false}, {true, false, true, false}};
  for (int from = 0; from < 3; ++from) {
    for (int to = 0; to < kStates; ++to) {
      FakeProcessor p(loop, bus);
      ASSERT_TRUE(p.apic.msr_write(kBase, base | kEnable));
      ASSERT_TRUE(p.apic.msr_write(kBase, base | bits[from]));
      EXPECT_EQ(p.apic.msr_write(kBase, base | bits[to]), allowed[from][to]) << from << to;
      EXPECT_EQ(p.apic.base_msr(), base | (allowed[from][to] ? bits[to] : bits[from]));
    }
  }
}

TEST_F(LocalApicTest, BaseMsrReservedBitsAndRelocation) {
  std::uint64_t told = 0;
  FakeProcessor p(loop, bus,
                  {.id = 1, .x2apic = false, .base_changed = [&](std::uint64_t b) { told = b; }});
  EXPECT_FALSE(p.apic.msr_write(kBase, 0xfee00900 | 1));
  EXPECT_FALSE(p.apic.msr_write(kBase, 0xfee00900 | 1ull << 40));
  EXPECT_FALSE(p.apic.msr_write(kBase, 0xfee00d00));  // no x2APIC in this model
  EXPECT_TRUE(p.apic.msr_write(kBase, 0x42000900));
  EXPECT_EQ(told, 0x42000900u);
}

TEST_F(LocalApicTest, DisabledApicIsAllOnesAndComesBackReset) {
  cpu.write(kTpr, 0x30);
  ASSERT_TRUE(cpu.apic.msr_write(kBase, 0xfee00100));
  EXPECT_EQ(cpu.read(0x30), 0xffffffffu);
  cpu.write(kTpr, 0xff);
  EXPECT_EQ(cpu.apic.task_priority(), 3);  // CR8 lives on
  fixed(0x40);
  EXPECT_FALSE(cpu.apic.interrupt_pending());
  ASSERT_TRUE(cpu.apic.msr_write(kBase, 0xfee00900));
  EXPECT_EQ(cpu.read(kSvr), 0xffu);
  EXPECT_EQ(cpu.read(kLint0), 0x10000u);
}

TEST_F(LocalApicTest, X2apicMsrsFaultWhereTheManualSays) {
  EXPECT_EQ(cpu.apic.msr_read(0x803), std::nullopt);  // xAPIC mode
  EXPECT_FALSE(cpu.apic.msr_write(0x808, 0));
  enter_x2apic();
  EXPECT_EQ(cpu.read(0x30), 0xffffffffu);  // no MMIO
  const auto readable = [](unsigned i) {
    return i == 2 || i == 3 || i == 8 || i == 0xa || i == 0xd || i == 0xf ||
           (i >= 0x10 && i <= 0x28) || i == 0x30 || (i >= 0x32 && i <= 0x39) || i == 0x3e;
  };
  const auto writable = [](unsigned i) {
    return i == 8 || i == 0xb || i == 0xf || i == 0x28 || (i >= 0x32 && i <= 0x38) || i == 0x3e;
  };
  for (unsigned i = 0; i < 0x100; ++i) {
    EXPECT_EQ(cpu.apic.msr_read(0x800 + i).has_value(), readable(i)) << std::hex << i;
    if (i != 0x30 && i != 0x3f) {
      EXPECT_EQ(cpu.apic.msr_write(0x800 + i, 0), writable(i)) << std::hex << i;
      EXPECT_FALSE(cpu.apic.msr_write(0x800 + i, 1ull << 32)) << std::hex << i;
    }
  }
  EXPECT_FALSE(cpu.apic.msr_write(0x80b, 1));
  EXPECT_FALSE(cpu.apic.msr_write(0x828, 1));
  EXPECT_FALSE(cpu.apic.msr_write(0x808, 0x100));
  EXPECT_FALSE(cpu.apic.msr_write(0x83e, 4));
  EXPECT_FALSE(cpu.apic.msr_write(0x83f, 0x100));
  EXPECT_FALSE(cpu.apic.msr_write(0x830, 1 << 20));
}

TEST_F(LocalApicTest, X2apicIdsAndSelfIpi) {
  FakeProcessor far(loop, bus, {.id = 0x25, .bootstrap_processor = false});
  far.software_enable();
  ASSERT_TRUE(far.apic.msr_write(kBase, far.apic.base_msr() | kExtended));
  EXPECT_EQ(far.apic.msr_read(0x802), 0x25u);
  EXPECT_EQ(far.apic.msr_read(0x80d), 0x20020u);
  enter_x2apic();
  ASSERT_TRUE(cpu.apic.msr_write(0x83f, 0x61));
  EXPECT_EQ(cpu.apic.acknowledge(), 0x61);
  ASSERT_TRUE(cpu.apic.msr_write(0x830, 0x25ull << 32 | 0x62));
  EXPECT_EQ(far.apic.acknowledge(), 0x62);
  ASSERT_TRUE(far.apic.msr_write(0x80b, 0));
  ASSERT_TRUE(cpu.apic.msr_write(0x830, 0x20020ull << 32 | 0x863));  // logical
  EXPECT_EQ(far.apic.acknowledge(), 0x63);
  EXPECT_EQ(cpu.apic.acknowledge(), std::nullopt);
  EXPECT_EQ(cpu.apic.msr_read(0x830), 0x20020ull << 32 | 0x863);
}

class TwoProcessors : public LocalApicTest {
 protected:
  TwoProcessors() { other.software_enable(); }
  FakeProcessor other{loop, bus, {.id = 1, .bootstrap_processor = false}};
  void ipi(std::uint32_t low, std::uint8_t destination = 0) {
    cpu.write(kIcrHigh, std::uint32_t{destination} << 24);
    cpu.write(kIcrLow, low);
  }
};

TEST_F(TwoProcessors, PhysicalAndShorthandDestinations) {
  ipi(0x41, 1);
  EXPECT_EQ(other.apic.acknowledge(), 0x41);
  EXPECT_EQ(cpu.apic.acknowledge(), std::nullopt);
  other.write(kEoi, 0);
  ipi(0xc4042);  // all but self, the destination is ignored
  EXPECT_FALSE(cpu.apic.interrupt_pending());
  EXPECT_EQ(other.apic.acknowledge(), 0x42);
  ipi(0x44055);  // self
  EXPECT_EQ(cpu.apic.acknowledge(), 0x55);
  cpu.write(kEoi, 0);
  ipi(0x80043);  // all
  EXPECT_TRUE(cpu.apic.interrupt_pending());
  ipi(0x44, 0xff);
  EXPECT_EQ(cpu.read(kIrr + 0x20) & 0x10, 0x10u);
  EXPECT_EQ(other.read(kIrr + 0x20) & 0x10, 0x10u);
  EXPECT_EQ(cpu.read(kIcrLow) & 0x1000, 0u);  // idle at once
}

TEST_F(TwoProcessors, LogicalFlatAndCluster) {
  cpu.write(0xd0, 0x01000000);
  other.write(0xd0, 0x02000000);
  ipi(0x841, 2);
  EXPECT_FALSE(cpu.apic.interrupt_pending());
  EXPECT_EQ(other.apic.acknowledge(), 0x41);
  for (FakeProcessor* p : {&cpu, &other}) p->write(0xe0, 0);
  cpu.write(0xd0, 0x11000000);
  other.write(0xd0, 0x21000000);
  ipi(0x852, 0x13);
  EXPECT_EQ(cpu.apic.acknowledge(), 0x52);
  EXPECT_FALSE(other.apic.interrupt_pending());
  ipi(0x863, 0xff);
  EXPECT_EQ(cpu.apic.acknowledge(), 0x63);
  EXPECT_EQ(other.apic.acknowledge(), 0x63);
}

TEST_F(TwoProcessors, LowestPriorityPrefersTheIdleOneAndGoesRound) {
  cpu.write(kTpr, 0x20);
  bus.deliver({.destination = kBroadcastDestination,
               .mode = DeliveryMode::kLowestPriority,
               .vector = 0x51});
  EXPECT_FALSE(cpu.apic.interrupt_pending());
  EXPECT_EQ(other.apic.acknowledge(), 0x51);
  other.write(kEoi, 0);
  cpu.write(kTpr, 0);
  for (int i = 0; i < 2; ++i)
    bus.deliver({.destination = kBroadcastDestination,
                 .mode = DeliveryMode::kLowestPriority,
                 .vector = 0x52});
  EXPECT_TRUE(cpu.apic.interrupt_pending());
  EXPECT_TRUE(other.apic.interrupt_pending());
}

TEST_F(TwoProcessors, InitStartupAndNmi) {
  other.write(kTpr, 0x50);
  ipi(0x4500, 1);
  EXPECT_EQ(other.cpu.inits, 1);
  EXPECT_EQ(other.read(kTpr), 0u);
  EXPECT_EQ(other.read(0x20), 0x01000000u);  // the ID stays
  ipi(0x8500, 1);                            // level de-assert
  EXPECT_EQ(other.cpu.inits, 1);
  ipi(0x4609, 1);
  EXPECT_EQ(other.cpu.startups, std::vector<std::uint8_t>{9});
  ipi(0x4400, 1);
  EXPECT_EQ(other.cpu.nmis, 1);
  EXPECT_EQ(cpu.cpu.nmis, 0);
}

TEST_F(LocalApicTest, EoiOfALevelInterruptReachesListenersUnlessSuppressed) {
  struct Listener final : EoiListener {
    void end_of_interrupt(std::uint8_t v) override { vectors.push_back(v); }
    std::vector<std::uint8_t> vectors;
  } listener;
  bus.attach(listener);
  const auto serve = [&](std::uint8_t vector, bool level) {
    fixed(vector, level);
    EXPECT_EQ(cpu.read(kTmr + vector / 32 * 0x10) >> (vector % 32) & 1, level ? 1u : 0u);
    EXPECT_EQ(cpu.apic.acknowledge(), vector);
    cpu.write(kEoi, 0);
  };
  serve(0x40, false);
  EXPECT_TRUE(listener.vectors.empty());
  serve(0x40, true);
  EXPECT_EQ(listener.vectors, std::vector<std::uint8_t>{0x40});
  cpu.write(kSvr, 0x11ff);
  serve(0x41, true);
  EXPECT_EQ(listener.vectors.size(), 1u);
}

TEST_F(LocalApicTest, MessagesFromMsiAddressAndData) {
  const ApicMessage m = message_from_msi(0xfee0300c, 0xc141);
  EXPECT_EQ(m.destination, 3u);
  EXPECT_TRUE(m.logical);
  EXPECT_TRUE(m.level_triggered);
  EXPECT_EQ(m.mode, DeliveryMode::kLowestPriority);
  EXPECT_EQ(m.vector, 0x41);
  EXPECT_EQ(message_from_msi(0xfeeff000, 0x30).destination, kBroadcastDestination);
}

// ---- timer ----

class ApicTimerTest : public LocalApicTest {
 protected:
  static constexpr std::uint64_t kInitial = 0x380, kCurrent = 0x390, kDivide = 0x3e0;
  ApicTimerTest() { cpu.write(kDivide, 0xb); }  // by 1
  int served() {
    int count = 0;
    while (cpu.apic.acknowledge()) {
      cpu.write(kEoi, 0);
      ++count;
    }
    return count;
  }
};

TEST_F(ApicTimerTest, OneShotCountsDownAndFiresOnce) {
  cpu.write(kTimer, 0x40);
  cpu.write(kInitial, 1'000'000);
  loop.run_for(400'000);
  EXPECT_EQ(cpu.read(kCurrent), 600'000u);
  loop.run_for(599'999);
  EXPECT_EQ(served(), 0);
  loop.run_for(1);
  EXPECT_EQ(served(), 1);
  EXPECT_EQ(cpu.read(kCurrent), 0u);
  EXPECT_EQ(cpu.read(kInitial), 1'000'000u);
  loop.run_for(10'000'000);
  EXPECT_EQ(served(), 0);
}

TEST_F(ApicTimerTest, DividerSlowsTheCountAndKeepsItsPlace) {
  const unsigned codes[] = {0x0, 0x1, 0x2, 0x3, 0x8, 0x9, 0xa, 0xb};
  const unsigned divides[] = {2, 4, 8, 16, 32, 64, 128, 1};
  for (int i = 0; i < 8; ++i) {
    cpu.write(kDivide, codes[i]);
    cpu.write(kInitial, 1'000'000);
    loop.run_for(128'000);
    EXPECT_EQ(cpu.read(kCurrent), 1'000'000 - 128'000 / divides[i]) << i;
  }
  cpu.write(kDivide, 0x3);  // from 1 to 16
  EXPECT_EQ(cpu.read(kCurrent), 872'000u);
  loop.run_for(16'000);
  EXPECT_EQ(cpu.read(kCurrent), 871'000u);
}

TEST_F(ApicTimerTest, PeriodicNeverDriftsHoweverLateTheHost) {
  cpu.write(kTimer, 0x20040);
  cpu.write(kInitial, 1'000'000);
  for (int i = 0; i < 100; ++i) {
    loop.stall(1'300'000 + i * 1000);
    loop.timers.run_due();
    EXPECT_EQ(served(), 1);
    EXPECT_EQ(*loop.timers.next_deadline() % 1'000'000, 0);
  }
}

TEST_F(ApicTimerTest, ChangingBetweenOneShotAndPeriodic) {
  cpu.write(kTimer, 0x10040);
  cpu.write(kInitial, 1'000'000);
  loop.run_for(2'000'000);
  EXPECT_EQ(cpu.read(kCurrent), 0u);
  cpu.write(kTimer, 0x30040);  // an expired count does not start again
  EXPECT_EQ(cpu.read(kCurrent), 0u);
  cpu.write(kInitial, 1'000'000);
  loop.run_for(2'500'000);
  EXPECT_EQ(cpu.read(kCurrent), 500'000u);
  cpu.write(kTimer, 0x10040);  // and a running one goes on
  EXPECT_EQ(cpu.read(kCurrent), 500'000u);
  loop.run_for(600'000);
  EXPECT_EQ(cpu.read(kCurrent), 0u);
}

TEST_F(ApicTimerTest, MaskedTimerWakesNobody) {
  cpu.write(kTimer, 0x30040);
  cpu.write(kInitial, 1'000'000);
  EXPECT_EQ(loop.timers.next_deadline(), std::nullopt);
  loop.run_for(10'500'000);
  cpu.write(kTimer, 0x20040);
  EXPECT_EQ(served(), 0);
  loop.run_for(500'000);
  EXPECT_EQ(served(), 1);
}

TEST_F(ApicTimerTest, ShortestPeriodDoesNotFloodTheHost) {
  cpu.write(kTimer, 0x20040);
  cpu.write(kInitial, 1);
  int rounds = 0;
  const std::int64_t end = loop.now() + 1'000'000;
  while (*loop.timers.next_deadline() < end) {
    loop.run_until(*loop.timers.next_deadline());
    ++rounds;
  }
  EXPECT_LE(rounds, 50);
}

TEST_F(ApicTimerTest, TscDeadline) {
  EXPECT_TRUE(cpu.apic.msr_write(kDeadline, 5000));
  EXPECT_EQ(cpu.apic.msr_read(kDeadline), 0u);  // ignored in the other modes
  cpu.write(kTimer, 0x40040);
  cpu.write(kInitial, 1000);
  EXPECT_EQ(cpu.read(kInitial), 0u);
  cpu.apic.msr_write(kDeadline, 2'000'000);  // 2 GHz: 1 ms
  EXPECT_EQ(cpu.apic.msr_read(kDeadline), 2'000'000u);
  loop.run_until(999'999);
  EXPECT_EQ(served(), 0);
  loop.run_until(1'000'000);
  EXPECT_EQ(served(), 1);
  EXPECT_EQ(cpu.apic.msr_read(kDeadline), 0u);
  cpu.apic.msr_write(kDeadline, 1);  // in the past: at once
  EXPECT_EQ(served(), 1);
  cpu.apic.msr_write(kDeadline, 9'000'000);
  cpu.apic.msr_write(kDeadline, 0);
  EXPECT_EQ(loop.timers.next_deadline(), std::nullopt);
  cpu.apic.msr_write(kDeadline, 9'000'000);
  cpu.write(kTimer, 0x40);  // leaving the mode disarms
  EXPECT_EQ(loop.timers.next_deadline(), std::nullopt);
}

// Time passes while the deadline is converted: what has passed by then interrupts at once.
TEST_F(ApicTimerTest, PassedTscDeadlineDoesNotWaitForTheLoop) {
  struct SlowTsc final : GuestTsc {
    explicit SlowTsc(FakeLoop& on) : loop(on) {}
    std::int64_t ns_at_tsc(std::uint64_t) const override {
      loop.stall(10);
      return loop.now() - 5;
    }
    FakeLoop& loop;
  };
  const SlowTsc tsc(loop);
  int expired = 0;
  LocalApicTimer timer(loop.timers, tsc, [&] { ++expired; });
  timer.set_lvt(LocalApicTimer::Mode::kTscDeadline, false);
  timer.set_deadline(1);
  EXPECT_EQ(expired, 1);
  EXPECT_EQ(timer.deadline(), 0u);
}

TEST_F(ApicTimerTest, ModelWithoutTscDeadlineFaults) {
  FakeProcessor p(loop, bus, {.id = 2, .tsc_deadline = false});
  EXPECT_EQ(p.apic.msr_read(kDeadline), std::nullopt);
  EXPECT_FALSE(p.apic.msr_write(kDeadline, 1));
  p.software_enable();
  p.write(kTimer, 0x40040);
  EXPECT_EQ(p.read(kTimer), 0x40u);
}

}  // namespace
}  // namespace ringshift::devices
