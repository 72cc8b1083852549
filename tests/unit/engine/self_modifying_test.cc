// tests/unit/engine/self_modifying_test.cc - stores into code: what runs next is what was stored,
// whichever way the store went; data beside code costs no translation.
#include "tests/unit/engine/guest_machine.h"

namespace ringshift::engine {
namespace {

using asmjit::Label;
using asmjit::x86::Assembler;
using guest::Gpr;
using namespace asmjit::x86;
using namespace place;

class SelfModifyingCode : public EngineTest {};

// MOV EAX, imm32 at `label` has its immediate one byte in.
TEST_P(SelfModifyingCode, NextInstructionOfTheSameBlock) {
  load_long([](Assembler& a) {
    Label next = a.newLabel();
    a.mov(byte_ptr(next, 1), 2);
    a.bind(next);
    a.mov(eax, 1);
    a.hlt();
  });
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(halted_itself(machine.run_at(kCode)));
    EXPECT_EQ(result(), 2u);
    machine.store<std::uint8_t>(kCode + 8, 1);  // from outside, as a device would
  }
}

TEST_P(SelfModifyingCode, EveryKindOfStoreIsSeenAtOnce) {
  using Write = void (*)(Assembler&, const Label&);
  const std::pair<const char*, Write> kinds[] = {
      {"mov32", [](Assembler& a, const Label& l) { a.mov(dword_ptr(l, 1), 7); }},
      {"mov8", [](Assembler& a, const Label& l) { a.mov(byte_ptr(l, 1), 7); }},
      {"unaligned16", [](Assembler& a, const Label& l) { a.mov(word_ptr(l, 1), 7); }},
      {"add", [](Assembler& a, const Label& l) { a.add(byte_ptr(l, 1), 6); }},
      {"lock xadd",
       [](Assembler& a, const Label& l) {
         a.mov(ecx, 6);
         a.lock().xadd(dword_ptr(l, 1), ecx);
       }},
      {"xchg",
       [](Assembler& a, const Label& l) {
         a.mov(ecx, 7);
         a.xchg(dword_ptr(l, 1), ecx);
       }},
      {"cmpxchg",
       [](Assembler& a, const Label& l) {
         a.mov(eax, 1);
         a.mov(ecx, 7);
         a.lock().cmpxchg(dword_ptr(l, 1), ecx);
       }},
      {"setcc",
       [](Assembler& a, const Label& l) {
         a.mov(byte_ptr(l, 1), 6);
         a.cmp(eax, eax);
         a.adc(byte_ptr(l, 1), 1);
       }},
      {"r11 base",
       [](Assembler& a, const Label& l) {
         a.lea(r11, ptr(l, 1));
         a.mov(r10d, 7);
         a.mov(ptr(r11), r10d);
       }},
      {"movups",
       [](Assembler& a, const Label& l) {
         a.movups(xmm0, ptr(l, 0));
         a.mov(ecx, 6 << 8);
         a.movd(xmm1, ecx);
         a.paddb(xmm0, xmm1);
         a.movups(ptr(l, 0), xmm0);
       }},
      {"movq",
       [](Assembler& a, const Label& l) {
         a.movq(xmm0, ptr(l, 0));
         a.mov(ecx, 6 << 8);
         a.movd(xmm1, ecx);
         a.paddb(xmm0, xmm1);
         a.movq(ptr(l, 0), xmm0);
       }},
      {"fistp",
       [](Assembler& a, const Label& l) {
         a.fninit();
         a.push(7);
         a.fild(dword_ptr(rsp));
         a.pop(rcx);
         a.fistp(dword_ptr(l, 1));
       }},
      {"stosb",
       [](Assembler& a, const Label& l) {
         a.lea(rdi, ptr(l, 1));
         a.mov(al, 7);
         a.stosb();
       }},
      {"rep stosb",
       [](Assembler& a, const Label& l) {
         a.lea(rdi, ptr(l, 1));
         a.mov(al, 7);
         a.mov(ecx, 1);
         a.rep().stosb();
       }},
      {"rep movsb",
       [](Assembler& a, const Label& l) {
         a.push(7);
         a.mov(rsi, rsp);
         a.lea(rdi, ptr(l, 1));
         a.mov(ecx, 4);
         a.rep().movsb();
         a.pop(rcx);
       }},
      {"push",
       [](Assembler& a, const Label& l) {
         a.mov(rcx, ptr(l, 0));
         a.add(rcx, 6 << 8);
         a.mov(rbx, rsp);
         a.lea(rsp, ptr(l, 8));
         a.push(rcx);
         a.mov(rsp, rbx);
       }},
      {"pop",
       [](Assembler& a, const Label& l) {
         a.mov(rcx, ptr(l, 0));
         a.add(rcx, 6 << 8);
         a.push(rcx);
         a.pop(qword_ptr(l, 0));
       }},
      {"bts",
       [](Assembler& a, const Label& l) {
         a.lea(rdi, ptr(l, 1));
         a.mov(ecx, 1);
         a.bts(dword_ptr(rdi), ecx);
         a.mov(ecx, 2);
         a.bts(dword_ptr(rdi), ecx);
       }},
      {"sgdt-free cmpxchg8b",
       [](Assembler& a, const Label& l) {
         a.mov(rsi, ptr(l, 0));
         a.mov(eax, esi);
         a.mov(rdx, rsi);
         a.shr(rdx, 32);
         a.mov(ecx, edx);
         a.lea(ebx, ptr(rsi, 6 << 8));
         a.cmpxchg8b(ptr(l, 0));
       }},
  };
  for (const auto& [name, write] : kinds) {
    SCOPED_TRACE(name);
    const auto body = write;
    for (bool warm : {false, true}) {
      load_long([&](Assembler& a) {
        Label target = a.newLabel();
        if (warm) {  // the target has run, as a block of its own, before it is written
          a.call(target);
        }
        body(a, target);
        a.call(target);
        a.hlt();
        a.align(asmjit::AlignMode::kCode, 64);
        a.bind(target);
        a.mov(eax, 1);
        a.ret();
        for (int i = 0; i < 32; ++i) a.nop();
      });
      ASSERT_TRUE(halted_itself(machine.run())) << warm;
      EXPECT_EQ(result(), 7u) << warm;
    }
  }
}

// The loop's own body is chained to itself when the store comes: the loop sees it in the same turn.
TEST_P(SelfModifyingCode, LoopBodyIsRewrittenWhileItRuns) {
  load_long([](Assembler& a) {
    Label loop = a.newLabel(), step = a.newLabel(), skip = a.newLabel();
    a.mov(ecx, 1000);
    a.xor_(eax, eax);
    a.bind(loop);
    a.bind(step);
    a.add(eax, 1);  // 83 C0 01
    a.cmp(ecx, 500);
    a.jne(skip);
    a.mov(byte_ptr(step, 2), 3);
    a.bind(skip);
    a.dec(ecx);
    a.jnz(loop);
    a.hlt();
  });
  ASSERT_TRUE(halted_itself(machine.run()));
  EXPECT_EQ(result(), 501u * 1 + 499u * 3);
}

// The pushed return address overwrites the immediate of the instruction that CALL goes to.
TEST_P(SelfModifyingCode, CallWhoseReturnAddressLandsInItsTarget) {
  load_long([](Assembler& a) {
    Label target = a.newLabel();
    a.lea(rsp, ptr(target, 10));
    a.call(target);
    a.bind(target);
    a.db(0x48);  // MOV RAX, imm64
    a.db(0xb8);
    a.dq(~0ull);
    a.hlt();
  });
  ASSERT_TRUE(halted_itself(machine.run()));
  EXPECT_EQ(result(), kCode + 12);
}

TEST_P(SelfModifyingCode, OtherBlockOfTheSamePage) {
  load_long([](Assembler& a) {
    Label f = a.newLabel(), g = a.newLabel();
    a.call(f);
    a.call(g);
    a.mov(ebx, eax);
    a.mov(byte_ptr(g, 1), 20);
    a.call(g);
    a.add(ebx, eax);
    a.call(f);
    a.add(ebx, eax);
    a.hlt();
    a.align(asmjit::AlignMode::kCode, 64);
    a.bind(f);
    a.mov(eax, 100);
    a.ret();
    a.align(asmjit::AlignMode::kCode, 64);
    a.bind(g);
    a.mov(eax, 10);
    a.ret();
  });
  ASSERT_TRUE(halted_itself(machine.run()));
  EXPECT_EQ(machine.reg(Gpr::kRbx), 130u);
}

// Two linear pages on one frame: the write goes through one, execution through the other.
TEST_P(SelfModifyingCode, AliasedPages) {
  static constexpr std::uint64_t kAlias = 0x180000;
  load_long([](Assembler& a) {
    a.mov(rbx, kAlias);
    a.mov(rdx, kCode + 0x1000);
    a.call(rdx);
    a.mov(esi, eax);
    a.mov(byte_ptr(rbx, 1), 9);  // writes the frame through the alias
    a.call(rdx);
    a.add(esi, eax);
    a.mov(byte_ptr(rdx, 1), 100);  // and executes through the alias
    a.call(rbx);
    a.add(esi, eax);
    a.hlt();
  });
  machine.map(kAlias, kCode + 0x1000);
  machine.put(kCode + 0x1000, {0xb8, 1, 0, 0, 0, 0xc3});
  ASSERT_TRUE(halted_itself(machine.run()));
  EXPECT_EQ(machine.reg(Gpr::kRsi), 1u + 9 + 100);
}

// MOV EAX, imm32 whose immediate lies on the next page.
TEST_P(SelfModifyingCode, TailOfAStraddlingInstruction) {
  load_long([](Assembler& a) {
    a.mov(rdx, kCode + 0x1fff);
    a.mov(rbx, kCode + 0x2000);
    a.call(rdx);
    a.mov(esi, eax);
    a.mov(dword_ptr(rbx), 50);
    a.call(rdx);
    a.add(esi, eax);
    a.mov(byte_ptr(rdx), 0xb9);  // MOV ECX now
    a.xor_(eax, eax);
    a.call(rdx);
    a.add(esi, eax);
    a.add(esi, ecx);
    a.hlt();
  });
  machine.put(kCode + 0x1fff, {0xb8, 3, 0, 0, 0, 0xc3});
  ASSERT_TRUE(halted_itself(machine.run()));
  EXPECT_EQ(machine.reg(Gpr::kRsi), 3u + 50 + 50);
}

TEST_P(SelfModifyingCode, StraddlingInstructionWhoseSecondPageIsRemapped) {
  load_long([](Assembler& a) {
    a.mov(rdx, kCode + 0x1fff);
    a.call(rdx);
    a.mov(esi, eax);
    a.mov(qword_ptr(rbp), rdi);  // the page table entry
    a.mov(rbx, kCode + 0x2000);
    a.invlpg(ptr(rbx));
    a.call(rdx);
    a.add(esi, eax);
    a.hlt();
  });
  machine.put(kCode + 0x1fff, {0xb8, 3, 0, 0, 0, 0xc3});
  machine.put(kData, {70, 0, 0, 0, 0xc3});
  machine.reg(Gpr::kRbp) = kPt + 8 * ((kCode + 0x2000) >> 12);
  machine.reg(Gpr::kRdi) = kData | 7;
  ASSERT_TRUE(halted_itself(machine.run()));
  EXPECT_EQ(machine.reg(Gpr::kRsi), 73u);
  machine.map(kCode + 0x2000, kCode + 0x2000);
}

TEST_P(SelfModifyingCode, StraddlingInstructionWhoseSecondPageIsAbsent) {
  machine.enter_long(3);
  machine.put(kCode + 0xffc, {0x90, 0x90, 0x90, 0xb8});
  machine.map(kCode + 0x1000, 0, 0);
  const Stop stop = machine.run_at(kCode + 0xffc);
  EXPECT_TRUE(faulted(stop, 14, kCode + 0xfff));
  EXPECT_EQ(machine.state().cr2, kCode + 0x1000);
  EXPECT_EQ(stop.error_code, 0x14u);  // user, instruction fetch (EFER.NXE is set)
}

// Remapped code: the new frame runs after INVLPG, after a CR3 load, and per PCID.
TEST_P(SelfModifyingCode, RemappedPageByInvlpgAndCr3) {
  for (bool by_cr3 : {false, true}) {
    load_long([&](Assembler& a) {
      a.mov(rdx, kCode + 0x3000);
      a.call(rdx);
      a.mov(esi, eax);
      a.mov(qword_ptr(rbp), rdi);
      if (by_cr3) {
        a.mov(rcx, cr3);
        a.mov(cr3, rcx);
      } else {
        a.invlpg(ptr(rdx));
      }
      a.call(rdx);
      a.add(esi, eax);
      a.hlt();
    });
    machine.map(kCode + 0x3000, kCode + 0x3000);
    machine.put(kCode + 0x3000, {0xb8, 1, 0, 0, 0, 0xc3});
    machine.put(kCode + 0x4000, {0xb8, 2, 0, 0, 0, 0xc3});
    machine.reg(Gpr::kRbp) = kPt + 8 * ((kCode + 0x3000) >> 12);
    machine.reg(Gpr::kRdi) = (kCode + 0x4000) | 7;
    ASSERT_TRUE(halted_itself(machine.run_at(kCode)));
    EXPECT_EQ(machine.reg(Gpr::kRsi), 3u) << by_cr3;
  }
}

TEST_P(SelfModifyingCode, AddressSpacesByPcid) {
  // A second tree of tables at kData in which the function's page leads elsewhere.
  constexpr std::uint64_t kOther = 0x240000;
  load_long([](Assembler& a) {
    a.mov(rdx, kCode + 0x3000);
    a.xor_(esi, esi);
    a.mov(ebx, 3);
    Label again = a.newLabel();
    a.bind(again);
    for (auto space : {r8, r9}) {
      a.mov(cr3, space);
      a.call(rdx);
      a.imul(esi, esi, 3);
      a.add(esi, eax);
    }
    a.dec(ebx);
    a.jnz(again);
    a.hlt();
  });
  if (!machine.model.has(guest::feature::kPcid)) GTEST_SKIP() << "the model offers no PCID";
  auto copy_page = [&](std::uint64_t from, std::uint64_t to) {
    for (unsigned i = 0; i < 512; ++i)
      machine.store(to + 8 * i, machine.load<std::uint64_t>(from + 8 * i));
  };
  copy_page(kPml4, kOther);
  copy_page(kPdpt, kOther + 0x1000);
  copy_page(kPd, kOther + 0x2000);
  copy_page(kPt, kOther + 0x3000);
  machine.store<std::uint64_t>(kOther, (kOther + 0x1000) | 7);
  machine.store<std::uint64_t>(kOther + 0x1000, (kOther + 0x2000) | 7);
  machine.store<std::uint64_t>(kOther + 0x2000, (kOther + 0x3000) | 7);
  machine.store<std::uint64_t>(kOther + 0x3000 + 8 * ((kCode + 0x3000) >> 12),
                               (kCode + 0x4000) | 7);
  machine.put(kCode + 0x3000, {0xb8, 1, 0, 0, 0, 0xc3});
  machine.put(kCode + 0x4000, {0xb8, 2, 0, 0, 0, 0xc3});
  machine.state().cr4 |= guest::cr4::kPcide;
  machine.vcpu->state_changed();
  constexpr std::uint64_t kKeep = 1ull << 63;
  machine.reg(Gpr::kR8) = kPml4 | 1 | kKeep;
  machine.reg(Gpr::kR9) = kOther | 2 | kKeep;
  ASSERT_TRUE(halted_itself(machine.run()));
  unsigned expected = 0;
  for (int i = 0; i < 3; ++i) expected = (expected * 3 + 1) * 3 + 2;
  EXPECT_EQ(machine.reg(Gpr::kRsi), expected);
}

// A counter on the page of its loop: the values are right, and no block is translated twice for it.
TEST_P(SelfModifyingCode, DataBesideCodeDoesNotThrash) {
  static constexpr unsigned kTurns = 20000;
  load_long([](Assembler& a) {
    Label loop = a.newLabel(), counter = a.newLabel();
    a.mov(ecx, kTurns);
    a.bind(loop);
    a.inc(dword_ptr(counter));
    a.mov(byte_ptr(counter, 4), cl);
    a.dec(ecx);
    a.jnz(loop);
    a.mov(eax, dword_ptr(counter));
    a.hlt();
    a.align(asmjit::AlignMode::kCode, 64);
    a.bind(counter);
    a.dq(0);
  });
  const std::uint64_t before = machine.counter("blocks translated");
  ASSERT_TRUE(halted_itself(machine.run()));
  EXPECT_EQ(result(), kTurns);
  if (GetParam().name != "TinyCache") {
    EXPECT_LT(machine.counter("blocks translated") - before, 20u);
  }
}

// 16-bit code without any segment tricks: the classic decoder loop that unpacks the code behind it.
TEST_P(SelfModifyingCode, RealModeDecryptor) {
  machine.enter_real();
  Bytes code = {0xbe, 0x20, 0x00,        // MOV SI, 20H
                0xb9, 0x06, 0x00,        // MOV CX, 6
                0x2e, 0x80, 0x34, 0x55,  // XOR BYTE CS:[SI], 55H
                0x46, 0xe2, 0xf9,        // INC SI; LOOP
                0xeb, 0x11};             // JMP 20H
  code.resize(0x20, 0x90);
  for (std::uint8_t b : {0xb8, 0x34, 0x12, 0x90, 0x90, 0xf4})
    code.push_back(static_cast<std::uint8_t>(b ^ 0x55));
  for (int i = 0; i < 2; ++i) {
    machine.put(kLow, code);
    ASSERT_TRUE(halted_itself(machine.run_at(0)));
    EXPECT_EQ(result() & 0xffff, 0x1234u);
  }
}

RS_FOR_ALL_SETTINGS(SelfModifyingCode);
RS_UNDER_KVM_TOO(SelfModifyingCode);

}  // namespace
}  // namespace ringshift::engine
