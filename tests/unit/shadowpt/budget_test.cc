// tests/unit/shadowpt/budget_test.cc - windows stay within the host's limits, and the kernel agrees
// with the books; a guest that drops its mappings at once gets no more of them for a while.
#include <sys/resource.h>

#include <algorithm>
#include <fstream>

#include "tests/unit/shadowpt/window_guest.h"

namespace ringshift::shadowpt {
namespace {

constexpr std::uint64_t kBase = 0x555500000000, kFrame = 0x400000;

// One mapping of this process.
struct HostMapping {
  std::uint64_t begin, end, offset;
  std::string rights, name;
};

std::vector<HostMapping> host_mappings() {
  std::vector<HostMapping> result;
  std::ifstream file("/proc/self/maps");
  for (std::string line; std::getline(file, line);) {
    HostMapping m;
    char rights[8] = {}, name[256] = {};
    unsigned long begin = 0, end = 0, offset = 0;
    std::sscanf(line.c_str(), "%lx-%lx %7s %lx %*s %*s %255[^\n]", &begin, &end, rights, &offset,
                name);
    m.begin = begin, m.end = end, m.offset = offset, m.rights = rights, m.name = name;
    result.push_back(m);
  }
  return result;
}

#ifdef __SANITIZE_ADDRESS__
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

class BudgetTest : public ::testing::Test {
 protected:
  void start(const WindowOptions& options) {
    w_.start_64bit(options);
    w_.set_privilege(3);
  }
  // Every other frame, so that no two pages are a run.
  void map_scattered(std::uint64_t window, unsigned pages) {
    for (unsigned i = 0; i < pages; ++i) {
      const std::uint64_t a = address(window, i);
      w_.g.map(a, (kFrame + (i * 2 % 1024) * kPage) | kRights);
    }
  }
  static std::uint64_t address(std::uint64_t window, unsigned i) {
    return kBase + (window << 32) + i * kPage;
  }
  // Gives the guest credit, which is not what these tests are about.
  bool touch(std::uint64_t a) {
    fake_time() += 10'000'000;
    return w_.touch(a, true);
  }

  WindowGuest w_;
};

TEST_F(BudgetTest, TheLeastRecentWindowGivesWay) {
  WindowOptions options;
  options.max_mappings = 280;
  start(options);
  for (unsigned window = 0; window < 4; ++window) map_scattered(window, 60);
  for (unsigned window = 0; window < 4; ++window)
    for (unsigned i = 0; i < 60; ++i) {
      ASSERT_TRUE(touch(address(window, i))) << window << " " << i;
      ASSERT_LE(w_.windows->mappings(), options.max_mappings);
    }
  EXPECT_GT(w_.windows->counters().evictions, 0u);
  EXPECT_FALSE(w_.reads(address(0, 0)));
  EXPECT_TRUE(w_.reads(address(3, 0)));
  EXPECT_TRUE(w_.reads(address(3, 59)));
  // It comes back, and the books hold.
  ASSERT_TRUE(touch(address(0, 0)));
  EXPECT_TRUE(w_.reads(address(0, 0)));
}

TEST_F(BudgetTest, OneWindowMayNotTakeAll) {
  WindowOptions options;
  options.max_mappings = 400;
  start(options);
  map_scattered(0, 500);
  for (unsigned i = 0; i < 500; ++i) {
    ASSERT_TRUE(touch(address(0, i)));
    ASSERT_LE(w_.windows->mappings(), options.max_mappings);
    ASSERT_TRUE(w_.reads(address(0, i)));
  }
  EXPECT_GT(w_.windows->counters().evictions, 0u);
}

TEST_F(BudgetTest, WindowsAreTakenFromThoseNotUsed) {
  WindowOptions options;
  options.max_windows = 3;
  start(options);
  for (unsigned window = 0; window < 8; ++window) {
    map_scattered(window, 1);
    ASSERT_TRUE(touch(address(window, 0)));
    ASSERT_TRUE(w_.reads(address(window, 0)));
  }
  EXPECT_EQ(w_.windows->counters().evictions, 5u);
  EXPECT_FALSE(w_.reads(address(4, 0)));
  EXPECT_TRUE(w_.reads(address(5, 0)));
}

TEST_F(BudgetTest, PiecesAreNotInexhaustible) {
  WindowOptions options;
  options.max_pieces = 200;
  start(options);
  for (unsigned window = 0; window < 2; ++window) map_scattered(window, 150);
  for (unsigned window = 0; window < 2; ++window)
    for (unsigned i = 0; i < 150; ++i) ASSERT_TRUE(touch(address(window, i)));
  EXPECT_EQ(w_.windows->check_invariants(), "");
}

// Pieces that cannot be split for want of room are dropped further than asked for.
TEST_F(BudgetTest, SplittingWithoutRoomDropsMore) {
  WindowOptions options;
  options.max_pieces = 140;
  start(options);
  w_.g.map(kBase, kFrame | kRights, 2);
  ASSERT_TRUE(touch(kBase));
  for (unsigned i = 1; i < 400; i += 2) {
    w_.g.memory->watch({kFrame + i * kPage}, true);
    w_.mmu->drop_writable({kFrame + i * kPage});
    ASSERT_EQ(w_.windows->check_invariants(false), "") << i;
    ASSERT_FALSE(w_.writes(kBase + i * kPage));
  }
  EXPECT_FALSE(w_.reads(kBase + k2M - 8));
}

// All that the kernel has mapped of guest RAM in windows is what the books say, and it needs no
// more mappings than they count.
TEST_F(BudgetTest, TheKernelAgreesWithTheBooks) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer maps memory of its own meanwhile";
  start({});
  const std::uint64_t before = host_mappings().size();
  for (unsigned window = 0; window < 3; ++window) map_scattered(window, 40);
  w_.g.map(kBase + k1G, kFrame | kRights, 2);
  for (unsigned i = 0; i < 40; ++i)
    for (unsigned window = 0; window < 3; ++window) ASSERT_TRUE(touch(address(window, i)));
  ASSERT_TRUE(touch(kBase + k1G));
  for (unsigned i = 3; i < 60; i += 7) {
    w_.g.memory->watch({kFrame + i * kPage}, true);
    w_.mmu->drop_writable({kFrame + i * kPage});
  }
  for (unsigned i = 0; i < 40; i += 3) w_.mmu->flush_page({address(1, i)});

