// tests/unit/engine/single_step_test.cc - TF: a #DB after each instruction, whatever kind it is.
#include "tests/unit/engine/guest_machine.h"

namespace ringshift::engine {
namespace {

using asmjit::Label;
using asmjit::x86::Assembler;
using guest::Gpr;
using namespace asmjit::x86;
using namespace place;
namespace flags = guest::flags;

class SingleStep : public EngineTest {
 protected:
  // The RIP after each of so many steps, relative to the program.
  std::vector<std::uint64_t> steps(std::size_t count) {
    // The handler returns after the test has looked: HLT; IRETQ.
    machine.set_handler(1, {0xf4, 0x48, 0xcf});
    machine.state().rflags |= flags::kTf;
    machine.vcpu->state_changed();
    std::vector<std::uint64_t> at;
    for (std::size_t i = 0; i < count; ++i) {
      const Stop stop = machine.run();
      if (stop.vector != 1) break;
      EXPECT_TRUE(machine.state().dr[6] & 0x4000) << "BS";
      EXPECT_TRUE(stop.rflags & flags::kTf);
      EXPECT_FALSE(machine.state().rflags & flags::kTf);
      at.push_back(stop.rip - kCode);
    }
    return at;
  }
};

TEST_P(SingleStep, EveryKindOfInstruction) {
  std::vector<std::uint64_t> expected;
  load_long([&](Assembler& a) {
    auto ends = [&] { expected.push_back(a.offset()); };
    Label over = a.newLabel(), function = a.newLabel(), back = a.newLabel();
    a.nop();
    ends();
    a.mov(rbx, kData);
    ends();
    a.mov(ptr(rbx), rax);
    ends();
    a.inc(qword_ptr(rbx));
    ends();
    a.push(rbx);
    ends();
    a.pop(rcx);
    ends();
    a.pushfq();  // a call-out
    ends();
    a.add(rsp, 8);
    ends();
    a.xor_(eax, eax);
    ends();
    a.jnz(over);  // not taken
    ends();
    a.jz(over);  // taken
    a.ud2();
    a.bind(over);
    ends();
    a.call(function);
    a.bind(back);
    const std::size_t after_call = a.offset();
    a.cpuid();
    const std::size_t after_cpuid = a.offset();
    a.hlt();
    a.bind(function);
    ends();
    a.lea(rdx, ptr(back));
    ends();
    a.ret();
    expected.push_back(after_call);
    expected.push_back(after_cpuid);
  });
  EXPECT_EQ(steps(expected.size()), expected);
}

// A repeated string instruction traps after each turn.
TEST_P(SingleStep, RepeatedStringTrapsEachTurn) {
  load_long([&](Assembler& a) {
    a.rep().stosb();
    a.hlt();
  });
  machine.reg(Gpr::kRdi) = kData;
  machine.reg(Gpr::kRcx) = 3;
  EXPECT_EQ(steps(3), (std::vector<std::uint64_t>{0, 0, 2}));
}

// MOV SS holds the trap back for one instruction.
TEST_P(SingleStep, MovSsShadow) {
  load_long([&](Assembler& a) {
    a.mov(eax, select::kData32);  // 5
    a.mov(ss, eax);               // 7
    a.nop();                      // 8
    a.nop();                      // 9
    a.hlt();
  });
  EXPECT_EQ(steps(3), (std::vector<std::uint64_t>{5, 8, 9}));
}

TEST_P(SingleStep, PopfSetsTfAfterOneMoreInstruction) {
  load_long([&](Assembler& a) {
    a.push(0x102);  // 5
    a.popfq();      // 6
    a.nop();        // 7
    a.hlt();
  });
  machine.set_handler(1, {0xf4});
  const Stop stop = machine.run();
  EXPECT_TRUE(faulted(stop, 1, kCode + 7));
}

RS_FOR_ALL_SETTINGS(SingleStep);
RS_UNDER_KVM_TOO(SingleStep);

}  // namespace
}  // namespace ringshift::engine
