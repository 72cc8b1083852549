// translator/operation.h - one decoded special instruction, as its call-out receives it.
// Plain data that lies in the code cache beside the block: no pointers, so a block can be
// relocated.
#pragma once

#include <cstdint>

#include "guest/cpu_state.h"
#include "guest/fault.h"

namespace ringshift::translator {

inline constexpr std::uint8_t kNoRegister = 0xff;
inline constexpr std::uint8_t kRipBase =
    0x10;  // RIP-relative; displacement is from the next instruction

struct MemoryOperand {
  guest::Seg segment = guest::Seg::kDs;  // after overrides and the rBP/rSP default
  std::uint8_t base = kNoRegister;       // Gpr number, kRipBase or kNoRegister
  std::uint8_t index = kNoRegister;
  std::uint8_t scale = 1;
  std::int64_t displacement = 0;
};

constexpr unsigned scale_shift(std::uint8_t scale) {
  return scale == 8 ? 3 : scale == 4 ? 2 : scale == 2 ? 1 : 0;
}

namespace prefix {
inline constexpr std::uint8_t kRep = 1, kRepne = 2, kLock = 4, kRex = 8, kRexW = 16;
}

struct Operation {
  std::uint16_t row = 0;  // index of the instruction's row in the table
  std::uint16_t opcode =
      0;  // primary opcode byte, with the map in the high byte (0, 0x0f, 0x38, 0x3a)
  std::uint8_t length = 0;         // guest bytes
  std::uint8_t operand_bytes = 0;  // effective operand size: 1, 2, 4, 8
  std::uint8_t address_bytes = 0;  // effective address size: 2, 4, 8
  std::uint8_t stack_bytes = 0;    // not used where SS decides: see CpuState::stack_bytes
  std::uint8_t prefixes = 0;       // prefix::k*
  std::uint8_t reg = kNoRegister;  // ModRM.reg with REX.R (a GPR, Sreg, CR or DR number)
  std::uint8_t rm = kNoRegister;   // register in ModRM.rm, or the low 3 opcode bits' register
  bool has_memory = false;         // the operand is `memory`, not `rm`
  std::uint16_t page_offset = 0;   // of the first guest byte
  MemoryOperand memory;
  std::uint64_t immediate = 0;   // sign-extended to 64 bits; far pointers: the offset
  std::uint16_t immediate2 = 0;  // far pointer selector; ENTER's nesting level
};

// What the generated code does after a call-out that succeeded.
enum class Next : std::uint8_t {
  kContinue,  // RIP moves past the instruction (the block goes on unless the row ends it)
  kJump,      // the call-out set RIP (branch, far transfer, HLT, repeated string with work left)
};

using Result = guest::Checked<Next>;

}  // namespace ringshift::translator
