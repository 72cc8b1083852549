// translator/callouts/legacy_misc.cc - bounds, table look-up and wide exchanges in guest memory.
#include "translator/callouts/legacy_misc.h"

#include "translator/callouts/guest_block.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;

std::uint64_t address_mask(const Operation& op) {
  return op.address_bytes == 8 ? ~std::uint64_t{0}
                               : (std::uint64_t{1} << (8 * op.address_bytes)) - 1;
}

std::int32_t sign_extend(std::uint64_t value, unsigned bytes) {
  return bytes == 2 ? static_cast<std::int16_t>(value) : static_cast<std::int32_t>(value);
}

// One half of the compared or stored pair.
template <typename Half>
struct Pair {
  Half low = 0, high = 0;
  bool operator==(const Pair&) const = default;
};

// One locked host instruction, so that other vCPUs see one access. True when `expected` was there;
// otherwise `expected` receives the memory's value.
bool exchange_at(std::uint8_t* host, Pair<std::uint32_t>& expected, Pair<std::uint32_t> desired) {
  bool equal;
  asm volatile("lock cmpxchg8b %1"
               : "=@ccz"(equal), "+m"(*reinterpret_cast<std::uint64_t*>(host)), "+a"(expected.low),
                 "+d"(expected.high)
               : "b"(desired.low), "c"(desired.high)
               : "memory");
  return equal;
}

bool exchange_at(std::uint8_t* host, Pair<std::uint64_t>& expected, Pair<std::uint64_t> desired) {
  bool equal;
  asm volatile("lock cmpxchg16b %1"
               : "=@ccz"(equal), "+m"(*reinterpret_cast<unsigned __int128*>(host)),
                 "+a"(expected.low), "+d"(expected.high)
               : "b"(desired.low), "c"(desired.high)
               : "memory");
  return equal;
}

// MMIO, watched pages and operands that straddle two pages.
// DEVIATION: not atomic against other processors there; no known guest shares such an operand.
template <typename Half>
guest::Checked<bool> exchange_slowly(Core& core, guest::LinearAddress a, Pair<Half>& expected,
                                     Pair<Half> desired) {
  const softmmu::Access write = core.mmu.data_access(softmmu::AccessKind::kWrite);
  RS_CHECK(core.mmu.probe(a, sizeof(Pair<Half>), write));
  RS_ASSIGN(found, core.mmu.load<Pair<Half>>(a, core.mmu.data_access(softmmu::AccessKind::kRead)));
  const bool equal = found == expected;
  // The destination is always written: with its own value when the comparison failed.
  RS_CHECK(core.mmu.store(a, equal ? desired : found, write));
  expected = found;
  return equal;
}

template <typename Half>
guest::Checked<bool> exchange(Core& core, guest::LinearAddress a, Pair<Half>& expected,
                              Pair<Half> desired) {
  if (guest::page_offset(a.value) + sizeof(Pair<Half>) <= guest::kPageBytes) {
    RS_ASSIGN(host, host_run(core, a, sizeof(Pair<Half>), true));
    if (host) return exchange_at(host, expected, desired);
  }
  return exchange_slowly(core, a, expected, desired);
}

// SDM Vol. 2 "CMPXCHG8B/CMPXCHG16B".
template <typename Half>
Result compare_exchange(Core& core, const Operation& op) {
  if (!op.has_memory) return tl::unexpected(guest::invalid_opcode());
  guest::CpuState& state = core.state;
  RS_ASSIGN(linear, linear_address(core, op.memory.segment, effective_offset(core, op),
                                   2 * sizeof(Half), true));
  if (sizeof(Half) == 8 && linear.value % 16 != 0)
    return tl::unexpected(guest::general_protection());

  Pair<Half> expected{static_cast<Half>(state.reg(Gpr::kRax)),
                      static_cast<Half>(state.reg(Gpr::kRdx))};
  const Pair<Half> desired{static_cast<Half>(state.reg(Gpr::kRbx)),
                           static_cast<Half>(state.reg(Gpr::kRcx))};
  RS_ASSIGN(equal, exchange(core, linear, expected, desired));
  if (equal) {
    state.rflags |= guest::flags::kZf;
  } else {
    state.rflags &= ~guest::flags::kZf;
    state.reg(Gpr::kRax) = expected.low;
    state.reg(Gpr::kRdx) = expected.high;
  }
  return Next::kContinue;
}

}  // namespace

// SDM Vol. 2 "BOUND": a fault, so RIP stays at the instruction.
Result check_bound(Core& core, const Operation& op) {
  if (!op.has_memory) return tl::unexpected(guest::invalid_opcode());
  const unsigned bytes = op.operand_bytes;
  const std::uint64_t offset = effective_offset(core, op);
  RS_ASSIGN(lower, read_data(core, op.memory.segment, offset, bytes));
  RS_ASSIGN(upper, read_data(core, op.memory.segment, (offset + bytes) & address_mask(op), bytes));
  const std::int32_t index = sign_extend(core.state.gpr[op.reg & 15], bytes);
  if (index < sign_extend(lower, bytes) || index > sign_extend(upper, bytes))
    return tl::unexpected(guest::fault(guest::Vector::kBoundRange));
  return Next::kContinue;
}

// SDM Vol. 2 "XLAT/XLATB".
Result translate_byte(Core& core, const Operation& op) {
  std::uint64_t& rax = core.state.reg(Gpr::kRax);
  const std::uint64_t offset = (core.state.reg(Gpr::kRbx) + (rax & 0xff)) & address_mask(op);
  RS_ASSIGN(value, read_data(core, op.memory.segment, offset, 1));
  rax = (rax & ~std::uint64_t{0xff}) | value;
  return Next::kContinue;
}

Result compare_exchange_8_bytes(Core& core, const Operation& op) {
  return compare_exchange<std::uint32_t>(core, op);
}

Result compare_exchange_16_bytes(Core& core, const Operation& op) {
  return compare_exchange<std::uint64_t>(core, op);
}

}  // namespace ringshift::translator
