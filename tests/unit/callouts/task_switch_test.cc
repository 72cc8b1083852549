// tests/unit/callouts/task_switch_test.cc - hardware task switches by JMP, CALL, IRET and task
// gates.
#include "translator/callouts/task_switch.h"

#include "tests/unit/callouts/fixture.h"
#include "translator/callouts/far_transfer.h"
#include "translator/callouts/iret.h"

namespace ringshift::translator {
namespace {

using guest::fault;
using guest::general_protection;
using guest::Gpr;
using guest::Seg;
using guest::Vector;
using namespace guest::flags;

class TaskSwitches : public CalloutTest {
 protected:
  static constexpr std::uint32_t kEntry = kHandlers + 0x800, kTaskStack = 0x78000;

  void SetUp() override {
    enter_protected32();
    write_task32(kTssB);
    for (unsigned i = 0; i < 8; ++i) state.gpr[i] = 0xa0 + i;
    rsp() = kStack;
  }
  void write_task32(std::uint64_t base) {
    store<std::uint32_t>(base + 0x1c, kPd32);
    store<std::uint32_t>(base + 0x20, kEntry);
    store<std::uint32_t>(base + 0x24, kFixed1 | kCf);
    for (unsigned i = 0; i < 8; ++i) store<std::uint32_t>(base + 0x28 + 4 * i, 0xb0 + i);
    store<std::uint32_t>(base + 0x38, kTaskStack);
    constexpr std::array<std::uint16_t, 6> kSelectors{kData32, kCode32, kData32,
                                                      kData32, 0,       kData16};
    for (unsigned i = 0; i < 6; ++i) store<std::uint32_t>(base + 0x48 + 4 * i, kSelectors[i]);
    store<std::uint32_t>(base + 0x60, 0);
    store<std::uint16_t>(base + 0x64, 0);
  }
  void set_task_selector(Seg seg, std::uint16_t selector) {
    store<std::uint16_t>(kTssB + 0x48 + 4 * static_cast<unsigned>(seg), selector);
  }
  Operation far(std::uint16_t selector) const {
    Operation op = operation(4);
    op.length = 7;
    op.immediate2 = selector;
    return op;
  }
  bool busy(std::uint16_t selector) { return load<std::uint8_t>(kGdt + selector + 5) & 2; }
};

TEST_F(TaskSwitches, JumpSavesAndLoadsEverything) {
  state.rflags |= kNt;
  ASSERT_TRUE(far_jump(core, far(kTssBSel)));
  EXPECT_EQ(load32(kTss + 0x20), kCode + 7);
  EXPECT_EQ(load32(kTss + 0x24), kFixed1 | kIf | kNt);
  EXPECT_EQ(load32(kTss + 0x28), 0xa0u);
  EXPECT_EQ(load32(kTss + 0x38), kStack);
  EXPECT_EQ(load16(kTss + 0x4c), kCode32);
  EXPECT_EQ(state.rip, kEntry);
  EXPECT_EQ(state.reg(Gpr::kRax), 0xb0u);
  EXPECT_EQ(rsp(), kTaskStack);
  EXPECT_EQ(state.rflags, kFixed1 | kCf);
  EXPECT_EQ(state.tr.selector, kTssBSel);
  EXPECT_EQ(state.tr.type(), 11u);
  EXPECT_EQ(state.segment(Seg::kGs).selector, kData16);
  EXPECT_FALSE(state.segment(Seg::kFs).present());
  EXPECT_FALSE(state.ldtr.present());
  EXPECT_TRUE(state.cr0 & guest::cr0::kTs);
  EXPECT_FALSE(busy(kTssSel));
  EXPECT_TRUE(busy(kTssBSel));
}

TEST_F(TaskSwitches, CallNestsAndIretReturns) {
  ASSERT_TRUE(far_call(core, far(kTssBSel)));
  EXPECT_TRUE(state.rflags & kNt);
  EXPECT_EQ(load16(kTssB), kTssSel);
  EXPECT_TRUE(busy(kTssSel));
  EXPECT_TRUE(busy(kTssBSel));
  ASSERT_TRUE(iret(core, operation(4)));
  EXPECT_EQ(state.tr.selector, kTssSel);
  EXPECT_EQ(state.rip, kCode + 7);
  EXPECT_EQ(state.reg(Gpr::kRax), 0xa0u);
  EXPECT_TRUE(busy(kTssSel));
  EXPECT_FALSE(busy(kTssBSel));
  EXPECT_EQ(load32(kTssB + 0x20), kEntry + 2) << "IRET's own successor is saved";
  EXPECT_FALSE(load32(kTssB + 0x24) & kNt) << "NT is cleared in the task that returns";
}

TEST_F(TaskSwitches, TaskGateInTheGdt) {
  write_gdt(kFirstFree, gate(kTaskGate, kTssBSel, 0));
  ASSERT_TRUE(far_jump(core, far(kFirstFree)));
  EXPECT_EQ(state.tr.selector, kTssBSel);
}

TEST_F(TaskSwitches, InterruptThroughATaskGatePushesTheErrorCodeThere) {
  write_idt(8, gate(kTaskGate, kTssBSel, 0));
  deliver_fault(core, fault(Vector::kDoubleFault, 0));
  EXPECT_EQ(state.tr.selector, kTssBSel);
  EXPECT_EQ(state.rip, kEntry);
  EXPECT_EQ(rsp(), kTaskStack - 4);
  EXPECT_EQ(load32(kTaskStack - 4), 0u);
  EXPECT_EQ(load32(kTss + 0x20), kCode) << "the address that faulted";
  EXPECT_TRUE(state.rflags & kNt);
}

TEST_F(TaskSwitches, SixteenBitTask) {
  write_gdt(kTssBSel, descriptor(kTssB, 0x2b, 0x81));
  for (unsigned i = 0; i < 0x2c; i += 2) store<std::uint16_t>(kTssB + i, 0);
  store<std::uint16_t>(kTssB + 0x0e, 0x4321);
  store<std::uint16_t>(kTssB + 0x10, kFixed1);
  store<std::uint16_t>(kTssB + 0x12, 0x1111);
  store<std::uint16_t>(kTssB + 0x1a, 0x8000);
  store<std::uint16_t>(kTssB + 0x22, kData16);
  store<std::uint16_t>(kTssB + 0x24, kCode16);
  store<std::uint16_t>(kTssB + 0x26, kData16);
  store<std::uint16_t>(kTssB + 0x28, kData16);
  ASSERT_TRUE(far_call(core, far(kTssBSel)));
  EXPECT_EQ(state.rip, 0x4321u);
  EXPECT_EQ(state.reg(Gpr::kRax), 0x1111u);
  EXPECT_EQ(state.segment(Seg::kDs).selector, kData16);
  EXPECT_EQ(state.segment(Seg::kFs).selector, 0);
  state.rip = 0x5000;
  ASSERT_TRUE(iret(core, operation(2)));
  EXPECT_EQ(load16(kTssB + 0x0e), 0x5002);
  EXPECT_EQ(state.tr.selector, kTssSel);
  EXPECT_EQ(state.segment(Seg::kDs).selector, kData32);
}

TEST_F(TaskSwitches, ToAV86Task) {
  store<std::uint32_t>(kTssB + 0x24, kFixed1 | kVm);
  store<std::uint32_t>(kTssB + 0x20, 0x123);
  set_task_selector(Seg::kCs, 0x2000);
  ASSERT_TRUE(far_jump(core, far(kTssBSel)));
  EXPECT_TRUE(state.v86());
  EXPECT_EQ(state.cpl, 3);
  EXPECT_EQ(cs().base, 0x20000u);
}

TEST_F(TaskSwitches, PagingLoadsCr3AndFlushes) {
  state.cr4 |= guest::cr4::kPse;
  state.cr3 = 0x14000;
  store<std::uint32_t>(0x14000, 0x87);
  state.cr0 |= guest::cr0::kPg;
  mmu.flush_all(false);
  mmu.select_view();
  const auto flushes = mmu.counters().full_flushes;
  ASSERT_TRUE(far_jump(core, far(kTssBSel)));
  EXPECT_EQ(state.cr3, kPd32);
  EXPECT_GT(mmu.counters().full_flushes, flushes);
  EXPECT_TRUE(read_data(core, Seg::kDs, kData, 4));
}

TEST_F(TaskSwitches, DebugTrapAndLocalBreakpoints) {
  store<std::uint16_t>(kTssB + 0x64, 1);
  state.dr[7] = 0x7ff;
  const Result result = far_jump(core, far(kTssBSel));
  EXPECT_TRUE(faults_with(result, {Vector::kDebug, false, 0, 1u << 15}));
  EXPECT_EQ(state.rip, kEntry) << "the trap belongs to the new task";
  EXPECT_EQ(state.dr[7], 0x7ffu & ~0x155u);
}

TEST_F(TaskSwitches, ChecksBeforeTheCommitLeaveTheOldTask) {
  state.cpl = 3;
  EXPECT_TRUE(faults_with(far_jump(core, far(kTssBSel)), general_protection(kTssBSel))) << "DPL";
  state.cpl = 0;
  EXPECT_TRUE(faults_with(far_jump(core, far(kTssSel)), general_protection(kTssSel))) << "busy";
  write_gdt(kTssBSel, descriptor(kTssB, 0x67, 0x09));
  EXPECT_TRUE(
      faults_with(far_jump(core, far(kTssBSel)), fault(Vector::kSegmentNotPresent, kTssBSel)));
  write_gdt(kTssBSel, descriptor(kTssB, 0x66, 0x89));
  EXPECT_TRUE(faults_with(far_jump(core, far(kTssBSel)), fault(Vector::kInvalidTss, kTssBSel)));
  EXPECT_EQ(state.tr.selector, kTssSel);
  EXPECT_EQ(state.rip, kCode);
  EXPECT_TRUE(busy(kTssSel));
  EXPECT_FALSE(busy(kTssBSel));
}

TEST_F(TaskSwitches, OldTssMustBeWritable) {
  state.cr4 |= guest::cr4::kPse;
  state.cr3 = kPd32;
  // The first 4 KiB pages through a table in which the old TSS is read-only.
  constexpr std::uint64_t kTable = 0x15000;
  for (std::uint32_t i = 0; i < 512; ++i)
    store<std::uint32_t>(kTable + 4 * i, i << 12 | (i == kTss >> 12 ? 5 : 7));
  store<std::uint32_t>(kPd32, kTable | 7);
  state.cr0 |= guest::cr0::kPg | guest::cr0::kWp;
  mmu.flush_all(false);
  mmu.select_view();
  const Result result = far_jump(core, far(kTssBSel));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().vector, Vector::kPageFault);
  EXPECT_EQ(state.rip, kCode);
  EXPECT_TRUE(busy(kTssSel));
}

TEST_F(TaskSwitches, SegmentFaultsBelongToTheNewTask) {
  set_task_selector(Seg::kDs, kNotPresentData);
  EXPECT_TRUE(faults_with(far_jump(core, far(kTssBSel)),
                          fault(Vector::kSegmentNotPresent, kNotPresentData)));
  EXPECT_EQ(state.tr.selector, kTssBSel);
  EXPECT_EQ(state.rip, kEntry);
  EXPECT_EQ(state.segment(Seg::kDs).selector, kNotPresentData);
  EXPECT_FALSE(state.segment(Seg::kDs).present());
  EXPECT_TRUE(ss().present());
}

TEST_F(TaskSwitches, SegmentChecksRaiseInvalidTss) {
  const auto attempt = [&](Seg seg, std::uint16_t selector) {
    write_standard_gdt();
    SetUp();
    set_task_selector(seg, selector);
    return far_jump(core, far(kTssBSel));
  };
  const auto invalid_tss = [](std::uint32_t code) { return fault(Vector::kInvalidTss, code); };
  EXPECT_TRUE(faults_with(attempt(Seg::kCs, 0), invalid_tss(0)));
  EXPECT_TRUE(faults_with(attempt(Seg::kCs, kData32), invalid_tss(kData32)));
  EXPECT_TRUE(faults_with(attempt(Seg::kCs, kCode32 | 3), invalid_tss(kCode32)));
  EXPECT_TRUE(faults_with(attempt(Seg::kCs, kNotPresentCode),
                          fault(Vector::kSegmentNotPresent, kNotPresentCode)));
  EXPECT_TRUE(faults_with(attempt(Seg::kSs, 0), invalid_tss(0)));
  EXPECT_TRUE(faults_with(attempt(Seg::kSs, kData32R3), invalid_tss(kData32R3 & ~3u)));
  EXPECT_TRUE(faults_with(attempt(Seg::kSs, kNotPresentData), guest::stack_fault(kNotPresentData)));
  EXPECT_TRUE(faults_with(attempt(Seg::kEs, kExecuteOnly), invalid_tss(kExecuteOnly)));
}

TEST_F(TaskSwitches, LdtIsLoadedFirst) {
  store<std::uint16_t>(kTssB + 0x60, kLdtSel);
  write_ldt(0x0c, descriptor(0x500, 0xfff, 0x4092));
  set_task_selector(Seg::kEs, 0x0c);
  ASSERT_TRUE(far_jump(core, far(kTssBSel)));
  EXPECT_EQ(state.ldtr.base, kLdt);
  EXPECT_EQ(state.segment(Seg::kEs).base, 0x500u);
  write_standard_gdt();
  SetUp();
  store<std::uint16_t>(kTssB + 0x60, kData32);
  EXPECT_TRUE(faults_with(far_jump(core, far(kTssBSel)), fault(Vector::kInvalidTss, kData32)));
}

TEST_F(TaskSwitches, ReturnChecksTheLink) {
  state.rflags |= kNt;
  store<std::uint16_t>(kTss, kTssBSel);  // not busy
  EXPECT_TRUE(faults_with(iret(core, operation(4)), fault(Vector::kInvalidTss, kTssBSel)));
  store<std::uint16_t>(kTss, 0x54);  // in the LDT
  EXPECT_TRUE(faults_with(iret(core, operation(4)), fault(Vector::kInvalidTss, 0x54)));
}

}  // namespace
}  // namespace ringshift::translator
