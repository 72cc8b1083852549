// translator/callouts/bit_test.cc - bit strings in memory. SDM Vol. 1 "Bit String Addressing".
#include "translator/callouts/bit_test.h"

#include <bit>

namespace ringshift::translator {
namespace {

enum class Action { kTest, kSet, kReset, kComplement };

// 0F A3, AB, B3, BB.
Action action_of(const Operation& op) { return static_cast<Action>((op.opcode >> 3) & 3); }

std::uint64_t apply(Action action, std::uint64_t value, std::uint64_t mask) {
  switch (action) {
    case Action::kSet:
      return value | mask;
    case Action::kReset:
      return value & ~mask;
    case Action::kComplement:
      return value ^ mask;
    case Action::kTest:
      break;
  }
  return value;
}

std::int64_t sign_extend(std::uint64_t value, unsigned bytes) {
  const unsigned shift = 64 - 8 * bytes;
  return static_cast<std::int64_t>(value << shift) >> shift;
}

std::uint64_t truncate(std::uint64_t offset, unsigned bytes) {
  return bytes == 8 ? offset : offset & ((std::uint64_t{1} << (8 * bytes)) - 1);
}

}  // namespace

Result bit_test(Core& core, const Operation& op) {
  const unsigned bytes = op.operand_bytes, bits = 8 * bytes;
  const std::int64_t index = sign_extend(read_gpr(core, op.reg, bytes), bytes);
  const std::int64_t element = index >> std::countr_zero(bits);  // rounds down
  const std::uint64_t offset = truncate(
      effective_offset(core, op) + static_cast<std::uint64_t>(element * bytes), op.address_bytes);
  const unsigned bit = static_cast<unsigned>(index) & (bits - 1);
  const std::uint64_t mask = std::uint64_t{1} << bit;
  const Action action = action_of(op);
  if (action != Action::kTest) {
    RS_ASSIGN(linear, linear_address(core, op.memory.segment, offset, bytes, true));
    RS_CHECK(check_alignment(core, linear, bytes));
    RS_CHECK(core.mmu.probe(linear, bytes, core.mmu.data_access(softmmu::AccessKind::kWrite)));
  }
  RS_ASSIGN(value, read_data(core, op.memory.segment, offset, bytes));
  if (action != Action::kTest)
    RS_CHECK(write_data(core, op.memory.segment, offset, bytes, apply(action, value, mask)));
  core.state.rflags &= ~guest::flags::kCf;
  if (value & mask) core.state.rflags |= guest::flags::kCf;
  return Next::kContinue;
}

}  // namespace ringshift::translator
