// tests/unit/engine/mmio_test.cc - devices in memory: each instruction makes exactly the accesses
// that it makes on silicon, in number, direction and size.
#include "tests/unit/engine/guest_machine.h"

namespace ringshift::engine {

namespace {

using asmjit::x86::Assembler;
using guest::Gpr;
using Access = TestDevice::Access;
using namespace asmjit::x86;
using namespace place;

class DeviceMemory : public EngineTest {};

struct Case {
  const char* name;
  void (*code)(Assembler&);
  std::vector<Access> expected;
};

// RBX is the device; RAX = 0102030405060708H.
const Case kCases[] = {
    {"load8", [](Assembler& a) { a.mov(cl, ptr(rbx)); }, {{'r', 0, 1, 0x11}}},
    {"load16", [](Assembler& a) { a.mov(cx, ptr(rbx, 2)); }, {{'r', 2, 2, 0x2211}}},
    {"load32", [](Assembler& a) { a.mov(ecx, ptr(rbx, 4)); }, {{'r', 4, 4, 0x44332211}}},
    {"load64", [](Assembler& a) { a.mov(rcx, ptr(rbx, 8)); }, {{'r', 8, 8, 0x8877665544332211}}},
    {"movzx", [](Assembler& a) { a.movzx(ecx, byte_ptr(rbx)); }, {{'r', 0, 1, 0x11}}},
    {"store8", [](Assembler& a) { a.mov(ptr(rbx), al); }, {{'w', 0, 1, 8}}},
    {"store16", [](Assembler& a) { a.mov(ptr(rbx, 2), ax); }, {{'w', 2, 2, 0x708}}},
    {"store32", [](Assembler& a) { a.mov(ptr(rbx, 4), eax); }, {{'w', 4, 4, 0x5060708}}},
    {"store64", [](Assembler& a) { a.mov(ptr(rbx, 8), rax); }, {{'w', 8, 8, 0x102030405060708}}},
    {"store ah", [](Assembler& a) { a.mov(ptr(rbx), ah); }, {{'w', 0, 1, 7}}},
    {"store imm", [](Assembler& a) { a.mov(dword_ptr(rbx), 9); }, {{'w', 0, 4, 9}}},
    {"store r15",
     [](Assembler& a) {
       a.mov(r15d, 9);
       a.mov(ptr(rbx), r15d);
     },
     {{'w', 0, 4, 9}}},
    {"setcc",
     [](Assembler& a) {
       a.cmp(eax, eax);
       a.sete(ptr(rbx));
     },
     {{'w', 0, 1, 1}}},
    {"cmp", [](Assembler& a) { a.cmp(dword_ptr(rbx), 0); }, {{'r', 0, 4, 0x44332211}}},
    {"test", [](Assembler& a) { a.test(ptr(rbx), eax); }, {{'r', 0, 4, 0x44332211}}},
    {"or",
     [](Assembler& a) { a.or_(dword_ptr(rbx), 0x8c); },
     {{'r', 0, 4, 0x44332211}, {'w', 0, 4, 0x4433229d}}},
    {"inc", [](Assembler& a) { a.inc(byte_ptr(rbx)); }, {{'r', 0, 1, 0x11}, {'w', 0, 1, 0x12}}},
    {"xchg",
     [](Assembler& a) { a.xchg(ptr(rbx), eax); },
     {{'r', 0, 4, 0x44332211}, {'w', 0, 4, 0x5060708}}},
    {"lock add",
     [](Assembler& a) { a.lock().add(dword_ptr(rbx), 1); },
     {{'r', 0, 4, 0x44332211}, {'w', 0, 4, 0x44332212}}},
    {"movq xmm",
     [](Assembler& a) {
       a.movq(xmm0, rax);
       a.movq(ptr(rbx), xmm0);
     },
     {{'w', 0, 8, 0x102030405060708}}},
    {"movss load", [](Assembler& a) { a.movss(xmm0, ptr(rbx)); }, {{'r', 0, 4, 0x44332211}}},
    {"stosd",
     [](Assembler& a) {
       a.mov(rdi, rbx);
       a.stosd();
     },
     {{'w', 0, 4, 0x5060708}}},
    {"rep stosw",
     [](Assembler& a) {
       a.mov(rdi, rbx);
       a.mov(ecx, 2);
       a.rep().stosw();
     },
     {{'w', 0, 2, 0x708}, {'w', 2, 2, 0x708}}},
    {"lodsb",
     [](Assembler& a) {
       a.mov(rsi, rbx);
       a.lodsb();
     },
     {{'r', 0, 1, 0x11}}},
    {"push",
     [](Assembler& a) {
       a.mov(r8, rsp);
       a.lea(rsp, ptr(rbx, 16));
       a.push(rax);
       a.mov(rsp, r8);
     },
     {{'w', 8, 8, 0x102030405060708}}},
    {"push mem",
     [](Assembler& a) {
       a.push(qword_ptr(rbx));
       a.pop(rcx);
     },
     {{'r', 0, 8, 0x8877665544332211}}},
    {"pop mem",
     [](Assembler& a) {
       a.push(rax);
       a.pop(qword_ptr(rbx));
     },
     {{'w', 0, 8, 0x102030405060708}}},
    {"cmovcc not taken",
     [](Assembler& a) {
       a.cmp(eax, eax);
       a.cmovne(ecx, ptr(rbx));
     },
     {{'r', 0, 4, 0x44332211}}},
    {"bt", [](Assembler& a) { a.bt(dword_ptr(rbx), 3); }, {{'r', 0, 4, 0x44332211}}},
    {"prefetch", [](Assembler& a) { a.prefetcht0(ptr(rbx)); }, {}},
    {"lea", [](Assembler& a) { a.lea(ecx, ptr(rbx, 4)); }, {}},
    {"nop", [](Assembler& a) { a.nop(dword_ptr(rbx)); }, {}},
};

TEST_P(DeviceMemory, AccessesAreTheInstructionsOwn) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    load_long([&](Assembler& a) {
      a.mov(rbx, kDevice);
      a.mov(rax, 0x102030405060708);
      a.mov(r12d, 2);  // the second turn meets warm code, and a store stub that exists
      asmjit::Label again = a.newLabel();
      a.bind(again);
      a.mov(rax, 0x102030405060708);
      c.code(a);
      a.dec(r12d);
      a.jnz(again);
      a.hlt();
    });
    machine.device.accesses.clear();
    ASSERT_TRUE(halted_itself(machine.run()));
    std::vector<Access> twice = c.expected;
    twice.insert(twice.end(), c.expected.begin(), c.expected.end());
    EXPECT_EQ(machine.device.accesses, twice);
  }
}

