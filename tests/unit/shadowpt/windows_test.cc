// tests/unit/shadowpt/windows_test.cc - what windows map for each privilege, with what else, and
// that every way of dropping it does so.
#include "tests/unit/shadowpt/window_guest.h"

namespace ringshift::shadowpt {
namespace {

constexpr std::uint64_t kUser = 0x555500001000, kKernel = 0xffff888000000000;
constexpr std::uint64_t kFrame = 0x400000;  // with contents of its own, as the next ones

class WindowsTest : public ::testing::Test {
 protected:
  WindowsTest() {
    for (std::uint64_t page = kFrame; page < 16 << 20; page += kPage)
      w_.g.memory->write({page}, 8, page);
  }
  softmmu::PagingGuest& g() { return w_.g; }
  std::uint64_t maps() const { return w_.windows->counters().maps; }

  WindowGuest w_;
};

TEST_F(WindowsTest, APageIsReachedOnlyWhenCovered) {
  w_.start_64bit();
  g().map(kUser, kFrame | kRights);
  EXPECT_FALSE(w_.reads(kUser));
  EXPECT_FALSE(w_.windows->covered(w_.view(), {kUser}, false));
  ASSERT_TRUE(w_.touch(kUser + 8, true));
  EXPECT_EQ(w_.read(kUser), kFrame);
  ASSERT_TRUE(w_.write(kUser + 16, 77));
  EXPECT_EQ(g().memory->read({kFrame + 16}, 8), 77u);
  EXPECT_TRUE(w_.windows->covered(w_.view(), {kUser}, true));
  EXPECT_FALSE(w_.reads(kUser + kPage));
  EXPECT_FALSE(w_.reads(kUser - 8));
}

TEST_F(WindowsTest, EachPrivilegeHasItsOwn) {
  g().state.cr4 |= guest::cr4::kSmap;
  w_.start_64bit();
  g().map(kUser, kFrame | kRights);
  g().map(kKernel, (kFrame + kPage) | (kRights & ~kUs));
  w_.set_privilege(0);
  EXPECT_FALSE(w_.touch(kUser, false));
  EXPECT_TRUE(w_.touch(kKernel, true));
  w_.set_privilege(0, true);
  EXPECT_FALSE(w_.reads(kKernel)) << "another view";
  EXPECT_TRUE(w_.touch(kUser, true));
  w_.set_privilege(3);
  EXPECT_FALSE(w_.reads(kUser));
  EXPECT_FALSE(w_.touch(kKernel, false));
  EXPECT_TRUE(w_.touch(kUser, true));
  EXPECT_FALSE(w_.reads(kKernel));
  w_.set_privilege(0);
  EXPECT_TRUE(w_.reads(kKernel));
  EXPECT_FALSE(w_.reads(kUser));
}

TEST_F(WindowsTest, ACleanPageIsReadOnlyUntilItIsWritten) {
  w_.start_64bit();
  g().map(kUser, kFrame | (kRights & ~kD));
  ASSERT_TRUE(w_.touch(kUser, false));
  EXPECT_TRUE(w_.reads(kUser));
  EXPECT_FALSE(w_.write(kUser, 1));
  EXPECT_FALSE(w_.windows->cover(w_.view(), {kUser}, true)) << "D is not set yet";
  ASSERT_TRUE(w_.touch(kUser, true));
  EXPECT_TRUE(w_.write(kUser, 1));
}

TEST_F(WindowsTest, WriteProtectionCountsForTheSupervisorOnlyWithWp) {
  w_.start_64bit();
  g().map(kUser, kFrame | (kRights & ~kRw));
  w_.set_privilege(0);
  ASSERT_TRUE(w_.touch(kUser, false));
  EXPECT_FALSE(w_.write(kUser, 1));
  g().state.cr0 &= ~guest::cr0::kWp;
  w_.mmu->select_view();
  EXPECT_FALSE(w_.reads(kUser)) << "another mode";
  ASSERT_TRUE(w_.touch(kUser, true));
  EXPECT_TRUE(w_.write(kUser, 1));
}

TEST_F(WindowsTest, OnlyWhatWasAccessedGoesWithIt) {
  w_.start_64bit();
  g().map(kUser, kFrame | kRights);
  g().map(kUser + kPage, (kFrame + kPage) | kRights);                  // goes with it
  g().map(kUser + 2 * kPage, (kFrame + 2 * kPage) | (kRights & ~kA));  // not accessed
  g().map(kUser - kPage, (kFrame - kPage) | (kRights & ~kD));          // clean
  g().map(kUser + 3 * kPage, (kFrame + 3 * kPage) | kRights);          // behind a stranger
  ASSERT_TRUE(w_.touch(kUser, true));
  EXPECT_TRUE(w_.writes(kUser + kPage));
  EXPECT_FALSE(w_.reads(kUser + 2 * kPage));
  EXPECT_FALSE(w_.reads(kUser - kPage));
  EXPECT_FALSE(w_.reads(kUser + 3 * kPage));
  EXPECT_EQ(maps(), 1u);
  EXPECT_EQ(g().memory->read({g().entry(kUser + 2 * kPage, 1)}, 8) & kA, 0u) << "looked at only";
}

TEST_F(WindowsTest, LargePagesAreMappedWithTheirNeighbours) {
  w_.start_64bit();
  for (std::uint64_t at = 0; at < 16 << 20; at += k2M) g().map(kKernel + at, at | kRights, 2);
  ASSERT_TRUE(w_.touch(kKernel + kFrame + 0x5678, true));
  EXPECT_EQ(maps(), 1u);
  EXPECT_EQ(w_.windows->mapped_pages(), 4096u);
  for (std::uint64_t at = kFrame; at < 16 << 20; at += kPage) ASSERT_EQ(w_.read(kKernel + at), at);
  w_.mmu->flush_page({kKernel + kFrame + 0x1000});
  EXPECT_FALSE(w_.reads(kKernel + kFrame + k2M - 8)) << "all of the large page";
  EXPECT_TRUE(w_.reads(kKernel + kFrame + k2M));
  EXPECT_TRUE(w_.reads(kKernel + kFrame - 8));
}

TEST_F(WindowsTest, AGigabytePageEndsWithRam) {
  w_.start_64bit();
  g().map(kKernel, 0 | kRights, 3);
  ASSERT_TRUE(w_.touch(kKernel + kFrame, true));
  EXPECT_TRUE(w_.reads(kKernel + (16 << 20) - 8));
  EXPECT_FALSE(w_.reads(kKernel + (16 << 20)));
  EXPECT_FALSE(w_.touch(kKernel + (16 << 20), false));
  w_.mmu->flush_page({kKernel + k1G - 1});
  EXPECT_FALSE(w_.reads(kKernel + kFrame));
}

TEST_F(WindowsTest, WatchedPagesAreReadOnlyInEveryWindow) {
  w_.start_64bit();
  g().map(kKernel + kFrame, kFrame | (kRights & ~kUs), 2);
  g().map(kUser, (kFrame + 5 * kPage) | kRights);
  g().memory->watch({kFrame + 9 * kPage}, true);
  w_.set_privilege(3);
  ASSERT_TRUE(w_.touch(kUser, true));
  w_.set_privilege(0);
  ASSERT_TRUE(w_.touch(kKernel + kFrame, true));
  EXPECT_EQ(maps(), 2u);
  EXPECT_TRUE(w_.reads(kKernel + kFrame + 9 * kPage)) << "mapped with the others";
  EXPECT_FALSE(w_.writes(kKernel + kFrame + 9 * kPage));
  EXPECT_TRUE(w_.writes(kKernel + kFrame + 10 * kPage));

  g().memory->watch({kFrame + 5 * kPage}, true);
  w_.mmu->drop_writable({kFrame + 5 * kPage});
  EXPECT_TRUE(w_.reads(kKernel + kFrame + 5 * kPage));
  EXPECT_FALSE(w_.writes(kKernel + kFrame + 5 * kPage));
  EXPECT_TRUE(w_.writes(kKernel + kFrame + 4 * kPage));
  EXPECT_TRUE(w_.writes(kKernel + kFrame + 6 * kPage));
  EXPECT_FALSE(w_.windows->cover(w_.view(), {kKernel + kFrame + 5 * kPage}, true));
  w_.set_privilege(3);
  EXPECT_TRUE(w_.reads(kUser));
  EXPECT_FALSE(w_.writes(kUser));

  // No longer watched: the next write gets its right back.
  g().memory->watch({kFrame + 5 * kPage}, false);
  EXPECT_TRUE(w_.touch(kUser, true));
  EXPECT_TRUE(w_.writes(kUser));
}

TEST_F(WindowsTest, RomAndDevicesAreNotMapped) {
  const std::array<std::uint8_t, 4> image{1, 2, 3, 4};
  ASSERT_TRUE(g().memory->add_rom({kFrame + kPage}, image));
  w_.start_64bit();
  g().map(kKernel + kFrame, kFrame | kRights, 2);
  ASSERT_TRUE(w_.touch(kKernel + kFrame, true));
  EXPECT_FALSE(w_.reads(kKernel + kFrame + kPage));
  EXPECT_FALSE(w_.touch(kKernel + kFrame + kPage, false));
  ASSERT_TRUE(w_.touch(kKernel + kFrame + 2 * kPage, true));
  EXPECT_TRUE(w_.reads(kKernel + kFrame + k2M - 8));
}

TEST_F(WindowsTest, FlushesKeepGlobalPagesOnRequest) {
  g().state.cr4 |= guest::cr4::kPge;
  w_.start_64bit();
  g().map(kUser, kFrame | kRights);
  g().map(kUser + kPage, (kFrame + kPage) | kRights | kG);
  g().map(kUser + 2 * kPage, (kFrame + 2 * kPage) | kRights);
  for (unsigned i = 0; i < 3; ++i) ASSERT_TRUE(w_.touch(kUser + i * kPage, true));
  w_.mmu->flush_all(true);
  EXPECT_FALSE(w_.reads(kUser));
  EXPECT_TRUE(w_.reads(kUser + kPage));
  EXPECT_FALSE(w_.reads(kUser + 2 * kPage));
  w_.mmu->flush_all(false);
  EXPECT_FALSE(w_.reads(kUser + kPage));
  EXPECT_EQ(w_.windows->mapped_pages(), 0u);
}

TEST_F(WindowsTest, InvlpgDropsOnePageOfARun) {
  w_.start_64bit();
  for (unsigned i = 0; i < 8; ++i) g().map(kUser + i * kPage, (kFrame + i * kPage) | kRights);
  ASSERT_TRUE(w_.touch(kUser, true));
  w_.mmu->flush_page({kUser + 3 * kPage + 5});
  EXPECT_TRUE(w_.reads(kUser + 2 * kPage));
  EXPECT_FALSE(w_.reads(kUser + 3 * kPage));
  EXPECT_EQ(w_.read(kUser + 4 * kPage), kFrame + 4 * kPage);
  ASSERT_TRUE(w_.touch(kUser + 3 * kPage, true));
  EXPECT_EQ(maps(), 2u);
  w_.mmu->flush_page_pcid(5, {kUser});
  EXPECT_TRUE(w_.reads(kUser)) << "another address space";
}

// An entry that changed without INVLPG: the old translation may live on, but not beside the new
// one.
TEST_F(WindowsTest, ANewTranslationReplacesTheOldOne) {
  w_.start_64bit();
  g().map(kUser, kFrame | (kRights & ~kRw));
  ASSERT_TRUE(w_.touch(kUser, false));
  g().map(kUser, (kFrame + 7 * kPage) | kRights);
  ASSERT_TRUE(w_.touch(kUser, true));
  EXPECT_EQ(w_.read(kUser), kFrame + 7 * kPage);
}

TEST_F(WindowsTest, PagesWithWatchpointsAreLeftOut) {
  w_.start_64bit();
  g().map(kKernel + kFrame, kFrame | kRights, 2);
  ASSERT_TRUE(w_.touch(kKernel + kFrame, true));
  softmmu::Watchpoints points{};
  points[2] = {{kKernel + kFrame + 0x3008}, 8, true};
  w_.mmu->watch(points);
  EXPECT_FALSE(w_.reads(kKernel + kFrame + 0x3000));
  EXPECT_FALSE(w_.windows->cover(w_.view(), {kKernel + kFrame + 0x3000}, false));
  ASSERT_TRUE(w_.touch(kKernel + kFrame, true));
  EXPECT_TRUE(w_.reads(kKernel + kFrame + 0x2000));
  EXPECT_FALSE(w_.reads(kKernel + kFrame + 0x3000));
  ASSERT_TRUE(w_.touch(kKernel + kFrame + 0x4000, true));
  EXPECT_TRUE(w_.reads(kKernel + kFrame + k2M - 8));
}

TEST_F(WindowsTest, AddressSpacesArePutAwayWithTheirViews) {
  g().state.cr4 |= guest::cr4::kPcide;
  w_.start_64bit();
  g().map(kUser, kFrame | kRights);
  const auto load_pcid = [&](std::uint64_t pcid) {
    g().state.cr3 = (g().state.cr3 & ~std::uint64_t{0xfff}) | pcid;
    w_.mmu->select_view();
  };
  ASSERT_TRUE(w_.touch(kUser, true));
  load_pcid(1);
  EXPECT_FALSE(w_.reads(kUser));
  ASSERT_TRUE(w_.touch(kUser, true));
  load_pcid(0);
  EXPECT_TRUE(w_.reads(kUser)) << "kept over the switch";
  w_.mmu->flush_pcid(1, true);
  EXPECT_EQ(w_.windows->mapped_pages(), 1u);
  EXPECT_TRUE(w_.reads(kUser));
  for (std::uint64_t pcid = 1; pcid < 40; ++pcid) load_pcid(pcid);
  EXPECT_EQ(w_.windows->mapped_pages(), 0u) << "recycled for another address space";
}

// --- Addresses
// ------------------------------------------------------------------------------------

TEST_F(WindowsTest, AddressesThatAreNotCanonicalReachNothing) {
  w_.start_64bit();
  for (const std::uint64_t edge : {std::uint64_t{0x00007ffffffff000}, 0xffff800000000000u,
                                   std::uint64_t{0}, 0xfffffffffffff000u}) {
    g().map(edge, kFrame | kRights);
    ASSERT_TRUE(w_.touch(edge, true)) << std::hex << edge;
    EXPECT_EQ(w_.read(edge), kFrame);
    for (std::uint64_t other = 1; other < 0x10000; ++other) {
      const std::uint64_t a = edge ^ other << 48;
      const auto sum = reinterpret_cast<std::uint64_t>(w_.host(a));
      ASSERT_FALSE(guest::is_canonical(sum) && !(sum >> 63)) << std::hex << a;
    }
    EXPECT_FALSE(w_.windows->cover(w_.view(), {edge ^ std::uint64_t{1} << 50}, false));
  }
  EXPECT_FALSE(w_.reads(0x0000800000000000));
}

TEST_F(WindowsTest, UnusedEntriesLeadNowhere) {
  w_.start_64bit();
  for (std::size_t i = 0; i < softmmu::kWindowTableEntries; ++i)
    for (const std::uint64_t offset : {std::uint64_t{0}, softmmu::kWindowBytes - 1,
                                       -softmmu::kWindowBytes, 2 * softmmu::kWindowBytes}) {
      const std::uint64_t delta = w_.view().window_delta()[i];
      const std::uint64_t sum = softmmu::window_guest_base(i) + offset + delta;
      ASSERT_FALSE(guest::is_canonical(sum)) << i;
      for (const std::uint64_t high : {0x0001u, 0x1000u, 0x8000u, 0xbfffu, 0xc000u, 0xffffu}) {
        const std::uint64_t other = sum + (std::uint64_t{high} << 48);
        ASSERT_FALSE(guest::is_canonical(other) && !(other >> 63)) << i;
      }
    }
}

TEST_F(WindowsTest, FaultAddressesAreTranslatedBack) {
  w_.start_64bit();
  EXPECT_EQ(w_.windows->linear_of(w_.view(), &w_), std::nullopt);
  for (const std::uint64_t a : {kUser, kKernel}) {
    g().map(a, kFrame | kRights);
    ASSERT_TRUE(w_.touch(a, true));
    EXPECT_EQ(w_.windows->linear_of(w_.view(), w_.host(a + 0x123456)), LinearAddress{a + 0x123456});
    // An access that runs over the end of the window, or by a displacement from its inside.
    const std::uint64_t base = a & ~(softmmu::kWindowBytes - 1);
    for (const std::uint64_t other : {base - 0x80000000, base + 0x100000010, base + 0x17fffffff})
      EXPECT_EQ(w_.windows->linear_of(w_.view(), w_.host(a) + (other - a)), LinearAddress{other});
  }
  EXPECT_EQ(w_.windows->linear_of(w_.view(), w_.view().flat_window() + 0x1000),
            LinearAddress{0x1000});
  EXPECT_EQ(w_.windows->linear_of(w_.view(), w_.view().flat_window() + softmmu::kWindowBytes + 5),
            LinearAddress{5});
  EXPECT_EQ(w_.windows->linear_of(w_.view(), w_.view().window_delta()), std::nullopt);
}

TEST_F(WindowsTest, TheFlatWindowIsThirtyTwoBitLinearSpace) {
  g().enter_32bit_paging();
  g().state.cr4 |= guest::cr4::kPse;
  w_.start();
  const auto put = [&](std::uint64_t a, std::uint64_t value) {
    g().memory->write({0x1000 + (a >> 22) * 4}, 4, value);
  };
  put(0xffc00000, k4M | kRights | kPs);
  put(0, 2 * k4M | kRights | kPs);
  ASSERT_TRUE(w_.touch(0xfffffff8, true));
  EXPECT_EQ(w_.read(0xfffff000), 2 * k4M - kPage);
  EXPECT_FALSE(w_.reads(0xfffffffc)) << "half of it is behind the end";
  ASSERT_TRUE(w_.touch(0, true));
  EXPECT_EQ(w_.read(0), 2 * k4M);
  EXPECT_FALSE(w_.windows->cover(w_.view(), {std::uint64_t{1} << 32}, false));
}

TEST_F(WindowsTest, WithoutPagingLinearIsPhysical) {
  w_.start();
  ASSERT_TRUE(w_.touch(kFrame, true));
  EXPECT_EQ(maps(), 1u);
  EXPECT_EQ(w_.read(16 * 1024 * 1024 - kPage), (16u << 20) - kPage);
  EXPECT_FALSE(w_.reads(16 << 20));
}

TEST_F(WindowsTest, CompatibilityCodeUsesTheFlatWindow) {
  w_.start_64bit();
  g().map(0x8000000, kFrame | kRights);
  ASSERT_TRUE(w_.touch(0x8000000, true));
  g().state.segment(guest::Seg::kCs).attributes = 0xc09b;
  EXPECT_FALSE(w_.reads(0x8000000));
  ASSERT_TRUE(w_.touch(0x8000000, true));
  EXPECT_TRUE(w_.reads(0x8000000));
  w_.mmu->flush_page({0x8000000});
  EXPECT_FALSE(w_.reads(0x8000000));
  g().state.segment(guest::Seg::kCs).attributes = 0xa09b;
  EXPECT_FALSE(w_.reads(0x8000000)) << "both are dropped";
}

TEST(WindowsWithoutSpace, AViewWithoutWindowsWorksOtherwise) {
  const auto view = View::create();
  EXPECT_FALSE(view->has_windows());
  view->fill({0x1000}, reinterpret_cast<std::uint8_t*>(0x5000), {0x1000}, true, false);
  EXPECT_NE(view->find_write({0x1000}), nullptr);
}

}  // namespace
}  // namespace ringshift::shadowpt
