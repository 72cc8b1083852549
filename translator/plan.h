// translator/plan.h - a block between decoding and emission: each instruction with what becomes of
// it.
#pragma once

#include <cstdint>

#include "translator/block_emitter.h"
#include "translator/insn.h"
#include "translator/operation.h"
#include "translator/system_form.h"

namespace ringshift::translator {

enum class Kind : std::uint8_t {
  kGeneric,
  kCallOut,
  kLea,
  kMoveAbsolute,
  kNothing,
  kDirection,
  kString,
  kPush,
  kPop,
  kLeave,
  kCall,
  kRet,
  kJump,
  kConditional,
  kLoop,
};

struct Planned {
  Insn insn;
  Kind kind = Kind::kGeneric;
  Operation operation;                    // kCallOut
  SystemForm system = SystemForm::kNone;  // kCallOut: emitted in part or in full
  bool ends_block = false;
  bool windows = false;          // its accesses may go through windows
  int loop_delta = -1;           // which one of its loop's it uses
  bool needs_flags = true;       // the guest's have to be in the host's before it
  bool inline_look_ups = false;  // its look-ups are made in the block, after saving flags

  // Set by form_groups().
  BlockEmitter::Group group;  // where begins_group
  bool begins_group = false, ends_group = false;
  int group_offset = -1;
};

}  // namespace ringshift::translator
