// tests/unit/engine/a20_test.cc - A20M#: with the gate closed, bit 20 of physical addresses is zero
// for data, code and page tables, and what was translated before is forgotten.
#include "tests/unit/engine/guest_machine.h"

namespace ringshift::engine {
namespace {

using asmjit::x86::Assembler;
using guest::Gpr;
using namespace asmjit::x86;
using namespace place;

constexpr std::uint64_t kEven = 0x200800, kOdd = kEven | 1 << 20;

class A20 : public EngineTest {
 protected:
  // Low memory, where the gate changes nothing.
  template <typename Write>
  Stop run(Write&& write) {
    machine.enter_long();
    machine.put(kLow, assemble(kLow, std::forward<Write>(write)));
    machine.reg(Gpr::kRsp) = 0x2a0000;
    return machine.run_at(kLow);
  }
  static void gate(Assembler& a, bool open) {
    a.mov(al, open ? 2 : 0);
    a.out(asmjit::imm(TestBoard::kA20Port), al);
  }
};

TEST_P(A20, DataWraps) {
  const auto code = [](Assembler& a) {
    a.mov(dword_ptr(kEven), 1);
    a.mov(dword_ptr(kOdd), 2);
    a.mov(r8d, ptr(kOdd));
    gate(a, false);
    a.mov(r9d, ptr(kOdd));
    a.mov(dword_ptr(kOdd + 4), 3);
    gate(a, true);
    a.mov(r10d, ptr(kOdd));
    a.mov(r11d, ptr(kEven + 4));
    a.mov(r12d, ptr(kOdd + 4));
    a.hlt();
  };
  for (int i = 0; i < 3; ++i) {
    machine.store<std::uint64_t>(kOdd, 0);
    machine.store<std::uint64_t>(kEven, 0);
    ASSERT_TRUE(halted_itself(run(code)));
    EXPECT_EQ(machine.reg(Gpr::kR8), 2u);
    EXPECT_EQ(machine.reg(Gpr::kR9), 1u);
    EXPECT_EQ(machine.reg(Gpr::kR10), 2u);
    EXPECT_EQ(machine.reg(Gpr::kR11), 3u);
    EXPECT_EQ(machine.reg(Gpr::kR12), 0u);
  }
}

TEST_P(A20, CodeWraps) {
  const auto function = [](int value) {
    return [value](Assembler& a) {
      a.mov(ecx, value);
      a.ret();
    };
  };
  machine.put(kEven, assemble(kEven, function(1)));
  machine.put(kOdd, assemble(kOdd, function(2)));
  const auto code = [](Assembler& a) {
    a.mov(rbx, kOdd);
    a.call(rbx);
    a.mov(r8d, ecx);
    gate(a, false);
    a.call(rbx);
    a.mov(r9d, ecx);
    gate(a, true);
    a.call(rbx);
    a.mov(r10d, ecx);
    a.hlt();
  };
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(halted_itself(run(code)));
    EXPECT_EQ(machine.reg(Gpr::kR8), 2u);
    EXPECT_EQ(machine.reg(Gpr::kR9), 1u);
    EXPECT_EQ(machine.reg(Gpr::kR10), 2u);
  }
}

// Real mode: FFFF:0810 is the second byte of its name only while the gate is closed.
TEST_P(A20, RealModeAddressesWrapAt1MiB) {
  machine.enter_real();
  machine.put(kLow, {0xb8, 0xff, 0xff, 0x8e,
                     0xd8,  // MOV AX, FFFFH; MOV DS, AX
                     0xc6, 0x06, 0x10, 0x08,
                     0x22,                                   // MOV BYTE [0810H], 22H
                     0xb0, 0x00, 0xe6, TestBoard::kA20Port,  // MOV AL, 0; OUT
                     0x8a, 0x1e, 0x10, 0x08,                 // MOV BL, [0810H]
                     0xb0, 0x02, 0xe6, TestBoard::kA20Port,  // MOV AL, 2; OUT
                     0x8a, 0x0e, 0x10, 0x08,
                     0xf4});  // MOV CL, [0810H]; HLT
  machine.store<std::uint8_t>(0x800, 0x11);
  ASSERT_TRUE(halted_itself(machine.run()));
  EXPECT_EQ(machine.reg(Gpr::kRbx) & 0xff, 0x11u);
  EXPECT_EQ(machine.reg(Gpr::kRcx) & 0xff, 0x22u);
  EXPECT_EQ(machine.load<std::uint8_t>(0x100800), 0x22);
}

// The board's reset opens the gate.
TEST_P(A20, IsReadAgainWhenTheStateWasChanged) {
  const auto read = [](Assembler& a) {
    a.mov(r8d, ptr(kOdd));
    a.hlt();
  };
  machine.store<std::uint32_t>(kEven, 1);
  machine.store<std::uint32_t>(kOdd, 2);
  for (const bool open : {false, true, false}) {
    machine.board.port_write(TestBoard::kA20Port, 1, open ? 2 : 0);
    ASSERT_TRUE(halted_itself(run(read)));
    EXPECT_EQ(machine.reg(Gpr::kR8), open ? 2u : 1u);
  }
}

RS_FOR_ALL_SETTINGS(A20);

}  // namespace
}  // namespace ringshift::engine
