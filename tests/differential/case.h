// tests/differential/case.h - one test case: an instruction sequence, the state it starts from, and
// what became of it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ringshift::differential {

// Linear addresses, the same natively and in the guest. All below 2 GiB, so that a displacement
// alone reaches them; in 64-bit code the data has a second address far above.
namespace layout {
inline constexpr std::uint64_t kPage = 4096;
inline constexpr std::uint64_t kCode = 0x10000000, kCodeBytes = 2 * kPage;
inline constexpr std::uint64_t kData = 0x20000000, kDataBytes = 4 * kPage;
inline constexpr std::uint64_t kReadOnlyFrom = 3 * kPage;  // of the data
inline constexpr std::uint64_t kStack = 0x30000000, kStackBytes = 2 * kPage;
inline constexpr std::uint64_t kHighData = 0x6f0012340000;
}  // namespace layout

// What the far transfer from test code to the judge looks like: INT3 fills the code pages.
inline constexpr std::uint8_t kFiller = 0xcc;

// Selectors are Linux's, which the native run has to use.
namespace selector {
inline constexpr std::uint16_t kCode32 = 0x23, kData = 0x2b, kCode64 = 0x33;
inline constexpr std::uint16_t kFs32 = 0x07, kGs32 = 0x0f;  // in the LDT
}  // namespace selector
// Bases of FS and GS in 32-bit code, where they are descriptors.
inline constexpr std::uint32_t kFsBase32 = layout::kData - 0x100, kGsBase32 = layout::kData + 0x800;

enum class Mode : std::uint8_t {
  k64,
  kCompatibility,  // 32-bit code under a 64-bit kernel
  kProtected,      // 32-bit code under a 32-bit kernel with PAE paging
};
inline unsigned bits_of(Mode m) { return m == Mode::k64 ? 64 : 32; }

inline constexpr std::size_t kXsaveBytes = 4096;

struct Registers {
  std::array<std::uint64_t, 16> gpr{};
  std::uint64_t rip = 0, rflags = 2, fs_base = 0, gs_base = 0;
  alignas(64) std::array<std::uint8_t, kXsaveBytes> xsave{};  // standard format
};

struct Memory {
  alignas(64) std::array<std::uint8_t, layout::kDataBytes> data;
  alignas(64) std::array<std::uint8_t, layout::kStackBytes> stack;
};

// How a sequence ended: always with an exception.
struct Outcome {
  Registers registers;
  Memory memory;
  unsigned vector = 0;
  std::uint64_t error_code = 0, cr2 = 0;
};

using Bytes = std::vector<std::uint8_t>;

struct Case {
  Mode mode = Mode::k64;
  std::uint64_t state_seed = 0;
  std::vector<Bytes> instructions;

  Bytes code() const;
  // "64:SEED:HEX,HEX,..." (64, 32 or pae), for --one and the fixed cases.
  std::string text() const;
  static std::optional<Case> parse(const std::string& text);
};

}  // namespace ringshift::differential
