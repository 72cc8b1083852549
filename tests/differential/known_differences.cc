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
      {[](const ZydisDecodedInstruction& i) {
         return i.machine_mode == ZYDIS_MACHINE_MODE_LONG_64 &&
                i.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE &&
                (i.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE);
       },
       [](const Difference&) { return true; },
       "near branches with 66H in 64-bit code: AMD truncates RIP to 16 bits, Intel ignores it"},
      {[](const ZydisDecodedInstruction& i) { return i.meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR; },
       [](const Difference& d) { return d.what == "rip" || d.what == "rsp" || d.what == "stack"; },
       "a near branch to a non-canonical address faults at the target, not at the branch"},
      {[](const ZydisDecodedInstruction& i) {
         return i.meta.category == ZYDIS_CATEGORY_SSE || i.meta.category == ZYDIS_CATEGORY_LOGICAL_FP;
       },
       [](const Difference& d) {
         return d.what == "error code" || d.what == "cr2" ||
                (d.what == "vector" && d.native == "d" && d.translated == "e");
       },
       "a misaligned access to an absent page: #PF comes before #GP"},
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
