// tests/unit/softmmu/mmu_random_test.cc - a guest that changes its mappings at random and
// invalidates what it must: no view may ever hold what a fresh page walk would not give.
#include <gtest/gtest.h>

#include <random>

#include "softmmu/mmu.h"
#include "tests/unit/softmmu/paging_guest.h"

namespace ringshift::softmmu {
namespace {

namespace cr0 = guest::cr0;
namespace cr4 = guest::cr4;

constexpr std::uint64_t k2M = 0x200000;
constexpr unsigned kPages = 24;   // linear pages of 4 KiB, some sharing a TLB index
constexpr unsigned kLarge = 3;    // linear pages of 2 MiB, whole or split
constexpr unsigned kFrames = 16;  // frames that all of them share
constexpr std::uint64_t kFirstFrame = 0x400000;

// One access says how the paths through the MMU must answer: as a walk just before it.
class RandomGuest : public ::testing::TestWithParam<unsigned> {
 protected:
  RandomGuest() : random_(GetParam()), mmu_(*g_.memory, g_.state, model_) {
    g_.enter_long_mode();
    g_.state.cr4 |= cr4::kPge | cr4::kPcide;
    mmu_.select_view();
    for (unsigned i = 0; i < kPages; ++i) leaves_.push_back(g_.entry(small_page(i), 1));
    for (unsigned i = 0; i < kLarge; ++i) {
      split_tables_.push_back(g_.new_table());
      for (unsigned n = 0; n < 512; ++n)
        g_.memory->write({split_tables_[i] + n * 8}, 8, frame() | rights());
      large_.push_back(g_.entry(large_page(i), 2));
    }
    for (unsigned i = 0; i < kFrames; ++i)
      for (unsigned n = 0; n < 4096; n += 8)
        g_.memory->write({kFirstFrame + i * 0x1000 + n}, 8, random_());
  }

  std::uint64_t pick(std::uint64_t below) { return random_() % below; }
  // Three groups whose TLB indices are the same.
  static std::uint64_t small_page(unsigned i) {
    return 0x7f0000000000 + (i % 3 << 24) + std::uint64_t{i / 3} * 0x1000;
  }
  static std::uint64_t large_page(unsigned i) { return 0x7e0000000000 + i * k2M; }
  // Half of the time a page that was used a moment ago, so that the views have something to serve.
  std::uint64_t any_page() {
    std::uint64_t& recent = recent_[pick(recent_.size())];
    if (recent == 0 || pick(2))
      recent = pick(3) ? small_page(static_cast<unsigned>(pick(kPages)))
                       : large_page(static_cast<unsigned>(pick(kLarge))) + pick(8) * 0x40000;
    return recent;
  }
  std::uint64_t frame() { return kFirstFrame + pick(kFrames) * 0x1000; }
  // G is the page's own, not the choice of the moment: what is global must be so in every space.
  std::uint64_t rights() {
    return (pick(8) ? kP : 0) | (pick(3) ? kRw : 0) | (pick(2) ? kUs : 0) | (pick(4) ? 0 : kXd) |
           (pick(2) ? kA : 0) | (pick(2) ? kD : 0) | (pick(3) ? 0 : kG) |
           (pick(3) ? 0 : (pick(15) + 1) << 59);
  }

  void remap_small() {
    const unsigned i = static_cast<unsigned>(pick(kPages));
    g_.memory->write({leaves_[i]}, 8, frame() | rights());
    mmu_.flush_page({small_page(i) + pick(4096)});
  }
  // Large page to split and back. A large page goes with one INVLPG; 512 small ones with a flush.
  void remap_large() {
    const unsigned i = static_cast<unsigned>(pick(kLarge));
    const bool was_large = g_.memory->read({large_[i]}, 8) & kPs;
    const std::uint64_t split = split_tables_[i] | kP | kRw | kUs;
    g_.memory->write({large_[i]}, 8, pick(2) ? split : (k2M * 2) | kPs | rights());
    if (was_large)
      mmu_.flush_page({large_page(i) + pick(k2M)});
    else
      mmu_.flush_all(false);
  }
  void change_key_rights() {
    const bool user_pages = pick(2);
    std::uint32_t& rights = user_pages ? g_.state.pkru : g_.state.msr.pkrs;
    const std::uint32_t before = rights;
    rights ^= static_cast<std::uint32_t>(random_() & random_() & random_());
    mmu_.key_rights_changed(user_pages, before, rights);
  }
  void change_mode() {
    switch (pick(8)) {
      case 5:
        g_.state.cr4 ^= cr4::kPke;
        break;
      case 6:
        g_.state.cr4 ^= cr4::kPks;
        break;
      case 7:
        change_key_rights();
        break;
      case 0:
        g_.state.cr0 ^= cr0::kWp;
        break;
      case 1:
        g_.state.cr4 ^= cr4::kSmap;
        break;
      case 2:
        g_.state.cr4 ^= cr4::kSmep;
        break;
      case 3:
        g_.state.cr4 ^= cr4::kPge;
        break;
      default:
        mmu_.flush_all(pick(2));
        break;
    }
    mmu_.select_view();
  }
  void change_space() {
    g_.state.cr3 = (g_.state.cr3 & ~std::uint64_t{0xfff}) | pick(3);
    if (pick(4) == 0) mmu_.flush_pcid(static_cast<unsigned>(g_.state.cr3 & 0xfff), true);
    mmu_.select_view();
  }
  void change_privilege() {
    g_.state.cpl = pick(2) ? 3 : 0;
    if (pick(2)) g_.state.rflags ^= guest::flags::kAc;
    mmu_.select_view();
  }
  void watch() {
    const guest::PhysicalAddress page{frame()};
    const bool on = pick(2);
    g_.memory->watch(page, on);
    if (on) mmu_.drop_writable(page);
  }

