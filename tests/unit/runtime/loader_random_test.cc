// tests/unit/runtime/loader_random_test.cc - damaged kernel files of every format: each is loaded
// or refused in one line, whatever was cut or overwritten (the sanitizers watch).
#include <gtest/gtest.h>

#include <random>

#include "tests/unit/runtime/kernel_images.h"

namespace ringshift::runtime::test {
namespace {

class Damage {
 public:
  explicit Damage(std::uint64_t seed) : random_(seed) {}

  std::uint64_t below(std::uint64_t n) { return random_() % n; }

  // A few fields of the first `header` bytes, mostly by values at the edges of their type.
  void overwrite(std::vector<std::uint8_t>& file, std::size_t header) {
    for (std::uint64_t left = below(6); left > 0; --left) {
      const std::size_t bytes = std::size_t{1} << below(4);
      const std::size_t at = below(header);
      const std::uint64_t value = edge(static_cast<unsigned>(8 * bytes));
      for (std::size_t i = 0; i < bytes && at + i < file.size(); ++i)
        file[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
    }
  }

 private:
  std::uint64_t edge(unsigned bits) {
    const std::uint64_t top = std::uint64_t{1} << (bits - 1);
    switch (below(8)) {
      case 0:
        return 0;
      case 1:
        return ~std::uint64_t{0} - below(70);
      case 2:
        return top - below(3);
      case 3:
        return below(300);
      case 4:
        return 0xfffff000 + below(0x2000);
      case 5:
        return 0x100000 * below(0x80);
      default:
        return random_();
    }
  }

  std::mt19937_64 random_;
};

TEST(DamagedKernels, AreLoadedOrRefusedInOneLine) {
  constexpr unsigned kFiles = 4000;
  struct Kind {
    Image (*make)();
    std::size_t first, bytes;  // of what is damaged
  };
  constexpr Kind kKinds[] = {
      {[] { return bzimage(); }, 0x1f1, 0x8f},
      {pvh_elf, 0, 0x220},
      {[] { return multiboot_elf(); }, 0, 0x1110},
      {[] { return multiboot_elf(); }, 0, 176},
      {multiboot_raw, 0x40, 0x20},
  };
  Loading l(std::uint64_t{32} << 20);
  unsigned loaded = 0;
  for (unsigned seed = 0; seed < kFiles; ++seed) {
    Damage damage(seed);
    const Kind& kind = kKinds[damage.below(std::size(kKinds))];
    Image image = kind.make();
    std::vector<std::uint8_t> part(image.bytes().begin() + static_cast<std::ptrdiff_t>(kind.first),
                                   image.bytes().end());
    damage.overwrite(part, kind.bytes);
    std::copy(part.begin(), part.end(),
              image.bytes().begin() + static_cast<std::ptrdiff_t>(kind.first));
    if (damage.below(4) == 0) image.bytes().resize(damage.below(image.bytes().size() + 1));
    std::vector<BootModule> modules;
    if (damage.below(3) == 0) modules.push_back({"m", std::vector<std::uint8_t>(5000)});
    guest::reset(l.state);
    const auto status = l.boot(image, std::string(damage.below(3000), 'x'), std::move(modules));
    if (status) {
      ++loaded;
      continue;
    }
    EXPECT_FALSE(status.error().empty()) << seed;
    EXPECT_EQ(status.error().find('\n'), std::string::npos) << seed;
    EXPECT_LT(status.error().size(), 400u) << seed;
  }
  EXPECT_GT(loaded, kFiles / 20);
  EXPECT_LT(loaded, kFiles);
}

}  // namespace
}  // namespace ringshift::runtime::test
