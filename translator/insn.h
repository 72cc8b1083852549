// translator/insn.h - one decoded guest instruction, and the questions that the emitter asks of it.
#pragma once

#include <Zydis/Zydis.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "translator/mode_key.h"
#include "translator/operation.h"

namespace ringshift::translator {

inline constexpr std::size_t kMaxInsnBytes = 15;

// A general register named by one field of the encoding.
struct GprField {
  bool used = false;
  bool read = false, written = false;
  bool high_byte = false;   // AH, CH, DH, BH
  std::uint8_t number = 0;  // Gpr, 0..15
  std::uint8_t bytes = 0;
};

struct Insn {
  ZydisDecodedInstruction raw;
  std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
  std::array<std::uint8_t, kMaxInsnBytes> bytes;
  std::uint16_t page_offset = 0;  // of the first byte

  // Filled by the decoder.
  GprField reg, rm, vvvv;  // ModRM.reg, ModRM.rm (or the opcode's low bits), VEX.vvvv
  bool rm_is_opcode_field = false;
  const ZydisDecodedOperand* memory = nullptr;  // the explicit memory operand
  bool reads_memory = false, writes_memory = false;
  std::uint8_t memory_bytes = 0;

  unsigned length() const { return raw.length; }
  ZydisMnemonic mnemonic() const { return raw.mnemonic; }
  bool has_attribute(ZydisInstructionAttributes a) const { return raw.attributes & a; }
  unsigned operand_bytes() const { return raw.operand_width / 8; }
  unsigned address_bytes() const { return raw.address_width / 8; }
  MemoryOperand memory_operand() const;
  // What the memory operand's address has to be a multiple of, lest #GP(0) be raised.
  unsigned required_alignment() const;
  bool waits_for_x87() const;  // raises #MF before anything else when an x87 exception is pending
  bool writes_gpr(std::uint8_t number) const;  // any part of it
  // By how much it moves `width` bytes of a register that it writes; nullopt: not by a constant.
  std::optional<std::int64_t> constant_step(std::uint8_t number, unsigned width) const;
  // Arithmetic flags (guest::flags::kArithmetic bits) read, and certainly overwritten.
  std::uint32_t flags_read() const;
  std::uint32_t flags_overwritten() const;
  bool writes_flags() const;  // any arithmetic flag, perhaps
  // Those that the manual leaves undefined after it: what they were, on some processors.
  std::uint32_t flags_undefined() const;
};

enum class DecodeError {
  kTruncated,  // more bytes are needed than were given
  kTooLong,    // longer than 15 bytes: #GP(0)
  kInvalid,    // #UD
};

class Decoder {
 public:
  // `lzcnt`, `tzcnt`: the guest has them (else F3 0F BD/BC are BSR/BSF).
  Decoder(bool lzcnt, bool tzcnt);
  std::optional<DecodeError> decode(ModeKey mode, std::span<const std::uint8_t> bytes,
                                    std::uint16_t page_offset, Insn& insn) const;

 private:
  std::array<ZydisDecoder, 3> decoders_;  // 16, 32, 64 bit
};

// Encoding number 0..15 of a general register; kNoRegister for others.
std::uint8_t gpr_number(ZydisRegister r);
guest::Seg segment_number(ZydisRegister r);

}  // namespace ringshift::translator
