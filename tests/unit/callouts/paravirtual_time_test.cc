// tests/unit/callouts/paravirtual_time_test.cc - KVM's clock, steal time and hypercalls: what the
// guest finds in its memory, and where nothing may be written.
#include "translator/callouts/paravirtual_time.h"

#include <cmath>

#include "tests/unit/callouts/fixture.h"
#include "translator/callouts/msr.h"

namespace ringshift::translator {
namespace {

using guest::CpuModel;
using guest::Gpr;

constexpr std::uint32_t kWallClock = 0x4b564d00, kSystemTime = 0x4b564d01, kStealTime = 0x4b564d03,
                        kWallClockOld = 0x11, kSystemTimeOld = 0x12;
constexpr std::uint64_t kNanosecond = 1'000'000'000;

class TimedPlatform final : public FakePlatform {
 public:
  Time time() override { return {now, began_at}; }
  std::uint64_t stolen_ns() override { return stolen; }
  std::int64_t now = 5'000'000'123, began_at = 1'700'000'000'000'000'789;
  std::uint64_t stolen = 0x123456789;
};

class ParavirtualTime : public CalloutTest {
 protected:
  ParavirtualTime() { enter_long(); }
  bool write(std::uint32_t index, std::uint64_t value) { return write_msr(timed, index, value); }
  // What a guest makes of its clock at this value of the counter.
  std::uint64_t nanoseconds_at(std::uint64_t where, std::uint64_t tsc) {
    auto delta = tsc - load<std::uint64_t>(where + 8);
    const auto shift = load<std::int8_t>(where + 28);
    delta = shift < 0 ? delta >> -shift : delta << shift;
    const auto product = static_cast<unsigned __int128>(delta) * load<std::uint32_t>(where + 24);
    return load<std::uint64_t>(where + 16) + static_cast<std::uint64_t>(product >> 32);
  }
  Core with(const CpuModel& other) { return {state, mmu, *memory, other, clock}; }

