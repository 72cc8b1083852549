// translator/callouts/vector_operands.h - vector registers packed into Operation::immediate.
//
// Rows whose call-out works on vector registers (gather, scatter, masked moves) have no immediate,
// so whoever builds their Operation stores encode_vector_operands() there; the rest of Operation
// keeps its meaning, with memory.index = kNoRegister where the index is a vector.
#pragma once

#include <Zydis/DecoderTypes.h>

#include <cstdint>
#include <span>

namespace ringshift::translator {

struct VectorOperands {
  std::uint8_t reg = 0;    // the vector destination or source, 0..31
  std::uint8_t index = 0;  // vector index register (VSIB), 0..31
  // Vector mask register (VEX: vvvv; MASKMOVQ/MASKMOVDQU: ModRM.rm), or opmask register (EVEX; 0:
  // none).
  std::uint8_t mask = 0;
  std::uint8_t vector_bytes = 0;  // 16, 32, 64: VEX.L or EVEX.L'L
  bool evex = false;
  bool zeroing = false;  // EVEX.z

  constexpr std::uint64_t pack() const {
    return std::uint64_t{reg} | std::uint64_t{index} << 8 | std::uint64_t{mask} << 16 |
           std::uint64_t{vector_bytes} << 24 | std::uint64_t{evex} << 32 |
           std::uint64_t{zeroing} << 33;
  }
  static constexpr VectorOperands unpack(std::uint64_t bits) {
    return {static_cast<std::uint8_t>(bits),
            static_cast<std::uint8_t>(bits >> 8),
            static_cast<std::uint8_t>(bits >> 16),
            static_cast<std::uint8_t>(bits >> 24),
            (bits >> 32 & 1) != 0,
            (bits >> 33 & 1) != 0};
  }
  bool operator==(const VectorOperands&) const = default;
};

std::uint64_t encode_vector_operands(const ZydisDecodedInstruction& instruction,
                                     std::span<const ZydisDecodedOperand> operands);

}  // namespace ringshift::translator
