// guest/cpu_model_features.cc - the table of CPUID features by name, and their dependencies.
#include "guest/cpu_model_features.h"

#include <algorithm>
#include <array>

namespace ringshift::guest {
namespace {

using enum Provider;
namespace f = feature;

constexpr Feature edx1(std::uint8_t bit) { return {1, 0, Feature::kEdx, bit}; }
constexpr Feature ecx1(std::uint8_t bit) { return {1, 0, Feature::kEcx, bit}; }
constexpr Feature ebx7(std::uint8_t bit) { return {7, 0, Feature::kEbx, bit}; }
constexpr Feature ecx7(std::uint8_t bit) { return {7, 0, Feature::kEcx, bit}; }
constexpr Feature edx7(std::uint8_t bit) { return {7, 0, Feature::kEdx, bit}; }
constexpr Feature ext_ecx(std::uint8_t bit) { return {f::kExt, 0, Feature::kEcx, bit}; }
constexpr Feature ext_edx(std::uint8_t bit) { return {f::kExt, 0, Feature::kEdx, bit}; }
constexpr Feature kvm(std::uint8_t bit) { return {f::kKvmFeatures, 0, Feature::kEax, bit}; }
constexpr Feature amd21(std::uint8_t bit) { return {0x80000021, 0, Feature::kEax, bit}; }

// SDM Vol. 2 "CPUID", APM Vol. 3 "Obtaining Processor Information Via the CPUID Instruction".
constexpr auto kNames = std::to_array<NamedFeature>({
    {"fpu", "", f::kFpu, kHost},
    {"vme", "", f::kVme, kRingshift},
    {"de", "", f::kDe, kRingshift},
    {"pse", "", f::kPse, kRingshift},
    {"tsc", "", f::kTsc, kRingshift},
    {"msr", "", f::kMsr, kRingshift},
    {"pae", "", f::kPae, kRingshift},
    {"mce", "", f::kMce, kRingshift},
    {"cx8", "", f::kCx8, kHost},
    {"apic", "", f::kApic, kRingshift},
    {"sep", "", f::kSep, kRingshift},
    {"mtrr", "", f::kMtrr, kRingshift},
    {"pge", "", f::kPge, kRingshift},
    {"mca", "", f::kMca, kRingshift},
    {"cmov", "", f::kCmov, kHost},
    {"pat", "", f::kPat, kRingshift},
    {"pse36", "", f::kPse36, kRingshift},
    {"pn", "", edx1(18), kNobody},
    {"clflush", "clfsh", f::kClfsh, kHost},
    {"ds", "dts", edx1(21), kNobody},
    {"acpi", "", edx1(22), kNobody},
    {"mmx", "", f::kMmx, kHost},
    {"fxsr", "", f::kFxsr, kHost},
    {"sse", "", f::kSse, kHost},
    {"sse2", "", f::kSse2, kHost},
    {"ss", "", edx1(27), kNobody},
    {"ht", "", edx1(28), kNobody},
    {"tm", "", edx1(29), kNobody},
    {"pbe", "", edx1(31), kNobody},

    {"pni", "sse3", f::kSse3, kHost},
    {"pclmulqdq", "pclmuldq", f::kPclmulqdq, kHost},
    {"dtes64", "", ecx1(2), kNobody},
    {"monitor", "", f::kMonitor, kNobody},
    {"ds-cpl", "", ecx1(4), kNobody},
    {"vmx", "", ecx1(5), kNobody},
    {"smx", "", ecx1(6), kNobody},
    {"est", "", ecx1(7), kNobody},
    {"tm2", "", ecx1(8), kNobody},
    {"ssse3", "", f::kSsse3, kHost},
    {"fma", "", f::kFma, kHost},
    {"cx16", "", f::kCx16, kHost},
    {"xtpr", "", ecx1(14), kNobody},
    {"pdcm", "", ecx1(15), kNobody},
    {"pcid", "", f::kPcid, kRingshift},
    {"dca", "", ecx1(18), kNobody},
    {"sse4.1", "", f::kSse41, kHost},
    {"sse4.2", "", f::kSse42, kHost},
    {"x2apic", "", f::kX2apic, kRingshift},
    {"movbe", "", f::kMovbe, kHost},
    {"popcnt", "", f::kPopcnt, kHost},
    {"tsc-deadline", "tsc-deadline-timer", f::kTscDeadline, kRingshift},
    {"aes", "", f::kAes, kHost},
    {"xsave", "", f::kXsave, kHost},
    {"avx", "", f::kAvx, kHost},
    {"f16c", "", f::kF16c, kHost},
    {"rdrand", "", f::kRdrand, kHost},
    {"hypervisor", "", f::kHypervisor, kRingshift},

    {"kvm-nopiodelay", "", f::kKvmNoIoDelay, kRingshift},
    {"kvm-mmu", "", kvm(2), kNobody},
    {"kvmclock", "", f::kKvmClock, kRingshift},
    {"kvm-asyncpf", "", kvm(4), kNobody},
    {"kvm-steal-time", "", f::kKvmStealTime, kRingshift},
    {"kvm-pv-eoi", "", kvm(6), kNobody},
    {"kvm-pv-unhalt", "", kvm(7), kNobody},
    {"kvm-pv-tlb-flush", "", kvm(9), kNobody},
    {"kvm-pv-ipi", "", kvm(11), kNobody},
    {"kvm-poll-control", "", kvm(12), kNobody},
    {"kvm-pv-sched-yield", "", kvm(13), kNobody},
    {"kvm-asyncpf-int", "", kvm(14), kNobody},
    {"kvm-msi-ext-dest-id", "", kvm(15), kNobody},
    {"kvmclock-stable-bit", "", f::kKvmClockStable, kRingshift},

    {"fsgsbase", "", f::kFsgsbase, kRingshift},
    {"tsc-adjust", "", f::kTscAdjust, kRingshift},
    {"sgx", "", ebx7(2), kNobody},
    {"bmi1", "", f::kBmi1, kHost},
    {"hle", "", ebx7(4), kNobody},
    {"avx2", "", f::kAvx2, kHost},
    {"fdp-excptn-only", "", ebx7(6), kHost},
    {"smep", "", f::kSmep, kRingshift},
    {"bmi2", "", f::kBmi2, kHost},
    {"erms", "", f::kErms, kHost},
    {"invpcid", "", f::kInvpcid, kRingshift},
    {"rtm", "", ebx7(11), kNobody},
    {"zero-fcs-fds", "", ebx7(13), kRingshift},
    {"mpx", "", ebx7(14), kNobody},
    {"avx512f", "", f::kAvx512f, kHost},
    {"avx512dq", "", f::kAvx512dq, kHost},
    {"rdseed", "", f::kRdseed, kHost},
    {"adx", "", f::kAdx, kHost},
    {"smap", "", f::kSmap, kRingshift},
    {"avx512ifma", "", f::kAvx512ifma, kHost},
    {"clflushopt", "", f::kClflushopt, kHost},
    {"clwb", "", f::kClwb, kHost},
    {"intel-pt", "", ebx7(25), kNobody},
    {"avx512cd", "", f::kAvx512cd, kHost},
    {"sha-ni", "sha", f::kSha, kHost},
    {"avx512bw", "", f::kAvx512bw, kHost},
    {"avx512vl", "", f::kAvx512vl, kHost},

    {"avx512vbmi", "", f::kAvx512vbmi, kHost},
    {"umip", "", f::kUmip, kRingshift},
    {"pku", "", f::kPku, kRingshift},
    {"waitpkg", "", ecx7(5), kNobody},
    {"avx512vbmi2", "", f::kAvx512vbmi2, kHost},
    {"shstk", "", ecx7(7), kNobody},
    {"gfni", "", f::kGfni, kHost},
    {"vaes", "", f::kVaes, kHost},
    {"vpclmulqdq", "", f::kVpclmulqdq, kHost},
    {"avx512vnni", "", f::kAvx512vnni, kHost},
    {"avx512bitalg", "", f::kAvx512bitalg, kHost},
    {"avx512-vpopcntdq", "", f::kAvx512vpopcntdq, kHost},
    {"la57", "", ecx7(16), kNobody},
    {"rdpid", "", f::kRdpid, kRingshift},
    {"cldemote", "", ecx7(25), kNobody},
    {"movdiri", "", ecx7(27), kNobody},
    {"movdir64b", "", ecx7(28), kNobody},
    {"pks", "", f::kPks, kRingshift},

    {"fsrm", "", f::kFsrm, kHost},
    {"avx512-vp2intersect", "", f::kAvx512vp2intersect, kHost},
    {"md-clear", "", edx7(10), kNobody},
    {"serialize", "", f::kSerialize, kHost},
    {"ibt", "", edx7(20), kNobody},
    {"avx512-fp16", "", edx7(23), kHost},
    {"amx-tile", "", edx7(24), kNobody},
    {"amx-int8", "", edx7(25), kNobody},
    {"amx-bf16", "", edx7(22), kNobody},
    {"spec-ctrl", "", edx7(26), kNobody},
    {"stibp", "", edx7(27), kNobody},
    {"flush-l1d", "", edx7(28), kNobody},
    {"arch-capabilities", "", f::kArchCapabilities, kRingshift},
    {"ssbd", "", edx7(31), kNobody},
    {"avx-vnni", "", f::kAvxVnni, kHost},
    {"avx512-bf16", "", f::kAvx512bf16, kHost},

    {"xsaveopt", "", f::kXsaveopt, kRingshift},
    {"xsavec", "", f::kXsavec, kRingshift},
    {"xgetbv1", "", f::kXgetbv1, kRingshift},
    {"xsaves", "", f::kXsaves, kNobody},

    {"lahf-lm", "", f::kLahf, kHost},
    {"cmp-legacy", "", ext_ecx(1), kNobody},
    {"svm", "", f::kSvm, kNobody},
    {"cr8legacy", "cr8-legacy", ext_ecx(4), kNobody},
    {"abm", "lzcnt", f::kLzcnt, kHost},
    {"sse4a", "", f::kSse4a, kHost},
    {"misalignsse", "", ext_ecx(7), kHost},
    {"3dnowprefetch", "", f::kPrefetchw, kHost},
    {"osvw", "", ext_ecx(9), kNobody},
    {"ibs", "", ext_ecx(10), kNobody},
    {"xop", "", f::kXop, kHost},
    {"skinit", "", ext_ecx(12), kNobody},
    {"fma4", "", f::kFma4, kHost},
    {"tbm", "", f::kTbm, kHost},
    {"topoext", "", f::kTopoext, kRingshift},
    {"perfctr-core", "", ext_ecx(23), kNobody},

    {"syscall", "", f::kSyscall, kRingshift},
    {"nx", "xd", f::kNx, kRingshift},
    {"mmxext", "", f::kMmxext, kHost},
    {"fxsr-opt", "ffxsr", f::kFxsrOpt, kNobody},
    {"pdpe1gb", "", f::kPage1Gb, kRingshift},
    {"rdtscp", "", f::kRdtscp, kRingshift},
    {"lm", "i64", f::kLongMode, kRingshift},
    {"3dnowext", "", f::k3dnowExt, kHost},
    {"3dnow", "", f::k3dnow, kHost},

    {"invtsc", "nonstop-tsc", f::kInvariantTsc, kRingshift},
    {"clzero", "", {0x80000008, 0, Feature::kEbx, 0}, kNobody},
    // FXSAVE and XSAVE always write the error pointers, as zeros.
    {"xsaveerptr", "", {0x80000008, 0, Feature::kEbx, 2}, kRingshift},
    {"rdpru", "", {0x80000008, 0, Feature::kEbx, 4}, kNobody},
    {"wbnoinvd", "", f::kWbnoinvd, kOption},
    {"ibpb", "", {0x80000008, 0, Feature::kEbx, 12}, kNobody},
    {"amd-ssbd", "", {0x80000008, 0, Feature::kEbx, 24}, kNobody},
    {"no-nested-data-bp", "", amd21(0), kHost},
    {"lfence-always-serializing", "", amd21(2), kHost},
    // A null selector clears the segment's base and limit, whatever the host's silicon does.
    {"null-sel-clr-base", "", f::kNullSelectorClearsBase, kRingshift},
    {"auto-ibrs", "", amd21(8), kNobody},
    // The guest's RET never runs on the host as a RET of its privilege, so what the guest would do
    // about return prediction has no effect: asking it to would only cost time.
    {"srso-no", "", f::kSrsoNo, kRingshift},
});

constexpr auto kDependencies = std::to_array<FeatureDependency>({
    {f::kKvmNoIoDelay, f::kHypervisor},
    {f::kKvmClock, f::kHypervisor},
    {f::kKvmClock, f::kMsr},
    {f::kKvmClock, f::kTsc},
    {f::kKvmClockStable, f::kKvmClock},
    {f::kKvmStealTime, f::kHypervisor},
    {f::kKvmStealTime, f::kMsr},
    {f::kMmx, f::kFpu},
    {f::kFxsr, f::kFpu},
    {f::kSse, f::kFxsr},
    {f::kSse2, f::kSse},
    {f::kSse3, f::kSse2},
    {f::kSsse3, f::kSse3},
    {f::kSse41, f::kSsse3},
    {f::kSse42, f::kSse41},
    {f::kSse4a, f::kSse3},
    {f::kAes, f::kSse2},
    {f::kPclmulqdq, f::kSse2},
    {f::kSha, f::kSse2},
    {f::kGfni, f::kSse2},
    {f::kMmxext, f::kMmx},
    {f::k3dnow, f::kMmx},
    {f::k3dnowExt, f::k3dnow},
    {f::kXsave, f::kFxsr},
    {f::kXsaveopt, f::kXsave},
    {f::kXsavec, f::kXsave},
    {f::kXgetbv1, f::kXsave},
    {f::kAvx, f::kXsave},
    {f::kAvx, f::kSse42},
    {f::kAvx2, f::kAvx},
    {f::kFma, f::kAvx},
    {f::kF16c, f::kAvx},
    {f::kXop, f::kAvx},
    {f::kFma4, f::kAvx},
    {f::kAvxVnni, f::kAvx2},
    {f::kVaes, f::kAvx},
    {f::kVaes, f::kAes},
    {f::kVpclmulqdq, f::kAvx},
    {f::kVpclmulqdq, f::kPclmulqdq},
    {f::kAvx512f, f::kAvx2},
    {f::kAvx512dq, f::kAvx512f},
    {f::kAvx512ifma, f::kAvx512f},
    {f::kAvx512cd, f::kAvx512f},
    {f::kAvx512bw, f::kAvx512f},
    {f::kAvx512vl, f::kAvx512f},
    {f::kAvx512vbmi, f::kAvx512bw},
    {f::kAvx512vbmi2, f::kAvx512bw},
    {f::kAvx512vnni, f::kAvx512f},
    {f::kAvx512bitalg, f::kAvx512bw},
    {f::kAvx512vpopcntdq, f::kAvx512f},
    {f::kAvx512vp2intersect, f::kAvx512f},
    {f::kAvx512bf16, f::kAvx512bw},
    {{7, 0, Feature::kEdx, 23}, f::kAvx512bw},  // avx512-fp16
    {f::kNx, f::kPae},
    {f::kLongMode, f::kPae},
    {f::kPage1Gb, f::kLongMode},
    {f::kPcid, f::kLongMode},
    {f::kInvpcid, f::kPcid},
    {f::kFsgsbase, f::kLongMode},
    {f::kLahf, f::kLongMode},
    {f::kPse36, f::kPse},
    {f::kMca, f::kMce},
    {f::kX2apic, f::kApic},
    {f::kTscDeadline, f::kApic},
    {f::kTscDeadline, f::kTsc},
    {f::kTscAdjust, f::kTsc},
    {f::kRdtscp, f::kTsc},
    {f::kInvariantTsc, f::kTsc},
    {f::kPku, f::kXsave},
    {f::kPku, f::kLongMode},
    {f::kPks, f::kLongMode},
});

constexpr char folded(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
  return c == '_' || c == '.' ? '-' : c;
}

bool same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, folded, folded);
}

constexpr bool same(Feature a, Feature b) {
  return a.leaf == b.leaf && a.subleaf == b.subleaf && a.reg == b.reg && a.bit == b.bit;
}

}  // namespace

std::span<const NamedFeature> named_features() { return kNames; }

const NamedFeature* find_feature(std::string_view name) {
  if (name.empty()) return nullptr;
  const auto found = std::ranges::find_if(kNames, [&](const NamedFeature& n) {
    return same_name(n.name, name) || same_name(n.alias, name);
  });
  return found == kNames.end() ? nullptr : &*found;
}

std::string_view feature_name(Feature feature) {
  const auto found =
      std::ranges::find_if(kNames, [&](const NamedFeature& n) { return same(n.feature, feature); });
  return found == kNames.end() ? "?" : found->name;
}

std::span<const FeatureDependency> feature_dependencies() { return kDependencies; }

void drop_unsupported(FeatureSet& features) {
  for (const FeatureDependency& d : kDependencies)
    if (!features.has(d.needs)) features.set(d.feature, false);
}

}  // namespace ringshift::guest
