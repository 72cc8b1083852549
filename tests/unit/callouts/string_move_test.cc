// tests/unit/callouts/string_move_test.cc - where string moves stop, wrap, fault and pause.
#include "translator/callouts/string_move.h"

#include "tests/unit/callouts/fixture.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;
using guest::Seg;

class StringMoveTest : public CalloutTest {
 protected:
  std::uint64_t& rcx() { return state.reg(Gpr::kRcx); }
  std::uint64_t& rsi() { return state.reg(Gpr::kRsi); }
  std::uint64_t& rdi() { return state.reg(Gpr::kRdi); }

  Operation rep(unsigned element, unsigned address_bytes) {
    Operation op = operation(element);
    op.address_bytes = static_cast<std::uint8_t>(address_bytes);
    op.prefixes |= prefix::kRep;
    return op;
  }

  // Four-level paging with 4 KiB pages for the first 2 MiB, identity mapped.
  static constexpr std::uint64_t kPt = 0x14000;
  void use_small_pages() {
    enter_long();
    for (std::uint64_t i = 0; i < 512; ++i) map(i * 4096, i * 4096 | 7);
    store<std::uint64_t>(kPd, kPt | 7);
    mmu.flush_all(false);
  }
  void map(std::uint64_t linear, std::uint64_t entry) {
    store<std::uint64_t>(kPt + (linear >> 12) * 8, entry);
    mmu.flush_all(false);
  }
};

// Two linear pages that map one frame overlap as the frame does: the copy replicates the pattern.
TEST_F(StringMoveTest, AliasedPagesOverlapByFrame) {
  use_small_pages();
  map(0x81000, 0x80000 | 7);
  store<std::uint32_t>(0x80000, 0x44332211);
  rsi() = 0x80000;
  rdi() = 0x81003;  // the same frame, three bytes further
  rcx() = 9;
  ASSERT_EQ(move_string(core, rep(1, 8)), Next::kContinue);
  EXPECT_EQ(load64(0x80000), 0x2211332211332211);
  EXPECT_EQ(load32(0x80008), 0x33221133u);
}

TEST_F(StringMoveTest, FaultShowsProgressAndKeepsRip) {
  use_small_pages();
  map(0x82000, 0);
  store<std::uint64_t>(0x90ff8, 0x1122334455667788);
  rsi() = 0x90000;
  rdi() = 0x81000;
  rcx() = 0x300;
  const std::uint64_t rip = state.rip;
  EXPECT_TRUE(faults_with(move_string(core, rep(8, 8)), guest::page_fault(0x82000, 2)));
  EXPECT_EQ(rdi(), 0x82000u);
  EXPECT_EQ(rsi(), 0x91000u);
  EXPECT_EQ(rcx(), 0x100u);
  EXPECT_EQ(state.rip, rip);
  EXPECT_EQ(load64(0x81ff8), 0x1122334455667788u);
}

TEST_F(StringMoveTest, ElementThatStraddlesIntoAMissingPageIsNotWritten) {
  use_small_pages();
  map(0x82000, 0);
  store<std::uint32_t>(0x81ffc, 0xaaaaaaaa);
  state.reg(Gpr::kRax) = 0x1111111122222222;
  rdi() = 0x81ff4;
  rcx() = 2;
  EXPECT_TRUE(faults_with(store_string(core, rep(8, 8)), guest::page_fault(0x82000, 2)));
  EXPECT_EQ(rdi(), 0x81ffcu);
  EXPECT_EQ(rcx(), 1u);
  EXPECT_EQ(load32(0x81ffc), 0xaaaaaaaau);
}

TEST_F(StringMoveTest, SourceFaultsBeforeDestination) {
  use_small_pages();
  map(0x82000, 0);
  map(0x84000, 0);
  rsi() = 0x82010;
  rdi() = 0x84020;
  rcx() = 1;
  EXPECT_TRUE(faults_with(move_string(core, rep(1, 8)), guest::page_fault(0x82010, 0)));
}

// The same where it is no run of whole elements in one page.
TEST_F(StringMoveTest, SourceThatStraddlesFaultsBeforeDestination) {
  use_small_pages();
  map(0x82000, 0);
  map(0x84000, 0);
  rsi() = 0x81ffc;
  rdi() = 0x84020;
  rcx() = 1;
  EXPECT_TRUE(faults_with(move_string(core, rep(8, 8)), guest::page_fault(0x82000, 0)));
}

