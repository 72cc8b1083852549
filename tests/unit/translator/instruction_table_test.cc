// tests/unit/translator/instruction_table_test.cc - the one table: rows are whole and consistent,
// found by their mnemonic, and each mnemonic is one that the decoder can produce.
#include "translator/instruction_table.h"

#include <gtest/gtest.h>

#include <bitset>
#include <set>

#include "translator/insn.h"

namespace ringshift::translator {
namespace {

constexpr ModeKey k64(2 | 2 << 2), k32(1 | 1 << 2), k16(0);
constexpr std::size_t kForms = static_cast<std::size_t>(FormRow::kRaise) + 1;

using Mnemonics = std::bitset<ZYDIS_MNEMONIC_MAX_VALUE + 1>;

// Every mnemonic that some encoding gives, over all opcodes and ModRM bytes of all maps.
Mnemonics decodable() {
  using Bytes = std::vector<std::uint8_t>;
  const Bytes leads[] = {{},
                         {0x66},
                         {0xf3},
                         {0xf2},
                         {0x48},
                         {0x66, 0x48},
                         {0x67},
                         {0x0f},
                         {0x66, 0x0f},
                         {0xf3, 0x0f},
                         {0xf3, 0x48, 0x0f},
                         {0xf2, 0x0f},
                         {0x48, 0x0f},
                         {0x66, 0x48, 0x0f},
                         {0x0f, 0x38},
                         {0x66, 0x0f, 0x38},
                         {0xf3, 0x0f, 0x38},
                         {0xc5, 0xf8},
                         {0xc5, 0xf9},
                         {0xc4, 0xe2, 0x79},
                         {0xc4, 0xe2, 0xf9},
                         {0xc4, 0xe2, 0x7d},
                         {0xc4, 0xe2, 0xfd},
                         {0x62, 0xf2, 0x7d, 0x49},
                         {0x62, 0xf2, 0xfd, 0x49}};
  Mnemonics seen;
  const Decoder decoder(true, true);
  Insn insn;
  for (ModeKey mode : {k16, k32, k64})
    for (const Bytes& lead : leads)
      for (unsigned opcode = 0; opcode < 256; ++opcode)
        for (unsigned modrm = 0; modrm < 256; ++modrm) {
          Bytes bytes = lead;
          bytes.push_back(static_cast<std::uint8_t>(opcode));
          bytes.push_back(static_cast<std::uint8_t>(modrm));
          bytes.resize(15, 0);
          if (!decoder.decode(mode, bytes, 0, insn)) seen.set(insn.mnemonic());
        }
  return seen;
}

TEST(InstructionTable, RowsAreWhole) {
  for (const Row& row : instruction_table()) {
    SCOPED_TRACE(std::string(row.manual));
    EXPECT_NE(row.handler, nullptr);
    EXPECT_FALSE(row.manual.empty());
    EXPECT_FALSE(has(row.traits, Trait::kNot64) && has(row.traits, Trait::kOnly64));
  }
}

TEST(InstructionTable, FormsAndMnemonicsFindTheirRows) {
  const auto table = instruction_table();
  for (std::size_t i = 0; i < kForms; ++i)
    EXPECT_EQ(find_row(static_cast<FormRow>(i)), static_cast<int>(i));
  for (std::size_t i = kForms; i < table.size(); ++i)
    EXPECT_EQ(find_row(table[i].mnemonic), static_cast<int>(i))
        << ZydisMnemonicGetString(table[i].mnemonic) << " has two rows";
  EXPECT_EQ(find_row(ZYDIS_MNEMONIC_ADD), -1);
  EXPECT_EQ(find_row(ZYDIS_MNEMONIC_MOV), -1);  // picked by its operands
}

// A row whose mnemonic no bytes decode to is dead.
TEST(InstructionTable, EveryMnemonicCanBeDecoded) {
  const Mnemonics seen = decodable();
  for (const Row& row : instruction_table()) {
    if (row.mnemonic != ZYDIS_MNEMONIC_INVALID) {
      EXPECT_TRUE(seen[row.mnemonic]) << ZydisMnemonicGetString(row.mnemonic);
    }
  }
}

// The classical seventeen and IRET are marked: what tests and listings of them go by.
TEST(InstructionTable, SensitiveRows) {
  std::set<std::string_view> sensitive;
  for (const Row& row : instruction_table())
    if (has(row.traits, Trait::kSensitive)) sensitive.insert(row.manual);
  const std::set<std::string_view> expected = {"PUSHF/PUSHFD/PUSHFQ",
                                               "POPF/POPFD/POPFQ",
                                               "SGDT",
                                               "SIDT",
                                               "SLDT",
                                               "SMSW",
                                               "STR",
                                               "LAR",
                                               "LSL",
                                               "VERR/VERW",
                                               "MOV",
                                               "PUSH",
                                               "POP",
                                               "CALL",
                                               "JMP",
                                               "RET",
                                               "INT n/INTO/INT3/INT1",
                                               "IRET/IRETD/IRETQ"};
  EXPECT_EQ(sensitive, expected);
}

TEST(InstructionTable, PackedFaultsKeepVectorAndCode) {
  EXPECT_EQ(pack_fault(guest::invalid_opcode()), 6u);
  EXPECT_EQ(pack_fault(guest::general_protection()), 0x10du);
  EXPECT_EQ(pack_fault(guest::general_protection(0x18)), 0x18010du);
}

}  // namespace
}  // namespace ringshift::translator
