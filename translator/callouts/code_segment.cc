// translator/callouts/code_segment.cc - checks that every transfer to another code segment shares.
#include "translator/callouts/code_segment.h"

#include "translator/callouts/segment_load.h"
#include "translator/callouts/stack_segment.h"

namespace ringshift::translator {

using guest::Checked;
using guest::CpuState;
using guest::GuestFault;
using guest::Seg;
using guest::SegmentRegister;
using guest::Status;
using guest::Vector;

std::uint64_t next_rip(const Core& core, const Operation& op) {
  return truncate(core.state.rip + op.length, core.state.in_64bit_code() ? 8 : 4);
}

Status check_code_size(const Core& core, const Descriptor& descriptor, Selector selector) {
  if (core.state.long_mode_active() && descriptor.long_mode() && descriptor.big())
    return tl::unexpected(guest::general_protection(selector.error_code()));
  return {};
}

Status check_instruction_pointer(const Core& core, const SegmentRegister& cs, std::uint64_t rip,
                                 std::uint32_t ext) {
  const bool code64 = core.state.long_mode_active() && cs.long_mode();
  if (code64 ? guest::is_canonical(rip) : rip <= cs.limit) return {};
  return tl::unexpected(guest::general_protection(ext));
}

Checked<SegmentRegister> present_code_segment(Core& core, Selector selector, Descriptor descriptor,
                                              unsigned cpl, std::uint32_t ext) {
  if (!descriptor.present())
    return tl::unexpected(guest::fault(Vector::kSegmentNotPresent, selector.error_code(ext)));
  RS_CHECK(set_accessed(core, selector, descriptor));
  return descriptor.to_register(selector.with_rpl(cpl));
}

// SDM Vol. 2 "RET", "IRET": the checks before the privilege levels are compared.
Checked<CodeTarget> check_return_code(Core& core, Selector selector, std::uint64_t rip) {
  const GuestFault bad = guest::general_protection(selector.error_code());
  if (selector.null()) return tl::unexpected(guest::general_protection());
  RS_ASSIGN(descriptor, read_descriptor(core, selector, bad));
  const unsigned rpl = selector.rpl();
  if (!descriptor.is_code() || rpl < core.state.cpl) return tl::unexpected(bad);
  if (descriptor.conforming() ? descriptor.dpl() > rpl : descriptor.dpl() != rpl)
    return tl::unexpected(bad);
  RS_CHECK(check_code_size(core, descriptor, selector));
  RS_ASSIGN(cs, present_code_segment(core, selector, descriptor, rpl, 0));
  return CodeTarget{cs, rip, rpl};
}

Checked<SegmentRegister> check_return_stack(Core& core, Selector selector,
                                            const CodeTarget& target) {
  const bool to_64bit = core.state.long_mode_active() && target.cs.long_mode();
  if (selector.null() && to_64bit && target.cpl < 3 && selector.rpl() == target.cpl)
    return null_stack_segment(selector, target.cpl);
  return check_stack_segment(core, selector, target.cpl, Vector::kGeneralProtection, 0);
}

unsigned stack_width(const Core& core, const SegmentRegister& cs, const SegmentRegister& ss) {
  if (core.state.long_mode_active() && cs.long_mode()) return 8;
  return ss.big() ? 4 : 2;
}

void enter_code(Core& core, const CodeTarget& target) {
  core.state.segment(Seg::kCs) = target.cs;
  core.state.rip = target.rip;
  core.state.cpl = static_cast<std::uint8_t>(target.cpl);
  mode_changed(core);
}

Checked<CodeTarget> check_real_mode_code(const Core& core, std::uint16_t selector,
                                         std::uint64_t rip) {
  const CpuState& s = core.state;
  const SegmentRegister cs =
      s.v86() ? v86_segment(selector) : real_mode_segment(s.segment(Seg::kCs), selector);
  if (rip > cs.limit) return tl::unexpected(guest::general_protection());
  return CodeTarget{cs, rip, s.v86() ? 3u : 0u};
}

}  // namespace ringshift::translator
