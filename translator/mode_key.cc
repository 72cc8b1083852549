// translator/mode_key.cc - the processor state that decides how guest bytes translate, as one
// value.
#include "translator/mode_key.h"

namespace ringshift::translator {
namespace {
using guest::Seg;

// A data segment that no access can violate: present, writable, expand-up, 4 GiB.
bool full(const guest::SegmentRegister& s) {
  return s.limit == 0xffffffff && s.present() && s.is_code_or_data() && s.writable() &&
         !s.expand_down();
}

bool has_flat_segments(const guest::CpuState& s) {
  const auto& cs = s.segment(Seg::kCs);
  if (cs.base != 0 || cs.limit != 0xffffffff || !cs.readable()) return false;
  for (Seg seg : {Seg::kDs, Seg::kEs, Seg::kSs})
    if (s.segment(seg).base != 0 || !full(s.segment(seg))) return false;
  return true;
}

constexpr std::uint32_t width_code(unsigned bytes) { return bytes == 8 ? 2 : bytes == 4 ? 1 : 0; }
}  // namespace

ModeKey ModeKey::of(const guest::CpuState& s, bool single) {
  const unsigned code = s.code_bytes();
  std::uint32_t bits = width_code(code) | width_code(s.stack_bytes()) << 2 | s.cpl << kCplShift;
  if (s.real_or_v86()) bits |= kRealOrV86;
  if (code != 8) {
    if (has_flat_segments(s)) bits |= kFlat;
    if (full(s.segment(Seg::kFs))) bits |= kFsFull;
    if (full(s.segment(Seg::kGs))) bits |= kGsFull;
  }
  if (s.cr0 & guest::cr0::kTs) bits |= kTs;
  if (s.cr0 & guest::cr0::kEm) bits |= kEm;
  if (s.cr0 & guest::cr0::kMp) bits |= kMp;
  if (s.cr4 & guest::cr4::kOsfxsr) bits |= kOsfxsr;
  // VEX encodings are #UD in real and v86 mode.
  if ((s.cr4 & guest::cr4::kOsxsave) && !s.real_or_v86()) {
    if ((s.xcr0 & 6) == 6) bits |= kAvx;
    if ((s.xcr0 & 0xe6) == 0xe6) bits |= kAvx512;
  }
  if ((s.cr0 & guest::cr0::kAm) && (s.rflags & guest::flags::kAc) && s.cpl == 3) bits |= kAlign;
  if (single) bits |= kSingle;
  return ModeKey(bits);
}

}  // namespace ringshift::translator
