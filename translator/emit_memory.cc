// translator/emit_memory.cc - memory operands: effective address, segment, look-up; then the
// guest's own opcode with the host address as its operand.
#include <algorithm>
#include <optional>
#include <utility>

#include "translator/block_emitter.h"
#include "translator/masked_operand.h"

namespace ringshift::translator {
namespace r = asmjit::x86;
namespace {

constexpr std::uint8_t kRsi = 6, kRdi = 7;

// SDM Vol. 3 "Alignment Check Exception (#AC)". HW: vectors longer than 16 bytes need not be
// aligned to more; elements under a mask, and those that are compressed, are accesses of their own;
// VMASKMOV makes no check.
unsigned checked_alignment(const Insn& insn, unsigned bytes) {
  const MaskedOperand m = masked_operand_of(insn);
  if (m.by == MaskedOperand::By::kSignBits) return 1;
  if (m.masked() && !m.probes_all) return 1u << m.granule_shift;
  if (insn.raw.meta.category == ZYDIS_CATEGORY_COMPRESS) return insn.memory->element_size / 8u;
  return bytes == 10 ? 8 : std::min(bytes, 16u);
}

bool uses(const GprField& f, unsigned number) { return f.used && f.number == number; }

}  // namespace

unsigned BlockEmitter::size_class(unsigned bytes) {
  const auto it = std::find_if(kSizeClassBytes.begin(), kSizeClassBytes.end(),
                               [&](unsigned b) { return b >= bytes; });
  return it == kSizeClassBytes.end() ? kSizeClasses - 1
                                     : static_cast<unsigned>(it - kSizeClassBytes.begin());
}

void BlockEmitter::effective_offset(const Insn& insn, std::int32_t rsp_adjust) {
  const MemoryOperand m = insn.memory_operand();
  const unsigned width = insn.address_bytes();
  auto& a = assembler_;
  if (m.base == kNoRegister && m.index == kNoRegister) {
    if (width == 8)
      a.mov(r::r11, m.displacement);
    else
      a.mov(r::r11d, static_cast<std::uint32_t>(m.displacement) & (width == 2 ? 0xffffu : ~0u));
    return;
  }
  std::int64_t displacement = m.displacement;
  r::Gp base = r::r11, index = r::r10;
  if (m.base == kRipBase) {
    a.mov(r::r11, frame_slot(slot::rip_base));
    displacement += insn.page_offset + insn.length();
    if (displacement != static_cast<std::int32_t>(displacement)) {
      a.mov(r::r10, displacement);
      a.lea(width == 8 ? r::Gp(r::r11) : r::Gp(r::r11d), r::ptr(r::r11, r::r10));
      return;
    }
  } else if (m.base != kNoRegister) {
    if (m.base == 4) displacement += rsp_adjust;
    if (lives_in_memory(m.base))
      a.mov(r::r11, gpr_slot(m.base));
    else
      base = r::gpq(host_register(m.base));
  }
  if (m.index != kNoRegister) {
    if (lives_in_memory(m.index))
      a.mov(r::r10, gpr_slot(m.index));
    else
      index = r::gpq(host_register(m.index));
  }
  const auto disp32 = static_cast<std::int32_t>(displacement);
  const unsigned shift = scale_shift(m.scale);
  const r::Gp to = width == 8 ? r::Gp(r::r11) : r::Gp(r::r11d);
  if (m.index == kNoRegister && disp32 == 0) {
    if (base.id() != to.id() || width != 8) a.mov(to, width == 8 ? base : base.r32());
  } else if (m.index == kNoRegister) {
    a.lea(to, r::ptr(base, disp32));
  } else if (m.base == kNoRegister) {
    a.lea(to, r::ptr(static_cast<std::uint64_t>(static_cast<std::int64_t>(disp32)), index, shift));
  } else {
    a.lea(to, r::ptr(base, index, shift, disp32));
  }
  if (width == 2) a.movzx(r::r11d, r::r11w);
}

void BlockEmitter::apply_segment(guest::Seg segment, unsigned bytes, bool write,
                                 unsigned address_bytes) {
  auto& a = assembler_;
  const unsigned alignment = mode_.alignment_check() ? checked_alignment(*insn_, bytes) : 1;
  const bool fs_gs = segment == guest::Seg::kFs || segment == guest::Seg::kGs;
  if (mode_.is_64bit()) {
    if (fs_gs) {
      a.mov(r::r10, frame_slot(slot::segment_base(segment)));
      a.lea(r::r11, r::ptr(r::r11, r::r10));
    }
    if (alignment == 1) return;
    // The check adds no base: FS and GS are already in the offset.
    segment = segment == guest::Seg::kSs ? guest::Seg::kSs : guest::Seg::kDs;
  } else {
    const bool full = fs_gs ? (segment == guest::Seg::kFs ? mode_.fs_full() : mode_.gs_full())
                            : mode_.flat() && !(segment == guest::Seg::kCs && write);
    if (full && alignment == 1) {
      if (!fs_gs) return;
      a.mov(r::r10, frame_slot(slot::segment_base(segment)));
      a.lea(r::r11d, r::ptr(r::r11, r::r10));
      return;
    }
  }
  static_cast<void>(address_bytes);
  a.mov(r::r10d, pack_segment_check(segment, bytes, write, alignment));
  call_thunk(flags_saved_ ? thunks_.inline_segment_check : thunks_.segment_check);
  mark_insn_start();
}

void BlockEmitter::look_up(unsigned bytes, bool write, bool reads, bool stack) {
  codecache::FaultPoint facts;
  facts.reads_memory = reads;
  facts.stack_segment = stack;
  const unsigned c = size_class(bytes);
  access_open_ = true;
  if (inline_look_ups_)
    return inline_look_up(kSizeClassBytes[c], write, facts,
                          (write ? thunks_.write_miss : thunks_.read_miss).host[c]);
  call_thunk(write ? thunks_.write[c] : thunks_.read[c]);
  mark_insn_start();
  codecache::FaultPoint& point = block_.fault_points.back();
  point.access_begin = point.host_offset;
  point.reads_memory = reads;
  point.stack_segment = stack;
}

void BlockEmitter::end_access() {
  if (access_open_) {
    codecache::FaultPoint& point = block_.fault_points.back();
    point.access_end = static_cast<std::uint32_t>(assembler_.offset());
    point.flags_stay_saved = flags_saved_ && !insn_->writes_flags();
  }
  access_open_ = false;
}

void BlockEmitter::memory_operand(const Insn& insn, bool write, std::int32_t rsp_adjust) {
  effective_offset(insn, rsp_adjust);
  apply_segment(insn.memory_operand().segment, insn.memory_bytes, write, insn.address_bytes());
  look_up(insn.memory_bytes, write, insn.reads_memory,
          insn.memory_operand().segment == guest::Seg::kSs);
}

// Loads a register that lives in memory into a scratch register; the scratch register's number.
std::uint8_t BlockEmitter::load_home(const GprField& field, std::vector<std::uint8_t>& free_scratch,
                                     std::vector<HomeLoad>& loaded) {
  for (HomeLoad& l : loaded)
    if (l.guest == field.number) {
      l.store |= field.written;
      return l.host;
    }
  const std::uint8_t host = free_scratch.back();
  free_scratch.pop_back();
  // A borrowed register keeps its guest value in its own slot meanwhile.
  if (host != kScratchAddress && host != kScratchValue)
    assembler_.mov(gpr_slot(host == kHostRsp ? 4 : host), r::gpq(host));
  assembler_.mov(r::gpq(host), gpr_slot(field.number));
  loaded.push_back({field.number, host, field.written});
  return host;
}

namespace {
// Registers that an instruction does not touch, to borrow when scratch registers run out.
std::uint8_t spare_register(const Insn& insn, std::uint8_t other) {
  for (std::uint8_t candidate : {std::uint8_t{14}, std::uint8_t{13}, std::uint8_t{12}})
    if (candidate != other && !uses(insn.reg, candidate) && !uses(insn.rm, candidate) &&
        !uses(insn.vvvv, candidate))
      return candidate;
  return 9;
}
}  // namespace

void BlockEmitter::generic_with_memory(const Insn& insn) {
  if (windows_ && window_generic(insn)) return;
  restart_insn();
  if (inline_look_ups_ && group_offset_ < 0 && inline_generic(insn)) return;
  auto& a = assembler_;
  Rewrite w;
  w.base = kScratchAddress;
  if (group_offset_ >= 0)
    w.displacement = static_cast<std::int8_t>(group_offset_);
  else
    memory_operand(insn, insn.writes_memory);
  const std::uint8_t spare = spare_register(insn, kNoRegister);
  std::vector<std::uint8_t> scratch{spare_register(insn, spare), spare, kScratchValue};
  std::vector<HomeLoad> loaded;
  auto place = [&](const GprField& f, std::uint8_t& to) {
    if (!f.used || f.high_byte) return;
    to = lives_in_memory(f.number) ? load_home(f, scratch, loaded)
                                   : static_cast<std::uint8_t>(host_register(f.number));
  };
  place(insn.reg, w.reg);
  place(insn.vvvv, w.vvvv);
  // AH..BH cannot be named beside R11: lend the address a legacy register for the access.
  const bool lend = high_byte_conflict(insn, w);
  if (lend) {
    a.mov(gpr_slot(kRsi), r::rsi);
    a.mov(r::rsi, r::r11);
    w.base = kRsi;
  }
  embed(encode_for_host(insn, mode_, w));
  if (lend) a.mov(r::rsi, gpr_slot(kRsi));
  for (const HomeLoad& l : loaded) {
    if (l.store) a.mov(gpr_slot(l.guest), r::gpq(l.host));
    if (l.host != kScratchValue) a.mov(r::gpq(l.host), gpr_slot(l.host));
  }
  end_access();
}

namespace {

// ModRM forms whose register operand may be memory with the same meaning.
bool has_slot_form(const Insn& insn) {
  const std::uint8_t op = insn.raw.opcode;
  if (insn.raw.opcode_map == ZYDIS_OPCODE_MAP_0F) {
    const bool extends = op == 0xb6 || op == 0xb7 || op == 0xbe || op == 0xbf;
    return extends || op == 0xaf || (op >= 0x40 && op <= 0x4f);  // IMUL, CMOVcc
  }
  if (insn.raw.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT) return false;
  const bool alu = op < 0x40 && (op & 7) < 4;
  const bool immediate_group = op == 0x80 || op == 0x81 || op == 0x83;
  const bool test_or_move = op == 0x84 || op == 0x85 || (op >= 0x88 && op <= 0x8b);
  const bool shift = op == 0xc0 || op == 0xc1 || (op >= 0xd0 && op <= 0xd3);
  const bool others = op == 0xc6 || op == 0xc7 || op == 0xf6 || op == 0xf7 || op == 0xfe ||
                      op == 0xff || op == 0x63 || op == 0x69 || op == 0x6b;
  return alu || immediate_group || test_or_move || shift || others;
}

// `OP r/m, r` between two registers as `OP r, r/m`: the opcodes of both directions come in pairs.
std::optional<Insn> reversed(const Insn& insn) {
  const std::uint8_t op = insn.raw.opcode;
  const bool pair = (op < 0x40 && (op & 7) == 1) || op == 0x89;
  if (insn.raw.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT || !(pair || op == 0x85)) return std::nullopt;
  Insn other = insn;
  std::swap(other.reg, other.rm);
  if (pair) other.bytes[insn.raw.raw.modrm.offset - 1u] |= 2;
  return other;
}

}  // namespace

// `OP [slot], reg` or `OP reg, [slot]` in place of load, operate, store, where no upper half must
// be zeroed.
bool BlockEmitter::emit_slot_form(const Insn& insn) {
  if (insn.raw.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY) return false;
  if (!insn.rm.used || insn.rm_is_opcode_field) return false;
  if (!lives_in_memory(insn.rm.number)) {
    if (!insn.reg.used || !lives_in_memory(insn.reg.number)) return false;
    const std::optional<Insn> other = reversed(insn);
    return other && emit_slot_form(*other);
  }
  if (insn.reg.used && (insn.reg.high_byte || lives_in_memory(insn.reg.number))) return false;
  if (insn.rm.written && insn.rm.bytes == 4) return false;
  if (!has_slot_form(insn)) return false;
  Rewrite w;
  w.base = 4;
  w.displacement = static_cast<std::int8_t>(slot::gpr(insn.rm.number));
  if (insn.reg.used) w.reg = static_cast<std::uint8_t>(host_register(insn.reg.number));
  embed(encode_for_host(insn, mode_, w));
  return true;
}

void BlockEmitter::generic_registers(const Insn& insn) {
  auto& a = assembler_;
  keeps_delta_ = true;
  if (emit_slot_form(insn)) return;
  Rewrite w;
  const std::uint8_t spare = spare_register(insn, kNoRegister);
  std::vector<std::uint8_t> scratch{spare, kScratchValue, kScratchAddress};
  // A group keeps its address in R11.
  if (group_active_) scratch = {spare_register(insn, spare), spare, kScratchValue};
  std::vector<HomeLoad> loaded;
  auto place = [&](const GprField& f, std::uint8_t& to) {
    if (!f.used || f.high_byte) return;
    to = lives_in_memory(f.number) ? load_home(f, scratch, loaded)
                                   : static_cast<std::uint8_t>(host_register(f.number));
  };
  place(insn.reg, w.reg);
  place(insn.rm, w.rm);
  place(insn.vvvv, w.vvvv);
  for (const HomeLoad& l : loaded) keeps_delta_ = keeps_delta_ && l.host != kScratchValue;
  // Only RSP, which moved to R15, can meet AH..BH here: lend it RSI or RDI.
  const bool lend = high_byte_conflict(insn, w);
  const std::uint8_t lent = kRsi;
  if (lend) {
    a.mov(gpr_slot(lent), r::rsi);
    a.mov(r::rsi, r::gpq(kHostRsp));
    if (w.reg == kHostRsp) w.reg = lent;
    if (w.rm == kHostRsp) w.rm = lent;
  }
  embed(encode_for_host(insn, mode_, w));
  if (lend) {
    a.mov(r::gpq(kHostRsp), r::rsi);
    a.mov(r::rsi, gpr_slot(lent));
  }
  for (const HomeLoad& l : loaded) {
    if (l.store) a.mov(gpr_slot(l.guest), r::gpq(l.host));
    if (l.host != kScratchValue && l.host != kScratchAddress)
      a.mov(r::gpq(l.host), gpr_slot(l.host));
  }
}

void BlockEmitter::generic(const Insn& insn) {
  if (insn.memory && insn.memory_bytes != 0 && insn.memory->mem.type == ZYDIS_MEMOP_TYPE_MEM)
    generic_with_memory(insn);
  else
    generic_registers(insn);
}

bool BlockEmitter::plain_lea(const Insn& insn) {
  const MemoryOperand m = insn.memory_operand();
  const auto in_host = [](std::uint8_t r) { return r == kNoRegister || !lives_in_memory(r); };
  return insn.address_bytes() != 2 && m.base != kRipBase && m.base != kNoRegister &&
         in_host(m.base) && in_host(m.index) && !lives_in_memory(insn.reg.number) &&
         (insn.address_bytes() == 8 || insn.reg.bytes <= 4);
}

void BlockEmitter::lea(const Insn& insn) {
  auto& a = assembler_;
  const unsigned to = insn.reg.number;
  if (plain_lea(insn)) {
    keeps_delta_ = true;
    const MemoryOperand m = insn.memory_operand();
    const r::Gp base = r::gpq(host_register(m.base));
    const unsigned shift = scale_shift(m.scale);
    auto displacement = static_cast<std::int32_t>(m.displacement);
    if (m.base == 4) displacement += rsp_ahead_;
    const r::Mem from = m.index == kNoRegister
                            ? r::ptr(base, displacement)
                            : r::ptr(base, r::gpq(host_register(m.index)), shift, displacement);
    const r::Gp host = r::gpq(host_register(to));
    if (insn.reg.bytes == 2)
      a.lea(host.r16(), from);
    else if (insn.reg.bytes == 4)
      a.lea(host.r32(), from);
    else
      a.lea(host, from);
    return;
  }
  effective_offset(insn);
  if (lives_in_memory(to)) {
    if (insn.reg.bytes == 2)
      a.mov(gpr_slot(to, 2), r::r11w);
    else if (insn.reg.bytes == 4) {
      a.mov(r::r11d, r::r11d);
      a.mov(gpr_slot(to), r::r11);
    } else {
      a.mov(gpr_slot(to), r::r11);
    }
    return;
  }
  const r::Gp host = r::gpq(host_register(to));
  if (insn.reg.bytes == 2)
    a.mov(host.r16(), r::r11w);
  else if (insn.reg.bytes == 4)
    a.mov(host.r32(), r::r11d);
  else
    a.mov(host, r::r11);
}

void BlockEmitter::move_absolute(const Insn& insn) {
  auto& a = assembler_;
  memory_operand(insn, insn.writes_memory);
  const r::Mem m = r::ptr(r::r11, 0, insn.memory_bytes);
  const r::Gp acc = insn.memory_bytes == 1   ? r::Gp(r::al)
                    : insn.memory_bytes == 2 ? r::Gp(r::ax)
                    : insn.memory_bytes == 4 ? r::Gp(r::eax)
                                             : r::Gp(r::rax);
  if (insn.writes_memory)
    a.mov(m, acc);
  else
    a.mov(acc, m);
  end_access();
}

}  // namespace ringshift::translator
