// tests/unit/runtime/debug_traps_test.cc - breakpoints and single steps between blocks: real-mode
// code runs until its #DB handler, or its own end, halts.
#include <gtest/gtest.h>

#include <initializer_list>

#include "guest/empty_board.h"
#include "runtime/bt/bt_accelerator.h"

namespace ringshift::runtime {
namespace {

using guest::Gpr;
using guest::Seg;
namespace flags = guest::flags;

class DebugTraps : public testing::TestWithParam<const char*> {
 protected:
  static constexpr std::uint64_t kCode = 0x7c00, kHandler = 0x8000, kData = 0x9000, kStack = 0x7000;
  static constexpr std::uint8_t kNop = 0x90, kHlt = 0xf4;

  DebugTraps()
      : memory_(*std::move(guest::PhysicalMemory::create(1 << 20))),
        model_(*guest::CpuModel::create(GetParam())),
        accelerator_(create_bt_accelerator({})),
        vcpu_(*accelerator_->create_vcpu(*memory_, model_, board_)) {
    guest::CpuState& s = state();
    s.segment(Seg::kCs).selector = 0;
    s.segment(Seg::kCs).base = 0;
    s.rip = kCode;
    s.reg(Gpr::kRsp) = kStack;
    memory_->store<std::uint32_t>({1 * 4}, kHandler);
    memory_->store<std::uint32_t>({0x21 * 4}, kHandler);
    memory_->store<std::uint8_t>({kHandler}, kHlt);
    memory_->store<std::uint8_t>({kHandler + 1}, kHlt);
  }

  guest::CpuState& state() { return vcpu_->state(); }
  void breakpoint(unsigned n, std::uint64_t address, unsigned condition, unsigned length = 0) {
    state().dr[n] = address;
    state().dr[7] |= 1u << (2 * n) | (length << 2 | condition) << (16 + 4 * n);
  }
  void run(std::initializer_list<std::uint8_t> code) {
    std::uint64_t at = kCode;
    for (const std::uint8_t byte : code) memory_->store<std::uint8_t>({at++}, byte);
    memory_->store<std::uint8_t>({at}, kHlt);
    vcpu_->state_changed();
    EXPECT_EQ(vcpu_->run(), ExitReason::kHalted);
  }
  bool trapped() { return state().rip == kHandler + 1 && state().reg(Gpr::kRsp) == kStack - 6; }
  // How far into the code the handler would return.
  std::uint64_t return_offset() { return memory_->load<std::uint16_t>({kStack - 6}) - kCode; }
  std::uint64_t dr6() { return state().dr[6] & 0xe00f; }

  static constexpr unsigned kExecute = 0, kWrite = 1, kIo = 2, kReadWrite = 3;
  static constexpr std::uint64_t kBs = 1 << 14;

