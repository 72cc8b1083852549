// translator/block_emitter.h - turns decoded guest instructions into one block of host code.
// One object per translator, used again for each block; the vCPU's thread.
#pragma once

#include <asmjit/x86.h>

#include <cstdint>
#include <span>
#include <vector>

#include "codecache/arena.h"
#include "codecache/block.h"
#include "translator/encoding.h"
#include "translator/insn.h"
#include "translator/mode_key.h"
#include "translator/operation.h"
#include "translator/strict_errors.h"
#include "translator/string_form.h"
#include "translator/system_form.h"
#include "translator/thunks.h"

namespace ringshift::translator {

class BlockEmitter {
 public:
  BlockEmitter(codecache::Arena& arena, const Thunks& thunks) : arena_(arena), thunks_(thunks) {}

  void begin(codecache::BlockKey key, ModeKey mode);
  // All blocks are gone: the numbers of their links are free again.
  void forget_links() { next_link_ = 0; }
  // Counts the runs of the block down, to its promotion: the first thing in it.
  void count_run();
  // From here on code is made to run fast, not to be short.
  void set_hot() { block_.hot = true; }
  // Looks for interrupt requests before the first instruction.
  void head_check(bool flags_live);
  // Each run adds 1: after what may leave before the first instruction.
  void count_exactly(std::uint64_t* runs);

  // Look-ups of the next instruction are made in the block itself, which costs the host's flags:
  // they are saved first, and restore_flags() brings them back for who needs them.
  void set_inline_look_ups(bool on) { inline_look_ups_ = on; }
  // The instruction that was emitted last wrote flags: what was saved is stale.
  void flags_written() { flags_saved_ = false; }
  void restore_flags();

  // A group: accesses through one unchanged base and index that lie within one page. One look-up of
  // the whole span serves them all; while the group lasts, R11 holds the host address of its start.
  // Anything but plain RAM of one page undoes the group: its `instructions` then run one at a time.
  struct Group {
    std::uint8_t base = 0;  // Gpr
    std::uint8_t index = kNoRegister;
    std::uint8_t scale = 1;
    std::int32_t start = 0;  // displacement of the lowest byte
    std::uint8_t span = 0;   // bytes
    bool write = false;
    std::uint8_t instructions = 0;
  };
  static constexpr unsigned kMaxGroupSpan = 128;
  void begin_group(const Group& group);
  void end_group() { group_active_ = false; }
  // Where in its group the next instruction's access lies; -1: it has its own look-up.
  void set_group_offset(int offset) { group_offset_ = offset; }
  // An LEA that needs no scratch register.
  static bool plain_lea(const Insn& insn);

  // First in a block of hot 64-bit code with windows: from here to each of its exits,
  // slot::stack_delta is right for guest RSP.
  void keep_stack_delta();
  // The next instruction may access memory through the view's windows.
  void set_windows(bool on) { windows_ = on; }
  // A loop of one block (emit_loop.cc) looks the deltas of some of its accesses up once, ahead of
  // its first turn. Only while no code of the loop calls anything: see made_calls().
  struct LoopDelta {
    const Insn* first;     // of the accesses that share it
    bool with_base;        // its base register does not change
    bool follows = false;  // its base is loaded anew each turn: whether the delta is the last
                           // turn's is found out off the path from load to load
  };
  void begin_loop(std::span<const LoopDelta> deltas);
  // The next instruction's accesses use this one of them; negative: none.
  void set_loop_delta(int number) { loop_.next = number; }
  // Since begin_loop(), something was called that may change windows.
  bool made_calls() const { return loop_.made_calls; }
  // Whether one look-up serves an access of `second` after `first`; and whether it does so over
  // `between`, which runs meanwhile.
  static bool may_loop(const Insn& insn);
  static bool same_delta(const Insn& first, const Insn& second);
  static bool delta_survives(const Insn& access, const Insn& between);
  static bool changes_base(const Insn& access, const Insn& between);
  static bool may_follow(const Insn& insn);
  // The instruction leaves R10 alone.
  void keep_delta() { keeps_delta_ = true; }
  // After each instruction: what R10 holds for the next one.
  void finish_insn(const Insn& insn);

