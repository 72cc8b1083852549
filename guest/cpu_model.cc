// guest/cpu_model.cc - builds the guest's processor from the host's or a plain model, and answers
// CPUID as the processor's state demands.
#include "guest/cpu_model.h"

#include <algorithm>

#include "guest/cpu_model_features.h"
#include "guest/cpu_model_host.h"
#include "guest/cpu_model_leaves.h"
#include "guest/cpu_model_plain.h"
#include "guest/cpu_model_spec.h"

namespace ringshift::guest {
namespace {

using Error = tl::unexpected<std::string>;

struct Draft {
  Identity identity;
  FeatureSet features;
};

// KVM's paravirtual interface, as far as Ringshift has it.
void set_kvm(FeatureSet& features, bool on) {
  for (const NamedFeature& n : named_features())
    if (n.feature.leaf == feature::kKvmFeatures && n.provider == Provider::kRingshift)
      features.set(n.feature, on);
}

// Where a model's features come from: the host's processor, and who runs the guest on it.
struct Source {
  const HostCpu& host;
  const FeatureSet* limit;

  // The part that lacks the feature, for the user; "": both have it.
  std::string_view lacking(const NamedFeature& n) const {
    if (n.provider == Provider::kHost && !host.features().has(n.feature))
      return "this host's processor";
    if (limit && !limit->has(n.feature)) return "the accelerator";
    return "";
  }
};

// A feature that only the other vendor's processors define.
bool foreign(const NamedFeature& n, bool intel) {
  if (n.feature.leaf == 0x80000021 || n.feature.leaf == 0x80000008) return intel;
  if (n.name == feature_name(feature::kTopoext)) return intel;
  return n.name == feature_name(feature::kArchCapabilities) && !intel;
}

// HW: on family 1AH the 16- and 32-bit forms of RDSEED may return zero as a success
// (AMD-SB-7055), and the host's microcode level cannot be trusted from inside a virtual machine.
bool rdseed_is_broken(const Identity& identity) {
  const std::uint32_t family = (identity.signature >> 8 & 15) + (identity.signature >> 20 & 255);
  return !identity.intel && family == 0x1a;
}

std::string host_brand(const HostCpu& host) {
  std::string brand;
  for (std::uint32_t l = 0x80000002; l <= 0x80000004; ++l) {
    const CpuidResult r = host.leaf(l);
    for (std::uint32_t word : {r.eax, r.ebx, r.ecx, r.edx})
      for (int shift = 0; shift < 32; shift += 8) brand += static_cast<char>(word >> shift & 0xff);
  }
  return brand.substr(0, brand.find('\0'));
}

Draft draft_of_host(const Source& source, bool with_brand) {
  const HostCpu& host = source.host;
  Draft d;
  d.identity.intel = host.vendor_is_intel();
  d.identity.signature = host.leaf(1).eax;
  d.identity.highest_basic = d.identity.intel ? 0x16 : 0xd;
  d.identity.highest_extended = d.identity.intel ? 0x80000008 : 0x80000021;
  d.identity.brand = with_brand ? host_brand(host) : "Ringshift Virtual CPU";
  d.identity.caches_of_host = true;
  for (const NamedFeature& n : named_features()) {
    const bool wanted = n.provider == Provider::kRingshift || n.provider == Provider::kHost;
    if (wanted && source.lacking(n).empty() && !foreign(n, d.identity.intel))
      d.features.set(n.feature, true);
  }
  if (rdseed_is_broken(d.identity)) d.features.set(feature::kRdseed, false);
  drop_unsupported(d.features);
  return d;
}

// vendor=: another name, without the features that only the old one defines. The other vendor's
// cache leaves do not describe this host.
void take_vendor(Draft& d, bool intel) {
  if (d.identity.intel == intel) return;
  d.identity.intel = intel;
  d.identity.caches_of_host = false;
  for (const NamedFeature& n : named_features())
    if (foreign(n, intel)) d.features.set(n.feature, false);
}

tl::expected<Draft, std::string> draft_of_plain(const PlainModel& plain, const Source& source) {
  Draft d;
  d.identity = {plain.intel,
                processor_signature(plain.family, plain.model, plain.stepping),
                plain.highest_basic,
                plain.highest_extended,
                std::string(plain.brand),
                false};
  std::string_view rest = plain.features;
  while (!rest.empty()) {
    const std::size_t space = rest.find(' ');
    const std::string_view name = rest.substr(0, space);
    rest = space == rest.npos ? "" : rest.substr(space + 1);
    const NamedFeature* n = find_feature(name);
    if (!n) return Error("-cpu " + std::string(plain.name) + ": no feature " + std::string(name));
    if (const std::string_view who = source.lacking(*n); !who.empty())
      return Error("-cpu " + std::string(plain.name) + ": " + std::string(who) + " lacks " +
                   std::string(name));
    d.features.set(n->feature, true);
  }
  set_kvm(d.features, d.features.has(feature::kHypervisor));
  drop_unsupported(d.features);
  return d;
}

tl::expected<Draft, std::string> draft_of(const std::string& name, const Source& source) {
  if (name == "max" || name == "host") return draft_of_host(source, name == "host");
  if (const PlainModel* plain = find_plain_model(name)) return draft_of_plain(*plain, source);
  std::string known = "max, host";
  for (const PlainModel& m : plain_models()) known += ", " + std::string(m.name);
  return Error("-cpu: unknown model '" + name + "' (known: " + known + ")");
}

// Leaves that describe a feature must be in range.
void make_reachable(Identity& identity, const FeatureSet& features) {
  const auto reach = [](std::uint32_t& highest, std::uint32_t leaf) {
    highest = std::max(highest, leaf);
  };
  for (const NamedFeature& n : named_features())
    if (features.has(n.feature) && n.feature.leaf != feature::kKvmFeatures)
      reach(n.feature.leaf >= 0x80000000 ? identity.highest_extended : identity.highest_basic,
            n.feature.leaf);
  if (features.has(feature::kXsave)) reach(identity.highest_basic, 0xd);
  if (features.has(feature::kX2apic)) reach(identity.highest_basic, 0xb);
  if (features.has(feature::kTopoext)) reach(identity.highest_extended, 0x8000001e);
}

tl::expected<void, std::string> apply(Draft& d, const CpuSpec& spec, const Source& source) {
  for (const FeatureRequest& r : spec.requests) {
    if (r.on) {
      const std::string name(r.feature->name);
      if (r.feature->provider == Provider::kNobody)
        return Error("-cpu: Ringshift does not deliver " + name);
      if (const std::string_view who = source.lacking(*r.feature); !who.empty())
        return Error("-cpu: " + std::string(who) + " lacks " + name);
    }
    d.features.set(r.feature->feature, r.on);
  }
  const FeatureSet wanted = d.features;
  drop_unsupported(d.features);
  // The last word on each feature stands: one that was asked for may not vanish silently.
  for (const FeatureRequest& r : spec.requests) {
    if (!r.on || !wanted.has(r.feature->feature) || d.features.has(r.feature->feature)) continue;
    std::string needs;
    for (const FeatureDependency& dependency : feature_dependencies())
      if (feature_name(dependency.feature) == r.feature->name && !d.features.has(dependency.needs))
        needs = feature_name(dependency.needs);
    return Error("-cpu: " + std::string(r.feature->name) + " needs " + needs);
  }
  return {};
}

struct Cr4Bits {
  Feature feature;
  std::uint64_t bits;
};

// RDPMC has no CPUID bit of its own: it came with the MMX processors.
std::uint64_t cr4_of(const FeatureSet& features) {
  static constexpr Cr4Bits kBits[] = {
      {feature::kVme, cr4::kVme | cr4::kPvi},
      {feature::kTsc, cr4::kTsd},
      {feature::kDe, cr4::kDe},
      {feature::kPse, cr4::kPse},
      {feature::kPae, cr4::kPae},
      {feature::kMce, cr4::kMce},
      {feature::kPge, cr4::kPge},
      {feature::kMmx, cr4::kPce},
      {feature::kFxsr, cr4::kOsfxsr},
      {feature::kSse, cr4::kOsxmmexcpt},
      {feature::kUmip, cr4::kUmip},
      {feature::kFsgsbase, cr4::kFsgsbase},
      {feature::kPcid, cr4::kPcide},
      {feature::kXsave, cr4::kOsxsave},
      {feature::kSmep, cr4::kSmep},
      {feature::kSmap, cr4::kSmap},
      {feature::kPku, cr4::kPke},
      {feature::kPks, cr4::kPks},
  };
  std::uint64_t result = 0;
  for (const Cr4Bits& b : kBits)
    if (features.has(b.feature)) result |= b.bits;
  return result;
}

std::uint64_t efer_of(const FeatureSet& features) {
  std::uint64_t result = 0;
  if (features.has(feature::kSyscall)) result |= efer::kSce;
  if (features.has(feature::kLongMode)) result |= efer::kLme | efer::kLma;
  if (features.has(feature::kNx)) result |= efer::kNxe;
  return result;
}

unsigned physical_bits_of(const FeatureSet& features) {
  constexpr unsigned kLongModeBits = 40, kPaeBits = 36, kPlainBits = 32;
  if (features.has(feature::kLongMode)) return kLongModeBits;
  return features.has(feature::kPae) || features.has(feature::kPse36) ? kPaeBits : kPlainBits;
}

}  // namespace

tl::expected<CpuModel, std::string> CpuModel::create(std::string_view spec_text,
                                                     const FeatureSet* limit) {
  const auto spec = parse_cpu_spec(spec_text);
  if (!spec) return Error(spec.error());
  const HostCpu host;
  const Source source{host, limit};
  auto draft = draft_of(spec->model, source);
  if (!draft) return Error(draft.error());
  if (spec->intel) take_vendor(*draft, *spec->intel);
  if (!spec->kvm) set_kvm(draft->features, false);
  if (auto applied = apply(*draft, *spec, source); !applied) return Error(applied.error());

  CpuModel m;
  make_reachable(draft->identity, draft->features);
  m.name_ = spec->model;
  m.features_ = draft->features;
  m.vendor_is_intel_ = draft->identity.intel;
  m.highest_basic_ = draft->identity.highest_basic;
  m.highest_extended_ = draft->identity.highest_extended;
  m.supported_xcr0_ = xcr0_of(m.features_);
  m.supported_cr4_ = cr4_of(m.features_);
  m.supported_efer_ = efer_of(m.features_);
  m.physical_address_bits_ = physical_bits_of(m.features_);
  m.tsc_hz_ = host.tsc_hz();
  m.leaves_ = build_leaves(draft->identity, m.features_, host, m.supported_xcr0_,
                           m.physical_address_bits_, m.tsc_hz_);
  if (m.xsave_bytes(m.supported_xcr0_, false) > kXsaveBytes)
    return Error("-cpu: this host's XSAVE area is larger than 4096 bytes");
  return m;
}

CpuidResult CpuModel::stored(std::uint32_t leaf, std::uint32_t subleaf) const {
  const auto key = [](const CpuidLeaf& l) { return std::uint64_t{l.leaf} << 32 | l.subleaf; };
  const std::uint64_t wanted = std::uint64_t{leaf} << 32 | subleaf;
  const auto found = std::ranges::lower_bound(leaves_, wanted, {}, key);
  return found != leaves_.end() && key(*found) == wanted ? found->value : CpuidResult{};
}

// SDM Vol. 1 "Size of the XSAVE Area".
std::uint32_t CpuModel::xsave_bytes(std::uint64_t components, bool compacted) const {
  std::uint32_t end = 576;
  for (std::uint32_t i = 2; i < 63; ++i) {
    if (!(components >> i & 1)) continue;
    const CpuidResult r = stored(0xd, i);
    if (!compacted) {
      end = std::max(end, r.ebx + r.eax);
      continue;
    }
    if (r.ecx & 2) end = (end + 63) & ~63u;
    end += r.eax;
  }
  return end;
}

// A leaf out of range: Intel's parts answer with their highest basic leaf, AMD's with zero.
std::optional<std::uint32_t> CpuModel::answering_leaf(std::uint32_t leaf) const {
  const bool extended_range = leaf >= 0x80000000;
  const bool hypervisor_range = leaf >> 28 == 4 && has(feature::kHypervisor);
  const std::uint32_t highest = extended_range ? highest_extended_ : highest_basic_;
  if (leaf <= highest || hypervisor_range) return leaf;
  return vendor_is_intel_ ? std::optional(highest_basic_) : std::nullopt;
}

bool CpuModel::shows_apic_id(std::uint32_t leaf) const {
  const auto answering = answering_leaf(leaf);
  return answering && (*answering == 1 || *answering == 0xb || *answering == 0x8000001e);
}

CpuidResult CpuModel::cpuid(std::uint32_t leaf, std::uint32_t subleaf, const CpuState& state,
                            std::uint32_t apic_id) const {
  const auto answering = answering_leaf(leaf);
  if (!answering) return {};
  leaf = *answering;
  const bool has_subleaves =
      leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd || leaf == 0x8000001d;
  CpuidResult r = stored(leaf, has_subleaves ? subleaf : 0);
  switch (leaf) {
    case 1:
      r.ebx |= (apic_id & 0xff) << 24;
      if (state.cr4 & cr4::kOsxsave) r.ecx |= 1u << feature::kOsxsave.bit;
      break;
    case 7:
      if (subleaf == 0 && (state.cr4 & cr4::kPke)) r.ecx |= 1u << feature::kOspke.bit;
      break;
    case 0xb:
      r.ecx = (r.ecx & ~0xffu) | (subleaf & 0xff);
      r.edx = apic_id;
      break;
    case 0xd:
      if (!has(feature::kXsave)) break;
      if (subleaf == 0) r.ebx = xsave_bytes(state.xcr0, false);
      if (subleaf == 1) r.ebx = xsave_bytes(state.xcr0 | state.msr.xss, true);
      break;
    case 0x8000001e:
      if (has(feature::kTopoext)) r.eax = apic_id;
      break;
    default:
      break;
  }
  return r;
}

}  // namespace ringshift::guest