  const auto mappings = host_mappings();
  EXPECT_LE(mappings.size(), before + w_.windows->mappings());
  EXPECT_GE(mappings.size(), before + w_.windows->mappings() * 9 / 10) << "counted far too many";
  std::uint64_t pages = 0;
  for (const Windows::Mapped& mapped : w_.windows->mapped()) {
    const auto host = reinterpret_cast<std::uint64_t>(mapped.host);
    const auto found = std::find_if(mappings.begin(), mappings.end(), [host](const HostMapping& m) {
      return m.begin <= host && host < m.end;
    });
    ASSERT_NE(found, mappings.end());
    EXPECT_EQ(found->rights, mapped.run.writable ? "rw-s" : "r--s");
    EXPECT_LE(host + mapped.run.range.pages() * kPage, found->end);
    EXPECT_EQ(found->offset + (host - found->begin), mapped.run.frame * kPage);
    pages += mapped.run.range.pages();
  }
  EXPECT_EQ(pages, w_.windows->mapped_pages());
  std::uint64_t in_kernel = 0;
  for (const HostMapping& m : mappings)
    if (m.name.find("guest-ram") != std::string::npos) in_kernel += (m.end - m.begin) / kPage;
  EXPECT_EQ(in_kernel, pages + w_.g.memory->ram_bytes() / kPage) << "and RAM as a whole";
  for (const HostMapping& m : mappings) {
    if (m.name.find("guest-ram") != std::string::npos) {
      EXPECT_EQ(m.rights[2], '-') << "executable";
    }
  }
}

TEST_F(BudgetTest, AllIsGivenBack) {
  // What the heap takes for good has been taken after one round.
  for (unsigned round = 0; round < 2; ++round) {
    const std::uint64_t before = host_mappings().size();
    {
      WindowGuest other;
      other.start_64bit();
      other.g.map(kBase, kFrame | kRights);
      ASSERT_TRUE(other.touch(kBase, true));
    }
    if (round == 1) {
      EXPECT_EQ(host_mappings().size(), before);
    }
  }
}

// In a process of its own, which the limit binds; exits with 0 if all is as it should be.
[[noreturn]] void run_with_little_address_space() {
  const rlimit limit{std::uint64_t{3} << 30, std::uint64_t{3} << 30};
  setrlimit(RLIMIT_AS, &limit);
  WindowGuest guest;
  guest.start_64bit();
  guest.g.map(kBase, kFrame | kRights);
  const bool works = guest.mmu->host_address({kBase}, 8, true).has_value();
  const bool none = !guest.view().has_windows() && !guest.touch(kBase, true);
  _exit(works && none ? 0 : 1);
}

TEST(WindowsWithLittleSpace, OnlyTheWindowsAreMissing) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer needs terabytes of address space itself";
  EXPECT_EXIT(run_with_little_address_space(), ::testing::ExitedWithCode(0), "");
}

