// guest/cpu_model.h - which processor the guest sees: CPUID leaves, and the features they promise.
// Immutable after construction, so any thread may read it. What CPUID hides raises #UD.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "guest/cpu_state.h"

namespace ringshift::guest {

struct CpuidResult {
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

// One bit of CPUID: where it is reported. Names are the manual's.
struct Feature {
  std::uint32_t leaf, subleaf;
  enum Register : std::uint8_t { kEax, kEbx, kEcx, kEdx } reg;
  std::uint8_t bit;
};

namespace feature {
inline constexpr Feature kFpu{1, 0, Feature::kEdx, 0}, kVme{1, 0, Feature::kEdx, 1},
    kDe{1, 0, Feature::kEdx, 2}, kPse{1, 0, Feature::kEdx, 3}, kTsc{1, 0, Feature::kEdx, 4},
    kMsr{1, 0, Feature::kEdx, 5}, kPae{1, 0, Feature::kEdx, 6}, kMce{1, 0, Feature::kEdx, 7},
    kCx8{1, 0, Feature::kEdx, 8}, kApic{1, 0, Feature::kEdx, 9}, kSep{1, 0, Feature::kEdx, 11},
    kMtrr{1, 0, Feature::kEdx, 12}, kPge{1, 0, Feature::kEdx, 13}, kMca{1, 0, Feature::kEdx, 14},
    kCmov{1, 0, Feature::kEdx, 15}, kPat{1, 0, Feature::kEdx, 16}, kPse36{1, 0, Feature::kEdx, 17},
    kClfsh{1, 0, Feature::kEdx, 19}, kMmx{1, 0, Feature::kEdx, 23}, kFxsr{1, 0, Feature::kEdx, 24},
    kSse{1, 0, Feature::kEdx, 25}, kSse2{1, 0, Feature::kEdx, 26};
inline constexpr Feature kSse3{1, 0, Feature::kEcx, 0}, kPclmulqdq{1, 0, Feature::kEcx, 1},
    kMonitor{1, 0, Feature::kEcx, 3}, kSsse3{1, 0, Feature::kEcx, 9}, kFma{1, 0, Feature::kEcx, 12},
    kCx16{1, 0, Feature::kEcx, 13}, kPcid{1, 0, Feature::kEcx, 17}, kSse41{1, 0, Feature::kEcx, 19},
    kSse42{1, 0, Feature::kEcx, 20}, kX2apic{1, 0, Feature::kEcx, 21},
    kMovbe{1, 0, Feature::kEcx, 22}, kPopcnt{1, 0, Feature::kEcx, 23},
    kTscDeadline{1, 0, Feature::kEcx, 24}, kAes{1, 0, Feature::kEcx, 25},
    kXsave{1, 0, Feature::kEcx, 26}, kOsxsave{1, 0, Feature::kEcx, 27},
    kAvx{1, 0, Feature::kEcx, 28}, kF16c{1, 0, Feature::kEcx, 29}, kRdrand{1, 0, Feature::kEcx, 30},
    kHypervisor{1, 0, Feature::kEcx, 31};
inline constexpr Feature kFsgsbase{7, 0, Feature::kEbx, 0}, kTscAdjust{7, 0, Feature::kEbx, 1},
    kBmi1{7, 0, Feature::kEbx, 3}, kAvx2{7, 0, Feature::kEbx, 5}, kSmep{7, 0, Feature::kEbx, 7},
    kBmi2{7, 0, Feature::kEbx, 8}, kErms{7, 0, Feature::kEbx, 9}, kInvpcid{7, 0, Feature::kEbx, 10},
    kAvx512f{7, 0, Feature::kEbx, 16}, kAvx512dq{7, 0, Feature::kEbx, 17},
    kRdseed{7, 0, Feature::kEbx, 18}, kAdx{7, 0, Feature::kEbx, 19}, kSmap{7, 0, Feature::kEbx, 20},
    kAvx512ifma{7, 0, Feature::kEbx, 21}, kClflushopt{7, 0, Feature::kEbx, 23},
    kClwb{7, 0, Feature::kEbx, 24}, kAvx512cd{7, 0, Feature::kEbx, 28},
    kSha{7, 0, Feature::kEbx, 29}, kAvx512bw{7, 0, Feature::kEbx, 30},
    kAvx512vl{7, 0, Feature::kEbx, 31};
inline constexpr Feature kAvx512vbmi{7, 0, Feature::kEcx, 1}, kUmip{7, 0, Feature::kEcx, 2},
    kPku{7, 0, Feature::kEcx, 3}, kOspke{7, 0, Feature::kEcx, 4},
    kAvx512vbmi2{7, 0, Feature::kEcx, 6},
    kGfni{7, 0, Feature::kEcx, 8}, kVaes{7, 0, Feature::kEcx, 9},
    kVpclmulqdq{7, 0, Feature::kEcx, 10}, kAvx512vnni{7, 0, Feature::kEcx, 11},
    kAvx512bitalg{7, 0, Feature::kEcx, 12}, kAvx512vpopcntdq{7, 0, Feature::kEcx, 14},
    kRdpid{7, 0, Feature::kEcx, 22}, kPks{7, 0, Feature::kEcx, 31};
inline constexpr Feature kFsrm{7, 0, Feature::kEdx, 4}, kAvx512vp2intersect{7, 0, Feature::kEdx, 8},
    kSerialize{7, 0, Feature::kEdx, 14}, kArchCapabilities{7, 0, Feature::kEdx, 29},
    kAvxVnni{7, 1, Feature::kEax, 4}, kAvx512bf16{7, 1, Feature::kEax, 5};
inline constexpr Feature kXsaveopt{0xd, 1, Feature::kEax, 0}, kXsavec{0xd, 1, Feature::kEax, 1},
    kXgetbv1{0xd, 1, Feature::kEax, 2}, kXsaves{0xd, 1, Feature::kEax, 3};
inline constexpr std::uint32_t kExt = 0x80000001;
inline constexpr Feature kLahf{kExt, 0, Feature::kEcx, 0}, kSvm{kExt, 0, Feature::kEcx, 2},
    kLzcnt{kExt, 0, Feature::kEcx, 5}, kSse4a{kExt, 0, Feature::kEcx, 6},
    kPrefetchw{kExt, 0, Feature::kEcx, 8}, kXop{kExt, 0, Feature::kEcx, 11},
    kFma4{kExt, 0, Feature::kEcx, 16}, kTbm{kExt, 0, Feature::kEcx, 21},
    kTopoext{kExt, 0, Feature::kEcx, 22}, kSyscall{kExt, 0, Feature::kEdx, 11},
    kNx{kExt, 0, Feature::kEdx, 20}, kMmxext{kExt, 0, Feature::kEdx, 22},
    kFxsrOpt{kExt, 0, Feature::kEdx, 25}, kPage1Gb{kExt, 0, Feature::kEdx, 26},
    kRdtscp{kExt, 0, Feature::kEdx, 27}, kLongMode{kExt, 0, Feature::kEdx, 29},
    k3dnowExt{kExt, 0, Feature::kEdx, 30}, k3dnow{kExt, 0, Feature::kEdx, 31};
// KVM's paravirtual interface. Linux "Documentation/virt/kvm/x86/cpuid.rst".
inline constexpr std::uint32_t kKvmFeatures = 0x40000001;
inline constexpr Feature kKvmNoIoDelay{kKvmFeatures, 0, Feature::kEax, 1},
    kKvmClock{kKvmFeatures, 0, Feature::kEax, 3}, kKvmStealTime{kKvmFeatures, 0, Feature::kEax, 5},
    kKvmClockStable{kKvmFeatures, 0, Feature::kEax, 24};
inline constexpr Feature kInvariantTsc{0x80000007, 0, Feature::kEdx, 8},
    kWbnoinvd{0x80000008, 0, Feature::kEbx, 9},
    kNullSelectorClearsBase{0x80000021, 0, Feature::kEax, 6},
    kSrsoNo{0x80000021, 0, Feature::kEax, 29};
}  // namespace feature

struct CpuidLeaf {
  std::uint32_t leaf, subleaf;
  CpuidResult value;
};

// The feature bits of one processor: one word for each CPUID register that holds any.
class FeatureSet {
 public:
  constexpr bool has(Feature f) const {
    const std::size_t i = word_index(f);
    return i < kWords.size() && (words_[i] >> f.bit & 1);
  }
  constexpr void set(Feature f, bool on) {
    const std::size_t i = word_index(f);
    if (i >= kWords.size()) return;
    words_[i] = on ? words_[i] | 1u << f.bit : words_[i] & ~(1u << f.bit);
  }
  // The whole register, as a leaf reports it.
  constexpr std::uint32_t word(std::uint32_t leaf, std::uint32_t subleaf,
                               Feature::Register reg) const {
    const std::size_t i = word_index({leaf, subleaf, reg, 0});
    return i < kWords.size() ? words_[i] : 0;
  }