  TimedPlatform clock;
  Core timed{state, mmu, *memory, model, clock};
};

TEST_F(ParavirtualTime, SystemTimeFollowsTheCounter) {
  store<std::uint32_t>(kData, 7);  // a version that an earlier owner left
  ASSERT_TRUE(write(kSystemTime, kData | 1));
  EXPECT_EQ(read_msr(timed, kSystemTime), kData | 1);
  EXPECT_EQ(read_msr(timed, kSystemTimeOld), kData | 1);
  EXPECT_EQ(load<std::uint32_t>(kData) % 2, 0u);
  EXPECT_GT(load<std::uint32_t>(kData), 7u);
  EXPECT_EQ(load<std::uint8_t>(kData + 29), 1) << "stable";
  const std::uint64_t tsc = load<std::uint64_t>(kData + 8);
  EXPECT_LT(guest_tsc(state) - tsc, model.tsc_hz());
  EXPECT_EQ(nanoseconds_at(kData, tsc), 5'000'000'123u);
  const auto day =
      static_cast<double>(nanoseconds_at(kData, tsc + 86400 * model.tsc_hz()) - 5'000'000'123);
  EXPECT_NEAR(day, 86400e9, 86400.0) << "a part in a thousand million";
}

TEST_F(ParavirtualTime, ScaleOfAnyFrequency) {
  for (std::uint64_t hz :
       {1'000'000ull, 32'768'000ull, 999'999'999ull, 1'000'000'000ull, 1'000'000'001ull,
        2'000'000'000ull, 2'000'000'001ull, 2'445'404'123ull, 4'000'000'000ull, 9'999'999'999ull}) {
    const TickScale scale = tick_scale(hz);
    EXPECT_GT(scale.multiplier, 0x7fffff00u) << hz;  // no bit of the 32 is wasted
    const double second = std::ldexp(static_cast<double>(scale.multiplier), scale.shift - 32) *
                          static_cast<double>(hz);
    EXPECT_NEAR(second, 1e9, 1.0) << hz;
  }
}

// Time goes on from where it was when the guest writes to its counter.
TEST_F(ParavirtualTime, CounterThatJumps) {
  ASSERT_TRUE(write(kSystemTime, kData | 1));
  const std::uint32_t version = load<std::uint32_t>(kData);
  clock.now += 1000;
  ASSERT_TRUE(write(0x10, 0));
  EXPECT_GT(load<std::uint32_t>(kData), version);
  EXPECT_LT(load<std::uint64_t>(kData + 8), model.tsc_hz());
  EXPECT_EQ(load<std::uint64_t>(kData + 16), 5'000'001'123u);
}

TEST_F(ParavirtualTime, DisabledClockIsLeftAlone) {
  ASSERT_TRUE(write(kSystemTime, kData));
  ASSERT_TRUE(write(0x10, 0));
  for (unsigned i = 0; i < 32; i += 8) EXPECT_EQ(load<std::uint64_t>(kData + i), 0u);
}

TEST_F(ParavirtualTime, WallClockIsWhenGuestTimeBegan) {
  for (const std::uint32_t index : {kWallClock, kWallClockOld}) {
    store<std::uint64_t>(kData + 4, 0);
    ASSERT_TRUE(write(index, kData));
    EXPECT_EQ(load<std::uint32_t>(kData) % 2, 0u);
    EXPECT_EQ(load<std::uint32_t>(kData + 4), 1'700'000'000u);
    EXPECT_EQ(load<std::uint32_t>(kData + 8), 789u);
  }
}

TEST_F(ParavirtualTime, StealTimeIsTheHosts) {
  ASSERT_TRUE(write(kStealTime, kData | 1));
  EXPECT_EQ(load<std::uint64_t>(kData), 0x123456789u);
  EXPECT_EQ(load<std::uint32_t>(kData + 8) % 2, 0u);
  clock.stolen += kNanosecond;
  write_steal_time(timed);
  EXPECT_EQ(load<std::uint64_t>(kData), 0x123456789u + kNanosecond);
  EXPECT_FALSE(write(kStealTime, kData | 5)) << "reserved bits";
  ASSERT_TRUE(write(kStealTime, kData));
  clock.stolen += kNanosecond;
  write_steal_time(timed);
  EXPECT_EQ(load<std::uint64_t>(kData), 0x123456789u + kNanosecond) << "disabled";
}

// At the end of RAM, behind it and at addresses that do not exist, nothing is written and nothing
// goes wrong; over the border of two pages all of it is.
TEST_F(ParavirtualTime, PlacesThatAreNotMemory) {
  for (const std::uint64_t where :
       {kRamBytes - 16, kRamBytes, std::uint64_t{0xfee00000}, std::uint64_t{1} << 51,
        ~std::uint64_t{0} & ~std::uint64_t{63}}) {
    EXPECT_TRUE(write(kSystemTime, where | 1));
    EXPECT_TRUE(write(kWallClock, where));
    EXPECT_TRUE(write(kStealTime, (where & ~std::uint64_t{63}) | 1));
  }
  EXPECT_EQ(load<std::uint64_t>(kRamBytes - 8), 0u);
  ASSERT_TRUE(write(kSystemTime, (kData + 0xff8) | 1));
  EXPECT_EQ(load<std::uint64_t>(kData + 0xff8 + 16), 5'000'000'123u);
}

TEST_F(ParavirtualTime, HiddenRegistersDoNotExist) {
  const CpuModel hidden = CpuModel::create("max,kvm=off").value();
  Core other = with(hidden);
  for (const std::uint32_t index :
       {kWallClock, kSystemTime, kStealTime, kWallClockOld, kSystemTimeOld}) {
    EXPECT_FALSE(read_msr(other, index)) << std::hex << index;
    EXPECT_FALSE(write_msr(other, index, 0)) << std::hex << index;
  }
  EXPECT_TRUE(faults_with(hypercall(other, operation(3)), guest::invalid_opcode()));
}

TEST_F(ParavirtualTime, HypercallsAreRefused) {
  state.reg(Gpr::kRax) = 9;
  ASSERT_TRUE(hypercall(timed, operation(3)));
  EXPECT_EQ(static_cast<std::int64_t>(state.reg(Gpr::kRax)), -1000);
  state.cpl = 3;
  ASSERT_TRUE(hypercall(timed, operation(3)));
  EXPECT_EQ(static_cast<std::int64_t>(state.reg(Gpr::kRax)), -1);
}

}  // namespace
}  // namespace ringshift::translator
