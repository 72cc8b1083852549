// tests/unit/softmmu/mmu_test.cc - accesses through the MMU: straddling, devices, ROM, watched
// pages, address spaces and privileges.
#include "softmmu/mmu.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/unit/softmmu/paging_guest.h"

namespace ringshift::softmmu {
namespace {

using guest::LinearAddress;
namespace cr0 = guest::cr0;
namespace cr4 = guest::cr4;

constexpr std::uint64_t kPage = 0x7f0000000000;  // where the tests map things

class Device : public guest::MmioHandler {
 public:
  std::vector<std::pair<std::uint64_t, unsigned>> reads, writes;
  std::uint64_t mmio_read(std::uint64_t offset, unsigned size) override {
    reads.emplace_back(offset, size);
    return 0x1122334455667788 >> (8 * (offset % 8));
  }
  void mmio_write(std::uint64_t offset, unsigned size, std::uint64_t) override {
    writes.emplace_back(offset, size);
  }
};

class Observer : public guest::WriteObserver {
 public:
  std::vector<std::pair<std::uint64_t, std::size_t>> writes;
  void on_watched_write(guest::PhysicalAddress start, std::size_t bytes) override {
    writes.emplace_back(start.value, bytes);
  }
};

class MmuTest : public ::testing::Test {
 protected:
  MmuTest() : mmu_(*g_.memory, g_.state, model_) {
    g_.enter_long_mode();
    g_.state.cpl = 0;
    mmu_.select_view();
  }
  void TearDown() override { EXPECT_EQ(mmu_.check_invariants(), ""); }

  std::uint8_t* host(std::uint64_t physical) {
    return g_.memory->ram_page({physical}) + guest::page_offset(physical);
  }
  void set_cpl(unsigned cpl) {
    g_.state.cpl = static_cast<std::uint8_t>(cpl);
    mmu_.select_view();
  }
  void set_ac(bool on) {
    g_.state.rflags =
        on ? g_.state.rflags | guest::flags::kAc : g_.state.rflags & ~guest::flags::kAc;
    mmu_.select_view();
  }
  void set_cr3(std::uint64_t cr3) {
    g_.state.cr3 = cr3;
    mmu_.select_view();
  }
  // Without a flush this is what a stale entry looks like; tests put it right before they end.
  void set_pte(std::uint64_t linear, std::uint64_t value) {
    g_.memory->write({g_.entry(linear, 1)}, 8, value);
  }
  std::uint32_t fault_of(const guest::Status& status) {
    EXPECT_FALSE(status.has_value());
    return status ? ~0u : status.error().error_code;
  }