 private:
  struct Word {
    std::uint32_t leaf;
    std::uint8_t subleaf;
    Feature::Register reg;
  };
  static constexpr std::array<Word, 13> kWords{{{1, 0, Feature::kEdx},
                                                {1, 0, Feature::kEcx},
                                                {7, 0, Feature::kEbx},
                                                {7, 0, Feature::kEcx},
                                                {7, 0, Feature::kEdx},
                                                {7, 1, Feature::kEax},
                                                {0xd, 1, Feature::kEax},
                                                {0x40000001, 0, Feature::kEax},
                                                {0x80000001, 0, Feature::kEcx},
                                                {0x80000001, 0, Feature::kEdx},
                                                {0x80000007, 0, Feature::kEdx},
                                                {0x80000008, 0, Feature::kEbx},
                                                {0x80000021, 0, Feature::kEax}}};
  static constexpr std::size_t word_index(Feature f) {
    std::size_t i = 0;
    while (i < kWords.size() &&
           (kWords[i].leaf != f.leaf || kWords[i].subleaf != f.subleaf || kWords[i].reg != f.reg))
      ++i;
    return i;
  }
  std::array<std::uint32_t, kWords.size()> words_{};
};

class CpuModel {
 public:
  // `spec` is the argument of -cpu: a model name and optional ",+feature,-feature,feature=on|off"
  // (QEMU's spelling), and kvm=off, which hides KVM's paravirtual interface. Models: max, host,
  // qemu64 (and qemu32, pentium3-like plain ones). The error is one line for the user.
  // `limit`: what can be delivered at most, by who will run the guest; null: everything known.
  static tl::expected<CpuModel, std::string> create(std::string_view spec,
                                                    const FeatureSet* limit = nullptr);

