// guest/cpu_model_host.h - what the host's processor says about itself, asked once and kept.
// CPUID traps on virtual hosts (1.6 us a leaf), so nothing asks twice.
#pragma once

#include <cstdint>
#include <vector>

#include "guest/cpu_model.h"

namespace ringshift::guest {

class HostCpu {
 public:
  HostCpu();  // asks the processor that runs this thread

  // Zero when the host has no such leaf, or it is not one that a model is built from.
  CpuidResult leaf(std::uint32_t leaf, std::uint32_t subleaf = 0) const;
  std::uint32_t highest_basic() const { return leaf(0).eax; }
  bool vendor_is_intel() const { return leaf(0).ebx == 0x756e6547; }  // "Genu"
  // Features whose state the host's operating system has enabled.
  const FeatureSet& features() const { return features_; }
  std::uint64_t xcr0() const { return xcr0_; }
  // Frequency of RDTSC, from CPUID or measured (10 ms).
  std::uint64_t tsc_hz() const;

 private:
  void ask(std::uint32_t leaf, std::uint32_t subleaf = 0);
  void ask_all_caches(std::uint32_t leaf);

  std::vector<CpuidLeaf> leaves_;
  FeatureSet features_;
  std::uint64_t xcr0_ = 0;
};

}  // namespace ringshift::guest
