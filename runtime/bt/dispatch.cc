// runtime/bt/dispatch.cc - what happens between blocks: events, traps, finding or making the code.
#include "runtime/bt/bt_vcpu.h"
#include "translator/callouts/debug_registers.h"
#include "translator/callouts/paravirtual_time.h"

namespace ringshift::runtime {
using guest::GuestFault;
using guest::LinearAddress;
using guest::PhysicalAddress;
using guest::Seg;
using translator::ModeKey;
namespace flags = guest::flags;

std::uint64_t BtVcpu::wrap_rip(std::uint64_t rip) const {
  switch (frame().state.code_bytes()) {
    case 8:
      return rip;
    case 4:
      return rip & 0xffffffff;
    default:
      return rip & 0xffff;
  }
}

void BtVcpu::set_rip(std::uint64_t rip) { state().rip = wrap_rip(rip); }

void BtVcpu::sync_view() {
  Frame& f = frame();
  softmmu::View* view = &mmu_.current();
  if (view == f.loaded_view) return;
  f.loaded_view = view;
  if (mmu_.space() != f.windows_space) {
    f.windows_space = mmu_.space();
    f.windows = {};
  }
  if (f.state.in_64bit_code())
    f.windows[static_cast<std::size_t>(view->privilege())] =
        reinterpret_cast<std::uint64_t>(view->flat_window());
  __builtin_ia32_wrgsbase64(reinterpret_cast<std::uint64_t>(view->flat_window()));
}

void BtVcpu::raise(const GuestFault& fault) {
  const Doing doing(activity_, Activity::kException, static_cast<std::uint8_t>(fault.vector));
  ++faults_;
  ++exceptions_by_vector_[static_cast<std::uint8_t>(fault.vector)];
  if (options_.log.interrupts) log_fault(fault);
  translator::deliver_fault(core_, fault);
}

bool BtVcpu::deliver_pending_interrupt() {
  auto& s = state();
  const auto vector = acknowledge_interrupt();
  if (!vector) {
    frame().interrupt_maybe = interrupt_pending();
    return false;
  }
  const Doing doing(activity_, Activity::kInterrupt, *vector);
  ++interrupts_;
  ++interrupts_by_vector_[*vector];
  note_tick();
  translator::write_steal_time(core_);
  if (options_.log.interrupts) log_interrupt(*vector);
  s.activity = guest::Activity::kRunning;
  translator::deliver_interrupt(core_, *vector, translator::EventKind::kExternal);
  return true;
}

void BtVcpu::finish_instruction() {
  auto& s = state();
  if (!s.pending_debug) return;
  if (s.pending_debug & debug_slots_) {
    s.pending_debug &= ~debug_slots_;
    debug_stop_ = step_ == Step::kNone;
    if (!s.pending_debug) return;
  }
  // SDM Vol. 3 "Masking Exceptions and Interrupts When Switching Stacks": the step is lost, a data
  // breakpoint waits for the end of the next instruction.
  if (s.debug_shadow) {
    s.pending_debug &= translator::dr6::kBreakpoints;
    return;
  }
  raise_debug(s.pending_debug);
}

void BtVcpu::raise_debug(std::uint64_t dr6_bits) {
  GuestFault debug = fault(guest::Vector::kDebug);
  debug.address = dr6_bits;
  raise(debug);
}

// SDM Vol. 1 "MS-DOS Compatibility Sub-mode": the instruction waits, by running again, for the
// interrupt.
void BtVcpu::raise_x87_error() {
  if (state().cr0 & guest::cr0::kNe)
    raise(fault(guest::Vector::kX87Error));
  else
    raise_ferr();
}

// Watchpoints as the debug registers name them now. True when a breakpoint meets the instruction.
bool BtVcpu::meet_breakpoints(LinearAddress linear) {
  auto& s = state();
  mmu_.watch(all_watchpoints());
  // HW: on AMD's processors MOV SS does not hold back the breakpoint of the next instruction.
  if ((s.rflags & flags::kRf) || (s.debug_shadow && model_.vendor_is_intel())) return false;
  const std::uint64_t matched = translator::match_code_breakpoint(s, linear);
  if (matched) raise_debug(matched);
  return matched;
}

bool BtVcpu::take_events() {
  auto& s = state();
  if (frame().attention.load(std::memory_order_relaxed)) {
    frame().attention.store(0);
    frame().interrupt_maybe = 1;
    if (stop_requested_.exchange(false)) {
      exit_ = ExitReason::kStopped;
      frame().attention.store(1);
      return false;
    }
    follow_map();
    if (nmi_requested_.exchange(false)) s.nmi_pending = true;
    if (look_wanted_) let_observers_look();
  }
  if (s.activity == guest::Activity::kShutdown) {
    exit_ = ExitReason::kShutdown;
    return false;
  }
  if (!s.interrupt_shadow) {
    if (s.nmi_pending && !s.nmi_blocked) {
      s.nmi_pending = false;
      s.nmi_blocked = true;
      s.activity = guest::Activity::kRunning;
      translator::deliver_interrupt(core_, static_cast<std::uint8_t>(guest::Vector::kNmi),
                                    translator::EventKind::kExternal);
    } else if (frame().interrupt_maybe && (s.rflags & flags::kIf)) {
      deliver_pending_interrupt();
    }
  }
  if (s.activity == guest::Activity::kHalted) {
    exit_ = ExitReason::kHalted;
    return false;
  }
  return true;
}

const std::uint8_t* BtVcpu::next() {
  const Doing doing(activity_, Activity::kDispatch);
  ++dispatches_;
  finish_instruction();
  for (;;) {
    if (step_ == Step::kDone) return nullptr;
    if (debug_stop_) {
      debug_stop_ = false;
      exit_ = ExitReason::kDebug;
      return nullptr;
    }
    if (!take_events()) return nullptr;
    if (state().activity == guest::Activity::kShutdown) continue;
    if (step_ == Step::kDue) step_ = Step::kDone;
    if (const std::uint8_t* code = find_code()) {
      translator::dissolve_flags(frame());
      translator::load_simd(frame(), simd_mask_);
      sync_view();
      return code;
    }
  }
}

std::uint64_t BtVcpu::jump_mode(ModeKey mode) const {
  std::uint64_t key = mode.bits();
  if (!mode.is_64bit()) {
    const auto& cs = frame().state.segment(Seg::kCs);
    key |= cs.base << 32;
    key ^= static_cast<std::uint64_t>(~cs.limit) << 20;
  }
  return key;
}

// SDM Vol. 1 "Canonical Addressing", Vol. 3 "Limit Checking".
bool BtVcpu::can_run_at(std::uint64_t rip) const {
  const guest::CpuState& s = frame().state;
  return s.in_64bit_code() ? guest::is_canonical(rip) : rip <= s.segment(Seg::kCs).limit;
}

// A branch to where no code can be faults before it changes anything. What only ran on to there
// faults there.
// DEVIATION: CALL's return address stays below the stack pointer.
void BtVcpu::undo_branch(std::uint32_t record) {
  auto& s = state();
  if (record != translator::BranchRecord::kNone) {
    const auto branch = translator::BranchRecord::unpack(record);
    set_rip(frame().rip_base + branch.page_offset);
    s.reg(guest::Gpr::kRsp) -= static_cast<std::uint64_t>(std::int64_t{branch.rsp_change});
    std::uint64_t& rcx = s.reg(guest::Gpr::kRcx);
    if (branch.counter_bytes == 2) rcx = (rcx & ~std::uint64_t{0xffff}) | ((rcx + 1) & 0xffff);
    if (branch.counter_bytes == 4) rcx = (rcx + 1) & 0xffffffff;
  } else if (alone_.valid && s.rip != alone_.next_rip) {
    s.rip = alone_.rip;
    s.reg(guest::Gpr::kRsp) = alone_.rsp;
    s.reg(guest::Gpr::kRcx) = alone_.rcx;
  } else {
    return;
  }
  raise(guest::general_protection());
}

// What translated code itself would find in the jump cache.
const std::uint8_t* BtVcpu::known_code(ModeKey mode) {
  const std::uint64_t rip = state().rip;
  const softmmu::View& view = mmu_.current();
  const softmmu::JumpEntry* entry = view.find_jump(rip);
  if (!entry || view.jump_mode != jump_mode(mode)) return nullptr;
  frame().rip_base = entry->rip_base;
  return reinterpret_cast<const std::uint8_t*>(entry->host_code);
}

const std::uint8_t* BtVcpu::find_code() {
  auto& s = state();
  const auto in_linear = [&s] {
    return s.in_64bit_code() ? s.rip : (s.segment(Seg::kCs).base + s.rip) & 0xffffffff;
  };
  const bool single =
      single_budget_ > 0 || s.interrupt_shadow || (s.rflags & flags::kTf) || (s.dr[7] & 0xff) ||
      !debug_points_.data.empty() ||
      (!debug_pages_.empty() && debug_pages_.contains(guest::page_number(in_linear())));
  if (single_budget_ > 0) --single_budget_;
  mmu_.select_view();  // a segment load may have chosen another variant
  const ModeKey mode = mode_now(single);
  const auto& cs = s.segment(Seg::kCs);
  s.rip = wrap_rip(s.rip);
  LinearAddress linear{s.rip};
  alone_.valid = false;
  if (!can_run_at(s.rip)) {
    raise(guest::general_protection());
    return nullptr;
  }
  if (!mode.is_64bit()) linear.value = (cs.base + s.rip) & 0xffffffff;
  if (single && stop_at_debug_point(linear)) return nullptr;
  if (((s.dr[7] & 0xff) || mmu_.watching()) && meet_breakpoints(linear)) return nullptr;
  // Had its effect: a fault of the instruction sets it in the image, and its success clears it.
  s.rflags &= ~flags::kRf;
  if (!single && !options_.log.exec)
    if (const std::uint8_t* known = known_code(mode)) return known;
  ++block_searches_;
  const auto where = mmu_.translate_fetch(linear);
  if (!where) {
    raise(where.error());
    return nullptr;
  }
  codecache::Block* block = find_block(linear, *where, mode);
  if (!block) return nullptr;
  const std::uint64_t rip_base = s.rip - guest::page_offset(linear.value);
  frame().rip_base = mode.is_64bit() ? rip_base : rip_base & 0xffffffff;
  if (single) {
    alone_ = {true, s.rip, wrap_rip(s.rip + block->guest_bytes), s.reg(guest::Gpr::kRsp),
              s.reg(guest::Gpr::kRcx)};
    if (s.rflags & flags::kTf) s.pending_debug |= translator::dr6::kBs;
    s.interrupt_shadow = s.debug_shadow = false;
  } else if (!options_.log.exec) {
    softmmu::View& view = mmu_.current();
    if (const std::uint64_t key = jump_mode(mode); view.jump_mode != key) {
      view.flush_jumps();
      view.jump_mode = key;
      view.jumps_are_linear = mode.is_64bit() || cs.base == 0;
    }
    // The second page of a straddling instruction need not be global.
    view.fill_jump(s.rip, reinterpret_cast<std::uint64_t>(block->prepared_entry()),
                   frame().rip_base,
                   where->global && block->second_page == codecache::Block::kNoPage);
  }
  if (options_.log.exec) log_exec(linear, *block);
  return block->prepared_entry();
}

codecache::Block* BtVcpu::find_block(LinearAddress linear, const softmmu::Translation& where,
                                     ModeKey mode) {
  auto& s = state();
  codecache::Block* block = cache_.find({where.address.value, mode.bits()});
  if (block && block->second_page != codecache::Block::kNoPage &&
      !second_page_agrees(*block, linear)) {
    cache_.invalidate(*block, codecache::Removal::kRemapped);
    block = nullptr;
  }
  if (!block) block = translate(linear, where.address, mode);
  if (!block || mode.is_64bit()) return block;
  if (s.rip + block->guest_bytes - 1 <= s.segment(Seg::kCs).limit) return block;
  // The block runs past the end of the code segment: one instruction at a time up to there.
  if (!mode.single()) return find_block(linear, where, mode_now(true));
  raise(guest::general_protection());
  return nullptr;
}

bool BtVcpu::second_page_agrees(const codecache::Block& block, LinearAddress linear) {
  const LinearAddress next{(linear.value | guest::kPageOffsetMask) + 1};
  const auto where = mmu_.translate_fetch(next);
  return where && (where->address.value & ~guest::kPageOffsetMask) == block.second_page;
}

}  // namespace ringshift::runtime
