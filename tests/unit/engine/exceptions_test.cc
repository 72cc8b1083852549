// tests/unit/engine/exceptions_test.cc - exceptions in the middle of translated code: the guest's
// registers, flags, RIP, CR2, error code and memory are those of the faulting instruction's start.
#include "tests/unit/engine/guest_machine.h"

namespace ringshift::engine {
namespace {

using asmjit::Label;
using asmjit::x86::Assembler;
using guest::Gpr;
using namespace asmjit::x86;
using namespace place;
namespace flags = guest::flags;

constexpr std::uint64_t kAbsent = 0x280000, kReadOnly = 0x282000;
constexpr std::uint64_t kUserWrite = 6, kUserRead = 4, kPresent = 1;

class PreciseException : public EngineTest {
 protected:
  PreciseException() {
    machine.map(kAbsent, 0, 0);
    machine.map(kReadOnly, kReadOnly, 5);
  }
  std::uint64_t gpr(Gpr r) { return machine.reg(r); }
};

// Every register and flag that the block computed before the fault is there, and nothing after it.
TEST_P(PreciseException, PageFaultInTheMiddleOfABlock) {
  std::uint64_t fault_at = 0;
  load_long(
      [&](Assembler& a) {
        a.mov(rbx, kAbsent + 0x123);
        a.mov(r10, 0x1010);
        a.mov(r11, 0x1111);
        a.mov(r15, 0x1515);
        a.mov(rsp, 0x30f000);
        a.mov(eax, -1);
        a.std();
        a.add(eax, 1);  // CF ZF PF AF
        fault_at = kCode + a.offset();
        a.mov(rcx, ptr(rbx));
        a.mov(r10, 2);
        a.mov(rbx, 3);
        a.int_(kDone);
      },
      3);
  for (bool warm : {false, true}) {
    machine.state().rflags = flags::kFixed1;
    machine.reg(Gpr::kRcx) = 0x77;
    const Stop stop = machine.run();
    EXPECT_TRUE(faulted(stop, 14, fault_at)) << warm;
    EXPECT_EQ(stop.error_code, kUserRead);
    EXPECT_EQ(machine.state().cr2, kAbsent + 0x123);
    EXPECT_EQ(stop.rsp, 0x30f000u);
    EXPECT_EQ(stop.rflags & (flags::kArithmetic | flags::kDf),
              flags::kCf | flags::kZf | flags::kPf | flags::kAf | flags::kDf);
    EXPECT_EQ(gpr(Gpr::kRbx), kAbsent + 0x123);
    EXPECT_EQ(gpr(Gpr::kRcx), 0x77u);
    EXPECT_EQ(gpr(Gpr::kR10), 0x1010u);
    EXPECT_EQ(gpr(Gpr::kR11), 0x1111u);
    EXPECT_EQ(gpr(Gpr::kR15), 0x1515u);
    machine.enter_long(3);
  }
}

struct FaultCase {
  const char* name;
  void (*code)(Assembler&);
  unsigned vector;
  std::uint64_t error_code = 0;
};

// RBX: misaligned data; RBP: a page that is absent; RSI: read-only; ECX: 0.
const FaultCase kFaults[] = {
    {"div by zero", [](Assembler& a) { a.div(ecx); }, 0},
    {"idiv overflow", [](Assembler& a) { a.idiv(dword_ptr(rdi)); }, 0},
    {"div r15",
     [](Assembler& a) {
       a.xor_(r15d, r15d);
       a.div(r15);
     },
     0},
    {"div r10b",
     [](Assembler& a) {
       a.xor_(r10d, r10d);
       a.div(r10b);
     },
     0},
    {"ud2", [](Assembler& a) { a.ud2(); }, 6},
    {"movaps misaligned", [](Assembler& a) { a.movaps(xmm0, ptr(rbx)); }, 13},
    {"movaps misaligned store", [](Assembler& a) { a.movaps(ptr(rbx), xmm0); }, 13},
    {"paddb misaligned", [](Assembler& a) { a.paddb(xmm0, ptr(rbx)); }, 13},
    {"movaps misaligned and absent", [](Assembler& a) { a.movaps(xmm0, ptr(rbp, 1)); }, 13},
    {"movaps misaligned and read-only", [](Assembler& a) { a.movaps(ptr(rsi, 1), xmm0); }, 13},
    {"movntdq misaligned and absent", [](Assembler& a) { a.movntdq(ptr(rbp, 8), xmm0); }, 13},
    {"addps misaligned, into an absent page", [](Assembler& a) { a.addps(xmm0, ptr(rbp, -8)); },
     13},
    {"cmpxchg16b misaligned and absent", [](Assembler& a) { a.cmpxchg16b(ptr(rbp, 8)); }, 13},
    {"movaps aligned and absent", [](Assembler& a) { a.movaps(xmm0, ptr(rbp)); }, 14, kUserRead},
    {"movups misaligned and absent", [](Assembler& a) { a.movups(xmm0, ptr(rbp, 1)); }, 14,
     kUserRead},
    {"not canonical",
     [](Assembler& a) {
       a.mov(r8, 1ull << 62);
       a.mov(eax, ptr(r8));
     },
     13},
    {"not canonical store",
     [](Assembler& a) {
       a.mov(r8, 1ull << 62);
       a.mov(ptr(r8), eax);
     },
     13},
    {"not canonical stack",
     [](Assembler& a) {
       a.mov(rsp, 1ull << 62);
       a.push(rax);
     },
     12},
    {"load round the end of memory",
     [](Assembler& a) {
       a.mov(r8, -1);
       a.mov(eax, ptr(r8));
     },
     14, kUserRead},
    {"store round the end of memory",
     [](Assembler& a) {
       a.mov(r8, -1);
       a.mov(ptr(r8), eax);
     },
     14, kUserWrite},
    {"load absent", [](Assembler& a) { a.mov(eax, ptr(rbp)); }, 14, kUserRead},
    {"store absent", [](Assembler& a) { a.mov(ptr(rbp), eax); }, 14, kUserWrite},
    {"store read-only", [](Assembler& a) { a.mov(ptr(rsi), eax); }, 14, kUserWrite | kPresent},
    {"add to read-only", [](Assembler& a) { a.add(dword_ptr(rsi), 1); }, 14, kUserWrite | kPresent},
    {"xchg absent", [](Assembler& a) { a.xchg(ptr(rbp), eax); }, 14, kUserWrite},
    {"movups absent", [](Assembler& a) { a.movups(ptr(rbp), xmm3); }, 14, kUserWrite},
    {"fld absent", [](Assembler& a) { a.fld(qword_ptr(rbp)); }, 14, kUserRead},
    {"simd error",
     [](Assembler& a) {
       a.push(0);
       a.ldmxcsr(ptr(rsp));
       a.xorps(xmm0, xmm0);
       a.divss(xmm0, xmm0);
     },
     19},
    {"cli", [](Assembler& a) { a.cli(); }, 13},
    {"hlt", [](Assembler& a) { a.hlt(); }, 13},
};

// The fault comes once with the translation new and the TLB empty, and again with both warm.
TEST_P(PreciseException, VectorErrorCodeAndRip) {
  for (const FaultCase& c : kFaults) {
    SCOPED_TRACE(c.name);
    std::uint64_t last = 0;
    load_long(
        [&](Assembler& a) {
          a.mov(rbx, kData + 1);
          a.mov(rbp, kAbsent);
          a.mov(rsi, kReadOnly);
          a.mov(rdi, kData + 0x100);
          a.xor_(ecx, ecx);
          a.mov(eax, ptr(rdi));
          a.mov(r14, rsp);
          c.code(a);
          last = kCode + a.offset();
          a.mov(r14d, 0);
          a.int_(kDone);
        },
        3);
    machine.store<std::uint64_t>(kData + 0x100, 0);
    for (int i = 0; i < 3; ++i) {
      const Stop stop = machine.run_at(kCode);
      EXPECT_EQ(stop.vector, static_cast<int>(c.vector));
      EXPECT_EQ(stop.error_code, c.error_code);
      EXPECT_LT(stop.rip, last);
      EXPECT_GT(stop.rip, last - 12);
      EXPECT_NE(gpr(Gpr::kR14), 0u);
      const auto registers = machine.state().gpr;
      machine.enter_long(3);
      machine.state().gpr = registers;
      machine.reg(Gpr::kRsp) = kStack;
    }
  }
}

// An access from the first page into the second meets a TLB that has seen neither.
TEST_P(PreciseException, FirstPageIntoTheSecondWithAnEmptyTlb) {
  load_long([](Assembler& a) {
    a.mov(ebx, 0xffe);
    a.mov(eax, ptr(rbx));
    a.hlt();
  });
  machine.store<std::uint32_t>(0xffe, 0x12345678);
  ASSERT_TRUE(halted_itself(machine.run()));
  EXPECT_EQ(result(), 0x12345678u);
}

// x87 reports at the next waiting instruction.
TEST_P(PreciseException, X87ErrorIsReportedByTheNextWaitingInstruction) {
  std::uint64_t at = 0;
  load_long(
      [&](Assembler& a) {
        a.fninit();
        a.push(0x37a);  // division by zero and invalid unmasked
        a.fldcw(ptr(rsp));
        a.fld1();
        a.fldz();
        a.fdivp();
        a.mov(ebx, 5);
        at = kCode + a.offset();
        a.db(0x9b);  // FWAIT
        a.mov(ebx, 6);
        a.int_(kDone);
      },
      3);
  EXPECT_TRUE(faulted(machine.run(), 16, at));
  EXPECT_EQ(gpr(Gpr::kRbx), 5u);
}

// And by one with an operand before that is looked at; not by FNSTCW, which does not wait.
TEST_P(PreciseException, X87ErrorComesBeforeThePageFault) {
  struct Case {
    const char* name;
    void (*code)(Assembler&);
    unsigned vector;
  };
  const Case cases[] = {
      {"fld", [](Assembler& a) { a.fld(qword_ptr(rbp)); }, 16},
      {"fstp", [](Assembler& a) { a.fstp(qword_ptr(rbp)); }, 16},
      {"fldcw", [](Assembler& a) { a.fldcw(ptr(rbp)); }, 16},
      {"paddb mm", [](Assembler& a) { a.paddb(mm0, ptr(rbp)); }, 16},
      {"fnstcw", [](Assembler& a) { a.fnstcw(ptr(rbp)); }, 14},
      {"paddb xmm", [](Assembler& a) { a.paddb(xmm0, ptr(rbp)); }, 14},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    std::uint64_t at = 0;
    load_long(
        [&](Assembler& a) {
          a.mov(rbp, kAbsent);
          a.fninit();
          a.push(0x37a);  // division by zero and invalid unmasked
          a.fldcw(ptr(rsp));
          a.pop(rax);
          a.fld1();
          a.fldz();
          a.fdivp();
          at = kCode + a.offset();
          c.code(a);
          a.int_(kDone);
        },
        3);
    for (int i = 0; i < 2; ++i) {
      EXPECT_TRUE(faulted(machine.run(), c.vector, at));
      machine.enter_long(3);
    }
  }
}

// A device has not been read when the address of an aligned load is not aligned.
TEST_P(PreciseException, MisalignedLoadReadsNoDevice) {
  std::uint64_t at = 0;
  load_long([&](Assembler& a) {
    a.mov(rbx, kDevice + 8);
    at = kCode + a.offset();
    a.movaps(xmm0, ptr(rbx));
    a.hlt();
  });
  EXPECT_TRUE(faulted(machine.run(), 13, at));
  EXPECT_TRUE(machine.device.accesses.empty());
}

// A read-modify-write that may not write has neither read a device nor changed anything.
TEST_P(PreciseException, ReadModifyWriteOnReadOnlyDevice) {
  load_long([](Assembler& a) {
    a.mov(rbx, kDevice);
    a.add(dword_ptr(rbx), 1);
    a.hlt();
  });
  const std::uint64_t entry = kPd + 8 * (kDevice >> 21 & 511);
  machine.store<std::uint64_t>(entry, kDevice | 0x85);
  machine.vcpu->state_changed();
  EXPECT_EQ(machine.run().vector, 14);
  EXPECT_TRUE(machine.device.accesses.empty());
}

TEST_P(PreciseException, StraddlingStoreIntoAnAbsentPageWritesNothing) {
  std::uint64_t at = 0;
  load_long(
      [&](Assembler& a) {
        a.mov(rbx, kAbsent - 3);
        a.mov(rax, -1);
        at = kCode + a.offset();
        a.mov(ptr(rbx), rax);
        a.int_(kDone);
      },
      3);
  machine.store<std::uint64_t>(kAbsent - 8, 0x1122334455667788);
  for (bool warm : {false, true}) {
    const Stop stop = machine.run();
    EXPECT_TRUE(faulted(stop, 14, at)) << warm;
    EXPECT_EQ(machine.state().cr2, kAbsent);
    EXPECT_EQ(stop.error_code, kUserWrite);
    EXPECT_EQ(machine.load<std::uint64_t>(kAbsent - 8), 0x1122334455667788u);
    machine.enter_long(3);
  }
}

TEST_P(PreciseException, StraddlingAccessesJoinTwoFrames) {
  load_long([](Assembler& a) {
    a.mov(rbx, 0x290ffd);
    a.mov(rax, 0x1122334455667788);
    for (int i = 0; i < 3; ++i) {
      a.mov(ptr(rbx), rax);
      a.mov(rcx, ptr(rbx));
      a.movups(xmm0, ptr(rbx));
      a.movups(ptr(rbx), xmm0);
      a.lock().add(dword_ptr(rbx), 1);
      a.mov(edx, ptr(rbx));
    }
    a.hlt();
  });
  machine.map(0x290000, 0x2a0000);  // neighbours in linear, not in physical space
  machine.map(0x291000, 0x2c0000);
  ASSERT_TRUE(halted_itself(machine.run()));
  EXPECT_EQ(gpr(Gpr::kRcx), 0x1122334455667788u);
  EXPECT_EQ(gpr(Gpr::kRdx), 0x55667789u);
  EXPECT_EQ(machine.load<std::uint16_t>(0x2a0ffd), 0x7789u);
  EXPECT_EQ(machine.load<std::uint32_t>(0x2c0000), 0x22334455u);
}

// Stack instructions that fault leave rSP (and rBP, and the registers to pop) alone.
TEST_P(PreciseException, StackFaultsKeepTheStackPointer) {
  struct StackCase {
    const char* name;
    void (*code)(Assembler&);
    std::uint64_t rsp;
  };
  const StackCase cases[] = {
      {"push", [](Assembler& a) { a.push(rax); }, kAbsent + 0x800},
      {"push r11", [](Assembler& a) { a.push(r11); }, kAbsent + 0x800},
      {"push imm", [](Assembler& a) { a.push(5); }, kAbsent + 0x800},
      {"push mem", [](Assembler& a) { a.push(qword_ptr(rdi)); }, kAbsent + 0x800},
      {"push absent mem", [](Assembler& a) { a.push(qword_ptr(rbx)); }, kStack},
      {"push straddling", [](Assembler& a) { a.push(rax); }, kAbsent + 0x1004},
      {"pushf", [](Assembler& a) { a.pushfq(); }, kAbsent + 0x800},
      {"push fs", [](Assembler& a) { a.push(fs); }, kAbsent + 0x800},
      {"pop", [](Assembler& a) { a.pop(rax); }, kAbsent + 0x800},
      {"pop rsp", [](Assembler& a) { a.pop(rsp); }, kAbsent + 0x800},
      {"pop to absent", [](Assembler& a) { a.pop(qword_ptr(rbx)); }, kStack},
      {"pop to read-only", [](Assembler& a) { a.pop(qword_ptr(rsi)); }, kStack},
      {"pop to absent by rsp", [](Assembler& a) { a.pop(qword_ptr(rsp, -0x2000)); },
       kAbsent + 0x2800},
      {"popf", [](Assembler& a) { a.popfq(); }, kAbsent + 0x800},
      {"call",
       [](Assembler& a) {
         a.call(a.newLabel());
         a.db(0);
       },
       kAbsent + 0x800},
      {"call reg", [](Assembler& a) { a.call(rdi); }, kAbsent + 0x800},
      {"call mem", [](Assembler& a) { a.call(qword_ptr(rdi)); }, kAbsent + 0x800},
      {"call absent mem", [](Assembler& a) { a.call(qword_ptr(rbx)); }, kStack},
      {"ret", [](Assembler& a) { a.ret(); }, kAbsent + 0x800},
      {"ret n", [](Assembler& a) { a.ret(16); }, kAbsent + 0x800},
      {"leave", [](Assembler& a) { a.leave(); }, kStack},
      {"enter", [](Assembler& a) { a.enter(16, 0); }, kAbsent + 0x800},
      {"enter nested", [](Assembler& a) { a.enter(16, 3); }, kStack},
      {"iretq", [](Assembler& a) { a.iretq(); }, kAbsent + 0x800},
  };
  for (const StackCase& c : cases) {
    SCOPED_TRACE(c.name);
    load_long(
        [&](Assembler& a) {
          if (std::string_view(c.name) == "call") {
            a.db(0xe8);
            a.dd(0x100);
          } else {
            c.code(a);
          }
          a.mov(r14d, 0);
          a.int_(kDone);
        },
        3);
    for (bool warm : {false, true}) {
      machine.enter_long(3);
      auto& s = machine.state();
      for (auto& g : s.gpr) g = 0x5a5a;
      s.reg(Gpr::kRdi) = kData;
      s.reg(Gpr::kRbx) = kAbsent + 0x10;
      s.reg(Gpr::kRsi) = kReadOnly;
      s.reg(Gpr::kRbp) = kAbsent + 0x20;
      s.reg(Gpr::kRsp) = c.rsp;
      const auto before = s.gpr;
      const Stop stop = machine.run();
      EXPECT_TRUE(faulted(stop, 14, kCode)) << warm;
      EXPECT_EQ(stop.rsp, c.rsp) << warm;
      auto after = machine.state().gpr;
      after[4] = before[4];
      EXPECT_EQ(after, before) << warm;
    }
  }
}

// 32-bit code with segments that have limits: the check is precise too.
TEST_P(PreciseException, SegmentLimitsAndTypes) {
  struct Case {
    const char* name;
    Bytes code;
    int vector;
  };
  const Case cases[] = {
      {"inside", {0xa0, 0xff, 0x0f, 0x00, 0x00}, static_cast<int>(kDone)},  // MOV AL, [0FFFH]
      {"byte past", {0xa0, 0x00, 0x10, 0x00, 0x00}, 13},
      {"dword across", {0xa1, 0xfd, 0x0f, 0x00, 0x00}, 13},
      {"store to code", {0x2e, 0xa3, 0x00, 0x00, 0x20, 0x00}, 13},  // MOV CS:[..], EAX
      {"read code", {0x2e, 0xa1, 0x00, 0x00, 0x20, 0x00}, static_cast<int>(kDone)},
      {"null", {0x26, 0xa1, 0x00, 0x00, 0x00, 0x00}, 13},  // ES is null
      {"wrap", {0xa1, 0xff, 0xff, 0xff, 0xff}, 13},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    machine.enter_protected();
    auto& s = machine.state();
    s.segment(guest::Seg::kDs).limit = 0xfff;
    s.segment(guest::Seg::kDs).base = kData;
    s.segment(guest::Seg::kEs) = {};
    machine.vcpu->state_changed();
    Bytes code = c.code;
    code.insert(code.end(), {0xcd, kDone});
    machine.put(kCode, code);
    const Stop stop = machine.run();
    EXPECT_EQ(stop.vector, c.vector);
    EXPECT_EQ(stop.error_code, 0u);
    if (c.vector == 13) {
      EXPECT_EQ(stop.rip, kCode);
    }
  }
}

TEST_P(PreciseException, TripleFaultIsShutdown) {
  load_long([](Assembler& a) { a.ud2(); });
  machine.state().idtr.limit = 0;
  EXPECT_EQ(machine.run().reason, runtime::ExitReason::kShutdown);
}

RS_FOR_ALL_SETTINGS(PreciseException);
RS_UNDER_KVM_TOO(PreciseException);

}  // namespace
}  // namespace ringshift::engine
