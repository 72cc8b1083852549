// translator/masked_operand.h - which bytes of its memory operand a masked instruction accesses.
//
// Bytes that the mask leaves out are not accessed: they cannot fault and no device sees them. Only
// the slow path asks; where a whole operand is plain memory, the host's own instruction knows.
#pragma once

#include <cstddef>
#include <cstdint>

#include "translator/callouts/extended_state.h"
#include "translator/insn.h"

namespace ringshift::translator {

struct MaskedOperand {
  enum class By : std::uint8_t {
    kNothing,   // not masked: every byte is accessed
    kOpmask,    // bit i selects granule i; past the operand's end they begin again (broadcasts)
    kSignBits,  // the same by the sign of a vector register's element i
    kPacked,    // compress and expand: as many granules as bits of the opmask
  };
  By by = By::kNothing;
  std::uint8_t mask = 0;           // number of the opmask or vector register
  std::uint8_t granule_shift = 0;  // log2 of the bytes that a bit selects
  std::uint8_t count_shift = 0;    // log2 of the bits
  // A store whose whole operand has to be writable, though only the selected bytes are written.
  bool probes_all = false;

  bool masked() const { return by != By::kNothing; }
  constexpr std::uint16_t pack() const {
    return static_cast<std::uint16_t>(static_cast<unsigned>(by) | mask << 2u | granule_shift << 7u |
                                      count_shift << 10u | (probes_all ? 1u << 13 : 0));
  }
  static constexpr MaskedOperand unpack(std::uint16_t bits) {
    return {static_cast<By>(bits & 3), static_cast<std::uint8_t>(bits >> 2 & 31),
            static_cast<std::uint8_t>(bits >> 7 & 7), static_cast<std::uint8_t>(bits >> 10 & 7),
            (bits >> 13 & 1) != 0};
  }
  bool operator==(const MaskedOperand&) const = default;
};

// kNothing also where the instruction has a mask but accesses all of its operand whatever it is.
MaskedOperand masked_operand_of(const Insn& insn);

// One bit for each byte of an operand of `bytes` bytes, at most 64.
std::uint64_t selected_bytes(const MaskedOperand& m, const ExtendedState& x, unsigned bytes);

}  // namespace ringshift::translator
