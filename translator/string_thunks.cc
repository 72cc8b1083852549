// translator/string_thunks.cc - REP MOVS, REP STOS and REPE/REPNE CMPS and SCAS on host addresses.
//
// How this works: while elements are left, the run that lies in one page on either side is looked
// up in the view's TLBs, source for reading, destination for writing, and the host's instruction
// does it there, with the guest's element size. RAM has one host address, so source and destination
// overlap there as they do in the guest, also through two linear pages that map one frame. A hit is
// canonical, permitted, plain RAM without translations or watchpoints: nothing is left to be done.
//
// An element that straddles two pages is moved by way of the frame, once all its pages are known.
//
// Everything else goes to the call-out, with the progress so far in the registers: DF, a miss, a
// comparison that straddles, and a request for attention. Flags are then those from before the
// instruction, which a fault must find. SDM Vol. 2 "REP/REPE/REPZ/REPNE/REPNZ".
#include "translator/string_thunks.h"

#include <asmjit/x86.h>

#include "translator/frame.h"
#include "translator/strict_errors.h"

namespace ringshift::translator {
namespace {
using namespace asmjit;
namespace r = asmjit::x86;

constexpr std::int32_t kDepth = 8;  // the return address of the block's call
constexpr unsigned kRax = 0, kRcx = 1, kRsi = 6, kRdi = 7;

r::Mem slot_at(std::int32_t displacement, unsigned size = 8) {
  return r::ptr(r::rsp, displacement + kDepth, size);
}
r::Mem gpr(unsigned guest) { return slot_at(slot::gpr(guest)); }

// R10: offset of the entry in its table.
r::Mem tlb_field(bool write, std::size_t field) {
  const std::size_t table = write ? offsetof(softmmu::View, write) : offsetof(softmmu::View, read);
  r::Mem m = r::ptr(r::r10, static_cast<std::int32_t>(view_field(table + field)), 8);
  m.setSegment(r::gs);
  return m;
}

class Emitter {
 public:
  Emitter(const codecache::Arena& arena, const std::uint8_t* call_out) : call_out_(call_out) {
    code_.init(Environment::host(), reinterpret_cast<std::uint64_t>(arena.next()));
    code_.setErrorHandler(&strict_);
    code_.attach(&a_);
  }

  Label emit(RepeatedString kind, unsigned shift, bool wide) {
    kind_ = kind;
    shift_ = shift;
    wide_ = wide;
    const Label entry = a_.newLabel();
    slow_ = a_.newLabel();
    done_ = a_.newLabel();
    next_ = a_.newLabel();
    straddles_ = a_.newLabel();
    a_.bind(entry);
    a_.mov(slot_at(slot::temp), r::r11);
    a_.mov(gpr(kRax), r::rax);
    a_.lahf();
    a_.seto(r::al);
    a_.mov(slot_at(slot::saved_flags, 2), r::ax);
    a_.cmp(slot_at(slot::direction, 4), 0);
    a_.jne(slow_);
    a_.test(sized(r::rcx), sized(r::rcx));
    a_.jz(done_);
    emit_runs();
    if (shift_ != 0 && !compares()) emit_straddling();
    a_.bind(done_);
    load_flags_and_rax();
    a_.ret();
    return entry;
  }

  // After the last emit().
  const std::uint8_t* finish(codecache::Arena& arena) {
    const CodeBuffer& buffer = code_.sectionById(0)->buffer();
    return arena.append({reinterpret_cast<const std::uint8_t*>(buffer.data()), buffer.size()});
  }
  std::uint64_t offset(const Label& label) const { return code_.labelOffset(label); }

 private:
  r::Gp sized(const r::Gp& g) const { return wide_ ? r::Gp(g.r64()) : r::Gp(g.r32()); }
  bool compares() const { return kind_ != RepeatedString::kMovs && kind_ != RepeatedString::kStos; }
  bool stops_on_equal() const {
    return kind_ == RepeatedString::kRepneCmps || kind_ == RepeatedString::kRepneScas;
  }
  bool uses_accumulator() const {
    return kind_ == RepeatedString::kStos || kind_ == RepeatedString::kRepeScas ||
           kind_ == RepeatedString::kRepneScas;
  }
  bool has_source() const { return !uses_accumulator(); }

  void load_flags_and_rax() {
    a_.mov(r::eax, slot_at(slot::saved_flags, 4));
    a_.add(r::al, 0x7f);  // overflows exactly when SETO stored 1
    a_.sahf();
    a_.mov(r::rax, gpr(kRax));
  }

