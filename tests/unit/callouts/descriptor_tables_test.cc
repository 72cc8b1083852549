// tests/unit/callouts/descriptor_tables_test.cc - loads and stores of GDTR, IDTR, LDTR and TR.
#include "translator/callouts/descriptor_tables.h"

#include "tests/unit/callouts/fixture.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;
using guest::Vector;

class DescriptorTables : public CalloutTest {
 protected:
  Operation register_operation(unsigned bytes, std::uint64_t value) {
    Operation op = operation(bytes);
    op.rm = static_cast<std::uint8_t>(Gpr::kRbx);
    state.reg(Gpr::kRbx) = value;
    return op;
  }
  Result load_ldtr(std::uint16_t selector) { return lldt(core, register_operation(2, selector)); }
  Result load_tr(std::uint16_t selector) { return ltr(core, register_operation(2, selector)); }
  static guest::GuestFault gp(std::uint16_t selector) {
    return guest::general_protection(selector);
  }
};

TEST_F(DescriptorTables, GdtrInThirtyTwoBits) {
  enter_protected32();
  store<std::uint16_t>(kData, 0x1234);
  store<std::uint32_t>(kData + 2, 0xdeadbeef);
  store<std::uint32_t>(kData + 6, 0xffffffff);
  ASSERT_TRUE(lgdt(core, memory_operation(4, kData)));
  EXPECT_EQ(state.gdtr.limit, 0x1234);
  EXPECT_EQ(state.gdtr.base, 0xdeadbeefu);
  ASSERT_TRUE(sgdt(core, memory_operation(4, kData + 0x100)));
  EXPECT_EQ(load16(kData + 0x100), 0x1234);
  EXPECT_EQ(load32(kData + 0x102), 0xdeadbeefu);
}

TEST_F(DescriptorTables, SixteenBitOperandLoadsTwentyFourBits) {
  enter_real();
  store<std::uint16_t>(kData, 0x3ff);
  store<std::uint32_t>(kData + 2, 0xdeadbeef);
  ASSERT_TRUE(lidt(core, memory_operation(2, 0)));
  EXPECT_EQ(state.idtr.base, 0xadbeefu);
  EXPECT_EQ(state.idtr.limit, 0x3ff);
}

