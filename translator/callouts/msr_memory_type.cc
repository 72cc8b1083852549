// translator/callouts/msr_memory_type.cc - PAT and the memory type range registers. Guests set them
// up and read them back; the memory types have no effect, all memory is coherent.
// SDM Vol. 3 "Memory Type Range Registers (MTRRs)", "Page Attribute Table (PAT)".
#include "translator/callouts/msr_groups.h"

namespace ringshift::translator {
namespace {

namespace feature = guest::feature;

constexpr std::uint32_t kMtrrCap = 0xfe, kVariableFirst = 0x200, kVariableLast = 0x20f,
                        kFixed64K = 0x250, kFixed16KFirst = 0x258, kFixed16KLast = 0x259,
                        kFixed4KFirst = 0x268, kFixed4KLast = 0x26f, kPat = 0x277,
                        kDefaultType = 0x2ff;
// Eight variable ranges, fixed ranges, write combining.
constexpr std::uint64_t kMtrrCapValue = 8 | 1u << 8 | 1u << 10;

constexpr bool is_memory_type(std::uint64_t type) {
  return type == 0 || type == 1 || (type >= 4 && type <= 6);
}
// PAT also knows UC- (7).
constexpr bool is_pat_type(std::uint64_t type) { return is_memory_type(type) || type == 7; }

template <typename Valid>
bool every_byte(std::uint64_t value, Valid valid) {
  for (unsigned shift = 0; shift < 64; shift += 8)
    if (!valid(value >> shift & 0xff)) return false;
  return true;
}

int fixed_number(std::uint32_t index) {
  if (index == kFixed64K) return 0;
  if (index >= kFixed16KFirst && index <= kFixed16KLast)
    return static_cast<int>(1 + index - kFixed16KFirst);
  if (index >= kFixed4KFirst && index <= kFixed4KLast)
    return static_cast<int>(3 + index - kFixed4KFirst);
  return -1;
}

bool is_variable(std::uint32_t index) { return index >= kVariableFirst && index <= kVariableLast; }

bool valid_variable(const Core& core, std::uint32_t index, std::uint64_t value) {
  if (value >> core.model.physical_address_bits()) return false;
  const bool mask = index & 1;
  return mask ? !(value & 0x7ff) : !(value & 0xf00) && is_memory_type(value & 0xff);
}

bool valid_default_type(std::uint64_t value) {
  constexpr std::uint64_t kDefined = 0xcff;  // type, fixed enable, enable
  return !(value & ~kDefined) && is_memory_type(value & 0xff);
}

MsrWrite store_if(bool valid, std::uint64_t& reg, std::uint64_t value) {
  if (valid) reg = value;
  return written_if(valid);
}

}  // namespace

MsrValue read_memory_type_msr(const Core& core, std::uint32_t index) {
  const guest::Msrs& m = core.state.msr;
  if (index == kPat) return core.model.has(feature::kPat) ? MsrValue(m.pat) : std::nullopt;
  if (!core.model.has(feature::kMtrr)) return std::nullopt;
  if (index == kMtrrCap) return kMtrrCapValue;
  if (index == kDefaultType) return m.mtrr_def_type;
  if (is_variable(index)) return m.mtrr_variable[index - kVariableFirst];
  if (const int n = fixed_number(index); n >= 0) return m.mtrr_fixed[static_cast<std::size_t>(n)];
  return std::nullopt;
}

MsrWrite write_memory_type_msr(Core& core, std::uint32_t index, std::uint64_t value) {
  guest::Msrs& m = core.state.msr;
  if (index == kPat) {
    if (!core.model.has(feature::kPat)) return MsrWrite::kNotMine;
    return store_if(every_byte(value, is_pat_type), m.pat, value);
  }
  if (!core.model.has(feature::kMtrr)) return MsrWrite::kNotMine;
  if (index == kMtrrCap) return MsrWrite::kRefused;
  if (index == kDefaultType) return store_if(valid_default_type(value), m.mtrr_def_type, value);
  if (is_variable(index))
    return store_if(valid_variable(core, index, value), m.mtrr_variable[index - kVariableFirst],
                    value);
  if (const int n = fixed_number(index); n >= 0)
    return store_if(every_byte(value, is_memory_type), m.mtrr_fixed[static_cast<std::size_t>(n)],
                    value);
  return MsrWrite::kNotMine;
}

}  // namespace ringshift::translator
