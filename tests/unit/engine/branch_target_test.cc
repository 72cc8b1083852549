// tests/unit/engine/branch_target_test.cc - near branches to where no code can be fault at
// themselves, with nothing changed; running on to there faults there.
#include "tests/unit/engine/guest_machine.h"

namespace ringshift::engine {
namespace {

using asmjit::x86::Assembler;
using guest::Gpr;
using namespace asmjit::x86;
using namespace place;

constexpr std::uint64_t kNowhere = 0x0000'8000'0000'0000;
constexpr unsigned kGeneralProtection = 13;

class BranchTarget : public EngineTest {
 protected:
  // 64-bit code whose last instruction branches to kNowhere, with that in RAX and on the stack.
  void expect_fault_at_branch(const char* name, void (*branch)(Assembler&)) {
    SCOPED_TRACE(name);
    load_long([&](Assembler& a) {
      a.nop();
      branch(a);
    });
    machine.reg(Gpr::kRax) = kNowhere;
    machine.reg(Gpr::kRbx) = kData;
    machine.reg(Gpr::kRsp) = kStack;
    machine.store<std::uint64_t>(kStack, kNowhere);
    machine.store<std::uint64_t>(kData, kNowhere);
    const Stop stop = machine.run();
    EXPECT_TRUE(faulted(stop, kGeneralProtection, kCode + 1));
    EXPECT_EQ(stop.rsp, kStack);
    EXPECT_EQ(stop.error_code, 0u);
    EXPECT_EQ(machine.reg(Gpr::kRax), kNowhere);
  }
};

TEST_P(BranchTarget, NotCanonical) {
  expect_fault_at_branch("jmp rax", [](Assembler& a) { a.jmp(rax); });
  expect_fault_at_branch("jmp [rbx]", [](Assembler& a) { a.jmp(qword_ptr(rbx)); });
  expect_fault_at_branch("call rax", [](Assembler& a) { a.call(rax); });
  expect_fault_at_branch("call [rbx]", [](Assembler& a) { a.call(qword_ptr(rbx)); });
  expect_fault_at_branch("ret", [](Assembler& a) { a.ret(); });
  expect_fault_at_branch("ret 0xfff8", [](Assembler& a) { a.ret(0xfff8); });
}

TEST_P(BranchTarget, NotCanonicalWhileSingleStepping) {
  load_long([](Assembler& a) { a.ret(); });
  machine.reg(Gpr::kRsp) = kStack;
  machine.store<std::uint64_t>(kStack, kNowhere);
  machine.state().rflags |= guest::flags::kTf;
  machine.vcpu->state_changed();
  const Stop stop = machine.run();
  EXPECT_TRUE(faulted(stop, kGeneralProtection, kCode));
  EXPECT_EQ(stop.rsp, kStack);
}

// 32-bit code in a segment of 64 KiB, whose code lies at kLow.
class BranchBeyondLimit : public EngineTest {
 protected:
  static constexpr std::uint64_t kTop = 0xfff0;
  template <typename Write>
  void load(Write&& write) {
    machine.enter_protected();
    auto& cs = machine.state().segment(guest::Seg::kCs);
    cs.base = kLow;
    cs.limit = 0xffff;
    machine.put(kLow + kTop, assemble32(kTop, std::forward<Write>(write)));
    machine.reg(Gpr::kRsp) = kStack;
    machine.state().rip = kTop;
    machine.vcpu->state_changed();
  }
};

TEST_P(BranchBeyondLimit, RelativeBranches) {
  load([](Assembler& a) { a.long_().jmp(0x20000); });
  EXPECT_TRUE(faulted(machine.run(), kGeneralProtection, kTop));
  load([](Assembler& a) {
    a.cmp(eax, eax);
    a.long_().je(0x20000);
  });
  EXPECT_TRUE(faulted(machine.run(), kGeneralProtection, kTop + 2));
  load([](Assembler& a) { a.loop(ecx, asmjit::imm(kTop + 0x20)); });
  machine.reg(Gpr::kRcx) = 5;
  EXPECT_TRUE(faulted(machine.run(), kGeneralProtection, kTop));
  EXPECT_EQ(machine.reg(Gpr::kRcx), 5u);
}

TEST_P(BranchBeyondLimit, IndirectBranches) {
  load([](Assembler& a) { a.jmp(eax); });
  machine.reg(Gpr::kRax) = 0x10000;
  EXPECT_TRUE(faulted(machine.run(), kGeneralProtection, kTop));
  load([](Assembler& a) { a.call(eax); });
  machine.reg(Gpr::kRax) = 0x10000;
  Stop stop = machine.run();
  EXPECT_TRUE(faulted(stop, kGeneralProtection, kTop));
  load([](Assembler& a) { a.ret(); });
  machine.store<std::uint32_t>(kStack, 0x10000);
  stop = machine.run();
  EXPECT_TRUE(faulted(stop, kGeneralProtection, kTop));
}

// No branch: the instruction that is not there faults.
TEST_P(BranchBeyondLimit, RunningOn) {
  load([](Assembler& a) {
    for (unsigned i = 0; i < 16; ++i) a.nop();
  });
  EXPECT_TRUE(faulted(machine.run(), kGeneralProtection, 0x10000));
}

// LOOP with a 16-bit target, in code that becomes hot: its exit is longer than JECXZ reaches.
class NarrowLoop : public EngineTest {};

TEST_P(NarrowLoop, EndsWhenTheCounterDoes) {
  constexpr std::uint64_t kBelow64K = 0x8000;
  static constexpr std::uint32_t kTimes = 20000;
  machine.enter_protected();
  machine.put(kBelow64K, assemble32(kBelow64K, [](Assembler& a) {
                asmjit::Label outer = a.newLabel(), again = a.newLabel();
                a.mov(edx, kTimes);
                a.bind(outer);
                a.mov(ecx, 3);
                a.bind(again);
                a.inc(eax);
                a.db(0x66);
                a.loop(ecx, again);
                a.dec(edx);
                a.jnz(outer);
                a.hlt();
              }));
  machine.reg(Gpr::kRax) = 0;
  ASSERT_TRUE(halted_itself(machine.run_at(kBelow64K)));
  EXPECT_EQ(machine.reg(Gpr::kRax), 3 * kTimes);
}

RS_FOR_ALL_SETTINGS(NarrowLoop);
RS_UNDER_KVM_TOO(NarrowLoop);
RS_FOR_ALL_SETTINGS(BranchTarget);
RS_UNDER_KVM_TOO(BranchTarget);
RS_FOR_ALL_SETTINGS(BranchBeyondLimit);
RS_UNDER_KVM_TOO(BranchBeyondLimit);

}  // namespace
}  // namespace ringshift::engine
