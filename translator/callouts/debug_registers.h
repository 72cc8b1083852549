// translator/callouts/debug_registers.h - MOV to and from DR0-DR7, and matching of hardware
// breakpoints. SDM Vol. 3 "Debug Registers". For MOV, `reg` is the debug register's number.
#pragma once

#include <cstdint>

#include "translator/core.h"

namespace ringshift::translator {

Result mov_to_debug(Core& core, const Operation& op);
Result mov_from_debug(Core& core, const Operation& op);

namespace dr6 {
inline constexpr std::uint64_t kBreakpoints = 0xf, kBd = 1u << 13, kBs = 1u << 14, kBt = 1u << 15;
}

// Whether any enabled breakpoint is of the kind, so that code which need not look never looks.
bool code_breakpoints_enabled(const guest::CpuState& state);
bool data_breakpoints_enabled(const guest::CpuState& state);
bool io_breakpoints_enabled(const guest::CpuState& state);

// DR6 bits 3:0 of the breakpoints that match; 0: none. A code breakpoint faults before the
// instruction (unless RF is set); data and I/O breakpoints trap after the access.
std::uint64_t match_code_breakpoint(const guest::CpuState& state, guest::LinearAddress rip);
std::uint64_t match_data_breakpoint(const guest::CpuState& state, guest::LinearAddress address,
                                    std::size_t bytes, bool write);
softmmu::Watchpoints data_breakpoints(const guest::CpuState& state);  // by number
std::uint64_t match_io_breakpoint(const guest::CpuState& state, std::uint16_t port, unsigned bytes);

}  // namespace ringshift::translator
