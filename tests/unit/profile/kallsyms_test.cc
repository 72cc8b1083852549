// tests/unit/profile/kallsyms_test.cc - the kernel's own symbols, found and decoded in every layout; damage is no harm.
#include "tests/unit/profile/kallsyms_image.h"

#include <gtest/gtest.h>

#include <random>

namespace ringshift::runtime::profile {
namespace {

std::vector<Symbol> many_symbols(std::uint64_t base, bool per_cpu) {
  std::vector<Symbol> symbols;
  if (per_cpu) symbols.push_back({0x1fc40, 'A', "current_task", 0});
  for (unsigned i = 0; i < 700; ++i)
    symbols.push_back({base + i * 16, i % 3 ? 't' : 'T', "do_sys_" + std::to_string(i), 0});
  symbols.push_back({base + 700 * 16, 'd', std::string(200, 'n'), 0});
  return symbols;
}

void expect_same(const std::optional<std::vector<Symbol>>& found, const std::vector<Symbol>& wanted) {
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ((*found)[i].address, wanted[i].address) << i;
    EXPECT_EQ((*found)[i].kind, wanted[i].kind) << i;
    EXPECT_EQ((*found)[i].name, wanted[i].name) << i;
  }
}

constexpr std::uint64_t kBase64 = 0xffffffff9a000000, kBase32 = 0xc1000000;

TEST(Kallsyms, EveryLayoutOf64BitKernels) {
  const auto symbols = many_symbols(kBase64, true);
  for (const auto order :
       {KallsymsOrder::kBefore62, KallsymsOrder::kWithSeqs, KallsymsOrder::kSince64})
    expect_same(find_kallsyms(KallsymsImage(kBase64, 8, order, symbols).image(), 8), symbols);
}

TEST(Kallsyms, EveryLayoutOf32BitKernels) {
  const auto symbols = many_symbols(kBase32, false);
  for (const auto order :
       {KallsymsOrder::kBefore62, KallsymsOrder::kWithSeqs, KallsymsOrder::kSince64})
    expect_same(find_kallsyms(KallsymsImage(kBase32, 4, order, symbols).image(), 4), symbols);
}

TEST(Kallsyms, CutOffAnywhereIsSafe) {
  const KallsymsImage whole(kBase64, 8, KallsymsOrder::kWithSeqs, many_symbols(kBase64, true));
  const auto image = whole.image();
  for (std::size_t n = 0; n < image.bytes.size(); n += 97) {
    static_cast<void>(find_kallsyms({kBase64, image.bytes.first(n)}, 8));
    static_cast<void>(find_kallsyms({kBase64, image.bytes.subspan(n)}, 8));
  }
}

TEST(Kallsyms, DamageIsSafe) {
  std::mt19937 random(7);
  const auto symbols = many_symbols(kBase64, true);
  for (int round = 0; round < 200; ++round) {
    KallsymsImage damaged(kBase64, 8, KallsymsOrder::kBefore62, symbols);
    for (int i = 0; i < 20; ++i)
      damaged.bytes()[random() % damaged.bytes().size()] = static_cast<std::uint8_t>(random());
    static_cast<void>(find_kallsyms(damaged.image(), 8));
  }
}

TEST(Kallsyms, NothingIsFoundInNothing) {
  const std::vector<std::uint8_t> zeros(1 << 20);
  EXPECT_FALSE(find_kallsyms({kBase64, zeros}, 8));
  EXPECT_FALSE(find_kallsyms({kBase64, {}}, 8));
}

}  // namespace
}  // namespace ringshift::runtime::profile
