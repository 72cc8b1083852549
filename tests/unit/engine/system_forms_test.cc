// tests/unit/engine/system_forms_test.cc - system instructions that blocks do themselves: what they
// compute, again and again in a loop so that every shortcut is taken, and that the unusual case
// still reaches the call-out.
#include "tests/unit/engine/system_forms.h"

namespace ringshift::engine {
namespace {

using asmjit::Label;
using asmjit::x86::Assembler;
using guest::Gpr;
using guest::Seg;
using namespace asmjit::x86;
using namespace place;
namespace flags = guest::flags;

constexpr std::uint64_t kArithmeticSets[] = {0, flags::kArithmetic, flags::kCf | flags::kZf,
                                             flags::kOf | flags::kPf, flags::kSf | flags::kAf};

// PUSHF after POPF of each image, without and with what POPF leaves to the call-out.
TEST_P(SystemForms, FlagsThroughTheStack) {
  const std::uint64_t others[] = {
      0,          flags::kIf,   flags::kDf, flags::kIf | flags::kDf, flags::kAc,
      flags::kId, flags::kIopl, flags::kNt, flags::kNt | flags::kIf};
  for (const bool wide : {true, false})
    for (const std::uint64_t other : others)
      for (const std::uint64_t arithmetic : kArithmeticSets) {
        const std::uint64_t image = other | arithmetic | flags::kFixed1;
        const auto body = [&](Assembler& a, const Gp& value, const Gp& result) {
          a.mov(value, image);
          a.push(value);
          wide ? a.popfq() : a.popfd();
          a.mov(ecx, 5);  // flags live on
          wide ? a.pushfq() : a.pushfd();
          a.pop(result);
          a.push(0x2);
          wide ? a.popfq() : a.popfd();
          a.int_(kDone);
        };
        if (wide)
          load_long([&](Assembler& a) { body(a, rax, rbx); });
        else
          load_protected([&](Assembler& a) { body(a, eax, ebx); });
        const Stop stop = machine.run();
        expect_done(stop);
        EXPECT_EQ(machine.reg(Gpr::kRbx), image) << std::hex << other << " " << arithmetic;
        EXPECT_EQ(stop.rflags & (flags::kArithmetic | flags::kIf | flags::kDf | flags::kNt), 0u);
      }
}

TEST_P(SystemForms, CliAndStiShowInTheImage) {
  load_long([](Assembler& a) {
    Label again = a.newLabel();
    a.mov(r12d, 100);
    a.bind(again);
    a.sti();
    a.pushfq();
    a.pop(rax);
    a.cli();
    a.pushfq();
    a.pop(rbx);
    a.shr(eax, 9);
    a.shr(ebx, 9);
    a.and_(eax, 1);
    a.and_(ebx, 1);
    a.add(r13, rax);
    a.add(r14, rbx);
    a.dec(r12d);
    a.jnz(again);
    a.int_(kDone);
  });
  machine.reg(Gpr::kR13) = machine.reg(Gpr::kR14) = 0;
  expect_done(machine.run());
  EXPECT_EQ(machine.reg(Gpr::kR13), 100u);
  EXPECT_EQ(machine.reg(Gpr::kR14), 0u);
}

// A block may end right behind the instruction in STI's shadow, and STI right before a page's end.
TEST_P(SystemForms, StiAtTheEndOfAPage) {
  const auto code = [](Assembler& a) {
    a.sti();
    a.inc(rax);
    a.inc(rbx);
    a.int_(kDone);
  };
  for (std::uint64_t start = kCode + 0xff8; start <= kCode + 0x1000; ++start) {
    machine.enter_long();
    machine.put(start, assemble(start, code));
    machine.reg(Gpr::kRax) = machine.reg(Gpr::kRbx) = 0;
    machine.board.assert_interrupt(0x30);
    machine.vcpu->request_interrupt();
    const Stop stop = machine.run_at(start);
    EXPECT_EQ(stop.vector, 0x30);
    EXPECT_EQ(machine.reg(Gpr::kRax), 1u);
    EXPECT_EQ(machine.reg(Gpr::kRbx), 0u);
  }
}

TEST_P(SystemForms, SwapgsAndControlRegisters) {
  load_long([](Assembler& a) {
    a.swapgs();
    a.mov(rax, cr0);
    a.mov(rbx, cr3);
    a.mov(r10, cr4);
    a.mov(r11, cr2);
    a.mov(r15d, ds);
    a.mov(si, ds);
    a.mov(word_ptr(rdi), ss);
    a.int_(kDone);
  });
  auto& s = machine.state();
  s.segment(Seg::kGs).base = 0x1111;
  s.msr.kernel_gs_base = 0x2222;
  s.cr2 = 0xfedcba9876543210;
  s.reg(Gpr::kR15) = s.reg(Gpr::kRsi) = ~0ull;
  s.reg(Gpr::kRdi) = kData;
  machine.store<std::uint64_t>(kData, ~0ull);
  expect_done(machine.run());
  EXPECT_EQ(s.segment(Seg::kGs).base, 0x2222u);
  EXPECT_EQ(s.msr.kernel_gs_base, 0x1111u);
  EXPECT_EQ(s.reg(Gpr::kRax), s.cr0);
  EXPECT_EQ(s.reg(Gpr::kRbx), s.cr3);
  EXPECT_EQ(s.reg(Gpr::kR10), s.cr4);
  EXPECT_EQ(s.reg(Gpr::kR11), s.cr2);
  EXPECT_EQ(s.reg(Gpr::kR15), s.segment(Seg::kDs).selector);
  EXPECT_EQ(s.reg(Gpr::kRsi), 0xffffffffffff0000 | s.segment(Seg::kDs).selector);
  EXPECT_EQ(machine.load<std::uint64_t>(kData), 0xffffffffffff0000 | s.segment(Seg::kSs).selector);
}

// The counter with the guest's offset; flags stay, upper halves are cleared.
TEST_P(SystemForms, TimeStampCounter) {
  for (const std::uint64_t arithmetic : kArithmeticSets)
    for (const unsigned cpl : {0u, 3u}) {
      load_long(
          [&](Assembler& a) {
            a.push(static_cast<int>(arithmetic | flags::kFixed1));
            a.popfq();
            a.mov(rax, -1);
            a.mov(rdx, -1);
            a.mov(rcx, -1);
            a.rdtsc();
            a.mov(rsi, rax);
            a.mov(rdi, rdx);
            a.rdtscp();
            a.int_(kDone);
          },
          cpl);
      auto& s = machine.state();
      s.msr.tsc_offset = 0x1234567800000000 - __builtin_ia32_rdtsc();
      s.msr.tsc_aux = 77;
      const Stop stop = machine.run();
      expect_done(stop);
      EXPECT_EQ(stop.rflags & flags::kArithmetic, arithmetic);
      const std::uint64_t first = s.reg(Gpr::kRsi) | s.reg(Gpr::kRdi) << 32;
      const std::uint64_t second = s.reg(Gpr::kRax) | s.reg(Gpr::kRdx) << 32;
      EXPECT_EQ(s.reg(Gpr::kRdi), 0x12345678u);
      EXPECT_GE(second, first);
      EXPECT_EQ(s.reg(Gpr::kRcx), 77u);
    }
}

TEST_P(SystemForms, TimeStampCounterMayBeForbidden) {
  load_long(
      [](Assembler& a) {
        a.push(static_cast<int>(flags::kArithmetic | flags::kFixed1));
        a.popfq();
        a.mov(rax, 0x123456789abcdef0);
        a.rdtsc();
      },
      3);
  machine.state().cr4 |= guest::cr4::kTsd;
  machine.vcpu->state_changed();
  const Stop stop = machine.run();
  EXPECT_EQ(stop.vector, 13);
  EXPECT_EQ(stop.rflags & flags::kArithmetic, flags::kArithmetic);
  EXPECT_EQ(machine.reg(Gpr::kRax), 0x123456789abcdef0u);
}

TEST_P(SystemForms, SystemCallAndReturn) {
  load_user_and_kernel(
      [](Assembler& a) {
        Label again = a.newLabel();
        a.mov(r12d, 200);
        a.bind(again);
        a.cmp(r12d, 100);  // flags must come back
        a.std();
        a.syscall();
        a.cld();
        a.setb(al);
        a.movzx(eax, al);
        a.add(r13, rax);
        a.dec(r12d);
        a.jnz(again);
        a.int_(kDone);
      },
      [](Assembler& a) {
        a.pushfq();
        a.pop(rdx);
        a.or_(r8, rdx);  // IF and DF are masked
        a.or_(r9, r11);  // and kept for the return
        a.mov(edx, cs);
        a.or_(rsi, rdx);
        a.mov(edx, ss);
        a.or_(rdi, rdx);
        a.xor_(edx, edx);
        a.inc(rbx);
        a.sysretq();
      });
  auto& s = machine.state();
  for (const Gpr g : {Gpr::kRbx, Gpr::kRsi, Gpr::kRdi, Gpr::kR8, Gpr::kR9, Gpr::kR13}) s.reg(g) = 0;
  const Stop stop = machine.run();
  expect_done(stop);
  EXPECT_EQ(s.reg(Gpr::kRbx), 200u);
  EXPECT_EQ(s.reg(Gpr::kR13), 99u);
  EXPECT_EQ(s.reg(Gpr::kR8) & (flags::kIf | flags::kDf), 0u);
  EXPECT_EQ(s.reg(Gpr::kR9) & (flags::kIf | flags::kDf), flags::kIf | flags::kDf);
  EXPECT_EQ(s.reg(Gpr::kRsi), select::kCode64);
  EXPECT_EQ(s.reg(Gpr::kRdi), select::kCode64 + 8u);
  EXPECT_EQ(stop.cs & 3, 3u);
  EXPECT_TRUE(stop.rflags & flags::kIf);
}

TEST_P(SystemForms, SystemCallsMayBeOff) {
  load_user_and_kernel([](Assembler& a) { a.syscall(); }, [](Assembler& a) { a.hlt(); });
  machine.state().msr.efer &= ~guest::efer::kSce;
  machine.vcpu->state_changed();
  const Stop stop = machine.run();
  EXPECT_EQ(stop.vector, 6);
  EXPECT_EQ(stop.rip, kCode);
}

// TF in R11: the step after SYSRET's first instruction.
TEST_P(SystemForms, SystemReturnIntoSingleSteps) {
  load_user_and_kernel(
      [](Assembler& a) {
        a.syscall();
        a.nop();
        a.int_(kDone);
      },
      [](Assembler& a) {
        a.or_(r11d, static_cast<int>(flags::kTf));
        a.sysretq();
      });
  const Stop stop = machine.run();
  EXPECT_EQ(stop.vector, 1);
  EXPECT_GE(stop.rip, kCode + 2);
  EXPECT_LE(stop.rip, kCode + 3);
}

// A request that the kernel meets with IF clear is taken on the way back, before the user goes on.
TEST_P(SystemForms, SystemReturnOpensTheWindow) {
  load_user_and_kernel(
      [](Assembler& a) {
        a.syscall();
        a.inc(rbx);
        a.int_(kDone);
      },
      [](Assembler& a) { a.sysretq(); });
  machine.state().rflags &= ~flags::kIf;
  machine.vcpu->state_changed();
  machine.put(kEntry, assemble(kEntry, [](Assembler& a) {
                a.or_(r11d, static_cast<int>(flags::kIf));
                a.sysretq();
              }));
  machine.reg(Gpr::kRbx) = 0;
  machine.board.assert_interrupt(0x30);
  machine.vcpu->request_interrupt();
  const Stop stop = machine.run();
  EXPECT_EQ(stop.vector, 0x30);
  EXPECT_EQ(stop.rip, kCode + 2);
  EXPECT_EQ(machine.reg(Gpr::kRbx), 0u);
}

// To the user and within the kernel, with RF in the image as a fault leaves it there.
TEST_P(SystemForms, InterruptReturns) {
  load_user_and_kernel(
      [](Assembler& a) {
        Label again = a.newLabel();
        a.mov(r12d, 100);
        a.bind(again);
        a.stc();
        a.syscall();
        a.adc(r13, 0);
        a.dec(r12d);
        a.jnz(again);
        a.int_(kDone);
      },
      [](Assembler& a) {
        Label inside = a.newLabel();
        a.mov(r8, rsp);
        a.mov(rsp, static_cast<std::uint64_t>(kKernelStack));
        a.push(static_cast<int>(select::kData32));
        a.push(static_cast<std::uint32_t>(kKernelStack) - 0x100);
        a.push(static_cast<int>(flags::kZf | flags::kFixed1 | flags::kRf));
        a.push(static_cast<int>(select::kCode64));
        a.lea(rax, ptr(inside));
        a.push(rax);
        a.iretq();
        a.bind(inside);
        a.setz(bl);
        a.movzx(ebx, bl);
        a.add(r9, rbx);
        a.push(static_cast<int>(select::kData32R3));
        a.push(r8);
        a.push(r11);
        a.push(static_cast<int>(select::kCode64R3));
        a.push(rcx);
        a.iretq();
      });
  auto& s = machine.state();
  s.reg(Gpr::kR9) = s.reg(Gpr::kR13) = 0;
  const std::uint64_t user_stack = s.reg(Gpr::kRsp);
  const Stop stop = machine.run();
  expect_done(stop);
  EXPECT_EQ(s.reg(Gpr::kR9), 100u);
  EXPECT_EQ(s.reg(Gpr::kR13), 100u);
  EXPECT_EQ(stop.cs, select::kCode64R3);
  EXPECT_EQ(stop.ss, select::kData32R3);
  EXPECT_EQ(stop.rsp, user_stack);
}

// A descriptor that changed between two IRETs counts at once.
TEST_P(SystemForms, InterruptReturnReadsTheTable) {
  load_user_and_kernel(
      [](Assembler& a) {
        a.syscall();
        a.syscall();
        a.int_(kDone);
      },
      [](Assembler& a) {
        a.mov(r8, rsp);
        a.mov(rsp, static_cast<std::uint64_t>(kKernelStack));
        a.push(static_cast<int>(select::kData32R3));
        a.push(r8);
        a.push(r11);
        a.push(static_cast<int>(select::kCode64R3));
        a.push(rcx);
        a.mov(rdx, static_cast<std::uint64_t>(kGdt + (select::kCode64R3 & ~7) + 5));
        a.inc(rbx);
        a.cmp(ebx, 2);
        Label go = a.newLabel();
        a.jne(go);
        a.and_(byte_ptr(rdx), 0x7f);  // not present
        a.bind(go);
        a.iretq();
      });
  machine.reg(Gpr::kRbx) = 0;
  const Stop stop = machine.run();
  EXPECT_EQ(stop.vector, 11);
  EXPECT_EQ(stop.error_code, select::kCode64R3 & ~3u);
  EXPECT_EQ(machine.reg(Gpr::kRbx), 2u);
}

// With SMAP a user's page is the supervisor's between STAC and CLAC only.
TEST_P(SystemForms, AlignmentCheckFlagOpensUserPages) {
  if (!machine.model.has(guest::feature::kSmap)) GTEST_SKIP() << "the host's processor has no SMAP";
  load_long([](Assembler& a) {
    Label again = a.newLabel();
    a.mov(r12d, 50);
    a.bind(again);
    a.stac();
    a.add(qword_ptr(rdi), 1);
    a.clac();
    a.dec(r12d);
    a.jnz(again);
    a.mov(rax, qword_ptr(rdi));
  });
  for (std::uint64_t page = 0; page < kRam; page += guest::kPageBytes) machine.map(page, page, 3);
  machine.map(kData, kData, 7);
  auto& s = machine.state();
  s.cr4 |= guest::cr4::kSmap;
  s.reg(Gpr::kRdi) = kData;
  machine.vcpu->state_changed();
  machine.store<std::uint64_t>(kData, 0);
  const Stop stop = machine.run();
  EXPECT_EQ(stop.vector, 14);
  EXPECT_EQ(s.cr2, kData);
  EXPECT_EQ(machine.load<std::uint64_t>(kData), 50u);
}

// A store may follow WRPKRU at once, in the same loop, and its page is open and shut by turns: what
// let it in before must not let it in once more.
TEST_P(SystemForms, ProtectionKeysCloseWhatWasOpen) {
  if (!machine.model.has(guest::feature::kPku)) GTEST_SKIP() << "no protection keys here";
  constexpr std::uint64_t kKey1 = std::uint64_t{1} << 59;
  constexpr unsigned kNoAccess1 = 4, kNoWrite1 = 8;
  for (const unsigned denied : {kNoAccess1, kNoWrite1}) {
    load_long(
        [&](Assembler& a) {
          const auto write_rights = [&a] { a.embed("\x0f\x01\xef", 3); };  // WRPKRU
          Label again = a.newLabel();
          a.mov(r12d, 50);
          a.bind(again);
          a.xor_(ecx, ecx);
          a.xor_(edx, edx);
          a.xor_(eax, eax);
          write_rights();
          a.add(qword_ptr(rdi), 1);
          a.mov(eax, kNoWrite1);
          write_rights();
          a.mov(r13, qword_ptr(rdi));
          a.dec(r12d);
          a.jnz(again);
          a.mov(eax, r14d);
          write_rights();
          a.cmp(r14d, kNoWrite1);
          Label write = a.newLabel();
          a.jz(write);
          a.mov(r13, qword_ptr(rdi));
          a.bind(write);
          a.add(qword_ptr(rdi), 1);
        },
        3);
    for (std::uint64_t page = 0; page < kRam; page += guest::kPageBytes) machine.map(page, page, 7);
    machine.map(kData, kData, 7 | kKey1);
    auto& s = machine.state();
    s.cr4 |= guest::cr4::kPke;
    s.reg(Gpr::kRdi) = kData;
    s.reg(Gpr::kR14) = denied;
    machine.vcpu->state_changed();
    machine.store<std::uint64_t>(kData, 0);
    const Stop stop = machine.run();
    EXPECT_EQ(stop.vector, 14);
    EXPECT_EQ(stop.error_code, 0x25u | (denied == kNoWrite1 ? 2u : 0u));
    EXPECT_EQ(s.cr2, kData);
    EXPECT_EQ(machine.load<std::uint64_t>(kData), 50u);
    EXPECT_EQ(machine.reg(Gpr::kR13), 50u);
  }
}

// VERR and VERW of each selector, from memory and from a register: only ZF changes, and a
// descriptor that changes counts at once.
TEST_P(SystemForms, VerifiesSegments) {
  struct Case {
    unsigned selector;
    bool readable, writable, user_readable, user_writable;
  };
  const Case cases[] = {{0, false, false, false, false},
                        {select::kCode64, true, false, false, false},
                        {select::kData32, true, true, false, false},
                        {select::kData32R3, true, true, true, true},
                        {select::kData32 | 3, false, false, false, false},
                        {select::kCode64R3, true, false, true, false},
                        {select::kTss64, false, false, false, false},
                        {0xfff8, false, false, false, false}};
  for (const Case& c : cases)
    for (const unsigned cpl : {0u, 3u}) {
      load_long(
          [&](Assembler& a) {
            Label again = a.newLabel();
            a.mov(r12d, 20);
            a.xor_(esi, esi);
            a.bind(again);
            a.mov(word_ptr(rdi), static_cast<int>(c.selector));
            a.mov(r15d, c.selector);
            const auto note = [&](const Gp& bit) {
              a.setz(bit.r8());
              a.movzx(bit, bit.r8());
              a.lea(esi, ptr(rsi, rsi));
              a.lea(esi, ptr(rsi, bit.r64()));
            };
            a.xor_(esi, esi);
            a.verr(word_ptr(rdi));
            note(eax);
            a.verr(r15w);
            note(ebx);
            a.verw(word_ptr(rdi));
            note(ecx);
            a.verw(r15w);
            note(edx);
            a.dec(r12d);
            a.jnz(again);
            a.int_(kDone);
          },
          cpl);
      machine.reg(Gpr::kRdi) = kData;
      expect_done(machine.run());
      const unsigned r = cpl == 3 ? c.user_readable : c.readable;
      const unsigned w = cpl == 3 ? c.user_writable : c.writable;
      EXPECT_EQ(machine.reg(Gpr::kRsi), r << 3 | r << 2 | w << 1 | w) << c.selector << " " << cpl;
    }
}

TEST_P(SystemForms, VerifyKeepsOtherFlagsAndReadsTheTable) {
  for (const std::uint64_t arithmetic : kArithmeticSets) {
    load_long([&](Assembler& a) {
      a.mov(rax, static_cast<std::uint64_t>(kGdt + select::kData32 + 5));
      for (const bool writable : {true, false}) {
        a.mov(byte_ptr(rax), writable ? 0x93 : 0x91);
        a.push(static_cast<int>(arithmetic | flags::kFixed1));
        a.popfq();
        a.verw(word_ptr(rdi));
        a.pushfq();
        a.pop(writable ? rbx : rcx);
      }
      a.mov(byte_ptr(rax), 0x93);
      a.int_(kDone);
    });
    machine.reg(Gpr::kRdi) = kData;
    machine.store<std::uint16_t>(kData, select::kData32);
    expect_done(machine.run());
    EXPECT_EQ(machine.reg(Gpr::kRbx), arithmetic | flags::kFixed1 | flags::kZf);
    EXPECT_EQ(machine.reg(Gpr::kRcx), (arithmetic | flags::kFixed1) & ~flags::kZf);
  }
}

TEST_P(SystemForms, VerifyFaultsOnItsOperand) {
  load_long([](Assembler& a) {
    a.nop();
    a.verw(word_ptr(rdi));
  });
  machine.map(kData, kData, 0);
  machine.reg(Gpr::kRdi) = kData;
  machine.vcpu->state_changed();
  const Stop stop = machine.run();
  EXPECT_EQ(stop.vector, 14);
  EXPECT_EQ(stop.rip, kCode + 1);
  EXPECT_EQ(machine.state().cr2, kData);
}

// An interrupt that waits is no business of an IRET that leaves IF clear.
TEST_P(SystemForms, InterruptReturnLeavesAMaskedInterruptWaiting) {
  load_long([](Assembler& a) {
    Label inside = a.newLabel();
    Label open = a.newLabel();
    const auto return_to = [&](const Label& where, std::uint64_t image) {
      a.mov(r8, rsp);
      a.push(static_cast<int>(select::kData32));
      a.push(r8);
      a.push(static_cast<int>(image));
      a.push(static_cast<int>(select::kCode64));
      a.lea(rax, ptr(where));
      a.push(rax);
      a.iretq();
    };
    return_to(inside, flags::kFixed1);
    a.bind(inside);
    a.inc(rbx);
    return_to(open, flags::kFixed1 | flags::kIf);
    a.bind(open);
    a.inc(rcx);
    a.int_(kDone);
  });
  machine.reg(Gpr::kRbx) = machine.reg(Gpr::kRcx) = 0;
  machine.board.assert_interrupt(0x30);
  machine.vcpu->request_interrupt();
  const Stop stop = machine.run();
  EXPECT_EQ(stop.vector, 0x30);
  EXPECT_EQ(machine.reg(Gpr::kRbx), 1u);
  EXPECT_EQ(machine.reg(Gpr::kRcx), 0u);
}

RS_FOR_ALL_SETTINGS(SystemForms);
RS_UNDER_KVM_TOO(SystemForms);

}  // namespace
}  // namespace ringshift::engine
