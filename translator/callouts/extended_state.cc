// translator/callouts/extended_state.cc - components, vector registers and enable checks.
#include "translator/callouts/extended_state.h"

#include <algorithm>

namespace ringshift::translator {

using guest::fault;
using guest::Vector;
namespace cr0 = guest::cr0;
namespace cr4 = guest::cr4;

ComponentLayout component_layout(const Core& core, unsigned number) {
  if (number == component::kX87) return {0, area::kXmm, false};
  if (number == component::kSse) return {area::kXmm, 256, false};
  const guest::CpuidResult leaf = core.model.cpuid(0xd, number, core.state, 0);
  const bool fits = leaf.ebx >= area::kExtended && leaf.eax != 0 &&
                    std::uint64_t{leaf.ebx} + leaf.eax <= guest::kXsaveBytes;
  if (!fits) return {};
  return {leaf.ebx, leaf.eax, (leaf.ecx & 2) != 0};
}

void ExtendedState::materialize(unsigned number) {
  if (in_use(number)) return;
  if (number == component::kX87) {
    fill_bytes(data(0), 0, area::kMxcsr);
    fill_bytes(data(area::kSt), 0, area::kXmm - area::kSt);
    store<std::uint16_t>(area::kFcw, kInitialFcw);
  } else {
    const ComponentLayout layout = component_layout(core_, number);
    fill_bytes(data(layout.offset), 0, layout.bytes);
  }
  store(area::kXstateBv, in_use() | bit_of(number));
}

void ExtendedState::set_initial(unsigned number) {
  store(area::kXstateBv, in_use() & ~bit_of(number));
}

// SDM Vol. 1 "Checking the MXCSR_MASK": zero stands for FFBFH.
std::uint32_t ExtendedState::mxcsr_mask() const {
  const auto mask = load<std::uint32_t>(area::kMxcsrMask);
  return mask != 0 ? mask : 0xffbf;
}

// Registers 0 to 15 are split over SSE, AVX and ZMM_Hi256 state; 16 to 31 are whole in Hi16_ZMM.
std::array<ExtendedState::Part, 3> ExtendedState::parts_of(unsigned number) const {
  if (number >= 16) {
    const ComponentLayout whole = component_layout(core_, component::kHi16Zmm);
    return {{{component::kHi16Zmm, 0, whole.bytes ? 64u : 0u, whole.offset + (number - 16) * 64},
             {},
             {}}};
  }
  const ComponentLayout avx = component_layout(core_, component::kAvx);
  const ComponentLayout zmm = component_layout(core_, component::kZmmHi256);
  return {{{component::kSse, 0, 16, area::kXmm + number * 16},
           {component::kAvx, 16, avx.bytes ? 16u : 0u, avx.offset + number * 16},
           {component::kZmmHi256, 32, zmm.bytes ? 32u : 0u, zmm.offset + number * 32}}};
}

VectorBytes ExtendedState::vector(unsigned number) const {
  VectorBytes value{};
  for (const Part& part : parts_of(number))
    if (part.bytes != 0 && in_use(part.component))
      copy_bytes(value.data() + part.from, bytes_.data() + part.at, part.bytes);
  return value;
}

void ExtendedState::set_vector(unsigned number, const VectorBytes& value, std::size_t bytes) {
  for (const Part& part : parts_of(number)) {
    if (part.bytes == 0) continue;
    const std::size_t kept = bytes > part.from ? std::min(bytes - part.from, part.bytes) : 0;
    if (kept == 0 && !in_use(part.component)) continue;
    materialize(part.component);
    copy_bytes(data(part.at), value.data() + part.from, kept);
    fill_bytes(data(part.at + kept), 0, part.bytes - kept);
  }
}

std::uint64_t ExtendedState::opmask(unsigned number) const {
  const ComponentLayout layout = component_layout(core_, component::kOpmask);
  if (layout.bytes == 0 || !in_use(component::kOpmask)) return 0;
  return load<std::uint64_t>(layout.offset + number * 8);
}

void ExtendedState::set_opmask(unsigned number, std::uint64_t value) {
  const ComponentLayout layout = component_layout(core_, component::kOpmask);
  if (layout.bytes == 0) return;
  materialize(component::kOpmask);
  store(layout.offset + number * 8, value);
}

guest::Status check_vector_enabled(const Core& core, bool avx512) {
  const guest::CpuState& state = core.state;
  constexpr std::uint64_t kAvxState = bit_of(component::kSse) | bit_of(component::kAvx);
  constexpr std::uint64_t kAvx512State = kAvxState | bit_of(component::kOpmask) |
                                         bit_of(component::kZmmHi256) | bit_of(component::kHi16Zmm);
  const std::uint64_t needed = avx512 ? kAvx512State : kAvxState;
  if (state.real_or_v86() || !(state.cr4 & cr4::kOsxsave) || (state.xcr0 & needed) != needed)
    return tl::unexpected(guest::invalid_opcode());
  if (state.cr0 & cr0::kTs) return tl::unexpected(fault(Vector::kDeviceNotAvailable));
  return {};
}

guest::Status check_x87_enabled(const Core& core) {
  if (core.state.cr0 & (cr0::kEm | cr0::kTs))
    return tl::unexpected(fault(Vector::kDeviceNotAvailable));
  return {};
}

// SDM Vol. 1 "x87 FPU Status Word": ES sums up the unmasked exceptions.
guest::Status check_pending_x87(Core& core) {
  ExtendedState x(core);
  if (!x.in_use(component::kX87)) return {};
  const unsigned raised = x.load<std::uint16_t>(area::kFsw) & 0x3f;
  if ((raised & ~x.load<std::uint16_t>(area::kFcw)) == 0) return {};
  return tl::unexpected(fault(Vector::kX87Error));
}

}  // namespace ringshift::translator
