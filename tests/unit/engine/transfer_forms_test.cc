// tests/unit/engine/transfer_forms_test.cc - transfers between a kernel and its user: of two
// address spaces, in compatibility mode, of a 32-bit kernel; again and again, so that every
// shortcut is taken, and with what takes none.
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

using asmjit::imm;

class TransferForms : public SystemForms {};

// The 32-bit user at kCode, of the same 64-bit kernel.
class CompatibilityForms : public SystemForms {
 protected:
  template <typename User, typename Kernel>
  void load_compatibility_user_and_kernel(User&& user, Kernel&& kernel) {
    load_user_and_kernel([](Assembler& a) { a.nop(); }, std::forward<Kernel>(kernel));
    machine.put(kCode, assemble32(kCode, std::forward<User>(user)));
    auto& s = machine.state();
    s.msr.cstar = kEntry;
    s.msr.lstar = 0;
    for (const Seg seg : {Seg::kDs, Seg::kEs, Seg::kSs})
      s.segment(seg) = {select::kData32R3, 0xc0f3, 0xffffffff, 0};
    s.segment(Seg::kCs) = {select::kCode32R3, 0xc0fb, 0xffffffff, 0};
    machine.vcpu->state_changed();
  }
};

// SYSCALL from 32-bit code, and both ways back to it; the upper halves of RCX and RSP are lost.
TEST_P(CompatibilityForms, SystemCallAndReturn) {
  if (machine.model.vendor_is_intel()) GTEST_SKIP() << "SYSCALL is #UD there";
  for (const bool by_iret : {false, true}) {
    load_compatibility_user_and_kernel(
        [](Assembler& a) {
          Label again = a.newLabel();
          a.mov(ebp, 200);
          a.bind(again);
          a.cmp(ebp, 100);
          a.mov(ebx, esp);
          a.syscall();
          a.setb(al);
          a.movzx(eax, al);
          a.add(edi, eax);
          a.sub(ebx, esp);
          a.or_(edx, ebx);
          a.mov(eax, cs);
          a.or_(esi, eax);
          a.dec(ebp);
          a.jnz(again);
          a.int_(kDone);
        },
        [&](Assembler& a) {
          a.inc(r12);
          if (!by_iret) return a.sysret(), void();
          a.mov(r8, rsp);
          a.mov(rsp, static_cast<std::uint64_t>(kKernelStack));
          a.mov(r9, 0x1234500000000);
          a.or_(r8, r9);
          a.push(static_cast<int>(select::kData32R3));
          a.push(r8);
          a.push(r11);
          a.push(static_cast<int>(select::kCode32R3));
          a.push(rcx);
          a.iretq();
        });
    auto& s = machine.state();
    for (const Gpr g : {Gpr::kRdi, Gpr::kRsi, Gpr::kRdx, Gpr::kR12}) s.reg(g) = 0;
    s.reg(Gpr::kRsp) = kStack;
    const Stop stop = machine.run();
    expect_done(stop);
    EXPECT_EQ(s.reg(Gpr::kR12), 200u) << by_iret;
    EXPECT_EQ(s.reg(Gpr::kRdi), 99u) << by_iret;
    EXPECT_EQ(s.reg(Gpr::kRdx), 0u) << by_iret;
    EXPECT_EQ(s.reg(Gpr::kRsi), select::kCode32R3) << by_iret;
    EXPECT_EQ(stop.cs, select::kCode32R3) << by_iret;
    EXPECT_EQ(stop.rsp, kStack) << by_iret;
  }
}

// IRET to 32-bit code beyond its limit faults in the kernel, with nothing changed.
TEST_P(CompatibilityForms, InterruptReturnBeyondTheLimit) {
  load_compatibility_user_and_kernel([](Assembler& a) { a.nop(); },
                                     [](Assembler& a) {
                                       a.mov(rax, 0x100000000);
                                       a.push(static_cast<int>(select::kData32R3));
                                       a.push(rax);
                                       a.push(2);
                                       a.push(static_cast<int>(select::kCode32R3));
                                       a.push(rax);
                                       a.iretq();
                                     });
  machine.enter_long();
  const Stop stop = machine.run_at(kEntry);
  EXPECT_EQ(stop.vector, 13);
  EXPECT_EQ(stop.error_code, 0u);
  EXPECT_EQ(stop.cs, select::kCode64);
}

