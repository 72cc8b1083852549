// guest/cpu_model_spec.cc - the parser of -cpu's argument.
#include "guest/cpu_model_spec.h"

namespace ringshift::guest {
namespace {

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

struct Switch {
  std::string_view name;
  bool on;
};

tl::expected<Switch, std::string> parse_switch(std::string_view item) {
  std::string_view name = item;
  bool on = true;
  if (!item.empty() && (item[0] == '+' || item[0] == '-')) {
    name = item.substr(1);
    on = item[0] == '+';
  } else if (const auto equals = item.find('='); equals != item.npos) {
    name = item.substr(0, equals);
    const std::string_view value = item.substr(equals + 1);
    on = value == "on" || value == "yes" || value == "true";
    if (!on && value != "off" && value != "no" && value != "false")
      return tl::unexpected("-cpu: " + quoted(name) + " takes on or off, not " + quoted(value));
  }
  return Switch{name, on};
}

tl::expected<FeatureRequest, std::string> named(const Switch& s) {
  const NamedFeature* feature = find_feature(s.name);
  if (!feature) return tl::unexpected("-cpu: unknown feature " + quoted(s.name));
  return FeatureRequest{feature, s.on};
}

tl::expected<bool, std::string> parse_vendor(std::string_view id) {
  if (id == "GenuineIntel") return true;
  if (id == "AuthenticAMD") return false;
  return tl::unexpected("-cpu: vendor is GenuineIntel or AuthenticAMD, not " + quoted(id));
}

}  // namespace

tl::expected<CpuSpec, std::string> parse_cpu_spec(std::string_view spec) {
  CpuSpec result;
  std::size_t comma = spec.find(',');
  result.model = spec.substr(0, comma);
  while (comma != spec.npos) {
    const std::size_t start = comma + 1;
    comma = spec.find(',', start);
    const auto item = spec.substr(start, comma == spec.npos ? comma : comma - start);
    constexpr std::string_view kVendor = "vendor=";
    if (item.starts_with(kVendor)) {
      auto intel = parse_vendor(item.substr(kVendor.size()));
      if (!intel) return tl::unexpected(intel.error());
      result.intel = *intel;
      continue;
    }
    const auto parsed = parse_switch(item);
    if (!parsed) return tl::unexpected(parsed.error());
    if (parsed->name == "kvm") {
      result.kvm = parsed->on;
      continue;
    }
    auto request = named(*parsed);
    if (!request) return tl::unexpected(request.error());
    result.requests.push_back(*request);
  }
  return result;
}

}  // namespace ringshift::guest
