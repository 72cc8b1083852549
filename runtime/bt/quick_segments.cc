// runtime/bt/quick_segments.cc - what a 32-bit kernel does at each entry, in its usual form: loads
// of data segment registers, SYSENTER, SYSEXIT. The rules of quick_transfers.cc hold here too.
#include <utility>

#include "runtime/bt/bt_vcpu.h"
#include "translator/callouts/code_segment.h"
#include "translator/callouts/descriptor.h"
#include "translator/callouts/segment_load.h"
#include "translator/callouts/stack_segment.h"

namespace ringshift::runtime {
using guest::Gpr;
using guest::Seg;
using guest::SegmentRegister;
using translator::Descriptor;
using translator::Operation;
using translator::Selector;
namespace flags = guest::flags;

namespace {

constexpr std::uint16_t kFlatCode = 0xc09b, kFlatData = 0xc093;

void load_flat(guest::CpuState& s, unsigned cs, unsigned cpl) {
  const unsigned dpl = cpl << 5;
  s.segment(Seg::kCs) = {static_cast<std::uint16_t>(cs | cpl),
                         static_cast<std::uint16_t>(kFlatCode | dpl), 0xffffffff, 0};
  s.segment(Seg::kSs) = {static_cast<std::uint16_t>((cs + 8) | cpl),
                         static_cast<std::uint16_t>(kFlatData | dpl), 0xffffffff, 0};
}

bool same_hidden_part(const SegmentRegister& a, const SegmentRegister& b) {
  return a.attributes == b.attributes && a.limit == b.limit && a.base == b.base;
}

}  // namespace

// Up to eight bytes as an ordinary read of the current privilege finds them, if they can be had
// without a miss.
bool BtVcpu::peek(Seg segment, std::uint64_t offset, std::span<std::uint8_t> out) {
  if (translator::alignment_checked(state(), state().cpl)) return false;
  const auto a = translator::linear_address(core_, segment, offset, out.size(), false);
  const std::uint8_t* host = a ? mmu_.current().find_read(*a) : nullptr;
  if (!host || guest::page_offset(a->value) > guest::kPageBytes - out.size()) return false;
  guest::copy_bytes(out.data(), host, out.size());
  return true;
}

// The 16-bit r/m operand.
std::optional<std::uint16_t> BtVcpu::peek_selector(const Operation& op) {
  if (!op.has_memory) return static_cast<std::uint16_t>(state().gpr[op.rm]);
  set_rip(frame().rip_base + op.page_offset);
  std::array<std::uint8_t, 2> bytes;
  if (!peek(op.memory.segment, translator::effective_offset(core_, op), bytes)) return std::nullopt;
  return static_cast<std::uint16_t>(bytes[0] | bytes[1] << 8);
}

// SDM Vol. 2 "MOV", "POP" of DS, ES, FS or GS in protected mode. Where more than the selector
// changes, the code that follows may be another mode's.
bool BtVcpu::quick_load_segment(const Operation& op, std::uint16_t value,
                                const std::uint8_t* return_address) {
  Frame& f = frame();
  auto& s = f.state;
  SegmentRegister& reg = s.segment(static_cast<Seg>(op.reg));
  const Selector selector{value};
  SegmentRegister loaded = translator::null_data_segment(reg, selector);
  if (!selector.null()) {
    const auto entry = table_entry(value);
    if (!entry) return false;
    const Descriptor d{*entry, 0};
    if (d.is_system() || !d.readable() || !d.present() || !d.accessed() ||
        (!d.conforming() && (selector.rpl() > d.dpl() || s.cpl > d.dpl())))
      return false;
    loaded = d.to_register(selector);
  }
  const bool same_mode = same_hidden_part(loaded, reg);
  reg = loaded;
  if (same_mode) {
    f.next_code = return_address;
    return true;
  }
  s.rflags = translator::materialize_flags(f);
  set_rip(f.rip_base + op.page_offset + op.length);
  continue_at_privilege(s.cpl);
  return true;
}

bool BtVcpu::quick_move_to_segment(const Operation& op, const std::uint8_t* return_address) {
  const auto selector = peek_selector(op);
  return selector && quick_load_segment(op, *selector, return_address);
}

bool BtVcpu::quick_pop_segment(const Operation& op, const std::uint8_t* return_address) {
  std::uint64_t& rsp = state().reg(Gpr::kRsp);
  const std::uint64_t top = rsp & 0xffffffff;
  std::array<std::uint8_t, 4> bytes;
  if (!peek(Seg::kSs, top, bytes)) return false;
  const std::uint64_t before = std::exchange(rsp, (top + bytes.size()) & 0xffffffff);
  if (quick_load_segment(op, static_cast<std::uint16_t>(bytes[0] | bytes[1] << 8), return_address))
    return true;
  rsp = before;
  return false;
}

// SDM Vol. 2 "SYSENTER", outside long mode.
bool BtVcpu::quick_sysenter() {
  auto& s = state();
  const auto cs = static_cast<unsigned>(s.msr.sysenter_cs & 0xfffc);
  if (!model_.has(guest::feature::kSep) || s.long_mode_active() || cs == 0) return false;
  s.rflags = translator::materialize_flags(frame()) & ~(flags::kVm | flags::kIf | flags::kRf);
  s.reg(Gpr::kRsp) = s.msr.sysenter_esp & 0xffffffff;
  s.rip = s.msr.sysenter_eip & 0xffffffff;
  load_flat(s, cs, 0);
  continue_at_privilege(0);
  return true;
}

// SDM Vol. 2 "SYSEXIT", outside long mode, at CPL 0.
bool BtVcpu::quick_sysexit() {
  auto& s = state();
  const auto cs = static_cast<unsigned>(s.msr.sysenter_cs & 0xfffc);
  if (!model_.has(guest::feature::kSep) || s.long_mode_active() || cs == 0 || event_may_be_due() ||
      (frame().other_flags & flags::kAc))
    return false;
  s.rflags = translator::materialize_flags(frame());
  s.rip = s.reg(Gpr::kRdx) & 0xffffffff;
  s.reg(Gpr::kRsp) = s.reg(Gpr::kRcx) & 0xffffffff;
  load_flat(s, cs + 16, 3);
  continue_at_privilege(3);
  return true;
}

}  // namespace ringshift::runtime
