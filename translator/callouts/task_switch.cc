// translator/callouts/task_switch.cc - saves one task, commits to another, then qualifies its
// segments.
//
//   checks and probes (faults belong to the old task)
//   -> busy bits, old TSS saved, link     <- from here on nothing can fail until the commit
//   -> TR, registers, selectors, CR3, CR0.TS: the commit
//   -> LDT, CS, SS, data segments         (faults belong to the new task)
#include "translator/callouts/task_switch.h"

#include "translator/callouts/code_segment.h"
#include "translator/callouts/segment_load.h"
#include "translator/callouts/task_state.h"

namespace ringshift::translator {

using guest::Checked;
using guest::CpuState;
using guest::GuestFault;
using guest::Seg;
using guest::SegmentRegister;
using guest::Status;
using guest::Vector;

namespace {

constexpr std::uint64_t kDr6TaskSwitch = 1u << 15;  // BT
// L0 to L3 and LE. SDM Vol. 3 "Debug Control Register (DR7)".
constexpr std::uint64_t kDr7Local = 0x155;
constexpr std::uint64_t kEflagsBits = 0x3f7fd5;

const TaskStateLayout& layout_of(unsigned tss_type) {
  return tss_type & 8 ? kTaskState32 : kTaskState16;
}

GuestFault invalid_tss(Selector selector, std::uint32_t ext) {
  return guest::fault(Vector::kInvalidTss, selector.error_code(ext));
}

bool nests(SwitchKind kind) { return kind == SwitchKind::kCall || kind == SwitchKind::kInterrupt; }

Status probe_write(Core& core, std::uint64_t address, std::size_t bytes) {
  return core.mmu.probe({address & 0xffffffff}, bytes,
                        softmmu::Mmu::system_access(softmmu::AccessKind::kWrite));
}

Status probe_busy_bit(Core& core, Selector tss) {
  RS_ASSIGN(address, descriptor_address(core, tss, 8, invalid_tss(tss, 0)));
  return probe_write(core, address.value + 5, 1);
}

// SDM Vol. 3 "Task Switching", steps 4 to 6.
Status check_switch(Core& core, const TaskSwitch& request) {
  const Selector old_tss{core.state.tr.selector};
  const std::uint64_t new_base = request.descriptor.base();
  const TaskStateLayout& old_layout = layout_of(core.state.tr.type());
  const TaskStateLayout& new_layout = layout_of(request.descriptor.type());
  if (request.descriptor.limit() < new_layout.minimum_limit)
    return tl::unexpected(invalid_tss(request.tss, request.ext));
  if (core.state.tr.limit < old_layout.save_end - 1)
    return tl::unexpected(invalid_tss(old_tss, request.ext));
  RS_CHECK(probe_task_state(core, old_layout, core.state.tr.base));
  RS_CHECK(load_task_state(core, new_layout, new_base));
  if (nests(request.kind)) {
    RS_CHECK(probe_write(core, new_base, 2));
  } else if (!old_tss.null()) {
    RS_CHECK(probe_busy_bit(core, old_tss));
  }
  return request.kind == SwitchKind::kReturn ? Status{} : probe_busy_bit(core, request.tss);
}

// Steps 7 to 11.
Status save_old_task(Core& core, const TaskSwitch& request) {
  const Selector old_tss{core.state.tr.selector};
  if (!nests(request.kind) && !old_tss.null()) RS_CHECK(set_busy(core, old_tss, false));
  std::uint64_t saved_flags = request.saved_flags;
  if (request.kind == SwitchKind::kReturn) saved_flags &= ~guest::flags::kNt;
  RS_CHECK(store_task_state(core, layout_of(core.state.tr.type()), core.state.tr.base,
                            request.return_rip, saved_flags));
  if (nests(request.kind)) RS_CHECK(store_system(core, request.descriptor.base(), old_tss.value));
  return request.kind == SwitchKind::kReturn ? Status{} : set_busy(core, request.tss, true);
}

// The same as MOV to CR3: the PDPTEs and every translation that is not global.
Status load_page_directory(Core& core, std::uint64_t cr3) {
  CpuState& s = core.state;
  if (!s.paging()) return {};
  if (s.cr4 & guest::cr4::kPae) {
    RS_ASSIGN(pdpte, softmmu::load_pdptes(core.memory, core.model, cr3 & core.state.address_mask));
    s.pdpte = pdpte;
  }
  s.cr3 = cr3;
  core.mmu.flush_all(true);
  return {};
}

// Selectors are visible at once; their segments can be used only when they have been qualified.
void load_selectors(CpuState& s, const TaskState& task) {
  for (std::size_t i = 0; i < guest::kSegCount; ++i) {
    const std::uint16_t selector = task.selectors[i];
    if (s.v86()) {
      s.seg[i] = v86_segment(selector);
    } else {
      s.seg[i] = {selector, static_cast<std::uint16_t>(s.cpl << 5), 0, 0};
    }
  }
  s.ldtr = {task.ldt, 0, 0, 0};
}

// Steps 12 and 13: there is no way back after this.
void commit(Core& core, const TaskSwitch& request, const TaskState& task) {
  CpuState& s = core.state;
  s.tr = request.descriptor.to_register(request.tss);
  s.tr.attributes |= 2;  // busy
  s.cr0 |= guest::cr0::kTs;
  s.dr[7] &= ~kDr7Local;
  for (std::size_t i = 0; i < task.registers.size(); ++i) s.gpr[i] = task.registers[i];
  s.rip = task.rip;
  s.rflags = (task.rflags & kEflagsBits) | guest::flags::kFixed1;
  if (nests(request.kind)) s.rflags |= guest::flags::kNt;
  const unsigned rpl = Selector{task.selectors[static_cast<std::size_t>(Seg::kCs)]}.rpl();
  s.cpl = static_cast<std::uint8_t>(s.v86() ? 3 : rpl);
  load_selectors(s, task);
}

Status qualify_ldt(Core& core, Selector selector, std::uint32_t ext) {
  if (selector.null()) return {};
  const GuestFault bad = invalid_tss(selector, ext);
  if (selector.in_ldt()) return tl::unexpected(bad);
  RS_ASSIGN(descriptor, read_descriptor(core, selector, bad));
  if (!descriptor.is_system() || descriptor.system_type() != SystemType::kLdt ||
      !descriptor.present())
    return tl::unexpected(bad);
  core.state.ldtr = descriptor.to_register(selector);
  return {};
}

Status qualify_code(Core& core, Selector selector, std::uint32_t ext) {
  const GuestFault bad = invalid_tss(selector, ext);
  if (selector.null()) return tl::unexpected(bad);
  RS_ASSIGN(descriptor, read_descriptor(core, selector, bad));
  if (!descriptor.is_code()) return tl::unexpected(bad);
  const unsigned rpl = selector.rpl();
  if (descriptor.conforming() ? descriptor.dpl() > rpl : descriptor.dpl() != rpl)
    return tl::unexpected(bad);
  RS_ASSIGN(cs, present_code_segment(core, selector, descriptor, rpl, ext));
  core.state.segment(Seg::kCs) = cs;
  return {};
}

// SDM Vol. 3 "Exception Conditions Checked During a Task Switch".
Status qualify_segments(Core& core, std::uint32_t ext) {
  CpuState& s = core.state;
  RS_CHECK(qualify_ldt(core, {s.ldtr.selector}, ext));
  if (s.v86()) return {};
  RS_CHECK(qualify_code(core, {s.segment(Seg::kCs).selector}, ext));
  mode_changed(core);
  RS_ASSIGN(ss, check_stack_segment(core, {s.segment(Seg::kSs).selector}, s.cpl,
                                    Vector::kInvalidTss, ext));
  s.segment(Seg::kSs) = ss;
  for (Seg segment : {Seg::kEs, Seg::kDs, Seg::kFs, Seg::kGs}) {
    const Selector selector{s.segment(segment).selector};
    if (selector.null()) {
      s.segment(segment) = {selector.value, 0, 0, 0};
      continue;
    }
    RS_ASSIGN(loaded, check_data_segment(core, selector, s.cpl, Vector::kInvalidTss, ext));
    s.segment(segment) = loaded;
  }
  return {};
}

}  // namespace

GuestFault task_switch_trap() { return {Vector::kDebug, false, 0, kDr6TaskSwitch}; }

Checked<Descriptor> read_available_tss(Core& core, Selector selector, std::uint32_t ext) {
  const GuestFault bad = guest::general_protection(selector.error_code(ext));
  if (selector.in_ldt() || selector.null()) return tl::unexpected(bad);
  RS_ASSIGN(descriptor, read_descriptor(core, selector, bad));
  const bool available =
      descriptor.is_system() && (descriptor.system_type() == SystemType::kTss16Available ||
                                 descriptor.system_type() == SystemType::kTss32Available);
  if (!available) return tl::unexpected(bad);
  if (!descriptor.present())
    return tl::unexpected(guest::fault(Vector::kSegmentNotPresent, selector.error_code(ext)));
  return descriptor;
}

Checked<bool> switch_task(Core& core, const TaskSwitch& request) {
  RS_CHECK(check_switch(core, request));
  RS_CHECK(save_old_task(core, request));
  // Read after the save: a task may return to itself.
  const TaskStateLayout& layout = layout_of(request.descriptor.type());
  RS_ASSIGN(task, load_task_state(core, layout, request.descriptor.base()));
  commit(core, request, task);
  const Status paging = layout.bytes == 4 ? load_page_directory(core, task.cr3) : Status{};
  mode_changed(core);
  RS_CHECK(paging);
  RS_CHECK(qualify_segments(core, request.ext));
  RS_CHECK(check_instruction_pointer(core, core.state.segment(Seg::kCs), task.rip, request.ext));
  return task.trap;
}

// SDM Vol. 2 "IRET", TASK-RETURN.
Result task_return(Core& core, const Operation& op) {
  RS_ASSIGN(link, load_system<std::uint16_t>(core, core.state.tr.base));
  const Selector selector{link};
  const GuestFault bad = invalid_tss(selector, 0);
  if (selector.in_ldt() || selector.null()) return tl::unexpected(bad);
  RS_ASSIGN(descriptor, read_descriptor(core, selector, bad));
  const bool busy = descriptor.is_system() && (descriptor.system_type() == SystemType::kTss16Busy ||
                                               descriptor.system_type() == SystemType::kTss32Busy);
  if (!busy) return tl::unexpected(bad);
  if (!descriptor.present())
    return tl::unexpected(guest::fault(Vector::kSegmentNotPresent, selector.error_code()));
  RS_ASSIGN(trap, switch_task(core, {selector, descriptor, SwitchKind::kReturn, 0,
                                     next_rip(core, op), core.state.rflags}));
  if (trap) return tl::unexpected(task_switch_trap());
  return Next::kJump;
}

}  // namespace ringshift::translator
