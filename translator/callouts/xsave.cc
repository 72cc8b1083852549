// translator/callouts/xsave.cc - the XSAVE area in guest memory, in both formats.
#include "translator/callouts/xsave.h"

#include <algorithm>

#include "translator/callouts/fx_image.h"
#include "translator/callouts/protection_keys.h"

namespace ringshift::translator {
namespace {

using guest::general_protection;
using guest::Gpr;
using guest::invalid_opcode;
namespace cr0 = guest::cr0;
namespace cr4 = guest::cr4;
namespace feature = guest::feature;

constexpr std::uint64_t kCompacted = std::uint64_t{1} << 63;
constexpr std::uint64_t kX87Bit = bit_of(component::kX87), kSseBit = bit_of(component::kSse),
                        kAvxBit = bit_of(component::kAvx);
constexpr std::uint64_t kAvx512Bits =
    bit_of(component::kOpmask) | bit_of(component::kZmmHi256) | bit_of(component::kHi16Zmm);
constexpr std::uint64_t kMpxBits = bit_of(3) | bit_of(4);
constexpr std::uint64_t kPkruBit = bit_of(component::kPkru);
constexpr std::size_t kAlignment = 64, kPkruBytes = 8;
constexpr std::array<std::uint8_t, guest::kXsaveBytes> kZeros{};

enum class Form : std::uint8_t { kPlain, kOptimized, kCompactedForm };

// The components of a bitmap and where the area holds each.
struct AreaLayout {
  std::array<std::size_t, component::kCount> at{};
  std::array<std::size_t, component::kCount> own{};  // in CpuState::xsave
  std::array<std::size_t, component::kCount> bytes{};
  std::size_t total = area::kExtended;
};

// Outside 64-bit code only registers 0 to 7 are saved and restored.
// SDM Vol. 1 "AVX State", "AVX-512 State".
std::size_t bytes_in_mode(unsigned number, std::size_t bytes, bool in_64bit_code) {
  if (in_64bit_code) return bytes;
  if (number == component::kAvx || number == component::kZmmHi256) return bytes / 2;
  return number == component::kHi16Zmm ? 0 : bytes;
}

// SDM Vol. 1 "Extended Region of an XSAVE Area". `present` decides places, `wanted` what is moved.
AreaLayout layout_of(const Core& core, std::uint64_t present, std::uint64_t wanted,
                     bool compacted) {
  AreaLayout layout;
  std::size_t next = area::kExtended;
  for (unsigned i = component::kFirstExtended; i < component::kCount; ++i) {
    if (!(present & bit_of(i))) continue;
    const ComponentLayout own = component_layout(core, i);
    if (compacted && own.aligned) next = (next + 63) & ~std::size_t{63};
    layout.own[i] = own.offset;
    layout.at[i] = compacted ? next : own.offset;
    next += own.bytes;
    if (!(wanted & bit_of(i))) continue;
    layout.bytes[i] = bytes_in_mode(i, own.bytes, core.state.in_64bit_code());
    layout.total = std::max(layout.total, layout.at[i] + layout.bytes[i]);
  }
  return layout;
}

// What one instruction stores, so that every page can be probed before any is written.
class Stores {
 public:
  void add(std::size_t at, const std::uint8_t* from, std::size_t bytes) {
    if (bytes != 0) pieces_[count_++] = {at, from, bytes};
  }
  guest::Status probe(Core& core, guest::LinearAddress area) const {
    for (std::size_t i = 0; i < count_; ++i)
      RS_CHECK(probe_write(core, area + pieces_[i].at, pieces_[i].bytes));
    return {};
  }
  guest::Status write(Core& core, guest::LinearAddress area) const {
    for (std::size_t i = 0; i < count_; ++i)
      RS_CHECK(write_block(core, area + pieces_[i].at, {pieces_[i].from, pieces_[i].bytes}));
    return {};
  }

