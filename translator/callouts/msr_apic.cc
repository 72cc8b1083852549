// translator/callouts/msr_apic.cc - IA32_APIC_BASE, IA32_TSC_DEADLINE and the x2APIC registers:
// what CPUID promises is checked here, the rest is the platform's.
#include "translator/callouts/msr_groups.h"

namespace ringshift::translator {
namespace {

namespace feature = guest::feature;

constexpr std::uint32_t kApicBase = 0x1b, kTscDeadline = 0x6e0, kX2apicFirst = 0x800,
                        kX2apicLast = 0x8ff;
constexpr std::uint64_t kX2apicEnable = 1u << 10;

bool exists(const Core& core, std::uint32_t index) {
  if (index == kApicBase) return core.model.has(feature::kApic);
  if (index == kTscDeadline) return core.model.has(feature::kTscDeadline);
  return index >= kX2apicFirst && index <= kX2apicLast && core.model.has(feature::kX2apic);
}

bool acceptable(const Core& core, std::uint32_t index, std::uint64_t value) {
  if (index != kApicBase) return true;
  if (value >> core.model.physical_address_bits()) return false;
  return !(value & kX2apicEnable) || core.model.has(feature::kX2apic);
}

}  // namespace

MsrValue read_apic_msr(Core& core, std::uint32_t index) {
  return exists(core, index) ? core.platform.apic_msr_read(index) : std::nullopt;
}

MsrWrite write_apic_msr(Core& core, std::uint32_t index, std::uint64_t value) {
  if (!exists(core, index)) return MsrWrite::kNotMine;
  return written_if(acceptable(core, index, value) && core.platform.apic_msr_write(index, value));
}

}  // namespace ringshift::translator
