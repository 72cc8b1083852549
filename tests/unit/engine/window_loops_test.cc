// tests/unit/engine/window_loops_test.cc - what hot code keeps from access to access, from turn to
// turn and from block to block (deltas of windows, where the stack is, a stack pointer that is
// moved later) must not show: in other pieces of 4 GiB, at faults, over devices and over code.
#include <numeric>

#include "tests/unit/engine/guest_machine.h"

namespace ringshift::engine {
namespace {

using asmjit::Label;
using asmjit::x86::Assembler;
using guest::Gpr;
using namespace asmjit::x86;
using namespace place;

constexpr unsigned kRounds = 300;
constexpr std::uint64_t kPiece = std::uint64_t{1} << 32;
constexpr std::uint64_t kFarPieces = std::uint64_t{1} << 39;  // another entry of the PML4

class WindowLoops : public EngineTest {
 protected:
  // 64-bit mode; the first 4 MiB once more in the second piece of 4 GiB and behind kFarPieces, and
  // the first two just below the second piece.
  void enter() {
    machine.enter_long();
    machine.store<std::uint64_t>(kPml4 + 8, kPdpt | 7);
    machine.store<std::uint64_t>(kPdpt + 4 * 8, kPd | 7);
    machine.store<std::uint64_t>(kPd + 511 * 8, kPt | 7);
  }
  template <typename Write>
  void load(Write&& write) {
    enter();
    machine.put(kCode, assemble(kCode, std::forward<Write>(write)));
  }
  bool done() { return machine.run_at(kCode).vector == static_cast<int>(kDone); }
  // Above the frame of the interrupt that ended it.
  std::uint64_t rsp_when_done() { return machine.reg(Gpr::kRsp) + 5 * 8; }
  // By the first entry of the interrupt stack table.
  void handle_page_faults_on_another_stack() {
    machine.store<std::uint64_t>(kTss + 36, kKernelStack);
    machine.store<std::uint8_t>(kIdt + 14 * 16 + 4, 1);
  }
  void unmap(std::uint64_t linear) { machine.map(linear, 0, 0); }
};

// One loop reads through a base that steps out of its piece, the other through an index that does.
TEST_P(WindowLoops, StepsFromPieceToPiece) {
  load([](Assembler& a) {
    Label stepping = a.newLabel(), indexed = a.newLabel();
    a.bind(stepping);
    a.add(rax, qword_ptr(rsi));
    a.add(rsi, 8);
    a.sub(ecx, 1);
    a.jnz(stepping);
    a.bind(indexed);
    a.add(rdx, qword_ptr(rdi, rbx, 3));
    a.add(rbx, 1);
    a.cmp(rbx, 512);
    a.jne(indexed);
    a.int_(kDone);
  });
  std::uint64_t sum = 0;
  for (unsigned i = 0; i < 512; ++i) {
    const std::uint64_t value = i * 0x123456789u;
    sum += value;
    // 256 words on either side of the border.
    machine.store<std::uint64_t>(i < 256 ? 0x1ff800 + 8 * i : 8 * (i - 256), value);
  }
  for (unsigned turn = 0; turn < 3; ++turn) {
    machine.reg(Gpr::kRax) = machine.reg(Gpr::kRdx) = machine.reg(Gpr::kRbx) = 0;
    machine.reg(Gpr::kRsi) = machine.reg(Gpr::kRdi) = kPiece - 0x800;
    machine.reg(Gpr::kRcx) = 512;
    ASSERT_TRUE(done());
    EXPECT_EQ(machine.reg(Gpr::kRax), sum);
    EXPECT_EQ(machine.reg(Gpr::kRdx), sum);
  }
}

// More streams than a loop keeps deltas for, each in a piece of its own, by every kind of base.
TEST_P(WindowLoops, ManyStreams) {
  load([](Assembler& a) {
    Label again = a.newLabel();
    a.bind(again);
    a.mov(rax, qword_ptr(rsi, rcx, 3));
    a.add(rax, qword_ptr(rdi));
    a.add(rdi, 8);
    a.add(rax, qword_ptr(r10, rcx, 3));
    a.add(rax, ptr(kData + 0x3000, rcx, 3, 8));
    a.mov(qword_ptr(r8, rcx, 3, 0x100), rax);
    a.mov(qword_ptr(r9), rax);
    a.lea(r9, ptr(r9, 8));
    a.add(qword_ptr(rbx, rcx, 3), rax);
    a.sub(qword_ptr(r12, rcx, 3), rax);
    a.add(rcx, 1);
    a.cmp(rcx, r13);
    a.jb(again);
    a.int_(kDone);
  });
  for (unsigned i = 0; i < 4 * 512; ++i)
    machine.store<std::uint64_t>(kData + 8 * i, i * 0x9e3779b97f4a7c15);
  for (unsigned i = 0; i < 4 * 512; ++i) machine.store<std::uint64_t>(kData + 0x4000 + 8 * i, 0);
  const auto word = [&](std::uint64_t at) { return machine.load<std::uint64_t>(at); };
  constexpr std::uint64_t kOut = kData + 0x4000;
  machine.reg(Gpr::kRsi) = kData;
  machine.reg(Gpr::kRdi) = kFarPieces + kData + 0x1000;
  machine.reg(Gpr::kR10) = kPiece + kData + 0x2000;
  machine.reg(Gpr::kR8) = kFarPieces + kPiece + kOut;
  machine.reg(Gpr::kR9) = kPiece + kOut + 0x1000;
  machine.reg(Gpr::kRbx) = kFarPieces + kOut + 0x2000;
  machine.reg(Gpr::kR12) = kOut + 0x3000;
  machine.reg(Gpr::kRcx) = 0;
  machine.reg(Gpr::kR13) = kRounds;
  ASSERT_TRUE(done());
  for (unsigned i = 0; i < kRounds; ++i) {
    const std::uint64_t sum = word(kData + 8 * i) + word(kData + 0x1000 + 8 * i) +
                              word(kData + 0x2000 + 8 * i) + word(kData + 0x3000 + 8 * i);
    EXPECT_EQ(word(kOut + 0x100 + 8 * i), sum) << i;
    EXPECT_EQ(word(kOut + 0x1000 + 8 * i), sum) << i;
    EXPECT_EQ(word(kOut + 0x2000 + 8 * i), sum) << i;
    EXPECT_EQ(word(kOut + 0x3000 + 8 * i), 0 - sum) << i;
  }
  EXPECT_EQ(machine.reg(Gpr::kRdi), kFarPieces + kData + 0x1000 + 8 * kRounds);
}

// A list whose cells lie in three pieces in turn, followed by each kind of register and operand;
// the flags of the step before live on over each load.
TEST_P(WindowLoops, FollowsPointersFromPieceToPiece) {
  load([](Assembler& a) {
    Label by_rax = a.newLabel(), by_rcx = a.newLabel(), by_index = a.newLabel();
    a.bind(by_rax);
    a.mov(rax, qword_ptr(rax));
    a.setc(dl);
    a.add(rbx, qword_ptr(rax, 8));
    a.add(r8b, dl);
    a.sub(esi, 1);
    a.jnz(by_rax);
    a.bind(by_rcx);
    a.mov(rcx, qword_ptr(rcx));
    a.add(rbp, qword_ptr(rcx, 8));
    a.cmp(rcx, rdi);
    a.jne(by_rcx);
    a.bind(by_index);
    a.mov(edx, dword_ptr(r9, 16));  // 0 or 1: which of two pointers
    a.mov(r9, qword_ptr(r9, rdx, 3));
    a.add(r12, qword_ptr(r9, 8));
    a.cmp(r9, rdi);
    a.jne(by_index);
    a.int_(kDone);
  });
  constexpr unsigned kCells = 600, kCellBytes = 32;
  const std::uint64_t pieces[] = {0, kPiece, kFarPieces};
  const auto cell = [&](unsigned i) {
    return pieces[i % 7 % 3] + kData + kCellBytes * (i * 77 % kCells);
  };
  std::uint64_t sum = 0;
  for (unsigned i = 0; i < kCells; ++i) {
    const std::uint64_t here = cell(i) % kPiece;
    machine.store<std::uint64_t>(here, cell((i + 1) % kCells));
    machine.store<std::uint64_t>(here + 8, i * 3);
    machine.store<std::uint32_t>(here + 16, 0);
    sum += i * 3;
  }
  machine.reg(Gpr::kRax) = machine.reg(Gpr::kRcx) = machine.reg(Gpr::kR9) = cell(0);
  machine.reg(Gpr::kRdi) = cell(0);
  machine.reg(Gpr::kRbx) = machine.reg(Gpr::kRbp) = machine.reg(Gpr::kR12) = 0;
  machine.reg(Gpr::kR8) = 0;
  machine.reg(Gpr::kRsi) = kCells;
  ASSERT_TRUE(done());
  EXPECT_EQ(machine.reg(Gpr::kRbx), sum);
  EXPECT_EQ(machine.reg(Gpr::kRbp), sum);
  EXPECT_EQ(machine.reg(Gpr::kR12), sum);
  EXPECT_EQ(machine.reg(Gpr::kR8), 0u) << "SUB of 1 from 1 or more leaves CF clear";
}

// The list ends in a null pointer to a page that is not there, and in one that is not canonical.
TEST_P(WindowLoops, FollowsPointersIntoFaults) {
  load([](Assembler& a) {
    Label again = a.newLabel();
    a.bind(again);
    a.mov(rax, qword_ptr(rax, 8));
    a.add(rcx, 1);
    a.jmp(again);
  });
  const auto run = [&](std::uint64_t last) {
    for (unsigned i = 0; i < 100; ++i)
      machine.store<std::uint64_t>(kData + 64 * i + 8,
                                   i == 99 ? last : kPiece * (i & 1) + kData + 64 * (i + 1));
    machine.reg(Gpr::kRax) = kData;
    machine.reg(Gpr::kRcx) = 0;
    return machine.run_at(kCode);
  };
  unmap(0);
  EXPECT_TRUE(faulted(run(0), 14, kCode));
  EXPECT_EQ(machine.state().cr2, 8u);
  EXPECT_EQ(machine.reg(Gpr::kRcx), 100u);
  EXPECT_TRUE(faulted(run(0x8000'0000'0000'0000), 13, kCode));
  EXPECT_EQ(machine.reg(Gpr::kRax), 0x8000'0000'0000'0000);
  EXPECT_EQ(machine.reg(Gpr::kRcx), 100u);
  EXPECT_TRUE(faulted(run(kPiece * 77), 14, kCode));
  EXPECT_EQ(machine.state().cr2, kPiece * 77 + 8);
}

// In the middle of a loop, a page that is not there: everything is as after the turns before.
TEST_P(WindowLoops, FaultsWhereItsTurnStands) {
  load([](Assembler& a) {
    Label again = a.newLabel();
    a.bind(again);
    a.add(rax, qword_ptr(rsi, rcx, 3));
    a.mov(qword_ptr(rdi, rcx, 3), rax);
    a.add(rcx, 1);
    a.cmp(rcx, 1024);
    a.jb(again);
    a.int_(kDone);
  });
  for (unsigned i = 0; i < 1024; ++i) machine.store<std::uint64_t>(kData + 8 * i, i);
  unmap(kData + 0x11000);
  machine.reg(Gpr::kRax) = machine.reg(Gpr::kRcx) = 0;
  machine.reg(Gpr::kRsi) = kFarPieces + kData;
  machine.reg(Gpr::kRdi) = kPiece + kData + 0x10000;
  const Stop stop = machine.run_at(kCode);
  EXPECT_TRUE(faulted(stop, 14, kCode + 4));
  EXPECT_EQ(machine.state().cr2, kPiece + kData + 0x11000);
  EXPECT_EQ(machine.reg(Gpr::kRcx), 512u);
  EXPECT_EQ(machine.reg(Gpr::kRax), 512u * 513 / 2);
}

// A loop of stores that runs from memory into a device.
TEST_P(WindowLoops, StoresToADeviceToo) {
  load([](Assembler& a) {
    Label again = a.newLabel();
    a.bind(again);
    a.mov(dword_ptr(rdi, rcx, 2), ecx);
    a.mov(eax, dword_ptr(rsi));
    a.add(rdx, rax);
    a.add(rcx, 1);
    a.cmp(rcx, 64);
    a.jb(again);
    a.int_(kDone);
  });
  machine.store<std::uint64_t>(kPd + 8 * ((kDevice >> 21 & 511) - 1), kPt | 7);
  machine.store<std::uint32_t>(kData, 3);
  machine.reg(Gpr::kRdi) = kDevice - 4 * 32;
  machine.reg(Gpr::kRsi) = kData;
  machine.reg(Gpr::kRcx) = machine.reg(Gpr::kRdx) = 0;
  ASSERT_TRUE(done());
  EXPECT_EQ(machine.reg(Gpr::kRdx), 3u * 64);
  ASSERT_EQ(machine.device.accesses.size(), 32u);
  for (unsigned i = 0; i < 32; ++i) {
    EXPECT_EQ(machine.device.accesses[i].offset, 4 * i);
    EXPECT_EQ(machine.device.accesses[i].value, 32 + i);
    EXPECT_EQ(machine.load<std::uint32_t>(0x1fff80 + 4 * i), i);
  }
}

// A loop that overwrites the step of its own counter.
TEST_P(WindowLoops, RewritesItself) {
  std::uint64_t step = 0;
  load([&](Assembler& a) {
    Label again = a.newLabel();
    a.bind(again);
    a.add(rax, qword_ptr(rsi, rcx, 3));
    a.mov(byte_ptr(rdi), 2);
    a.add(rcx, 1);
    step = kCode + a.offset() - 1;
    a.cmp(rcx, 100);
    a.jb(again);
    a.int_(kDone);
  });
  for (unsigned i = 0; i < 128; ++i) machine.store<std::uint64_t>(kData + 8 * i, 1);
  machine.reg(Gpr::kRax) = machine.reg(Gpr::kRcx) = 0;
  machine.reg(Gpr::kRsi) = kData;
  machine.reg(Gpr::kRdi) = step;
  ASSERT_TRUE(done());
  EXPECT_EQ(machine.reg(Gpr::kRax), 50u);
  EXPECT_EQ(machine.reg(Gpr::kRcx), 100u);
}

// A conditional branch forward, which hot code goes on behind, and one that leaves in the middle.
TEST_P(WindowLoops, LeavesInTheMiddle) {
  load([](Assembler& a) {
    Label again = a.newLabel(), odd = a.newLabel(), join = a.newLabel(), end = a.newLabel();
    a.bind(again);
    a.mov(rdx, qword_ptr(rsi, rcx, 3));
    a.test(dl, 1);
    a.jnz(odd);
    a.add(rax, rdx);
    a.bind(join);
    a.add(rcx, 1);
    a.cmp(qword_ptr(rdi), rcx);
    a.je(end);
    a.jmp(again);
    a.bind(odd);
    a.add(rbx, rdx);
    a.jmp(join);
    a.bind(end);
    a.int_(kDone);
  });
  for (unsigned i = 0; i < kRounds; ++i) machine.store<std::uint64_t>(kData + 8 * i, i);
  machine.store<std::uint64_t>(kData + 0x4000, kRounds);
  machine.reg(Gpr::kRax) = machine.reg(Gpr::kRbx) = machine.reg(Gpr::kRcx) = 0;
  machine.reg(Gpr::kRsi) = kData;
  machine.reg(Gpr::kRdi) = kPiece + kData + 0x4000;
  ASSERT_TRUE(done());
  EXPECT_EQ(machine.reg(Gpr::kRax), 150u * 149);
  EXPECT_EQ(machine.reg(Gpr::kRbx), 150u * 150);
}

// The stack pointer runs over many pieces without an access, then is used.
TEST_P(WindowLoops, StackPointerRunsAway) {
  load([](Assembler& a) {
    Label down = a.newLabel(), up = a.newLabel();
    a.bind(down);
    a.sub(rsp, 0x100000);
    a.sub(ecx, 1);
    a.jnz(down);
    a.mov(ecx, edx);
    a.bind(up);
    a.add(rsp, 0x100000);
    a.sub(ecx, 1);
    a.jnz(up);
    a.push(rax);
    a.pop(rbx);
    a.int_(kDone);
  });
  for (const unsigned steps : {5000u, 5000u, 4096u, 4095u}) {
    machine.reg(Gpr::kRax) = steps;
    machine.reg(Gpr::kRcx) = steps;
    machine.reg(Gpr::kRdx) = steps + 4096;  // one piece above
    machine.reg(Gpr::kRsp) = kStack;
    ASSERT_TRUE(done());
    EXPECT_EQ(rsp_when_done(), kPiece + kStack);
    EXPECT_EQ(machine.reg(Gpr::kRbx), steps);
  }
}

// The same without an access on the way, to where nothing is mapped though the host may have
// something there: windows of other pieces above all.
TEST_P(WindowLoops, StackPointerRunsIntoTheHost) {
  load([](Assembler& a) {
    Label apart = a.newLabel();
    a.mov(qword_ptr(rsi, -8), rax);
    a.mov(qword_ptr(rdi, -8), rax);
    a.push(rax);
    a.pop(rax);
    a.add(rsp, rdx);
    a.bind(apart);
    for (int i = 0; i < 8; ++i) a.lea(rsp, ptr(rsp, 1 << 20));
    a.sub(ecx, 1);
    a.jnz(apart);
    a.push(rax);
    a.int_(kDone);
  });
  handle_page_faults_on_another_stack();
  machine.reg(Gpr::kRsi) = kPiece + kStack;
  machine.reg(Gpr::kRdi) = kFarPieces + kStack;
  constexpr std::uint64_t kTurn = 8 << 20, kWindowAlignment = 2 << 20;
  for (const std::uint64_t windows : {1, 2, 3})  // 12 GiB each, guards included
    for (std::uint64_t offset = 0; offset < 4 * kTurn; offset += kWindowAlignment) {
      const std::uint64_t turns = windows * 3 * (kPiece / kTurn);
      machine.reg(Gpr::kRcx) = turns;
      machine.reg(Gpr::kRdx) = offset;
      machine.reg(Gpr::kRsp) = kStack;
      EXPECT_EQ(machine.run_at(kCode).vector, 14) << turns;
      EXPECT_EQ(machine.state().cr2, kStack + offset + turns * kTurn - 8);
    }
}

// The same function on stacks in several pieces, by calls and by a switch of stacks.
TEST_P(WindowLoops, StacksInManyPieces) {
  load([](Assembler& a) {
    Label again = a.newLabel(), function = a.newLabel();
    a.bind(again);
    a.xchg(rsp, rsi);
    a.call(function);
    a.xchg(rsp, rdi);
    a.call(function);
    a.mov(rbp, rsp);
    a.lea(rsp, ptr(rsp, -0x40));
    a.push(7);
    a.mov(qword_ptr(rbp, -8), rcx);
    a.leave();
    a.mov(rsp, rbp);
    a.xchg(rsp, rdi);
    a.dec(ecx);
    a.jnz(again);
    a.int_(kDone);
    a.bind(function);
    a.push(rbx);
    a.push(rcx);
    a.add(qword_ptr(rsp, 8), 1);
    a.pop(rdx);
    a.pop(rbx);
    a.add(rax, rdx);
    a.ret();
  });
  machine.reg(Gpr::kRax) = machine.reg(Gpr::kRbx) = 0;
  machine.reg(Gpr::kRcx) = kRounds;
  machine.reg(Gpr::kRsp) = kStack;
  machine.reg(Gpr::kRsi) = kPiece + kStack - 0x1000;
  machine.reg(Gpr::kRdi) = kFarPieces + kStack - 0x2000;
  // LEAVE pops RBP from where RBP points to.
  machine.store<std::uint64_t>(kStack - 0x2000, kFarPieces + kStack - 0x2000);
  machine.store<std::uint64_t>(kStack, kStack);
  machine.store<std::uint64_t>(kStack - 0x1000, kPiece + kStack - 0x1000);
  ASSERT_TRUE(done());
  EXPECT_EQ(machine.reg(Gpr::kRbx), 2u * kRounds);
  EXPECT_EQ(machine.reg(Gpr::kRax), std::uint64_t{kRounds} * (kRounds + 1));
}

// A fault among PUSHes and POPs, and a division that fails behind them: RSP is what it should be.
TEST_P(WindowLoops, StackPointerAtFaults) {
  load([](Assembler& a) {
    Label again = a.newLabel();
    a.bind(again);
    a.push(rax);
    a.push(rbx);
    a.div(ecx);
    a.push(rcx);
    a.mov(rdx, qword_ptr(rsp, 16));
    a.pop(rcx);
    a.pop(rbx);
    a.pop(rax);
    a.xor_(edx, edx);
    a.sub(ecx, 1);
    a.jmp(again);
  });
  machine.reg(Gpr::kRax) = 100;
  machine.reg(Gpr::kRcx) = kRounds;
  machine.reg(Gpr::kRdx) = 0;
  machine.reg(Gpr::kRsp) = kStack;
  Stop stop = machine.run_at(kCode);
  EXPECT_TRUE(faulted(stop, 0, kCode + 2));
  EXPECT_EQ(stop.rsp, kStack - 16);
  EXPECT_EQ(machine.load<std::uint64_t>(kStack - 8), 100u);

  unmap(kStack - 0x1000);
  handle_page_faults_on_another_stack();
  for (const unsigned before : {0u, 8u, 16u}) {
    machine.reg(Gpr::kRcx) = kRounds;
    machine.reg(Gpr::kRdx) = 0;
    machine.reg(Gpr::kRsp) = kStack + before;
    stop = machine.run_at(kCode);
    EXPECT_TRUE(faulted(stop, 14, kCode + (before == 0 ? 0 : before == 8 ? 1 : 4)));
    EXPECT_EQ(stop.rsp, kStack) << before;
  }
}

// Instructions that name the stack pointer while PUSHes before them may not have moved it yet.
TEST_P(WindowLoops, StackPointerAsAnOperand) {
  load([](Assembler& a) {
    Label again = a.newLabel(), function = a.newLabel();
    a.bind(again);
    a.push(rax);
    a.push(rsp);
    a.pop(rdx);
    a.sub(rdx, rsp);  // 0
    a.add(rbx, rdx);
    a.push(rcx);
    a.mov(rsi, rsp);
    a.push(qword_ptr(rsp));
    a.lea(rdi, ptr(rsp, 8));
    a.sub(rdi, rsi);  // 0
    a.add(rbx, rdi);
    a.pop(qword_ptr(rsp, 8));  // over RAX
    a.pop(rdi);
    a.pop(rdx);
    a.sub(rdx, rcx);  // 0
    a.add(rbx, rdx);
    a.sub(rdi, rcx);
    a.add(rbx, rdi);
    a.lea(rdx, ptr(function));
    a.push(rdx);
    a.push(rcx);
    a.call(qword_ptr(rsp, 8));
    a.pop(rdx);
    a.pop(rdx);
    a.push(rax);
    a.mov(qword_ptr(rsp, r8, 3), rcx);  // R8 = 0
    a.cmp(qword_ptr(rsp), rcx);
    a.pop(rdx);
    a.setne(dl);
    a.movzx(edx, dl);
    a.add(rbx, rdx);
    a.dec(ecx);
    a.jnz(again);
    a.int_(kDone);
    a.bind(function);
    a.add(r9, qword_ptr(rsp, 8));
    a.ret();
  });
  machine.reg(Gpr::kRax) = 5;
  machine.reg(Gpr::kRbx) = machine.reg(Gpr::kR8) = machine.reg(Gpr::kR9) = 0;
  machine.reg(Gpr::kRcx) = kRounds;
  machine.reg(Gpr::kRsp) = kFarPieces + kStack;
  ASSERT_TRUE(done());
  EXPECT_EQ(machine.reg(Gpr::kRbx), 0u);
  EXPECT_EQ(machine.reg(Gpr::kR9), std::uint64_t{kRounds} * (kRounds + 1) / 2);
  EXPECT_EQ(rsp_when_done(), kFarPieces + kStack);
}

// Fresh memory, a page at a time, faults once a page; that is no reason to look it up ever after.
TEST_P(WindowLoops, FreshPagesAreNotAReason) {
  load([](Assembler& a) {
    Label again = a.newLabel(), wait = a.newLabel();
    a.bind(again);
    a.mov(dword_ptr(rdi), ecx);
    a.add(rdi, 0x1000);
    a.mov(edx, 300000);
    a.bind(wait);
    a.sub(edx, 1);
    a.jnz(wait);
    a.sub(ecx, 1);
    a.jnz(again);
    a.int_(kDone);
  });
  machine.reg(Gpr::kRdi) = kData;
  machine.reg(Gpr::kRcx) = 64;
  ASSERT_TRUE(done());
  const std::uint64_t blocks = machine.counter("blocks translated");
  machine.reg(Gpr::kRdi) = kData + 0x40000;
  machine.reg(Gpr::kRcx) = 64;
  ASSERT_TRUE(done());
  // Nothing was translated another way.
  if (GetParam().options.memory == runtime::BtOptions::Memory::kWindows) {
    EXPECT_LE(machine.counter("blocks translated"), blocks + 2);
  }
}

RS_FOR_ALL_SETTINGS(WindowLoops);

}  // namespace
}  // namespace ringshift::engine
