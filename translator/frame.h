// translator/frame.h - the memory that translated code works on: state block, call-out slots,
// flags.
//
// While translated code runs, the host stack pointer is the address of this struct, at the top of a
// stack of its own: calls from translated code, and the C++ they reach, grow down from it. So a
// slot of the guest state costs 4 or 5 bytes of code, call-outs need no stack switch, signals find
// a sane stack, and the host's FS base (TLS) is never touched. The host's GS base is
// the flat window of the current View.
//
// Register map (all modes): guest registers are in the host registers of the same name, but
//   guest RSP               in host R15
//   guest R10, R11, R15     in their slots of state.gpr (the least used ones, measured over libc,
//                           bash and cc1)
//   host R10, R11           scratch; R11 carries addresses and arguments
//   host RSP                this struct
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "codecache/block.h"
#include "guest/cpu_state.h"
#include "softmmu/mmu.h"

namespace ringshift::translator {

inline constexpr std::uint64_t kNoRip = 0x5a00000000000000;  // not canonical
inline constexpr std::size_t kBounceBytes = 128;  // an access of 64 bytes at any alignment

inline constexpr std::size_t kLoopDeltas = 6;
// Makes any canonical address one that is not.
inline constexpr std::uint64_t kNoDelta = std::uint64_t{1} << 62;

inline constexpr std::size_t kRunCounts = 8192;
inline constexpr unsigned kRunsToPromote = 64;
inline constexpr unsigned kMissesToLink = 16;

// Why translated code came back to run().
enum class Leave : std::uint32_t {
  kDispatch,     // state is complete; look for events and go on
  kHostFault,    // the host raised an exception for a guest instruction: pending_vector
  kWindowFault,  // an access through a window that cannot be mended: it has to be looked up
};

struct alignas(64) Frame {
  guest::CpuState state;  // first: state.gpr[] is reached with 8-bit displacements

