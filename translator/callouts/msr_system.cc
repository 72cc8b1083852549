// translator/callouts/msr_system.cc - MSRs of the execution environment: EFER, system call targets,
// segment bases, debug control. SDM Vol. 4 "Architectural MSRs".
#include "translator/callouts/msr_groups.h"

namespace ringshift::translator {
namespace {

namespace efer = guest::efer;
namespace feature = guest::feature;
using guest::Seg;

constexpr std::uint32_t kArchCapabilities = 0x10a, kSysenterCs = 0x174, kSysenterEsp = 0x175,
                        kSysenterEip = 0x176, kMiscEnable = 0x1a0, kDebugCtl = 0x1d9,
                        kLastBranchFirst = 0x1db, kLastBranchLast = 0x1de, kPkrs = 0x6e1, kEfer = 0xc0000080,
                        kStar = 0xc0000081, kLstar = 0xc0000082, kCstar = 0xc0000083,
                        kSfmask = 0xc0000084, kFsBase = 0xc0000100, kGsBase = 0xc0000101,
                        kKernelGsBase = 0xc0000102;

// User views never hold supervisor pages, so no rogue data cache load crosses that boundary.
constexpr std::uint64_t kRdclNo = 1;
// Performance monitoring available (no); branch trace storage and PEBS unavailable (yes).
constexpr std::uint64_t kMiscEnableReadOnly = 1u << 7 | 1u << 11 | 1u << 12,
                        kMiscEnableOnes = 1u << 11 | 1u << 12;
constexpr std::uint64_t kDebugCtlWritable = 3;  // LBR, BTF

// The register behind an index, when the processor has it and its reads and writes are plain.
std::uint64_t* plain(const Core& core, std::uint32_t index) {
  guest::Msrs& m = core.state.msr;
  const bool sysenter = core.model.has(feature::kSep);
  const bool syscall = core.model.has(feature::kSyscall);
  const bool long_mode = core.model.has(feature::kLongMode);
  switch (index) {
    case kSysenterCs:
      return sysenter ? &m.sysenter_cs : nullptr;
    case kSysenterEsp:
      return sysenter ? &m.sysenter_esp : nullptr;
    case kSysenterEip:
      return sysenter ? &m.sysenter_eip : nullptr;
    case kStar:
      return syscall ? &m.star : nullptr;
    case kLstar:
      return long_mode ? &m.lstar : nullptr;
    case kCstar:
      return long_mode ? &m.cstar : nullptr;
    case kFsBase:
      return long_mode ? &core.state.segment(Seg::kFs).base : nullptr;
    case kGsBase:
      return long_mode ? &core.state.segment(Seg::kGs).base : nullptr;
    case kKernelGsBase:
      return long_mode ? &m.kernel_gs_base : nullptr;
    default:
      return nullptr;
  }
}

bool holds_address(std::uint32_t index) { return index != kSysenterCs && index != kStar; }

bool has_efer(const Core& core) { return core.model.supported_efer() != 0; }

// SDM Vol. 3 "Extended Feature Enable Register"; LMA is the processor's own.
bool write_efer(Core& core, std::uint64_t value) {
  guest::CpuState& s = core.state;
  if (value & ~core.model.supported_efer()) return false;
  if (((value ^ s.msr.efer) & efer::kLme) && s.paging()) return false;
  s.msr.efer = (value & ~efer::kLma) | (s.msr.efer & efer::kLma);
  mode_changed(core);
  return true;
}

// SDM Vol. 3 "Protection Keys".
bool write_pkrs(Core& core, std::uint64_t value) {
  if (value >> 32) return false;
  const std::uint32_t before = core.state.msr.pkrs;
  core.state.msr.pkrs = static_cast<std::uint32_t>(value);
  core.mmu.key_rights_changed(false, before, core.state.msr.pkrs);
  return true;
}

// DEVIATION: LBR and BTF are kept but have no effect: no branch is recorded, and TF traps after
// every instruction even with BTF set.
bool write_debug_control(Core& core, std::uint64_t value) {
  if (value & ~kDebugCtlWritable) return false;
  core.state.msr.debugctl = value;
  return true;
}

}  // namespace

MsrValue read_system_msr(const Core& core, std::uint32_t index) {
  if (const std::uint64_t* reg = plain(core, index)) return *reg;
  const guest::Msrs& m = core.state.msr;
  switch (index) {
    case kEfer:
      return has_efer(core) ? MsrValue(m.efer) : std::nullopt;
    case kSfmask:
      return core.model.has(feature::kLongMode) ? MsrValue(m.sfmask) : std::nullopt;
    case kPkrs:
      return core.model.has(feature::kPks) ? MsrValue(m.pkrs) : std::nullopt;
    case kMiscEnable:
      return (m.misc_enable & ~kMiscEnableReadOnly) | kMiscEnableOnes;
    case kDebugCtl:
      return m.debugctl;
    case kArchCapabilities:
      return core.model.has(feature::kArchCapabilities) ? MsrValue(kRdclNo) : std::nullopt;
    default:
      // Last branch records: never recorded.
      if (index >= kLastBranchFirst && index <= kLastBranchLast) return 0;
      return std::nullopt;
  }
}

MsrWrite write_system_msr(Core& core, std::uint32_t index, std::uint64_t value) {
  if (std::uint64_t* reg = plain(core, index)) {
    if (holds_address(index) && !guest::is_canonical(value)) return MsrWrite::kRefused;
    *reg = value;
    return MsrWrite::kDone;
  }
  switch (index) {
    case kEfer:
      return has_efer(core) ? written_if(write_efer(core, value)) : MsrWrite::kNotMine;
    case kSfmask:
      if (!core.model.has(feature::kLongMode)) return MsrWrite::kNotMine;
      core.state.msr.sfmask = value & 0xffffffff;
      return MsrWrite::kDone;
    case kPkrs:
      return core.model.has(feature::kPks) ? written_if(write_pkrs(core, value))
                                           : MsrWrite::kNotMine;
    case kMiscEnable:
      core.state.msr.misc_enable = value & ~kMiscEnableReadOnly;
      return MsrWrite::kDone;
    case kDebugCtl:
      return written_if(write_debug_control(core, value));
    default:
      return MsrWrite::kNotMine;
  }
}

}  // namespace ringshift::translator
