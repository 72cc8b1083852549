// translator/callouts/segment_load.h - loading DS, ES, FS, GS and SS: MOV, PUSH, POP, LDS to LSS.
// The check_* functions decide what a selector would load, set its accessed bit, and change nothing
// else, so that transfers can check everything before they commit.
#pragma once

#include "translator/callouts/descriptor.h"
#include "translator/core.h"

namespace ringshift::translator {

// A data segment register of a non-null selector for protected mode. Violations raise `violation`
// (#GP, or #TS in a task switch) with the selector; a segment that is not present #NP.
guest::Checked<guest::SegmentRegister> check_data_segment(Core& core, Selector selector,
                                                          unsigned cpl, guest::Vector violation,
                                                          std::uint32_t ext);
// The same for SS; null is a violation, a segment that is not present #SS.
guest::Checked<guest::SegmentRegister> check_stack_segment(Core& core, Selector selector,
                                                           unsigned cpl, guest::Vector violation,
                                                           std::uint32_t ext);

// What a data segment register holds after a null selector, keeping what the manual leaves alone.
guest::SegmentRegister null_data_segment(const guest::SegmentRegister& previous, Selector selector);
// Real mode: base from the selector, limit and default size as they were.
guest::SegmentRegister real_mode_segment(const guest::SegmentRegister& previous,
                                         std::uint16_t selector);
// Virtual-8086 mode: 64 KiB, DPL 3.
guest::SegmentRegister v86_segment(std::uint16_t selector);

// Loads any segment register but CS, as the current mode does it.
guest::Status load_segment(Core& core, guest::Seg segment, std::uint16_t selector);

// After a return to an outer ring: forgets data segments that CPL may not use.
void drop_inner_segments(guest::CpuState& state);

Result mov_to_segment(Core& core, const Operation& op);
Result mov_from_segment(Core& core, const Operation& op);
Result push_segment(Core& core, const Operation& op);
Result pop_segment(Core& core, const Operation& op);
Result lds(Core& core, const Operation& op);
Result les(Core& core, const Operation& op);
Result lfs(Core& core, const Operation& op);
Result lgs(Core& core, const Operation& op);
Result lss(Core& core, const Operation& op);

}  // namespace ringshift::translator
