// guest/cpu_model_features.h - names of CPUID features, who delivers each, and what each needs.
// Constant data: any thread may read it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "guest/cpu_model.h"

namespace ringshift::guest {

// Who makes a feature work in the guest.
enum class Provider : std::uint8_t {
  kHost,       // instructions that the host's silicon executes, or a truth about them
  kRingshift,  // system state and instructions that call-outs implement, on any host
  kOption,     // as kRingshift, but only when a model or the user asks for it
  kNobody,     // known by name, not delivered
};

struct NamedFeature {
  std::string_view name;   // QEMU's spelling
  std::string_view alias;  // Linux's, where it differs
  Feature feature;
  Provider provider;
};

std::span<const NamedFeature> named_features();
// Case, '_', '.' and '-' do not matter. nullptr when the name is unknown.
const NamedFeature* find_feature(std::string_view name);
std::string_view feature_name(Feature feature);

struct FeatureDependency {
  Feature feature, needs;
};
// Ordered so that one pass settles chains.
std::span<const FeatureDependency> feature_dependencies();

// Clears every feature whose need is absent.
void drop_unsupported(FeatureSet& features);

// AMD repeats part of leaf 1's EDX in 80000001H: these bits are derived, never set on their own.
inline constexpr std::uint32_t kAmdRepeatedEdx = 0x0183f3ff;

}  // namespace ringshift::guest
