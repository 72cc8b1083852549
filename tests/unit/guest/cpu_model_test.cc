// tests/unit/guest/cpu_model_test.cc - what -cpu promises: models, modifiers, leaves.
#include "guest/cpu_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <ctime>

#include "guest/cpu_model_features.h"
#include "guest/cpu_model_host.h"
#include "guest/cpu_model_leaves.h"
#include "guest/cpu_model_plain.h"

namespace ringshift::guest {
namespace {

CpuModel make(std::string_view spec) {
  auto model = CpuModel::create(spec);
  EXPECT_TRUE(model) << spec << ": " << (model ? "" : model.error());
  return std::move(model).value();
}

std::string error_of(std::string_view spec) {
  const auto model = CpuModel::create(spec);
  return model ? "" : model.error();
}

CpuState with_all_xstate(const CpuModel& model) {
  CpuState s;
  s.cr4 |= cr4::kOsxsave;
  s.xcr0 = model.supported_xcr0();
  return s;
}

std::string text(std::initializer_list<std::uint32_t> words) {
  std::string s;
  for (std::uint32_t w : words) s.append(reinterpret_cast<const char*>(&w), 4);
  return s;
}

TEST(CpuModel, VendorIsAName) {
  for (const char* base : {"max", "qemu64"}) {
    const CpuModel intel = make(std::string(base) + ",vendor=GenuineIntel");
    EXPECT_TRUE(intel.vendor_is_intel());
    const auto leaf = intel.cpuid(0, 0, CpuState{}, 0);
    EXPECT_EQ(text({leaf.ebx, leaf.edx, leaf.ecx}), "GenuineIntel");
    EXPECT_FALSE(make(std::string(base) + ",vendor=AuthenticAMD").vendor_is_intel());
  }
  EXPECT_NE(error_of("max,vendor=CyrixInstead").find("vendor"), std::string::npos);
}

// Instructions that the host executes are offered exactly when the host has them.
TEST(CpuModel, MaxFollowsTheHostForSilicon) {
  const CpuModel model = make("max");
  const HostCpu host;
  for (Feature f : {feature::kSse42, feature::kAvx, feature::kAvx2, feature::kAvx512f,
                    feature::kAes, feature::kBmi2, feature::kSha, feature::kFma, feature::kXsave})
    EXPECT_EQ(model.has(f), host.features().has(f)) << feature_name(f);
}

TEST(CpuModel, MaxOffersWhatRingshiftImplements) {
  const CpuModel model = make("max");
  for (Feature f :
       {feature::kPcid,     feature::kSmep,      feature::kSmap,         feature::kUmip,
        feature::kFsgsbase, feature::kInvpcid,   feature::kPge,          feature::kPse36,
        feature::kNx,       feature::kPage1Gb,   feature::kRdtscp,       feature::kTscDeadline,
        feature::kX2apic,   feature::kTscAdjust, feature::kMtrr,         feature::kPat,
        feature::kMce,      feature::kMca,       feature::kSyscall,      feature::kSep,
        feature::kVme,      feature::kRdpid,     feature::kInvariantTsc, feature::kHypervisor,
        feature::kLongMode})
    EXPECT_TRUE(model.has(f)) << feature_name(f);
}

// A promise that nobody keeps is worse than a missing feature.
TEST(CpuModel, NoModelOffersWhatNobodyDelivers) {
  std::vector<std::string> specs{"max", "host"};
  for (const PlainModel& m : plain_models()) specs.emplace_back(m.name);
  for (const std::string& spec : specs) {
    const auto model = CpuModel::create(spec);
    if (!model) continue;  // a plain model that this host cannot carry
    for (const NamedFeature& n : named_features()) {
      if (n.provider == Provider::kNobody) {
        EXPECT_FALSE(model->has(n.feature)) << spec << " " << n.name;
      }
    }
  }
}

TEST(CpuModel, FeatureBitsAreWhatCpuidReports) {
  for (const char* spec : {"max", "qemu64", "pentium3"}) {
    const CpuModel model = make(spec);
    const CpuState s;
    for (const NamedFeature& n : named_features()) {
      if (!model.has(n.feature)) continue;
      const CpuidResult r = model.cpuid(n.feature.leaf, n.feature.subleaf, s, 0);
      const std::uint32_t words[] = {r.eax, r.ebx, r.ecx, r.edx};
      EXPECT_TRUE(words[n.feature.reg] >> n.feature.bit & 1) << spec << " " << n.name;
    }
  }
}

TEST(CpuModel, MaxHasTheHostsIdentity) {
  const CpuModel model = make("max");
  const HostCpu host;
  const CpuState s;
  EXPECT_EQ(model.cpuid(0, 0, s, 0).ebx, host.leaf(0).ebx);
  EXPECT_EQ(model.cpuid(1, 0, s, 0).eax, host.leaf(1).eax);
  EXPECT_EQ(model.vendor_is_intel(), host.vendor_is_intel());
}

TEST(CpuModel, HostHasTheHostsBrand) {
  const CpuState s;
  const CpuModel host_model = make("host"), max_model = make("max");
  const HostCpu host;
  EXPECT_EQ(host_model.cpuid(0x80000002, 0, s, 0).eax, host.leaf(0x80000002).eax);
  EXPECT_EQ(text({max_model.cpuid(0x80000002, 0, s, 0).eax}), "Ring");
}

// Linux "Documentation/virt/kvm/x86/cpuid.rst".
TEST(CpuModel, KvmLeavesSayWhatIsThere) {
  constexpr std::uint32_t kBothClocks = 1 | 1 << 3, kNoIoDelay = 1 << 1, kSteal = 1 << 5,
                          kStable = 1 << 24;
  const CpuState s;
  for (const char* spec : {"max", "host", "qemu64"}) {
    const CpuModel model = make(spec);
    const CpuidResult base = model.cpuid(0x40000000, 0, s, 0);
    EXPECT_EQ(text({base.ebx, base.ecx, base.edx}).substr(0, 9), "KVMKVMKVM") << spec;
    EXPECT_EQ(base.eax, 0x40000010u);
    EXPECT_EQ(model.cpuid(0x40000001, 0, s, 0).eax, kBothClocks | kNoIoDelay | kSteal | kStable);
    const CpuidResult second = model.cpuid(0x40000100, 0, s, 0);
    EXPECT_EQ(text({second.ebx, second.ecx, second.edx}), "RingshiftVMM");
    EXPECT_LT(model.cpuid(0, 0, s, 0).eax, 0x100u) << "no basic leaf became reachable by it";
  }
  EXPECT_EQ(make("max,-kvmclock").cpuid(0x40000001, 0, s, 0).eax, kNoIoDelay | kSteal);
  EXPECT_EQ(make("max,kvm-steal-time=off").cpuid(0x40000001, 0, s, 0).eax,
            kBothClocks | kNoIoDelay | kStable);
  EXPECT_FALSE(make("max,kvm=off").has_kvm());
  EXPECT_FALSE(make("max,-hypervisor").has_kvm());
  EXPECT_FALSE(CpuModel::create("max,+kvm-pv-eoi"));
  EXPECT_FALSE(CpuModel::create("max,kvm=perhaps"));
}

TEST(CpuModel, HypervisorLeavesNameRingshiftAndTheClocks) {
  const CpuModel model = make("max,kvm=off");
  const CpuState s;
  const CpuidResult base = model.cpuid(0x40000000, 0, s, 0);
  EXPECT_EQ(text({base.ebx, base.ecx, base.edx}), "RingshiftVMM");
  EXPECT_EQ(base.eax, 0x40000010u);
  EXPECT_EQ(model.cpuid(0x40000010, 0, s, 0).eax, model.tsc_hz() / 1000);
  EXPECT_EQ(make("max,-hypervisor").cpuid(0x40000000, 0, s, 0).ebx,
            make("max,-hypervisor").cpuid(0x20000000, 0, s, 0).ebx)
      << "without the hypervisor bit the range is like any other that does not exist";
}

TEST(CpuModel, DynamicBitsFollowTheState) {
  const CpuModel model = make("max");
  CpuState s;
  EXPECT_FALSE(model.cpuid(1, 0, s, 0).ecx >> feature::kOsxsave.bit & 1);
  s.cr4 |= cr4::kOsxsave;
  EXPECT_TRUE(model.cpuid(1, 0, s, 0).ecx >> feature::kOsxsave.bit & 1);
  EXPECT_EQ(model.cpuid(1, 0, s, 5).ebx >> 24, 5u);
  EXPECT_EQ(model.cpuid(0xb, 0, s, 5).edx, 5u);
  EXPECT_EQ(model.cpuid(0xb, 1, s, 5).ecx, 0x201u);
  EXPECT_EQ(model.cpuid(0xb, 2, s, 5).ecx, 2u) << "no third level, but the subleaf is echoed";
}

TEST(CpuModel, XsaveSizesFollowXcr0) {
  const CpuModel model = make("max");
  if (!model.has(feature::kAvx)) GTEST_SKIP() << "this host has no AVX";
  CpuState s = with_all_xstate(model);
  s.xcr0 = 3;
  EXPECT_EQ(model.cpuid(0xd, 0, s, 0).ebx, 576u);
  EXPECT_EQ(model.cpuid(0xd, 1, s, 0).ebx, 576u);
  s.xcr0 = 7;
  const CpuidResult avx = model.cpuid(0xd, 2, s, 0);
  EXPECT_EQ(avx.eax, 256u);
  EXPECT_EQ(model.cpuid(0xd, 0, s, 0).ebx, avx.ebx + avx.eax);
  EXPECT_EQ(model.cpuid(0xd, 1, s, 0).ebx, 576u + 256u);
  s.xcr0 = model.supported_xcr0();
  EXPECT_EQ(model.cpuid(0xd, 0, s, 0).ebx, model.cpuid(0xd, 0, s, 0).ecx);
  EXPECT_LE(model.cpuid(0xd, 0, s, 0).ecx, kXsaveBytes);
}

// The layout must be the host's, because the state lies in memory as the host's XSAVE left it.
TEST(CpuModel, XsaveComponentsLieWhereTheHostPutsThem) {
  const CpuModel model = make("max");
  const HostCpu host;
  const CpuState s = with_all_xstate(model);
  for (std::uint32_t i = 2; i < 63; ++i) {
    if (!(model.supported_xcr0() >> i & 1) || host.leaf(0xd, i).eax == 0) continue;
    EXPECT_EQ(model.cpuid(0xd, i, s, 0).eax, host.leaf(0xd, i).eax);
    EXPECT_EQ(model.cpuid(0xd, i, s, 0).ebx, host.leaf(0xd, i).ebx);
  }
}

TEST(CpuModel, AddressSizes) {
  const CpuState s;
  EXPECT_EQ(make("max").cpuid(0x80000008, 0, s, 0).eax & 0xffff, 48u << 8 | 40u);
  EXPECT_EQ(make("max").physical_address_bits(), 40u);
  EXPECT_EQ(make("pentium3").physical_address_bits(), 36u);
  EXPECT_EQ(make("486").physical_address_bits(), 32u);
}

TEST(CpuModel, Qemu64HidesWhatItLacks) {
  const CpuModel model = make("qemu64");
  for (Feature f : {feature::kAvx, feature::kXsave, feature::kSsse3, feature::kSse41,
                    feature::kPopcnt, feature::kAes, feature::kPcid, feature::kSmep, feature::kSmap,
                    feature::kFsgsbase, feature::kVme, feature::kSvm, feature::kRdtscp})
    EXPECT_FALSE(model.has(f)) << feature_name(f);
  for (Feature f : {feature::kSse3, feature::kCx16, feature::kLongMode, feature::kNx,
                    feature::kSyscall, feature::kLahf})
    EXPECT_TRUE(model.has(f)) << feature_name(f);
  const CpuState s;
  EXPECT_EQ(model.cpuid(1, 0, s, 0).eax, 0x00060fb1u);  // family 15, model 107, stepping 1
  EXPECT_EQ(model.supported_xcr0(), 1u);
  EXPECT_EQ(model.supported_cr4() & (cr4::kVme | cr4::kPcide | cr4::kOsxsave | cr4::kSmep), 0u);
  EXPECT_EQ(model.supported_efer(), efer::kSce | efer::kLme | efer::kLma | efer::kNxe);
}

// A guest that only knows 32 bits must not be lured into long mode.
TEST(CpuModel, Pentium3HasNoLongMode) {
  const CpuModel model = make("pentium3");
  EXPECT_FALSE(model.has(feature::kLongMode));
  EXPECT_EQ(model.supported_efer(), 0u);
  EXPECT_TRUE(model.has(feature::kVme));
  EXPECT_TRUE(model.supported_cr4() & cr4::kPvi);
}

// Protection keys are Ringshift's own: a host without them has no place for PKRU.
TEST(CpuModel, PkruHasAPlaceOfItsOwn) {
  const CpuModel model = make("max");
  if (!model.has(feature::kPku)) GTEST_SKIP() << "the host's processor has no XSAVE";
  constexpr std::uint32_t kPkru = 9;
  const CpuState s = with_all_xstate(model);
  const CpuidResult pkru = model.cpuid(0xd, kPkru, s, 0);
  EXPECT_EQ(pkru.eax, 8u);
  for (std::uint32_t i = 2; i < kPkru; ++i) {
    const CpuidResult other = model.cpuid(0xd, i, s, 0);
    EXPECT_LE(other.ebx + other.eax, pkru.ebx) << i;
  }
  EXPECT_FALSE(model.cpuid(7, 0, s, 0).ecx >> feature::kOspke.bit & 1);
  CpuState enabled = s;
  enabled.cr4 |= cr4::kPke;
  EXPECT_TRUE(model.cpuid(7, 0, enabled, 0).ecx >> feature::kOspke.bit & 1);
  EXPECT_EQ(make("max,-pku").supported_xcr0() >> kPkru & 1, 0u);
}

TEST(CpuModel, DroppingAFeatureDropsWhatNeedsIt) {
  const CpuModel no_avx = make("max,-avx");
  EXPECT_FALSE(no_avx.has(feature::kAvx2));
  EXPECT_FALSE(no_avx.has(feature::kAvx512f));
  EXPECT_FALSE(no_avx.has(feature::kAvx512bitalg));
  EXPECT_FALSE(no_avx.has(feature::kFma));
  EXPECT_FALSE(no_avx.has(feature::kVaes));
  const HostCpu host;
  EXPECT_EQ(no_avx.has(feature::kAes), host.features().has(feature::kAes));
  EXPECT_EQ(no_avx.supported_xcr0(), make("max").has(feature::kXsave) ? 0x203u : 1u);

  const CpuModel no_xsave = make("max,xsave=off");
  EXPECT_EQ(no_xsave.supported_xcr0(), 1u);
  EXPECT_FALSE(no_xsave.supported_cr4() & cr4::kOsxsave);
  EXPECT_FALSE(no_xsave.has(feature::kXsavec));
  const CpuState s;
  EXPECT_EQ(no_xsave.cpuid(0xd, 0, s, 0).eax, 0u);
}

TEST(CpuModel, NamesInEitherSpelling) {
  for (const char* spec : {"max,-sse4.1", "max,-sse4_1", "max,-SSE4-1", "max,sse4.1=off"})
    EXPECT_FALSE(make(spec).has(feature::kSse41)) << spec;
  EXPECT_TRUE(make("qemu64,+x2apic").has(feature::kX2apic));
  EXPECT_TRUE(make("qemu64,x2apic=on").has(feature::kX2apic));
  EXPECT_TRUE(make("qemu64,x2apic").has(feature::kX2apic));
}

TEST(CpuModel, AddedFeaturesAreReachable) {
  const CpuModel model = make("Nehalem,+invtsc,+xsave,+smap");
  const CpuState s;
  EXPECT_TRUE(model.cpuid(7, 0, s, 0).ebx >> feature::kSmap.bit & 1);
  EXPECT_TRUE(model.cpuid(0x80000007, 0, s, 0).edx >> 8 & 1);
  EXPECT_GE(model.cpuid(0, 0, s, 0).eax, 0xdu);
  EXPECT_EQ(model.cpuid(0xd, 0, s, 0).eax, 3u);
}

TEST(CpuModel, ErrorsAreOneLineThatNamesTheCulprit) {
  EXPECT_NE(error_of("wobble").find("wobble"), std::string::npos);
  EXPECT_NE(error_of("max,+foo").find("foo"), std::string::npos);
  EXPECT_NE(error_of("max,avx=maybe").find("maybe"), std::string::npos);
  EXPECT_NE(error_of("max,+svm").find("svm"), std::string::npos);
  EXPECT_NE(error_of("max,+avx2,-avx").find("avx2 needs avx"), std::string::npos);
  for (const char* spec : {"", ",", "max,", "max,,avx=on", "max,+", "max,=on", "qemu64,+3dnow"}) {
    const std::string error = error_of(spec);
    EXPECT_FALSE(error.empty()) << spec;
    EXPECT_EQ(error.find('\n'), std::string::npos) << spec;
  }
}

// Out-of-range leaves: zero on AMD's parts, the highest basic leaf on Intel's.
TEST(CpuModel, LeavesOutOfRange) {
  const CpuState s;
  const CpuModel amd = make("qemu64"), intel = make("core2duo");
  EXPECT_EQ(amd.cpuid(0x7fff0000, 0, s, 0).eax, 0u);
  EXPECT_EQ(amd.cpuid(0x8000ffff, 0, s, 0).eax, 0u);
  const std::uint32_t highest = intel.cpuid(0, 0, s, 0).eax;
  EXPECT_EQ(intel.cpuid(0x7fff0000, 0, s, 0).ebx, intel.cpuid(highest, 0, s, 0).ebx);
}

// Guests take the TSC's frequency from leaf 15H with 32-bit arithmetic in kHz.
TEST(CpuModel, CrystalRatioIsExactEnoughForATimekeeper) {
  const HostCpu host;
  Identity identity;
  identity.intel = true;
  identity.highest_basic = 0x16;
  for (const std::uint64_t hz : {999'999'000ull, 1'000'000'000ull, 1'996'249'000ull,
                                 2'596'119'926ull, 3'699'998'123ull, 4'200'001'000ull}) {
    const auto leaves = build_leaves(identity, {}, host, 1, 40, hz);
    const auto leaf = std::ranges::find(leaves, 0x15u, &CpuidLeaf::leaf);
    ASSERT_NE(leaf, leaves.end());
    const CpuidResult r = leaf->value;
    ASSERT_NE(r.eax, 0u);
    const std::uint64_t crystal_khz_times_numerator = std::uint64_t{r.ecx} / 1000 * r.ebx;
    EXPECT_LE(crystal_khz_times_numerator, 0xffffffffu) << hz;
    EXPECT_NEAR(static_cast<double>(crystal_khz_times_numerator) * 1000 / r.eax,
                static_cast<double>(hz), static_cast<double>(hz) * 2e-6);
  }
}

// Repeated, because a preemption between the two clocks spoils a measurement.
TEST(CpuModel, TscFrequencyMatchesTheClock) {
  const auto hz = static_cast<double>(make("max").tsc_hz());
  const auto nanoseconds = [] {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC_RAW, &t);
    return t.tv_sec * 1'000'000'000 + t.tv_nsec;
  };
  double closest = 1;
  for (int attempt = 0; attempt < 10 && closest > 0.001; ++attempt) {
    const auto start = nanoseconds();
    const std::uint64_t tsc = __builtin_ia32_rdtsc();
    while (nanoseconds() - start < 20'000'000) {
    }
    const auto end = nanoseconds();
    const auto cycles = static_cast<double>(__builtin_ia32_rdtsc() - tsc);
    closest = std::min(closest, std::abs(cycles * 1e9 / static_cast<double>(end - start) / hz - 1));
  }
  EXPECT_LT(closest, 0.001);
}

// Linux reads the cache leaves and divides by what it finds.
TEST(CpuModel, CacheLeavesDescribeOneProcessor) {
  const CpuModel model = make("max");
  const CpuState s;
  const std::uint32_t leaf = model.vendor_is_intel() ? 4 : 0x8000001d;
  int caches = 0;
  for (; caches < 16; ++caches) {
    const CpuidResult r = model.cpuid(leaf, static_cast<std::uint32_t>(caches), s, 0);
    if ((r.eax & 0x1f) == 0) break;
    EXPECT_EQ(r.eax >> 14, 0u) << "shared by one thread, one core in the package";
    EXPECT_EQ((r.ebx & 0xfff) + 1, 64u);
  }
  EXPECT_GE(caches, 3);
  EXPECT_LT(caches, 16);
}

TEST(CpuModel, DependencyTableSettlesInOnePass) {
  FeatureSet all;
  for (const NamedFeature& n : named_features()) all.set(n.feature, true);
  for (const NamedFeature& dropped : named_features()) {
    FeatureSet once = all;
    once.set(dropped.feature, false);
    drop_unsupported(once);
    FeatureSet twice = once;
    drop_unsupported(twice);
    for (const NamedFeature& n : named_features())
      EXPECT_EQ(once.has(n.feature), twice.has(n.feature)) << dropped.name << " " << n.name;
  }
}

}  // namespace
}  // namespace ringshift::guest
