// tests/unit/engine/sensitive_test.cc - the seventeen sensitive instructions and IRET: in each mode
// the guest sees its own processor, never the host's.
#include "tests/unit/engine/guest_machine.h"

namespace ringshift::engine {
namespace {

using guest::Gpr;
using guest::Seg;
using namespace place;
namespace flags = guest::flags;

enum class Mode { kLong0, kLong3, kProtected0, kProtected3, kV86 };
constexpr Mode kAllModes[] = {Mode::kLong0, Mode::kLong3, Mode::kProtected0, Mode::kProtected3,
                              Mode::kV86};
const char* name(Mode m) {
  constexpr const char* kNames[] = {"64-bit ring 0", "64-bit ring 3", "32-bit ring 0",
                                    "32-bit ring 3", "v86"};
  return kNames[static_cast<int>(m)];
}
bool ring3(Mode m) { return m != Mode::kLong0 && m != Mode::kProtected0; }
bool wide(Mode m) { return m == Mode::kLong0 || m == Mode::kLong3; }

// A segment that only the guest's GDT has: user data, limit 12345H, base 5000H.
constexpr std::uint16_t kOwnSegment = 0x5b, kReadOnlySegment = 0x63;
constexpr std::uint64_t kOwnDescriptor = 0x0041f30050002345,
                        kReadOnlyDescriptor = 0x0041f10050002345;
constexpr std::uint32_t kNotTheHosts = 0xcdcdcdcd;

class SensitiveInstruction : public EngineTest {
 protected:
  void enter(Mode m, bool interrupts, unsigned iopl = 3) {
    switch (m) {
      case Mode::kLong0:
      case Mode::kLong3:
        machine.enter_long(m == Mode::kLong3 ? 3 : 0);
        break;
      case Mode::kProtected0:
      case Mode::kProtected3:
        machine.enter_protected(m == Mode::kProtected3 ? 3 : 0);
        break;
      case Mode::kV86:
        machine.enter_v86(iopl);
    }
    auto& s = machine.state();
    if (interrupts) s.rflags |= flags::kIf;
    s.cr0 |= guest::cr0::kTs;  // no running host shows this MSW
    s.reg(Gpr::kRax) = kNotTheHosts;
    s.reg(Gpr::kRcx) = kOwnSegment;
    s.reg(Gpr::kRdi) = m == Mode::kV86 ? 0x1000 : kData;
    machine.store<std::uint64_t>(kGdt + (kOwnSegment & ~7), kOwnDescriptor);
    machine.store<std::uint64_t>(kGdt + (kReadOnlySegment & ~7), kReadOnlyDescriptor);
    machine.vcpu->state_changed();
    code_ = m == Mode::kV86 ? kLow : kCode;
  }
  // The code, then the interrupt that ends it.
  Stop run(Bytes code) {
    code.insert(code.end(), {0xcd, kDone});
    machine.put(code_, code);
    return machine.run();
  }
  std::uint64_t data() const { return code_ == kLow ? kLow + 0x1000 : kData; }
  bool zf(const Stop& stop) const { return stop.rflags & flags::kZf; }
  static ::testing::AssertionResult done(const Stop& stop) {
    if (stop.vector == static_cast<int>(kDone)) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "vector " << stop.vector << " error " << stop.error_code
                                         << " at " << std::hex << stop.rip;
  }
  static ::testing::AssertionResult raised(const Stop& stop, int vector, std::uint64_t error) {
    if (stop.vector == vector && stop.error_code == error) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "vector " << stop.vector << " error " << stop.error_code
                                         << " at " << std::hex << stop.rip;
  }
  template <typename Check>
  void in_every_mode(Check&& check) {
    for (Mode m : kAllModes)
      for (bool interrupts : {false, true}) {
        SCOPED_TRACE(std::string(name(m)) + (interrupts ? ", IF set" : ", IF clear"));
        enter(m, interrupts);
        check(m, interrupts);
      }
  }