// Where SYSCALL leads, and whether it exists, is up to the MSRs as they are now.
TEST_P(TransferForms, SystemCallsFollowTheirRegisters) {
  constexpr std::uint64_t kOther = kEntry + 0x1000;
  constexpr unsigned kStar = 0xc0000081, kLstar = 0xc0000082, kEfer = 0xc0000080;
  load_user_and_kernel(
      [](Assembler& a) {
        Label again = a.newLabel();
        a.mov(r12d, 100);
        a.bind(again);
        a.syscall();
        a.dec(r12d);
        a.jnz(again);
        a.int_(kDone);
      },
      [](Assembler& a) {
        Label go = a.newLabel();
        a.inc(rbx);
        a.cmp(r12d, 40);
        a.jne(go);
        a.mov(r8, rcx);
        const auto write = [&](unsigned index, std::uint64_t value) {
          a.mov(ecx, index);
          a.mov(eax, static_cast<std::uint32_t>(value));
          a.mov(edx, static_cast<std::uint32_t>(value >> 32));
          a.wrmsr();
        };
        write(kLstar, kOther);
        write(kStar, std::uint64_t{0x53} << 48 | std::uint64_t{select::kCode32} << 32);
        a.mov(rcx, r8);
        a.bind(go);
        a.sysretq();
      });
  machine.put(kOther, assemble(kOther, [&](Assembler& a) {
                Label go = a.newLabel();
                a.inc(r13);
                a.mov(r9d, cs);
                a.cmp(r12d, 10);
                a.jne(go);
                a.mov(r8, rcx);
                a.mov(ecx, kEfer);
                a.rdmsr();
                a.and_(eax, ~1);
                a.wrmsr();
                a.mov(rcx, r8);
                a.xor_(eax, eax);
                a.push(0x2b);
                a.push(rsp);
                a.push(2);
                a.push(select::kCode64R3);
                a.push(rcx);
                a.iretq();
                a.bind(go);
                a.sysretq();
              }));
  machine.reg(Gpr::kRbx) = machine.reg(Gpr::kR13) = 0;
  const Stop stop = machine.run();
  EXPECT_EQ(stop.vector, 6);
  EXPECT_EQ(stop.rip, kCode + 6);
  EXPECT_EQ(stop.cs & 3, 3u);
  EXPECT_EQ(machine.reg(Gpr::kR12), 9u);
  EXPECT_EQ(machine.reg(Gpr::kRbx), 61u);
  EXPECT_EQ(machine.reg(Gpr::kR13), 30u);
  EXPECT_EQ(machine.reg(Gpr::kR9), select::kCode32);
}

// The kernel goes back to the user of another address space, whose page lies elsewhere.
TEST_P(TransferForms, SystemReturnToAnotherAddressSpace) {
  if (!machine.model.has(guest::feature::kPcid)) GTEST_SKIP() << "no PCIDs in the model";
  constexpr std::uint64_t kOtherTables = 0x18000, kNoFlush = std::uint64_t{1} << 63;
  load_user_and_kernel(
      [](Assembler& a) {
        Label again = a.newLabel();
        a.mov(r12d, 100);
        a.bind(again);
        a.syscall();
        a.add(r13, qword_ptr(rdi));
        a.dec(r12d);
        a.jnz(again);
        a.int_(kDone);
      },
      [](Assembler& a) {
        a.xchg(r14, rsi);
        a.mov(rdx, r14);
        a.mov(cr3, rdx);
        a.sysretq();
      });
  for (std::uint64_t offset = 0; offset < 0x5000; offset += 8)
    machine.store(kOtherTables + offset, machine.load<std::uint64_t>(kPml4 + offset));
  for (std::uint64_t level = 0; level < 3; ++level)
    machine.store(kOtherTables + level * 0x1000, (kOtherTables + (level + 1) * 0x1000) | 7);
  machine.store(kOtherTables + 0x2008, (kOtherTables + 0x4000) | 7);
  const std::uint64_t page_entry = kOtherTables + 0x3000 + (kData >> 12) * 8;
  machine.store(page_entry, (kData + 0x1000) | 7);
  machine.store<std::uint64_t>(kData, 1);
  machine.store<std::uint64_t>(kData + 0x1000, 100);
  auto& s = machine.state();
  s.cr4 |= guest::cr4::kPcide;
  s.reg(Gpr::kR14) = kPml4 | 1 | kNoFlush;
  s.reg(Gpr::kRsi) = kOtherTables | 2 | kNoFlush;
  s.reg(Gpr::kRdi) = kData;
  s.reg(Gpr::kR13) = 0;
  machine.vcpu->state_changed();
  expect_done(machine.run());
  EXPECT_EQ(s.reg(Gpr::kR13), 50u * 101);
}

