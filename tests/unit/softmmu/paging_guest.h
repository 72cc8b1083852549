// tests/unit/softmmu/paging_guest.h - a guest of a few MiB whose page tables a test writes by hand.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "guest/cpu_model.h"
#include "guest/cpu_state.h"
#include "guest/physical_memory.h"
#include "softmmu/mmu.h"
#include "softmmu/page_walk.h"

namespace ringshift::softmmu {

inline constexpr std::uint64_t kP = 1, kRw = 2, kUs = 4, kA = 0x20, kD = 0x40, kPs = 0x80,
                               kG = 0x100, kXd = std::uint64_t{1} << 63;

inline constexpr std::uint32_t kErrP = 1, kErrW = 2, kErrU = 4, kErrRsvd = 8, kErrId = 16;

inline constexpr Access kUserRead{AccessKind::kRead, true, false},
    kUserWrite{AccessKind::kWrite, true, false}, kUserFetch{AccessKind::kExecute, true, false},
    kRead{AccessKind::kRead, false, false}, kWrite{AccessKind::kWrite, false, false},
    kFetch{AccessKind::kExecute, false, false};

struct PagingGuest {
  explicit PagingGuest(std::uint64_t bytes = 16 << 20)
      : memory(*std::move(guest::PhysicalMemory::create(bytes))) {}

  // Four-level paging from CR3 = 1000H, every table a page of its own; call after mode bits are
  // set.
  void enter_long_mode() {
    state.cr0 = guest::cr0::kPg | guest::cr0::kPe | guest::cr0::kWp;
    state.cr4 |= guest::cr4::kPae;
    state.msr.efer |= guest::efer::kLma | guest::efer::kLme | guest::efer::kNxe;
    state.cr3 = 0x1000;
  }
  void enter_32bit_paging() {
    state.cr0 = guest::cr0::kPg | guest::cr0::kPe | guest::cr0::kWp;
    state.cr3 = 0x1000;
  }
  void enter_pae_paging() {
    enter_32bit_paging();
    state.cr4 |= guest::cr4::kPae;
  }

  std::uint64_t new_table() { return next_table += 0x1000; }

  // Physical address of the 4-level entry of `linear` at `level` (4 = PML4E .. 1 = PTE), with the
  // tables above it made on the way with `rights`.
  std::uint64_t entry(std::uint64_t linear, unsigned level, std::uint64_t rights = kRw | kUs) {
    std::uint64_t table = state.cr3 & 0x000ffffffffff000;
    for (unsigned at = 4;; --at) {
      const std::uint64_t where = table + ((linear >> (3 + 9 * at)) & 511) * 8;
      if (at == level) return where;
      std::uint64_t value = memory->read({where}, 8);
      if (!(value & kP)) memory->write({where}, 8, value = new_table() | kP | rights);
      table = value & 0x000ffffffffff000;
    }
  }
  // 4-level mapping of one page: 4 KiB at level 1, 2 MiB at level 2, 1 GiB at level 3.
  void map(std::uint64_t linear, std::uint64_t frame_and_bits, unsigned level = 1) {
    memory->write({entry(linear, level)}, 8, frame_and_bits | kP | (level > 1 ? kPs : 0));
  }

  guest::Checked<Translation> walk(std::uint64_t linear, Access access, bool update = true) {
    return softmmu::walk(*memory, state, features, {linear}, access, update);
  }
  // The error code of the fault that the walk must give.
  std::uint32_t walk_fault(std::uint64_t linear, Access access) {
    const auto result = walk(linear, access);
    EXPECT_FALSE(result.has_value()) << "no fault";
    if (result) return ~0u;
    EXPECT_EQ(result.error().vector, guest::Vector::kPageFault);
    EXPECT_EQ(result.error().address, linear);
    return result.error().error_code;
  }

  std::unique_ptr<guest::PhysicalMemory> memory;
  guest::CpuState state;
  PagingFeatures features{40, true, true};
  std::uint64_t next_table = 0x100000;  // tables are made from 1 MiB up
};

}  // namespace ringshift::softmmu
