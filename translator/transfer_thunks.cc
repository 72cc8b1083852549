// translator/transfer_thunks.cc - SYSCALL, SYSRETQ, STAC, CLAC and VERW in host code.
//
// Before you change this: up to the label that a method calls its commit, nothing but the homes of
// RAX, RCX, RDX and the flags may be written, and these are loaded again before the quick hook is
// called. What it takes to be usual is what runtime/bt/quick_transfers.cc takes to be usual; who
// may be here at all (privilege, CPUID) the block has settled when it was translated. No debug trap
// can be due: blocks with TF set or breakpoints in DR7 are translated singly, without these.
#include "translator/transfer_thunks.h"

#include <asmjit/x86.h>

#include <bit>

#include "translator/frame.h"
#include "translator/mode_key.h"
#include "translator/operation.h"
#include "translator/stack_delta.h"
#include "translator/strict_errors.h"

namespace ringshift::translator {
namespace {
using namespace asmjit;
namespace r = asmjit::x86;
namespace flags = guest::flags;
using guest::Gpr;
using guest::Seg;
using softmmu::Privilege;
using softmmu::View;

constexpr std::int32_t kCallDepth = 8;  // the return address of a block's call

constexpr std::int32_t state_field(std::size_t offset) { return static_cast<std::int32_t>(offset); }
constexpr std::int32_t msr(std::size_t offset) {
  return slot::msr + static_cast<std::int32_t>(offset);
}
constexpr std::int32_t segment(Seg seg) {
  return static_cast<std::int32_t>(offsetof(guest::CpuState, seg) +
                                   static_cast<std::size_t>(seg) * sizeof(guest::SegmentRegister));
}
constexpr std::int32_t kLimitOfGdt = static_cast<std::int32_t>(
    offsetof(guest::CpuState, gdtr) + offsetof(guest::TableRegister, limit));
constexpr std::int32_t kBaseOfGdt = static_cast<std::int32_t>(offsetof(guest::CpuState, gdtr) +
                                                              offsetof(guest::TableRegister, base));

// A SegmentRegister's first eight bytes but for the selector, and where the base is.
constexpr std::uint64_t flat_segment(std::uint64_t attributes, unsigned dpl) {
  return 0xffffffff00000000 | (attributes | dpl << 5) << 16;
}
constexpr std::int32_t kSegmentBase = offsetof(guest::SegmentRegister, base);
static_assert(offsetof(guest::SegmentRegister, attributes) == 2 &&
              offsetof(guest::SegmentRegister, limit) == 4);
constexpr std::uint64_t kCode64 = 0xa09b, kData = 0xc093;

// Displacement of a field of a view from its flat window.
constexpr std::int32_t in_view(std::size_t offset) {
  return static_cast<std::int32_t>(view_field(offset));
}

enum class Entry { kLong, kCompatible };

class TransferEmitter {
 public:
  TransferEmitter(codecache::Arena& arena, const std::uint8_t* quick)
      : arena_(arena), quick_(reinterpret_cast<std::uint64_t>(quick)) {
    code_.init(Environment::host(), reinterpret_cast<std::uint64_t>(arena.next()));
    code_.setErrorHandler(&strict_);
    code_.attach(&a_);
  }

  TransferThunks run() {
    const std::size_t call = begin();
    emit_system_call(Entry::kLong);
    const std::size_t compatible = begin();
    emit_system_call(Entry::kCompatible);
    const std::size_t ret = begin();
    emit_system_return();
    const std::size_t stac = begin();
    emit_alignment_check(true);
    const std::size_t clac = begin();
    emit_alignment_check(false);
    const std::size_t verw = begin();
    emit_verify();
    const CodeBuffer& buffer = code_.sectionById(0)->buffer();
    const std::uint8_t* base =
        arena_.append({reinterpret_cast<const std::uint8_t*>(buffer.data()), buffer.size()});
    return {base + call, base + compatible, base + ret, base + stac, base + clac, base + verw};
  }