// With SMAP, AC that SYSCALL leaves set opens the user's pages to the kernel; SYSRET of an image
// with AC and without.
TEST_P(TransferForms, AlignmentCheckFlagLivesThroughSystemCalls) {
  if (!machine.model.has(guest::feature::kSmap)) GTEST_SKIP() << "the host's processor has no SMAP";
  for (const bool masked : {false, true}) {
    load_user_and_kernel(
        [](Assembler& a) {
          Label again = a.newLabel();
          a.mov(r12d, 60);
          a.bind(again);
          a.push(static_cast<int>(flags::kFixed1 | flags::kAc));
          a.popfq();
          a.syscall();
          a.pushfq();
          a.pop(rax);
          a.and_(eax, static_cast<int>(flags::kAc));
          a.add(r13, rax);
          a.dec(r12d);
          a.jnz(again);
          a.int_(kDone);
        },
        [](Assembler& a) {
          a.test(r12d, 1);
          Label odd = a.newLabel();
          a.jnz(odd);
          a.and_(r11d, static_cast<int>(~flags::kAc));
          a.bind(odd);
          a.mov(r8, rsp);  // the fault's handler wants a stack that is the supervisor's
          a.mov(rsp, static_cast<std::uint64_t>(kKernelStack));
          a.add(rbx, qword_ptr(rdi));
          a.mov(rsp, r8);
          a.sysretq();
        });
    for (std::uint64_t page = 0; page < kRam; page += guest::kPageBytes) machine.map(page, page, 3);
    for (const std::uint64_t page : {kCode, kData, kStack - guest::kPageBytes})
      machine.map(page, page, 7);
    auto& s = machine.state();
    s.cr4 |= guest::cr4::kSmap;
    s.msr.sfmask = masked ? flags::kIf | flags::kAc : flags::kIf;
    s.reg(Gpr::kRdi) = kData;
    s.reg(Gpr::kR13) = s.reg(Gpr::kRbx) = 0;
    machine.vcpu->state_changed();
    machine.store<std::uint64_t>(kData, 1);
    const Stop stop = machine.run();
    EXPECT_EQ(stop.vector, masked ? 14 : static_cast<int>(kDone)) << masked;
    EXPECT_EQ(s.reg(Gpr::kRbx), masked ? 0u : 60u);
    EXPECT_EQ(s.reg(Gpr::kR13), masked ? 0u : 30 * flags::kAc);
  }
}

// What a 32-bit kernel does at each system call: SYSENTER with the user's segments, saved, loaded
// and restored, and SYSEXIT. FS changes its kind, the others only their selector or nothing.
class LegacyForms : public SystemForms {
 protected:
  template <typename User, typename Kernel>
  void load_legacy_user_and_kernel(User&& user, Kernel&& kernel) {
    load_protected(std::forward<User>(user), 3);
    machine.put(kEntry, assemble32(kEntry, std::forward<Kernel>(kernel)));
    auto& s = machine.state();
    s.msr.sysenter_cs = select::kCode32;
    s.msr.sysenter_eip = kEntry;
    s.msr.sysenter_esp = kKernelStack;
    machine.vcpu->state_changed();
  }
};

TEST_P(LegacyForms, SystemEnterAndExit) {
  load_legacy_user_and_kernel(
      [](Assembler& a) {
        Label again = a.newLabel(), back = a.newLabel();
        a.xor_(eax, eax);
        a.mov(fs, eax);
        a.mov(esi, 200);
        a.bind(again);
        a.mov(ecx, esp);
        a.call(back);
        a.bind(back);
        a.pop(edx);
        a.add(edx, 7);  // behind SYSENTER: POP 1, ADD 3, STC 1, SYSENTER 2
        a.stc();
        a.sysenter();
        a.adc(edi, 0);
        a.mov(eax, fs);
        a.or_(ebx, eax);
        a.dec(esi);
        a.jnz(again);
        a.int_(kDone);
      },
      [](Assembler& a) {
        a.push(ds);
        a.push(es);
        a.push(fs);
        a.mov(eax, imm(select::kData32R3));
        a.mov(ds, eax);
        a.mov(es, eax);
        a.mov(eax, imm(select::kData32));
        a.mov(fs, eax);
        a.inc(ebp);
        a.mov(eax, dword_ptr(esp));
        a.or_(ebx, eax);
        a.mov(fs, word_ptr(esp));
        a.add(esp, 4);
        a.pop(es);
        a.pop(ds);
        a.stc();
        a.sysexit();
      });
  auto& s = machine.state();
  for (const Gpr g : {Gpr::kRbx, Gpr::kRdi, Gpr::kRbp}) s.reg(g) = 0;
  const Stop stop = machine.run();
  expect_done(stop);
  EXPECT_EQ(s.reg(Gpr::kRbp), 200u);
  EXPECT_EQ(s.reg(Gpr::kRdi), 200u);
  EXPECT_EQ(s.reg(Gpr::kRbx), 0u) << "FS is null for the user and on the stack";
  EXPECT_EQ(stop.cs, 0x1bu);
  EXPECT_EQ(stop.ss, 0x23u);
  EXPECT_EQ(s.segment(Seg::kDs).selector, select::kData32R3);
}

