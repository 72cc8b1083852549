// tests/differential/known_differences.cc - the list.
#include "tests/differential/known_differences.h"

#include <Zydis/Zydis.h>

#include <algorithm>
#include <span>

#include "tests/differential/catalogue.h"

namespace ringshift::differential {
namespace {

struct Known {
  // The case differs only in these ways, and has an instruction that matches.
  bool (*instruction)(const ZydisDecodedInstruction&);
  bool (*difference)(const Difference&);
  const char* reason;
};

// Empty lists do not need a special case.
std::span<const Known> list() {
  static constexpr Known kList[] = {
      {[](const ZydisDecodedInstruction& i) { return i.meta.isa_set == ZYDIS_ISA_SET_SSE4A; },
       [](const Difference&) { return true; }, "EXTRQ and INSERTQ: not offered by -cpu max"},
  };
  return kList;
}

}  // namespace

std::string known_reason(const Case& c, const std::vector<Difference>& differences) {
  const ZydisDecoder decoder = make_decoder(bits_of(c.mode));
  for (const Known& k : list()) {
    if (!std::all_of(differences.begin(), differences.end(), k.difference)) continue;
    for (const Bytes& bytes : c.instructions) {
      ZydisDecodedInstruction insn;
      if (ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, nullptr, bytes.data(), bytes.size(),
                                                     &insn)) &&
          k.instruction(insn))
        return k.reason;
    }
  }
  return {};
}

}  // namespace ringshift::differential
