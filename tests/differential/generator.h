// tests/differential/generator.h - draws instruction sequences that fit the state they start from.
#pragma once

#include <array>
#include <optional>

#include "tests/differential/case.h"
#include "tests/differential/catalogue.h"
#include "tests/differential/random.h"

namespace ringshift::differential {

class Generator {
 public:
  Generator(unsigned bits, const Catalogue& catalogue, unsigned max_instructions)
      : bits_(bits),
        catalogue_(catalogue),
        decoder_(make_decoder(bits)),
        max_instructions_(max_instructions) {}

  // The same seed gives the same case as long as the catalogue is the same.
  Case draw(std::uint64_t seed);
  // A case of one instruction of this form.
  std::optional<Case> draw_one(const Form& form, std::uint64_t seed);

 private:
  struct Drawn {
    Bytes bytes;
    ZydisDecodedInstruction insn;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  };
  struct Branch {  // whose displacement is filled in when the sequence is complete
    std::size_t instruction, field, bytes;
  };
  void begin(Case& c, Random& r, std::uint64_t seed);
  const Form* draw_form(Random& r);
  std::optional<Drawn> draw_instruction(Random& r, const Form& form);
  bool acceptable(Random& r, const Drawn& d) const;
  bool draw_memory(Random& r, const Form& form, unsigned address_bytes, std::uint64_t segment_base,
                   Fields& x, bool vsib);
  void draw_memory_16(Random& r, std::uint64_t segment_base, Fields& x);
  std::uint64_t draw_target(Random& r) const;
  bool solve_rip_relative(Random& r, Drawn& d, std::uint64_t segment_base);
  void append(Case& c, const Drawn& d);
  bool append_jump_through_register(Case& c, Random& r);
  void wrap_in_loop(Case& c, Random& r);
  void resolve_branches(Case& c, Random& r);
  void track(const Drawn& d);
  bool decode(const Bytes& bytes, Drawn& d) const;

  unsigned bits_;
  const Catalogue& catalogue_;
  ZydisDecoder decoder_;
  unsigned max_instructions_;
  // While a sequence is drawn:
  Mode mode_ = Mode::k64;
  std::array<std::optional<std::uint64_t>, 16> known_;
  std::uint64_t fs_base_ = 0, gs_base_ = 0;
  std::uint64_t rip_ = 0;  // of the next instruction
  bool called_ = false;
  std::vector<Branch> branches_;
  bool jumps_ = false;
};

}  // namespace ringshift::differential
