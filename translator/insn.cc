// translator/insn.cc - decodes one guest instruction with Zydis and answers the emitter's
// questions.
#include "translator/insn.h"

#include <algorithm>
#include <cstring>

namespace ringshift::translator {
namespace {

bool is_high_byte(ZydisRegister r) { return r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH; }

GprField gpr_field(const ZydisDecodedOperand& op) {
  GprField f;
  const std::uint8_t number = gpr_number(op.reg.value);
  if (number == kNoRegister) return f;
  f.used = true;
  f.number = number;
  f.high_byte = is_high_byte(op.reg.value);
  f.bytes = static_cast<std::uint8_t>(op.size / 8);
  f.read = op.actions & ZYDIS_OPERAND_ACTION_MASK_READ;
  f.written = op.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
  // A partial or conditional write keeps the rest of the register.
  if (f.written && (f.bytes < 4 || (op.actions & ZYDIS_OPERAND_ACTION_CONDWRITE))) f.read = true;
  return f;
}

bool names_cache_line(ZydisMnemonic m) {
  return m == ZYDIS_MNEMONIC_CLFLUSH || m == ZYDIS_MNEMONIC_CLFLUSHOPT || m == ZYDIS_MNEMONIC_CLWB;
}

// x87 stores keep all bytes as they are when an unmasked exception becomes pending.
bool may_keep_bytes(const Insn& insn) { return insn.raw.meta.category == ZYDIS_CATEGORY_X87_ALU; }

void describe_operands(Insn& insn) {
  insn.reg = insn.rm = insn.vvvv = {};
  insn.rm_is_opcode_field = false;
  insn.memory = nullptr;
  insn.reads_memory = insn.writes_memory = false;
  insn.memory_bytes = 0;
  for (unsigned i = 0; i < insn.raw.operand_count; ++i) {
    const ZydisDecodedOperand& op = insn.operands[i];
    if (op.type == ZYDIS_OPERAND_TYPE_REGISTER) {
      switch (op.encoding) {
        case ZYDIS_OPERAND_ENCODING_MODRM_REG:
          insn.reg = gpr_field(op);
          break;
        case ZYDIS_OPERAND_ENCODING_MODRM_RM:
          insn.rm = gpr_field(op);
          break;
        case ZYDIS_OPERAND_ENCODING_OPCODE:
          insn.rm = gpr_field(op);
          insn.rm_is_opcode_field = true;
          break;
        case ZYDIS_OPERAND_ENCODING_NDSNDD:
          insn.vvvv = gpr_field(op);
          break;
        default:
          break;
      }
    } else if (op.type == ZYDIS_OPERAND_TYPE_MEMORY && !insn.memory &&
               op.visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT) {
      insn.memory = &op;
      insn.memory_bytes = static_cast<std::uint8_t>(op.size / 8);
      insn.reads_memory = op.actions & ZYDIS_OPERAND_ACTION_MASK_READ;
      insn.writes_memory = op.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
      // Cache line instructions check one byte, wherever in its line it is.
      if (names_cache_line(insn.raw.mnemonic)) insn.memory_bytes = 1;
    }
  }
  // HW: a source of zero leaves the destination as it is.
  if (insn.raw.mnemonic == ZYDIS_MNEMONIC_BSF || insn.raw.mnemonic == ZYDIS_MNEMONIC_BSR)
    insn.reg.read = true;
  // The slow path must have the bytes that such a store keeps.
  insn.reads_memory |= insn.writes_memory && may_keep_bytes(insn);
}

// SDM Vol. 2 "XCHG": with REX.B, F3 90 is no PAUSE but the exchange with R8. A segment override in
// place of F3, which 64-bit code ignores, says so.
void decode_exchange(const ZydisDecoder& decoder, Insn& insn) {
  const std::size_t length = insn.raw.length;
  std::replace(insn.bytes.begin(), insn.bytes.begin() + static_cast<std::ptrdiff_t>(length),
               std::uint8_t{0xf3}, std::uint8_t{0x3e});
  ZydisDecoderDecodeFull(&decoder, insn.bytes.data(), length, &insn.raw, insn.operands.data());
}

}  // namespace

std::uint8_t gpr_number(ZydisRegister r) {
  if (is_high_byte(r)) return static_cast<std::uint8_t>(r - ZYDIS_REGISTER_AH + 4);
  if (r >= ZYDIS_REGISTER_AL && r <= ZYDIS_REGISTER_BL)
    return static_cast<std::uint8_t>(r - ZYDIS_REGISTER_AL);
  if (r >= ZYDIS_REGISTER_SPL && r <= ZYDIS_REGISTER_R15B)
    return static_cast<std::uint8_t>(r - ZYDIS_REGISTER_SPL + 4);
  if (r >= ZYDIS_REGISTER_AX && r <= ZYDIS_REGISTER_R15W)
    return static_cast<std::uint8_t>(r - ZYDIS_REGISTER_AX);
  if (r >= ZYDIS_REGISTER_EAX && r <= ZYDIS_REGISTER_R15D)
    return static_cast<std::uint8_t>(r - ZYDIS_REGISTER_EAX);
  if (r >= ZYDIS_REGISTER_RAX && r <= ZYDIS_REGISTER_R15)
    return static_cast<std::uint8_t>(r - ZYDIS_REGISTER_RAX);
  return kNoRegister;
}

guest::Seg segment_number(ZydisRegister r) {
  switch (r) {
    case ZYDIS_REGISTER_ES:
      return guest::Seg::kEs;
    case ZYDIS_REGISTER_CS:
      return guest::Seg::kCs;
    case ZYDIS_REGISTER_SS:
      return guest::Seg::kSs;
    case ZYDIS_REGISTER_FS:
      return guest::Seg::kFs;
    case ZYDIS_REGISTER_GS:
      return guest::Seg::kGs;
    default:
      return guest::Seg::kDs;
  }
}

bool Insn::writes_gpr(std::uint8_t number) const {
  for (unsigned i = 0; i < raw.operand_count; ++i) {
    const ZydisDecodedOperand& op = operands[i];
    if (op.type != ZYDIS_OPERAND_TYPE_REGISTER || !(op.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
      continue;
    const std::uint8_t written = gpr_number(op.reg.value);
    if (written != kNoRegister && (is_high_byte(op.reg.value) ? written - 4 : written) == number)
      return true;
  }
  return false;
}

std::optional<std::int64_t> Insn::constant_step(std::uint8_t number, unsigned width) const {
  if (operand_bytes() != width) return std::nullopt;
  const ZydisDecodedOperand& source = operands[1];
  const bool immediate = source.type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
  switch (mnemonic()) {
    case ZYDIS_MNEMONIC_INC:
      return 1;
    case ZYDIS_MNEMONIC_DEC:
      return -1;
    case ZYDIS_MNEMONIC_ADD:
      return immediate ? std::optional(source.imm.value.s) : std::nullopt;
    case ZYDIS_MNEMONIC_SUB:
      return immediate ? std::optional(-source.imm.value.s) : std::nullopt;
    case ZYDIS_MNEMONIC_LEA: {
      const MemoryOperand m = memory_operand();
      const bool plain = m.base == number && m.index == kNoRegister && address_bytes() == width;
      return plain ? std::optional(m.displacement) : std::nullopt;
    }
    default:
      return std::nullopt;
  }
}

MemoryOperand Insn::memory_operand() const {
  MemoryOperand m;
  if (!memory) return m;
  const auto& mem = memory->mem;
  m.segment = segment_number(mem.segment);
  const bool rip = mem.base == ZYDIS_REGISTER_RIP || mem.base == ZYDIS_REGISTER_EIP;
  m.base = rip ? kRipBase : gpr_number(mem.base);
  m.index = gpr_number(mem.index);
  m.scale = mem.scale ? mem.scale : 1;
  m.displacement = mem.disp.has_displacement ? mem.disp.value : 0;
  return m;
}

// SDM Vol. 2 "Instruction Exception Specification": the legacy forms of types 2 and 4 have to be
// aligned where the operand has 16 bytes; those of the others that move unaligned data do not.
// HW: AMD's SHA instructions take any address.
unsigned Insn::required_alignment() const {
  if (raw.meta.isa_set == ZYDIS_ISA_SET_SHA) return 1;
  switch (raw.mnemonic) {
    case ZYDIS_MNEMONIC_CMPXCHG16B:
    case ZYDIS_MNEMONIC_CVTPD2PI:
    case ZYDIS_MNEMONIC_CVTTPD2PI:
      return memory_bytes;
    case ZYDIS_MNEMONIC_LDDQU:
    case ZYDIS_MNEMONIC_MOVDQU:
    case ZYDIS_MNEMONIC_MOVUPD:
    case ZYDIS_MNEMONIC_MOVUPS:
    case ZYDIS_MNEMONIC_PCMPESTRI:
    case ZYDIS_MNEMONIC_PCMPESTRM:
    case ZYDIS_MNEMONIC_PCMPISTRI:
    case ZYDIS_MNEMONIC_PCMPISTRM:
      return 1;
    default:
      break;
  }
  switch (raw.meta.exception_class) {
    case ZYDIS_EXCEPTION_CLASS_SSE1:
    case ZYDIS_EXCEPTION_CLASS_AVX1:
    case ZYDIS_EXCEPTION_CLASS_E1:
    case ZYDIS_EXCEPTION_CLASS_E1NF:
      return memory_bytes;
    case ZYDIS_EXCEPTION_CLASS_SSE2:
    case ZYDIS_EXCEPTION_CLASS_SSE4:
      return memory_bytes == 16 ? 16 : 1;
    default:
      return 1;
  }
}

// SDM Vol. 1 "MMX Instructions and x87 FPU Exceptions", "Waiting vs. Non-waiting Instructions".
bool Insn::waits_for_x87() const {
  if (raw.mnemonic == ZYDIS_MNEMONIC_FNSTCW || raw.mnemonic == ZYDIS_MNEMONIC_FNSTSW) return false;
  if (raw.meta.category == ZYDIS_CATEGORY_X87_ALU) return true;
  const auto is_mmx = [](const ZydisDecodedOperand& op) {
    return op.type == ZYDIS_OPERAND_TYPE_REGISTER &&
           ZydisRegisterGetClass(op.reg.value) == ZYDIS_REGCLASS_MMX;
  };
  return std::any_of(operands.begin(), operands.begin() + raw.operand_count, is_mmx);
}

std::uint32_t Insn::flags_read() const {
  if (!raw.cpu_flags) return 0;
  return raw.cpu_flags->tested & static_cast<std::uint32_t>(guest::flags::kArithmetic);
}

std::uint32_t Insn::flags_overwritten() const {
  if (!raw.cpu_flags) return 0;
  // Shifts and rotates by CL leave the flags alone when the count is 0.
  const bool conditional =
      raw.meta.category == ZYDIS_CATEGORY_SHIFT || raw.meta.category == ZYDIS_CATEGORY_ROTATE;
  if (conditional) return 0;
  const ZydisAccessedFlags& f = *raw.cpu_flags;
  // HW: AND, OR, XOR and TEST do write AF. What others leave undefined may be what it was, and so
  // is OF after an LZCNT of AMD's.
  const bool logical = raw.meta.category == ZYDIS_CATEGORY_LOGICAL;
  return (f.modified | f.set_0 | f.set_1 | (logical ? f.undefined : 0)) &
         static_cast<std::uint32_t>(guest::flags::kArithmetic);
}

std::uint32_t Insn::flags_undefined() const {
  if (!raw.cpu_flags) return 0;
  return raw.cpu_flags->undefined & ~flags_overwritten() &
         static_cast<std::uint32_t>(guest::flags::kArithmetic);
}

bool Insn::writes_flags() const {
  if (!raw.cpu_flags) return false;
  const ZydisAccessedFlags& f = *raw.cpu_flags;
  return (f.modified | f.set_0 | f.set_1 | f.undefined) & guest::flags::kArithmetic;
}

Decoder::Decoder(bool lzcnt, bool tzcnt) {
  constexpr std::array<std::pair<ZydisMachineMode, ZydisStackWidth>, 3> kModes = {{
      {ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16},
      {ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32},
      {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
  }};
  for (std::size_t i = 0; i < kModes.size(); ++i) {
    ZydisDecoder& d = decoders_[i];
    ZydisDecoderInit(&d, kModes[i].first, kModes[i].second);
    ZydisDecoderEnableMode(&d, ZYDIS_DECODER_MODE_LZCNT, lzcnt);
    ZydisDecoderEnableMode(&d, ZYDIS_DECODER_MODE_TZCNT, tzcnt);
    ZydisDecoderEnableMode(&d, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
    ZydisDecoderEnableMode(&d, ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
    ZydisDecoderEnableMode(&d, ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
  }
}

std::optional<DecodeError> Decoder::decode(ModeKey mode, std::span<const std::uint8_t> bytes,
                                           std::uint16_t page_offset, Insn& insn) const {
  const ZydisDecoder& d = decoders_[mode.code_bytes() / 4];
  const std::size_t available = std::min(bytes.size(), kMaxInsnBytes);
  const ZyanStatus status =
      ZydisDecoderDecodeFull(&d, bytes.data(), available, &insn.raw, insn.operands.data());
  if (!ZYAN_SUCCESS(status)) {
    if (status == ZYDIS_STATUS_NO_MORE_DATA)
      return available == kMaxInsnBytes ? DecodeError::kTooLong : DecodeError::kTruncated;
    if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG) return DecodeError::kTooLong;
    return DecodeError::kInvalid;
  }
  std::copy_n(bytes.begin(), insn.raw.length, insn.bytes.begin());
  if (insn.mnemonic() == ZYDIS_MNEMONIC_PAUSE && insn.raw.raw.rex.B) decode_exchange(d, insn);
  insn.page_offset = page_offset;
  describe_operands(insn);
  return std::nullopt;
}

}  // namespace ringshift::translator
