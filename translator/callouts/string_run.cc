// translator/callouts/string_run.cc - page runs, wrap-around and progress of string instructions.
#include "translator/callouts/string_run.h"

#include "translator/callouts/guest_block.h"

namespace ringshift::translator {

using guest::Gpr;

StringRun::StringRun(Core& core, const Operation& op)
    : core_(core),
      address_mask_(op.address_bytes == 8 ? ~std::uint64_t{0}
                                          : (std::uint64_t{1} << (8 * op.address_bytes)) - 1),
      element_(op.operand_bytes),
      repeated_(op.prefixes & (prefix::kRep | prefix::kRepne)),
      backward_(core.state.rflags & guest::flags::kDf),
      left_(repeated_ ? core.state.reg(Gpr::kRcx) & address_mask_ : 1),
      // SDM Vol. 3 "Single-Step Exception Condition": a trap after each iteration.
      budget_(core.state.rflags & guest::flags::kTf ? 1 : kSlice),
      pending_before_(core.state.pending_debug) {}

// SDM Vol. 3 "Instruction-Breakpoint Exception Condition": RF is set between iterations, so that a
// breakpoint on the instruction is met once.
Next StringRun::outcome() const {
  if (left_ == 0) return Next::kContinue;
  core_.state.rflags |= guest::flags::kRf;
  return Next::kJump;
}

guest::Checked<std::uint8_t*> StringRun::resolve(guest::Seg segment, Gpr pointer,
                                                 std::uint64_t& elements, bool write) {
  const std::uint64_t first = offset(pointer);
  RS_ASSIGN(linear, linear_address(core_, segment, first, element_, write));

  std::uint64_t n = budget_ == 1 ? 1 : elements;
  n = std::min({n, elements_before_wrap(first), elements_in_page(linear.value)});
  elements = std::max<std::uint64_t>(n, 1);
  if (n == 0) return nullptr;
  if (checks_alignment() && linear.value % element_ != 0) return nullptr;

  // In 64-bit code a page is canonical or not as a whole; elsewhere the run may cross the limit.
  if (n > 1 && !core_.state.in_64bit_code()) {
    const std::uint64_t bytes = n * element_;
    const std::uint64_t lowest = backward_ ? first - (bytes - element_) : first;
    if (!linear_address(core_, segment, lowest, bytes, write)) {
      elements = 1;
      return nullptr;
    }
  }
  // Asked for the first element, so that a fault names its address; the rest is in the same page.
  return host_run(core_, linear, element_, write);
}

void StringRun::advance(Gpr pointer, std::uint64_t elements) {
  const std::uint64_t bytes = elements * element_;
  write_pointer(pointer, core_.state.reg(pointer) + (backward_ ? 0 - bytes : bytes));
}

void StringRun::take(std::uint64_t elements, std::uint64_t cost) {
  left_ -= elements;
  budget_ -= static_cast<std::int64_t>(cost);
  if (repeated_) write_pointer(Gpr::kRcx, core_.state.reg(Gpr::kRcx) - elements);
}

// A 16-bit pointer keeps the upper bits; a 32-bit one zero-extends.
void StringRun::write_pointer(Gpr reg, std::uint64_t value) {
  std::uint64_t& target = core_.state.reg(reg);
  target = address_mask_ == 0xffff ? (target & ~std::uint64_t{0xffff}) | (value & 0xffff)
                                   : value & address_mask_;
}

std::uint64_t StringRun::elements_before_wrap(std::uint64_t offset) const {
  return backward_ ? offset / element_ + 1 : (address_mask_ - offset) / element_;
}

std::uint64_t StringRun::elements_in_page(std::uint64_t linear) const {
  const std::uint64_t in_page = guest::page_offset(linear);
  const std::uint64_t to_end = (guest::kPageBytes - in_page) / element_;
  if (!backward_ || to_end == 0) return to_end;
  return in_page / element_ + 1;
}

bool StringRun::checks_alignment() const {
  const guest::CpuState& state = core_.state;
  return state.cpl == 3 && (state.cr0 & guest::cr0::kAm) && (state.rflags & guest::flags::kAc);
}

}  // namespace ringshift::translator
