// guest/cpu_model_leaves.h - turns an identity and a feature set into the CPUID leaves of a guest.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "guest/cpu_model.h"
#include "guest/cpu_model_host.h"

namespace ringshift::guest {

struct Identity {
  bool intel = false;
  std::uint32_t signature = 0;  // leaf 1 EAX: family, model, stepping
  std::uint32_t highest_basic = 1, highest_extended = 0;
  std::string brand;
  bool caches_of_host = false;
};

// Leaf 1 EAX for a family, model and stepping. SDM Vol. 2 "CPUID", "Version Information".
constexpr std::uint32_t processor_signature(std::uint32_t family, std::uint32_t model,
                                            std::uint32_t stepping) {
  const std::uint32_t low_family = family > 15 ? 15 : family;
  const std::uint32_t extended_family = family > 15 ? family - 15 : 0;
  return extended_family << 20 | (model >> 4) << 16 | low_family << 8 | (model & 15) << 4 |
         stepping;
}

// XCR0 bits that the features allow.
std::uint64_t xcr0_of(const FeatureSet& features);

// Sorted. `components` are the XSAVE components to describe, at the host's offsets.
std::vector<CpuidLeaf> build_leaves(const Identity& identity, const FeatureSet& features,
                                    const HostCpu& host, std::uint64_t components,
                                    unsigned physical_address_bits, std::uint64_t tsc_hz);

}  // namespace ringshift::guest
