// tests/unit/callouts/bcd_test.cc - decimal adjustments against this machine's own, flags included.
#include "translator/callouts/bcd.h"

#include "tests/unit/callouts/compatibility_code.h"
#include "tests/unit/callouts/fixture.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;

constexpr std::uint32_t kCf = 1, kPf = 4, kAf = 0x10, kZf = 0x40, kSf = 0x80, kOf = 0x800;

class BcdTest : public CalloutTest {
 protected:
  // Every flag combination with AX values that step through the 16 bits.
  // `undefined` flags are compared on AMD processors only.
  void compare(Handler callout, std::uint32_t undefined, std::vector<std::uint8_t> code,
               unsigned step, std::uint8_t immediate = 0) {
    enter_protected32();
    const std::uint32_t compared = __builtin_cpu_is("amd") ? ~0u : ~undefined;
    const CompatibilityCode native(code);
    Operation op = operation(1);
    op.immediate = immediate;
    for (std::uint32_t ax = 0; ax < 0x10000 && !HasFailure(); ax += step) {
      for (unsigned bits = 0; bits < 64; ++bits) {
        const std::uint32_t flags = spread(bits);
        const auto expected = native.run({0xabcd0000 | ax, 0x202 | flags});
        state.reg(Gpr::kRax) = 0xabcd0000 | ax;
        state.rflags = 0x202 | flags;
        ASSERT_TRUE(callout(core, op).has_value());
        ASSERT_EQ(state.reg(Gpr::kRax), expected.eax) << std::hex << ax << " flags " << flags;
        ASSERT_EQ(state.rflags & compared, expected.eflags & compared)
            << std::hex << ax << " flags " << flags;
      }
    }
  }
  static std::uint32_t spread(unsigned bits) {
    static constexpr std::uint32_t kFlag[] = {kCf, kPf, kAf, kZf, kSf, kOf};
    std::uint32_t flags = 0;
    for (unsigned i = 0; i < 6; ++i)
      if (bits >> i & 1) flags |= kFlag[i];
    return flags;
  }
};

TEST_F(BcdTest, Daa) { compare(decimal_adjust_add, kOf, {0x27}, 13); }
TEST_F(BcdTest, Das) { compare(decimal_adjust_subtract, kOf, {0x2f}, 13); }
TEST_F(BcdTest, Aaa) { compare(ascii_adjust_add, kOf | kSf | kZf | kPf, {0x37}, 13); }
TEST_F(BcdTest, Aas) { compare(ascii_adjust_subtract, kOf | kSf | kZf | kPf, {0x3f}, 13); }
TEST_F(BcdTest, Salc) { compare(set_al_from_carry, 0, {0xd6}, 997); }
TEST_F(BcdTest, AamInSeveralBases) {
  for (const std::uint8_t base : {10, 1, 7, 16, 255})
    compare(ascii_adjust_multiply, kOf | kAf | kCf, {0xd4, base}, 61, base);
}
TEST_F(BcdTest, AadInSeveralBases) {
  for (const std::uint8_t base : {10, 0, 7, 16, 255})
    compare(ascii_adjust_divide, kOf | kAf | kCf, {0xd5, base}, 61, base);
}

TEST_F(BcdTest, AamByZeroIsADivideError) {
  enter_protected32();
  Operation op = operation(1);
  op.immediate = 0;
  state.reg(Gpr::kRax) = 0x1234;
  EXPECT_TRUE(
      faults_with(ascii_adjust_multiply(core, op), guest::fault(guest::Vector::kDivideError)));
  EXPECT_EQ(state.reg(Gpr::kRax), 0x1234u);
}

}  // namespace
}  // namespace ringshift::translator
