// guest/cpu_state.h - the architectural state of one x86 logical processor, accelerator-neutral.
// Owned by the vCPU thread; other threads touch it only while that thread is stopped.
// Plain data: snapshots, KVM and the translator all read and write this one struct.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace ringshift::guest {

enum class Gpr : std::uint8_t {
  kRax, kRcx, kRdx, kRbx, kRsp, kRbp, kRsi, kRdi,
  kR8, kR9, kR10, kR11, kR12, kR13, kR14, kR15,
};

// In the encoding order of the Sreg field.
enum class Seg : std::uint8_t { kEs, kCs, kSs, kDs, kFs, kGs };
inline constexpr std::size_t kSegCount = 6;

// SDM Vol. 1 "EFLAGS Register".
namespace flags {
inline constexpr std::uint64_t kCf = 1u << 0, kFixed1 = 1u << 1, kPf = 1u << 2, kAf = 1u << 4,
                               kZf = 1u << 6, kSf = 1u << 7, kTf = 1u << 8, kIf = 1u << 9,
                               kDf = 1u << 10, kOf = 1u << 11, kIopl = 3u << 12, kNt = 1u << 14,
                               kRf = 1u << 16, kVm = 1u << 17, kAc = 1u << 18, kVif = 1u << 19,
                               kVip = 1u << 20, kId = 1u << 21;
inline constexpr unsigned kIoplShift = 12;
inline constexpr std::uint64_t kArithmetic = kCf | kPf | kAf | kZf | kSf | kOf;
}  // namespace flags

namespace cr0 {
inline constexpr std::uint64_t kPe = 1u << 0, kMp = 1u << 1, kEm = 1u << 2, kTs = 1u << 3,
                               kEt = 1u << 4, kNe = 1u << 5, kWp = 1u << 16, kAm = 1u << 18,
                               kNw = 1u << 29, kCd = 1u << 30, kPg = 1u << 31;
}
namespace cr4 {
inline constexpr std::uint64_t kVme = 1u << 0, kPvi = 1u << 1, kTsd = 1u << 2, kDe = 1u << 3,
                               kPse = 1u << 4, kPae = 1u << 5, kMce = 1u << 6, kPge = 1u << 7,
                               kPce = 1u << 8, kOsfxsr = 1u << 9, kOsxmmexcpt = 1u << 10,
                               kUmip = 1u << 11, kFsgsbase = 1u << 16, kPcide = 1u << 17,
                               kOsxsave = 1u << 18, kSmep = 1u << 20, kSmap = 1u << 21,
                               kPke = 1u << 22, kPks = 1u << 24;
}
namespace efer {
inline constexpr std::uint64_t kSce = 1u << 0, kLme = 1u << 8, kLma = 1u << 10, kNxe = 1u << 11;
}

// A segment register with its hidden part. `attributes` holds descriptor bits 55:40 with the
// limit nibble (bits 11:8) cleared: type[3:0] S[4] DPL[6:5] P[7] AVL[12] L[13] D/B[14] G[15].
// `limit` is in bytes, already scaled by G. A null selector has P clear in protected mode.
struct SegmentRegister {
  std::uint16_t selector = 0;
  std::uint16_t attributes = 0;
  std::uint32_t limit = 0;
  std::uint64_t base = 0;

  unsigned type() const { return attributes & 0xf; }
  bool is_code_or_data() const { return attributes & 0x10; }
  unsigned dpl() const { return (attributes >> 5) & 3; }
  bool present() const { return attributes & 0x80; }
  bool long_mode() const { return attributes & 0x2000; }
  bool big() const { return attributes & 0x4000; }  // D/B
  bool granular() const { return attributes & 0x8000; }
  bool is_code() const { return (attributes & 0x18) == 0x18; }
  bool conforming() const { return (attributes & 0x1c) == 0x1c; }
  bool readable() const { return !is_code() || (attributes & 2); }
  bool writable() const { return !is_code() && (attributes & 2); }
  bool expand_down() const { return (attributes & 0x1c) == 0x14; }
};

struct TableRegister {
  std::uint64_t base = 0;
  std::uint16_t limit = 0;
};

enum class Activity : std::uint8_t { kRunning, kHalted, kShutdown };

inline constexpr std::size_t kMachineCheckBanks = 10;

