// runtime/bt/debug_points.cc - stops for a debugger outside the guest. Code of a page with a
// breakpoint runs an instruction at a time, and all code while data is watched: everything passes
// the dispatcher.
#include "runtime/bt/bt_vcpu.h"
#include "translator/callouts/debug_registers.h"

namespace ringshift::runtime {

bool BtVcpu::set_debug_points(const DebugPoints& points) {
  if (points.data.size() > softmmu::Watchpoints{}.size()) return false;
  debug_points_ = points;
  debug_pages_.clear();
  for (const std::uint64_t address : points.code) debug_pages_.insert(guest::page_number(address));
  mmu_.watch(all_watchpoints());
  start_afresh();  // blocks that are linked to each other would pass a new one
  return true;
}

// One instruction, or the delivery of an event and the first of its handler.
bool BtVcpu::step_once() {
  single_budget_ = 1;
  step_ = Step::kDue;
  run();
  step_ = Step::kNone;
  single_budget_ = 0;
  debug_stop_ = false;
  return true;
}

// The guest's own, and the debugger's where the guest uses none.
softmmu::Watchpoints BtVcpu::all_watchpoints() {
  softmmu::Watchpoints points = translator::data_breakpoints(state());
  debug_slots_ = 0;
  std::size_t slot = 0;
  for (const softmmu::Watchpoint& wanted : debug_points_.data) {
    while (slot < points.size() && points[slot].bytes != 0) ++slot;
    if (slot == points.size()) break;
    points[slot] = wanted;
    debug_slots_ |= 1u << slot;
  }
  return points;
}

bool BtVcpu::stop_at_debug_point(guest::LinearAddress linear) {
  if (step_ != Step::kNone || !debug_points_.code.contains(linear.value)) return false;
  debug_stop_ = true;
  return true;
}

}  // namespace ringshift::runtime
