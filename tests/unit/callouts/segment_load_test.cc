// tests/unit/callouts/segment_load_test.cc - MOV, PUSH and POP of segment registers, and far
// pointer loads.
#include "translator/callouts/segment_load.h"

#include "tests/unit/callouts/fixture.h"

namespace ringshift::translator {
namespace {

using guest::fault;
using guest::general_protection;
using guest::Gpr;
using guest::Seg;
using guest::stack_fault;
using guest::Vector;

class SegmentLoad : public CalloutTest {
 protected:
  Result mov(Seg seg, std::uint16_t selector) {
    Operation op = operation(2);
    op.reg = static_cast<std::uint8_t>(seg);
    op.rm = static_cast<std::uint8_t>(Gpr::kRax);
    state.reg(Gpr::kRax) = selector;
    return mov_to_segment(core, op);
  }
  std::uint8_t access_byte(std::uint16_t selector) {
    return load<std::uint8_t>(kGdt + (selector & ~7u) + 5);
  }
};

TEST_F(SegmentLoad, RealModeChangesOnlyTheBase) {
  state.segment(Seg::kEs).limit = 0xffffffff;
  ASSERT_TRUE(mov(Seg::kEs, 0x1234));
  const auto& es = state.segment(Seg::kEs);
  EXPECT_EQ(es.selector, 0x1234);
  EXPECT_EQ(es.base, 0x12340u);
  EXPECT_EQ(es.limit, 0xffffffffu);
}

TEST_F(SegmentLoad, V86LoadsA64KSegmentOfRing3) {
  enter_v86(0);
  state.segment(Seg::kEs).limit = 0xffffffff;
  ASSERT_TRUE(mov(Seg::kEs, 0x1234));
  const auto& es = state.segment(Seg::kEs);
  EXPECT_EQ(es.base, 0x12340u);
  EXPECT_EQ(es.limit, 0xffffu);
  EXPECT_EQ(es.attributes, 0xf3);
}

TEST_F(SegmentLoad, LoadsTheDescriptorAndMarksItAccessed) {
  enter_protected32();
  write_gdt(kFirstFree, descriptor(0x12345678, 0x5ffff, 0x4092));
  ASSERT_TRUE(mov(Seg::kFs, kFirstFree));
  const auto& fs = state.segment(Seg::kFs);
  EXPECT_EQ(fs.selector, kFirstFree);
  EXPECT_EQ(fs.base, 0x12345678u);
  EXPECT_EQ(fs.limit, 0x5ffffu);
  EXPECT_EQ(fs.attributes, 0x4093);
  EXPECT_EQ(access_byte(kFirstFree), 0x93);
}

TEST_F(SegmentLoad, GranularLimitsAreScaled) {
  enter_protected32();
  write_gdt(kFirstFree, descriptor(0, 0x12fff, 0x8092));
  ASSERT_TRUE(mov(Seg::kDs, kFirstFree));
  EXPECT_EQ(state.segment(Seg::kDs).limit, 0x12fffu);
}

TEST_F(SegmentLoad, DataSegmentChecksInOrder) {
  enter_protected32(3);
  EXPECT_TRUE(faults_with(mov(Seg::kDs, 0x400), general_protection(0x400))) << "limit";
  EXPECT_TRUE(faults_with(mov(Seg::kDs, kTssSel), general_protection(kTssSel))) << "system";
  EXPECT_TRUE(faults_with(mov(Seg::kDs, kExecuteOnly), general_protection(kExecuteOnly)));
  EXPECT_TRUE(faults_with(mov(Seg::kDs, kData32), general_protection(kData32))) << "DPL 0 at CPL 3";
  EXPECT_TRUE(mov(Seg::kDs, kConforming32 | 3)) << "conforming code is readable from any ring";
  EXPECT_EQ(state.segment(Seg::kDs).selector, kConforming32 | 3);
  enter_protected32(0);
  EXPECT_TRUE(faults_with(mov(Seg::kDs, kData32 | 3), general_protection(kData32))) << "RPL 3";
  EXPECT_TRUE(faults_with(mov(Seg::kDs, kNotPresentData),
                          fault(Vector::kSegmentNotPresent, kNotPresentData)));
  EXPECT_EQ(state.segment(Seg::kDs).selector, kData32) << "a fault changes nothing";
}

TEST_F(SegmentLoad, NullSelectorsLoadEverywhereButInSs) {
  enter_protected32();
  ASSERT_TRUE(mov(Seg::kGs, 3));
  EXPECT_EQ(state.segment(Seg::kGs).selector, 3);
  EXPECT_FALSE(state.segment(Seg::kGs).present());
  EXPECT_TRUE(faults_with(mov(Seg::kSs, 0), general_protection(0)));
}

TEST_F(SegmentLoad, LongModeTakesANullStackSelectorBelowRing3) {
  enter_long(0);
  ASSERT_TRUE(mov(Seg::kSs, 0));
  EXPECT_EQ(ss().dpl(), 0u);
  EXPECT_TRUE(faults_with(mov(Seg::kSs, 3), general_protection(0))) << "RPL is not CPL";
  enter_long(3);
  EXPECT_TRUE(faults_with(mov(Seg::kSs, 3), general_protection(0)));
  enter_compatibility(0);
  EXPECT_TRUE(faults_with(mov(Seg::kSs, 0), general_protection(0)));
}

TEST_F(SegmentLoad, StackSegmentChecksInOrder) {
  enter_protected32(0);
  EXPECT_TRUE(faults_with(mov(Seg::kSs, kData32R3), general_protection(kData32R3 & ~3u)));
  EXPECT_TRUE(faults_with(mov(Seg::kSs, kData32 | 1), general_protection(kData32))) << "RPL";
  EXPECT_TRUE(faults_with(mov(Seg::kSs, kReadOnlyData), general_protection(kReadOnlyData)));
  EXPECT_TRUE(faults_with(mov(Seg::kSs, kCode32), general_protection(kCode32)));
  EXPECT_TRUE(faults_with(mov(Seg::kSs, kNotPresentData), stack_fault(kNotPresentData)));
  ASSERT_TRUE(mov(Seg::kSs, kData16));
  EXPECT_FALSE(ss().big());
}

TEST_F(SegmentLoad, LdtSelectorsNeedAnLdt) {
  enter_protected32();
  write_ldt(0x0c, descriptor(0x777, 0xfff, kAttrData32 & ~0x8000));
  ASSERT_TRUE(mov(Seg::kEs, 0x0c));
  EXPECT_EQ(state.segment(Seg::kEs).base, 0x777u);
  state.ldtr = {};
  EXPECT_TRUE(faults_with(mov(Seg::kEs, 0x0c), general_protection(0x0c)));
}

TEST_F(SegmentLoad, OnlyStackSegmentLoadsHoldBackInterrupts) {
  enter_protected32();
  ASSERT_TRUE(mov(Seg::kDs, kData32));
  EXPECT_FALSE(state.interrupt_shadow);
  ASSERT_TRUE(mov(Seg::kSs, kData32));
  EXPECT_TRUE(state.interrupt_shadow);
  EXPECT_TRUE(state.debug_shadow);
  state.interrupt_shadow = state.debug_shadow = false;
  store<std::uint32_t>(kData, 0x1000);
  store<std::uint16_t>(kData + 4, kData32);
  Operation op = memory_operation(4, kData);
  op.reg = static_cast<std::uint8_t>(Gpr::kRsp);
  ASSERT_TRUE(lss(core, op));
  EXPECT_EQ(rsp(), 0x1000u);
  EXPECT_FALSE(state.interrupt_shadow) << "LSS needs none: it loads rSP as well";
}

TEST_F(SegmentLoad, CsCannotBeLoaded) {
  EXPECT_TRUE(faults_with(mov(Seg::kCs, kCode32), guest::invalid_opcode()));
  EXPECT_TRUE(faults_with(mov(static_cast<Seg>(6), kData32), guest::invalid_opcode()));
}

TEST_F(SegmentLoad, StoresAreSixteenBitsInMemoryAndZeroExtendedInRegisters) {
  enter_protected32();
  store<std::uint32_t>(kData, 0xffffffff);
  Operation op = memory_operation(4, kData);
  op.reg = static_cast<std::uint8_t>(Seg::kDs);
  ASSERT_TRUE(mov_from_segment(core, op));
  EXPECT_EQ(load32(kData), 0xffff0000u | kData32);
  Operation reg = operation(4);
  reg.reg = op.reg;
  reg.rm = 3;
  state.gpr[3] = ~0ull;
  ASSERT_TRUE(mov_from_segment(core, reg));
  EXPECT_EQ(state.gpr[3], kData32);
}

TEST_F(SegmentLoad, PushMovesByTheOperandSize) {
  Operation op;
  op.reg = static_cast<std::uint8_t>(Seg::kDs);
  for (const char* name : {"qemu64", "Nehalem"}) {
    model = guest::CpuModel::create(name).value();
    enter_protected32();
    store<std::uint32_t>(kStack - 4, 0xaaaaaaaa);
    op.operand_bytes = 4;
    ASSERT_TRUE(push_segment(core, op));
    EXPECT_EQ(rsp(), kStack - 4);
    EXPECT_EQ(load16(kStack - 4), kData32);
    EXPECT_EQ(load16(kStack - 2), model.vendor_is_intel() ? 0xaaaa : 0) << name;
    op.operand_bytes = 2;
    ASSERT_TRUE(push_segment(core, op));
    EXPECT_EQ(rsp(), kStack - 6);
  }
}

TEST_F(SegmentLoad, PopLeavesTheStackPointerWhenTheLoadFaults) {
  enter_protected32();
  store<std::uint32_t>(kStack, kNotPresentData);
  Operation op = operation(4);
  op.reg = static_cast<std::uint8_t>(Seg::kEs);
  EXPECT_TRUE(
      faults_with(pop_segment(core, op), fault(Vector::kSegmentNotPresent, kNotPresentData)));
  EXPECT_EQ(rsp(), kStack);
  store<std::uint32_t>(kStack, 0xbeef0000u | kData16);
  ASSERT_TRUE(pop_segment(core, op));
  EXPECT_EQ(rsp(), kStack + 4);
  EXPECT_EQ(state.segment(Seg::kEs).selector, kData16);
}

TEST_F(SegmentLoad, FarPointerLoadsAreAllOrNothing) {
  enter_protected32();
  store<std::uint32_t>(kData, 0x11223344);
  store<std::uint16_t>(kData + 4, kReadOnlyData);
  Operation op = memory_operation(4, kData);
  op.reg = static_cast<std::uint8_t>(Gpr::kRbx);
  ASSERT_TRUE(lfs(core, op));
  EXPECT_EQ(state.reg(Gpr::kRbx), 0x11223344u);
  EXPECT_EQ(state.segment(Seg::kFs).selector, kReadOnlyData);
  store<std::uint32_t>(kData, 0x55667788);
  store<std::uint16_t>(kData + 4, kTssSel);
  EXPECT_TRUE(faults_with(lgs(core, op), general_protection(kTssSel)));
  EXPECT_EQ(state.reg(Gpr::kRbx), 0x11223344u);
  op.has_memory = false;
  EXPECT_TRUE(faults_with(lds(core, op), guest::invalid_opcode()));
  enter_real();
  store<std::uint16_t>(kData + 0x10, 0x1234);
  store<std::uint16_t>(kData + 0x12, 0x5678);
  Operation real = memory_operation(2, 0x10);
  real.reg = static_cast<std::uint8_t>(Gpr::kRdi);
  ASSERT_TRUE(les(core, real));
  EXPECT_EQ(state.reg(Gpr::kRdi) & 0xffff, 0x1234u);
  EXPECT_EQ(state.segment(Seg::kEs).base, 0x56780u);
}

TEST_F(SegmentLoad, ReturnOutwardDropsWhatTheRingMayNotUse) {
  enter_long(3);
  state.segment(Seg::kDs) = segment(kData32, 0xc093, 0, 0xffffffff);
  state.segment(Seg::kEs) = segment(kConforming32, 0xc09f, 0, 0xffffffff);
  state.segment(Seg::kFs) = segment(3, 0, 0x7000, 0);  // null, with a base from WRFSBASE
  drop_inner_segments(state);
  EXPECT_EQ(state.segment(Seg::kDs).selector, 0);
  EXPECT_FALSE(state.segment(Seg::kDs).present());
  EXPECT_EQ(state.segment(Seg::kEs).selector, kConforming32);
  EXPECT_EQ(state.segment(Seg::kFs).selector, 0);
  EXPECT_EQ(state.segment(Seg::kFs).base, 0x7000u);
  EXPECT_EQ(state.segment(Seg::kGs).selector, kData32R3);
}

}  // namespace
}  // namespace ringshift::translator
