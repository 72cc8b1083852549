// translator/callouts/fast_system_calls.cc - flat segments from MSRs instead of descriptor tables.
// SDM Vol. 2 and APM Vol. 3 "SYSCALL", "SYSRET", "SYSENTER", "SYSEXIT".
#include "translator/callouts/fast_system_calls.h"

#include "translator/callouts/code_segment.h"
#include "translator/callouts/debug_registers.h"

namespace ringshift::translator {

using guest::CpuState;
using guest::Gpr;
using guest::Seg;
using guest::SegmentRegister;

namespace {

using namespace guest::flags;

constexpr std::uint16_t kFlatCode64 = 0xa09b, kFlatCode32 = 0xc09b, kFlatData = 0xc093,
                        kDpl3 = 0x60;

SegmentRegister flat(unsigned selector, std::uint16_t attributes) {
  return {static_cast<std::uint16_t>(selector), attributes, 0xffffffff, 0};
}

// CS and SS of a flat privilege; SS's selector follows CS's.
void load_flat(Core& core, unsigned cs, unsigned ss, bool code64, unsigned cpl, std::uint64_t rip) {
  const std::uint16_t dpl = cpl == 3 ? kDpl3 : 0;
  core.state.segment(Seg::kSs) = flat(ss, kFlatData | dpl);
  enter_code(core, {flat(cs, (code64 ? kFlatCode64 : kFlatCode32) | dpl), rip, cpl});
}

// APM Vol. 3 "SYSCALL", "SYSRET": whether a single-step trap follows is up to TF as they leave it.
void step_by_new_flags(CpuState& s) {
  s.pending_debug &= ~std::uint32_t{dr6::kBs};
  if (s.rflags & kTf) s.pending_debug |= dr6::kBs;
}

bool syscall_enabled(const Core& core) {
  return core.model.has(guest::feature::kSyscall) && (core.state.msr.efer & guest::efer::kSce);
}

// Intel's exist in 64-bit code only; AMD's in every protected mode.
bool syscall_mode(const Core& core) {
  return core.model.vendor_is_intel() ? core.state.in_64bit_code() : core.state.protected_mode();
}

bool sysenter_mode(const Core& core) {
  return core.model.has(guest::feature::kSep) &&
         (core.model.vendor_is_intel() || !core.state.long_mode_active());
}

// APM Vol. 3 "SYSCALL", legacy mode.
Result legacy_syscall(Core& core, std::uint64_t return_rip) {
  CpuState& s = core.state;
  s.reg(Gpr::kRcx) = return_rip;
  s.rflags &= ~(kIf | kVm | kRf);
  const unsigned cs = s.msr.star >> 32 & 0xfffc;
  load_flat(core, cs, cs + 8, false, 0, s.msr.star & 0xffffffff);
  return Next::kJump;
}

}  // namespace

Result syscall_entry(Core& core, const Operation& op) {
  CpuState& s = core.state;
  if (!syscall_enabled(core) || !syscall_mode(core)) return tl::unexpected(guest::invalid_opcode());
  const std::uint64_t return_rip = next_rip(core, op);
  if (!s.long_mode_active()) return legacy_syscall(core, return_rip);
  const std::uint64_t entry = s.in_64bit_code() ? s.msr.lstar : s.msr.cstar;
  s.reg(Gpr::kRcx) = return_rip;
  s.reg(Gpr::kR11) = s.rflags & ~kRf;
  s.rflags = (s.rflags & ~(s.msr.sfmask | kRf)) | kFixed1;
  step_by_new_flags(s);
  const unsigned cs = s.msr.star >> 32 & 0xfffc;
  load_flat(core, cs, cs + 8, true, 0, entry);
  return Next::kJump;
}

Result syscall_return(Core& core, const Operation& op) {
  constexpr std::uint64_t kFromR11 = 0x3c7fd7;  // all but RF and VM
  CpuState& s = core.state;
  if (!syscall_enabled(core) || !syscall_mode(core)) return tl::unexpected(guest::invalid_opcode());
  if (s.v86() || s.cpl != 0) return tl::unexpected(guest::general_protection());
  const bool to_64bit = s.in_64bit_code() && (op.prefixes & prefix::kRexW);
  const std::uint64_t rip = truncate(s.reg(Gpr::kRcx), to_64bit ? 8 : 4);
  // AMD loads the address and faults at CPL 3, when it is fetched from.
  if (core.model.vendor_is_intel() && !guest::is_canonical(rip))
    return tl::unexpected(guest::general_protection());
  if (s.long_mode_active()) {
    s.rflags = (s.reg(Gpr::kR11) & kFromR11) | kFixed1;
    step_by_new_flags(s);
  } else {
    s.rflags |= kIf;
  }
  // DEVIATION: AMD leaves the hidden part of SS as it was; here it is always flat, as Intel has it.
  const unsigned base = s.msr.star >> 48 & 0xffff;
  load_flat(core, (to_64bit ? base + 16 : base) | 3, (base + 8) | 3, to_64bit, 3, rip);
  return Next::kJump;
}

Result sysenter(Core& core, const Operation&) {
  CpuState& s = core.state;
  if (!sysenter_mode(core)) return tl::unexpected(guest::invalid_opcode());
  const unsigned cs = s.msr.sysenter_cs & 0xfffc;
  if (!s.protected_mode() || cs == 0) return tl::unexpected(guest::general_protection());
  const bool long_mode = s.long_mode_active();
  s.rflags &= ~(kVm | kIf | kRf);
  s.reg(Gpr::kRsp) = truncate(s.msr.sysenter_esp, long_mode ? 8 : 4);
  load_flat(core, cs, cs + 8, long_mode, 0, truncate(s.msr.sysenter_eip, long_mode ? 8 : 4));
  return Next::kJump;
}

Result sysexit(Core& core, const Operation& op) {
  CpuState& s = core.state;
  if (!sysenter_mode(core)) return tl::unexpected(guest::invalid_opcode());
  const unsigned entry_cs = s.msr.sysenter_cs & 0xfffc;
  if (!s.protected_mode() || s.v86() || entry_cs == 0 || s.cpl != 0)
    return tl::unexpected(guest::general_protection());
  const bool to_64bit = s.in_64bit_code() && (op.prefixes & prefix::kRexW);
  const std::uint64_t rip = truncate(s.reg(Gpr::kRdx), to_64bit ? 8 : 4);
  const std::uint64_t rsp = truncate(s.reg(Gpr::kRcx), to_64bit ? 8 : 4);
  if (!guest::is_canonical(rip) || !guest::is_canonical(rsp))
    return tl::unexpected(guest::general_protection());
  const unsigned cs = entry_cs + (to_64bit ? 32 : 16);
  s.reg(Gpr::kRsp) = rsp;
  load_flat(core, cs | 3, (cs + 8) | 3, to_64bit, 3, rip);
  return Next::kJump;
}

}  // namespace ringshift::translator
