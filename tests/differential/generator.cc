// tests/differential/generator.cc - operands, addresses that hit the data, branches inside.
#include "tests/differential/generator.h"

#include <algorithm>
#include <cstring>

#include "tests/differential/initial_state.h"

namespace ringshift::differential {
namespace {

constexpr unsigned kAttempts = 30;

int gpr_of(ZydisRegister r) {
  const ZydisRegister full = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r);
  return full >= ZYDIS_REGISTER_RAX && full <= ZYDIS_REGISTER_R15 ? full - ZYDIS_REGISTER_RAX : -1;
}

void put_le(Bytes& out, std::uint64_t value, unsigned bytes) {
  for (unsigned i = 0; i < bytes; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

bool is_relative_branch(const ZydisDecodedInstruction& insn) {
  return insn.raw.imm[0].is_relative && insn.raw.imm[0].size;
}

bool is_near_return(const ZydisDecodedInstruction& insn) {
  return insn.mnemonic == ZYDIS_MNEMONIC_RET;
}

}  // namespace

bool Generator::decode(const Bytes& bytes, Drawn& d) const {
  d.bytes = bytes;
  return ZYAN_SUCCESS(ZydisDecoderDecodeFull(
      &decoder_, bytes.data(), std::min<std::size_t>(bytes.size(), 15), &d.insn, d.operands));
}

const Form* Generator::draw_form(Random& r) {
  constexpr unsigned kWeights[Catalogue::kGroups] = {44, 10, 15, 14, 15, 2};
  for (;;) {
    unsigned at = static_cast<unsigned>(r.below(100)), g = 0;
    while (at >= kWeights[g]) at -= kWeights[g++];
    const auto& group = catalogue_.group(static_cast<Catalogue::Group>(g));
    if (group.empty()) continue;
    return &r.pick(r.pick(group).forms);
  }
}

// Mostly well inside; at times at the edges of pages, of the writable part and of the data.
std::uint64_t Generator::draw_target(Random& r) const {
  using namespace layout;
  const std::uint64_t base = bits_ == 64 && r.chance(20) ? kHighData : kData;
  const std::uint64_t kind = r.below(100);
  if (kind < 50) return base + r.below(kReadOnlyFrom / 64) * 64;
  if (kind < 70) return base + r.below(kReadOnlyFrom - 64);
  if (kind < 75) return base + r.below(kReadOnlyFrom / 8) * 8;
  if (kind < 88) return base + (1 + r.below(2)) * kPage - r.below(66);
  if (kind < 92) return base + kReadOnlyFrom - r.below(66);
  if (kind < 95) return base + kReadOnlyFrom + r.below(kPage - 64);
  if (kind < 97) return base + kDataBytes - r.below(66);
  if (kind < 99) return kStack + r.below(kStackBytes - 64);
  return base - r.below(66);
}

void Generator::draw_memory_16(Random& r, std::uint64_t segment_base, Fields& x) {
  constexpr std::int8_t kParts[8][2] = {{3, 6},  {3, 7},  {5, 6},  {5, 7},
                                        {6, -1}, {7, -1}, {5, -1}, {3, -1}};
  x.rm = static_cast<std::uint8_t>(r.below(8));
  x.mod = static_cast<std::uint8_t>(r.chance(80) ? 2 : r.below(3));
  const bool absolute = x.mod == 0 && x.rm == 6;
  std::uint64_t sum = segment_base;
  if (!absolute)
    for (std::int8_t part : kParts[x.rm])
      if (part >= 0 && known_[static_cast<std::size_t>(part)])
        sum += *known_[static_cast<std::size_t>(part)];
  if (x.mod == 1)
    x.tail.push_back(r.byte());
  else if (x.mod == 2 || absolute)
    put_le(x.tail, draw_target(r) - sum, 2);
}

// ModRM.rm, SIB and displacement. False: try again with other choices.
bool Generator::draw_memory(Random& r, const Form& form, unsigned address_bytes,
                            std::uint64_t segment_base, Fields& x, bool vsib) {
  if (address_bytes == 2) {
    draw_memory_16(r, segment_base, x);
    return true;
  }
  const unsigned registers = bits_ == 64 ? 16 : 8;
  const bool evex = form.encoding == Encoding::kEvex;
  const std::uint64_t target = draw_target(r);
  std::uint64_t sum = segment_base;
  const std::uint64_t kind = r.below(100);
  if (bits_ == 64 && kind < 10 && !vsib) {  // RIP-relative; the displacement comes later
    x.mod = 0;
    x.rm = 5;
    put_le(x.tail, 0, 4);
    return true;
  }
  int base = -1;
  if (kind < 90) {
    base = static_cast<int>(r.below(registers));
    for (unsigned i = 0; i < 12 && !known_[static_cast<std::size_t>(base)]; ++i)
      base = static_cast<int>(r.below(registers));
    sum += known_[static_cast<std::size_t>(base)].value_or(0);
  }
  int index = -1;
  const unsigned scale = static_cast<unsigned>(r.below(4));
  if (vsib) {
    index = static_cast<int>(r.below(bits_ == 32 ? 8 : evex ? 32 : 16));
  } else if (r.chance(35)) {
    index = static_cast<int>(r.below(registers));
    if (index == 4) index = -1;  // encodes none
    if (index >= 0) sum += known_[static_cast<std::size_t>(index)].value_or(0) << scale;
  }
  const std::uint64_t difference = target - sum;
  auto displacement = static_cast<std::int32_t>(difference);
  if (address_bytes == 8 && static_cast<std::int64_t>(difference) != displacement) {
    if (!r.chance(8)) return false;
  }
  const bool sib = vsib || base < 0 || index >= 0 || (base & 7) == 4 || r.chance(10);
  if (base < 0) {
    x.mod = 0;
    x.rm = 4;
    if (bits_ == 32 && !sib) x.rm = 5;
  } else {
    const bool byte = displacement >= -128 && displacement <= 127 && !(evex && displacement != 0);
    x.mod = byte ? 1 : 2;
    if (displacement == 0 && (base & 7) != 5 && r.chance(70)) x.mod = 0;
    if (r.chance(3)) {  // any short displacement
      x.mod = 1;
      displacement = static_cast<std::int8_t>(r.byte());
    }
    x.rm = static_cast<std::uint8_t>(sib ? 4 | (base & 8) : base);
  }
  if (sib) {
    const unsigned index_bits = index < 0 ? 4u : static_cast<unsigned>(index) & 7u;
    const unsigned base_bits = base < 0 ? 5u : static_cast<unsigned>(base) & 7u;
    x.tail.push_back(static_cast<std::uint8_t>(scale << 6 | index_bits << 3 | base_bits));
    if (index >= 0) {
      x.index_high = index >> 3 & 1;
      if (evex && vsib) x.vvvv = static_cast<std::uint8_t>(index & 16);
    }
  }
  if (x.mod == 1)
    x.tail.push_back(static_cast<std::uint8_t>(displacement));
  else if (x.mod == 2 || base < 0)
    put_le(x.tail, static_cast<std::uint32_t>(displacement), 4);
  return true;
}

std::optional<Generator::Drawn> Generator::draw_instruction(Random& r, const Form& form) {
  const bool legacy = form.encoding == Encoding::kLegacy;
  const bool evex = form.encoding == Encoding::kEvex;
  for (unsigned attempt = 0; attempt < kAttempts; ++attempt) {
    Fields x;
    const unsigned vectors = bits_ == 32 ? 8 : evex ? 32 : 16;
    x.reg = static_cast<std::uint8_t>(r.below(vectors));
    x.rm = static_cast<std::uint8_t>(r.below(vectors));
    // Half of the attempts assume that there is no third operand.
    x.vvvv = attempt & 1 ? 0 : static_cast<std::uint8_t>(r.below(vectors));
    if (bits_ == 32 && !legacy) x.vvvv &= 7;
    if (evex) {
      x.mask = r.chance(50) ? 0 : static_cast<std::uint8_t>(r.below(8));
      x.zeroing = x.mask && r.chance(40);
    } else {
      x.mask = r.chance(50);  // VEX: two-byte prefix where possible
    }
    if (legacy && bits_ == 64 && r.chance(60)) {
      x.rex = static_cast<std::uint8_t>(0x40 | r.below(8));
      if (form.memory) x.rex &= 0x44;
    }
    // Segment and address size.
    Bytes head;
    std::uint64_t segment_base = 0;
    const bool narrow = form.memory ? r.chance(7) : r.chance(1);
    const unsigned address_bytes = bits_ == 64 ? (narrow ? 4 : 8) : (narrow ? 2 : 4);
    if (r.chance(form.memory ? (address_bytes == 2 ? 85 : 12) : 3)) {
      const unsigned which = static_cast<unsigned>(r.below(10));
      constexpr std::uint8_t kOthers[] = {0x26, 0x2e, 0x36, 0x3e};
      if (which < 4) {
        head.push_back(0x64);
        segment_base = fs_base_;
      } else if (which < 8) {
        head.push_back(0x65);
        segment_base = gs_base_;
      } else {
        head.push_back(r.pick(kOthers));
      }
    }
    if (narrow) head.push_back(0x67);
    if (form.memory) {
      const bool vsib = attempt >= kAttempts / 2;
      if (!draw_memory(r, form, address_bytes, segment_base, x, vsib)) continue;
      if (legacy && bits_ == 64) {
        const unsigned b = (x.rm & 8 ? 1u : 0u), i = x.index_high & 1 ? 2u : 0u;
        // Absolute and RIP-relative forms ignore B.
        if (b || i) x.rex = static_cast<std::uint8_t>(0x40 | x.rex | b | i);
        if (x.tail.size() && (x.rm & 7) == 4 && b == 0) x.rex &= 0x4e;
      }
    } else if (legacy && bits_ == 64) {
      x.reg &= 7;
      x.rm &= 7;
    }
    Bytes opcode = encode(form, x, bits_);
    Drawn probe;
    Bytes bytes = head;
    bytes.insert(bytes.end(), opcode.begin(), opcode.end());
    Bytes padded = bytes;
    padded.resize(padded.size() + 10);
    if (!decode(padded, probe) || probe.insn.mnemonic != form.mnemonic) continue;
    // LOCK and REP where they mean something; seldom where they do not.
    const bool lockable = probe.insn.attributes & ZYDIS_ATTRIB_ACCEPTS_LOCK;
    if (form.memory && lockable && r.chance(25)) bytes.insert(bytes.begin(), 0xf0);
    const bool rep = probe.insn.attributes & (ZYDIS_ATTRIB_ACCEPTS_REP | ZYDIS_ATTRIB_ACCEPTS_REPE |
                                              ZYDIS_ATTRIB_ACCEPTS_REPNE);
    if (rep && !form.prefix && r.chance(60))
      bytes.insert(bytes.begin(), r.chance(50) ? 0xf3 : 0xf2);
    if (!rep && legacy && !form.prefix && r.chance(1))
      bytes.insert(bytes.begin(),
                   r.pick({std::uint8_t{0xf3}, std::uint8_t{0xf2}, std::uint8_t{0x66}}));
    // Immediate bytes.
    for (const auto& imm : probe.insn.raw.imm) {
      if (!imm.size) continue;
      std::uint64_t v = r.next();
      if (r.chance(50)) v = static_cast<std::uint64_t>(r.between(-9, 40));
      put_le(bytes, v, imm.size / 8);
    }
    if (probe.insn.raw.disp.size && !form.has_modrm)  // MOV with an absolute address
      put_le(bytes, draw_target(r) - segment_base, probe.insn.raw.disp.size / 8);
    Drawn d;
    if (!decode(bytes, d) || d.insn.length != bytes.size()) continue;
    if (!acceptable(r, d) || !solve_rip_relative(r, d, segment_base)) continue;
    return d;
  }
  return std::nullopt;
}

bool Generator::acceptable(Random& r, const Drawn& d) const {
  if (!is_safe(d.insn, d.operands)) return false;
  const bool branch = d.insn.meta.category == ZYDIS_CATEGORY_UNCOND_BR ||
                      d.insn.meta.category == ZYDIS_CATEGORY_CALL ||
                      d.insn.meta.category == ZYDIS_CATEGORY_COND_BR;
  // AMD truncates RIP, Intel does not.
  if (branch && bits_ == 64 && (d.insn.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE)) return false;
  if (branch && !is_relative_branch(d.insn)) return r.chance(3);
  if (branch && d.insn.operand_width == 16) return r.chance(10);
  if (is_near_return(d.insn)) return called_ || r.chance(10);
  for (unsigned i = 0; i < d.insn.operand_count_visible; ++i)
    if (d.operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER && gpr_of(d.operands[i].reg.value) == 4 &&
        (d.operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
      return r.chance(25);
  return true;
}

bool Generator::solve_rip_relative(Random& r, Drawn& d, std::uint64_t segment_base) {
  for (unsigned i = 0; i < d.insn.operand_count_visible; ++i) {
    const auto& o = d.operands[i];
    if (o.type != ZYDIS_OPERAND_TYPE_MEMORY ||
        (o.mem.base != ZYDIS_REGISTER_RIP && o.mem.base != ZYDIS_REGISTER_EIP))
      continue;
    std::uint64_t target = draw_target(r);
    if (target > 0xffffffff) target = target - layout::kHighData + layout::kData;
    const auto displacement =
        static_cast<std::uint32_t>(target - segment_base - (rip_ + d.insn.length));
    std::memcpy(d.bytes.data() + d.insn.raw.disp.offset, &displacement, 4);
    const Bytes bytes = d.bytes;
    return decode(bytes, d);
  }
  return true;
}

void Generator::track(const Drawn& d) {
  const bool stack =
      d.insn.meta.category == ZYDIS_CATEGORY_PUSH || d.insn.meta.category == ZYDIS_CATEGORY_POP ||
      d.insn.meta.category == ZYDIS_CATEGORY_CALL || d.insn.meta.category == ZYDIS_CATEGORY_RET;
  for (unsigned i = 0; i < d.insn.operand_count; ++i) {
    const auto& o = d.operands[i];
    if (o.type != ZYDIS_OPERAND_TYPE_REGISTER || !(o.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
      continue;
    const int g = gpr_of(o.reg.value);
    if (g < 0 || (g == 4 && stack && i >= d.insn.operand_count_visible)) continue;
    known_[static_cast<std::size_t>(g)].reset();
  }
  if (d.insn.mnemonic == ZYDIS_MNEMONIC_WRFSBASE) fs_base_ = 0;
  if (d.insn.mnemonic == ZYDIS_MNEMONIC_WRGSBASE) gs_base_ = 0;
}

void Generator::append(Case& c, const Drawn& d) {
  if (is_relative_branch(d.insn))
    branches_.push_back(
        {c.instructions.size(), d.insn.raw.imm[0].offset, d.insn.raw.imm[0].size / 8u});
  if (d.insn.mnemonic == ZYDIS_MNEMONIC_CALL) called_ = true;
  track(d);
  rip_ += d.bytes.size();
  c.instructions.push_back(d.bytes);
}

// MOV register, address; JMP or CALL register: to the instruction that follows, or the one after.
bool Generator::append_jump_through_register(Case& c, Random& r) {
  jumps_ = true;  // a loop around it would move its target
  const unsigned reg = static_cast<unsigned>(r.below(bits_ == 64 ? 16 : 8));
  if (reg == 4) return false;
  Bytes move, jump;
  if (reg & 8) move.push_back(0x41);
  move.push_back(static_cast<std::uint8_t>(0xb8 | (reg & 7)));
  const std::uint64_t jump_bytes = reg & 8 ? 3 : 2;
  const std::uint64_t target = rip_ + move.size() + 4 + jump_bytes;
  put_le(move, target, 4);
  if (reg & 8) jump.push_back(0x41);
  jump.push_back(0xff);
  jump.push_back(static_cast<std::uint8_t>(0xc0 | (r.chance(50) ? 2 : 4) << 3 | (reg & 7)));
  for (const Bytes& b : {move, jump}) {
    Drawn d;
    if (!decode(b, d)) return false;
    append(c, d);
  }
  return true;
}

void Generator::resolve_branches(Case& c, Random& r) {
  for (const Branch& b : branches_) {
    const std::size_t n = c.instructions.size();
    // Forward only: a sequence always ends.
    const std::size_t target = b.instruction + 1 + r.below(n - b.instruction);
    std::int64_t displacement = 0;
    for (std::size_t i = b.instruction + 1; i < target; ++i)
      displacement += static_cast<std::int64_t>(c.instructions[i].size());
    if (b.bytes == 1 && displacement > 127) displacement = 0;
    std::memcpy(c.instructions[b.instruction].data() + b.field, &displacement, b.bytes);
  }
}

// MOV ECX, n; ...; LOOP back. Only around instructions that neither branch nor write rCX.
void Generator::wrap_in_loop(Case& c, Random& r) {
  const std::size_t first = r.below(c.instructions.size());
  std::size_t last = first;
  std::int64_t bytes = 0;
  for (; last < c.instructions.size(); ++last) {
    Drawn d;
    if (!decode(c.instructions[last], d)) return;
    if (d.insn.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE || is_near_return(d.insn)) break;
    bool writes_rcx = false;
    for (unsigned i = 0; i < d.insn.operand_count; ++i)
      writes_rcx |= d.operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
                    (d.operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) &&
                    gpr_of(d.operands[i].reg.value) == 1;
    if (writes_rcx) break;
    // Moved by MOV ECX, which comes before: an address would no longer fit.
    bytes += static_cast<std::int64_t>(c.instructions[last].size());
  }
  if (last == first || bytes > 100) return;
  Bytes set{0xb9};
  put_le(set, 1 + r.below(6), 4);
  const Bytes loop{0xe2, static_cast<std::uint8_t>(-(bytes + 2))};
  c.instructions.insert(c.instructions.begin() + static_cast<std::ptrdiff_t>(last), loop);
  c.instructions.insert(c.instructions.begin() + static_cast<std::ptrdiff_t>(first), set);
}

void Generator::begin(Case& c, Random& r, std::uint64_t seed) {
  mode_ = bits_ == 64 ? Mode::k64 : r.chance(50) ? Mode::kCompatibility : Mode::kProtected;
  c.mode = mode_;
  c.state_seed = seed & 0xffffffffffff;
  const Registers start = initial_registers(mode_, c.state_seed);
  for (unsigned i = 0; i < 16; ++i) {
    known_[i].reset();
    if (bits_ == 64 || i < 8) known_[i] = start.gpr[i];
  }
  fs_base_ = start.fs_base;
  gs_base_ = start.gs_base;
  rip_ = start.rip;
  called_ = jumps_ = false;
  branches_.clear();
}

Case Generator::draw(std::uint64_t seed) {
  Random r(seed);
  Case c;
  begin(c, r, r.next());
  const std::size_t want = 1 + r.below(max_instructions_);
  while (c.instructions.size() < want) {
    if (r.chance(1)) {
      append_jump_through_register(c, r);
      continue;
    }
    if (auto d = draw_instruction(r, *draw_form(r))) append(c, *d);
  }
  if (branches_.empty() && !jumps_ && r.chance(8))
    wrap_in_loop(c, r);
  else
    resolve_branches(c, r);
  return c;
}

std::optional<Case> Generator::draw_one(const Form& form, std::uint64_t seed) {
  Random r(seed);
  Case c;
  begin(c, r, r.next());
  auto d = draw_instruction(r, form);
  if (!d) return std::nullopt;
  append(c, *d);
  resolve_branches(c, r);
  return c;
}

}  // namespace ringshift::differential
