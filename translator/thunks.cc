// translator/thunks.cc - the shared pieces of host code that translated blocks call.
//
// Before you change this: nothing here may alter the guest's flags, whose home is the host's flags.
// So look-ups use LEA, NOT, PEXT and JRCXZ, which leave flags alone, and call-outs save them with
// LAHF/SETO. R10 and R11 are scratch; every other register is the guest's.
#include "translator/thunks.h"

#include <asmjit/x86.h>

#include "translator/stack_delta.h"
#include "translator/strict_errors.h"

namespace ringshift::translator {
namespace {
using namespace asmjit;
namespace r = asmjit::x86;

constexpr r::Gp kFramePointer = r::rsp;

// Registers that generated code keeps in the host's, in slot order, but RSP.
struct Kept {
  r::Gp host;
  unsigned guest;
};
constexpr unsigned kKeptCount = 13;
const std::array<Kept, kKeptCount>& kept_registers() {
  static const std::array<Kept, kKeptCount> kept = {{{r::rax, 0},
                                                     {r::rcx, 1},
                                                     {r::rdx, 2},
                                                     {r::rbx, 3},
                                                     {r::r15, 4},
                                                     {r::rbp, 5},
                                                     {r::rsi, 6},
                                                     {r::rdi, 7},
                                                     {r::r8, 8},
                                                     {r::r9, 9},
                                                     {r::r12, 12},
                                                     {r::r13, 13},
                                                     {r::r14, 14}}};
  return kept;
}

class Emitter {
 public:
  Emitter(codecache::Arena& arena, const Hooks& hooks, bool use_bmi2)
      : arena_(arena), hooks_(hooks), use_bmi2_(use_bmi2) {
    code_.init(Environment::host(), reinterpret_cast<std::uint64_t>(arena.next()));
    code_.setErrorHandler(&strict_);
    code_.attach(&a_);
    for (Label* label : {&enter_,
                         &leave_,
                         &slow_access_,
                         &commit_,
                         &call_out_,
                         &quick_,
                         &direct_exit_,
                         &indirect_exit_,
                         &sequential_exit_,
                         &attention_,
                         &indirect_slow_,
                         &segment_check_,
                         &group_miss_,
                         &inline_miss_,
                         &inline_group_miss_,
                         &count_run_,
                         &link_miss_,
                         &inline_delta_miss_,
                         &inline_segment_check_,
                         &find_stack_,
                         &unexpected_return_,
                         &inline_commit_})
      *label = a_.newLabel();
    for (Label& label : read_) label = a_.newLabel();
    for (Label& label : write_) label = a_.newLabel();
    for (Label& label : group_read_) label = a_.newLabel();
    for (Label& label : group_write_) label = a_.newLabel();
    for (MissLabels* misses : {&read_miss_, &write_miss_})
      for (Label& label : *misses) label = a_.newLabel();
  }

  Thunks run() {
    emit_enter();
    emit_leave();
    for (unsigned i = 0; i < kSizeClasses; ++i) {
      emit_access(read_[i], kSizeClassBytes[i], false);
      emit_access(write_[i], kSizeClassBytes[i], true);
    }
    for (unsigned i = 0; i < kGroupSpans.size(); ++i) {
      emit_access(group_read_[i], kGroupSpans[i], false, true);
      emit_access(group_write_[i], kGroupSpans[i], true, true);
    }
    emit_slow_access(slow_access_, hooks_.slow_access);
    emit_slow_access(group_miss_, hooks_.group_miss);
    emit_slow_access(inline_miss_, hooks_.slow_access, true);
    emit_slow_access(inline_group_miss_, hooks_.group_miss, true);
    emit_delta_miss();
    emit_misses(read_miss_, false);
    emit_misses(write_miss_, true);
    emit_segment_check(segment_check_, false);
    emit_segment_check(inline_segment_check_, true);
    emit_resumable(commit_, hooks_.commit_store);
    emit_resumable(inline_commit_, hooks_.commit_store, true);
    emit_resumable(call_out_, hooks_.call_out);
    emit_quick();
    emit_final(direct_exit_, hooks_.direct_exit);
    emit_final(attention_, hooks_.attention);
    emit_indirect_exit(indirect_exit_, true);
    emit_indirect_exit(sequential_exit_, false);
    if (use_bmi2_) emit_link_miss();
    if (use_bmi2_) emit_count_run();
    if (use_bmi2_) emit_find_stack();
    emit_unexpected_return();
    return finish();
  }

