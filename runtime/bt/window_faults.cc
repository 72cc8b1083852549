// runtime/bt/window_faults.cc - accesses of hot code through windows that the host refused: a page
// that may be mapped is, and the access runs again; everything else (MMIO, code, page tables to be,
// faults) is looked up as in other code, and an instruction that often needs that is translated so.
#include <ucontext.h>
#include <x86intrin.h>

#include "runtime/bt/bt_vcpu.h"

namespace ringshift::runtime {
using codecache::FaultPoint;
using guest::LinearAddress;

namespace {

// A host fault costs some microseconds, a look-up some nanoseconds: faults that come often make an
// instruction look up. Those of a program that walks through fresh memory come once a page.
constexpr std::uint8_t kFaultsToLookUp = 4;
constexpr std::uint64_t kOftenCycles = 100'000;
// Interrupts that a view has to live through before filling windows for it pays: its process was
// not over within a tick of the guest's timer.
constexpr std::uint8_t kTicksToWindows = 2;

int host_register_index(std::uint8_t number) {
  constexpr std::array<int, 16> kIndex = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                          REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                          REG_R12, REG_R13, REG_R14, REG_R15};
  return kIndex[number];
}

// The first byte of an access; `base`: of one that has it in R10.
LinearAddress window_address(const FaultPoint& point, const gregset_t& g, std::uint64_t base) {
  const auto value = [&](std::uint8_t reg) {
    return static_cast<std::uint64_t>(g[host_register_index(reg)]);
  };
  if (!point.with_base) base = value(point.window_base);
  if (point.window_index != FaultPoint::kNoWindow)
    base += value(point.window_index) << point.window_index_shift;
  return LinearAddress{
      base + static_cast<std::uint64_t>(static_cast<std::int64_t>(point.window_displacement))};
}

}  // namespace

// In the signal's handler, which has interrupted translated code and so no C++. Page tables are
// only read there: a page that was never accessed, or never written, is left to a look-up.
bool BtVcpu::cover(LinearAddress a, bool write) {
  softmmu::View& view = mmu_.current();
  return windows_->covered(view, a, write) || windows_->cover(view, a, write);
}

// True: the access may run again.
bool BtVcpu::mend_window(const FaultPoint& point, void* context) {
  handling_signal_ = true;
  const Doing doing(activity_, Activity::kWindow);
  const bool mended = try_to_mend(point, context);
  handling_signal_ = false;
  return mended;
}

bool BtVcpu::try_to_mend(const FaultPoint& point, void* context) {
  auto& g = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  softmmu::View& view = mmu_.current();
  // Pages of the user that the kernel reaches with AC set: touched once or twice each.
  if (view.privilege() == softmmu::Privilege::kSupervisorAc) return false;
  const bool write = point.window_write;
  if (point.window_base == FaultPoint::kFlatWindow) {
    const auto a = windows_->linear_of(view, reinterpret_cast<const void*>(g[REG_CR2]));
    if (!a || windows_->covered(view, *a, write) || !cover(*a, write)) return false;
    ++mended_faults_;
    return true;
  }
  const std::uint64_t kept = point.with_base ? frame().loop_bases[point.loop_delta] : 0;
  const LinearAddress first = window_address(point, g, kept);
  const LinearAddress last = first + (point.window_bytes - 1);
  if (!guest::is_canonical(first.value) || !guest::is_canonical(last.value)) return false;
  // Over the border of a piece: nothing that can be mapped makes that right.
  const std::size_t piece = softmmu::window_index(first.value);
  if (softmmu::window_index(last.value) != piece) return false;
  const auto delta = [&] { return static_cast<greg_t>(view.window_delta()[piece] + kept); };
  if (g[REG_R10] == delta() && windows_->covered(view, first, write) &&
      windows_->covered(view, last, write))
    return false;
  const std::uint64_t evictions = windows_->counters().evictions;
  if (!cover(first, write) || !cover(last, write)) return false;
  if (windows_->counters().evictions != evictions) frame().loop_deltas.fill(translator::kNoDelta);
  g[REG_R10] = delta();
  if (point.loop_delta != FaultPoint::kNoWindow)
    frame().loop_deltas[point.loop_delta] = static_cast<std::uint64_t>(g[REG_R10]);
  // This is slot::stack_delta, whose window may have been another.
  frame().state.reg(guest::Gpr::kRsp) =
      view.window_delta()[softmmu::window_index(static_cast<std::uint64_t>(g[REG_R15]))];
  ++mended_faults_;
  return true;
}

// In the signal's handler.
void BtVcpu::note_window_fault(FaultPoint& point) {
  const std::uint64_t now = __rdtsc();
  if (now - point.window_fault_time > kOftenCycles) point.window_faults = 0;
  point.window_fault_time = now;
  ++point.window_faults;
}

void BtVcpu::look_up_instead() {
  const Doing doing(activity_, Activity::kWindow);
  ++window_faults_;
  single_budget_ = 1;
  codecache::Block* block = cache_.find_host(window_fault_);
  const FaultPoint* point = block ? block->fault_point(window_fault_) : nullptr;
  if (!point) return;
  if (point->interrupt_shadow) state().interrupt_shadow = true;
  if (point->window_faults < kFaultsToLookUp || !block->valid) return;
  codecache::BlockKey key = block->key;
  key.physical += point->guest_offset;
  cache_.mark(key, codecache::Mark::kChecked);
  cache_.invalidate(*block, codecache::Removal::kLookUp);
}

// An interrupt comes while the current view is in use.
void BtVcpu::note_tick() {
  softmmu::View& view = mmu_.current();
  if (options_.memory != BtOptions::Memory::kAuto || view.windowed || !view.has_windows()) return;
  if (++view.ticks_seen < kTicksToWindows) return;
  view.windowed = true;
  view.flush_jumps();
}

translator::ModeKey BtVcpu::mode_now(bool single) {
  const auto mode = translator::ModeKey::of(state(), single);
  if (!windows_ || state().address_mask != guest::kA20Open) return mode;
  const softmmu::View& view = mmu_.current();
  const bool windows =
      options_.memory == BtOptions::Memory::kWindows ? view.has_windows() : view.windowed;
  return windows && tier_may_be_hot(mode) ? mode.with_windows() : mode;
}

}  // namespace ringshift::runtime
