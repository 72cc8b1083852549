// softmmu/leaf_table.cc - neighbours of a page in its table, as a page walk would find them.
#include "softmmu/leaf_table.h"

namespace ringshift::softmmu {

std::optional<LeafTable> LeafTable::find(guest::PhysicalMemory& memory,
                                         const guest::CpuState& state,
                                         const PagingFeatures& features,
                                         guest::LinearAddress linear, Access privilege) {
  // Neighbours are no longer neighbours where addresses wrap.
  if (state.address_mask != guest::kA20Open) return std::nullopt;
  LeafTable result(Walker(memory, state, features, linear, privilege, false));
  Walker& walker = result.walker_;
  result.linear_ = walker.linear_;
  result.paging_ = state.paging();
  if (!result.paging_) return result;
  if (!walker.descend()) return std::nullopt;
  const std::uint64_t where = walker.path_[walker.steps_ - 1].where.value;
  result.shift_ = walker.shift_;
  result.index_bits_ = walker.mode_.index_bits;
  result.table_ = where & ~((std::uint64_t{walker.mode_.entry_bytes} << result.index_bits_) - 1);
  result.granted_ = entry::kWritable | entry::kUser;
  for (unsigned i = 0; i + 1 < walker.steps_; ++i) {
    if (!(walker.path_[i].value & entry::kAccessed)) return std::nullopt;
    result.granted_ &= walker.path_[i].value;
  }
  return result;
}

std::optional<LeafTable::Page> LeafTable::page(guest::LinearAddress a) const {
  if (!paging_) return Page{{a.value & ~guest::kPageOffsetMask}, true, false};
  const std::uint64_t index = (a.value >> shift_) & bits(0, index_bits_ - 1);
  const std::uint64_t value = walker_.load_entry({table_ + index * walker_.mode_.entry_bytes});
  if (!(value & entry::kPresent) || !(value & entry::kAccessed)) return std::nullopt;
  if (!walker_.is_leaf(value, shift_) || (value & walker_.reserved_in(value, shift_)))
    return std::nullopt;
  const std::uint64_t granted = granted_ & value;
  if (!walker_.permits(AccessKind::kRead, granted, value)) return std::nullopt;
  return Page{walker_.page_frame(value, shift_),
              (value & entry::kDirty) && walker_.permits(AccessKind::kWrite, granted, value),
              (value & entry::kGlobal) && (walker_.state_.cr4 & guest::cr4::kPge)};
}

}  // namespace ringshift::softmmu