// Code in device memory runs, one instruction at a time, from what the device answers.
TEST_P(DeviceMemory, CodeFetchedFromADevice) {
  machine.enter_long();
  machine.device.answer = 0xf4f4f4f4f4f4f4f4;
  EXPECT_TRUE(halted_itself(machine.run_at(kDevice + 0x100)));
  EXPECT_EQ(machine.state().rip, kDevice + 0x101);
}

// Many store sites that all take the slow path, in a cache that their code nearly fills.
TEST_P(DeviceMemory, ManyStoreSites) {
  constexpr unsigned kStores = 30000;
  constexpr std::uint64_t kBig = 0x340000;
  machine.enter_long();
  machine.put(kBig, assemble(kBig, [](Assembler& a) {
                for (unsigned i = 0; i < kStores; ++i)
                  a.mov(ptr(rbx, static_cast<int>(i & 63)), al);
                a.hlt();
              }));
  machine.reg(Gpr::kRbx) = kData;
  ASSERT_TRUE(halted_itself(machine.run_at(kBig)));
  machine.device.accesses.clear();
  machine.reg(Gpr::kRbx) = kDevice;
  ASSERT_TRUE(halted_itself(machine.run_at(kBig)));
  EXPECT_EQ(machine.device.accesses.size(), kStores);
}

RS_FOR_ALL_SETTINGS(DeviceMemory);
RS_UNDER_KVM_TOO(DeviceMemory);

// The same where the stubs need more room than the engine keeps free.
TEST(DeviceMemoryRoom, StubsOfACacheFullOfStores) {
  runtime::BtOptions options;
  options.cache_bytes = 2 << 20;
  GuestMachine machine(options);
  constexpr unsigned kStores = 45000;
  constexpr std::uint64_t kBig = 0x340000;
  machine.enter_long();
  machine.put(kBig, assemble(kBig, [](Assembler& a) {
                for (unsigned i = 0; i < kStores; ++i)
                  a.mov(ptr(rbx, static_cast<int>(i & 63)), al);
                a.hlt();
              }));
  machine.reg(Gpr::kRbx) = kData;
  ASSERT_TRUE(halted_itself(machine.run_at(kBig)));
  machine.reg(Gpr::kRbx) = kDevice;
  ASSERT_TRUE(halted_itself(machine.run_at(kBig)));
  EXPECT_EQ(machine.device.accesses.size(), kStores);
  EXPECT_GE(machine.counter("cache flushes"), 1u);
}

// PUSH from a device to a device: a cache that is full when the store comes does not make it read
// twice.
TEST(DeviceMemoryRoom, PushReadsOnce) {
  runtime::BtOptions options;
  options.cache_bytes = 2 << 20;
  GuestMachine machine(options);
  constexpr unsigned kPushes = 40000;
  constexpr std::uint64_t kBig = 0x340000;
  machine.enter_long();
  machine.put(kBig, assemble(kBig, [](Assembler& a) {
                for (unsigned i = 0; i < kPushes; ++i) {
                  a.push(qword_ptr(rbx));
                  a.mov(rsp, rbp);
                }
                a.hlt();
              }));
  machine.reg(Gpr::kRbx) = kDevice;
  machine.reg(Gpr::kRbp) = machine.reg(Gpr::kRsp) = kDevice + 0x100;
  ASSERT_TRUE(halted_itself(machine.run_at(kBig)));
  EXPECT_EQ(machine.device.accesses.size(), 2 * kPushes);
  EXPECT_GE(machine.counter("cache flushes"), 1u);
}

}  // namespace
}  // namespace ringshift::engine
