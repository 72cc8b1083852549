// tests/unit/guest/physical_memory_test.cc - RAM, ROM, MMIO splitting and watched pages.
#include "guest/physical_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

namespace ringshift::guest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

struct DeviceAccess {
  bool write;
  std::uint64_t offset;
  unsigned size;
  std::uint64_t value;
  bool operator==(const DeviceAccess&) const = default;
};

// Answers reads with the offset in every byte, and notes each access.
class Device : public MmioHandler {
 public:
  std::vector<DeviceAccess> accesses;
  std::uint64_t mmio_read(std::uint64_t offset, unsigned size) override {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < size; ++i) value |= ((offset + i) & 0xff) << (8 * i);
    accesses.push_back({false, offset, size, 0});
    return value;
  }
  void mmio_write(std::uint64_t offset, unsigned size, std::uint64_t value) override {
    accesses.push_back({true, offset, size, value});
  }
};

class Observer : public WriteObserver {
 public:
  explicit Observer(PhysicalMemory& memory) : memory_(memory) {}
  struct Write {
    std::uint64_t start;
    std::size_t bytes;
    std::uint64_t before;  // the first byte as it was when the report came
    bool operator==(const Write&) const = default;
  };
  std::vector<Write> writes;
  void on_watched_write(PhysicalAddress start, std::size_t bytes) override {
    writes.push_back({start.value, bytes, memory_.ram_page(start)[page_offset(start.value)]});
  }

 private:
  PhysicalMemory& memory_;
};

std::unique_ptr<PhysicalMemory> make(std::uint64_t bytes) {
  auto memory = PhysicalMemory::create(bytes);
  EXPECT_TRUE(memory.has_value()) << memory.error();
  return std::move(*memory);
}

TEST(PhysicalMemory, BadSizesAreOneLineErrors) {
  for (std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{4095},
                              std::uint64_t{1} << 46, ~std::uint64_t{0} << 12}) {
    auto memory = PhysicalMemory::create(bytes);
    ASSERT_FALSE(memory.has_value()) << bytes;
    EXPECT_FALSE(memory.error().empty());
    EXPECT_THAT(memory.error(), Not(HasSubstr("\n")));
  }
}

TEST(PhysicalMemory, RamReadsBackAtEverySizeAndAlignment) {
  auto memory = make(1 << 20);
  for (unsigned size : {1u, 2u, 4u, 8u})
    for (std::uint64_t at = 4096 - 9; at < 4096 + 9; ++at) {
      const std::uint64_t mask = ~std::uint64_t{0} >> (64 - 8 * size);
      memory->write({at - 1}, 8, 0);
      memory->write({at + 1}, 8, 0);
      memory->write({at}, size, 0x8877665544332211);
      EXPECT_EQ(memory->read({at}, size), 0x8877665544332211 & mask);
      EXPECT_EQ(memory->read({at - 1}, 1), 0u);
      EXPECT_EQ(memory->read({at + size}, 1), 0u);
    }
}

TEST(PhysicalMemory, RamIsInTheMemfdAtTheSameOffset) {
  auto memory = make(1 << 20);
  memory->write({0x5123}, 8, 0x1122334455667788);
  std::uint64_t value = 0;
  ASSERT_EQ(pread(memory->memfd(), &value, 8, 0x5123), 8);
  EXPECT_EQ(value, 0x1122334455667788u);
}

// The hole below 4 GiB is not RAM, and high RAM follows low RAM in the memfd.
TEST(PhysicalMemory, RamAboveTheHole) {
  const std::uint64_t high = 2 << 20;
  auto memory = PhysicalMemory::create(PhysicalMemory::kLowRamLimit + high);
  if (!memory) GTEST_SKIP() << memory.error();
  PhysicalMemory& m = **memory;
  EXPECT_EQ(m.low_ram_bytes(), PhysicalMemory::kLowRamLimit);
  EXPECT_EQ(m.high_ram_bytes(), high);
  EXPECT_NE(m.ram_page({PhysicalMemory::kLowRamLimit - 1}), nullptr);
  EXPECT_EQ(m.ram_page({PhysicalMemory::kLowRamLimit}), nullptr);
  EXPECT_EQ(m.ram_page({PhysicalMemory::kHighRamBase - 1}), nullptr);
  EXPECT_EQ(m.ram_page({PhysicalMemory::kHighRamBase}),
            m.ram_page({PhysicalMemory::kLowRamLimit - 4096}) + 4096);
  EXPECT_NE(m.ram_page({PhysicalMemory::kHighRamBase + high - 1}), nullptr);
  EXPECT_EQ(m.ram_page({PhysicalMemory::kHighRamBase + high}), nullptr);
  m.write({PhysicalMemory::kLowRamLimit - 4}, 8, 0x1122334455667788);
  EXPECT_EQ(m.read({PhysicalMemory::kLowRamLimit - 4}, 8), 0xffffffff55667788u);
  EXPECT_EQ(m.read({PhysicalMemory::kHighRamBase}, 4), 0u);
}

