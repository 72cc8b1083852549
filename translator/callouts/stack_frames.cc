// translator/callouts/stack_frames.cc - stack frames through SS, in the manual's order.
#include "translator/callouts/stack_frames.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;
using guest::Seg;

constexpr unsigned kRbp = static_cast<unsigned>(Gpr::kRbp);
constexpr unsigned kRsp = static_cast<unsigned>(Gpr::kRsp);

// Puts rSP and rBP back when an access on the way faulted.
class FrameGuard {
 public:
  explicit FrameGuard(Core& core)
      : state_(core.state), rsp_(state_.reg(Gpr::kRsp)), rbp_(state_.reg(Gpr::kRbp)) {}
  ~FrameGuard() {
    if (kept_) return;
    state_.reg(Gpr::kRsp) = rsp_;
    state_.reg(Gpr::kRbp) = rbp_;
  }
  FrameGuard(const FrameGuard&) = delete;
  FrameGuard& operator=(const FrameGuard&) = delete;
  Next keep(Next next) {
    kept_ = true;
    return next;
  }

 private:
  guest::CpuState& state_;
  std::uint64_t rsp_, rbp_;
  bool kept_ = false;
};

// Part of rSP or rBP that addresses the stack.
std::uint64_t stack_part(const Core& core, std::uint64_t value) {
  switch (core.state.stack_bytes()) {
    case 2:
      return value & 0xffff;
    case 4:
      return value & 0xffffffff;
    default:
      return value;
  }
}

// A 16-bit stack changes SP only, and leaves the upper half of ESP alone.
void set_stack_register(Core& core, Gpr reg, std::uint64_t value) {
  std::uint64_t& target = core.state.reg(reg);
  target = core.state.stack_bytes() == 2 ? (target & ~std::uint64_t{0xffff}) | (value & 0xffff)
                                         : stack_part(core, value);
}

std::uint64_t next_rip(const Core& core, const Operation& op) {
  const std::uint64_t next = core.state.rip + op.length;
  switch (core.state.code_bytes()) {
    case 2:
      return next & 0xffff;
    case 4:
      return next & 0xffffffff;
    default:
      return next;
  }
}

std::uint64_t truncate(std::uint64_t value, unsigned bytes) {
  return bytes == 8 ? value : value & ((std::uint64_t{1} << (8 * bytes)) - 1);
}

// SDM Vol. 2 "CALL", "RET": a target outside the code segment's limit, or not canonical.
guest::Status check_target(const Core& core, std::uint64_t target) {
  const bool valid = core.state.in_64bit_code() ? guest::is_canonical(target)
                                                : target <= core.state.segment(Seg::kCs).limit;
  if (!valid) return tl::unexpected(guest::general_protection());
  return {};
}

Result call_to(Core& core, const Operation& op, std::uint64_t target) {
  RS_CHECK(check_target(core, target));
  RS_CHECK(push(core, op.operand_bytes, next_rip(core, op)));
  core.state.rip = target;
  return Next::kJump;
}

// Copies the enclosing frames' pointers: ENTER's display.
guest::Status push_display(Core& core, unsigned bytes, unsigned level) {
  for (unsigned i = 1; i < level; ++i) {
    set_stack_register(core, Gpr::kRbp, core.state.reg(Gpr::kRbp) - bytes);
    RS_ASSIGN(frame, read_data(core, Seg::kSs, stack_part(core, core.state.reg(Gpr::kRbp)), bytes));
    RS_CHECK(push(core, bytes, frame));
  }
  return {};
}

}  // namespace

