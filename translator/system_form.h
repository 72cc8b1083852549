// translator/system_form.h - which system instructions a block does itself, wholly or in their
// frequent case.
#pragma once

#include <cstdint>

#include "guest/cpu_model.h"
#include "translator/insn.h"
#include "translator/mode_key.h"
#include "translator/operation.h"

namespace ringshift::translator {

enum class SystemForm : std::uint8_t {
  kNone,  // the call-out
  // Emitted. STI and POPF leave it to the call-out where an interrupt may be due, POPF also where
  // TF, AC, NT, ID or IOPL change, RDTSC where CR4.TSD forbids it.
  kCli,
  kSti,
  kPushf,
  kPopf,
  kSwapgs,
  kRdtsc,
  kRdtscp,
  kReadControl,
  kReadSegment,
  kRepeatedString,  // see string_form.h
  kPushSegment,
  // Thunks of their own (transfer_thunks.h), which leave everything unusual to the quick hook.
  kStac,
  kClac,
  kVerw,
  kSystemCall,    // ends the block
  kSystemReturn,  // to 64-bit code; ends it too
  // The quick hook, which leaves everything unusual to the call-out.
  kQuick,          // goes on in the block
  kQuickTransfer,  // ends it
};

// The form of an instruction that has a row.
SystemForm system_form(const Insn& insn, const Operation& op, ModeKey mode,
                       const guest::CpuModel& model, bool has_bmi2);
constexpr bool ends_block(SystemForm form) {
  return form == SystemForm::kSystemCall || form == SystemForm::kSystemReturn ||
         form == SystemForm::kQuickTransfer;
}

}  // namespace ringshift::translator
