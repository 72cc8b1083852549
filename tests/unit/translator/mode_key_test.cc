// tests/unit/translator/mode_key_test.cc - states that need different host code have different
// keys, and state that does not matter leaves the key alone.
#include "translator/mode_key.h"

#include <gtest/gtest.h>

namespace ringshift::translator {
namespace {

using guest::CpuState;
using guest::Seg;

CpuState flat32(unsigned cpl) {
  CpuState s;
  guest::reset(s);
  s.cr0 = guest::cr0::kPe;
  const auto dpl = static_cast<std::uint16_t>(cpl << 5);
  for (auto& seg : s.seg) seg = {8, static_cast<std::uint16_t>(0xc093 | dpl), 0xffffffff, 0};
  s.segment(Seg::kCs).attributes = static_cast<std::uint16_t>(0xc09b | dpl);
  s.cpl = static_cast<std::uint8_t>(cpl);
  return s;
}
CpuState long_mode(unsigned cpl) {
  CpuState s = flat32(cpl);
  s.msr.efer = guest::efer::kLma | guest::efer::kLme;
  s.segment(Seg::kCs).attributes = static_cast<std::uint16_t>(0xa09b | cpl << 5);
  return s;
}
ModeKey key(const CpuState& s) { return ModeKey::of(s, false); }

TEST(ModeKeyTest, Widths) {
  CpuState real;
  guest::reset(real);
  EXPECT_EQ(key(real).code_bytes(), 2u);
  EXPECT_EQ(key(real).stack_bytes(), 2u);
  EXPECT_TRUE(key(real).real_or_v86());
  EXPECT_EQ(key(flat32(0)).code_bytes(), 4u);
  EXPECT_EQ(key(flat32(0)).stack_bytes(), 4u);
  EXPECT_FALSE(key(flat32(0)).real_or_v86());
  EXPECT_TRUE(key(long_mode(0)).is_64bit());
  EXPECT_EQ(key(long_mode(3)).cpl(), 3u);
  CpuState v86 = flat32(3);
  v86.rflags |= guest::flags::kVm;
  EXPECT_TRUE(key(v86).real_or_v86());
  CpuState small_stack = flat32(0);
  small_stack.segment(Seg::kSs).attributes &= static_cast<std::uint16_t>(~0x4000);
  EXPECT_EQ(key(small_stack).code_bytes(), 4u);
  EXPECT_EQ(key(small_stack).stack_bytes(), 2u);
}

TEST(ModeKeyTest, FlatOnlyWhenNoAccessCanViolateASegment) {
  EXPECT_TRUE(key(flat32(0)).flat());
  for (Seg seg : {Seg::kCs, Seg::kDs, Seg::kEs, Seg::kSs}) {
    CpuState s = flat32(0);
    s.segment(seg).base = 0x10;
    EXPECT_FALSE(key(s).flat());
    s = flat32(0);
    s.segment(seg).limit = 0xfffffffe;
    EXPECT_FALSE(key(s).flat());
  }
  for (Seg seg : {Seg::kDs, Seg::kEs, Seg::kSs})
    for (std::uint16_t attributes :
         {0xc091 /* read-only */, 0xc097 /* expand-down */, 0xc013 /* not present: null */}) {
      CpuState s = flat32(0);
      s.segment(seg).attributes = attributes;
      EXPECT_FALSE(key(s).flat()) << attributes;
    }
  CpuState execute_only = flat32(0);
  execute_only.segment(Seg::kCs).attributes = 0xc099;
  EXPECT_FALSE(key(execute_only).flat());
  CpuState based = flat32(0);
  based.segment(Seg::kFs).base = 0x1234;  // a base costs an add, no check
  EXPECT_TRUE(key(based).fs_full());
  EXPECT_TRUE(key(based).flat());
  based.segment(Seg::kGs).limit = 0xffff;
  EXPECT_FALSE(key(based).gs_full());
}

// What enables x87, SSE and AVX; VEX does not exist in real and v86 mode.
TEST(ModeKeyTest, EnablesOfExtendedState) {
  CpuState s = long_mode(0);
  const ModeKey plain = key(s);
  auto differs = [&](auto change) {
    CpuState t = s;
    change(t);
    return !(key(t) == plain);
  };
  EXPECT_TRUE(differs([](CpuState& t) { t.cr0 |= guest::cr0::kTs; }));
  EXPECT_TRUE(differs([](CpuState& t) { t.cr0 |= guest::cr0::kEm; }));
  EXPECT_TRUE(differs([](CpuState& t) { t.cr0 |= guest::cr0::kMp; }));
  EXPECT_TRUE(differs([](CpuState& t) { t.cr4 |= guest::cr4::kOsfxsr; }));
  EXPECT_FALSE(differs([](CpuState& t) { t.xcr0 = 7; }));  // not without OSXSAVE
  s.cr4 |= guest::cr4::kOsxsave;
  s.xcr0 = 7;
  EXPECT_TRUE(key(s).avx_enabled());
  EXPECT_FALSE(key(s).avx512_enabled());
  s.xcr0 = 0xe7;
  EXPECT_TRUE(key(s).avx512_enabled());
  s.xcr0 = 3;
  EXPECT_FALSE(key(s).avx_enabled());
  CpuState v86 = flat32(3);
  v86.rflags |= guest::flags::kVm;
  v86.cr4 |= guest::cr4::kOsxsave;
  v86.xcr0 = 7;
  EXPECT_FALSE(key(v86).avx_enabled());
}

TEST(ModeKeyTest, AlignmentCheckNeedsAllThree) {
  CpuState s = long_mode(3);
  s.cr0 |= guest::cr0::kAm;
  EXPECT_FALSE(key(s).alignment_check());
  s.rflags |= guest::flags::kAc;
  EXPECT_TRUE(key(s).alignment_check());
  s.cpl = 0;
  EXPECT_FALSE(key(s).alignment_check());
}

TEST(ModeKeyTest, WhatDoesNotMatterLeavesItAlone) {
  CpuState s = long_mode(0);
  const ModeKey plain = key(s);
  s.cr3 = 0x5000;
  s.gpr.fill(1);
  s.rip = 0x1234;
  s.rflags |= guest::flags::kIf | guest::flags::kCf;
  s.segment(Seg::kDs) = {};  // 64-bit code does not look at it
  s.segment(Seg::kFs).base = 0x77;
  EXPECT_EQ(key(s), plain);
  EXPECT_NE(ModeKey::of(s, true), plain);
  EXPECT_TRUE(ModeKey::of(s, true).single());
}

}  // namespace
}  // namespace ringshift::translator
