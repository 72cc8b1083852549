// translator/masked_operand.cc - masks out of a decoded instruction, and bytes out of a mask.
#include "translator/masked_operand.h"

#include <algorithm>
#include <bit>

namespace ringshift::translator {
namespace {

using By = MaskedOperand::By;

std::uint8_t log2_of(unsigned n) { return static_cast<std::uint8_t>(std::countr_zero(n)); }

// Elements in memory and in the register of a broadcast.
struct Broadcast {
  unsigned from, to;
};

Broadcast broadcast_of(ZydisBroadcastMode mode) {
  switch (mode) {
    case ZYDIS_BROADCAST_MODE_1_TO_2:
      return {1, 2};
    case ZYDIS_BROADCAST_MODE_1_TO_4:
      return {1, 4};
    case ZYDIS_BROADCAST_MODE_1_TO_8:
      return {1, 8};
    case ZYDIS_BROADCAST_MODE_1_TO_16:
      return {1, 16};
    case ZYDIS_BROADCAST_MODE_1_TO_32:
      return {1, 32};
    case ZYDIS_BROADCAST_MODE_1_TO_64:
      return {1, 64};
    case ZYDIS_BROADCAST_MODE_2_TO_4:
      return {2, 4};
    case ZYDIS_BROADCAST_MODE_2_TO_8:
      return {2, 8};
    case ZYDIS_BROADCAST_MODE_2_TO_16:
      return {2, 16};
    case ZYDIS_BROADCAST_MODE_4_TO_8:
      return {4, 8};
    case ZYDIS_BROADCAST_MODE_4_TO_16:
      return {4, 16};
    case ZYDIS_BROADCAST_MODE_8_TO_16:
      return {8, 16};
    default:
      return {0, 0};
  }
}

// SDM Vol. 2 "Exceptions Type E4NF": no fault is suppressed, the mask only says what is written.
bool suppresses_faults(const Insn& insn) {
  switch (insn.mnemonic()) {
    // E4NF as well: each result needs more of the operand than its own element.
    case ZYDIS_MNEMONIC_VCVTNE2PS2BF16:
    case ZYDIS_MNEMONIC_VDBPSADBW:
    case ZYDIS_MNEMONIC_VGF2P8AFFINEQB:
    case ZYDIS_MNEMONIC_VGF2P8AFFINEINVQB:
      return false;
    default:
      break;
  }
  switch (insn.raw.meta.exception_class) {
    case ZYDIS_EXCEPTION_CLASS_E1NF:
    case ZYDIS_EXCEPTION_CLASS_E2NF:
    case ZYDIS_EXCEPTION_CLASS_E3NF:
    case ZYDIS_EXCEPTION_CLASS_E4NF:
    case ZYDIS_EXCEPTION_CLASS_E5NF:
    case ZYDIS_EXCEPTION_CLASS_E6NF:
    case ZYDIS_EXCEPTION_CLASS_E9NF:
    case ZYDIS_EXCEPTION_CLASS_E10NF:
    case ZYDIS_EXCEPTION_CLASS_E11NF:
      return false;
    default:
      return true;
  }
}

bool is_packed(const Insn& insn) {
  return insn.raw.meta.category == ZYDIS_CATEGORY_COMPRESS ||
         insn.raw.meta.category == ZYDIS_CATEGORY_EXPAND;
}

MaskedOperand by_sign(const Insn& insn, unsigned element_bytes) {
  return {By::kSignBits, static_cast<std::uint8_t>(insn.raw.raw.vex.vvvv ^ 15),
          log2_of(element_bytes), log2_of(insn.memory_bytes / element_bytes)};
}

// One bit of the mask stands for an element of the result, which may be made of several elements in
// memory (dot products) or of one that serves many results (broadcasts).
MaskedOperand by_opmask(const Insn& insn) {
  const ZydisDecodedOperand& result = insn.operands[0];
  const unsigned elements = std::max<unsigned>(insn.memory->element_count, 1);
  unsigned count = elements, granule = insn.memory_bytes / elements;
  if (const Broadcast b = broadcast_of(insn.raw.avx.broadcast.mode); b.to != 0) {
    count = b.to;
    granule = insn.memory_bytes / b.from;
  } else if (is_packed(insn)) {
    granule = (insn.writes_memory ? insn.operands[2] : result).element_size / 8u;
    count = insn.raw.avx.vector_length / 8u / granule;
  } else if (result.type == ZYDIS_OPERAND_TYPE_REGISTER &&
             ZydisRegisterGetClass(result.reg.value) != ZYDIS_REGCLASS_MASK &&
             result.element_count != 0 && result.element_count < elements) {
    count = result.element_count;
    granule = insn.memory_bytes / count;
  }
  if (!std::has_single_bit(count) || !std::has_single_bit(granule)) return {};
  return {is_packed(insn) ? By::kPacked : By::kOpmask, insn.raw.raw.evex.aaa, log2_of(granule),
          log2_of(count)};
}

std::uint64_t low_bits(unsigned count) {
  return count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
}

std::uint64_t mask_bits(const MaskedOperand& m, const ExtendedState& x) {
  const unsigned count = 1u << m.count_shift;
  if (m.by != By::kSignBits) return x.opmask(m.mask) & low_bits(count);
  const VectorBytes vector = x.vector(m.mask);
  std::uint64_t bits = 0;
  for (unsigned i = 0; i < count; ++i)
    if (vector[((i + 1) << m.granule_shift) - 1] & 0x80) bits |= std::uint64_t{1} << i;
  return bits;
}

}  // namespace

MaskedOperand masked_operand_of(const Insn& insn) {
  if (!insn.memory || insn.memory->mem.type != ZYDIS_MEMOP_TYPE_MEM || insn.memory_bytes == 0 ||
      insn.memory_bytes > 64)
    return {};
  switch (insn.mnemonic()) {
    case ZYDIS_MNEMONIC_VMASKMOVPS:
    case ZYDIS_MNEMONIC_VPMASKMOVD:
      return by_sign(insn, 4);
    case ZYDIS_MNEMONIC_VMASKMOVPD:
    case ZYDIS_MNEMONIC_VPMASKMOVQ:
      return by_sign(insn, 8);
    default:
      break;
  }
  if (insn.raw.encoding != ZYDIS_INSTRUCTION_ENCODING_EVEX || insn.raw.raw.evex.aaa == 0) return {};
  const bool suppresses = suppresses_faults(insn);
  if (!insn.writes_memory && !suppresses) return {};
  MaskedOperand m = by_opmask(insn);
  m.probes_all = !suppresses;
  return m;
}

std::uint64_t selected_bytes(const MaskedOperand& m, const ExtendedState& x, unsigned bytes) {
  const std::uint64_t bits = mask_bits(m, x);
  if (m.by == By::kPacked)
    return low_bits(static_cast<unsigned>(std::popcount(bits)) << m.granule_shift);
  const std::uint64_t granule = low_bits(1u << m.granule_shift);
  std::uint64_t selected = 0;
  for (unsigned i = 0; i < 1u << m.count_shift; ++i)
    if (bits >> i & 1) selected |= granule << ((i << m.granule_shift) % bytes);
  return selected;
}

}  // namespace ringshift::translator
