// bench/mechanisms/guest_memory.h - a guest whose 4-level page tables map 4 KiB pages one to one.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>

#include "guest/cpu_model.h"
#include "guest/cpu_state.h"
#include "guest/physical_memory.h"
#include "softmmu/mmu.h"

namespace ringshift::bench {

inline constexpr std::uint64_t kRamBytes = 64 << 20;
inline constexpr std::uint64_t kMappedBytes = 32 << 20;  // linear = physical below
inline constexpr std::uint64_t kTables = 48 << 20;       // PML4, PDPT, PD, then the page tables

template <typename T>
T take(tl::expected<T, std::string> made) {
  if (!made) throw std::runtime_error(made.error());
  return *std::move(made);
}

inline void write_page_tables(guest::PhysicalMemory& memory) {
  // SDM Vol. 3 "4-Level Paging": present, writable, user, accessed, dirty.
  constexpr std::uint64_t kRights = 0x67, kPage = guest::kPageBytes;
  constexpr std::uint64_t kPdpt = kTables + kPage, kPd = kTables + 2 * kPage;
  memory.write({kTables}, 8, kPdpt | kRights);
  memory.write({kPdpt}, 8, kPd | kRights);
  for (std::uint64_t page = 0; page < kMappedBytes / kPage; ++page) {
    const std::uint64_t table = kPd + (1 + page / 512) * kPage;
    memory.write({kPd + page / 512 * 8}, 8, table | kRights);
    memory.write({table + page % 512 * 8}, 8, page * kPage | kRights);
  }
}

inline void enter_long_mode(guest::CpuState& state) {
  state.cr0 = guest::cr0::kPg | guest::cr0::kPe | guest::cr0::kWp;
  state.cr4 = guest::cr4::kPae | guest::cr4::kOsfxsr;
  state.msr.efer = guest::efer::kLme | guest::efer::kLma | guest::efer::kNxe;
  state.cr3 = kTables;
}

class GuestMemory {
 public:
  GuestMemory()
      : memory_(take(guest::PhysicalMemory::create(kRamBytes))),
        model_(take(guest::CpuModel::create("max"))) {
    write_page_tables(*memory_);
    enter_long_mode(state_);
    mmu_ = std::make_unique<softmmu::Mmu>(*memory_, state_, model_);
    mmu_->select_view();
  }

  guest::PhysicalMemory& memory() { return *memory_; }
  guest::CpuState& state() { return state_; }
  const guest::CpuModel& model() const { return model_; }
  softmmu::Mmu& mmu() { return *mmu_; }

 private:
  std::unique_ptr<guest::PhysicalMemory> memory_;
  guest::CpuModel model_;
  guest::CpuState state_;
  std::unique_ptr<softmmu::Mmu> mmu_;
};

}  // namespace ringshift::bench
