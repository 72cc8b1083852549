// tests/unit/engine/string_test.cc - string instructions in translated code: what a block does by
// itself must be what the call-outs do: directions, faults in the middle, overlaps, devices, code,
// interrupts.
#include <thread>

#include "tests/unit/engine/guest_machine.h"

namespace ringshift::engine {
namespace {

using asmjit::Label;
using asmjit::x86::Assembler;
using guest::Gpr;
using Access = TestDevice::Access;
using namespace asmjit::x86;
using namespace place;
namespace flags = guest::flags;

constexpr std::uint64_t kPage = 0x1000;
constexpr std::uint64_t kFrom = kData, kTo = kData + 0x10000;
constexpr int kTurns = 200;  // enough for a block to be translated for speed

class Strings : public EngineTest {
 protected:
  void pointers(std::uint64_t rsi, std::uint64_t rdi, std::uint64_t rcx = 0) {
    machine.reg(Gpr::kRsi) = rsi;
    machine.reg(Gpr::kRdi) = rdi;
    machine.reg(Gpr::kRcx) = rcx;
  }
  void expect_pointers(std::uint64_t rsi, std::uint64_t rdi, std::uint64_t rcx) {
    EXPECT_EQ(machine.reg(Gpr::kRsi), rsi);
    EXPECT_EQ(machine.reg(Gpr::kRdi), rdi);
    EXPECT_EQ(machine.reg(Gpr::kRcx), rcx);
  }
  // Bytes that tell their place.
  void fill(std::uint64_t at, std::uint64_t bytes) {
    Bytes b(bytes);
    for (std::uint64_t i = 0; i < bytes; ++i) b[i] = byte_at(i);
    machine.put(at, b);
  }
  static std::uint8_t byte_at(std::uint64_t i) {
    return static_cast<std::uint8_t>(i * 7 + i / 251);
  }
  Bytes bytes(std::uint64_t at, std::uint64_t count) {
    Bytes b(count);
    machine.memory->read_bytes({at}, b);
    return b;
  }
  void set_flags(std::uint64_t f) { machine.state().rflags = flags::kFixed1 | f; }
};

void emit_one(Assembler& a, char kind, unsigned size) {
  const auto emit = [&](auto b, auto w, auto d, auto q) {
    if (size == 1) b();
    if (size == 2) w();
    if (size == 4) d();
    if (size == 8) q();
  };
  switch (kind) {
    case 'm':
      return emit([&] { a.movsb(); }, [&] { a.movsw(); }, [&] { a.movsd(); }, [&] { a.movsq(); });
    case 's':
      return emit([&] { a.stosb(); }, [&] { a.stosw(); }, [&] { a.stosd(); }, [&] { a.stosq(); });
    case 'l':
      return emit([&] { a.lodsb(); }, [&] { a.lodsw(); }, [&] { a.lodsd(); }, [&] { a.lodsq(); });
    case 'c':
      return emit([&] { a.cmpsb(); }, [&] { a.cmpsw(); }, [&] { a.cmpsd(); }, [&] { a.cmpsq(); });
    default:
      return emit([&] { a.scasb(); }, [&] { a.scasw(); }, [&] { a.scasd(); }, [&] { a.scasq(); });
  }
}

std::uint64_t low_bytes(std::uint64_t v, unsigned bytes) { return v & (~0ull >> (64 - 8 * bytes)); }

// One element of each kind and size in each direction, in cold and in hot code of either width.
// What a single one must leave alone: flags (but for CMPS and SCAS), RCX, the rest of RAX.
TEST_P(Strings, SingleElements) {
  constexpr std::uint64_t kAccumulator = 0x1122334455667788, kSource = 0x8899aabbccddeeff;
  for (const bool wide : {true, false})
    for (const char kind : {'m', 's', 'l', 'c', 'x'})
      for (const unsigned size : {1u, 2u, 4u, 8u})
        for (const bool down : {false, true}) {
          if (!wide && size == 8) continue;
          SCOPED_TRACE(::testing::Message()
                       << kind << size << " wide " << wide << " down " << down);
          const auto code = [&](Assembler& a) {
            if (down) a.std();
            Label again = a.newLabel();
            a.bind(again);
            a.mov(wide ? Gp(rax) : Gp(eax), wide ? Gp(r8) : Gp(ebx));
            a.mov(esi, kFrom);
            a.mov(edi, kTo);
            a.stc();
            emit_one(a, kind, size);
            a.setc(dl);
            a.dec(ebp);
            a.jnz(again);
            a.hlt();
          };
          if (wide)
            load_long(code);
          else
            load_protected(code);
          machine.reg(Gpr::kR8) = machine.reg(Gpr::kRbx) = wide ? kAccumulator : 0x55667788;
          machine.reg(Gpr::kRbp) = kTurns;
          machine.reg(Gpr::kRcx) = 77;
          machine.store<std::uint64_t>(kFrom, kSource);
          machine.store<std::uint64_t>(kTo, 0x0102030405060708);
          ASSERT_TRUE(halted_itself(machine.run()));
          const std::uint64_t step = down ? 0 - std::uint64_t{size} : size;
          const std::uint64_t mask = wide ? ~0ull : 0xffffffff;
          const bool reads = kind == 'm' || kind == 'l' || kind == 'c', writes = kind != 'l';
          EXPECT_EQ(machine.reg(Gpr::kRsi) & mask, kFrom + (reads ? step : 0));
          EXPECT_EQ(machine.reg(Gpr::kRdi) & mask, kTo + (writes ? step : 0));
          EXPECT_EQ(machine.reg(Gpr::kRcx), 77u);
          const std::uint64_t before = machine.reg(Gpr::kR8);
          std::uint64_t rax = before, to = 0x0102030405060708;
          const std::uint64_t rest = ~low_bytes(~0ull, size);
          if (kind == 'm') to = (to & rest) | low_bytes(kSource, size);
          if (kind == 's') to = (to & rest) | low_bytes(before, size);
          if (kind == 'l')
            rax = size == 4 ? low_bytes(kSource, 4) : (rax & rest) | low_bytes(kSource, size);
          EXPECT_EQ(machine.reg(Gpr::kRax) & mask, rax & mask);
          EXPECT_EQ(machine.load<std::uint64_t>(kTo), to);
          bool carry = true;
          if (kind == 'c') carry = low_bytes(kSource, size) < low_bytes(to, size);
          if (kind == 'x') carry = low_bytes(before, size) < low_bytes(to, size);
          EXPECT_EQ(machine.reg(Gpr::kRdx) & 0xff, carry ? 1u : 0u);
        }
}

// The element lies across two pages, and the second of them is not there: nothing has changed.
TEST_P(Strings, SingleFaultsBeforeItChangesAnything) {
  load_long([](Assembler& a) {
    a.nop();
    a.movsd();
    a.hlt();
  });
  machine.map(kFrom + kPage, 0, 0);
  pointers(kFrom + kPage - 2, kTo);
  EXPECT_TRUE(faulted(machine.run(), 14, kCode + 1));
  EXPECT_EQ(machine.state().cr2, kFrom + kPage);
  expect_pointers(kFrom + kPage - 2, kTo, 0);
  pointers(kTo, kFrom + kPage - 2);
  machine.state().cr2 = 0;
  EXPECT_TRUE(faulted(machine.run_at(kCode), 14, kCode + 1));
  EXPECT_EQ(machine.state().cr2, kFrom + kPage);
  expect_pointers(kTo, kFrom + kPage - 2, 0);
}

// In a loop that is hot by then, with nothing mapped where the pointer comes in the end.
TEST_P(Strings, HotSinglesFaultPrecisely) {
  for (const bool store : {true, false}) {
    load_long([&](Assembler& a) {
      Label again = a.newLabel();
      a.bind(again);
      if (store)
        a.stosq();
      else
        a.movsq();
      a.inc(ecx);
      a.jmp(again);
    });
    machine.map(kTo + kPage, 0, 0);
    fill(kFrom, 0x2000);
    pointers(kFrom + 3, kTo + 4);
    machine.reg(Gpr::kRax) = 0x0123456789abcdef;
    EXPECT_TRUE(faulted(machine.run(), 14, kCode));
    constexpr std::uint64_t kDone = (kPage - 4) / 8;  // the next one reaches into the page
    EXPECT_EQ(machine.state().cr2, kTo + kPage);
    expect_pointers(store ? kFrom + 3 : kFrom + 3 + 8 * kDone, kTo + 4 + 8 * kDone, kDone);
    if (!store) {
      EXPECT_EQ(bytes(kTo + 4, 8 * kDone), bytes(kFrom + 3, 8 * kDone));
    }
    machine.map(kTo + kPage, kTo + kPage);
  }
}

struct Repeated {
  char kind;
  unsigned size;
  std::uint64_t from, to, count;
};
const Repeated kRepeated[] = {
    {'m', 1, kFrom, kTo, 1},
    {'m', 1, kFrom + 1, kTo + 0xffe, 5},
    {'m', 1, kFrom + 0x123, kTo + 0xabc, 20000},
    {'m', 2, kFrom + 0xffd, kTo + 0xfff, 4097},
    {'m', 4, kFrom + 2, kTo + 3, 5000},
    {'m', 4, kFrom, kTo, 1024},
    {'m', 1, kFrom + 7, kFrom + 8, 9000},  // spreads a byte
    {'m', 4, kFrom + 6, kFrom + 7, 3000},
    {'m', 1, kFrom + 0x1008, kFrom + 7, 9000},
    {'s', 1, 0, kTo + 0xfff, 3},
    {'s', 2, 0, kTo + 0xfff, 3000},
    {'s', 4, 0, kTo + 0xffc, 5000},
    {'s', 4, 0, kTo + 0xffe, 5000},
};

// Memory, pointers, count and flags of whole repetitions, against a loop over bytes.
TEST_P(Strings, Repetitions) {
  constexpr std::uint64_t kFlags = flags::kCf | flags::kZf | flags::kOf;
  for (const bool wide : {true, false})
    for (const bool down : {false, true})
      for (const Repeated& c : kRepeated) {
        SCOPED_TRACE(::testing::Message() << c.kind << c.size << " x " << c.count << " wide "
                                          << wide << " down " << down);
        const auto code = [&](Assembler& a) {
          a.rep();
          emit_one(a, c.kind, c.size);
          a.hlt();
        };
        if (wide)
          load_long(code);
        else
          load_protected(code);
        fill(kData, 0x20000);
        Bytes model = bytes(kData, 0x20000);
        const std::uint64_t last = (c.count - 1) * c.size;
        std::uint64_t from = c.from + (down ? last : 0), to = c.to + (down ? last : 0);
        const std::uint64_t step = down ? 0 - std::uint64_t{c.size} : c.size;
        pointers(from, to, c.count);
        machine.reg(Gpr::kRax) = 0xa1b2c3d4;
        set_flags(kFlags | (down ? flags::kDf : 0));
        for (std::uint64_t i = 0; i < c.count; ++i, from += step, to += step) {
          std::uint8_t element[4];
          for (unsigned b = 0; b < c.size; ++b)
            element[b] = c.kind == 'm' ? model[from + b - kData]
                                       : static_cast<std::uint8_t>(0xa1b2c3d4u >> (8 * b));
          for (unsigned b = 0; b < c.size; ++b) model[to + b - kData] = element[b];
        }
        ASSERT_TRUE(halted_itself(machine.run()));
        expect_pointers(c.kind == 'm' ? from : machine.reg(Gpr::kRsi), to, 0);
        EXPECT_EQ(machine.state().rflags & flags::kArithmetic, kFlags);
        EXPECT_EQ(machine.reg(Gpr::kRax), 0xa1b2c3d4u);
        EXPECT_TRUE(bytes(kData, 0x20000) == model);
      }
}

// A count of zero touches nothing, wherever the pointers lead; outside 64-bit code ECX counts.
TEST_P(Strings, NothingToDo) {
  for (const bool wide : {true, false}) {
    const auto code = [](Assembler& a) {
      a.rep().movsb();
      a.rep().stosd();
      a.repe().cmpsb();
      a.repne().scasw();
      a.hlt();
    };
    if (wide)
      load_long(code);
    else
      load_protected(code);
    pointers(0x7f000000, 0x7f000000, 0);
    set_flags(flags::kSf | flags::kCf);
    ASSERT_TRUE(halted_itself(machine.run()));
    expect_pointers(0x7f000000, 0x7f000000, 0);
    EXPECT_EQ(machine.state().rflags & flags::kArithmetic, flags::kSf | flags::kCf);
  }
}

// SDM Vol. 2 "REP": F2H before MOVS and STOS repeats like F3H.
TEST_P(Strings, EitherPrefixRepeats) {
  load_long([](Assembler& a) {
    a.db(0xf2);
    a.movsb();
    a.hlt();
  });
  fill(kFrom, 16);
  pointers(kFrom, kTo, 16);
  ASSERT_TRUE(halted_itself(machine.run()));
  expect_pointers(kFrom + 16, kTo + 16, 0);
  EXPECT_EQ(bytes(kTo, 16), bytes(kFrom, 16));
}

// The fault names the first byte that is not there, be it in the middle of an element; the elements
// before have been moved, and no part of another.
TEST_P(Strings, RepetitionFaultsInALaterPage) {
  for (const bool source : {true, false})
    for (const std::uint64_t odd : {0, 2}) {
      SCOPED_TRACE(::testing::Message() << source << odd);
      load_long([](Assembler& a) {
        a.nop();
        a.rep().movsd();
        a.hlt();
      });
      fill(kFrom, 0x4000);
      machine.put(kTo, Bytes(0x4000, 0));
      const std::uint64_t missing = (source ? kFrom : kTo) + 2 * kPage;
      machine.map(missing, 0, 0);
      const std::uint64_t from = kFrom + 0x10 + (source ? odd : 0),
                          to = kTo + (source ? 0 : 0x20 + odd);
      const std::uint64_t done = (missing - (source ? from : to)) / 4;
      pointers(from, to, 0x4000);
      set_flags(flags::kCf | flags::kPf);
      EXPECT_TRUE(faulted(machine.run(), 14, kCode + 1));
      EXPECT_EQ(machine.state().cr2, missing);
      expect_pointers(from + 4 * done, to + 4 * done, 0x4000 - done);
      EXPECT_EQ(machine.state().rflags & flags::kArithmetic, flags::kCf | flags::kPf);
      EXPECT_EQ(bytes(to, 4 * done), bytes(from, 4 * done));
      EXPECT_EQ(bytes(to + 4 * done, 2), Bytes(2, 0));
      machine.map(missing, missing);
    }
}

TEST_P(Strings, NonCanonicalPointers) {
  load_long([](Assembler& a) {
    a.rep().movsb();
    a.hlt();
  });
  constexpr std::uint64_t kHole = 0x8000'0000'0000'0000 >> 16;
  for (const bool source : {true, false}) {
    pointers(source ? kHole : kFrom, source ? kTo : kHole, 8);
    EXPECT_TRUE(faulted(machine.run_at(kCode), 13, kCode));
    expect_pointers(source ? kHole : kFrom, source ? kTo : kHole, 8);
  }
}

// Two linear pages map one frame: what was just written is read.
TEST_P(Strings, OverlapThroughAnAlias) {
  load_long([](Assembler& a) {
    a.rep().movsb();
    a.hlt();
  });
  machine.map(kTo, kFrom);
  fill(kFrom, kPage);
  pointers(kFrom + 5, kTo + 6, 0x800);  // the same bytes, one further
  ASSERT_TRUE(halted_itself(machine.run()));
  EXPECT_EQ(bytes(kFrom + 5, 0x801), Bytes(0x801, byte_at(5)));
}

// Outside 64-bit code the byte after FFFFFFFFH is byte 0.
TEST_P(Strings, AddressesWrap) {
  load_protected([](Assembler& a) {
    a.rep().movsb();
    a.hlt();
  });
  machine.store<std::uint32_t>(kPd32 + 4 * 1023, kPt32 | 7);
  const std::uint64_t top = kRam - 16;  // where FFFFFFF0H is
  fill(top, 16);
  machine.put(0, Bytes(16, 0x5a));
  pointers(0xfffffff0, kTo, 32);
  ASSERT_TRUE(halted_itself(machine.run()));
  expect_pointers(0x10, kTo + 32, 0);
  EXPECT_EQ(bytes(kTo, 16), bytes(top, 16));
  EXPECT_EQ(bytes(kTo + 16, 16), Bytes(16, 0x5a));
}

// 16-bit addresses: only the low words of the registers count, and only they change.
TEST_P(Strings, SixteenBitAddresses) {
  machine.enter_protected();
  machine.put(kCode, {0x67, 0xf3, 0xa4, 0x67, 0xaa, 0xf4});  // a16 rep movsb; a16 stosb; hlt
  const Bytes saved = bytes(0x100, 16);
  fill(0x8000, 16);
  pointers(0xabcd'8000, 0x1234'9000, 0x7777'0010);
  machine.reg(Gpr::kRax) = 0x42;
  ASSERT_TRUE(halted_itself(machine.run()));
  expect_pointers(0xabcd'8010, 0x1234'9011, 0x7777'0000);
  EXPECT_EQ(bytes(0x9000, 16), bytes(0x8000, 16));
  EXPECT_EQ(machine.load<std::uint8_t>(0x9010), 0x42);
}

// A source in a segment with a base goes its own way.
TEST_P(Strings, SegmentWithABase) {
  load_long([](Assembler& a) {
    a.db(0x64);
    a.movsb();
    a.db(0x64);
    a.rep().movsb();
    a.hlt();
  });
  machine.state().segment(guest::Seg::kFs).base = 0x300;
  machine.vcpu->state_changed();
  fill(kFrom, 0x800);
  pointers(kFrom, kTo, 9);
  ASSERT_TRUE(halted_itself(machine.run()));
  expect_pointers(kFrom + 10, kTo + 10, 0);
  EXPECT_EQ(bytes(kTo, 10), bytes(kFrom + 0x300, 10));
}

// Where a comparison stops, what it leaves in the flags, and that a fault leaves them alone.
TEST_P(Strings, Comparisons) {
  for (const bool wide : {true, false}) {
    const auto code = [](Assembler& a) {
      a.repe().cmpsb();
      a.hlt();
    };
    const auto load = [&](auto&& write) { wide ? load_long(write) : load_protected(write); };
    load(code);
    fill(kFrom, 0x4000);
    fill(kTo + 0x100, 0x4000);
    pointers(kFrom, kTo + 0x100, 0x3000);  // all equal
    set_flags(flags::kCf);
    ASSERT_TRUE(halted_itself(machine.run()));
    expect_pointers(kFrom + 0x3000, kTo + 0x3100, 0);
    EXPECT_EQ(machine.state().rflags & flags::kArithmetic, flags::kZf | flags::kPf);

    machine.store<std::uint8_t>(kTo + 0x100 + 0x1234, byte_at(0x1234) + 1);
    pointers(kFrom, kTo + 0x100, 0x3000);
    ASSERT_TRUE(halted_itself(machine.run_at(kCode)));
    expect_pointers(kFrom + 0x1235, kTo + 0x1335, 0x3000 - 0x1235);
    EXPECT_FALSE(machine.state().rflags & flags::kZf);

    load([](Assembler& a) {
      a.repne().scasd();
      a.hlt();
    });
    machine.put(kFrom, Bytes(0x3000, 0));
    machine.store<std::uint32_t>(kFrom + 0x1804, 0xdeadbeef);
    pointers(1, kFrom + 4, 0xc00);
    machine.reg(Gpr::kRax) = 0xdeadbeef;
    ASSERT_TRUE(halted_itself(machine.run_at(kCode)));
    expect_pointers(1, kFrom + 0x1808, 0xc00 - 0x601);
    EXPECT_EQ(machine.state().rflags & flags::kArithmetic, flags::kZf | flags::kPf);
  }
}

TEST_P(Strings, ComparisonThatFaultsKeepsFlags) {
  load_long([](Assembler& a) {
    a.repe().scasb();
    a.hlt();
  });
  machine.put(kFrom, Bytes(2 * kPage, 0x11));
  machine.map(kFrom + 2 * kPage, 0, 0);
  pointers(1, kFrom + 0x80, 0x10000);
  machine.reg(Gpr::kRax) = 0x11;
  set_flags(flags::kCf | flags::kOf);
  EXPECT_TRUE(faulted(machine.run(), 14, kCode));
  expect_pointers(1, kFrom + 2 * kPage, 0x10000 - 2 * kPage + 0x80);
  EXPECT_EQ(machine.state().rflags & flags::kArithmetic, flags::kCf | flags::kOf);
}

// Code that is overwritten by a string instruction runs as it is then.
TEST_P(Strings, StoresIntoCode) {
  const std::pair<const char*, void (*)(Assembler&)> kinds[] = {
      {"stosb", [](Assembler& a) { a.stosb(); }},
      {"movsb", [](Assembler& a) { a.movsb(); }},
      {"rep stosb", [](Assembler& a) { a.rep().stosb(); }},
      {"rep movsb", [](Assembler& a) { a.rep().movsb(); }},
  };
  for (const auto& [name, store] : kinds) {
    SCOPED_TRACE(name);
    load_long([&](Assembler& a) {
      Label target = a.newLabel();
      a.lea(rdi, ptr(target, 1));
      a.mov(esi, kFrom);
      a.mov(ecx, 1);
      a.mov(eax, ebx);
      store(a);
      a.bind(target);
      a.mov(edx, 1);
      a.hlt();
    });
    for (std::uint8_t value = 2; value < 6; ++value) {
      machine.store(kFrom, value);
      machine.reg(Gpr::kRbx) = value;
      ASSERT_TRUE(halted_itself(machine.run_at(kCode)));
      EXPECT_EQ(machine.reg(Gpr::kRdx), value);
    }
  }
}

TEST_P(Strings, DevicesOnEitherSide) {
  load_long([](Assembler& a) {
    a.mov(ebx, 2);
    Label again = a.newLabel();
    a.bind(again);
    a.mov(rsi, kDevice);
    a.mov(edi, kTo);
    a.movsw();
    a.mov(esi, kTo);
    a.mov(rdi, kDevice + 8);
    a.movsd();
    a.mov(rsi, kDevice);
    a.mov(rdi, kDevice + 0x10);
    a.movsb();
    a.mov(ecx, 2);
    a.rep().movsd();
    a.dec(ebx);
    a.jnz(again);
    a.hlt();
  });
  machine.store<std::uint32_t>(kTo, 0);
  ASSERT_TRUE(halted_itself(machine.run()));
  const std::vector<Access> once = {
      {'r', 0, 2, 0x2211},     {'w', 8, 4, 0x2211},        {'r', 0, 1, 0x11},
      {'w', 0x10, 1, 0x11},    {'r', 1, 4, 0x44332211},    {'w', 0x11, 4, 0x44332211},
      {'r', 5, 4, 0x44332211}, {'w', 0x15, 4, 0x44332211},
  };
  std::vector<Access> twice = once;
  twice.insert(twice.end(), once.begin(), once.end());
  EXPECT_EQ(machine.device.accesses, twice);
}

// Every page of hundreds of GiB is one frame: the repetition lasts for seconds, but not the wait.
TEST_P(Strings, InterruptStopsALongRepetition) {
  constexpr std::uint64_t kDirectory = kLow, kTable = kLow + kPage, kBegin = 16ull << 30,
                          kCount = 400ull << 30;
  constexpr std::uint8_t kVector = 0x30;
  load_long([](Assembler& a) {
    a.nop();
    a.rep().stosb();
    a.hlt();
  });
  for (unsigned i = 0; i < 512; ++i) {
    machine.store<std::uint64_t>(kTable + 8 * i, kData | 7);
    machine.store<std::uint64_t>(kDirectory + 8 * i, kTable | 7);
    if (i >= 16) machine.store<std::uint64_t>(kPdpt + 8 * i, kDirectory | 7);
  }
  pointers(0, kBegin, kCount);
  set_flags(flags::kIf);
  machine.vcpu->state_changed();
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    machine.board.assert_interrupt(kVector);
    machine.vcpu->request_interrupt();
  });
  const Stop stop = machine.run();
  other.join();
  EXPECT_EQ(stop.vector, kVector);
  EXPECT_EQ(stop.rip, kCode + 1);
  EXPECT_GT(machine.reg(Gpr::kRcx), 0u);
  EXPECT_LT(machine.reg(Gpr::kRcx), kCount);
  EXPECT_EQ(machine.reg(Gpr::kRdi) + machine.reg(Gpr::kRcx), kBegin + kCount);
}

// What is in the TLBs needs no call-out, and no more than one when it is not.
TEST_P(Strings, RepetitionsStayInTranslatedCode) {
  load_long([](Assembler& a) {
    Label again = a.newLabel();
    a.bind(again);
    a.mov(esi, kFrom);
    a.mov(edi, kTo + 0x100);
    a.mov(ecx, 0x2000);
    a.rep().movsb();
    a.dec(ebx);
    a.jnz(again);
    a.hlt();
  });
  machine.reg(Gpr::kRbx) = kTurns;
  const std::uint64_t before = machine.counter("call-outs");
  ASSERT_TRUE(halted_itself(machine.run()));
  EXPECT_LT(machine.counter("call-outs") - before, 20u);
}

RS_FOR_ALL_SETTINGS(Strings);

}  // namespace
}  // namespace ringshift::engine
