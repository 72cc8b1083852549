// guest/cpu_model_spec.h - parses the argument of -cpu: "name,+feature,-feature,feature=on|off,
// vendor=ID,kvm=on|off".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "guest/cpu_model_features.h"

namespace ringshift::guest {

struct FeatureRequest {
  const NamedFeature* feature;
  bool on;
};

struct CpuSpec {
  std::string model;
  std::vector<FeatureRequest> requests;  // in the order given
  std::optional<bool> intel;             // vendor=GenuineIntel or vendor=AuthenticAMD
  bool kvm = true;                       // kvm=off hides KVM's paravirtual interface
};

tl::expected<CpuSpec, std::string> parse_cpu_spec(std::string_view spec);

}  // namespace ringshift::guest
