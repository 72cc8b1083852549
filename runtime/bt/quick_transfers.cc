// runtime/bt/quick_transfers.cc - transfers between a 64-bit kernel and its users, of 64 and 32
// bits, in their usual form: SYSCALL, SYSRET, IRET; CLAC and STAC, which change the view as they
// do; and VERR and VERW, which some kernels run before each return. Each answers "no" before it has
// changed anything where the case is not the usual one; then the call-out's handler in
// translator/callouts/ decides. No debug trap can be due: blocks that run with TF set or
// breakpoints in DR7 are translated singly, and those never come here.
#include <optional>

#include "runtime/bt/bt_vcpu.h"
#include "translator/callouts/code_segment.h"
#include "translator/callouts/descriptor.h"
#include "translator/callouts/fast_system_calls.h"
#include "translator/callouts/flags.h"
#include "translator/callouts/iret.h"
#include "translator/callouts/segment_load.h"
#include "translator/callouts/selector_checks.h"
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

SegmentRegister flat_code(unsigned selector, unsigned dpl, bool code64) {
  const unsigned attributes = code64 ? 0xa09b : 0xc09b;
  return {static_cast<std::uint16_t>(selector), static_cast<std::uint16_t>(attributes | dpl << 5),
          0xffffffff, 0};
}
SegmentRegister flat_data(unsigned selector, unsigned dpl) {
  return {static_cast<std::uint16_t>(selector), static_cast<std::uint16_t>(0xc093 | dpl << 5),
          0xffffffff, 0};
}

// Descriptors that IRET takes without a fault and without a write: accessed already.
bool is_usual_code(const Descriptor& d, unsigned cpl, bool code64) {
  constexpr unsigned kIgnored = 0x9002;  // granularity, AVL, readable
  const unsigned wanted = (code64 ? 0x2099u : 0x4099u) | cpl << 5;
  return (d.attributes() & ~kIgnored) == wanted && (code64 || d.limit() == 0xffffffff);
}
bool is_usual_stack(const Descriptor& d, unsigned cpl, bool code64) {
  constexpr unsigned kPresentWritableAccessed = 0x93;
  return (d.attributes() & 0xfbu) == (kPresentWritableAccessed | cpl << 5) && (code64 || d.big());
}

}  // namespace

bool BtVcpu::quick(const Operation& op, const std::uint8_t* return_address) {
  const translator::Handler handler = translator::instruction_table()[op.row].handler;
  if (handler == translator::syscall_entry) return quick_system_call(op);
  if (handler == translator::syscall_return) return quick_system_return(op);
  if (handler == translator::verw) return quick_verify(op, true, return_address);
  if (handler == translator::stac) return quick_alignment_check(true, return_address);
  if (handler == translator::clac) return quick_alignment_check(false, return_address);
  if (handler == translator::iret) return quick_interrupt_return(op);
  if (handler == translator::mov_to_segment) return quick_move_to_segment(op, return_address);
  if (handler == translator::pop_segment) return quick_pop_segment(op, return_address);
  if (handler == translator::sysenter) return quick_sysenter();
  if (handler == translator::sysexit) return quick_sysexit();
  if (handler == translator::verr) return quick_verify(op, false, return_address);
  return false;
}

// Goes on at state.rip, whose code segment is loaded, with the new CPL: from one jump cache into
// another if it is there.
void BtVcpu::continue_at_privilege(unsigned cpl) {
  Frame& f = frame();
  const translator::ModeKey before(static_cast<std::uint32_t>(mmu_.current().jump_mode));
  f.state.cpl = static_cast<std::uint8_t>(cpl);
  mmu_.select_view();
  const softmmu::View& view = mmu_.current();
  std::uint64_t mode;
  if (f.state.in_64bit_code())
    mode = before.in_64bit_code(cpl).bits() | (view.windowed ? translator::ModeKey::kWindows : 0);
  else
    mode = jump_mode(mode_now(false));
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
  if (!(s.msr.efer & guest::efer::kSce) || !model_.has(guest::feature::kSyscall) ||
      !s.long_mode_active())
    return false;
  const std::uint64_t entry = s.in_64bit_code() ? s.msr.lstar : s.msr.cstar;
  s.reg(Gpr::kRcx) = f.rip_base + op.page_offset + op.length;
  if (!s.in_64bit_code()) s.reg(Gpr::kRcx) &= 0xffffffff;
  s.rflags = translator::materialize_flags(f);
  s.reg(Gpr::kR11) = s.rflags & ~flags::kRf;
  s.rflags = (s.rflags & ~(s.msr.sfmask | flags::kRf)) | flags::kFixed1;
  const unsigned cs = s.msr.star >> 32 & 0xfffc;
  s.segment(Seg::kCs) = flat_code(cs, 0, true);
  s.segment(Seg::kSs) = flat_data(cs + 8, 0);
  s.rip = entry;
  continue_at_privilege(0);
  return true;
}

// SDM Vol. 2 "SYSRET", from 64-bit code. What AC means at CPL 3 is part of a mode's key.
bool BtVcpu::quick_system_return(const Operation& op) {
  constexpr std::uint64_t kUnusual = flags::kTf | flags::kAc | flags::kNt;
  Frame& f = frame();
  auto& s = f.state;
  const std::uint64_t image = s.reg(Gpr::kR11);
  const bool code64 = op.prefixes & translator::prefix::kRexW;
  const std::uint64_t rip = s.reg(Gpr::kRcx) & (code64 ? ~std::uint64_t{0} : 0xffffffff);
  if (!(s.msr.efer & guest::efer::kSce) || !model_.has(guest::feature::kSyscall) ||
      (image & kUnusual) || event_may_be_due() || !guest::is_canonical(rip))
    return false;
  s.rflags = (image & kFromImage) | flags::kFixed1;
  const unsigned base = s.msr.star >> 48 & 0xffff;
  s.segment(Seg::kCs) = flat_code((code64 ? base + 16 : base) | 3, 3, code64);
  s.segment(Seg::kSs) = flat_data((base + 8) | 3, 3);
  s.rip = rip;
  continue_at_privilege(3);
  return true;
}