struct Msrs {
  std::uint64_t efer = 0;
  std::uint64_t star = 0, lstar = 0, cstar = 0, sfmask = 0;
  std::uint64_t kernel_gs_base = 0;
  std::uint64_t sysenter_cs = 0, sysenter_esp = 0, sysenter_eip = 0;
  std::uint64_t pat = 0x0007040600070406;
  std::uint64_t tsc_offset = 0;  // guest TSC = host TSC + offset
  std::uint64_t tsc_adjust = 0;
  std::uint64_t tsc_aux = 0;
  std::uint64_t misc_enable = 1;
  std::uint64_t mtrr_def_type = 0;
  std::array<std::uint64_t, 16> mtrr_variable{};  // base/mask pairs
  std::array<std::uint64_t, 11> mtrr_fixed{};
  std::uint64_t spec_ctrl = 0;
  std::uint64_t debugctl = 0;
  std::uint64_t xss = 0;
  std::uint32_t pkrs = 0;  // rights of supervisor pages by protection key
  std::uint64_t kvm_system_time = 0, kvm_wall_clock = 0, kvm_steal_time = 0;
  std::uint64_t mcg_status = 0, mcg_ctl = 0;
  std::uint64_t hwcr = 1u << 24;  // AMD: TscFreqSel, the TSC counts at the P0 frequency
  std::uint64_t de_cfg = 2;       // AMD: LFENCE serializes
  // CTL, STATUS, ADDR, MISC of each machine-check bank.
  std::array<std::array<std::uint64_t, 4>, kMachineCheckBanks> machine_check{};
};

// SDM Vol. 3 "Address Wraparound": bit 20 of addresses is zero while A20M# is asserted.
inline constexpr std::uint64_t kA20Open = ~std::uint64_t{0};
inline constexpr std::uint64_t kA20Masked = ~(std::uint64_t{1} << 20);

inline constexpr std::size_t kXsaveBytes = 4096;  // standard format, without AMX tiles

// Translated code addresses the start of this struct as [host stack pointer + displacement]: gpr[]
// must stay first so that every slot is reached with an 8-bit displacement.
struct alignas(64) CpuState {
  std::array<std::uint64_t, 16> gpr{};
  std::uint64_t rip = 0;
  std::uint64_t rflags = flags::kFixed1;

  std::array<SegmentRegister, kSegCount> seg{};
  SegmentRegister ldtr, tr;
  TableRegister gdtr, idtr;

  std::uint64_t cr0 = 0x60000010, cr2 = 0, cr3 = 0, cr4 = 0, xcr0 = 1;
  // Rights of user pages by protection key, two bits each: no access, no writes. KVM keeps its own
  // in the XSAVE image.
  std::uint32_t pkru = 0;
  std::array<std::uint64_t, 4> pdpte{};  // loaded with CR3 under PAE paging
  std::array<std::uint64_t, 8> dr{0, 0, 0, 0, 0, 0, 0xffff0ff0, 0x400};
  Msrs msr;

  std::uint8_t cpl = 0;               // kept equal to SS.DPL / 3 in v86 / 0 in real mode
  bool interrupt_shadow = false;      // after STI or MOV/POP SS, for one instruction
  bool debug_shadow = false;          // the part of it that also holds back #DB (MOV/POP SS)
  // DR6 bits of debug traps that are due once the instruction ends; BS from its start with TF set.
  std::uint32_t pending_debug = 0;
  bool nmi_blocked = false;
  bool nmi_pending = false;
  Activity activity = Activity::kRunning;
  // A20M#: what is left of physical addresses. Whoever changes it flushes what was translated.
  std::uint64_t address_mask = kA20Open;

  // Guest x87/SSE/AVX state in the standard XSAVE layout of the host.
  alignas(64) std::array<std::uint8_t, kXsaveBytes> xsave{};

  std::uint64_t& reg(Gpr r) { return gpr[static_cast<std::size_t>(r)]; }
  std::uint64_t reg(Gpr r) const { return gpr[static_cast<std::size_t>(r)]; }
  SegmentRegister& segment(Seg s) { return seg[static_cast<std::size_t>(s)]; }
  const SegmentRegister& segment(Seg s) const { return seg[static_cast<std::size_t>(s)]; }

  bool protected_mode() const { return cr0 & cr0::kPe; }
  bool v86() const { return rflags & flags::kVm; }
  bool real_or_v86() const { return !protected_mode() || v86(); }
  bool long_mode_active() const { return msr.efer & efer::kLma; }
  bool in_64bit_code() const { return long_mode_active() && segment(Seg::kCs).long_mode(); }
  bool paging() const { return cr0 & cr0::kPg; }
  unsigned iopl() const { return (rflags >> flags::kIoplShift) & 3; }
  // Bytes of the default operand/address size of the code segment: 2, 4 or 8 (8: 64-bit code).
  unsigned code_bytes() const {
    if (in_64bit_code()) return 8;
    return segment(Seg::kCs).big() ? 4 : 2;
  }
  // Width of the stack pointer: 2, 4 or 8 bytes.
  unsigned stack_bytes() const {
    if (in_64bit_code()) return 8;
    return segment(Seg::kSs).big() ? 4 : 2;
  }
};

static_assert(offsetof(CpuState, gpr) == 0);

// SDM Vol. 3 "Processor State After Reset": every field as RESET leaves it.
void reset(CpuState& state);

}  // namespace ringshift::guest