  // The leaf as the guest sees it now: OSXSAVE, OSPKE, APIC ID and XSAVE sizes follow the state.
  CpuidResult cpuid(std::uint32_t leaf, std::uint32_t subleaf, const CpuState& state,
                    std::uint32_t apic_id) const;
  // Whether the answer depends on `apic_id`, which costs a question of the board.
  bool shows_apic_id(std::uint32_t leaf) const;
  bool has(Feature feature) const { return features_.has(feature); }
  // The guest sees some part of KVM's paravirtual interface.
  bool has_kvm() const { return features_.word(feature::kKvmFeatures, 0, Feature::kEax) != 0; }
  // Their static part, sorted; absent ones read as zero.
  std::span<const CpuidLeaf> leaves() const { return leaves_; }

  std::uint64_t supported_xcr0() const { return supported_xcr0_; }
  unsigned physical_address_bits() const { return physical_address_bits_; }
  // Bits that MOV to CR4 may set; others raise #GP(0).
  std::uint64_t supported_cr4() const { return supported_cr4_; }
  std::uint64_t supported_efer() const { return supported_efer_; }
  bool vendor_is_intel() const { return vendor_is_intel_; }
  const std::string& name() const { return name_; }
  std::uint64_t tsc_hz() const { return tsc_hz_; }  // host TSC frequency, measured or read once

 private:
  CpuidResult stored(std::uint32_t leaf, std::uint32_t subleaf) const;
  std::optional<std::uint32_t> answering_leaf(std::uint32_t leaf) const;
  std::uint32_t xsave_bytes(std::uint64_t components, bool compacted) const;

  std::vector<CpuidLeaf> leaves_;  // sorted by leaf, then subleaf; absent ones read as zero
  FeatureSet features_;
  std::uint32_t highest_basic_ = 0, highest_extended_ = 0;
  std::uint64_t supported_xcr0_ = 0, supported_cr4_ = 0, supported_efer_ = 0, tsc_hz_ = 0;
  unsigned physical_address_bits_ = 40;
  bool vendor_is_intel_ = false;
  std::string name_;
};

}  // namespace ringshift::guest
