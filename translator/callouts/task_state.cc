// translator/callouts/task_state.cc - reads and writes task-state segments.
#include "translator/callouts/task_state.h"

namespace ringshift::translator {

using guest::Checked;
using guest::Status;

namespace {

Checked<std::uint64_t> load_field(Core& core, std::uint64_t address, unsigned bytes) {
  if (bytes == 4) {
    RS_ASSIGN(wide, load_system<std::uint32_t>(core, address));
    return wide;
  }
  RS_ASSIGN(narrow, load_system<std::uint16_t>(core, address));
  return narrow;
}

Status store_field(Core& core, std::uint64_t address, unsigned bytes, std::uint64_t value) {
  if (bytes == 4) return store_system(core, address, static_cast<std::uint32_t>(value));
  return store_system(core, address, static_cast<std::uint16_t>(value));
}

}  // namespace

Checked<TaskState> load_task_state(Core& core, const TaskStateLayout& layout, std::uint64_t base) {
  TaskState task;
  const bool wide = layout.bytes == 4;
  if (wide) {
    RS_ASSIGN(cr3, load_system<std::uint32_t>(core, base + kTaskCr3));
    RS_ASSIGN(trap, load_system<std::uint16_t>(core, base + kTaskTrapFlag));
    task.cr3 = cr3;
    task.trap = trap & 1;
  }
  RS_ASSIGN(rip, load_field(core, base + layout.eip, layout.bytes));
  RS_ASSIGN(rflags, load_field(core, base + layout.eflags, layout.bytes));
  task.rip = rip;
  task.rflags = rflags;
  for (unsigned i = 0; i < task.registers.size(); ++i) {
    RS_ASSIGN(value, load_field(core, base + layout.registers + i * layout.bytes, layout.bytes));
    task.registers[i] = value;
  }
  for (unsigned i = 0; i < layout.segment_count; ++i) {
    RS_ASSIGN(value,
              load_system<std::uint16_t>(core, base + layout.segments + i * layout.segment_stride));
    task.selectors[i] = value;
  }
  RS_ASSIGN(ldt, load_system<std::uint16_t>(core, base + layout.ldt));
  task.ldt = ldt;
  return task;
}

Status probe_task_state(Core& core, const TaskStateLayout& layout, std::uint64_t base) {
  return core.mmu.probe({(base + layout.eip) & 0xffffffff}, layout.save_end - layout.eip,
                        softmmu::Mmu::system_access(softmmu::AccessKind::kWrite));
}

Status store_task_state(Core& core, const TaskStateLayout& layout, std::uint64_t base,
                        std::uint64_t rip, std::uint64_t rflags) {
  const guest::CpuState& s = core.state;
  RS_CHECK(store_field(core, base + layout.eip, layout.bytes, rip));
  RS_CHECK(store_field(core, base + layout.eflags, layout.bytes, rflags));
  for (unsigned i = 0; i < 8; ++i)
    RS_CHECK(store_field(core, base + layout.registers + i * layout.bytes, layout.bytes, s.gpr[i]));
  for (unsigned i = 0; i < layout.segment_count; ++i)
    RS_CHECK(
        store_system(core, base + layout.segments + i * layout.segment_stride, s.seg[i].selector));
  return {};
}

}  // namespace ringshift::translator