  PagingGuest g_;
  guest::CpuModel model_ = *guest::CpuModel::create("max");
  Mmu mmu_;
};

TEST_F(MmuTest, HostAddressFillsTheTableThatMissed) {
  g_.map(kPage, 0x200000 | kRw);
  EXPECT_EQ(*mmu_.host_address({kPage + 0x123}, 8, false), host(0x200123));
  EXPECT_EQ(mmu_.current().find_read({kPage + 8}), host(0x200008));
  EXPECT_EQ(mmu_.current().find_write({kPage}), nullptr);
  EXPECT_EQ(*mmu_.host_address({kPage}, 8, true), host(0x200000));
  EXPECT_EQ(mmu_.current().find_write({kPage}), host(0x200000));
  EXPECT_TRUE(g_.memory->read({g_.entry(kPage, 1)}, 8) & kD);
  EXPECT_EQ(*mmu_.host_address({kPage + 0xff9}, 8, false), nullptr) << "straddles";
}

TEST_F(MmuTest, HostAddressReturnsTheFault) {
  g_.map(kPage, 0x200000);
  const auto result = mmu_.host_address({kPage + 5}, 1, true);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error(), guest::page_fault(kPage + 5, kErrP | kErrW));
  EXPECT_EQ(mmu_.current().find_read({kPage}), nullptr);
}

TEST_F(MmuTest, PagingOffAndOnAgain) {
  g_.map(0x5000, 0x200000 | kRw);
  ASSERT_TRUE(mmu_.store<std::uint8_t>({0x5000}, 0x22, kWrite));
  const guest::CpuState paged = g_.state;
  g_.state.cr0 = cr0::kPe;
  g_.state.msr.efer = 0;
  mmu_.select_view();
  ASSERT_TRUE(mmu_.store<std::uint8_t>({0x5000}, 0x11, kWrite));
  EXPECT_EQ(*host(0x5000), 0x11);
  EXPECT_EQ(mmu_.check_invariants(), "");
  g_.state = paged;
  mmu_.select_view();
  EXPECT_EQ(*mmu_.load<std::uint8_t>({0x5000}, kRead), 0x22);
}

TEST_F(MmuTest, StraddlingAccessesOfEverySize) {
  g_.map(kPage, 0x200000 | kRw);
  g_.map(kPage + 0x1000, 0x300000 | kRw);  // not neighbours
  for (unsigned size = 1; size <= 64; ++size)
    for (unsigned before = 0; before <= size; ++before) {
      std::vector<std::uint8_t> data(size), back(size);
      std::iota(data.begin(), data.end(), static_cast<std::uint8_t>(size + before));
      ASSERT_TRUE(mmu_.write({kPage + 0x1000 - before}, data, kWrite));
      ASSERT_TRUE(mmu_.read({kPage + 0x1000 - before}, back, kRead));
      ASSERT_EQ(data, back);
      ASSERT_EQ(*(before ? host(0x201000 - before) : host(0x300000)), data[0]);
      ASSERT_EQ(*(before < size ? host(0x300000) : host(0x200fff)),
                data[before < size ? before : size - 1]);
    }
}

TEST_F(MmuTest, NothingIsWrittenWhenTheSecondPageFaults) {
  g_.map(kPage, 0x200000 | kRw);
  g_.map(kPage + 0x1000, 0x300000);  // read-only
  const auto status = mmu_.store<std::uint64_t>({kPage + 0xffc}, ~std::uint64_t{0}, kWrite);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error(), guest::page_fault(kPage + 0x1000, kErrP | kErrW))
      << "CR2 is the first byte of the second page";
  EXPECT_EQ(g_.memory->read({0x200ffc}, 4), 0u);
  EXPECT_EQ(fault_of(mmu_.probe({kPage + 0xffc}, 8, kWrite)), kErrP | kErrW);
  EXPECT_TRUE(mmu_.probe({kPage + 0xffc}, 8, kRead));
  EXPECT_TRUE(mmu_.probe({kPage + 0xff8}, 8, kWrite));
}

TEST_F(MmuTest, OutsideLongModeTheLinearSpaceWrapsAt4GiB) {
  g_.state = {};
  g_.enter_32bit_paging();
  g_.state.cr4 = cr4::kPse;
  g_.memory->write({0x1000}, 4, 0x400000 | kPs | kP | kRw);
  g_.memory->write({0x1ffc}, 4, 0x800000 | kPs | kP | kRw);
  mmu_.select_view();
  ASSERT_TRUE(mmu_.store<std::uint32_t>({0xfffffffe}, 0xaabbccdd, kWrite));
  EXPECT_EQ(g_.memory->read({0xbffffe}, 2), 0xccddu);
  EXPECT_EQ(g_.memory->read({0x400000}, 2), 0xaabbu);
}

// In long mode the walk itself knows nothing of 4 GiB: the size of the code decides.
TEST_F(MmuTest, CompatibilityModeWrapsAt4GiBAnd64BitCodeDoesNot) {
  g_.map(0xfffff000, 0x200000 | kRw);
  g_.map(0, 0x300000 | kRw);
  g_.map(0x100000000, 0x400000 | kRw);
  for (const bool in_64bit_code : {false, true}) {
    g_.state.segment(guest::Seg::kCs).attributes = in_64bit_code ? 0x2000 : 0;
    ASSERT_TRUE(mmu_.store<std::uint32_t>({0xfffffffe}, 0xaabbccdd, kWrite));
    EXPECT_EQ(g_.memory->read({0x200ffe}, 2), 0xccddu);
    EXPECT_EQ(g_.memory->read({in_64bit_code ? 0x400000u : 0x300000u}, 2), 0xaabbu);
    EXPECT_EQ(g_.memory->read({in_64bit_code ? 0x300000u : 0x400000u}, 2), 0u);
    g_.memory->write({0x300000}, 2, 0);
  }
}

