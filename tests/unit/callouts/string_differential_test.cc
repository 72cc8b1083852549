// tests/unit/callouts/string_differential_test.cc - strings against the host's instructions.
//
// Every kind, element size, direction, prefix and overlap at random: memory, pointers, count,
// accumulator and flags must come out the same as on silicon.
#include <cstring>
#include <random>

#include "tests/unit/callouts/fixture.h"
#include "tests/unit/callouts/string_oracle.h"
#include "translator/callouts/string_compare.h"
#include "translator/callouts/string_move.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;

Handler handler_of(StringKind kind) {
  switch (kind) {
    case StringKind::kMovs:
      return move_string;
    case StringKind::kStos:
      return store_string;
    case StringKind::kLods:
      return load_string;
    case StringKind::kCmps:
      return compare_strings;
    case StringKind::kScas:
      return scan_string;
  }
  return nullptr;
}

class StringDifferential : public CalloutTest {
 protected:
  static constexpr std::size_t kBytes = 4 * 4096;
  static constexpr std::uint64_t kFlagsCompared =
      guest::flags::kArithmetic | guest::flags::kDf | guest::flags::kIf;

  // The same bytes in the guest's arena and in the reference's.
  void fill_arena(std::uint64_t distinct_values) {
    for (auto& byte : arena_) byte = static_cast<std::uint8_t>(random_() % distinct_values);
    memory->write_bytes({kData}, arena_);
  }

  // An offset from which `count` elements stay inside the arena in either direction.
  std::uint64_t pick_offset(std::uint64_t bytes, bool backward, unsigned element) {
    const std::uint64_t low = random_() % (kBytes - bytes - element);
    return backward ? low + bytes : low;
  }

  void run_guest(StringKind kind, const Operation& op) {
    Result result = handler_of(kind)(core, op);
    int rounds = 0;
    while (result && *result == Next::kJump && ++rounds < 100) result = handler_of(kind)(core, op);
    ASSERT_TRUE(result.has_value());
    ASSERT_EQ(*result, Next::kContinue);
  }

  void one_case(StringKind kind) {
    const unsigned element = 1u << (random_() % 4);
    const auto repeat = static_cast<Repeat>(random_() % 3);
    const bool backward = random_() % 2;
    const std::uint64_t limit = random_() % 4 == 0 ? 5000 : 40;
    const std::uint64_t count = random_() % (limit / element + 1);
    fill_arena(random_() % 3 == 0 ? 2 : 256);
    if (random_() % 2)
      std::memset(arena_.data(), 0x41, kBytes), memory->write_bytes({kData}, arena_);

    const std::uint64_t bytes = (count + 1) * element;
    std::uint64_t from = pick_offset(bytes, backward, element);
    std::uint64_t to = pick_offset(bytes, backward, element);
    if (random_() % 2) {  // overlapping by a few bytes
      const std::uint64_t distance = random_() % 20;
      to = from >= distance && random_() % 2 ? from - distance : from + distance;
      const std::uint64_t lowest = backward ? to - std::min(to, bytes) : to;
      if (lowest + bytes + element > kBytes || (backward && to < bytes)) to = from;
    }

    StringRegisters native;
    native.rax = random_() % 2 ? 0x4141414141414141 : random_();
    native.rcx = count;
    native.rflags = guest::flags::kFixed1 | guest::flags::kIf | (backward ? guest::flags::kDf : 0) |
                    (random_() & guest::flags::kArithmetic);
    state.reg(Gpr::kRax) = native.rax;
    state.reg(Gpr::kRcx) = native.rcx;
    state.reg(Gpr::kRsi) = kData + from;
    state.reg(Gpr::kRdi) = kData + to;
    state.rflags = native.rflags;
    const auto host = reinterpret_cast<std::uint64_t>(arena_.data());
    native.rsi = host + from;
    native.rdi = host + to;

    Operation op = operation(element);
    op.address_bytes = 8;
    if (repeat == Repeat::kRep) op.prefixes |= prefix::kRep;
    if (repeat == Repeat::kRepne) op.prefixes |= prefix::kRepne;
    run_guest(kind, op);
    run_natively(kind, element, repeat, native);

    SCOPED_TRACE(::testing::Message() << "kind " << int(kind) << " element " << element << " count "
                                      << count << " repeat " << int(repeat) << " backward "
                                      << backward << " from " << from << " to " << to);
    EXPECT_EQ(state.reg(Gpr::kRax), native.rax);
    EXPECT_EQ(state.reg(Gpr::kRcx), native.rcx);
    EXPECT_EQ(state.reg(Gpr::kRsi) - kData, native.rsi - host);
    EXPECT_EQ(state.reg(Gpr::kRdi) - kData, native.rdi - host);
    EXPECT_EQ(state.rflags & kFlagsCompared, native.rflags & kFlagsCompared);
    std::vector<std::uint8_t> after(kBytes);
    memory->read_bytes({kData}, after);
    EXPECT_EQ(std::memcmp(after.data(), arena_.data(), kBytes), 0);
  }

  void many_cases(StringKind kind) {
    enter_long();
    for (int i = 0; i < 1500 && !HasFailure(); ++i) one_case(kind);
  }

  std::vector<std::uint8_t> arena_ = std::vector<std::uint8_t>(kBytes);
  std::mt19937_64 random_{20260101};
};

TEST_F(StringDifferential, Movs) { many_cases(StringKind::kMovs); }
TEST_F(StringDifferential, Stos) { many_cases(StringKind::kStos); }
TEST_F(StringDifferential, Lods) { many_cases(StringKind::kLods); }
TEST_F(StringDifferential, Cmps) { many_cases(StringKind::kCmps); }
TEST_F(StringDifferential, Scas) { many_cases(StringKind::kScas); }

// The same streams where no page can be accessed directly: everything takes the slow path.
TEST_F(StringDifferential, WatchedPagesBehaveAlike) {
  enter_long();
  for (int i = 0; i < 400 && !HasFailure(); ++i) {
    for (std::uint64_t page = kData; page < kData + kBytes; page += 4096) {
      memory->watch({page}, true);
      mmu.drop_writable({page});
    }
    one_case(static_cast<StringKind>(i % 5));
  }
}

}  // namespace
}  // namespace ringshift::translator