// --- Credit
// ---------------------------------------------------------------------------------------

TEST(CreditTest, WhatLivesIsNeverRefused) {
  Credit credit;
  std::uint64_t now = 1;
  for (unsigned i = 0; i < 1000; ++i) EXPECT_TRUE(credit.allows(++now));
}

TEST(CreditTest, DebtIsPaidByTime) {
  Credit credit;
  std::uint64_t now = 1'000'000'000;
  EXPECT_TRUE(credit.allows(now));
  credit.charge(Credit::kMost / Credit::kRunCost + 1, now);
  EXPECT_FALSE(credit.allows(now));
  EXPECT_FALSE(credit.allows(now + Credit::kRunCost * (Credit::kTimeShare - 1)));
  EXPECT_TRUE(credit.allows(now + Credit::kRunCost * (Credit::kTimeShare + 1)));
}

TEST(CreditTest, DebtHasALimit) {
  Credit credit;
  std::uint64_t now = 1'000'000'000;
  for (unsigned i = 0; i < 1000; ++i) credit.charge(~0u, now);
  EXPECT_EQ(credit.balance(), Credit::kLeast);
  now += -Credit::kLeast * Credit::kTimeShare;
  EXPECT_TRUE(credit.allows(now));
}

TEST(CreditTest, AClockThatGoesBackEarnsNothing) {
  Credit credit;
  credit.charge(1000, 1'000'000'000);
  const std::int64_t balance = credit.balance();
  EXPECT_FALSE(credit.allows(10));
  EXPECT_EQ(credit.balance(), balance);
}

// A guest without PCIDs that loads CR3 every 20 us gets windows for a small share of its time; one
// that does so ten times a second gets all it asks for.
TEST_F(BudgetTest, AGuestThatFlushesAllTheTimeIsRefused) {
  start({});
  map_scattered(0, 50);
  const auto run = [&](std::uint64_t cycles, unsigned rounds) {
    fake_time() += 10'000'000'000;
    const WindowCounters before = w_.windows->counters();
    for (unsigned round = 0; round < rounds; ++round) {
      for (unsigned i = 0; i < 50; ++i) w_.touch(address(0, i), true);
      fake_time() += cycles;
      w_.mmu->flush_all(true);
    }
    const WindowCounters& after = w_.windows->counters();
    return std::pair{after.maps - before.maps, after.refused - before.refused};
  };
  const auto [storm, refused] = run(50'000, 1000);
  EXPECT_LT(storm, 600u);
  EXPECT_GT(refused, 40'000u);
  const auto [calm, none] = run(250'000'000, 20);
  EXPECT_EQ(calm, 1000u);
  EXPECT_EQ(none, 0u);
}

// Address spaces come and go, as with a shell script.
TEST(WindowChurn, ForksAndExits) {
  WindowGuest w;
  w.g.state.cr4 |= guest::cr4::kPcide | guest::cr4::kPge;
  w.start_64bit();
  constexpr std::uint64_t kDirect = 0xffff888000000000;
  w.g.map(kDirect, 0 | kRights | kG, 3);
  for (unsigned i = 0; i < 40; ++i) w.g.map(kBase + i * kPage, (kFrame + i * 3 * kPage) | kRights);
  for (unsigned round = 0; round < 300; ++round) {
    fake_time() += 10'000'000;
    w.g.state.cr3 = (w.g.state.cr3 & ~std::uint64_t{0xfff}) | (round % 25);
    w.set_privilege(3);
    if (round % 2) w.mmu->flush_pcid(round % 25, true);
    for (unsigned i = 0; i < 40; ++i) {
      w.touch(kBase + i * kPage, !w.g.memory->watched({kFrame + i * 3 * kPage}));
      ASSERT_TRUE(w.reads(kBase + i * kPage));
    }
    w.set_privilege(0);
    ASSERT_TRUE(w.touch(kDirect + kFrame + round * kPage, true));
    // Copy on write: one page of the parent goes.
    w.mmu->flush_page({kBase + round % 40 * kPage});
    const PhysicalAddress code{kFrame + round % 64 * kPage};
    w.g.memory->watch(code, true);
    w.mmu->drop_writable(code);
    if (round % 8 == 0)
      for (unsigned i = 0; i < 64; ++i) w.g.memory->watch({kFrame + i * kPage}, false);
    if (round % 16 == 0) {
      ASSERT_EQ(w.windows->check_invariants(), "") << round;
    }
  }
  EXPECT_GT(w.windows->counters().drops, 1000u);
}

}  // namespace
}  // namespace ringshift::shadowpt