// SDM Vol. 2 "ENTER".
Result enter(Core& core, const Operation& op) {
  const unsigned bytes = op.operand_bytes;
  const unsigned level = op.immediate2 % 32;
  const std::uint64_t size = op.immediate & 0xffff;
  const std::uint64_t old_rbp = core.state.reg(Gpr::kRbp);
  FrameGuard guard(core);

  RS_CHECK(push(core, bytes, truncate(old_rbp, bytes)));
  const std::uint64_t frame = core.state.reg(Gpr::kRsp);
  RS_CHECK(push_display(core, bytes, level));
  if (level != 0) RS_CHECK(push(core, bytes, truncate(frame, bytes)));

  set_stack_register(core, Gpr::kRsp, core.state.reg(Gpr::kRsp) - size);
  // "#PF if a write using the final value of the stack pointer would cause a page fault".
  const std::uint64_t top = stack_part(core, core.state.reg(Gpr::kRsp));
  RS_ASSIGN(linear, linear_address(core, Seg::kSs, top, bytes, true));
  RS_CHECK(check_alignment(core, linear, bytes));
  RS_CHECK(core.mmu.probe(linear, bytes, core.mmu.data_access(softmmu::AccessKind::kWrite)));

  core.state.reg(Gpr::kRbp) = old_rbp;
  write_gpr(core, kRbp, bytes, frame);
  return guard.keep(Next::kContinue);
}

// SDM Vol. 2 "PUSHA/PUSHAD": the value of rSP is the one before the first push.
Result push_all(Core& core, const Operation& op) {
  const unsigned bytes = op.operand_bytes;
  const std::uint64_t old_rsp = core.state.reg(Gpr::kRsp);
  FrameGuard guard(core);
  for (unsigned reg = 0; reg < 8; ++reg) {
    const std::uint64_t value = reg == kRsp ? old_rsp : core.state.gpr[reg];
    RS_CHECK(push(core, bytes, truncate(value, bytes)));
  }
  return guard.keep(Next::kContinue);
}

Result pop_all(Core& core, const Operation& op) {
  const unsigned bytes = op.operand_bytes;
  std::uint64_t values[8];
  FrameGuard guard(core);
  for (unsigned reg = 8; reg-- > 0;) {
    RS_ASSIGN(value, pop(core, bytes));
    values[reg] = value;
  }
  for (unsigned reg = 0; reg < 8; ++reg)
    if (reg != kRsp) write_gpr(core, reg, bytes, values[reg]);
  return guard.keep(Next::kContinue);
}

Result push_rm(Core& core, const Operation& op) {
  RS_ASSIGN(value, read_rm(core, op, op.operand_bytes));
  RS_CHECK(push(core, op.operand_bytes, value));
  return Next::kContinue;
}

Result push_immediate(Core& core, const Operation& op) {
  RS_CHECK(push(core, op.operand_bytes, truncate(op.immediate, op.operand_bytes)));
  return Next::kContinue;
}

// SDM Vol. 2 "POP": an address formed with rSP uses its value after the increment.
Result pop_rm(Core& core, const Operation& op) {
  FrameGuard guard(core);
  RS_ASSIGN(value, pop(core, op.operand_bytes));
  RS_CHECK(write_rm(core, op, op.operand_bytes, value));
  return guard.keep(Next::kContinue);
}

Result leave(Core& core, const Operation& op) {
  FrameGuard guard(core);
  set_stack_register(core, Gpr::kRsp, core.state.reg(Gpr::kRbp));
  RS_ASSIGN(value, pop(core, op.operand_bytes));
  write_gpr(core, kRbp, op.operand_bytes, value);
  return guard.keep(Next::kContinue);
}

Result near_call_rm(Core& core, const Operation& op) {
  RS_ASSIGN(target, read_rm(core, op, op.operand_bytes));
  return call_to(core, op, target);
}

Result near_call_relative(Core& core, const Operation& op) {
  return call_to(core, op, truncate(core.state.rip + op.length + op.immediate, op.operand_bytes));
}

Result near_return(Core& core, const Operation& op) {
  FrameGuard guard(core);
  RS_ASSIGN(target, pop(core, op.operand_bytes));
  RS_CHECK(check_target(core, target));
  set_stack_register(core, Gpr::kRsp, core.state.reg(Gpr::kRsp) + (op.immediate & 0xffff));
  core.state.rip = target;
  return guard.keep(Next::kJump);
}

}  // namespace ringshift::translator
