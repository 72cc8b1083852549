// translator/encoding.h - takes a guest instruction's encoding apart and writes it again for the
// host: same opcode, other registers, and a memory operand that is one host register.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "translator/insn.h"

namespace ringshift::translator {

// A memory operand of the host. Numbers are host registers.
struct HostOperand {
  std::uint8_t base = kNoRegister, index = kNoRegister;
  std::uint8_t scale_shift = 0;
  std::int32_t displacement = 0;
  bool flat_window = false;  // in the view's flat window: a 32-bit address behind the GS base
};

// What a field becomes. Numbers are host registers; kNoRegister keeps the guest's.
struct Rewrite {
  std::uint8_t reg = kNoRegister;
  std::uint8_t rm = kNoRegister;  // ModRM.rm register form, or the opcode's register field
  std::uint8_t vvvv = kNoRegister;
  std::uint8_t base = kNoRegister;  // memory form: [base + displacement]
  std::int8_t displacement = 0;
  const HostOperand* operand = nullptr;  // the same in full, in place of `base`
};

class HostBytes {
 public:
  void put(std::uint8_t b) { bytes_[size_++] = b; }
  std::span<const std::uint8_t> view() const { return {bytes_.data(), size_}; }

 private:
  std::array<std::uint8_t, 24> bytes_{};
  std::size_t size_ = 0;
};

// The rewritten instruction would need a REX prefix, which changes the meaning of AH..BH.
bool high_byte_conflict(const Insn& insn, const Rewrite& rewrite);

HostBytes encode_for_host(const Insn& insn, ModeKey mode, const Rewrite& rewrite);

}  // namespace ringshift::translator
