// tests/unit/engine/interrupts_test.cc - asynchronous events: a request from another thread stops
// any chain of blocks soon, is held back by IF and the shadows, and wakes HLT.
#include <thread>

#include "tests/unit/engine/guest_machine.h"

namespace ringshift::engine {
namespace {

using asmjit::Label;
using asmjit::x86::Assembler;
using guest::Gpr;
using namespace asmjit::x86;
using namespace place;
namespace flags = guest::flags;
using Clock = std::chrono::steady_clock;

constexpr std::uint8_t kVector = 0x30;

class Interrupts : public EngineTest {
 protected:
  // Runs what was loaded with IF set, raises an interrupt from another thread after a while and
  // returns how long delivery took.
  std::chrono::milliseconds latency(Stop& stop) {
    machine.state().rflags |= flags::kIf;
    machine.vcpu->state_changed();
    Clock::time_point asked;
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(30));
      asked = Clock::now();
      machine.board.assert_interrupt(kVector);
      machine.vcpu->request_interrupt();
    });
    stop = machine.run();
    const auto ended = Clock::now();
    other.join();
    return std::chrono::duration_cast<std::chrono::milliseconds>(ended - asked);
  }
};

struct Loop {
  const char* name;
  void (*code)(Assembler&);
};

const Loop kLoops[] = {
    {"empty",
     [](Assembler& a) {
       Label l = a.newLabel();
       a.bind(l);
       a.jmp(l);
     }},
    {"registers",
     [](Assembler& a) {
       Label l = a.newLabel();
       a.bind(l);
       a.add(rax, 3);
       a.imul(rax, rax, 7);
       a.dec(rcx);
       a.jmp(l);
     }},
    {"live flags",
     [](Assembler& a) {
       Label l = a.newLabel();
       a.bind(l);
       a.adc(rax, rax);
       a.lea(rcx, ptr(rcx, 1));
       a.jmp(l);
     }},
    {"live flags conditional",
     [](Assembler& a) {
       Label l = a.newLabel();
       a.stc();
       a.bind(l);
       a.adc(rax, 0);
       a.stc();
       a.jc(l);
       a.ud2();
     }},
    {"memory",
     [](Assembler& a) {
       Label l = a.newLabel();
       a.mov(rbx, kData);
       a.bind(l);
       a.inc(qword_ptr(rbx));
       a.mov(rax, ptr(rbx));
       a.jmp(l);
     }},
    {"loop instruction",
     [](Assembler& a) {
       Label l = a.newLabel();
       a.bind(l);
       a.mov(ecx, 2);
       a.loop(l);
       a.jmp(l);
     }},
    {"indirect jump",
     [](Assembler& a) {
       Label l = a.newLabel();
       a.lea(rbx, ptr(l));
       a.bind(l);
       a.inc(rax);
       a.jmp(rbx);
     }},
    {"indirect jump through memory",
     [](Assembler& a) {
       Label l = a.newLabel();
       a.lea(rbx, ptr(l));
       a.mov(rdi, kData);
       a.mov(ptr(rdi), rbx);
       a.bind(l);
       a.inc(rax);
       a.jmp(qword_ptr(rdi));
     }},
    {"call and return",
     [](Assembler& a) {
       Label l = a.newLabel(), f = a.newLabel();
       a.bind(l);
       a.call(f);
       a.jmp(l);
       a.bind(f);
       a.ret();
     }},
    {"recursion",
     [](Assembler& a) {
       Label l = a.newLabel(), f = a.newLabel(), leaf = a.newLabel();
       a.bind(l);
       a.mov(ecx, 40);
       a.call(f);
       a.jmp(l);
       a.bind(f);
       a.dec(ecx);
       a.jz(leaf);
       a.call(f);
       a.bind(leaf);
       a.ret();
     }},
    {"nested loops",
     [](Assembler& a) {
       Label o = a.newLabel(), i = a.newLabel();
       a.bind(o);
       a.mov(ecx, 3);
       a.bind(i);
       a.dec(ecx);
       a.jnz(i);
       a.jmp(o);
     }},
    {"two blocks",
     [](Assembler& a) {
       Label x = a.newLabel(), y = a.newLabel();
       a.bind(x);
       a.inc(rax);
       a.jmp(y);
       a.ud2();
       a.bind(y);
       a.inc(rcx);
       a.jmp(x);
     }},
    {"two pages",
     [](Assembler& a) {
       Label x = a.newLabel(), y = a.newLabel();
       a.bind(x);
       a.inc(rax);
       a.jmp(y);
       a.align(asmjit::AlignMode::kCode, 4096);
       a.bind(y);
       a.inc(rcx);
       a.jmp(x);
     }},
    {"fall through a page",
     [](Assembler& a) {
       Label x = a.newLabel();
       a.jmp(x);
       for (int i = 0; i < 4080; ++i) a.nop();
       a.bind(x);
       for (int i = 0; i < 64; ++i) a.nop();
       a.jmp(x);
     }},
    {"rep string",
     [](Assembler& a) {
       Label l = a.newLabel();
       a.bind(l);
       a.mov(rsi, kData);
       a.mov(rdi, kData + 0x10000);
       a.mov(ecx, 0x10000);
       a.rep().movsb();
       a.jmp(l);
     }},
    {"rep string without end",
     [](Assembler& a) {
       a.xor_(eax, eax);
       a.mov(rdi, kData);
       a.mov(rcx, -1);
       a.db(0xf3);
       a.db(0xac); /* REP LODSB */
       a.ud2();
     }},
    {"call-outs",
     [](Assembler& a) {
       Label l = a.newLabel();
       a.bind(l);
       a.cpuid();
       a.jmp(l);
     }},
    {"floating point",
     [](Assembler& a) {
       Label l = a.newLabel();
       a.xorps(xmm0, xmm0);
       a.bind(l);
       a.addsd(xmm0, xmm0);
       a.sqrtsd(xmm1, xmm0);
       a.jmp(l);
     }},
};

