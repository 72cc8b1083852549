// translator/emit_strings.cc - string instructions that a block does itself: single ones like other
// loads and stores, repeated ones by a thunk. See string_form.h for which.
#include <bit>

#include "translator/block_emitter.h"

namespace ringshift::translator {
namespace r = asmjit::x86;
namespace {

constexpr std::uint8_t kRsi = 6, kRdi = 7;

unsigned shift_of(unsigned bytes) { return static_cast<unsigned>(std::countr_zero(bytes)); }

RepeatedString repeated_string(StringKind kind, bool until_equal) {
  switch (kind) {
    case StringKind::kMovs:
      return RepeatedString::kMovs;
    case StringKind::kCmps:
      return until_equal ? RepeatedString::kRepneCmps : RepeatedString::kRepeCmps;
    case StringKind::kScas:
      return until_equal ? RepeatedString::kRepneScas : RepeatedString::kRepeScas;
    default:
      return RepeatedString::kStos;
  }
}

}  // namespace

// The element that RSI or RDI points to, ready to be accessed. Uses R10 and R11.
r::Mem BlockEmitter::string_element(std::uint8_t pointer, unsigned bytes, bool write) {
  if (windows_) return window_at(pointer, 0, bytes, write);
  const unsigned width = mode_.is_64bit() ? 8 : 4;
  assembler_.mov(sized(r::r11, width), sized(r::gpq(pointer), width));
  look_up(bytes, write, !write, false);
  return r::ptr(r::r11, 0, bytes);
}

// The element at RSI, in R11 with windows. A look-up uses both scratch registers: then it is in
// R10, and in a slot from which it has to be loaded again after the next one.
BlockEmitter::Gp BlockEmitter::load_string_source(unsigned bytes) {
  auto& a = assembler_;
  const r::Gp value = windows_ ? r::r11 : r::r10;
  const r::Mem from = string_element(kRsi, bytes, false);
  if (bytes < 4)
    a.movzx(value.r32(), from);
  else
    a.mov(sized(value, bytes), from);
  end_access();
  if (!windows_) a.mov(frame_slot(slot::temp), value);
  return value;
}

// Moves the pointers past an element, in the direction that EFLAGS.DF says, without flags: R10 =
// 0 or twice the element's size, and then its complement.
void BlockEmitter::step_string(unsigned bytes, bool source, bool destination) {
  constexpr unsigned kDfBit = 10;
  static_assert(guest::flags::kDf == 1u << kDfBit);
  auto& a = assembler_;
  a.rorx(r::r10d, frame_slot(slot::direction, 4), kDfBit - 1 - shift_of(bytes));
  a.not_(r::r10);
  const auto up = static_cast<std::int32_t>(bytes) + 1;
  const unsigned width = mode_.is_64bit() ? 8 : 4;
  if (source) a.lea(sized(r::rsi, width), r::ptr(r::rsi, r::r10, 0, up));
  if (destination) a.lea(sized(r::rdi, width), r::ptr(r::rdi, r::r10, 0, up));
}

// A store's slow path may leave the block right behind the access: the pointers move before.
void BlockEmitter::string(const Insn& insn, StringKind kind) {
  auto& a = assembler_;
  const unsigned bytes = insn.operand_bytes();
  const bool source = kind != StringKind::kStos && kind != StringKind::kScas;
  const bool destination = kind != StringKind::kLods;
  r::Gp value = r::rax;
  if (kind == StringKind::kMovs || kind == StringKind::kCmps) value = load_string_source(bytes);
  const r::Mem element = string_element(destination ? kRdi : kRsi, bytes,
                                        kind == StringKind::kMovs || kind == StringKind::kStos);
  if (source && destination && !windows_) a.mov(value, frame_slot(slot::temp));
  if (kind == StringKind::kLods)
    a.mov(sized(value, bytes), element);
  else if (kind == StringKind::kCmps || kind == StringKind::kScas)
    a.cmp(sized(value, bytes), element);
  else
    a.mov(element, sized(value, bytes));
  step_string(bytes, source, destination);
  end_access();
}

void BlockEmitter::repeated_string(const Insn& insn, const Operation& op) {
  const RepeatedString kind =
      translator::repeated_string(*string_kind(insn), op.prefixes & prefix::kRepne);
  const StringThunks& thunks = thunks_.strings;
  const auto& table = mode_.is_64bit() ? thunks.long_mode : thunks.protected_mode;
  Record record{assembler_.newLabel(), op};
  assembler_.lea(r::r11, r::ptr(record.label));
  call_thunk(table[static_cast<std::size_t>(kind)][shift_of(op.operand_bytes)]);
  records_.push_back(record);
}

}  // namespace ringshift::translator
