// translator/callouts/debug_registers.cc - debug register access and breakpoint conditions.
#include "translator/callouts/debug_registers.h"

namespace ringshift::translator {
namespace {

namespace cr4 = guest::cr4;
using guest::CpuState;

constexpr std::uint64_t kGeneralDetect = 1u << 13;
// SDM Vol. 3 "Debug Status Register (DR6)": what software can change; the rest reads as given.
constexpr std::uint64_t kDr6Writable = dr6::kBreakpoints | dr6::kBd | dr6::kBs | dr6::kBt,
                        kDr6Ones = 0xffff0ff0;
constexpr std::uint64_t kDr7Writable = 0xffff23ff, kDr7Ones = 0x400;

enum class Condition : unsigned { kExecute = 0, kWrite = 1, kIo = 2, kReadWrite = 3 };

struct Breakpoint {
  bool enabled;
  Condition condition;
  std::uint64_t address;
  std::uint64_t bytes;
};

Breakpoint breakpoint(const CpuState& s, unsigned number) {
  // LEN encoding: 1, 2, 8 and 4 bytes.
  static constexpr std::uint8_t kLengths[] = {1, 2, 8, 4};
  const std::uint64_t control = s.dr[7] >> (16 + 4 * number);
  return {(s.dr[7] >> (2 * number) & 3) != 0, static_cast<Condition>(control & 3), s.dr[number],
          kLengths[control >> 2 & 3]};
}

bool is_kind(const CpuState& s, const Breakpoint& b, Condition kind) {
  if (!b.enabled) return false;
  // Without CR4.DE the I/O encoding is undefined; it matches nothing here.
  if (b.condition == Condition::kIo && !(s.cr4 & cr4::kDe)) return false;
  return b.condition == kind;
}

bool any(const CpuState& s, Condition kind) {
  if (!(s.dr[7] & 0xff)) return false;
  for (unsigned i = 0; i < 4; ++i)
    if (is_kind(s, breakpoint(s, i), kind)) return true;
  return false;
}

// SDM Vol. 3 "Breakpoint Field Recognition": the low address bits that LEN covers do not count.
bool overlaps(const Breakpoint& b, std::uint64_t first, std::uint64_t bytes) {
  const std::uint64_t start = b.address & ~(b.bytes - 1);
  return first <= start ? start - first < bytes : first - start < b.bytes;
}

// DR4 and DR5 name DR6 and DR7 unless CR4.DE makes them undefined; DR8 to DR15 never exist.
guest::Checked<unsigned> register_number(const Core& core, const Operation& op) {
  const unsigned number = op.reg;
  const bool alias = number == 4 || number == 5;
  if (number > 7 || (alias && (core.state.cr4 & cr4::kDe)))
    return tl::unexpected(guest::invalid_opcode());
  return alias ? number + 2 : number;
}

guest::Status check_general_detect(const CpuState& s) {
  if (!(s.dr[7] & kGeneralDetect)) return {};
  return tl::unexpected(guest::GuestFault{guest::Vector::kDebug, false, 0, dr6::kBd});
}

}  // namespace

// SDM Vol. 2 "MOV - Move to/from Debug Registers".
Result mov_to_debug(Core& core, const Operation& op) {
  RS_ASSIGN(number, register_number(core, op));
  RS_CHECK(check_general_detect(core.state));
  const std::uint64_t value = read_gpr(core, op.rm, op.operand_bytes);
  if (number >= 6 && value >> 32) return tl::unexpected(guest::general_protection());
  if (number == 6) {
    core.state.dr[6] = (value & kDr6Writable) | kDr6Ones;
  } else if (number == 7) {
    core.state.dr[7] = (value & kDr7Writable) | kDr7Ones;
  } else {
    core.state.dr[number] = value;
  }
  return Next::kContinue;
}

Result mov_from_debug(Core& core, const Operation& op) {
  RS_ASSIGN(number, register_number(core, op));
  RS_CHECK(check_general_detect(core.state));
  write_gpr(core, op.rm, op.operand_bytes, core.state.dr[number]);
  return Next::kContinue;
}

bool code_breakpoints_enabled(const CpuState& s) { return any(s, Condition::kExecute); }

bool data_breakpoints_enabled(const CpuState& s) {
  return any(s, Condition::kWrite) || any(s, Condition::kReadWrite);
}

bool io_breakpoints_enabled(const CpuState& s) { return any(s, Condition::kIo); }

std::uint64_t match_code_breakpoint(const CpuState& s, guest::LinearAddress rip) {
  std::uint64_t matched = 0;
  for (unsigned i = 0; i < 4; ++i) {
    const Breakpoint b = breakpoint(s, i);
    if (is_kind(s, b, Condition::kExecute) && b.address == rip.value) matched |= 1u << i;
  }
  return matched;
}

std::uint64_t match_data_breakpoint(const CpuState& s, guest::LinearAddress address,
                                    std::size_t bytes, bool write) {
  std::uint64_t matched = 0;
  for (unsigned i = 0; i < 4; ++i) {
    const Breakpoint b = breakpoint(s, i);
    const bool kind =
        is_kind(s, b, Condition::kReadWrite) || (write && is_kind(s, b, Condition::kWrite));
    if (kind && overlaps(b, address.value, bytes)) matched |= 1u << i;
  }
  return matched;
}

softmmu::Watchpoints data_breakpoints(const CpuState& s) {
  softmmu::Watchpoints result{};
  for (unsigned i = 0; i < 4; ++i) {
    const Breakpoint b = breakpoint(s, i);
    const bool reads = is_kind(s, b, Condition::kReadWrite);
    if (!reads && !is_kind(s, b, Condition::kWrite)) continue;
    result[i] = {{b.address & ~(b.bytes - 1)}, b.bytes, reads};
  }
  return result;
}

std::uint64_t match_io_breakpoint(const CpuState& s, std::uint16_t port, unsigned bytes) {
  std::uint64_t matched = 0;
  for (unsigned i = 0; i < 4; ++i) {
    const Breakpoint b = breakpoint(s, i);
    if (is_kind(s, b, Condition::kIo) && overlaps(b, port, bytes)) matched |= 1u << i;
  }
  return matched;
}

}  // namespace ringshift::translator
