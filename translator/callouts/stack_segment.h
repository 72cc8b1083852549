// translator/callouts/stack_segment.h - stacks that a transfer reads or builds before it commits.
// A Stack is a cursor: it moves its own copy of rSP, so a fault half-way leaves CpuState untouched.
#pragma once

#include <cstdint>

#include "translator/callouts/descriptor.h"
#include "translator/core.h"

namespace ringshift::translator {

// Every byte of [offset, offset + bytes) is inside the segment. SDM Vol. 3 "Limit Checking".
bool within_limit(const guest::SegmentRegister& segment, std::uint64_t offset, std::size_t bytes);

// EFLAGS.AC counts now: SDM Vol. 3 "Interrupt 17 - Alignment Check Exception (#AC)".
bool alignment_checked(const guest::CpuState& state, unsigned cpl);

// `value` as a stack pointer register of this width would hold it after `previous`.
std::uint64_t merge_stack_pointer(std::uint64_t previous, std::uint64_t value, unsigned width);

class Stack {
 public:
  // SS:rSP as they are now; violations are #SS(0).
  static Stack current(Core& core);
  // Another stack: `width` is 2, 4 or 8 bytes of rSP, `cpl` the privilege of its accesses.
  Stack(Core& core, const guest::SegmentRegister& ss, std::uint64_t pointer, unsigned width,
        unsigned cpl, const guest::GuestFault& violation);

  guest::Status push(unsigned bytes, std::uint64_t value) { return push(bytes, value, bytes); }
  // A slot of `bytes` of which only the low `written` are stored.
  guest::Status push(unsigned bytes, std::uint64_t value, unsigned written);
  guest::Checked<std::uint64_t> pop(unsigned bytes);
  void release(std::uint64_t bytes) { pointer_ = moved(bytes); }

  std::uint64_t pointer() const { return pointer_; }
  unsigned width() const { return width_; }

 private:
  std::uint64_t moved(std::uint64_t delta) const;
  std::uint64_t offset(std::uint64_t pointer) const;
  guest::Checked<guest::LinearAddress> locate(std::uint64_t pointer, unsigned bytes) const;

  Core& core_;
  guest::SegmentRegister ss_;
  std::uint64_t pointer_;
  unsigned width_, cpl_;
  guest::GuestFault violation_;
};

// The stack that a transfer to an inner ring switches to. SDM Vol. 3 "Stack Switching".
struct InnerStack {
  guest::SegmentRegister ss;
  std::uint64_t pointer = 0;
  unsigned width = 4;
};
// Reads SS:rSP for `cpl` (or the IST entry, in long mode) from the current TSS and checks them.
guest::Checked<InnerStack> inner_stack(Core& core, unsigned cpl, unsigned ist, std::uint32_t ext);

// SS of a null selector, which 64-bit mode allows below CPL 3.
guest::SegmentRegister null_stack_segment(Selector selector, unsigned cpl);

}  // namespace ringshift::translator
