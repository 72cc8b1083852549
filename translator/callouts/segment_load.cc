// translator/callouts/segment_load.cc - checks and loads of the data and stack segment registers.
#include "translator/callouts/segment_load.h"

#include "translator/callouts/stack_segment.h"

namespace ringshift::translator {

using guest::Checked;
using guest::CpuState;
using guest::Gpr;
using guest::GuestFault;
using guest::Seg;
using guest::SegmentRegister;
using guest::Status;
using guest::Vector;

// SDM Vol. 2 "MOV", loading DS, ES, FS or GS with a non-null selector.
Checked<SegmentRegister> check_data_segment(Core& core, Selector selector, unsigned cpl,
                                            Vector violation, std::uint32_t ext) {
  const GuestFault bad = guest::fault(violation, selector.error_code(ext));
  RS_ASSIGN(descriptor, read_descriptor(core, selector, bad));
  if (descriptor.is_system() || !descriptor.readable()) return tl::unexpected(bad);
  if (!descriptor.conforming() && (selector.rpl() > descriptor.dpl() || cpl > descriptor.dpl()))
    return tl::unexpected(bad);
  if (!descriptor.present())
    return tl::unexpected(guest::fault(Vector::kSegmentNotPresent, selector.error_code(ext)));
  RS_CHECK(set_accessed(core, selector, descriptor));
  return descriptor.to_register(selector);
}

// SDM Vol. 2 "MOV", loading SS.
Checked<SegmentRegister> check_stack_segment(Core& core, Selector selector, unsigned cpl,
                                             Vector violation, std::uint32_t ext) {
  const GuestFault bad = guest::fault(violation, selector.error_code(ext));
  if (selector.null()) return tl::unexpected(bad);
  RS_ASSIGN(descriptor, read_descriptor(core, selector, bad));
  if (selector.rpl() != cpl || !descriptor.writable() || descriptor.dpl() != cpl)
    return tl::unexpected(bad);
  if (!descriptor.present()) return tl::unexpected(guest::stack_fault(selector.error_code(ext)));
  RS_CHECK(set_accessed(core, selector, descriptor));
  return descriptor.to_register(selector);
}

// The limit stays, so that a later real-mode load finds 64 KiB there; P clear bars every access.
SegmentRegister null_data_segment(const SegmentRegister& previous, Selector selector) {
  return {selector.value, 0, previous.limit, 0};
}

// SDM Vol. 3 "Switching Back to Real-Address Mode": limits are what protected mode left.
SegmentRegister real_mode_segment(const SegmentRegister& previous, std::uint16_t selector) {
  constexpr std::uint16_t kKept = 0xd000, kPresentWritableAccessed = 0x93;
  return {selector,
          static_cast<std::uint16_t>((previous.attributes & kKept) | kPresentWritableAccessed),
          previous.limit, std::uint64_t{selector} << 4};
}

SegmentRegister v86_segment(std::uint16_t selector) {
  return {selector, 0xf3, 0xffff, std::uint64_t{selector} << 4};
}

namespace {

Checked<SegmentRegister> protected_segment(Core& core, Seg segment, Selector selector) {
  const CpuState& s = core.state;
  if (segment == Seg::kSs) {
    const bool null_allowed = s.in_64bit_code() && s.cpl < 3 && selector.rpl() == s.cpl;
    if (selector.null() && null_allowed) return null_stack_segment(selector, s.cpl);
    return check_stack_segment(core, selector, s.cpl, Vector::kGeneralProtection, 0);
  }
  if (selector.null()) return null_data_segment(s.segment(segment), selector);
  return check_data_segment(core, selector, s.cpl, Vector::kGeneralProtection, 0);
}

// SDM Vol. 3 "Masking Exceptions and Interrupts When Switching Stacks".
void shadow_stack_switch(CpuState& s) {
  s.interrupt_shadow = true;
  s.debug_shadow = true;
}

bool loadable(std::uint8_t number) {
  return number < guest::kSegCount && number != static_cast<std::uint8_t>(Seg::kCs);
}

// LDS to LSS. SDM Vol. 2 "LDS/LES/LFS/LGS/LSS - Load Far Pointer".
Result load_far_pointer(Core& core, const Operation& op, Seg segment) {
  if (!op.has_memory) return tl::unexpected(guest::invalid_opcode());
  unsigned bytes = op.operand_bytes;
  // APM Vol. 3 "LDS, LES, LFS, LGS, LSS": REX.W does not widen the offset there.
  if (bytes == 8 && !core.model.vendor_is_intel()) bytes = 4;
  const std::uint64_t at = effective_offset(core, op);
  const std::uint64_t mask =
      op.address_bytes == 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << 8 * op.address_bytes) - 1;
  RS_ASSIGN(offset, read_data(core, op.memory.segment, at, bytes));
  RS_ASSIGN(selector, read_data(core, op.memory.segment, (at + bytes) & mask, 2));
  RS_CHECK(load_segment(core, segment, static_cast<std::uint16_t>(selector)));
  write_gpr(core, op.reg, bytes, offset);
  return Next::kContinue;
}

}  // namespace

