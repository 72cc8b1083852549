// translator/callouts/bcd.cc - decimal adjustment of AL and AX, with the flags that silicon gives.
//
// HW: where the manual calls a flag undefined, this is what AMD processors were seen to give:
// tests/unit/callouts/bcd_test.cc runs both side by side.
#include "translator/callouts/bcd.h"

#include "guest/fault.h"

namespace ringshift::translator {
namespace {

namespace flags = guest::flags;
using guest::Gpr;

struct Adjusted {
  std::uint16_t ax = 0;
  std::uint64_t flags = 0;
};

Adjusted input(const Core& core) {
  return {static_cast<std::uint16_t>(core.state.reg(Gpr::kRax)),
          core.state.rflags & flags::kArithmetic};
}

Result commit(Core& core, const Adjusted& result) {
  std::uint64_t& rax = core.state.reg(Gpr::kRax);
  rax = (rax & ~std::uint64_t{0xffff}) | result.ax;
  core.state.rflags = (core.state.rflags & ~flags::kArithmetic) | result.flags;
  return Next::kContinue;
}

std::uint64_t when(bool condition, std::uint64_t flag) { return condition ? flag : 0; }

std::uint64_t parity(unsigned value) { return when(!__builtin_parity(value & 0xff), flags::kPf); }

std::uint64_t result_flags(std::uint8_t value) {
  return parity(value) | when(value == 0, flags::kZf) | when(value & 0x80, flags::kSf);
}

std::uint64_t result_flags(std::uint16_t value) {
  return parity(value) | when(value == 0, flags::kZf) | when(value & 0x8000, flags::kSf);
}

bool low_digit_overflows(const Adjusted& in) {
  return (in.ax & 0xf) > 9 || (in.flags & flags::kAf);
}

bool high_digit_overflows(const Adjusted& in) {
  return (in.ax & 0xff) > 0x99 || (in.flags & flags::kCf);
}

std::uint16_t with_al(std::uint16_t ax, unsigned al) {
  return static_cast<std::uint16_t>((ax & 0xff00) | (al & 0xff));
}

}  // namespace

// SDM Vol. 2 "DAA".
Result decimal_adjust_add(Core& core, const Operation&) {
  const Adjusted in = input(core);
  const bool low = low_digit_overflows(in), high = high_digit_overflows(in);
  const auto old_al = static_cast<std::uint8_t>(in.ax);
  const auto al = static_cast<std::uint8_t>(old_al + (low ? 0x06 : 0) + (high ? 0x60 : 0));
  return commit(
      core, {with_al(in.ax, al), result_flags(al) | when(low, flags::kAf) | when(high, flags::kCf) |
                                     when(~old_al & al & 0x80, flags::kOf)});
}

// SDM Vol. 2 "DAS". The borrow of the low digit's step sets CF as well.
Result decimal_adjust_subtract(Core& core, const Operation&) {
  const Adjusted in = input(core);
  const bool low = low_digit_overflows(in), high = high_digit_overflows(in);
  const auto old_al = static_cast<std::uint8_t>(in.ax);
  const auto al = static_cast<std::uint8_t>(old_al - (low ? 0x06 : 0) - (high ? 0x60 : 0));
  const bool borrow = high || (low && old_al < 6);
  return commit(core, {with_al(in.ax, al), result_flags(al) | when(low, flags::kAf) |
                                               when(borrow, flags::kCf) |
                                               when(old_al & ~al & 0x80, flags::kOf)});
}

// SDM Vol. 2 "AAA". Flags other than AF and CF are those of the 16-bit addition to AX.
Result ascii_adjust_add(Core& core, const Operation&) {
  const Adjusted in = input(core);
  const bool adjust = low_digit_overflows(in);
  const auto sum = static_cast<std::uint16_t>(in.ax + (adjust ? 0x106 : 0));
  return commit(core, {static_cast<std::uint16_t>(sum & 0xff0f),
                       result_flags(sum) | when(adjust, flags::kAf | flags::kCf) |
                           when(~in.ax & sum & 0x8000, flags::kOf)});
}

// SDM Vol. 2 "AAS".
Result ascii_adjust_subtract(Core& core, const Operation&) {
  const Adjusted in = input(core);
  const bool adjust = low_digit_overflows(in);
  const auto difference = static_cast<std::uint16_t>(in.ax - (adjust ? 0x106 : 0));
  return commit(core, {static_cast<std::uint16_t>(difference & 0xff0f),
                       result_flags(difference) | when(adjust, flags::kAf | flags::kCf) |
                           when(in.ax & ~difference & 0x8000, flags::kOf)});
}

// SDM Vol. 2 "AAM": the immediate is the number base.
Result ascii_adjust_multiply(Core& core, const Operation& op) {
  const auto base = static_cast<std::uint8_t>(op.immediate);
  if (base == 0) return tl::unexpected(guest::fault(guest::Vector::kDivideError));
  const auto al = static_cast<std::uint8_t>(input(core).ax);
  const auto remainder = static_cast<std::uint8_t>(al % base);
  return commit(
      core, {static_cast<std::uint16_t>((al / base) << 8 | remainder), result_flags(remainder)});
}

// SDM Vol. 2 "AAD". Flags are those of the 8-bit addition.
Result ascii_adjust_divide(Core& core, const Operation& op) {
  const Adjusted in = input(core);
  const unsigned al = in.ax & 0xff;
  const unsigned tens = ((in.ax >> 8) * static_cast<std::uint8_t>(op.immediate)) & 0xff;
  const unsigned sum = al + tens;
  const auto result = static_cast<std::uint8_t>(sum);
  return commit(core, {result, result_flags(result) | when(sum > 0xff, flags::kCf) |
                                   when((al ^ tens ^ sum) & 0x10, flags::kAf) |
                                   when((al ^ sum) & (tens ^ sum) & 0x80, flags::kOf)});
}

// The manual lists opcode D6 as reserved; every x86 processor sets AL from CF with it.
Result set_al_from_carry(Core& core, const Operation&) {
  const Adjusted in = input(core);
  return commit(core, {with_al(in.ax, in.flags & flags::kCf ? 0xff : 0), in.flags});
}

}  // namespace ringshift::translator
