// tests/unit/shadowpt/windows_random_test.cc - a guest that changes its mappings at random and
// invalidates what it must: no access through a window may reach what a page walk would not give.
// RINGSHIFT_WINDOW_STEPS=1000000 makes the runs longer.
#include <cstdlib>
#include <random>

#include "tests/unit/shadowpt/window_guest.h"

namespace ringshift::shadowpt {
namespace {

namespace cr0 = guest::cr0;
namespace cr4 = guest::cr4;
using softmmu::AccessKind;

constexpr unsigned kSmall = 24;   // slots of 4 KiB pages
constexpr unsigned kLarge = 4;    // slots of large pages, whole or split
constexpr unsigned kFrames = 24;  // frames that the small pages share
constexpr std::uint64_t kFirstFrame = 0x400000;

unsigned steps() {
  const char* wanted = std::getenv("RINGSHIFT_WINDOW_STEPS");
  return wanted ? static_cast<unsigned>(std::atol(wanted)) : 20'000;
}

// What the three paging modes have in common.
class RandomWindows : public ::testing::TestWithParam<unsigned> {
 protected:
  RandomWindows() : random_(GetParam()) {
    for (std::uint64_t a = 0x400000; a < 16 << 20; a += 8) w_.g.memory->write({a}, 8, random_());
  }
  virtual void remap_small() = 0;
  virtual void remap_large() = 0;
  virtual std::uint64_t any_address() = 0;

  std::uint64_t pick(std::uint64_t below) { return random_() % below; }
  std::uint64_t frame() { return kFirstFrame + pick(kFrames) * kPage; }
  std::uint64_t rights(bool no_execute) {
    return (pick(12) ? kP : 0) | (pick(4) ? kRw : 0) | (pick(2) ? kUs : 0) | (pick(4) ? kA : 0) |
           (pick(3) ? kD : 0) | (pick(3) ? 0 : kG) | (no_execute && !pick(4) ? kXd : 0) |
           (no_execute ? any_key() : 0);
  }
  // Bits 62:59 of a leaf entry of 4-level paging.
  std::uint64_t any_key() {
    return state().long_mode_active() && !pick(3) ? (pick(15) + 1) << 59 : 0;
  }
  softmmu::Mmu& mmu() { return *w_.mmu; }
  guest::CpuState& state() { return w_.g.state; }

  void change_key_rights() {
    const bool user_pages = pick(2);
    std::uint32_t& rights = user_pages ? state().pkru : state().msr.pkrs;
    const std::uint32_t before = rights;
    rights ^= static_cast<std::uint32_t>(random_() & random_() & random_());
    mmu().key_rights_changed(user_pages, before, rights);
  }
  void change_mode() {
    switch (pick(9)) {
      case 6:
        state().cr4 ^= cr4::kPke;
        break;
      case 7:
        state().cr4 ^= cr4::kPks;
        break;
      case 8:
        change_key_rights();
        break;
      case 0:
        state().cr0 ^= cr0::kWp;
        break;
      case 1:
        state().cr4 ^= cr4::kSmap;
        break;
      case 2:
        state().cr4 ^= cr4::kSmep;
        break;
      case 3:
        state().cr4 ^= cr4::kPge;
        break;
      default:
        mmu().flush_all(pick(2));
        break;
    }
    mmu().select_view();
  }
  void change_space() {
    if (state().cr4 & cr4::kPcide) {
      state().cr3 = (state().cr3 & ~std::uint64_t{0xfff}) | pick(20);
      if (pick(4) == 0) mmu().flush_pcid(static_cast<unsigned>(state().cr3 & 0xfff), true);
    } else {
      mmu().flush_all(true);
    }
    mmu().select_view();
  }
  void watch() {
    const PhysicalAddress page{pick(3) ? frame() : kFirstFrame + pick(0x800) * kPage};
    const bool on = pick(3) != 0;
    w_.g.memory->watch(page, on);
    if (on) mmu().drop_writable(page);
  }
  void set_watchpoint() {
    softmmu::Watchpoints points{};
    if (pick(2)) points[pick(4)] = {{any_address() & ~std::uint64_t{7}}, 8, pick(2) != 0};
    mmu().watch(points);
  }