 private:
  static r::Mem at(std::int32_t displacement, unsigned size = 8) {
    return r::ptr(r::rsp, displacement + kCallDepth, size);
  }
  static r::Mem home(Gpr reg) { return at(slot::gpr(static_cast<unsigned>(reg))); }
  static r::Mem window(Privilege privilege) {
    return at(slot::windows + 8 * static_cast<std::int32_t>(privilege));
  }

  // A thunk begins: RAX, RCX, RDX and the flags are free.
  std::size_t begin() {
    unusual_ = a_.newLabel();
    const std::size_t offset = a_.offset();
    a_.mov(home(Gpr::kRax), r::rax);
    a_.mov(home(Gpr::kRcx), r::rcx);
    a_.mov(home(Gpr::kRdx), r::rdx);
    a_.lahf();
    a_.seto(r::al);
    a_.movzx(r::eax, r::ax);
    a_.mov(at(slot::saved_flags), r::rax);
    return offset;
  }

  void load_scratch() {
    a_.mov(r::rdx, home(Gpr::kRdx));
    a_.mov(r::rcx, home(Gpr::kRcx));
    a_.mov(r::eax, at(slot::saved_flags, 4));
    a_.add(r::al, 0x7f);  // overflows exactly when SETO stored 1
    a_.sahf();
    a_.mov(r::rax, home(Gpr::kRax));
  }

  void emit_unusual() {
    a_.bind(unusual_);
    load_scratch();
    a_.jmp(quick_);
  }

  // Legacy mode has another SYSCALL.
  void require_system_calls() {
    constexpr auto kNeeded = static_cast<int>(guest::efer::kSce | guest::efer::kLma);
    a_.mov(r::eax, at(msr(offsetof(guest::Msrs, efer)), 4));
    a_.and_(r::eax, kNeeded);
    a_.cmp(r::eax, kNeeded);
    a_.jne(unusual_);
  }

  // RAX = the jump entry of RDX in the view of window RCX; its mode must be the one in R10.
  void find_jump() {
    static_assert(softmmu::kJumpWays == 2 && sizeof(softmmu::JumpEntry) == 32);
    Label found = a_.newLabel();
    a_.test(r::rcx, r::rcx);
    a_.jz(unusual_);
    a_.pext(r::rax, r::rdx, at(slot::jump_mask));
    a_.shl(r::eax, 6);
    a_.neg(r::rdx);
    a_.lea(r::rax, r::ptr(r::rcx, r::rax, 0, in_view(offsetof(View, jump))));
    const r::Mem tag = r::ptr(r::rax, offsetof(softmmu::JumpEntry, negated_rip), 8);
    a_.cmp(tag, r::rdx);
    a_.je(found);
    a_.add(r::rax, static_cast<int>(sizeof(softmmu::JumpEntry)));
    a_.cmp(tag, r::rdx);
    a_.jne(unusual_);
    a_.bind(found);
    a_.movzx(r::edx, r::ptr(r::rcx, in_view(offsetof(View, windowed)), 1));
    a_.shl(r::edx, std::countr_zero(ModeKey::kWindows));
    a_.or_(r::edx, r::r10d);
    a_.cmp(r::rdx, r::ptr(r::rcx, in_view(offsetof(View, jump_mode)), 8));
    a_.jne(unusual_);
  }