 private:
  std::uint64_t code_ = kCode;
};

// IF is the guest's in every mode, although the host always runs with IF set.
TEST_P(SensitiveInstruction, PushfShowsTheGuestsFlags) {
  in_every_mode([&](Mode m, bool interrupts) {
    ASSERT_TRUE(done(run({0x9c, 0x58})));  // PUSHF; POP rAX
    std::uint64_t expected = flags::kFixed1 | (interrupts ? flags::kIf : 0);
    if (m == Mode::kV86) expected |= flags::kIopl;
    const std::uint64_t mask = m == Mode::kV86 ? 0xffff : ~0ull;
    EXPECT_EQ(result() & mask, expected);
  });
}

// IF changes at ring 0 and with IOPL 3 only; IOPL at ring 0 only; nothing faults.
TEST_P(SensitiveInstruction, PopfHonoursPrivilege) {
  in_every_mode([&](Mode m, bool interrupts) {
    // PUSH 3201H or 3001H (IF turned over, IOPL 3, CF); POPF; PUSHF; POP rAX
    const std::uint8_t high = interrupts ? 0x30 : 0x32;
    const Bytes code = m == Mode::kV86 ? Bytes{0x68, 0x01, high, 0x9d, 0x9c, 0x58}
                                       : Bytes{0x68, 0x01, high, 0, 0, 0x9d, 0x9c, 0x58};
    ASSERT_TRUE(done(run(code)));
    const bool changes_if = !ring3(m) || m == Mode::kV86;
    EXPECT_EQ(bool(result() & flags::kIf), changes_if != interrupts);
    EXPECT_EQ(result() & flags::kIopl,
              m == Mode::kLong3 || m == Mode::kProtected3 ? 0 : flags::kIopl);
    EXPECT_TRUE(result() & flags::kCf);
  });
}

TEST_P(SensitiveInstruction, V86WithoutPrivilegeTrapsToTheMonitor) {
  const Bytes programs[] = {{0x9c}, {0x9d}, {0xcf}, {0xcd, 0x21}, {0xfa}, {0xfb}};
  for (const Bytes& code : programs) {
    SCOPED_TRACE(int{code[0]});
    enter(Mode::kV86, true, 0);
    const Stop stop = run(code);
    EXPECT_TRUE(raised(stop, 13, 0));
    EXPECT_EQ(stop.rip, 0u);
    EXPECT_TRUE(stop.rflags & flags::kVm);
    EXPECT_EQ(stop.v86_segments[1], kLow >> 4);
    EXPECT_EQ(stop.rsp, 0x8000u);
  }
}

TEST_P(SensitiveInstruction, DescriptorTableRegistersAreTheGuests) {
  in_every_mode([&](Mode m, bool) {
    const std::uint8_t modrm = m == Mode::kV86 ? 5 : 7;  // [DI] or [rDI]
    const unsigned base_bytes = wide(m) ? 8 : 4;
    for (unsigned group : {0u, 1u}) {  // SGDT, SIDT
      machine.store<std::uint64_t>(data(), ~0ull);
      machine.store<std::uint64_t>(data() + 8, ~0ull);
      const auto table = group == 0 ? machine.state().gdtr : machine.state().idtr;
      const auto digit = static_cast<std::uint8_t>(modrm | group << 3);
      ASSERT_TRUE(done(run({0x0f, 0x01, digit})));
      EXPECT_EQ(machine.load<std::uint16_t>(data()), table.limit);
      EXPECT_EQ(machine.memory->read({data() + 2}, base_bytes), table.base);
      EXPECT_EQ(machine.load<std::uint16_t>(data() + 2 + base_bytes), 0xffff);  // no more
      enter(m, false);
    }
  });
}

TEST_P(SensitiveInstruction, UmipHidesTheTablesFromRing3) {
  for (Mode m : {Mode::kLong3, Mode::kProtected3})
    for (const Bytes& code :
         {Bytes{0x0f, 0x01, 0x07}, Bytes{0x0f, 0x01, 0x0f}, Bytes{0x0f, 0x00, 0xc0},
          Bytes{0x0f, 0x00, 0xc8}, Bytes{0x0f, 0x01, 0xe0}}) {
      enter(m, true);
      machine.state().cr4 |= guest::cr4::kUmip;
      machine.vcpu->state_changed();
      EXPECT_TRUE(raised(run(code), 13, 0)) << name(m);
      EXPECT_EQ(result(), kNotTheHosts);
    }
}

TEST_P(SensitiveInstruction, SldtAndStrShowTheGuestsSelectors) {
  in_every_mode([&](Mode m, bool interrupts) {
    const Stop sldt = run({0x0f, 0x00, 0xc0});
    if (m == Mode::kV86) {
      EXPECT_TRUE(raised(sldt, 6, 0));
    } else {
      ASSERT_TRUE(done(sldt));
      EXPECT_EQ(result() & 0xffff, select::kLdt);
    }
    enter(m, interrupts);
    const Stop str = run({0x0f, 0x00, 0xc8});
    if (m == Mode::kV86) {
      EXPECT_TRUE(raised(str, 6, 0));
    } else {
      ASSERT_TRUE(done(str));
      EXPECT_EQ(result() & 0xffff, wide(m) ? select::kTss64 : select::kTss32);
    }
  });
}

TEST_P(SensitiveInstruction, SmswShowsTheGuestsCr0) {
  in_every_mode([&](Mode m, bool) {
    ASSERT_TRUE(done(run({0x0f, 0x01, 0xe0})));
    const std::uint64_t mask = m == Mode::kV86 ? 0xffff : 0xffffffff;
    EXPECT_EQ(result() & 0xffff, 0x3bu);
    EXPECT_EQ(result() & mask, machine.state().cr0 & mask);
  });
}

TEST_P(SensitiveInstruction, LarLslVerrVerwReadTheGuestsTable) {
  in_every_mode([&](Mode m, bool interrupts) {
    struct Probe {
      Bytes code;
      std::uint16_t selector;
      bool zf;
      std::uint32_t eax;
    };
    const Probe probes[] = {
        {{0x0f, 0x02, 0xc1}, kOwnSegment, true, 0x0041f300 & 0xf0ff00},  // LAR EAX, ECX
        {{0x0f, 0x03, 0xc1}, kOwnSegment, true, 0x12345},                // LSL
        {{0x0f, 0x00, 0xe1}, kOwnSegment, true, kNotTheHosts},           // VERR
        {{0x0f, 0x00, 0xe9}, kOwnSegment, true, kNotTheHosts},           // VERW
        {{0x0f, 0x00, 0xe9}, kReadOnlySegment, false, kNotTheHosts},
        {{0x0f, 0x02, 0xc1}, 0x7b, false, kNotTheHosts},  // an empty descriptor
        {{0x0f, 0x03, 0xc1}, 0x8b, false, kNotTheHosts},  // past the guest's limit
        {{0x0f, 0x00, 0xe1}, 0x8b, false, kNotTheHosts},
        {{0x0f, 0x02, 0xc1}, 0, false, kNotTheHosts},
    };
    for (const Probe& p : probes) {
      SCOPED_TRACE(int{p.code[1]} * 1000 + p.selector);
      enter(m, interrupts);
      machine.reg(Gpr::kRcx) = p.selector;
      const Stop stop = run(p.code);
      if (m == Mode::kV86) {
        EXPECT_TRUE(raised(stop, 6, 0));
        continue;
      }
      ASSERT_TRUE(done(stop));
      EXPECT_EQ(zf(stop), p.zf);
      EXPECT_EQ(result(), p.eax);
    }
  });
}

TEST_P(SensitiveInstruction, SegmentRegistersReadBackTheGuestsSelectors) {
  in_every_mode([&](Mode m, bool interrupts) {
    const std::uint16_t own = machine.state().segment(Seg::kDs).selector;
    const std::uint16_t code = machine.state().segment(Seg::kCs).selector;
    ASSERT_TRUE(done(run({0x8c, 0xd8})));  // MOV EAX, DS
    EXPECT_EQ(result() & 0xffff, own);
    enter(m, interrupts);
    ASSERT_TRUE(done(run({0x8c, 0xc8})));  // MOV EAX, CS
    EXPECT_EQ(result() & 0xffff, code);
    enter(m, interrupts);
    const std::uint16_t fs = machine.state().segment(Seg::kFs).selector;
    ASSERT_TRUE(done(run({0x0f, 0xa0, 0x58})));  // PUSH FS; POP rAX
    EXPECT_EQ(result() & 0xffff, fs);
  });
}

TEST_P(SensitiveInstruction, SegmentLoadsTakeTheGuestsDescriptors) {
  in_every_mode([&](Mode m, bool interrupts) {
    const auto load = [&](const Bytes& bytes, Seg seg) {
      enter(m, interrupts);
      const Stop stop = run(bytes);
      ASSERT_TRUE(done(stop));
      const auto& s = machine.state().segment(seg);
      // Leaving v86 mode clears the data segments: its own values are on the handler's stack.
      if (m == Mode::kV86) {
        EXPECT_EQ(stop.v86_segments[seg == Seg::kEs ? 0 : 2], kOwnSegment);
        return;
      }
      EXPECT_EQ(s.selector, kOwnSegment);
      EXPECT_EQ(s.base, 0x5000u);
      EXPECT_EQ(s.limit, 0x12345u);
    };
    load({0x8e, 0xc1}, Seg::kEs);        // MOV ES, ECX
    load({0x51, 0x0f, 0xa1}, Seg::kFs);  // PUSH rCX; POP FS
    if (m == Mode::kV86) return;
    enter(m, interrupts);
    machine.reg(Gpr::kRcx) = ring3(m) ? select::kData32 : select::kData32R3;
    const std::uint64_t error = machine.reg(Gpr::kRcx) & ~7ull;
    EXPECT_TRUE(raised(run({0x8e, 0xd1}), 13, error));  // MOV SS: the wrong privilege
  });
}

// Far CALL pushes the guest's CS with the CPL in it; the target runs under the new selector.
TEST_P(SensitiveInstruction, FarCallAndReturn) {
  in_every_mode([&](Mode m, bool) {
    auto& s = machine.state();
    const std::uint16_t cs = s.segment(Seg::kCs).selector;
    if (m == Mode::kV86) {
      // CALL 2001:0000 = linear kLow + 10H, where PUSH/POP shows CS; RETF comes back.
      machine.put(kLow + 0x10, {0x8c, 0xc8, 0xcb});
      ASSERT_TRUE(done(run({0x9a, 0x00, 0x00, 0x01, 0x20})));
      EXPECT_EQ(result() & 0xffff, 0x2001u);
      return;
    }
    machine.put(kCode + 0x80, {0x8b, 0x5c, 0x24, 0x04, 0x8c, 0xc8, 0xcb});  // MOV EBX,[rSP+4]; ..
    machine.store<std::uint32_t>(kData, kCode + 0x80);
    machine.store<std::uint16_t>(kData + 4, cs);
    ASSERT_TRUE(done(run({0xff, 0x1f})));  // CALL FAR [rDI]
    EXPECT_EQ(machine.reg(Gpr::kRbx) & 0xffff, cs);
    EXPECT_EQ(result() & 0xffff, cs);
  });
}

TEST_P(SensitiveInstruction, FarJumpGoesOnlyWhereTheGuestsTablesAllow) {
  in_every_mode([&](Mode m, bool interrupts) {
    if (m == Mode::kV86) {
      machine.put(kLow + 0x10, {0x8c, 0xc8, 0xcd, kDone});
      ASSERT_TRUE(done(run({0xea, 0x00, 0x00, 0x01, 0x20})));
      EXPECT_EQ(result() & 0xffff, 0x2001u);
      return;
    }
    machine.put(kCode + 0x80, {0x8c, 0xc8, 0xcd, kDone});
    machine.store<std::uint32_t>(kData, kCode + 0x80);
    machine.store<std::uint16_t>(kData + 4, ring3(m) ? select::kCode32R3 : select::kCode32);
    ASSERT_TRUE(done(run({0xff, 0x2f})));  // JMP FAR [rDI]
    EXPECT_EQ(result() & 0xffff, ring3(m) ? select::kCode32R3 : select::kCode32);
    enter(m, interrupts);  // to the other privilege, and past the table
    for (std::uint16_t bad :
         {ring3(m) ? select::kCode32 : select::kCode32R3, std::uint16_t{0x88}}) {
      enter(m, interrupts);
      machine.store<std::uint16_t>(kData + 4, bad);
      EXPECT_TRUE(raised(run({0xff, 0x2f}), 13, bad & ~7u));
    }
  });
}

TEST_P(SensitiveInstruction, FarReturnCannotRaisePrivilege) {
  for (Mode m : {Mode::kLong3, Mode::kProtected3}) {
    enter(m, true);
    Bytes code = {0x6a, select::kCode32, 0x6a, 0x00};  // PUSH kernel CS; PUSH 0; RETF
    if (wide(m)) code.push_back(0x48);
    code.push_back(0xcb);
    EXPECT_TRUE(raised(run(code), 13, select::kCode32)) << name(m);
  }
}

TEST_P(SensitiveInstruction, IntUsesTheGuestsTableAndPrivilege) {
  in_every_mode([&](Mode m, bool interrupts) {
    const Stop stop = run({});
    ASSERT_TRUE(done(stop));
    EXPECT_EQ(bool(stop.rflags & flags::kIf), interrupts);
    EXPECT_FALSE(machine.state().rflags & flags::kIf);  // an interrupt gate
    EXPECT_EQ(stop.rip, m == Mode::kV86 ? 2 : kCode + 2);
    enter(m, interrupts);
    const Stop other = run({0xcd, 0x21});  // a gate of DPL 0
    if (ring3(m))
      EXPECT_TRUE(raised(other, 13, 0x21 * 8 + 2));
    else
      EXPECT_EQ(other.vector, 0x21);
    enter(m, interrupts);
    EXPECT_TRUE(raised(run({0xcd, 0x90}), 13, 0x90 * 8 + 2));  // past the table's limit
  });
}

// IRET: IF follows the image where the guest may change it, and the host's IF stays out of it.
TEST_P(SensitiveInstruction, IretRestoresWhatPrivilegeAllows) {
  in_every_mode([&](Mode m, bool interrupts) {
    auto& s = machine.state();
    const std::uint64_t image = flags::kFixed1 | flags::kCf | (interrupts ? 0 : flags::kIf);
    const std::uint16_t cs = s.segment(Seg::kCs).selector;
    const unsigned width = wide(m) ? 8 : m == Mode::kV86 ? 2 : 4;
    const std::uint64_t target = m == Mode::kV86 ? 0x80 : kCode + 0x80;
    const std::uint64_t frame[] = {target, cs, image, s.reg(Gpr::kRsp),
                                   s.segment(Seg::kSs).selector};
    const unsigned slots = wide(m) ? 5 : 3;
    std::uint64_t at = s.segment(Seg::kSs).base + s.reg(Gpr::kRsp) - slots * width;
    s.reg(Gpr::kRsp) -= slots * width;
    for (unsigned i = 0; i < slots; ++i) machine.memory->write({at + i * width}, width, frame[i]);
    machine.put((m == Mode::kV86 ? kLow : kCode) + 0x80, {0xcd, kDone});
    const Stop stop = run(wide(m) ? Bytes{0x48, 0xcf} : Bytes{0xcf});
    ASSERT_TRUE(done(stop));
    EXPECT_EQ(stop.rip, target + 2);
    EXPECT_TRUE(stop.rflags & flags::kCf);
    const bool changes_if = !ring3(m) || m == Mode::kV86;
    EXPECT_EQ(bool(stop.rflags & flags::kIf), changes_if != interrupts);
    EXPECT_EQ(stop.cs & 0xffff, cs);
  });
}

RS_FOR_ALL_SETTINGS(SensitiveInstruction);
RS_UNDER_KVM_TOO(SensitiveInstruction);

}  // namespace
}  // namespace ringshift::engine
