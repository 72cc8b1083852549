// tests/differential/initial_state.cc - edge values of integers, floats, flags and FPU control.
#include "tests/differential/initial_state.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "tests/differential/random.h"
#include "tests/differential/xsave_area.h"

namespace ringshift::differential {
namespace {

constexpr std::uint64_t kEdges[] = {0,
                                    1,
                                    2,
                                    7,
                                    8,
                                    15,
                                    16,
                                    31,
                                    32,
                                    33,
                                    63,
                                    64,
                                    65,
                                    0x7f,
                                    0x80,
                                    0xff,
                                    0x7fff,
                                    0x8000,
                                    0xffff,
                                    0x7fffffff,
                                    0x80000000,
                                    0xffffffff,
                                    0x100000000,
                                    0x7fffffffffffffff,
                                    0x8000000000000000,
                                    0xffffffffffffffff,
                                    0xfffffffffffffff0,
                                    0xffffffff80000000,
                                    0x5555555555555555,
                                    0x00007fffffffffff,
                                    0x0000800000000000,
                                    0xffff800000000000};
constexpr std::uint32_t kFloats[] = {0,          0x80000000, 0x3f800000, 0xbf800000, 1,
                                     0x807fffff, 0x00800000, 0x7f7fffff, 0x7f800000, 0xff800000,
                                     0x7fc00000, 0xffc00000, 0x7f800001, 0x7fbfffff, 0x4f000000,
                                     0xcf000000, 0x4effffff, 0x3f7fffff, 0x40490fdb, 0x4b800001};
constexpr std::uint64_t kDoubles[] = {0,
                                      0x8000000000000000,
                                      0x3ff0000000000000,
                                      0xbff0000000000000,
                                      1,
                                      0x800fffffffffffff,
                                      0x0010000000000000,
                                      0x7fefffffffffffff,
                                      0x7ff0000000000000,
                                      0xfff0000000000000,
                                      0x7ff8000000000000,
                                      0xfff8000000000000,
                                      0x7ff0000000000001,
                                      0x41dfffffffc00000,
                                      0xc1e0000000000000,
                                      0x43e0000000000000,
                                      0x3fefffffffffffff,
                                      0x400921fb54442d18,
                                      0x36a0000000000000,
                                      0x47efffffe0000000};
// Significand, then sign and exponent.
constexpr std::pair<std::uint64_t, std::uint16_t> kExtended[] = {{0, 0},
                                                                 {0, 0x8000},
                                                                 {0x8000000000000000, 0x3fff},
                                                                 {0x8000000000000000, 0xbfff},
                                                                 {1, 0},
                                                                 {0x8000000000000000, 0},
                                                                 {0x8000000000000000, 0x7fff},
                                                                 {0x8000000000000000, 0xffff},
                                                                 {0xc000000000000000, 0x7fff},
                                                                 {0xc000000000000000, 0xffff},
                                                                 {0xa000000000000000, 0x7fff},
                                                                 {0x4000000000000000, 0x3fff},
                                                                 {0, 0x7fff},
                                                                 {0xffffffffffffffff, 0x7ffe},
                                                                 {0x8000000000000000, 1},
                                                                 {0xc90fdaa22168c235, 0x4000},
                                                                 {0xffffffffffffffff, 0x403e},
                                                                 {0x8000000000000000, 0xc03e},
                                                                 {0xde0b6b3a763ffff0, 0x403a}};

std::uint64_t data_pointer(Random& r, Mode mode) {
  const std::uint64_t base = mode == Mode::k64 && r.chance(35) ? layout::kHighData : layout::kData;
  std::uint64_t at = r.below(layout::kDataBytes - 512) + 64;
  if (r.chance(60)) at &= ~std::uint64_t{63};
  return base + at;
}

std::uint64_t general_value(Random& r, Mode mode) {
  const unsigned kind = static_cast<unsigned>(r.below(100));
  if (kind < 45) return data_pointer(r, mode);
  if (kind < 60) return r.below(48);
  if (kind < 66) return static_cast<std::uint64_t>(-r.between(1, 32));
  if (kind < 85) return r.pick(kEdges);
  if (kind < 90) return r.next() & 0xffffffff;
  return r.next();
}

// Fills with one style for each 32 bytes.
void fill(Random& r, std::span<std::uint8_t> bytes) {
  for (std::size_t at = 0; at < bytes.size(); at += 8) {
    static_assert(sizeof(std::uint64_t) == 8);
    std::uint64_t v;
    const std::uint64_t style = r.below(16);
    if (style < 5)
      v = r.next();
    else if (style < 8)
      v = r.pick(kFloats) | std::uint64_t{r.pick(kFloats)} << 32;
    else if (style < 11)
      v = r.pick(kDoubles);
    else if (style < 13)
      v = r.below(256) | r.below(256) << 32;
    else
      v = r.pick(kEdges);
    std::memcpy(bytes.data() + at, &v, std::min<std::size_t>(8, bytes.size() - at));
  }
}

void fill_x87(Random& r, std::uint8_t* area) {
  std::uint16_t control = 0x37f;
  if (r.chance(30)) control = static_cast<std::uint16_t>(0x7f | r.below(16) << 8);
  if (r.chance(6)) control = static_cast<std::uint16_t>(control & ~r.below(64));
  std::uint16_t status = static_cast<std::uint16_t>(r.below(8) << 11);
  if (r.chance(20)) status |= static_cast<std::uint16_t>(r.next() & 0x477f);
  const std::uint8_t tags = r.chance(50) ? r.byte() : r.chance(50) ? 0xff : 0;
  // ES and B follow the unmasked exceptions.
  const bool pending = status & ~control & 0x3f;
  status = static_cast<std::uint16_t>((status & ~0x8080) | (pending ? 0x8080 : 0));
  std::memcpy(area, &control, 2);
  std::memcpy(area + 2, &status, 2);
  area[4] = tags;
  for (unsigned i = 0; i < 8; ++i) {
    auto [significand, exponent] = r.pick(kExtended);
    if (r.chance(40)) {
      significand = r.next() | 0x8000000000000000;
      exponent = static_cast<std::uint16_t>(r.between(0x3fff - 70, 0x3fff + 70) |
                                            (r.chance(50) ? 0x8000 : 0));
    } else if (r.chance(25)) {  // an MMX value
      significand = r.next();
      exponent = 0xffff;
    }
    std::memcpy(area + 32 + 16 * i, &significand, 8);
    std::memcpy(area + 32 + 16 * i + 8, &exponent, 2);
  }
}

void fill_xsave(Random& r, std::span<std::uint8_t> area, Mode mode) {
  const XsaveArea& host = XsaveArea::host();
  fill_x87(r, area.data());
  std::uint32_t mxcsr = 0x1f80;
  if (r.chance(30)) mxcsr = 0x1f80 | static_cast<std::uint32_t>(r.next() & 0xe07f);
  if (r.chance(5)) mxcsr &= ~static_cast<std::uint32_t>(r.next() & 0x1f80);
  std::memcpy(area.data() + 24, &mxcsr, 4);
  const unsigned registers = mode == Mode::k64 ? 16 : 8;
  fill(r, area.subspan(160, 16 * registers));
  for (unsigned i = 2; i < 8; ++i) {
    if (!host.has(i)) continue;
    const auto c = host.component(i);
    // Registers 8 and up do not exist outside 64-bit code: left in their initial state.
    if (mode != Mode::k64 && i == 7) continue;
    const bool halves = mode != Mode::k64 && (i == 2 || i == 6);
    if (r.chance(90)) fill(r, area.subspan(c.offset, halves ? c.bytes / 2 : c.bytes));
  }
  // Some vectors hold indices that gathers can use.
  for (unsigned i = 0; i < registers; ++i) {
    if (!r.chance(30)) continue;
    const bool dwords = r.chance(50);
    for (unsigned e = 0; e < 4; ++e) {
      const std::uint32_t v = static_cast<std::uint32_t>(dwords || e % 2 == 0 ? r.below(200) : 0);
      std::memcpy(area.data() + 160 + 16 * i + 4 * e, &v, 4);
      if (host.has(2)) std::memcpy(area.data() + host.component(2).offset + 16 * i + 4 * e, &v, 4);
    }
  }
  std::uint64_t present = host.mask();
  std::memcpy(area.data() + 512, &present, 8);
}

}  // namespace

Registers initial_registers(Mode mode, std::uint64_t seed) {
  Random r(seed);
  Registers s;
  for (auto& g : s.gpr) g = general_value(r, mode);
  // Registers with a role in string, stack and count instructions mostly play it.
  if (r.chance(60)) s.gpr[1] = r.below(40);
  if (r.chance(75)) s.gpr[6] = data_pointer(r, mode);
  if (r.chance(75)) s.gpr[7] = data_pointer(r, mode);
  if (r.chance(50)) s.gpr[3] = data_pointer(r, mode);
  std::uint64_t sp = layout::kStack + 0x800 + r.below(0x1000);
  if (r.chance(90)) sp &= ~std::uint64_t{15};
  if (r.chance(15))
    sp = layout::kStack + layout::kPage + static_cast<std::uint64_t>(r.between(-12, 12));
  if (r.chance(2)) sp = layout::kStack + r.below(16);
  if (r.chance(1)) sp = r.pick(kEdges);
  s.gpr[4] = sp;
  if (r.chance(50)) s.gpr[5] = layout::kStack + r.below(layout::kStackBytes);
  // CF, PF, AF, ZF, SF, OF at random; DF seldom; now and then NT and ID.
  s.rflags = 0x202 | (r.next() & 0x8d5) | (r.chance(10) ? 0x400 : 0) | (r.chance(2) ? 0x4000 : 0) |
             (r.chance(2) ? 0x200000 : 0);
  // Alignment checks, drawn apart so that seeds of earlier cases keep their meaning.
  if (Random(seed ^ 0x616c69676e).chance(5)) s.rflags |= 0x40000;
  if (mode == Mode::k64) {
    s.fs_base = data_pointer(r, mode) - r.below(64);
    s.gs_base = r.chance(90)
                    ? data_pointer(r, mode)
                    : r.pick({std::uint64_t{0}, std::uint64_t{layout::kHighData - 0x40000000}});
  } else {
    for (auto& g : s.gpr) g &= 0xffffffff;
    for (unsigned i = 8; i < 16; ++i) s.gpr[i] = 0;
    s.fs_base = kFsBase32;
    s.gs_base = kGsBase32;
  }
  fill_xsave(r, s.xsave, mode);
  // Somewhere in the first page; at times so that the sequence crosses into the second.
  const std::uint64_t room = layout::kCodeBytes / 2;
  std::uint64_t at = r.below(room - 256);
  if (r.chance(12)) at = room - 1 - r.below(60);
  s.rip = layout::kCode + at;
  return s;
}

void initial_memory(std::uint64_t seed, Memory& memory) {
  Random r(seed ^ 0x6d656d6f7279);
  fill(r, memory.data);
  fill(r, memory.stack);
}

}  // namespace ringshift::differential
