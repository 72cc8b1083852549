// translator/callouts/fx_image.cc - the legacy region to and from the guest's state.
#include "translator/callouts/fx_image.h"

namespace ringshift::translator {
namespace {

constexpr unsigned kStRegisters = 8;
constexpr std::uint16_t kFswErrorSummary = 0x8080;  // ES and B

void copy_st(std::uint8_t* to, const std::uint8_t* from) {
  for (unsigned i = 0; i < kStRegisters; ++i) {
    const std::size_t at = area::kSt + i * area::kStSlot;
    copy_bytes(to + at, from + at, area::kStBytes);
    fill_bytes(to + at + area::kStBytes, 0, area::kStSlot - area::kStBytes);
  }
}

}  // namespace

// DEVIATION: FOP, FIP and FDP stay zero, because those in the host's registers name host addresses.
// HW: AMD's FXSAVE and XSAVE store zeros too unless an exception is pending; FNSTENV and FNSAVE
// always store the last instruction's.
void export_x87(const ExtendedState& x, std::uint8_t* image) {
  fill_bytes(image, 0, area::kMxcsr);
  if (!x.in_use(component::kX87)) {
    store_host<std::uint16_t>(image + area::kFcw, kInitialFcw);
    fill_bytes(image + area::kSt, 0, area::kXmm - area::kSt);
    return;
  }
  store_host(image + area::kFcw, x.load<std::uint16_t>(area::kFcw));
  store_host(image + area::kFsw, x.load<std::uint16_t>(area::kFsw));
  image[area::kFtw] = x.load<std::uint8_t>(area::kFtw);
  copy_st(image, x.data(0));
}

void export_mxcsr(const ExtendedState& x, std::uint8_t* image) {
  store_host(image + area::kMxcsr, x.mxcsr());
  store_host(image + area::kMxcsrMask, x.mxcsr_mask());
}

void export_xmm(const ExtendedState& x, std::uint8_t* image, unsigned registers) {
  if (x.in_use(component::kSse))
    copy_bytes(image + area::kXmm, x.data(area::kXmm), registers * 16);
  else
    fill_bytes(image + area::kXmm, 0, registers * 16);
}

void set_x87_control(ExtendedState& x, std::uint16_t fcw, std::uint16_t fsw) {
  fcw = static_cast<std::uint16_t>((fcw & 0x1f3f) | 0x40);
  const bool pending = fsw & ~fcw & 0x3f;
  x.store(area::kFcw, fcw);
  x.store(area::kFsw,
          static_cast<std::uint16_t>(pending ? fsw | kFswErrorSummary : fsw & ~kFswErrorSummary));
}

void rotate_stack(ExtendedState& x, unsigned new_top) {
  const unsigned turn = (new_top - top_of(x.load<std::uint16_t>(area::kFsw))) & 7;
  if (turn == 0) return;
  std::array<std::uint8_t, 8 * area::kStSlot> old;
  copy_bytes(old.data(), x.data(area::kSt), old.size());
  for (unsigned i = 0; i < 8; ++i)
    copy_bytes(x.data(area::kSt + i * area::kStSlot), old.data() + ((i + turn) & 7) * area::kStSlot,
               area::kStSlot);
}

void enter_mmx_state(ExtendedState& x) {
  x.materialize(component::kX87);
  rotate_stack(x, 0);
  x.store<std::uint16_t>(area::kFsw, x.load<std::uint16_t>(area::kFsw) & ~(7u << 11));
  x.store<std::uint8_t>(area::kFtw, 0xff);
}

void import_x87(ExtendedState& x, const std::uint8_t* image) {
  x.materialize(component::kX87);
  fill_bytes(x.data(0), 0, area::kMxcsr);
  set_x87_control(x, load_host<std::uint16_t>(image + area::kFcw),
                  load_host<std::uint16_t>(image + area::kFsw));
  x.store(area::kFtw, image[area::kFtw]);
  copy_st(x.data(0), image);
}

void import_xmm(ExtendedState& x, const std::uint8_t* image, unsigned registers) {
  x.materialize(component::kSse);
  copy_bytes(x.data(area::kXmm), image + area::kXmm, registers * 16);
}

void clear_xmm(ExtendedState& x, unsigned registers) {
  if (!x.in_use(component::kSse)) return;
  if (registers == 16)
    x.set_initial(component::kSse);
  else
    fill_bytes(x.data(area::kXmm), 0, registers * 16);
}

}  // namespace ringshift::translator
