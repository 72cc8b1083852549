// tests/unit/callouts/stack_frames_test.cc - ENTER, PUSHA/POPA and near stack forms, with faults.
#include "translator/callouts/stack_frames.h"

#include "tests/unit/callouts/fixture.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;

class StackFramesTest : public CalloutTest {
 protected:
  std::uint64_t& rbp() { return state.reg(Gpr::kRbp); }
  Operation enter_operation(unsigned operand_bytes, std::uint16_t size, std::uint16_t level) {
    Operation op = operation(operand_bytes);
    op.immediate = static_cast<std::uint64_t>(static_cast<std::int16_t>(size));
    op.immediate2 = level;
    return op;
  }
};

TEST_F(StackFramesTest, EnterWithoutDisplay) {
  enter_long();
  rbp() = 0x1122334455667788;
  rsp() = kStack;
  ASSERT_EQ(enter(core, enter_operation(8, 0x9000, 0)), Next::kContinue);
  EXPECT_EQ(load64(kStack - 8), 0x1122334455667788u);
  EXPECT_EQ(rbp(), kStack - 8);
  EXPECT_EQ(rsp(), kStack - 8 - 0x9000);
}

TEST_F(StackFramesTest, EnterCopiesTheDisplay) {
  enter_protected32();
  store<std::uint32_t>(kData - 4, 0xaaaa0001);
  store<std::uint32_t>(kData - 8, 0xaaaa0002);
  rbp() = kData;
  rsp() = kStack;
  ASSERT_EQ(enter(core, enter_operation(4, 0x10, 3 + 32)), Next::kContinue);  // level modulo 32
  EXPECT_EQ(load32(kStack - 4), kData);
  EXPECT_EQ(load32(kStack - 8), 0xaaaa0001u);
  EXPECT_EQ(load32(kStack - 12), 0xaaaa0002u);
  EXPECT_EQ(load32(kStack - 16), kStack - 4);
  EXPECT_EQ(rbp(), kStack - 4);
  EXPECT_EQ(rsp(), kStack - 16 - 0x10);
}

// SDM Vol. 2 "ENTER": a write at the final stack pointer is checked, and nothing has changed.
TEST_F(StackFramesTest, EnterFaultsWhereTheNewFrameEnds) {
  enter_long();
  rbp() = 0x1234;
  rsp() = kRamBytes + 0x100;
  EXPECT_TRUE(
      faults_with(enter(core, enter_operation(8, 8, 0)), guest::page_fault(kRamBytes + 0xf8, 2)));
  enter_protected32();
  rsp() = 0x1010;
  rbp() = 0x1234;
  ss().base = kStack;
  ss().attributes = 0x4097;  // expand-down: offsets above FFFH only
  ss().limit = 0xfff;
  EXPECT_TRUE(faults_with(enter(core, enter_operation(4, 0x10, 0)), guest::stack_fault()));
  EXPECT_EQ(rsp(), 0x1010u);
  EXPECT_EQ(rbp(), 0x1234u);
}

TEST_F(StackFramesTest, SixteenBitStackKeepsTheUpperHalves) {
  enter_real();
  rsp() = 0xabcd8000;
  rbp() = 0x12345678;
  ASSERT_EQ(enter(core, enter_operation(2, 4, 0)), Next::kContinue);
  EXPECT_EQ(rsp(), 0xabcd7ffau);
  EXPECT_EQ(rbp(), 0x12347ffeu);
  ASSERT_EQ(leave(core, operation(2)), Next::kContinue);
  EXPECT_EQ(rsp(), 0xabcd8000u);
  EXPECT_EQ(rbp(), 0x12345678u);
}

TEST_F(StackFramesTest, PushAllThenPopAll) {
  enter_protected32();
  for (unsigned i = 0; i < 8; ++i) state.gpr[i] = 0x11110000 + i;
  rsp() = kStack;
  ASSERT_EQ(push_all(core, operation(4)), Next::kContinue);
  EXPECT_EQ(rsp(), kStack - 32);
  EXPECT_EQ(load32(kStack - 4), 0x11110000u);
  EXPECT_EQ(load32(kStack - 20), kStack);  // rSP before the instruction
  EXPECT_EQ(load32(kStack - 32), 0x11110007u);
  for (unsigned i = 0; i < 8; ++i)
    if (i != 4) state.gpr[i] = 0;
  ASSERT_EQ(pop_all(core, operation(4)), Next::kContinue);
  for (unsigned i = 0; i < 8; ++i) EXPECT_EQ(state.gpr[i], i == 4 ? kStack : 0x11110000 + i);
}

TEST_F(StackFramesTest, PopAllFaultChangesNoRegister) {
  enter_protected32();
  ss() = segment(kData32, 0x4093, kStack, 0x10b);
  rsp() = 0x100;
  state.gpr[0] = 0x77;
  EXPECT_TRUE(faults_with(pop_all(core, operation(4)), guest::stack_fault()));
  EXPECT_EQ(rsp(), 0x100u);
  EXPECT_EQ(state.gpr[0], 0x77u);
}

// SDM Vol. 2 "POP": an rSP-based destination is computed after the increment.
TEST_F(StackFramesTest, PopToStackRelativeMemory) {
  enter_long();
  store<std::uint64_t>(kStack, 0xfeed);
  rsp() = kStack;
  Operation op = memory_operation(8, 0, guest::Seg::kSs);
  op.memory.base = 4;
  ASSERT_EQ(pop_rm(core, op), Next::kContinue);
  EXPECT_EQ(rsp(), kStack + 8);
  EXPECT_EQ(load64(kStack + 8), 0xfeedu);
}

TEST_F(StackFramesTest, PopFaultPutsTheStackPointerBack) {
  enter_long();
  rsp() = kStack;
  EXPECT_TRUE(
      faults_with(pop_rm(core, memory_operation(8, kRamBytes)), guest::page_fault(kRamBytes, 2)));
  EXPECT_EQ(rsp(), kStack);
}

TEST_F(StackFramesTest, CallAndReturn) {
  enter_protected32();
  const std::uint64_t rip = state.rip;
  rsp() = kStack;
  Operation call = operation(4);
  call.length = 5;
  call.immediate = static_cast<std::uint64_t>(-0x100);
  ASSERT_EQ(near_call_relative(core, call), Next::kJump);
  EXPECT_EQ(state.rip, rip + 5 - 0x100);
  EXPECT_EQ(load32(kStack - 4), rip + 5);
  Operation ret = operation(4);
  ret.immediate = 0xfff0;
  ASSERT_EQ(near_return(core, ret), Next::kJump);
  EXPECT_EQ(state.rip, rip + 5);
  EXPECT_EQ(rsp(), kStack + 0xfff0);
}

TEST_F(StackFramesTest, CallOutsideTheSegmentPushesNothing) {
  enter_protected32();
  cs().limit = 0xffff;
  rsp() = kStack;
  Operation op = operation(4);
  op.rm = 0;
  state.gpr[0] = 0x10000;
  EXPECT_TRUE(faults_with(near_call_rm(core, op), guest::general_protection()));
  EXPECT_EQ(rsp(), kStack);
}

TEST_F(StackFramesTest, ReturnToNonCanonicalAddressKeepsTheStack) {
  enter_long();
  store<std::uint64_t>(kStack, 0x8000000000000000);
  rsp() = kStack;
  EXPECT_TRUE(faults_with(near_return(core, operation(8)), guest::general_protection()));
  EXPECT_EQ(rsp(), kStack);
}

}  // namespace
}  // namespace ringshift::translator
