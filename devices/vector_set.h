// devices/vector_set.h - 256 interrupt vectors as bits: the local APIC's IRR, ISR and TMR.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace ringshift::devices {

class VectorSet {
 public:
  bool test(std::uint8_t vector) const { return words_[vector >> 6] >> (vector & 63) & 1; }
  void set(std::uint8_t vector) { words_[vector >> 6] |= std::uint64_t{1} << (vector & 63); }
  void clear(std::uint8_t vector) { words_[vector >> 6] &= ~(std::uint64_t{1} << (vector & 63)); }
  void clear_all() { words_ = {}; }

  // 0 when empty: vectors below 16 are never accepted.
  std::uint8_t highest() const {
    for (unsigned word = 4; word-- > 0;) {
      if (words_[word])
        return static_cast<std::uint8_t>(64 * word + 63 - std::countl_zero(words_[word]));
    }
    return 0;
  }

  // Register `index` of the eight that show the set.
  std::uint32_t register_value(unsigned index) const {
    return static_cast<std::uint32_t>(words_[index >> 1] >> (index & 1 ? 32 : 0));
  }

 private:
  std::array<std::uint64_t, 4> words_{};
};

}  // namespace ringshift::devices