 private:
  // As in Thunks::Misses, one after the other.
  using MissLabels = std::array<Label, 2 * kSizeClasses + kGroupSpans.size()>;
  static constexpr std::int32_t kCallDepth = 8;  // the return address of a block's call

  static r::Mem slot(std::int32_t displacement, std::int32_t depth, unsigned size = 8) {
    return r::ptr(r::rsp, displacement + depth, size);
  }

  // `depth`: bytes pushed below the frame.
  void save_registers(std::int32_t depth, bool flags_saved = false) {
    for (const Kept& k : kept_registers()) a_.mov(slot(slot::gpr(k.guest), depth), k.host);
    if (flags_saved) return;
    a_.lahf();
    a_.seto(r::al);
    a_.mov(slot(slot::saved_flags, depth, 2), r::ax);
  }

  void load_flags(std::int32_t depth) {
    a_.mov(r::eax, slot(slot::saved_flags, depth, 4));
    a_.add(r::al, 0x7f);  // overflows exactly when SETO stored 1
    a_.sahf();
  }

  void load_registers(std::int32_t depth) {
    a_.mov(r::r15, slot(slot::gpr(4), depth));
    if (use_bmi2_) emit_stack_delta(a_, r::rax, depth);
    load_flags(depth);
    for (const Kept& k : kept_registers())
      if (k.guest != 4) a_.mov(k.host, slot(slot::gpr(k.guest), depth));
  }

  template <typename Function>
  void call_host(Function function) {
    a_.mov(r::rax, reinterpret_cast<std::uint64_t>(function));
    a_.call(r::rax);
  }

  // The hook has decided where to go on; the guest state is complete in memory.
  void go_on(std::int32_t depth) {
    Label out = a_.newLabel();
    a_.mov(r::r11, slot(slot::next_code, depth));
    a_.test(r::r11, r::r11);
    a_.jz(out);
    load_registers(depth);
    if (depth) a_.lea(r::rsp, r::ptr(r::rsp, depth));
    a_.jmp(r::r11);
    a_.bind(out);
    if (depth) a_.lea(r::rsp, r::ptr(r::rsp, depth));
    a_.jmp(leave_);
  }

  // Saves the guest's registers and calls hook(frame, R11, R10, return address or its slot).
  // RAX is the hook's result; the stack is as it was on entry.
  template <typename Function>
  void call_hook(Function hook, bool address_of_return = false, bool flags_saved = false) {
    save_registers(kCallDepth, flags_saved);
    a_.lea(r::rdi, r::ptr(r::rsp, kCallDepth));
    a_.mov(r::rsi, r::r11);
    a_.mov(r::rdx, r::r10);
    if (address_of_return)
      a_.mov(r::rcx, r::rsp);
    else
      a_.mov(r::rcx, r::ptr(r::rsp));
    a_.push(r::r11);  // alignment
    call_host(hook);
    a_.pop(r::r11);
  }

  void emit_enter() {
    a_.bind(enter_);
    for (const auto& reg : {r::rbx, r::rbp, r::r12, r::r13, r::r14, r::r15}) a_.push(reg);
    a_.mov(r::ptr(r::rdi, slot::host_rsp), r::rsp);
    a_.mov(r::rsp, r::rdi);
    a_.mov(r::r11, r::rsi);
    load_registers(0);
    a_.jmp(r::r11);
  }

  void emit_leave() {
    a_.bind(leave_);
    a_.mov(r::rsp, r::ptr(kFramePointer, slot::host_rsp));
    for (const auto& reg : {r::r15, r::r14, r::r13, r::r12, r::rbp, r::rbx}) a_.pop(reg);
    a_.ret();
  }