TEST_F(MmuTest, DevicesAreReachedOnceAndNeverCached) {
  Device device;
  ASSERT_TRUE(g_.memory->add_mmio({0xfee00000}, 0x1000, device));
  g_.map(kPage, 0xfee00000 | kRw);
  g_.map(kPage + 0x1000, 0x200000 | kRw);
  EXPECT_EQ(*mmu_.host_address({kPage}, 4, false), nullptr);
  EXPECT_EQ(*mmu_.host_address({kPage}, 4, true), nullptr);
  EXPECT_EQ(*mmu_.load<std::uint32_t>({kPage + 2}, kRead), 0x33445566u);
  EXPECT_TRUE(mmu_.store<std::uint64_t>({kPage + 0x10}, 1, kWrite));
  EXPECT_EQ(device.reads, (std::vector<std::pair<std::uint64_t, unsigned>>{{2, 4}}));
  EXPECT_EQ(device.writes, (std::vector<std::pair<std::uint64_t, unsigned>>{{0x10, 8}}));
  EXPECT_EQ(mmu_.current().find_read({kPage}), nullptr);
  EXPECT_EQ(mmu_.current().find_write({kPage}), nullptr);

  device.writes.clear();
  EXPECT_TRUE(mmu_.store<std::uint64_t>({kPage + 0xffd}, 0x1122334455667788, kWrite));
  EXPECT_EQ(device.writes,
            (std::vector<std::pair<std::uint64_t, unsigned>>{{0xffd, 1}, {0xffe, 2}}));
  EXPECT_EQ(g_.memory->read({0x200000}, 8), 0x1122334455u);

  device.reads.clear();
  set_pte(kPage + 0x1000, 0);
  mmu_.flush_page({kPage + 0x1000});
  EXPECT_FALSE(mmu_.load<std::uint32_t>({kPage + 0xffe}, kRead));
  EXPECT_TRUE(device.reads.empty()) << "a device must not see half of a faulting access";
}

TEST_F(MmuTest, RomIsCachedForReadingOnly) {
  ASSERT_TRUE(g_.memory->add_rom({0xffff0000}, std::vector<std::uint8_t>(4096, 0x5a)));
  g_.map(kPage, 0xffff0000 | kRw);
  const auto read = mmu_.host_address({kPage + 4}, 4, false);
  ASSERT_TRUE(read);
  ASSERT_NE(*read, nullptr);
  EXPECT_EQ(**read, 0x5a);
  EXPECT_EQ(*mmu_.host_address({kPage + 4}, 4, true), nullptr);
  EXPECT_TRUE(mmu_.store<std::uint32_t>({kPage + 4}, 0, kWrite)) << "dropped, no fault";
  EXPECT_EQ(*mmu_.load<std::uint8_t>({kPage + 4}, kRead), 0x5a);
}

TEST_F(MmuTest, WatchedPagesAreNeverWritableInAView) {
  Observer observer;
  g_.memory->set_observer(&observer);
  g_.map(kPage, 0x200000 | kRw);
  g_.map(kPage + 0x5000, 0x200000 | kRw | kUs);  // an alias
  ASSERT_NE(*mmu_.host_address({kPage}, 1, true), nullptr);
  set_cpl(3);
  ASSERT_NE(*mmu_.host_address({kPage + 0x5000}, 1, true), nullptr);
  View& user = mmu_.current();
  set_cpl(0);

  g_.memory->watch({0x200000}, true);
  mmu_.drop_writable({0x200000});
  EXPECT_EQ(mmu_.check_invariants(), "");
  EXPECT_EQ(mmu_.current().find_write({kPage}), nullptr);
  EXPECT_EQ(user.find_write({kPage + 0x5000}), nullptr);
  EXPECT_NE(mmu_.current().find_read({kPage}), nullptr);

  EXPECT_EQ(*mmu_.host_address({kPage}, 1, true), nullptr);
  EXPECT_TRUE(mmu_.store<std::uint16_t>({kPage + 7}, 0xabcd, kWrite));
  EXPECT_EQ(observer.writes, (std::vector<std::pair<std::uint64_t, std::size_t>>{{0x200007, 2}}));
  EXPECT_EQ(g_.memory->read({0x200007}, 2), 0xabcdu);
  EXPECT_EQ(mmu_.current().find_write({kPage}), nullptr) << "the slow path must not fill it either";

  g_.memory->watch({0x200000}, false);
  EXPECT_NE(*mmu_.host_address({kPage}, 1, true), nullptr);
}

TEST_F(MmuTest, UserAndSupervisorDoNotShareRights) {
  g_.map(kPage, 0x200000 | kRw);
  ASSERT_TRUE(mmu_.store<std::uint8_t>({kPage}, 1, kWrite));
  set_cpl(3);
  EXPECT_EQ(mmu_.current().find_read({kPage}), nullptr);
  EXPECT_EQ(fault_of(mmu_.store<std::uint8_t>({kPage}, 1, mmu_.data_access(AccessKind::kWrite))),
            kErrP | kErrW | kErrU);
  EXPECT_TRUE(mmu_.load<std::uint8_t>({kPage}, Mmu::system_access(AccessKind::kRead)))
      << "descriptor tables are read with supervisor rights at CPL 3";
  EXPECT_EQ(mmu_.current().find_read({kPage}), nullptr);
}