  // Each emits the whole instruction. begin_insn() first; `any_rsp`: the instruction does not need
  // guest RSP in its host register, see rsp_ahead_.
  void begin_insn(const Insn& insn, bool any_rsp = false);
  void generic(const Insn& insn);
  void call_out(const Operation& op);
  void system(const Insn& insn, const Operation& op, SystemForm form);  // emit_system.cc
  void string(const Insn& insn, StringKind kind);                       // emit_strings.cc
  void lea(const Insn& insn);
  void move_absolute(const Insn& insn);  // MOV with a moffs operand
  void set_direction(bool down);         // CLD, STD
  // Stack instructions; only where fast_stack() says so.
  static bool fast_stack(ModeKey mode, const Insn& insn);
  void push(const Insn& insn);
  void pop(const Insn& insn);
  void leave(const Insn& insn);
  void call(const Insn& insn);
  void ret(const Insn& insn);
  // Branches.
  void jump(const Insn& insn);
  // Not taken, it leaves the block (`ends_block`) or goes on in it.
  void conditional_jump(const Insn& insn, bool ends_block);
  void loop_or_jcxz(const Insn& insn);
  // The block goes on at the page offset `next`, which has no code here.
  void fall_through(std::uint32_t next);

  // Host code so far, in bytes; the translator ends a block that grows too large.
  std::size_t size() const { return assembler_.offset(); }
  // Emits cold parts and data. The code is valid until the next begin().
  codecache::Block finish(std::span<const std::uint8_t>& code);

 private:
  using Gp = asmjit::x86::Gp;
  using Label = asmjit::Label;
  // The part of a register that an operand of `bytes` names.
  static Gp sized(const Gp& g, unsigned bytes) {
    switch (bytes) {
      case 1:
        return g.r8();
      case 2:
        return g.r16();
      case 4:
        return g.r32();
      default:
        return g.r64();
    }
  }
  struct ColdExit {
    Label stub;
    std::uint16_t target_offset;
    std::size_t field_offset;
  };
  struct ColdJump {
    Label entry;
    std::int64_t target;  // page-relative
    unsigned width;       // bytes that RIP is truncated to
    std::uint32_t record;
  };
  struct ColdLink {
    Label miss;
    std::int64_t target;  // page-relative
    std::uint32_t link;
  };
  struct ColdIndirect {
    Label miss;
    std::uint32_t record;
  };
  struct ColdMiss {
    Label entry, back;
    codecache::FaultPoint point;
    std::size_t point_index;
    const std::uint8_t* thunk;
  };
  struct ColdCallOut {
    Label entry, record;
  };
  struct Record {
    Label label;
    Operation operation;
  };

  // --- emit_memory.cc ---
  // Offset part of the operand into R11 (no segment); `rsp_adjust` is added when RSP is the base.
  void effective_offset(const Insn& insn, std::int32_t rsp_adjust = 0);
  // R11 offset -> R11 linear, by the segment's rule.
  void apply_segment(guest::Seg segment, unsigned bytes, bool write, unsigned address_bytes);
  // R11 linear -> R11 host; marks the fault point.
  void look_up(unsigned bytes, bool write, bool reads, bool stack);
  // Of kSizeClassBytes, the least that holds `bytes`.
  static unsigned size_class(unsigned bytes);
  void memory_operand(const Insn& insn, bool write, std::int32_t rsp_adjust = 0);
  std::size_t tlb_test(unsigned bytes, bool write);
  void end_tlb_test(const codecache::FaultPoint& facts, const std::uint8_t* thunk);
  void inline_look_up(unsigned bytes, bool write, const codecache::FaultPoint& facts,
                      const std::uint8_t* miss_thunk);
  bool inline_generic(const Insn& insn);
  bool is_plain_operand(const Insn& insn) const;
  bool keeps_operand(const Insn& insn) const;
  void emit_cold_misses();
  void end_access();  // the access that look_up() opened is complete
  void generic_with_memory(const Insn& insn);
  void generic_registers(const Insn& insn);
  struct HomeLoad {
    std::uint8_t guest, host;
    bool store;
  };
  std::uint8_t load_home(const GprField& field, std::vector<std::uint8_t>& free_scratch,
                         std::vector<HomeLoad>& loaded);
  bool emit_slot_form(const Insn& insn);