  // In: R11 linear. Out on a hit: R11 host address. R10 holds twice the entry's index on a miss.
  // In: R11 linear. Out on a hit: R11 host address. RCX waits in R10, and the index is computed
  // twice: through memory it would be one long dependency from access to access.
  void emit_access(const Label& entry, unsigned bytes, bool write, bool group = false) {
    constexpr std::int32_t kDepth = kCallDepth;
    const std::size_t table =
        write ? offsetof(softmmu::View, write) : offsetof(softmmu::View, read);
    Label hit = a_.newLabel();
    a_.bind(entry);
    if (!use_bmi2_) save_flags_in_rax_slot(kDepth);
    a_.mov(r::r10, r::rcx);
    emit_tlb_index(kDepth);
    a_.mov(r::rcx, view_field(table + offsetof(softmmu::TlbEntry, tag), 3));
    a_.not_(r::rcx);
    // linear - tag + bytes - 1: below a page on a hit
    a_.lea(r::rcx, r::ptr(r::r11, r::rcx, 0, static_cast<std::int32_t>(bytes)));
    emit_page_number(kDepth);
    a_.jecxz(r::rcx, hit);
    a_.mov(r::rcx, r::r10);
    if (!use_bmi2_) restore_flags_from_rax_slot(kDepth);
    a_.mov(r::r10d, bytes | (write ? kWriteAccess : 0));
    a_.jmp(group ? group_miss_ : slow_access_);
    a_.bind(hit);
    emit_tlb_index(kDepth);
    a_.mov(r::rcx, view_field(table + offsetof(softmmu::TlbEntry, addend), 3));
    a_.lea(r::r11, r::ptr(r::r11, r::rcx));
    a_.mov(r::rcx, r::r10);
    if (!use_bmi2_) restore_flags_from_rax_slot(kDepth);
    a_.ret();
  }

  // A field of the current view's table, RCX scaled by 1 << shift.
  static r::Mem view_field(std::size_t offset, unsigned shift) {
    r::Mem m = r::ptr(static_cast<std::uint64_t>(translator::view_field(offset)), r::rcx, shift, 8);
    m.setSegment(r::gs);
    return m;
  }

  // RCX = twice the entry's index.
  void emit_tlb_index(std::int32_t depth) {
    if (use_bmi2_) {
      a_.pext(r::rcx, r::r11, slot(slot::index_mask, depth));
      a_.lea(r::rcx, r::ptr(r::rcx, r::rcx));
    } else {
      a_.mov(r::rcx, r::r11);
      a_.shr(r::rcx, 11);
      a_.and_(r::ecx, (softmmu::kTlbEntries - 1) << 1);
    }
  }

  void emit_page_number(std::int32_t depth) {
    if (use_bmi2_)
      a_.pext(r::rcx, r::rcx, slot(slot::page_mask, depth));
    else
      a_.shr(r::rcx, guest::kPageShift);
  }

  void save_flags_in_rax_slot(std::int32_t depth) {
    a_.mov(slot(slot::gpr(0), depth), r::rax);
    a_.lahf();
    a_.seto(r::al);
    a_.mov(slot(slot::saved_flags, depth, 2), r::ax);
  }
  void restore_flags_from_rax_slot(std::int32_t depth) {
    load_flags(depth);
    a_.mov(r::rax, slot(slot::gpr(0), depth));
  }

  // R11 linear, R10 size and direction.
  template <typename Function>
  void emit_slow_access(const Label& entry, Function hook, bool flags_saved = false) {
    Label other = a_.newLabel();
    a_.bind(entry);
    call_hook(hook, true, flags_saved);
    a_.mov(r::r11, r::rax);
    a_.test(r::rax, r::rax);
    a_.jz(other);
    load_registers(kCallDepth);
    a_.ret();
    a_.bind(other);
    go_on(kCallDepth);
  }

  // The same, but R11 stays linear and R10 becomes what to add to it.
  void emit_delta_miss() {
    Label other = a_.newLabel();
    a_.bind(inline_delta_miss_);
    call_hook(hooks_.slow_access, true, true);
    a_.mov(r::r10, r::rax);
    a_.test(r::rax, r::rax);
    a_.jz(other);
    a_.sub(r::r10, r::r11);
    load_registers(kCallDepth);
    a_.ret();
    a_.bind(other);
    go_on(kCallDepth);
  }