TEST_F(MmuTest, SelectViewTellsWhenTheViewChanged) {
  View* supervisor = &mmu_.current();
  EXPECT_FALSE(mmu_.select_view());
  g_.state.cpl = 3;
  EXPECT_TRUE(mmu_.select_view());
  EXPECT_FALSE(mmu_.select_view());
  EXPECT_NE(&mmu_.current(), supervisor);
  g_.state.cpl = 1;
  EXPECT_TRUE(mmu_.select_view());
  EXPECT_EQ(&mmu_.current(), supervisor);
  g_.state.rflags |= guest::flags::kAc;
  EXPECT_FALSE(mmu_.select_view()) << "AC means nothing without SMAP";
}

// SDM Vol. 3 "Determination of Access Rights": SMAP looks at AC on every access.
TEST_F(MmuTest, SmapFollowsAc) {
  g_.map(kPage, 0x200000 | kRw | kUs);
  g_.map(kPage + 0x1000, 0x300000 | kRw);
  g_.state.cr4 |= cr4::kSmap;
  mmu_.select_view();
  EXPECT_FALSE(mmu_.host_address({kPage}, 1, false));
  set_ac(true);
  ASSERT_NE(*mmu_.host_address({kPage}, 1, true), nullptr);
  EXPECT_NE(*mmu_.host_address({kPage + 0x1000}, 1, true), nullptr);
  EXPECT_FALSE(mmu_.load<std::uint8_t>({kPage}, Mmu::system_access(AccessKind::kRead)))
      << "an implicit access fails whatever AC is";
  set_ac(false);
  EXPECT_EQ(mmu_.current().find_read({kPage}), nullptr);
  EXPECT_FALSE(mmu_.load<std::uint8_t>({kPage}, kRead));
  set_ac(true);
  EXPECT_NE(mmu_.current().find_write({kPage}), nullptr) << "still cached from before";
  EXPECT_EQ(mmu_.check_invariants(), "");

  // Entries made before SMAP was set must not outlive its setting.
  g_.state.cr4 &= ~cr4::kSmap;
  set_ac(false);
  ASSERT_NE(*mmu_.host_address({kPage}, 1, true), nullptr);
  g_.state.cr4 |= cr4::kSmap;
  mmu_.select_view();
  EXPECT_EQ(mmu_.current().find_read({kPage}), nullptr);
}

TEST_F(MmuTest, WriteProtectTakesEffectAtOnce) {
  g_.map(kPage, 0x200000);
  g_.state.cr0 &= ~cr0::kWp;
  mmu_.select_view();
  ASSERT_NE(*mmu_.host_address({kPage}, 1, true), nullptr);
  g_.state.cr0 |= cr0::kWp;
  mmu_.select_view();
  EXPECT_EQ(mmu_.current().find_write({kPage}), nullptr);
  EXPECT_FALSE(mmu_.host_address({kPage}, 1, true));
}

TEST_F(MmuTest, SmepTakesEffectAtOnce) {
  g_.map(kPage, 0x200000 | kUs);
  ASSERT_TRUE(mmu_.translate_fetch({kPage}));
  g_.state.cr4 |= cr4::kSmep;
  mmu_.select_view();
  const auto fetch = mmu_.translate_fetch({kPage});
  ASSERT_FALSE(fetch);
  EXPECT_EQ(fetch.error().error_code, kErrP | kErrId);
}

TEST_F(MmuTest, FetchesAreCachedUntilFlushed) {
  g_.map(kPage, 0x200000);
  ASSERT_EQ(mmu_.translate_fetch({kPage + 0x123})->address.value, 0x200123u);
  const auto walks = mmu_.counters().walks;
  const auto again = mmu_.translate_fetch({kPage + 0x456});
  EXPECT_EQ(again->address.value, 0x200456u);
  EXPECT_EQ(again->page_bytes, 4096u);
  EXPECT_EQ(mmu_.counters().walks, walks);
  set_pte(kPage, 0x300000 | kP);
  mmu_.flush_page({kPage});
  EXPECT_EQ(mmu_.translate_fetch({kPage})->address.value, 0x300000u);
  set_pte(kPage, 0x400000 | kP | kXd);
  mmu_.flush_all(true);
  EXPECT_FALSE(mmu_.translate_fetch({kPage}));
}