  void access() {
    const std::uint64_t a = (any_address() & ~std::uint64_t{7});
    const bool write = pick(2);
    const AccessKind kind = write ? AccessKind::kWrite : AccessKind::kRead;
    const auto expected = w_.g.walk(a, mmu().data_access(kind), false);
    const auto through = w_.read(a);
    if (through) {
      ++hits_;
      const auto readable = w_.g.walk(a, mmu().data_access(AccessKind::kRead), false);
      ASSERT_TRUE(readable) << std::hex << a;
      ASSERT_EQ(*through, w_.g.memory->read(readable->address, 8)) << std::hex << a;
      if (write && w_.write(a, *through)) {
        ++written_;
        ASSERT_TRUE(expected && expected->writable) << std::hex << a;
        ASSERT_FALSE(w_.g.memory->watched(expected->address)) << std::hex << a;
        return;
      }
      if (!write) return;
    }
    const auto slow = mmu().host_address({a}, 8, write);
    ASSERT_EQ(slow.has_value(), expected.has_value());
    if (!slow) return;
    if (w_.windows->cover(w_.view(), {a}, write)) {
      ASSERT_TRUE(w_.windows->covered(w_.view(), {a}, write));
      ASSERT_TRUE(write ? w_.writes(a) : w_.reads(a)) << std::hex << a;
      ASSERT_EQ(w_.windows->linear_of(w_.view(), w_.host(a)), LinearAddress{a});
    } else {
      // Only what is not plain memory for this access, as nothing is refused here.
      ++not_covered_;
      ASSERT_TRUE(*slow == nullptr || write) << std::hex << a;
      ASSERT_TRUE(*slow == nullptr) << std::hex << a;
    }
  }

  void run() {
    for (unsigned step = 0; step < steps(); ++step) {
      fake_time() += 10'000'000;  // every view has credit
      switch (pick(24)) {
        case 0:
        case 1:
          remap_small();
          break;
        case 2:
          if (pick(4) == 0) remap_large();
          break;
        case 3:
          if (pick(8) == 0) change_mode();
          break;
        case 4:
          if (pick(4) == 0) change_space();
          break;
        case 5:
          w_.set_privilege(pick(2) ? 3 : 0, pick(2));
          break;
        case 6:
        case 7:
          watch();
          break;
        case 8:
          if (pick(4) == 0) set_watchpoint();
          break;
        default:
          access();
          break;
      }
      ASSERT_FALSE(HasFatalFailure()) << "step " << step;
      ASSERT_EQ(w_.windows->check_invariants(step % 1024 == 0), "") << "step " << step;
    }
    // The run must have been one that could fail.
    EXPECT_GT(hits_, steps() / 40);
    EXPECT_GT(written_, steps() / 200);
    EXPECT_GT(w_.windows->counters().drops, steps() / 100);
    EXPECT_EQ(w_.windows->counters().refused, 0u);
    EXPECT_EQ(w_.windows->counters().failed, 0u);
  }

  std::mt19937_64 random_;
  WindowGuest w_;
  unsigned hits_ = 0, written_ = 0, not_covered_ = 0;
};

// --- 64-bit: pages of 4 KiB, 2 MiB and 1 GiB, PCIDs
// ------------------------------------------------

class RandomWindows64 : public RandomWindows {
 protected:
  RandomWindows64() {
    state().cr4 |= cr4::kPge | cr4::kPcide;
    w_.g.next_table = 0x100000;
    w_.start_64bit();
    for (unsigned i = 0; i < kSmall; ++i) leaves_.push_back(w_.g.entry(small(i), 1));
    for (unsigned i = 0; i < kLarge; ++i) {
      large_.push_back(w_.g.entry(large(i), 2));
      tables_.push_back(new_table());
    }
    huge_ = w_.g.entry(kHuge, 3);
    huge_table_ = w_.g.new_table();
    for (unsigned n = 0; n < 512; ++n)
      w_.g.memory->write({huge_table_ + n * 8}, 8, (n % 8 * k2M) | rights(true) | kPs);
  }

  // The ends of both canonical halves, and pages that are neighbours.
  static std::uint64_t small(unsigned i) {
    constexpr std::uint64_t kGroups[] = {0x00007fffffffe000, 0xffff800000000000, 0x0000555500001000,
                                         0xfffffffffffff000 - 5 * kPage};
    const std::uint64_t group = kGroups[i % 4];
    return group == kGroups[0] ? group - i / 4 * kPage : group + i / 4 * kPage;
  }
  static std::uint64_t large(unsigned i) { return 0x7e0000000000 + i * k2M; }
  static constexpr std::uint64_t kHuge = 0xffff888000000000;

