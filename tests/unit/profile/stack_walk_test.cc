// tests/unit/profile/stack_walk_test.cc - callers by frame pointers and by ORC, and stacks that lie.
#include "runtime/profile/stack_walk.h"

#include <gtest/gtest.h>

#include "guest/physical_memory.h"

namespace ringshift::runtime::profile {
namespace {

// The last 2 GiB of the linear addresses lead to the first MiBs of memory, and the first 2 MiB too.
class StackWalk : public testing::Test {
 protected:
  static constexpr std::uint64_t kKernel = 0xffffffff80000000;
  static constexpr std::uint64_t kCode = kKernel + 0x100000, kStack = kKernel + 0x80000;

  StackWalk() : memory_(std::move(*guest::PhysicalMemory::create(4 << 20))) {
    constexpr std::uint64_t kPml4 = 0x1000, kPdpt = 0x2000, kPd = 0x3000, kTable = 7, kLarge = 0x87;
    for (const std::uint64_t entry : {std::uint64_t{0}, std::uint64_t{511}})
      memory_->store<std::uint64_t>({kPml4 + entry * 8}, kPdpt | kTable);
    for (const std::uint64_t entry : {std::uint64_t{0}, std::uint64_t{510}})
      memory_->store<std::uint64_t>({kPdpt + entry * 8}, kPd | kTable);
    memory_->store<std::uint64_t>({kPd}, kLarge);
    state_.cr0 |= guest::cr0::kPe | guest::cr0::kPg;
    state_.cr4 = guest::cr4::kPae;
    state_.msr.efer = guest::efer::kLme | guest::efer::kLma;
    state_.cr3 = kPml4;
  }

  void store(std::uint64_t linear, std::uint64_t value) {
    memory_->store<std::uint64_t>({linear & 0x1fffff}, value);
  }
  std::vector<std::uint64_t> walk(const StackStart& start, const OrcTable* orc = nullptr) {
    GuestReader reader(*memory_, state_, features_);
    std::vector<std::uint64_t> frames(8);
    frames.resize(walk_stack(reader, start, orc, frames));
    return frames;
  }

  std::unique_ptr<guest::PhysicalMemory> memory_;
  guest::CpuState state_;
  const softmmu::PagingFeatures features_{};
};

// Three functions: one that has pushed nothing, one with 16 bytes of its own, one that saved RBP.
// Then the entry of an interrupt.
OrcTable table_at(std::uint64_t code) {
  constexpr std::uint64_t kTable = 0xffffffff80180000;
  const std::uint8_t sp_8[] = {8, 0, 0, 0, 0x05, 0}, sp_24[] = {24, 0, 0, 0, 0x05, 0},
                     bp_16[] = {16, 0, 0xf0, 0xff, 0x14, 0}, regs[] = {0, 0, 0, 0, 0x05, 1},
                     end[] = {0, 0, 0, 0, 0, 0};
  std::vector<std::int32_t> starts;
  std::vector<std::uint8_t> entries;
  std::uint64_t at = code;
  for (const auto* entry : {sp_8, sp_24, bp_16, regs, end}) {
    starts.push_back(static_cast<std::int32_t>(at - (kTable + starts.size() * 4)));
    entries.insert(entries.end(), entry, entry + 6);
    at += 0x100;
  }
  return *OrcTable::make(kTable, starts, entries, OrcLayout::kBefore64);
}

TEST_F(StackWalk, ByFramePointers) {
  constexpr std::uint64_t kUserStack = 0x90000;
  store(kUserStack + 0x10, kUserStack + 0x40);
  store(kUserStack + 0x18, 0x401111);
  store(kUserStack + 0x40, 0);  // the first function's
  store(kUserStack + 0x48, 0x402222);
  EXPECT_EQ(walk({.rip = 0x400000, .rsp = kUserStack, .rbp = kUserStack + 0x10}),
            (std::vector<std::uint64_t>{0x401111, 0x402222}));
}

TEST_F(StackWalk, FramePointersThatLeadBackEndIt) {
  constexpr std::uint64_t kUserStack = 0x90000;
  store(kUserStack + 0x10, kUserStack + 0x10);  // to itself
  store(kUserStack + 0x18, 0x401111);
  EXPECT_EQ(walk({.rip = 0x400000, .rsp = kUserStack, .rbp = kUserStack + 0x10}).size(), 1u);
  EXPECT_TRUE(walk({.rip = 0x400000, .rsp = kUserStack, .rbp = 0x7000000}).empty());
  EXPECT_TRUE(walk({.rip = 0x400000, .rsp = kUserStack, .rbp = kUserStack + 3}).empty());
}

TEST_F(StackWalk, ByOrc) {
  const OrcTable orc = table_at(kCode);
  store(kStack, kCode + 0x150);         // sp_8's return address: into sp_24
  store(kStack + 24, kCode + 0x250);    // into bp_16
  const std::uint64_t frame = kStack + 0x100;
  store(frame - 0, 0x1234);             // bp_16: the caller's RBP at RBP + 16 - 16
  store(frame + 8, kCode + 0x450);      // to where the table ends
  EXPECT_EQ(walk({.rip = kCode + 4, .rsp = kStack, .rbp = frame, .kernel = true}, &orc),
            (std::vector<std::uint64_t>{kCode + 0x150, kCode + 0x250, kCode + 0x450}));
}

TEST_F(StackWalk, ThroughAnInterruptIntoItsVictim) {
  const OrcTable orc = table_at(kCode);
  constexpr std::uint64_t kUserStack = 0x90000;
  store(kStack, kCode + 0x310);  // into the interrupt's entry, whose registers lie above
  for (unsigned i = 0; i < 21; ++i) store(kStack + 8 + i * 8, 0);
  const std::uint64_t regs = kStack + 8;
  store(regs + 4 * 8, kUserStack + 0x10);  // RBP
  store(regs + 16 * 8, 0x400123);          // RIP
  store(regs + 19 * 8, kUserStack);        // RSP
  store(kUserStack + 0x18, 0x401111);
  EXPECT_EQ(walk({.rip = kCode + 4, .rsp = kStack, .kernel = true}, &orc),
            (std::vector<std::uint64_t>{kCode + 0x310, 0x400123, 0x401111}));
}

TEST(Orc, TablesThatDisagreeAreRefused) {
  const std::vector<std::int32_t> starts{0, 100}, backwards{100, -100};
  const std::vector<std::uint8_t> two(12), three(18);
  EXPECT_TRUE(OrcTable::make(0x1000, starts, two, OrcLayout::kBefore64));
  EXPECT_FALSE(OrcTable::make(0x1000, starts, three, OrcLayout::kBefore64));
  EXPECT_FALSE(OrcTable::make(0x1000, backwards, two, OrcLayout::kBefore64));
  EXPECT_FALSE(OrcTable::make(0x1000, {}, {}, OrcLayout::kBefore64));
}

TEST(Orc, TheKindsMovedIn64) {
  const std::vector<std::int32_t> starts{0, 100};
  std::vector<std::uint8_t> entries(12);
  entries[5] = 2;
  const auto kind = [&](OrcLayout layout) {
    return OrcTable::make(0x1000, starts, entries, layout)->find(0x1010)->kind;
  };
  EXPECT_EQ(kind(OrcLayout::kBefore64), OrcEntry::Kind::kPartialRegisters);
  EXPECT_EQ(kind(OrcLayout::kSince64), OrcEntry::Kind::kCall);
}

}  // namespace
}  // namespace ringshift::runtime::profile
