// tests/unit/kvm/kvm_state_test.cc - the guest's registers in KVM's structures and back; needs no
// /dev/kvm.
#include "runtime/kvm/kvm_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ringshift::runtime {
namespace {

using guest::CpuState;
using guest::Gpr;
using guest::Seg;

// Every field with a value of its own.
CpuState distinct_state() {
  CpuState s;
  for (unsigned i = 0; i < 16; ++i) s.gpr[i] = 0x1100 + i;
  s.rip = 0x2200;
  s.rflags = 0x10246;
  for (unsigned i = 0; i < guest::kSegCount; ++i)
    s.seg[i] = {static_cast<std::uint16_t>(8 * i + 3), 0xc0f3, 0xfff0u + i, 0x330000u + i};
  s.segment(Seg::kCs).attributes = 0xa0fb;
  s.ldtr = {0x50, 0x82, 0x1f, 0x4400};
  s.tr = {0x40, 0x8b, 0x67, 0x5500};
  s.gdtr = {0x6600, 0x7f};
  s.idtr = {0x7700, 0xfff};
  s.cr0 = 0x80000033;
  s.cr2 = 0x8800;
  s.cr3 = 0x9000;
  s.cr4 = 0x620;
  s.xcr0 = 7;
  for (unsigned i : {0u, 1u, 2u, 3u, 6u, 7u}) s.dr[i] = 0xaa00 + i;
  s.cpl = 3;
  s.msr.efer = 0x500;
  std::uint64_t value = 0xbb00;
  for (const KvmMsr& msr : kvm_msrs()) s.msr.*msr.place = value++;
  s.nmi_blocked = true;
  s.nmi_pending = true;
  for (std::size_t i = 0; i < s.xsave.size(); ++i) s.xsave[i] = static_cast<std::uint8_t>(i * 7);
  return s;
}

void expect_same(const guest::SegmentRegister& a, const guest::SegmentRegister& b) {
  EXPECT_EQ(a.selector, b.selector);
  EXPECT_EQ(a.attributes, b.attributes);
  EXPECT_EQ(a.limit, b.limit);
  EXPECT_EQ(a.base, b.base);
}

TEST(KvmState, EveryRegisterComesBack) {
  const CpuState before = distinct_state();
  CpuState after;
  from_kvm(to_kvm(before, 0xfee00900), after);
  EXPECT_EQ(after.gpr, before.gpr);
  EXPECT_EQ(after.rip, before.rip);
  EXPECT_EQ(after.rflags, before.rflags);
  for (unsigned i = 0; i < guest::kSegCount; ++i) expect_same(after.seg[i], before.seg[i]);
  expect_same(after.ldtr, before.ldtr);
  expect_same(after.tr, before.tr);
  EXPECT_EQ(after.gdtr.base, before.gdtr.base);
  EXPECT_EQ(after.idtr.limit, before.idtr.limit);
  for (auto reg : {&CpuState::cr0, &CpuState::cr2, &CpuState::cr3, &CpuState::cr4, &CpuState::xcr0})
    EXPECT_EQ(after.*reg, before.*reg);
  for (unsigned i : {0u, 1u, 2u, 3u, 6u, 7u}) EXPECT_EQ(after.dr[i], before.dr[i]);
  EXPECT_EQ(after.cpl, 3);
  EXPECT_EQ(after.msr.efer, before.msr.efer);
  for (const KvmMsr& msr : kvm_msrs()) EXPECT_EQ(after.msr.*msr.place, before.msr.*msr.place);
  EXPECT_TRUE(after.nmi_blocked && after.nmi_pending);
  EXPECT_EQ(after.xsave, before.xsave);
}

TEST(KvmState, GeneralRegistersKeepTheirNames) {
  const KvmState k = to_kvm(distinct_state(), 0);
  EXPECT_EQ(k.regs.rax, 0x1100u);
  EXPECT_EQ(k.regs.rcx, 0x1101u);
  EXPECT_EQ(k.regs.rsp, 0x1104u);
  EXPECT_EQ(k.regs.rdi, 0x1107u);
  EXPECT_EQ(k.regs.r15, 0x110fu);
}

TEST(KvmState, NullSegmentsAreUnusable) {
  CpuState s = distinct_state();
  s.segment(Seg::kFs) = {};
  EXPECT_TRUE(to_kvm(s, 0).sregs.fs.unusable);
  CpuState after;
  from_kvm(to_kvm(s, 0), after);
  EXPECT_FALSE(after.segment(Seg::kFs).present());
}

// Hardware refuses to enter a guest in STI's shadow with IF clear.
TEST(KvmState, InterruptShadows) {
  CpuState s = distinct_state();
  s.interrupt_shadow = true;
  EXPECT_EQ(to_kvm(s, 0).events.interrupt.shadow, KVM_X86_SHADOW_INT_STI);
  s.rflags &= ~guest::flags::kIf;
  EXPECT_EQ(to_kvm(s, 0).events.interrupt.shadow, 0);
  s.debug_shadow = true;
  EXPECT_EQ(to_kvm(s, 0).events.interrupt.shadow, KVM_X86_SHADOW_INT_MOV_SS);
}

// The four PDPTEs count with PAE paging outside long mode only.
TEST(KvmState, PageDirectoryPointers) {
  CpuState s = distinct_state();
  s.pdpte = {1, 2, 3, 4};
  EXPECT_EQ(to_kvm(s, 0).sregs.flags, 0u);
  s.msr.efer = 0;
  const KvmState k = to_kvm(s, 0);
  EXPECT_EQ(k.sregs.flags, static_cast<unsigned>(KVM_SREGS2_FLAGS_PDPTRS_VALID));
  EXPECT_THAT(k.sregs.pdptrs, testing::ElementsAre(1, 2, 3, 4));
}

}  // namespace
}  // namespace ringshift::runtime
