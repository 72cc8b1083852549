// translator/callouts/control_registers.cc - writes to control registers: reserved bits, illegal
// combinations, and which cached translations each change invalidates.
// SDM Vol. 2 "MOV - Move to/from Control Registers"; Vol. 3 "Operations that Invalidate TLBs and
// Paging-Structure Caches".
#include "translator/callouts/control_registers.h"

#include "translator/callouts/mode.h"

namespace ringshift::translator {
namespace {

namespace cr0 = guest::cr0;
namespace cr4 = guest::cr4;
namespace efer = guest::efer;
using guest::CpuState;
using guest::Seg;
using guest::Status;

constexpr std::uint64_t kCr0Writable = cr0::kPe | cr0::kMp | cr0::kEm | cr0::kTs | cr0::kNe |
                                       cr0::kWp | cr0::kAm | cr0::kNw | cr0::kCd | cr0::kPg;
constexpr std::uint64_t kPcidMask = 0xfff;
constexpr std::uint64_t kNoFlush = std::uint64_t{1} << 63;

auto general_protection() { return tl::unexpected(guest::general_protection()); }

bool tss16_in_tr(const CpuState& s) { return (s.tr.type() & ~2u) == 1; }

// SDM Vol. 3 "IA-32e Mode System Data Structures", "Initializing IA-32e Mode".
Status check_paging_change(const CpuState& s, std::uint64_t old_value, std::uint64_t value) {
  const bool was_on = old_value & cr0::kPg, is_on = value & cr0::kPg;
  if (was_on == is_on) return {};
  if (!is_on) {
    if (s.in_64bit_code() || (s.cr4 & cr4::kPcide)) return general_protection();
    return {};
  }
  if (!(s.msr.efer & efer::kLme)) return {};
  if (!(s.cr4 & cr4::kPae) || s.segment(Seg::kCs).long_mode() || tss16_in_tr(s))
    return general_protection();
  return {};
}

Status write_cr0(Core& core, std::uint64_t value) {
  CpuState& s = core.state;
  if (value >> 32) return general_protection();
  value = (value & kCr0Writable) | cr0::kEt;
  if ((value & cr0::kPg) && !(value & cr0::kPe)) return general_protection();
  if ((value & cr0::kNw) && !(value & cr0::kCd)) return general_protection();
  RS_CHECK(check_paging_change(s, s.cr0, value));
  const std::uint64_t changed = s.cr0 ^ value;
  const PagingControls controls{value, s.cr3, s.cr4};
  if ((changed & (cr0::kPg | cr0::kCd | cr0::kNw)) && uses_pdptes(core, controls))
    RS_CHECK(load_pdpte_registers(core, controls));
  s.cr0 = value;
  if (changed & (cr0::kPg | cr0::kPe | cr0::kWp)) core.mmu.flush_all(false);
  mode_changed(core);
  return {};
}

// SDM Vol. 3 "Process-Context Identifiers (PCIDs)": bit 63 asks to keep the PCID's translations.
Status write_cr3(Core& core, std::uint64_t value) {
  CpuState& s = core.state;
  const bool pcids = s.cr4 & cr4::kPcide;
  bool flush = true;
  if (pcids) {
    flush = !(value & kNoFlush);
    value &= ~kNoFlush;
  }
  if (s.long_mode_active() && value >> core.model.physical_address_bits())
    return general_protection();
  const PagingControls controls{s.cr0, value, s.cr4};
  if (uses_pdptes(core, controls)) RS_CHECK(load_pdpte_registers(core, controls));
  s.cr3 = value;
  if (!pcids) {
    core.mmu.flush_all(true);
  } else if (flush) {
    core.mmu.flush_pcid(static_cast<unsigned>(value & kPcidMask), true);
  }
  core.mmu.select_view();
  return {};
}

Status check_cr4(const Core& core, std::uint64_t value) {
  const CpuState& s = core.state;
  if (value & ~core.model.supported_cr4()) return general_protection();
  if (s.long_mode_active() && !(value & cr4::kPae)) return general_protection();
  const bool enables_pcids = (value & ~s.cr4) & cr4::kPcide;
  if (enables_pcids && (!s.long_mode_active() || (s.cr3 & kPcidMask))) return general_protection();
  return {};
}

Status write_cr4(Core& core, std::uint64_t value) {
  constexpr std::uint64_t kReloadsPdptes = cr4::kPae | cr4::kPge | cr4::kPse | cr4::kSmep;
  constexpr std::uint64_t kFlushes =
      cr4::kPse | cr4::kPae | cr4::kPge | cr4::kPcide |
                                     cr4::kSmep | cr4::kSmap | cr4::kPke | cr4::kPks;
  CpuState& s = core.state;
  RS_CHECK(check_cr4(core, value));
  const std::uint64_t changed = s.cr4 ^ value;
  const PagingControls controls{s.cr0, s.cr3, value};
  if ((changed & kReloadsPdptes) && uses_pdptes(core, controls))
    RS_CHECK(load_pdpte_registers(core, controls));
  s.cr4 = value;
  if (changed & kFlushes) core.mmu.flush_all(false);
  mode_changed(core);
  return {};
}

Status write_cr8(Core& core, std::uint64_t value) {
  if (value > 15) return general_protection();
  core.platform.set_task_priority(static_cast<std::uint8_t>(value));
  return {};
}

bool cr8_exists(const CpuState& s) { return s.in_64bit_code(); }

}  // namespace

Result mov_to_control(Core& core, const Operation& op) {
  const std::uint64_t value = read_gpr(core, op.rm, op.operand_bytes);
  switch (op.reg) {
    case 0:
      RS_CHECK(write_cr0(core, value));
      return Next::kContinue;
    case 2:
      core.state.cr2 = value;
      return Next::kContinue;
    case 3:
      RS_CHECK(write_cr3(core, value));
      return Next::kContinue;
    case 4:
      RS_CHECK(write_cr4(core, value));
      return Next::kContinue;
    case 8:
      if (!cr8_exists(core.state)) break;
      RS_CHECK(write_cr8(core, value));
      return Next::kContinue;
    default:
      break;
  }
  return tl::unexpected(guest::invalid_opcode());
}

Result mov_from_control(Core& core, const Operation& op) {
  const CpuState& s = core.state;
  std::uint64_t value = 0;
  switch (op.reg) {
    case 0:
      value = s.cr0;
      break;
    case 2:
      value = s.cr2;
      break;
    case 3:
      value = s.cr3;
      break;
    case 4:
      value = s.cr4;
      break;
    case 8:
      if (!cr8_exists(s)) return tl::unexpected(guest::invalid_opcode());
      value = core.platform.task_priority();
      break;
    default:
      return tl::unexpected(guest::invalid_opcode());
  }
  write_gpr(core, op.rm, op.operand_bytes, value);
  return Next::kContinue;
}

Result clts(Core& core, const Operation&) {
  core.state.cr0 &= ~cr0::kTs;
  return Next::kContinue;
}

// Loads PE, MP, EM and TS; PE can be set but not cleared.
Result lmsw(Core& core, const Operation& op) {
  constexpr std::uint64_t kLoaded = cr0::kPe | cr0::kMp | cr0::kEm | cr0::kTs;
  RS_ASSIGN(source, read_rm(core, op, 2));
  const std::uint64_t sticky = core.state.cr0 & cr0::kPe;
  RS_CHECK(write_cr0(core, (core.state.cr0 & ~kLoaded) | (source & kLoaded) | sticky));
  return Next::kContinue;
}

// A register destination takes as much of CR0 as it holds; the manual defines the low word only.
// HW: processors store CR0's low 32 or 64 bits.
Result smsw(Core& core, const Operation& op) {
  RS_CHECK(check_user_mode_prevention(core));
  RS_CHECK(write_rm(core, op, op.has_memory ? 2 : op.operand_bytes, core.state.cr0));
  return Next::kContinue;
}

Status check_user_mode_prevention(const Core& core) {
  if ((core.state.cr4 & cr4::kUmip) && core.state.cpl > 0) return general_protection();
  return {};
}

}  // namespace ringshift::translator
