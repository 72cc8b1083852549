// translator/emit_window.cc - accesses of hot blocks through host-MMU windows: the guest's own
// instruction on its own address, in a window where the host's page tables are the guest's. No
// look-up and no flag changes; what is not mapped faults, and window_faults.cc mends it or has the
// instruction run alone.
//
// 16/32-bit guests: the GS base is a 4 GiB window, and a 32-bit address cannot leave it.
// 64-bit guests: the view's table gives host minus guest address of each 4 GiB piece; R10 keeps the
// last one that was looked up while its base register stays where it is. Guards around each window
// make any displacement safe.
#include <utility>

#include "translator/block_emitter.h"
#include "translator/stack_delta.h"

namespace ringshift::translator {
namespace r = asmjit::x86;
namespace {

constexpr std::uint8_t kRsp = 4;
// How far a base register may move by one instruction and still be near the piece it was in.
constexpr std::int64_t kSmallStep = 1 << 20;

bool fs_or_gs(guest::Seg seg) { return seg == guest::Seg::kFs || seg == guest::Seg::kGs; }

// Of a register that the instruction writes.
bool is_small_step(const Insn& insn, std::uint8_t gpr) {
  const auto step = insn.constant_step(gpr, 8);
  return step && *step <= kSmallStep && *step >= -kSmallStep;
}

bool steps_by_itself(const Insn& insn) {
  switch (insn.mnemonic()) {
    case ZYDIS_MNEMONIC_PUSH:
    case ZYDIS_MNEMONIC_POP:
      return true;
    default:
      return false;
  }
}

}  // namespace

// Guards of 4 GiB on both sides of a window make a delta right, or its use a fault, for whatever is
// not far from the address that it was looked up for.
bool BlockEmitter::DeltaKey::serves(const DeltaKey& wanted) const {
  const std::int64_t distance = wanted.displacement - displacement;
  return with_base < 0 && known && wanted.known && base == wanted.base && index == wanted.index &&
         scale == wanted.scale && distance <= kSmallStep && distance >= -kSmallStep;
}

bool BlockEmitter::DeltaKey::survives(const Insn& insn) const {
  const auto stays = [&](std::uint8_t gpr) {
    return gpr >= 16 || !insn.writes_gpr(gpr) || is_small_step(insn, gpr) ||
           (gpr == kRsp && steps_by_itself(insn));
  };
  return stays(base) && stays(index);
}

BlockEmitter::DeltaKey BlockEmitter::delta_key(const Insn& insn, const MemoryOperand& m) {
  if (fs_or_gs(m.segment) || insn.address_bytes() != 8) return {};
  const std::int64_t next = m.base == kRipBase ? insn.page_offset + insn.length() : 0;
  return {m.base, m.index, m.scale, m.displacement + next, true};
}

// Guards make the delta right, or its use a fault, up to 4 GiB beside the window; a block has at
// most 64 small steps. So no way leads out of the guards unless blocks move RSP one after the other
// without an access near it: one that did only that finds the delta again before it goes on.
void BlockEmitter::keep_stack_delta() {
  call_thunk(thunks_.find_stack);
  block_.prologue_bytes = static_cast<std::uint8_t>(assembler_.offset());
  stack_ = {.kept = true, .known = true};
}

// R10 = the delta for an access near RSP.
void BlockEmitter::stack_delta(const DeltaKey& key) {
  const r::Gp rsp = r::gpq(kHostRsp);
  if (!stack_.kept) return load_delta(rsp, key);
  if (stack_.known) {
    assembler_.mov(r::r10, frame_slot(slot::stack_delta));
  } else {
    load_delta(rsp, key);
    assembler_.mov(frame_slot(slot::stack_delta), r::r10);
    stack_.known = true;
  }
  stack_.touched = true;
  delta_ = key;
}

// Before an exit.
void BlockEmitter::settle_stack() {
  if (!stack_.kept || (stack_.known && (stack_.touched || !stack_.stepped))) return;
  delta_ = {kRsp, kNoRegister, 1, 0, true};
  stack_.known = false;
  stack_delta(delta_);
}

void BlockEmitter::follow_stack(const Insn& insn) {
  if (std::exchange(stack_.followed, false) || !insn.writes_gpr(kRsp)) return;
  if (is_small_step(insn, kRsp))
    stack_.stepped = true;
  else
    stack_.known = false;
}

void BlockEmitter::finish_insn(const Insn& insn) {
  follow_stack(insn);
  if (!keeps_delta_ || !delta_.survives(insn)) delta_ = {};
  keeps_delta_ = false;
}

// R10 = host minus guest address around `address`, which is what the key says.
void BlockEmitter::load_delta(const Gp& address, const DeltaKey& key) {
  assembler_.mov(r::r10, emit_window_delta_operand(assembler_, address, r::r10));
  delta_ = key;
}

// The same for the key's displacement from `base`; only R10 changes.
void BlockEmitter::find_delta(const Gp& base, DeltaKey key) {
  if (key.displacement <= kSmallStep && key.displacement >= -kSmallStep) {
    key.displacement = 0;
    return key.base == kRsp ? stack_delta(key) : load_delta(base, key);
  }
  assembler_.lea(r::r10, r::ptr(base, static_cast<std::int32_t>(key.displacement)));
  load_delta(r::r10, key);
}

// The next host instruction accesses memory through a window.
void BlockEmitter::mark_window(std::uint8_t base, std::int32_t displacement, unsigned bytes,
                               bool write) {
  mark_insn_start();
  codecache::FaultPoint& point = block_.fault_points.back();
  point.window_base = base;
  point.window_displacement = displacement;
  point.window_bytes = static_cast<std::uint8_t>(bytes);
  point.window_write = write;
}

// A memory operand relative to a register of the guest's that is in the host's; marks the access.
r::Mem BlockEmitter::window_at(std::uint8_t guest, std::int32_t displacement, unsigned bytes,
                               bool write) {
  const r::Gp base = r::gpq(host_register(guest));
  if (guest == kRsp) displacement += rsp_ahead_;
  if (!mode_.is_64bit()) {
    r::Mem m = r::ptr(base.r32(), displacement, bytes);
    m.setSegment(r::gs);
    mark_window(codecache::FaultPoint::kFlatWindow, 0, bytes, write);
    return m;
  }
  const DeltaKey key{guest, kNoRegister, 1, 0, true};
  if (!delta_.serves(key)) guest == kRsp ? stack_delta(key) : load_delta(base, key);
  mark_window(static_cast<std::uint8_t>(base.id()), displacement, bytes, write);
  return r::ptr(base, r::r10, 0, displacement, bytes);
}

// The operand of an instruction with explicit memory. False: no window form; nothing was emitted.
// Uses R10, and R11 where `uses_r11` says so.
bool BlockEmitter::window_operand(const Insn& insn, HostOperand& operand, bool& uses_r11) {
  const MemoryOperand m = insn.memory_operand();
  uses_r11 = true;
  if (window_with_base(insn, operand, uses_r11)) return true;
  if (!mode_.is_64bit()) {
    if (insn.address_bytes() != 4 || (m.segment == guest::Seg::kCs && insn.writes_memory))
      return false;
    operand.flat_window = true;
    if (fs_or_gs(m.segment)) {
      operand.base = kScratchAddress;
      return m.segment == guest::Seg::kFs ? mode_.fs_full() : mode_.gs_full();
    }
    uses_r11 = false;
    const auto host = [](std::uint8_t guest) {
      return guest == kNoRegister ? guest : static_cast<std::uint8_t>(host_register(guest));
    };
    operand.base = host(m.base);
    operand.index = host(m.index);
    operand.scale_shift = scale_shift(m.scale);
    operand.displacement = static_cast<std::int32_t>(m.displacement);
    if (m.base == kRsp) operand.displacement += rsp_ahead_;
    return true;
  }
  operand.index = kScratchValue;
  operand.base = kScratchAddress;
  if (!delta_key(insn, m).known || m.index != kNoRegister || m.base >= 16) return true;
  operand.displacement = static_cast<std::int32_t>(m.displacement);
  if (m.base == kRsp) operand.displacement += rsp_ahead_;
  if (lives_in_memory(m.base)) return true;
  uses_r11 = false;
  operand.base = static_cast<std::uint8_t>(host_register(m.base));
  return true;
}

// What has to run before the instruction for its window_operand(); marks the access.
void BlockEmitter::prepare_window_operand(const Insn& insn, const HostOperand& operand) {
  auto& a = assembler_;
  const MemoryOperand m = insn.memory_operand();
  const bool write = insn.writes_memory;
  if (operand.flat_window) {
    if (operand.base == kScratchAddress) {
      effective_offset(insn, rsp_ahead_);
      a.mov(r::r10, frame_slot(slot::segment_base(m.segment)));
      a.lea(r::r11d, r::ptr(r::r11, r::r10));
    }
    mark_window(codecache::FaultPoint::kFlatWindow, 0, insn.memory_bytes, write);
    return;
  }
  if (operand.base == kScratchValue) return prepare_window_with_base(insn, operand);
  const DeltaKey key = delta_key(insn, m);
  const bool follows =
      loop_.next >= 0 && loop_.deltas[static_cast<std::size_t>(loop_.next)].follows;
  if (loop_.next >= 0 && !follows) use_loop_delta(loop_.next);
  if (key.known && m.index == kNoRegister && m.base < 16) {
    if (lives_in_memory(m.base)) a.mov(r::r11, gpr_slot(m.base));
    if (!delta_.serves(key))
      follows ? follow(r::gpq(operand.base), key) : find_delta(r::gpq(operand.base), key);
  } else {
    if (m.index < 16 && lives_in_memory(m.index)) delta_ = {};  // it is loaded into R10
    effective_offset(insn, rsp_ahead_);
    if (fs_or_gs(m.segment)) {
      a.mov(r::r10, frame_slot(slot::segment_base(m.segment)));
      a.lea(r::r11, r::ptr(r::r11, r::r10));
    }
    if (loop_.next >= 0 && !follows) use_loop_delta(loop_.next);
    if (!delta_.serves(key)) follows ? follow(r::r11, key) : load_delta(r::r11, key);
  }
  mark_window(operand.base, operand.displacement, insn.memory_bytes, write);
  mark_loop_delta();
}

// A whole instruction with a memory operand. False: it has no window form.
bool BlockEmitter::window_generic(const Insn& insn) {
  HostOperand operand;
  bool uses_r11 = false;
  if (!window_operand(insn, operand, uses_r11)) return false;
  Rewrite w;
  w.operand = &operand;
  std::uint8_t home = kNoRegister;  // a register that lives in memory, for which R11 stands in
  bool stored = false, loaded = false;
  const auto place = [&](const GprField& f, std::uint8_t& to) {
    if (!f.used || f.high_byte) return true;
    to = lives_in_memory(f.number) ? kScratchAddress
                                   : static_cast<std::uint8_t>(host_register(f.number));
    if (to != kScratchAddress) return true;
    if (uses_r11 || (home != kNoRegister && home != f.number)) return false;
    home = f.number;
    stored |= f.written;
    loaded |= f.read;
    return true;
  };
  if (!place(insn.reg, w.reg) || !place(insn.vvvv, w.vvvv) || high_byte_conflict(insn, w))
    return false;
  if (home != kNoRegister && loaded) assembler_.mov(r::r11, gpr_slot(home));
  prepare_window_operand(insn, operand);
  embed(encode_for_host(insn, mode_, w));
  if (stored) assembler_.mov(gpr_slot(home), r::r11);
  keeps_delta_ = true;
  return true;
}

// R11 = what the memory operand of a branch holds.
bool BlockEmitter::window_branch_target(const Insn& insn, unsigned width) {
  HostOperand operand;
  bool uses_r11 = false;
  if (width == 2 || !window_operand(insn, operand, uses_r11)) return false;
  prepare_window_operand(insn, operand);
  load_through_window(sized(r::r11, width), operand, width);
  return true;
}

void BlockEmitter::load_through_window(const Gp& to, const HostOperand& operand, unsigned bytes) {
  auto& a = assembler_;
  r::Mem m;
  const auto reg = [&](std::uint8_t n) {
    return operand.flat_window ? r::Gp(r::gpd(n)) : r::Gp(r::gpq(n));
  };
  if (operand.base == kNoRegister && operand.index == kNoRegister)
    m = r::ptr(static_cast<std::uint64_t>(static_cast<std::uint32_t>(operand.displacement)), bytes);
  else if (operand.base == kNoRegister)
    m = r::ptr(static_cast<std::uint64_t>(static_cast<std::int64_t>(operand.displacement)),
               reg(operand.index), operand.scale_shift, bytes);
  else if (operand.index == kNoRegister)
    m = r::ptr(reg(operand.base), operand.displacement, bytes);
  else
    m = r::ptr(reg(operand.base), reg(operand.index), operand.scale_shift, operand.displacement,
               bytes);
  if (operand.flat_window) m.setSegment(r::gs);
  a.mov(to, m);
}

bool BlockEmitter::window_push(const Insn& insn) {
  auto& a = assembler_;
  const unsigned bytes = insn.operand_bytes();
  if (insn.memory || bytes == 2) return false;
  const auto down = -static_cast<std::int32_t>(bytes);
  const ZydisDecodedOperand& operand = insn.operands[0];
  keeps_delta_ = true;
  if (operand.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
    a.mov(window_at(kRsp, down, bytes, true), static_cast<std::int32_t>(operand.imm.value.s));
    adjust_rsp_later(down);
    stack_.followed = true;
    return true;
  }
  const std::uint8_t number = gpr_number(operand.reg.value);
  r::Gp value = r::r11;
  if (lives_in_memory(number))
    a.mov(r::r11, gpr_slot(number));
  else
    value = r::gpq(host_register(number));
  a.mov(window_at(kRsp, down, bytes, true), sized(value, bytes));
  adjust_rsp_later(down);
  stack_.followed = true;
  return true;
}

bool BlockEmitter::window_pop(const Insn& insn) {
  auto& a = assembler_;
  const unsigned bytes = insn.operand_bytes();
  if (insn.memory || bytes == 2) return false;
  const std::uint8_t number = gpr_number(insn.operands[0].reg.value);
  if (number == kRsp) return false;
  keeps_delta_ = true;
  const bool home = lives_in_memory(number);
  const r::Gp to = home ? r::Gp(r::r11) : r::Gp(r::gpq(host_register(number)));
  a.mov(sized(to, bytes), window_at(kRsp, 0, bytes, false));
  adjust_rsp_later(static_cast<std::int32_t>(bytes));
  stack_.followed = true;
  if (home) a.mov(gpr_slot(number), r::r11);
  return true;
}

bool BlockEmitter::window_leave(const Insn& insn) {
  constexpr std::uint8_t kRbp = 5;
  auto& a = assembler_;
  const unsigned bytes = mode_.is_64bit() ? 8 : 4;
  if (insn.operand_bytes() != bytes) return false;
  a.mov(sized(r::r11, bytes), window_at(kRbp, 0, bytes, false));
  a.lea(sized(r::gpq(kHostRsp), bytes), r::ptr(r::rbp, static_cast<std::int32_t>(bytes)));
  a.mov(sized(r::rbp, bytes), sized(r::r11, bytes));
  if (!stack_.kept) return true;
  a.mov(frame_slot(slot::stack_delta), r::r10);
  stack_.known = stack_.touched = stack_.followed = true;
  return true;
}

}  // namespace ringshift::translator
