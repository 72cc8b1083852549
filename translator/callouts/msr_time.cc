// translator/callouts/msr_time.cc - IA32_TIME_STAMP_COUNTER, IA32_TSC_ADJUST, IA32_TSC_AUX.
// SDM Vol. 3 "Time-Stamp Counter".
#include "translator/callouts/msr.h"
#include "translator/callouts/msr_groups.h"
#include "translator/callouts/paravirtual_time.h"

namespace ringshift::translator {
namespace {

namespace feature = guest::feature;

constexpr std::uint32_t kTsc = 0x10, kTscAdjust = 0x3b, kTscAux = 0xc0000103;

bool has_aux(const Core& core) {
  return core.model.has(feature::kRdtscp) || core.model.has(feature::kRdpid);
}

// Intel's parts refuse the upper half, AMD's ignore it.
bool write_aux(Core& core, std::uint64_t value) {
  if (core.model.vendor_is_intel() && value >> 32) return false;
  core.state.msr.tsc_aux = value & 0xffffffff;
  return true;
}

// A jump of the counter shows in TSC_ADJUST, and the other way round.
void shift_counter(Core& core, std::uint64_t delta) {
  guest::Msrs& m = core.state.msr;
  m.tsc_offset += delta;
  m.tsc_adjust += delta;
  core.platform.tsc_changed();
  write_system_time(core);
}

}  // namespace

MsrValue read_time_msr(const Core& core, std::uint32_t index) {
  const guest::Msrs& m = core.state.msr;
  if (index == kTsc && core.model.has(feature::kTsc)) return guest_tsc(core.state);
  if (index == kTscAdjust && core.model.has(feature::kTscAdjust)) return m.tsc_adjust;
  if (index == kTscAux && has_aux(core)) return m.tsc_aux;
  return std::nullopt;
}

MsrWrite write_time_msr(Core& core, std::uint32_t index, std::uint64_t value) {
  if (index == kTsc && core.model.has(feature::kTsc)) {
    shift_counter(core, value - guest_tsc(core.state));
    return MsrWrite::kDone;
  }
  if (index == kTscAdjust && core.model.has(feature::kTscAdjust)) {
    shift_counter(core, value - core.state.msr.tsc_adjust);
    return MsrWrite::kDone;
  }
  if (index == kTscAux && has_aux(core)) return written_if(write_aux(core, value));
  return MsrWrite::kNotMine;
}

}  // namespace ringshift::translator