  std::uint64_t new_table() {
    const std::uint64_t table = w_.g.new_table();
    std::uint64_t run = frame(), bits = rights(true);
    for (unsigned n = 0; n < 512; ++n) {
      if (pick(8) == 0) run = frame(), bits = rights(true);
      w_.g.memory->write({table + n * 8}, 8, (run + n % 8 * kPage) | bits);
    }
    return table;
  }
  std::uint64_t any_address() override {
    std::uint64_t& recent = recent_[pick(recent_.size())];
    if (recent && pick(2)) return recent + pick(kPage - 8);
    switch (pick(4)) {
      case 0:
        return recent = kHuge + (pick(8) * k2M + pick(512) * kPage) % (14 << 20);
      case 1:
        return recent = large(static_cast<unsigned>(pick(kLarge))) + pick(40) * kPage;
      default:
        return recent = small(static_cast<unsigned>(pick(kSmall)));
    }
  }
  void remap_small() override {
    const unsigned i = static_cast<unsigned>(pick(kSmall));
    // Often the frame that makes neighbours a run.
    const std::uint64_t at = pick(2) ? frame() : kFirstFrame + i / 4 * kPage;
    w_.g.memory->write({leaves_[i]}, 8, at | rights(true));
    mmu().flush_page({small(i) + pick(kPage)});
  }
  void remap_large() override {
    if (pick(3) == 0) {
      const bool was_huge = w_.g.memory->read({huge_}, 8) & kPs;
      const std::uint64_t split = huge_table_ | kP | kRw | kUs | kA;
      w_.g.memory->write({huge_}, 8, pick(2) ? split : kPs | rights(true));
      invalidate(was_huge, kHuge + pick(k1G));
      return;
    }
    const unsigned i = static_cast<unsigned>(pick(kLarge));
    const bool was_large = w_.g.memory->read({large_[i]}, 8) & kPs;
    const std::uint64_t split = tables_[i] | kP | kRw | kUs | kA;
    w_.g.memory->write({large_[i]}, 8,
                       pick(2) ? split : (k2M * (2 + pick(5))) | kPs | rights(true));
    invalidate(was_large, large(i) + pick(k2M));
  }
  // A large page goes with one INVLPG, what was made of small ones with a flush.
  void invalidate(bool was_one_page, std::uint64_t a) {
    if (was_one_page)
      mmu().flush_page({a});
    else
      mmu().flush_all(false);
  }

  std::vector<std::uint64_t> leaves_, large_, tables_;
  std::uint64_t huge_ = 0, huge_table_ = 0;
  std::array<std::uint64_t, 4> recent_{};
};

TEST_P(RandomWindows64, NoWindowIsEverStale) { run(); }
INSTANTIATE_TEST_SUITE_P(Seeds, RandomWindows64, ::testing::Range(1u, 4u));

// --- 32-bit: pages of 4 KiB and 4 MiB, one address space
// ------------------------------------------

class RandomWindows32 : public RandomWindows {
 protected:
  RandomWindows32() {
    state().cr4 |= cr4::kPge | cr4::kPse;
    w_.g.enter_32bit_paging();
    for (unsigned i = 0; i < kLarge; ++i) {
      tables_.push_back(w_.g.new_table());
      for (unsigned n = 0; n < 1024; ++n)
        put(tables_[i] + n * 4, (kFirstFrame + n % kFrames * kPage) | rights(false));
      put(directory(large(i)), tables_[i] | kP | kRw | kUs | kA);
    }
    w_.start();
  }
  void put(std::uint64_t where, std::uint64_t value) { w_.g.memory->write({where}, 4, value); }
  // The first and the last 4 MiB are among them.
  static std::uint64_t large(unsigned i) { return std::uint64_t{i} * 0x55400000 & 0xffc00000; }
  static std::uint64_t directory(std::uint64_t a) { return 0x1000 + (a >> 22) * 4; }
  std::uint64_t any_address() override {
    return large(static_cast<unsigned>(pick(kLarge))) + pick(24) * kPage + pick(kPage - 8);
  }
  void remap_small() override {
    const unsigned i = static_cast<unsigned>(pick(kLarge)), n = static_cast<unsigned>(pick(24));
    put(tables_[i] + n * 4, (pick(2) ? frame() : kFirstFrame + n * kPage) | rights(false));
    mmu().flush_page({large(i) + n * kPage + pick(kPage)});
  }
  void remap_large() override {
    const unsigned i = static_cast<unsigned>(pick(kLarge));
    const std::uint64_t where = directory(large(i));
    const bool was_large = w_.g.memory->read({where}, 4) & kPs;
    put(where,
        pick(2) ? tables_[i] | kP | kRw | kUs | kA : (k4M * (1 + pick(3))) | kPs | rights(false));
    if (was_large)
      mmu().flush_page({large(i) + pick(k4M)});
    else
      mmu().flush_all(false);
  }
  std::vector<std::uint64_t> tables_;
};

TEST_P(RandomWindows32, NoWindowIsEverStale) { run(); }
INSTANTIATE_TEST_SUITE_P(Seeds, RandomWindows32, ::testing::Range(1u, 3u));

}  // namespace
}  // namespace ringshift::shadowpt
