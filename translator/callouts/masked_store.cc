// translator/callouts/masked_store.cc - byte- and element-masked vector accesses.
#include "translator/callouts/masked_store.h"

#include "translator/callouts/fx_image.h"
#include "translator/callouts/vector_operands.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;
namespace cr0 = guest::cr0;
namespace cr4 = guest::cr4;

std::uint64_t address_mask(const Operation& op) {
  return op.address_bytes == 8 ? ~std::uint64_t{0}
                               : (std::uint64_t{1} << (8 * op.address_bytes)) - 1;
}

std::uint64_t load_element(const std::uint8_t* from, unsigned bytes) {
  switch (bytes) {
    case 1:
      return load_host<std::uint8_t>(from);
    case 2:
      return load_host<std::uint16_t>(from);
    case 4:
      return load_host<std::uint32_t>(from);
    default:
      return load_host<std::uint64_t>(from);
  }
}

// Where an element of the operand is, and whether it may be written.
guest::Status probe_element(Core& core, const Operation& op, std::uint64_t offset, unsigned bytes) {
  RS_ASSIGN(linear, linear_address(core, op.memory.segment, offset, bytes, true));
  return core.mmu.probe(linear, bytes, core.mmu.data_access(softmmu::AccessKind::kWrite));
}

// All selected elements are writable before the first is written.
guest::Status store_elements(Core& core, const Operation& op, std::uint64_t start,
                             unsigned element_bytes, std::uint64_t mask, const std::uint8_t* from) {
  const auto offset = [&](unsigned i) { return (start + i * element_bytes) & address_mask(op); };
  for (std::uint64_t left = mask; left != 0; left &= left - 1)
    RS_CHECK(probe_element(core, op, offset(static_cast<unsigned>(__builtin_ctzll(left))),
                           element_bytes));
  for (std::uint64_t left = mask; left != 0; left &= left - 1) {
    const auto i = static_cast<unsigned>(__builtin_ctzll(left));
    RS_CHECK(write_data(core, op.memory.segment, offset(i), element_bytes,
                        load_element(from + i * element_bytes, element_bytes)));
  }
  return {};
}

// Sign bits of the elements, one bit each.
std::uint64_t sign_mask(const std::uint8_t* vector, unsigned elements, unsigned element_bytes) {
  std::uint64_t mask = 0;
  for (unsigned i = 0; i < elements; ++i)
    if (vector[(i + 1) * element_bytes - 1] & 0x80) mask |= std::uint64_t{1} << i;
  return mask;
}

// The implied destination of MASKMOVQ and MASKMOVDQU.
Result store_at_rdi(Core& core, const Operation& op, std::uint64_t mask, const std::uint8_t* from) {
  const std::uint64_t start = core.state.reg(Gpr::kRdi) & address_mask(op);
  // HW: the alignment is checked whatever the mask is.
  if (const auto linear = linear_address(core, op.memory.segment, start, 1, true); linear)
    RS_CHECK(check_alignment(core, *linear, 8));
  RS_CHECK(store_elements(core, op, start, 1, mask, from));
  return Next::kContinue;
}

// An MMX register is the significand of a physical x87 register.
std::uint64_t mmx_register(const ExtendedState& x, unsigned number) {
  if (!x.in_use(component::kX87)) return 0;
  const unsigned top = top_of(x.load<std::uint16_t>(area::kFsw));
  return x.load<std::uint64_t>(area::kSt + ((number - top) & 7) * area::kStSlot);
}

}  // namespace

// SDM Vol. 2 "MASKMOVQ": an MMX instruction, so TOP becomes 0 and every tag valid.
Result store_masked_mmx_bytes(Core& core, const Operation& op) {
  if (core.state.cr0 & cr0::kEm) return tl::unexpected(guest::invalid_opcode());
  RS_CHECK(check_x87_enabled(core));
  RS_CHECK(check_pending_x87(core));
  const VectorOperands v = VectorOperands::unpack(op.immediate);
  ExtendedState x(core);
  const std::uint64_t source = mmx_register(x, v.reg & 7);
  const std::uint64_t mask = mmx_register(x, v.mask & 7);
  RS_ASSIGN(next,
            store_at_rdi(core, op, sign_mask(reinterpret_cast<const std::uint8_t*>(&mask), 8, 1),
                         reinterpret_cast<const std::uint8_t*>(&source)));
  enter_mmx_state(x);
  return next;
}

// SDM Vol. 2 "MASKMOVDQU".
Result store_masked_xmm_bytes(Core& core, const Operation& op) {
  if ((core.state.cr0 & cr0::kEm) || !(core.state.cr4 & cr4::kOsfxsr))
    return tl::unexpected(guest::invalid_opcode());
  RS_CHECK(check_x87_enabled(core));
  const VectorOperands v = VectorOperands::unpack(op.immediate);
  const ExtendedState x(core);
  const VectorBytes source = x.vector(v.reg & 15), mask = x.vector(v.mask & 15);
  return store_at_rdi(core, op, sign_mask(mask.data(), 16, 1), source.data());
}

}  // namespace ringshift::translator
