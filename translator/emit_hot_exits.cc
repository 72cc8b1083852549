// translator/emit_hot_exits.cc - how hot blocks leave for another page: each branch has a jump of
// its own, so that the host's branch predictors see the guest's branches. No flags change here.
#include <array>

#include "translator/block_emitter.h"

namespace ringshift::translator {
namespace r = asmjit::x86;
namespace {

r::Mem view_slot(std::size_t offset) {
  r::Mem m = r::ptr(static_cast<std::uint64_t>(view_field(offset)), 8);
  m.setAbs();
  m.setSegment(r::gs);
  return m;
}

// R10 scaled.
r::Mem view_entry(std::size_t offset, unsigned shift) {
  r::Mem m = r::ptr(static_cast<std::uint64_t>(view_field(offset)), r::r10, shift, 8);
  m.setSegment(r::gs);
  return m;
}

constexpr std::size_t kReturnTags =
    offsetof(softmmu::View, returns) + offsetof(softmmu::Returns, tags);
constexpr std::size_t kReturnCode =
    offsetof(softmmu::View, returns) + offsetof(softmmu::Returns, host_code);

}  // namespace

// JRCXZ reaches 127 bytes only.
void BlockEmitter::branch_if_rcx_zero(const Label& target, const Label& otherwise) {
  assembler_.jecxz(r::rcx, target);
  assembler_.jmp(otherwise);
  assembler_.bind(target);
}

// A direct branch to another page, through its entry in the view. Those that may close a loop look
// for interrupt requests: backward ones, and forward ones that may run over the end of 4 GiB.
void BlockEmitter::exit_across(std::int64_t target) {
  auto& a = assembler_;
  const std::uint32_t link = next_link_++;
  const std::size_t entry =
      offsetof(softmmu::View, links) + link % softmmu::kLinkSlots * sizeof(softmmu::LinkEntry);
  const unsigned width = rip_width();
  Label hit = a.newLabel(), miss = a.newLabel(), calm = a.newLabel();
  a.mov(r::r11, frame_slot(slot::rip_base));
  a.mov(r::r10, r::rcx);
  a.mov(r::rcx, view_slot(entry + offsetof(softmmu::LinkEntry, tag)));
  a.lea(r::rcx,
        r::ptr(r::rcx, r::r11, 0, static_cast<std::int32_t>(link / softmmu::kLinkSlots) + 1));
  branch_if_rcx_zero(hit, miss);
  if (target < 0 || !mode_.is_64bit()) {
    a.mov(r::ecx, frame_slot(slot::attention, 4));
    branch_if_rcx_zero(calm, miss);
  }
  a.mov(r::rcx, r::r10);
  const std::int64_t page = target & ~static_cast<std::int64_t>(guest::kPageOffsetMask);
  a.lea(sized(r::r11, width), r::ptr(r::r11, static_cast<std::int32_t>(page)));
  a.mov(frame_slot(slot::rip_base), r::r11);
  a.jmp(view_slot(entry + offsetof(softmmu::LinkEntry, host_code)));
  cold_links_.push_back({miss, target, link});
}

void BlockEmitter::emit_cold_links() {
  auto& a = assembler_;
  for (const ColdLink& cold : cold_links_) {
    a.bind(cold.miss);
    a.mov(r::rcx, r::r10);
    a.lea(sized(r::r11, rip_width()), r::ptr(r::r11, static_cast<std::int32_t>(cold.target)));
    a.mov(r::r10d, cold.link);
    jump_thunk(thunks_.link_miss);
  }
  for (const ColdIndirect& cold : cold_indirects_) {
    a.bind(cold.miss);
    a.mov(r::rcx, gpr_slot(1));
    if (cold.record != BranchRecord::kNone) a.mov(frame_slot(slot::branch, 4), cold.record);
    jump_thunk(cold.record != BranchRecord::kNone ? thunks_.indirect_exit
                                                  : thunks_.sequential_exit);
  }
}

// R11 = RIP. What the indirect_exit thunk does, in place.
void BlockEmitter::exit_by_jump_cache(std::uint32_t record) {
  auto& a = assembler_;
  constexpr std::size_t kJump = offsetof(softmmu::View, jump);
  static_assert(sizeof(softmmu::JumpEntry) * softmmu::kJumpWays == 8 * 8);
  const auto entry = [](unsigned way, std::size_t field) {
    return view_entry(kJump + way * sizeof(softmmu::JumpEntry) + field, 3);
  };
  Label miss = a.newLabel();
  std::array<Label, softmmu::kJumpWays> found;
  a.mov(gpr_slot(1), r::rcx);
  a.pext(r::r10, r::r11, frame_slot(slot::jump_mask));
  a.lea(r::r10, r::ptr(0, r::r10, 3));
  for (unsigned way = 0; way < softmmu::kJumpWays; ++way) {
    found[way] = a.newLabel();
    a.mov(r::rcx, entry(way, offsetof(softmmu::JumpEntry, negated_rip)));
    a.lea(r::rcx, r::ptr(r::rcx, r::r11));
    a.jecxz(r::rcx, found[way]);
  }
  a.jmp(miss);
  for (unsigned way = 0; way < softmmu::kJumpWays; ++way) {
    Label calm = a.newLabel();
    a.bind(found[way]);
    a.mov(r::ecx, frame_slot(slot::attention, 4));
    branch_if_rcx_zero(calm, miss);
    a.mov(r::rcx, entry(way, offsetof(softmmu::JumpEntry, rip_base)));
    a.mov(frame_slot(slot::rip_base), r::rcx);
    a.mov(r::rcx, gpr_slot(1));
    a.jmp(entry(way, offsetof(softmmu::JumpEntry, host_code)));
  }
  cold_indirects_.push_back({miss, record});
}

// R10 = number of the entry for the return RIP in the slot that the stack pointer is at.
void BlockEmitter::return_entry() {
  const unsigned slot_shift = mode_.is_64bit() ? 3 : 2;
  static_assert(softmmu::Returns::kSize == 256, "the number is a byte");
  assembler_.rorx(r::r10d, r::gpd(kHostRsp), slot_shift);
  assembler_.movzx(r::r10d, r::r10b);
}

// R11 = the return RIP that a call has just pushed. The host CALL makes the host's return predictor
// expect the RET of exit_to_caller(), which comes back behind it.
void BlockEmitter::expect_return(std::int64_t next) {
  auto& a = assembler_;
  Label back = a.newLabel(), go = a.newLabel();
  return_entry();
  a.not_(r::r11);
  a.mov(view_entry(kReturnTags, 3), r::r11);
  a.lea(r::r11, r::ptr(back));
  a.mov(view_entry(kReturnCode, 3), r::r11);
  a.call(go);
  // Back from the callee, R11 = the return RIP, RCX in its slot. Where the callee's page was this
  // one nothing is stored: call after call would be one long dependency through memory.
  Label same_page = a.newLabel();
  a.bind(back);
  a.mov(r::rcx, frame_slot(slot::rip_base));
  a.not_(r::rcx);
  a.lea(sized(r::rcx, rip_width()), r::ptr(r::rcx, r::r11, 0, 1 - static_cast<std::int32_t>(next)));
  a.jecxz(r::rcx, same_page);
  a.lea(sized(r::r11, rip_width()), r::ptr(r::r11, -static_cast<std::int32_t>(next)));
  a.mov(frame_slot(slot::rip_base), r::r11);
  a.bind(same_page);
  a.mov(r::rcx, gpr_slot(1));
  exit_to(next, rip_width());
  a.bind(go);
  a.lea(r::rsp, r::ptr(r::rsp, 8));
}

// R11 = RIP that a RET has just popped; R10 = return_entry() of its slot. RCX goes along in its
// slot.
void BlockEmitter::exit_to_caller(std::uint32_t record) {
  auto& a = assembler_;
  Label hit = a.newLabel(), miss = a.newLabel();
  a.mov(gpr_slot(1), r::rcx);
  a.mov(r::rcx, view_entry(kReturnTags, 3));
  a.lea(r::rcx, r::ptr(r::rcx, r::r11, 0, 1));
  branch_if_rcx_zero(hit, miss);
  a.push(view_entry(kReturnCode, 3));
  a.ret();
  cold_indirects_.push_back({miss, record});
}

}  // namespace ringshift::translator