  // SDM Vol. 2 "SYSCALL"; APM Vol. 3 "SYSCALL" from compatibility mode.
  void emit_system_call(Entry entry) {
    require_system_calls();
    a_.mov(r::rdx, at(msr(offsetof(guest::Msrs, sfmask))));
    a_.not_(r::rdx);
    a_.and_(r::edx, at(slot::other_flags, 4));
    a_.test(r::edx, static_cast<int>(flags::kAc));  // then it is SMAP's other view
    a_.jnz(unusual_);
    a_.mov(r::rcx, window(Privilege::kSupervisor));
    a_.mov(r::rdx, at(msr(entry == Entry::kLong ? offsetof(guest::Msrs, lstar)
                                                : offsetof(guest::Msrs, cstar))));
    find_jump();
    // Commit.
    materialize_flags();
    a_.mov(home(Gpr::kR11), r::rdx);
    a_.mov(r::r10, at(msr(offsetof(guest::Msrs, sfmask))));
    a_.not_(r::r10);
    a_.and_(r::rdx, r::r10);
    a_.or_(r::rdx, static_cast<int>(flags::kFixed1));
    a_.movzx(r::r10d, r::ptr(r::r11, offsetof(Operation, page_offset), 2));
    a_.movzx(r::r11d, r::ptr(r::r11, offsetof(Operation, length), 1));
    a_.add(r::r10, r::r11);
    a_.add(r::r10, at(slot::rip_base));
    if (entry == Entry::kCompatible) a_.mov(r::r10d, r::r10d);
    a_.mov(home(Gpr::kRcx), r::r10);
    dissolve_flags();
    a_.mov(r::rdx, at(msr(offsetof(guest::Msrs, star))));
    a_.shr(r::rdx, 32);
    a_.and_(r::edx, 0xfffc);
    load_segments(8, 0);
    go_on_at(0);
    emit_unusual();
  }

  // SDM Vol. 2 "SYSRET", to 64-bit code. An RIP that is not canonical is in no jump cache.
  void emit_system_return() {
    constexpr std::uint64_t kUnusual = flags::kTf | flags::kAc | flags::kNt;
    constexpr std::uint64_t kFromImage = flags::kArithmetic | flags::kDf | flags::kIf |
                                         flags::kIopl | flags::kId | flags::kVif | flags::kVip;
    require_system_calls();
    a_.test(at(slot::gpr(static_cast<unsigned>(Gpr::kR11)), 4), static_cast<int>(kUnusual));
    a_.jnz(unusual_);
    a_.cmp(at(slot::attention), 0);  // with interrupt_maybe
    a_.jne(unusual_);
    a_.mov(r::rdx, r::rcx);
    a_.mov(r::rcx, window(Privilege::kUser));
    find_jump();
    // Commit.
    a_.mov(r::rdx, home(Gpr::kR11));
    a_.and_(r::edx, static_cast<int>(kFromImage));
    a_.or_(r::edx, static_cast<int>(flags::kFixed1));
    dissolve_flags();
    a_.movzx(r::edx, at(msr(offsetof(guest::Msrs, star)) + 6, 2));
    a_.add(r::edx, 16);
    a_.or_(r::edx, 3);
    load_segments(-8, 3);
    go_on_at(3);
    emit_unusual();
  }

  // RDX = RFLAGS, from where they are while translated code runs.
  void materialize_flags() {
    a_.movzx(r::edx, at(slot::saved_flags + 1, 1));
    a_.and_(r::edx, static_cast<int>(flags::kArithmetic & 0xff));
    a_.movzx(r::r10d, at(slot::saved_flags, 1));
    a_.shl(r::r10d, std::countr_zero(flags::kOf));
    a_.or_(r::edx, r::r10d);
    a_.or_(r::edx, at(slot::direction, 4));
    a_.or_(r::edx, at(slot::interrupt_flag, 4));
    a_.or_(r::rdx, at(slot::other_flags));
  }

  // And back, for load_scratch().
  void dissolve_flags() {
    constexpr std::uint64_t kDissolved = flags::kArithmetic | flags::kDf | flags::kIf;
    a_.mov(at(slot::rflags), r::rdx);
    for (const auto& [slot, flag] :
         {std::pair{slot::interrupt_flag, flags::kIf}, {slot::direction, flags::kDf}}) {
      a_.mov(r::r10d, r::edx);
      a_.and_(r::r10d, static_cast<int>(flag));
      a_.mov(at(slot, 4), r::r10d);
    }
    a_.mov(r::r10, r::rdx);
    a_.and_(r::r10, static_cast<std::int32_t>(~kDissolved));
    a_.mov(at(slot::other_flags), r::r10);
    a_.movzx(r::r10d, r::dl);
    a_.shl(r::r10d, 8);
    a_.bt(r::edx, std::countr_zero(flags::kOf));
    a_.setc(r::r10b);
    a_.mov(at(slot::saved_flags), r::r10);
  }

