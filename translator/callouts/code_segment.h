// translator/callouts/code_segment.h - what a far transfer may load into CS, and loading it.
// The check_* functions change nothing but accessed bits; enter_code() commits.
#pragma once

#include "translator/callouts/descriptor.h"
#include "translator/core.h"

namespace ringshift::translator {

struct CodeTarget {
  guest::SegmentRegister cs;
  std::uint64_t rip = 0;
  unsigned cpl = 0;
};

// RIP after the instruction.
std::uint64_t next_rip(const Core& core, const Operation& op);
constexpr std::uint64_t truncate(std::uint64_t value, unsigned bytes) {
  return bytes == 8 ? value : value & ((std::uint64_t{1} << 8 * bytes) - 1);
}

// #GP for a code descriptor with both L and D in long mode.
guest::Status check_code_size(const Core& core, const Descriptor& descriptor, Selector selector);
// Within the limit, or canonical in 64-bit code; else #GP(ext).
guest::Status check_instruction_pointer(const Core& core, const guest::SegmentRegister& cs,
                                        std::uint64_t rip, std::uint32_t ext);
// The last checks and the register for CS: #NP, accessed bit, RPL = cpl.
guest::Checked<guest::SegmentRegister> present_code_segment(Core& core, Selector selector,
                                                            Descriptor descriptor, unsigned cpl,
                                                            std::uint32_t ext);

// Far RET and IRET: CS of the frame, to the same or an outer ring; CPL becomes its RPL. RIP is not
// checked yet.
guest::Checked<CodeTarget> check_return_code(Core& core, Selector selector, std::uint64_t rip);
// SS of the frame; null is allowed for 64-bit code below CPL 3.
guest::Checked<guest::SegmentRegister> check_return_stack(Core& core, Selector selector,
                                                          const CodeTarget& target);

// Width of rSP once `cs` and `ss` are loaded.
unsigned stack_width(const Core& core, const guest::SegmentRegister& cs,
                     const guest::SegmentRegister& ss);

// Loads CS, RIP and CPL.
void enter_code(Core& core, const CodeTarget& target);
// Real and v86 mode: the target that a selector and offset give, with the limit check: #GP(0).
guest::Checked<CodeTarget> check_real_mode_code(const Core& core, std::uint16_t selector,
                                                std::uint64_t rip);

}  // namespace ringshift::translator
