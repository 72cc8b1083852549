// translator/callouts/legacy_misc.cc - bounds and table look-up.
#include "translator/callouts/legacy_misc.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;

std::uint64_t address_mask(const Operation& op) {
  return op.address_bytes == 8 ? ~std::uint64_t{0}
                               : (std::uint64_t{1} << (8 * op.address_bytes)) - 1;
}

std::int32_t sign_extend(std::uint64_t value, unsigned bytes) {
  return bytes == 2 ? static_cast<std::int16_t>(value) : static_cast<std::int32_t>(value);
}

}  // namespace

// SDM Vol. 2 "BOUND": a fault, so RIP stays at the instruction.
Result check_bound(Core& core, const Operation& op) {
  if (!op.has_memory) return tl::unexpected(guest::invalid_opcode());
  const unsigned bytes = op.operand_bytes;
  const std::uint64_t offset = effective_offset(core, op);
  RS_ASSIGN(lower, read_data(core, op.memory.segment, offset, bytes));
  RS_ASSIGN(upper, read_data(core, op.memory.segment, (offset + bytes) & address_mask(op), bytes));
  const std::int32_t index = sign_extend(core.state.gpr[op.reg & 15], bytes);
  if (index < sign_extend(lower, bytes) || index > sign_extend(upper, bytes))
    return tl::unexpected(guest::fault(guest::Vector::kBoundRange));
  return Next::kContinue;
}

// SDM Vol. 2 "XLAT/XLATB".
Result translate_byte(Core& core, const Operation& op) {
  std::uint64_t& rax = core.state.reg(Gpr::kRax);
  const std::uint64_t offset = (core.state.reg(Gpr::kRbx) + (rax & 0xff)) & address_mask(op);
  RS_ASSIGN(value, read_data(core, op.memory.segment, offset, 1));
  rax = (rax & ~std::uint64_t{0xff}) | value;
  return Next::kContinue;
}

}  // namespace ringshift::translator
