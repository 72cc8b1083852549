// translator/callouts/task_state.h - the 16-bit and 32-bit task-state segments in memory.
#pragma once

#include <array>
#include <cstdint>

#include "translator/callouts/descriptor.h"
#include "translator/core.h"

namespace ringshift::translator {

// Where each field lies. SDM Vol. 3 "Task-State Segment (TSS)", "16-Bit Task-State Segment (TSS)".
struct TaskStateLayout {
  unsigned bytes;  // of a general register, EIP and EFLAGS
  std::uint32_t eip, eflags, registers, segments, segment_count, segment_stride, ldt;
  std::uint32_t save_end;       // one past the fields that a switch saves
  std::uint32_t minimum_limit;  // of the new task's TSS
};
inline constexpr TaskStateLayout kTaskState32{4, 0x20, 0x24, 0x28, 0x48, 6, 4, 0x60, 0x60, 0x67};
inline constexpr TaskStateLayout kTaskState16{2, 0x0e, 0x10, 0x12, 0x22, 4, 2, 0x2a, 0x2a, 0x2b};
inline constexpr std::uint32_t kTaskCr3 = 0x1c, kTaskTrapFlag = 0x64;

// What a task switch loads.
struct TaskState {
  std::uint64_t cr3 = 0;  // 32-bit TSS only
  std::uint64_t rip = 0, rflags = 0;
  std::array<std::uint64_t, 8> registers{};
  std::array<std::uint16_t, guest::kSegCount> selectors{};
  std::uint16_t ldt = 0;
  bool trap = false;
};

guest::Checked<TaskState> load_task_state(Core& core, const TaskStateLayout& layout,
                                          std::uint64_t base);
// Checks that everything store_task_state() writes can be written.
guest::Status probe_task_state(Core& core, const TaskStateLayout& layout, std::uint64_t base);
guest::Status store_task_state(Core& core, const TaskStateLayout& layout, std::uint64_t base,
                               std::uint64_t rip, std::uint64_t rflags);

}  // namespace ringshift::translator