  guest::EmptyBoard board_;
  std::unique_ptr<guest::PhysicalMemory> memory_;
  guest::CpuModel model_;
  std::unique_ptr<Accelerator> accelerator_;
  std::unique_ptr<Vcpu> vcpu_;
};

INSTANTIATE_TEST_SUITE_P(Vendors, DebugTraps,
                         testing::Values("max,vendor=GenuineIntel", "max,vendor=AuthenticAMD"),
                         [](const auto& vendor) {
                           return std::string(vendor.param).substr(sizeof "max,vendor=" - 1);
                         });

TEST_P(DebugTraps, CodeBreakpointStopsBeforeTheInstruction) {
  breakpoint(2, kCode + 1, kExecute);
  run({kNop, 0x40 /* inc ax */, kNop});
  ASSERT_TRUE(trapped());
  EXPECT_EQ(return_offset(), 1u);
  EXPECT_EQ(dr6(), 4u);
  EXPECT_EQ(state().reg(Gpr::kRax), 0u);
}

TEST_P(DebugTraps, ResumeFlagPassesOneCodeBreakpoint) {
  breakpoint(0, kCode, kExecute);
  state().rflags |= flags::kRf;
  run({0x40, 0xeb, 0xfd /* back to the breakpoint */});
  ASSERT_TRUE(trapped());
  EXPECT_EQ(return_offset(), 0u);
  EXPECT_EQ(state().reg(Gpr::kRax), 1u);
}

TEST_P(DebugTraps, DataBreakpointTrapsAfterTheStore) {
  breakpoint(1, kData, kWrite, 1);
  run({kNop, 0xa2, 0x02, 0x90, kNop, /* behind it */ 0xa2, 0x01, 0x90, kNop});
  ASSERT_TRUE(trapped());
  EXPECT_EQ(return_offset(), 8u);
  EXPECT_EQ(dr6(), 2u);
}

TEST_P(DebugTraps, OnlyReadWriteBreakpointsSeeLoads) {
  breakpoint(0, kData, kWrite, 3);
  breakpoint(3, kData, kReadWrite, 3);
  run({0xa1, 0x02, 0x90, kNop});
  ASSERT_TRUE(trapped());
  EXPECT_EQ(return_offset(), 3u);
  EXPECT_EQ(dr6(), 8u);
}

TEST_P(DebugTraps, PageCachedBeforeTheBreakpointWasSet) {
  breakpoint(0, kData, kWrite);
  const auto dr7 = static_cast<std::uint8_t>(state().dr[7]);
  const auto condition = static_cast<std::uint8_t>(state().dr[7] >> 16);
  state().dr[7] = 0x400;
  // mov [9000h],al; mov eax,imm32; mov dr7,eax; mov [9000h],al
  run({0xa2, 0x00, 0x90, 0x66, 0xb8, dr7, 0x04, condition, 0x00, 0x0f, 0x23, 0xf8, 0xa2, 0x00, 0x90,
       kNop});
  ASSERT_TRUE(trapped());
  EXPECT_EQ(return_offset(), 15u);
}

TEST_P(DebugTraps, RepeatedStringTrapsAfterTheIteration) {
  breakpoint(0, kData + 2, kWrite);
  state().reg(Gpr::kRcx) = 5;
  state().reg(Gpr::kRdi) = kData;
  run({0xf3, 0xaa, kNop});  // rep stosb
  ASSERT_TRUE(trapped());
  EXPECT_EQ(return_offset(), 0u);
  EXPECT_EQ(state().reg(Gpr::kRcx), 2u);
}

TEST_P(DebugTraps, PortBreakpointNeedsDebugExtensions) {
  breakpoint(0, 0x61, kIo);
  state().cr4 |= guest::cr4::kDe;
  run({0xe4, 0x60, 0xe4, 0x61, kNop});  // in al,60h; in al,61h
  ASSERT_TRUE(trapped());
  EXPECT_EQ(return_offset(), 4u);
  EXPECT_EQ(dr6(), 1u);
}

TEST_P(DebugTraps, StackSwitchHoldsBackStepAndData) {
  breakpoint(0, kData, kReadWrite, 1);
  state().rflags |= flags::kTf;
  run({0x8e, 0x16, 0x00, 0x90, kNop, kNop});  // mov ss,[9000h]
  ASSERT_TRUE(trapped());
  EXPECT_EQ(return_offset(), 5u);
  EXPECT_EQ(dr6(), kBs | 1);
}

TEST_P(DebugTraps, StackSwitchHoldsBackCodeBreakpointsOnIntelOnly) {
  breakpoint(0, kCode + 2, kExecute);
  run({0x8e, 0xd0, kNop, kNop});  // mov ss,ax
  EXPECT_EQ(trapped(), !model_.vendor_is_intel());
}

TEST_P(DebugTraps, Int1ReportsWhatTheStackSwitchHeldBack) {
  breakpoint(0, kData, kReadWrite, 1);
  run({0x8e, 0x16, 0x00, 0x90, 0xf1, kNop});
  ASSERT_TRUE(trapped());  // once
  EXPECT_EQ(return_offset(), 5u);
  EXPECT_EQ(dr6(), 1u);
}

TEST_P(DebugTraps, SoftwareInterruptEntersItsHandlerWithoutAStep) {
  state().rflags |= flags::kTf;
  run({0xcd, 0x21, kNop});
  ASSERT_TRUE(trapped());  // at the handler's HLT, on one frame
  EXPECT_EQ(return_offset(), 2u);
  EXPECT_EQ(dr6(), 0u);
}

TEST_P(DebugTraps, MovFromDebugRegisterIgnoresMod) {
  state().dr[0] = 0xaced;
  run({0x0f, 0x21, 0x03});  // mod 0, rm 3: EBX
  EXPECT_EQ(state().reg(Gpr::kRbx), 0xacedu);
}

}  // namespace
}  // namespace ringshift::runtime