TEST(PhysicalMemory, NothingThereReadsAsOnesAndDropsWrites) {
  auto memory = make(1 << 20);
  for (std::uint64_t at : {std::uint64_t{1} << 20, std::uint64_t{0xfee00000},
                           std::uint64_t{1} << 40, ~std::uint64_t{0} - 3}) {
    memory->write({at}, 4, 0);
    EXPECT_EQ(memory->read({at}, 4), 0xffffffffu);
    EXPECT_EQ(memory->ram_page({at}), nullptr);
    EXPECT_EQ(memory->readable_page({at}), nullptr);
  }
  memory->write({(1 << 20) - 2}, 4, 0xabcd1234);
  EXPECT_EQ(memory->read({(1 << 20) - 2}, 4), 0xffff1234u);
  // The last addresses of all, and past them.
  std::vector<std::uint8_t> bytes(16);
  memory->read_bytes({~std::uint64_t{0} - 7}, bytes);
  EXPECT_EQ(bytes[7], 0xff);
}

TEST(PhysicalMemory, MmioRangesMayNotOverlapEachOther) {
  auto memory = make(1 << 20);
  Device device;
  EXPECT_TRUE(memory->add_mmio({0xfec00000}, 0x1000, device));
  EXPECT_FALSE(memory->add_mmio({0xfec00000}, 0x1000, device));
  EXPECT_FALSE(memory->add_mmio({0xfec00fff}, 1, device));
  EXPECT_FALSE(memory->add_mmio({0xfebfffff}, 2, device));
  EXPECT_FALSE(memory->add_mmio({0xfeb00000}, 0x1000000, device));
  EXPECT_FALSE(memory->add_mmio({0xd0000000}, 0, device));
  EXPECT_FALSE(memory->add_mmio({~std::uint64_t{0}}, 2, device));
  EXPECT_TRUE(memory->add_mmio({0xfebfffff}, 1, device));
  EXPECT_TRUE(memory->add_mmio({0xfec01000}, 1, device));
  EXPECT_TRUE(memory->add_mmio({0xa0000}, 0x20000, device)) << "MMIO may lie over RAM";
}

// One call for what fits in a register, naturally aligned pieces for what is wider.
TEST(PhysicalMemory, DeviceAccessesAreSplit) {
  auto memory = make(1 << 20);
  Device device;
  ASSERT_TRUE(memory->add_mmio({0xfed00000}, 0x2000, device));
  using Access = DeviceAccess;

  EXPECT_EQ(memory->read({0xfed00010}, 8), 0x1716151413121110u);
  EXPECT_EQ(memory->read({0xfed00003}, 4), 0x06050403u) << "unaligned, still one access";
  EXPECT_EQ(memory->read({0xfed00ffc}, 8), 0x03020100fffefdfcu) << "over a page boundary";
  EXPECT_THAT(device.accesses, ElementsAre(Access{false, 0x10, 8, 0}, Access{false, 3, 4, 0},
                                           Access{false, 0xffc, 8, 0}));
  device.accesses.clear();

  std::vector<std::uint8_t> wide(32);
  std::iota(wide.begin(), wide.end(), std::uint8_t{0});
  memory->write_bytes({0xfed00020}, wide);
  EXPECT_THAT(device.accesses, ElementsAre(Access{true, 0x20, 8, 0x0706050403020100},
                                           Access{true, 0x28, 8, 0x0f0e0d0c0b0a0908},
                                           Access{true, 0x30, 8, 0x1716151413121110},
                                           Access{true, 0x38, 8, 0x1f1e1d1c1b1a1918}));
  device.accesses.clear();

  memory->read_bytes({0xfed00003}, std::span(wide).first(10));
  for (unsigned i = 0; i < 10; ++i) EXPECT_EQ(wide[i], 3 + i);
  EXPECT_THAT(device.accesses, ElementsAre(Access{false, 3, 1, 0}, Access{false, 4, 4, 0},
                                           Access{false, 8, 4, 0}, Access{false, 12, 1, 0}));
}

