// guest/cpu_model_host.cc - asks the host's CPUID, XCR0 and TSC frequency.
#include "guest/cpu_model_host.h"

#include <cpuid.h>
#include <time.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "guest/cpu_model_features.h"

namespace ringshift::guest {
namespace {

constexpr std::uint64_t kAvxState = 0x6, kAvx512State = 0xe6;
constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;

std::uint64_t read_xcr0() {
  std::uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return std::uint64_t{high} << 32 | low;
}

std::uint64_t monotonic_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC_RAW, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * kNanosecondsPerSecond +
         static_cast<std::uint64_t>(t.tv_nsec);
}

struct Instant {
  std::uint64_t tsc, ns;
};

// The tightest of several readings, so that a preemption between the two clocks does not count.
Instant now() {
  Instant best{};
  std::uint64_t tightest = std::numeric_limits<std::uint64_t>::max();
  for (int i = 0; i < 16; ++i) {
    const std::uint64_t before = __builtin_ia32_rdtsc();
    const std::uint64_t ns = monotonic_ns();
    const std::uint64_t gap = __builtin_ia32_rdtsc() - before;
    if (gap >= tightest) continue;
    tightest = gap;
    best = {before + gap / 2, ns};
  }
  return best;
}

std::uint64_t measure_tsc_hz() {
  const Instant start = now();
  const timespec pause{0, 10'000'000};
  nanosleep(&pause, nullptr);
  const Instant end = now();
  const auto cycles = static_cast<unsigned __int128>(end.tsc - start.tsc);
  return static_cast<std::uint64_t>(cycles * kNanosecondsPerSecond / (end.ns - start.ns));
}

}  // namespace

HostCpu::HostCpu() {
  ask(0);
  for (std::uint32_t l : {1u, 0x15u, 0x16u}) ask(l);
  ask(7, 0);
  ask(7, 1);
  for (std::uint32_t component : {0u, 1u, 2u, 5u, 6u, 7u}) ask(0xd, component);
  ask_all_caches(4);
  if (leaf(1).ecx >> feature::kHypervisor.bit & 1) {
    ask(0x40000000);
    ask(0x40000010);
  }
  ask(0x80000000);
  for (std::uint32_t l = 0x80000001; l <= 0x80000008; ++l) ask(l);
  ask(0x8000001a);
  ask_all_caches(0x8000001d);
  ask(0x80000021);

  const bool os_uses_xsave = leaf(1).ecx >> feature::kOsxsave.bit & 1;
  if (os_uses_xsave) xcr0_ = read_xcr0();
  for (const NamedFeature& n : named_features()) {
    const CpuidResult r = leaf(n.feature.leaf, n.feature.subleaf);
    const std::uint32_t words[] = {r.eax, r.ebx, r.ecx, r.edx};
    if (words[n.feature.reg] >> n.feature.bit & 1) features_.set(n.feature, true);
  }
  if (!os_uses_xsave) features_.set(feature::kXsave, false);
  if ((xcr0_ & kAvxState) != kAvxState) features_.set(feature::kAvx, false);
  if ((xcr0_ & kAvx512State) != kAvx512State) features_.set(feature::kAvx512f, false);
  drop_unsupported(features_);
}

void HostCpu::ask(std::uint32_t number, std::uint32_t subleaf) {
  const std::uint32_t range = number & 0xf0000000;
  if (number != range && number > leaf(range).eax) return;
  CpuidResult r;
  __cpuid_count(number, subleaf, r.eax, r.ebx, r.ecx, r.edx);
  leaves_.push_back({number, subleaf, r});
}

void HostCpu::ask_all_caches(std::uint32_t number) {
  constexpr std::uint32_t kMostCaches = 8;
  for (std::uint32_t i = 0; i < kMostCaches; ++i) {
    ask(number, i);
    if ((leaf(number, i).eax & 0x1f) == 0) return;  // cache type 0: no more
  }
}

CpuidResult HostCpu::leaf(std::uint32_t number, std::uint32_t subleaf) const {
  const auto found = std::ranges::find_if(
      leaves_, [&](const CpuidLeaf& l) { return l.leaf == number && l.subleaf == subleaf; });
  return found == leaves_.end() ? CpuidResult{} : found->value;
}

std::uint64_t HostCpu::tsc_hz() const {
  // SDM Vol. 2 "CPUID", leaf 15H: crystal * numerator / denominator.
  const CpuidResult crystal = leaf(0x15);
  if (crystal.eax && crystal.ebx && crystal.ecx)
    return std::uint64_t{crystal.ecx} * crystal.ebx / crystal.eax;
  // The timing leaf that several hypervisors share: TSC in kHz.
  if (const std::uint32_t khz = leaf(0x40000010).eax) return std::uint64_t{khz} * 1000;
  return measure_tsc_hz();
}

}  // namespace ringshift::guest
