// tests/unit/engine/hot_code_test.cc - code that runs often enough to be translated for speed: what
// its branches, returns, windows and vector registers must not get wrong.
#include <cstring>

#include "tests/unit/engine/guest_machine.h"

namespace ringshift::engine {
namespace {

using asmjit::Label;
using asmjit::x86::Assembler;
using guest::Gpr;
using namespace asmjit::x86;
using namespace place;

constexpr unsigned kRounds = 500;
constexpr std::uint64_t kPageEnd = kCode + 0x1000;

class HotCode : public EngineTest {};

// Page offset and displacement together exceed 31 bits.
TEST_P(HotCode, OperandFarBehindRip) {
  machine.enter_long();
  const std::uint64_t at = kCode + 0x800;
  machine.put(at, {0x48, 0x8b, 0x05, 0xff, 0xff, 0xff, 0x7f});  // mov rax, [rip + 7fffffffh]
  EXPECT_TRUE(faulted(machine.run_at(at), 14, at));
  EXPECT_EQ(machine.state().cr2, at + 7 + 0x7fffffff);
}

TEST_P(HotCode, JumpFarAhead) {
  machine.enter_long();
  const std::uint64_t at = kCode + 0x800;
  machine.put(at, {0xe9, 0xff, 0xff, 0xff, 0x7f});
  EXPECT_TRUE(faulted(machine.run_at(at), 14, at + 5 + 0x7fffffff));
}

// A block that replaces another takes over all the jumps to it, and no vector register changes.
TEST_P(HotCode, ManyPredecessorsOfAPromotedBlock) {
  constexpr unsigned kJumps = 12;
  machine.enter_long();
  machine.state().cr4 |= guest::cr4::kOsfxsr;
  machine.put(kCode, assemble(kCode, [](Assembler& a) {
                Label target = a.newLabel(), again = a.newLabel();
                a.movq(xmm0, rbx);
                a.movq(xmm7, rcx);
                a.bind(again);
                for (unsigned n = 0; n < kJumps; ++n) {
                  Label next = a.newLabel();
                  a.cmp(esi, n);
                  a.jne(next);
                  a.jmp(target);
                  a.bind(next);
                }
                a.xor_(esi, esi);
                a.dec(edi);
                a.jnz(again);
                a.movq(rax, xmm0);
                a.movq(rdx, xmm7);
                a.int_(kDone);
                a.bind(target);
                a.inc(esi);
                a.inc(r8d);
                a.jmp(again);
              }));
  machine.reg(Gpr::kRbx) = 0x0123456789abcdef;
  machine.reg(Gpr::kRcx) = 0xfedcba9876543210;
  machine.reg(Gpr::kRsi) = machine.reg(Gpr::kR8) = 0;
  machine.reg(Gpr::kRdi) = kRounds;
  EXPECT_EQ(machine.run_at(kCode).vector, static_cast<int>(kDone));
  EXPECT_EQ(machine.reg(Gpr::kRax), 0x0123456789abcdef);
  EXPECT_EQ(machine.reg(Gpr::kRdx), 0xfedcba9876543210);
  EXPECT_EQ(machine.reg(Gpr::kR8), kJumps * kRounds);
}

// LOOP and JRCXZ have short forms only; their exits to another page are long.
TEST_P(HotCode, CountedLoopOverAPageBorder) {
  machine.enter_long();
  machine.put(kPageEnd - 8, assemble(kPageEnd - 8, [](Assembler& a) {
                Label again = a.newLabel(), end = a.newLabel();
                for (int n = 0; n < 6; ++n) a.nop();
                a.bind(again);
                a.inc(eax);  // the last two bytes of the page
                a.inc(edx);
                a.loop(again);
                a.jecxz(rcx, end);
                a.ud2();
                a.bind(end);
                a.int_(kDone);
              }));
  machine.reg(Gpr::kRax) = machine.reg(Gpr::kRdx) = 0;
  machine.reg(Gpr::kRcx) = kRounds;
  EXPECT_EQ(machine.run_at(kPageEnd - 8).vector, static_cast<int>(kDone));
  EXPECT_EQ(machine.reg(Gpr::kRax), kRounds);
  EXPECT_EQ(machine.reg(Gpr::kRdx), kRounds);
}

// A callee that returns elsewhere than to its caller, every third time.
TEST_P(HotCode, ReturnsThatWereNotExpected) {
  machine.enter_long();
  machine.put(kCode, assemble(kCode, [](Assembler& a) {
                Label again = a.newLabel(), elsewhere = a.newLabel(), callee = a.newLabel(),
                      plain = a.newLabel(), join = a.newLabel();
                a.bind(again);
                a.call(callee);
                a.inc(eax);
                a.jmp(join);
                a.bind(elsewhere);
                a.inc(edx);
                a.bind(join);
                a.dec(ecx);
                a.jnz(again);
                a.int_(kDone);
                a.bind(callee);
                a.dec(esi);
                a.jnz(plain);
                a.mov(esi, 3);
                a.lea(rdi, ptr(elsewhere));
                a.mov(qword_ptr(rsp), rdi);
                a.bind(plain);
                a.ret();
              }));
  machine.reg(Gpr::kRax) = machine.reg(Gpr::kRdx) = 0;
  machine.reg(Gpr::kRcx) = 3 * kRounds;
  machine.reg(Gpr::kRsi) = 3;
  EXPECT_EQ(machine.run_at(kCode).vector, static_cast<int>(kDone));
  EXPECT_EQ(machine.reg(Gpr::kRax), 2 * kRounds);
  EXPECT_EQ(machine.reg(Gpr::kRdx), kRounds);
}

// A return to the last address, which is canonical, where no return is expected: what an unused
// entry's tag would match.
TEST_P(HotCode, ReturnToTheLastAddress) {
  machine.enter_long();
  machine.put(kCode, assemble(kCode, [](Assembler& a) {
                a.push(-1);
                a.ret();
              }));
  EXPECT_EQ(machine.run_at(kCode).vector, 14);
  EXPECT_EQ(machine.state().cr2, ~std::uint64_t{0});
}

// Flags live on over look-ups and over a store to a device, whose stub keeps them where they wait.
TEST_P(HotCode, FlagsOutliveLookUps) {
  machine.enter_long();
  machine.put(kCode, assemble(kCode, [](Assembler& a) {
                Label again = a.newLabel();
                a.bind(again);
                a.mov(eax, 0x7fffffff);
                a.add(eax, eax);  // OF and SF, no CF
                a.mov(ptr(rbx), eax);
                a.mov(ptr(rdi, 4), eax);
                a.mov(edx, ptr(rbx));
                a.mov(ptr(rbp, 8), edx);
                a.seto(r8b);
                a.setc(r9b);
                a.movzx(r8d, r8b);
                a.movzx(r9d, r9b);
                a.add(r12d, r8d);
                a.add(r13d, r9d);
                a.dec(ecx);
                a.jnz(again);
                a.int_(kDone);
              }));
  machine.reg(Gpr::kRbx) = kData;
  machine.reg(Gpr::kRdi) = kDevice;
  machine.reg(Gpr::kRbp) = kData + 0x1000;
  machine.reg(Gpr::kRcx) = kRounds;
  machine.reg(Gpr::kR12) = machine.reg(Gpr::kR13) = 0;
  EXPECT_EQ(machine.run_at(kCode).vector, static_cast<int>(kDone));
  EXPECT_EQ(machine.reg(Gpr::kR12), kRounds);
  EXPECT_EQ(machine.reg(Gpr::kR13), 0u);
  EXPECT_EQ(machine.device.accesses.size(), kRounds);
}

// A base that steps by constants and an index serve several accesses with one look-up, or one
// delta.
TEST_P(HotCode, SteppedAndIndexedOperands) {
  machine.enter_long();
  machine.put(kCode, assemble(kCode, [](Assembler& a) {
                Label again = a.newLabel();
                a.bind(again);
                a.mov(rsi, rbx);
                a.mov(dword_ptr(rsi), 1);
                a.add(rsi, 8);
                a.mov(dword_ptr(rsi, 4), 2);
                a.lea(rsi, ptr(rsi, 16));
                a.mov(dword_ptr(rsi, -8), 3);
                a.sub(rsi, 24);
                a.mov(eax, ptr(rsi));
                a.add(eax, ptr(rsi, 12));
                a.add(eax, ptr(rsi, 16));
                a.mov(ptr(rbx, rdi, 2, 0x20), eax);
                a.inc(rdi);
                a.add(eax, ptr(rbx, rdi, 2, 0x1c));
                a.mov(ptr(rbx, rdi, 2, 0x38), eax);
                a.dec(rdi);
                a.dec(ecx);
                a.jnz(again);
                a.int_(kDone);
              }));
  for (const std::uint64_t base : {kData, kData + 0xff0, kData + 0xffc, kData + 0xfd0}) {
    machine.reg(Gpr::kRbx) = base;
    machine.reg(Gpr::kRdi) = 1;
    machine.reg(Gpr::kRcx) = kRounds;
    EXPECT_EQ(machine.run_at(kCode).vector, static_cast<int>(kDone));
    EXPECT_EQ(machine.reg(Gpr::kRax), 12u) << base;
    EXPECT_EQ(machine.reg(Gpr::kRsi), base) << base;
  }
}

// Flags that an instruction leaves undefined are what they are on the processor, also where a
// loop's head or a look-up could use them.
TEST_P(HotCode, UndefinedFlagsAreTheProcessors) {
  if (!__builtin_cpu_supports("lzcnt")) GTEST_SKIP() << "the host has no LZCNT";
  std::uint32_t value = 0x00800000, native = 0, result = 0;
  __asm__ volatile("movl $0x7fffffff, %%eax; addl $0x7fffffff, %%eax; lzcntl %2, %1; seto %b0"
                   : "+q"(native), "=r"(result)
                   : "m"(value)
                   : "eax", "cc");
  machine.enter_long();
  machine.put(kCode, assemble(kCode, [](Assembler& a) {
                Label head = a.newLabel(), done = a.newLabel();
                a.mov(eax, 0x7fffffff);
                a.add(eax, eax);  // OF
                a.bind(head);
                a.lzcnt(edx, dword_ptr(rbx));
                a.seto(r8b);
                a.movzx(r8d, r8b);
                a.add(r12d, r8d);
                a.lea(ecx, ptr(rcx, -1));
                a.jecxz(ecx, done);
                a.mov(eax, 0x7fffffff);
                a.add(eax, eax);
                a.jmp(head);
                a.bind(done);
                a.int_(kDone);
              }));
  machine.put(kData, {0, 0, 0x80, 0});
  machine.reg(Gpr::kRbx) = kData;
  machine.reg(Gpr::kRcx) = kRounds;
  machine.reg(Gpr::kR12) = 0;
  EXPECT_EQ(machine.run_at(kCode).vector, static_cast<int>(kDone));
  EXPECT_EQ(machine.reg(Gpr::kRdx), result);
  EXPECT_EQ(machine.reg(Gpr::kR12), native ? kRounds : 0);
}

// Every shape of operand: base, base and index, index alone, fixed address, RIP, over a page's end,
// through a register that lives in memory, and with the stack pointer.
TEST_P(HotCode, ShapesOfOperands) {
  machine.enter_long();
  machine.put(kCode, assemble(kCode, [](Assembler& a) {
                Label again = a.newLabel();
                a.xor_(eax, eax);
                a.mov(ecx, kRounds);
                a.bind(again);
                a.add(rax, qword_ptr(rbx));
                a.add(rax, qword_ptr(rbx, 8));
                a.add(rbx, 8);
                a.add(rax, qword_ptr(rbx, -8));
                a.sub(rbx, 8);
                a.add(rax, qword_ptr(rbx, rsi, 3, 16));
                a.add(rax, ptr(kData, rsi, 3, 8));
                a.add(rax, qword_ptr(rsi, kData));  // the "base" is a small number
                a.add(rax, qword_ptr(rbx, 0xffc));  // half in the next page
                a.mov(r10, rbx);
                a.add(rax, qword_ptr(r10, 8));
                a.mov(r15, qword_ptr(r10));
                a.add(rax, r15);
                a.push(rax);
                a.push(r11);
                a.add(qword_ptr(rsp, 8), 1);
                a.pop(r11);
                a.pop(rax);
                a.mov(qword_ptr(rbx, rsi, 0, 0x2000), rax);
                a.dec(ecx);
                a.jnz(again);
                a.int_(kDone);
              }));
  Bytes data(0x2000);
  const auto word = [&](std::size_t at) {
    std::uint64_t value;
    std::memcpy(&value, &data[at], 8);
    return value;
  };
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::uint8_t>(i * 7 + 3);
  machine.put(kData, data);
  machine.reg(Gpr::kRbx) = kData;
  machine.reg(Gpr::kRsi) = 5;
  EXPECT_EQ(machine.run_at(kCode).vector, static_cast<int>(kDone));
  const std::uint64_t each = word(0) + word(8) + word(0) + word(16 + 40) + word(40) + word(5) +
                             word(0xffc) + word(8) + word(0) + 1;
  EXPECT_EQ(machine.reg(Gpr::kRax), kRounds * each);
  EXPECT_EQ(machine.reg(Gpr::kRbx), kData);
  if (GetParam().options.memory == runtime::BtOptions::Memory::kWindows) {
    EXPECT_GT(machine.counter("window faults mended"), 0u);
    EXPECT_LT(machine.counter("window faults left"), 50u);
  }
}

// A page gets another frame while hot code reads and writes it.
TEST_P(HotCode, PageThatMoves) {
  constexpr std::uint64_t kOther = kData + 0x1000;
  machine.enter_long();
  machine.put(kCode, assemble(kCode, [](Assembler& a) {
                Label again = a.newLabel(), half = a.newLabel();
                a.mov(ecx, kRounds);
                a.bind(again);
                a.inc(dword_ptr(rbx));
                a.dec(ecx);
                a.jz(half);
                a.jmp(again);
                a.bind(half);
                a.dec(edx);
                a.mov(ecx, kRounds);
                a.mov(qword_ptr(rdi), rsi);
                a.invlpg(ptr(rbx));
                a.jnz(again);
                a.int_(kDone);
              }));
  machine.put(kData, Bytes(0x2000));
  machine.reg(Gpr::kRbx) = kData;
  machine.reg(Gpr::kRdx) = 2;
  machine.reg(Gpr::kRdi) = kPt + (kData >> 12) * 8;
  machine.reg(Gpr::kRsi) = kOther | 7;
  EXPECT_EQ(machine.run_at(kCode).vector, static_cast<int>(kDone));
  EXPECT_EQ(machine.memory->load<std::uint32_t>({kData}), kRounds);
  EXPECT_EQ(machine.memory->load<std::uint32_t>({kOther}), kRounds);
}

RS_FOR_ALL_SETTINGS(HotCode);

}  // namespace
}  // namespace ringshift::engine
