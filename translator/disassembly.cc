// translator/disassembly.cc - code as text for people.
#include "translator/disassembly.h"

#include <Zydis/Zydis.h>
#include <fmt/core.h>

#include <array>
#include <tuple>

#include "translator/instruction_table.h"
#include "translator/listing.h"

namespace ringshift::translator {
namespace {

ZydisDecoder decoder_of(unsigned code_bytes) {
  ZydisDecoder decoder;
  if (code_bytes == 8)
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  else if (code_bytes == 4)
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
  else
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
  return decoder;
}

ZydisFormatter formatter_of(Syntax syntax) {
  ZydisFormatter formatter;
  ZydisFormatterInit(
      &formatter, syntax == Syntax::kAtt ? ZYDIS_FORMATTER_STYLE_ATT : ZYDIS_FORMATTER_STYLE_INTEL);
  return formatter;
}

bool is_register_of(const ZydisDecodedOperand& operand, ZydisRegisterClass kind) {
  return operand.type == ZYDIS_OPERAND_TYPE_REGISTER &&
         ZydisRegisterGetClass(operand.reg.value) == kind;
}

// The forms of MOV that have rules of their own; -1: not one of them.
int row_of_move(const ZydisDecodedOperand* operands) {
  static constexpr std::array kForms = {
      std::tuple{ZYDIS_REGCLASS_CONTROL, FormRow::kMovToControl, FormRow::kMovFromControl},
      std::tuple{ZYDIS_REGCLASS_DEBUG, FormRow::kMovToDebug, FormRow::kMovFromDebug},
      std::tuple{ZYDIS_REGCLASS_SEGMENT, FormRow::kMovToSegment, FormRow::kMovFromSegment}};
  for (const auto& [kind, to, from] : kForms) {
    if (is_register_of(operands[0], kind)) return find_row(to);
    if (is_register_of(operands[1], kind)) return find_row(from);
  }
  return -1;
}

int row_of(const ZydisDecodedInstruction& insn, const ZydisDecodedOperand* operands) {
  const bool far = insn.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
  switch (insn.mnemonic) {
    case ZYDIS_MNEMONIC_MOV:
      return row_of_move(operands);
    case ZYDIS_MNEMONIC_CALL:
      return far ? find_row(FormRow::kFarCall) : -1;
    case ZYDIS_MNEMONIC_JMP:
      return far ? find_row(FormRow::kFarJump) : -1;
    case ZYDIS_MNEMONIC_RET:
      return far ? find_row(FormRow::kFarReturn) : -1;
    default:
      return insn.meta.category == ZYDIS_CATEGORY_STRINGOP ? -1 : find_row(insn.mnemonic);
  }
}

bool touches_memory(const ZydisDecodedInstruction& insn, const ZydisDecodedOperand* operands) {
  for (unsigned i = 0; i < insn.operand_count_visible; ++i)
    if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
        operands[i].mem.type != ZYDIS_MEMOP_TYPE_AGEN)
      return true;
  return false;
}

std::string_view category_of(const ZydisDecodedInstruction& insn,
                             const ZydisDecodedOperand* operands, bool sensitive) {
  switch (insn.meta.category) {
    case ZYDIS_CATEGORY_COND_BR:
      return "conditional branch";
    case ZYDIS_CATEGORY_UNCOND_BR:
      return "jump";
    case ZYDIS_CATEGORY_CALL:
      return "call";
    case ZYDIS_CATEGORY_RET:
      return "return";
    case ZYDIS_CATEGORY_STRINGOP:
      return "string";
    case ZYDIS_CATEGORY_IO:
    case ZYDIS_CATEGORY_IOSTRINGOP:
      return "port";
    case ZYDIS_CATEGORY_X87_ALU:
      return "x87";
    default:
      break;
  }
  if (sensitive) return "system";
  if (insn.meta.category == ZYDIS_CATEGORY_PUSH || insn.meta.category == ZYDIS_CATEGORY_POP)
    return "stack";
  for (unsigned i = 0; i < insn.operand_count; ++i)
    if (operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER) {
      const auto kind = ZydisRegisterGetClass(operands[i].reg.value);
      if (kind == ZYDIS_REGCLASS_XMM || kind == ZYDIS_REGCLASS_YMM || kind == ZYDIS_REGCLASS_ZMM ||
          kind == ZYDIS_REGCLASS_MMX)
        return "vector";
    }
  return touches_memory(insn, operands) ? "memory" : "register";
}

}  // namespace

std::vector<ListedInstruction> disassemble(unsigned code_bytes, std::uint64_t address,
                                           std::span<const std::uint8_t> bytes, Syntax syntax,
                                           const AddressNames& names) {
  const ZydisDecoder decoder = decoder_of(code_bytes);
  const ZydisFormatter formatter = formatter_of(syntax);
  std::vector<ListedInstruction> list;
  std::uint32_t at = 0;
  while (at < bytes.size()) {
    ListedInstruction line{.offset = at, .length = 1};
    ZydisDecodedInstruction insn;
    std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes.data() + at, bytes.size() - at, &insn,
                                             operands.data()))) {
      line.text = fmt::format("(byte {:#04x})", bytes[at]);
      line.category = "bad";
      at += 1;
      list.push_back(std::move(line));
      continue;
    }
    std::array<char, 128> text{};
    ZydisFormatterFormatInstruction(&formatter, &insn, operands.data(), insn.operand_count_visible,
                                    text.data(), text.size(), address + at, nullptr);
    line.length = insn.length;
    line.text = text.data();
    const int row = row_of(insn, operands.data());
    if (row >= 0) line.sensitive = row_name(static_cast<std::size_t>(row));
    line.category = category_of(insn, operands.data(), row >= 0);
    line.conditional = insn.meta.category == ZYDIS_CATEGORY_COND_BR;
    line.call = insn.meta.category == ZYDIS_CATEGORY_CALL;
    line.ends_block = line.conditional || line.call ||
                      insn.meta.category == ZYDIS_CATEGORY_UNCOND_BR ||
                      insn.meta.category == ZYDIS_CATEGORY_RET;
    ZyanU64 target = 0;
    if (insn.operand_count_visible > 0 && operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
        operands[0].imm.is_relative &&
        ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&insn, operands.data(), address + at, &target))) {
      line.target = target;
      if (const auto name = names ? names(target) : std::string(); !name.empty())
        line.text += fmt::format("  <{}>", name);
    }
    at += insn.length;
    list.push_back(std::move(line));
  }
  return list;
}

}  // namespace ringshift::translator