  std::uint64_t rip_base = 0;  // RIP of offset 0 of the page that is running
  // Together one eight-byte word that is zero while no interrupt can be due.
  alignas(8) std::atomic<std::uint32_t> attention = 0;  // leave translated code at the next check
  std::uint32_t interrupt_maybe = 1;                    // the board may have an interrupt for us
  std::uint32_t simd_loaded = 0;                        // guest SIMD state is in the host registers
  std::uint64_t saved_flags = 0;  // LAHF/SETO form during call-outs: AH = SF..CF, AL = OF
  std::uint64_t jump_mask = 0;    // PEXT masks of the look-up thunks
  std::uint64_t index_mask = 0;
  std::uint64_t page_mask = 0;
  std::uint64_t host_rsp = 0;  // of run(), while translated code runs
  void* owner = nullptr;       // the vCPU, for the hooks
  std::uint64_t temp = 0;      // a value that must survive a look-up
  // While flags are dissolved: EFLAGS.DF and IF in place, and the rest but the arithmetic ones.
  std::uint32_t direction = 0;
  std::uint32_t interrupt_flag = 0;
  std::uint64_t other_flags = 0;
  std::uint64_t arithmetic_mask = guest::flags::kArithmetic;  // for PEXT
  // A store on its slow path: where the bounce buffer's bytes go when the store has been made.
  std::uint64_t store_host = 0;  // where in the bounce buffer
  std::uint64_t store_linear = 0;
  std::uint64_t store_bytes = 0;
  std::uint64_t store_mask = 0;      // a bit for each byte that is written; all ones: every byte
  std::uint64_t store_next_rip = 0;  // of the following instruction in the block; else kNoRip
  const std::uint8_t* next_code = nullptr;  // see Hooks
  // For transfers that translated code makes by itself. Flat windows of the current address space's
  // views by Privilege, as far as 64-bit code ran in them: 0 in others.
  std::array<std::uint64_t, 3> windows{};
  const void* windows_space = nullptr;  // whose windows these are
  // Of the loop that is running (translator/emit_loop.cc): what to add to addresses, and what part
  // of that is an address itself.
  std::array<std::uint64_t, kLoopDeltas> loop_deltas{}, loop_bases{};
  softmmu::View* loaded_view = nullptr;  // the one that the host's GS base is the window of
  softmmu::Mmu::Selection* selection = nullptr;
  std::uint32_t pending_vector = 0;
  Leave leave = Leave::kDispatch;
  alignas(64) std::uint8_t bounce[kBounceBytes] = {};
  std::uint64_t count_mask = 0;  // PEXT mask: which counter is a block's
  // Runs of blocks, counted down; blocks may share a counter, and then are promoted sooner.
  std::uint8_t run_counts[kRunCounts] = {};
  std::uint8_t link_counts[softmmu::kJumpEntries] = {};  // the same of missed links
};

// Displacement from the host's GS base, which is the current view's flat window, of a field of the
// view.
constexpr std::int64_t view_field(std::size_t offset) {
  return static_cast<std::int64_t>(offset) - static_cast<std::int64_t>(softmmu::kViewWindowOffset);
}

namespace slot {
constexpr std::int32_t gpr(unsigned n) { return static_cast<std::int32_t>(n * 8); }
#define RS_SLOT(name) \
  inline constexpr std::int32_t name = static_cast<std::int32_t>(offsetof(Frame, name))
RS_SLOT(rip_base);
RS_SLOT(attention);
RS_SLOT(saved_flags);
RS_SLOT(jump_mask);
RS_SLOT(index_mask);
RS_SLOT(page_mask);
RS_SLOT(temp);
RS_SLOT(count_mask);
RS_SLOT(run_counts);
RS_SLOT(link_counts);
RS_SLOT(next_code);
RS_SLOT(direction);
RS_SLOT(interrupt_flag);
RS_SLOT(other_flags);
RS_SLOT(arithmetic_mask);
RS_SLOT(host_rsp);
RS_SLOT(bounce);
RS_SLOT(windows);
RS_SLOT(loaded_view);
RS_SLOT(selection);
RS_SLOT(loop_deltas);
RS_SLOT(loop_bases);
#undef RS_SLOT
constexpr std::int32_t segment_base(guest::Seg seg) {
  return static_cast<std::int32_t>(offsetof(guest::CpuState, seg) +
                                   static_cast<std::size_t>(seg) * sizeof(guest::SegmentRegister) +
                                   offsetof(guest::SegmentRegister, base));
}
// What to add to an address near guest RSP to reach the stack's window (shadowpt/), for hot blocks
// of 64-bit code with windows. In the home of RSP, which is free while RSP is in R15. All ways from
// C++, and the thunks that change the view or enter by a jump cache, make it so; blocks that do not
// use it do not keep it, and enter others at their prologue.
inline constexpr std::int32_t stack_delta = gpr(4);
// A taken branch's BranchRecord: in the home of RBX, which is free while RBX is in its register.
inline constexpr std::int32_t branch = gpr(3);
inline constexpr std::int32_t rflags = offsetof(guest::CpuState, rflags);
inline constexpr std::int32_t rip = offsetof(guest::CpuState, rip);
inline constexpr std::int32_t msr = offsetof(guest::CpuState, msr);
static_assert(offsetof(Frame, interrupt_maybe) == offsetof(Frame, attention) + 4);
}  // namespace slot

// Host register numbers of the map above.
inline constexpr unsigned kHostRsp = 15;  // holds guest RSP
inline constexpr unsigned kScratchAddress = 11;
inline constexpr unsigned kScratchValue = 10;
constexpr bool lives_in_memory(unsigned guest_gpr) {
  return guest_gpr == 10 || guest_gpr == 11 || guest_gpr == 15;
}
// Only for registers that do not live in memory.
constexpr unsigned host_register(unsigned guest_gpr) {
  return guest_gpr == 4 ? kHostRsp : guest_gpr;
}

}  // namespace ringshift::translator