  // One for each kind of look-up, so that a block's cold part is a call and a jump.
  void emit_misses(const MissLabels& misses, bool write) {
    const std::size_t table =
        write ? offsetof(softmmu::View, write) : offsetof(softmmu::View, read);
    r::Mem tag = r::ptr(
        r::r10,
        static_cast<std::int32_t>(translator::view_field(table + offsetof(softmmu::TlbEntry, tag))),
        8);
    tag.setSegment(r::gs);
    const auto emit = [&](const Label& entry, unsigned bytes, const Label& common) {
      a_.bind(entry);
      a_.xor_(r::r11, tag);
      a_.mov(r::r10d, bytes | (write ? kWriteAccess : 0));
      a_.jmp(common);
    };
    for (unsigned i = 0; i < kSizeClasses; ++i) {
      emit(misses[i], kSizeClassBytes[i], inline_miss_);
      emit(misses[kSizeClasses + i], kSizeClassBytes[i], inline_delta_miss_);
    }
    for (unsigned i = 0; i < kGroupSpans.size(); ++i)
      emit(misses[2 * kSizeClasses + i], kGroupSpans[i], inline_group_miss_);
  }

  // R11 offset, R10 segment and size; R11 becomes the linear address.
  void emit_segment_check(const Label& entry, bool flags_saved) {
    Label other = a_.newLabel();
    a_.bind(entry);
    call_hook(hooks_.segment_check, false, flags_saved);
    a_.mov(r::r11, r::rax);
    a_.cmp(r::rax, -1);
    a_.je(other);
    load_registers(kCallDepth);
    a_.ret();
    a_.bind(other);
    go_on(kCallDepth);
  }

  // The result of the hook says whether the block goes on.
  template <typename Function>
  void emit_resumable(const Label& entry, Function hook, bool flags_saved = false) {
    Label other = a_.newLabel();
    a_.bind(entry);
    call_hook(hook, false, flags_saved);
    a_.test(r::eax, r::eax);
    a_.jnz(other);
    load_registers(kCallDepth);
    a_.ret();
    a_.bind(other);
    go_on(kCallDepth);
  }

  // The call-out's own thunk finds everything as if it had been called at once.
  void emit_quick() {
    Label other = a_.newLabel();
    a_.bind(quick_);
    call_hook(hooks_.quick);
    a_.test(r::eax, r::eax);
    a_.jz(other);
    go_on(kCallDepth);
    a_.bind(other);
    load_registers(kCallDepth);
    a_.jmp(call_out_);
  }

  template <typename Function>
  void emit_final(const Label& entry, Function hook) {
    a_.bind(entry);
    call_hook(hook);
    go_on(kCallDepth);
  }

  static r::Mem jump_entry(unsigned way, std::size_t field) {
    static_assert(sizeof(softmmu::JumpEntry) * softmmu::kJumpWays == 64);
    return view_field(offsetof(softmmu::View, jump) + way * sizeof(softmmu::JumpEntry) + field, 3);
  }

  void emit_indirect_exit(const Label& entry, bool recorded) {
    Label miss = a_.newLabel();
    std::array<Label, softmmu::kJumpWays> found;
    for (Label& label : found) label = a_.newLabel();
    a_.bind(entry);
    if (!use_bmi2_) save_flags_in_rax_slot(0);
    a_.mov(r::r10, r::rcx);
    for (unsigned way = 0; way < softmmu::kJumpWays; ++way) {
      emit_jump_index();
      a_.mov(r::rcx, jump_entry(way, offsetof(softmmu::JumpEntry, negated_rip)));
      a_.lea(r::rcx, r::ptr(r::rcx, r::r11));
      a_.jecxz(r::rcx, found[way]);
    }
    a_.jmp(miss);
    for (unsigned way = 0; way < softmmu::kJumpWays; ++way) {
      Label hit = a_.newLabel();
      a_.bind(found[way]);
      a_.mov(r::ecx, slot(slot::attention, 0, 4));
      a_.jecxz(r::rcx, hit);
      a_.jmp(miss);
      a_.bind(hit);
      emit_jump_hit(way);
    }
    a_.bind(miss);
    if (!use_bmi2_) restore_flags_from_rax_slot(0);
    a_.mov(r::rcx, r::r10);
    Label hand_over = a_.newLabel();
    if (recorded) {
      a_.mov(r::r10d, slot(slot::branch, 0, 4));
    } else {
      a_.bind(indirect_slow_);
      a_.mov(r::r10d, BranchRecord::kNone);
    }
    emit_jumped_to(hand_over, hooks_.indirect_exit);
  }

