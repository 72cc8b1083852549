// translator/callouts/stack_segment.cc - pushes and pops on any stack, and the stacks of the TSS.
#include "translator/callouts/stack_segment.h"

#include "translator/callouts/segment_load.h"

namespace ringshift::translator {

using guest::Checked;
using guest::CpuState;
using guest::GuestFault;
using guest::LinearAddress;
using guest::Seg;
using guest::SegmentRegister;
using guest::Status;
using guest::Vector;

bool within_limit(const SegmentRegister& segment, std::uint64_t offset, std::size_t bytes) {
  const std::uint64_t last = offset + bytes - 1;
  if (!segment.expand_down()) return last <= segment.limit;
  const std::uint64_t top = segment.big() ? 0xffffffff : 0xffff;
  return offset > segment.limit && last <= top;
}

bool alignment_checked(const CpuState& state, unsigned cpl) {
  return cpl == 3 && (state.cr0 & guest::cr0::kAm) && (state.rflags & guest::flags::kAc);
}

std::uint64_t merge_stack_pointer(std::uint64_t previous, std::uint64_t value, unsigned width) {
  if (width == 2) return (previous & ~std::uint64_t{0xffff}) | (value & 0xffff);
  return width == 4 ? value & 0xffffffff : value;
}

Stack::Stack(Core& core, const SegmentRegister& ss, std::uint64_t pointer, unsigned width,
             unsigned cpl, const GuestFault& violation)
    : core_(core), ss_(ss), pointer_(pointer), width_(width), cpl_(cpl), violation_(violation) {}

Stack Stack::current(Core& core) {
  const CpuState& s = core.state;
  return {core,  s.segment(Seg::kSs), s.reg(guest::Gpr::kRsp), s.stack_bytes(),
          s.cpl, guest::stack_fault()};
}

std::uint64_t Stack::moved(std::uint64_t delta) const {
  return merge_stack_pointer(pointer_, pointer_ + delta, width_);
}

std::uint64_t Stack::offset(std::uint64_t pointer) const {
  return merge_stack_pointer(0, pointer, width_);
}

Checked<LinearAddress> Stack::locate(std::uint64_t pointer, unsigned bytes) const {
  const std::uint64_t start = offset(pointer);
  std::uint64_t linear = start;
  if (width_ == 8) {
    if (!guest::is_canonical(start) || !guest::is_canonical(start + bytes - 1))
      return tl::unexpected(violation_);
  } else {
    const bool usable = core_.state.real_or_v86() || ss_.present();
    if (!usable || !within_limit(ss_, start, bytes)) return tl::unexpected(violation_);
    linear = (ss_.base + start) & 0xffffffff;
  }
  if (alignment_checked(core_.state, cpl_) && (linear & (bytes - 1)))
    return tl::unexpected(guest::fault(Vector::kAlignmentCheck, violation_.error_code & 1));
  return LinearAddress{linear};
}

Status Stack::push(unsigned bytes, std::uint64_t value, unsigned written) {
  const std::uint64_t next = moved(0 - std::uint64_t{bytes});
  RS_ASSIGN(address, locate(next, bytes));
  const softmmu::Access access{softmmu::AccessKind::kWrite, cpl_ == 3, false};
  RS_CHECK(
      core_.mmu.write(address, {reinterpret_cast<const std::uint8_t*>(&value), written}, access));
  pointer_ = next;
  return {};
}

Checked<std::uint64_t> Stack::pop(unsigned bytes) {
  RS_ASSIGN(address, locate(pointer_, bytes));
  const softmmu::Access access{softmmu::AccessKind::kRead, cpl_ == 3, false};
  std::uint64_t value = 0;
  RS_CHECK(core_.mmu.read(address, {reinterpret_cast<std::uint8_t*>(&value), bytes}, access));
  pointer_ = moved(bytes);
  return value;
}

SegmentRegister null_stack_segment(Selector selector, unsigned cpl) {
  return {selector.value, static_cast<std::uint16_t>(cpl << 5), 0, 0};
}

namespace {

// SDM Vol. 3 "64-Bit Task State Segment": RSPn from 4, ISTn from 36.
Checked<InnerStack> stack_from_tss64(Core& core, unsigned cpl, unsigned ist, const GuestFault& bad,
                                     std::uint32_t ext) {
  const SegmentRegister& tr = core.state.tr;
  const std::uint32_t at = ist ? 28 + 8 * ist : 4 + 8 * cpl;
  if (at + 7 > tr.limit) return tl::unexpected(bad);
  RS_ASSIGN(rsp, load_system<std::uint64_t>(core, tr.base + at));
  if (!guest::is_canonical(rsp)) return tl::unexpected(guest::stack_fault(ext));
  return InnerStack{null_stack_segment({static_cast<std::uint16_t>(cpl)}, cpl), rsp, 8};
}

struct FarStack {
  std::uint64_t pointer;
  Selector ss;
};

// SDM Vol. 3 "Task-State Segment (TSS)" and "16-Bit Task-State Segment (TSS)".
Checked<FarStack> pointer_from_tss(Core& core, unsigned cpl, const GuestFault& bad) {
  const SegmentRegister& tr = core.state.tr;
  const bool wide = tr.type() & 8;
  const std::uint32_t at = wide ? 4 + 8 * cpl : 2 + 4 * cpl;
  if (at + (wide ? 5 : 3) > tr.limit) return tl::unexpected(bad);
  std::uint64_t pointer = 0;
  if (wide) {
    RS_ASSIGN(esp, load_system<std::uint32_t>(core, tr.base + at));
    pointer = esp;
  } else {
    RS_ASSIGN(sp, load_system<std::uint16_t>(core, tr.base + at));
    pointer = sp;
  }
  RS_ASSIGN(ss, load_system<std::uint16_t>(core, tr.base + at + (wide ? 4 : 2)));
  return FarStack{pointer, {ss}};
}

}  // namespace

Checked<InnerStack> inner_stack(Core& core, unsigned cpl, unsigned ist, std::uint32_t ext) {
  const Selector tss{core.state.tr.selector};
  const GuestFault bad = guest::fault(Vector::kInvalidTss, tss.error_code(ext));
  if (!core.state.tr.present()) return tl::unexpected(bad);
  if (core.state.long_mode_active()) return stack_from_tss64(core, cpl, ist, bad, ext);
  RS_ASSIGN(far, pointer_from_tss(core, cpl, bad));
  RS_ASSIGN(ss, check_stack_segment(core, far.ss, cpl, Vector::kInvalidTss, ext));
  return InnerStack{ss, far.pointer, ss.big() ? 4u : 2u};
}

}  // namespace ringshift::translator