// With the request, the handler runs within milliseconds (the bound allows for a busy host).
TEST_P(Interrupts, RequestStopsEveryKindOfLoop) {
  for (const Loop& loop : kLoops) {
    SCOPED_TRACE(loop.name);
    load_long(loop.code);
    if (std::string_view(loop.name) == "rep string without end") {
      machine.reg(Gpr::kRsi) = 0;  // 4 MiB of zeros are readable: then a page fault would end it
      machine.put(kCode, assemble(kCode, [](Assembler& a) {
                    Label l = a.newLabel();
                    a.bind(l);
                    a.mov(rsi, kData);
                    a.mov(ecx, 0x180000);
                    a.rep().lodsb();
                    a.jmp(l);
                  }));
    }
    Stop stop;
    const auto took = latency(stop);
    ASSERT_EQ(stop.vector, kVector);
    EXPECT_FALSE(stop.timed_out);
    EXPECT_LT(took.count(), 500);
    EXPECT_TRUE(stop.rflags & flags::kIf);
    EXPECT_FALSE(machine.state().rflags & flags::kIf);
  }
}

// stop() ends run() in the same loops with the state at an instruction boundary.
TEST_P(Interrupts, StopFromAnotherThread) {
  load_long([](Assembler& a) {
    Label l = a.newLabel();
    a.bind(l);
    a.adc(rax, rax);
    a.jmp(l);
  });
  for (int i = 0; i < 3; ++i) {
    const Stop stop = machine.run(std::chrono::milliseconds(20));
    EXPECT_EQ(stop.reason, runtime::ExitReason::kStopped);
    const std::uint64_t rip = machine.state().rip;
    EXPECT_TRUE(rip == kCode || rip == kCode + 3) << std::hex << rip;
  }
}

