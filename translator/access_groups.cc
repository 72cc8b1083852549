// translator/access_groups.cc - finds accesses of a block that one look-up can serve.
#include "translator/access_groups.h"

#include <algorithm>
#include <optional>

#include "translator/frame.h"

namespace ringshift::translator {
namespace {

constexpr std::uint8_t kRsp = 4;

struct Access {
  std::uint8_t base;
  std::uint8_t index;  // kNoRegister: none
  std::uint8_t scale;
  std::int64_t displacement;
  unsigned bytes;
  bool write;
};

bool same_registers(const Access& a, const Access& b) {
  return a.base == b.base && a.index == b.index && a.scale == b.scale;
}

bool plain_segment(const Insn& insn, const MemoryOperand& m, ModeKey mode) {
  if (m.segment == guest::Seg::kFs || m.segment == guest::Seg::kGs) return false;
  return mode.is_64bit() || !(m.segment == guest::Seg::kCs && insn.writes_memory);
}

std::optional<Access> generic_access(const Insn& insn, ModeKey mode) {
  if (!insn.memory || insn.memory_bytes == 0 || insn.memory->mem.type != ZYDIS_MEMOP_TYPE_MEM)
    return std::nullopt;
  const MemoryOperand m = insn.memory_operand();
  if (m.base >= 16 || insn.address_bytes() != mode.code_bytes() || !plain_segment(insn, m, mode))
    return std::nullopt;
  return Access{m.base, m.index, m.scale, m.displacement, insn.memory_bytes, insn.writes_memory};
}

bool is_relative(const Insn& insn) { return insn.operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE; }

std::optional<Access> access_of(const Planned& p, ModeKey mode) {
  const Insn& insn = p.insn;
  const unsigned stack = mode.is_64bit() ? 8 : 4;
  const auto bytes = static_cast<std::int64_t>(insn.operand_bytes());
  switch (p.kind) {
    case Kind::kGeneric:
      return generic_access(insn, mode);
    case Kind::kPush:
      if (insn.memory) return std::nullopt;
      return Access{kRsp, kNoRegister, 1, -bytes, insn.operand_bytes(), true};
    case Kind::kPop:
      if (insn.memory) return std::nullopt;
      return Access{kRsp, kNoRegister, 1, 0, insn.operand_bytes(), false};
    case Kind::kCall:
      if (!is_relative(insn)) return std::nullopt;  // the target needs the group's register
      return Access{kRsp, kNoRegister, 1, -static_cast<std::int64_t>(stack), stack, true};
    case Kind::kRet:
      return Access{kRsp, kNoRegister, 1, 0, stack, false};
    default:
      return std::nullopt;
  }
}

// Memory that an instruction reaches with a look-up of its own, or scratch registers that it needs.
bool breaks_group(const Planned& p, ModeKey mode) {
  switch (p.kind) {
    case Kind::kGeneric:
      return p.insn.memory && p.insn.memory_bytes && !generic_access(p.insn, mode);
    case Kind::kLea:
      return !BlockEmitter::plain_lea(p.insn);
    case Kind::kPush:
    case Kind::kPop:
      return p.insn.memory != nullptr;
    case Kind::kCall:
      return !is_relative(p.insn);
    case Kind::kRet:
    case Kind::kNothing:
    case Kind::kDirection:
      return false;
    default:
      return true;
  }
}

// How the base moves by a known amount; nullopt: it changes otherwise.
std::optional<std::int64_t> movement(const Planned& p, std::uint8_t base, ModeKey mode) {
  if (p.kind == Kind::kPush && base == kRsp)
    return -static_cast<std::int64_t>(p.insn.operand_bytes());
  if (p.kind == Kind::kPop) {
    if (gpr_number(p.insn.operands[0].reg.value) == base) return std::nullopt;
    if (base == kRsp) return static_cast<std::int64_t>(p.insn.operand_bytes());
    return 0;
  }
  if (p.kind == Kind::kNothing || p.kind == Kind::kDirection || p.kind == Kind::kPush) return 0;
  if (p.insn.writes_gpr(base)) return p.insn.constant_step(base, mode.code_bytes());
  return 0;
}

struct Member {
  std::size_t at;
  std::int64_t displacement;
};

// Tries a group that begins at `first`; the index after its last instruction.
std::size_t form_group(std::span<Planned> plan, std::size_t first, const Access& start,
                       ModeKey mode) {
  std::int64_t low = start.displacement, high = low + start.bytes, moved = 0;
  bool write = start.write;
  std::vector<Member> members{{first, start.displacement}};
  for (std::size_t i = first; i + 1 < plan.size(); ++i) {
    const auto step = movement(plan[i], start.base, mode);
    if (!step || (start.index != kNoRegister && plan[i].insn.writes_gpr(start.index))) break;
    moved += *step;
    const Planned& next = plan[i + 1];
    if (breaks_group(next, mode)) break;
    const auto access = access_of(next, mode);
    if (!access) continue;
    if (!same_registers(*access, start)) break;
    const std::int64_t displacement = access->displacement + moved;
    const std::int64_t new_low = std::min(low, displacement);
    const std::int64_t new_high = std::max<std::int64_t>(high, displacement + access->bytes);
    if (new_high - new_low > BlockEmitter::kMaxGroupSpan) break;
    low = new_low;
    high = new_high;
    write |= access->write;
    members.push_back({i + 1, displacement});
  }
  if (members.size() < 2 || low != static_cast<std::int32_t>(low)) return first + 1;
  const std::size_t last = members.back().at;
  Planned& head = plan[first];
  head.begins_group = true;
  head.group = {start.base,
                start.index,
                start.scale,
                static_cast<std::int32_t>(low),
                static_cast<std::uint8_t>(high - low),
                write,
                static_cast<std::uint8_t>(last - first + 1)};
  for (const Member& m : members) plan[m.at].group_offset = static_cast<int>(m.displacement - low);
  plan[last].ends_group = true;
  return last + 1;
}

}  // namespace

void clear_groups(std::span<Planned> plan) {
  for (Planned& p : plan) {
    p.begins_group = p.ends_group = false;
    p.group_offset = -1;
  }
}

void form_groups(std::span<Planned> plan, ModeKey mode) {
  if (mode.alignment_check() || mode.single()) return;
  if (!mode.is_64bit() && !(mode.flat() && mode.code_bytes() == 4 && mode.stack_bytes() == 4))
    return;
  for (std::size_t i = 0; i < plan.size();) {
    const auto access = access_of(plan[i], mode);
    i = access ? form_group(plan, i, *access, mode) : i + 1;
  }
}

}  // namespace ringshift::translator
