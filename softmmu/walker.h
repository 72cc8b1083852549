// softmmu/walker.h - one walk through the guest's page tables; for the files of softmmu/ that walk.
#pragma once

#include "softmmu/page_walk.h"

namespace ringshift::softmmu {

// SDM Vol. 3 "Hierarchical Paging Structures: an Overview".
namespace entry {
inline constexpr std::uint64_t kPresent = 1u << 0, kWritable = 1u << 1, kUser = 1u << 2,
                               kAccessed = 1u << 5, kDirty = 1u << 6, kPageSize = 1u << 7,
                               kGlobal = 1u << 8, kExecuteDisable = std::uint64_t{1} << 63;
}

// SDM Vol. 3 "Page-Fault Exceptions".
namespace error {
inline constexpr std::uint32_t kPresent = 1, kWrite = 2, kUser = 4, kReserved = 8, kFetch = 16,
                               kProtectionKey = 32;
}

// SDM Vol. 3 "Protection Keys": what the two bits of a key deny.
namespace key {
inline constexpr std::uint32_t kNoAccess = 1, kNoWrite = 2;
}
constexpr unsigned key_of(std::uint64_t leaf) { return leaf >> 59 & 15; }
// The register that speaks for pages of the user or of the supervisor, while any does.
inline std::optional<std::uint32_t> key_rights(const guest::CpuState& state, bool user_page) {
  const std::uint64_t enabled = user_page ? guest::cr4::kPke : guest::cr4::kPks;
  if (!(state.cr4 & enabled) || !state.long_mode_active()) return std::nullopt;
  return user_page ? state.pkru : state.msr.pkrs;
}

// Bits first..last of a word.
constexpr std::uint64_t bits(unsigned first, unsigned last) {
  return first > last ? 0 : (~std::uint64_t{0} >> (63 - last)) & (~std::uint64_t{0} << first);
}

inline constexpr unsigned kPteShift = 12;
inline constexpr unsigned kMaxLevels = 4;

// What the mode fixes before the walk starts.
struct Mode {
  unsigned entry_bytes = 8;
  unsigned index_bits = 9;
  unsigned top_shift = 12;         // lowest linear bit that the first table decodes
  std::uint64_t table = 0;         // first table
  std::uint64_t reserved = 0;      // in every present entry
  std::uint64_t page_sizes = 0;    // bit n: an entry that decodes from bit n may be a large page
  std::uint64_t no_page_size = 0;  // bit n: PS of such an entry is reserved
};

class Walker {
 public:
  Walker(guest::PhysicalMemory& memory, const guest::CpuState& state,
         const PagingFeatures& features, guest::LinearAddress linear, Access access, bool update_ad)
      : memory_(memory),
        state_(state),
        features_(features),
        linear_(state.long_mode_active() ? linear.value : linear.value & 0xffffffff),
        access_(access),
        update_ad_(update_ad) {}

  guest::Checked<Translation> run();
  // The walk without its end: as far as the leaf, whose rights are not looked at.
  guest::Status descend();
  // Of the byte asked for; after descend().
  guest::PhysicalAddress found() const {
    const std::uint64_t page = page_frame(leaf(), shift_).value;
    return {(page + (linear_ & bits(0, shift_ - 1))) & state_.address_mask};
  }
  guest::PhysicalAddress unpaged() const { return {linear_ & state_.address_mask}; }
  // Tables that lie in a device's memory count as empty.
  void avoid_devices() { reads_devices_ = false; }

 private:
  friend class LeafTable;

  struct Step {
    guest::PhysicalAddress where;
    std::uint64_t value;
  };

  bool pae() const { return state_.cr4 & guest::cr4::kPae; }
  bool execute_disable() const { return pae() && (state_.msr.efer & guest::efer::kNxe); }
  std::uint64_t frame_mask() const { return bits(12, features_.physical_address_bits - 1); }

  bool select_mode();
  std::uint64_t load_entry(guest::PhysicalAddress where) const;
  std::uint64_t large_page_reserved(unsigned shift) const;
  guest::PhysicalAddress page_frame(std::uint64_t leaf, unsigned shift) const;
  std::uint64_t reserved_in(std::uint64_t value, unsigned shift) const;
  bool is_leaf(std::uint64_t value, unsigned shift) const {
    return shift == kPteShift || ((value & entry::kPageSize) && (mode_.page_sizes >> shift & 1));
  }
  bool permitted(AccessKind kind) const { return permits(kind, granted_, leaf()); }
  bool permits(AccessKind kind, std::uint64_t granted, std::uint64_t leaf) const;
  bool key_permits(AccessKind kind, std::uint64_t granted, std::uint64_t leaf) const;
  std::uint64_t leaf() const { return path_[steps_ - 1].value; }
  bool set_accessed_and_dirty();
  tl::unexpected<guest::GuestFault> fault(std::uint32_t cause) const;

  guest::PhysicalMemory& memory_;
  const guest::CpuState& state_;
  const PagingFeatures& features_;
  std::uint64_t linear_;
  Access access_;
  bool update_ad_;
  bool reads_devices_ = true;

  Mode mode_;
  std::array<Step, kMaxLevels> path_;
  unsigned steps_ = 0;
  unsigned shift_ = 0;         // lowest linear bit that the last step's table decodes
  std::uint64_t granted_ = 0;  // R/W and U/S set in every entry so far
  std::uint64_t denied_ = 0;   // XD set in some entry so far
};

}  // namespace ringshift::softmmu
