// translator/mode_key.h - the processor state that decides how guest bytes translate, as one value.
#pragma once

#include <cstdint>

#include "guest/cpu_state.h"

namespace ringshift::translator {

// How much is spent on a block.
enum class Tier : std::uint8_t {
  kPlain,    // compact code
  kCounted,  // compact code that counts its runs
  kHot,      // fast code
};

// Bits of the mode half of a block key. Two states with equal keys run the same host code.
class ModeKey {
 public:
  ModeKey() = default;
  explicit constexpr ModeKey(std::uint32_t bits) : bits_(bits) {}
  // The key of the state now. `single`: one instruction, entered only by the dispatcher.
  static ModeKey of(const guest::CpuState& state, bool single);

  constexpr std::uint32_t bits() const { return bits_; }
  bool operator==(const ModeKey&) const = default;

  unsigned code_bytes() const { return 2u << (bits_ & 3); }  // 2, 4 or 8
  unsigned stack_bytes() const { return 2u << ((bits_ >> 2) & 3); }
  unsigned cpl() const { return (bits_ >> kCplShift) & 3; }
  bool real_or_v86() const { return bits_ & kRealOrV86; }
  bool flat() const { return bits_ & kFlat; }       // CS, DS, ES, SS: base 0, 4 GiB
  bool fs_full() const { return bits_ & kFsFull; }  // any base, 4 GiB, writable
  bool gs_full() const { return bits_ & kGsFull; }
  bool task_switched() const { return bits_ & kTs; }
  bool emulate_fpu() const { return bits_ & kEm; }
  bool monitor_fpu() const { return bits_ & kMp; }
  bool sse_enabled() const { return bits_ & kOsfxsr; }
  bool avx_enabled() const { return bits_ & kAvx; }
  bool avx512_enabled() const { return bits_ & kAvx512; }
  bool alignment_check() const { return bits_ & kAlign; }
  bool single() const { return bits_ & kSingle; }
  bool windows() const { return bits_ & kWindows; }  // hot code accesses memory through windows
  // 64-bit code at this CPL under the same control registers, without alignment checks or windows.
  constexpr ModeKey in_64bit_code(unsigned cpl) const {
    return ModeKey((bits_ & kControl) | 2 | 2 << 2 | cpl << kCplShift);
  }
  ModeKey with_windows() const { return ModeKey(bits_ | kWindows); }
  static constexpr std::uint32_t kWindows = 1u << 18;
  static constexpr unsigned kCplShift = 4;
  bool is_64bit() const { return (bits_ & 3) == 2; }

 private:
  static constexpr std::uint32_t kRealOrV86 = 1u << 6, kFlat = 1u << 7, kFsFull = 1u << 8,
                                 kGsFull = 1u << 9, kTs = 1u << 10, kEm = 1u << 11, kMp = 1u << 12,
                                 kOsfxsr = 1u << 13, kAvx = 1u << 14, kAvx512 = 1u << 15,
                                 kAlign = 1u << 16, kSingle = 1u << 17;
  static constexpr std::uint32_t kControl = kTs | kEm | kMp | kOsfxsr | kAvx | kAvx512;
  std::uint32_t bits_ = 0;
};

}  // namespace ringshift::translator
