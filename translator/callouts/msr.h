// translator/callouts/msr.h - RDMSR and WRMSR, and the instructions that read what MSRs hold:
// RDTSC, RDTSCP, RDPMC, RDPID.
#pragma once

#include <cstdint>
#include <optional>

#include "translator/core.h"

namespace ringshift::translator {

Result rdmsr(Core& core, const Operation& op);
Result wrmsr(Core& core, const Operation& op);
Result rdtsc(Core& core, const Operation& op);
Result rdtscp(Core& core, const Operation& op);
Result rdpmc(Core& core, const Operation& op);
Result rdpid(Core& core, const Operation& op);

// The registers themselves, for RDMSR and WRMSR, debuggers and snapshots. Nothing: #GP(0).
std::optional<std::uint64_t> read_msr(Core& core, std::uint32_t index);
[[nodiscard]] bool write_msr(Core& core, std::uint32_t index, std::uint64_t value);

inline std::uint64_t guest_tsc(const guest::CpuState& state) {
  return __builtin_ia32_rdtsc() + state.msr.tsc_offset;
}

}  // namespace ringshift::translator
