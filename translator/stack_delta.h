// translator/stack_delta.h - finding what hot blocks with windows keep of the stack's window.
#pragma once

#include <asmjit/x86.h>

#include <cstdint>

#include "translator/frame.h"

namespace ringshift::translator {

// The window_delta of the piece whose number is in `piece`.
inline asmjit::x86::Mem window_delta_entry(const asmjit::x86::Gp& piece) {
  asmjit::x86::Mem entry = asmjit::x86::ptr(
      static_cast<std::uint64_t>(view_field(softmmu::kWindowTableOffset)), piece.r64(), 3, 8);
  entry.setSegment(asmjit::x86::gs);
  return entry;
}

// An operand that is the window_delta of the current view for the 4 GiB piece that `linear` lies
// in; clobbers `scratch`, keeps the flags. BMI2.
inline asmjit::x86::Mem emit_window_delta_operand(asmjit::x86::Assembler& a,
                                                  const asmjit::x86::Gp& linear,
                                                  const asmjit::x86::Gp& scratch) {
  a.rorx(scratch.r64(), linear.r64(), 32);
  a.movzx(scratch.r32(), scratch.r16());
  return window_delta_entry(scratch);
}

// slot::stack_delta for guest RSP as it is in R15. `depth`: bytes pushed below the frame.
inline void emit_stack_delta(asmjit::x86::Assembler& a, const asmjit::x86::Gp& scratch,
                             std::int32_t depth = 0) {
  a.mov(scratch.r64(), emit_window_delta_operand(a, asmjit::x86::gpq(kHostRsp), scratch));
  a.mov(asmjit::x86::ptr(asmjit::x86::rsp, slot::stack_delta + depth, 8), scratch.r64());
}

}  // namespace ringshift::translator