  // One run after the other; elements are left. Goes on to done_ when none are.
  void emit_runs() {
    const Label miss = a_.newLabel();
    a_.bind(next_);
    elements_in_page();
    a_.mov(gpr(kRcx), r::rcx);
    if (has_source()) a_.mov(gpr(kRsi), r::rsi);
    a_.mov(gpr(kRdi), r::rdi);
    if (has_source()) to_host(r::rsi, false, slow_);
    to_host(r::rdi, !compares(), miss);
    a_.mov(r::r10d, r::eax);  // elements in this run
    if (uses_accumulator()) a_.mov(r::rax, gpr(kRax));
    a_.mov(r::ecx, r::r10d);
    host_instruction();
    if (compares())
      after_comparison();
    else
      after_store();
    a_.bind(miss);
    if (has_source()) a_.mov(r::rsi, gpr(kRsi));
    a_.bind(slow_);
    load_flags_and_rax();
    a_.mov(r::r11, slot_at(slot::temp));
    a_.jmp(reinterpret_cast<std::uint64_t>(call_out_));
  }

  void go_on_unless_asked() {
    a_.cmp(slot_at(slot::attention, 4), 0);
    a_.je(next_);
    a_.jmp(slow_);
  }

  // EAX = how many elements lie in their pages, at most all that are left.
  void elements_in_page() {
    constexpr auto kMask = static_cast<std::int32_t>(guest::kPageOffsetMask);
    a_.mov(r::r10d, r::edi);
    a_.and_(r::r10d, kMask);
    if (has_source()) {
      a_.mov(r::r11d, r::esi);
      a_.and_(r::r11d, kMask);
      a_.cmp(r::r10d, r::r11d);
      a_.cmovb(r::r10d, r::r11d);
    }
    a_.mov(r::eax, static_cast<std::uint32_t>(guest::kPageBytes));
    a_.sub(r::eax, r::r10d);
    if (shift_ != 0) {
      a_.shr(r::eax, shift_);
      a_.jz(compares() ? slow_ : straddles_);
    }
    a_.cmp(sized(r::rcx), sized(r::rax));
    a_.cmovb(r::eax, r::ecx);
  }

  // See softmmu/view.h for the test.
  void to_host(const r::Gp& pointer, bool write, const Label& miss) {
    static_assert(sizeof(softmmu::TlbEntry) == 16);
    if (!wide_) a_.mov(pointer.r32(), pointer.r32());
    a_.mov(r::r10, pointer);
    a_.shr(r::r10, guest::kPageShift - 4);
    a_.and_(r::r10d, (softmmu::kTlbEntries - 1) << 4);
    a_.mov(r::r11, pointer);
    a_.xor_(r::r11, tlb_field(write, offsetof(softmmu::TlbEntry, tag)));
    a_.cmp(r::r11, static_cast<std::int32_t>(guest::kPageBytes));
    a_.jae(miss);
    a_.add(pointer, tlb_field(write, offsetof(softmmu::TlbEntry, addend)));
  }

  void host_instruction() {
    constexpr std::uint8_t kRepe = 0xf3, kRepne = 0xf2, kOperandSize = 0x66, kRexW = 0x48;
    constexpr std::uint8_t kMovs = 0xa4, kCmps = 0xa6, kStos = 0xaa, kScas = 0xae;
    a_.db(stops_on_equal() ? kRepne : kRepe);
    if (shift_ == 1) a_.db(kOperandSize);
    if (shift_ == 3) a_.db(kRexW);
    const std::uint8_t opcode =
        compares() ? (has_source() ? kCmps : kScas) : (has_source() ? kMovs : kStos);
    a_.db(shift_ == 0 ? opcode : opcode | 1);
  }

  // R10 elements were done.
  void move_pointers() {
    const auto move = [&](const r::Gp& pointer, unsigned guest) {
      a_.mov(pointer, gpr(guest));
      a_.lea(sized(pointer), r::ptr(pointer, r::r10, shift_));
    };
    if (has_source()) move(r::rsi, kRsi);
    move(r::rdi, kRdi);
    a_.mov(r::rcx, gpr(kRcx));
  }

  void after_store() {
    move_pointers();
    a_.sub(sized(r::rcx), sized(r::r10));
    a_.jz(done_);
    go_on_unless_asked();
  }

