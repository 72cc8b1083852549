// runtime/profile/stack_walk.cc - who called whom in the guest.
#include "runtime/profile/stack_walk.h"

#include <optional>

namespace ringshift::runtime::profile {
namespace {

// The upper half of a 64-bit address space, or the upper quarter of a 32-bit one, is the kernel's.
bool is_kernel_address(std::uint64_t a, unsigned word_bytes) {
  return word_bytes == 8 ? a >> 63 : a >= 0xc0000000;
}

// Linux's arch/x86/include/asm/ptrace.h: where 64-bit pt_regs have what an interrupt pushed.
constexpr std::uint64_t kRegsBp = 4 * 8, kRegsIp = 16 * 8, kRegsSp = 19 * 8;

class Walk {
 public:
  Walk(GuestReader& memory, const StackStart& start, const OrcTable* orc,
       std::span<std::uint64_t> frames)
      : memory_(memory), orc_(orc), frames_(frames), at_(start) {}

  std::size_t run() {
    while (count_ < frames_.size() && step()) frames_[count_++] = at_.rip;
    return count_;
  }

 private:
  bool step() {
    at_.kernel = is_kernel_address(at_.rip, at_.word_bytes);
    if (at_.kernel && orc_ && at_.word_bytes == 8) {
      // A return address may be the first byte of another function: the call lies before it.
      if (const auto entry = orc_->find(count_ == 0 ? at_.rip : at_.rip - 1))
        return step_by_orc(*entry);
    }
    return step_by_frame_pointer();
  }

  // RBP leads to the caller's RBP, above which the return address lies.
  bool step_by_frame_pointer() {
    const std::uint64_t frame = at_.rbp;
    const unsigned word = at_.word_bytes;
    if (frame < at_.rsp || frame % word != 0 || is_kernel_address(frame, word) != at_.kernel)
      return false;
    const auto caller_frame = memory_.load_word(frame, word);
    const auto return_to = memory_.load_word(frame + word, word);
    if (!caller_frame || !return_to || *return_to == 0) return false;
    if (is_kernel_address(*return_to, word) != at_.kernel) return false;
    at_.rip = *return_to;
    at_.rsp = frame + 2 * word;
    at_.rbp = *caller_frame;
    return true;
  }

  std::optional<std::uint64_t> stack_of(const OrcEntry& entry) {
    using Register = OrcEntry::Register;
    const auto offset = static_cast<std::uint64_t>(std::int64_t{entry.sp_offset});
    switch (entry.sp_register) {
      case Register::kSp:
        return at_.rsp + offset;
      case Register::kBp:
        return at_.rbp + offset;
      case Register::kBpIndirect:
        return memory_.load<std::uint64_t>(at_.rbp + offset);
      case Register::kSpIndirect:
        if (const auto sp = memory_.load<std::uint64_t>(at_.rsp)) return *sp + offset;
        return std::nullopt;
      default:
        return std::nullopt;
    }
  }

  bool step_by_orc(const OrcEntry& entry) {
    const auto base = stack_of(entry);
    if (!base) return false;
    switch (entry.kind) {
      case OrcEntry::Kind::kCall:
        return leave_function(entry, *base);
      case OrcEntry::Kind::kRegisters:
        return leave_interrupt(*base, true);
      case OrcEntry::Kind::kPartialRegisters:
        return leave_interrupt(*base, false);
      default:
        return false;
    }
  }

  bool leave_function(const OrcEntry& entry, std::uint64_t base) {
    const auto return_to = memory_.load<std::uint64_t>(base - 8);
    if (!return_to || !is_kernel_address(*return_to, 8) || base <= at_.rsp) return false;
    if (!restore_bp(entry, base)) return false;
    at_.rip = *return_to;
    at_.rsp = base;
    return true;
  }

  bool restore_bp(const OrcEntry& entry, std::uint64_t base) {
    using Register = OrcEntry::Register;
    if (entry.bp_register == Register::kUndefined) return true;
    const auto offset = static_cast<std::uint64_t>(std::int64_t{entry.bp_offset});
    const bool by_bp = entry.bp_register == Register::kBp;
    const auto bp = memory_.load<std::uint64_t>((by_bp ? at_.rbp : base) + offset);
    if (bp) at_.rbp = *bp;
    return bp.has_value();
  }

  // What lies here is what an interrupt, an exception or a system call saved: into its victim.
  bool leave_interrupt(std::uint64_t base, bool all) {
    const std::uint64_t regs = all ? base : base - kRegsIp;
    const auto ip = memory_.load<std::uint64_t>(regs + kRegsIp);
    const auto sp = memory_.load<std::uint64_t>(regs + kRegsSp);
    if (!ip || !sp || *ip == 0) return false;
    if (all) {
      const auto bp = memory_.load<std::uint64_t>(regs + kRegsBp);
      if (!bp) return false;
      at_.rbp = *bp;
    }
    // A kernel that was interrupted goes on above; its user's stack is another one.
    if (is_kernel_address(*ip, 8) && *sp <= at_.rsp && ++switches_ > kMostSwitches) return false;
    at_.rip = *ip;
    at_.rsp = *sp;
    return true;
  }

  // Between the stacks that interrupts run on: more is a circle.
  static constexpr unsigned kMostSwitches = 4;

  GuestReader& memory_;
  const OrcTable* orc_;
  std::span<std::uint64_t> frames_;
  StackStart at_;
  std::size_t count_ = 0;
  unsigned switches_ = 0;
};

}  // namespace

std::size_t walk_stack(GuestReader& memory, const StackStart& start, const OrcTable* orc,
                       std::span<std::uint64_t> frames) {
  return Walk(memory, start, orc, frames).run();
}

}  // namespace ringshift::runtime::profile
