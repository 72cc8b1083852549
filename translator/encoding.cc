// translator/encoding.cc - writes a guest instruction again for the host.
// SDM Vol. 2 "Instruction Format"; the host is always in 64-bit mode.
#include "translator/encoding.h"

namespace ringshift::translator {
namespace {

constexpr std::uint8_t kRmSib = 4;  // ModRM.rm value that calls for a SIB byte

// The register fields after the rewrite, as 4-bit numbers.
struct Fields {
  std::uint8_t mod = 3, reg = 0, rm = 0, vvvv = 0;
  bool memory = false;
  bool has_modrm = false;
  const HostOperand* operand = nullptr;
};

bool has_modrm(const Insn& insn) { return insn.has_attribute(ZYDIS_ATTRIB_HAS_MODRM); }

bool is_64bit(const Insn& insn) { return insn.raw.machine_mode == ZYDIS_MACHINE_MODE_LONG_64; }

std::uint8_t extension_bit(std::uint8_t bit) { return static_cast<std::uint8_t>(bit << 3); }

// R and B of the guest's own prefix, in register-number position; inverted fields are made plain.
std::uint8_t guest_r(const Insn& insn) {
  switch (insn.raw.encoding) {
    case ZYDIS_INSTRUCTION_ENCODING_VEX:
      return extension_bit(insn.raw.raw.vex.R ^ 1);
    case ZYDIS_INSTRUCTION_ENCODING_EVEX:
      return extension_bit(insn.raw.raw.evex.R ^ 1);
    default:
      return extension_bit(insn.raw.raw.rex.R);
  }
}
std::uint8_t guest_b(const Insn& insn) {
  if (!is_64bit(insn)) return 0;  // ignored there
  switch (insn.raw.encoding) {
    case ZYDIS_INSTRUCTION_ENCODING_VEX:
      return extension_bit(insn.raw.raw.vex.B ^ 1);
    case ZYDIS_INSTRUCTION_ENCODING_EVEX:
      return extension_bit(insn.raw.raw.evex.B ^ 1);
    default:
      return extension_bit(insn.raw.raw.rex.B);
  }
}

std::uint8_t operand_mod(const Insn& insn, const HostOperand& operand) {
  constexpr std::uint8_t kNeedsDisplacement = 5;  // RBP and R13 as base
  if (operand.base == kNoRegister) return 0;
  if (operand.displacement == 0 && (operand.base & 7) != kNeedsDisplacement) return 0;
  const bool evex = insn.raw.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX;
  return !evex && operand.displacement == static_cast<std::int8_t>(operand.displacement) ? 1 : 2;
}

bool has_high_index(const Fields& f) {
  return f.operand && f.operand->index != kNoRegister && (f.operand->index & 8);
}

Fields fields_of(const Insn& insn, const Rewrite& w) {
  Fields f;
  f.has_modrm = has_modrm(insn);
  const auto& modrm = insn.raw.raw.modrm;
  if (f.has_modrm) {
    f.reg = modrm.reg | guest_r(insn);
    f.rm = modrm.rm | guest_b(insn);
    f.mod = modrm.mod;
  }
  if (w.reg != kNoRegister) f.reg = w.reg;
  if (w.rm != kNoRegister) f.rm = w.rm;
  if (w.base != kNoRegister) {
    f.memory = true;
    f.rm = w.base;
    // EVEX scales an 8-bit displacement by the operand's size: there it takes 32 bits.
    const bool evex = insn.raw.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX;
    f.mod = w.displacement == 0 ? 0 : evex ? 2 : 1;
  }
  if (w.operand) {
    f.memory = true;
    f.operand = w.operand;
    f.rm = w.operand->base != kNoRegister ? w.operand->base : 0;
    f.mod = operand_mod(insn, *w.operand);
  }
  return f;
}

bool is_simd(const Insn& insn) {
  switch (insn.raw.meta.isa_set) {
    case ZYDIS_ISA_SET_SSE:
    case ZYDIS_ISA_SET_SSE2:
    case ZYDIS_ISA_SET_SSE2MMX:
    case ZYDIS_ISA_SET_SSE3:
    case ZYDIS_ISA_SET_SSE3X87:
    case ZYDIS_ISA_SET_SSE4:
    case ZYDIS_ISA_SET_SSE42:
    case ZYDIS_ISA_SET_SSE4A:
    case ZYDIS_ISA_SET_SSSE3:
    case ZYDIS_ISA_SET_SSSE3MMX:
    case ZYDIS_ISA_SET_SSEMXCSR:
    case ZYDIS_ISA_SET_PENTIUMMMX:
    case ZYDIS_ISA_SET_X87:
    case ZYDIS_ISA_SET_FCMOV:
    case ZYDIS_ISA_SET_AES:
    case ZYDIS_ISA_SET_PCLMULQDQ:
    case ZYDIS_ISA_SET_SHA:
    case ZYDIS_ISA_SET_GFNI:
      return true;
    default:
      return false;
  }
}

void put_legacy_prefixes(const Insn& insn, ModeKey mode, HostBytes& out) {
  if (insn.has_attribute(ZYDIS_ATTRIB_HAS_LOCK)) out.put(0xf0);
  bool has_66 = false;
  for (unsigned i = 0; i < insn.raw.raw.prefix_count; ++i) {
    const auto& p = insn.raw.raw.prefixes[i];
    const bool mandatory = p.type == ZYDIS_PREFIX_TYPE_MANDATORY;
    if (p.value == 0x66) {
      // Elsewhere 66H is the operand size, which the host spells by its own default of 32 bits.
      const bool simd_size =
          is_simd(insn) && p.type == ZYDIS_PREFIX_TYPE_EFFECTIVE && mode.code_bytes() != 2;
      if ((mandatory || simd_size) && !has_66) {
        out.put(0x66);
        has_66 = true;
      }
    } else if ((p.value == 0xf2 || p.value == 0xf3) && mandatory) {
      out.put(p.value);
    }
  }
  if (!has_66 && insn.raw.operand_width == 16 && !is_simd(insn) &&
      insn.raw.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY)
    out.put(0x66);
}

std::uint8_t rex_bits(const Insn& insn, const Fields& f, std::uint8_t opcode_register) {
  std::uint8_t bits = 0;
  if (insn.raw.raw.rex.W) bits |= 8;
  if (f.has_modrm) {
    if (f.reg & 8) bits |= 4;
    if (has_high_index(f)) bits |= 2;
    if (f.rm & 8) bits |= 1;
  } else if (opcode_register & 8) {
    bits |= 1;
  }
  return bits;
}

std::uint8_t opcode_register(const Insn& insn, const Rewrite& w) {
  if (!insn.rm_is_opcode_field) return 0;
  return w.rm != kNoRegister ? w.rm : insn.rm.number;
}

bool needs_rex_for_byte(const GprField& f, std::uint8_t host) {
  return f.used && f.bytes == 1 && !f.high_byte && host >= 4 && host < 8;
}

std::uint8_t rex_prefix(const Insn& insn, const Fields& f, const Rewrite& w) {
  const std::uint8_t bits = rex_bits(insn, f, opcode_register(insn, w));
  const bool byte_register =
      needs_rex_for_byte(insn.reg, f.reg) ||
      (!f.memory &&
       needs_rex_for_byte(insn.rm, insn.rm_is_opcode_field ? opcode_register(insn, w) : f.rm));
  return bits || byte_register ? 0x40 | bits : 0;
}

// W chooses between 32- and 64-bit general registers, and no more. Other modes than 64-bit ignore
// it there. SDM Vol. 2 "VEX and the REX.W bit".
bool w_is_register_width(const Insn& insn) {
  switch (insn.mnemonic()) {
    case ZYDIS_MNEMONIC_VMOVD:
    case ZYDIS_MNEMONIC_VPINSRD:
    case ZYDIS_MNEMONIC_VPEXTRD:
    case ZYDIS_MNEMONIC_VCVTSI2SS:
    case ZYDIS_MNEMONIC_VCVTSI2SD:
    case ZYDIS_MNEMONIC_VCVTUSI2SS:
    case ZYDIS_MNEMONIC_VCVTUSI2SD:
      return true;
    default:
      break;
  }
  for (unsigned i = 0; i < insn.raw.operand_count; ++i)
    if (insn.operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
        gpr_number(insn.operands[i].reg.value) != kNoRegister)
      return true;
  return false;
}

bool host_w(const Insn& insn, bool guest_w) {
  return guest_w && (is_64bit(insn) || !w_is_register_width(insn));
}

// The last byte names a register in bits 7:4; bit 7 is ignored outside 64-bit mode.
bool has_register_immediate(const Insn& insn) {
  for (unsigned i = 0; i < insn.raw.operand_count; ++i)
    if (insn.operands[i].encoding == ZYDIS_OPERAND_ENCODING_IS4) return true;
  return false;
}

void put_vex(const Insn& insn, const Fields& f, const Rewrite& w, HostBytes& out) {
  const auto& v = insn.raw.raw.vex;
  const std::uint8_t ignored = is_64bit(insn) ? 0 : 8;
  const std::uint8_t vvvv =
      w.vvvv != kNoRegister ? static_cast<std::uint8_t>(w.vvvv ^ 0xf) : v.vvvv | ignored;
  // X and B of the guest's prefix are plain 1 in the two-byte form.
  const bool two_byte = v.size == 2 && !(f.rm & 8) && !has_high_index(f);
  const std::uint8_t last = static_cast<std::uint8_t>(vvvv << 3 | v.L << 2 | v.pp);
  const std::uint8_t r = f.reg & 8 ? 0 : 0x80;
  if (two_byte) {
    out.put(0xc5);
    out.put(r | last);
    return;
  }
  out.put(0xc4);
  const std::uint8_t map = v.size == 2 ? 1 : v.m_mmmm;
  const std::uint8_t x = has_high_index(f) ? 0 : 0x40;
  out.put(static_cast<std::uint8_t>(r | x | (f.rm & 8 ? 0 : 0x20) | map));
  out.put(static_cast<std::uint8_t>((host_w(insn, v.size == 3 && v.W) ? 0x80 : 0) | last));
}

void put_evex(const Insn& insn, const Fields& f, const Rewrite& w, HostBytes& out) {
  const auto& e = insn.raw.raw.evex;
  const std::uint8_t* p = insn.bytes.data() + e.offset;
  out.put(0x62);
  std::uint8_t p0 = p[1], p1 = p[2];
  p0 = static_cast<std::uint8_t>((p0 & ~0x80) | (f.reg & 8 ? 0 : 0x80));
  p0 = static_cast<std::uint8_t>((p0 & ~0x20) | (f.rm & 8 ? 0 : 0x20));
  if (f.memory) p0 = static_cast<std::uint8_t>(has_high_index(f) ? p0 & ~0x40 : p0 | 0x40);  // X
  if (!is_64bit(insn)) {  // R' and vvvv[3] are ignored there
    p0 |= 0x10;
    p1 |= 0x40;
  }
  if (!host_w(insn, e.W)) p1 &= 0x7f;
  if (w.vvvv != kNoRegister)
    p1 = static_cast<std::uint8_t>((p1 & ~0x78) | ((w.vvvv ^ 0xf) & 0xf) << 3);
  out.put(p0);
  out.put(p1);
  out.put(p[3]);
}

std::size_t opcode_start(const Insn& insn) {
  const auto& raw = insn.raw.raw;
  switch (insn.raw.encoding) {
    case ZYDIS_INSTRUCTION_ENCODING_VEX:
      return raw.vex.offset + raw.vex.size;
    case ZYDIS_INSTRUCTION_ENCODING_EVEX:
      return raw.evex.offset + 4u;
    default:
      return raw.prefix_count;
  }
}

std::size_t immediate_start(const Insn& insn) {
  const auto& raw = insn.raw.raw;
  if (!has_modrm(insn)) return raw.imm[0].size ? raw.imm[0].offset : insn.raw.length;
  std::size_t at = raw.modrm.offset + 1u;
  if (insn.has_attribute(ZYDIS_ATTRIB_HAS_SIB)) at = raw.sib.offset + 1u;
  if (raw.disp.size) at = raw.disp.offset + raw.disp.size / 8u;
  return at;
}

// Opcode bytes, with the encodings that mean something else in 64-bit mode replaced.
void put_opcode(const Insn& insn, const Rewrite& w, HostBytes& out) {
  const std::size_t first = opcode_start(insn);
  const std::size_t end = has_modrm(insn) ? insn.raw.raw.modrm.offset : immediate_start(insn);
  const std::uint8_t register_bits = opcode_register(insn, w) & 7;
  for (std::size_t i = first; i < end; ++i) {
    std::uint8_t b = insn.bytes[i];
    const bool last = i + 1 == end;
    if (last && insn.rm_is_opcode_field) b = static_cast<std::uint8_t>((b & ~7) | register_bits);
    if (last && first + 1 == end && b == 0x82) b = 0x80;  // alias of 80H outside 64-bit mode
    out.put(b);
  }
}

bool is_short_inc_dec(const Insn& insn) {
  return insn.raw.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY && insn.rm_is_opcode_field &&
         (insn.mnemonic() == ZYDIS_MNEMONIC_INC || insn.mnemonic() == ZYDIS_MNEMONIC_DEC);
}

// 40H..4FH are REX prefixes on the host: INC and DEC become FF /0 and FF /1.
HostBytes encode_inc_dec(const Insn& insn, ModeKey mode, const Rewrite& w) {
  HostBytes out;
  put_legacy_prefixes(insn, mode, out);
  const std::uint8_t number = opcode_register(insn, w);
  if (number & 8) out.put(0x41);
  out.put(0xff);
  const std::uint8_t digit = insn.mnemonic() == ZYDIS_MNEMONIC_DEC ? 1 : 0;
  out.put(static_cast<std::uint8_t>(0xc0 | digit << 3 | (number & 7)));
  return out;
}

void put_displacement(std::int32_t value, unsigned bytes, HostBytes& out) {
  const auto displacement = static_cast<std::uint32_t>(value);
  for (unsigned n = 0; n < bytes; ++n) out.put(static_cast<std::uint8_t>(displacement >> (8 * n)));
}

// SDM Vol. 2 "ModR/M and SIB Bytes".
void put_operand(const Fields& f, HostBytes& out) {
  constexpr std::uint8_t kNone = 4, kNoBase = 5;
  const HostOperand& o = *f.operand;
  const bool no_base = o.base == kNoRegister, no_index = o.index == kNoRegister;
  const bool sib = no_base || !no_index || (o.base & 7) == kRmSib;
  const unsigned rm = sib ? kRmSib : o.base & 7u;
  out.put(static_cast<std::uint8_t>(f.mod << 6 | (f.reg & 7) << 3 | rm));
  if (sib) {
    const unsigned index = no_index ? kNone : o.index & 7u, base = no_base ? kNoBase : o.base & 7u;
    out.put(static_cast<std::uint8_t>(o.scale_shift << 6 | index << 3 | base));
  }
  put_displacement(o.displacement, no_base || f.mod == 2 ? 4 : f.mod, out);
}

void put_modrm(const Fields& f, const Rewrite& w, HostBytes& out) {
  out.put(static_cast<std::uint8_t>(f.mod << 6 | (f.reg & 7) << 3 | (f.rm & 7)));
  if (!f.memory) return;
  if ((f.rm & 7) == kRmSib) out.put(0x24);  // SIB: no index, base RSP
  put_displacement(w.displacement, f.mod == 2 ? 4 : f.mod, out);
}

}  // namespace

bool high_byte_conflict(const Insn& insn, const Rewrite& w) {
  if (!insn.reg.high_byte && !insn.rm.high_byte) return false;
  return rex_prefix(insn, fields_of(insn, w), w) != 0;
}

HostBytes encode_for_host(const Insn& insn, ModeKey mode, const Rewrite& w) {
  if (is_short_inc_dec(insn)) return encode_inc_dec(insn, mode, w);
  HostBytes out;
  const Fields f = fields_of(insn, w);
  if (w.operand && w.operand->flat_window) {
    out.put(0x65);  // GS
    out.put(0x67);  // address size
  }
  switch (insn.raw.encoding) {
    case ZYDIS_INSTRUCTION_ENCODING_VEX:
      put_vex(insn, f, w, out);
      break;
    case ZYDIS_INSTRUCTION_ENCODING_EVEX:
      put_evex(insn, f, w, out);
      break;
    default:
      put_legacy_prefixes(insn, mode, out);
      if (const std::uint8_t rex = rex_prefix(insn, f, w)) out.put(rex);
  }
  put_opcode(insn, w, out);
  if (f.operand)
    put_operand(f, out);
  else if (f.has_modrm)
    put_modrm(f, w, out);
  const std::uint8_t ignored = !is_64bit(insn) && has_register_immediate(insn) ? 0x80 : 0;
  for (std::size_t i = immediate_start(insn); i < insn.raw.length; ++i)
    out.put(static_cast<std::uint8_t>(insn.bytes[i] & ~ignored));
  return out;
}

}  // namespace ringshift::translator
