// translator/translator.cc - translates one guest basic block: decode, classify, emit.
#include "translator/translator.h"

#include <algorithm>

#include "translator/access_groups.h"
#include "translator/callouts/vector_operands.h"
#include "translator/features.h"
#include "translator/instruction_table.h"

namespace ringshift::translator {
namespace {

bool names_class(const Insn& insn, ZydisRegisterClass c, unsigned operand) {
  const ZydisDecodedOperand& op = insn.operands[operand];
  return operand < insn.raw.operand_count && op.type == ZYDIS_OPERAND_TYPE_REGISTER &&
         ZydisRegisterGetClass(op.reg.value) == c;
}

bool is_far(const Insn& insn) { return insn.raw.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR; }

bool is_string_form(const Insn& insn) { return insn.raw.meta.category == ZYDIS_CATEGORY_STRINGOP; }

bool has_vector_index(const Insn& insn) {
  return insn.memory && insn.memory->mem.type == ZYDIS_MEMOP_TYPE_VSIB;
}

bool is_vector_row(const Insn& insn) {
  switch (insn.mnemonic()) {
    case ZYDIS_MNEMONIC_MASKMOVQ:
    case ZYDIS_MNEMONIC_MASKMOVDQU:
    case ZYDIS_MNEMONIC_VMASKMOVDQU:
      return true;
    default:
      return has_vector_index(insn);
  }
}

// The overridable segment of an instruction whose memory operand is implied (strings, XLAT).
guest::Seg implied_segment(const Insn& insn) {
  guest::Seg found = guest::Seg::kDs;
  for (unsigned i = 0; i < insn.raw.operand_count; ++i) {
    const ZydisDecodedOperand& op = insn.operands[i];
    if (op.type != ZYDIS_OPERAND_TYPE_MEMORY) continue;
    const guest::Seg seg = segment_number(op.mem.segment);
    const std::uint8_t base = gpr_number(op.mem.base);
    if (base == 6) return seg;
    found = seg;
  }
  return found;
}

std::uint16_t opcode_with_map(const Insn& insn) {
  std::uint16_t map = 0;
  if (insn.raw.opcode_map == ZYDIS_OPCODE_MAP_0F) map = 0x0f;
  if (insn.raw.opcode_map == ZYDIS_OPCODE_MAP_0F38) map = 0x38;
  if (insn.raw.opcode_map == ZYDIS_OPCODE_MAP_0F3A) map = 0x3a;
  return static_cast<std::uint16_t>(map << 8 | insn.raw.opcode);
}

void fill_immediates(const Insn& insn, Operation& op) {
  unsigned count = 0;
  for (unsigned i = 0; i < insn.raw.operand_count; ++i) {
    const ZydisDecodedOperand& o = insn.operands[i];
    if (o.type == ZYDIS_OPERAND_TYPE_POINTER) {
      op.immediate = o.ptr.offset;
      op.immediate2 = o.ptr.segment;
    } else if (o.type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
               o.visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT) {
      if (count++ == 0)
        op.immediate = o.imm.value.u;
      else
        op.immediate2 = static_cast<std::uint16_t>(o.imm.value.u);
    }
  }
}

Operation operation_of(const Insn& insn, int row) {
  Operation op;
  op.row = static_cast<std::uint16_t>(row);
  op.opcode = opcode_with_map(insn);
  op.length = static_cast<std::uint8_t>(insn.length());
  op.operand_bytes = static_cast<std::uint8_t>(insn.operand_bytes());
  op.address_bytes = static_cast<std::uint8_t>(insn.address_bytes());
  op.stack_bytes = static_cast<std::uint8_t>(insn.raw.stack_width / 8);
  op.page_offset = insn.page_offset;
  if (insn.has_attribute(ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE)) op.prefixes |= prefix::kRep;
  if (insn.has_attribute(ZYDIS_ATTRIB_HAS_REPNE)) op.prefixes |= prefix::kRepne;
  if (insn.has_attribute(ZYDIS_ATTRIB_HAS_LOCK)) op.prefixes |= prefix::kLock;
  if (insn.has_attribute(ZYDIS_ATTRIB_HAS_REX)) op.prefixes |= prefix::kRex;
  if (insn.raw.raw.rex.W && insn.raw.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY)
    op.prefixes |= prefix::kRexW;
  const bool legacy = insn.raw.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY;
  if (insn.has_attribute(ZYDIS_ATTRIB_HAS_MODRM)) {
    const std::uint8_t high = legacy ? static_cast<std::uint8_t>(insn.raw.raw.rex.R << 3) : 0;
    op.reg = insn.raw.raw.modrm.reg | high;
    // MOV to and from control and debug registers names a register whatever mod says.
    if (insn.raw.raw.modrm.mod == 3 || !insn.memory)
      op.rm =
          insn.raw.raw.modrm.rm | (legacy ? static_cast<std::uint8_t>(insn.raw.raw.rex.B << 3) : 0);
  } else if (insn.rm_is_opcode_field) {
    op.rm = insn.rm.number;
  }
  if (insn.memory) {
    op.has_memory = true;
    op.memory = insn.memory_operand();
    if (has_vector_index(insn)) op.memory.index = kNoRegister;
  } else {
    op.memory.segment = implied_segment(insn);
  }
  if (is_vector_row(insn))
    op.immediate = encode_vector_operands(insn.raw, insn.operands);
  else
    fill_immediates(insn, op);
  return op;
}

}  // namespace

Translator::Translator(codecache::Arena& arena, const Thunks& thunks, const guest::CpuModel& model)
    : model_(model),
      decoder_(model.has(guest::feature::kLzcnt), model.has(guest::feature::kBmi1)),
      emitter_(arena, thunks),
      has_bmi2_(thunks.bmi2) {
  plan_.resize(64);
}

void Translator::plan_row(Planned& p, int row) const {
  p.kind = Kind::kCallOut;
  p.system = SystemForm::kNone;
  p.operation = operation_of(p.insn, row);
  p.ends_block = has(instruction_table()[static_cast<std::size_t>(row)].traits, Trait::kEndsBlock);
}

void Translator::plan_fault(Planned& p, const guest::GuestFault& fault) const {
  p.kind = Kind::kCallOut;
  p.system = SystemForm::kNone;
  p.operation = {};
  p.operation.row = static_cast<std::uint16_t>(find_row(FormRow::kRaise));
  p.operation.length = static_cast<std::uint8_t>(p.insn.length());
  p.operation.page_offset = p.insn.page_offset;
  p.operation.immediate = pack_fault(fault);
  p.ends_block = true;
}

// Instructions with a row whose mnemonic is shared by forms that have none.
bool Translator::classify_row(Planned& p, ModeKey mode) const {
  const Insn& insn = p.insn;
  const auto form = [&](FormRow f) {
    plan_row(p, find_row(f));
    return true;
  };
  const auto segment = [&](FormRow f) {
    form(f);
    p.operation.reg &= 7;  // REX.R does not extend a segment register's number
    return true;
  };
  switch (insn.mnemonic()) {
    case ZYDIS_MNEMONIC_MOV:
      if (names_class(insn, ZYDIS_REGCLASS_SEGMENT, 0)) return segment(FormRow::kMovToSegment);
      if (names_class(insn, ZYDIS_REGCLASS_SEGMENT, 1)) return segment(FormRow::kMovFromSegment);
      if (names_class(insn, ZYDIS_REGCLASS_CONTROL, 0)) return form(FormRow::kMovToControl);
      if (names_class(insn, ZYDIS_REGCLASS_CONTROL, 1)) return form(FormRow::kMovFromControl);
      if (names_class(insn, ZYDIS_REGCLASS_DEBUG, 0)) return form(FormRow::kMovToDebug);
      if (names_class(insn, ZYDIS_REGCLASS_DEBUG, 1)) return form(FormRow::kMovFromDebug);
      return false;
    case ZYDIS_MNEMONIC_PUSH:
      if (names_class(insn, ZYDIS_REGCLASS_SEGMENT, 0)) {
        form(FormRow::kPushSegment);
        p.operation.reg = static_cast<std::uint8_t>(segment_number(insn.operands[0].reg.value));
        return true;
      }
      if (BlockEmitter::fast_stack(mode, insn)) return false;
      return form(insn.operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? FormRow::kPushImmediate
                                                                        : FormRow::kPushRm);
    case ZYDIS_MNEMONIC_POP:
      if (names_class(insn, ZYDIS_REGCLASS_SEGMENT, 0)) {
        form(FormRow::kPopSegment);
        p.operation.reg = static_cast<std::uint8_t>(segment_number(insn.operands[0].reg.value));
        return true;
      }
      return !BlockEmitter::fast_stack(mode, insn) && form(FormRow::kPopRm);
    case ZYDIS_MNEMONIC_LEAVE:
      return !BlockEmitter::fast_stack(mode, insn) && form(FormRow::kLeave);
    case ZYDIS_MNEMONIC_CALL:
      if (is_far(insn)) return form(FormRow::kFarCall);
      if (BlockEmitter::fast_stack(mode, insn)) return false;
      return form(insn.operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? FormRow::kNearCallRelative
                                                                        : FormRow::kNearCallRm);
    case ZYDIS_MNEMONIC_JMP:
      return is_far(insn) && form(FormRow::kFarJump);
    case ZYDIS_MNEMONIC_RET:
      if (is_far(insn)) return form(FormRow::kFarReturn);
      return !BlockEmitter::fast_stack(mode, insn) && form(FormRow::kNearReturn);
    case ZYDIS_MNEMONIC_MOVSD:
      return is_string_form(insn) && form(FormRow::kStringMovsd);
    case ZYDIS_MNEMONIC_CMPSD:
      return is_string_form(insn) && form(FormRow::kStringCmpsd);
    case ZYDIS_MNEMONIC_BT:
    case ZYDIS_MNEMONIC_BTS:
    case ZYDIS_MNEMONIC_BTR:
    case ZYDIS_MNEMONIC_BTC:
      return insn.memory && insn.reg.used && form(FormRow::kBitTest);
    default:
      break;
  }
  const int row = find_row(insn.mnemonic());
  if (row < 0) return false;
  plan_row(p, row);
  return true;
}

bool Translator::classify_control(Planned& p, ModeKey) const {
  const Insn& insn = p.insn;
  switch (insn.mnemonic()) {
    case ZYDIS_MNEMONIC_CALL:
      p.kind = Kind::kCall;
      break;
    case ZYDIS_MNEMONIC_RET:
      p.kind = Kind::kRet;
      break;
    case ZYDIS_MNEMONIC_JMP:
      p.kind = Kind::kJump;
      break;
    case ZYDIS_MNEMONIC_LOOP:
    case ZYDIS_MNEMONIC_LOOPE:
    case ZYDIS_MNEMONIC_LOOPNE:
    case ZYDIS_MNEMONIC_JCXZ:
    case ZYDIS_MNEMONIC_JECXZ:
    case ZYDIS_MNEMONIC_JRCXZ:
      p.kind = Kind::kLoop;
      break;
    default:
      if (insn.raw.meta.category != ZYDIS_CATEGORY_COND_BR) return false;
      p.kind = Kind::kConditional;
  }
  p.ends_block = true;
  return true;
}

bool Translator::classify_special(Planned& p, ModeKey) const {
  const Insn& insn = p.insn;
  switch (insn.mnemonic()) {
    case ZYDIS_MNEMONIC_PUSH:
      p.kind = Kind::kPush;
      return true;
    case ZYDIS_MNEMONIC_POP:
      p.kind = Kind::kPop;
      return true;
    case ZYDIS_MNEMONIC_LEAVE:
      p.kind = Kind::kLeave;
      return true;
    case ZYDIS_MNEMONIC_LEA:
      p.kind = Kind::kLea;
      return true;
    case ZYDIS_MNEMONIC_CLD:
    case ZYDIS_MNEMONIC_STD:
      p.kind = Kind::kDirection;
      return true;
    // Hints: no access, no fault.
    case ZYDIS_MNEMONIC_NOP:
    case ZYDIS_MNEMONIC_PREFETCH:
    case ZYDIS_MNEMONIC_PREFETCHNTA:
    case ZYDIS_MNEMONIC_PREFETCHT0:
    case ZYDIS_MNEMONIC_PREFETCHT1:
    case ZYDIS_MNEMONIC_PREFETCHT2:
    case ZYDIS_MNEMONIC_PREFETCHW:
    case ZYDIS_MNEMONIC_PREFETCHWT1:
      p.kind = Kind::kNothing;
      return true;
    case ZYDIS_MNEMONIC_MOV:
      if (insn.memory && !insn.has_attribute(ZYDIS_ATTRIB_HAS_MODRM)) {
        p.kind = Kind::kMoveAbsolute;
        return true;
      }
      return false;
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
      plan_fault(p, guest::invalid_opcode());
      return true;
    default:
      return false;
  }
}

namespace {
// Memory that an instruction reaches without naming it: none may slip through the generic rule.
bool has_implied_memory(const Insn& insn) {
  for (unsigned i = 0; i < insn.raw.operand_count; ++i)
    if (insn.operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY && &insn.operands[i] != insn.memory)
      return true;
  return false;
}
}  // namespace

void Translator::choose_system_form(Planned& p, ModeKey mode) const {
  const StringForm string = string_form(p.insn, p.operation, mode, has_bmi2_);
  if (string == StringForm::kSingle) p.kind = Kind::kString;
  if (string == StringForm::kRepeated) p.system = SystemForm::kRepeatedString;
  if (string != StringForm::kNone) return;
  p.system = system_form(p.insn, p.operation, mode, model_, has_bmi2_);
  if (p.system != SystemForm::kNone) p.ends_block = ends_block(p.system);
}

void Translator::classify(Planned& p, ModeKey mode) const {
  p.ends_block = false;
  p.windows = false;
  if (auto fault = enablement_fault(p.insn, mode, model_)) return plan_fault(p, *fault);
  if (classify_row(p, mode)) return choose_system_form(p, mode);
  if (classify_control(p, mode) || classify_special(p, mode)) return;
  if (has_implied_memory(p.insn) || has_vector_index(p.insn))
    return plan_fault(p, guest::invalid_opcode());
  p.kind = Kind::kGeneric;
}

namespace {
// Compilers lay code out so that these are rarely taken: hot code with windows goes on behind them.
// With look-ups it does not: flags that are live at each way out have to be in the host's there.
bool is_forward_branch(const Planned& p) {
  return p.kind == Kind::kConditional && p.insn.operands[0].imm.value.s > 0;
}
}  // namespace

TranslateStatus Translator::decode_block(const TranslateRequest& request) {
  planned_ = 0;
  std::size_t at = 0;
  const std::size_t page_bytes = request.page_bytes ? request.page_bytes : request.bytes.size();
  const auto start = static_cast<std::uint16_t>(guest::page_offset(request.key.physical));
  const std::size_t limit = std::min<std::size_t>(request.max_instructions, plan_.size());
  while (planned_ < limit && at < page_bytes) {
    Planned& p = plan_[planned_];
    const bool first = planned_ == 0;
    const auto available = first ? request.bytes : request.bytes.subspan(at, page_bytes - at);
    const auto error =
        decoder_.decode(request.mode, available, static_cast<std::uint16_t>(start + at), p.insn);
    if (error == DecodeError::kTruncated) {
      if (!first) break;
      return TranslateStatus::kNeedsNextPage;
    }
    if (error) {
      p.insn.raw.length = 1;
      p.insn.page_offset = static_cast<std::uint16_t>(start + at);
      plan_fault(p, *error == DecodeError::kTooLong ? guest::general_protection()
                                                    : guest::invalid_opcode());
    } else {
      classify(p, request.mode);
      if (request.tier == Tier::kHot && request.mode.windows() && is_forward_branch(p))
        p.ends_block = false;
    }
    ++planned_;
    at += p.insn.length();
    if (p.ends_block) break;
  }
  // The instruction in an STI's shadow must follow in the block, where no interrupt is taken.
  if (Planned& last = plan_[planned_ - 1];
      last.kind == Kind::kCallOut && last.system == SystemForm::kSti) {
    last.system = SystemForm::kNone;
    last.ends_block = true;
  }
  return TranslateStatus::kOk;
}

bool Translator::flags_live_at_head() const {
  std::uint32_t unknown = static_cast<std::uint32_t>(guest::flags::kArithmetic);
  for (std::size_t i = 0; i < planned_; ++i) {
    const Kind kind = plan_[i].kind;
    if (kind == Kind::kCallOut || kind == Kind::kConditional) return true;
    if (plan_[i].insn.flags_read() & unknown) return true;
    unknown &= ~plan_[i].insn.flags_overwritten();
    if (unknown == 0) return false;
  }
  return true;
}

bool Translator::loops_to_itself() const {
  const Planned& last = plan_[planned_ - 1];
  if (last.kind != Kind::kConditional && last.kind != Kind::kLoop && last.kind != Kind::kJump)
    return false;
  const ZydisDecodedOperand& target = last.insn.operands[0];
  return target.type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
         last.insn.page_offset + static_cast<std::int64_t>(last.insn.length()) +
                 target.imm.value.s ==
             plan_[0].insn.page_offset;
}

void Translator::allow_windows(std::span<const std::uint16_t> checked) {
  for (std::size_t i = 0; i < planned_; ++i)
    plan_[i].windows =
        std::find(checked.begin(), checked.end(), plan_[i].insn.page_offset) == checked.end();
}

namespace {

// Flags must be in the host's for it: it reads some, keeps some, or leaves the block. `live`: those
// that are needed after it. What it leaves undefined it may keep, as MUL does on some processors.
bool needs_flags(const Planned& p, std::uint32_t live) {
  constexpr auto kAll = static_cast<std::uint32_t>(guest::flags::kArithmetic);
  switch (p.kind) {
    case Kind::kCallOut:
    case Kind::kConditional:
    case Kind::kLoop:
      return true;
    case Kind::kJump:
      return !p.insn.memory;
    default: {
      const std::uint32_t undefined = p.insn.flags_undefined();
      const bool defines_rest = (p.insn.flags_overwritten() | undefined) == kAll;
      if (p.insn.flags_read() || (p.insn.writes_flags() && !defines_rest)) return true;
      return p.insn.writes_flags() && (undefined & live);
    }
  }
}

// Flags that matter before an instruction, of those that matter after it.
std::uint32_t live_before(const Planned& p, std::uint32_t live) {
  constexpr auto kAll = static_cast<std::uint32_t>(guest::flags::kArithmetic);
  const bool leaves = p.ends_block || p.kind == Kind::kCallOut || p.kind == Kind::kConditional;
  return leaves ? kAll : (live & ~p.insn.flags_overwritten()) | p.insn.flags_read();
}

// These access memory first, and need the flags only after that.
bool leaves_by_itself(const Planned& p) {
  return p.kind == Kind::kCall || p.kind == Kind::kRet || (p.kind == Kind::kJump && p.insn.memory);
}

bool makes_look_up(const Planned& p) {
  if (p.group_offset >= 0) return p.begins_group;
  switch (p.kind) {
    case Kind::kGeneric:
      return p.insn.memory && p.insn.memory_bytes;
    case Kind::kMoveAbsolute:
    case Kind::kPush:
    case Kind::kPop:
    case Kind::kLeave:
    case Kind::kCall:
    case Kind::kRet:
      return true;
    case Kind::kJump:
      return p.insn.memory;
    default:
      return false;
  }
}

}  // namespace

// A look-up in the block is faster than the thunk's, but the flags have to wait in the frame. That
// costs next to nothing where they are overwritten unread; elsewhere they must come back, which
// three look-ups are worth.
void Translator::choose_inline_look_ups(bool wanted) {
  constexpr unsigned kWorthRestoring = 3;
  std::size_t end = planned_;  // of a stretch in which flags may wait
  auto live = static_cast<std::uint32_t>(guest::flags::kArithmetic);
  unsigned look_ups = 0;
  bool dead = false;
  const auto settle = [&](std::size_t begin) {
    for (std::size_t i = begin; i < end; ++i)
      plan_[i].inline_look_ups = wanted && (dead || look_ups >= kWorthRestoring);
    look_ups = 0;
  };
  for (std::size_t i = planned_; i-- > 0;) {
    Planned& p = plan_[i];
    p.needs_flags = needs_flags(p, live);
    live = live_before(p, live);
    if (p.needs_flags) {
      settle(i + 1);
      plan_[i].inline_look_ups = false;
      end = i;
      dead = false;
      continue;
    }
    if (leaves_by_itself(p) || p.insn.writes_flags()) {
      settle(i + 1);
      end = i + 1;
      dead = !leaves_by_itself(p);
    }
    look_ups += makes_look_up(p);
  }
  settle(0);
}

namespace {

// With windows, of what the emitter knows how to do while guest RSP is not in its register.
bool needs_no_rsp(const Planned& p) {
  constexpr std::uint8_t kRsp = 4;
  const Insn& insn = p.insn;
  const auto names_rsp = [](const GprField& f) {
    return f.used && !f.high_byte && f.number == kRsp;
  };
  switch (p.kind) {
    case Kind::kPush:
    case Kind::kPop:
      return !insn.memory && !names_rsp(insn.rm);
    case Kind::kGeneric:
      return !names_rsp(insn.reg) && !names_rsp(insn.rm) && !names_rsp(insn.vvvv);
    case Kind::kLea:
      return BlockEmitter::plain_lea(insn) && !names_rsp(insn.reg);
    case Kind::kCall:
      return !insn.memory && insn.operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
    case Kind::kRet:
    case Kind::kNothing:
    case Kind::kDirection:
      return true;
    default:
      return false;
  }
}

}  // namespace

void Translator::emit(const Planned& p) {
  emitter_.begin_insn(p.insn, p.windows && needs_no_rsp(p));
  emitter_.set_windows(p.windows);
  emitter_.set_loop_delta(p.loop_delta);
  if (p.kind == Kind::kNothing || p.kind == Kind::kDirection) emitter_.keep_delta();
  if (p.needs_flags) emitter_.restore_flags();
  emitter_.set_inline_look_ups(p.inline_look_ups);
  if (p.begins_group) emitter_.begin_group(p.group);
  emitter_.set_group_offset(p.group_offset);
  emit_kind(p);
  if (p.ends_group) emitter_.end_group();
  emitter_.finish_insn(p.insn);
  if (p.kind == Kind::kCallOut || p.insn.writes_flags()) emitter_.flags_written();
}

void Translator::emit_kind(const Planned& p) {
  switch (p.kind) {
    case Kind::kGeneric:
      return emitter_.generic(p.insn);
    case Kind::kCallOut:
      if (p.system != SystemForm::kNone) return emitter_.system(p.insn, p.operation, p.system);
      return emitter_.call_out(p.operation);
    case Kind::kLea:
      return emitter_.lea(p.insn);
    case Kind::kMoveAbsolute:
      return emitter_.move_absolute(p.insn);
    case Kind::kNothing:
      return;
    case Kind::kDirection:
      return emitter_.set_direction(p.insn.mnemonic() == ZYDIS_MNEMONIC_STD);
    case Kind::kString:
      return emitter_.string(p.insn, *string_kind(p.insn));
    case Kind::kPush:
      return emitter_.push(p.insn);
    case Kind::kPop:
      return emitter_.pop(p.insn);
    case Kind::kLeave:
      return emitter_.leave(p.insn);
    case Kind::kCall:
      return emitter_.call(p.insn);
    case Kind::kRet:
      return emitter_.ret(p.insn);
    case Kind::kJump:
      return emitter_.jump(p.insn);
    case Kind::kConditional:
      return emitter_.conditional_jump(p.insn, p.ends_block);
    case Kind::kLoop:
      return emitter_.loop_or_jcxz(p.insn);
  }
}

bool Translator::may_be_hot(ModeKey mode) {
  return !mode.single() && !mode.alignment_check() &&
         (mode.is_64bit() || (mode.flat() && mode.code_bytes() == 4));
}

namespace {
// The base of an access is what `load` has read from memory.
bool loads_base(const Insn& access, const Insn& load) {
  return load.memory && load.reads_memory && BlockEmitter::changes_base(access, load);
}
}  // namespace

// Accesses that a look-up ahead of the loop can serve, by the deltas that they share.
std::vector<BlockEmitter::LoopDelta> Translator::choose_loop_deltas() {
  const std::span<Planned> plan(plan_.data(), planned_);
  std::vector<BlockEmitter::LoopDelta> deltas;
  const auto share = [&](Planned& p, BlockEmitter::LoopDelta wanted) {
    auto known = std::find_if(deltas.begin(), deltas.end(), [&](const auto& d) {
      return d.follows == wanted.follows && BlockEmitter::same_delta(*d.first, p.insn);
    });
    if (known == deltas.end()) {
      if (deltas.size() == kLoopDeltas) return;
      known = deltas.insert(known, wanted);
    }
    p.loop_delta = static_cast<int>(known - deltas.begin());
  };
  const auto every = [&](auto holds) {
    return std::all_of(plan.begin(), plan.end(), [&](const Planned& p) { return holds(p.insn); });
  };
  const auto may_share = [](const Planned& p) {
    return p.kind == Kind::kGeneric && p.insn.memory && p.insn.memory_bytes && p.windows &&
           p.loop_delta < 0;
  };
  for (Planned& p : plan)
    if (may_share(p) && BlockEmitter::may_loop(p.insn) &&
        every([&](const Insn& i) { return BlockEmitter::delta_survives(p.insn, i); }))
      share(p, {&p.insn,
                every([&](const Insn& i) { return !BlockEmitter::changes_base(p.insn, i); })});
  for (Planned& p : plan)
    if (may_share(p) && BlockEmitter::may_follow(p.insn) &&
        !every([&](const Insn& i) { return !loads_base(p.insn, i); }))
      share(p, {&p.insn, false, true});
  return deltas;
}

void Translator::emit_block(const TranslateRequest& request, bool loop) {
  const bool hot = request.tier == Tier::kHot;
  const bool windows = hot && request.mode.windows();
  emitter_.begin(request.key, request.mode);
  if (windows && request.mode.is_64bit()) emitter_.keep_stack_delta();
  if (request.tier == Tier::kCounted) emitter_.count_run();
  for (std::size_t i = 0; i < planned_; ++i) plan_[i].loop_delta = -1;
  if (loop) emitter_.begin_loop(choose_loop_deltas());
  if (request.loop_head || loops_to_itself()) emitter_.head_check(flags_live_at_head());
  if (request.runs) emitter_.count_exactly(request.runs);
  if (hot) emitter_.set_hot();
  for (std::size_t i = 0; i < planned_; ++i) emit(plan_[i]);
  const Planned& last = plan_[planned_ - 1];
  if (last.ends_block) return;
  emitter_.restore_flags();
  emitter_.fall_through(last.insn.page_offset + last.insn.length());
}

TranslateStatus Translator::translate(const TranslateRequest& request) {
  if (const auto status = decode_block(request); status != TranslateStatus::kOk) return status;
  const bool hot = request.tier == Tier::kHot;
  const bool windows = hot && request.mode.windows();
  if (windows) allow_windows(request.checked);
  clear_groups({plan_.data(), planned_});
  if (request.group_accesses && !windows) form_groups({plan_.data(), planned_}, request.mode);
  choose_inline_look_ups(hot && !windows);
  // Where runs are counted, each turn is one.
  const bool loop = request.loops && !request.runs && windows && request.mode.is_64bit() &&
                    loops_to_itself() && plan_[planned_ - 1].kind != Kind::kLoop;
  emit_block(request, loop);
  if (loop && emitter_.made_calls()) emit_block(request, false);
  block_ = emitter_.finish(code_);
  return TranslateStatus::kOk;
}

}  // namespace ringshift::translator
