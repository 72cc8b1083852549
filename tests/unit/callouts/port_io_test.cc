// tests/unit/callouts/port_io_test.cc - IN, OUT, INS and OUTS: widths, and who may use a port.
#include "translator/callouts/port_io.h"

#include "tests/unit/callouts/fixture.h"
#include "translator/callouts/string_io.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;
namespace flags = guest::flags;

class PortIoTest : public CalloutTest {
 protected:
  static constexpr std::uint16_t kInImmediate8 = 0xe4, kIn8 = 0xec, kIn32 = 0xed, kOut8 = 0xee,
                                 kOut32 = 0xef;
  Operation port_operation(std::uint16_t opcode, unsigned operand_bytes) {
    Operation op = operation(operand_bytes);
    op.opcode = opcode;
    return op;
  }
  std::uint64_t& rax() { return state.reg(Gpr::kRax); }
  std::uint64_t& rdx() { return state.reg(Gpr::kRdx); }

  // A map that begins past the limit: no port is allowed.
  void deny_all_ports() {
    store<std::uint16_t>(kTss + 0x66, 0x68);
    state.tr.limit = 0x67;
  }
  // A permission map at offset 68h of the TSS that allows exactly ports [first, last].
  void allow_ports(unsigned first, unsigned last, std::uint32_t limit) {
    store<std::uint16_t>(kTss + 0x66, 0x68);
    for (unsigned byte = 0; byte < 0x100; ++byte) store<std::uint8_t>(kTss + 0x68 + byte, 0xff);
    for (unsigned port = first; port <= last; ++port) {
      const std::uint64_t at = kTss + 0x68 + port / 8;
      store<std::uint8_t>(at, load<std::uint8_t>(at) & ~(1u << port % 8));
    }
    state.tr.limit = limit;
  }
};

TEST_F(PortIoTest, WidthsMergeAsRegisterWritesDo) {
  enter_long();
  platform.port_values = {{0x60, 0x5a}, {0x1234, 0xaabbccdd}};
  rax() = 0x1111222233334444;
  Operation op = port_operation(kInImmediate8, 1);
  op.immediate = 0x60;
  ASSERT_EQ(port_in(core, op), Next::kContinue);
  EXPECT_EQ(rax(), 0x111122223333445au);
  rdx() = 0xffff1234;
  ASSERT_EQ(port_in(core, port_operation(kIn32, 2)), Next::kContinue);
  EXPECT_EQ(rax(), 0x111122223333ccddu);
  ASSERT_EQ(port_in(core, port_operation(kIn32, 4)), Next::kContinue);
  EXPECT_EQ(rax(), 0xaabbccddu);
  ASSERT_EQ(port_in(core, port_operation(kIn32, 8)), Next::kContinue);  // REX.W is ignored
  EXPECT_EQ(platform.port_reads.back().size, 4u);
}

TEST_F(PortIoTest, ImmediatePortIsAByte) {
  enter_real();
  Operation op = port_operation(0xe6, 1);
  op.immediate = ~std::uint64_t{0} << 8 | 0xf0;  // sign-extended F0H
  rax() = 0x123;
  ASSERT_EQ(port_out(core, op), Next::kContinue);
  EXPECT_EQ(platform.port_writes.back(), (FakePlatform::PortWrite{0xf0, 1, 0x23}));
}

TEST_F(PortIoTest, PrivilegeBelowIoplNeedsNoMap) {
  enter_protected32(3);
  deny_all_ports();
  rdx() = 0x80;
  EXPECT_TRUE(faults_with(port_out(core, port_operation(kOut8, 1)), guest::general_protection()));
  EXPECT_TRUE(platform.port_writes.empty());
  state.rflags |= flags::kIopl;
  EXPECT_EQ(port_out(core, port_operation(kOut8, 1)), Next::kContinue);
}

TEST_F(PortIoTest, MapBitsCoverEveryByteOfTheAccess) {
  enter_protected32(3);
  allow_ports(0x70, 0x73, 0x200);
  rdx() = 0x70;
  EXPECT_EQ(port_in(core, port_operation(kIn32, 4)), Next::kContinue);
  rdx() = 0x71;  // 71H..74H: the last one is denied
  EXPECT_TRUE(faults_with(port_in(core, port_operation(kIn32, 4)), guest::general_protection()));
  EXPECT_EQ(port_in(core, port_operation(kIn32, 2)), Next::kContinue);
  rdx() = 0x6f;
  EXPECT_TRUE(faults_with(port_in(core, port_operation(kIn8, 1)), guest::general_protection()));
}