TEST_F(MmuTest, FlushPageReachesBothPrivileges) {
  g_.map(kPage, 0x200000 | kRw | kUs);
  ASSERT_TRUE(mmu_.load<std::uint8_t>({kPage}, kRead));
  ASSERT_TRUE(mmu_.load<std::uint8_t>({kPage}, kUserRead));
  set_pte(kPage, 0x300000 | kP | kRw | kUs);
  mmu_.flush_page({kPage});
  g_.memory->write({0x300000}, 1, 0x77);
  EXPECT_EQ(*mmu_.load<std::uint8_t>({kPage}, kRead), 0x77);
  EXPECT_EQ(*mmu_.load<std::uint8_t>({kPage}, kUserRead), 0x77);
}

TEST_F(MmuTest, GlobalPagesSurviveACr3Load) {
  g_.state.cr4 |= cr4::kPge;
  g_.map(kPage, 0x200000 | kG);
  g_.map(kPage + 0x1000, 0x300000);
  mmu_.select_view();
  ASSERT_TRUE(mmu_.load<std::uint8_t>({kPage}, kRead));
  ASSERT_TRUE(mmu_.load<std::uint8_t>({kPage + 0x1000}, kRead));
  mmu_.flush_all(true);
  EXPECT_NE(mmu_.current().find_read({kPage}), nullptr);
  EXPECT_EQ(mmu_.current().find_read({kPage + 0x1000}), nullptr);
  mmu_.flush_all(false);
  EXPECT_EQ(mmu_.current().find_read({kPage}), nullptr);
}

// A second set of tables at another CR3; `frame` is what kPage maps to there.
class PcidTest : public MmuTest {
 protected:
  PcidTest() {
    g_.state.cr4 |= cr4::kPcide | cr4::kPge;
    mmu_.select_view();
  }
  std::uint64_t new_space(std::uint64_t frame_and_bits) {
    const std::uint64_t old = g_.state.cr3;
    const std::uint64_t root = g_.state.cr3 = g_.new_table();
    g_.map(kPage, frame_and_bits);
    g_.state.cr3 = old;
    return root;
  }
  bool cached() { return mmu_.current().find_read({kPage}) != nullptr; }
  void touch() { ASSERT_TRUE(mmu_.load<std::uint8_t>({kPage}, kRead)); }
};

TEST_F(PcidTest, EachPcidKeepsItsViews) {
  const std::uint64_t one = new_space(0x200000 | kRw) | 1, two = new_space(0x300000 | kRw) | 2;
  g_.memory->write({0x200000}, 1, 0x11);
  g_.memory->write({0x300000}, 1, 0x22);
  for (int round = 0; round < 2; ++round) {
    set_cr3(one);
    EXPECT_EQ(*mmu_.load<std::uint8_t>({kPage}, kRead), 0x11);
    set_cr3(two);
    EXPECT_EQ(*mmu_.load<std::uint8_t>({kPage}, kRead), 0x22);
  }
  EXPECT_EQ(mmu_.counters().walks, 2u) << "the second round came from the views";
  mmu_.flush_pcid(1, true);
  EXPECT_TRUE(cached());
  set_cr3(one);
  EXPECT_FALSE(cached());
}

TEST_F(PcidTest, InvpcidOfOneAddressLeavesOtherPcids) {
  const std::uint64_t one = new_space(0x200000) | 1, two = new_space(0x300000) | 2;
  set_cr3(one);
  touch();
  set_cr3(two);
  touch();
  mmu_.flush_page_pcid(1, {kPage});
  EXPECT_TRUE(cached());
  set_cr3(one);
  EXPECT_FALSE(cached());
}

TEST_F(PcidTest, InvlpgDropsAGlobalPageInEverySpace) {
  const std::uint64_t one = new_space(0x200000 | kG) | 1, two = new_space(0x200000 | kG) | 2;
  set_cr3(one);
  touch();
  set_cr3(two);
  touch();
  mmu_.flush_page({kPage});
  EXPECT_FALSE(cached());
  set_cr3(one);
  EXPECT_FALSE(cached());
}

TEST_F(PcidTest, TheLeastRecentlyUsedSpaceIsFlushedAndReused) {
  std::vector<std::uint64_t> roots;
  for (std::uint64_t pcid = 1; pcid <= 40; ++pcid)
    roots.push_back(new_space((0x200000 + pcid * 0x1000) | kRw) | pcid);
  for (std::uint64_t root : roots) {
    set_cr3(root);
    EXPECT_FALSE(cached()) << "a reused space must start empty";
    touch();
  }
  set_cr3(roots[38]);
  EXPECT_TRUE(cached()) << "a recent one is kept";
  set_cr3(roots[0]);
  EXPECT_FALSE(cached());
}

}  // namespace
}  // namespace ringshift::softmmu