// A reload asks the table each time: here DS's descriptor has gone.
TEST_P(LegacyForms, SegmentReloadsReadTheTable) {
  load_protected([](Assembler& a) {
    Label again = a.newLabel();
    a.mov(eax, imm(select::kData32));
    a.mov(ecx, imm(10));
    a.bind(again);
    a.mov(es, eax);
    a.push(es);
    a.pop(es);
    a.dec(ecx);
    a.jnz(again);
    a.mov(edx, imm(kGdt + select::kData32 + 5));
    a.and_(byte_ptr(edx), 0x7f);
    a.mov(es, eax);
  });
  Stop stop = machine.run();
  EXPECT_EQ(stop.vector, 11);
  EXPECT_EQ(stop.error_code, select::kData32);
  EXPECT_EQ(machine.reg(Gpr::kRcx), 0u);
}

// A segment whose kind changes at a load decides the very next access.
TEST_P(LegacyForms, SegmentLoadsCountAtOnce) {
  load_protected([](Assembler& a) {
    Label again = a.newLabel();
    a.mov(ecx, imm(20));
    a.bind(again);
    a.mov(eax, imm(select::kData32));
    a.mov(fs, eax);
    asmjit::x86::Mem word = dword_ptr(edi);
    word.setSegment(fs);
    a.add(ebx, word);
    a.xor_(eax, eax);
    a.mov(fs, eax);
    a.dec(ecx);
    a.jnz(again);
    a.add(ebx, word);
  });
  machine.reg(Gpr::kRdi) = kData;
  machine.reg(Gpr::kRbx) = 0;
  machine.store<std::uint32_t>(kData, 3);
  const Stop stop = machine.run();
  EXPECT_EQ(stop.vector, 13);
  EXPECT_EQ(machine.reg(Gpr::kRbx), 60u);
}

// IRETD within the kernel and to the user, with and without what the quick way takes.
TEST_P(LegacyForms, InterruptReturns) {
  for (const std::uint64_t image :
       {flags::kZf | flags::kFixed1, flags::kZf | flags::kFixed1 | flags::kAc,
        flags::kZf | flags::kFixed1 | flags::kRf}) {
    load_protected([&](Assembler& a) {
      Label again = a.newLabel(), inside = a.newLabel();
      a.mov(ecx, imm(50));
      a.bind(again);
      a.mov(edx, esp);
      a.push(imm(image));
      a.push(imm(select::kCode32));
      a.push(imm(0));
      a.lea(eax, ptr(inside));
      a.mov(dword_ptr(esp), eax);
      a.xor_(eax, eax);
      a.inc(eax);  // ZF clear
      a.iretd();
      a.bind(inside);
      a.setz(al);
      a.movzx(eax, al);
      a.add(ebx, eax);
      a.sub(edx, esp);
      a.or_(esi, edx);
      a.dec(ecx);
      a.jnz(again);
      a.push(imm(select::kData32R3));
      a.push(imm(kStack));
      a.push(imm(image));
      a.push(imm(select::kCode32R3));
      a.push(imm(kEntry));
      a.iretd();
    });
    machine.put(kEntry, assemble32(kEntry, [](Assembler& a) { a.int_(kDone); }));
    machine.reg(Gpr::kRbx) = machine.reg(Gpr::kRsi) = 0;
    const Stop stop = machine.run();
    expect_done(stop);
    EXPECT_EQ(machine.reg(Gpr::kRbx), 50u);
    EXPECT_EQ(machine.reg(Gpr::kRsi), 0u);
    EXPECT_EQ(stop.cs, select::kCode32R3);
    EXPECT_EQ(stop.rsp, kStack);
    EXPECT_EQ(stop.rflags & flags::kZf, flags::kZf);
  }
}

RS_FOR_ALL_SETTINGS(TransferForms);
RS_FOR_ALL_SETTINGS(CompatibilityForms);
RS_FOR_ALL_SETTINGS(LegacyForms);

}  // namespace
}  // namespace ringshift::engine
