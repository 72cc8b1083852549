// translator/callouts/port_io.cc - IN and OUT with IOPL and the TSS permission map.
#include "translator/callouts/port_io.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;

constexpr std::uint64_t kMapBaseField = 0x66;  // the same in 32-bit and 64-bit TSSs
constexpr unsigned kTss32Available = 9, kTss32Busy = 11;

// IN and OUT take the port from an immediate byte (E4-E7) or from DX (EC-EF).
std::uint16_t port_of(const Core& core, const Operation& op) {
  const bool in_dx = op.opcode & 8;
  return static_cast<std::uint16_t>(in_dx ? core.state.reg(Gpr::kRdx) : op.immediate & 0xff);
}

// Odd opcodes move words or doublewords; there are no 64-bit ports.
unsigned width_of(const Operation& op) {
  if (!(op.opcode & 1)) return 1;
  return op.operand_bytes == 2 ? 2 : 4;
}

// SDM Vol. 1 "I/O Permission Bit Map": two bytes are always read, and both must be in the segment.
guest::Status check_permission_map(Core& core, std::uint16_t port, unsigned bytes) {
  const guest::SegmentRegister& tr = core.state.tr;
  const bool has_map = tr.present() && (tr.type() == kTss32Available || tr.type() == kTss32Busy);
  if (!has_map || tr.limit < kMapBaseField + 1) return tl::unexpected(guest::general_protection());

  const softmmu::Access access = core.mmu.system_access(softmmu::AccessKind::kRead);
  RS_ASSIGN(map, core.mmu.load<std::uint16_t>({tr.base + kMapBaseField}, access));
  const std::uint32_t at = map + port / 8u;
  if (at + 1 > tr.limit) return tl::unexpected(guest::general_protection());

  RS_ASSIGN(bits, core.mmu.load<std::uint16_t>({tr.base + at}, access));
  const unsigned denied = (bits >> (port % 8)) & ((1u << bytes) - 1);
  if (denied != 0) return tl::unexpected(guest::general_protection());
  return {};
}

}  // namespace

guest::Status check_port_access(Core& core, std::uint16_t port, unsigned bytes) {
  const guest::CpuState& state = core.state;
  if (!state.protected_mode()) return {};
  if (!state.v86() && state.cpl <= state.iopl()) return {};
  return check_permission_map(core, port, bytes);
}

Result port_in(Core& core, const Operation& op) {
  const std::uint16_t port = port_of(core, op);
  const unsigned bytes = width_of(op);
  RS_CHECK(check_port_access(core, port, bytes));
  write_gpr(core, 0, bytes, core.platform.port_read(port, bytes));
  return Next::kContinue;
}

Result port_out(Core& core, const Operation& op) {
  const std::uint16_t port = port_of(core, op);
  const unsigned bytes = width_of(op);
  RS_CHECK(check_port_access(core, port, bytes));
  const std::uint32_t mask = bytes == 4 ? 0xffffffff : (1u << (8 * bytes)) - 1;
  core.platform.port_write(port, bytes,
                           static_cast<std::uint32_t>(core.state.reg(Gpr::kRax)) & mask);
  return Next::kContinue;
}

}  // namespace ringshift::translator