Status load_segment(Core& core, Seg segment, std::uint16_t selector) {
  CpuState& s = core.state;
  SegmentRegister& reg = s.segment(segment);
  if (!s.protected_mode()) {
    reg = real_mode_segment(reg, selector);
  } else if (s.v86()) {
    reg = v86_segment(selector);
  } else {
    RS_ASSIGN(loaded, protected_segment(core, segment, {selector}));
    reg = loaded;
  }
  return {};
}

// SDM Vol. 2 "RET" and "IRET": a null selector has DPL 0, so its RPL bits go as well; FS and GS
// keep a base that was loaded without a descriptor.
void drop_inner_segments(CpuState& s) {
  for (Seg segment : {Seg::kEs, Seg::kFs, Seg::kGs, Seg::kDs}) {
    SegmentRegister& reg = s.segment(segment);
    if (reg.present() && (reg.conforming() || reg.dpl() >= s.cpl)) continue;
    reg.selector = 0;
    reg.attributes = 0;
  }
}

Result mov_to_segment(Core& core, const Operation& op) {
  if (!loadable(op.reg)) return tl::unexpected(guest::invalid_opcode());
  const Seg segment = static_cast<Seg>(op.reg);
  RS_ASSIGN(selector, read_rm(core, op, 2));
  RS_CHECK(load_segment(core, segment, static_cast<std::uint16_t>(selector)));
  if (segment == Seg::kSs) shadow_stack_switch(core.state);
  return Next::kContinue;
}

Result mov_from_segment(Core& core, const Operation& op) {
  if (op.reg >= guest::kSegCount) return tl::unexpected(guest::invalid_opcode());
  const std::uint16_t selector = core.state.seg[op.reg].selector;
  RS_CHECK(write_rm(core, op, op.has_memory ? 2 : op.operand_bytes, selector));
  return Next::kContinue;
}

Result push_segment(Core& core, const Operation& op) {
  if (op.reg >= guest::kSegCount) return tl::unexpected(guest::invalid_opcode());
  // SDM Vol. 2 "PUSH": with a 32-bit operand the upper half of the slot is left as it was.
  const bool half = op.operand_bytes == 4 && core.model.vendor_is_intel();
  Stack stack = Stack::current(core);
  RS_CHECK(
      stack.push(op.operand_bytes, core.state.seg[op.reg].selector, half ? 2 : op.operand_bytes));
  core.state.reg(Gpr::kRsp) = stack.pointer();
  return Next::kContinue;
}

Result pop_segment(Core& core, const Operation& op) {
  if (!loadable(op.reg)) return tl::unexpected(guest::invalid_opcode());
  const Seg segment = static_cast<Seg>(op.reg);
  Stack stack = Stack::current(core);
  RS_ASSIGN(selector, stack.pop(op.operand_bytes));
  RS_CHECK(load_segment(core, segment, static_cast<std::uint16_t>(selector)));
  core.state.reg(Gpr::kRsp) = stack.pointer();
  if (segment == Seg::kSs) shadow_stack_switch(core.state);
  return Next::kContinue;
}

Result lds(Core& core, const Operation& op) { return load_far_pointer(core, op, Seg::kDs); }
Result les(Core& core, const Operation& op) { return load_far_pointer(core, op, Seg::kEs); }
Result lfs(Core& core, const Operation& op) { return load_far_pointer(core, op, Seg::kFs); }
Result lgs(Core& core, const Operation& op) { return load_far_pointer(core, op, Seg::kGs); }
Result lss(Core& core, const Operation& op) { return load_far_pointer(core, op, Seg::kSs); }

}  // namespace ringshift::translator
