// tests/differential/known_differences.cc - the list.
#include "tests/differential/known_differences.h"

#include <Zydis/Zydis.h>

#include <algorithm>
#include <span>

#include "tests/differential/catalogue.h"

namespace ringshift::differential {
namespace {

constexpr unsigned kBreakpoint = 3;

using Insn = ZydisDecodedInstruction;
using Differences = std::vector<Difference>;

bool is_64bit(const Insn& i) { return i.machine_mode == ZYDIS_MACHINE_MODE_LONG_64; }
bool is_vector_register(const Difference& d) {
  return d.what[0] == 'k' || d.what.starts_with("xmm") || d.what.starts_with("ymm") ||
         d.what.starts_with("zmm");
}

bool anything(const Differences&) { return true; }
template <bool (*kOne)(const Difference&)>
bool each(const Differences& all) {
  return std::all_of(all.begin(), all.end(), kOne);
}
bool is_gpr(const Difference& d) {
  return d.what.size() == 3 && d.what[0] == 'r' && d.what != "rip";
}
bool is_flags(const Difference& d) { return d.what == "rflags"; }
bool is_memory(const Difference& d) { return d.what.starts_with("data"); }
bool is_stack(const Difference& d) { return d.what.starts_with("stack") || is_memory(d); }
// Both raise a fault of an access.
bool is_other_access_fault(const Difference& d) {
  const auto of_access = [](const std::string& vector) {
    return vector == "c" || vector == "d" || vector == "e" || vector == "11";
  };
  return d.what == "cr2" || is_flags(d) || d.what == "error code" ||
         (d.what == "vector" && of_access(d.native) && of_access(d.translated));
}
// One raises a fault of the segment, the other that of a page at its end or start.
bool wraps_at_end(const Differences& all) {
  constexpr std::uint64_t kLongestOperand = 108;
  const auto of_segment = [](const std::string& vector) { return vector == "c" || vector == "d"; };
  const auto at_end = [](const std::string& cr2) {
    const std::uint64_t address = std::stoull(cr2, nullptr, 16);
    return address == 0 || address > 0xffffffff - kLongestOperand;
  };
  bool native = false, translated = false, native_end = false, translated_end = false;
  for (const Difference& d : all) {
    if (d.what == "vector") {
      native = of_segment(d.native) && d.translated == "e";
      translated = of_segment(d.translated) && d.native == "e";
    }
    if (d.what != "cr2") continue;
    native_end = at_end(d.native);
    translated_end = at_end(d.translated);
  }
  return (native && translated_end) || (translated && native_end);
}
bool offset_not_canonical(const Differences& all) {
  return std::any_of(all.begin(), all.end(), [](const Difference& d) {
    return d.what == "vector" && d.native == "d" && d.translated == "e";
  });
}
// Not canonical, or not aligned where that is checked.
bool stack_first(const Differences& all) {
  return std::any_of(all.begin(), all.end(), [](const Difference& d) {
    return d.what == "vector" && (d.native == "c" || d.native == "11") && d.translated == "d";
  });
}
bool missing_fault(const Differences& all) {
  return std::any_of(all.begin(), all.end(), [](const Difference& d) {
    return d.what == "vector" && (d.native == "d" || d.native == "e");
  });
}
bool limit_at_end(const Differences& all) {
  return std::any_of(all.begin(), all.end(), [](const Difference& d) {
    return d.what == "vector" && (d.translated == "d") != (d.native == "d");
  });
}
bool is_mmx_state(const Difference& d) {
  return d.what == "cr2" || d.what == "FSW" || d.what == "FTW" || d.what.starts_with("st");
}

bool is_masked_byte_store(const Insn& i) {
  return i.mnemonic == ZYDIS_MNEMONIC_MASKMOVQ || i.mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU ||
         i.mnemonic == ZYDIS_MNEMONIC_VMASKMOVDQU;
}
bool is_gather(const Insn& i) {
  return i.meta.category == ZYDIS_CATEGORY_AVX2GATHER || i.meta.category == ZYDIS_CATEGORY_GATHER ||
         i.meta.category == ZYDIS_CATEGORY_SCATTER;
}
bool is_string_compare(const Insn& i) {
  return i.meta.category == ZYDIS_CATEGORY_STRINGOP && i.cpu_flags && i.cpu_flags->modified;
}
bool is_extended_gpr(const Insn& i) {
  return is_64bit(i) && i.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX && i.raw.modrm.mod == 3 &&
         i.raw.evex.X == 0;
}
bool is_segmented(const Insn& i) {
  return !is_64bit(i) &&
         (i.attributes & (ZYDIS_ATTRIB_HAS_SEGMENT_FS | ZYDIS_ATTRIB_HAS_SEGMENT_GS));
}
bool is_based(const Insn& i) {
  return is_64bit(i) &&
         (i.attributes & (ZYDIS_ATTRIB_HAS_SEGMENT_FS | ZYDIS_ATTRIB_HAS_SEGMENT_GS));
}
bool is_fx_image(const Insn& i) {
  return i.mnemonic == ZYDIS_MNEMONIC_FXSAVE || i.mnemonic == ZYDIS_MNEMONIC_FXSAVE64 ||
         i.mnemonic == ZYDIS_MNEMONIC_FXRSTOR || i.mnemonic == ZYDIS_MNEMONIC_FXRSTOR64;
}
bool is_x87_image(const Insn& i) {
  return i.mnemonic == ZYDIS_MNEMONIC_FRSTOR || i.mnemonic == ZYDIS_MNEMONIC_FLDENV;
}
bool is_repeated(const Insn& i) {
  return i.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE);
}
bool is_32bit(const Insn& i) { return !is_64bit(i); }
bool is_narrow_branch(const Insn& i) {
  return is_64bit(i) && i.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE &&
         (i.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE);
}
bool is_near_call(const Insn& i) {
  return i.mnemonic == ZYDIS_MNEMONIC_CALL && i.meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR;
}
bool is_pop_all(const Insn& i) {
  return i.mnemonic == ZYDIS_MNEMONIC_POPA || i.mnemonic == ZYDIS_MNEMONIC_POPAD;
}
bool is_prefixed_loop(const Insn& i) {
  return (i.mnemonic == ZYDIS_MNEMONIC_LOOPE || i.mnemonic == ZYDIS_MNEMONIC_LOOPNE) &&
         i.raw.prefix_count != 0;
}

struct Known {
  // The case has an instruction that matches, and differs only in these ways.
  bool (*instruction)(const Insn&);
  bool (*differences)(const Differences&);
  const char* reason;
};

constexpr Known kList[] = {
    {is_masked_byte_store, missing_fault,
     "a masked byte store whose mask is zero: whether it faults is the processor's own choice"},
    {is_masked_byte_store, each<is_mmx_state>,
     "a masked byte store that faults: AMD reports its first byte, selected or not, and has "
     "entered "
     "the MMX state"},
    {is_gather, each<is_vector_register>,
     "how far a gather or scatter that faults got is the processor's own choice"},
    {is_string_compare, each<is_flags>,
     "a repeated comparison that faults: AMD leaves the flags of the last element, the manual says "
     "those before the instruction"},
    {is_string_compare, each<is_other_access_fault>,
     "a comparison of two strings that both fault: AMD looks at the one of rDI first"},
    {is_fx_image, each<is_other_access_fault>,
     "an FXSAVE image that faults: AMD looks at its alignment before its segment, then at its last "
     "byte"},
    {is_narrow_branch, anything,
     "near branches with 66H in 64-bit code: AMD truncates RIP to 16 bits, Intel ignores 66H"},
    {is_near_call, stack_first,
     "a CALL whose target is not canonical and whose stack cannot be pushed to: AMD looks at the "
     "stack first, the "
     "manual at the target"},
    {is_near_call, each<is_stack>,
     "a CALL of a non-canonical address: its return address stays below the stack pointer"},
    {is_pop_all, each<is_gpr>, "a POPA that faults midway: AMD has loaded a part of the registers"},
    {is_repeated, each<is_flags>,
     "a single step between two repetitions: Intel pushes RF set, AMD does not"},
    {is_repeated, each<is_memory>,
     "a repeated move between two linear addresses of the same bytes: its unit is the processor's "
     "own choice"},
    {is_extended_gpr, each<is_vector_register>,
     "EVEX.X beside a general register: ignored by the manual, AMD reads a stale value"},
    {is_segmented, limit_at_end,
     "FS and GS of 4 GiB: whether an operand that wraps past the last offset faults is the "
     "processor's own choice (SDM Vol. 3 \"Limit Checking\")"},
    {is_based, offset_not_canonical,
     "FS and GS in 64-bit code: AMD wants the offset canonical as well, the manual only the sum"},
    {is_32bit, wraps_at_end,
     "segments of 4 GiB: the same of any other operand, where its pages are absent"},
    {is_x87_image, each<is_mmx_state>,
     "an x87 image that faults midway: AMD has loaded a part of it"},
    {is_prefixed_loop, anything, "AMD takes F2H and F3H before LOOPcc for a condition"},
};

}  // namespace

std::string known_reason(const Case& c, const std::vector<Difference>& differences,
                         const Outcome& native) {
  if (native.vector != kBreakpoint && each<is_flags>(differences))
    return "a fault early in a loop's first block, where the flags would be overwritten before any "
           "use: the look for interrupt requests took them";
  const UndefinedFlags undefined = undefined_flags(c);
  const auto in_undefined = [&](const Difference& d) {
    return d.what == "rflags" &&
           ((std::stoull(d.native, nullptr, 16) ^ std::stoull(d.translated, nullptr, 16)) &
            ~undefined.at_end) == 0;
  };
  if (undefined.read || std::all_of(differences.begin(), differences.end(), in_undefined))
    return "undefined flags that the instruction left alone, in a loop's first block: the look for "
           "interrupt requests took them";
  const ZydisDecoder decoder = make_decoder(bits_of(c.mode));
  for (const Known& k : kList) {
    if (!k.differences(differences)) continue;
    for (const Bytes& bytes : c.instructions) {
      Insn insn;
      if (ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, nullptr, bytes.data(), bytes.size(),
                                                     &insn)) &&
          k.instruction(insn))
        return k.reason;
    }
  }
  return {};
}

}  // namespace ringshift::differential