// The GDT's eight bytes for a selector, if they can be had without a miss.
std::optional<std::uint64_t> BtVcpu::table_entry(std::uint16_t selector) {
  const auto& s = state();
  if ((selector & 4) || (selector | 7u) > s.gdtr.limit) return std::nullopt;
  const std::uint64_t address = s.gdtr.base + (selector & ~7u);
  const guest::LinearAddress a{s.long_mode_active() ? address : address & 0xffffffff};
  const std::uint8_t* host = mmu_.system_view().find_read(a);
  if (!host || guest::page_offset(a.value) > guest::kPageBytes - 8) return std::nullopt;
  std::uint64_t value;
  guest::copy_bytes(&value, host, sizeof value);
  return value;
}

// An IRET's frame, all of it in one page.
bool BtVcpu::peek_frame(unsigned item_bytes, std::uint64_t (&words)[5]) {
  std::array<std::uint8_t, 5 * 8> bytes;
  const std::uint64_t top =
      state().reg(Gpr::kRsp) & (item_bytes == 8 ? ~std::uint64_t{0} : 0xffffffff);
  if (!peek(Seg::kSs, top, std::span(bytes).first(5 * item_bytes))) return false;
  for (std::size_t i = 0; i < 5; ++i) {
    words[i] = 0;
    guest::copy_bytes(&words[i], &bytes[i * item_bytes], item_bytes);
  }
  return true;
}

// SDM Vol. 2 "IRET": of 8-byte items from 64-bit code, of 4-byte ones outside long mode, all of the
// frame in one page. An interrupt that is due stays so where it stays masked.
bool BtVcpu::quick_interrupt_return(const Operation& op) {
  constexpr std::uint64_t kUnusual = flags::kTf | flags::kAc | flags::kNt | flags::kVm;
  Frame& f = frame();
  auto& s = f.state;
  std::uint64_t frame_words[5];  // RIP, CS, RFLAGS, RSP, SS
  if (f.attention.load(std::memory_order_relaxed) || s.nmi_pending ||
      (f.other_flags & (flags::kNt | flags::kAc)) || (op.operand_bytes == 8) != s.in_64bit_code() ||
      (s.long_mode_active() != s.in_64bit_code()) || !peek_frame(op.operand_bytes, frame_words))
    return false;
  auto [rip, cs, image, rsp, ss] = frame_words;
  const unsigned cpl = cs & 3;
  if ((image & kUnusual) || (cpl != 0 && cpl != 3) || (cs & 0xfffc) == 0 ||
      ((image & flags::kIf) && f.interrupt_maybe))
    return false;
  const bool with_stack = op.operand_bytes == 8 || cpl == 3;
  if (!with_stack) {
    rsp = s.reg(Gpr::kRsp) + 3 * 4;
    ss = s.segment(Seg::kSs).selector;
  }
  const auto code = table_entry(static_cast<std::uint16_t>(cs));
  if (!code) return false;
  const bool code64 = Descriptor{*code, 0}.long_mode();
  if (!is_usual_code({*code, 0}, cpl, code64) ||
      (code64 ? !guest::is_canonical(rip) : rip > 0xffffffff))
    return false;
  const Selector stack_selector{static_cast<std::uint16_t>(ss)};
  SegmentRegister stack =
      with_stack ? translator::null_stack_segment(stack_selector, cpl) : s.segment(Seg::kSs);
  if (stack_selector.rpl() != cpl) return false;
  if (!with_stack) {
    if (!stack.big()) return false;
  } else if (!stack_selector.null()) {
    const auto data = table_entry(stack_selector.value);
    if (!data || !is_usual_stack({*data, 0}, cpl, code64)) return false;
    stack = Descriptor{*data, 0}.to_register(stack_selector);
  } else if (cpl == 3 || !code64) {
    return false;
  }
  s.nmi_blocked = false;
  s.rflags = (image & kFromImage) | flags::kFixed1;
  s.segment(Seg::kCs) = Descriptor{*code, 0}.to_register({static_cast<std::uint16_t>(cs)});
  s.segment(Seg::kSs) = stack;
  s.reg(Gpr::kRsp) = code64 ? rsp : rsp & 0xffffffff;
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

// SDM Vol. 2 "VERR/VERW", of a code or data segment in the GDT.
bool BtVcpu::quick_verify(const Operation& op, bool wants_write,
                          const std::uint8_t* return_address) {
  Frame& f = frame();
  auto& s = f.state;
  const auto operand = peek_selector(op);
  if (!operand) return false;
  const Selector selector{*operand};
  const auto entry = table_entry(selector.value);
  if (!entry || selector.null()) return false;
  const Descriptor d{*entry, 0};
  if (d.is_system()) return false;
  const bool yes = (wants_write ? d.writable() : d.readable()) &&
                   (d.conforming() || (d.dpl() >= s.cpl && d.dpl() >= selector.rpl()));
  constexpr std::uint64_t kSavedZf = flags::kZf << 8;
  f.saved_flags = yes ? f.saved_flags | kSavedZf : f.saved_flags & ~kSavedZf;
  f.next_code = return_address;
  return true;
}

}  // namespace ringshift::runtime
