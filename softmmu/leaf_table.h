// softmmu/leaf_table.h - the table whose entries map the neighbourhood of one page, read without
// side effects: what a processor may hold in its TLB now although nobody asked yet.
// For the current vCPU state only, and only while nothing changes it.
#pragma once

#include <optional>

#include "softmmu/walker.h"

namespace ringshift::softmmu {

class LeafTable {
 public:
  // A page that a processor may cache for reading: present, permitted, accessed at every level.
  struct Page {
    guest::PhysicalAddress start;  // of the guest's page, whatever its size
    bool writable = false;         // permitted, and the dirty flag is set
    bool global = false;
  };

  // Nothing when the walk to `linear` ends before its leaf, or an entry above that is not accessed.
  static std::optional<LeafTable> find(guest::PhysicalMemory& memory, const guest::CpuState& state,
                                       const PagingFeatures& features, guest::LinearAddress linear,
                                       Access privilege);

  bool paging() const { return paging_; }  // else every address is its own physical one
  // Of the page that was asked for; page() knows only pages of this size.
  std::uint64_t page_bytes() const { return std::uint64_t{1} << shift_; }
  // What all entries of the table map: [first, first + bytes).
  guest::LinearAddress first() const { return {linear_ & ~(bytes() - 1)}; }
  std::uint64_t bytes() const { return std::uint64_t{1} << (shift_ + index_bits_); }

  // The page that holds `a`, which is in this table.
  std::optional<Page> page(guest::LinearAddress a) const;

 private:
  explicit LeafTable(const Walker& walker) : walker_(walker) {}

  Walker walker_;
  std::uint64_t linear_ = 0;
  std::uint64_t table_ = 0;
  std::uint64_t granted_ = 0;  // R/W and U/S set in every entry above
  unsigned shift_ = kPteShift;
  unsigned index_bits_ = 20;  // without paging: all of the 4 GiB
  bool paging_ = false;
};

}  // namespace ringshift::softmmu
