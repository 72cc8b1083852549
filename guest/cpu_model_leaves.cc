// guest/cpu_model_leaves.cc - builds the static part of every CPUID leaf.
// SDM Vol. 2 "CPUID"; APM Vol. 3 "Obtaining Processor Information Via the CPUID Instruction".
#include "guest/cpu_model_leaves.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "guest/cpu_model_features.h"

namespace ringshift::guest {
namespace {

constexpr std::uint32_t kHypervisorBase = 0x40000000, kHypervisorTiming = 0x40000010,
                        kSecondHypervisorBase = 0x40000100;
constexpr unsigned kLinearAddressBits = 48;
constexpr std::uint32_t kPkruComponent = 9;
// The local APIC's timer input, in leaf 15H and in the hypervisor's timing leaf.
constexpr std::uint32_t kApicBusKhz = 1'000'000;

std::uint32_t word_of(std::string_view text, std::size_t at) {
  std::array<char, 4> bytes{};
  for (std::size_t i = 0; i < bytes.size() && at + i < text.size(); ++i) bytes[i] = text[at + i];
  std::uint32_t word;
  std::memcpy(&word, bytes.data(), sizeof word);
  return word;
}

struct Ratio {
  std::uint64_t numerator, denominator;
};

// The best approximation of n/d with a numerator up to `limit`, by continued fractions.
Ratio approximate(std::uint64_t n, std::uint64_t d, std::uint64_t limit) {
  Ratio previous{1, 0}, current{n / d, 1};
  std::uint64_t remainder = n % d;
  while (remainder) {
    n = d;
    d = remainder;
    const std::uint64_t quotient = n / d;
    remainder = n % d;
    const Ratio next{quotient * current.numerator + previous.numerator,
                     quotient * current.denominator + previous.denominator};
    if (next.numerator > limit) break;
    previous = current;
    current = next;
  }
  return current;
}

class Builder {
 public:
  Builder(const Identity& identity, const FeatureSet& features, const HostCpu& host)
      : identity_(identity), features_(features), host_(host) {}

  void vendor();
  void version();
  void caches();
  void structured_features();
  void topology();
  void xsave(std::uint64_t components);
  void frequencies(std::uint64_t tsc_hz);
  void hypervisor(std::uint64_t tsc_hz);
  void extended(unsigned physical_address_bits);
  void amd_extended();

  std::vector<CpuidLeaf> take() {
    std::erase_if(leaves_, [this](const CpuidLeaf& l) { return hidden(l.leaf); });
    std::ranges::sort(leaves_, {},
                      [](const CpuidLeaf& l) { return std::uint64_t{l.leaf} << 32 | l.subleaf; });
    return std::move(leaves_);
  }

 private:
  void add(std::uint32_t leaf, std::uint32_t subleaf, CpuidResult value) {
    leaves_.push_back({leaf, subleaf, value});
  }
  bool hidden(std::uint32_t leaf) const {
    if (leaf >= 0x80000000) return leaf > identity_.highest_extended;
    return leaf < kHypervisorBase && leaf > identity_.highest_basic;
  }
  void cache_leaves(std::uint32_t leaf);
  void brand();

