// runtime/bt/quick_transfers.cc - transfers between a 64-bit kernel and its user in their usual
// form: SYSCALL, SYSRET, IRET; and CLAC and STAC, which change the view as they do. Each answers
// "no" before it has changed anything where the case is not the usual one; then the call-out's
// handler in translator/callouts/ decides. No debug trap can be due: blocks that run with TF set or
// breakpoints in DR7 are translated singly, and those never come here.
#include <optional>

#include "runtime/bt/bt_vcpu.h"
#include "translator/callouts/code_segment.h"
#include "translator/callouts/descriptor.h"
#include "translator/callouts/fast_system_calls.h"
#include "translator/callouts/flags.h"
#include "translator/callouts/iret.h"
#include "translator/callouts/segment_load.h"
#include "translator/callouts/stack_segment.h"
#include "translator/instruction_table.h"

namespace ringshift::runtime {
using guest::Gpr;
using guest::Seg;
using guest::SegmentRegister;
using translator::Descriptor;
using translator::Operation;
using translator::Selector;
namespace flags = guest::flags;

namespace {

constexpr std::uint64_t kFromImage = flags::kArithmetic | flags::kDf | flags::kIf | flags::kIopl |
                                     flags::kAc | flags::kId | flags::kVif | flags::kVip;

SegmentRegister flat_code(unsigned selector, unsigned dpl) {
  return {static_cast<std::uint16_t>(selector), static_cast<std::uint16_t>(0xa09b | dpl << 5),
          0xffffffff, 0};
}
SegmentRegister flat_data(unsigned selector, unsigned dpl) {
  return {static_cast<std::uint16_t>(selector), static_cast<std::uint16_t>(0xc093 | dpl << 5),
          0xffffffff, 0};
}

// Descriptors that IRET takes without a fault and without a write: accessed already.
bool is_usual_code(const Descriptor& d, unsigned cpl) {
  constexpr unsigned kIgnored = 0x1002;  // AVL, readable
  return (d.attributes() & ~kIgnored & ~0x8000u) == (0x2099u | cpl << 5);
}
bool is_usual_stack(const Descriptor& d, unsigned cpl) {
  constexpr unsigned kPresentWritableAccessed = 0x93;
  return (d.attributes() & 0xfbu) == (kPresentWritableAccessed | cpl << 5);
}

}  // namespace

bool BtVcpu::quick(const Operation& op, const std::uint8_t* return_address) {
  const translator::Handler handler = translator::instruction_table()[op.row].handler;
  if (handler == translator::syscall_entry) return quick_system_call(op);
  if (handler == translator::syscall_return) return quick_system_return(op);
  if (handler == translator::iret) return quick_interrupt_return(op);
  if (handler == translator::stac) return quick_alignment_check(true, return_address);
  if (handler == translator::clac) return quick_alignment_check(false, return_address);
  return false;
}

// Goes on at state.rip with the new CPL, between two kinds of 64-bit code: from one jump cache into
// another if it is there.
void BtVcpu::continue_at_privilege(unsigned cpl) {
  Frame& f = frame();
  constexpr std::uint64_t kCplBits = 3u << translator::ModeKey::kCplShift;
  std::uint64_t mode = (mmu_.current().jump_mode & ~(kCplBits | translator::ModeKey::kWindows)) |
                       cpl << translator::ModeKey::kCplShift;
  f.state.cpl = static_cast<std::uint8_t>(cpl);
  mmu_.select_view();
  const softmmu::View& view = mmu_.current();
  if (view.windowed) mode |= translator::ModeKey::kWindows;
  const softmmu::JumpEntry* entry = view.find_jump(f.state.rip);
  if (!entry || view.jump_mode != mode) return go_on();
  f.rip_base = entry->rip_base;
  f.next_code = reinterpret_cast<const std::uint8_t*>(entry->host_code);
  translator::dissolve_flags(f);
  sync_view();
}

// SDM Vol. 2 "SYSCALL".
bool BtVcpu::quick_system_call(const Operation& op) {
  Frame& f = frame();
  auto& s = f.state;
  if (!(s.msr.efer & guest::efer::kSce) || !model_.has(guest::feature::kSyscall)) return false;
  s.reg(Gpr::kRcx) = f.rip_base + op.page_offset + op.length;
  s.rflags = translator::materialize_flags(f);
  s.reg(Gpr::kR11) = s.rflags & ~flags::kRf;
  s.rflags = (s.rflags & ~(s.msr.sfmask | flags::kRf)) | flags::kFixed1;
  const unsigned cs = s.msr.star >> 32 & 0xfffc;
  s.segment(Seg::kCs) = flat_code(cs, 0);
  s.segment(Seg::kSs) = flat_data(cs + 8, 0);
  s.rip = s.msr.lstar;
  continue_at_privilege(0);
  return true;
}

// SDM Vol. 2 "SYSRET", to 64-bit code. What AC means at CPL 3 is part of a mode's key.
bool BtVcpu::quick_system_return(const Operation& op) {
  constexpr std::uint64_t kUnusual = flags::kTf | flags::kAc | flags::kNt;
  Frame& f = frame();
  auto& s = f.state;
  const std::uint64_t image = s.reg(Gpr::kR11);
  if (!(op.prefixes & translator::prefix::kRexW) || !(s.msr.efer & guest::efer::kSce) ||
      !model_.has(guest::feature::kSyscall) || (image & kUnusual) || event_may_be_due() ||
      !guest::is_canonical(s.reg(Gpr::kRcx)))
    return false;
  s.rflags = (image & kFromImage) | flags::kFixed1;
  const unsigned base = s.msr.star >> 48 & 0xffff;
  s.segment(Seg::kCs) = flat_code((base + 16) | 3, 3);
  s.segment(Seg::kSs) = flat_data((base + 8) | 3, 3);
  s.rip = s.reg(Gpr::kRcx);
  continue_at_privilege(3);
  return true;
}

// The GDT's eight bytes for a selector, if they can be had without a miss.
std::optional<std::uint64_t> BtVcpu::table_entry(std::uint16_t selector) {
  const auto& s = state();
  if ((selector & 4) || (selector | 7u) > s.gdtr.limit) return std::nullopt;
  const guest::LinearAddress a{s.gdtr.base + (selector & ~7u)};
  const std::uint8_t* host = mmu_.current().find_read(a);
  if (!host || guest::page_offset(a.value) > guest::kPageBytes - 8) return std::nullopt;
  std::uint64_t value;
  guest::copy_bytes(&value, host, sizeof value);
  return value;
}

// SDM Vol. 2 "IRET", from and to 64-bit code, all of the frame in one page.
bool BtVcpu::quick_interrupt_return(const Operation&) {
  constexpr std::uint64_t kUnusual = flags::kTf | flags::kAc | flags::kNt | flags::kVm;
  Frame& f = frame();
  auto& s = f.state;
  const guest::LinearAddress top{s.reg(Gpr::kRsp)};
  std::uint64_t frame_words[5];  // RIP, CS, RFLAGS, RSP, SS
  const std::uint8_t* host = mmu_.current().find_read(top);
  if (!host || guest::page_offset(top.value) > guest::kPageBytes - sizeof frame_words ||
      event_may_be_due() || s.nmi_pending || (f.other_flags & (flags::kNt | flags::kAc)))
    return false;
  guest::copy_bytes(frame_words, host, sizeof frame_words);
  const auto [rip, cs, image, rsp, ss] = frame_words;
  const unsigned cpl = cs & 3;
  if ((image & kUnusual) || !guest::is_canonical(rip) || (cpl != 0 && cpl != 3) ||
      (cs & 0xfffc) == 0)
    return false;
  const auto code = table_entry(static_cast<std::uint16_t>(cs));
  if (!code || !is_usual_code({*code, 0}, cpl)) return false;
  const Selector stack_selector{static_cast<std::uint16_t>(ss)};
  SegmentRegister stack = translator::null_stack_segment(stack_selector, cpl);
  if (stack_selector.rpl() != cpl) return false;
  if (!stack_selector.null()) {
    const auto data = table_entry(stack_selector.value);
    if (!data || !is_usual_stack({*data, 0}, cpl)) return false;
    stack = Descriptor{*data, 0}.to_register(stack_selector);
  } else if (cpl == 3) {
    return false;
  }
  s.nmi_blocked = false;
  s.rflags = (image & kFromImage) | flags::kFixed1;
  s.segment(Seg::kCs) = Descriptor{*code, 0}.to_register({static_cast<std::uint16_t>(cs)});
  s.segment(Seg::kSs) = stack;
  s.reg(Gpr::kRsp) = rsp;
  s.rip = rip;
  s.cpl = static_cast<std::uint8_t>(cpl);
  if (cpl == 3) translator::drop_inner_segments(s);
  continue_at_privilege(cpl);
  return true;
}

// SDM Vol. 2 "CLAC", "STAC": with SMAP the supervisor's other view; the jump cache there is the
// same mode's.
bool BtVcpu::quick_alignment_check(bool on, const std::uint8_t* return_address) {
  Frame& f = frame();
  auto& s = f.state;
  const softmmu::View& before = mmu_.current();
  s.rflags = translator::materialize_flags(f);
  s.rflags = on ? s.rflags | flags::kAc : s.rflags & ~flags::kAc;
  translator::dissolve_flags(f);
  mmu_.select_view();
  softmmu::View& view = mmu_.current();
  view.windowed = before.windowed && view.has_windows();
  if (view.jump_mode != before.jump_mode) {
    view.flush_jumps();
    view.jump_mode = before.jump_mode;
    view.jumps_are_linear = before.jumps_are_linear;
  }
  sync_view();
  f.next_code = return_address;
  return true;
}

}  // namespace ringshift::runtime