// An access that leaves a device reaches what lies next to it.
TEST(PhysicalMemory, AccessOverTheEdgesOfADevice) {
  auto memory = make(1 << 20);
  Device device;
  ASSERT_TRUE(memory->add_mmio({0x20010}, 0x10, device));
  memory->write({0x2000e}, 4, 0xaabbccdd);
  EXPECT_THAT(device.accesses, ElementsAre(DeviceAccess{true, 0, 2, 0xaabb}));
  EXPECT_EQ(memory->read({0x2000e}, 2), 0xccddu);
  memory->write({0x2001f}, 2, 0x1122);
  EXPECT_EQ(memory->read({0x20020}, 1), 0x11u);
  EXPECT_EQ(memory->ram_page({0x20000}), nullptr) << "a page with a device in it is not RAM";
  EXPECT_NE(memory->ram_page({0x21000}), nullptr);
}

TEST(PhysicalMemory, RomIsReadOnlyAndWholePages) {
  auto memory = make(1 << 20);
  memory->write({0xe0ffe}, 1, 0x77);
  const std::vector<std::uint8_t> image(4096 + 4, 0x5a);
  ASSERT_TRUE(memory->add_rom({0xe0fff}, image));
  EXPECT_FALSE(memory->add_rom({0xe2000}, image)) << "shares a page with the first";
  EXPECT_FALSE(memory->add_rom({0xf0000}, {}));
  EXPECT_EQ(memory->read({0xe0ffe}, 4), 0x5a5a5a77u);
  EXPECT_EQ(memory->read({0xe2002}, 2), 0x005au);
  memory->write({0xe1000}, 8, 0);
  EXPECT_EQ(memory->read({0xe1000}, 8), 0x5a5a5a5a5a5a5a5au);
  EXPECT_EQ(memory->ram_page({0xe1000}), nullptr);
  ASSERT_NE(memory->readable_page({0xe1abc}), nullptr);
  EXPECT_EQ(memory->readable_page({0xe1abc})[0], 0x5a);

  ASSERT_TRUE(memory->add_rom({0xffff0000}, std::vector<std::uint8_t>(0x10000, 0xf4)));
  EXPECT_EQ(memory->read({0xfffffff0}, 1), 0xf4u) << "ROM needs no RAM under it";
  Device device;
  ASSERT_TRUE(memory->add_mmio({0xffff0800}, 8, device)) << "a device may lie over ROM";
  EXPECT_EQ(memory->readable_page({0xffff0000}), nullptr);
  EXPECT_EQ(memory->read({0xffff07ff}, 2), 0x00f4u);
}

TEST(PhysicalMemory, MappingsAreWholePagesOfRamAndRom) {
  auto memory = make(1 << 20);
  const unsigned before = memory->map_version();
  EXPECT_THAT(memory->mappings(),
              ElementsAre(PhysicalMemory::Mapping{{0}, 1 << 20, memory->ram_page({0}), true}));
  Device device;
  ASSERT_TRUE(memory->add_mmio({0x20010}, 0x10, device));
  ASSERT_TRUE(memory->add_rom({0xe0000}, std::vector<std::uint8_t>(0x2000, 0x5a)));
  ASSERT_TRUE(memory->add_rom({0xffff0000}, std::vector<std::uint8_t>(0x10000, 0xf4)));
  EXPECT_NE(memory->map_version(), before);
  const auto all = memory->mappings();
  ASSERT_EQ(all.size(), 5u);
  const std::pair<std::uint64_t, std::uint64_t> places[] = {{0, 0x20000},
                                                            {0x21000, 0xbf000},
                                                            {0xe0000, 0x2000},
                                                            {0xe2000, 0x1e000},
                                                            {0xffff0000, 0x10000}};
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].start.value, places[i].first);
    EXPECT_EQ(all[i].bytes, places[i].second);
    EXPECT_EQ(all[i].writable, i != 2 && i != 4);
    EXPECT_EQ(all[i].host, memory->readable_page(all[i].start));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(all[i].host) % kPageBytes, 0u);
  }
}

TEST(PhysicalMemory, ObserverHearsEveryWriteToAWatchedPageBeforeIt) {
  auto memory = make(1 << 20);
  Observer observer(*memory);
  memory->set_observer(&observer);
  memory->write({0x3000}, 1, 0x99);
  memory->watch({0x3456}, true);
  EXPECT_TRUE(memory->watched({0x3000}));
  EXPECT_FALSE(memory->watched({0x4000}));
  EXPECT_THAT(observer.writes, IsEmpty());

  memory->write({0x3000}, 4, 1);
  memory->write({0x2ffe}, 4, 0);  // two bytes on each side
  memory->write_bytes({0x3ff0}, std::vector<std::uint8_t>(64));
  EXPECT_TRUE(memory->compare_exchange({0x3010}, 8, 0, 5));
  memory->read({0x3000}, 8);
  memory->write({0x4000}, 8, 0);
  EXPECT_THAT(observer.writes,
              ElementsAre(Observer::Write{0x3000, 4, 0x99}, Observer::Write{0x3000, 2, 1},
                          Observer::Write{0x3ff0, 16, 0}, Observer::Write{0x3010, 8, 0}));

  observer.writes.clear();
  memory->watch({0x3000}, false);
  memory->write({0x3000}, 4, 1);
  EXPECT_THAT(observer.writes, IsEmpty());
  memory->watch({0xfee00000}, true);  // not RAM: nothing to watch
  EXPECT_FALSE(memory->watched({0xfee00000}));
}

