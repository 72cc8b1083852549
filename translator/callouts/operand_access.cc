// translator/callouts/operand_access.cc - registers, segmented memory and the stack as call-outs
// see them.
#include "translator/callouts/stack_segment.h"
#include "translator/core.h"

namespace ringshift::translator {

using guest::Checked;
using guest::CpuState;
using guest::GuestFault;
using guest::LinearAddress;
using guest::Seg;
using guest::SegmentRegister;
using guest::Status;
using guest::Vector;

namespace {

constexpr std::uint64_t low_bytes(unsigned bytes) {
  return bytes == 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * bytes)) - 1;
}

// AH, CH, DH and BH are numbers 4 to 7 without a REX prefix.
bool is_high_byte(const Operation& op, unsigned number, unsigned bytes) {
  return bytes == 1 && number >= 4 && number < 8 && !(op.prefixes & prefix::kRex);
}

GuestFault segment_violation(Seg segment) {
  return segment == Seg::kSs ? guest::stack_fault() : guest::general_protection();
}

Checked<LinearAddress> linear_address_64(const CpuState& s, Seg segment, std::uint64_t offset,
                                         std::size_t bytes) {
  const bool based = segment == Seg::kFs || segment == Seg::kGs;
  const std::uint64_t first = offset + (based ? s.segment(segment).base : 0);
  if (!guest::is_canonical(first) || !guest::is_canonical(first + bytes - 1))
    return tl::unexpected(segment_violation(segment));
  return LinearAddress{first};
}

}  // namespace

Status check_alignment(const Core& core, LinearAddress address, unsigned bytes) {
  if (alignment_checked(core.state, core.state.cpl) && (address.value & (bytes - 1)))
    return tl::unexpected(guest::fault(Vector::kAlignmentCheck, 0));
  return {};
}

std::uint64_t effective_offset(const Core& core, const Operation& op) {
  const MemoryOperand& m = op.memory;
  auto offset = static_cast<std::uint64_t>(m.displacement);
  if (m.base == kRipBase) {
    offset += core.state.rip + op.length;
  } else if (m.base != kNoRegister) {
    offset += core.state.gpr[m.base];
  }
  if (m.index != kNoRegister) offset += core.state.gpr[m.index] * m.scale;
  return offset & low_bytes(op.address_bytes);
}

// SDM Vol. 3 "Limit Checking", "Type Checking"; Vol. 1 "Canonical Addressing".
Checked<LinearAddress> linear_address(const Core& core, Seg segment, std::uint64_t offset,
                                      std::size_t bytes, bool write) {
  const CpuState& s = core.state;
  if (s.in_64bit_code()) return linear_address_64(s, segment, offset, bytes);
  const SegmentRegister& reg = s.segment(segment);
  if (!s.real_or_v86()) {
    if (!reg.present() || !(write ? reg.writable() : reg.readable()))
      return tl::unexpected(segment_violation(segment));
  }
  if (!within_limit(reg, offset, bytes)) return tl::unexpected(segment_violation(segment));
  return LinearAddress{(reg.base + offset) & 0xffffffff};
}

Checked<std::uint64_t> read_data(Core& core, Seg segment, std::uint64_t offset, unsigned bytes) {
  RS_ASSIGN(address, linear_address(core, segment, offset, bytes, false));
  RS_CHECK(check_alignment(core, address, bytes));
  std::uint64_t value = 0;
  RS_CHECK(core.mmu.read(address, {reinterpret_cast<std::uint8_t*>(&value), bytes},
                         core.mmu.data_access(softmmu::AccessKind::kRead)));
  return value;
}

Status write_data(Core& core, Seg segment, std::uint64_t offset, unsigned bytes,
                  std::uint64_t value) {
  RS_ASSIGN(address, linear_address(core, segment, offset, bytes, true));
  RS_CHECK(check_alignment(core, address, bytes));
  return core.mmu.write(address, {reinterpret_cast<const std::uint8_t*>(&value), bytes},
                        core.mmu.data_access(softmmu::AccessKind::kWrite));
}

std::uint64_t read_gpr(const Core& core, unsigned number, unsigned bytes) {
  return core.state.gpr[number & 15] & low_bytes(bytes);
}

void write_gpr(Core& core, unsigned number, unsigned bytes, std::uint64_t value) {
  std::uint64_t& reg = core.state.gpr[number & 15];
  const std::uint64_t kept = bytes >= 4 ? 0 : ~low_bytes(bytes);
  reg = (reg & kept) | (value & low_bytes(bytes));
}

Checked<std::uint64_t> read_rm(Core& core, const Operation& op, unsigned bytes) {
  if (op.has_memory) return read_data(core, op.memory.segment, effective_offset(core, op), bytes);
  if (is_high_byte(op, op.rm, bytes)) return core.state.gpr[op.rm - 4u] >> 8 & 0xff;
  return read_gpr(core, op.rm, bytes);
}

Status write_rm(Core& core, const Operation& op, unsigned bytes, std::uint64_t value) {
  if (op.has_memory)
    return write_data(core, op.memory.segment, effective_offset(core, op), bytes, value);
  if (is_high_byte(op, op.rm, bytes)) {
    std::uint64_t& reg = core.state.gpr[op.rm - 4u];
    reg = (reg & ~std::uint64_t{0xff00}) | (value & 0xff) << 8;
  } else {
    write_gpr(core, op.rm, bytes, value);
  }
  return {};
}

Status push(Core& core, unsigned bytes, std::uint64_t value) {
  Stack stack = Stack::current(core);
  RS_CHECK(stack.push(bytes, value));
  core.state.reg(guest::Gpr::kRsp) = stack.pointer();
  return {};
}

Checked<std::uint64_t> pop(Core& core, unsigned bytes) {
  Stack stack = Stack::current(core);
  RS_ASSIGN(value, stack.pop(bytes));
  core.state.reg(guest::Gpr::kRsp) = stack.pointer();
  return value;
}

}  // namespace ringshift::translator
