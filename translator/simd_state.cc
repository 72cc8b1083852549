// translator/simd_state.cc - SIMD state and flags between the host's registers and the guest state.
#include "translator/thunks.h"

namespace ringshift::translator {

namespace {

// C++ must not meet the guest's rounding, unmasked exceptions or full x87 stack: a rehash of a
// container computes with doubles.
void set_host_environment() {
  const std::uint32_t mxcsr = 0x1f80;  // SDM Vol. 1 "MXCSR": after reset, all exceptions masked
  asm volatile("fninit\n\tldmxcsr %0" : : "m"(mxcsr));
}

constexpr std::uint64_t kDissolved =
    guest::flags::kArithmetic | guest::flags::kDf | guest::flags::kIf;

}  // namespace

void save_simd(Frame& frame, std::uint64_t mask) {
  if (!frame.simd_loaded) return;
  asm volatile("xsave64 %0"
               : "+m"(frame.state.xsave)
               : "a"(static_cast<std::uint32_t>(mask)),
                 "d"(static_cast<std::uint32_t>(mask >> 32)));
  set_host_environment();
  frame.simd_loaded = 0;
}

void load_simd(Frame& frame, std::uint64_t mask) {
  if (frame.simd_loaded) return;
  asm volatile("xrstor64 %0"
               :
               : "m"(frame.state.xsave), "a"(static_cast<std::uint32_t>(mask)),
                 "d"(static_cast<std::uint32_t>(mask >> 32)));
  frame.simd_loaded = 1;
}

std::uint64_t materialize_flags(const Frame& frame) {
  constexpr std::uint64_t kLahfBits = guest::flags::kArithmetic & 0xff;
  std::uint64_t flags = (frame.state.rflags & ~kDissolved) | frame.direction | frame.interrupt_flag;
  flags |= (frame.saved_flags >> 8) & kLahfBits;
  if (frame.saved_flags & 1) flags |= guest::flags::kOf;
  return flags;
}

void dissolve_flags(Frame& frame) {
  const std::uint64_t flags = frame.state.rflags;
  frame.direction = static_cast<std::uint32_t>(flags & guest::flags::kDf);
  frame.interrupt_flag = static_cast<std::uint32_t>(flags & guest::flags::kIf);
  frame.other_flags = flags & ~kDissolved;
  frame.saved_flags =
      ((flags & 0xff) | guest::flags::kFixed1) << 8 | ((flags & guest::flags::kOf) ? 1 : 0);
}

}  // namespace ringshift::translator