  // CS with the selector in RDX, and SS with the one that lies `step` beside it.
  void load_segments(int step, unsigned dpl) {
    for (const Seg seg : {Seg::kCs, Seg::kSs}) {
      if (seg == Seg::kSs) a_.add(r::edx, step);
      a_.movzx(r::edx, r::dx);
      a_.mov(r::r10, flat_segment(seg == Seg::kCs ? kCode64 : kData, dpl));
      a_.or_(r::r10, r::rdx);
      a_.mov(at(segment(seg)), r::r10);
      a_.mov(at(segment(seg) + kSegmentBase), 0);
    }
  }

  // The view of window RCX becomes the current one.
  void select_view(std::uint64_t cleared, std::uint64_t set) {
    a_.mov(r::rdx, at(slot::selection));
    a_.lea(r::r10, r::ptr(r::rcx, -static_cast<std::int32_t>(softmmu::kViewWindowOffset)));
    a_.mov(r::ptr(r::rdx, offsetof(softmmu::Mmu::Selection, current), 8), r::r10);
    a_.mov(at(slot::loaded_view), r::r10);
    const r::Mem mode = r::ptr(r::rdx, offsetof(softmmu::Mmu::Selection, mode), 8);
    if (cleared) a_.and_(mode, static_cast<std::int32_t>(~cleared));
    if (set) a_.or_(mode, static_cast<std::int32_t>(set));
    a_.wrgsbase(r::rcx);
    emit_stack_delta(a_, r::rdx, kCallDepth);
  }

  // The block of the jump entry RAX runs next, in the view of window RCX.
  void go_on_at(unsigned cpl) {
    using Selection = softmmu::Mmu::Selection;
    constexpr std::uint64_t kBits = Selection::kCpl3 | Selection::kVariant | Selection::kAc;
    a_.mov(at(state_field(offsetof(guest::CpuState, cpl)), 1), cpl);
    select_view(kBits, cpl == 3 ? softmmu::Mmu::Selection::kCpl3 : 0);
    a_.mov(r::r11, r::ptr(r::rax, offsetof(softmmu::JumpEntry, rip_base), 8));
    a_.mov(at(slot::rip_base), r::r11);
    a_.mov(r::r11, r::ptr(r::rax, offsetof(softmmu::JumpEntry, host_code), 8));
    load_scratch();
    a_.lea(r::rsp, r::ptr(r::rsp, kCallDepth));
    a_.jmp(r::r11);
  }

  // SDM Vol. 2 "CLAC", "STAC", with CR4.SMAP, between views in which the same code can run.
  void emit_alignment_check(bool on) {
    a_.test(at(state_field(offsetof(guest::CpuState, cr4)), 4),
            static_cast<int>(guest::cr4::kSmap));
    a_.jz(unusual_);
    a_.mov(r::rcx, window(on ? Privilege::kSupervisorAc : Privilege::kSupervisor));
    a_.test(r::rcx, r::rcx);
    a_.jz(unusual_);
    a_.mov(r::rdx, at(slot::loaded_view));
    a_.mov(r::rax, r::ptr(r::rdx, offsetof(View, jump_mode), 8));
    a_.cmp(r::rax, r::ptr(r::rcx, in_view(offsetof(View, jump_mode)), 8));
    a_.jne(unusual_);
    for (const std::size_t field : {offsetof(View, windowed), offsetof(View, jumps_are_linear)}) {
      a_.movzx(r::eax, r::ptr(r::rdx, static_cast<std::int32_t>(field), 1));
      a_.cmp(r::al, r::ptr(r::rcx, in_view(field), 1));
      a_.jne(unusual_);
    }
    // Commit.
    for (const std::int32_t flags_slot : {slot::rflags, slot::other_flags})
      if (on)
        a_.or_(at(flags_slot), static_cast<int>(flags::kAc));
      else
        a_.and_(at(flags_slot), static_cast<std::int32_t>(~flags::kAc));
    constexpr std::uint64_t kAc = softmmu::Mmu::Selection::kAc;
    on ? select_view(0, kAc) : select_view(kAc, 0);
    load_scratch();
    a_.ret();
    emit_unusual();
  }

