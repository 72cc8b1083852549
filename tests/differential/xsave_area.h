// tests/differential/xsave_area.h - the standard XSAVE layout of this host.
// SDM Vol. 1 "Managing State Using the XSAVE Feature Set".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace ringshift::differential {

struct Component {
  std::size_t offset = 0, bytes = 0;
};

class XsaveArea {
 public:
  static const XsaveArea& host();
  std::uint64_t mask() const { return mask_; }  // components in use: of x87, SSE, AVX, AVX-512
  std::size_t bytes() const { return bytes_; }
  Component component(unsigned number) const { return components_[number]; }
  bool has(unsigned number) const { return mask_ >> number & 1; }

  // Gives components whose XSTATE_BV bit is clear their initial contents, sets the bits, and clears
  // what no program may rely on: the last instruction's and operand's addresses, reserved bytes.
  void normalize(std::span<std::uint8_t> area) const;

 private:
  XsaveArea();
  std::uint64_t mask_ = 0;
  std::size_t bytes_ = 576;
  Component components_[8];
};

}  // namespace ringshift::differential
