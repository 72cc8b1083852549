// tests/unit/guest/reset_test.cc - the processor's state after RESET, field by field.
#include <gtest/gtest.h>

#include "guest/cpu_state.h"

namespace ringshift::guest {
namespace {

TEST(Reset, MatchesTheManualsTable) {
  CpuState s;
  s.rip = 1;
  s.cr0 = ~0ull;
  s.msr.efer = ~0ull;
  s.cpl = 3;
  s.activity = Activity::kShutdown;
  s.reg(Gpr::kR15) = 7;
  reset(s);
  EXPECT_EQ(s.rip, 0xfff0u);
  EXPECT_EQ(s.rflags, 2u);
  EXPECT_EQ(s.cr0, 0x60000010u);
  EXPECT_EQ(s.cr2 | s.cr3 | s.cr4, 0u);
  EXPECT_EQ(s.segment(Seg::kCs).selector, 0xf000);
  EXPECT_EQ(s.segment(Seg::kCs).base, 0xffff0000u);
  EXPECT_EQ(s.segment(Seg::kCs).limit, 0xffffu);
  EXPECT_TRUE(s.segment(Seg::kDs).writable());
  EXPECT_EQ(s.gdtr.limit, 0xffff);
  EXPECT_EQ(s.idtr.limit, 0xffff);
  EXPECT_EQ(s.dr[6], 0xffff0ff0u);
  EXPECT_EQ(s.dr[7], 0x400u);
  EXPECT_EQ(s.msr.efer, 0u);
  EXPECT_EQ(s.msr.pat, 0x0007040600070406u);
  EXPECT_EQ(s.xcr0, 1u);
  EXPECT_EQ(s.cpl, 0);
  EXPECT_EQ(s.activity, Activity::kRunning);
  EXPECT_EQ(s.reg(Gpr::kR15), 0u);
  EXPECT_EQ(s.code_bytes(), 2u);
}

TEST(Reset, FloatingPointControl) {
  CpuState s;
  reset(s);
  EXPECT_EQ(s.xsave[0] | s.xsave[1] << 8, 0x40);      // FCW: every exception unmasked
  EXPECT_EQ(s.xsave[4], 0xff);                        // abridged tags of FTW 5555H: all valid
  EXPECT_EQ(s.xsave[24] | s.xsave[25] << 8, 0x1f80);  // MXCSR
}

TEST(Reset, TimeStampCounterStartsAtZero) {
  CpuState s;
  reset(s);
  const std::uint64_t tsc = __builtin_ia32_rdtsc() + s.msr.tsc_offset;
  EXPECT_LT(tsc, 1'000'000'000u);
}

}  // namespace
}  // namespace ringshift::guest
