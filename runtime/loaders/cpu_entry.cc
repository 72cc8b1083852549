// runtime/loaders/cpu_entry.cc - the processor states in which boot protocols hand over to a
// kernel.
#include "runtime/loaders/cpu_entry.h"

namespace ringshift::runtime {
namespace {

using guest::Seg;

// Descriptor attributes as guest::SegmentRegister keeps them.
constexpr std::uint16_t kCode32 = 0xc09b, kCode64 = 0xa09b, kData = 0xc093, kBusyTss = 0x008b;

void load_flat_segments(guest::CpuState& state, const FlatEntry& entry, std::uint16_t code) {
  state.segment(Seg::kCs) = {entry.code_selector, code, 0xffffffff, 0};
  for (Seg s : {Seg::kDs, Seg::kEs, Seg::kFs, Seg::kGs, Seg::kSs})
    state.segment(s) = {entry.data_selector, kData, 0xffffffff, 0};
  // PVH asks for a TSS of base 0 and limit 67h; the other protocols do not care.
  state.tr = {0, kBusyTss, 0x67, 0};
  state.gdtr = entry.gdt;
  state.idtr = {0, 0};
  state.rip = entry.rip;
  state.rflags = guest::flags::kFixed1;
  state.cpl = 0;
}

}  // namespace

void enter_protected32(guest::CpuState& state, const FlatEntry& entry) {
  load_flat_segments(state, entry, kCode32);
  state.cr0 = guest::cr0::kPe | guest::cr0::kEt;
}

void enter_long64(guest::CpuState& state, const FlatEntry& entry, std::uint64_t cr3) {
  load_flat_segments(state, entry, kCode64);
  state.cr0 = guest::cr0::kPe | guest::cr0::kEt | guest::cr0::kPg;
  state.cr4 = guest::cr4::kPae;
  state.cr3 = cr3;
  state.msr.efer = guest::efer::kLme | guest::efer::kLma;
}

void enter_real16(guest::CpuState& state, std::uint32_t address) {
  const std::uint32_t base = address & 0xf0000;
  auto& cs = state.segment(Seg::kCs);
  cs.selector = static_cast<std::uint16_t>(base >> 4);
  cs.base = base;
  cs.limit = 0xffff;
  state.rip = address & 0xffff;
}

}  // namespace ringshift::runtime
