// translator/callouts/msr.cc - the instructions that move model-specific registers and counters.
#include "translator/callouts/msr.h"

#include "translator/callouts/msr_groups.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;

auto general_protection() { return tl::unexpected(guest::general_protection()); }

std::uint32_t index_in_ecx(const Core& core) {
  return static_cast<std::uint32_t>(core.state.reg(Gpr::kRcx));
}

void set_edx_eax(Core& core, std::uint64_t value) {
  core.state.reg(Gpr::kRax) = value & 0xffffffff;
  core.state.reg(Gpr::kRdx) = value >> 32;
}

std::uint64_t edx_eax(const Core& core) {
  return core.state.reg(Gpr::kRdx) << 32 | (core.state.reg(Gpr::kRax) & 0xffffffff);
}

bool time_stamp_disabled(const Core& core) {
  return (core.state.cr4 & guest::cr4::kTsd) && core.state.cpl > 0;
}

using Reader = MsrValue (*)(const Core&, std::uint32_t);
using Writer = MsrWrite (*)(Core&, std::uint32_t, std::uint64_t);

}  // namespace

std::optional<std::uint64_t> read_msr(Core& core, std::uint32_t index) {
  static constexpr Reader kReaders[] = {read_system_msr, read_time_msr, read_memory_type_msr,
                                        read_machine_check_msr, read_vendor_msr,
                                        read_paravirtual_msr};
  if (const MsrValue value = read_apic_msr(core, index)) return value;
  for (const Reader read : kReaders)
    if (const MsrValue value = read(core, index)) return value;
  return std::nullopt;
}

bool write_msr(Core& core, std::uint32_t index, std::uint64_t value) {
  static constexpr Writer kWriters[] = {write_apic_msr,          write_system_msr,
                                        write_time_msr,          write_memory_type_msr,
                                        write_machine_check_msr, write_vendor_msr,
                                        write_paravirtual_msr};
  for (const Writer write : kWriters) {
    const MsrWrite result = write(core, index, value);
    if (result != MsrWrite::kNotMine) return result == MsrWrite::kDone;
  }
  return false;
}

Result rdmsr(Core& core, const Operation&) {
  if (!core.model.has(guest::feature::kMsr)) return tl::unexpected(guest::invalid_opcode());
  const auto value = read_msr(core, index_in_ecx(core));
  if (!value) return general_protection();
  set_edx_eax(core, *value);
  return Next::kContinue;
}

Result wrmsr(Core& core, const Operation&) {
  if (!core.model.has(guest::feature::kMsr)) return tl::unexpected(guest::invalid_opcode());
  if (!write_msr(core, index_in_ecx(core), edx_eax(core))) return general_protection();
  return Next::kContinue;
}

Result rdtsc(Core& core, const Operation&) {
  if (!core.model.has(guest::feature::kTsc)) return tl::unexpected(guest::invalid_opcode());
  if (time_stamp_disabled(core)) return general_protection();
  set_edx_eax(core, guest_tsc(core.state));
  return Next::kContinue;
}

Result rdtscp(Core& core, const Operation&) {
  if (!core.model.has(guest::feature::kRdtscp)) return tl::unexpected(guest::invalid_opcode());
  if (time_stamp_disabled(core)) return general_protection();
  set_edx_eax(core, guest_tsc(core.state));
  core.state.reg(Gpr::kRcx) = core.state.msr.tsc_aux & 0xffffffff;
  return Next::kContinue;
}

// No performance counter exists, so ECX never names one.
Result rdpmc(Core&, const Operation&) { return general_protection(); }

Result rdpid(Core& core, const Operation& op) {
  if (!core.model.has(guest::feature::kRdpid) || op.has_memory)
    return tl::unexpected(guest::invalid_opcode());
  write_gpr(core, op.rm, 8, core.state.msr.tsc_aux & 0xffffffff);
  return Next::kContinue;
}

}  // namespace ringshift::translator