  guest::Checked<Translation> expect(std::uint64_t linear, Access access) {
    return g_.walk(linear, access, false);
  }
  void fast_access() {
    const std::uint64_t a = any_page() + pick(4088);
    const bool write = pick(2);
    const auto expected =
        expect(a, mmu_.data_access(write ? AccessKind::kWrite : AccessKind::kRead));
    // What translated code does first.
    std::uint8_t* const hit =
        write ? mmu_.current().find_write({a}) : mmu_.current().find_read({a});
    if (hit) {
      ++hits_;
      ASSERT_TRUE(expected);
      ASSERT_EQ(hit, host(*expected));
      return;
    }
    const auto result = mmu_.host_address({a}, 8, write);
    ASSERT_EQ(result.has_value(), expected.has_value());
    if (!result) {
      ASSERT_EQ(result.error(), expected.error());
    } else if (write && g_.memory->watched(expected->address)) {
      ASSERT_EQ(*result, nullptr);
    } else {
      ASSERT_EQ(*result, host(*expected));
    }
  }
  std::uint8_t* host(const Translation& t) {
    return g_.memory->ram_page(t.address) + guest::page_offset(t.address.value);
  }
  // Bytes over a page boundary, by any privilege.
  void slow_access() {
    const std::uint64_t a = any_page() + 4096 - 1 - pick(12);
    Access access{pick(2) ? AccessKind::kWrite : AccessKind::kRead, pick(2) != 0, false};
    access.implicit = !access.user && pick(2);
    std::array<std::uint8_t, 16> bytes{};
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(pick(256));
    std::array<std::uint8_t*, 16> where{};
    guest::Status expected;
    for (unsigned i = 0; i < bytes.size() && expected; ++i) {
      // The fault names the first byte in the page that faults, and byte 0 and each boundary
      // decide.
      if (auto t = expect(a + i, access))
        where[i] = host(*t);
      else
        expected = tl::unexpected(t.error());
    }
    const bool write = access.kind == AccessKind::kWrite;
    const auto result = write ? mmu_.write({a}, bytes, access) : mmu_.read({a}, bytes, access);
    ASSERT_EQ(result.has_value(), expected.has_value());
    if (!result) {
      ASSERT_EQ(result.error(), expected.error());
      return;
    }
    // Two linear pages may be one frame: a later byte may have overwritten an earlier one.
    if (write && guest::page_number(reinterpret_cast<std::uint64_t>(where[0])) ==
                     guest::page_number(reinterpret_cast<std::uint64_t>(where[15])))
      return;
    for (unsigned i = 0; i < bytes.size(); ++i) ASSERT_EQ(*where[i], bytes[i]);
  }
  void fetch() {
    const std::uint64_t a = any_page() + pick(4) * 64;
    const auto expected = expect(a, {AccessKind::kExecute, g_.state.cpl == 3, false});
    const auto result = mmu_.translate_fetch({a});
    ASSERT_EQ(result.has_value(), expected.has_value());
    if (!result) {
      ASSERT_EQ(result.error(), expected.error());
      return;
    }
    ASSERT_EQ(result->address, expected->address);
    ASSERT_EQ(result->global, expected->global);
    mmu_.current().fill_jump(a, 1 + expected->address.value, 0, result->global);
  }
  // The jump cache holds physical addresses here instead of code, so that it can be checked too.
  void jump() {
    const std::uint64_t a = any_page() + pick(4) * 64;
    const JumpEntry* entry = mmu_.current().find_jump(a);
    if (!entry || entry->host_code == 0) return;
    const auto expected = expect(a, {AccessKind::kExecute, g_.state.cpl == 3, false});
    ASSERT_TRUE(expected);
    ASSERT_EQ(entry->host_code, 1 + expected->address.value);
    ++jump_hits_;
  }

  std::mt19937_64 random_;
  PagingGuest g_;
  guest::CpuModel model_ = *guest::CpuModel::create("max");
  Mmu mmu_;
  std::vector<std::uint64_t> leaves_, large_, split_tables_;
  std::array<std::uint64_t, 4> recent_{};
  unsigned hits_ = 0, jump_hits_ = 0;
};

TEST_P(RandomGuest, NoViewIsEverStale) {
  for (unsigned step = 0; step < 20'000; ++step) {
    switch (pick(16)) {
      case 0:
        remap_small();
        break;
      case 1:
        if (pick(4) == 0) remap_large();
        break;
      case 2:
        if (pick(8) == 0) change_mode();
        break;
      case 3:
        if (pick(3) == 0) change_space();
        break;
      case 4:
        if (pick(3) == 0) change_privilege();
        break;
      case 5:
        watch();
        break;
      case 6:
      case 7:
      case 8:
        slow_access();
        break;
      case 9:
      case 10:
        fetch();
        break;
      case 11:
        jump();
        break;
      default:
        fast_access();
        break;
    }
    ASSERT_FALSE(HasFatalFailure()) << "step " << step;
    if (step % 16 == 0) {
      ASSERT_EQ(mmu_.check_invariants(), "") << "step " << step;
    }
  }
  // The run must have been one that could fail.
  EXPECT_GT(mmu_.counters().page_faults, 500u);
  EXPECT_GT(hits_, 200u);
  EXPECT_GT(jump_hits_, 5u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomGuest, ::testing::Range(1u, 5u));

}  // namespace
}  // namespace ringshift::softmmu