TEST_F(DescriptorTables, StoresShowTheWholeBaseInSixteenBitCode) {
  enter_real();
  state.idtr = {0x89abcdef, 0x7ff};
  store<std::uint64_t>(kData, ~0ull);
  ASSERT_TRUE(sidt(core, memory_operation(2, 0)));
  EXPECT_EQ(load64(kData), 0xffff'89ab'cdef'07ffu);
}

TEST_F(DescriptorTables, LongModeBases) {
  enter_long();
  store<std::uint16_t>(kData, 0xfff);
  store<std::uint64_t>(kData + 2, 0xffff'8000'0000'1000);
  ASSERT_TRUE(lidt(core, memory_operation(8, kData)));
  EXPECT_EQ(state.idtr.base, 0xffff'8000'0000'1000u);
  store<std::uint64_t>(kData + 2, 0x8000'0000'0000);
  EXPECT_TRUE(faults_with(lidt(core, memory_operation(8, kData)), gp(0))) << "non-canonical";
  EXPECT_EQ(state.idtr.base, 0xffff'8000'0000'1000u);
  ASSERT_TRUE(sidt(core, memory_operation(8, kData + 0x100)));
  EXPECT_EQ(load64(kData + 0x102), 0xffff'8000'0000'1000u);
}

TEST_F(DescriptorTables, RegisterFormsDoNotExist) {
  enter_protected32();
  EXPECT_TRUE(faults_with(lgdt(core, operation(4)), guest::invalid_opcode()));
  EXPECT_TRUE(faults_with(sidt(core, operation(4)), guest::invalid_opcode()));
}

TEST_F(DescriptorTables, ImageOutsideTheSegmentFaults) {
  enter_real();
  EXPECT_TRUE(faults_with(lgdt(core, memory_operation(2, 0xfffb)), gp(0)));
  EXPECT_TRUE(lgdt(core, memory_operation(2, 0xfffa)));
}

TEST_F(DescriptorTables, UmipBarsEveryStoreOutsideRing0) {
  enter_protected32(3);
  state.cr4 |= guest::cr4::kUmip;
  for (Handler instruction : {sgdt, sidt, sldt, str})
    EXPECT_TRUE(faults_with(instruction(core, memory_operation(4, kData)), gp(0)));
  state.cr4 = 0;
  for (Handler instruction : {sgdt, sidt, sldt, str})
    EXPECT_TRUE(instruction(core, memory_operation(4, kData)));
}

TEST_F(DescriptorTables, SelectorsAreZeroExtendedIntoRegisters) {
  enter_protected32();
  ASSERT_TRUE(sldt(core, register_operation(4, ~0ull)));
  EXPECT_EQ(state.reg(Gpr::kRbx), kLdtSel);
  ASSERT_TRUE(str(core, register_operation(2, 0x11111111)));
  EXPECT_EQ(state.reg(Gpr::kRbx), 0x11110000u | kTssSel);
  store<std::uint32_t>(kData, ~0u);
  ASSERT_TRUE(str(core, memory_operation(4, kData)));
  EXPECT_EQ(load32(kData), 0xffff0000u | kTssSel);
}

TEST_F(DescriptorTables, LldtLoadsALdt) {
  enter_protected32();
  state.ldtr = {};
  ASSERT_TRUE(load_ldtr(kLdtSel));
  EXPECT_EQ(state.ldtr.base, kLdt);
  EXPECT_EQ(state.ldtr.limit, 0xffu);
  EXPECT_TRUE(state.ldtr.present());
}

TEST_F(DescriptorTables, LldtNullMakesItUnusable) {
  enter_protected32();
  ASSERT_TRUE(load_ldtr(3));
  EXPECT_FALSE(state.ldtr.present());
  EXPECT_EQ(state.ldtr.selector, 3);
}

TEST_F(DescriptorTables, LldtChecksInTheManualsOrder) {
  enter_protected32();
  EXPECT_TRUE(faults_with(load_ldtr(kLdtSel | 4), gp(kLdtSel | 4))) << "TI";
  EXPECT_TRUE(faults_with(load_ldtr(0x400), gp(0x400))) << "outside the GDT";
  EXPECT_TRUE(faults_with(load_ldtr(kData32 | 1), gp(kData32))) << "RPL is not in the error code";
  write_gdt(kFirstFree, descriptor(kLdt, 0xff, 0x02));
  EXPECT_TRUE(
      faults_with(load_ldtr(kFirstFree), guest::fault(Vector::kSegmentNotPresent, kFirstFree)));
  write_gdt(kFirstFree, descriptor(kTss, 0x67, 0x09));
  EXPECT_TRUE(faults_with(load_ldtr(kFirstFree), gp(kFirstFree))) << "type before presence";
}

TEST_F(DescriptorTables, LtrMarksTheTaskBusy) {
  enter_protected32();
  ASSERT_TRUE(load_tr(kTssBSel));
  EXPECT_EQ(state.tr.base, kTssB);
  EXPECT_EQ(state.tr.type(), 11u);
  EXPECT_EQ(load<std::uint8_t>(kGdt + kTssBSel + 5), 0x8b);
  EXPECT_TRUE(faults_with(load_tr(kTssBSel), gp(kTssBSel))) << "busy now";
}

TEST_F(DescriptorTables, LtrChecksInTheManualsOrder) {
  enter_protected32();
  EXPECT_TRUE(faults_with(load_tr(0), gp(0)));
  EXPECT_TRUE(faults_with(load_tr(kTssBSel | 4), gp(kTssBSel | 4)));
  EXPECT_TRUE(faults_with(load_tr(kLdtSel), gp(kLdtSel)));
  write_gdt(kFirstFree, descriptor(kTssB, 0x67, 0x09));
  EXPECT_TRUE(
      faults_with(load_tr(kFirstFree), guest::fault(Vector::kSegmentNotPresent, kFirstFree)));
  write_gdt(kFirstFree, descriptor(kTssB, 0x2b, 0x81));
  EXPECT_TRUE(load_tr(kFirstFree)) << "a 16-bit TSS";
}

TEST_F(DescriptorTables, LongModeTakesSixteenBytes) {
  enter_long();
  write_gdt16(kFirstFree, descriptor(0x5000, 0x67, 0x89), 0xffff8000);
  ASSERT_TRUE(load_tr(kFirstFree));
  EXPECT_EQ(state.tr.base, 0xffff'8000'0000'5000u);
  write_gdt16(kFirstFree, descriptor(0x5000, 0x67, 0x89), 0x8000);
  EXPECT_TRUE(faults_with(load_tr(kFirstFree), gp(kFirstFree))) << "non-canonical base";
  write_gdt16(kFirstFree, descriptor(0x5000, 0x67, 0x89), 1ull << 40);
  EXPECT_TRUE(faults_with(load_tr(kFirstFree), gp(kFirstFree))) << "type bits of the upper half";
  write_gdt16(kFirstFree, descriptor(0x5000, 0x2b, 0x81), 0);
  EXPECT_TRUE(faults_with(load_tr(kFirstFree), gp(kFirstFree))) << "no 16-bit TSS in long mode";
  write_gdt16(kFirstFree, descriptor(0x6000, 0xff, 0x82), 0xffff8000);
  ASSERT_TRUE(load_ldtr(kFirstFree));
  EXPECT_EQ(state.ldtr.base, 0xffff'8000'0000'6000u);
}

TEST_F(DescriptorTables, AFailedLoadChangesNothing) {
  enter_protected32();
  const auto before = state.tr;
  state.gdtr.base = 0x80000000;  // no RAM there: descriptors read as all ones
  EXPECT_FALSE(load_tr(kTssBSel));
  EXPECT_EQ(state.tr.selector, before.selector);
  EXPECT_EQ(state.tr.base, before.base);
}

}  // namespace
}  // namespace ringshift::translator
