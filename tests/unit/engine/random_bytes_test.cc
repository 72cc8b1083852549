// tests/unit/engine/random_bytes_test.cc - random bytes as guest code, in every mode: whatever the
// guest does to itself, the machine monitor neither crashes nor hangs.
#include <cstdio>
#include <cstdlib>
#include <random>

#include "tests/unit/engine/guest_machine.h"

namespace ringshift::engine {
namespace {

using guest::Gpr;
using namespace place;

// RINGSHIFT_RANDOM_SEEDS=first:count runs others, for as long as one likes.
struct Seeds {
  unsigned first = 0, count = 150;
};
Seeds seeds() {
  Seeds s;
  if (const char* text = std::getenv("RINGSHIFT_RANDOM_SEEDS"))
    if (std::sscanf(text, "%u:%u", &s.first, &s.count) != 2) ADD_FAILURE() << text;
  return s;
}
constexpr auto kBudget = std::chrono::milliseconds(20);

enum class Mode { kReal, kV86, kProtected0, kProtected3, kLong0, kLong3 };

class RandomBytes : public ::testing::TestWithParam<std::tuple<Mode, const char*>> {
 protected:
  static void enter(GuestMachine& m, Mode mode) {
    switch (mode) {
      case Mode::kReal:
        return m.enter_real();
      case Mode::kV86:
        return m.enter_v86(3);
      case Mode::kProtected0:
        return m.enter_protected(0);
      case Mode::kProtected3:
        return m.enter_protected(3);
      case Mode::kLong0:
        return m.enter_long(0);
      case Mode::kLong3:
        return m.enter_long(3);
    }
  }
};

// Handlers skip two bytes and go on, so that one seed meets many faults.
const Bytes kSkip64 = {0x48, 0x83, 0x04, 0x24, 0x02, 0x48, 0xcf};
const Bytes kSkip64Code = {0x48, 0x83, 0xc4, 0x08, 0x48, 0x83, 0x04, 0x24, 0x02, 0x48, 0xcf};
const Bytes kSkip32 = {0x83, 0x04, 0x24, 0x02, 0xcf};
const Bytes kSkip32Code = {0x83, 0xc4, 0x04, 0x83, 0x04, 0x24, 0x02, 0xcf};

TEST_P(RandomBytes, NeverHurtTheMonitor) {
  const auto [mode, model] = GetParam();
  runtime::BtOptions options;
  options.cache_bytes = 1 << 20;
  unsigned shutdowns = 0;
  const auto [first, count] = seeds();
  for (unsigned seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed * 8 + static_cast<unsigned>(mode));
    GuestMachine machine(options, model);
    const bool real = mode == Mode::kReal || mode == Mode::kV86;
    const bool wide = mode == Mode::kLong0 || mode == Mode::kLong3;
    if (mode != Mode::kReal)
      for (unsigned v : {0u, 1u, 3u, 4u, 5u, 6u, 7u, 10u, 11u, 12u, 13u, 14u, 16u, 17u, 19u}) {
        const bool code = v >= 10 && v <= 17 && v != 16;
        machine.set_handler(v,
                            wide ? (code ? kSkip64Code : kSkip64) : (code ? kSkip32Code : kSkip32));
      }
    enter(machine, mode);
    Bytes bytes(4096);
    for (auto& b : bytes) b = static_cast<std::uint8_t>(random());
    // Every other seed: more two-byte opcodes and prefixes than chance gives.
    if (seed & 1)
      for (std::size_t i = 0; i + 1 < bytes.size(); i += 1 + random() % 6) {
        constexpr std::uint8_t kLeads[] = {0x0f, 0x66, 0xf2, 0xf3, 0x48, 0xc5, 0xc4, 0x62, 0xf0};
        bytes[i] = kLeads[random() % std::size(kLeads)];
      }
    machine.put(real ? kLow : kCode, bytes);
    for (auto& g : machine.state().gpr) {
      g = (random() & 1) ? kData + random() % 0x1000 : random();
      if (!wide) g &= 0xffffffff;
    }
    machine.reg(Gpr::kRsp) = real ? 0x8000 : kStack;
    machine.vcpu->state_changed();
    const Stop stop = machine.run(kBudget);
    if (stop.reason == runtime::ExitReason::kShutdown) ++shutdowns;
  }
  EXPECT_LE(shutdowns, count);
}

std::string mode_name(const ::testing::TestParamInfo<RandomBytes::ParamType>& info) {
  constexpr const char* kNames[] = {"Real", "V86", "Protected0", "Protected3", "Long0", "Long3"};
  return std::string(kNames[static_cast<int>(std::get<0>(info.param))]) + "_" +
         std::get<1>(info.param);
}

INSTANTIATE_TEST_SUITE_P(Modes, RandomBytes,
                         ::testing::Combine(::testing::Values(Mode::kReal, Mode::kV86,
                                                              Mode::kProtected0, Mode::kProtected3,
                                                              Mode::kLong0, Mode::kLong3),
                                            ::testing::Values("max", "qemu64")),
                         mode_name);

// Every port, in every size, from guest code.
TEST(RandomAccess, EveryPort) {
  GuestMachine machine(runtime::BtOptions{});
  machine.enter_long();
  machine.put(kCode, assemble(kCode, [](asmjit::x86::Assembler& a) {
                using namespace asmjit::x86;
                asmjit::Label loop = a.newLabel();
                a.xor_(edx, edx);
                a.bind(loop);
                a.in(al, dx);
                a.out(dx, al);
                a.in(ax, dx);
                a.out(dx, ax);
                a.in(eax, dx);
                a.out(dx, eax);
                a.inc(dx);
                a.jnz(loop);
                a.hlt();
              }));
  EXPECT_TRUE(halted_itself(machine.run()));
}

}  // namespace
}  // namespace ringshift::engine
