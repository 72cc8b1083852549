// guest/reset.cc - the processor's state after RESET.
#include "guest/cpu_state.h"

namespace ringshift::guest {
namespace {

// SDM Vol. 3, same table: FCW and tags after RESET; SDM Vol. 1 "MXCSR Control and Status Register":
// its default.
constexpr std::uint8_t kFcwLow = 0x40, kAllTagsValid = 0xff;
constexpr std::uint8_t kMxcsrLow = 0x80, kMxcsrHigh = 0x1f;
constexpr std::size_t kFcw = 0, kFtw = 4, kMxcsr = 24, kXstateBv = 512;

}  // namespace

// SDM Vol. 3 "Processor State After Reset", table "IA-32 and Intel 64 Processor States Following
// Power-up, Reset, or INIT".
void reset(CpuState& state) {
  state = CpuState{};
  state.rip = 0xfff0;
  state.reg(Gpr::kRdx) = 0x600;  // family 6; the real value is the model's signature
  constexpr std::uint16_t kDataAttributes = 0x93, kCodeAttributes = 0x9b;  // accessed, present
  for (SegmentRegister& s : state.seg) s = {0, kDataAttributes, 0xffff, 0};
  state.segment(Seg::kCs) = {0xf000, kCodeAttributes, 0xffff, 0xffff0000};
  state.ldtr = {0, 0x82, 0xffff, 0};
  state.tr = {0, 0x8b, 0xffff, 0};
  state.gdtr = {0, 0xffff};
  state.idtr = {0, 0xffff};
  state.msr.tsc_offset = 0 - __builtin_ia32_rdtsc();  // the guest's TSC counts from zero
  state.xsave[kFcw] = kFcwLow;
  state.xsave[kFtw] = kAllTagsValid;
  state.xsave[kMxcsr] = kMxcsrLow;
  state.xsave[kMxcsr + 1] = kMxcsrHigh;
  // x87 is not in its XINIT configuration (FCW differs), SSE is.
  state.xsave[kXstateBv] = 3;
}

}  // namespace ringshift::guest
