// translator/block_emitter.cc - block frame: head check, call-outs, cold parts, data.
#include "translator/block_emitter.h"

#include <algorithm>
#include <utility>

#include "translator/masked_operand.h"

namespace ringshift::translator {
namespace r = asmjit::x86;

void BlockEmitter::begin(codecache::BlockKey key, ModeKey mode) {
  holder_.reset();
  holder_.init(asmjit::Environment::host(), reinterpret_cast<std::uint64_t>(arena_.next()));
  holder_.setErrorHandler(&strict_);
  holder_.attach(&assembler_);
  block_ = {};
  block_.key = key;
  block_.single = mode.single();
  mode_ = mode;
  cold_exits_.clear();
  cold_jumps_.clear();
  records_.clear();
  has_attention_ = access_open_ = group_active_ = false;
  group_offset_ = -1;
  inline_look_ups_ = flags_saved_ = false;
  windows_ = keeps_delta_ = false;
  stack_ = {};
  rsp_ahead_ = 0;
  loop_ = {};
  delta_ = {};
  cold_misses_.clear();
  cold_call_outs_.clear();
  in_shadow_ = shadow_next_ = false;
  cold_links_.clear();
  cold_indirects_.clear();
}

r::Mem BlockEmitter::frame_slot(std::int32_t displacement, unsigned size) const {
  return r::ptr(r::rsp, displacement, size);
}

r::Mem BlockEmitter::gpr_slot(unsigned guest, unsigned size) const {
  return frame_slot(slot::gpr(guest), size);
}

void BlockEmitter::embed(const HostBytes& bytes) {
  assembler_.embed(bytes.view().data(), bytes.view().size());
}

void BlockEmitter::call_thunk(const std::uint8_t* thunk) {
  loop_.made_calls = true;
  assembler_.call(reinterpret_cast<std::uint64_t>(thunk));
}

void BlockEmitter::jump_thunk(const std::uint8_t* thunk) {
  assembler_.jmp(reinterpret_cast<std::uint64_t>(thunk));
}

// No flag changes.
void BlockEmitter::count_exactly(std::uint64_t* runs) {
  block_.runs = runs;
  assembler_.mov(r::r10, reinterpret_cast<std::uint64_t>(runs));
  assembler_.mov(r::r11, r::qword_ptr(r::r10));
  assembler_.lea(r::r11, r::ptr(r::r11, 1));
  assembler_.mov(r::qword_ptr(r::r10), r::r11);
}

void BlockEmitter::count_run() { call_thunk(thunks_.count_run); }

void BlockEmitter::head_check(bool flags_live) {
  block_.checks_requests = true;
  has_attention_ = true;
  attention_ = assembler_.newLabel();
  if (!flags_live) {
    assembler_.cmp(frame_slot(slot::attention, 4), 0);
    assembler_.jne(attention_);
    return;
  }
  Label go = assembler_.newLabel();
  assembler_.mov(gpr_slot(1), r::rcx);
  assembler_.mov(r::ecx, frame_slot(slot::attention, 4));
  assembler_.jecxz(r::rcx, go);
  assembler_.mov(r::rcx, gpr_slot(1));
  assembler_.jmp(attention_);
  assembler_.bind(go);
  assembler_.mov(r::rcx, gpr_slot(1));
}

void BlockEmitter::mark_insn_start() {
  codecache::FaultPoint p;
  p.host_offset = static_cast<std::uint32_t>(assembler_.offset());
  p.guest_offset = static_cast<std::uint16_t>(insn_->page_offset - block_.start_offset());
  p.flags_saved = flags_saved_;
  p.interrupt_shadow = in_shadow_;
  p.guest_length = static_cast<std::uint8_t>(insn_->length());
  p.masked = masked_operand_;
  p.alignment = alignment_;
  p.waits_for_x87 = waits_for_x87_;
  p.rsp_ahead = static_cast<std::int16_t>(rsp_ahead_);
  block_.fault_points.push_back(p);
}

void BlockEmitter::begin_insn(const Insn& insn, bool any_rsp) {
  if (!any_rsp) commit_rsp();
  insn_ = &insn;
  in_shadow_ = std::exchange(shadow_next_, false);
  masked_operand_ = masked_operand_of(insn).pack();
  alignment_ = static_cast<std::uint8_t>(std::max(insn.required_alignment(), 1u));
  waits_for_x87_ = insn.waits_for_x87();
  mark_insn_start();
  ++block_.instructions;
  block_.guest_bytes = static_cast<std::uint16_t>(block_.guest_bytes + insn.length());
}

void BlockEmitter::call_out(const Operation& op) {
  Record record{assembler_.newLabel(), op};
  assembler_.lea(r::r11, r::ptr(record.label));
  call_thunk(thunks_.call_out);
  records_.push_back(record);
}

void BlockEmitter::set_direction(bool down) {
  assembler_.mov(frame_slot(slot::direction, 4), down ? static_cast<int>(guest::flags::kDf) : 0);
}

void BlockEmitter::fall_through(std::uint32_t next) {
  commit_rsp();
  settle_stack();
  exit_to(next, rip_width());
}

codecache::Block BlockEmitter::finish(std::span<const std::uint8_t>& code) {
  emit_cold_misses();
  emit_cold_call_outs();
  for (const ColdJump& cold : cold_jumps_) {
    assembler_.bind(cold.entry);
    exit_unlinked(cold.target, cold.width, cold.record);
  }
  emit_cold_links();
  for (const ColdExit& cold : cold_exits_) {
    assembler_.bind(cold.stub);
    codecache::Exit exit;
    exit.field_offset = static_cast<std::uint32_t>(cold.field_offset);
    exit.stub_offset = static_cast<std::uint32_t>(assembler_.offset());
    exit.target_offset = cold.target_offset;
    block_.exits.push_back(exit);
    call_thunk(thunks_.direct_exit);
  }
  if (has_attention_) {
    assembler_.bind(attention_);
    call_thunk(thunks_.attention);
  }
  block_.code_bytes = static_cast<std::uint32_t>(assembler_.offset());
  if (!records_.empty()) assembler_.align(asmjit::AlignMode::kData, 8);
  for (const Record& record : records_) {
    assembler_.bind(record.label);
    assembler_.embed(&record.operation, sizeof record.operation);
  }
  const asmjit::CodeBuffer& buffer = holder_.sectionById(0)->buffer();
  code = {reinterpret_cast<const std::uint8_t*>(buffer.data()), buffer.size()};
  return std::move(block_);
}

}  // namespace ringshift::translator
