// translator/emit_loop.cc - a hot loop of one block, in 64-bit code with windows. The deltas of its
// accesses are looked up ahead of its first turn and wait in the frame, so that an access costs one
// load that depends on nothing. Each access of each turn shows that its address is near its window
// still (the guards around a window are larger than any small step), or faults and gets the right
// delta. Nothing in the loop may call what could change windows: then there is no loop.
#include "translator/block_emitter.h"
#include "translator/stack_delta.h"

namespace ringshift::translator {
namespace r = asmjit::x86;
namespace {

constexpr std::uint8_t kRsp = 4;

std::int32_t slot_of(std::int32_t array, int number) { return array + 8 * number; }

// Of a loop delta that has the base in it, what the instruction's own displacement becomes.
std::int64_t displacement_in_loop(const Insn& insn, const MemoryOperand& m) {
  return m.displacement + (m.base == kRipBase ? insn.page_offset + insn.length() : 0);
}

// Of a loop delta that follows a pointer: the piece in R10, negated, so that an LEA compares.
void remember_piece(r::Assembler& a, int number) {
  a.not_(r::r10);
  a.lea(r::r10, r::ptr(r::r10, 1));
  a.mov(r::ptr(r::rsp, slot_of(slot::loop_bases, number), 8), r::r10);
}

}  // namespace

bool BlockEmitter::may_loop(const Insn& insn) {
  const MemoryOperand m = insn.memory_operand();
  const std::int64_t displacement = displacement_in_loop(insn, m);
  return m.base != kRsp && delta_key(insn, m).known &&
         displacement == static_cast<std::int32_t>(displacement);
}

bool BlockEmitter::same_delta(const Insn& first, const Insn& second) {
  return delta_key(first, first.memory_operand())
      .serves(delta_key(second, second.memory_operand()));
}

bool BlockEmitter::delta_survives(const Insn& access, const Insn& between) {
  return delta_key(access, access.memory_operand()).survives(between);
}

bool BlockEmitter::changes_base(const Insn& access, const Insn& between) {
  const std::uint8_t base = access.memory_operand().base;
  return base < 16 && between.writes_gpr(base);
}

void BlockEmitter::begin_loop(std::span<const LoopDelta> deltas) {
  loop_ = {};
  loop_.active = true;
  loop_.start = assembler_.newLabel();
  loop_.deltas.assign(deltas.begin(), deltas.end());
  for (std::size_t i = deltas.size(); i-- > 0;) find_loop_delta(i);
  loop_.made_calls = false;
  if (!deltas.empty() && deltas[0].follows) delta_ = {};
  assembler_.bind(loop_.start);
}

// R10 = the delta; it is what the first access of a turn will need.
void BlockEmitter::find_loop_delta(std::size_t number) {
  auto& a = assembler_;
  const LoopDelta& loop = loop_.deltas[number];
  const MemoryOperand m = loop.first->memory_operand();
  const int n = static_cast<int>(number);
  DeltaKey key = delta_key(*loop.first, m);
  effective_offset(*loop.first);
  load_delta(r::r11, key);
  if (loop.with_base) {
    if (m.base == kRipBase)
      a.mov(r::r11, frame_slot(slot::rip_base));
    else if (m.base < 16)
      load_gpr(r::r11, m.base);
    else
      a.mov(r::r11d, 0);
    a.mov(frame_slot(slot_of(slot::loop_bases, n)), r::r11);
    a.lea(r::r10, r::ptr(r::r10, r::r11));
    key.with_base = n;
  }
  a.mov(frame_slot(slot_of(slot::loop_deltas, n)), r::r10);
  if (loop.follows) {
    a.rorx(r::r10, r::r11, 32);
    a.movzx(r::r10d, r::r10w);
    remember_piece(a, n);
  }
  delta_ = key;
  loop_.keys.insert(loop_.keys.begin(), key);
}

// R10 = that delta, if it is not in R10 yet.
void BlockEmitter::use_loop_delta(int number) {
  const DeltaKey& key = loop_.keys[static_cast<std::size_t>(number)];
  if (key.with_base >= 0 ? delta_.with_base == key.with_base : delta_.serves(key)) return;
  assembler_.mov(r::r10, frame_slot(slot_of(slot::loop_deltas, number)));
  delta_ = key;
}

// R11 is in use while RCX is.
bool BlockEmitter::may_follow(const Insn& insn) {
  constexpr std::int64_t kNear = 1 << 20;
  const MemoryOperand m = insn.memory_operand();
  const auto in_host = [](const GprField& f) { return !f.used || !lives_in_memory(f.number); };
  return may_loop(insn) && m.base < 16 && in_host(insn.reg) && in_host(insn.vvvv) &&
         (m.index != kNoRegister || !lives_in_memory(m.base)) && m.displacement <= kNear &&
         m.displacement >= -kNear;
}

// R10 = the delta for `address`, which was loaded a moment ago: the last turn's, if it is in the
// same piece. No flag changes, and the path from the load to the next one is as short as natively.
void BlockEmitter::follow(const Gp& address, const DeltaKey& key) {
  auto& a = assembler_;
  const int n = loop_.next;
  Label same = a.newLabel();
  const bool in_r11 = address.id() == r::r11.id();
  if (in_r11)
    a.mov(gpr_slot(1), r::rcx);
  else
    a.mov(r::r11, r::rcx);
  a.rorx(r::r10, address.r64(), 32);
  a.movzx(r::r10d, r::r10w);
  a.mov(r::rcx, frame_slot(slot_of(slot::loop_bases, n)));
  a.lea(r::rcx, r::ptr(r::rcx, r::r10));
  a.jecxz(r::rcx, same);
  a.mov(r::rcx, window_delta_entry(r::r10));
  a.mov(frame_slot(slot_of(slot::loop_deltas, n)), r::rcx);
  remember_piece(a, n);
  a.bind(same);
  if (in_r11)
    a.mov(r::rcx, gpr_slot(1));
  else
    a.mov(r::rcx, r::r11);
  a.mov(r::r10, frame_slot(slot_of(slot::loop_deltas, n)));
  delta_ = key;
}

// window_operand() where the base is in R10 already.
bool BlockEmitter::window_with_base(const Insn& insn, HostOperand& operand, bool& uses_r11) {
  if (loop_.next < 0 || !loop_.deltas[static_cast<std::size_t>(loop_.next)].with_base) return false;
  const MemoryOperand m = insn.memory_operand();
  operand.base = kScratchValue;
  operand.displacement = static_cast<std::int32_t>(displacement_in_loop(insn, m));
  uses_r11 = m.index != kNoRegister && lives_in_memory(m.index);
  if (m.index == kNoRegister) return true;
  operand.index = uses_r11 ? kScratchAddress : static_cast<std::uint8_t>(host_register(m.index));
  operand.scale_shift = scale_shift(m.scale);
  return true;
}

void BlockEmitter::prepare_window_with_base(const Insn& insn, const HostOperand& operand) {
  const MemoryOperand m = insn.memory_operand();
  if (operand.index == kScratchAddress) assembler_.mov(r::r11, gpr_slot(m.index));
  use_loop_delta(loop_.next);
  mark_window(kScratchValue, operand.displacement, insn.memory_bytes, insn.writes_memory);
  codecache::FaultPoint& point = block_.fault_points.back();
  point.with_base = true;
  if (operand.index != kNoRegister) point.window_index = operand.index;
  point.window_index_shift = operand.scale_shift;
  mark_loop_delta();
}

void BlockEmitter::mark_loop_delta() {
  if (loop_.next >= 0)
    block_.fault_points.back().loop_delta = static_cast<std::uint8_t>(loop_.next);
}

// Before a branch to the start of the loop: R10 becomes what it was there. False: no loop.
bool BlockEmitter::to_loop(std::int64_t target) {
  if (!loop_.active || target != block_.start_offset()) return false;
  if (!loop_.keys.empty() && !loop_.deltas[0].follows) use_loop_delta(0);
  return true;
}

}  // namespace ringshift::translator