  const Identity& identity_;
  const FeatureSet& features_;
  const HostCpu& host_;
  std::vector<CpuidLeaf> leaves_;
};

void Builder::vendor() {
  const std::string_view name = identity_.intel ? "GenuineIntel" : "AuthenticAMD";
  add(0, 0, {identity_.highest_basic, word_of(name, 0), word_of(name, 8), word_of(name, 4)});
}

void Builder::version() {
  constexpr std::uint32_t kClflushQuadwords = 8, kLogicalProcessors = 1;
  add(1, 0,
      {identity_.signature, kClflushQuadwords << 8 | kLogicalProcessors << 16,
       features_.word(1, 0, Feature::kEcx), features_.word(1, 0, Feature::kEdx)});
}

// Deterministic cache parameters, for one processor that shares its caches with nobody.
void Builder::cache_leaves(std::uint32_t leaf) {
  constexpr std::uint32_t kSharingMask = 0x3ff;  // keep type, level, self-initializing, associative
  const std::uint32_t source = host_.vendor_is_intel() ? 4 : 0x8000001d;
  if (identity_.caches_of_host && host_.leaf(source).eax) {
    for (std::uint32_t i = 0; host_.leaf(source, i).eax & 0x1f; ++i) {
      CpuidResult r = host_.leaf(source, i);
      r.eax &= kSharingMask;
      add(leaf, i, r);
    }
    return;
  }
  // 32 KiB 8-way data and instruction, 1 MiB 16-way, 16 MiB 16-way; 64-byte lines.
  add(leaf, 0, {0x121, 7u << 22 | 63, 63, 0});
  add(leaf, 1, {0x122, 7u << 22 | 63, 63, 0});
  add(leaf, 2, {0x143, 15u << 22 | 63, 1023, 0});
  add(leaf, 3, {0x163, 15u << 22 | 63, 16383, 0});
}

void Builder::caches() {
  if (!identity_.intel) return;
  // "No TLB or cache information here, see leaf 4", and 64-byte prefetching.
  add(2, 0, {0x00feff01, 0xf0, 0, 0});
  cache_leaves(4);
}

void Builder::structured_features() {
  constexpr std::uint32_t kArat = 1u << 2;  // the APIC timer never stops
  add(6, 0, {kArat, 0, 0, 0});
  const std::uint32_t highest_subleaf = features_.word(7, 1, Feature::kEax) ? 1 : 0;
  add(7, 0,
      {highest_subleaf, features_.word(7, 0, Feature::kEbx), features_.word(7, 0, Feature::kEcx),
       features_.word(7, 0, Feature::kEdx)});
  add(7, 1, {features_.word(7, 1, Feature::kEax), 0, 0, 0});
}

// One thread, one core: level types SMT (1) and core (2). EDX is the APIC ID, filled when read.
void Builder::topology() {
  add(0xb, 0, {0, 1, 0x100, 0});
  add(0xb, 1, {0, 1, 0x201, 0});
}

void Builder::xsave(std::uint64_t components) {
  if (!features_.has(feature::kXsave)) return;
  constexpr std::uint32_t kLegacyAndHeader = 576;
  std::uint32_t end = kLegacyAndHeader;
  for (std::uint32_t i = 2; i < 63; ++i) {
    if (!(components >> i & 1)) continue;
    CpuidResult r = host_.leaf(0xd, i);
    // Protection keys need nothing of the host's: without them there PKRU follows the rest.
    if (i == kPkruComponent && !r.eax) r = {8, (end + 63) & ~63u, 0, 0};
    r.ecx &= 2;  // 64-byte alignment in the compacted format; all components are XCR0's
    r.edx = 0;
    end = std::max(end, r.ebx + r.eax);
    add(0xd, i, r);
  }
  add(0xd, 0,
      {static_cast<std::uint32_t>(components), kLegacyAndHeader, end,
       static_cast<std::uint32_t>(components >> 32)});
  add(0xd, 1, {features_.word(0xd, 1, Feature::kEax), kLegacyAndHeader, 0, 0});
}

void Builder::frequencies(std::uint64_t tsc_hz) {
  if (!identity_.intel) return;
  // Guests multiply kHz by the numerator in 32 bits.
  constexpr std::uint64_t kLimit = 0xffffffff / kApicBusKhz;
  const Ratio r = approximate(tsc_hz / 1000, kApicBusKhz, kLimit);
  add(0x15, 0,
      {static_cast<std::uint32_t>(r.denominator), static_cast<std::uint32_t>(r.numerator),
       kApicBusKhz * 1000, 0});
  const auto mhz = static_cast<std::uint32_t>((tsc_hz + 500'000) / 1'000'000);
  constexpr std::uint32_t kBusMhz = 100;
  add(0x16, 0, {mhz, mhz, kBusMhz, 0});
}

void Builder::hypervisor(std::uint64_t tsc_hz) {
  if (!features_.has(feature::kHypervisor)) return;
  const auto name = [this](std::uint32_t base, std::uint32_t highest, std::string_view signature) {
    add(base, 0, {highest, word_of(signature, 0), word_of(signature, 4), word_of(signature, 8)});
  };
  constexpr std::string_view kSignature = "RingshiftVMM";
  const std::uint32_t kvm = features_.word(feature::kKvmFeatures, 0, Feature::kEax);
  if (kvm) {
    constexpr std::uint32_t kOldClock = 1;  // its registers' numbers before the range was reserved
    name(kHypervisorBase, kHypervisorTiming, "KVMKVMKVM");
    add(feature::kKvmFeatures, 0,
        {features_.has(feature::kKvmClock) ? kvm | kOldClock : kvm, 0, 0, 0});
    name(kSecondHypervisorBase, kSecondHypervisorBase, kSignature);
  } else {
    name(kHypervisorBase, kHypervisorTiming, kSignature);
  }
  add(kHypervisorTiming, 0, {static_cast<std::uint32_t>(tsc_hz / 1000), kApicBusKhz, 0, 0});
}

void Builder::brand() {
  for (std::uint32_t i = 0; i < 3; ++i) {
    const std::size_t at = std::size_t{i} * 16;
    add(0x80000002 + i, 0,
        {word_of(identity_.brand, at), word_of(identity_.brand, at + 4),
         word_of(identity_.brand, at + 8), word_of(identity_.brand, at + 12)});
  }
}

void Builder::extended(unsigned physical_address_bits) {
  if (!identity_.highest_extended) return;
  const std::string_view name = identity_.intel ? "" : "AuthenticAMD";
  add(0x80000000, 0,
      {identity_.highest_extended, word_of(name, 0), word_of(name, 8), word_of(name, 4)});
  std::uint32_t edx = features_.word(0x80000001, 0, Feature::kEdx);
  if (!identity_.intel) edx |= features_.word(1, 0, Feature::kEdx) & kAmdRepeatedEdx;
  const CpuidResult host = host_.leaf(0x80000001);
  const bool same_part = identity_.caches_of_host && !identity_.intel;
  add(0x80000001, 0,
      {identity_.intel ? 0 : identity_.signature, same_part ? host.ebx : 0,
       features_.word(0x80000001, 0, Feature::kEcx), edx});
  brand();
  add(0x80000007, 0, {0, 0, 0, features_.word(0x80000007, 0, Feature::kEdx)});
  const unsigned linear_bits = features_.has(feature::kLongMode) ? kLinearAddressBits : 32;
  add(0x80000008, 0,
      {physical_address_bits | linear_bits << 8, features_.word(0x80000008, 0, Feature::kEbx), 0,
       0});
  // Line size, associativity and size of the second-level cache.
  if (identity_.intel) add(0x80000006, 0, {0, 0, 1024u << 16 | 6u << 12 | 64, 0});
}

void Builder::amd_extended() {
  if (identity_.intel || !identity_.highest_extended) return;
  if (identity_.caches_of_host) {
    add(0x80000005, 0, host_.leaf(0x80000005));
    add(0x80000006, 0, host_.leaf(0x80000006));
    add(0x8000001a, 0, host_.leaf(0x8000001a));
  } else {
    // 32 KiB 8-way first level, 1 MiB 16-way second level, 64-byte lines; 64-entry TLBs.
    add(0x80000005, 0, {0xff40ff40, 0xff40ff40, 0x20080140, 0x20080140});
    add(0x80000006, 0, {0, 0x42004200, 0x04008140, 0x00808140});
  }
  if (features_.has(feature::kTopoext)) cache_leaves(0x8000001d);
  add(0x80000021, 0, {features_.word(0x80000021, 0, Feature::kEax), 0, 0, 0});
}

}  // namespace

std::uint64_t xcr0_of(const FeatureSet& features) {
  if (!features.has(feature::kXsave)) return 1;
  std::uint64_t components = 3;
  if (features.has(feature::kAvx)) components |= 4;
  if (features.has(feature::kAvx512f)) components |= 0xe0;
  if (features.has(feature::kPku)) components |= 1u << kPkruComponent;
  return components;
}

std::vector<CpuidLeaf> build_leaves(const Identity& identity, const FeatureSet& features,
                                    const HostCpu& host, std::uint64_t components,
                                    unsigned physical_address_bits, std::uint64_t tsc_hz) {
  Builder b(identity, features, host);
  b.vendor();
  b.version();
  b.caches();
  b.structured_features();
  b.topology();
  b.xsave(components);
  b.frequencies(tsc_hz);
  b.hypervisor(tsc_hz);
  b.extended(physical_address_bits);
  b.amd_extended();
  return b.take();
}

}  // namespace ringshift::guest
