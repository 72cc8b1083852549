// translator/callouts/msr_paravirtual.cc - KVM's clock and steal time.
// Linux "Documentation/virt/kvm/x86/msr.rst".
#include <algorithm>
#include <array>
#include <cstddef>

#include "translator/callouts/msr.h"
#include "translator/callouts/msr_groups.h"
#include "translator/callouts/paravirtual_time.h"

namespace ringshift::translator {
namespace {

namespace feature = guest::feature;
using guest::PhysicalAddress;

enum Index : std::uint32_t {
  kWallClockOld = 0x11,
  kSystemTimeOld = 0x12,
  kWallClock = 0x4b564d00,
  kSystemTime = 0x4b564d01,
  kStealTime = 0x4b564d03,
};

constexpr std::uint64_t kEnabled = 1;
constexpr std::int64_t kSecond = 1'000'000'000;

struct WallClock {
  std::uint32_t version = 0, seconds = 0, nanoseconds = 0;
};

struct SystemTime {
  std::uint32_t version = 0, pad = 0;
  std::uint64_t tsc = 0;
  std::uint64_t nanoseconds = 0;  // when the counter was at `tsc`
  std::uint32_t multiplier = 0;
  std::int8_t shift = 0;
  std::uint8_t flags = 0;
  std::uint8_t pad2[2] = {};
};
static_assert(sizeof(SystemTime) == 32);
constexpr std::uint8_t kTscStable = 1;  // the same on all processors, and it never goes back

struct StealTime {
  std::uint64_t nanoseconds = 0;
  std::uint32_t version = 0, flags = 0;
  std::uint8_t preempted = 0;
  std::uint8_t pad[47] = {};
};
static_assert(sizeof(StealTime) == 64);

bool is_ram(const Core& core, PhysicalAddress start, std::size_t bytes) {
  return core.memory.ram_page(start) &&
         core.memory.ram_page(PhysicalAddress{start.value + bytes - 1});
}

// The version is odd while the rest changes. Nothing is written where there is no RAM.
template <typename Structure>
void publish(Core& core, std::uint64_t address, Structure value) {
  const PhysicalAddress at{address};
  if (!is_ram(core, at, sizeof value)) return;
  const PhysicalAddress version{address + offsetof(Structure, version)};
  value.version = (core.memory.load<std::uint32_t>(version) | 1) + 2;
  core.memory.store(version, value.version);
  core.memory.store(at, value);
  core.memory.store(version, value.version + 1);
}

// Guest time and the counter at one moment: of a few tries, the one that took the least time.
struct Moment {
  guest::Platform::Time time;
  std::uint64_t tsc = 0, width = ~std::uint64_t{0};
};
Moment moment(Core& core) {
  Moment best;
  for (int i = 0; i < 4; ++i) {
    const std::uint64_t before = guest_tsc(core.state);
    const guest::Platform::Time time = core.platform.time();
    const std::uint64_t width = guest_tsc(core.state) - before;
    if (width < best.width) best = {time, before + width / 2, width};
  }
  return best;
}

void write_wall_clock(Core& core) {
  const std::int64_t began = std::max<std::int64_t>(core.platform.time().began_at, 0);
  WallClock clock;
  clock.seconds = static_cast<std::uint32_t>(began / kSecond);
  clock.nanoseconds = static_cast<std::uint32_t>(began % kSecond);
  publish(core, core.state.msr.kvm_wall_clock, clock);
}

std::uint64_t guest::Msrs::*register_of(const Core& core, std::uint32_t index) {
  switch (index) {
    case kWallClock:
    case kWallClockOld:
      return core.model.has(feature::kKvmClock) ? &guest::Msrs::kvm_wall_clock : nullptr;
    case kSystemTime:
    case kSystemTimeOld:
      return core.model.has(feature::kKvmClock) ? &guest::Msrs::kvm_system_time : nullptr;
    case kStealTime:
      return core.model.has(feature::kKvmStealTime) ? &guest::Msrs::kvm_steal_time : nullptr;
    default:
      return nullptr;
  }
}

}  // namespace

TickScale tick_scale(std::uint64_t hz) {
  // A multiplier of 32 bits whose highest is set has the least error.
  std::int8_t shift = 0;
  std::uint64_t ticks = hz;
  for (; ticks > static_cast<std::uint64_t>(2 * kSecond); ticks >>= 1) --shift;
  for (; ticks <= static_cast<std::uint64_t>(kSecond); ticks <<= 1) ++shift;
  const auto scaled = static_cast<unsigned __int128>(kSecond) << 32;
  const auto divisor =
      shift < 0 ? static_cast<unsigned __int128>(hz) : static_cast<unsigned __int128>(hz) << shift;
  const auto multiplier = shift < 0 ? (scaled << -shift) / divisor : scaled / divisor;
  return {static_cast<std::uint32_t>(multiplier), shift};
}

void write_system_time(Core& core) {
  const std::uint64_t where = core.state.msr.kvm_system_time;
  if (!(where & kEnabled)) return;
  const Moment now = moment(core);
  const TickScale scale = tick_scale(core.model.tsc_hz());
  SystemTime time;
  time.tsc = now.tsc;
  time.nanoseconds = static_cast<std::uint64_t>(now.time.now);
  time.multiplier = scale.multiplier;
  time.shift = scale.shift;
  time.flags = core.model.has(feature::kKvmClockStable) ? kTscStable : 0;
  publish(core, where & ~kEnabled, time);
}

void write_steal_time(Core& core) {
  const std::uint64_t where = core.state.msr.kvm_steal_time;
  if (!(where & kEnabled)) return;
  StealTime steal;
  steal.nanoseconds = core.platform.stolen_ns();
  publish(core, where & ~kEnabled, steal);
}

MsrValue read_paravirtual_msr(const Core& core, std::uint32_t index) {
  const auto where = register_of(core, index);
  if (!where) return std::nullopt;
  return core.state.msr.*where;
}

MsrWrite write_paravirtual_msr(Core& core, std::uint32_t index, std::uint64_t value) {
  constexpr std::uint64_t kStealReserved = 0x3e;
  const auto where = register_of(core, index);
  if (!where) return MsrWrite::kNotMine;
  if (index == kStealTime && (value & kStealReserved)) return MsrWrite::kRefused;
  core.state.msr.*where = value;
  if (index == kStealTime)
    write_steal_time(core);
  else if (index == kSystemTime || index == kSystemTimeOld)
    write_system_time(core);
  else
    write_wall_clock(core);
  return MsrWrite::kDone;
}

Result hypercall(Core& core, const Operation&) {
  constexpr std::int64_t kNotKnown = -1000, kNotPermitted = -1;  // KVM_ENOSYS, KVM_EPERM
  if (!core.model.has_kvm()) return tl::unexpected(guest::invalid_opcode());
  const auto answer = static_cast<std::uint64_t>(core.state.cpl ? kNotPermitted : kNotKnown);
  write_gpr(core, 0, core.state.in_64bit_code() ? 8 : 4, answer);
  return Next::kContinue;
}

}  // namespace ringshift::translator
