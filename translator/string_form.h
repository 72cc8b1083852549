// translator/string_form.h - which string instructions a block does itself, wholly or in their
// frequent case.
#pragma once

#include <cstdint>
#include <optional>

#include "translator/insn.h"
#include "translator/mode_key.h"
#include "translator/operation.h"

namespace ringshift::translator {

enum class StringForm : std::uint8_t {
  kNone,      // the call-out
  kSingle,    // one element, in the block; in either direction
  kRepeated,  // a thunk, which leaves to the call-out what it cannot reach; see string_thunks.h
};

enum class StringKind : std::uint8_t { kMovs, kStos, kLods, kCmps, kScas };

// nullopt: no string instruction, or one on ports.
std::optional<StringKind> string_kind(const Insn& insn);

// The form of an instruction that has a row.
StringForm string_form(const Insn& insn, const Operation& op, ModeKey mode, bool has_bmi2);

}  // namespace ringshift::translator
