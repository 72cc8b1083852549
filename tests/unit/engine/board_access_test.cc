// tests/unit/engine/board_access_test.cc - what leaves the guest for the board is the same under
// every accelerator: ports, model-specific registers, ROM.
#include <gmock/gmock.h>

#include "tests/unit/engine/guest_machine.h"

namespace ringshift::engine {
namespace {

using asmjit::x86::Assembler;
using guest::Gpr;
using Port = TestBoard::PortAccess;
using testing::ElementsAre;
using namespace asmjit::x86;
using namespace place;

class BoardAccess : public EngineTest {
 protected:
  void write_msr(Assembler& a, std::uint32_t index, std::uint64_t value) {
    a.mov(ecx, index);
    a.mov(eax, static_cast<std::uint32_t>(value));
    a.mov(edx, static_cast<std::uint32_t>(value >> 32));
    a.wrmsr();
  }
};

TEST_P(BoardAccess, PortsOfEverySize) {
  load_long([](Assembler& a) {
    a.mov(eax, 0x44332211);
    a.mov(edx, 0x3f8);
    a.out(dx, al);
    a.out(dx, ax);
    a.out(dx, eax);
    a.out(0x80, al);
    a.mov(eax, -1);
    a.in(al, dx);
    a.mov(ebx, eax);
    a.in(ax, dx);
    a.mov(esi, eax);
    a.in(eax, dx);
    a.hlt();
  });
  ASSERT_TRUE(halted_itself(machine.run()));
  EXPECT_THAT(machine.board.ports,
              ElementsAre(Port{'w', 0x3f8, 1, 0x11}, Port{'w', 0x3f8, 2, 0x2211},
                          Port{'w', 0x3f8, 4, 0x44332211}, Port{'w', 0x80, 1, 0x11},
                          Port{'r', 0x3f8, 1, 0xf8}, Port{'r', 0x3f8, 2, 0x3f8},
                          Port{'r', 0x3f8, 4, 0x303f8}));
  EXPECT_EQ(machine.reg(Gpr::kRbx), 0xfffffff8u) << "the upper part stays";
  EXPECT_EQ(machine.reg(Gpr::kRsi), 0xffff03f8u);
  EXPECT_EQ(result(), 0x303f8u);
}

TEST_P(BoardAccess, StringsOfPorts) {
  load_long([](Assembler& a) {
    a.mov(edx, 0x1f0);
    a.mov(rdi, kData);
    a.mov(ecx, 3);
    for (std::uint8_t byte : {0xf3, 0x66, 0x6d}) a.db(byte);  // REP INSW
    a.mov(rsi, kData);
    a.mov(ecx, 3);
    for (std::uint8_t byte : {0xf3, 0x66, 0x6f}) a.db(byte);  // REP OUTSW
    a.hlt();
  });
  ASSERT_TRUE(halted_itself(machine.run()));
  std::vector<Port> expected;
  for (char direction : {'r', 'w'})
    for (unsigned i = 0; i < 3; ++i) expected.push_back({direction, 0x1f0, 2, 0x1f0});
  EXPECT_EQ(machine.board.ports, expected);
  EXPECT_EQ(machine.reg(Gpr::kRcx), 0u);
  EXPECT_EQ(machine.reg(Gpr::kRdi), kData + 6);
}

TEST_P(BoardAccess, ApicRegistersAreTheBoards) {
  if (!machine.model.has(guest::feature::kX2apic)) GTEST_SKIP() << "the model has no x2APIC";
  load_long([&](Assembler& a) {
    write_msr(a, TestBoard::kApicRegister, 0x1234567800);
    a.rdmsr();
    a.mov(ebx, eax);
    a.mov(ecx, TestBoard::kApicBase);
    a.rdmsr();
    a.hlt();
  });
  ASSERT_TRUE(halted_itself(machine.run()));
  EXPECT_EQ(machine.board.apic_register, 0x1234567800u);
  EXPECT_EQ(machine.reg(Gpr::kRbx), 0x34567800u);
  EXPECT_EQ(result(), 0xfee00900u);
}

// Registers of the memory types and of machine checks answer, and keep what they are given; one
// that nobody has faults.
TEST_P(BoardAccess, OtherRegistersAreOurs) {
  load_long([&](Assembler& a) {
    write_msr(a, 0x200, 0x1006);
    write_msr(a, 0xc0000102, 0x123456000);  // the processor's own
    a.mov(ecx, 0x200);
    a.rdmsr();
    a.mov(ebx, eax);
    a.mov(ecx, 0x12345);
    a.rdmsr();
    a.hlt();
  });
  EXPECT_EQ(machine.run().vector, 13);
  EXPECT_EQ(machine.reg(Gpr::kRbx), 0x1006u);
  EXPECT_EQ(machine.state().msr.mtrr_variable[0], 0x1006u);
  EXPECT_EQ(machine.state().msr.kernel_gs_base, 0x123456000u);
}

TEST_P(BoardAccess, RomIsReadAndRunButNotWritten) {
  const Bytes image = assemble(kData, [](Assembler& a) {
    a.mov(ebx, 7);
    a.ret();
  });
  ASSERT_TRUE(machine.memory->add_rom({kData}, image));
  load_long([](Assembler& a) {
    a.mov(rsi, kData);
    a.mov(dword_ptr(rsi), 0);
    a.mov(eax, ptr(rsi));
    a.call(rsi);
    a.hlt();
  });
  ASSERT_TRUE(halted_itself(machine.run()));
  std::uint32_t first_word;
  std::memcpy(&first_word, image.data(), sizeof first_word);
  EXPECT_EQ(result(), first_word);
  EXPECT_EQ(machine.reg(Gpr::kRbx), 7u);
}

// Memory that is mapped after the guest ran is there at the next run().
TEST_P(BoardAccess, TheMapMayChangeBetweenRuns) {
  load_long([](Assembler& a) {
    a.mov(rsi, kData);
    a.mov(eax, ptr(rsi));
    a.hlt();
  });
  machine.store<std::uint32_t>(kData, 5);
  ASSERT_TRUE(halted_itself(machine.run_at(kCode)));
  EXPECT_EQ(result(), 5u);
  TestDevice other;
  ASSERT_TRUE(machine.memory->add_mmio({kData}, 0x1000, other));
  ASSERT_TRUE(halted_itself(machine.run_at(kCode)));
  EXPECT_EQ(result(), 0x44332211u);
}

// What the debugger writes between two runs is what the guest goes on with, and the other way
// round.
TEST_P(BoardAccess, RegistersInAndOut) {
  load_long([](Assembler& a) {
    a.add(rax, r15);
    a.movq(xmm3, rax);
    a.mov(rcx, cr3);
    a.hlt();
  });
  auto& s = machine.state();
  for (std::uint64_t i = 1; i <= 3; ++i) {
    s.reg(Gpr::kRax) = i;
    s.reg(Gpr::kR15) = 100 * i;
    ASSERT_TRUE(halted_itself(machine.run_at(kCode)));
    EXPECT_EQ(s.reg(Gpr::kRax), 101 * i);
    std::uint64_t low;
    std::memcpy(&low, s.xsave.data() + 160 + 3 * 16, sizeof low);
    EXPECT_EQ(low, 101 * i);
    EXPECT_EQ(s.reg(Gpr::kRcx), kPml4);
    EXPECT_EQ(s.rip, kCode + 12);
  }
}

RS_FOR_ALL_SETTINGS(BoardAccess);
RS_UNDER_KVM_TOO(BoardAccess);

}  // namespace
}  // namespace ringshift::engine
