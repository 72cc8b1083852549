// tests/unit/callouts/transfer_random_test.cc - transfers over random tables and frames keep the
// rules: a fault changes nothing, a success leaves CPL, CS and SS consistent, and memory stays in
// bounds.
#include <cstring>
#include <random>

#include "tests/unit/callouts/fixture.h"
#include "translator/callouts/transfer_rows.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;
using guest::Seg;

class RandomTransfers : public CalloutTest, public ::testing::WithParamInterface<unsigned> {
 protected:
  unsigned pick(unsigned below) { return static_cast<unsigned>(random_() % below); }

  // Mostly the selectors that exist, with any RPL; sometimes noise.
  std::uint16_t random_selector() {
    if (pick(16) == 0) return static_cast<std::uint16_t>(random_());
    return static_cast<std::uint16_t>(pick(40) * 8 + pick(4) + (pick(8) == 0 ? 4 : 0));
  }
  std::uint64_t random_offset() { return pick(8) ? kHandlers + pick(4096) : random_(); }

  std::uint64_t random_descriptor() {
    switch (pick(4)) {
      case 0:
        return gate(pick(16), random_selector(), random_offset(), pick(4), pick(32));
      case 1:  // TSS or LDT
        return descriptor(pick(2) ? kTss : kTssB, 0x67,
                          static_cast<std::uint16_t>(0x80 | pick(16)));
      default: {  // code or data, usually present
        constexpr std::array<std::uint16_t, 5> kSizes{0, 0x4000, 0xc000, 0xa000, 0xe000};
        const unsigned access = (pick(8) ? 0x90u : 0x10u) | pick(4) << 5 | pick(16);
        return descriptor(0, pick(8) ? 0xffffffff : static_cast<std::uint32_t>(random_()),
                          static_cast<std::uint16_t>(kSizes[pick(5)] | access));
      }
    }
  }
  void randomize_tables() {
    write_standard_gdt();
    for (unsigned i = 20; i < 40; ++i) store(kGdt + 8 * i, random_descriptor());
    for (unsigned i = 0; i < 32; ++i) store(kLdt + 8 * i, random_descriptor());
    for (unsigned i = 0; i < 128; ++i)
      store(kIdt + 8 * i, gate(pick(4) ? 4 + pick(12) : pick(16), random_selector(),
                               random_offset(), pick(4), pick(8)));
    for (unsigned i = 0; i < 0x68; i += 4) {
      const std::uint32_t value =
          pick(2) ? random_selector() : static_cast<std::uint32_t>(random_offset());
      store(kTss + i, value);
      store(kTssB + i, pick(4) ? std::uint32_t{random_selector()} : value);
    }
  }
  void randomize_state() {
    switch (GetParam()) {
      case 0:
        enter_real();
        break;
      case 1:
        enter_protected32(pick(2) ? 3 : 0);
        break;
      case 2:
        enter_long(pick(2) ? 3 : 0);
        break;
      case 3:
        enter_compatibility(pick(2) ? 3 : 0);
        break;
      default:
        enter_v86(pick(4));
        state.cr4 |= pick(2) ? guest::cr4::kVme : 0;
    }
    for (Gpr r : {Gpr::kRax, Gpr::kRcx, Gpr::kRdx, Gpr::kR11}) state.reg(r) = random_();
    state.rflags |= random_() & (guest::flags::kNt | guest::flags::kAc | guest::flags::kArithmetic);
    if (pick(2)) state.cr0 |= guest::cr0::kAm;
    if (pick(4) == 0) rsp() += pick(8);
    if (pick(16) == 0) rsp() = random_();
    state.msr.star = random_();
    state.msr.sysenter_cs = random_selector();
  }
  // Frames of any operand size: offsets and selectors in turn.
  void randomize_stack() {
    const std::uint64_t at = state.protected_mode() && !state.v86() ? kStack : kStack + 0x8000;
    const unsigned bytes = 2u << pick(3);
    for (unsigned i = 0; i < 12; ++i) {
      const std::uint64_t value = i % 3 == 1 || pick(4) == 0 ? random_selector() : random_offset();
      memory->write({at + i * bytes}, bytes, value);
    }
  }
  Operation random_operation(const Row& row) {
    Operation op = operation(2u << pick(state.in_64bit_code() ? 3 : 2));
    op.immediate = pick(2) ? pick(64) : random_offset();
    op.immediate2 = random_selector();
    op.reg = static_cast<std::uint8_t>(pick(8));
    op.rm = 0;
    if (row.handler == mov_to_segment) state.reg(Gpr::kRax) = random_selector();
    if (row.handler != mov_to_segment && pick(4) == 0) {
      op.has_memory = true;
      op.memory.displacement =
          static_cast<std::int64_t>(state.real_or_v86() ? pick(0x1000) : kData);
      store(kData, random_());
      store(kData + op.operand_bytes, random_selector());
    }
    return op;
  }
  void check_consistent() {
    const bool protected_mode = state.protected_mode() && !state.v86();
    if (!protected_mode) {
      EXPECT_EQ(state.cpl, state.v86() ? 3 : 0);
      return;
    }
    EXPECT_EQ(state.cpl, cs().selector & 3);
    EXPECT_TRUE(cs().present() && cs().is_code());
    EXPECT_TRUE(ss().present() || state.long_mode_active());
    EXPECT_EQ(ss().dpl(), state.cpl);
  }

  std::mt19937_64 random_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Modes, RandomTransfers, ::testing::Range(0u, 5u));

TEST_P(RandomTransfers, FaultsChangeNothingAndSuccessIsConsistent) {
  std::vector<Row> rows(kTransferRows.begin(), kTransferRows.end());
  rows.insert(rows.end(), kFarRows.begin(), kFarRows.end());
  rows.insert(rows.end(), kSegmentRows.begin(), kSegmentRows.end());
  unsigned succeeded = 0, faulted = 0;
  for (unsigned round = 0; round < 40000; ++round) {
    if (round % 8 == 0) randomize_tables();
    randomize_state();
    randomize_stack();
    const Row& row = rows[pick(static_cast<unsigned>(rows.size()))];
    const Operation op = random_operation(row);
    const auto before = std::make_unique<guest::CpuState>(state);
    const Result result = row.handler(core, op);
    SCOPED_TRACE(::testing::Message() << "round " << round << " " << row.manual);
    if (result) {
      ++succeeded;
      check_consistent();
    } else {
      ++faulted;
      const bool task_switched = state.tr.base != before->tr.base || state.cr0 != before->cr0;
      EXPECT_TRUE(task_switched || std::memcmp(&state, before.get(), sizeof state) == 0);
      deliver_fault(core, result.error());
      if (state.activity != guest::Activity::kShutdown && !task_switched &&
          state.cr0 == before->cr0)
        check_consistent();
    }
    state.activity = guest::Activity::kRunning;
    if (HasFailure()) return;
  }
  EXPECT_GT(succeeded, 1000u);
  EXPECT_GT(faulted, 1000u);
}

}  // namespace
}  // namespace ringshift::translator
