// translator/callouts/extended_state.h - the guest's x87 and SIMD state, by component.
//
// CpuState::xsave is in the standard XSAVE format of the host: a component whose XSTATE_BV bit is
// clear is in its initial configuration, whatever its bytes say, so nobody may read the bytes past
// this class. Only for call-outs with Trait::kUsesSimd; used on the vCPU's thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "translator/callouts/guest_block.h"
#include "translator/core.h"

namespace ringshift::translator {

// SDM Vol. 1 "XSAVE-Supported Features and State-Component Bitmaps".
namespace component {
inline constexpr unsigned kX87 = 0, kSse = 1, kAvx = 2, kOpmask = 5, kZmmHi256 = 6, kHi16Zmm = 7,
                          kPkru = 9;
inline constexpr unsigned kFirstExtended = 2, kCount = 32;
}  // namespace component
constexpr std::uint64_t bit_of(unsigned component_number) {
  return std::uint64_t{1} << component_number;
}

// SDM Vol. 1 "Legacy Region of an XSAVE Area", "XSAVE Header".
namespace area {
inline constexpr std::size_t kFcw = 0, kFsw = 2, kFtw = 4, kFop = 6, kFip = 8, kFdp = 16,
                             kMxcsr = 24, kMxcsrMask = 28, kSt = 32, kXmm = 160, kLegacyBytes = 512,
                             kXstateBv = 512, kXcompBv = 520, kHeaderBytes = 64, kExtended = 576;
inline constexpr std::size_t kStSlot = 16, kStBytes = 10;
}  // namespace area

inline constexpr std::uint16_t kInitialFcw = 0x37f;
inline constexpr std::uint32_t kInitialMxcsr = 0x1f80;

// Where CPUID leaf 0DH puts a component.
struct ComponentLayout {
  std::size_t offset = 0, bytes = 0;
  bool aligned = false;  // to 64 bytes in the compacted format
};
ComponentLayout component_layout(const Core& core, unsigned number);

using VectorBytes = std::array<std::uint8_t, 64>;

class ExtendedState {
 public:
  explicit ExtendedState(Core& core) : core_(core), bytes_(core.state.xsave) {}

  std::uint64_t in_use() const { return load<std::uint64_t>(area::kXstateBv); }
  bool in_use(unsigned number) const { return in_use() & bit_of(number); }
  // The component's bytes hold its value from now on.
  void materialize(unsigned number);
  void set_initial(unsigned number);

  template <typename T>
  T load(std::size_t at) const {
    return load_host<T>(bytes_.data() + at);
  }
  template <typename T>
  void store(std::size_t at, T value) {
    store_host(bytes_.data() + at, value);
  }
  std::uint8_t* data(std::size_t at) { return bytes_.data() + at; }
  const std::uint8_t* data(std::size_t at) const { return bytes_.data() + at; }

  std::uint32_t mxcsr() const { return load<std::uint32_t>(area::kMxcsr); }
  void set_mxcsr(std::uint32_t value) { store(area::kMxcsr, value); }
  std::uint32_t mxcsr_mask() const;

  // Vector register 0..31, all 64 bytes; parts that are not enabled read as zero.
  VectorBytes vector(unsigned number) const;
  // Writes the first `bytes` bytes and clears the rest, as VEX and EVEX destinations do.
  void set_vector(unsigned number, const VectorBytes& value, std::size_t bytes);
  std::uint64_t opmask(unsigned number) const;
  void set_opmask(unsigned number, std::uint64_t value);

 private:
  struct Part {
    unsigned component;
    std::size_t from, bytes;  // of the 64-byte register
    std::size_t at;           // in the XSAVE area
  };
  std::array<Part, 3> parts_of(unsigned number) const;

  Core& core_;
  std::array<std::uint8_t, guest::kXsaveBytes>& bytes_;
};

// #UD and #NM of instructions that need AVX (AVX-512) state. SDM Vol. 1 "Detection of AVX
// Instructions".
guest::Status check_vector_enabled(const Core& core, bool avx512);
// #NM of x87 and MMX-age instructions.
guest::Status check_x87_enabled(const Core& core);
// #MF when the last x87 instruction left an unmasked exception.
guest::Status check_pending_x87(Core& core);

}  // namespace ringshift::translator