  // --- emit_window.cc --- Those that answer "no" have emitted nothing.
  // Registers of the guest and a displacement that together were an address in some piece of 4 GiB.
  struct DeltaKey {
    std::uint8_t base = kNoRegister, index = kNoRegister, scale = 1;
    std::int64_t displacement = 0;
    bool known = false;
    int with_base = -1;  // R10 is this delta of the loop's, and the base is in it
    bool serves(const DeltaKey& wanted) const;
    bool survives(const Insn& insn) const;
  };
  static DeltaKey delta_key(const Insn& insn, const MemoryOperand& m);
  void load_delta(const Gp& address, const DeltaKey& key);
  void find_delta(const Gp& base, DeltaKey key);
  void stack_delta(const DeltaKey& key);
  void settle_stack();
  void follow_stack(const Insn& insn);
  void mark_window(std::uint8_t base, std::int32_t displacement, unsigned bytes, bool write);
  // --- emit_loop.cc ---
  void find_loop_delta(std::size_t number);
  void use_loop_delta(int number);
  void follow(const Gp& address, const DeltaKey& key);
  bool window_with_base(const Insn& insn, HostOperand& operand, bool& uses_r11);
  void prepare_window_with_base(const Insn& insn, const HostOperand& operand);
  void mark_loop_delta();
  bool to_loop(std::int64_t target);
  asmjit::x86::Mem window_at(std::uint8_t guest, std::int32_t displacement, unsigned bytes,
                             bool write);
  bool window_operand(const Insn& insn, HostOperand& operand, bool& uses_r11);
  void prepare_window_operand(const Insn& insn, const HostOperand& operand);
  void load_through_window(const Gp& to, const HostOperand& operand, unsigned bytes);
  bool window_generic(const Insn& insn);
  bool window_branch_target(const Insn& insn, unsigned width);
  bool window_push(const Insn& insn);
  bool window_pop(const Insn& insn);
  bool window_leave(const Insn& insn);

  // --- emit_stack.cc ---
  void stack_slot_address(unsigned bytes);
  asmjit::x86::Mem pushed_slot(unsigned bytes);
  asmjit::x86::Mem top_slot(unsigned bytes);
  void push_value(const asmjit::x86::Mem& slot, const Gp& value, unsigned bytes);
  void adjust_rsp(std::int32_t by);
  void adjust_rsp_later(std::int32_t by);
  void commit_rsp();
  void restart_insn();
  void load_gpr(const Gp& to, unsigned guest);
  void store_gpr(unsigned guest, const Gp& from);

  // --- emit_system.cc ---
  Label cold_call_out(const Operation& op);  // for the case that the emitted form does not serve
  void emit_cold_call_outs();
  void quick_call(const Operation& op, const std::uint8_t* thunk);
  void push_selector(const Insn& insn, std::int32_t displacement);
  void verify_writable(const Insn& insn, const Operation& op);
  void set_interrupt_flag(const Operation& op);
  void push_flags(const Insn& insn);
  void pop_flags(const Insn& insn, const Operation& op);
  void restore_flags_from_r10(unsigned bytes);
  void swap_gs();
  void read_time(const Operation& op, bool with_aux);
  void store_selector(const Insn& insn, std::int32_t displacement);
  void read_register(const Operation& op, std::int32_t displacement, unsigned bytes);