// An interrupted computation goes on where it was, flags included.
TEST_P(Interrupts, InterruptsAreInvisibleToTheProgram) {
  static constexpr std::uint64_t kCount = kData + 0x800, kFactor = 0x123456789abcdef1;
  load_long([&](Assembler& a) {
    Label l = a.newLabel();
    a.mov(rdi, kCount);
    a.mov(rdx, kFactor);
    a.bind(l);
    a.add(rax, rdx);
    a.adc(rbx, 0);
    a.rol(rdx, 1);
    a.adc(rbx, rax);
    a.inc(rcx);
    a.cmp(qword_ptr(rdi), 100);
    a.jb(l);
    a.cli();
    a.hlt();
  });
  machine.set_handler(kVector, assemble(kHandlers + 16 * kVector, [](Assembler& a) {
                        a.inc(qword_ptr(static_cast<std::uint64_t>(kCount)));
                        a.iretq();
                      }));
  for (Gpr r : {Gpr::kRax, Gpr::kRbx, Gpr::kRcx}) machine.reg(r) = 0;
  machine.state().rflags |= flags::kIf;
  machine.vcpu->state_changed();
  std::atomic<bool> over = false;
  std::thread other([&] {
    while (!over) {
      machine.board.assert_interrupt(kVector);
      machine.vcpu->request_interrupt();
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  });
  const Stop stop = machine.run();
  over = true;
  other.join();
  ASSERT_TRUE(halted_itself(stop));
  std::uint64_t ax = 0, bx = 0, dx = kFactor;
  for (std::uint64_t i = 0; i < machine.reg(Gpr::kRcx); ++i) {
    ax += dx;
    bx += ax < dx;
    const bool carry = dx >> 63;
    dx = dx << 1 | carry;
    bx += ax + carry;
  }
  EXPECT_EQ(result(), ax);
  EXPECT_EQ(machine.reg(Gpr::kRbx), bx);
  EXPECT_GE(machine.counter("interrupts"), 100u);
}

// --- what holds an interrupt back ----------------------------------------------------------------

class HeldBack : public Interrupts {
 protected:
  // Runs with the interrupt pending and IF clear; the RIP that was interrupted.
  std::uint64_t interrupted_at(const Bytes& code) {
    machine.put(kCode, code);
    machine.board.assert_interrupt(kVector);
    machine.vcpu->request_interrupt();
    const Stop stop = machine.run();
    EXPECT_EQ(stop.vector, kVector);
    return stop.rip - kCode;
  }
};

TEST_P(HeldBack, StiShadowLastsOneInstruction) {
  machine.enter_long();
  EXPECT_EQ(interrupted_at({0xfb, 0x90, 0x90, 0xf4}), 2u);  // STI; NOP; NOP
  machine.enter_long();
  EXPECT_EQ(interrupted_at({0xfb, 0xf4, 0x90, 0xf4}), 2u);  // STI; HLT: the wait is not missed
  machine.enter_long();
  // STI; CLI: no window. Then STI again.
  EXPECT_EQ(interrupted_at({0xfb, 0xfa, 0x90, 0xfb, 0x90, 0xf4}), 5u);
  machine.enter_long();
  EXPECT_EQ(interrupted_at({0xfb, 0xfb, 0x90, 0xf4}), 2u);  // only the first STI has a shadow
}

TEST_P(HeldBack, MovSsShadow) {
  machine.enter_protected();
  machine.reg(Gpr::kRax) = select::kData32;
  // STI's shadow covers MOV SS, whose own shadow covers the first NOP.
  EXPECT_EQ(interrupted_at({0xfb, 0x8e, 0xd0, 0x90, 0x90, 0xf4}), 4u);
  machine.enter_protected();
  EXPECT_EQ(interrupted_at({0x6a, select::kData32, 0xfb, 0x17, 0x90, 0x90, 0xf4}), 5u);  // POP SS
}

TEST_P(HeldBack, PopfAndIretOpenTheWindowAtOnce) {
  machine.enter_long();
  EXPECT_EQ(interrupted_at({0x68, 0x02, 0x02, 0, 0, 0x9d, 0x90, 0xf4}), 6u);
  machine.enter_long();
  Bytes iret = assemble(kCode, [](Assembler& a) {
    Label next = a.newLabel();
    a.mov(rax, rsp);
    a.push(select::kData32);
    a.push(rax);
    a.push(0x202);
    a.push(select::kCode64);
    a.lea(rbx, ptr(next));
    a.push(rbx);
    a.iretq();
    a.nop();
    a.bind(next);
    a.nop();
    a.hlt();
  });
  EXPECT_EQ(interrupted_at(iret), iret.size() - 2);
}

TEST_P(HeldBack, ClearedIfHoldsBackForever) {
  machine.enter_long();
  machine.put(kCode, {0x90, 0x90, 0xf4});
  machine.board.assert_interrupt(kVector);
  machine.vcpu->request_interrupt();
  EXPECT_TRUE(halted_itself(machine.run()));
  EXPECT_TRUE(machine.board.interrupt_pending());
}

TEST_P(HeldBack, HaltWakesOnInterruptOnly) {
  machine.enter_long();
  machine.put(kCode, {0xf4, 0x90});
  machine.state().rflags |= flags::kIf;
  EXPECT_TRUE(halted_itself(machine.run()));
  EXPECT_EQ(machine.state().activity, guest::Activity::kHalted);
  EXPECT_EQ(machine.vcpu->run(), runtime::ExitReason::kHalted);  // nothing came
  EXPECT_EQ(machine.state().rip, kCode + 1);
  machine.board.assert_interrupt(kVector);
  machine.vcpu->request_interrupt();
  EXPECT_EQ(machine.vcpu->run(), runtime::ExitReason::kHalted);
  EXPECT_EQ(machine.state().rip, kHandlers + 16 * kVector + 1);
}

TEST_P(HeldBack, NmiIgnoresIfAndBlocksItselfUntilIret) {
  load_long([](Assembler& a) {
    Label l = a.newLabel();
    a.bind(l);
    a.inc(rax);
    a.jmp(l);
  });
  machine.vcpu->inject_nmi();
  const Stop first = machine.run();
  EXPECT_EQ(first.vector, 2);
  EXPECT_TRUE(machine.state().nmi_blocked);
  machine.vcpu->inject_nmi();  // waits: the handler has not returned
  machine.run();
  EXPECT_EQ(machine.state().rip, kHandlers + 2 * 16 + 2);  // the handler's second HLT
  machine.set_handler(2, {0xf4, 0xf4, 0x48, 0xcf});
  const Stop second = machine.run();  // IRETQ, and the second NMI at once
  EXPECT_EQ(second.vector, 2);
  EXPECT_EQ(second.rip, first.rip);
}

RS_FOR_ALL_SETTINGS(Interrupts);
RS_UNDER_KVM_TOO(Interrupts);
RS_FOR_ALL_SETTINGS(HeldBack);
RS_UNDER_KVM_TOO(HeldBack);

}  // namespace
}  // namespace ringshift::engine
