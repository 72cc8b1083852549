// tests/differential/catalogue.h - every instruction form that Zydis can decode, grouped so that
// rare ones are drawn as often as common ones.
#pragma once

#include <Zydis/Zydis.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/differential/case.h"

namespace ringshift::differential {

enum class Encoding : std::uint8_t { kLegacy, kVex, kEvex };

// What a form fixes; everything else is drawn anew each time.
struct Form {
  Encoding encoding = Encoding::kLegacy;
  std::uint8_t map = 0;  // 0: one byte, 1: 0F, 2: 0F38, 3: 0F3A
  std::uint8_t opcode = 0;
  std::uint8_t prefix = 0;  // 0, 66H, F3H or F2H
  bool w = false;
  std::uint8_t length = 0;  // VEX.L, EVEX.L'L
  bool broadcast = false;   // EVEX.b
  bool has_modrm = false, memory = false;
  std::int8_t reg = -1, rm = -1;  // fixed ModRM fields; -1: free
  ZydisMnemonic mnemonic = ZYDIS_MNEMONIC_INVALID;
  ZydisISASet set = ZYDIS_ISA_SET_INVALID;
};

// May run natively in the test process, and has one result.
bool is_safe(const ZydisDecodedInstruction& insn, const ZydisDecodedOperand* operands);
// The decoder as this processor decodes.
ZydisDecoder make_decoder(unsigned bits);

class Catalogue {
 public:
  // `isa`: only instruction sets whose name contains one of these; empty: all.
  Catalogue(unsigned bits, const std::vector<std::string>& isa);

  enum Group : unsigned { kInteger, kX87, kSse, kVex, kEvex, kAbsent, kGroups };
  struct Mnemonic {
    ZydisMnemonic mnemonic;
    std::vector<Form> forms;
  };
  const std::vector<Mnemonic>& group(Group g) const { return groups_[g]; }
  std::size_t forms() const;
  // Moves the forms that `absent` says this processor does not have to a group of their own.
  template <typename Predicate>
  void set_apart(Predicate absent) {
    for (unsigned g = 0; g < kAbsent; ++g)
      for (Mnemonic& m : groups_[g])
        for (std::size_t i = 0; i < m.forms.size();)
          if (absent(m.forms[i])) {
            add(kAbsent, m.forms[i]);
            m.forms.erase(m.forms.begin() + static_cast<std::ptrdiff_t>(i));
          } else {
            ++i;
          }
    for (auto& group : groups_)
      std::erase_if(group, [](const Mnemonic& m) { return m.forms.empty(); });
  }

 private:
  void add(Group g, const Form& form);
  void enumerate_opcode(const ZydisDecoder& decoder, Form form);
  void add_form(const ZydisDecoder& decoder, Form form);
  bool wanted(const Form& form) const;

  unsigned bits_;
  std::vector<std::string> isa_;
  std::vector<Mnemonic> groups_[kGroups];
};

// Prefix, REX/VEX/EVEX, opcode and ModRM fields that a form leaves open.
struct Fields {
  std::uint8_t rex = 0;                    // legacy: 0 (none) or 40H..4FH without W
  std::uint8_t reg = 0, rm = 0, vvvv = 0;  // 0..31 (VEX, EVEX), else 0..15
  std::uint8_t index_high = 0;             // X, and V' of a VSIB index
  std::uint8_t mask = 0;
  bool zeroing = false;
  Bytes tail;  // SIB and displacement
  std::uint8_t mod = 3;
};
// The bytes of a form up to the immediate.
Bytes encode(const Form& form, const Fields& fields, unsigned bits);

}  // namespace ringshift::differential