  // One element, of which a page's end cuts the source, the destination or both. Nothing is stored
  // before every page was found.
  void emit_straddling() {
    const Label miss = a_.newLabel(), loaded = a_.newLabel(), stored = a_.newLabel();
    const int bytes = 1 << shift_;
    a_.bind(straddles_);
    for (const auto& [host, guest] : {std::pair{r::rcx, kRcx}, {r::rsi, kRsi}, {r::rdi, kRdi}})
      a_.mov(gpr(guest), host);
    if (has_source()) {
      a_.lea(r::rdi, slot_at(slot::bounce));
      bytes_in_first_page(r::rsi);
      to_host(r::rsi, false, miss);
      move_bytes(loaded);
      a_.mov(r::rsi, gpr(kRsi));
      a_.lea(sized(r::rsi), r::ptr(r::rsi, r::rax));
      to_host(r::rsi, false, miss);
      a_.rep().movsb();
      a_.bind(loaded);
      a_.mov(r::rdi, gpr(kRdi));
    }
    a_.lea(sized(r::rdi), r::ptr(r::rdi, bytes - 1));
    to_host(r::rdi, true, miss);
    a_.mov(r::rdi, gpr(kRdi));
    bytes_in_first_page(r::rdi);
    to_host(r::rdi, true, miss);
    a_.lea(r::rsi, has_source() ? slot_at(slot::bounce) : gpr(kRax));
    move_bytes(stored);
    a_.mov(r::rdi, gpr(kRdi));
    a_.lea(sized(r::rdi), r::ptr(r::rdi, r::rax));
    to_host(r::rdi, true, miss);
    a_.rep().movsb();
    a_.bind(stored);
    a_.mov(r::rsi, gpr(kRsi));
    a_.mov(r::r10d, 1);
    after_store();
    a_.bind(miss);
    for (const auto& [host, guest] : {std::pair{r::rcx, kRcx}, {r::rsi, kRsi}, {r::rdi, kRdi}})
      a_.mov(host, gpr(guest));
    a_.jmp(slow_);
  }

  // EAX = how many bytes of the element lie in the page that it begins in.
  void bytes_in_first_page(const r::Gp& pointer) {
    a_.mov(r::r10d, pointer.r32());
    a_.or_(r::r10d, -static_cast<std::int32_t>(guest::kPageBytes));
    a_.neg(r::r10d);
    a_.mov(r::eax, 1u << shift_);
    a_.cmp(r::r10d, r::eax);
    a_.cmovb(r::eax, r::r10d);
  }

  // Moves EAX bytes; ECX = how many are left of the element. Goes to `all` when none are.
  void move_bytes(const Label& all) {
    a_.mov(r::ecx, r::eax);
    a_.rep().movsb();
    a_.mov(r::ecx, 1u << shift_);
    a_.sub(r::ecx, r::eax);
    a_.jz(all);
  }

  // The host's flags are the guest's now, unless there is more to do.
  void after_comparison() {
    const Label ended = a_.newLabel(), more = a_.newLabel();
    a_.not_(r::rcx);
    a_.lea(r::r10, r::ptr(r::r10, r::rcx, 0, 1));
    move_pointers();
    a_.not_(r::r10);
    a_.lea(sized(r::rcx), r::ptr(r::rcx, r::r10, 0, 1));
    if (stops_on_equal())
      a_.jz(ended);
    else
      a_.jnz(ended);
    a_.jecxz(sized(r::rcx), ended);
    a_.jmp(more);
    a_.bind(ended);
    a_.mov(r::rax, gpr(kRax));
    a_.ret();
    a_.bind(more);
    go_on_unless_asked();
  }

  const std::uint8_t* call_out_;
  StrictErrors strict_;
  CodeHolder code_;
  r::Assembler a_;
  RepeatedString kind_{};
  unsigned shift_ = 0;
  bool wide_ = false;
  Label slow_, done_, next_, straddles_;
};

}  // namespace

StringThunks emit_string_thunks(codecache::Arena& arena, const std::uint8_t* call_out) {
  Emitter emitter(arena, call_out);
  std::array<std::array<std::array<Label, 4>, kRepeatedStrings>, 2> labels;
  for (unsigned wide = 0; wide < 2; ++wide)
    for (unsigned kind = 0; kind < kRepeatedStrings; ++kind)
      for (unsigned shift = 0; shift < (wide ? 4u : 3u); ++shift)
        labels[wide][kind][shift] =
            emitter.emit(static_cast<RepeatedString>(kind), shift, wide != 0);
  const std::uint8_t* base = emitter.finish(arena);
  StringThunks thunks;
  for (unsigned kind = 0; kind < kRepeatedStrings; ++kind)
    for (unsigned shift = 0; shift < 4; ++shift) {
      thunks.long_mode[kind][shift] = base + emitter.offset(labels[1][kind][shift]);
      if (shift < 3)
        thunks.protected_mode[kind][shift] = base + emitter.offset(labels[0][kind][shift]);
    }
  return thunks;
}

}  // namespace ringshift::translator
