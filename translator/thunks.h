// translator/thunks.h - the shared pieces of host code that translated blocks call: memory look-up,
// call-outs, block exits, and the way in and out. Emitted once at the start of the arena, so that a
// block reaches them with a 5-byte relative call.
#pragma once

#include <array>
#include <cstdint>

#include "codecache/arena.h"
#include "translator/branch_record.h"
#include "translator/frame.h"
#include "translator/string_thunks.h"
#include "translator/transfer_thunks.h"

namespace ringshift::translator {

// Sizes of accesses that have a look-up of their own (10: an x87 extended value).
inline constexpr std::array<unsigned, 8> kSizeClassBytes = {1, 2, 4, 8, 10, 16, 32, 64};
inline constexpr unsigned kSizeClasses = kSizeClassBytes.size();
// Spans that a group's look-up is rounded up to.
inline constexpr std::array<unsigned, 4> kGroupSpans = {16, 32, 64, 128};

// Entry points that C++ provides. The frame's state holds every GPR; flags are in saved_flags until
// materialized. A hook that does not resume its block puts the host code to run next into
// Frame::next_code (nullptr: leave translated code) with the state complete and flags dissolved.
struct Hooks {
  // The same for a group's span; nullptr also when the span is not plain RAM of one page.
  std::uint8_t* (*group_miss)(Frame*, std::uint64_t linear, std::uint64_t kind,
                              const std::uint8_t** return_slot);
  // TLB miss at `linear`; kind: bytes | kWriteAccess. `return_slot` is where the look-up's return
  // address lies. Returns the host address to use; nullptr: does not resume.
  std::uint8_t* (*slow_access)(Frame*, std::uint64_t linear, std::uint64_t kind,
                               const std::uint8_t** return_slot);
  // The store into the bounce buffer was made. Nonzero: does not resume.
  std::uint64_t (*commit_store)(Frame*, std::uint64_t, std::uint64_t, const std::uint8_t*);
  // A special instruction. Nonzero: does not resume.
  std::uint64_t (*call_out)(Frame*, const void* operation, std::uint64_t,
                            const std::uint8_t* return_address);
  // A special instruction whose frequent case is worth a hook of its own: next_code says where to
  // go on. Zero: nothing was done, and the call-out has to.
  std::uint64_t (*quick)(Frame*, const void* operation, std::uint64_t,
                         const std::uint8_t* return_address);
  // An unlinked direct exit. Never resumes.
  void (*direct_exit)(Frame*, std::uint64_t, std::uint64_t, const std::uint8_t* return_address);
  // The jump cache has no entry for `rip`; `branch`: the BranchRecord of what jumped. Never
  // resumes.
  void (*indirect_exit)(Frame*, std::uint64_t rip, std::uint32_t branch);
  // A branch to `rip`, in another page, is not linked in this view. Never resumes.
  void (*link_miss)(Frame*, std::uint64_t rip, std::uint64_t link);
  // Segmentation of `offset`; packed: pack_segment_check(). Returns the linear address; ~0: does
  // not resume.
  std::uint64_t (*segment_check)(Frame*, std::uint64_t offset, std::uint64_t packed,
                                 const std::uint8_t* return_address);
  // A block has run kRunsToPromote times. Never resumes.
  void (*promote)(Frame*, std::uint64_t, std::uint64_t, const std::uint8_t* return_address);
  // A loop head saw `attention`. Never resumes.
  void (*attention)(Frame*, std::uint64_t, std::uint64_t, const std::uint8_t* return_address);
};
inline constexpr std::uint64_t kWriteAccess = 0x100;

// Segment number, bytes, direction and the alignment that EFLAGS.AC asks for, in one register.
constexpr std::uint32_t pack_segment_check(guest::Seg seg, unsigned bytes, bool write,
                                           unsigned alignment) {
  return static_cast<std::uint32_t>(seg) | bytes << 8 | (write ? 1u << 16 : 0) | alignment << 17;
}

struct Thunks {
  void (*enter)(Frame*, const std::uint8_t* code) = nullptr;
  const std::uint8_t* leave = nullptr;  // host RSP = frame, state already saved
  std::array<const std::uint8_t*, kSizeClasses> read{},
      write{};  // R11 linear -> R11 host; uses R10
  std::array<const std::uint8_t*, kGroupSpans.size()> group_read{}, group_write{};
  // Misses of look-ups that a block makes itself: R11 = linear XOR tag of the entry at offset R10
  // of its table, flags already in saved_flags.
  struct Misses {
    std::array<const std::uint8_t*, kSizeClasses> host{};   // R11 = host
    std::array<const std::uint8_t*, kSizeClasses> delta{};  // R11 = linear, R10 = host - linear
    std::array<const std::uint8_t*, kGroupSpans.size()> group{};  // R11 = host
  };
  Misses read_miss, write_miss;
  const std::uint8_t* inline_segment_check =
      nullptr;  // segment_check, flags already in saved_flags
  const std::uint8_t* commit_store = nullptr;
  const std::uint8_t* inline_commit_store = nullptr;  // the same
  const std::uint8_t* call_out = nullptr;             // R11 = the Operation
  const std::uint8_t* quick = nullptr;                // the same
  const std::uint8_t* direct_exit = nullptr;          // called from an exit's stub
  // Jumped to; R11 = RIP. A branch has stored its record; what can only go on has none.
  const std::uint8_t *indirect_exit = nullptr, *sequential_exit = nullptr;
  const std::uint8_t* indirect_slow = nullptr;      // the same without the jump cache
  const std::uint8_t* unexpected_return = nullptr;  // where a RET leads: RCX is in its slot
  const std::uint8_t* link_miss = nullptr;      // jumped to; R11 = RIP, R10 = number of the link
  const std::uint8_t* segment_check = nullptr;  // R11 offset, R10d packed -> R11 linear
  const std::uint8_t* count_run = nullptr;      // called first in a block; null: no count
  const std::uint8_t* attention = nullptr;      // called from a block's cold part
  const std::uint8_t* find_stack = nullptr;     // slot::stack_delta for guest RSP; uses R10
  StringThunks strings;
  TransferThunks transfers;
  bool bmi2 = false;  // blocks may use it too
};

// `use_bmi2`: the host has PEXT; without it flags are saved by LAHF, a little slower.
Thunks emit_thunks(codecache::Arena& arena, const Hooks& hooks, bool use_bmi2);

// SIMD state of the guest between the host registers and state.xsave. `mask`: the host's XCR0 bits
// that the guest may have.
void save_simd(Frame& frame, std::uint64_t mask);
void load_simd(Frame& frame, std::uint64_t mask);

// RFLAGS from and to the LAHF/SETO form.
std::uint64_t materialize_flags(const Frame& frame);
void dissolve_flags(Frame& frame);

}  // namespace ringshift::translator
