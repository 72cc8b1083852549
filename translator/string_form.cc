// translator/string_form.cc - which string instructions a block does itself: by instruction and
// mode.
#include "translator/string_form.h"

namespace ringshift::translator {
namespace {

constexpr std::uint8_t kRepeats = prefix::kRep | prefix::kRepne;

// Pointers as wide as the mode's, in segments that start at 0 and have no limit. FS and GS are as
// rare as an override is; #SS needs more than that.
bool plain_addresses(const Operation& op, ModeKey mode) {
  const guest::Seg source = op.memory.segment;
  if (source == guest::Seg::kFs || source == guest::Seg::kGs) return false;
  if (mode.is_64bit()) return op.address_bytes == 8;
  return mode.flat() && mode.code_bytes() == 4 && op.address_bytes == 4 &&
         source != guest::Seg::kSs;
}

}  // namespace

std::optional<StringKind> string_kind(const Insn& insn) {
  if (insn.raw.meta.category != ZYDIS_CATEGORY_STRINGOP) return std::nullopt;
  switch (insn.mnemonic()) {
    case ZYDIS_MNEMONIC_MOVSB:
    case ZYDIS_MNEMONIC_MOVSW:
    case ZYDIS_MNEMONIC_MOVSD:
    case ZYDIS_MNEMONIC_MOVSQ:
      return StringKind::kMovs;
    case ZYDIS_MNEMONIC_STOSB:
    case ZYDIS_MNEMONIC_STOSW:
    case ZYDIS_MNEMONIC_STOSD:
    case ZYDIS_MNEMONIC_STOSQ:
      return StringKind::kStos;
    case ZYDIS_MNEMONIC_LODSB:
    case ZYDIS_MNEMONIC_LODSW:
    case ZYDIS_MNEMONIC_LODSD:
    case ZYDIS_MNEMONIC_LODSQ:
      return StringKind::kLods;
    case ZYDIS_MNEMONIC_CMPSB:
    case ZYDIS_MNEMONIC_CMPSW:
    case ZYDIS_MNEMONIC_CMPSD:
    case ZYDIS_MNEMONIC_CMPSQ:
      return StringKind::kCmps;
    case ZYDIS_MNEMONIC_SCASB:
    case ZYDIS_MNEMONIC_SCASW:
    case ZYDIS_MNEMONIC_SCASD:
    case ZYDIS_MNEMONIC_SCASQ:
      return StringKind::kScas;
    default:
      return std::nullopt;
  }
}

// SDM Vol. 3 "Single-Step Exception Condition": a trap after each iteration, by the call-out.
StringForm string_form(const Insn& insn, const Operation& op, ModeKey mode, bool has_bmi2) {
  const auto kind = string_kind(insn);
  if (!kind || mode.single() || mode.alignment_check() || (op.prefixes & prefix::kLock) ||
      !plain_addresses(op, mode))
    return StringForm::kNone;
  if (op.prefixes & kRepeats)
    return *kind == StringKind::kLods ? StringForm::kNone : StringForm::kRepeated;
  return has_bmi2 ? StringForm::kSingle : StringForm::kNone;
}

}  // namespace ringshift::translator
