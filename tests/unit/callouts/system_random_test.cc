// tests/unit/callouts/system_random_test.cc - random system instructions in every mode: whatever
// operands they get, a fault leaves the processor as it was, and control registers stay legal.
#include <cstring>
#include <random>

#include "tests/unit/callouts/fixture.h"
#include "translator/callouts/system_rows.h"

namespace ringshift::translator {
namespace {

using guest::Gpr;
using guest::Seg;

class SystemRandom : public CalloutTest {
 protected:
  using Image = std::array<std::uint8_t, sizeof(guest::CpuState)>;

  std::uint64_t pick(std::uint64_t bound) { return random_() % bound; }
  std::uint64_t value() {
    static constexpr std::uint64_t kEdges[] = {0,
                                               1,
                                               2,
                                               3,
                                               0xf,
                                               0x10,
                                               0x7f,
                                               0xffff,
                                               0x10000,
                                               0x7fffffff,
                                               0x80000000,
                                               0xffffffff,
                                               1ull << 32,
                                               1ull << 47,
                                               0x7fffffffffff,
                                               0xffff800000000000,
                                               1ull << 63,
                                               ~0ull,
                                               kPml4,
                                               kPdpt,
                                               kTssBSel,
                                               kLdtSel,
                                               kData,
                                               0x80000011,
                                               0x80050033,
                                               0x6f8,
                                               0xd01};
    switch (pick(4)) {
      case 0:
        return random_();
      case 1:
        return random_() & 0xffffffff;
      case 2:
        return 1ull << pick(64);
      default:
        return kEdges[pick(std::size(kEdges))];
    }
  }
  std::uint64_t msr_index() {
    static constexpr std::uint32_t kBases[] = {
        0,     0xc0,  0x170, 0x1a0, 0x1d0,      0x200,      0x240,      0x260,
        0x2f0, 0x400, 0x420, 0x800, 0xc0000080, 0xc0000100, 0xc0010000, 0xc0011020};
    return kBases[pick(std::size(kBases))] + pick(32);
  }
  void enter_some_mode() {
    const auto cpl = pick(2) ? 0u : 3u;
    switch (pick(5)) {
      case 0:
        enter_real();
        break;
      case 1:
        enter_protected32(cpl);
        break;
      case 2:
        enter_long(cpl);
        break;
      case 3:
        enter_compatibility(cpl);
        break;
      default:
        enter_v86(static_cast<unsigned>(pick(4)));
        break;
    }
    for (std::uint64_t bit : {guest::cr4::kVme, guest::cr4::kPvi, guest::cr4::kTsd, guest::cr4::kDe,
                              guest::cr4::kUmip, guest::cr4::kFsgsbase})
      if (pick(3) == 0) state.cr4 |= bit;
    if (pick(8) == 0) state.rflags |= guest::flags::kVip;
    if (pick(8) == 0) state.dr[7] |= 1u << 13;
  }
  Operation random_operation() {
    const bool code64 = state.in_64bit_code();
    static constexpr unsigned kSizes[] = {2, 4, 8};
    Operation op = operation(kSizes[pick(code64 ? 3 : 2)]);
    const std::uint64_t registers = code64 ? 16 : 8;
    op.reg = static_cast<std::uint8_t>(pick(registers));
    op.rm = static_cast<std::uint8_t>(pick(registers));
    if (pick(2)) {
      op.has_memory = true;
      op.memory.segment = static_cast<Seg>(pick(6));
      op.memory.displacement = static_cast<std::int64_t>(pick(4) ? kData + pick(64) : value());
      if (state.real_or_v86()) op.memory.displacement &= 0xffff;
    }
    return op;
  }
  bool reaches_handler(const Row& row) const {
    const bool code64 = state.in_64bit_code();
    return !(has(row.traits, Trait::kRing0) && state.cpl > 0) &&
           !(has(row.traits, Trait::kProtectedOnly) && state.real_or_v86()) &&
           !(has(row.traits, Trait::kOnly64) && !code64) &&
           !(has(row.traits, Trait::kNot64) && code64);
  }
  Image image() const {
    Image bytes;
    std::memcpy(bytes.data(), &state, bytes.size());
    return bytes;
  }
  void expect_legal_state(std::string_view name) const {
    EXPECT_FALSE(state.paging() && !state.protected_mode()) << name;
    EXPECT_EQ(state.long_mode_active(), state.paging() && (state.msr.efer & guest::efer::kLme))
        << name;
    EXPECT_FALSE(state.long_mode_active() && !(state.cr4 & guest::cr4::kPae)) << name;
    EXPECT_EQ(state.cr4 & ~model.supported_cr4(), 0u) << name;
    EXPECT_TRUE(state.rflags & guest::flags::kFixed1) << name;
    EXPECT_TRUE(guest::is_canonical(state.segment(Seg::kFs).base)) << name;
    EXPECT_TRUE(guest::is_canonical(state.msr.kernel_gs_base)) << name;
    EXPECT_LE(platform.priority, 15) << name;
  }

  std::mt19937_64 random_{20240229};
};

TEST_F(SystemRandom, FaultsLeaveTheStateAlone) {
  unsigned faults = 0, successes = 0;
  for (unsigned i = 0; i < 60000 && !HasFailure(); ++i) {
    guest::reset(state);
    enter_some_mode();
    for (auto& r : state.gpr) r = value();
    rsp() = pick(4) ? 0x8000 : value();
    const std::size_t n = pick(kControlRows.size() + kSystemRows.size());
    const Row& row =
        n < kControlRows.size() ? kControlRows[n] : kSystemRows[n - kControlRows.size()];
    if (!reaches_handler(row)) continue;
    if (row.mnemonic == ZYDIS_MNEMONIC_RDMSR || row.mnemonic == ZYDIS_MNEMONIC_WRMSR)
      state.reg(Gpr::kRcx) = msr_index();
    const Operation op = random_operation();
    const Image before = image();
    const auto result = row.handler(core, op);
    if (result) {
      ++successes;
      expect_legal_state(row.manual);
    } else {
      ++faults;
      EXPECT_TRUE(image() == before) << row.manual << " vector " << int(result.error().vector);
    }
    if (pick(16) == 0) write_standard_gdt(), write_page_tables();
  }
  EXPECT_GT(faults, 1000u);
  EXPECT_GT(successes, 10000u);
}

}  // namespace
}  // namespace ringshift::translator
