// translator/transfer_thunks.h - host code for the transfers that a 64-bit kernel makes at each
// system call, and for what it does around them: SYSCALL, SYSRETQ, STAC, CLAC, VERW. Each goes from
// one view's jump cache into the other's, and leaves everything unusual to the quick hook before it
// has changed anything.
#pragma once

#include "codecache/arena.h"

namespace ringshift::translator {

// Null where the host lacks what they are made of: the quick hook does it all. Called with R11 =
// the Operation. Transfers also take the ModeKey of the code to go on with, but for windows, in
// R10; VERW its selector.
struct TransferThunks {
  const std::uint8_t* system_call = nullptr;            // from 64-bit code
  const std::uint8_t* compatible_call = nullptr;        // SYSCALL from compatibility mode
  const std::uint8_t* system_return = nullptr;          // to 64-bit code
  const std::uint8_t *stac = nullptr, *clac = nullptr;  // with CPUID's SMAP
  const std::uint8_t* verw = nullptr;
};

// `quick`: the thunk that calls the quick hook. For hosts with BMI2.
TransferThunks emit_transfer_thunks(codecache::Arena& arena, const std::uint8_t* quick);

}  // namespace ringshift::translator
