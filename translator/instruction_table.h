// translator/instruction_table.h - the one table of instructions that the generic rule cannot copy.
// One row each: mnemonic, call-out, traits, manual entry. Dispatch, the privilege prologue, the
// fuzzer's list and the coverage test all derive from it.
#pragma once

#include <Zydis/Mnemonic.h>

#include <cstdint>
#include <span>
#include <string_view>

#include "translator/core.h"

namespace ringshift::translator {

enum class Trait : std::uint32_t {
  kNone = 0,
  kEndsBlock = 1u << 0,      // mode, mapping or RIP may change: nothing may follow in the block
  kRing0 = 1u << 1,          // #GP(0) when CPL > 0
  kLockable = 1u << 2,       // LOCK is allowed with a memory destination
  kProtectedOnly = 1u << 3,  // #UD in real and v86 mode
  kNot64 = 1u << 4,          // #UD in 64-bit code
  kOnly64 = 1u << 5,         // #UD outside 64-bit code
  kUsesSimd = 1u << 6,       // reads or writes x87/SSE/AVX state: it is in state.xsave for the call
  kSensitive = 1u << 7,      // one of the classical 17 (and IRET)
};
constexpr Trait operator|(Trait a, Trait b) {
  return static_cast<Trait>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}
constexpr bool has(Trait set, Trait t) {
  return static_cast<std::uint32_t>(set) & static_cast<std::uint32_t>(t);
}

struct Row {
  ZydisMnemonic mnemonic;
  Handler handler;
  Trait traits;
  std::string_view manual;  // SDM Vol. 2 entry
};

std::span<const Row> instruction_table();
// Row index for a mnemonic that has one row for all its forms, or -1.
int find_row(ZydisMnemonic mnemonic);

// Rows whose mnemonic alone does not say which form is meant; the classifier picks by operands.
enum class FormRow : std::uint8_t {
  kMovToControl,
  kMovFromControl,
  kMovToDebug,
  kMovFromDebug,
  kFarCall,
  kFarJump,
  kFarReturn,
  kMovToSegment,
  kMovFromSegment,
  kPushSegment,
  kPopSegment,
  kStringMovsd,
  kStringCmpsd,
  kPushRm,
  kPushImmediate,
  kPopRm,
  kLeave,
  kNearCallRm,
  kNearCallRelative,
  kNearReturn,
  kBitTest,
  kRaise,  // the fault in Operation::immediate, packed by pack_fault()
};
int find_row(FormRow form);

constexpr std::uint64_t pack_fault(const guest::GuestFault& f) {
  return static_cast<std::uint64_t>(f.vector) | (f.has_error_code ? 0x100u : 0) |
         static_cast<std::uint64_t>(f.error_code) << 16;
}

}  // namespace ringshift::translator
