// translator/callouts/cpuid.cc - CPUID: the model's leaf, and the bit that follows IA32_APIC_BASE.
#include "translator/callouts/cpuid.h"

namespace ringshift::translator {
namespace {

// SDM Vol. 3 "Enabling or Disabling the Local APIC": CPUID hides an APIC that is disabled.
bool apic_disabled(Core& core) {
  constexpr std::uint32_t kApicBase = 0x1b;
  constexpr std::uint64_t kEnable = 1u << 11;
  const auto base = core.platform.apic_msr_read(kApicBase);
  return base && !(*base & kEnable);
}

bool reports_apic(const Core& core, std::uint32_t leaf) {
  return leaf == guest::feature::kApic.leaf ||
         (leaf == guest::feature::kExt && !core.model.vendor_is_intel());
}

}  // namespace

Result cpuid(Core& core, const Operation&) {
  using guest::Gpr;
  guest::CpuState& s = core.state;
  const auto leaf = static_cast<std::uint32_t>(s.reg(Gpr::kRax));
  const auto subleaf = static_cast<std::uint32_t>(s.reg(Gpr::kRcx));
  const std::uint32_t apic_id = core.model.shows_apic_id(leaf) ? core.platform.apic_id() : 0;
  guest::CpuidResult r = core.model.cpuid(leaf, subleaf, s, apic_id);
  if (reports_apic(core, leaf) && apic_disabled(core)) r.edx &= ~(1u << guest::feature::kApic.bit);
  s.reg(Gpr::kRax) = r.eax;
  s.reg(Gpr::kRbx) = r.ebx;
  s.reg(Gpr::kRcx) = r.ecx;
  s.reg(Gpr::kRdx) = r.edx;
  return Next::kContinue;
}

}  // namespace ringshift::translator
