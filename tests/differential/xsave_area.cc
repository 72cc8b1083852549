// tests/differential/xsave_area.cc - asks CPUID for the layout; initial contents of components.
#include "tests/differential/xsave_area.h"

#include <cpuid.h>

#include <algorithm>
#include <cstring>

namespace ringshift::differential {
namespace {
constexpr std::uint64_t kCompared = 0xe7;
constexpr std::size_t kHeader = 512;
constexpr std::size_t kXmm = 160, kXmmBytes = 256, kSt = 32, kStBytes = 128;
}  // namespace

XsaveArea::XsaveArea() {
  std::uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  mask_ = low & kCompared;
  for (unsigned i = 2; i < 8; ++i) {
    if (!has(i)) continue;
    std::uint32_t bytes, offset, c, d;
    __cpuid_count(0xd, i, bytes, offset, c, d);
    components_[i] = {offset, bytes};
    bytes_ = std::max<std::size_t>(bytes_, offset + bytes);
  }
}

const XsaveArea& XsaveArea::host() {
  static const XsaveArea area;
  return area;
}

void XsaveArea::normalize(std::span<std::uint8_t> area) const {
  std::uint64_t present;
  std::memcpy(&present, area.data() + kHeader, sizeof present);
  if (!(present & 1)) {
    std::fill_n(area.begin(), 24, std::uint8_t{0});
    std::fill_n(area.begin() + kSt, kStBytes, std::uint8_t{0});
    area[0] = 0x7f;  // FCW
    area[1] = 3;
  }
  if (!(present & 2)) std::fill_n(area.begin() + kXmm, kXmmBytes, std::uint8_t{0});
  for (unsigned i = 2; i < 8; ++i)
    if (has(i) && !(present >> i & 1))
      std::fill_n(area.begin() + static_cast<std::ptrdiff_t>(components_[i].offset),
                  components_[i].bytes, std::uint8_t{0});
  std::fill_n(area.begin() + 5, 19, std::uint8_t{0});  // reserved, FOP, FIP, FDP
  std::fill_n(area.begin() + 28, 4, std::uint8_t{0});  // MXCSR_MASK
  for (unsigned i = 0; i < 8; ++i)
    std::fill_n(area.begin() + kSt + 16 * i + 10, 6, std::uint8_t{0});
  std::fill_n(area.begin() + kXmm + kXmmBytes, kHeader - kXmm - kXmmBytes, std::uint8_t{0});
  std::fill_n(area.begin() + kHeader, 64, std::uint8_t{0});
  std::memcpy(area.data() + kHeader, &mask_, sizeof mask_);
}

}  // namespace ringshift::differential
