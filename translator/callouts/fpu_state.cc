// translator/callouts/fpu_state.cc - FXSAVE/FXRSTOR, and x87 images with full tag words.
#include "translator/callouts/fpu_state.h"

#include "translator/callouts/fx_image.h"

namespace ringshift::translator {
namespace {

using guest::general_protection;
namespace cr4 = guest::cr4;

constexpr std::uint64_t kEferFfxsr = 1u << 14;  // AMD APM Vol. 2 "Fast FXSAVE/FXRSTOR"
constexpr std::size_t kFxAlignment = 16;

unsigned xmm_registers(const Core& core) { return core.state.in_64bit_code() ? 16 : 8; }

// HW: without CR4.OSFXSR the manual leaves it open; XMM registers are then neither saved nor
// loaded.
bool moves_xmm(const Core& core) {
  const guest::CpuState& state = core.state;
  const bool fast = (state.msr.efer & kEferFfxsr) && state.in_64bit_code() && state.cpl == 0;
  return (state.cr4 & cr4::kOsfxsr) && !fast;
}

// Start of a memory operand of `bytes` bytes that may be longer than a register.
guest::Checked<guest::LinearAddress> block_operand(Core& core, const Operation& op,
                                                   std::size_t bytes, bool write) {
  if (!op.has_memory) return tl::unexpected(guest::invalid_opcode());
  return linear_address(core, op.memory.segment, effective_offset(core, op), bytes, write);
}

// HW: the images of the x87 environment are aligned to one of its fields.
guest::Checked<guest::LinearAddress> x87_operand(Core& core, const Operation& op, std::size_t bytes,
                                                 bool write) {
  RS_ASSIGN(linear, block_operand(core, op, bytes, write));
  RS_CHECK(check_alignment(core, linear, op.operand_bytes == 2 ? 2 : 4));
  return linear;
}

guest::Checked<guest::LinearAddress> fx_operand(Core& core, const Operation& op, bool write) {
  RS_CHECK(check_x87_enabled(core));
  RS_ASSIGN(linear, block_operand(core, op, area::kLegacyBytes, write));
  // HW: an address that is not a multiple of 4 is an alignment fault first, where those are on.
  RS_CHECK(check_alignment(core, linear, 4));
  if (linear.value % kFxAlignment != 0) return tl::unexpected(general_protection());
  return linear;
}

// --- x87 environment: control, status and tag word, and pointers that are always zero ---

struct Environment {
  std::uint16_t fcw = kInitialFcw, fsw = 0, tags = 0xffff;
};

// SDM Vol. 1 "Protected Mode x87 FPU State Image in Memory, 32-Bit Format" and its three siblings,
// which differ in the pointers only.
struct EnvironmentFormat {
  std::size_t field;  // distance of the control, status and tag words
  std::size_t bytes;
};
constexpr EnvironmentFormat kFormat16{2, 14}, kFormat32{4, 28};
constexpr std::size_t kStackBytes = 8 * area::kStBytes;

EnvironmentFormat format_of(const Operation& op) {
  return op.operand_bytes == 2 ? kFormat16 : kFormat32;
}

using X87Image = std::array<std::uint8_t, kFormat32.bytes + kStackBytes>;

enum Tag : unsigned { kValid, kZero, kSpecial, kEmpty };

Tag tag_of(const std::uint8_t* st) {
  const auto significand = load_host<std::uint64_t>(st);
  const unsigned exponent = load_host<std::uint16_t>(st + 8) & 0x7fff;
  if (exponent == 0) return significand == 0 ? kZero : kSpecial;
  const bool normal = exponent != 0x7fff && (significand >> 63);
  return normal ? kValid : kSpecial;
}

// Tags belong to physical registers; the image of the stack begins at TOP.
std::uint16_t full_tags(const ExtendedState& x, std::uint16_t fsw) {
  const auto present = x.load<std::uint8_t>(area::kFtw);
  unsigned tags = 0;
  for (unsigned physical = 0; physical < 8; ++physical) {
    const unsigned in_stack = (physical - top_of(fsw)) & 7;
    const Tag tag =
        present & (1u << physical) ? tag_of(x.data(area::kSt + in_stack * area::kStSlot)) : kEmpty;
    tags |= tag << (2 * physical);
  }
  return static_cast<std::uint16_t>(tags);
}

std::uint8_t abridged_tags(std::uint16_t tags) {
  unsigned present = 0;
  for (unsigned physical = 0; physical < 8; ++physical)
    if (((tags >> (2 * physical)) & 3) != kEmpty) present |= 1u << physical;
  return static_cast<std::uint8_t>(present);
}

Environment environment_of(const ExtendedState& x) {
  if (!x.in_use(component::kX87)) return {};
  const auto fsw = x.load<std::uint16_t>(area::kFsw);
  return {x.load<std::uint16_t>(area::kFcw), fsw, full_tags(x, fsw)};
}

void set_environment(ExtendedState& x, const Environment& environment) {
  x.materialize(component::kX87);
  rotate_stack(x, top_of(environment.fsw));
  set_x87_control(x, environment.fcw, environment.fsw);
  x.store(area::kFtw, abridged_tags(environment.tags));
}

void encode(const Environment& environment, EnvironmentFormat format, std::uint8_t* image) {
  fill_bytes(image, 0, format.bytes);
  store_host(image, environment.fcw);
  store_host(image + format.field, environment.fsw);
  store_host(image + 2 * format.field, environment.tags);
  if (format.field == 2) return;
  // HW: reserved upper halves are ones.
  for (const std::size_t word : {0, 1, 2, 6})
    store_host<std::uint16_t>(image + word * 4 + 2, 0xffff);
}

Environment decode(EnvironmentFormat format, const std::uint8_t* image) {
  return {load_host<std::uint16_t>(image), load_host<std::uint16_t>(image + format.field),
          load_host<std::uint16_t>(image + 2 * format.field)};
}

}  // namespace

// SDM Vol. 2 "FXSAVE".
Result save_fx(Core& core, const Operation& op) {
  RS_ASSIGN(linear, fx_operand(core, op, true));
  const ExtendedState x(core);
  LegacyImage image;
  export_x87(x, image.data());
  export_mxcsr(x, image.data());
  const unsigned registers = moves_xmm(core) ? xmm_registers(core) : 0;
  export_xmm(x, image.data(), registers);
  RS_CHECK(probe_write(core, linear, area::kLegacyBytes));
  RS_CHECK(write_block(core, linear, std::span(image).first(area::kXmm + registers * 16)));
  return Next::kContinue;
}

// SDM Vol. 2 "FXRSTOR".
Result restore_fx(Core& core, const Operation& op) {
  RS_ASSIGN(linear, fx_operand(core, op, false));
  LegacyImage image;
  RS_CHECK(read_block(core, linear, image));

  ExtendedState x(core);
  if (core.state.cr4 & cr4::kOsfxsr) {
    const auto mxcsr = load_host<std::uint32_t>(image.data() + area::kMxcsr);
    if (mxcsr & ~x.mxcsr_mask()) return tl::unexpected(general_protection());
    x.set_mxcsr(mxcsr);
  }
  import_x87(x, image.data());
  if (moves_xmm(core)) import_xmm(x, image.data(), xmm_registers(core));
  return Next::kContinue;
}

// SDM Vol. 2 "FSTENV/FNSTENV": all exceptions are masked afterwards.
Result store_x87_environment(Core& core, const Operation& op) {
  RS_CHECK(check_x87_enabled(core));
  const EnvironmentFormat format = format_of(op);
  RS_ASSIGN(linear, x87_operand(core, op, format.bytes, true));
  ExtendedState x(core);
  const Environment environment = environment_of(x);
  X87Image image;
  encode(environment, format, image.data());
  RS_CHECK(probe_write(core, linear, format.bytes));
  RS_CHECK(write_block(core, linear, std::span(image).first(format.bytes)));
  x.materialize(component::kX87);
  set_x87_control(x, environment.fcw | 0x3f, environment.fsw);
  return Next::kContinue;
}

// SDM Vol. 2 "FLDENV".
Result load_x87_environment(Core& core, const Operation& op) {
  RS_CHECK(check_x87_enabled(core));
  RS_CHECK(check_pending_x87(core));
  const EnvironmentFormat format = format_of(op);
  RS_ASSIGN(linear, x87_operand(core, op, format.bytes, false));
  X87Image image;
  RS_CHECK(read_block(core, linear, std::span(image).first(format.bytes)));
  ExtendedState x(core);
  set_environment(x, decode(format, image.data()));
  return Next::kContinue;
}

// SDM Vol. 2 "FSAVE/FNSAVE": the FPU is initialized afterwards; register contents stay.
Result save_x87(Core& core, const Operation& op) {
  RS_CHECK(check_x87_enabled(core));
  const EnvironmentFormat format = format_of(op);
  const std::size_t bytes = format.bytes + kStackBytes;
  RS_ASSIGN(linear, x87_operand(core, op, bytes, true));
  ExtendedState x(core);
  X87Image image;
  encode(environment_of(x), format, image.data());
  for (unsigned i = 0; i < 8; ++i) {
    std::uint8_t* to = image.data() + format.bytes + i * area::kStBytes;
    if (x.in_use(component::kX87))
      copy_bytes(to, x.data(area::kSt + i * area::kStSlot), area::kStBytes);
    else
      fill_bytes(to, 0, area::kStBytes);
  }
  RS_CHECK(probe_write(core, linear, bytes));
  RS_CHECK(write_block(core, linear, std::span(image).first(bytes)));
  set_environment(x, {});
  return Next::kContinue;
}

// SDM Vol. 2 "FRSTOR".
Result restore_x87(Core& core, const Operation& op) {
  RS_CHECK(check_x87_enabled(core));
  RS_CHECK(check_pending_x87(core));
  const EnvironmentFormat format = format_of(op);
  const std::size_t bytes = format.bytes + kStackBytes;
  RS_ASSIGN(linear, x87_operand(core, op, bytes, false));
  X87Image image;
  RS_CHECK(read_block(core, linear, std::span(image).first(bytes)));
  ExtendedState x(core);
  set_environment(x, decode(format, image.data()));
  for (unsigned i = 0; i < 8; ++i)
    copy_bytes(x.data(area::kSt + i * area::kStSlot),
               image.data() + format.bytes + i * area::kStBytes, area::kStBytes);
  return Next::kContinue;
}

}  // namespace ringshift::translator
