// translator/features.cc - the allow-list of instruction sets, and the state that enables them.
#include "translator/features.h"

#include <array>

namespace ringshift::translator {
namespace {
namespace feature = guest::feature;
using guest::Feature;

enum class Unit : std::uint8_t {
  kNone,
  kInteger,
  kVexInteger,
  kX87,
  kMmx,
  kMmxSse,
  kSse,
  kAvx,
  kAvx512
};

struct IsaRow {
  ZydisISASet set;
  Unit unit = Unit::kNone;
  Feature needs[3]{};  // leaf 0: none
};

constexpr IsaRow kIsaRows[] = {
    {ZYDIS_ISA_SET_ADOX_ADCX, Unit::kInteger, {feature::kAdx}},
    {ZYDIS_ISA_SET_AES, Unit::kSse, {feature::kAes}},
    {ZYDIS_ISA_SET_AMD, Unit::kInteger, {}},
    {ZYDIS_ISA_SET_AVX, Unit::kAvx, {feature::kAvx}},
    {ZYDIS_ISA_SET_AVX2, Unit::kAvx, {feature::kAvx2}},
    {ZYDIS_ISA_SET_AVX2GATHER, Unit::kAvx, {feature::kAvx2}},
    {ZYDIS_ISA_SET_AVX512BW_128, Unit::kAvx512, {feature::kAvx512bw, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512BW_128N, Unit::kAvx512, {feature::kAvx512bw}},
    {ZYDIS_ISA_SET_AVX512BW_256, Unit::kAvx512, {feature::kAvx512bw, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512BW_512, Unit::kAvx512, {feature::kAvx512bw}},
    {ZYDIS_ISA_SET_AVX512BW_KOP, Unit::kAvx512, {feature::kAvx512bw}},
    {ZYDIS_ISA_SET_AVX512CD_128, Unit::kAvx512, {feature::kAvx512cd, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512CD_256, Unit::kAvx512, {feature::kAvx512cd, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512CD_512, Unit::kAvx512, {feature::kAvx512cd}},
    {ZYDIS_ISA_SET_AVX512DQ_128, Unit::kAvx512, {feature::kAvx512dq, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512DQ_128N, Unit::kAvx512, {feature::kAvx512dq}},
    {ZYDIS_ISA_SET_AVX512DQ_256, Unit::kAvx512, {feature::kAvx512dq, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512DQ_512, Unit::kAvx512, {feature::kAvx512dq}},
    {ZYDIS_ISA_SET_AVX512DQ_KOP, Unit::kAvx512, {feature::kAvx512dq}},
    {ZYDIS_ISA_SET_AVX512DQ_SCALAR, Unit::kAvx512, {feature::kAvx512dq}},
    {ZYDIS_ISA_SET_AVX512F_128, Unit::kAvx512, {feature::kAvx512f, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512F_128N, Unit::kAvx512, {feature::kAvx512f}},
    {ZYDIS_ISA_SET_AVX512F_256, Unit::kAvx512, {feature::kAvx512f, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512F_512, Unit::kAvx512, {feature::kAvx512f}},
    {ZYDIS_ISA_SET_AVX512F_KOP, Unit::kAvx512, {feature::kAvx512f}},
    {ZYDIS_ISA_SET_AVX512F_SCALAR, Unit::kAvx512, {feature::kAvx512f}},
    {ZYDIS_ISA_SET_AVX512_BF16_128, Unit::kAvx512, {feature::kAvx512bf16, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512_BF16_256, Unit::kAvx512, {feature::kAvx512bf16, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512_BF16_512, Unit::kAvx512, {feature::kAvx512bf16}},
    {ZYDIS_ISA_SET_AVX512_BITALG_128, Unit::kAvx512, {feature::kAvx512bitalg, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512_BITALG_256, Unit::kAvx512, {feature::kAvx512bitalg, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512_BITALG_512, Unit::kAvx512, {feature::kAvx512bitalg}},
    {ZYDIS_ISA_SET_AVX512_GFNI_128,
     Unit::kAvx512,
     {feature::kGfni, feature::kAvx512f, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512_GFNI_256,
     Unit::kAvx512,
     {feature::kGfni, feature::kAvx512f, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512_GFNI_512, Unit::kAvx512, {feature::kGfni, feature::kAvx512f}},
    {ZYDIS_ISA_SET_AVX512_IFMA_128, Unit::kAvx512, {feature::kAvx512ifma, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512_IFMA_256, Unit::kAvx512, {feature::kAvx512ifma, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512_IFMA_512, Unit::kAvx512, {feature::kAvx512ifma}},
    {ZYDIS_ISA_SET_AVX512_VAES_128,
     Unit::kAvx512,
     {feature::kVaes, feature::kAvx512f, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512_VAES_256,
     Unit::kAvx512,
     {feature::kVaes, feature::kAvx512f, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512_VAES_512, Unit::kAvx512, {feature::kVaes, feature::kAvx512f}},
    {ZYDIS_ISA_SET_AVX512_VBMI2_128, Unit::kAvx512, {feature::kAvx512vbmi2, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512_VBMI2_256, Unit::kAvx512, {feature::kAvx512vbmi2, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512_VBMI2_512, Unit::kAvx512, {feature::kAvx512vbmi2}},
    {ZYDIS_ISA_SET_AVX512_VBMI_128, Unit::kAvx512, {feature::kAvx512vbmi, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512_VBMI_256, Unit::kAvx512, {feature::kAvx512vbmi, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512_VBMI_512, Unit::kAvx512, {feature::kAvx512vbmi}},
    {ZYDIS_ISA_SET_AVX512_VNNI_128, Unit::kAvx512, {feature::kAvx512vnni, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512_VNNI_256, Unit::kAvx512, {feature::kAvx512vnni, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512_VNNI_512, Unit::kAvx512, {feature::kAvx512vnni}},
    {ZYDIS_ISA_SET_AVX512_VP2INTERSECT_128,
     Unit::kAvx512,
     {feature::kAvx512vp2intersect, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512_VP2INTERSECT_256,
     Unit::kAvx512,
     {feature::kAvx512vp2intersect, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512_VP2INTERSECT_512, Unit::kAvx512, {feature::kAvx512vp2intersect}},
    {ZYDIS_ISA_SET_AVX512_VPCLMULQDQ_128,
     Unit::kAvx512,
     {feature::kVpclmulqdq, feature::kAvx512f, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512_VPCLMULQDQ_256,
     Unit::kAvx512,
     {feature::kVpclmulqdq, feature::kAvx512f, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512_VPCLMULQDQ_512, Unit::kAvx512, {feature::kVpclmulqdq, feature::kAvx512f}},
    {ZYDIS_ISA_SET_AVX512_VPOPCNTDQ_128,
     Unit::kAvx512,
     {feature::kAvx512vpopcntdq, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512_VPOPCNTDQ_256,
     Unit::kAvx512,
     {feature::kAvx512vpopcntdq, feature::kAvx512vl}},
    {ZYDIS_ISA_SET_AVX512_VPOPCNTDQ_512, Unit::kAvx512, {feature::kAvx512vpopcntdq}},
    {ZYDIS_ISA_SET_AVXAES, Unit::kAvx, {feature::kAvx, feature::kAes}},
    {ZYDIS_ISA_SET_AVX_GFNI, Unit::kAvx, {feature::kGfni, feature::kAvx}},
    {ZYDIS_ISA_SET_AVX_VNNI, Unit::kAvx, {feature::kAvxVnni}},
    {ZYDIS_ISA_SET_BMI1, Unit::kVexInteger, {feature::kBmi1}},
    {ZYDIS_ISA_SET_BMI2, Unit::kVexInteger, {feature::kBmi2}},
    {ZYDIS_ISA_SET_CLFLUSHOPT, Unit::kInteger, {feature::kClflushopt}},
    {ZYDIS_ISA_SET_CLFSH, Unit::kInteger, {feature::kClfsh}},
    {ZYDIS_ISA_SET_CLWB, Unit::kInteger, {feature::kClwb}},
    {ZYDIS_ISA_SET_CMOV, Unit::kInteger, {feature::kCmov}},
    {ZYDIS_ISA_SET_CMPXCHG16B, Unit::kInteger, {feature::kCx16}},
    {ZYDIS_ISA_SET_F16C, Unit::kAvx, {feature::kF16c}},
    {ZYDIS_ISA_SET_FAT_NOP, Unit::kInteger, {}},
    {ZYDIS_ISA_SET_FCMOV, Unit::kX87, {feature::kCmov}},
    {ZYDIS_ISA_SET_FMA, Unit::kAvx, {feature::kFma}},
    {ZYDIS_ISA_SET_FXSAVE, Unit::kInteger, {feature::kFxsr}},
    {ZYDIS_ISA_SET_FXSAVE64, Unit::kInteger, {feature::kFxsr}},
    {ZYDIS_ISA_SET_GFNI, Unit::kSse, {feature::kGfni}},
    {ZYDIS_ISA_SET_I186, Unit::kInteger, {}},
    {ZYDIS_ISA_SET_I286PROTECTED, Unit::kInteger, {}},
    {ZYDIS_ISA_SET_I286REAL, Unit::kInteger, {}},
    {ZYDIS_ISA_SET_I386, Unit::kInteger, {}},
    {ZYDIS_ISA_SET_I486, Unit::kInteger, {}},
    {ZYDIS_ISA_SET_I486REAL, Unit::kInteger, {}},
    {ZYDIS_ISA_SET_I86, Unit::kInteger, {}},
    {ZYDIS_ISA_SET_INVPCID, Unit::kInteger, {feature::kInvpcid}},
    {ZYDIS_ISA_SET_LAHF, Unit::kInteger, {}},
    {ZYDIS_ISA_SET_LONGMODE, Unit::kInteger, {feature::kLongMode}},
    {ZYDIS_ISA_SET_LZCNT, Unit::kInteger, {feature::kLzcnt}},
    {ZYDIS_ISA_SET_MONITOR, Unit::kInteger, {feature::kMonitor}},
    {ZYDIS_ISA_SET_MOVBE, Unit::kInteger, {feature::kMovbe}},
    {ZYDIS_ISA_SET_PAUSE, Unit::kInteger, {}},
    {ZYDIS_ISA_SET_PCLMULQDQ, Unit::kSse, {feature::kPclmulqdq}},
    {ZYDIS_ISA_SET_PENTIUMMMX, Unit::kMmx, {feature::kMmx}},
    {ZYDIS_ISA_SET_PENTIUMREAL, Unit::kInteger, {}},
    {ZYDIS_ISA_SET_POPCNT, Unit::kInteger, {feature::kPopcnt}},
    {ZYDIS_ISA_SET_PPRO, Unit::kInteger, {}},
    {ZYDIS_ISA_SET_PREFETCHWT1, Unit::kInteger, {feature::kPrefetchw}},
    {ZYDIS_ISA_SET_PREFETCH_NOP, Unit::kInteger, {}},
    {ZYDIS_ISA_SET_PKU, Unit::kInteger, {feature::kPku}},
    {ZYDIS_ISA_SET_RDPID, Unit::kInteger, {feature::kRdpid}},
    {ZYDIS_ISA_SET_RDPMC, Unit::kInteger, {}},
    {ZYDIS_ISA_SET_RDRAND, Unit::kInteger, {feature::kRdrand}},
    {ZYDIS_ISA_SET_RDSEED, Unit::kInteger, {feature::kRdseed}},
    {ZYDIS_ISA_SET_RDTSCP, Unit::kInteger, {feature::kRdtscp}},
    {ZYDIS_ISA_SET_RDWRFSGS, Unit::kInteger, {feature::kFsgsbase}},
    {ZYDIS_ISA_SET_SERIALIZE, Unit::kInteger, {feature::kSerialize}},
    {ZYDIS_ISA_SET_SHA, Unit::kSse, {feature::kSha}},
    {ZYDIS_ISA_SET_SMAP, Unit::kInteger, {feature::kSmap}},
    {ZYDIS_ISA_SET_SSE, Unit::kSse, {feature::kSse}},
    {ZYDIS_ISA_SET_SSE2, Unit::kSse, {feature::kSse2}},
    {ZYDIS_ISA_SET_SSE2MMX, Unit::kSse, {feature::kSse2}},
    {ZYDIS_ISA_SET_SSE3, Unit::kSse, {feature::kSse3}},
    {ZYDIS_ISA_SET_SSE3X87, Unit::kX87, {feature::kSse3}},
    {ZYDIS_ISA_SET_SSE4, Unit::kSse, {feature::kSse41}},
    {ZYDIS_ISA_SET_SSE42, Unit::kSse, {feature::kSse42}},
    {ZYDIS_ISA_SET_SSE4A, Unit::kSse, {feature::kSse4a}},
    {ZYDIS_ISA_SET_SSEMXCSR, Unit::kSse, {feature::kSse}},
    {ZYDIS_ISA_SET_SSE_PREFETCH, Unit::kInteger, {}},
    {ZYDIS_ISA_SET_SSSE3, Unit::kSse, {feature::kSsse3}},
    {ZYDIS_ISA_SET_SSSE3MMX, Unit::kMmxSse, {feature::kSsse3}},
    {ZYDIS_ISA_SET_VAES, Unit::kAvx, {feature::kVaes}},
    {ZYDIS_ISA_SET_VPCLMULQDQ, Unit::kAvx, {feature::kVpclmulqdq}},
    {ZYDIS_ISA_SET_X87, Unit::kX87, {feature::kFpu}},
    {ZYDIS_ISA_SET_XSAVE, Unit::kInteger, {feature::kXsave}},
    {ZYDIS_ISA_SET_XSAVEC, Unit::kInteger, {feature::kXsavec}},
    {ZYDIS_ISA_SET_XSAVEOPT, Unit::kInteger, {feature::kXsaveopt}},
    {ZYDIS_ISA_SET_XSAVES, Unit::kInteger, {feature::kXsaves}},
};

constexpr auto kIsaTable = [] {
  std::array<IsaRow, ZYDIS_ISA_SET_MAX_VALUE + 1> table{};
  for (const IsaRow& row : kIsaRows) table[row.set] = row;
  return table;
}();

using guest::GuestFault;
using guest::Vector;

std::optional<GuestFault> unit_fault(Unit unit, ModeKey mode) {
  const GuestFault nm = fault(Vector::kDeviceNotAvailable);
  switch (unit) {
    case Unit::kNone:
      return guest::invalid_opcode();
    case Unit::kInteger:
      return std::nullopt;
    case Unit::kVexInteger:
      if (mode.real_or_v86()) return guest::invalid_opcode();
      return std::nullopt;
    case Unit::kX87:
      if (mode.emulate_fpu() || mode.task_switched()) return nm;
      return std::nullopt;
    case Unit::kMmx:
      if (mode.emulate_fpu()) return guest::invalid_opcode();
      if (mode.task_switched()) return nm;
      return std::nullopt;
    case Unit::kMmxSse:
      if (mode.emulate_fpu()) return guest::invalid_opcode();
      if (mode.task_switched()) return nm;
      return std::nullopt;
    case Unit::kSse:
      if (mode.emulate_fpu() || !mode.sse_enabled()) return guest::invalid_opcode();
      if (mode.task_switched()) return nm;
      return std::nullopt;
    case Unit::kAvx:
      if (!mode.avx_enabled()) return guest::invalid_opcode();
      if (mode.task_switched()) return nm;
      return std::nullopt;
    case Unit::kAvx512:
      if (!mode.avx512_enabled()) return guest::invalid_opcode();
      if (mode.task_switched()) return nm;
      return std::nullopt;
  }
  return guest::invalid_opcode();
}

// Integer instructions that Zydis files under a SIMD set, and the reverse.
std::optional<Unit> unit_of_mnemonic(ZydisMnemonic m) {
  switch (m) {
    case ZYDIS_MNEMONIC_CRC32:
    case ZYDIS_MNEMONIC_MOVNTI:
    case ZYDIS_MNEMONIC_SFENCE:
    case ZYDIS_MNEMONIC_LFENCE:
    case ZYDIS_MNEMONIC_MFENCE:
    case ZYDIS_MNEMONIC_POPCNT:
      return Unit::kInteger;
    case ZYDIS_MNEMONIC_FWAIT:
      return Unit::kInteger;  // CR0.MP decides: its own rule
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<GuestFault> enablement_fault(const Insn& insn, ModeKey mode,
                                           const guest::CpuModel& model) {
  const IsaRow& row = kIsaTable[insn.raw.meta.isa_set];
  if (row.unit == Unit::kNone) return guest::invalid_opcode();
  for (const Feature& f : row.needs)
    if (f.leaf != 0 && !model.has(f)) return guest::invalid_opcode();
  // HW: PREFETCHW's register form is #UD on AMD, a NOP on Intel (tests/differential).
  if (insn.raw.opcode_map == ZYDIS_OPCODE_MAP_0F && insn.raw.opcode == 0x0d &&
      insn.raw.raw.modrm.mod == 3 && !model.vendor_is_intel())
    return guest::invalid_opcode();
  // HW: so are, outside 64-bit code, VPINSRD and VPEXTRD with VEX.W.
  const bool w = insn.raw.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX && insn.raw.raw.vex.W;
  if (w && !mode.is_64bit() && !model.vendor_is_intel() &&
      (insn.mnemonic() == ZYDIS_MNEMONIC_VPINSRD || insn.mnemonic() == ZYDIS_MNEMONIC_VPEXTRD))
    return guest::invalid_opcode();
  if (insn.mnemonic() == ZYDIS_MNEMONIC_FWAIT && mode.monitor_fpu() && mode.task_switched())
    return fault(Vector::kDeviceNotAvailable);
  return unit_fault(unit_of_mnemonic(insn.mnemonic()).value_or(row.unit), mode);
}

}  // namespace ringshift::translator