TEST_F(StringMoveTest, BackwardFaultReportsTheLowerPage) {
  use_small_pages();
  map(0x81000, 0);
  state.rflags |= guest::flags::kDf;
  rdi() = 0x82008;
  rcx() = 5;
  EXPECT_TRUE(faults_with(store_string(core, rep(4, 8)), guest::page_fault(0x81ffc, 2)));
  EXPECT_EQ(rdi(), 0x81ffcu);
  EXPECT_EQ(rcx(), 2u);
}

TEST_F(StringMoveTest, SixteenBitPointersWrapInsideTheSegment) {
  enter_real();
  store<std::uint8_t>(kData + 0xffff, 0x5a);
  store<std::uint8_t>(kData, 0xa5);
  rsi() = 0xdead0000'1234ffff;
  rdi() = 0x100;
  rcx() = 0xbeef0002;
  ASSERT_EQ(move_string(core, rep(1, 2)), Next::kContinue);
  EXPECT_EQ(load16(kData + 0x100), 0xa55au);
  EXPECT_EQ(rsi(), 0xdead0000'12340001u);
  EXPECT_EQ(rcx(), 0xbeef0000u);
}

TEST_F(StringMoveTest, WordAtTheEndOfARealModeSegmentFaults) {
  enter_real();
  rsi() = 0xfffd;
  rdi() = 0x100;
  rcx() = 4;
  EXPECT_TRUE(faults_with(move_string(core, rep(2, 2)), guest::general_protection()));
  EXPECT_EQ(rsi(), 0xffffu);
  EXPECT_EQ(rcx(), 3u);
}

TEST_F(StringMoveTest, ThirtyTwoBitPointersZeroExtendIn64BitCode) {
  enter_long();
  store<std::uint16_t>(kData, 0xbeef);
  rsi() = 0xffffffff'00000000 | kData;
  rdi() = 0x12345678'00000000 | (kData + 0x10);
  rcx() = 0xdeadbeef'00000002;
  ASSERT_EQ(move_string(core, rep(1, 4)), Next::kContinue);
  EXPECT_EQ(load16(kData + 0x10), 0xbeefu);
  EXPECT_EQ(rsi(), kData + 2);
  EXPECT_EQ(rdi(), kData + 0x12);
  EXPECT_EQ(rcx(), 0u);
}

// HW: AMD processors leave all registers alone when the count is zero.
TEST_F(StringMoveTest, ZeroCountTouchesNothing) {
  enter_long();
  rsi() = 0x8000000000000000;  // not canonical
  rdi() = 0x8000000000000000;
  rcx() = 0xdeadbeef'00000000;
  ASSERT_EQ(move_string(core, rep(1, 4)), Next::kContinue);
  EXPECT_EQ(rcx(), 0xdeadbeef'00000000u);
  EXPECT_EQ(rsi(), 0x8000000000000000u);
}

TEST_F(StringMoveTest, LimitStopsTheRunAtTheElementThatCrossesIt) {
  enter_protected32();
  state.segment(Seg::kEs) = segment(kData32, 0x4093, kData, 0x1005);
  state.reg(Gpr::kRax) = 0x01010101;
  rdi() = 0;
  rcx() = 0x1000;
  EXPECT_TRUE(faults_with(store_string(core, rep(4, 4)), guest::general_protection()));
  EXPECT_EQ(rdi(), 0x1004u);
  EXPECT_EQ(rcx(), 0x1000u - 0x401);
  EXPECT_EQ(load32(kData + 0x1000), 0x01010101u);
  EXPECT_EQ(load32(kData + 0x1004), 0u);
}

TEST_F(StringMoveTest, StackSegmentOverrideRaisesStackFault) {
  enter_protected32();
  ss().limit = 0xfff;
  ss().attributes &= 0x7fff;
  Operation op = rep(1, 4);
  op.memory.segment = Seg::kSs;
  rsi() = 0x1000;
  rdi() = kData;
  rcx() = 1;
  EXPECT_TRUE(faults_with(move_string(core, op), guest::stack_fault()));
}

TEST_F(StringMoveTest, LongRunPausesForInterrupts) {
  enter_long();
  rdi() = 0x80000;
  rcx() = 0x100000;
  state.reg(Gpr::kRax) = 0x77;
  int pauses = 0;
  std::uint64_t last = rcx();
  for (;;) {
    const std::uint64_t rip = state.rip;
    const Result result = store_string(core, rep(1, 8));
    ASSERT_TRUE(result.has_value());
    EXPECT_LE(last - rcx(), 0x11000u);
    last = rcx();
    if (*result == Next::kContinue) break;
    EXPECT_EQ(state.rip, rip);
    ++pauses;
  }
  EXPECT_GE(pauses, 14);
  EXPECT_EQ(rdi(), 0x180000u);
  EXPECT_EQ(load64(0x17fff8), 0x7777777777777777u);
  EXPECT_NE(load<std::uint8_t>(0x7ffff), 0x77);
  EXPECT_NE(load<std::uint8_t>(0x180000), 0x77);
}

TEST_F(StringMoveTest, SingleStepTrapsAfterEachIteration) {
  enter_long();
  state.rflags |= guest::flags::kTf;
  rdi() = kData;
  rcx() = 3;
  EXPECT_EQ(store_string(core, rep(8, 8)), Next::kJump);
  EXPECT_EQ(rcx(), 2u);
  EXPECT_EQ(store_string(core, rep(8, 8)), Next::kJump);
  EXPECT_EQ(store_string(core, rep(8, 8)), Next::kContinue);
  EXPECT_EQ(rdi(), kData + 24);
}

// A device register sees each element once, in order, with the element's size.
TEST_F(StringMoveTest, MmioSeesEveryElement) {
  struct Recorder : guest::MmioHandler {
    std::uint64_t mmio_read(std::uint64_t offset, unsigned size) override {
      reads.emplace_back(offset, size);
      return 0xa0 + offset;
    }
    void mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) override {
      writes.emplace_back(offset, size);
      last = value;
    }
    std::vector<std::pair<std::uint64_t, unsigned>> reads, writes;
    std::uint64_t last = 0;
  } device;
  ASSERT_TRUE(memory->add_mmio({0xa0000}, 0x1000, device));
  enter_long();
  store<std::uint64_t>(kData, 0x1111222233334444);
  rsi() = kData;
  rdi() = 0xa0010;
  rcx() = 4;
  ASSERT_EQ(move_string(core, rep(2, 8)), Next::kContinue);
  const std::vector<std::pair<std::uint64_t, unsigned>> expected{
      {0x10, 2}, {0x12, 2}, {0x14, 2}, {0x16, 2}};
  EXPECT_EQ(device.writes, expected);
  EXPECT_EQ(device.last, 0x1111u);
  EXPECT_TRUE(device.reads.empty());
}

// The observer hears of a write to translated code before the bytes change.
TEST_F(StringMoveTest, WatchedPageReportsToTheObserver) {
  struct Observer : guest::WriteObserver {
    void on_watched_write(guest::PhysicalAddress start, std::size_t bytes) override {
      if (count++ == 0) first = start.value;
      total += bytes;
    }
    std::uint64_t first = 0;
    std::size_t total = 0;
    int count = 0;
  } observer;
  memory->set_observer(&observer);
  memory->watch({0x90000}, true);
  enter_long();
  rdi() = 0x8fff8;
  rcx() = 4;
  ASSERT_EQ(store_string(core, rep(8, 8)), Next::kContinue);
  EXPECT_EQ(observer.first, 0x90000u);
  EXPECT_EQ(observer.total, 24u);
  memory->set_observer(nullptr);
}

TEST_F(StringMoveTest, AlignmentCheckAppliesToEveryElement) {
  enter_long(3);
  state.cr0 |= guest::cr0::kAm;
  state.rflags |= guest::flags::kAc;
  rdi() = kData + 1;
  rcx() = 2;
  EXPECT_TRUE(
      faults_with(store_string(core, rep(4, 8)), guest::fault(guest::Vector::kAlignmentCheck, 0)));
  rdi() = kData + 4;
  EXPECT_EQ(store_string(core, rep(4, 8)), Next::kContinue);
}

TEST_F(StringMoveTest, NonCanonicalRunStopsAtTheHole) {
  enter_long();
  rdi() = 0x00007ffffffffff8;
  rcx() = 1;
  EXPECT_TRUE(faults_with(store_string(core, rep(8, 8)), guest::page_fault(0x00007ffffffffff8, 2)));
  rdi() = 0x0000800000000000;
  EXPECT_TRUE(faults_with(store_string(core, rep(8, 8)), guest::general_protection()));
}

}  // namespace
}  // namespace ringshift::translator