 private:
  struct Piece {
    std::size_t at;
    const std::uint8_t* from;
    std::size_t bytes;
  };
  std::array<Piece, component::kCount + 8> pieces_;
  std::size_t count_ = 0;
};

guest::Status check_enabled(const Core& core) {
  if (!core.model.has(feature::kXsave) || !(core.state.cr4 & cr4::kOsxsave))
    return tl::unexpected(invalid_opcode());
  if (core.state.cr0 & cr0::kTs)
    return tl::unexpected(guest::fault(guest::Vector::kDeviceNotAvailable));
  return {};
}

guest::Checked<guest::LinearAddress> area_operand(Core& core, const Operation& op,
                                                  std::size_t bytes, bool write) {
  RS_ASSIGN(linear,
            linear_address(core, op.memory.segment, effective_offset(core, op), bytes, write));
  if (linear.value % kAlignment != 0) return tl::unexpected(general_protection());
  return linear;
}

std::uint64_t edx_eax(const Core& core) {
  return (core.state.reg(Gpr::kRdx) << 32) | static_cast<std::uint32_t>(core.state.reg(Gpr::kRax));
}

unsigned xmm_registers(const Core& core) { return core.state.in_64bit_code() ? 16 : 8; }

// HW: XSAVEC and XGETBV(1) count SSE state as in use when only MXCSR differs; XSAVE does not.
std::uint64_t mxcsr_in_use(const ExtendedState& x) {
  return x.mxcsr() != kInitialMxcsr ? kSseBit : 0;
}

// PKRU is not part of what the host keeps for the guest.
std::uint64_t in_use(const Core& core, const ExtendedState& x) {
  return (x.in_use() & ~kPkruBit) | (core.state.pkru != 0 ? kPkruBit : 0);
}

// SDM Vol. 1 "Operation of XSAVE", "Operation of XSAVEOPT", "Operation of XSAVEC".
Result save(Core& core, const Operation& op, Form form) {
  RS_CHECK(check_enabled(core));
  if (!op.has_memory) return tl::unexpected(invalid_opcode());
  const bool compacted = form == Form::kCompactedForm;
  const std::uint64_t requested = core.state.xcr0 & edx_eax(core);
  const ExtendedState x(core);
  const std::uint64_t live = (in_use(core, x) | (compacted ? mxcsr_in_use(x) : 0)) & requested;
  const std::uint64_t stored = form == Form::kPlain ? requested : live;
  const AreaLayout layout = layout_of(core, requested, stored, compacted);
  RS_ASSIGN(linear, area_operand(core, op, layout.total, true));

  LegacyImage image;
  Stores stores;
  export_x87(x, image.data());
  export_mxcsr(x, image.data());
  export_xmm(x, image.data(), xmm_registers(core));
  if (stored & kX87Bit) {
    stores.add(0, image.data(), area::kMxcsr);
    stores.add(area::kSt, image.data() + area::kSt, area::kXmm - area::kSt);
  }
  if (compacted ? stored & kSseBit : requested & (kSseBit | kAvxBit))
    stores.add(area::kMxcsr, image.data() + area::kMxcsr, 8);
  if (stored & kSseBit) stores.add(area::kXmm, image.data() + area::kXmm, xmm_registers(core) * 16);
  std::array<std::uint8_t, kPkruBytes> pkru{};
  store_host(pkru.data(), core.state.pkru);
  for (unsigned i = component::kFirstExtended; i < component::kCount; ++i) {
    const std::uint8_t* own = x.in_use(i) ? x.data(layout.own[i]) : kZeros.data();
    stores.add(layout.at[i], i == component::kPkru ? pkru.data() : own, layout.bytes[i]);
  }

  std::array<std::uint64_t, 2> header{live, requested | kCompacted};
  const auto* header_bytes = reinterpret_cast<const std::uint8_t*>(header.data());
  stores.add(area::kXstateBv, header_bytes, compacted ? 16 : 8);
  RS_CHECK(stores.probe(core, linear));
  if (!compacted) {
    std::array<std::uint8_t, 8> old;
    RS_CHECK(read_block(core, linear + area::kXstateBv, old));
    header[0] |= load_host<std::uint64_t>(old.data()) & ~requested;
  }
  RS_CHECK(stores.write(core, linear));
  return Next::kContinue;
}

// --- XRSTOR ---

struct Header {
  std::uint64_t xstate_bv, xcomp_bv;
  bool compacted() const { return xcomp_bv & kCompacted; }
};

bool all_zero(const std::uint8_t* bytes, std::size_t count) {
  return std::all_of(bytes, bytes + count, [](std::uint8_t b) { return b == 0; });
}

// SDM Vol. 2 "XRSTOR", exceptions: the conditions on the header of either format.
guest::Checked<Header> parse_header(const Core& core, const std::uint8_t* bytes) {
  const Header header{load_host<std::uint64_t>(bytes), load_host<std::uint64_t>(bytes + 8)};
  bool valid;
  if (header.compacted()) {
    const std::uint64_t components = header.xcomp_bv & ~kCompacted;
    valid = core.model.has(feature::kXsavec) && !(components & ~core.state.xcr0) &&
            !(header.xstate_bv & ~components) && all_zero(bytes + 16, area::kHeaderBytes - 16);
  } else {
    valid = !(header.xstate_bv & ~core.state.xcr0) && all_zero(bytes + 8, 16);
  }
  if (!valid) return tl::unexpected(general_protection());
  return header;
}

// MXCSR goes with SSE or AVX in the standard format, even from a component that is initial; it is
// part of SSE state in the compacted one.
guest::Checked<std::uint32_t> restored_mxcsr(const ExtendedState& x, const Header& header,
                                             std::uint64_t requested, std::uint32_t in_memory) {
  if (header.compacted()) {
    if (!(requested & kSseBit)) return x.mxcsr();
    if (!(header.xstate_bv & kSseBit)) return kInitialMxcsr;
  } else if (!(requested & (kSseBit | kAvxBit))) {
    return x.mxcsr();
  }
  if (in_memory & ~x.mxcsr_mask()) return tl::unexpected(general_protection());
  return in_memory;
}

void restore_legacy(Core& core, ExtendedState& x, std::uint64_t requested, std::uint64_t loaded,
                    const std::uint8_t* image) {
  if (loaded & kX87Bit)
    import_x87(x, image);
  else if (requested & kX87Bit)
    x.set_initial(component::kX87);
  if (loaded & kSseBit)
    import_xmm(x, image, xmm_registers(core));
  else if (requested & kSseBit)
    clear_xmm(x, xmm_registers(core));
}

// `from` is null when the component takes its initial value.
void restore_component(Core& core, ExtendedState& x, unsigned number, const std::uint8_t* from) {
  if (number == component::kPkru) {
    set_user_key_rights(core, from ? load_host<std::uint32_t>(from) : 0);
    return;
  }
  const ComponentLayout own = component_layout(core, number);
  const std::size_t bytes = bytes_in_mode(number, own.bytes, core.state.in_64bit_code());
  if (bytes == 0) return;
  if (from) {
    x.materialize(number);
    copy_bytes(x.data(own.offset), from, bytes);
  } else if (bytes == own.bytes) {
    x.set_initial(number);
  } else if (x.in_use(number)) {
    fill_bytes(x.data(own.offset), 0, bytes);
  }
}

}  // namespace

Result save_extended(Core& core, const Operation& op) { return save(core, op, Form::kPlain); }

Result save_extended_optimized(Core& core, const Operation& op) {
  if (!core.model.has(feature::kXsaveopt)) return tl::unexpected(invalid_opcode());
  return save(core, op, Form::kOptimized);
}

Result save_extended_compacted(Core& core, const Operation& op) {
  if (!core.model.has(feature::kXsavec)) return tl::unexpected(invalid_opcode());
  return save(core, op, Form::kCompactedForm);
}

// Everything is read and checked before any state changes.
Result restore_extended(Core& core, const Operation& op) {
  RS_CHECK(check_enabled(core));
  if (!op.has_memory) return tl::unexpected(invalid_opcode());
  const std::uint64_t requested = core.state.xcr0 & edx_eax(core);
  RS_ASSIGN(linear, area_operand(core, op, area::kExtended, false));
  std::array<std::uint8_t, area::kExtended> legacy;
  RS_CHECK(read_block(core, linear, legacy));
  RS_ASSIGN(header, parse_header(core, legacy.data() + area::kXstateBv));

  const std::uint64_t loaded = requested & header.xstate_bv;
  const std::uint64_t present =
      header.compacted() ? header.xcomp_bv & ~kCompacted : core.state.xcr0;
  const AreaLayout layout = layout_of(core, present, loaded, header.compacted());
  RS_CHECK(area_operand(core, op, layout.total, false));
  ExtendedState x(core);
  RS_ASSIGN(mxcsr, restored_mxcsr(x, header, requested,
                                  load_host<std::uint32_t>(legacy.data() + area::kMxcsr)));
  std::array<std::uint8_t, guest::kXsaveBytes> extended;
  for (unsigned i = component::kFirstExtended; i < component::kCount; ++i)
    RS_CHECK(read_block(core, linear + layout.at[i],
                        std::span(extended).subspan(layout.own[i], layout.bytes[i])));

  x.set_mxcsr(mxcsr);
  restore_legacy(core, x, requested, loaded, legacy.data());
  for (unsigned i = component::kFirstExtended; i < component::kCount; ++i)
    if (requested & bit_of(i))
      restore_component(core, x, i, loaded & bit_of(i) ? extended.data() + layout.own[i] : nullptr);
  return Next::kContinue;
}

Result undefined_supervisor_save(Core&, const Operation&) {
  return tl::unexpected(invalid_opcode());
}

// SDM Vol. 2 "XGETBV".
Result get_extended_control(Core& core, const Operation&) {
  if (!core.model.has(feature::kXsave) || !(core.state.cr4 & cr4::kOsxsave))
    return tl::unexpected(invalid_opcode());
  const auto index = static_cast<std::uint32_t>(core.state.reg(Gpr::kRcx));
  const ExtendedState x(core);
  std::uint64_t value;
  if (index == 0)
    value = core.state.xcr0;
  else if (index == 1 && core.model.has(feature::kXgetbv1))
    value = core.state.xcr0 & (in_use(core, x) | mxcsr_in_use(x));
  else
    return tl::unexpected(general_protection());
  core.state.reg(Gpr::kRax) = static_cast<std::uint32_t>(value);
  core.state.reg(Gpr::kRdx) = value >> 32;
  return Next::kContinue;
}

// SDM Vol. 2 "XSETBV"; Vol. 1 "Enabling the XSAVE Feature Set and XSAVE-Enabled Features".
Result set_extended_control(Core& core, const Operation&) {
  guest::CpuState& state = core.state;
  if (!core.model.has(feature::kXsave) || !(state.cr4 & cr4::kOsxsave))
    return tl::unexpected(invalid_opcode());
  const std::uint64_t value = edx_eax(core);
  const auto partly = [value](std::uint64_t bits) {
    return (value & bits) && (value & bits) != bits;
  };
  const bool valid = state.cpl == 0 && static_cast<std::uint32_t>(state.reg(Gpr::kRcx)) == 0 &&
                     (value & kX87Bit) && !(value & ~core.model.supported_xcr0()) &&
                     !((value & kAvxBit) && !(value & kSseBit)) && !partly(kAvx512Bits) &&
                     !((value & kAvx512Bits) && !(value & kAvxBit)) && !partly(kMpxBits);
  if (!valid) return tl::unexpected(general_protection());
  state.xcr0 = value;
  mode_changed(core);
  return Next::kContinue;
}

}  // namespace ringshift::translator
