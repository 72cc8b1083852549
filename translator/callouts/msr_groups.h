// translator/callouts/msr_groups.h - the model-specific registers by topic. Each group answers for
// its own registers only, so that the groups can be asked in turn.
#pragma once

#include <cstdint>
#include <optional>

#include "translator/core.h"

namespace ringshift::translator {

enum class MsrWrite : std::uint8_t {
  kNotMine,
  kDone,
  kRefused,  // #GP(0): reserved bits, non-canonical address, read-only
};
using MsrValue = std::optional<std::uint64_t>;

constexpr MsrWrite written_if(bool ok) { return ok ? MsrWrite::kDone : MsrWrite::kRefused; }

// EFER, system calls, FS and GS bases, debug control, feature reports (msr_system.cc).
MsrValue read_system_msr(const Core& core, std::uint32_t index);
MsrWrite write_system_msr(Core& core, std::uint32_t index, std::uint64_t value);

// TSC, its adjustment and auxiliary value (msr_time.cc).
MsrValue read_time_msr(const Core& core, std::uint32_t index);
MsrWrite write_time_msr(Core& core, std::uint32_t index, std::uint64_t value);

// KVM's clock and steal time (msr_paravirtual.cc, paravirtual_time.h).
MsrValue read_paravirtual_msr(const Core& core, std::uint32_t index);
MsrWrite write_paravirtual_msr(Core& core, std::uint32_t index, std::uint64_t value);

// Local APIC, by way of the platform (msr_apic.cc).
MsrValue read_apic_msr(Core& core, std::uint32_t index);
MsrWrite write_apic_msr(Core& core, std::uint32_t index, std::uint64_t value);

// PAT and MTRRs (msr_memory_type.cc).
MsrValue read_memory_type_msr(const Core& core, std::uint32_t index);
MsrWrite write_memory_type_msr(Core& core, std::uint32_t index, std::uint64_t value);

// Machine-check architecture (msr_machine_check.cc).
MsrValue read_machine_check_msr(const Core& core, std::uint32_t index);
MsrWrite write_machine_check_msr(Core& core, std::uint32_t index, std::uint64_t value);

// What only one vendor's parts have (msr_vendor.cc).
MsrValue read_vendor_msr(const Core& core, std::uint32_t index);
MsrWrite write_vendor_msr(Core& core, std::uint32_t index, std::uint64_t value);

}  // namespace ringshift::translator
