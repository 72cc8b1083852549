// tests/unit/devices/timer_queue_test.cc - order, re-arming and cancelling, pause, catch-up policy.
#include "devices/timer_queue.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "devices/periodic_ticks.h"
#include "devices/tick_rate.h"
#include "tests/unit/devices/timer_fakes.h"

namespace ringshift::devices {
namespace {

using timer_test::FakeLine;
using timer_test::FakeLoop;

TEST(TimerQueue, RunsByDeadlineThenByOrderOfArming) {
  FakeLoop loop;
  std::string order;
  auto a = loop.timers.create([&] { order += 'a'; });
  auto b = loop.timers.create([&] { order += 'b'; });
  auto c = loop.timers.create([&] { order += 'c'; });
  a->arm(300);
  c->arm(100);
  b->arm(100);
  EXPECT_EQ(loop.timers.next_deadline(), 100);
  loop.timers.run_due();
  EXPECT_EQ(order, "");
  loop.stall(1000);
  EXPECT_EQ(loop.timers.time_to_next_deadline(), 0);
  loop.timers.run_due();
  EXPECT_EQ(order, "cba");
  EXPECT_EQ(loop.timers.next_deadline(), std::nullopt);
}

TEST(TimerQueue, TimerThatArmsItselfInThePastDoesNotKeepTheLoop) {
  FakeLoop loop;
  int greedy_runs = 0, other_runs = 0;
  std::unique_ptr<Timer> greedy = loop.timers.create([&] {
    ++greedy_runs;
    greedy->arm(0);
  });
  auto other = loop.timers.create([&] { ++other_runs; });
  greedy->arm(0);
  other->arm(50);
  loop.stall(100);
  loop.timers.run_due();
  EXPECT_EQ(greedy_runs, 1);
  EXPECT_EQ(other_runs, 1);
}

TEST(TimerQueue, CallbackMayCancelOrDestroyOneThatIsDueToo) {
  FakeLoop loop;
  int runs = 0;
  auto doomed = loop.timers.create([&] { ++runs; });
  auto cancelled = loop.timers.create([&] { ++runs; });
  auto killer = loop.timers.create([&] {
    doomed.reset();
    cancelled->cancel();
  });
  killer->arm(1);
  doomed->arm(2);
  cancelled->arm(3);
  loop.stall(10);
  loop.timers.run_due();
  EXPECT_EQ(runs, 0);
}

TEST(TimerQueue, GuestTimeStandsWhilePaused) {
  FakeLoop loop;
  int runs = 0;
  auto timer = loop.timers.create([&] { ++runs; });
  timer->arm(100);
  loop.stall(40);
  loop.timers.pause();
  loop.stall(1000);
  loop.timers.run_due();
  EXPECT_EQ(loop.now(), 40);
  EXPECT_EQ(loop.timers.next_deadline(), std::nullopt);
  loop.timers.resume();
  EXPECT_EQ(loop.timers.time_to_next_deadline(), 60);
  loop.stall(60);
  loop.timers.run_due();
  EXPECT_EQ(runs, 1);
}

TEST(TimerQueue, ObserverHearsOnlyOfEarlierDeadlines) {
  FakeLoop loop;
  int calls = 0;
  loop.timers.set_deadline_observer([&] { ++calls; });
  auto a = loop.timers.create([] {});
  auto b = loop.timers.create([] {});
  a->arm(100);
  EXPECT_EQ(calls, 1);
  b->arm(200);
  EXPECT_EQ(calls, 1);
  b->arm(50);
  EXPECT_EQ(calls, 2);
  b->arm(60);  // first still, but later
  EXPECT_EQ(calls, 2);
}

// The heap against a plain list, over random arming and cancelling.
TEST(TimerQueue, NextDeadlineIsTheLeastOfAllArmed) {
  FakeLoop loop;
  std::mt19937 random(1);
  std::vector<std::unique_ptr<Timer>> timers;
  std::vector<std::optional<std::int64_t>> armed(20);
  for (int i = 0; i < 20; ++i) timers.push_back(loop.timers.create([] {}));
  for (int step = 0; step < 5000; ++step) {
    const std::size_t i = random() % timers.size();
    if (random() % 3) {
      armed[i] = static_cast<std::int64_t>(random() % 1000);
      timers[i]->arm(*armed[i]);
    } else {
      armed[i].reset();
      timers[i]->cancel();
    }
    std::optional<std::int64_t> least;
    for (const auto& deadline : armed)
      if (deadline && (!least || *deadline < *least)) least = deadline;
    ASSERT_EQ(loop.timers.next_deadline(), least);
  }
}

TEST(TickRate, FirstNanosecondOfATickIsInThatTick) {
  constexpr TickRate kRate{1'193'182};
  for (std::int64_t tick = 0; tick < 4'000'000; tick += 977) {
    ASSERT_EQ(kRate.ticks_at(kRate.ns_of(tick)), tick);
    if (tick) {
      ASSERT_EQ(kRate.ticks_at(kRate.ns_of(tick) - 1), tick - 1);
    }
  }
}

TEST(PeriodicTicks, LateTicksComeAtTwiceTheRateAndNoMoreThanTheLimit) {
  PeriodicTicks ticks;
  ticks.start(1000, 1000, 1);
  int taken = 0;
  std::int64_t last = 0;
  // The host was away until 100 ticks were due; then it is there for 100 more.
  for (std::int64_t now = 100'000; now <= 200'000; now = ticks.next_wake(now)) {
    if (!ticks.take(now)) continue;
    ++taken;
    if (last) {
      ASSERT_GE(now - last, 500);
    }
    last = now;
  }
  EXPECT_EQ(taken, 1 + PeriodicTicks::kMaxCatchUp + 100);
  EXPECT_EQ(last, 200'000);  // back on the grid
}

TEST(PeriodicTicks, NoGuestWakesTheHostMoreOftenThanTheMinimum) {
  PeriodicTicks ticks;
  ticks.start(2, 2, 24);
  std::int64_t now = 2;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(ticks.take(now));
    const std::int64_t next = ticks.next_wake(now);
    ASSERT_GE(next - now, 24);
    now = next;
  }
}

}  // namespace
}  // namespace ringshift::devices
