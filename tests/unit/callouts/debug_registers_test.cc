// tests/unit/callouts/debug_registers_test.cc - MOV DR and breakpoint conditions.
#include "translator/callouts/debug_registers.h"

#include "tests/unit/callouts/fixture.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;

class DebugRegisters : public CalloutTest {
 protected:
  Result write(unsigned number, std::uint64_t value) {
    Operation op = operation(state.in_64bit_code() ? 8 : 4);
    op.reg = static_cast<std::uint8_t>(number);
    op.rm = static_cast<std::uint8_t>(Gpr::kRbx);
    state.reg(Gpr::kRbx) = value;
    return mov_to_debug(core, op);
  }
  Result read(unsigned number) {
    Operation op = operation(state.in_64bit_code() ? 8 : 4);
    op.reg = static_cast<std::uint8_t>(number);
    op.rm = static_cast<std::uint8_t>(Gpr::kRcx);
    return mov_from_debug(core, op);
  }
  std::uint64_t value_of(unsigned number) {
    EXPECT_TRUE(read(number));
    return state.reg(Gpr::kRcx);
  }
  // LEN and R/W of breakpoint n, locally enabled.
  static std::uint64_t control(unsigned n, unsigned condition, unsigned length) {
    return 1ull << (2 * n) | std::uint64_t{length << 2 | condition} << (16 + 4 * n);
  }
};

TEST_F(DebugRegisters, FixedBits) {
  enter_protected32();
  ASSERT_TRUE(write(6, 0));
  EXPECT_EQ(value_of(6), 0xffff0ff0u);
  ASSERT_TRUE(write(6, 0xffffffff));
  EXPECT_EQ(value_of(6), 0xffffefffu);
  ASSERT_TRUE(write(7, 0));
  EXPECT_EQ(value_of(7), 0x400u);
  ASSERT_TRUE(write(7, 0xffffdfff));
  EXPECT_EQ(value_of(7), 0xffff07ffu);
}

TEST_F(DebugRegisters, UpperHalves) {
  enter_long();
  EXPECT_TRUE(faults_with(write(6, 1ull << 32), guest::general_protection()));
  EXPECT_TRUE(faults_with(write(7, 1ull << 63), guest::general_protection()));
  ASSERT_TRUE(write(0, 0xffff'8000'1234'5678));
  EXPECT_EQ(value_of(0), 0xffff'8000'1234'5678u);
}

TEST_F(DebugRegisters, Dr4AndDr5AreAliasesUntilDebugExtensions) {
  enter_protected32();
  ASSERT_TRUE(write(5, 0x455));
  EXPECT_EQ(value_of(7), 0x455u);
  ASSERT_TRUE(write(4, 0xf));
  EXPECT_EQ(value_of(6), 0xffff0fffu);
  state.cr4 |= guest::cr4::kDe;
  EXPECT_TRUE(faults_with(write(4, 0), guest::invalid_opcode()));
  EXPECT_TRUE(faults_with(read(5), guest::invalid_opcode()));
}

TEST_F(DebugRegisters, NumbersAboveSevenDoNotExist) {
  enter_long();
  EXPECT_TRUE(faults_with(write(8, 0), guest::invalid_opcode()));
  EXPECT_TRUE(faults_with(read(15), guest::invalid_opcode()));
}

TEST_F(DebugRegisters, GeneralDetectTrapsAccessesOfEveryKind) {
  enter_protected32();
  ASSERT_TRUE(write(7, 1u << 13));
  const guest::GuestFault detected{guest::Vector::kDebug, false, 0, dr6::kBd};
  EXPECT_TRUE(faults_with(write(0, 1), detected));
  EXPECT_TRUE(faults_with(read(3), detected));
  EXPECT_EQ(state.dr[0], 0u);
  state.cr4 |= guest::cr4::kDe;
  EXPECT_TRUE(faults_with(read(4), guest::invalid_opcode())) << "#UD comes first";
}

TEST_F(DebugRegisters, DisabledBreakpointsMatchNothing) {
  state.dr[0] = 0x1000;
  EXPECT_FALSE(code_breakpoints_enabled(state));
  EXPECT_EQ(match_code_breakpoint(state, {0x1000}), 0u);
  state.dr[7] = 0x400 | control(0, 0, 0);
  EXPECT_TRUE(code_breakpoints_enabled(state));
  EXPECT_FALSE(data_breakpoints_enabled(state));
  EXPECT_EQ(match_code_breakpoint(state, {0x1000}), 1u);
  EXPECT_EQ(match_code_breakpoint(state, {0x1001}), 0u);
}

TEST_F(DebugRegisters, GlobalEnableCountsToo) {
  state.dr[2] = 0x1000;
  state.dr[7] = 0x400 | 1u << 5;
  EXPECT_EQ(match_code_breakpoint(state, {0x1000}), 4u);
}

TEST_F(DebugRegisters, DataBreakpointsByDirectionAndOverlap) {
  state.dr[1] = 0x2000;
  state.dr[7] = 0x400 | control(1, 1, 3);  // 4 bytes, writes
  EXPECT_TRUE(data_breakpoints_enabled(state));
  EXPECT_EQ(match_data_breakpoint(state, {0x2000}, 4, true), 2u);
  EXPECT_EQ(match_data_breakpoint(state, {0x2000}, 4, false), 0u);
  EXPECT_EQ(match_data_breakpoint(state, {0x2003}, 1, true), 2u);
  EXPECT_EQ(match_data_breakpoint(state, {0x2004}, 1, true), 0u);
  EXPECT_EQ(match_data_breakpoint(state, {0x1ffd}, 4, true), 2u);
  EXPECT_EQ(match_data_breakpoint(state, {0x1ffc}, 4, true), 0u);
  state.dr[7] = 0x400 | control(1, 3, 3);  // reads and writes
  EXPECT_EQ(match_data_breakpoint(state, {0x2002}, 2, false), 2u);
}

TEST_F(DebugRegisters, LengthMasksTheLowAddressBits) {
  state.dr[0] = 0x2005;
  state.dr[7] = 0x400 | control(0, 1, 2);  // 8 bytes: 2000..2007
  EXPECT_EQ(match_data_breakpoint(state, {0x2000}, 1, true), 1u);
  EXPECT_EQ(match_data_breakpoint(state, {0x2008}, 1, true), 0u);
}

TEST_F(DebugRegisters, EveryMatchIsReported) {
  state.dr[0] = state.dr[3] = 0x2000;
  state.dr[7] = 0x400 | control(0, 1, 0) | control(3, 3, 0);
  EXPECT_EQ(match_data_breakpoint(state, {0x2000}, 1, true), 9u);
}

TEST_F(DebugRegisters, IoBreakpointsNeedDebugExtensions) {
  state.dr[0] = 0x60;
  state.dr[7] = 0x400 | control(0, 2, 1);
  EXPECT_FALSE(io_breakpoints_enabled(state));
  state.cr4 |= guest::cr4::kDe;
  EXPECT_TRUE(io_breakpoints_enabled(state));
  EXPECT_EQ(match_io_breakpoint(state, 0x61, 1), 1u);
  EXPECT_EQ(match_io_breakpoint(state, 0x62, 1), 0u);
  EXPECT_EQ(match_data_breakpoint(state, {0x60}, 1, true), 0u);
}

}  // namespace
}  // namespace ringshift::translator