  // --- emit_strings.cc ---
  asmjit::x86::Mem string_element(std::uint8_t pointer, unsigned bytes, bool write);
  Gp load_string_source(unsigned bytes);
  void step_string(unsigned bytes, bool source, bool destination);
  void repeated_string(const Insn& insn, const Operation& op);

  // --- emit_control.cc ---
  void branch_target_from_operand(const Insn& insn);  // -> R11
  void exit_to(std::int64_t target, unsigned width, bool branch = false);
  void exit_if(std::uint32_t jcc, std::int64_t target, unsigned width);
  void exit_unlinked(std::int64_t target, unsigned width, std::uint32_t record);
  void target_to_r11(std::int64_t target, unsigned width);
  std::uint32_t branch_record(bool direct, std::int32_t rsp_change = 0) const;
  void exit_indirect(std::uint32_t record);
  // --- emit_hot_exits.cc ---
  bool links_across() const { return block_.hot && next_link_ < softmmu::kLinks; }
  void exit_across(std::int64_t target);
  void exit_by_jump_cache(std::uint32_t record);
  void return_entry();
  void expect_return(std::int64_t next);
  void exit_to_caller(std::uint32_t record);
  void emit_cold_links();
  void branch_if_rcx_zero(const Label& target, const Label& otherwise);
  bool linkable(std::int64_t target) const;
  unsigned rip_width() const { return mode_.code_bytes(); }

  void embed(const HostBytes& bytes);
  void call_thunk(const std::uint8_t* thunk);
  void jump_thunk(const std::uint8_t* thunk);
  void mark_insn_start();
  asmjit::x86::Mem frame_slot(std::int32_t displacement, unsigned size = 8) const;
  asmjit::x86::Mem gpr_slot(unsigned guest, unsigned size = 8) const;

  codecache::Arena& arena_;
  const Thunks& thunks_;
  StrictErrors strict_;
  asmjit::CodeHolder holder_;
  asmjit::x86::Assembler assembler_;
  codecache::Block block_;
  ModeKey mode_;
  const Insn* insn_ = nullptr;
  std::uint16_t masked_operand_ = 0;  // of insn_, packed
  std::uint8_t alignment_ = 1;        // of insn_
  bool waits_for_x87_ = false;        // insn_ does
  std::vector<ColdExit> cold_exits_;
  std::vector<ColdJump> cold_jumps_;
  std::vector<Record> records_;
  Label attention_;
  bool has_attention_ = false;
  bool access_open_ = false;
  std::uint32_t next_link_ = 0;
  bool windows_ = false;
  // Guest RSP is this much more than R15: PUSHes and POPs through windows move it once together.
  std::int32_t rsp_ahead_ = 0;
  bool keeps_delta_ = false;
  struct Loop {
    bool active = false;
    Label start;
    std::vector<LoopDelta> deltas;
    std::vector<DeltaKey> keys;  // of these
    int next = -1;
    bool made_calls = false;
  } loop_;
  // What is known of slot::stack_delta, where it is kept.
  struct {
    bool kept = false;
    bool known = false;     // was right for RSP here, but for the small steps since
    bool stepped = false;   // RSP made small steps since
    bool touched = false;   // an access near RSP has shown that it is in the window still
    bool followed = false;  // this instruction's own code saw to what it does to RSP
  } stack_;
  DeltaKey delta_;  // what R10 has the delta for
  bool group_active_ = false;
  int group_offset_ = -1;
  bool inline_look_ups_ = false, flags_saved_ = false;
  std::vector<ColdMiss> cold_misses_;
  std::vector<ColdCallOut> cold_call_outs_;
  bool in_shadow_ = false, shadow_next_ = false;  // of an STI
  std::vector<ColdLink> cold_links_;
  std::vector<ColdIndirect> cold_indirects_;
};

}  // namespace ringshift::translator