// SDM Vol. 1 "I/O Permission Bit Map": two bytes are read, both inside the segment.
TEST_F(PortIoTest, MapByteAfterTheAccessMustBeInTheSegment) {
  enter_protected32(3);
  allow_ports(0x00, 0x0f, 0x69);
  rdx() = 0x07;
  EXPECT_EQ(port_in(core, port_operation(kIn8, 1)), Next::kContinue);
  rdx() = 0x08;  // its map byte is the last one inside the limit
  EXPECT_TRUE(faults_with(port_in(core, port_operation(kIn8, 1)), guest::general_protection()));
}

TEST_F(PortIoTest, SixteenBitTssHasNoMap) {
  enter_protected32(3);
  allow_ports(0, 0xff, 0x200);
  state.tr.attributes = 0x83;
  rdx() = 0x70;
  EXPECT_TRUE(faults_with(port_in(core, port_operation(kIn8, 1)), guest::general_protection()));
}

TEST_F(PortIoTest, V86AsksTheMapWhateverIopl) {
  enter_v86(3);
  deny_all_ports();
  rdx() = 0x70;
  EXPECT_TRUE(faults_with(port_in(core, port_operation(kIn8, 1)), guest::general_protection()));
  allow_ports(0x70, 0x70, 0x200);
  EXPECT_EQ(port_in(core, port_operation(kIn8, 1)), Next::kContinue);
}

TEST_F(PortIoTest, InputStringPausesEvery256Elements) {
  enter_long();
  platform.port_values[0x1f0] = 0xbeef;
  rdx() = 0x1f0;
  state.reg(Gpr::kRdi) = kData;
  state.reg(Gpr::kRcx) = 600;
  Operation op = operation(2);
  op.prefixes |= prefix::kRep;
  EXPECT_EQ(input_string(core, op), Next::kJump);
  EXPECT_EQ(state.reg(Gpr::kRcx), 344u);
  EXPECT_EQ(input_string(core, op), Next::kJump);
  EXPECT_EQ(input_string(core, op), Next::kContinue);
  EXPECT_EQ(platform.port_reads.size(), 600u);
  EXPECT_EQ(state.reg(Gpr::kRdi), kData + 1200);
  EXPECT_EQ(load16(kData + 1198), 0xbeefu);
  EXPECT_EQ(load16(kData + 1200), 0u);
}

// The port must not be read when the element cannot be stored.
TEST_F(PortIoTest, InputStringFaultsBeforeItReadsThePort) {
  enter_long();
  rdx() = 0x1f0;
  state.reg(Gpr::kRdi) = kRamBytes - 4;
  state.reg(Gpr::kRcx) = 4;
  Operation op = operation(2);
  op.prefixes |= prefix::kRep;
  EXPECT_TRUE(faults_with(input_string(core, op), guest::page_fault(kRamBytes, 2)));
  EXPECT_EQ(platform.port_reads.size(), 2u);
  EXPECT_EQ(state.reg(Gpr::kRcx), 2u);
  platform.port_reads.clear();
  state.reg(Gpr::kRdi) = kRamBytes - 1;  // straddles into the missing page
  EXPECT_TRUE(faults_with(input_string(core, op), guest::page_fault(kRamBytes, 2)));
  EXPECT_TRUE(platform.port_reads.empty());
}

TEST_F(PortIoTest, OutputStringGoesDownWithDf) {
  enter_real();
  store<std::uint32_t>(kData + 0x10, 0x44332211);
  state.rflags |= flags::kDf;
  rdx() = 0x3f8;
  state.reg(Gpr::kRsi) = 0x13;
  state.reg(Gpr::kRcx) = 4;
  Operation op = operation(1);
  op.prefixes |= prefix::kRep;
  ASSERT_EQ(output_string(core, op), Next::kContinue);
  const std::vector<FakePlatform::PortWrite> expected{
      {0x3f8, 1, 0x44}, {0x3f8, 1, 0x33}, {0x3f8, 1, 0x22}, {0x3f8, 1, 0x11}};
  EXPECT_EQ(platform.port_writes, expected);
  EXPECT_EQ(state.reg(Gpr::kRsi), 0xfu);
}

TEST_F(PortIoTest, StringFormsAskForPermissionToo) {
  enter_protected32(3);
  deny_all_ports();
  rdx() = 0x70;
  state.reg(Gpr::kRsi) = kData;
  EXPECT_TRUE(faults_with(output_string(core, operation(1)), guest::general_protection()));
  EXPECT_TRUE(faults_with(input_string(core, operation(1)), guest::general_protection()));
}

}  // namespace
}  // namespace ringshift::translator
