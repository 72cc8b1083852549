// tests/unit/callouts/string_oracle.h - the host's own string instructions, as the reference.
#pragma once

#include <cstdint>

namespace ringshift::translator {

// Registers of a string instruction, before and after.
struct StringRegisters {
  std::uint64_t rax = 0, rcx = 0, rsi = 0, rdi = 0, rflags = 0;
};

enum class StringKind { kMovs, kStos, kLods, kCmps, kScas };
enum class Repeat { kNone, kRep, kRepne };

// Runs the instruction natively on real pointers; DF is taken from rflags.
void run_natively(StringKind kind, unsigned element, Repeat repeat, StringRegisters& registers);

}  // namespace ringshift::translator