// A run ends where the next page is of another kind, wherever in a word of attributes that is.
TEST(PhysicalMemory, UniformPages) {
  auto memory = *std::move(PhysicalMemory::create(200 * kPageBytes));
  const std::array<std::uint8_t, 1> image{1};
  ASSERT_TRUE(memory->add_rom({150 * kPageBytes}, image));
  EXPECT_EQ(memory->uniform_pages(0, 1000).pages, 150u);
  EXPECT_TRUE(memory->uniform_pages(0, 1).plain);
  EXPECT_FALSE(memory->uniform_pages(150, 10).plain);
  EXPECT_EQ(memory->uniform_pages(150, 10).pages, 1u);
  EXPECT_EQ(memory->uniform_pages(151, 1000).pages, 49u) << "not beyond the end of RAM";
  for (std::uint64_t watched = 1; watched < 40; ++watched) {
    memory->watch({watched * kPageBytes}, true);
    for (std::uint64_t from = 0; from < watched; ++from) {
      ASSERT_EQ(memory->uniform_pages(from, 1000).pages, watched - from);
      ASSERT_EQ(memory->uniform_pages(from, 5).pages, std::min<std::uint64_t>(5, watched - from));
    }
    EXPECT_TRUE(memory->uniform_pages(watched, 9).watched);
    EXPECT_EQ(memory->uniform_pages(watched, 9).pages, 1u);
    memory->watch({watched * kPageBytes}, false);
  }
}

TEST(PhysicalMemory, CompareExchange) {
  auto memory = make(1 << 20);
  memory->write({0x1000}, 8, 0x1111111122222222);
  EXPECT_FALSE(memory->compare_exchange({0x1000}, 8, 0, 1));
  EXPECT_EQ(memory->read({0x1000}, 8), 0x1111111122222222u);
  EXPECT_TRUE(memory->compare_exchange({0x1000}, 4, 0x22222222, 0x33333333));
  EXPECT_EQ(memory->read({0x1000}, 8), 0x1111111133333333u);
  EXPECT_TRUE(memory->compare_exchange({0xfee00000}, 8, 0, 1)) << "no RAM: dropped";
}

// A chipset shadows ROM in RAM: each direction of a segment goes to one of them.
TEST(PhysicalMemory, GatesLeadToRamOrRom) {
  auto memory = *PhysicalMemory::create(1 << 20);
  const PhysicalAddress at{0xf0000}, bare{0xe0000};
  const std::vector<std::uint8_t> image(0x1000, 0xaa);
  ASSERT_TRUE(memory->add_rom(at, image));
  const auto set_gates = [&](bool reads_ram, bool writes_ram) {
    const unsigned version = memory->map_version();
    memory->gate_ram(bare, 0x20000, reads_ram, writes_ram);
    EXPECT_NE(memory->map_version(), version);
  };
  set_gates(false, true);  // what a firmware does to copy itself in place
  EXPECT_EQ(memory->ram_page(at), nullptr);
  memory->write(at, 4, 0x11223344);
  EXPECT_EQ(memory->read(at, 4), 0xaaaaaaaau);
  EXPECT_EQ(memory->read(bare, 1), 0xffu) << "no ROM here";
  set_gates(true, true);
  EXPECT_EQ(memory->read(at, 4), 0x11223344u);
  ASSERT_NE(memory->ram_page(at), nullptr);
  EXPECT_EQ(memory->ram_page(at), memory->readable_page(at));
  set_gates(true, false);
  memory->write(at, 4, 0x55667788);
  EXPECT_EQ(memory->read(at, 4), 0x11223344u);
  EXPECT_EQ(memory->ram_page(at), nullptr);
  ASSERT_NE(memory->readable_page(at), nullptr);
  EXPECT_EQ(*memory->readable_page(at), 0x44);
  set_gates(false, false);
  memory->write(at, 4, 0);
  EXPECT_EQ(*memory->readable_page(at), 0xaa);
  EXPECT_EQ(memory->readable_page(bare), nullptr);
  set_gates(true, true);
  EXPECT_EQ(memory->read(at, 4), 0x11223344u);
}

}  // namespace
}  // namespace ringshift::guest
