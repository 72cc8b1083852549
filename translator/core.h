// translator/core.h - what a call-out works on: the guest CPU with everything around it.
// One per vCPU, used by its thread only. In a call-out `state` is complete and precise: all GPRs,
// RFLAGS materialized, RIP at the instruction.
#pragma once

#include <cstdint>

#include "guest/cpu_model.h"
#include "guest/cpu_state.h"
#include "guest/fault.h"
#include "guest/physical_memory.h"
#include "guest/platform.h"
#include "softmmu/mmu.h"
#include "translator/operation.h"

namespace ringshift::translator {

struct Core {
  guest::CpuState& state;
  softmmu::Mmu& mmu;
  guest::PhysicalMemory& memory;
  const guest::CpuModel& model;
  guest::Platform& platform;
};

using Handler = Result (*)(Core& core, const Operation& op);

// --- operand access (callouts/operand_access.cc) -------------------------------------------------
// Offset part of an effective address, truncated to the address size.
std::uint64_t effective_offset(const Core& core, const Operation& op);

// Segmentation: limit, type, null and canonical checks of a data access; #GP(0) or #SS(0).
// SDM Vol. 3 "Protection". `bytes` is the whole access.
guest::Checked<guest::LinearAddress> linear_address(const Core& core, guest::Seg segment,
                                                    std::uint64_t offset, std::size_t bytes,
                                                    bool write);
// #AC of an access that has to be aligned to `bytes` while EFLAGS.AC, CR0.AM and CPL 3 ask for it.
guest::Status check_alignment(const Core& core, guest::LinearAddress address, unsigned bytes);
// Segmented data accesses with the privilege of CPL; value zero-extended; bytes 1, 2, 4, 8.
guest::Checked<std::uint64_t> read_data(Core& core, guest::Seg segment, std::uint64_t offset,
                                        unsigned bytes);
guest::Status write_data(Core& core, guest::Seg segment, std::uint64_t offset, unsigned bytes,
                         std::uint64_t value);
// ModRM.rm operand, register or memory. A 32-bit register write zero-extends; 8-bit registers
// follow prefix::kRex (AH..BH without it).
guest::Checked<std::uint64_t> read_rm(Core& core, const Operation& op, unsigned bytes);
guest::Status write_rm(Core& core, const Operation& op, unsigned bytes, std::uint64_t value);
std::uint64_t read_gpr(const Core& core, unsigned number, unsigned bytes);
void write_gpr(Core& core, unsigned number, unsigned bytes, std::uint64_t value);

// Stack through SS with the current stack width; rSP changes only when the access succeeds.
guest::Status push(Core& core, unsigned bytes, std::uint64_t value);
guest::Checked<std::uint64_t> pop(Core& core, unsigned bytes);

// --- events (callouts/interrupt_delivery.cc) -----------------------------------------------------
enum class EventKind : std::uint8_t {
  kException,
  kExternal,
  kSoftware /* INT n, INTO */,
  kInt1,
  kInt3
};

// Delivers an exception at state.rip with double- and triple-fault rules; on a triple fault the
// state's activity is kShutdown. Traps (#DB single step, INT3, INTO) pass through the same door.
void deliver_fault(Core& core, const guest::GuestFault& fault);
// Delivers an external interrupt or NMI (faults on the way are delivered too).
void deliver_interrupt(Core& core, std::uint8_t vector, EventKind kind);
// INT n and friends: return address is `next_rip`. Faults of the delivery itself are returned.
guest::Status software_interrupt(Core& core, std::uint8_t vector, EventKind kind,
                                 std::uint64_t next_rip);

// --- mode changes --------------------------------------------------------------------------------
// After CR0, CR4, EFER, CS or CPL changed: EFER.LMA, CPL-dependent views. (callouts/mode.cc)
void mode_changed(Core& core);

}  // namespace ringshift::translator
