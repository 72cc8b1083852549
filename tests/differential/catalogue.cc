// tests/differential/catalogue.cc - walks the opcode maps.
#include "tests/differential/catalogue.h"

#include <algorithm>
#include <string_view>

namespace ringshift::differential {
namespace {

constexpr std::uint8_t kPrefixes[] = {0, 0x66, 0xf3, 0xf2};

std::uint8_t pp_of(std::uint8_t prefix) {
  return prefix == 0x66 ? 1 : prefix == 0xf3 ? 2 : prefix == 0xf2 ? 3 : 0;
}

struct Decoded {
  bool ok = false;
  ZydisDecodedInstruction insn;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

Decoded decode(const ZydisDecoder& decoder, Bytes bytes) {
  Decoded d;
  bytes.resize(bytes.size() + 10);
  d.ok = ZYAN_SUCCESS(ZydisDecoderDecodeFull(
      &decoder, bytes.data(), std::min<std::size_t>(bytes.size(), 15), &d.insn, d.operands));
  return d;
}

bool has_needless_prefix(const ZydisDecodedInstruction& insn) {
  for (unsigned i = 0; i < insn.raw.prefix_count; ++i)
    if (insn.raw.prefixes[i].type == ZYDIS_PREFIX_TYPE_IGNORED) return true;
  return false;
}

// Either may fault only by its nature as a system instruction, or shows what differs between a
// process and a guest on purpose.
bool is_excluded_set(ZydisISASet set) {
  switch (set) {
    case ZYDIS_ISA_SET_VTX:
    case ZYDIS_ISA_SET_VMFUNC:
    case ZYDIS_ISA_SET_SVM:
    case ZYDIS_ISA_SET_SGX:
    case ZYDIS_ISA_SET_SGX_ENCLV:
    case ZYDIS_ISA_SET_SMX:
    case ZYDIS_ISA_SET_TDX:
    case ZYDIS_ISA_SET_SNP:
    case ZYDIS_ISA_SET_AMD_INVLPGB:
    case ZYDIS_ISA_SET_PCONFIG:
    case ZYDIS_ISA_SET_UINTR:
    case ZYDIS_ISA_SET_KEYLOCKER:
    case ZYDIS_ISA_SET_KEYLOCKER_WIDE:
    case ZYDIS_ISA_SET_ENQCMD:
    case ZYDIS_ISA_SET_CET:
    case ZYDIS_ISA_SET_HRESET:
    case ZYDIS_ISA_SET_MCOMMIT:
    case ZYDIS_ISA_SET_MONITORX:
    case ZYDIS_ISA_SET_MONITOR:
    case ZYDIS_ISA_SET_RDPRU:
    case ZYDIS_ISA_SET_CLZERO:
    case ZYDIS_ISA_SET_RDPID:
    case ZYDIS_ISA_SET_RDPMC:
    case ZYDIS_ISA_SET_RDRAND:
    case ZYDIS_ISA_SET_RDSEED:
    case ZYDIS_ISA_SET_RDTSCP:
    case ZYDIS_ISA_SET_PKU:
    case ZYDIS_ISA_SET_RTM:
    case ZYDIS_ISA_SET_WAITPKG:
    case ZYDIS_ISA_SET_XSAVE:
    case ZYDIS_ISA_SET_XSAVEC:
    case ZYDIS_ISA_SET_XSAVEOPT:
    case ZYDIS_ISA_SET_XSAVES:
    case ZYDIS_ISA_SET_AMX_TILE:
    // May run although CPUID does not offer them.
    case ZYDIS_ISA_SET_MOVDIR:
    case ZYDIS_ISA_SET_SSE4A:
      return true;
    default:
      return false;
  }
}

bool is_excluded_mnemonic(ZydisMnemonic m) {
  switch (m) {
    // Linux's own entry points.
    case ZYDIS_MNEMONIC_SYSCALL:
    case ZYDIS_MNEMONIC_SYSENTER:
    case ZYDIS_MNEMONIC_SYSEXIT:
    case ZYDIS_MNEMONIC_SYSRET:
    case ZYDIS_MNEMONIC_INT:
    case ZYDIS_MNEMONIC_INT1:
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ:
    // Show the machine.
    case ZYDIS_MNEMONIC_CPUID:
    case ZYDIS_MNEMONIC_RDTSC:
    case ZYDIS_MNEMONIC_SGDT:
    case ZYDIS_MNEMONIC_SIDT:
    case ZYDIS_MNEMONIC_SLDT:
    case ZYDIS_MNEMONIC_STR:
    case ZYDIS_MNEMONIC_SMSW:
    case ZYDIS_MNEMONIC_LAR:
    case ZYDIS_MNEMONIC_LSL:
    case ZYDIS_MNEMONIC_VERR:
    case ZYDIS_MNEMONIC_VERW:
    // Segment registers are the harness's.
    case ZYDIS_MNEMONIC_LDS:
    case ZYDIS_MNEMONIC_LES:
    case ZYDIS_MNEMONIC_LFS:
    case ZYDIS_MNEMONIC_LGS:
    case ZYDIS_MNEMONIC_LSS:
    // Store the last instruction's address, which a translator has elsewhere.
    case ZYDIS_MNEMONIC_FNSTENV:
    case ZYDIS_MNEMONIC_FNSAVE:
    case ZYDIS_MNEMONIC_FXSAVE:
    case ZYDIS_MNEMONIC_FXSAVE64:
      return true;
    default:
      return false;
  }
}

bool writes_segment(const ZydisDecodedInstruction& insn, const ZydisDecodedOperand* operands) {
  for (unsigned i = 0; i < insn.operand_count; ++i)
    if (operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
        ZydisRegisterGetClass(operands[i].reg.value) == ZYDIS_REGCLASS_SEGMENT &&
        (operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
      return true;
  return false;
}

Catalogue::Group group_of(const Form& f) {
  if (f.encoding == Encoding::kEvex) return Catalogue::kEvex;
  if (f.encoding == Encoding::kVex) return Catalogue::kVex;
  switch (f.set) {
    case ZYDIS_ISA_SET_X87:
    case ZYDIS_ISA_SET_FCMOV:
    case ZYDIS_ISA_SET_SSE3X87:
      return Catalogue::kX87;
    case ZYDIS_ISA_SET_SSE:
    case ZYDIS_ISA_SET_SSE2:
    case ZYDIS_ISA_SET_SSE2MMX:
    case ZYDIS_ISA_SET_SSE3:
    case ZYDIS_ISA_SET_SSE4:
    case ZYDIS_ISA_SET_SSE42:
    case ZYDIS_ISA_SET_SSE4A:
    case ZYDIS_ISA_SET_SSEMXCSR:
    case ZYDIS_ISA_SET_SSSE3:
    case ZYDIS_ISA_SET_SSSE3MMX:
    case ZYDIS_ISA_SET_PENTIUMMMX:
    case ZYDIS_ISA_SET_AES:
    case ZYDIS_ISA_SET_PCLMULQDQ:
    case ZYDIS_ISA_SET_SHA:
    case ZYDIS_ISA_SET_GFNI:
      return Catalogue::kSse;
    default:
      return Catalogue::kInteger;
  }
}

}  // namespace

ZydisDecoder make_decoder(unsigned bits) {
  ZydisDecoder d;
  ZydisDecoderInit(&d, bits == 64 ? ZYDIS_MACHINE_MODE_LONG_64 : ZYDIS_MACHINE_MODE_LEGACY_32,
                   bits == 64 ? ZYDIS_STACK_WIDTH_64 : ZYDIS_STACK_WIDTH_32);
  return d;
}

bool is_safe(const ZydisDecodedInstruction& insn, const ZydisDecodedOperand* operands) {
  return !is_excluded_set(insn.meta.isa_set) && !is_excluded_mnemonic(insn.mnemonic) &&
         insn.meta.branch_type != ZYDIS_BRANCH_TYPE_FAR && !writes_segment(insn, operands);
}

Bytes encode(const Form& f, const Fields& x, unsigned bits) {
  Bytes out;
  const auto put = [&out](unsigned b) { out.push_back(static_cast<std::uint8_t>(b)); };
  const auto inverted = [](bool bit, unsigned place) { return bit ? 0u : place; };
  switch (f.encoding) {
    case Encoding::kLegacy:
      if (f.prefix) put(f.prefix);
      if (bits == 64 && (x.rex || f.w)) put(0x40 | x.rex | (f.w ? 8 : 0));
      if (f.map) put(0x0f);
      if (f.map == 2) put(0x38);
      if (f.map == 3) put(0x3a);
      break;
    case Encoding::kVex: {
      const unsigned last = (~x.vvvv & 15u) << 3 | (f.length & 1u) << 2 | pp_of(f.prefix);
      if (f.map == 1 && !f.w && !(x.rm & 8) && !(x.index_high & 1) && (x.mask & 1)) {
        put(0xc5);
        put(inverted(x.reg & 8, 0x80) | last);
      } else {
        put(0xc4);
        put(inverted(x.reg & 8, 0x80) | inverted(x.index_high & 1, 0x40) |
            inverted(x.rm & 8, 0x20) | f.map);
        put((f.w ? 0x80u : 0u) | last);
      }
      break;
    }
    case Encoding::kEvex: {
      put(0x62);
      const bool x_bit = f.memory ? x.index_high & 1 : x.rm & 16;
      put(inverted(x.reg & 8, 0x80) | inverted(x_bit, 0x40) | inverted(x.rm & 8, 0x20) |
          inverted(x.reg & 16, 0x10) | f.map);
      put((f.w ? 0x80u : 0u) | (~x.vvvv & 15u) << 3 | 4 | pp_of(f.prefix));
      const bool v_high = x.vvvv & 16;
      put((x.zeroing ? 0x80u : 0u) | (f.length & 3u) << 5 | (f.broadcast ? 0x10u : 0u) |
          inverted(v_high, 8) | x.mask);
      break;
    }
  }
  put(f.opcode);
  if (f.has_modrm) {
    const unsigned reg = f.reg >= 0 ? static_cast<unsigned>(f.reg) : x.reg & 7u;
    const unsigned rm = f.rm >= 0 ? static_cast<unsigned>(f.rm) : x.rm & 7u;
    put((f.memory ? x.mod : 3u) << 6 | reg << 3 | rm);
    out.insert(out.end(), x.tail.begin(), x.tail.end());
  }
  return out;
}

Catalogue::Catalogue(unsigned bits, const std::vector<std::string>& isa) : bits_(bits), isa_(isa) {
  const ZydisDecoder decoder = make_decoder(bits);
  Form f;
  for (unsigned opcode = 0; opcode < 256; ++opcode)
    for (std::uint8_t prefix : kPrefixes) {
      f.opcode = static_cast<std::uint8_t>(opcode);
      f.prefix = prefix;
      for (bool w : {false, true}) {
        f.w = w;
        if (w && bits == 32) break;
        f.encoding = Encoding::kLegacy;
        f.length = 0;
        f.broadcast = false;
        for (std::uint8_t map = 0; map < 4; ++map) {
          f.map = map;
          enumerate_opcode(decoder, f);
        }
      }
      for (bool w : {false, true}) {
        f.w = w;
        for (std::uint8_t map = 1; map < 4; ++map)
          for (std::uint8_t length = 0; length < 4; ++length) {
            f.map = map;
            f.length = length;
            f.encoding = Encoding::kVex;
            f.broadcast = false;
            if (length < 2) enumerate_opcode(decoder, f);
            f.encoding = Encoding::kEvex;
            for (bool b : {false, true}) {
              f.broadcast = b;
              enumerate_opcode(decoder, f);
            }
          }
      }
    }
}

// Tries all ModRM bytes, to see which of its fields are part of the opcode.
void Catalogue::enumerate_opcode(const ZydisDecoder& decoder, Form f) {
  // Bytes that are prefixes or escapes.
  if (f.encoding == Encoding::kLegacy && f.map == 0) {
    const std::uint8_t o = f.opcode;
    if (o == 0x0f || o == 0x26 || o == 0x2e || o == 0x36 || o == 0x3e || (o >= 0x64 && o <= 0x67) ||
        o == 0xf0 || o == 0xf2 || o == 0xf3)
      return;
    if (bits_ == 64 && o >= 0x40 && o <= 0x4f) return;
  }
  if (f.encoding == Encoding::kLegacy && f.map == 1 && (f.opcode == 0x38 || f.opcode == 0x3a))
    return;
  Fields x;
  x.vvvv = 0;
  x.mask = 0;
  f.has_modrm = false;
  f.reg = f.rm = -1;
  if (const Decoded d = decode(decoder, encode(f, x, bits_));
      d.ok && !(d.insn.attributes & ZYDIS_ATTRIB_HAS_MODRM))
    return add_form(decoder, f);
  f.has_modrm = true;
  for (bool memory : {false, true}) {
    f.memory = memory;
    const unsigned rms = memory ? 1 : 8;
    ZydisMnemonic found[8][8];
    bool by_reg = false, by_rm = false, any = false;
    for (unsigned reg = 0; reg < 8; ++reg)
      for (unsigned rm = 0; rm < rms; ++rm) {
        f.reg = static_cast<std::int8_t>(reg);
        f.rm = static_cast<std::int8_t>(memory ? 3 : rm);
        x.mod = 0;
        Decoded d = decode(decoder, encode(f, x, bits_));
        // Gathers and masked stores want a SIB byte with an index, and a mask.
        for (std::uint8_t mask : {0, 1})
          if (!d.ok && memory && f.encoding != Encoding::kLegacy) {
            Form g = f;
            g.rm = 4;
            Fields y = x;
            y.rm = 4;
            y.tail = {0x13};  // [rbx + index 2]
            y.mask = mask;
            y.vvvv = f.encoding == Encoding::kVex ? 5 : 0;
            d = decode(decoder, encode(g, y, bits_));
          }
        found[reg][rm] = d.ok ? d.insn.mnemonic : ZYDIS_MNEMONIC_INVALID;
        any |= d.ok;
        by_reg |= found[reg][rm] != found[0][0] && rm == 0;
        by_rm |= found[reg][rm] != found[reg][0];
      }
    if (!any) continue;
    for (unsigned reg = 0; reg < (by_reg || by_rm ? 8u : 1u); ++reg)
      for (unsigned rm = 0; rm < (by_rm ? rms : 1u); ++rm) {
        if (found[reg][rm] == ZYDIS_MNEMONIC_INVALID) continue;
        f.reg = static_cast<std::int8_t>(by_reg || by_rm ? static_cast<int>(reg) : -1);
        f.rm = static_cast<std::int8_t>(by_rm ? static_cast<int>(rm) : -1);
        add_form(decoder, f);
      }
  }
}

void Catalogue::add_form(const ZydisDecoder& decoder, Form f) {
  Fields x;
  x.mod = 0;
  x.rm = 3;
  Decoded d;
  // The operands that suit: with VSIB and mask, with vvvv unused (inverted 15: 0) or not.
  for (unsigned attempt = 0; attempt < 4 && !d.ok; ++attempt) {
    Fields y = x;
    y.mask = attempt & 1;
    if (attempt & 2) {
      y.rm = 4;
      y.tail = {0x13};
      y.vvvv = f.encoding == Encoding::kVex ? 5 : 0;
    }
    y.reg = 1;
    d = decode(decoder, encode(f, y, bits_));
  }
  if (!d.ok) return;
  if (f.encoding == Encoding::kLegacy && has_needless_prefix(d.insn)) return;
  if (!is_safe(d.insn, d.operands)) return;
  f.mnemonic = d.insn.mnemonic;
  f.set = d.insn.meta.isa_set;
  if (wanted(f)) add(group_of(f), f);
}

bool Catalogue::wanted(const Form& f) const {
  if (isa_.empty()) return true;
  const std::string_view name = ZydisISASetGetString(f.set);
  return std::any_of(isa_.begin(), isa_.end(),
                     [&](const std::string& s) { return name.find(s) != name.npos; });
}

void Catalogue::add(Group g, const Form& form) {
  auto& group = groups_[g];
  auto it = std::find_if(group.begin(), group.end(),
                         [&](const Mnemonic& m) { return m.mnemonic == form.mnemonic; });
  if (it == group.end()) it = group.insert(it, {form.mnemonic, {}});
  it->forms.push_back(form);
}

std::size_t Catalogue::forms() const {
  std::size_t n = 0;
  for (const auto& g : groups_)
    for (const Mnemonic& m : g) n += m.forms.size();
  return n;
}

}  // namespace ringshift::differential