  // Hands R11 and R10 to the hook.
  template <typename Function>
  void emit_jumped_to(const Label& entry, Function hook) {
    a_.bind(entry);
    save_registers(0);
    a_.mov(r::rdi, r::rsp);
    a_.mov(r::rsi, r::r11);
    a_.mov(r::rdx, r::r10);
    call_host(hook);
    go_on(0);
  }

  void emit_jump_hit(unsigned way) {
    emit_jump_index();
    a_.mov(r::r11, jump_entry(way, offsetof(softmmu::JumpEntry, rip_base)));
    a_.mov(slot(slot::rip_base, 0), r::r11);
    a_.mov(r::r11, jump_entry(way, offsetof(softmmu::JumpEntry, host_code)));
    if (use_bmi2_) emit_stack_delta(a_, r::rcx);
    if (!use_bmi2_) restore_flags_from_rax_slot(0);
    a_.mov(r::rcx, r::r10);
    a_.jmp(r::r11);
  }

  // RCX = number of the set * 8, which a scale of 8 turns into the set's offset.
  void emit_jump_index() {
    if (use_bmi2_) {
      a_.pext(r::rcx, r::r11, slot(slot::jump_mask, 0));
      a_.lea(r::rcx, r::ptr(0, r::rcx, 3));
    } else {
      a_.mov(r::rcx, r::r11);
      a_.shl(r::rcx, 3 - softmmu::kJumpShift);
      a_.and_(r::ecx, (softmmu::kJumpSets - 1) << 3);
    }
  }

  // A new address space begins without links, and many end before these are worth making: the jump
  // cache serves until a link was missed often.
  void emit_link_miss() {
    static_assert(256 % kMissesToLink == 0);
    Label often = a_.newLabel(), fill = a_.newLabel();
    a_.bind(link_miss_);
    a_.mov(slot(slot::temp, 0), r::r10);
    a_.mov(slot(slot::gpr(1), 0), r::rcx);
    a_.pext(r::rcx, r::r10, slot(slot::jump_mask, 0));
    r::Mem count = r::ptr(r::rsp, r::rcx, 0, slot::link_counts, 1);
    a_.movzx(r::r10d, count);
    a_.lea(r::r10d, r::ptr(r::r10, -static_cast<int>(256 / kMissesToLink)));
    a_.mov(count, r::r10b);
    a_.movzx(r::ecx, r::r10b);
    a_.jecxz(r::ecx, often);
    a_.mov(r::rcx, slot(slot::gpr(1), 0));
    a_.jmp(sequential_exit_);
    a_.bind(often);
    a_.mov(r::rcx, slot(slot::gpr(1), 0));
    a_.mov(r::r10, slot(slot::temp, 0));
    emit_jumped_to(fill, hooks_.link_miss);
  }

  void emit_unexpected_return() {
    a_.bind(unexpected_return_);
    a_.mov(r::rcx, slot(slot::gpr(1), 0));
    a_.jmp(sequential_exit_);
  }

  void emit_find_stack() {
    a_.bind(find_stack_);
    emit_stack_delta(a_, r::r10, kCallDepth);
    a_.ret();
  }

