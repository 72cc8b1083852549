// translator/callouts/vector_operands.cc - vector registers out of a decoded instruction.
#include "translator/callouts/vector_operands.h"

#include <Zydis/Register.h>

namespace ringshift::translator {
namespace {

bool is_vector(ZydisRegister r) {
  switch (ZydisRegisterGetClass(r)) {
    case ZYDIS_REGCLASS_XMM:
    case ZYDIS_REGCLASS_YMM:
    case ZYDIS_REGCLASS_ZMM:
    case ZYDIS_REGCLASS_MMX:
      return true;
    default:
      return false;
  }
}

std::uint8_t number(ZydisRegister r) { return static_cast<std::uint8_t>(ZydisRegisterGetId(r)); }

}  // namespace

std::uint64_t encode_vector_operands(const ZydisDecodedInstruction& instruction,
                                     std::span<const ZydisDecodedOperand> operands) {
  VectorOperands vectors;
  vectors.vector_bytes = static_cast<std::uint8_t>(instruction.avx.vector_length / 8);
  vectors.evex = instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX;
  vectors.zeroing = instruction.avx.mask.mode == ZYDIS_MASK_MODE_ZEROING;
  for (const ZydisDecodedOperand& operand : operands) {
    if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY && is_vector(operand.mem.index))
      vectors.index = number(operand.mem.index);
    if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER || !is_vector(operand.reg.value)) continue;
    if (operand.encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG)
      vectors.reg = number(operand.reg.value);
    if (operand.encoding == ZYDIS_OPERAND_ENCODING_NDSNDD ||
        operand.encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
      vectors.mask = number(operand.reg.value);
  }
  if (vectors.evex && instruction.avx.mask.reg != ZYDIS_REGISTER_NONE)
    vectors.mask = number(instruction.avx.mask.reg);
  return vectors.pack();
}

}  // namespace ringshift::translator
