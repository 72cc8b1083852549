// tests/unit/engine/straddling_exit_test.cc - a direct branch to an instruction that straddles two
// pages: it may not be linked, is fast all the same, and follows a new mapping of the second page.
#include "tests/unit/engine/guest_machine.h"

namespace ringshift::engine {
namespace {

using asmjit::Label;
using asmjit::x86::Assembler;
using guest::Gpr;
using namespace asmjit::x86;
using namespace place;

constexpr std::uint64_t kStart = kCode + 0xe00, kBack = kCode + 0xe80, kStraddles = kCode + 0xffc,
                        kSecondPage = kCode + 0x1000, kOtherPage = kData;
constexpr int kRounds = 1000;

class StraddlingExit : public EngineTest {};

TEST_P(StraddlingExit, IsFastAndFollowsTheMapping) {
  machine.enter_long();
  Bytes straddling = assemble(kStraddles, [](Assembler& a) {
    a.mov(rax, 0x1000000000000001);
    a.add(rbx, rax);
    a.jmp(kBack);
  });
  machine.put(kStraddles, straddling);
  straddling[4] = 1;  // the third byte of the immediate, the first of the second page
  machine.put(kOtherPage, {straddling.begin() + 4, straddling.end()});
  machine.put(kStart, assemble(kStart, [](Assembler& a) { a.jmp(kStraddles); }));
  machine.put(kBack, assemble(kBack, [](Assembler& a) {
                Label end = a.newLabel();
                a.dec(r12d);
                a.jnz(kStart);
                a.test(r13d, r13d);
                a.jnz(end);
                a.inc(r13d);
                a.mov(qword_ptr(rdi), rsi);
                a.invlpg(ptr(rdx));
                a.mov(r12d, kRounds);
                a.jmp(kStart);
                a.bind(end);
                a.int_(kDone);
              }));
  machine.reg(Gpr::kRbx) = machine.reg(Gpr::kR13) = 0;
  machine.reg(Gpr::kR12) = kRounds;
  machine.reg(Gpr::kRdi) = kPt + (kSecondPage >> 12) * 8;
  machine.reg(Gpr::kRsi) = kOtherPage | 7;
  machine.reg(Gpr::kRdx) = kSecondPage;
  const std::uint64_t before = machine.counter("dispatches");
  const Stop stop = machine.run_at(kStart);
  EXPECT_EQ(stop.vector, static_cast<int>(kDone));
  const std::uint64_t first = 0x1000000000000001, second = first + (1u << 16);
  EXPECT_EQ(machine.reg(Gpr::kRbx), kRounds * first + kRounds * second);
  if (GetParam().options.chain) {
    EXPECT_LT(machine.counter("dispatches") - before, kRounds / 4u);
  }
}

RS_FOR_ALL_SETTINGS(StraddlingExit);

}  // namespace
}  // namespace ringshift::engine