  // The block's counter is found by the address that the call returns to.
  void emit_count_run() {
    static_assert(256 % kRunsToPromote == 0);
    Label promote = a_.newLabel();
    a_.bind(count_run_);
    a_.mov(r::r10, r::rcx);
    a_.mov(r::r11, r::ptr(r::rsp));
    a_.pext(r::r11, r::r11, slot(slot::count_mask, kCallDepth));
    r::Mem count = r::ptr(r::rsp, r::r11, 0, slot::run_counts + kCallDepth, 1);
    a_.movzx(r::ecx, count);
    a_.lea(r::ecx, r::ptr(r::rcx, -static_cast<int>(256 / kRunsToPromote)));
    a_.mov(count, r::cl);
    a_.movzx(r::ecx, r::cl);
    a_.jecxz(r::ecx, promote);
    a_.mov(r::rcx, r::r10);
    a_.ret();
    a_.bind(promote);
    a_.mov(r::rcx, r::r10);
    call_hook(hooks_.promote);
    go_on(kCallDepth);
  }

  Thunks finish() {
    const CodeBuffer& buffer = code_.sectionById(0)->buffer();
    const std::uint8_t* base =
        arena_.append({reinterpret_cast<const std::uint8_t*>(buffer.data()), buffer.size()});
    auto at = [&](const Label& l) { return base + code_.labelOffset(l); };
    Thunks t;
    t.enter = reinterpret_cast<void (*)(Frame*, const std::uint8_t*)>(
        reinterpret_cast<std::uintptr_t>(at(enter_)));
    t.leave = at(leave_);
    for (unsigned i = 0; i < kSizeClasses; ++i) {
      t.read[i] = at(read_[i]);
      t.write[i] = at(write_[i]);
    }
    for (unsigned i = 0; i < kGroupSpans.size(); ++i) {
      t.group_read[i] = at(group_read_[i]);
      t.group_write[i] = at(group_write_[i]);
    }
    for (const auto& [labels, to] :
         {std::pair{&read_miss_, &t.read_miss}, {&write_miss_, &t.write_miss}}) {
      for (unsigned i = 0; i < kSizeClasses; ++i) {
        to->host[i] = at((*labels)[i]);
        to->delta[i] = at((*labels)[kSizeClasses + i]);
      }
      for (unsigned i = 0; i < kGroupSpans.size(); ++i)
        to->group[i] = at((*labels)[2 * kSizeClasses + i]);
    }
    t.inline_segment_check = at(inline_segment_check_);
    t.inline_commit_store = at(inline_commit_);
    t.commit_store = at(commit_);
    t.call_out = at(call_out_);
    t.quick = at(quick_);
    t.bmi2 = use_bmi2_;
    t.direct_exit = at(direct_exit_);
    t.indirect_exit = at(indirect_exit_);
    t.sequential_exit = at(sequential_exit_);
    t.attention = at(attention_);
    if (use_bmi2_) t.count_run = at(count_run_);
    if (use_bmi2_) t.find_stack = at(find_stack_);
    t.indirect_slow = at(indirect_slow_);
    t.unexpected_return = at(unexpected_return_);
    if (use_bmi2_) t.link_miss = at(link_miss_);
    t.segment_check = at(segment_check_);
    if (use_bmi2_) t.transfers = emit_transfer_thunks(arena_, t.quick);
    return t;
  }

  codecache::Arena& arena_;
  const Hooks& hooks_;
  bool use_bmi2_;
  StrictErrors strict_;
  CodeHolder code_;
  r::Assembler a_;
  Label enter_, leave_, slow_access_, commit_, call_out_, quick_, direct_exit_, indirect_exit_,
      sequential_exit_, attention_, indirect_slow_, segment_check_, group_miss_, inline_miss_,
      inline_delta_miss_, inline_segment_check_, inline_commit_, inline_group_miss_, count_run_,
      link_miss_, find_stack_, unexpected_return_;
  std::array<Label, kGroupSpans.size()> group_read_, group_write_;
  std::array<Label, kSizeClasses> read_, write_;
  MissLabels read_miss_, write_miss_;
};

}  // namespace

Thunks emit_thunks(codecache::Arena& arena, const Hooks& hooks, bool use_bmi2) {
  Thunks thunks = Emitter(arena, hooks, use_bmi2).run();
  thunks.strings = emit_string_thunks(arena, thunks.call_out);
  return thunks;
}

}  // namespace ringshift::translator
