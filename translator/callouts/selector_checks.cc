// translator/callouts/selector_checks.cc - selector questions; only page faults of the descriptor
// tables are raised. SDM Vol. 3 "Pointer Validation".
#include "translator/callouts/selector_checks.h"

#include <optional>

#include "translator/callouts/descriptor.h"

namespace ringshift::translator {
namespace {

using enum SystemType;
using guest::Checked;

void set_zero_flag(Core& core, bool on) {
  core.state.rflags =
      on ? core.state.rflags | guest::flags::kZf : core.state.rflags & ~guest::flags::kZf;
}

// The descriptor, or nothing when the selector is null or outside its table.
Checked<std::optional<Descriptor>> look_up(Core& core, Selector selector) {
  if (selector.null()) return std::nullopt;
  const guest::GuestFault outside = guest::general_protection(selector.error_code());
  if (!descriptor_address(core, selector, 8, outside)) return std::nullopt;
  RS_ASSIGN(descriptor, read_descriptor(core, selector, outside));
  return descriptor;
}

// DPL against CPL and RPL; conforming code may be named from anywhere.
bool visible(const Core& core, Selector selector, const Descriptor& descriptor) {
  if (!descriptor.is_system() && descriptor.conforming()) return true;
  return descriptor.dpl() >= core.state.cpl && descriptor.dpl() >= selector.rpl();
}

// SDM Vol. 2 "LAR", table "Segment and Gate Types".
bool has_access_rights(const Core& core, const Descriptor& descriptor) {
  if (!descriptor.is_system()) return true;
  switch (descriptor.system_type()) {
    case kLdt:
    case kTss32Available:
    case kTss32Busy:
    case kCallGate32:
      return true;
    case kTss16Available:
    case kTss16Busy:
    case kCallGate16:
    case kTaskGate:
      return !core.state.long_mode_active();
    default:
      return false;
  }
}

// SDM Vol. 2 "LSL", table "Segment and Gate Descriptor Types".
bool has_limit(const Core& core, const Descriptor& descriptor) {
  if (!descriptor.is_system()) return true;
  switch (descriptor.system_type()) {
    case kLdt:
    case kTss32Available:
    case kTss32Busy:
      return true;
    case kTss16Available:
    case kTss16Busy:
      return !core.state.long_mode_active();
    default:
      return false;
  }
}

Checked<Selector> read_selector(Core& core, const Operation& op) {
  RS_ASSIGN(value, read_rm(core, op, 2));
  return Selector{static_cast<std::uint16_t>(value)};
}

template <typename Allowed>
Checked<std::optional<Descriptor>> look_up_visible(Core& core, Selector selector, Allowed allowed) {
  RS_ASSIGN(descriptor, look_up(core, selector));
  if (!descriptor || !allowed(*descriptor) || !visible(core, selector, *descriptor))
    return std::nullopt;
  return descriptor;
}

}  // namespace

Result lar(Core& core, const Operation& op) {
  // Bits 23:8 of the descriptor's second doubleword, without the limit nibble.
  constexpr std::uint64_t kRights = 0x00f0ff00;
  RS_ASSIGN(selector, read_selector(core, op));
  RS_ASSIGN(descriptor, look_up_visible(core, selector, [&](const Descriptor& d) {
              return has_access_rights(core, d);
            }));
  if (descriptor) write_gpr(core, op.reg, op.operand_bytes, descriptor->low >> 32 & kRights);
  set_zero_flag(core, descriptor.has_value());
  return Next::kContinue;
}

Result lsl(Core& core, const Operation& op) {
  RS_ASSIGN(selector, read_selector(core, op));
  RS_ASSIGN(descriptor, look_up_visible(core, selector,
                                        [&](const Descriptor& d) { return has_limit(core, d); }));
  if (descriptor) write_gpr(core, op.reg, op.operand_bytes, descriptor->limit());
  set_zero_flag(core, descriptor.has_value());
  return Next::kContinue;
}

Result verr(Core& core, const Operation& op) {
  RS_ASSIGN(selector, read_selector(core, op));
  RS_ASSIGN(descriptor, look_up_visible(core, selector, [](const Descriptor& d) {
              return !d.is_system() && d.readable();
            }));
  set_zero_flag(core, descriptor.has_value());
  return Next::kContinue;
}

Result verw(Core& core, const Operation& op) {
  RS_ASSIGN(selector, read_selector(core, op));
  RS_ASSIGN(descriptor, look_up_visible(core, selector, [](const Descriptor& d) {
              return !d.is_system() && d.writable();
            }));
  set_zero_flag(core, descriptor.has_value());
  return Next::kContinue;
}

// Raises the RPL of the selector in r/m to that of the one in reg.
Result arpl(Core& core, const Operation& op) {
  RS_ASSIGN(destination, read_selector(core, op));
  const unsigned rpl = core.state.gpr[op.reg] & 3;
  const bool adjusts = destination.rpl() < rpl;
  if (adjusts) RS_CHECK(write_rm(core, op, 2, (destination.value & ~std::uint64_t{3}) | rpl));
  set_zero_flag(core, adjusts);
  return Next::kContinue;
}

}  // namespace ringshift::translator