  // SDM Vol. 2 "VERR/VERW", of a code or data segment whose descriptor lies in the GDT, in one page
  // that the supervisor's view holds.
  void emit_verify() {
    constexpr int kTableIndicator = 4, kLastInPage = guest::kPageBytes - 8;
    constexpr int kNotSystem = 0x10, kCodeOrWritable = 0x0a, kWritable = 0x02;
    a_.test(r::r10d, kTableIndicator);
    a_.jnz(unusual_);
    a_.mov(r::eax, r::r10d);
    a_.and_(r::eax, 0xfff8);
    a_.jz(unusual_);
    a_.lea(r::ecx, r::ptr(r::rax, 7));
    a_.movzx(r::edx, at(kLimitOfGdt, 2));
    a_.cmp(r::ecx, r::edx);
    a_.ja(unusual_);
    a_.add(r::rax, at(kBaseOfGdt));
    a_.mov(r::edx, r::eax);
    a_.and_(r::edx, static_cast<int>(guest::kPageOffsetMask));
    a_.cmp(r::edx, kLastInPage);
    a_.ja(unusual_);
    find_read();
    a_.mov(r::rax, r::ptr(r::rax, 0, 8));
    a_.shr(r::rax, 40);
    a_.test(r::al, kNotSystem);
    a_.jz(unusual_);
    judge_writable(kCodeOrWritable, kWritable);
    load_scratch();
    a_.ret();
    emit_unusual();
  }

  // RAX = host address of linear RAX, as the supervisor's view has it.
  void find_read() {
    static_assert(sizeof(softmmu::TlbEntry) == 16);
    a_.mov(r::rcx, window(Privilege::kSupervisor));
    a_.test(r::rcx, r::rcx);
    a_.jz(unusual_);
    a_.pext(r::rdx, r::rax, at(slot::index_mask));
    a_.shl(r::edx, 4);
    a_.lea(r::rdx, r::ptr(r::rcx, r::rdx, 0, in_view(offsetof(View, read))));
    a_.mov(r::rcx, r::ptr(r::rdx, offsetof(softmmu::TlbEntry, tag), 8));
    a_.xor_(r::rcx, r::rax);
    a_.cmp(r::rcx, static_cast<int>(guest::kPageOffsetMask));
    a_.ja(unusual_);
    a_.add(r::rax, r::ptr(r::rdx, offsetof(softmmu::TlbEntry, addend), 8));
  }

  // ZF for a descriptor's access byte in AL and the selector in R10.
  void judge_writable(int type_mask, int wanted) {
    constexpr int kSavedZf = static_cast<int>(flags::kZf << 8);
    Label no = a_.newLabel();
    a_.and_(at(slot::saved_flags, 4), ~kSavedZf);
    a_.mov(r::ecx, r::eax);
    a_.and_(r::ecx, type_mask);
    a_.cmp(r::ecx, wanted);
    a_.jne(no);
    a_.shr(r::eax, 5);
    a_.and_(r::eax, 3);
    a_.and_(r::r10d, 3);
    a_.cmp(r::eax, r::r10d);
    a_.jb(no);
    a_.cmp(r::al, at(state_field(offsetof(guest::CpuState, cpl)), 1));
    a_.jb(no);
    a_.or_(at(slot::saved_flags, 4), kSavedZf);
    a_.bind(no);
  }

  codecache::Arena& arena_;
  std::uint64_t quick_;
  StrictErrors strict_;
  CodeHolder code_;
  r::Assembler a_;
  Label unusual_;
};

}  // namespace

TransferThunks emit_transfer_thunks(codecache::Arena& arena, const std::uint8_t* quick) {
  return TransferEmitter(arena, quick).run();
}

}  // namespace ringshift::translator
