// tests/unit/engine/cache_capacity_test.cc - a code cache that overflows, and two machines in one
// process: neither shows in what the guest computes.
#include <thread>

#include "tests/unit/engine/guest_machine.h"

namespace ringshift::engine {
namespace {

using asmjit::Label;
using asmjit::x86::Assembler;
using guest::Gpr;
using namespace asmjit::x86;
using namespace place;

constexpr unsigned kFunctions = 6000;
constexpr std::uint64_t kFunctionBytes = 64, kTable = 0x340000;

// Function n: EAX = EAX * 3 + n, over a few blocks.
void write_functions(GuestMachine& machine) {
  Bytes all;
  for (unsigned n = 0; n < kFunctions; ++n) {
    Bytes one = assemble(kTable + n * kFunctionBytes, [&](Assembler& a) {
      Label skip = a.newLabel();
      a.lea(eax, ptr(rax, rax, 1));
      a.test(al, 1);
      a.jz(skip);
      a.nop();
      a.bind(skip);
      a.add(eax, n);
      a.mov(ptr(rsp, -64), rax);
      a.mov(rax, ptr(rsp, -64));
      a.ret();
    });
    one.resize(kFunctionBytes, 0xcc);
    all.insert(all.end(), one.begin(), one.end());
  }
  machine.put(kTable, all);
  machine.put(kCode, assemble(kCode, [](Assembler& a) {
                Label loop = a.newLabel(), again = a.newLabel();
                a.mov(ebp, 2);
                a.bind(again);
                a.mov(rbx, kTable);
                a.mov(ecx, kFunctions);
                a.bind(loop);
                a.call(rbx);
                a.add(rbx, kFunctionBytes);
                a.dec(ecx);
                a.jnz(loop);
                a.dec(ebp);
                a.jnz(again);
                a.hlt();
              }));
}

std::uint32_t expected_value() {
  std::uint32_t v = 1;
  for (int turn = 0; turn < 2; ++turn)
    for (unsigned n = 0; n < kFunctions; ++n) v = v * 3 + n;
  return v;
}

runtime::BtOptions with_cache(std::size_t bytes) {
  runtime::BtOptions options;
  options.cache_bytes = bytes;
  return options;
}

TEST(CacheCapacity, CodeLargerThanTheCache) {
  GuestMachine machine(with_cache(1 << 20));
  machine.enter_long();
  write_functions(machine);
  machine.reg(Gpr::kRax) = 1;
  ASSERT_TRUE(halted_itself(machine.run()));
  EXPECT_EQ(static_cast<std::uint32_t>(machine.reg(Gpr::kRax)), expected_value());
  EXPECT_GE(machine.counter("cache flushes"), 1u);
}

// A program that keeps rewriting its code fills the cache with dead blocks.
TEST(CacheCapacity, DeadBlocksFillTheCache) {
  GuestMachine machine(with_cache(512 << 10));
  machine.enter_long();
  machine.put(kCode, assemble(kCode, [](Assembler& a) {
                Label loop = a.newLabel();
                a.mov(rbx, kCode + 0x1000);
                a.mov(ecx, 20000);
                a.xor_(esi, esi);
                a.bind(loop);
                a.mov(ptr(rbx, 1), ecx);
                a.call(rbx);
                a.add(rsi, rax);
                a.dec(ecx);
                a.jnz(loop);
                a.hlt();
              }));
  machine.put(kCode + 0x1000, {0xb8, 0, 0, 0, 0, 0xc3});
  ASSERT_TRUE(halted_itself(machine.run()));
  EXPECT_EQ(machine.reg(Gpr::kRsi), 20000ull * 20001 / 2);
  EXPECT_GE(machine.counter("cache flushes"), 1u);
}

// SIMD and x87 state live in the host's registers: flushing and translating must not disturb them.
TEST(CacheCapacity, SimdStateSurvivesFlushes) {
  GuestMachine machine(with_cache(288 << 10));
  machine.enter_long();
  write_functions(machine);
  Bytes code = assemble(kCode, [](Assembler& a) {
    Label loop = a.newLabel();
    a.mov(rax, 0x1111222233334444);
    a.movq(xmm0, rax);
    a.pshufd(xmm15, xmm0, 0x4e);
    a.fninit();
    a.fldpi();
    a.mov(rbx, kTable);
    a.mov(ecx, 1000);
    a.bind(loop);
    a.call(rbx);
    a.add(rbx, kFunctionBytes);
    a.dec(ecx);
    a.jnz(loop);
    a.movq(rdx, xmm0);
    a.pshufd(xmm1, xmm15, 0x4e);
    a.movq(rsi, xmm1);
    a.fldpi();
    a.fucompp();
    a.fnstsw(ax);
    a.hlt();
  });
  machine.put(kCode, code);
  ASSERT_TRUE(halted_itself(machine.run()));
  EXPECT_EQ(machine.reg(Gpr::kRdx), 0x1111222233334444u);
  EXPECT_EQ(machine.reg(Gpr::kRsi), 0x1111222233334444u);
  EXPECT_EQ(machine.reg(Gpr::kRax) & 0x4500, 0x4000u);  // equal
}

// Two machines, each on its own thread, with different code at the same addresses.
TEST(TwoMachines, RunAtOnceAndUndisturbed) {
  auto compute = [](unsigned seed, std::uint32_t& result) {
    GuestMachine machine(with_cache(1 << 20));
    machine.enter_long();
    write_functions(machine);
    for (int i = 0; i < 5; ++i) {
      machine.enter_long();
      machine.reg(Gpr::kRax) = seed;
      if (!halted_itself(machine.run())) return;
      seed = static_cast<std::uint32_t>(machine.reg(Gpr::kRax));
    }
    result = seed;
  };
  std::uint32_t alone[2] = {}, together[2] = {};
  compute(1, alone[0]);
  compute(12345, alone[1]);
  std::thread other(compute, 12345, std::ref(together[1]));
  compute(1, together[0]);
  other.join();
  EXPECT_NE(alone[0], 0u);
  EXPECT_EQ(together[0], alone[0]);
  EXPECT_EQ(together[1], alone[1]);
}

// Faults by host signals must find their own machine.
TEST(TwoMachines, HostFaultsFindTheirMachine) {
  auto divide = [](int& count) {
    GuestMachine machine(with_cache(1 << 20));
    for (int i = 0; i < 200; ++i) {
      machine.enter_long(3);
      machine.put(kCode, {0x31, 0xc9, 0xf7, 0xf1});  // XOR ECX, ECX; DIV ECX
      if (faulted(machine.run(), 0, kCode + 2)) ++count;
    }
  };
  int counts[2] = {};
  std::thread other(divide, std::ref(counts[1]));
  divide(counts[0]);
  other.join();
  EXPECT_EQ(counts[0], 200);
  EXPECT_EQ(counts[1], 200);
}

// Two vCPUs of two machines on one thread, in turns.
TEST(TwoMachines, TakeTurnsOnOneThread) {
  GuestMachine a(with_cache(1 << 20)), b(with_cache(1 << 20));
  for (GuestMachine* m : {&a, &b}) {
    m->enter_long();
    m->put(kCode, assemble(kCode, [&](Assembler& x) {
             Label loop = x.newLabel();
             x.bind(loop);
             x.add(rax, m == &a ? 1 : 10);
             x.paddd(xmm0, xmm0);
             x.hlt();
             x.jmp(loop);
           }));
    m->reg(Gpr::kRax) = 0;
  }
  for (int i = 0; i < 50; ++i) {
    a.run();
    b.run();
  }
  EXPECT_EQ(a.reg(Gpr::kRax), 50u);
  EXPECT_EQ(b.reg(Gpr::kRax), 500u);
}

}  // namespace
}  // namespace ringshift::engine
