// runtime/bt/masked_access.cc - memory operands under a mask, where the whole operand is not plain
// memory: only the bytes that the mask selects are looked up, read and written.
#include "runtime/bt/bt_vcpu.h"
#include "translator/masked_operand.h"

namespace ringshift::runtime {
using codecache::FaultPoint;
using guest::LinearAddress;
using guest::Status;
using softmmu::AccessKind;

namespace {

// Calls action(first, bytes) for each run of selected bytes, from the lowest up.
template <typename Action>
Status for_each_run(std::uint64_t mask, Action action) {
  while (mask != 0) {
    const auto first = static_cast<unsigned>(__builtin_ctzll(mask));
    const std::uint64_t rest = ~(mask >> first);
    const unsigned bytes = rest ? static_cast<unsigned>(__builtin_ctzll(rest)) : 64;
    RS_CHECK(action(first, bytes));
    // Adding the lowest bit carries through the run.
    mask &= mask + (mask & -mask);
  }
  return {};
}

}  // namespace

BtVcpu::MaskedBytes BtVcpu::masked_bytes(const FaultPoint& point, unsigned bytes) {
  spill_simd();
  const auto operand = translator::MaskedOperand::unpack(point.masked);
  const std::uint64_t selected =
      translator::selected_bytes(operand, translator::ExtendedState(core_), bytes);
  return {selected, operand.probes_all ? ~std::uint64_t{0} >> (64 - bytes) : selected};
}

bool BtVcpu::accesses_anything(const FaultPoint& point, unsigned bytes) {
  if (!point.masked) return true;
  const bool any = masked_bytes(point, bytes).checked != 0;
  translator::load_simd(frame(), simd_mask_);
  return any;
}

// What is not selected reads as zero, which the instruction does not look at.
Status BtVcpu::fetch_masked(LinearAddress a, std::span<std::uint8_t> to, bool write,
                            const FaultPoint& point) {
  const MaskedBytes mask = masked_bytes(point, static_cast<unsigned>(to.size()));
  translator::fill_bytes(to.data(), 0, to.size());
  frame().store_mask = mask.selected;
  return for_each_run(mask.checked, [&](unsigned first, unsigned bytes) -> Status {
    const LinearAddress from = wrap_linear(a + first);
    if (!guest::is_canonical(from.value) || !guest::is_canonical(from.value + bytes - 1))
      return tl::unexpected(point.stack_segment ? guest::stack_fault()
                                                : guest::general_protection());
    return fetch(from, to.subspan(first, bytes), write, point.reads_memory);
  });
}

void BtVcpu::store_masked(LinearAddress a, const std::uint8_t* from, std::uint64_t mask) {
  static_cast<void>(for_each_run(mask, [&](unsigned first, unsigned bytes) {
    return mmu_.write(wrap_linear(a + first), {from + first, bytes},
                      mmu_.data_access(AccessKind::kWrite));
  }));
}

// The operand as a whole is beyond the segment's limit; what is selected of it may be within.
guest::Checked<LinearAddress> BtVcpu::masked_linear_address(const FaultPoint& point,
                                                            guest::Seg segment,
                                                            std::uint64_t offset, unsigned bytes,
                                                            bool write) {
  const MaskedBytes mask = masked_bytes(point, bytes);
  const Status within = for_each_run(mask.checked, [&](unsigned first, unsigned run) -> Status {
    RS_ASSIGN(unused, translator::linear_address(core_, segment, offset + first, run, write));
    static_cast<void>(unused);
    return {};
  });
  translator::load_simd(frame(), simd_mask_);
  if (!within) return tl::unexpected(within.error());
  return LinearAddress{(state().segment(segment).base + offset) & 0xffffffff};
}

}  // namespace ringshift::runtime
